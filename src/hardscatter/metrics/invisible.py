"""An analysis to the end: invisible Higgs decays in vector-boson fusion against Z(νν) + jets, method by method."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.geometry.angles import delta_phi
from hardscatter.metrics.crossings import generator_weights
from hardscatter.metrics.dijets import leading_pair, pair_mass
from hardscatter.metrics.records import Records
from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.metrics.statistics import Estimate, bounded, draws, effective_number, estimate, estimates, ratio
from hardscatter.metrics.studies import PUPPIS, Distribution, Numbers, Profile, Result, Study, limit_of, reference_of

SYSTEMATICS = (0.0, 0.02, 0.05)
"""Relative uncertainties of the background in the single-bin counting."""

LEAST_BACKGROUND = 100.0
"""Effective background events, (Σw)²/Σw², that a bin must hold: B is then known to 10 %, and S²/B, which is larger on
average where B fluctuates, is biased by 1 %."""

LEAST_SIGNAL = 0.5
"""Of the selected signal, what a cut must keep: else a systematic would drive it to where no simulated event is left,
and the further the larger the sample."""

LARGEST_BINS = 10
"""Finer bins gain little, and fluctuations of few events would count as separation."""

LEAST_EVENTS = 4
"""Selected events of each process and half of the sample, below which nothing can be trained."""

MISSING_EDGES = (150.0, 170.0, 190.0, 210.0, 240.0, 270.0, 310.0, 360.0, 430.0, 600.0)
MASS_EDGES = (400.0, 600.0, 800.0, 1000.0, 1300.0, 1600.0, 2000.0, 2500.0, 3500.0, 5000.0)

_ROC_POINTS = 8


@dataclass(frozen=True)
class DijetSelection:
    """Two jets far apart and missing momentum that does not point along a jet.

    Looser than the searches of the experiments (arXiv:2201.11585, arXiv:2202.07953): the classifier makes use of what a
    tighter cut would throw away. |Δη| > 2.5 takes a sixth of Z(νν) and hardly any signal. Between 1.5 and π, the cut on
    |Δφ| does not change S/√B of Z(νν) by a tenth; at 2, as the experiments need it against multijets, it leaves enough
    simulated crossings.
    """

    leading_pt: float = 60.0
    """GeV, of the hardest jet."""
    second_pt: float = 40.0
    """GeV."""
    eta_max: float = 4.7
    delta_eta: float = 2.5
    """Least |Δη| of the two, which lie in opposite hemispheres."""
    delta_phi: float = 2.0
    """Largest |Δφ| of the two, rad."""
    mass: float = 400.0
    """GeV, least m_jj."""
    missing: float = 150.0
    """GeV, least missing momentum."""
    jet_pt: float = 30.0
    """GeV; of the four hardest jets above it ..."""
    jet_missing_phi: float = 0.5
    """... none is closer in phi to the missing momentum (rad), as if mismeasured."""


VBF_HIGGS_FB = 4278.0
"""fb, of vector-boson fusion to a Higgs boson of 125 GeV at 14 TeV, whatever it decays to (arXiv:1610.07922). What a
generator says of a forced decay, here to neutrinos, is smaller by its branching fraction."""


@dataclass(frozen=True)
class Normalisation:
    """How many events are expected. Gains do not depend on it, but for those with a systematic: on the background."""

    signal_fb: float
    """Cross section of all that the signal's records, with their weights, stand for, fb."""
    background_fb: float
    luminosity: float = 3000.0
    """fb⁻¹"""
    branching: float = 0.1
    """Of the Higgs boson to invisible particles: about the largest that is not excluded (arXiv:2301.10731)."""

    @property
    def signal(self) -> float:
        """Expected signal events before the selection."""
        return self.signal_fb * self.luminosity * self.branching

    @property
    def background(self) -> float:
        """Expected background events before the selection."""
        return self.background_fb * self.luminosity


SELECTION = DijetSelection()


@dataclass(frozen=True)
class Selected:
    """The crossings that a selection keeps."""

    place: NDArray[np.int64]
    """Among all crossings."""
    missing: NDArray[np.float64]
    """Missing momentum, GeV."""
    mass: NDArray[np.float64]
    """m_jj, GeV."""


