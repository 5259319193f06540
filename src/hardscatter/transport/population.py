"""Populations of cells: what neighbourhoods hold, compared with *other* crossings without pileup."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.transport.cells import Grid
from hardscatter.transport.features import PT
from hardscatter.transport.ragged import check_pair, event_of
from hardscatter.transport.sliced import random_directions
from hardscatter.transport.sorting import cramer_1d

_NOMINAL = 0.4  # edge of the cells that `unit` is given for
_REACH = 5.0  # of the detectors in |eta|
_ETA_SPREAD = 4.0  # |eta| counts as much as a factor e of momentum when it changes by this


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Population:
    """`population`: the distribution of what cells of several sizes hold, with no crossing compared with its partner.

    ::

        L = scale / (S K) Σ_s (0.4/s)² Σ_k ∫ (F_sk(z) − G_sk(z))² dz + balance · (b_charged² + b_neutral²)
        F_sk: distribution of θ_k · (asinh C_c/u_s, asinh N_c/u_s, |eta_c|/4) over the cells c of size s
        C_c = Σ_{charged i in c} w_i pt_i,   N_c = Σ_{neutral i in c} w_i pt_i,   u_s = unit · s/0.4
        b = ln (unit + Σ_i w_i pt_i) / (unit + Σ_j pt'_j)      over all charged, or neutral, of the batch

    and G_sk the same without pileup. A cell counts as √(1 + (C_c + N_c)/u_s): most are soft, and jets, few, count
    too; (0.4/s)² sums over cells where F averages, so that small ones, mostly empty, are not lost. The cells of a
    size tile (eta, phi) within |eta| < 5, empty ones included, moved by a random offset for each event. All events of
    the batch make one population, so that unpaired samples of the same processes will do: what they share is how much
    neutral momentum goes with how much charged, where, and how often.

    The integral is Cramér's distance and its mean over directions θ the energy distance, 0 only for equal
    distributions. Unlike Wasserstein's its gradient from few samples is that of many, up to what cells of one
    crossing have in common: that part, one in as many as the batch has crossings, pulls crossings towards each other.

    The balance of the totals keeps a network from deleting all: most cells are empty without pileup, so that weights
    which are small everywhere are a long, flat stretch of the first term, where only jets pull them up again.

    Parameters
    ----------
    sizes
        Edges of the cells in eta and phi.
    slices
        Directions θ for each size.
    unit
        GeV, below which momenta in a cell of 0.4 × 0.4 count linearly and above which by their logarithm; in others
        in proportion to their edge, as the fluctuations of pileup are.
    scale, balance
        Factors of the two terms.

    Notes
    -----
    Value for a crossing: that of the whole batch, the same for all of them; 0 if all are empty. Without charges all
    candidates count as neutral. Gradients are exact wherever no two cells that hold something are equal. The minimum
    is a network that reproduces the distribution, not the conditional mean: a crossing of its own may be far off.

    References
    ----------
    Ours. Energy distance: Székely, Rizzo, J. Stat. Plan. Inference 143 (2013) 1249; its gradients from samples:
    Bellemare et al., arXiv:1705.10743.
    """

    sizes: Annotated[tuple[Annotated[float, Field(gt=0, le=math.pi)], ...], Field(min_length=1)] = (
        0.1, 0.2, 0.4, 0.8, 1.6,
    )  # fmt: skip
    slices: Annotated[int, Field(gt=0)] = 12
    unit: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1000.0
    balance: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,
        charge: Tensor | None = None,
        target_charge: Tensor | None = None,
    ) -> Tensor:
        """Return the loss of the batch for each event, (events,); see `TransportLoss`, charges are (particles,)."""
        check_pair(weights, features, offsets, target_features, target_offsets)
        if generator is None:
            raise SettingsError("cells lie at random places: give a generator, torch.Generator().manual_seed(…).")
        charged, target_charged = _charged(charge, features), _charged(target_charge, target_features)
        events = len(offsets) - 1
        if not len(features) + len(target_features):
            return (weights.sum() * 0.0).expand(events)
        momentum, target = weights * features[:, PT], target_features[:, PT]
        of_event = event_of(offsets).to(weights.device)
        of_target = event_of(target_offsets).to(weights.device)
        moved = torch.rand(events, len(self.sizes), 2, generator=generator, dtype=torch.float64).to(weights.device)
        total = weights.new_zeros(())
        for number, size in enumerate(self.sizes):
            grid = Grid(size, moved[:, number], _REACH)
            place = (grid.centres().abs() / _ETA_SPREAD).to(weights.dtype)
            unit = self.unit * size / _NOMINAL
            here, mass = _held(momentum / unit, grid.cells(features, of_event), charged, place)
            there, target_mass = _held(target / unit, grid.cells(target_features, of_target), target_charged, place)
            directions = random_directions(self.slices, here.shape[1], generator, here)
            distance = cramer_1d(directions @ here.T, directions @ there.T, mass, target_mass).mean()
            total = total + (_NOMINAL / size) ** 2 * distance
        logarithms = [(self.unit + _totals(*each)).log() for each in ((momentum, charged), (target, target_charged))]
        balance = (logarithms[0] - logarithms[1]).square().sum().to(weights.dtype)
        return (self.scale / len(self.sizes) * total + self.balance * balance).expand(events)


def _held(momentum: Tensor, cell: Tensor, charged: Tensor, place: Tensor) -> tuple[Tensor, Tensor]:
    """Return what each cell holds, (cells, 3), and how much the cell counts, (cells,)."""
    empty = torch.zeros(2 * len(place), dtype=torch.float64, device=momentum.device)
    sums = empty.index_add(0, 2 * cell + (~charged).long(), momentum.double()).view(-1, 2)
    held = torch.cat([sums.asinh().to(momentum.dtype), place[:, None]], dim=1)
    return held, (1 + sums.sum(dim=1)).sqrt().to(momentum.dtype)


def _totals(momentum: Tensor, charged: Tensor) -> Tensor:
    """Return the charged and the neutral momentum of all events, (2,), in float64."""
    empty = torch.zeros(2, dtype=torch.float64, device=momentum.device)
    return empty.index_add(0, (~charged).long(), momentum.double())


def _charged(charge: Tensor | None, features: Tensor) -> Tensor:
    if charge is None:
        return torch.zeros(len(features), dtype=torch.bool, device=features.device)
    if charge.shape != features.shape[:1]:
        raise InvalidEventsError(
            f"charges have shape {tuple(charge.shape)} for {len(features)} particles: give one charge a particle."
        )
    return charge != 0
