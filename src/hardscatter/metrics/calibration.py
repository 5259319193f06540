"""Calibration: whether weights are hard fractions, and whether they keep the hard scatter's momentum.

Both are sums over candidates, kept for each crossing, so that the bootstrap over crossings is a product of matrices.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingFieldError, SettingsError
from hardscatter.events import Events, checked_fraction, flat
from hardscatter.metrics.statistics import (
    LEAST_REPLICAS,
    Estimate,
    bounded,
    effective_number,
    ratio,
    resamplings,
)

WEIGHT_EDGES = (0.0, 0.02, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 0.98, 1.0)
"""Of the bins in weight, lower edges included, 1 in the last; most weights are 0 or 1 and get bins of their own."""

ETA_EDGES = (0.0, 1.5, 2.5, 3.0, 4.0, math.inf)
"""Of the closure's bins in |eta|, lower edges included."""

PT_EDGES = (0.0, 1.0, 2.0, 5.0, 20.0, math.inf)
"""GeV, of the closure's bins in the pt of the candidate as measured, pileup in it included; lower edges included."""

LEAST_CROSSINGS = 5
"""Fewer tell no error: drawn again and again they are all the bootstrap knows."""

ALL = "all"
"""Name of the closure's bin that holds the others of its axis."""


@dataclass(frozen=True)
class Region:
    """Candidates of one type with eta_min ≤ |eta| < eta_max."""

    name: str
    charged: bool
    eta_min: float
    eta_max: float


REGIONS = (
    Region("charged_central", True, 0.0, 2.5),
    Region("charged_forward", True, 2.5, math.inf),
    Region("neutral_central", False, 0.0, 2.5),
    Region("neutral_forward", False, 2.5, 4.0),
    Region("neutral_very_forward", False, 4.0, math.inf),
)
"""Where weights are made of different knowledge: tracks tell a charged candidate's vertex, the better the more central,
and stand around a neutral one below |eta| = 4 (2.5 in Run 3, whose ``charged_forward`` is empty). Every candidate is in
one of them."""


@dataclass(frozen=True)
class CalibrationBin:
    """Candidates with weights from `low` to `high`; their means, weighted with pt, are NaN where there are none."""

    low: float
    high: float
    weight: float
    """Σ pt w / Σ pt, in [0, 1]."""
    hard_fraction: Estimate
    """Σ pt h / Σ pt, in [0, 1]. Its error is NaN where fewer than `LEAST_CROSSINGS` have candidates, and a one-sided
    bound (`hardscatter.metrics.statistics.bounded`) where all hard fractions are 0 or all are 1."""
    share: float
    """Of the region's Σ pt, in [0, 1]; NaN in an empty region."""
    candidates: int


@dataclass(frozen=True)
class CalibrationError:
    """How far hard fractions are from weights: Σ_bins |Σ pt h − Σ pt w| / Σ pt, in [0, 1]; NaN without candidates."""

    measured: Estimate
    """Replicas fluctuate once more than the sample did: `low` and `high` lie high where fluctuations matter."""
    fluctuation: float
    """What fluctuations alone give on average, hence a perfectly calibrated weight as well."""


@dataclass(frozen=True)
class CalibrationCurve:
    """Hard fraction against weight in one region."""

    bins: tuple[CalibrationBin, ...]
    error: CalibrationError


@dataclass(frozen=True)
class Calibration:
    """Hard fraction against weight: ``curves[method][region]``, and over all regions ``errors[method]``."""

    n_events: int
    replicas: int
    seed: int
    curves: dict[str, dict[str, CalibrationCurve]]
    errors: dict[str, CalibrationError]
    """Hard fractions and weights are compared in each bin of each region, so that regions cannot make up for others."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return asdict(self)


@dataclass(frozen=True)
class ClosureBin:
    """What weights keep of the hard scatter's momentum."""

    ratio: Estimate
    """Σ pt w / Σ pt h; NaN where the hard scatter brings nothing. Its error is NaN where it brings something in
    fewer than `LEAST_CROSSINGS`."""
    hard_pt: float
    """Σ pt h, GeV, of all crossings."""
    candidates: int


@dataclass(frozen=True)
class Closure:
    """Momentum kept by type and bins of |eta| and pt: ``bins[method][type][eta][pt]``.

    Types are ``charged``, ``neutral`` and ``all``; bins are called as `bin_names` does, such as ``1.5-2.5``, or
    ``all``.
    """

    n_events: int
    replicas: int
    seed: int
    bins: dict[str, dict[str, dict[str, dict[str, ClosureBin]]]]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return asdict(self)


def bin_names(edges: Sequence[float]) -> list[str]:
    """Return what bins between edges are called: ``1.5-2.5``, or ``>4`` without an end."""
    return [f">{a:g}" if math.isinf(b) else f"{a:g}-{b:g}" for a, b in pairwise(edges)]


