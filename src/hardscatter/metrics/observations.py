"""What is measured of each crossing: jet responses, τ₃/τ₂, fake jets, missing momentum, H_T.

Observations are small and flat, so those of many files fit in memory, and joining them is concatenation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingFieldError
from hardscatter.events import Events, flat
from hardscatter.jets import cluster
from hardscatter.met import missing_momentum
from hardscatter.metrics.definitions import DESIGN, Definition, HtStudy, JetStudy
from hardscatter.metrics.matching import near_any
from hardscatter.metrics.records import Records
from hardscatter.metrics.substructure import tau32_of, with_truth_tau32

_Tau32 = Callable[[JetStudy, NDArray[np.int64]], NDArray[np.float64]]
"""Gives τ₃/τ₂ of the jets at these places among a study's flat jets; NaN at −1."""

FAKE_DISTANCE = 0.4
"""A reconstructed jet further than this from every truth jet and prompt lepton is a fake."""


@dataclass(frozen=True)
class JetObservations:
    """Responses of truth jets, flat, with the event each belongs to; −1 stands for a lost jet."""

    event: NDArray[np.int64]
    truth_pt: NDArray[np.float64]
    truth_eta: NDArray[np.float64]
    pt_response: NDArray[np.float64]
    """reconstructed pt / truth pt − 1."""
    mass_response: NDArray[np.float64]
    """The same of the mass; NaN where the study does not ask or the truth mass is 0."""
    tau32: NDArray[np.float64]
    """Reconstructed τ₃/τ₂; NaN for a lost jet, or where it or the true one is not defined or not asked for."""
    truth_tau32: NDArray[np.float64]
    """The true one; NaN where it is not defined, not known or not asked for."""
    matched: NDArray[np.bool_]
    fakes: NDArray[np.int64]
    """Fake jets of each event, shape (events,); empty if not counted."""


@dataclass(frozen=True)
class Observations:
    """Everything measured with one weight vector."""

    definition: Definition
    n_events: int
    jets: dict[str, JetObservations]
    met: NDArray[np.float64] | None
    """Measured missing momentum (x, y), GeV, shape (events, 2); None without truth to compare with."""
    truth_met: NDArray[np.float64] | None
    """The true one; NaN in events whose truth does not say."""
    ht: NDArray[np.float64] | None = None
    """Scalar sum of the reconstructed jets' pt, GeV, shape (events,); None if not asked for or without truth."""
    truth_ht: NDArray[np.float64] | None = None
    """The same of the truth jets; 0 where there is none."""


def observe(events: Events, weights: ak.Array, definition: Definition = DESIGN) -> Observations:
    """Measure crossings as one weight vector makes them.

    Parameters
    ----------
    events
        Crossings with truth: studies whose truth is missing are left out.
    weights
        Jagged, in [0, 1], aligned with the candidates.
    definition
        What to measure.

    Raises
    ------
    MissingFieldError
        If there is no truth to compare with at all.
    """
    studies = [study for study in definition.jets if events.has(f"truth.{study.truth}")]
    if not studies and not events.has("truth.met"):
        raise MissingFieldError(
            "a resolution needs truth.jets or truth.met, which these events lack: "
            "use simulation, or pass truth= to hs.from_candidates."
        )
    events = with_truth_tau32(events, studies)
    clustered = {
        (study.radius, study.pt_min): cluster(events, weights, radius=study.radius, min_pt=study.pt_min)
        for study in studies
    }

    def tau32(study: JetStudy, partner: NDArray[np.int64]) -> NDArray[np.float64]:
        return tau32_of(events, clustered[study.radius, study.pt_min], weights, partner, study.radius)

    ht = definition.ht
    if ht is not None and events.has(f"truth.{ht.truth}") and not _reaching(clustered, ht):
        clustered[ht.radius, ht.pt_min] = cluster(events, weights, radius=ht.radius, min_pt=ht.pt_min)
    momentum = missing_momentum(events, weights) if events.has("truth.met") else None
    return _observed(events.truth, clustered, momentum, definition, tau32)


def observe_view(truth: ak.Array, view: ak.Array, definition: Definition = DESIGN) -> Observations:
    """Measure recorded crossings (`hardscatter.metrics.records`): what `observe` measures of the crossings themselves.

    τ₃/τ₂ is known of the hardest AK8 jets only. Studies of jets softer than those that were recorded see what there is.
    """
    radii = {0.4: view.jets, 0.8: view.fat_jets}
    ht = definition.ht
    wanted = {(study.radius, study.pt_min) for study in definition.jets} | ({(ht.radius, ht.pt_min)} if ht else set())
    clustered = {(radius, pt_min): radii[radius][radii[radius].pt >= pt_min] for radius, pt_min in wanted}

    def tau32(study: JetStudy, partner: NDArray[np.int64]) -> NDArray[np.float64]:
        values = np.append(flat(clustered[study.radius, study.pt_min].tau32, np.float64), np.nan)
        return np.asarray(values[partner])

    return _observed(truth, clustered, view.met, definition, tau32)


def observe_records(records: Records, definition: Definition = DESIGN) -> dict[str, Observations]:
    """Measure every view of recorded crossings, that of the same collisions without pileup as well."""
    return {name: observe_view(records.truth, view, definition) for name, view in records.views.items()}


