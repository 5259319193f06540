"""How jets and missing momentum are distributed with each method, and how far that is from no pileup."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.events import flat
from hardscatter.metrics.calibration import LEAST_CROSSINGS
from hardscatter.metrics.crossings import met_residuals
from hardscatter.metrics.definitions import DESIGN, LEPTON_DISTANCE, Definition, JetStudy, MetStudy, Quantity
from hardscatter.metrics.matching import near_any
from hardscatter.metrics.observations import observe_view
from hardscatter.metrics.records import Records
from hardscatter.metrics.resolution import PERFECT
from hardscatter.metrics.statistics import UNKNOWN, Estimate, bounded, draws, effective_number, estimates, ratio
from hardscatter.metrics.studies import NO_PILEUP, Distance, Distribution, Study, limit_of

Values = Callable[[ak.Array, ak.Array], ak.Array]
"""Gives a quantity's values of each crossing, jagged, from a view and the truth."""

PERMUTATIONS = 200
"""Exchanges of method and reference that tell how large a distance fluctuations make."""


@dataclass(frozen=True)
class JetSelection:
    """Which reconstructed jets are shown."""

    pt_min: float
    """GeV."""
    eta_max: float
    leading: int | None = None
    """So many of the hardest of a crossing; None: all."""
    lepton_distance: float | None = LEPTON_DISTANCE
    """Jets this close to a true prompt lepton are left out. None: all stay in."""


JETS = JetSelection(20.0, 4.0)
"""AK4 jets."""

FAT_JETS = JetSelection(400.0, 2.5, leading=2, lepton_distance=None)
"""AK8 jets of boosted tops."""

SOFT_FAT_JETS = JetSelection(200.0, 2.5, leading=2, lepton_distance=None)
"""AK8 jets of samples that have few above 400 GeV."""

QUANTITIES = ("jet_pt", "missing_momentum", "fat_jet_mass", "fat_jet_tau32")
"""What `distribution_study` can show of the crossings as they are reconstructed."""

RESPONSES = ("jet_pt_response", "missing_momentum_residual", "fat_jet_mass_response", "fat_jet_tau32_residual")
"""What it can show of them beside the truth, by the definition `DESIGN`: what resolutions are the widths of."""


