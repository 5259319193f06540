"""Anomaly detection under pileup: an autoencoder that knows QCD should flag what is new, not what is crowded.

For each weight vector an autoencoder learns QCD crossings from its jets; what it then reconstructs badly is anomalous.
Two things are asked of its score: to separate signals that it never saw, and not to depend on the number of vertices.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass
from importlib import import_module
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from scipy.stats import rankdata

from hardscatter.errors import MissingExtraError, MissingFieldError, SettingsError
from hardscatter.metrics.crossings import VERTICES_EDGES, measured_met, vertices
from hardscatter.metrics.records import FAT_ETA_MAX, N_CONSTITUENTS, N_FAT_JETS, Records
from hardscatter.metrics.statistics import LEAST_ENTRIES, Estimate, Sample, bounded, draws, estimate, estimates, ratio
from hardscatter.metrics.studies import NO_PILEUP, PUPPIS, Numbers, Profile, Result, Study, reference_of

CROWDED, EMPTY, FLAT = "140", "0", "flat"
"""Samples by their pileup: at its mean, without any, and flat over a wide range."""

LEAST_TRAINING = 40
"""Crossings; from fewer nothing is learned, and scores are NaN."""

# Separates scores that are zero to the last bit from their logarithm, and variances from what rounding leaves.
_TINY = 1e-12


@dataclass(frozen=True)
class AnomalySettings:
    """What the autoencoder sees, how it learns, and how its score is looked at."""

    jet_pt_min: float = 30.0
    """GeV, of the AK4 jets that are counted and summed."""
    rings: tuple[float, ...] = (0.05, 0.1, 0.2, 0.4, 0.8)
    """Outer edges in ΔR of the rings around an AK8 jet's axis, rising."""
    hidden: tuple[int, ...] = (64, 8, 64)
    """Nodes of the hidden layers; the narrowest is the bottleneck."""
    trainings: int = 3
    """Autoencoders from different initial weights; their scores are averaged."""
    epochs: int = 200
    """At most; training ends earlier once a tenth of the crossings, kept aside, is reconstructed no better."""
    batch: int = 64
    kept: float = 0.05
    """The part of QCD at the mean pileup that a trigger on the score keeps."""
    vertices: tuple[float, ...] = VERTICES_EDGES
    """Edges of the bins in the number of vertices."""
    replicas: int = 400
    seed: int = 1

    def __post_init__(self) -> None:
        if min(self.trainings, self.epochs, self.batch) < 1 or not self.hidden or min(self.hidden) < 1:
            raise SettingsError("an autoencoder needs at least one training, epoch, crossing in a batch and node.")
        if not 0 < self.kept < 1:
            raise SettingsError(f"a trigger cannot keep {self.kept:g} of the crossings: take a part between 0 and 1.")
        if np.any(np.diff([0.0, *self.rings]) <= 0) or np.any(np.diff(self.vertices) <= 0):
            raise SettingsError(
                "edges, of rings in ΔR and of bins in the number of vertices, must rise, rings' from 0."
            )


@dataclass(frozen=True)
class Autoencoder:
    """Networks that reproduce standardised inputs through a bottleneck."""

    centre: NDArray[np.float64]
    """Mean of each input over the training crossings."""
    spread: NDArray[np.float64]
    """Its standard deviation; 1 for inputs that never change."""
    networks: tuple[Any, ...]
    """One from each training; none if there were fewer than `LEAST_TRAINING` crossings."""


