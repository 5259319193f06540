"""The tails: jets that are not there, jets that are not found, missing momentum that is not missing."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.geometry.angles import TWO_PI
from hardscatter.metrics.crossings import generator_weights, met_residuals
from hardscatter.metrics.matching import near_any
from hardscatter.metrics.observations import FAKE_DISTANCE
from hardscatter.metrics.records import Records
from hardscatter.metrics.statistics import (
    LEAST_ENTRIES,
    UNKNOWN,
    Estimate,
    bounded,
    draws,
    effective_number,
    estimate,
    ratio,
)
from hardscatter.metrics.studies import Numbers, Study

ETA_REGIONS = {"central": (0.0, 2.5), "forward": (2.5, 4.7)}
"""By |eta|, lower edges included."""

LEAST_EFFECTIVE = 100
"""Weighted means are given where generator weights leave the power of more crossings than these, (Σ w)²/Σ w²."""


@dataclass(frozen=True)
class TailSettings:
    """Where tails begin."""

    fake_pt_min: tuple[float, ...] = (30.0, 40.0, 50.0, 70.0)
    """GeV, of reconstructed jets."""
    lost_pt_min: tuple[float, ...] = (30.0, 50.0)
    """GeV, of truth jets."""
    found_share: float = 0.5
    """A truth jet is lost if no reconstructed jet with more than this share of its pt is within `distance`."""
    distance: float = FAKE_DISTANCE
    """A jet further than this from all truth jets and prompt leptons is a fake."""
    met_min: tuple[float, ...] = (50.0, 100.0, 150.0)
    """GeV, of |measured − true missing momentum|."""


def tail_numbers(
    records: Records,
    key: str,
    *,
    weighted: bool = False,
    settings: TailSettings = TailSettings(),
    replicas: int = 400,
    seed: int = 1,
) -> tuple[Numbers, ...]:
    """Count fake jets and lost jets, central and forward, and fake missing momentum of one sample.

    Parameters
    ----------
    records
        With ``truth.jets`` (and ``leptons``) for jets, with ``truth.met`` for missing momentum; tables that the truth
        does not allow are left out.
    key
        Of the sample, for the tables' names.
    weighted
        Whether crossings count with their generator weight.
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    tuple of Numbers
        Fake jets a crossing; the share of truth jets that are lost, in [0, 1]; the share of crossings with
        |measured − true missing momentum| above thresholds. NaN with fewer than `LEAST_ENTRIES`. Where nothing (or
        everything) is in the tail the bootstrap knows no error, and the one-sided 68 % bound stands for it
        (`hardscatter.metrics.statistics.bounded`).
    """
    n_events = len(records)
    weight = generator_weights(records) if weighted else np.ones(n_events)
    counts = draws(n_events, replicas, seed) * weight
    size = f"{n_events} crossings" + (f", worth {effective_number(weight):.0f} of equal weight" if weighted else "")
    tables = []
    for question in _questions(settings):
        if question.needs not in records.truth.fields:
            continue
        tallies = {method: question.count(records.truth, view) for method, view in records.views.items()}
        tables.append(
            Numbers(
                name=f"{question.name}_{re.sub(r'[^A-Za-z0-9]', '_', key)}" + ("_weighted" if weighted else ""),
                title=question.title + (", with generator weights" if weighted else ""),
                sample=records.sample,
                headings=question.headings,
                rows={
                    method: dict(zip(question.headings, _estimates(tally, counts, weight), strict=True))
                    for method, tally in tallies.items()
                },
                n_events=n_events,
                remark=f"{size}{_truth_jets(question, tallies)}; {question.remark}.",
            )
        )
    return tuple(tables)


def tails_study(
    samples: Mapping[str, Records],
    *,
    settings: TailSettings = TailSettings(),
    replicas: int = 400,
    seed: int = 1,
) -> Study:
    """Put together the tails of several samples, with generator weights as well where these leave enough crossings."""
    results: list[Numbers] = []
    for key, records in samples.items():
        weight = generator_weights(records)
        telling = len(weight) > 0 and float(np.ptp(weight)) > 0 and effective_number(weight) > LEAST_EFFECTIVE
        for weighted in (False, True) if telling else (False,):
            results += tail_numbers(records, key, weighted=weighted, settings=settings, replicas=replicas, seed=seed)
    return Study(
        name="tails",
        title="Tails",
        text="What pileup adds that was not there, and what its removal takes away that was: fake jets, lost jets and "
        "fake missing momentum. Multijet events are simulated flat in the logarithm of their momentum scale and "
        "counted as they are, a stress test rather than a rate, unless a table says that generator weights are used.",
        results=tuple(results),
    )


@dataclass(frozen=True)
class _Tally:
    """What is in the tail and what could be, by crossing and column; the second may be one column for all."""

    tail: NDArray[np.float64]
    entries: NDArray[np.float64]


@dataclass(frozen=True)
class _Question:
    """One table: what is counted, by column."""

    name: str
    title: str
    remark: str
    needs: str
    """Field of the truth."""
    headings: dict[str, str]
    count: Callable[[ak.Array, ak.Array], _Tally]
    """Of truth and view."""


def _questions(settings: TailSettings) -> list[_Question]:
    fakes = [
        _Question(
            name=f"fakes_{region}",
            title=f"Fake jets a crossing, {_eta_range(*limits)}",
            remark=f"AK4 jets further than {settings.distance:g} from any truth jet and prompt lepton",
            needs="jets",
            headings={f"above_{pt:g}": f"pt > {pt:g} GeV" for pt in settings.fake_pt_min},
            count=partial(_fakes, limits=limits, settings=settings),
        )
        for region, limits in ETA_REGIONS.items()
    ]
    lost = _Question(
        name="lost",
        title="Share of truth jets that are lost",
        remark=f"no AK4 jet within {settings.distance:g} has more than {settings.found_share:g} of the truth jet's pt",
        needs="jets",
        headings={
            f"{region}_above_{pt:g}": f"{_eta_range(*limits)}, pt > {pt:g} GeV"
            for region, limits in ETA_REGIONS.items()
            for pt in settings.lost_pt_min
        },
        count=partial(_lost, settings=settings),
    )
    met = _Question(
        name="fake_met",
        title="Share of crossings with fake missing momentum",
        remark="|measured − true missing momentum| above thresholds",
        needs="met",
        headings={f"above_{size:g}": f"> {size:g} GeV" for size in settings.met_min},
        count=partial(_fake_met, settings=settings),
    )
    return [*fakes, lost, met]


def _eta_range(low: float, high: float) -> str:
    return f"{low:g} < |eta| < {high:g}" if low > 0 else f"|eta| < {high:g}"


def _truth_jets(question: _Question, tallies: Mapping[str, _Tally]) -> str:
    """Say how many truth jets there are by column, which are the same for every method; nothing of other tables."""
    if question.name != "lost" or not tallies:
        return ""
    numbers = next(iter(tallies.values())).entries.sum(axis=0)
    return f", {', '.join(f'{number:.0f}' for number in numbers)} truth jets"


def _fakes(truth: ak.Array, view: ak.Array, limits: tuple[float, float], settings: TailSettings) -> _Tally:
    """Return the number of fake jets above each threshold."""
    jets = view.jets[_inside(view.jets, limits)]
    fake = ~near_any(jets, truth.jets, settings.distance)
    if "leptons" in truth.fields:
        fake = fake & ~near_any(jets, truth.leptons, settings.distance)
    return _Tally(
        _columns([ak.sum(fake & (jets.pt > pt), axis=1) for pt in settings.fake_pt_min]), np.ones((len(truth), 1))
    )


def _lost(truth: ak.Array, view: ak.Array, settings: TailSettings) -> _Tally:
    """Return the truth jets that are lost, and all of them, by region and threshold."""
    jets = truth.jets[truth.jets.pt > min(settings.lost_pt_min)]
    if "leptons" in truth.fields:
        jets = jets[~near_any(jets, truth.leptons, settings.distance)]
    true, measured = ak.unzip(ak.cartesian([jets, view.jets], axis=1, nested=True))
    phi = abs(true.phi - measured.phi)
    distance2 = (true.eta - measured.eta) ** 2 + np.minimum(phi, TWO_PI - phi) ** 2
    found = ak.any((distance2 < settings.distance**2) & (measured.pt > settings.found_share * true.pt), axis=2)
    asked = [_inside(jets, limits) & (jets.pt > pt) for limits in ETA_REGIONS.values() for pt in settings.lost_pt_min]
    return _Tally(
        _columns([ak.sum(chosen & ~found, axis=1) for chosen in asked]),
        _columns([ak.sum(chosen, axis=1) for chosen in asked]),
    )


def _fake_met(truth: ak.Array, view: ak.Array, settings: TailSettings) -> _Tally:
    """Return 1 where measured and true missing momentum differ by more than each threshold, else 0."""
    size = np.hypot(*met_residuals(truth, view).T)
    return _Tally(_columns([size > least for least in settings.met_min]), np.ones((len(truth), 1)))


def _inside(jets: ak.Array, limits: tuple[float, float]) -> ak.Array:
    return (abs(jets.eta) >= limits[0]) & (abs(jets.eta) < limits[1])


def _columns(values: Sequence[object]) -> NDArray[np.float64]:
    return np.stack([np.asarray(column, dtype=np.float64) for column in values], axis=1)


def _estimates(tally: _Tally, counts: NDArray[np.float64], weight: NDArray[np.float64]) -> list[Estimate]:
    """Return what is in the tail over what could be, by column; `counts` holds the weights and then every drawing."""
    tail = counts @ tally.tail
    entries = np.broadcast_to(counts @ tally.entries, tail.shape)
    shares = ratio(tail, entries)
    by_crossing = np.broadcast_to(tally.entries, tally.tail.shape)
    numbers, weighted = by_crossing.sum(axis=0), by_crossing * weight[:, np.newaxis]
    return [
        bounded(estimate(shares[:, column]), effective_number(weighted[:, column]))
        if numbers[column] >= LEAST_ENTRIES and weighted[:, column].any()
        else UNKNOWN
        for column in range(tail.shape[1])
    ]
