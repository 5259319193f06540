"""How many pileup collisions a crossing holds: small closed settings, one class a distribution."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.detector import random
from hardscatter.detector.random import stream_key, uniform

_CLOSED = ConfigDict(extra="forbid")
_MOST = 100_000  # more interactions than any collider plans: surely a typing error

Number = Annotated[int, Field(ge=0, le=_MOST)]


@dataclass(frozen=True, config=_CLOSED)
class Poisson:
    """A Poisson number of interactions of given mean, as the beams give it."""

    mean: Annotated[float, Field(ge=0, le=_MOST)]
    replacement: bool = True
    """Draw collisions from the library with replacement, as Delphes does."""

    def numbers(self, seed: int, events: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of interactions of each event."""
        return _poisson(self.mean, seed, events)

    def means(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean number of interactions that each event was made for."""
        return np.full(len(numbers), self.mean, dtype=np.float32)


@dataclass(frozen=True, config=_CLOSED)
class Fixed:
    """The same number of interactions in every crossing; 0 means no pileup."""

    number: Number
    replacement: bool = True

    def numbers(self, seed: int, events: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: ARG002 - one interface
        """Return the number of interactions of each event."""
        return np.full(len(events), self.number, dtype=np.int64)

    def means(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean number of interactions that each event was made for."""
        return numbers.astype(np.float32)


@dataclass(frozen=True, config=_CLOSED)
class Flat:
    """Every number from `low` to `high`, both included, equally often; Flat(high=2·μ) is Delphes' distribution 1."""

    low: Number = 0
    high: Number = 200
    replacement: bool = True

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) is below low ({self.low}): swap them")

    def numbers(self, seed: int, events: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of interactions of each event."""
        draws = _uniforms(seed, events)
        numbers: NDArray[np.int64] = self.low + np.floor(draws * (self.high - self.low + 1)).astype(np.int64)
        return numbers

    def means(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean of the distribution: the number itself is truth."""
        return np.full(len(numbers), 0.5 * (self.low + self.high), dtype=np.float32)


@dataclass(frozen=True, config=_CLOSED)
class Histogram:
    """A measured distribution: number n of interactions with probability ∝ contents[n]."""

    contents: Annotated[tuple[float, ...], Field(min_length=1, max_length=_MOST)]
    replacement: bool = True

    def __post_init__(self) -> None:
        if min(self.contents) < 0 or not 0 < sum(self.contents) < np.inf:
            raise ValueError("contents must be ≥ 0 and not all 0: give the height of each bin n = 0, 1, 2, …")

    def numbers(self, seed: int, events: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the number of interactions of each event."""
        cumulative = np.cumsum(self.contents)
        bins = np.searchsorted(cumulative, _uniforms(seed, events) * cumulative[-1], side="right")
        numbers: NDArray[np.int64] = np.minimum(bins, len(cumulative) - 1).astype(np.int64)
        return numbers

    def means(self, numbers: NDArray[np.int64]) -> NDArray[np.float32]:
        """Return the mean of the distribution: the number itself is truth."""
        mean = np.average(np.arange(len(self.contents)), weights=self.contents)
        return np.full(len(numbers), mean, dtype=np.float32)


Pileup = Poisson | Fixed | Flat | Histogram
"""Settings of the number of pileup interactions of a crossing."""


@kernel
def _uniforms(seed: int, events: NDArray[np.int64]) -> NDArray[np.float64]:
    draws = np.empty(len(events))
    for i in range(len(events)):
        draws[i] = uniform(stream_key(seed, events[i], random.NUMBER, 0), 0)
    return draws


@kernel
def _poisson(mean: float, seed: int, events: NDArray[np.int64]) -> NDArray[np.int64]:
    """Count how many exponential waiting times fit into `mean`: exact for any mean, 200 logarithms for 200."""
    numbers = np.zeros(len(events), dtype=np.int64)
    for i in range(len(events)):
        key = stream_key(seed, events[i], random.NUMBER, 0)
        waited = -np.log(uniform(key, 0))
        while waited < mean:
            numbers[i] += 1
            waited -= np.log(uniform(key, numbers[i]))
    return numbers
