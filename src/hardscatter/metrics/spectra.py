"""Weights themselves: how they are distributed, what they tell apart, and whether they mean what they say."""

from __future__ import annotations

import math
from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from hardscatter.metrics.calibration import REGIONS, WEIGHT_EDGES, Calibration, calibration_from
from hardscatter.metrics.records import CLASSES, WEIGHT_BINS, Records
from hardscatter.metrics.statistics import (
    LEAST_ENTRIES,
    UNKNOWN,
    Estimate,
    bounded,
    draws,
    effective_number,
    estimate,
    estimates,
    ratio,
)
from hardscatter.metrics.studies import Distribution, Numbers, Profile, Result, Study, limit_of

SHOWN_REGIONS = ("neutral_central", "neutral_forward", "neutral_very_forward")
"""Whose distributions are shown: charged candidates are settled by their vertex."""
TOLD_REGIONS = ("neutral_central", "neutral_forward")
"""Where hard and pileup candidates are told apart by their weights, and weights are set against hard fractions."""

_REGION_NAMES = tuple(region.name for region in REGIONS)
_CLASS_NAMES = tuple(CLASSES)
_CLASS_TITLES = {
    "pileup": "pileup (hard fraction < 0.1)",
    "mixed": "mixed (hard fraction 0.1–0.9)",
    "hard": "hard (hard fraction > 0.9)",
}
_MEASURES = ("candidates", "pt")

_EDGES = tuple(float(edge) for edge in np.linspace(0.0, 1.0, WEIGHT_BINS + 1))


def weights_study(records: Records, *, replicas: int = 400, seed: int = 1) -> Study:
    """Describe the weights of each method by region and true class of the candidates.

    Parameters
    ----------
    records
        Views without weights (``spectrum`` and ``sums``) are left out.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    Study
        Mean weights, areas under ROC curves, calibration (`hardscatter.metrics.calibration`), and distributions of the
        weight, weighted with pt. No results where no view holds weights.
    """
    views = {name: view for name, view in records.views.items() if {"spectrum", "sums"} <= set(view.fields)}
    sums = {name: np.asarray(view.sums, dtype=np.float64) for name, view in views.items()}
    drawn = {name: _drawn(np.asarray(view.spectrum, dtype=np.float64), replicas, seed) for name, view in views.items()}
    table = calibration_from(sums, replicas, seed)
    results: list[Result] = []
    if views:
        levels = {name: _levels(values) for name, values in sums.items()}
        results += [_mean_weights(records, drawn, levels, name) for name in _CLASS_NAMES]
        results += [_areas(records, drawn), _calibration_numbers(records, table)]
        results += [_calibration_profile(records, table, region) for region in TOLD_REGIONS]
        results += [_distribution(records, drawn, region, name) for region in SHOWN_REGIONS for name in _CLASS_NAMES]
    return Study(
        name="weights",
        title="Weights",
        text="What weights say of candidates whose hard fraction is known: how they are distributed, how well they "
        "tell hard from pileup candidates, and whether a weight is the hard fraction that it promises. A method may "
        "measure jets well with weights that are not calibrated, and the other way about.",
        results=tuple(results),
        facts={"calibration_fluctuations": {name: error.fluctuation for name, error in table.errors.items()}},
    )


