"""The hadronic recoil against Z → ℓℓ: how missing momentum is measured where nothing is missing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingFieldError
from hardscatter.metrics.crossings import VERTICES_EDGES, measured_met, transverse, vertices
from hardscatter.metrics.records import Records
from hardscatter.metrics.statistics import LEAST_ENTRIES, draws, estimate, estimates, ratio
from hardscatter.metrics.studies import PUPPIS, Numbers, Profile, Result, Study, reference_of

Variable = Literal["boson_pt", "n_vertices"]

PT_EDGES = (30.0, 40.0, 50.0, 65.0, 90.0, 150.0)
"""GeV, of the bins in the boson's pt."""

HEADINGS = {
    "perpendicular": "σ(u⊥) / response [GeV]",
    "parallel": "σ(u∥) / response [GeV]",
    "response": "response ⟨u∥⟩/⟨q⟩",
}

_TITLES = {"boson_pt": "Recoil against the Z boson's pt", "n_vertices": "Recoil against the number of vertices"}
_VARIABLES = {"boson_pt": "boson pt [GeV]", "n_vertices": "reconstructed vertices"}

# Statistics of one drawing, in this order.
_STATISTICS = ("perpendicular", "parallel", "response", "met")


@dataclass(frozen=True)
class RecoilSelection:
    """Which crossings count, by their truth."""

    boson_pt_min: float = 30.0
    """GeV; softer bosons have no direction to speak of, and the simulated sample begins at 20 GeV."""
    lepton_eta_max: float = 2.5
    """Two prompt leptons inside, as analyses ask: a forward muon, badly measured or not at all, would count as recoil.
    Not asked for where leptons are not known."""


def recoil_profile(
    records: Records,
    variable: Variable,
    edges: Sequence[float],
    *,
    selection: RecoilSelection = RecoilSelection(),
    replicas: int = 400,
    seed: int = 1,
) -> Profile:
    """Measure the recoil against the true boson's pt or the number of vertices.

    With the true boson's q, the recoil is u = −q − missing momentum (vectors in the transverse plane), u∥ = −u·q̂ and
    u⊥ the other component. In each bin the response is R = ⟨u∥⟩/⟨q⟩, and resolutions are corrected for it:
    σ(u∥ − R q)/R and σ(u⊥)/R, with σ half of the central 68 %.

    Parameters
    ----------
    records
        Of Z → ℓℓ, with ``truth.boson``; neutrinos would count as recoil.
    variable
        ``"boson_pt"`` (GeV) or ``"n_vertices"``.
    edges
        Of the bins, lower edges included.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    Profile
        ``perpendicular``, ``parallel`` (GeV), ``response``, and ``ratio``, of ``perpendicular`` to the reference's by
        the same draws, which is there if a PUPPI is. NaN in bins with fewer than `LEAST_ENTRIES` crossings, and widths
        where the response is not positive.

    Raises
    ------
    MissingFieldError
        If the records know no boson, or not the variable.

    References
    ----------
    CMS, arXiv:1903.06078.
    """
    recoils = _recoils(records, selection)
    values = recoils.boson_pt if variable == "boson_pt" else _vertices(records)[recoils.event]
    place = np.searchsorted(edges, values, side="right") - 1
    members = [np.flatnonzero(place == k) for k in range(len(edges) - 1)]
    drawn = dict(zip(_STATISTICS, _drawn(recoils, members, len(records), replicas, seed), strict=True))
    reference, headings = reference_of(recoils.methods), HEADINGS
    if reference in PUPPIS.values():
        widths = drawn["perpendicular"]
        drawn["ratio"] = ratio(widths, widths[[recoils.methods.index(reference)]])
        headings = HEADINGS | {"ratio": "ratio of σ(u⊥) / response"}
    return Profile(
        name=f"recoil_{variable}",
        title=_TITLES[variable],
        sample=records.sample,
        variable=_VARIABLES[variable],
        edges=tuple(edges),
        statistics={
            statistic: dict(zip(recoils.methods, map(estimates, drawn[statistic]), strict=True))
            for statistic in headings
        },
        headings=headings,
        sizes=tuple(len(chosen) for chosen in members),
        reference=reference,
        n_events=len(records),
    )


def recoil_numbers(
    records: Records,
    *,
    selection: RecoilSelection = RecoilSelection(),
    replicas: int = 400,
    seed: int = 1,
) -> Numbers:
    """Measure the recoil and missing momentum of all selected crossings, and by how much they are better than PUPPI's.

    Beside what `recoil_profile` measures: ``met``, δ = (q75 − q25)/2 of both components of measured − true missing
    momentum (GeV), and improvements 1 − σ/σ_PUPPI over ``puppi:best`` and ``puppi:cms-phase2`` where they are there,
    their errors from the same draws for both. Arguments and errors as of `recoil_profile`.
    """
    recoils = _recoils(records, selection)
    drawn = _drawn(recoils, [np.arange(len(recoils.event))], len(records), replicas, seed)[..., 0]
    columns = dict(zip(_STATISTICS, drawn, strict=True))
    headings = HEADINGS | {"met": "δ of missing momentum [GeV]"}
    short = {"perpendicular": "σ(u⊥)", "parallel": "σ(u∥)", "met": "δ"}
    for suffix, reference in PUPPIS.items():
        if reference in recoils.methods:
            base = recoils.methods.index(reference)
            for name, symbol in short.items():
                columns[f"improvement_{name}{suffix}"] = 1 - ratio(columns[name], columns[name][[base]])
                headings = headings | {f"improvement_{name}{suffix}": f"{symbol}: improvement over {reference}"}
    return Numbers(
        name="recoil",
        title="Recoil against Z → ℓℓ",
        sample=records.sample,
        headings=headings,
        rows={
            method: {name: estimate(values[m]) for name, values in columns.items()}
            for m, method in enumerate(recoils.methods)
        },
        n_events=len(records),
        remark=f"{len(recoils.event)} crossings with boson pt > {selection.boson_pt_min:g} GeV and both leptons inside "
        f"|eta| < {selection.lepton_eta_max:g}; σ is half of the central 68 %.",
    )


