"""Exact transport between two small events: the Energy Mover's Distance, by linear programming."""

from __future__ import annotations

from functools import lru_cache
from typing import Annotated, Any

import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy import sparse
from scipy.optimize import linprog
from torch import Tensor

from hardscatter.errors import SettingsError
from hardscatter.transport.costs import delta_r, with_envelope
from hardscatter.transport.ragged import check_pair, stack_events, weighted_clouds

MAX_PAIRS = 300_000
"""Largest n × m that is solved: 300 × 300 takes 0.6 s, and time grows faster than the number of pairs."""


def exact_transport(cost: Tensor, a: Tensor, b: Tensor) -> Tensor:
    """Return the least cost of moving the masses `a` onto the masses `b`.

    ::

        OT = min_P Σ_ij P_ij C_ij,    P ≥ 0,    Σ_j P_ij = a_i,    Σ_i P_ij = b_j

    Parameters
    ----------
    cost
        (n, m), both above 0.
    a, b
        (n,) and (m,): masses ≥ 0 with equal totals, to rounding.

    Returns
    -------
    Tensor
        A scalar, in units of cost × mass, with the gradients P in `cost` and the dual potentials in `a` and `b`
        (up to the constant that equal totals leave free). Solved in float64 on the CPU, wherever the tensors are.

    Raises
    ------
    SettingsError
        If there are more than `MAX_PAIRS` pairs, or if the totals differ.
    """
    n, m = cost.shape
    if n * m > MAX_PAIRS:
        raise SettingsError(
            f"exact transport of {n} × {m} particles: at most {MAX_PAIRS} pairs are solved; use a sliced distance."
        )
    value, plan, f, g = (torch.from_numpy(part) for part in _solve(*(_float64(t) for t in (cost, a, b))))
    return with_envelope(cost, (a, b), value, plan, (f, g))


def energy_movers_distance(x: Tensor, y: Tensor, x_mass: Tensor, y_mass: Tensor, radius: float = 1.0) -> Tensor:
    """Return the Energy Mover's Distance of two events.

    ::

        EMD = min_f Σ_ij f_ij ΔR_ij / R + | Σ_i a_i − Σ_j b_j |
        f ≥ 0,   Σ_j f_ij ≤ a_i,   Σ_i f_ij ≤ b_j,   Σ_ij f_ij = min(Σ a, Σ b)

    Parameters
    ----------
    x, y
        (eta, phi), (n, 2) and (m, 2), rad; the azimuth is periodic.
    x_mass, y_mass
        Transverse momenta a and b, GeV, (n,) and (m,).
    radius
        R: how far in ΔR momentum may be moved for the price of creating it. A metric if 2 R ≥ the largest ΔR.

    Returns
    -------
    Tensor
        A scalar, GeV, differentiable once. Against an empty event it is the whole momentum.

    References
    ----------
    Komiske, Metodiev, Thaler, arXiv:1902.02346, eq. 1.
    """
    surplus = x_mass.sum() - y_mass.sum()
    if len(x) == 0 or len(y) == 0:
        return surplus.abs()
    cost = delta_r(x, y) / radius
    # What one event has too much goes, free of charge, to a partner that exists only for that.
    if surplus.detach() > 0:
        cost, y_mass = torch.nn.functional.pad(cost, (0, 1)), torch.cat([y_mass, surplus[None]])
    elif surplus.detach() < 0:
        cost, x_mass = torch.nn.functional.pad(cost, (0, 0, 0, 1)), torch.cat([x_mass, -surplus[None]])
    return exact_transport(cost, x_mass, y_mass) + surplus.abs()


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EnergyMovers:
    """`emd`: the Energy Mover's Distance of each event to its target, with momentum w pt as mass; small events only.

    See `energy_movers_distance` for the equation, `MAX_PAIRS` for the size limit. 50 × 50 particles take 13 ms,
    200 × 200 a quarter of a second, on one core and never on a GPU: for jets and comparisons, not for crossings.

    Parameters
    ----------
    radius
        R, in ΔR.
    scale
        GeV⁻¹, factor of the whole.

    References
    ----------
    Komiske, Metodiev, Thaler, arXiv:1902.02346, eq. 1.
    """

    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the loss of each event, (events,); see `TransportLoss`."""
        batch = (weights, features, offsets, target_features, target_offsets)
        check_pair(*batch)
        values = [
            energy_movers_distance(x, y, a, b, self.radius) for x, y, a, b in weighted_clouds(*batch, ("eta", "phi"))
        ]
        return self.scale * stack_events(values, weights)


def _solve(cost: NDArray[Any], a: NDArray[Any], b: NDArray[Any]) -> tuple[NDArray[Any], ...]:
    """Return value, plan and both potentials."""
    n, m = cost.shape
    total = a.sum()
    if not np.isclose(total, b.sum(), rtol=1e-5, atol=0):
        raise SettingsError(f"masses sum to {total:g} and {b.sum():g}: exact transport needs equal totals.")
    # A mean mass of 1, and exactly equal totals, keep the solver's absolute tolerances meaningful.
    unit = total / n if total > 0 else 1.0
    masses = np.concatenate([a / unit, b / unit * (total / b.sum() if total > 0 else 1.0)])
    solution = linprog(cost.ravel(), A_eq=_marginals(n, m), b_eq=masses, method="highs-ds")
    if solution.status != 0:
        raise SettingsError(f"exact transport found no solution: {solution.message}")
    potentials = solution.eqlin.marginals
    return np.asarray(solution.fun * unit), solution.x.reshape(n, m) * unit, potentials[:n], potentials[n:]


@lru_cache(maxsize=32)
def _marginals(n: int, m: int) -> Any:
    """Return the sparse matrix that takes a plan, row after row, to its row sums and column sums."""
    rows = sparse.kron(sparse.eye(n), np.ones((1, m)))
    columns = sparse.kron(np.ones((1, n)), sparse.eye(m))
    return sparse.vstack([rows, columns]).tocsc()


def _float64(tensor: Tensor) -> NDArray[np.float64]:
    array: NDArray[np.float64] = tensor.detach().double().cpu().numpy()
    return array
