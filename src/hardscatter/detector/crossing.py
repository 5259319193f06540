"""One crossing from its collisions to its candidates: the detector from top to bottom."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector import random
from hardscatter.detector.calorimeter import Neutrals, flow, sum_towers
from hardscatter.detector.card import Card
from hardscatter.detector.overlay import Interactions, draw_interactions
from hardscatter.detector.propagation import Charged, Cylinder, Deposits, propagate
from hardscatter.detector.random import child, normals, stream_key
from hardscatter.detector.sources import Source
from hardscatter.detector.tables import HADRON, CalorimeterTable, tables_of
from hardscatter.detector.tracker import PION_MASS, Tracks, measure_tracks, track_rules
from hardscatter.detector.vertices import (
    MeasuredTracks,
    associate,
    associate_as_delphes,
    count_tracks,
    fit_vertices,
    vertex_rules,
)
from hardscatter.events import NO_VERTEX
from hardscatter.io.delphes_events import NEUTRAL_HADRON, PHOTON
from hardscatter.io.tracks import TrackResolution

Floats = NDArray[np.float64]

_CANDIDATE_PDG = np.array([211, -11, -13])  # of a positive hadron, electron, muon


class Candidates(NamedTuple):
    """Candidates of one crossing, hardest first so that their order tells nothing."""

    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]
    energy: NDArray[np.float32]
    charge: NDArray[np.int8]
    pdg_id: NDArray[np.int32]
    vertex: NDArray[np.int32]
    d0: NDArray[np.float32]
    dz: NDArray[np.float32]
    d0_error: NDArray[np.float32]
    dz_error: NDArray[np.float32]
    hard_fraction: NDArray[np.float32]
    delphes_hard_fraction: NDArray[np.float32]


@dataclass(frozen=True)
class Crossing:
    """What comes out of one crossing."""

    candidates: Candidates
    vertices_z: Floats
    """Reconstructed vertices, mm, the leading one first."""
    interactions: Interactions


@dataclass(frozen=True)
class Draw:
    """Which random numbers a crossing uses: `salt` tells apart two simulations of the same collision."""

    seed: int
    event: int
    salt: int = 0

    def key(self, stream: int) -> np.uint64:
        """Return the key of one stream of random numbers."""
        return np.uint64(stream_key(self.seed, self.event, stream, self.salt))


def simulate_crossing(
    hard: Source, hard_event: int, minbias: Source, n_pileup: int, replacement: bool, card: Card, draw: Draw
) -> Crossing:
    """Overlay `n_pileup` collisions on collision `hard_event` of `hard` and run the detector over all particles."""
    tables = tables_of(card)
    interactions = draw_interactions(card.beam, n_pileup, len(minbias.offsets) - 1, draw.seed, draw.event, replacement)
    deposits, charged = propagate(hard, hard_event, minbias, interactions, _cylinder(card), card.tracker.min_pt)
    kinds = tables.kind[deposits.species[charged.deposit]]
    tracks = measure_tracks(
        charged, kinds, track_rules(card.tracker), tables.efficiency, tables.resolution, draw.key(random.TRACK)
    )
    photons, tracks = _through(tables.ecal, deposits, charged, tracks, draw.key(random.ECAL))
    photons = _smear_photons(photons, card.photon_smearing, draw.key(random.PHOTON))
    hadrons, tracks = _through(tables.hcal, deposits, charged, tracks, draw.key(random.HCAL))
    found, vertices_z = _find_vertices(card, charged, tracks, interactions)
    parts = [
        _charged_candidates(card, charged, kinds, tracks, found),
        _neutral_candidates(photons, PHOTON),
        _neutral_candidates(hadrons, NEUTRAL_HADRON),
    ]
    return Crossing(_hardest_first(parts), vertices_z, interactions)


def _cylinder(card: Card) -> Cylinder:
    volume, dense = card.volume, card.tracker.dense_tracks
    return Cylinder(volume.radius, volume.half_length, dense.radius, dense.half_length, volume.field)


def _through(
    table: CalorimeterTable, deposits: Deposits, charged: Charged, tracks: Tracks, key: np.uint64
) -> tuple[Neutrals, Tracks]:
    """Pass tracks through one calorimeter: those that leave energy there are compared with it, the others go on."""
    deposit = charged.deposit[tracks.source]
    touches = np.flatnonzero(table.fraction[deposits.species[deposit]] > 0.0)
    sums, tower = sum_towers(deposits, deposit[touches], tracks.energy[touches], tracks.resolution[touches], table)
    neutrals, factor = flow(sums, table, key)
    inside = tower >= 0  # Delphes loses tracks that point beyond the calorimeter; so do we, below
    pt = tracks.pt.copy()
    pt[touches[inside]] *= factor[tower[inside]]
    mass = charged.mass[tracks.source]
    rescaled = tracks._replace(pt=pt, energy=np.hypot(pt * np.cosh(tracks.eta), mass))
    return neutrals, _without(rescaled, touches[~inside])


def _without(tracks: Tracks, lost: NDArray[np.int64]) -> Tracks:
    if len(lost) == 0:
        return tracks
    return Tracks._make(np.delete(column, lost) for column in tracks)


@kernel
def _smear_photons(photons: Neutrals, relative: float, key: np.uint64) -> Neutrals:
    """Smear the energy of photons by a Gaussian and drop those at or below 0. Source: Delphes, EnergySmearing."""
    tower, energy = photons.tower, photons.energy.copy()
    for i in range(len(energy)):
        energy[i] *= 1.0 + relative * normals(child(key, tower[i]), 0)[0]
    kept = energy > 0.0
    return Neutrals(
        photons.tower[kept], energy[kept], photons.eta[kept], photons.phi[kept], photons.hard_fraction[kept],
        photons.deposit_hard_fraction[kept],
    )  # fmt: skip


class _Found(NamedTuple):
    """What vertexing and impact parameters add to tracks."""

    vertex: NDArray[np.int32]
    d0: Floats
    dz: Floats
    d0_error: Floats
    dz_error: Floats


def _find_vertices(card: Card, charged: Charged, tracks: Tracks, interactions: Interactions) -> tuple[_Found, Floats]:
    """Measure impact parameters, find vertices, and let each track choose one."""
    resolution = track_resolution(card)
    d0_error, z_error = resolution.d0(tracks.pt, tracks.eta), resolution.dz(tracks.pt, tracks.eta)
    noise = 1.0 if card.tracker.impact.smear else 0.0
    d0 = charged.d0[tracks.source] + noise * d0_error * tracks.d0_normal
    z = charged.z[tracks.source] + noise * z_error * tracks.dz_normal
    interaction = charged.interaction[tracks.source]
    if card.vertexing.association == "delphes":
        leading_z, vertices_z = interactions.z[0], interactions.z
        true_error = resolution.dz(charged.pt[tracks.source], charged.eta[tracks.source])
        chosen = associate_as_delphes(interaction, charged.origin_z[tracks.source], leading_z, true_error)
    else:
        measured = MeasuredTracks(interaction, tracks.pt, d0, d0_error, z, z_error)
        rules = vertex_rules(card.vertexing)
        vertices = fit_vertices(measured, interactions.z, rules)
        chosen = associate(measured, vertices, count_tracks(measured, vertices, rules), rules)
        leading_z, vertices_z = vertices.z[0], vertices.z
    if not card.tracker.impact.smear:
        d0_error, z_error = np.full_like(d0, np.nan), np.full_like(z, np.nan)
    return _Found(chosen, d0, z - leading_z, d0_error, z_error), vertices_z


def track_resolution(card: Card) -> TrackResolution:
    """Return the resolution of impact parameters of a card."""
    impact = card.tracker.impact
    return TrackResolution(
        scale_mm=impact.scale_mm, low_pt_slope=impact.low_pt_slope, plateau_pt=impact.plateau_pt,
        plateau=impact.plateau, eta_exponent=impact.eta_exponent,
    )  # fmt: skip


def _charged_candidates(
    card: Card, charged: Charged, kinds: NDArray[np.int64], tracks: Tracks, found: _Found
) -> Candidates:
    """Turn tracks into candidates; an electron's candidate is its track."""
    charge, kind = charged.charge[tracks.source], kinds[tracks.source]
    mass = charged.mass[tracks.source]
    if card.tracker.mass == "pion":
        mass = np.where(kind == HADRON, PION_MASS, mass)
    hard = (charged.interaction[tracks.source] == 0).astype(np.float32)
    return Candidates(
        pt=_narrow(tracks.pt),
        eta=_narrow(tracks.eta),
        phi=_narrow(tracks.phi),
        energy=_narrow(np.hypot(tracks.pt * np.cosh(tracks.eta), mass)),
        charge=np.sign(charge),
        pdg_id=(np.sign(charge) * _CANDIDATE_PDG[kind]).astype(np.int32),
        vertex=found.vertex,
        d0=_narrow(found.d0),
        dz=_narrow(found.dz),
        d0_error=_narrow(found.d0_error),
        dz_error=_narrow(found.dz_error),
        hard_fraction=hard,
        delphes_hard_fraction=hard,
    )