def recoil_study(
    by_pt: Records,
    by_vertices: Records | None = None,
    *,
    selection: RecoilSelection = RecoilSelection(),
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Put together the recoil at fixed pileup and, where there is a sample for it, against the number of vertices.

    Raises `MissingFieldError` as `recoil_profile` does.
    """
    numbers = partial(recoil_numbers, selection=selection, replicas=replicas, seed=seed)
    profile = partial(recoil_profile, selection=selection, replicas=replicas, seed=seed)
    results: list[Result] = [numbers(by_pt), profile(by_pt, "boson_pt", PT_EDGES)]
    if by_vertices is not None:
        results.append(profile(by_vertices, "n_vertices", VERTICES_EDGES))
    return Study(
        name="recoil",
        title="Recoil against Z → ℓℓ",
        text="What recoils against a Z boson is known from its leptons, so its measurement tells how well missing "
        "momentum is measured, bias and all. The boson is the true one; widths, half of the central 68 %, are divided "
        "by the response, so that a method gains nothing by measuring too little.",
        results=tuple(results),
        facts={"selection": asdict(selection)},
    )


@dataclass(frozen=True)
class _Recoils:
    """Of the selected crossings, GeV."""

    event: NDArray[np.int64]
    boson_pt: NDArray[np.float64]
    methods: tuple[str, ...]
    parallel: NDArray[np.float64]
    """(methods, crossings)"""
    perpendicular: NDArray[np.float64]
    residual: NDArray[np.float64]
    """Measured − true missing momentum, (methods, crossings, 2)."""


def _recoils(records: Records, selection: RecoilSelection) -> _Recoils:
    truth = records.truth
    if "boson" not in truth.fields:
        raise MissingFieldError("the recoil needs truth.boson, which these records lack: simulate Z → ℓℓ.")
    boson = transverse(truth.boson)
    pt = np.hypot(boson[:, 0], boson[:, 1])
    selected = pt > max(selection.boson_pt_min, 0.0)  # false where there is no boson
    if "leptons" in truth.fields:
        inside = abs(truth.leptons.eta) < selection.lepton_eta_max
        selected &= np.asarray(ak.sum(inside, axis=1)) >= 2
    event = np.flatnonzero(selected)
    boson, pt = boson[event], pt[event]
    direction = boson / pt[:, None]
    true_met = transverse(truth.met)[event] if "met" in truth.fields else np.zeros_like(boson)
    measured = [measured_met(view)[event] for view in records.views.values()]
    met = np.array(measured).reshape(len(records.views), len(event), 2)
    recoil = -boson - met
    return _Recoils(
        event=event,
        boson_pt=pt,
        methods=tuple(records.views),
        parallel=-(recoil * direction).sum(axis=2),
        perpendicular=recoil[:, :, 0] * direction[:, 1] - recoil[:, :, 1] * direction[:, 0],
        residual=met - true_met,
    )


def _vertices(records: Records) -> NDArray[np.float64]:
    if "n_vertices" not in records.truth.fields:
        raise MissingFieldError("the recoil by vertices needs n_vertices, which these records lack.")
    return vertices(records.truth)


def _drawn(
    recoils: _Recoils, members: Sequence[NDArray[np.int64]], n_events: int, replicas: int, seed: int
) -> NDArray[np.float64]:
    """Return the statistics, (statistics, methods, 1 + replicas, bins), the first of the crossings as they are."""
    drawn = [
        [_statistics(recoils, np.repeat(chosen, counts[recoils.event[chosen]])) for chosen in members]
        for counts in draws(n_events, replicas, seed)
    ]
    return np.moveaxis(np.array(drawn), (2, 3), (0, 1))


def _statistics(recoils: _Recoils, chosen: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return `_STATISTICS` by method of the chosen crossings, which may stand there more than once."""
    if len(chosen) < LEAST_ENTRIES:
        return np.full((len(_STATISTICS), len(recoils.methods)), np.nan)
    boson_pt, parallel = recoils.boson_pt[chosen], recoils.parallel[:, chosen]
    response = parallel.mean(axis=1) / boson_pt.mean()
    scale = np.where(response > 0, response, np.nan)
    return np.stack(
        [
            _half_width(recoils.perpendicular[:, chosen], 0.68) / scale,
            _half_width(parallel - response[:, None] * boson_pt, 0.68) / scale,
            response,
            _half_width(recoils.residual[:, chosen].reshape(len(response), 2 * len(chosen)), 0.5),
        ]
    )


def _half_width(values: NDArray[np.float64], fraction: float) -> NDArray[np.float64]:
    """Return half the width of the central `fraction` of each row."""
    low, high = np.quantile(values, (0.5 - fraction / 2, 0.5 + fraction / 2), axis=1)
    return np.asarray((high - low) / 2)