def features(view: ak.Array, settings: AnomalySettings = AnomalySettings()) -> NDArray[np.float64]:
    """Return what the autoencoder sees of each crossing: shapes, not momenta, so that hard is not yet anomalous.

    Of each of the two hardest central AK8 jets: pt/p, mass/pt, τ21, τ32, and of its constituents with shares z of its
    pt at ΔR from its axis Σz in each ring, Σz² and Σ z·ΔR. Of the crossing: log(1 + number of AK4 jets),
    log(1 + H_T/p) and missing momentum over its sum with H_T. Here p is the leading AK4 jet's pt.

    Parameters
    ----------
    view
        Of `view_of`, with the extra ``constituents``.

    Returns
    -------
    array
        (crossings, inputs), no unit. What does not exist (a second AK8 jet, its τ) is 0, a value as any other: without
        a mask to tell it, most of these inputs vanish with the jet's momentum anyway.

    Raises
    ------
    MissingFieldError
        If the constituents were not recorded.
    """
    if "constituents" not in view.fields:
        raise MissingFieldError("anomaly scores look at the jets' constituents: record views with 'constituents'.")
    leading = _padded(view.jets.pt, 1)
    fat = view.fat_jets[abs(view.fat_jets.eta) < FAT_ETA_MAX]
    pt, mass, tau21, tau32 = (_padded(fat[name], N_FAT_JETS) for name in ("pt", "mass", "tau21", "tau32"))
    shape = (len(view), N_FAT_JETS, N_CONSTITUENTS, 3)
    share, eta, phi = np.moveaxis(np.asarray(ak.to_numpy(view.constituents), dtype=np.float64).reshape(shape), -1, 0)
    distance = np.hypot(eta, phi)
    ring = np.digitize(distance, settings.rings)
    counted = view.jets.pt[view.jets.pt > settings.jet_pt_min]
    n_jets, ht = (np.asarray(ak.to_numpy(f(counted, axis=1)), dtype=np.float64)[:, None] for f in (ak.num, ak.sum))
    met = np.hypot(*measured_met(view).T)[:, None]
    columns = (
        _part(pt, leading), _part(mass, pt), tau21, tau32,
        *((share * (ring == place)).sum(axis=-1) for place in range(len(settings.rings))),
        (share**2).sum(axis=-1), (share * distance).sum(axis=-1),
        np.log1p(n_jets), np.log1p(_part(ht, leading)), _part(met, met + ht),
    )  # fmt: skip
    return np.concatenate(columns, axis=1)


def train(inputs: NDArray[np.float64], settings: AnomalySettings = AnomalySettings()) -> Autoencoder:
    """Return autoencoders that learned these crossings, (crossings, inputs); the same for the same settings.

    They minimise the mean of |g(f(x)) − x|² over standardised inputs x, with f to the bottleneck and g from it
    (hyperbolic tangents, Adam). With fewer than `LEAST_TRAINING` crossings there is no network.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    if len(inputs) < LEAST_TRAINING:
        return Autoencoder(np.zeros(inputs.shape[1]), np.ones(inputs.shape[1]), ())
    try:
        library = import_module("sklearn.neural_network")
        converged = import_module("sklearn.exceptions").ConvergenceWarning
    except ImportError as error:
        raise MissingExtraError("anomaly scores need scikit-learn: pip install 'hardscatter[report]'.") from error
    centre, spread = inputs.mean(axis=0), inputs.std(axis=0)
    spread = np.where(spread > _TINY, spread, 1.0)
    standardised = (inputs - centre) / spread
    networks = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", converged)  # the epochs are limited on purpose
        for training in range(settings.trainings):
            network = library.MLPRegressor(
                hidden_layer_sizes=settings.hidden, activation="tanh", batch_size=min(settings.batch, len(inputs) // 2),
                max_iter=settings.epochs, early_stopping=True, random_state=settings.seed + training,
            )  # fmt: skip
            networks.append(network.fit(standardised, standardised))
    return Autoencoder(centre, spread, tuple(networks))


def scores(autoencoder: Autoencoder, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the anomaly score of each crossing: the mean squared error of its standardised inputs, ≥ 0.

    The average over all trainings; NaN if there was none.
    """
    return np.asarray(scores_by_training(autoencoder, inputs).mean(axis=0))


