"""Resolutions of jets and missing momentum with bias, error and sample size, and the gap that a method closes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events
from hardscatter.jets import cluster
from hardscatter.met import missing_momentum
from hardscatter.metrics.observations import JetObservations, Observations, observe
from hardscatter.metrics.statistics import Estimate, Sample, half_width, resamplings
from hardscatter.pileup import mitigate, perfect_weights

REFERENCE = "puppi:cms-phase2"
"""The method whose gap to perfect weights counts as 1."""

PERFECT = "perfect"

LEAST_REPLICAS = 2

# Fewer truth jets have no quartiles worth the name.
_LEAST_JETS = 4

# GeV, root mean square of a component: below it the slope of missing momentum is not defined.
_LEAST_TRUE_MET = 1.0

# What each quantity's gap is made of.
_GAP_OF = {"pt": "resolution", "mass": "resolution", "met": "delta"}


@dataclass(frozen=True)
class ResolutionTable:
    """Estimates by method, quantity and statistic.

    ``estimates[method][quantity][statistic]``: quantities are ``ak4_central.pt``, ``ak4_forward.pt``, ``ak8.pt``,
    ``ak8.mass`` and ``met``. Jets have ``median`` (bias), ``delta`` = (q75 − q25)/2, ``resolution`` =
    δ/(1 + median), ``efficiency`` and, for AK4, ``fakes`` (a crossing); missing momentum has ``delta``,
    ``width68``, ``width95`` (GeV, both components) and ``slope``; all have ``gap``, the part of the way from PUPPI
    to perfect weights, (δ_PUPPI − δ)/(δ_PUPPI − δ_perfect), where both are known and PUPPI is the worse one.
    ``sizes[quantity]`` is the number of truth jets, or of crossings.
    """

    n_events: int
    replicas: int
    seed: int
    sizes: dict[str, int]
    estimates: dict[str, dict[str, dict[str, Estimate]]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return asdict(self)


def against_no_pileup(events: Events, paired: Events) -> Events:
    """Return the events with the paired no-pileup crossings in place of the truth jets and missing momentum.

    Jets are clustered from all candidates of the paired crossings (AK4 above 10 GeV, AK8 above 100 GeV), so that a
    resolution against them leaves the detector's own out. Prompt leptons and hard fractions stay.

    Raises
    ------
    InvalidEventsError
        If the two do not hold the same hard collisions, event by event.
    """
    if len(events) != len(paired):
        raise InvalidEventsError(
            f"{len(events)} crossings cannot be paired with {len(paired)} without pileup: give the same collisions."
        )
    if events.has("event") and paired.has("event") and ak.any(events.event != paired.event):
        raise InvalidEventsError("the crossings and their partners without pileup differ in their event numbers.")
    momentum = missing_momentum(paired)
    truth = {name: events.truth[name] for name in (events.truth.fields if events.has("truth") else [])}
    truth |= {
        "jets": cluster(paired, radius=0.4, min_pt=10.0)[["pt", "eta", "phi", "mass"]],
        "fat_jets": cluster(paired, radius=0.8, min_pt=100.0)[["pt", "eta", "phi", "mass"]],
        "met": ak.zip({"pt": momentum.pt, "phi": momentum.phi}),
    }
    return events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))


def resolution(
    events: Events, weights: Mapping[str, ak.Array], *, replicas: int = 400, seed: int = 1
) -> ResolutionTable:
    """Measure jets and missing momentum for several weight vectors on the same crossings.

    Perfect weights join the table, and PUPPI (``puppi:cms-phase2``) is measured for the gap, wherever the events
    allow.

    Parameters
    ----------
    events
        Crossings with truth.
    weights
        Weight vectors by name, jagged, aligned with the candidates.
    replicas, seed
        Bootstrap replicas over events and their seed; every method sees the same draws.

    Raises
    ------
    MissingFieldError
        If the events hold no truth to compare with.
    """
    return summarise(observe_all(events, weights), replicas=replicas, seed=seed)


def observe_all(events: Events, weights: Mapping[str, ak.Array]) -> dict[str, Observations]:
    """Observe crossings with every weight vector, with perfect weights, and with the reference of the gap.

    The two ends of the gap are always computed here, whatever weights go by their names.

    Raises
    ------
    InvalidEventsError
        If weights are called ``perfect`` or ``puppi:cms-phase2`` and are others.
    """
    chosen = dict(weights)
    ends = {}
    if events.has("truth.hard_fraction"):
        ends[PERFECT] = perfect_weights(events)
    if events.has("n_vertices"):
        ends[REFERENCE] = mitigate(events, REFERENCE)
    for name, weight in ends.items():
        if name in chosen and not ak.all(ak.isclose(chosen[name], weight, atol=1e-6)):
            raise InvalidEventsError(f"weights called '{name}' are not those: give them another name.")
    seen = {name: observe(events, weight) for name, weight in chosen.items()}
    for name, weight in ends.items():  # PUPPI under its short name is the same and need not be clustered again
        twin = next((other for other in chosen if ak.array_equal(chosen[other], weight)), None)
        seen[name] = observe(events, weight) if twin is None else seen[twin]
    return seen


def summarise(observations: Mapping[str, Observations], *, replicas: int = 400, seed: int = 1) -> ResolutionTable:
    """Turn observations of the same crossings into estimates with bootstrap errors; see `resolution`."""
    if not observations:
        raise SettingsError("nothing to summarise: observe at least one weight vector.")
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    n_events = next(iter(observations.values())).n_events
    quantities = {name: _quantities(seen) for name, seen in observations.items()}
    nominal = _all_statistics(quantities, np.ones(n_events, dtype=np.int64))
    drawn = (
        [_all_statistics(quantities, counts) for counts in resamplings(n_events, replicas, seed)] if n_events else []
    )
    estimates: dict[str, dict[str, dict[str, Estimate]]] = {}
    for (method, quantity, statistic), value in nominal.items():
        if statistic == "gap" and not _worse_than_perfect(nominal, quantity):
            continue  # on this (small) sample there is no gap to close
        spread = np.array([replica[method, quantity, statistic] for replica in drawn])
        estimate = Estimate.from_replicas(value, spread)
        if statistic == "efficiency":
            estimate = _efficiency(estimate, quantities[method][quantity].size)
        estimates.setdefault(method, {}).setdefault(quantity, {})[statistic] = estimate
    if repr(estimates.get("puppi")) == repr(estimates.get(REFERENCE)):  # as text NaN equals itself
        estimates.pop(REFERENCE, None)  # the same under its short name
    sizes = {quantity: data.size for quantity, data in next(iter(quantities.values())).items()}
    return ResolutionTable(n_events, replicas, seed, sizes, estimates)


@dataclass(frozen=True)
class _JetQuantity:
    """One response of one jet study, ready for resampling."""

    response: Sample
    matched: Sample
    fakes: Sample | None

    @property
    def size(self) -> int:
        return len(self.response.values)

    def statistics(self, counts: NDArray[np.int64]) -> dict[str, float]:
        low, median, high = self.response.quantiles(counts, (0.25, 0.5, 0.75))
        delta = float(high - low) / 2 if self.size >= _LEAST_JETS else math.nan
        # A method that loses more than half of the jets has median −1 and no resolution.
        relative = delta / (1 + float(median)) if median > -1 else math.nan
        values = {
            "median": float(median),
            "delta": delta,
            "resolution": relative,
            "efficiency": self.matched.mean(counts),
        }
        return values | ({"fakes": self.fakes.mean(counts)} if self.fakes is not None else {})


@dataclass(frozen=True)
class _MetQuantity:
    """Missing momentum, both components together."""

    residual: Sample
    product: Sample
    square: Sample

    @property
    def size(self) -> int:
        return len(self.residual.values) // 2

    def statistics(self, counts: NDArray[np.int64]) -> dict[str, float]:
        square = self.square.mean(counts)
        return {
            "delta": half_width(self.residual, counts, 0.5),
            "width68": half_width(self.residual, counts, 0.68),
            "width95": half_width(self.residual, counts, 0.95),
            # Least squares through the origin: no direction is preferred. Without true missing momentum, as in QCD,
            # there is nothing to regress on.
            "slope": self.product.mean(counts) / square if square > _LEAST_TRUE_MET**2 else math.nan,
        }


def _quantities(seen: Observations) -> dict[str, _JetQuantity | _MetQuantity]:
    result: dict[str, _JetQuantity | _MetQuantity] = {}
    for name, jets in seen.jets.items():
        result[f"{name}.pt"] = _jet_quantity(jets, jets.pt_response)
        if np.isfinite(jets.mass_response).any():
            result[f"{name}.mass"] = _jet_quantity(jets, jets.mass_response)
    if seen.met is not None and seen.truth_met is not None:
        known = np.isfinite(seen.truth_met).all(axis=1)
        event = np.repeat(np.flatnonzero(known), 2)
        measured, truth = seen.met[known].ravel(), seen.truth_met[known].ravel()
        result["met"] = _MetQuantity(
            Sample(measured - truth, event), Sample(measured * truth, event), Sample(truth * truth, event)
        )
    return result


def _jet_quantity(jets: JetObservations, response: NDArray[np.float64]) -> _JetQuantity:
    known = np.isfinite(response)
    return _JetQuantity(
        Sample(response[known], jets.event[known]),
        Sample(jets.matched[known].astype(np.float64), jets.event[known]),
        Sample(jets.fakes.astype(np.float64), np.arange(len(jets.fakes))) if len(jets.fakes) else None,
    )


def _all_statistics(
    quantities: Mapping[str, Mapping[str, _JetQuantity | _MetQuantity]], counts: NDArray[np.int64]
) -> dict[tuple[str, str, str], float]:
    """Return every statistic of every method for one drawing of events, the gap last since it needs two others."""
    values = {
        (method, quantity, statistic): value
        for method, by_quantity in quantities.items()
        for quantity, data in by_quantity.items()
        for statistic, value in data.statistics(counts).items()
    }
    if REFERENCE in quantities and PERFECT in quantities:
        for method, by_quantity in quantities.items():
            for quantity in by_quantity:
                kind = _GAP_OF[quantity.rsplit(".", 1)[-1]]
                start, here, limit = (values[name, quantity, kind] for name in (REFERENCE, method, PERFECT))
                values[method, quantity, "gap"] = _gap(start, here, limit)
    return values


def _efficiency(estimate: Estimate, n: int) -> Estimate:
    """Give an efficiency of 0 or 1, which no replica changes, its one-sided 68 % bound: 0.32^(1/n) from the edge."""
    if estimate.value not in (0.0, 1.0) or n == 0:
        return estimate
    room = 1 - (1 - 0.6827) ** (1 / n)
    return replace(estimate, error=room, low=max(estimate.value - room, 0.0), high=min(estimate.value + room, 1.0))


def _worse_than_perfect(values: Mapping[tuple[str, str, str], float], quantity: str) -> bool:
    kind = _GAP_OF[quantity.rsplit(".", 1)[-1]]
    return values[REFERENCE, quantity, kind] > values[PERFECT, quantity, kind]


def _gap(start: float, here: float, limit: float) -> float:
    return (start - here) / (start - limit) + 0.0 if start != limit else math.nan  # + 0.0: no negative zero
