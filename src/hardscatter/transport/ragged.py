"""Ragged batches: all particles of all events in one tensor, with the offsets at which events start.

And the one call that all losses over such batches share.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Protocol

import torch
from torch import Tensor

from hardscatter.errors import InvalidEventsError
from hardscatter.transport.features import KINEMATICS, PT, FeatureName, positions


class TransportLoss(Protocol):
    """What every loss of this room is: a settings object that compares weighted crossings with clean ones.

    Parameters
    ----------
    weights
        (particles,), in [0, 1], of the crossings with pileup: all events one after the other.
    features
        (particles, 4): `KINEMATICS` of the same particles.
    offsets
        (events + 1,), integers: event e holds particles ``offsets[e]`` to ``offsets[e + 1]``. An event may be empty.
        Keep offsets on the CPU even when the particles are on a GPU; elsewhere they cost a synchronisation.
    target_features, target_offsets
        The same for the events without pileup, in the same order. Every target particle has weight 1.
    generator
        Source of random directions; losses that draw nothing leave it alone.

    Returns
    -------
    Tensor
        (events,): one non-negative value an event, differentiable in the weights and both features.

    Raises
    ------
    InvalidEventsError
        If shapes and offsets do not fit each other.
    """

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the loss of each event, (events,)."""


def event_of(offsets: Tensor) -> Tensor:
    """Return the event of every particle, (particles,), int64, where the offsets are."""
    return torch.repeat_interleave(torch.arange(len(offsets) - 1, device=offsets.device), offsets.diff())


def check_pair(
    weights: Tensor, features: Tensor, offsets: Tensor, target_features: Tensor, target_offsets: Tensor
) -> None:
    """Raise a sentence unless weights, features and offsets of crossings and targets fit each other."""
    _check_features("features", features, offsets)
    _check_features("target_features", target_features, target_offsets)
    if weights.shape != features.shape[:1]:
        raise InvalidEventsError(
            f"weights have shape {tuple(weights.shape)} for {len(features)} particles: give one weight a particle."
        )
    if len(offsets) != len(target_offsets):
        raise InvalidEventsError(
            f"there are {len(offsets) - 1} events and {len(target_offsets) - 1} targets: give one target an event."
        )


def split_events(tensor: Tensor, offsets: Tensor) -> tuple[Tensor, ...]:
    """Return the rows of each event: (particles, …) becomes one (particles of the event, …) view an event."""
    return torch.split(tensor, offsets.diff().tolist())


def stack_events(values: Sequence[Tensor], like: Tensor) -> Tensor:
    """Return one value an event as a tensor (events,), also when there are no events."""
    return torch.stack(list(values)) if values else like.new_zeros(0)


def weighted_clouds(
    weights: Tensor,
    features: Tensor,
    offsets: Tensor,
    target_features: Tensor,
    target_offsets: Tensor,
    names: Sequence[FeatureName],
    count: bool = False,
) -> Iterator[tuple[Tensor, Tensor, Tensor, Tensor]]:
    """Yield for each event the positions of crossing and target, (n, d) and (m, d), and their masses, (n,) and (m,).

    Masses are w pt and pt (GeV), or w and 1 if particles only `count`.
    """
    unit, target_unit = (torch.ones_like(f[:, PT]) if count else f[:, PT] for f in (features, target_features))
    yield from zip(
        split_events(positions(features, names), offsets),
        split_events(positions(target_features, names), target_offsets),
        split_events(weights * unit, offsets),
        split_events(target_unit, target_offsets),
        strict=True,
    )


def sum_events(values: Tensor, offsets: Tensor) -> Tensor:
    """Return the sum over each event's rows, in float64: (particles, …) becomes (events, …).

    An empty event has 0. The order of summation is fixed, so that the same input gives the same bits.
    """
    total: Tensor = torch.segment_reduce(values.double(), "sum", offsets=offsets.to(values.device), axis=0, initial=0.0)
    return total


def _check_features(name: str, features: Tensor, offsets: Tensor) -> None:
    if features.ndim != 2 or features.shape[1] != len(KINEMATICS):
        raise InvalidEventsError(
            f"{name} have shape {tuple(features.shape)}: give one row a particle with {', '.join(KINEMATICS)}."
        )
    if offsets.ndim != 1 or not len(offsets) or int(offsets[0]) != 0 or int(offsets[-1]) != len(features):
        raise InvalidEventsError(f"offsets of {name} must rise from 0 to the number of particles, {len(features)}.")
    if bool((offsets.diff() < 0).any()):
        raise InvalidEventsError(f"offsets of {name} fall: give events one after the other.")