def scores_by_training(autoencoder: Autoencoder, inputs: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the scores of each training, (trainings, crossings); of one that is NaN if there was none."""
    if not autoencoder.networks or not len(inputs):
        return np.full((max(len(autoencoder.networks), 1), len(inputs)), np.nan)
    x = (inputs - autoencoder.centre) / autoencoder.spread
    predictions = (network.predict(x).reshape(x.shape) for network in autoencoder.networks)
    return np.stack([((predicted - x) ** 2).mean(axis=1) for predicted in predictions])


def area(
    background: NDArray[np.float64],
    signal: NDArray[np.float64],
    background_counts: NDArray[np.int64],
    signal_counts: NDArray[np.int64],
) -> NDArray[np.float64]:
    """Return the area under the ROC curve: the chance that a signal crossing scores higher, ties counting half.

    Parameters
    ----------
    background, signal
        Scores, (n_background,) and (n_signal,).
    background_counts, signal_counts
        How often each crossing is drawn, (replicas, n_background) and (replicas, n_signal).

    Returns
    -------
    array
        (replicas,), in [0, 1]; NaN with fewer than four crossings of either, or without scores.
    """
    if min(len(background), len(signal)) < LEAST_ENTRIES or np.isnan(background).any() or np.isnan(signal).any():
        return np.full(len(background_counts), np.nan)
    order = np.argsort(background, kind="stable")
    drawn = np.cumsum(np.pad(background_counts[:, order], ((0, 0), (1, 0))), axis=1)
    below, up_to = (drawn[:, np.searchsorted(background[order], signal, side)] for side in ("left", "right"))
    chance = (below + up_to) / (2 * drawn[:, -1:])
    return np.asarray((signal_counts * chance).sum(axis=1) / signal_counts.sum(axis=1))


def slope(
    values: NDArray[np.float64], n_vertices: NDArray[np.float64], counts: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the slope of `values` on the number of vertices, by least squares, for each replica of `counts`.

    cov(values, n)/var(n), per vertex; NaN with fewer than four crossings or where all have as many vertices.
    """
    _, variance, covariance = _moments(n_vertices, values, counts)
    return ratio(covariance, variance)


def anomaly_study(
    background: Mapping[str, Records],
    signals: Mapping[str, Mapping[str, Records]],
    settings: AnomalySettings = AnomalySettings(),
) -> Study:
    """Return how well each method's scores separate signals from QCD, and how much they depend on pileup.

    Parameters
    ----------
    background
        QCD by pileup: ``140`` (even places are trained on, odd ones measured), ``0`` (likewise, by itself) and
        ``flat`` (for the dependence on the vertices, with the networks of ``140``; crossings whose hard collision was
        trained on are left out). What is missing is not measured.
    signals
        By name in words, and pileup. A method's signal that was not recorded is a missing cell.

    Raises
    ------
    MissingExtraError
        If scikit-learn is not installed.
    """
    results: list[Result] = []
    if CROWDED in background:
        results += _with_pileup(background[CROWDED], background.get(FLAT), signals, settings)
    if EMPTY in background:
        results.append(_without_pileup(background[EMPTY], signals, settings))
    return Study(
        "anomaly",
        "Anomaly detection",
        "For each method an autoencoder learns QCD from shapes of its jets, relative to the leading jet's pt; what it "
        "reconstructs badly is anomalous. A good score is high for signals that it never saw, and neither rises nor "
        "falls with the number of vertices. Where pileup is left in, soft QCD crossings are full of it and look alike, "
        "and a hard jet stands out as such: a score of that kind separates a heavy resonance by its momentum, which "
        "QCD has as well, not by its look. QCD is flat in log pt, not weighted; errors are those of the measured "
        "crossings, with the training kept fixed.",
        tuple(results),
        {"settings": asdict(settings)},
    )


@dataclass(frozen=True)
class _Detector:
    """An autoencoder, and what it says of the background that it was not trained on."""

    autoencoder: Autoencoder
    settings: AnomalySettings
    background: NDArray[np.float64]
    """Scores, (trainings, crossings)."""
    leading: NDArray[np.float64]
    """The leading AK4 jet's pt of these crossings, GeV."""

    @classmethod
    def of(cls, view: ak.Array, settings: AnomalySettings) -> _Detector:
        autoencoder = train(features(_trained(view), settings), settings)
        tested = _tested(view)
        found = scores_by_training(autoencoder, features(tested, settings))
        return cls(autoencoder, settings, found, _padded(tested.jets.pt, 1)[:, 0])

    def scores(self, view: ak.Array) -> NDArray[np.float64]:
        """Return the scores of other crossings, (trainings, crossings)."""
        return scores_by_training(self.autoencoder, features(view, self.settings))


def _with_pileup(
    qcd: Records, flat: Records | None, signals: Mapping[str, Mapping[str, Records]], settings: AnomalySettings
) -> list[Result]:
    """Return the table of all methods, its comparison with PUPPI and, where the pileup varies, what that does."""
    detectors = {method: _Detector.of(view, settings) for method, view in qcd.views.items()}
    recorded = {name: by_pileup[CROWDED].views for name, by_pileup in signals.items() if CROWDED in by_pileup}
    rows, areas = _separation(detectors, recorded, settings)
    headings, remark = _headings(signals), _remark(qcd, signals, CROWDED, settings)
    profiles: list[Result] = []
    if flat is not None and "n_vertices" in flat.truth.fields:
        unseen = _without(flat, _trained(qcd.truth))
        slopes, profiles = _dependence(detectors, unseen, settings)
        rows = {method: {**cells, **slopes.get(method, {})} for method, cells in rows.items()}
        # Before the columns that are there for checking only.
        headings = {**_headings(signals, checks=False), "slope": "slope of score per 10 vertices [σ]", **headings}
        remark += (
            " Slope: of log score by least squares, over its standard deviation σ at the mean pileup, on "
            f"{len(unseen)} crossings of {unseen.sample}."
        )
    title = "Anomaly scores: separation and dependence on pileup"
    table = Numbers("anomaly", title, qcd.sample, headings, rows, len(_tested(qcd.truth)), remark)
    return [table, *_differences(areas, qcd), *profiles]


def _without_pileup(qcd: Records, signals: Mapping[str, Mapping[str, Records]], settings: AnomalySettings) -> Numbers:
    """Return the table without pileup, of the candidates as they are: what there is to win."""
    name = "none" if "none" in qcd.views else next(iter(qcd.views), "")
    detectors = {NO_PILEUP: _Detector.of(qcd.views[name], settings)} if name else {}
    views = {signal: by_pileup[EMPTY].views for signal, by_pileup in signals.items() if EMPTY in by_pileup}
    recorded = {signal: {NO_PILEUP: known[name]} for signal, known in views.items() if name in known}
    rows, _ = _separation(detectors, recorded, settings)
    return Numbers(
        "anomaly_no_pileup", "Anomaly scores without pileup", qcd.sample, _headings(signals), rows,
        len(_tested(qcd.truth)), _remark(qcd, signals, EMPTY, settings),
    )  # fmt: skip


_Areas = dict[str, dict[str, NDArray[np.float64]]]
"""By signal and method: the area under the curve, then that of each replica."""


def _separation(
    detectors: Mapping[str, _Detector], signals: Mapping[str, Mapping[str, ak.Array]], settings: AnomalySettings
) -> tuple[dict[str, dict[str, Estimate]], _Areas]:
    """Return the rows of the table, and the areas for comparing methods."""
    rows: dict[str, dict[str, Estimate]] = {method: {} for method in detectors}
    areas: _Areas = {name: {} for name in signals}
    spreads: dict[str, list[float]] = {method: [] for method in detectors}
    for method, detector in detectors.items():
        drawn = _drawn(detector.background.shape[1], settings, 0)
        for place, (name, views) in enumerate(signals.items()):
            if method not in views:
                continue
            signal = detector.scores(views[method])
            drawn_signal = _drawn(signal.shape[1], settings, 2 + place)
            areas[name][method] = area(detector.background.mean(axis=0), signal.mean(axis=0), drawn, drawn_signal)
            rows[method][name] = estimate(areas[name][method])
            each = [
                area(*pair, drawn[:1], drawn_signal[:1])[0] for pair in zip(detector.background, signal, strict=True)
            ]
            spreads[method].append(float(np.std(each, ddof=1)) if len(each) > 1 else math.nan)
        rows[method]["momentum"] = estimate(_rank_correlation(detector, drawn))
        known = [spread for spread in spreads[method] if math.isfinite(spread)]
        rows[method]["trainings"] = Estimate(float(np.mean(known)) if known else math.nan, *(math.nan,) * 3)
    return rows, areas


def _differences(areas: _Areas, qcd: Records) -> list[Result]:
    """Return areas less that of PUPPI, replica by replica, so that what the same crossings have in common cancels."""
    reference = reference_of(qcd.views)
    compared = {name: by_method for name, by_method in areas.items() if reference in by_method}
    if reference not in PUPPIS.values() or not compared:
        return []
    rows = {
        method: {
            name: estimate(found[method] - found[reference]) for name, found in compared.items() if method in found
        }
        for method in qcd.views
        if method != reference
    }
    headings = {name: f"AUC − that of PUPPI, {name}" for name in compared}
    remark = (
        f"PUPPI is {reference}. The same crossings for both, so common fluctuations cancel; the training is kept fixed "
        "and adds what the spread of one training tells."
    )
    title = "Anomaly scores: separation compared with PUPPI"
    return [Numbers("anomaly_differences", title, qcd.sample, headings, rows, len(_tested(qcd.truth)), remark)]


def _dependence(
    detectors: Mapping[str, _Detector], records: Records, settings: AnomalySettings
) -> tuple[dict[str, dict[str, Estimate]], list[Result]]:
    """Return each method's slope on the number of vertices, and the profiles of the score and of a trigger's rate."""
    n_vertices = vertices(records.truth)
    inside = np.digitize(n_vertices, settings.vertices)[:, None] == np.arange(1, len(settings.vertices))
    sizes = inside.sum(axis=0)
    drawn = _drawn(len(records), settings, 1)
    entries = np.where(sizes < LEAST_ENTRIES, 0, drawn @ inside)  # too few are none
    rows, shifts, rates = {}, {}, {}
    for method, detector in detectors.items():
        if method not in records.views:
            continue
        reference = detector.background.mean(axis=0)
        drawn_reference = _drawn(len(reference), settings, 0)
        mean, variance, _ = _moments(_log(reference), _log(reference), drawn_reference)
        sigma = np.sqrt(variance)
        values = detector.scores(records.views[method]).mean(axis=0)
        rows[method] = {"slope": estimate(10 * ratio(slope(_log(values), n_vertices, drawn), sigma))}
        level = ratio(drawn @ (inside * _log(values)[:, None]), entries)
        shifts[method] = estimates(ratio(level - mean[:, None], sigma[:, None]))
        cuts = _cuts(reference, drawn_reference, 1 - settings.kept)
        rate = ratio((drawn * (values > cuts[:, None])) @ inside, entries)
        rate = np.where(np.isfinite(cuts)[:, None], rate, np.nan)
        rates[method] = tuple(map(bounded, estimates(rate), sizes.tolist()))
    common = records.sample, "reconstructed vertices", settings.vertices
    shift, kept = "(⟨log score⟩ − mean at the mean pileup) / σ", "part of QCD above the cut"
    title = f"QCD above the cut that keeps {100 * settings.kept:g} % at the mean pileup"
    return rows, [
        Profile("anomaly_score", "Anomaly score of QCD against pileup", *common, {"shift": shifts}, {"shift": shift},
                tuple(sizes.tolist()), "", len(records)),
        Profile("anomaly_rate", title, *common, {"rate": rates}, {"rate": kept},
                tuple(sizes.tolist()), "", len(records)),
    ]  # fmt: skip


def _headings(signals: Iterable[str], *, checks: bool = True) -> dict[str, str]:
    found = {name: f"AUC, {name}" for name in signals}
    known = {"momentum": "rank correlation with leading jet pt, QCD", "trainings": "AUC, σ of one training"}
    return found | (known if checks else {})


def _remark(
    records: Records, signals: Mapping[str, Mapping[str, Records]], pileup: str, settings: AnomalySettings
) -> str:
    sizes = ", ".join(f"{len(known[pileup])} {name}" for name, known in signals.items() if pileup in known)
    return (
        f"Trained on {len(_trained(records.truth))} QCD crossings, measured on {len(_tested(records.truth))} others"
        f"{' and ' + sizes if sizes else ''}. AUC: area under the ROC curve, 0.5 is blind; scores are averaged over "
        f"{settings.trainings} trainings."
    )


def _trained(crossings: ak.Array) -> ak.Array:
    return crossings[::2]


def _tested(crossings: ak.Array) -> ak.Array:
    return crossings[1::2]


def _without(records: Records, seen: ak.Array) -> Records:
    """Leave out the crossings whose hard collision is among those with the truth `seen`."""
    known = set(_fingerprints(seen))
    new = np.fromiter((print_ not in known for print_ in _fingerprints(records.truth)), np.bool_, len(records))
    views = {method: view[new] for method, view in records.views.items()}
    return Records(records.sample, records.truth[new], views)


def _fingerprints(truth: ak.Array) -> list[tuple[float, ...]]:
    """Return what tells hard collisions apart: number, weight and true missing momentum; what is unknown tells none."""
    columns = [truth[name] for name in ("event", "generator_weight") if name in truth.fields]
    columns += [truth.met[name] for name in truth.met.fields] if "met" in truth.fields else []
    return list(zip(*(ak.to_list(column) for column in columns), strict=True))


def _drawn(n: int, settings: AnomalySettings, sample: int) -> NDArray[np.int64]:
    """Return how often each crossing counts: once, then as each replica drew it; samples are drawn independently."""
    return draws(n, settings.replicas, settings.seed + sample)


def _moments(
    x: NDArray[np.float64], y: NDArray[np.float64], counts: NDArray[np.int64]
) -> tuple[NDArray[np.float64], ...]:
    """Return mean and variance of `x` and its covariance with `y`, by replica; NaN with fewer than four crossings."""
    if len(x) < LEAST_ENTRIES:
        return (np.full(len(counts), np.nan),) * 3
    about_x, about_y, n = x - x.mean(), y - y.mean(), counts.sum(axis=1)
    mean_x, mean_y, square, product = (counts @ z / n for z in (about_x, about_y, about_x**2, about_x * about_y))
    variance = square - mean_x**2
    return x.mean() + mean_x, np.where(variance > _TINY, variance, 0.0), product - mean_x * mean_y


def _rank_correlation(detector: _Detector, counts: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the correlation of the score's rank with that of the leading jet's pt, ranks as in the whole sample."""
    score, leading = rankdata(detector.background.mean(axis=0)), rankdata(detector.leading)
    _, of_score, covariance = _moments(score, leading, counts)
    _, of_leading, _ = _moments(leading, leading, counts)
    return ratio(covariance, np.sqrt(of_score * of_leading))


def _cuts(values: NDArray[np.float64], counts: NDArray[np.int64], q: float) -> NDArray[np.float64]:
    if len(values) < LEAST_ENTRIES:
        return np.full(len(counts), np.nan)
    sample = Sample(values, np.arange(len(values)))
    return np.array([sample.quantiles(drawn, (q,))[0] for drawn in counts])


def _log(score: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the logarithm of the score, whose tail is long."""
    return np.log(np.maximum(score, _TINY))


def _padded(values: ak.Array, n: int) -> NDArray[np.float64]:
    """Return the first `n` of each crossing, (crossings, n); 0 where there is none, or no number."""
    filled = ak.fill_none(ak.pad_none(values, n, axis=1, clip=True), 0.0)
    return np.nan_to_num(np.asarray(ak.to_numpy(filled), dtype=np.float64).reshape(len(values), n))


def _part(of: NDArray[np.float64], whole: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the ratio of things that are not negative; 0 of nothing."""
    return np.nan_to_num(ratio(of, whole))
