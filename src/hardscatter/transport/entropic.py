"""Entropic transport: Sinkhorn's iterations on logarithms, for small events."""

from __future__ import annotations

import warnings
from dataclasses import dataclass as plain_dataclass
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.transport.costs import squared_delta_r, with_envelope
from hardscatter.transport.ragged import check_pair, stack_events, weighted_clouds
from hardscatter.transport.sliced import imbalance

_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_COOLING, _WARM = 0.5, 1e-4  # a warm start: each round at half the temperature, solved to this error
_FLOOR = 1e-13  # stiffness of a Newton matrix, relative to 1, where it has none


@plain_dataclass(frozen=True)
class Potentials:
    """Dual potentials (n,) and (m,), float64; the iterations taken; how far the rows of the plan miss a, summed."""

    f: Tensor
    g: Tensor
    iterations: int
    error: float


@torch.no_grad()
def sinkhorn_potentials(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, tolerance: float = 1e-9, max_iterations: int = 1000
) -> Potentials:
    """Return the potentials that solve entropic transport between `a` and `b`.

    ::

        f_i = −ε ln Σ_j b_j exp((g_j − C_ij)/ε),      g_j = −ε ln Σ_i a_i exp((f_i − C_ij)/ε)

    in turn (Sinkhorn), or a Newton step on f where that gains more, from the temperature max C cooled down to ε
    and then at ε **until** Σ_i |Σ_j P_ij − a_i| ≤ `tolerance`, where P_ij = a_i b_j exp((f_i + g_j − C_ij)/ε), whose
    columns sum to b always, or until `max_iterations` in all.

    Parameters
    ----------
    cost
        (n, m), any unit.
    a, b
        (n,) and (m,): masses ≥ 0 that sum to 1 each.
    epsilon
        Temperature, in the unit of the cost.

    Warns
    -----
    RuntimeWarning
        If the iterations end before the tolerance is met.

    References
    ----------
    Peyré, Cuturi, arXiv:1803.00567, section 4.4; Newton: Brauer, Clason, Lorenz, Wirth, arXiv:1710.06635.
    """
    cost, a, b = cost.double(), a.double(), b.double()
    temperature, iterations = max(float(cost.max()), epsilon), 0
    f = torch.zeros_like(a)
    while True:
        final = temperature <= epsilon
        goal = tolerance if final else max(tolerance, _WARM)
        state = _Sweep.of(cost, a, b, temperature, f)
        while state.error > goal and iterations < max_iterations:
            iterations += 1
            steps = [_Sweep.of(cost, a, b, temperature, f) for f in (state.next_f, state.f + state.newton())]
            state = steps[1] if steps[1].dual > steps[0].dual or steps[1].error < steps[0].error else steps[0]
        f = state.next_f
        if final:
            break
        temperature = max(temperature * _COOLING, epsilon)
    if state.error > tolerance:
        warnings.warn(
            f"Sinkhorn stopped after {iterations} iterations with marginals off by {state.error:.1e} (tolerance "
            f"{tolerance:.1e}): raise epsilon or max_iterations.",
            RuntimeWarning,
            stacklevel=2,
        )
    return Potentials(f, state.g, iterations, state.error)


@plain_dataclass(frozen=True)
class _Sweep:
    """One Sinkhorn iteration from f: the best g for it, the best f for that, and how far the plan of (f, g) is off."""

    plan: Tensor
    a: Tensor
    b: Tensor
    temperature: float
    f: Tensor
    g: Tensor
    next_f: Tensor
    error: float

    @classmethod
    def of(cls, cost: Tensor, a: Tensor, b: Tensor, temperature: float, f: Tensor) -> _Sweep:
        g = -temperature * torch.logsumexp(a.log() + (f - cost.T) / temperature, dim=1)
        next_f = -temperature * torch.logsumexp(b.log() + (g - cost) / temperature, dim=1)
        plan = a[:, None] * b * torch.exp((f[:, None] + g - cost) / temperature)
        return cls(plan, a, b, temperature, f, g, next_f, float((plan.sum(dim=1) - a).abs().sum()))

    @property
    def dual(self) -> float:
        """What the potentials maximise; with g the best for f, the transport cost once the rows agree."""
        return float(self.a @ self.f + self.b @ self.g)

    def newton(self) -> Tensor:
        """Return the step δ with (diag(r) − P diag(1/b) Pᵀ) δ = ε (a − r), r the rows of the plan P."""
        rows = self.plan.sum(dim=1)
        root = rows.sqrt()
        inverse = torch.where(rows > 0, 1 / root, 0.0)
        scaled = inverse[:, None] * self.plan * torch.where(self.b > 0, self.b.rsqrt(), 0.0)
        # A constant added to f changes nothing: that direction gets a stiffness of 1. So do, next to nothing, groups of
        # points that exchange no mass as yet, which would make the matrix singular.
        stiffness = (1 + _FLOOR) * torch.eye(len(rows)).to(rows) + root[:, None] * root / rows.sum()
        step: Tensor = torch.linalg.solve(stiffness - scaled @ scaled.T, inverse * (self.a - rows))
        step = inverse * step
        # Mass that is short by a factor K asks for a step of K − 1, but ln K is what mends it.
        return self.temperature * step.sign() * step.abs().log1p()


