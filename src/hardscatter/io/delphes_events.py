"""How events come from Delphes' tracks and towers, whichever file holds them.

Tracks, photons and neutral hadrons follow each other in that order in each event.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.events import LEADING, NO_VERTEX, PILEUP, Events, from_candidates
from hardscatter.geometry.angles import delta_r
from hardscatter.io.root import Table
from hardscatter.io.tracks import TrackResolution, noise

TRACK_LEAVES = ("PT", "Eta", "Phi", "Mass", "Charge", "PID", "IsRecoPU", "IsPU", "D0", "DZ")
TOWER_LEAVES = ("ET", "Eta", "Phi", "E", "HardEnergyFraction")
CANDIDATE_LEAVES = (
    "PT", "Eta", "Phi", "E", "Charge", "PID", "IsRecoPU", "IsPU", "HardEnergyFraction", "D0", "DZ",
)  # fmt: skip
JET_LEAVES = ("PT", "Eta", "Phi", "Mass")

PHOTON = 22
NEUTRAL_HADRON = 130


@dataclass(frozen=True)
class PromptLepton:
    """What makes a track a prompt lepton, for files without generator leptons."""

    min_pt: float = 10.0
    radius: float = 0.3
    max_share: float = 0.15


@dataclass(frozen=True)
class Crossing:
    """What a Delphes file says of each event besides its candidates; None where it says nothing."""

    event: NDArray[np.int64]
    n_vertices: NDArray[np.int32] | None
    leading_z: NDArray[np.float64]
    vertices: ak.Array | None = None
    jets: Table | None = None
    fat_jets: Table | None = None
    met: Mapping[str, NDArray[Any]] | None = None


def from_tracks(tracks: Table) -> Table:
    """Turn the leaves of Delphes' class Track (`TRACK_LEAVES`) into candidates, d0 and dz as in the file."""
    pt, eta = tracks["PT"].astype(np.float64), tracks["Eta"].astype(np.float64)
    energy = np.hypot(pt * np.cosh(eta), tracks["Mass"])
    return _candidates(tracks, "PT", energy, tracks["Charge"], tracks["PID"], hard=1.0 - tracks["IsPU"])


def from_towers(towers: Table, pdg_id: int) -> Table:
    """Turn the leaves of Delphes' class Tower (`TOWER_LEAVES`) into neutral candidates."""
    nothing = np.zeros(len(towers["ET"]), dtype=np.int32)
    return _candidates(towers, "ET", towers["E"], nothing, nothing + pdg_id, towers["HardEnergyFraction"])


def from_mixed(candidates: Table) -> Table:
    """Turn the leaves of Delphes' class ParticleFlowCandidate (`CANDIDATE_LEAVES`) into candidates."""
    charged = candidates["Charge"] != 0
    # Delphes calls every neutral that is not a photon 0. Its hard fraction of tracks is what IsPU says as well.
    pdg_id = np.where(charged | (candidates["PID"] == PHOTON), candidates["PID"], NEUTRAL_HADRON)
    hard = np.where(charged, 1.0 - candidates["IsPU"], candidates["HardEnergyFraction"])
    return _candidates(candidates, "PT", candidates["E"], candidates["Charge"], pdg_id, hard)


def assemble(
    parts: Sequence[Table],
    crossing: Crossing,
    metadata: Mapping[str, Any],
    resolution: TrackResolution | None,
) -> Events:
    """Build events from candidates and what else the file says.

    Parameters
    ----------
    parts
        Results of `from_tracks`, `from_towers`, `from_mixed`; d0 and dz in mm, relative to the beam line.
    crossing
        What the file says of each event.
    metadata
        Provenance; the smearing is added.
    resolution
        How well a tracker would have measured d0 and dz; None leaves the true values, with NaN as their errors.

    Returns
    -------
    Events
        ``dz`` relative to the leading vertex, NaN in an event without one. Prompt leptons are
        leptons among the tracks of the hard scatter (see `PromptLepton`): reconstructed ones, as Delphes keeps no
        generator leptons in these files.
    """
    candidates = _interleave(parts)
    counts = candidates.counts
    jagged = {name: ak.unflatten(values, counts) for name, values in candidates.columns.items() if name != "hard"}
    jagged |= {
        name: ak.unflatten(values.astype(np.float32), counts)
        for name, values in impact_parameters(candidates, crossing, resolution).items()
    }
    smearing = "unsmeared" if resolution is None else resolution.record()
    return from_candidates(
        **jagged,
        n_vertices=crossing.n_vertices,
        vertices=crossing.vertices,
        event=crossing.event,
        truth=_truth(candidates, crossing),
        metadata={**metadata, "smearing": smearing},
    )