def _neutral_candidates(neutrals: Neutrals, pdg_id: int) -> Candidates:
    n = len(neutrals.energy)
    nothing = np.full(n, np.nan, dtype=np.float32)
    return Candidates(
        pt=_narrow(neutrals.energy / np.cosh(neutrals.eta)),
        eta=_narrow(neutrals.eta),
        phi=_narrow(neutrals.phi),
        energy=_narrow(neutrals.energy),
        charge=np.zeros(n, dtype=np.int8),
        pdg_id=np.full(n, pdg_id, dtype=np.int32),
        vertex=np.full(n, NO_VERTEX, dtype=np.int32),
        d0=nothing,
        dz=nothing,
        d0_error=nothing,
        dz_error=nothing,
        hard_fraction=_narrow(np.clip(neutrals.hard_fraction, 0.0, 1.0)),
        delphes_hard_fraction=_narrow(np.clip(neutrals.deposit_hard_fraction, 0.0, 1.0)),
    )


def _hardest_first(parts: list[Candidates]) -> Candidates:
    """Join charged and neutral candidates by falling pt: the order of simulation would tell hard from pileup."""
    joined = Candidates._make(np.concatenate(columns) for columns in zip(*parts, strict=True))
    order = _falling(joined.pt)
    return Candidates._make(column[order] for column in joined)


def _falling(pt: NDArray[np.float32]) -> NDArray[np.int64]:
    """Return the order of falling pt, above 0; equal ones as they come.

    The bits of such numbers rise as they do. With the place behind them they are whole numbers that NumPy sorts ten
    times as quickly as it argsorts.
    """
    falling = np.uint64(0xFFFFFFFF) - pt.view(np.uint32)
    keys = (falling << np.uint64(32)) | np.arange(len(pt), dtype=np.uint64)
    keys.sort()
    return (keys & np.uint64(0xFFFFFFFF)).astype(np.int64)


def _narrow(values: Floats) -> NDArray[np.float32]:
    return values.astype(np.float32)