def select(view: ak.Array, selection: DijetSelection = SELECTION) -> Selected:
    """Return the crossings of a view (`hardscatter.metrics.records`) that pass; none of those with fewer than two jets.

    Comparisons with what is not there (NaN) fail.
    """
    jets = view.jets[abs(view.jets.eta) < selection.eta_max]
    pair = leading_pair(jets)
    missing, angle = (np.asarray(f(view.met.py, view.met.px), dtype=np.float64) for f in (np.hypot, np.arctan2))
    mass = pair_mass(pair)
    (first, second), (eta, other_eta), (phi, other_phi) = (pair[name].T for name in ("pt", "eta", "phi"))
    hard = jets[jets.pt > selection.jet_pt]
    hard = hard[ak.argsort(hard.pt, axis=1, ascending=False)][:, :4]
    turns = abs(np.mod(hard.phi - angle + np.pi, 2 * np.pi) - np.pi)
    nearest = ak.to_numpy(ak.fill_none(ak.min(turns, axis=1), np.inf))
    passed = (
        (first > selection.leading_pt)
        & (second > selection.second_pt)
        & (eta * other_eta < 0)
        & (np.abs(eta - other_eta) > selection.delta_eta)
        & (np.abs(delta_phi(phi, other_phi)) <= selection.delta_phi)
        & (mass > selection.mass)
        & (missing > selection.missing)
        & (nearest > selection.jet_missing_phi)
    )
    place = np.flatnonzero(passed)
    return Selected(place, missing[place], mass[place])


