"""What is measured of each crossing: jet responses, τ₃/τ₂, fake jets, missing momentum, H_T.

Observations are small and flat, so those of many files fit in memory, and joining them is concatenation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
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
from hardscatter.metrics.substructure import tau32_of, with_truth_tau32

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
    jets = {
        study.name: _observe_jets(events, weights, clustered[study.radius, study.pt_min], study) for study in studies
    }
    met = truth_met = None
    if events.has("truth.met"):
        momentum = missing_momentum(events, weights)
        met = np.stack([ak.to_numpy(momentum.px), ak.to_numpy(momentum.py)], axis=1)
        pt, phi = (ak.to_numpy(events.truth.met[name]).astype(np.float64) for name in ("pt", "phi"))
        truth_met = np.stack([pt * np.cos(phi), pt * np.sin(phi)], axis=1)
    ht = truth_ht = None
    if definition.ht is not None and events.has(f"truth.{definition.ht.truth}"):
        ht = _scalar_sum(_jets_of(events, weights, clustered, definition.ht), definition.ht)
        truth_ht = _scalar_sum(events.truth[definition.ht.truth], definition.ht)
    return Observations(definition, len(events), jets, met, truth_met, ht, truth_ht)


def _jets_of(
    events: Events, weights: ak.Array, clustered: Mapping[tuple[float, float], ak.Array], study: HtStudy
) -> ak.Array:
    """Return the jets that H_T sums up: those that are there already, if they reach as low."""
    lower = [key for key in clustered if key[0] == study.radius and key[1] <= study.pt_min]
    return clustered[lower[0]] if lower else cluster(events, weights, radius=study.radius, min_pt=study.pt_min)


def _scalar_sum(jets: ak.Array, study: HtStudy) -> NDArray[np.float64]:
    """Return H_T = Σ pt of the jets of each event above the study's momentum and inside its eta."""
    chosen = jets.pt[(jets.pt > study.pt_min) & (abs(jets.eta) < study.eta_max)]
    return np.asarray(ak.sum(chosen, axis=1), dtype=np.float64)


def _observe_jets(events: Events, weights: ak.Array, jets: ak.Array, study: JetStudy) -> JetObservations:
    truth = events.truth[study.truth]
    central = (abs(truth.eta) >= study.eta_min) & (abs(truth.eta) < study.eta_max)
    selected = central & (truth.pt > study.truth_pt_min) & (truth.pt < study.truth_pt_max)
    leptons = events.truth.leptons if events.has("truth.leptons") else None
    if leptons is not None and study.lepton_distance is not None:
        selected = selected & ~near_any(truth, leptons, study.lepton_distance)
    chosen = truth[selected]
    partner = study.matching(chosen, jets, study.match_radius)
    matched = partner >= 0
    truth_pt = flat(chosen.pt, np.float64)
    mass_response = np.full(len(truth_pt), np.nan)
    if "mass" in study.quantities:
        mass_response = _response(flat(jets.mass, np.float64), partner, flat(chosen.mass, np.float64))
    tau32 = truth_tau32 = np.full(len(truth_pt), np.nan)
    if "tau32" in study.quantities and "tau32" in chosen.fields:
        truth_tau32 = flat(chosen.tau32, np.float64)
        asked = np.where(np.isfinite(truth_tau32), partner, -1)
        tau32 = tau32_of(events, jets, weights, asked, study.radius)
    fakes = np.zeros(0, dtype=np.int64)
    if study.fake_pt_min is not None:
        hard = jets[(jets.pt > study.fake_pt_min) & (abs(jets.eta) >= study.eta_min) & (abs(jets.eta) < study.eta_max)]
        fake = ~near_any(hard, truth, FAKE_DISTANCE)
        if leptons is not None:
            fake = fake & ~near_any(hard, leptons, FAKE_DISTANCE)
        fakes = ak.to_numpy(ak.sum(fake, axis=1)).astype(np.int64)
    return JetObservations(
        event=np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(chosen.pt, axis=1))),
        truth_pt=truth_pt,
        truth_eta=flat(chosen.eta, np.float64),
        pt_response=_response(flat(jets.pt, np.float64), partner, truth_pt),
        mass_response=mass_response,
        tau32=tau32,
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
