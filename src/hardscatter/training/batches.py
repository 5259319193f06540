"""From pairs of crossings to tensors: what the network sees, and what its weights are compared with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
import torch
from torch import Tensor

from hardscatter.events import LEADING, Events, flat, offsets_of
from hardscatter.geometry import NO_NEIGHBOUR
from hardscatter.pileup.features import FeatureSchema, coordinates, drop_fields, features
from hardscatter.pileup.links import Links, links_of
from hardscatter.training.masking import Masking, disguised
from hardscatter.transport import KINEMATICS


@dataclass(frozen=True)
class Inputs:
    """What the network sees: nothing that a detector does not measure. N candidates, crossing after crossing."""

    features: Tensor
    """(N, F), by the feature schema."""
    coordinates: Tensor
    """(N, 3): η, φ, ln(pt/GeV)."""
    neighbours: Tensor
    """(N, width of the links), −1 where there is none."""


@dataclass(frozen=True)
class Cloud:
    """The candidates of several crossings, for a loss."""

    kinematics: Tensor
    """(N, 4): pt, eta, phi, energy."""
    charge: Tensor
    """(N,)."""
    offsets: Tensor
    """(crossings + 1,), always on the CPU."""


_Part = TypeVar("_Part", Inputs, Cloud)
_EACH = ("hard_fraction", "masked", "leading")  # of `Batch`: one number a candidate


@dataclass(frozen=True)
class Batch:
    """Pairs of crossings: the same hard collisions with pileup (`inputs`, `crossings`) and without (`alone`)."""

    inputs: Inputs
    crossings: Cloud
    alone: Cloud
    hard_fraction: Tensor
    """(N,), the truth, read by the supervised comparators alone."""
    masked: Tensor
    """(N,), bool: charged candidates that the network sees as neutral ones (`hardscatter.training.masking`)."""
    leading: Tensor
    """(N,): 1 for charged candidates of the leading vertex, as reconstructed, masked ones too; else 0."""
    number: int
    """Of the batch in its stream."""

    def split(self) -> list[Batch]:
        """Return the crossings one by one."""
        here, there = self.crossings.offsets.tolist(), self.alone.offsets.tolist()
        return [
            Batch(
                Inputs(
                    self.inputs.features[a:b],
                    self.inputs.coordinates[a:b],
                    torch.where(self.inputs.neighbours[a:b] >= 0, self.inputs.neighbours[a:b] - a, NO_NEIGHBOUR),
                ),
                Cloud(self.crossings.kinematics[a:b], self.crossings.charge[a:b], torch.tensor([0, b - a])),
                Cloud(self.alone.kinematics[c:d], self.alone.charge[c:d], torch.tensor([0, d - c])),
                self.hard_fraction[a:b],
                self.masked[a:b],
                self.leading[a:b],
                self.number,
            )
            for a, b, c, d in zip(here, here[1:], there, there[1:], strict=False)
        ]

    def to(self, device: torch.device) -> Batch:
        """Return the batch with its tensors on a device, offsets excepted."""
        return replace(
            self,
            inputs=_moved(self.inputs, device),
            crossings=_moved(self.crossings, device),
            alone=_moved(self.alone, device),
            **{name: getattr(self, name).to(device) for name in _EACH},
        )


def merge(batches: Sequence[Batch], number: int) -> Batch:
    """Return the crossings of several batches as one batch."""
    starts = np.cumsum([0, *(len(batch.hard_fraction) for batch in batches)]).tolist()
    neighbours = [
        torch.where(batch.inputs.neighbours >= 0, batch.inputs.neighbours + start, NO_NEIGHBOUR)
        for batch, start in zip(batches, starts, strict=False)
    ]
    return Batch(
        Inputs(
            torch.cat([batch.inputs.features for batch in batches]),
            torch.cat([batch.inputs.coordinates for batch in batches]),
            torch.cat(neighbours),
        ),
        _joined([batch.crossings for batch in batches]),
        _joined([batch.alone for batch in batches]),
        **{name: torch.cat([getattr(batch, name) for batch in batches]) for name in _EACH},
        number=number,
    )


def _joined(clouds: Sequence[Cloud]) -> Cloud:
    counts = torch.cat([torch.zeros(1, dtype=torch.int64), *(cloud.offsets.diff() for cloud in clouds)])
    return Cloud(
        torch.cat([cloud.kinematics for cloud in clouds]),
        torch.cat([cloud.charge for cloud in clouds]),
        counts.cumsum(0),
    )


def _moved(part: _Part, device: torch.device) -> _Part:
    moved = {f.name: getattr(part, f.name).to(device) for f in fields(part) if f.name != "offsets"}
    return replace(part, **moved)


def inputs_of(
    events: Events, schema: FeatureSchema, links: Links, missing: tuple[float, float], rng: np.random.Generator
) -> Inputs:
    """Return what the network sees of crossings, some of which lack optional fields.

    Parameters
    ----------
    events
        Crossings with pileup, without truth.
    schema, links
        Columns of the features, and whom a candidate looks at.
    missing
        Chance that a crossing lacks each optional field, and that it lacks all of them.
    rng
        Where that chance comes from.
    """
    matrix, offsets = features(events, schema)
    matrix = drop_fields(matrix, offsets, schema, rng, *missing)
    return Inputs(
        torch.from_numpy(matrix), torch.from_numpy(coordinates(events)), torch.from_numpy(links_of(events, links))
    )


def batch_of(
    alone: Events,
    events: Events,
    number: int,
    schema: FeatureSchema,
    links: Links,
    missing: tuple[float, float] = (0.0, 0.0),
    seed: int = 0,
    masking: Masking | None = None,
) -> Batch:
    """Return a pair of crossings as tensors; truth is taken away before anything for the network is made.

    Where there is none (data), the hard fractions are NaN: a loss that reads them cannot train.
    """
    rng = np.random.default_rng([seed, number])
    known = events.has("truth.hard_fraction")
    n = len(flat(events.candidates.pt))
    hard_fraction = np.array(flat(events.truth.hard_fraction, np.float32)) if known else np.full(n, np.nan, np.float32)
    events, alone = events.without_truth(), alone.without_truth()
    leading = (flat(events.candidates.charge) != 0) & (flat(events.candidates.vertex) == LEADING)
    seen, masked = (events, np.zeros(n, np.bool_)) if masking is None else disguised(events, masking, rng)
    return Batch(
        inputs_of(seen, schema, links, missing, rng),
        _cloud(events),
        _cloud(alone),
        torch.from_numpy(hard_fraction),
        torch.from_numpy(masked),
        torch.from_numpy(leading.astype(np.float32)),
        number,
    )


def _cloud(events: Events) -> Cloud:
    candidates = events.candidates
    kinematics = np.stack([flat(candidates[name], np.float32) for name in KINEMATICS], axis=1)
    return Cloud(
        torch.from_numpy(kinematics),
        torch.from_numpy(flat(candidates.charge, np.float32)),
        torch.from_numpy(np.array(offsets_of(candidates.pt))),
    )