def fisher_direction(
    signal: NDArray[np.float64],
    background: NDArray[np.float64],
    signal_weight: NDArray[np.float64],
    background_weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the direction that separates signal from background best: Fisher's linear discriminant.

    d = (C_s + C_b)⁻¹ (μ_s − μ_b) with the weighted means μ and covariances C of the two, each normalised to itself;
    events are scored by x·d, and signal lies at higher scores. R. A. Fisher, Annals of Eugenics 7 (1936) 179.

    Parameters
    ----------
    signal, background
        Features, (events, features); the weights must sum up to more than 0.
    signal_weight, background_weight
        One an event.

    Returns
    -------
    NDArray
        (features,); features that do not vary get the least of all solutions.
    """
    means, covariances = [], []
    for values, weight in ((signal, signal_weight), (background, background_weight)):
        share = weight / weight.sum()
        mean = share @ values
        centred = values - mean
        means.append(mean)
        covariances.append((centred * share[:, None]).T @ centred)
    return np.asarray(np.linalg.pinv(covariances[0] + covariances[1], hermitian=True) @ (means[0] - means[1]))


def invisible_study(
    signal: Records,
    background: Records,
    normalisation: Normalisation,
    selection: DijetSelection = SELECTION,
    *,
    replicas: int = 200,
    seed: int = 1,
) -> Study:
    """Measure with what significance vector-boson fusion H → invisible stands out of Z(νν) + jets, by method.

    For each method by itself, crossings are selected and scored by Fisher's discriminant of log missing momentum and
    log m_jj. Discriminant, bins and best cut are made on one half of the crossings (even places) and used on the
    other, and the reverse, so no crossing judges itself. The headline is

        Z² = Σ S_i²/B_i

    over bins of the score with equal background, at least `LEAST_BACKGROUND` effective events in each, and S and B the
    expected events; then S/√(B + (εB)²) above the best cut, ε the systematic uncertainty of the background. Both are
    the limits, for S ≪ B, of the likelihood's (arXiv:1007.1727).

    Parameters
    ----------
    signal, background
        Crossings; generator weights are used everywhere.
    normalisation
        Cross sections and luminosity.
    selection
        The same for all methods.
    replicas, seed
        Of the bootstrap over crossings of both samples; training, bins and cuts are made anew in each replica. The
        draws are the same for all methods, so the errors of gains are paired.

    Returns
    -------
    Study
        `Numbers` ``invisible_significance`` (Z, its gain Z/Z_PUPPI − 1 over ``puppi:best`` and ``puppi:cms-phase2``,
        and the share (Z − Z_PUPPI)/(Z_perfect − Z_PUPPI) of the gain of perfect weights), ``invisible_counting`` (the
        same of the best cuts) and ``invisible_yields``; the `Profile` ``invisible_roc``; and distributions after
        the selection. NaN where there are fewer than `LEAST_EVENTS`.

    Raises
    ------
    SettingsError
        If there are too few replicas.
    """
    methods = [name for name in signal.views if name in background.views]
    processes = (
        _Process(signal, normalisation.signal, methods, selection),
        _Process(background, normalisation.background, methods, selection),
    )
    n_bins = _bins_for(processes, methods)
    acceptances = _acceptances(processes[0], methods)

    def measured(drawn: tuple[_Drawn, _Drawn]) -> list[NDArray[np.float64]]:
        return [_measured(drawn[0].of(method), drawn[1].of(method), n_bins, acceptances) for method in methods]

    columns = len(_COLUMNS) + _ROC_POINTS
    values = np.array([measured(drawn) for drawn in _draws(processes, replicas, seed)], dtype=np.float64)
    values = values.reshape(len(values), len(methods), columns)
    numbers = {name: dict(zip(methods, values[:, :, i].T, strict=True)) for i, name in enumerate(_COLUMNS)}
    sample = f"{signal.sample}; {background.sample}"
    n_events = len(signal) + len(background)
    tables = _tables(numbers, methods, sample, n_events, normalisation, n_bins, processes)
    roc = _roc(values[:, :, len(_COLUMNS) :], methods, sample, n_events, acceptances, processes[0])
    shapes = [
        _distribution(process, role, feature, methods, replicas, seed)
        for feature in _FEATURES
        for role, process in zip(("signal", "background"), processes, strict=True)
    ]
    results: list[Result] = [*tables, roc, *shapes]
    return Study(
        name="invisible",
        title="Vector-boson fusion, H → invisible",
        text=(
            "How well an invisibly decaying Higgs boson stands out of Z(νν) + jets, by missing momentum and m_jj in a "
            "linear classifier that is trained for each method by itself and never judges the crossings it learned "
            "from. Z + jets is strong production with further jets from the parton shower only; there is no "
            "electroweak Z + jets, no W + jets, no multijet background and no trigger: the gains mean more than "
            "the significances."
        ),
        results=tuple(results),
        facts={
            "selection": asdict(selection), "normalisation": asdict(normalisation), "bins": n_bins,
            "least_background": LEAST_BACKGROUND, "least_signal": LEAST_SIGNAL, "replicas": replicas, "seed": seed,
            "selected": {
                role: {method: process.sizes(method) for method in methods}
                for role, process in zip(("signal", "background"), processes, strict=True)
            },
        },
    )  # fmt: skip


# --- samples, selected once and drawn often

_FEATURES = ("missing", "mass")
_TITLES = {"missing": "Missing momentum", "mass": "m_jj"}
_EDGES = {"missing": MISSING_EDGES, "mass": MASS_EDGES}
_COLUMNS = ("signal", "background", "binned", *(f"cut_{100 * epsilon:g}" for epsilon in SYSTEMATICS))


class _Process:
    """One sample: what each view selects of it, and the weight of each crossing."""

    def __init__(self, records: Records, expected: float, methods: list[str], selection: DijetSelection) -> None:
        self.records = records
        self.expected = expected
        self.weight = generator_weights(records)
        self.selected = {method: select(records.views[method], selection) for method in methods}
        self.features = {
            method: np.log(np.stack([chosen.missing, chosen.mass], axis=1)) for method, chosen in self.selected.items()
        }

    def drawn(self, counts: NDArray[np.int64] | int = 1) -> _Drawn:
        """Return the sample with each crossing drawn so often, normalised to what is expected."""
        weight = self.weight * counts
        total = weight.sum()
        return _Drawn(self, weight * (self.expected / total if total > 0 else np.nan))

    def sizes(self, method: str) -> dict[str, float]:
        """Return how many crossings were selected, and how many without weights would tell as much."""
        weight = self.weight[self.selected[method].place]
        return {"crossings": len(weight), "effective": effective_number(weight)}


@dataclass(frozen=True)
class _Drawn:
    process: _Process
    weight: NDArray[np.float64]
    """Expected events that each crossing stands for."""

    def of(self, method: str) -> _Chosen:
        place = self.process.selected[method].place
        return _Chosen(self.process.features[method], self.weight[place], place % 2, self.weight)


@dataclass(frozen=True)
class _Chosen:
    """Selected crossings of one sample and method."""

    features: NDArray[np.float64]
    weight: NDArray[np.float64]
    half: NDArray[np.int64]
    """0 or 1: which half of the sample each belongs to."""
    all_weights: NDArray[np.float64]

    def part(self, half: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Return features and weights of one half, crossings that were not drawn left out."""
        kept = (self.half == half) & (self.weight != 0)
        return self.features[kept], self.weight[kept]

    def expected(self, half: int) -> float:
        """Return the events that one half of the sample stands for before the selection."""
        return float(self.all_weights[half::2].sum())

    def accepted(self, half: int) -> float:
        """Return what share of one half is selected."""
        before = self.expected(half)
        return float(self.part(half)[1].sum()) / before if before > 0 else 0.0


def _draws(processes: tuple[_Process, _Process], replicas: int, seed: int) -> Iterator[tuple[_Drawn, _Drawn]]:
    """Yield both samples as they are, then redrawn, each with its own draws; not redrawn where one is empty."""
    signal, background = processes
    counts = (draws(len(process.records), replicas, seed + k) for k, process in enumerate(processes))
    for signal_counts, background_counts in zip(*counts, strict=False):
        yield signal.drawn(signal_counts), background.drawn(background_counts)


def _bins_for(processes: tuple[_Process, _Process], methods: list[str]) -> int:
    """Return how many bins all methods can afford: the same for all, so that none gains by finer ones."""
    sizes = [processes[1].sizes(method)["effective"] for method in methods]
    return int(np.clip(min(sizes, default=0.0) // LEAST_BACKGROUND, 1, LARGEST_BINS))


def _acceptances(signal: _Process, methods: list[str]) -> NDArray[np.float64]:
    """Return the edges in signal acceptance of the ROC, up to nearly what the least accepting method selects."""
    drawn = signal.drawn()
    accepted = [drawn.of(method).accepted(half) for method in methods for half in (0, 1)]
    highest = 0.95 * min(accepted, default=0.0)
    return np.linspace(0.0, highest if highest > 0 else 1.0, _ROC_POINTS + 1)


# --- one method, one drawing


def _measured(
    signal: _Chosen, background: _Chosen, n_bins: int, acceptances: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the `_COLUMNS`, then the background's acceptance at the middles of the signal's."""
    yields = np.array([signal.weight.sum(), background.weight.sum()])
    binned = np.zeros((2, n_bins))
    cut = np.zeros((2, len(SYSTEMATICS)))
    roc = np.zeros(len(acceptances) - 1)
    for half in (0, 1):
        parts = [sample.part(k) for k in (half, 1 - half) for sample in (signal, background)]
        if any(len(weight) < LEAST_EVENTS or not weight.sum() > 0 for _, weight in parts):
            return np.array([*yields, *[np.nan] * (len(_COLUMNS) - 2 + len(roc))])
        (s, s_weight), (b, b_weight), (s_test, s_test_weight), (b_test, b_test_weight) = parts
        direction = fisher_direction(s, b, s_weight, b_weight)
        edges = _equal_parts(b @ direction, b_weight, n_bins)
        # A half stands for the whole sample where the cut is chosen: the systematic depends on how much there is.
        scales = [1 + sample.expected(1 - half) / sample.expected(half) for sample in (signal, background)]
        thresholds = _best_cuts(s @ direction, b @ direction, s_weight * scales[0], b_weight * scales[1])
        scores = s_test @ direction, b_test @ direction
        for k, weight in enumerate((s_test_weight, b_test_weight)):
            binned[k] += np.bincount(np.searchsorted(edges, scores[k]), weight, n_bins)
            cut[k] += [weight[scores[k] >= threshold].sum() for threshold in thresholds]
        accepted = s_test_weight / signal.expected(1 - half), b_test_weight / background.expected(1 - half)
        roc += _background_at(acceptances, *scores, *accepted) / 2
    squares = np.divide(binned[0] ** 2, binned[1], out=np.zeros(n_bins), where=binned[1] > 0)
    counted = [_significance(cut[0, i], cut[1, i], epsilon) for i, epsilon in enumerate(SYSTEMATICS)]
    return np.array([*yields, np.sqrt(squares.sum()), *counted, *roc])


def _equal_parts(score: NDArray[np.float64], weight: NDArray[np.float64], parts: int) -> NDArray[np.float64]:
    """Return the inner edges of so many bins with the same weight in each."""
    order = np.argsort(score, kind="stable")
    cumulative = np.cumsum(weight[order])
    inner = np.arange(1, parts) / parts * cumulative[-1]
    return np.asarray(score[order][np.minimum(np.searchsorted(cumulative, inner), len(score) - 1)])


def _significance(signal: float, background: float, epsilon: float) -> float:
    variance = background + (epsilon * background) ** 2
    return float(signal / np.sqrt(variance)) if variance > 0 else np.nan


def _best_cuts(
    signal: NDArray[np.float64],
    background: NDArray[np.float64],
    signal_weight: NDArray[np.float64],
    background_weight: NDArray[np.float64],
) -> list[float]:
    """Return the score above which S/√(B + (εB)²) is largest, for each ε; enough signal must be left above it."""
    scores = np.concatenate([signal, background])
    order = np.argsort(-scores, kind="stable")
    s = np.cumsum(np.append(signal_weight, np.zeros(len(background)))[order])
    b = np.cumsum(np.append(np.zeros(len(signal)), background_weight)[order])
    enough = (s >= LEAST_SIGNAL * s[-1]) & (b > 0)
    s, b, scores = s[enough], b[enough], scores[order][enough]
    return [float(scores[np.argmax(s / np.sqrt(b + (epsilon * b) ** 2))]) for epsilon in SYSTEMATICS]


def _background_at(
    acceptances: NDArray[np.float64],
    signal: NDArray[np.float64],
    background: NDArray[np.float64],
    signal_weight: NDArray[np.float64],
    background_weight: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return the background's acceptance above the scores where the signal's is in the middle of these edges."""
    middles = (acceptances[1:] + acceptances[:-1]) / 2
    falling, s_order = np.argsort(-background, kind="stable"), np.argsort(-signal, kind="stable")
    cumulative = np.cumsum(signal_weight[s_order])
    place = np.searchsorted(cumulative, middles)
    reached = place < len(signal)
    threshold = signal[s_order][np.minimum(place, len(signal) - 1)]
    above = np.searchsorted(-background[falling], -threshold, side="right")
    total = np.concatenate([[0.0], np.cumsum(background_weight[falling])])
    return np.asarray(np.where(reached, total[above], np.nan))


# --- results


def _tables(
    numbers: dict[str, dict[str, NDArray[np.float64]]],
    methods: list[str],
    sample: str,
    n_events: int,
    normalisation: Normalisation,
    n_bins: int,
    processes: tuple[_Process, _Process],
) -> list[Numbers]:
    """Return the tables of significance, counting and yields."""
    branching = f"H → invisible in {100 * normalisation.branching:g} % of decays, {normalisation.luminosity:g} fb⁻¹"
    sizes = [[process.sizes(method)["effective"] for method in methods] or [0.0] for process in processes]
    kept = f"The cut keeps at least {100 * LEAST_SIGNAL:g} % of the selected signal."
    remark = (
        f"{branching}. Selected crossings, weights allowed for: {min(sizes[0]):.0f} to {max(sizes[0]):.0f} of signal, "
        f"{min(sizes[1]):.0f} to {max(sizes[1]):.0f} of background."
    )
    bins = f"{n_bins} bins of the score" if n_bins > 1 else "all scores in one bin"
    gains = {
        "gain": f"gain over {REFERENCE}",
        "gain_cms": f"gain over {CMS_REFERENCE}",
        "share": f"share of the gain of perfect weights over {REFERENCE}",
        "share_cms": f"share of their gain over {CMS_REFERENCE}",
    }
    binned = {m: {"significance": estimate(z), **_gains(numbers["binned"], m)} for m, z in numbers["binned"].items()}
    counting: dict[str, dict[str, Estimate]] = {}
    headings = {}
    for epsilon in SYSTEMATICS:
        name = f"cut_{100 * epsilon:g}"
        headings[name] = f"S/√(B + ({epsilon:g} B)²)" if epsilon else "S/√B"
        headings[f"{name}_gain"] = f"gain over {REFERENCE}"
        for method, z in numbers[name].items():
            gain = {f"{name}_{key}": value for key, value in _gains(numbers[name], method).items() if key == "gain"}
            counting.setdefault(method, {}).update({name: estimate(z)} | gain)
    yields = {
        method: {name: estimate(numbers[name][method]) for name in ("signal", "background")} for method in methods
    }
    about: dict[str, Any] = {"sample": sample, "n_events": n_events}
    return [
        Numbers(
            name="invisible_significance", title=f"Significance of H → invisible, {bins}",
            headings={"significance": "√Σ S²/B", **gains}, rows=binned, remark=remark, **about,
        ),
        Numbers(
            name="invisible_counting", title="Significance of H → invisible above the best cut", headings=headings,
            rows=counting, remark=f"{remark} {kept}", **about,
        ),
        Numbers(
            name="invisible_yields", title="Events after the selection",
            headings={"signal": "signal events", "background": "background events"}, rows=yields, remark=remark,
            **about,
        ),
    ]  # fmt: skip


def _gains(significance: dict[str, NDArray[np.float64]], method: str) -> dict[str, Estimate]:
    """Return what a method gains over PUPPI, and what part of that perfect weights gain; nothing against itself."""
    row = {}
    here = significance[method]
    for suffix, name in PUPPIS.items():
        if name not in significance or name == method:
            continue
        base = significance[name]
        row[f"gain{suffix}"] = estimate(ratio(here, base) - 1)
        if PERFECT in significance and method != PERFECT:
            row[f"share{suffix}"] = estimate(ratio(here - base, significance[PERFECT] - base))
    return row


def _roc(
    values: NDArray[np.float64],
    methods: list[str],
    sample: str,
    n_events: int,
    acceptances: NDArray[np.float64],
    signal: _Process,
) -> Profile:
    """Return the background's acceptance against the signal's, selection and score together."""
    reference = reference_of(methods)
    return Profile(
        name="invisible_roc",
        title="Z(νν) + jets that comes with the signal",
        sample=sample,
        variable="signal acceptance",
        edges=tuple(acceptances.tolist()),
        statistics={"background": {method: estimates(values[:, i]) for i, method in enumerate(methods)}},
        headings={"background": "background acceptance"},
        sizes=(len(signal.selected[reference].place) if methods else 0,) * (len(acceptances) - 1),
        reference=reference,
        n_events=n_events,
    )


def _distribution(
    process: _Process, role: str, feature: str, methods: list[str], replicas: int, seed: int
) -> Distribution:
    """Return how a feature of the selected crossings is distributed, weighted."""
    edges = np.array(_EDGES[feature])
    n_events = len(process.records)
    cells = {m: np.searchsorted(edges, getattr(kept, feature), "right") for m, kept in process.selected.items()}

    def spectra(weight: NDArray[np.float64]) -> list[NDArray[Any]]:
        return [
            np.bincount(cells[method], weight[kept.place], len(edges) + 1) for method, kept in process.selected.items()
        ]

    sums = np.array([spectra(process.weight * counts) for counts in draws(n_events, replicas, seed)])
    sums = sums.reshape(len(sums), len(methods), len(edges) + 1)
    # The first and the last lie outside the edges.
    inside = ratio(sums, sums.sum(axis=2, keepdims=True))[:, :, 1:-1]
    shares = {
        method: tuple(bounded(part, process.sizes(method)["effective"]) for part in estimates(inside[:, i]))
        for i, method in enumerate(methods)
    }
    return Distribution(
        name=f"invisible_{feature}_{role}",
        title=f"{_TITLES[feature]}, selected {role}",
        sample=process.records.sample,
        quantity=f"{_TITLES[feature][0].lower()}{_TITLES[feature][1:]} [GeV]",
        edges=tuple(edges.tolist()),
        shares=shares,
        entries={method: len(process.selected[method].place) for method in methods},
        reference=limit_of(methods),
        distances={},
        n_events=n_events,
    )
