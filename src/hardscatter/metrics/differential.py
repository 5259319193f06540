"""Resolutions over whole samples, and against momentum, |eta| and the number of vertices.

A bin of a profile is the table of `hardscatter.metrics.resolution` made of the truth jets, or crossings, in that bin.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import fields, replace
from functools import partial
from itertools import pairwise
from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.metrics.calibration import LEAST_CROSSINGS
from hardscatter.metrics.crossings import VERTICES_EDGES, vertices
from hardscatter.metrics.definitions import DESIGN, TALK, Definition, JetStudy, Quantity
from hardscatter.metrics.observations import JetObservations, Observations, observe_records
from hardscatter.metrics.records import Records
from hardscatter.metrics.resolution import (
    CMS_REFERENCE,
    PERFECT,
    REFERENCE,
    ResolutionTable,
    differences,
    summarise,
)
from hardscatter.metrics.statistics import UNKNOWN, Estimate
from hardscatter.metrics.studies import PUPPIS, Numbers, Profile, Result, Study, reference_of

JetVariable = Literal["pt", "eta", "n_vertices"]
MetVariable = Literal["met", "n_vertices"]

AK4 = JetStudy("ak4", "jets", 0.4, 30.0, 10.0, 0.2, 0.0, 4.7)
"""The design's central and forward jets together."""
AK4_CENTRAL, AK8 = DESIGN.jets[0], DESIGN.jets[2]

PT_EDGES = tuple(float(edge) for edge in np.geomspace(30.0, 300.0, 8))
"""GeV, of true AK4 jets."""
ETA_EDGES = (0.0, 0.5, 1.0, 1.5, 2.0, 2.5, 3.0, 3.5, 4.0, 4.7)
FAT_PT_EDGES = (300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0, 1200.0)
"""GeV, of true AK8 jets."""
MET_EDGES = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 150.0, 250.0)
"""GeV, of true missing momentum."""

SUPERVISED = "supervised"
LABEL_FREE = ("total:paper", "total")

TITLES = {
    "ak4_central.pt": "AK4 jet pt, |eta| < 2.5",
    "ak4_forward.pt": "AK4 jet pt, 2.5 < |eta| < 4.7",
    "ak8.pt": "AK8 jet pt, |eta| < 2.5",
    "ak8.mass": "AK8 jet mass, |eta| < 2.5",
    "ak8.tau32": "AK8 jet τ32, reco − truth, |eta| < 2.5",
    "met": "missing momentum, x and y",
    "ht": "H_T of AK4 jets, pt > 30 GeV, |eta| < 2.5",
    "talk_ak4.pt": "AK4 jet pt, pt > 15 GeV, |eta| < 4",
    "talk_ak8.pt": "AK8 jet pt, 500 < pt < 1500 GeV, |eta| < 4",
    "talk_ak8.mass": "AK8 jet mass, 500 < pt < 1500 GeV, |eta| < 4",
    "talk_ak8.tau32": "AK8 jet τ32, reco − truth, 500 < pt < 1500 GeV, |eta| < 4",
    "talk_met": "missing momentum, relative to the true one",
}
"""What the quantities of `DESIGN` and `TALK` are called, with the cuts that tell them apart."""

# Columns of the inclusive tables in their order.
_HEADINGS = {
    "resolution": "δ/(1 + median)",
    "delta": "δ",
    "median": "median",
    "slope": "slope",
    "gap": "gap closed",
    "gap_cms": "gap closed (CMS tune)",
    "improvement": "improvement",
    "improvement_cms": "improvement (CMS tune)",
    "efficiency": "efficiency",
    "fakes": "fakes a crossing",
    "width68": "68 % half-width",
    "width95": "95 % half-width",
}
_GEV = ("delta", "width68", "width95")
_VARIABLES = {
    "pt": "true jet pt [GeV]",
    "eta": "|eta| of the true jet",
    "met": "true missing momentum [GeV]",
    "n_vertices": "reconstructed vertices",
}
LEAST_ENTRIES_OF_MANY = 20

_AGAINST = {"pt": "true pt", "eta": "|eta|", "met": "true missing momentum", "n_vertices": "vertices"}
_QUANTITIES: dict[Quantity, str] = {"pt": "pt", "mass": "mass", "tau32": "τ32"}


