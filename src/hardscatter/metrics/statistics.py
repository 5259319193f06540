"""Quantiles, widths and the bootstrap over events."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

# Edges of the central 68.27 % of a normal distribution.
_ONE_SIGMA = (0.5 * math.erfc(1 / math.sqrt(2)), 1 - 0.5 * math.erfc(1 / math.sqrt(2)))


LEAST_REPLICAS = 2
"""Fewer bootstrap replicas give no error."""


@dataclass(frozen=True)
class Estimate:
    """A number with its bootstrap error: half the central 68 % of the replicas, whose edges are `low`, `high`."""

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


class Sample:
    """Values that belong to events, sorted once so that quantiles of any resampling of the events are quick."""

    def __init__(self, values: NDArray[np.float64], event: NDArray[np.int64]) -> None:
        order = np.argsort(values, kind="stable")
        self.values = values[order]
        self.event = event[order]

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
