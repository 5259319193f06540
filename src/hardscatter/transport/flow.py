"""Local energy flow: momentum that a crossing must have in every neighbourhood, at several scales."""

from __future__ import annotations

import math
from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.errors import SettingsError
from hardscatter.transport.cells import Grid
from hardscatter.transport.features import PT
from hardscatter.transport.ragged import check_pair, event_of


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LocalFlow:
    """`flow`: momentum in cells of several sizes at random places, compared with the crossing without pileup.

    ::

        L = scale / S Σ_s 1/C_s Σ_c (Σ_{i in c} w_i pt_i − Σ_{j in c} pt'_j)² / V_c
        V_c = floor · d_s + Σ_{i in c} pt_i · unit,      d_s = (size / 0.4)²

    The cells of a scale s tile the (eta, phi) cylinder, periodic in phi, moved by a random offset for each crossing;
    C_s is the number of cells that hold a candidate. V_c is made of the crossing with pileup alone, before any weight:
    whatever its form, the minimum over the weights of a cell is the conditional mean of the momentum without pileup,
    so that nothing is biased. V_c only says how much a cell matters: as in a Poisson process, a cell's uncertainty
    grows with what lies in it, so that soft cells and jets both count. Transport cost is not followed any further
    than to the next scale: momentum moved by less than a cell is free there, and paid for in the smaller ones.

    Parameters
    ----------
    sizes
        Edges of the cells in eta and phi.
    floor
        GeV², the variance of a cell of 0.4 × 0.4 that holds next to nothing.
    unit
        GeV, the variance that each GeV brings.
    scale
        Factor of the whole.

    Notes
    -----
    Value for a crossing: 0 if it and its target are empty. Gradients are exact: cells are sums.

    References
    ----------
    Ours; the trial of the design page matched √(momentum) of such cells, whose minimum is biased.
    """

    sizes: Annotated[tuple[Annotated[float, Field(gt=0, le=math.pi)], ...], Field(min_length=1)] = (
        0.1, 0.2, 0.4, 0.8, 1.6,
    )  # fmt: skip
    floor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 1.0
    unit: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.5
    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the loss of each event, (events,), summed in float64; see `TransportLoss`."""
        check_pair(weights, features, offsets, target_features, target_offsets)
        if generator is None:
            raise SettingsError("cells lie at random places: give a generator, torch.Generator().manual_seed(…).")
        events = len(offsets) - 1
        momentum, target = weights * features[:, PT], target_features[:, PT]
        of_event = event_of(offsets).to(weights.device)
        of_target = event_of(target_offsets).to(weights.device)
        total = weights.new_zeros(events, dtype=torch.float64)
        # Event by event, so that a batch costs what its events cost one by one.
        moved = torch.rand(events, len(self.sizes), 2, generator=generator, dtype=torch.float64).to(weights.device)
        for number, size in enumerate(self.sizes):
            grid = Grid(size, moved[:, number])
            here, there = grid.cells(features, of_event), grid.cells(target_features, of_target)
            known, cell = torch.unique(torch.cat([here, there]), return_inverse=True)
            cell_here, cell_there = cell[: len(here)], cell[len(here) :]
            empty = torch.zeros(len(known), dtype=torch.float64, device=weights.device)
            difference = empty.index_add(0, cell_here, momentum.double()).index_add(0, cell_there, -target.double())
            there_at_all = empty.index_add(0, cell_here, features[:, PT].detach().double())
            variance = self.floor * (size / 0.4) ** 2 + self.unit * there_at_all
            event = torch.div(known, grid.cells_of_event, rounding_mode="floor")
            cells = torch.bincount(event, minlength=events).clamp(min=1)
            total = total.index_add(0, event, difference.square() / variance / cells[event])
        return (self.scale / len(self.sizes) * total).to(weights.dtype)