def area_under_roc(hard: NDArray[np.float64], pileup: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the chance that a hard candidate's weight exceeds a pileup candidate's, from histograms of the weight.

    A = Σ_i H_i (Σ_{j<i} P_j + P_i/2) / (Σ H Σ P), in [0, 1], over the last axis; those in the same bin count half.
    0.5 tells nothing apart. NaN where one of the two is empty.
    """
    below = np.cumsum(pileup, axis=-1) - pileup / 2
    return ratio((hard * below).sum(axis=-1), hard.sum(axis=-1) * pileup.sum(axis=-1))


def _drawn(spectrum: NDArray[np.float64], replicas: int, seed: int) -> NDArray[np.float64]:
    """Return sums over crossings, (1 + replicas, regions, classes, bins, measures), the first of them as they are."""
    shape = (len(REGIONS), len(CLASSES), WEIGHT_BINS, len(_MEASURES))
    by_crossing = spectrum.reshape(len(spectrum), math.prod(shape))
    return np.asarray((draws(len(spectrum), replicas, seed) @ by_crossing).reshape(-1, *shape))


def _levels(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight that stands for each bin of the spectrum, (regions, bins).

    It is the centre, but in the first and the last, where most weights are (nearly) 0 or 1, the mean weight of the
    narrower outermost bins of the calibration, which is known.
    """
    _, _, weighted, _ = total = sums.sum(axis=0)
    means = ratio(weighted, total[0])
    centres = (np.array(_EDGES[1:]) + _EDGES[:-1]) / 2
    levels = np.tile(centres, (len(REGIONS), 1))
    for place in (0, -1):
        levels[:, place] = np.where(np.isfinite(means[:, place]), means[:, place], centres[place])
    return levels


def _mean_weights(
    records: Records, drawn: Mapping[str, NDArray[np.float64]], levels: Mapping[str, NDArray[np.float64]], name: str
) -> Numbers:
    """Return Σ pt w / Σ pt of one class by method and region."""
    place, pt = _CLASS_NAMES.index(name), _MEASURES.index("pt")
    rows = {}
    for method, sums in drawn.items():
        of_class = sums[:, :, place]
        means = ratio((of_class[..., pt] * levels[method]).sum(axis=-1), of_class[..., pt].sum(axis=-1))
        candidates = of_class[0, ..., 0].sum(axis=-1)
        rows[method] = {region: _known(estimate(means[:, k]), candidates[k]) for k, region in enumerate(_REGION_NAMES)}
    return Numbers(
        name=f"mean_weight_{name}",
        title=f"Mean weight, {_CLASS_TITLES[name]}",
        sample=records.sample,
        headings={region: region.replace("_", " ") for region in _REGION_NAMES},
        rows=rows,
        n_events=len(records),
        remark=f"Weighted with pt; good to {0.5 / WEIGHT_BINS:g}. {_sizes(drawn, place)}",
    )


def _areas(records: Records, drawn: Mapping[str, NDArray[np.float64]]) -> Numbers:
    """Return areas under the ROC curve, hard against pileup, by method."""
    hard, pileup = (_CLASS_NAMES.index(name) for name in ("hard", "pileup"))
    rows: dict[str, dict[str, Estimate]] = {}
    for method, sums in drawn.items():
        areas = area_under_roc(np.moveaxis(sums[:, :, hard], -1, -2), np.moveaxis(sums[:, :, pileup], -1, -2))
        least = sums[0, ..., 0].sum(axis=-1)[:, [hard, pileup]].min(axis=1)
        rows[method] = {
            f"{region}_{measure}": _known(estimate(areas[:, place, k]), least[place])
            for region, place in ((region, _REGION_NAMES.index(region)) for region in TOLD_REGIONS)
            for k, measure in enumerate(_MEASURES)
        }
    return Numbers(
        name="weights_auc",
        title="Area under the ROC curve, hard against pileup",
        sample=records.sample,
        headings={
            f"{region}_{measure}": f"{region.replace('_', ' ')}, {how}"
            for region in TOLD_REGIONS
            for measure, how in zip(_MEASURES, ("by candidates", "by pt"), strict=True)
        },
        rows=rows,
        n_events=len(records),
        remark=f"Weights in the same of {WEIGHT_BINS} bins count as equal. {len(records)} crossings.",
    )


def _calibration_numbers(records: Records, table: Calibration) -> Numbers:
    fluctuation = max((error.fluctuation for error in table.errors.values()), default=math.nan)
    return Numbers(
        name="weights_calibration",
        title="Calibration error",
        sample=records.sample,
        headings={"all": "all candidates"} | {region: region.replace("_", " ") for region in SHOWN_REGIONS},
        rows={
            method: {"all": table.errors[method].measured}
            | {region: curves[region].error.measured for region in SHOWN_REGIONS}
            for method, curves in table.curves.items()
        },
        n_events=len(records),
        remark="Σ |Σ pt h − Σ pt w| / Σ pt over bins of the weight w, with the hard fraction h; fluctuations alone "
        f"give up to {fluctuation:.2g} for all candidates. {len(records)} crossings.",
    )


def _calibration_profile(records: Records, table: Calibration, region: str) -> Profile:
    """Return hard fraction, and hard fraction − weight, against the weight; sizes are those of the reference."""
    curves = {method: by_region[region].bins for method, by_region in table.curves.items()}
    reference = limit_of(curves)
    return Profile(
        name=f"weights_calibration_{region}",
        title=f"Hard fraction against weight, {region.replace('_', ' ')}",
        sample=records.sample,
        variable="weight",
        edges=WEIGHT_EDGES,
        statistics={
            "hard_fraction": {
                method: tuple(_known(entry.hard_fraction, entry.candidates) for entry in bins)
                for method, bins in curves.items()
            },
            "bias": {
                method: tuple(_known(_less(entry.hard_fraction, entry.weight), entry.candidates) for entry in bins)
                for method, bins in curves.items()
            },
        },
        headings={"hard_fraction": "hard fraction", "bias": "hard fraction − weight"},
        sizes=tuple(entry.candidates for entry in curves[reference]),
        reference=reference,
        n_events=len(records),
    )


def _distribution(records: Records, drawn: Mapping[str, NDArray[np.float64]], region: str, name: str) -> Distribution:
    """Return the share of the class's pt by bin of the weight."""
    place = _REGION_NAMES.index(region), _CLASS_NAMES.index(name)
    shares, entries = {}, {}
    for method, sums in drawn.items():
        of_class = sums[:, *place]
        pt = of_class[..., _MEASURES.index("pt")]
        entries[method] = int(of_class[0, :, 0].sum())
        parts = estimates(ratio(pt, pt.sum(axis=-1, keepdims=True)))
        spectrum = np.asarray(records.views[method].spectrum, dtype=np.float64)
        n = effective_number(spectrum[:, *place, :, _MEASURES.index("pt")].sum(axis=-1))
        shares[method] = tuple(bounded(_known(part, entries[method]), n) for part in parts)
    return Distribution(
        name=f"weights_{region}_{name}",
        title=f"Weights, {region.replace('_', ' ')}, {_CLASS_TITLES[name]}",
        sample=records.sample,
        quantity="weight (share of pt)",
        edges=_EDGES,
        shares=shares,
        entries=entries,
        reference=limit_of(shares),
        distances={},
        n_events=len(records),
    )


def _sizes(drawn: Mapping[str, NDArray[np.float64]], place: int) -> str:
    """Say how many candidates of a class each region holds; they are the same for every method."""
    counts = next(iter(drawn.values()))[0, :, place, :, 0].sum(axis=-1)
    regions = (f"{region.replace('_', ' ')} {count:.0f}" for region, count in zip(_REGION_NAMES, counts, strict=True))
    return f"Candidates: {', '.join(regions)}."


def _known(estimate: Estimate, candidates: float) -> Estimate:
    """Return the estimate, unknown if it stems from too few candidates."""
    return estimate if candidates >= LEAST_ENTRIES else UNKNOWN


def _less(estimate: Estimate, value: float) -> Estimate:
    """Return the estimate less a number whose error is small beside its own."""
    return Estimate(estimate.value - value, estimate.error, estimate.low - value, estimate.high - value)
