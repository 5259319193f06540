"""Quantiles, widths and the bootstrap over events."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import SettingsError

# Edges of the central 68.27 % of a normal distribution.
_ONE_SIGMA = (0.5 * math.erfc(1 / math.sqrt(2)), 1 - 0.5 * math.erfc(1 / math.sqrt(2)))

# What is left above a one-sided bound of 68 %.
_ABOVE = 1 - 0.6827

LEAST_REPLICAS = 2
"""Fewer bootstrap replicas give no error."""

LEAST_ENTRIES = 4
"""Fewer have no mean, share or width worth the name."""


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap error: half the central 68 % of the replicas, whose edges are `low`, `high`.

    What the bootstrap knows no error of, since all replicas agree, may have a one-sided `bound` instead (`bounded`):
    then one edge is the value itself, and the error is the whole way to the other. An error of 0 is left to what is
    exact, such as a number set against itself.
    """

    value: float
    error: float
    low: float
    high: float

    @classmethod
    def from_replicas(cls, value: float, replicas: NDArray[np.float64]) -> Estimate:
        """Summarise bootstrap replicas; NaN replicas (no jet drawn) are left out."""
        finite = replicas[np.isfinite(replicas)]
        if not len(finite):
            return cls(value, math.nan, math.nan, math.nan)
        low, high = np.quantile(finite, _ONE_SIGMA)
        return cls(value, float(high - low) / 2, float(low), float(high))

    @property
    def bound(self) -> float | None:
        """What a share of 0 is below, or one of 1 above, at 68 %; None where the error has two sides."""
        room = self.high - self.low
        if self.value not in (0.0, 1.0) or not 0 < 0.75 * room < self.error:  # else the error is half of it
            return None
        return self.low if self.value else self.high


UNKNOWN = Estimate(math.nan, math.nan, math.nan, math.nan)
"""What there is too little to measure from."""


class Sample:
    """Values that belong to events, sorted once so that quantiles of any resampling of the events are quick."""

    def __init__(self, values: NDArray[np.float64], event: NDArray[np.int64]) -> None:
        order = np.argsort(values, kind="stable")
        self.values = values[order]
        self.event = event[order]

    @property
    def effective(self) -> float:
        """How many events with the same number of values know as much: the `effective_number`."""
        return effective_number(np.bincount(self.event))

    def quantiles(self, counts: NDArray[np.int64], q: tuple[float, ...]) -> NDArray[np.float64]:
        """Return quantiles when event e is drawn `counts[e]` times, interpolated as `numpy.quantile` does.

        NaN if no value is drawn.
        """
        cumulative = np.cumsum(counts[self.event])
        if not len(cumulative) or cumulative[-1] == 0:
            return np.full(len(q), np.nan)
        position = (cumulative[-1] - 1) * np.asarray(q)
        lower = np.floor(position)
        below = self.values[np.searchsorted(cumulative, lower, side="right")]
        above = self.values[np.minimum(np.searchsorted(cumulative, lower + 1, side="right"), len(cumulative) - 1)]
        return np.asarray(below + (above - below) * (position - lower))

    def mean(self, counts: NDArray[np.int64]) -> float:
        """Return the mean when event e is drawn `counts[e]` times; NaN if no value is drawn."""
        drawn = counts[self.event]
        return float(drawn @ self.values / drawn.sum()) if drawn.sum() else math.nan


def half_width(sample: Sample, counts: NDArray[np.int64], fraction: float) -> float:
    """Return half the width of the central `fraction` of the values."""
    low, high = sample.quantiles(counts, (0.5 - fraction / 2, 0.5 + fraction / 2))
    return float(high - low) / 2


def resamplings(n_events: int, replicas: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Yield how often each event is drawn in each bootstrap replica; the same seed gives the same draws."""
    generator = np.random.default_rng(seed)
    for _ in range(replicas):
        yield np.bincount(generator.integers(n_events, size=n_events), minlength=n_events)


def draws(n_events: int, replicas: int, seed: int) -> NDArray[np.int64]:
    """Return how often each event counts: once, then as each bootstrap replica drew it, (1 + replicas, events).

    The replicas are those of `resamplings`; no events have none.

    Raises
    ------
    SettingsError
        If there are too few replicas.
    """
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    drawn = resamplings(n_events, replicas, seed) if n_events else ()
    return np.stack([np.ones(n_events, dtype=np.int64), *drawn])


def estimate(values: NDArray[np.float64]) -> Estimate:
    """Return the first of the values with its error from the others, its replicas; NaN if it does not exist."""
    return Estimate.from_replicas(float(values[0]), values[1:]) if np.isfinite(values[0]) else UNKNOWN


def estimates(values: NDArray[np.float64]) -> tuple[Estimate, ...]:
    """Return the `estimate` of each column of (1 + replicas, columns)."""
    return tuple(map(estimate, values.T))


def bounded(share: Estimate, n: float, *, most: float = 1.0) -> Estimate:
    """Give a share of 0 or 1 its one-sided 68 % bound where the bootstrap, whose replicas all agree, knows less.

    The bound lies 1 − 0.32^(1/n) from the edge: were it the true share, n entries would all miss (or all be in) in 32
    of 100 samples. This is the end of the Clopper–Pearson interval at an edge (C. J. Clopper and E. S. Pearson,
    Biometrika 26 (1934) 404). It holds for independent entries. Those of a crossing are not, and where none is seen
    nothing tells by how much, so the worst is assumed: that they share their fate.

    Parameters
    ----------
    share
        Other values than 0 and 1 stay as they are: there replicas differ.
    n
        How many crossings know as much, `effective_number` of their (weighted) entries; 0 leaves the share as it is.
    most
        Infinite for what is counted by crossing and may exceed 1, such as fake jets: then only 0 has a bound, that on
        the share of crossings with any, about 1.15/n.
    """
    if share.value not in (0.0, most) or n <= 0:
        return share
    room = 1 - _ABOVE ** (1 / n)
    if share.error >= room:
        return share
    low, high = (share.value - room, share.value) if share.value else (0.0, room)
    return replace(share, error=room, low=low, high=high)


def ratio(numerator: NDArray[Any], denominator: NDArray[Any]) -> NDArray[np.float64]:
    """Return numerator/denominator, broadcast; NaN where the denominator is not above 0."""
    numerator, denominator = np.broadcast_arrays(numerator, denominator)
    quotient = np.divide(numerator, denominator, out=np.full(numerator.shape, np.nan), where=denominator > 0)
    return np.asarray(quotient)


def effective_number(weight: NDArray[Any]) -> float:
    """Return (Σ w)²/Σ w²: so many entries of weight 1 know a mean as well; 0 if there are none."""
    weight = np.asarray(weight, dtype=np.float64)
    squares = float(weight @ weight)
    return float(weight.sum()) ** 2 / squares if squares > 0 else 0.0
