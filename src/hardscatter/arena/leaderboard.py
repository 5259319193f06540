"""The leaderboard: tables of every sample, what methods cost, and one order over everything.

The order is that of the mean gap: over samples, the mean over the headline quantities of

    gap = (PUPPI − method) / (PUPPI − perfect),   PUPPI = `hardscatter.metrics.resolution.REFERENCE`,

that is 0 for the reference and 1 for perfect weights. A quantity counts with at least `LEAST` truth jets or crossings
and where the reference is worse than perfect weights; a method that misses one that counts has no place. The error is
a bootstrap over crossings of the whole mean; samples add in quadrature.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, TypeVar

import numpy as np

from hardscatter import __version__
from hardscatter.arena.contest import Outcome
from hardscatter.arena.cost import Cost
from hardscatter.arena.files import plain
from hardscatter.arena.samples import Facts
from hardscatter.metrics import Estimate, Observations, ResolutionTable, replicas_of, summarise
from hardscatter.metrics.resolution import PERFECT, REFERENCE

HEADLINE = {
    "ak4_central.pt": "resolution",
    "ak4_forward.pt": "resolution",
    "ak8.mass": "resolution",
    "met": "delta",
    "ht": "resolution",
}
"""Quantities of the order and the figure, and the statistic by which they are shown."""

LEAST = 40
"""Fewer truth jets or crossings do not count."""


Key = TypeVar("Key")


@dataclass(frozen=True)
class SampleResult:
    """What the methods did on one sample."""

    facts: Facts
    table: ResolutionTable
    failures: dict[str, str]
    """Why a method could not be measured."""
    counted: list[str]
    """Headline quantities that count in the order."""
    mean_gaps: dict[str, Estimate]


@dataclass(frozen=True)
class Leaderboard:
    """The result of a contest."""

    samples: dict[str, SampleResult]
    ranking: dict[str, Estimate]
    """Mean gap by method, the best first; methods without a place come last, with NaN."""
    costs: dict[str, Cost | str]
    """By method; or why there is none."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are None."""
        return {
            "version": __version__,
            "reference": REFERENCE,
            "order": "mean gap over samples and headline quantities",
            "headline": HEADLINE,
            "least": LEAST,
            "ranking": [{"method": name, "mean_gap": plain(mean)} for name, mean in self.ranking.items()],
            "costs": {
                name: {"failure": cost} if isinstance(cost, str) else asdict(cost) for name, cost in self.costs.items()
            },
            "samples": {
                name: {
                    **asdict(result.facts),
                    **plain(result.table.to_dict()),
                    "failures": result.failures,
                    "counted": result.counted,
                    "mean_gaps": {method: plain(mean) for method, mean in result.mean_gaps.items()},
                }
                for name, result in self.samples.items()
            },
        }


def leaderboard(
    outcomes: Mapping[str, Outcome], costs: Mapping[str, Cost | str] | None = None, *, replicas: int = 400
) -> Leaderboard:
    """Return the leaderboard of what was observed, by sample."""
    samples = {name: _result(outcome, replicas) for name, outcome in outcomes.items()}
    methods = dict.fromkeys(
        method for outcome in outcomes.values() for method in (*outcome.observations, *outcome.failures)
    )
    ranked = [result for result in samples.values() if result.counted]
    means = {method: _combined([result.mean_gaps.get(method) for result in ranked]) for method in methods}
    order = sorted(means, key=lambda name: -means[name].value if math.isfinite(means[name].value) else math.inf)
    return Leaderboard(samples, {name: means[name] for name in order}, dict(costs or {}))


def _result(outcome: Outcome, replicas: int) -> SampleResult:
    table = summarise(outcome.observations, replicas=replicas)
    counted = [
        quantity
        for quantity in HEADLINE
        if table.sizes.get(quantity, 0) >= LEAST and "gap" in table.estimates.get(PERFECT, {}).get(quantity, {})
    ]
    return SampleResult(
        outcome.facts, table, outcome.failures, counted, mean_gaps(outcome.observations, counted, replicas=replicas)
    )


def mean_gaps(
    observations: Mapping[str, Observations], quantities: Sequence[str], *, replicas: int = 400, seed: int = 1
) -> dict[str, Estimate]:
    """Return the mean over quantities of the gap that each method closes, with the bootstrap error of the mean.

    A method that misses one of the quantities is left out; without quantities all are.
    """
    if not quantities:
        return {}

    def means(values: Mapping[tuple[str, str, str], float]) -> dict[str, float]:
        return {
            method: float(np.mean([values[method, quantity, "gap"] for quantity in quantities]))
            for method in observations
            if all((method, quantity, "gap") in values for quantity in quantities)
        }

    return estimates_of([means(values) for values in replicas_of(observations, replicas=replicas, seed=seed)])


def estimates_of(values: Sequence[Mapping[Key, float]]) -> dict[Key, Estimate]:
    """Return estimates from the values of all crossings, first, and of the replicas."""
    nominal, *drawn = values
    return {key: Estimate.from_replicas(nominal[key], np.array([each[key] for each in drawn])) for key in nominal}


def _combined(parts: Sequence[Estimate | None]) -> Estimate:
    """Return the mean of independent estimates; NaN if there is none or one is missing."""
    there = [part for part in parts if part is not None and math.isfinite(part.value)]
    if not there or len(there) < len(parts):
        return Estimate(math.nan, math.nan, math.nan, math.nan)
    value = float(np.mean([part.value for part in there]))
    error = math.hypot(*(part.error for part in there)) / len(there)
    return Estimate(value, error, value - error, value + error)
