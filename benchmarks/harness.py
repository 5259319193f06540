"""How a figure is made: ours and a peer's job run in turns, so that what disturbs the machine disturbs both.

The ratio is taken within each turn; its median and the central 68 % over the turns are what is printed. Times are CPU
time of the process by default: one thread, whatever else the machine does. A job that runs in another process returns
the `Seconds` that it needed there.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

REPEATS = 11


class Seconds(float):
    """The time that a job took, as it says itself."""


@dataclass(frozen=True)
class Case:
    """One line of the table: a job of ours, and a peer's that gives the same answer."""

    name: str
    ours: Callable[[], object]
    peer: Callable[[], object] | None = None
    against: str = "–"
    """What the peer is."""
    per_call: int = 1
    """Crossings (or whatever `unit` says) that one call treats."""
    unit: str = "crossing"
    target: float | None = None
    """Milliseconds a unit that the project promises at most."""
    least_ratio: float | None = None
    """Peer's time over ours that the project promises at least."""
    repeats: int = REPEATS
    clock: Callable[[], float] = time.process_time
    note: str = ""


@dataclass(frozen=True)
class Spread:
    """A median with the central 68 % of what was measured."""

    median: float
    low: float
    high: float


@dataclass(frozen=True)
class Result:
    """What a case came to; times in ms a unit, `ratio` the peer's time over ours (above 1: ours is faster)."""

    name: str
    unit: str
    ours: Spread
    peer: Spread | None
    against: str
    ratio: Spread | None
    target: float | None
    least_ratio: float | None
    repeats: int
    note: str = ""

    @property
    def met(self) -> bool | None:
        """Whether what is promised was kept; None if nothing is."""
        if self.target is None and self.least_ratio is None:
            return None
        fast = self.target is None or self.ours.median <= self.target
        faster = self.least_ratio is None or (self.ratio is not None and self.ratio.median >= self.least_ratio)
        return fast and faster


def measure(case: Case) -> Result:
    """Run a case: once to compile and warm up, then ours and the peer's in turns."""
    jobs = [case.ours] if case.peer is None else [case.ours, case.peer]
    for job in jobs:
        job()
    times = np.empty((case.repeats, len(jobs)))
    for turn in times:
        for i, job in enumerate(jobs):
            start = case.clock()
            said = job()
            turn[i] = said if isinstance(said, Seconds) else case.clock() - start
    milliseconds = 1000 * times / case.per_call
    peer = ratio = None
    if case.peer is not None:
        peer, ratio = spread(milliseconds[:, 1]), spread(milliseconds[:, 1] / milliseconds[:, 0])
    return Result(
        case.name, case.unit, spread(milliseconds[:, 0]), peer, case.against, ratio, case.target, case.least_ratio,
        case.repeats, case.note,
    )  # fmt: skip


def spread(values: Any) -> Spread:
    """Return median and central 68 %."""
    low, median, high = np.quantile(values, [0.16, 0.5, 0.84])
    return Spread(float(median), float(low), float(high))