def distribution_study(
    records: Records,
    *,
    quantities: Sequence[str] = QUANTITIES,
    jets: JetSelection = JETS,
    fat_jets: JetSelection = FAT_JETS,
    name: str = "distributions",
    title: str = "Distributions",
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Show how reconstructed quantities are distributed with each method.

    Parameters
    ----------
    records
        Recorded crossings.
    quantities
        Of `QUANTITIES` and `RESPONSES`; those without a single entry in the reference are left out.
    jets, fat_jets
        Which AK4 and AK8 jets are shown.
    name, title
        Of the study; names of its results begin with its name.
    replicas, seed
        As `distribution` takes them.
    """
    drawn = (
        distribution(
            records, name=f"{name}_{which}", title=heading, quantity=quantity, edges=edges, values=values,
            replicas=replicas, seed=seed,
        )
        for which, (heading, quantity, edges, values) in _shown(jets, fat_jets).items()
        if which in quantities
    )  # fmt: skip
    results = tuple(result for result in drawn if result.entries.get(result.reference))
    return Study(
        name,
        title,
        _text(results, jets, fat_jets),
        results,
        {"jets": asdict(jets), "fat_jets": asdict(fat_jets), "permutations": PERMUTATIONS},
    )


def distribution(
    records: Records,
    *,
    name: str,
    title: str,
    quantity: str,
    edges: Sequence[float] | NDArray[np.float64],
    values: Values,
    replicas: int = 400,
    seed: int = 1,
) -> Distribution:
    """Return the share of entries in each bin by method, with errors, and distances from the reference.

    The reference is the view without pileup, else perfect weights, else the first view. The distance is Wasserstein's,
    W₁ = ∫ |F(x) − F_ref(x)| dx, of all entries, those outside the edges included. Method and reference share the hard
    collisions; so the distances that fluctuations alone make are found by exchanging the two in each crossing or not,
    at random, `PERMUTATIONS` times.

    Parameters
    ----------
    records
        Recorded crossings.
    name, title, quantity
        As `Distribution` has them.
    edges
        Of the bins, in the quantity's unit, rising; lower edges included.
    values
        Gives the quantity's values of each crossing, jagged; what is not finite is no entry.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    Distribution
        Shares are in [0, 1], NaN where fewer than `LEAST_CROSSINGS` crossings have entries; distances then as well.
        The error of an empty bin is the 68 % upper limit on its share, and of one that holds all the lower limit.
    """
    n_events = len(records)
    entries = {method: _entries(values(view, records.truth)) for method, view in records.views.items()}
    reference = limit_of(entries)
    told = {method: len(np.unique(event)) >= LEAST_CROSSINGS for method, (_, event) in entries.items()}
    return Distribution(
        name=name,
        title=title,
        sample=records.sample,
        quantity=quantity,
        edges=tuple(float(edge) for edge in edges),
        shares=_shares(entries, told, np.asarray(edges, dtype=np.float64), n_events, replicas, seed),
        entries={method: len(value) for method, (value, _) in entries.items()},
        reference=reference,
        distances={
            method: _distance(entries[method], entries[reference], n_events, seed)
            if told[method] and told[reference]
            else Distance(math.nan, math.nan, math.nan)
            for method in entries
            if method != reference
        },
        n_events=n_events,
    )


def jet_values(field: str, quantity: str, selection: JetSelection) -> Values:
    """Return what gives a `quantity` (``pt``, ``mass``, …) of the selected jets of a view's `field`."""

    def values(view: ak.Array, truth: ak.Array) -> ak.Array:
        jets = view[field]
        chosen = (jets.pt > selection.pt_min) & (abs(jets.eta) < selection.eta_max)
        if selection.lepton_distance is not None and "leptons" in truth.fields:
            chosen = chosen & ~near_any(jets, truth.leptons, selection.lepton_distance)
        return jets[chosen][quantity][:, : selection.leading]

    return values


def missing_momentum_values(view: ak.Array, _truth: ak.Array) -> ak.Array:
    """Return the magnitude of missing momentum, GeV, one entry a crossing."""
    return ak.Array(np.hypot(ak.to_numpy(view.met.px), ak.to_numpy(view.met.py))[:, np.newaxis])


def response_values(study: JetStudy, quantity: Quantity) -> Values:
    """Return what gives the responses (of τ32, residuals) of a study's truth jets that were found."""

    def values(view: ak.Array, truth: ak.Array) -> ak.Array:
        if study.truth not in truth.fields:
            return ak.Array([[]] * len(truth))[:, :0]
        jets = observe_view(truth, view, Definition(study.name, (study,), MetStudy("met"), ())).jets[study.name]
        of = {"pt": jets.pt_response, "mass": jets.mass_response, "tau32": jets.tau32 - jets.truth_tau32}[quantity]
        return ak.unflatten(of[jets.matched], np.bincount(jets.event[jets.matched], minlength=len(truth)))

    return values


def missing_momentum_residuals(view: ak.Array, truth: ak.Array) -> ak.Array:
    """Return measured − true missing momentum, GeV, x and y of each crossing."""
    if "met" not in truth.fields:
        return ak.Array(np.zeros((len(truth), 0)))
    return ak.Array(met_residuals(truth, view))


_OF_RESPONSES = (
    f"Responses: of truth jets above {DESIGN.jets[0].truth_pt_min:g} GeV (AK8: {DESIGN.jets[2].truth_pt_min:g} GeV), "
    f"|eta| < {DESIGN.jets[0].eta_max:g}, that were found."
)

_Entries = tuple[NDArray[np.float64], NDArray[np.int64]]
"""Values, flat, and the crossing each belongs to."""


def _shown(jets: JetSelection, fat_jets: JetSelection) -> dict[str, tuple[str, str, NDArray[np.float64], Values]]:
    """Return title, quantity, edges and values of each of `QUANTITIES` and `RESPONSES`."""
    central, _, fat = DESIGN.jets
    return {
        "jet_pt": (
            "Jet transverse momentum", "AK4 jet pt [GeV]",
            np.geomspace(jets.pt_min, 15 * jets.pt_min, 21), jet_values("jets", "pt", jets),
        ),
        "missing_momentum": (
            "Missing momentum", "missing momentum [GeV]", np.linspace(0.0, 200.0, 21), missing_momentum_values,
        ),
        "fat_jet_mass": (
            "Jet mass", "AK8 jet mass [GeV]", np.linspace(0.0, 300.0, 31), jet_values("fat_jets", "mass", fat_jets),
        ),
        "fat_jet_tau32": (
            "Three-prong substructure", "AK8 jet τ32", np.linspace(0.0, 1.0, 21),
            jet_values("fat_jets", "tau32", fat_jets),
        ),
        "jet_pt_response": (
            "Response of central jets", "AK4 jet pt, reconstructed/true − 1", np.linspace(-0.5, 0.5, 41),
            response_values(central, "pt"),
        ),
        "missing_momentum_residual": (
            "Residual of missing momentum", "missing momentum x and y, measured − true [GeV]",
            np.linspace(-75.0, 75.0, 31), missing_momentum_residuals,
        ),
        "fat_jet_mass_response": (
            "Response of the jet mass", "AK8 jet mass, reconstructed/true − 1", np.linspace(-0.5, 0.5, 41),
            response_values(fat, "mass"),
        ),
        "fat_jet_tau32_residual": (
            "Residual of three-prong substructure", "AK8 jet τ32, reconstructed − true", np.linspace(-0.4, 0.4, 33),
            response_values(fat, "tau32"),
        ),
    }  # fmt: skip


def _entries(values: ak.Array) -> _Entries:
    event = np.repeat(np.arange(len(values)), ak.to_numpy(ak.num(values, axis=1)))
    value = flat(values, np.float64)
    finite = np.isfinite(value)
    return value[finite], event[finite]


def _shares(
    entries: Mapping[str, _Entries],
    told: Mapping[str, bool],
    edges: NDArray[np.float64],
    n_events: int,
    replicas: int,
    seed: int,
) -> dict[str, tuple[Estimate, ...]]:
    """Return Σ entries of the bin / Σ entries, drawn again with the crossings."""
    counts = draws(n_events, replicas, seed)
    shares = {}
    for method, (value, event) in entries.items():
        shares[method] = (UNKNOWN,) * (len(edges) - 1)
        if told[method]:
            drawn = counts @ _counts(value, event, edges, n_events)
            parts = ratio(drawn, drawn.sum(axis=1, keepdims=True))[:, :-1]  # without what lies outside
            n = effective_number(np.bincount(event))
            shares[method] = tuple(bounded(part, n) for part in estimates(parts))
    return shares


def _counts(
    value: NDArray[np.float64], event: NDArray[np.int64], edges: NDArray[np.float64], n_events: int
) -> NDArray[np.float64]:
    """Return the entries of each crossing by bin, (crossings, bins + 1); the last holds what lies outside."""
    n_bins = len(edges) - 1
    place = np.searchsorted(edges, value, side="right") - 1
    place = np.where((place >= 0) & (place < n_bins), place, n_bins)
    cells = np.bincount(event * (n_bins + 1) + place, minlength=n_events * (n_bins + 1))
    return cells.reshape(n_events, n_bins + 1).astype(np.float64)


def _distance(method: _Entries, reference: _Entries, n_events: int, seed: int) -> Distance:
    value = np.concatenate([method[0], reference[0]])
    order = np.argsort(value, kind="stable")
    event = np.concatenate([method[1], reference[1]])[order]
    of_method = np.repeat([True, False], [len(method[0]), len(reference[0])])[order]
    steps = np.diff(value[order])
    null = np.array(
        [_wasserstein(of_method ^ exchanged[event], steps) for exchanged in _exchanges(n_events, PERMUTATIONS, seed)]
    )
    # One sample may be left without entries when all are exchanged for none: there is no distance then.
    null = null[np.isfinite(null)]
    return Distance(_wasserstein(of_method, steps), float(null.mean()), float(np.quantile(null, 0.95)))


def _exchanges(n_events: int, permutations: int, seed: int) -> Iterator[NDArray[np.bool_]]:
    """Yield in which crossings method and reference are exchanged."""
    generator = np.random.default_rng(seed)
    for _ in range(permutations):
        yield generator.random(n_events) < 0.5


def _wasserstein(first: NDArray[np.bool_], steps: NDArray[np.float64]) -> float:
    """Return W₁ of two samples in one rising order: which values are of the first, and the steps between values."""
    n_first = int(first.sum())
    n_second = len(first) - n_first
    if not n_first or not n_second:
        return math.nan
    cumulative = np.cumsum(first)[:-1]
    difference = cumulative / n_first - (np.arange(1, len(first)) - cumulative) / n_second
    return float(np.abs(difference) @ steps)


def _text(results: Sequence[Distribution], jets: JetSelection, fat_jets: JetSelection) -> str:
    """Say what is shown, and of which jets."""
    if not results:
        return "There is nothing to show."
    beside = {NO_PILEUP: "the same hard collisions without pileup", PERFECT: "perfect weights"}
    reference = results[0].reference
    shown = " ".join(result.quantity for result in results)
    said = [
        f"Reconstructed quantities with each method beside {beside.get(reference, reference)}.",
        f"AK4 jets: {_in_words(jets)}." if "AK4" in shown else "",
        f"AK8 jets: {_in_words(fat_jets)}." if "AK8" in shown else "",
        _OF_RESPONSES if "reconstructed" in shown else "",
        "Distances are Wasserstein's, with what fluctuations alone make them.",
    ]
    return " ".join(filter(None, said))


def _in_words(selection: JetSelection) -> str:
    leading = f"the {selection.leading} leading with " if selection.leading is not None else ""
    leptons = ", prompt leptons left out" if selection.lepton_distance is not None else ""
    return f"{leading}pt > {selection.pt_min:g} GeV, |eta| < {selection.eta_max:g}{leptons}"