def impact_parameters(
    candidates: Table, crossing: Crossing, resolution: TrackResolution | None
) -> dict[str, NDArray[np.float64]]:
    """Return ``d0``, ``dz`` and their errors (mm), dz relative to the leading vertex, NaN without a track.

    Parameters
    ----------
    candidates
        ``pt``, ``eta``, ``charge`` and ``d0``, ``dz`` relative to the beam line, NaN without a track.
    crossing
        Its ``event`` and ``leading_z``.
    resolution
        As for `assemble`.
    """
    dz = candidates["dz"] - np.repeat(crossing.leading_z, candidates.counts)
    charged = candidates["charge"] != 0
    errors = np.full((2, len(dz)), np.nan)
    if resolution is None:
        return {"d0": candidates["d0"], "dz": dz, "d0_error": errors[0], "dz_error": errors[1]}
    pt, eta = candidates["pt"][charged], candidates["eta"][charged]
    errors[:, charged] = resolution.d0(pt, eta), resolution.dz(pt, eta)
    tracks = np.add.reduceat(np.append(charged, False), _starts(candidates.counts), dtype=np.int64)
    tracks[candidates.counts == 0] = 0  # reduceat gives the next event's first element there
    shift = np.zeros_like(errors)
    shift[:, charged] = errors[:, charged] * noise(crossing.event, tracks, resolution.seed)
    errors[1, np.isnan(dz)] = np.nan
    return {
        "d0": candidates["d0"] + shift[0],
        "dz": dz + shift[1],
        "d0_error": errors[0],
        "dz_error": errors[1],
    }


def _candidates(
    source: Table,
    pt: str,
    energy: NDArray[Any],
    charge: NDArray[Any],
    pdg_id: NDArray[Any],
    hard: NDArray[Any],
) -> Table:
    charged = charge != 0
    size = len(charged)
    chosen = np.where(source.columns.get("IsRecoPU", np.zeros(size)) == 0, LEADING, PILEUP)
    track = {name: source.columns.get(leaf, np.zeros(size)) for name, leaf in (("d0", "D0"), ("dz", "DZ"))}
    return Table(
        source.counts,
        {
            "pt": source[pt].astype(np.float32),
            "eta": source["Eta"].astype(np.float32),
            "phi": source["Phi"].astype(np.float32),
            "energy": energy.astype(np.float32),
            "charge": charge.astype(np.int8),
            "pdg_id": pdg_id.astype(np.int32),
            "vertex": np.where(charged, chosen, NO_VERTEX).astype(np.int32),
            "hard": np.clip(hard, 0.0, 1.0).astype(np.float32),
            **{name: np.where(charged, values, np.nan).astype(np.float64) for name, values in track.items()},
        },
    )


def _interleave(parts: Sequence[Table]) -> Table:
    """Put the parts of each event one after the other."""
    if len(parts) == 1:
        return parts[0]
    n_events = len(parts[0].counts)
    event = np.concatenate([np.repeat(np.arange(n_events), part.counts) for part in parts])
    order = np.argsort(event, kind="stable")
    columns = {name: np.concatenate([part[name] for part in parts])[order] for name in parts[0].columns}
    return Table(np.sum([part.counts for part in parts], axis=0), columns)


def _truth(candidates: Table, crossing: Crossing) -> dict[str, Any]:
    truth: dict[str, Any] = {"hard_fraction": candidates.jagged("hard")}
    for name, table in (("jets", crossing.jets), ("fat_jets", crossing.fat_jets)):
        if table is not None:
            truth[name] = ak.zip({leaf.lower(): table.jagged(leaf) for leaf in JET_LEAVES}, depth_limit=2)
    if crossing.met is not None:
        truth["met"] = dict(crossing.met)
    truth["leptons"] = _prompt_leptons(candidates, PromptLepton())
    return truth


def _prompt_leptons(candidates: Table, rule: PromptLepton) -> ak.Array:
    """Pick leptons of the hard scatter with little of the hard scatter around them."""
    pt, eta, phi, hard = (candidates[name].astype(np.float64) for name in ("pt", "eta", "phi", "hard"))
    lepton = np.isin(np.abs(candidates["pdg_id"]), (11, 13)) & (candidates["charge"] != 0)
    starts = _starts(candidates.counts)
    picked = []
    for place in np.flatnonzero(lepton & (hard == 1.0) & (pt > rule.min_pt)):
        event = int(np.searchsorted(starts, place, side="right") - 1)
        around = slice(starts[event], starts[event] + candidates.counts[event])
        near = delta_r(eta[place], phi[place], eta[around], phi[around]) < rule.radius
        others = float(np.sum((hard[around] * pt[around])[near])) - pt[place]
        if others < rule.max_share * pt[place]:
            picked.append(place)
    event_of = np.repeat(np.arange(len(candidates.counts)), candidates.counts)
    chosen = np.array(picked, dtype=np.int64)
    counts = np.bincount(event_of[chosen], minlength=len(candidates.counts))
    columns = {name: ak.unflatten(candidates[name][chosen], counts) for name in ("pt", "eta", "phi", "pdg_id")}
    return ak.zip(columns, depth_limit=2)


def _starts(counts: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.asarray(np.cumsum(counts) - counts, dtype=np.int64)