def entropic_transport(
    cost: Tensor, a: Tensor, b: Tensor, epsilon: float, tolerance: float = 1e-9, max_iterations: int = 1000
) -> Tensor:
    """Return the entropic transport cost, differentiable once in `cost`, `a` and `b`.

    ::

        OT_ε = min_P ⟨P, C⟩ + ε KL(P | a ⊗ b) = ⟨a, f⟩ + ⟨b, g⟩

    Arguments as in `sinkhorn_potentials`; a scalar in the unit of the cost. Solved in float64 whatever comes in.
    """
    solution = sinkhorn_potentials(cost, a, b, epsilon, tolerance, max_iterations)
    f, g = solution.f, solution.g
    with torch.no_grad():
        wide_a, wide_b = a.double(), b.double()
        plan = wide_a[:, None] * wide_b * torch.exp((f[:, None] + g - cost.double()) / epsilon)
        value = wide_a @ f + wide_b @ g
    return with_envelope(cost, (a, b), value, plan, (f, g))


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Sinkhorn:
    """`sinkhorn`: entropic transport of transverse momentum over ΔR², for events of up to some hundred particles.

    ::

        L = scale · [ OT_ε(a, b) − ½ OT_ε(a, a) − ½ OT_ε(b, b) + mass_penalty · ((A − B)/(A + B))² ]
        a_i = w_i pt_i / A,  b_j = pt_j / B,  A = Σ w pt,  B = Σ pt

    The two self terms (`debiased`) make it a divergence: 0 on equal events, ≥ 0 elsewhere. Without them OT_ε is not
    0 on equal events. Memory and time grow with the product of the sizes; events are solved one after the other.

    Parameters
    ----------
    epsilon
        Temperature in units of ΔR²: transport is blurred over ΔR ≈ √ε.
    debiased
        Subtract the self terms.
    mass_penalty, scale
        As in `WeightedSliced`.
    tolerance, max_iterations
        The stopping rule of `sinkhorn_potentials`.

    Notes
    -----
    Value for an event: 0 if both clouds are empty or massless, scale · mass_penalty if one is.

    References
    ----------
    Feydy et al., Interpolating between optimal transport and MMD using Sinkhorn divergences, arXiv:1810.08278.
    """

    epsilon: _Positive = 0.01
    debiased: bool = True
    mass_penalty: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0
    tolerance: _Positive = 1e-6
    max_iterations: Annotated[int, Field(gt=0)] = 1000

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
            self._divergence(x, y, a, b) + self.mass_penalty * imbalance(a, b)
            for x, y, a, b in weighted_clouds(*batch, ("eta", "phi"))
        ]
        return self.scale * stack_events(values, weights)

    def _divergence(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        if not (bool(a.detach().sum() > 0) and bool(b.detach().sum() > 0)):
            return a.sum() * 0.0
        a, b = a / a.sum(), b / b.sum()
        cross = self._transport(x, y, a, b)
        if not self.debiased:
            return cross
        return cross - 0.5 * (self._transport(x, x, a, a) + self._transport(y, y, b, b))

    def _transport(self, x: Tensor, y: Tensor, a: Tensor, b: Tensor) -> Tensor:
        return entropic_transport(squared_delta_r(x, y), a, b, self.epsilon, self.tolerance, self.max_iterations)