def _observed(
    truth: ak.Array,
    clustered: Mapping[tuple[float, float], ak.Array],
    momentum: ak.Array | None,
    definition: Definition,
    tau32: _Tau32,
) -> Observations:
    """Compare jets and missing momentum with the truth; jets come by radius and least pt."""
    known = set(truth.fields)
    leptons = truth.leptons if "leptons" in known else None
    jets = {
        study.name: _observe_jets(truth[study.truth], leptons, clustered[study.radius, study.pt_min], study, tau32)
        for study in definition.jets
        if study.truth in known
    }
    met = truth_met = ht = truth_ht = None
    if "met" in known and momentum is not None:
        met = np.stack([ak.to_numpy(momentum.px), ak.to_numpy(momentum.py)], axis=1).astype(np.float64)
        pt, phi = (ak.to_numpy(truth.met[name]).astype(np.float64) for name in ("pt", "phi"))
        truth_met = np.stack([pt * np.cos(phi), pt * np.sin(phi)], axis=1)
    study = definition.ht
    if study is not None and study.truth in known:
        ht = _scalar_sum(clustered[_reaching(clustered, study)[0]], study)
        truth_ht = _scalar_sum(truth[study.truth], study)
    return Observations(definition, len(truth), jets, met, truth_met, ht, truth_ht)


def _reaching(clustered: Mapping[tuple[float, float], ak.Array], study: HtStudy) -> list[tuple[float, float]]:
    """Return which jets reach as low as H_T needs them."""
    return [(radius, pt_min) for radius, pt_min in clustered if radius == study.radius and pt_min <= study.pt_min]


def _scalar_sum(jets: ak.Array, study: HtStudy) -> NDArray[np.float64]:
    """Return H_T = Σ pt of the jets of each event above the study's momentum and inside its eta."""
    chosen = jets.pt[(jets.pt > study.pt_min) & (abs(jets.eta) < study.eta_max)]
    return np.asarray(ak.sum(chosen, axis=1), dtype=np.float64)


def _observe_jets(
    truth: ak.Array, leptons: ak.Array | None, jets: ak.Array, study: JetStudy, tau32: _Tau32
) -> JetObservations:
    central = (abs(truth.eta) >= study.eta_min) & (abs(truth.eta) < study.eta_max)
    selected = central & (truth.pt > study.truth_pt_min) & (truth.pt < study.truth_pt_max)
    if leptons is not None and study.lepton_distance is not None:
        selected = selected & ~near_any(truth, leptons, study.lepton_distance)
    chosen = truth[selected]
    partner = study.matching(chosen, jets, study.match_radius)
    matched = partner >= 0
    truth_pt = flat(chosen.pt, np.float64)
    mass_response = np.full(len(truth_pt), np.nan)
    if "mass" in study.quantities:
        mass_response = _response(flat(jets.mass, np.float64), partner, flat(chosen.mass, np.float64))
    found_tau32 = truth_tau32 = np.full(len(truth_pt), np.nan)
    if "tau32" in study.quantities and "tau32" in chosen.fields:
        truth_tau32 = flat(chosen.tau32, np.float64)
        found_tau32 = tau32(study, np.where(np.isfinite(truth_tau32), partner, -1))
    fakes = np.zeros(0, dtype=np.int64)
    if study.fake_pt_min is not None:
        hard = jets[(jets.pt > study.fake_pt_min) & (abs(jets.eta) >= study.eta_min) & (abs(jets.eta) < study.eta_max)]
        fake = ~near_any(hard, truth, FAKE_DISTANCE)
        if leptons is not None:
            fake = fake & ~near_any(hard, leptons, FAKE_DISTANCE)
        fakes = ak.to_numpy(ak.sum(fake, axis=1)).astype(np.int64)
    return JetObservations(
        event=np.repeat(np.arange(len(truth)), ak.to_numpy(ak.num(chosen.pt, axis=1))),
        truth_pt=truth_pt,
        truth_eta=flat(chosen.eta, np.float64),
        pt_response=_response(flat(jets.pt, np.float64), partner, truth_pt),
        mass_response=mass_response,
        tau32=found_tau32,
        truth_tau32=truth_tau32,
        matched=matched,
        fakes=fakes,
    )


def _response(
    measured: NDArray[np.float64], partner: NDArray[np.int64], truth: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return measured / truth − 1, −1 without a partner, NaN where truth is 0."""
    found = np.zeros(len(truth))
    found[partner >= 0] = measured[partner[partner >= 0]]
    ratio = np.divide(found, truth, out=np.full(len(truth), np.nan), where=truth > 0)
    return np.asarray(ratio - 1.0)


def join(parts: Sequence[Observations]) -> Observations:
    """Join observations of consecutive batches of events that were made with the same method and definition.

    Studies that not every batch could make are dropped.
    """
    offsets = np.cumsum([0, *(part.n_events for part in parts)])
    names = [name for name in parts[0].jets if all(name in part.jets for part in parts)]
    jets = {}
    for name in names:
        pieces = [part.jets[name] for part in parts]
        joined = {
            field.name: np.concatenate([getattr(piece, field.name) for piece in pieces])
            for field in fields(JetObservations)
            if field.name != "event"
        }
        event = np.concatenate([piece.event + offset for piece, offset in zip(pieces, offsets, strict=False)])
        jets[name] = JetObservations(event=event, **joined)
    return Observations(
        definition=parts[0].definition,
        n_events=int(offsets[-1]),
        jets=jets,
        met=_joined([part.met for part in parts]),
        truth_met=_joined([part.truth_met for part in parts]),
        ht=_joined([part.ht for part in parts]),
        truth_ht=_joined([part.truth_ht for part in parts]),
    )


def _joined(parts: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """Return the parts one after the other; None if one is missing."""
    there = [part for part in parts if part is not None]
    return np.concatenate(there) if len(there) == len(parts) else None
