"""Resolutions of jets and missing momentum with bias, error and sample size, and the gap that a method closes."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events
from hardscatter.jets import cluster
from hardscatter.met import missing_momentum
from hardscatter.metrics.definitions import DESIGN, Comparison, Definition, JetStudy, Quantity, definition_of
from hardscatter.metrics.observations import JetObservations, Observations, observe
from hardscatter.metrics.statistics import LEAST_REPLICAS, Estimate, Sample, bounded, half_width, resamplings
from hardscatter.metrics.substructure import with_truth_tau32
from hardscatter.pileup import mitigate, perfect_weights

REFERENCE = "puppi:best"
"""The method whose gap to perfect weights counts as 1: PUPPI tuned for the detector at hand."""

CMS_REFERENCE = "puppi:cms-phase2"
"""What the second column of gaps is set against: PUPPI as CMS tuned it."""

PERFECT = "perfect"

_REFERENCE_OF = {
    "gap": REFERENCE,
    "gap_cms": CMS_REFERENCE,
    "improvement": REFERENCE,
    "improvement_cms": CMS_REFERENCE,
}

_Values = dict[tuple[str, str, str], float]
"""By method, quantity and statistic."""

# Fewer truth jets have no quartiles worth the name.
_LEAST_JETS = 4

# GeV, root mean square of a component: below it the slope of missing momentum is not defined.
_LEAST_TRUE_MET = 1.0


@dataclass(frozen=True)
class ResolutionTable:
    """Estimates by method, quantity and statistic.

    ``estimates[method][quantity][statistic]``. By the definition ``design`` quantities are ``ak4_central.pt``,
    ``ak4_forward.pt``, ``ak8.pt``, ``ak8.mass``, ``ak8.tau32``, ``met`` and ``ht``; by ``talk`` they are
    ``talk_ak4.pt``, ``talk_ak8.pt``, ``talk_ak8.mass``, ``talk_ak8.tau32`` and ``talk_met``.

    Jets have ``median`` (bias), ``delta`` = (q75 − q25)/2, in the design's pt and mass ``resolution`` =
    δ/(1 + median), ``efficiency`` and, for AK4, ``fakes`` (a crossing); an efficiency of 0 or 1, and no fakes at all,
    have a one-sided bound (`hardscatter.metrics.statistics.bounded`). ``tau32`` is reconstructed − true τ₃/τ₂ of the
    jets where both are defined, and its efficiency their share of those where the true one is. Missing momentum has
    ``delta``, ``width68``, ``width95`` (GeV, both components) and ``slope``; the talk's has ``median`` and ``delta``.
    ``ht`` is the scalar sum of the pt of AK4 jets above 30 GeV with |eta| < 2.5, reconstructed/truth − 1 in crossings
    with such a truth jet: ``median``, ``delta`` and ``resolution``.

    Set against PUPPI, by what the design calls its resolution or else by δ: ``gap``, the part of the way from PUPPI to
    perfect weights, (δ_PUPPI − δ)/(δ_PUPPI − δ_perfect), where both are known and PUPPI is the worse one (design);
    ``improvement``, 1 − δ/δ_PUPPI (talk). There PUPPI is ``puppi:best``, tuned for the detector; ``gap_cms`` and
    ``improvement_cms`` are the same against ``puppi:cms-phase2``. ``sizes[quantity]`` is the number of truth jets, or
    of crossings.
    """

    definition: str
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
    resolution against them leaves the detector's own out. These candidates stand in for the truth particles too, of
    which τ₃/τ₂ of the truth jets is made. Prompt leptons and hard fractions stay.

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
    candidates = {name: paired.candidates[name] for name in ("pt", "eta", "phi")}
    truth |= {
        "particles": ak.zip({**candidates, "mass": ak.zeros_like(candidates["pt"])}),
        "jets": cluster(paired, radius=0.4, min_pt=10.0)[["pt", "eta", "phi", "mass"]],
        "fat_jets": cluster(paired, radius=0.8, min_pt=100.0)[["pt", "eta", "phi", "mass"]],
        "met": ak.zip({"pt": momentum.pt, "phi": momentum.phi}),
    }
    return events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))


def resolution(
    events: Events,
    weights: Mapping[str, ak.Array],
    *,
    definition: str | Definition = DESIGN,
    replicas: int = 400,
    seed: int = 1,
) -> ResolutionTable:
    """Measure jets and missing momentum for several weight vectors on the same crossings.

    Perfect weights join the table, and PUPPI (``puppi:best`` and ``puppi:cms-phase2``) is measured to compare with,
    wherever the events allow.

    Parameters
    ----------
    events
        Crossings with truth.
    weights
        Weight vectors by name, jagged, aligned with the candidates.
    definition
        What to measure: ``"design"``, ``"talk"`` (as the authors of TOTAL did, to compare with their plots) or a
        `hardscatter.metrics.Definition` of your own.
    replicas, seed
        Bootstrap replicas over events and their seed; every method sees the same draws.

    Raises
    ------
    MissingFieldError
        If the events hold no truth to compare with.
    SettingsError
        If there is no such definition.
    """
    return summarise(observe_all(events, weights, definition_of(definition)), replicas=replicas, seed=seed)


def observe_all(
    events: Events, weights: Mapping[str, ak.Array], definition: Definition = DESIGN
) -> dict[str, Observations]:
    """Observe crossings with every weight vector, with perfect weights, and with both references of the gap.

    The ends of the gaps are always computed here, once, whatever weights go by their names.

    Raises
    ------
    InvalidEventsError
        If weights are called ``perfect``, ``puppi:best`` or ``puppi:cms-phase2`` and are others.
    """
    chosen = dict(weights)
    ends = {}
    if events.has("truth.hard_fraction"):
        ends[PERFECT] = perfect_weights(events)
    if events.has("n_vertices"):
        ends |= {name: mitigate(events, name) for name in (REFERENCE, CMS_REFERENCE)}
    for name, weight in ends.items():
        if name in chosen and not ak.all(ak.isclose(chosen[name], weight, atol=1e-6)):
            raise InvalidEventsError(f"weights called '{name}' are not those: give them another name.")
    known = with_truth_tau32(events, definition.jets)  # once for all
    seen = {name: observe(known, weight, definition) for name, weight in chosen.items()}
    for name, weight in ends.items():  # PUPPI under its short name is the same and need not be clustered again
        twin = next((other for other in chosen if ak.array_equal(chosen[other], weight)), None)
        seen[name] = observe(known, weight, definition) if twin is None else seen[twin]
    return seen


def summarise(observations: Mapping[str, Observations], *, replicas: int = 400, seed: int = 1) -> ResolutionTable:
    """Turn observations of the same crossings into estimates with bootstrap errors; see `resolution`."""
    quantities, nominal, drawn = _replicated(observations, replicas, seed)
    estimates: dict[str, dict[str, dict[str, Estimate]]] = {}
    for (method, quantity, statistic), value in nominal.items():
        spread = np.array([replica[method, quantity, statistic] for replica in drawn])
        estimate = _bounded(Estimate.from_replicas(value, spread), statistic, quantities[method][quantity])
        estimates.setdefault(method, {}).setdefault(quantity, {})[statistic] = estimate
    if repr(estimates.get("puppi")) == repr(estimates.get(CMS_REFERENCE)):  # as text NaN equals itself
        estimates.pop(CMS_REFERENCE, None)  # the same under its short name
    sizes = {quantity: data.size for quantity, data in next(iter(quantities.values())).items()}
    first = next(iter(observations.values()))
    return ResolutionTable(first.definition.name, first.n_events, replicas, seed, sizes, estimates)


def differences(
    observations: Mapping[str, Observations], base: str, *, statistic: str = "gap", replicas: int = 400, seed: int = 1
) -> dict[str, dict[str, Estimate]]:
    """Return by how much a statistic of each method differs from that of the method `base`, by quantity.

    The same crossings are drawn for both, so that what they have in common leaves the error: d = s(method) − s(base).
    Quantities without the statistic are left out; without crossings all is NaN.

    Raises
    ------
    SettingsError
        As `summarise`, and if there are no observations of `base`.
    """
    if base not in observations:
        raise SettingsError(f"nothing was observed with '{base}': take one of {', '.join(observations)}.")
    _, nominal, drawn = _replicated(observations, replicas, seed)
    result: dict[str, dict[str, Estimate]] = {}
    for method, quantity, name in nominal:
        if name != statistic or (base, quantity, name) not in nominal:
            continue
        value, *spread = (values[method, quantity, name] - values[base, quantity, name] for values in [nominal, *drawn])
        result.setdefault(method, {})[quantity] = Estimate.from_replicas(value, np.array(spread))
    return result


def replicas_of(
    observations: Mapping[str, Observations], *, replicas: int = 400, seed: int = 1
) -> list[dict[tuple[str, str, str], float]]:
    """Return the statistics of all crossings, then those of each bootstrap replica, for numbers made of several.

    Each is a dictionary by method, quantity and statistic. The same seed draws the same crossings, whatever was
    observed on them. Without crossings there are no replicas. Raises `SettingsError` as `summarise` does.
    """
    _, nominal, drawn = _replicated(observations, replicas, seed)
    return [nominal, *drawn]


def _replicated(
    observations: Mapping[str, Observations], replicas: int, seed: int
) -> tuple[dict[str, dict[str, _AnyQuantity]], _Values, list[_Values]]:
    """Return what was observed, its statistics, and those of each bootstrap replica; none of them without crossings.

    Left out of the statistics, not of the replicas, are gaps of a reference that is no worse than perfect weights: on
    this (small) sample there is no gap to close.
    """
    if not observations:
        raise SettingsError("nothing to summarise: observe at least one weight vector.")
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    first = next(iter(observations.values()))
    if any(seen.definition != first.definition for seen in observations.values()):
        raise SettingsError("observations by different definitions cannot share a table: summarise them one by one.")
    n_events, comparisons = first.n_events, first.definition.comparisons
    quantities = {name: _quantities(seen) for name, seen in observations.items()}
    nominal = _all_statistics(quantities, comparisons, np.ones(n_events, dtype=np.int64))
    draws = resamplings(n_events, replicas, seed) if n_events else ()
    drawn = [_all_statistics(quantities, comparisons, counts) for counts in draws]
    known = {key: value for key, value in nominal.items() if _has_gap(nominal, *key[1:])}
    return quantities, known, drawn


@dataclass(frozen=True)
class _JetQuantity:
    """One response or residual of one jet study, ready for resampling."""

    response: Sample
    found: Sample
    """1 or 0 for each truth jet."""
    fakes: Sample | None
    calibrated: bool

    @property
    def size(self) -> int:
        return len(self.found.values)

    def statistics(self, counts: NDArray[np.int64]) -> dict[str, float]:
        low, median, high = self.response.quantiles(counts, (0.25, 0.5, 0.75))
        delta = float(high - low) / 2 if len(self.response.values) >= _LEAST_JETS else math.nan
        values = {"median": float(median), "delta": delta}
        if self.calibrated:
            values["resolution"] = _calibrated(values)
        values["efficiency"] = self.found.mean(counts)
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


@dataclass(frozen=True)
class _RelativeQuantity:
    """One number of each crossing relative to the true one: the magnitude of missing momentum, or H_T."""

    response: Sample
    calibrated: bool

    @property
    def size(self) -> int:
        return len(self.response.values)

    def statistics(self, counts: NDArray[np.int64]) -> dict[str, float]:
        low, median, high = self.response.quantiles(counts, (0.25, 0.5, 0.75))
        values = {"median": float(median), "delta": float(high - low) / 2}
        return values | ({"resolution": _calibrated(values)} if self.calibrated else {})


_AnyQuantity = _JetQuantity | _MetQuantity | _RelativeQuantity


def _bounded(estimate: Estimate, statistic: str, data: _AnyQuantity) -> Estimate:
    """Bound efficiencies and fakes at their edges, where all replicas are the same."""
    if isinstance(data, _JetQuantity) and statistic == "efficiency":
        return bounded(estimate, data.found.effective)
    if isinstance(data, _JetQuantity) and statistic == "fakes" and data.fakes is not None:
        return bounded(estimate, data.fakes.effective, most=math.inf)
    return estimate


def _calibrated(values: Mapping[str, float]) -> float:
    """Return δ/(1 + median); a method that loses more than half of the jets has median −1 and no resolution."""
    return values["delta"] / (1 + values["median"]) if values["median"] > -1 else math.nan


def _quantities(seen: Observations) -> dict[str, _AnyQuantity]:
    result: dict[str, _AnyQuantity] = {}
    for study in seen.definition.jets:
        for quantity in study.quantities if study.name in seen.jets else ():
            data = _jet_quantity(seen.jets[study.name], study, quantity)
            if data.size or quantity == "pt":
                result[f"{study.name}.{quantity}"] = data
    if seen.met is not None and seen.truth_met is not None:
        known = np.isfinite(seen.truth_met).all(axis=1)
        floor = seen.definition.met.relative_above
        if floor is None:
            event = np.repeat(np.flatnonzero(known), 2)
            measured, truth = seen.met[known].ravel(), seen.truth_met[known].ravel()
            result[seen.definition.met.name] = _MetQuantity(
                Sample(measured - truth, event), Sample(measured * truth, event), Sample(truth * truth, event)
            )
        else:
            size = np.hypot(*seen.truth_met.T)
            event = np.flatnonzero(known & (size > floor))
            response = np.hypot(*seen.met[event].T) / size[event] - 1
            result[seen.definition.met.name] = _RelativeQuantity(Sample(response, event), calibrated=False)
    if seen.definition.ht is not None and seen.ht is not None and seen.truth_ht is not None:
        event = np.flatnonzero(seen.truth_ht > 0)
        response = seen.ht[event] / seen.truth_ht[event] - 1
        result[seen.definition.ht.name] = _RelativeQuantity(Sample(response, event), calibrated=True)
    return result


def _jet_quantity(jets: JetObservations, study: JetStudy, quantity: Quantity) -> _JetQuantity:
    if quantity == "tau32":
        asked = np.isfinite(jets.truth_tau32)
        values = jets.tau32 - jets.truth_tau32
        kept = np.isfinite(values)
    else:
        values = jets.pt_response if quantity == "pt" else jets.mass_response
        asked = np.isfinite(values)
        kept = asked & (values > study.response_min)
    found = (jets.matched & kept)[asked]
    return _JetQuantity(
        Sample(values[kept], jets.event[kept]),
        Sample(found.astype(np.float64), jets.event[asked]),
        Sample(jets.fakes.astype(np.float64), np.arange(len(jets.fakes))) if len(jets.fakes) else None,
        calibrated=study.calibrated and quantity != "tau32",
    )


def _all_statistics(
    quantities: Mapping[str, Mapping[str, _AnyQuantity]],
    comparisons: tuple[Comparison, ...],
    counts: NDArray[np.int64],
) -> _Values:
    """Return every statistic of every method for one drawing of events, the comparisons last: they need the others."""
    values: _Values = {
        (method, quantity, statistic): value
        for method, by_quantity in quantities.items()
        for quantity, data in by_quantity.items()
        for statistic, value in data.statistics(counts).items()
    }
    compared = dict.fromkeys((method, quantity) for method, quantity, _ in values)
    for statistic, reference in _REFERENCE_OF.items():
        comparison = statistic.removesuffix("_cms")
        needed = {reference, PERFECT} if comparison == "gap" else {reference}
        if comparison not in comparisons or not needed <= quantities.keys():
            continue
        for method, quantity in compared:
            start, here = (_width(values, name, quantity) for name in (reference, method))
            limit = _width(values, PERFECT, quantity) if comparison == "gap" else 0.0
            values[method, quantity, statistic] = _gap(start, here, limit)
    return values


def _width(values: _Values, method: str, quantity: str) -> float:
    """Return what methods are compared by: the resolution where δ is calibrated, else δ."""
    delta = values[method, quantity, "delta"]
    return values.get((method, quantity, "resolution"), delta)


def _has_gap(values: _Values, quantity: str, statistic: str) -> bool:
    """Tell whether the reference of a gap is worse than perfect weights; true of what is no gap."""
    if not statistic.startswith("gap"):
        return True
    return _width(values, _REFERENCE_OF[statistic], quantity) > _width(values, PERFECT, quantity)


def _gap(start: float, here: float, limit: float) -> float:
    return (start - here) / (start - limit) + 0.0 if start != limit else math.nan  # + 0.0: no negative zero