def inclusive_study(
    records: Records,
    definitions: Sequence[Definition] = (DESIGN, TALK),
    *,
    name: str = "resolution",
    title: str = "Resolutions",
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Measure resolutions over the whole sample, one table a quantity, as `hardscatter.metrics.resolution` does.

    Parameters
    ----------
    records
        Recorded crossings.
    definitions
        What to measure. Left out, and found in the study's sizes, are quantities without truth jets or crossings, and
        those with fewer than `LEAST_ENTRIES_OF_MANY` in a sample ten times as large: it is not made for them.
    name, title
        Of the study; names of its results begin with its name.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.
    """
    tables = {
        definition: summarise(seen, replicas=replicas, seed=seed)
        for definition in definitions
        if (seen := observe_records(records, definition))
    }
    return Study(
        name,
        title,
        "Response is reconstructed/true − 1, for τ32 and missing momentum in GeV the difference; δ is half the width "
        "of its central half, and the median is the bias. Gap closed: the part of the way from PUPPI, in its best tune "
        "or in that of CMS, to perfect weights; improvement: 1 − δ/δ(PUPPI). Errors by the bootstrap over crossings.",
        tuple(
            _numbers(table, quantity, definition, records.sample, name)
            for definition, table in tables.items()
            for quantity, size in table.sizes.items()
            if size >= min(LEAST_ENTRIES_OF_MANY, max(len(records) // 10, 1))
        ),
        {
            "replicas": replicas,
            "seed": seed,
            "sizes": {definition.name: table.sizes for definition, table in tables.items()},
        },
    )


def differential_study(
    *,
    ttbar: Records | None = None,
    qcd: Records | None = None,
    zprime: Records | None = None,
    name: str = "differential",
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Measure resolutions against momentum and |eta|, each in the sample that shows it best; others may stand in.

    Parameters
    ----------
    ttbar
        Shows the pt of central jets against their true pt, and missing momentum against the true one.
    qcd
        Shows the pt of jets above 30 GeV against |eta|.
    zprime
        Shows mass and τ32 of AK8 jets against their true pt.
    name
        Of the study; names of its results begin with it.
    replicas, seed
        As `inclusive_study` takes them.
    """
    of_jets = partial(jet_profile, name=name, replicas=replicas, seed=seed)
    of_met = partial(met_profile, name=name, replicas=replicas, seed=seed)
    profiles: list[Result] = []
    if ttbar is not None:
        profiles.append(of_jets(ttbar, AK4_CENTRAL, "pt", "pt", PT_EDGES))
    if qcd is not None:
        profiles.append(of_jets(qcd, AK4, "pt", "eta", ETA_EDGES))
    if zprime is not None:
        profiles.append(of_jets(zprime, AK8, "mass", "pt", FAT_PT_EDGES))
        profiles.append(of_jets(zprime, AK8, "tau32", "pt", FAT_PT_EDGES))
    if ttbar is not None:
        profiles.append(of_met(ttbar, "met", MET_EDGES))
    return Study(
        name,
        "Resolutions against momentum and direction",
        "Resolution δ/(1 + median) of jets (δ of τ32) with its bias and efficiency in bins of the true jet, and of "
        "both components of missing momentum in bins of the true one. Ratios are of the same drawn crossings.",
        tuple(filter(_is_known, profiles)),
        {"ak4": _facts(AK4), "ak4_central": _facts(AK4_CENTRAL), "ak8": _facts(AK8)},
    )


def vertices_study(
    records: Records,
    edges: Sequence[float] = VERTICES_EDGES,
    *,
    name: str = "vertices",
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Measure resolutions against the number of reconstructed vertices, in crossings with flat pileup.

    Parameters
    ----------
    records
        Recorded crossings, which know their number of vertices; otherwise there is no result.
    edges
        Of the bins, rising; lower edges included.
    name
        Of the study; names of its results begin with it.
    replicas, seed
        As `inclusive_study` takes them.
    """
    of_jets = partial(jet_profile, name=name, replicas=replicas, seed=seed)
    profiles: tuple[Result, ...] = (
        of_jets(records, AK4_CENTRAL, "pt", "n_vertices", edges),
        met_profile(records, "n_vertices", edges, name=name, replicas=replicas, seed=seed),
        of_jets(records, AK8, "mass", "n_vertices", edges),
    )
    return Study(
        name,
        "Resolutions against pileup",
        "The same hard process under pileup from none to 200 collisions, in bins of the reconstructed vertices.",
        tuple(filter(_is_known, profiles)),
        {"ak4_central": _facts(AK4_CENTRAL), "ak8": _facts(AK8)},
    )


def supervised_study(
    records: Records,
    definition: Definition = DESIGN,
    *,
    name: str = "supervised",
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Set label-free training against the same network trained on hard fractions: differences of the gap closed.

    d = gap(label-free) − gap(supervised), crossing by crossing, so that what both have in common leaves the error.

    Parameters
    ----------
    records
        Recorded crossings with the views ``supervised``, ``total`` or ``total:paper``, ``perfect`` and a PUPPI;
        otherwise there is no result. Best tune or, without it, CMS's is where the gap begins.
    definition
        What to measure.
    name
        Of the study; names of its results begin with it.
    replicas, seed
        As `inclusive_study` takes them.
    """
    wanted = (SUPERVISED, *LABEL_FREE, REFERENCE, CMS_REFERENCE, PERFECT)
    seen = {method: one for method, one in observe_records(records, definition).items() if method in wanted}
    statistic, begin = ("gap", "the best tune") if REFERENCE in seen else ("gap_cms", "the tune of CMS")
    by_method = (
        differences(seen, SUPERVISED, statistic=statistic, replicas=replicas, seed=seed) if SUPERVISED in seen else {}
    )
    rows = {method: by_method[method] for method in LABEL_FREE if method in by_method}
    shown = Numbers(
        f"{name}_gap",
        "Gap closed, label-free less supervised",
        records.sample,
        {quantity: TITLES.get(quantity, quantity) for row in rows.values() for quantity in row},
        rows,
        len(records),
        f"Above 0 the label-free method is the better one. The gap goes from PUPPI, {begin}, to perfect weights.",
    )
    return Study(
        name,
        "Supervised against label-free",
        "By how much the part of the gap that training without labels closes differs from what the same network closes "
        "when it is trained on the hard fraction of each candidate; on the same crossings.",
        (shown,) if rows else (),
    )


def jet_profile(
    records: Records,
    study: JetStudy,
    quantity: Quantity,
    variable: JetVariable,
    edges: Sequence[float],
    *,
    name: str = "",
    replicas: int = 400,
    seed: int = 1,
) -> Profile:
    """Measure a quantity of jets in bins of their true pt, |eta|, or of the crossing's vertices.

    Parameters
    ----------
    records
        Recorded crossings.
    study
        Which jets.
    quantity
        ``pt``, ``mass`` (reconstructed/true − 1) or ``tau32`` (reconstructed − true).
    variable
        ``pt`` (GeV) and ``eta`` (its magnitude) of the truth jet, or ``n_vertices``.
    edges
        Of the bins, rising; lower edges included.
    name
        Put before the result's own.
    replicas, seed
        As `inclusive_study` takes them; the draws are the same for every method and bin.

    Returns
    -------
    Profile
        ``resolution`` = δ/(1 + median), or ``delta`` where the study or the quantity (``tau32``) has none; ``median``;
        ``efficiency`` in [0, 1]; and ``ratio``, of the headline to the reference's by the same draws. The reference is
        the best tune of PUPPI, else CMS's; without either it is the first method, and there is no ``ratio``. NaN where
        fewer than `LEAST_CROSSINGS` crossings have truth jets in the bin.
    """
    study = replace(study, quantities=(quantity,), fake_pt_min=None)
    observed = observe_records(records, Definition("profile", (study,), DESIGN.met, ("improvement",)))
    values = {method: _of_jets(records.truth, one, study, variable) for method, one in observed.items()}
    return _profile(
        records,
        [
            {method: _jets_within(one, study, values[method], low, high) for method, one in observed.items()}
            for low, high in pairwise(edges)
        ],
        f"{study.name}.{quantity}",
        _jet_headings(study, quantity),
        title=f"{_jets_title(study)} {_QUANTITIES[quantity]} against {_AGAINST[variable]}",
        name=_joined(name, f"{study.name}_{quantity}_{variable}"),
        variable=_VARIABLES[variable],
        edges=edges,
        replicas=replicas,
        seed=seed,
    )


def met_profile(
    records: Records,
    variable: MetVariable,
    edges: Sequence[float],
    *,
    name: str = "",
    replicas: int = 400,
    seed: int = 1,
) -> Profile:
    """Measure missing momentum, both components, in bins of the true one or of the crossing's vertices.

    Parameters
    ----------
    records
        Recorded crossings.
    variable
        ``met`` (GeV, true) or ``n_vertices``.
    edges, name, replicas, seed
        As `jet_profile` takes them.

    Returns
    -------
    Profile
        ``delta`` (GeV), ``slope`` on the true components (the bias), ``width68`` (GeV), and ``ratio`` of δ as in
        `jet_profile`. NaN where fewer than `LEAST_CROSSINGS` crossings are in the bin; the slope also where there is no
        true missing momentum.
    """
    observed = observe_records(records, Definition("profile", (), DESIGN.met, ("improvement",)))
    values = {method: _of_crossings(records.truth, one, variable) for method, one in observed.items()}
    return _profile(
        records,
        [
            {method: _crossings_within(one, values[method], low, high) for method, one in observed.items()}
            for low, high in pairwise(edges)
        ],
        DESIGN.met.name,
        {
            "delta": "δ [GeV]",
            "slope": "slope on truth",
            "width68": "68 % half-width [GeV]",
            "ratio": "ratio of δ",
        },
        title=f"Missing momentum against {_AGAINST[variable]}",
        name=_joined(name, f"met_{variable}"),
        variable=_VARIABLES[variable],
        edges=edges,
        replicas=replicas,
        seed=seed,
    )


def _jet_headings(study: JetStudy, quantity: Quantity) -> dict[str, str]:
    of = _QUANTITIES[quantity]
    calibrated = study.calibrated and quantity != "tau32"
    width = "δ/(1 + median)" if calibrated else "δ"
    return {
        "resolution" if calibrated else "delta": width,
        "median": f"median of {of} − true {of}" if quantity == "tau32" else f"median of {of}/true {of} − 1",
        "efficiency": "efficiency",
        "ratio": f"ratio of {width}",
    }


def _of_jets(truth: ak.Array, seen: Observations, study: JetStudy, variable: JetVariable) -> NDArray[np.float64] | None:
    """Return the variable of each truth jet, NaN where the quantity is not known; None without truth to tell."""
    if study.name not in seen.jets or (variable == "n_vertices" and variable not in truth.fields):
        return None
    jets = seen.jets[study.name]
    if variable == "n_vertices":
        values = vertices(truth)[jets.event]
    else:
        values = jets.truth_pt if variable == "pt" else np.abs(jets.truth_eta)
    true = {"pt": jets.truth_pt, "mass": jets.mass_response, "tau32": jets.truth_tau32}[study.quantities[0]]
    return np.where(np.isfinite(true), values, np.nan)


def _jets_within(
    seen: Observations, study: JetStudy, values: NDArray[np.float64] | None, low: float, high: float
) -> Observations:
    """Return what was observed of the jets of one bin, and nothing else."""
    if values is None:
        return Observations(seen.definition, seen.n_events, {}, None, None)
    jets, chosen = seen.jets[study.name], (values >= low) & (values < high)
    columns = {column.name: getattr(jets, column.name) for column in fields(JetObservations) if column.name != "fakes"}
    kept = replace(jets, **{name: column[chosen] for name, column in columns.items()})
    return Observations(seen.definition, seen.n_events, {study.name: kept}, None, None)


def _of_crossings(truth: ak.Array, seen: Observations, variable: MetVariable) -> NDArray[np.float64] | None:
    """Return the variable of each crossing; None without truth to tell."""
    if seen.truth_met is None or (variable == "n_vertices" and variable not in truth.fields):
        return None
    if variable == "n_vertices":
        return vertices(truth)
    return np.asarray(np.hypot(*seen.truth_met.T))


def _crossings_within(seen: Observations, values: NDArray[np.float64] | None, low: float, high: float) -> Observations:
    """Return the missing momentum of the crossings of one bin, and nothing else."""
    if values is None or seen.truth_met is None:
        return Observations(seen.definition, seen.n_events, {}, None, None)
    chosen = (values >= low) & (values < high)
    return replace(seen, jets={}, truth_met=np.where(chosen[:, np.newaxis], seen.truth_met, np.nan))


def _profile(
    records: Records,
    bins: Sequence[Mapping[str, Observations]],
    quantity: str,
    headings: Mapping[str, str],
    *,
    title: str,
    name: str,
    variable: str,
    edges: Sequence[float],
    replicas: int,
    seed: int,
) -> Profile:
    """Summarise what was observed in each bin."""
    methods = list(bins[0]) if bins else []
    entries = [_entries(seen[methods[0]]) if methods else np.zeros(0, dtype=np.int64) for seen in bins]
    tables = [
        summarise(seen, replicas=replicas, seed=seed) if len(np.unique(event)) >= LEAST_CROSSINGS else None
        for seen, event in zip(bins, entries, strict=True)
    ]
    reference = reference_of(methods)
    told = [statistic for statistic in headings if statistic != "ratio" or reference in PUPPIS.values()]
    return Profile(
        name=name,
        title=title,
        sample=records.sample,
        variable=variable,
        edges=tuple(float(edge) for edge in edges),
        statistics={
            statistic: {
                method: tuple(_estimate(table, method, quantity, statistic, reference) for table in tables)
                for method in methods
            }
            for statistic in told
        },
        headings={statistic: headings[statistic] for statistic in told},
        sizes=tuple(len(event) for event in entries),
        reference=reference,
        n_events=len(records),
    )


def _entries(seen: Observations) -> NDArray[np.int64]:
    """Return the crossing of each truth jet or, without jets, the crossings with a true missing momentum."""
    if seen.jets:
        return np.concatenate([jets.event for jets in seen.jets.values()])
    if seen.truth_met is None:
        return np.zeros(0, dtype=np.int64)
    return np.flatnonzero(np.isfinite(seen.truth_met).all(axis=1))


def _estimate(table: ResolutionTable | None, method: str, quantity: str, statistic: str, reference: str) -> Estimate:
    found = {} if table is None else table.estimates.get(method, {}).get(quantity, {})
    if statistic != "ratio":
        return found.get(statistic, UNKNOWN)
    improvement = found.get("improvement" if reference == REFERENCE else "improvement_cms", UNKNOWN)
    return Estimate(1 - improvement.value, improvement.error, 1 - improvement.high, 1 - improvement.low)


def _numbers(table: ResolutionTable, quantity: str, definition: Definition, sample: str, name: str) -> Numbers:
    rows = {method: values[quantity] for method, values in table.estimates.items() if quantity in values}
    study = next((study for study in definition.jets if quantity.startswith(f"{study.name}.")), None)
    jets = f"true jets above {study.truth_pt_min:g} GeV in " if study is not None else "of "
    unit = " [GeV]" if quantity == DESIGN.met.name else ""
    title = TITLES.get(quantity, quantity)
    talk = " By the definitions of the talk on TOTAL." if definition == TALK else ""
    return Numbers(
        f"{name}_{quantity.replace('.', '_')}",
        title[0].upper() + title[1:],
        sample,
        {
            statistic: heading + (unit if statistic in _GEV else "")
            for statistic, heading in _HEADINGS.items()
            if any(statistic in row for row in rows.values())
        },
        rows,
        table.n_events,
        f"{table.sizes[quantity]} {jets}{table.n_events} crossings.{talk}",
    )


def _is_known(result: Result) -> bool:
    """Tell whether a profile has any number to show."""
    return isinstance(result, Profile) and any(
        math.isfinite(estimate.value)
        for by_method in result.statistics.values()
        for estimates in by_method.values()
        for estimate in estimates
    )


def _jets_title(study: JetStudy) -> str:
    return f"AK{round(10 * study.radius)} jet"


def _joined(*names: str) -> str:
    return "_".join(filter(None, names))


def _facts(study: JetStudy) -> dict[str, float]:
    return {
        "truth_pt_min": study.truth_pt_min, "pt_min": study.pt_min, "match_radius": study.match_radius,
        "eta_min": study.eta_min, "eta_max": study.eta_max,
    }  # fmt: skip