def calibration(
    events: Events, weights: ak.Array | Mapping[str, ak.Array], *, replicas: int = 400, seed: int = 1
) -> Calibration:
    """Compare weights with hard fractions: w is calibrated if ⟨h⟩ = Σ pt h / Σ pt = w where weights are near w.

    Parameters
    ----------
    events
        Crossings with ``truth.hard_fraction``.
    weights
        Jagged, in [0, 1], aligned with the candidates, by name; a single array goes by the name ``weights``.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    Calibration
        By region (`REGIONS`) and bin of the weight (`WEIGHT_EDGES`).

    Raises
    ------
    MissingFieldError
        If the events hold no hard fractions.
    InvalidEventsError
        If the weights are not aligned with the candidates or outside [0, 1].
    SettingsError
        If there are too few replicas.
    """
    _check_replicas(replicas)
    named = _flat_weights(events, weights)
    return calibration_from({name: calibration_sums(events, weight) for name, weight in named.items()}, replicas, seed)


def calibration_sums(events: Events, weight: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return Σ pt, Σ pt h, Σ pt w and the number of candidates by crossing, region and bin of the (flat) weight.

    Shape (events, 4, regions, bins), GeV: what `calibration_from` needs of crossings, whose candidates may be
    forgotten. Raises `MissingFieldError` if the events hold no hard fractions.
    """
    hard, pt = _hard_fraction(events), flat(events.candidates.pt, np.float64)
    shape = (len(REGIONS), len(WEIGHT_EDGES) - 1)
    cell = np.ravel_multi_index((region_of(events), bin_of(weight, WEIGHT_EDGES)), shape)
    return sums_by_crossing(events, cell, shape, (pt, pt * hard, pt * weight, np.ones_like(pt)))


def calibration_from(sums_of: Mapping[str, NDArray[np.float64]], replicas: int = 400, seed: int = 1) -> Calibration:
    """Make the calibration of the `calibration_sums` of each method; arguments and result as of `calibration`."""
    _check_replicas(replicas)
    curves, errors, n_events = {}, {}, 0
    for name, every in sums_of.items():
        n_events = len(every)
        sums, candidates = every[:, :3], every[:, 3].sum(axis=0).astype(np.int64)
        drawn = _drawn(sums, replicas, seed)
        curves[name] = {
            part.name: _curve(sums[:, :, k], drawn[:, :, k], candidates[k]) for k, part in enumerate(REGIONS)
        }
        n_cells = math.prod(sums.shape[2:])
        errors[name] = _calibration_error(sums.sum(axis=0).reshape(3, n_cells), drawn.reshape(-1, 3, n_cells))
    return Calibration(n_events, replicas, seed, curves, errors)


def closure(
    events: Events, weights: ak.Array | Mapping[str, ak.Array], *, replicas: int = 400, seed: int = 1
) -> Closure:
    """Compare the momentum that weights keep with what the hard scatter brings: Σ pt w / Σ pt h, 1 if they close.

    Parameters
    ----------
    events
        Crossings with ``truth.hard_fraction``.
    weights, replicas, seed
        As for `calibration`.

    Returns
    -------
    Closure
        By type and bins of |eta| (`ETA_EDGES`) and of the candidate's pt (`PT_EDGES`, GeV).

    Raises
    ------
    MissingFieldError, InvalidEventsError, SettingsError
        As `calibration`.
    """
    _check_replicas(replicas)
    hard = _hard_fraction(events)
    candidates = events.candidates
    pt = flat(candidates.pt, np.float64)
    axes = ["charged", "neutral"], bin_names(ETA_EDGES), bin_names(PT_EDGES)
    shape = tuple(len(axis) for axis in axes)
    place = (
        (flat(candidates.charge) == 0).astype(np.int64),
        bin_of(np.abs(flat(candidates.eta, np.float64)), ETA_EDGES),
        bin_of(pt, PT_EDGES),
    )
    cell = np.ravel_multi_index(place, shape)
    names = [[*axis, ALL] for axis in axes]
    bins = {}
    for name, weight in _flat_weights(events, weights).items():
        sums = sums_by_crossing(events, cell, shape, (pt * hard, pt * weight))
        counts = np.bincount(cell, minlength=math.prod(shape)).reshape(shape)
        drawn = _with_totals(_drawn(sums, replicas, seed))
        sums, counts = _with_totals(sums), _with_totals(counts)
        crossings = (sums[:, 0] > 0).sum(axis=0)
        total = sums.sum(axis=0)
        kept, kept_drawn = ratio(total[1], total[0]), ratio(drawn[:, 1], drawn[:, 0])
        bins[name] = {
            kind: {
                eta: {
                    pt_name: ClosureBin(
                        _estimate(kept[i, j, k], kept_drawn[:, i, j, k], crossings[i, j, k]),
                        float(total[0, i, j, k]),
                        int(counts[i, j, k]),
                    )
                    for k, pt_name in enumerate(names[2])
                }
                for j, eta in enumerate(names[1])
            }
            for i, kind in enumerate(names[0])
        }
    return Closure(len(events), replicas, seed, bins)


def _check_replicas(replicas: int) -> None:
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")


def _hard_fraction(events: Events) -> NDArray[np.float64]:
    if not events.has("truth.hard_fraction"):
        raise MissingFieldError(
            "calibration and closure need truth.hard_fraction, which these events lack: use simulation that records "
            "the hard share of each candidate, or pass truth= to hs.from_candidates."
        )
    return flat(events.truth.hard_fraction, np.float64)


def _flat_weights(events: Events, weights: ak.Array | Mapping[str, ak.Array]) -> dict[str, NDArray[np.float64]]:
    named = weights if isinstance(weights, Mapping) else {"weights": weights}
    counts = np.asarray(events.n_candidates)
    return {
        name: flat(checked_fraction(f"weights.{name}", value, counts, dtype=None), np.float64)
        for name, value in named.items()
    }


def region_of(events: Events) -> NDArray[np.int64]:
    """Return the place of each candidate's region in `REGIONS`, flat."""
    eta, charged = np.abs(flat(events.candidates.eta)), flat(events.candidates.charge) != 0
    inside = [(charged == part.charged) & (eta >= part.eta_min) & (eta < part.eta_max) for part in REGIONS]
    return np.asarray(np.argmax(inside, axis=0))


def bin_of(values: NDArray[np.float64], edges: Sequence[float]) -> NDArray[np.int64]:
    """Return the bin of each value, lower edges included and the uppermost edge in the last bin."""
    return np.minimum(np.searchsorted(edges, values, side="right") - 1, len(edges) - 2)


def sums_by_crossing(
    events: Events, cell: NDArray[np.int64], shape: tuple[int, ...], values: Sequence[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the sums of each of `values` over the candidates, by crossing and cell: ``(events, values, *shape)``."""
    n_events, n_cells = len(events), math.prod(shape)
    place = np.repeat(np.arange(n_events), np.asarray(events.n_candidates)) * n_cells + cell
    sums = [np.bincount(place, value, n_events * n_cells).reshape(n_events, *shape) for value in values]
    return np.stack(sums, axis=1)


def _drawn(sums: NDArray[np.float64], replicas: int, seed: int) -> NDArray[np.float64]:
    """Return the sums over crossings in each bootstrap replica, (replicas, *the rest); no replicas of no crossings."""
    draws = resamplings(len(sums), replicas, seed) if len(sums) else ()
    by_crossing = sums.reshape(len(sums), math.prod(sums.shape[1:]))
    return np.array([counts @ by_crossing for counts in draws], dtype=np.float64).reshape(-1, *sums.shape[1:])


def _curve(sums: NDArray[np.float64], drawn: NDArray[np.float64], candidates: NDArray[np.int64]) -> CalibrationCurve:
    """Return the curve of one region from Σ pt, Σ pt h and Σ pt w, by crossing and bin and in replicas."""
    crossings, total = (sums[:, 0] > 0).sum(axis=0), sums.sum(axis=0)
    weight, fraction = ratio(total[2], total[0]), ratio(total[1], total[0])
    fractions = ratio(drawn[:, 1], drawn[:, 0])
    share = ratio(total[0], total[0].sum())
    bins = tuple(
        CalibrationBin(
            low=WEIGHT_EDGES[k],
            high=WEIGHT_EDGES[k + 1],
            weight=float(weight[k]),
            hard_fraction=_bounded(_estimate(fraction[k], fractions[:, k], crossings[k]), sums[:, 0, k]),
            share=float(share[k]),
            candidates=int(candidates[k]),
        )
        for k in range(len(candidates))
    )
    return CalibrationCurve(bins, _calibration_error(total, drawn))


def _calibration_error(sums: NDArray[np.float64], drawn: NDArray[np.float64]) -> CalibrationError:
    """Return the error from Σ pt, Σ pt h and Σ pt w by cell, nominal (3, cells) and in replicas."""
    gap = _gaps(sums[None])
    gaps = _gaps(drawn)
    # Replicas scatter about the sample as samples do about a calibrated weight's gap of 0.
    fluctuations = np.abs(gaps - gap).sum(axis=1)
    known = fluctuations[np.isfinite(fluctuations)]
    measured = Estimate.from_replicas(float(np.abs(gap).sum()), np.abs(gaps).sum(axis=1))
    return CalibrationError(measured, float(known.mean()) if len(known) else math.nan)


def _gaps(sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (Σ pt h − Σ pt w) of each cell over Σ pt of all cells."""
    return ratio(sums[:, 1] - sums[:, 2], sums[:, 0].sum(axis=1, keepdims=True))


def _with_totals(values: NDArray[Any]) -> NDArray[Any]:
    """Return the values with one more entry on each of the last three axes: the sum of the others."""
    for axis in (-3, -2, -1):
        values = np.concatenate([values, values.sum(axis=axis, keepdims=True)], axis=axis)
    return values


def _estimate(value: float, replicas: NDArray[np.float64], crossings: int) -> Estimate:
    """Return the estimate, without an error if it stems from too few crossings."""
    return Estimate.from_replicas(float(value), replicas if crossings >= LEAST_CROSSINGS else replicas[:0])


def _bounded(fraction: Estimate, pt: NDArray[np.float64]) -> Estimate:
    """Bound a fraction of Σ pt by crossing that is 0 or 1, if it has an error."""
    return bounded(fraction, effective_number(pt)) if math.isfinite(fraction.error) else fraction
