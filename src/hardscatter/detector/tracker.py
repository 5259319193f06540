"""Which charged particles become tracks, and what the tracker measures of them."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.card import Tracker
from hardscatter.detector.grouping import group
from hardscatter.detector.propagation import Charged
from hardscatter.detector.random import child, log_normal, normals, uniform
from hardscatter.detector.tables import ELECTRON, PtEtaTable, value_at

Floats = NDArray[np.float64]

PION_MASS = 0.13957039

_FAR = 1 << 40  # keys of tracks that share no cell with any other


class TrackRules(NamedTuple):
    """What of the card the kernel needs."""

    eta_cell: float
    """0 where tracks are always apart."""
    phi_cells: int
    max_eta: float
    smearing: float
    position_eta: bool


class Tracks(NamedTuple):
    """Tracks as measured; `source` gives the charged particle behind each."""

    source: NDArray[np.int64]
    pt: Floats
    eta: Floats
    phi: Floats
    energy: Floats
    """Of the true mass, as the calorimeter compares it."""
    resolution: Floats
    """σ/pt (electrons: σ/E) that the tracker quotes."""
    d0_normal: Floats
    """Standard normal numbers for the noise of d0 and dz."""
    dz_normal: Floats


def track_rules(tracker: Tracker) -> TrackRules:
    """Flatten the card for the kernel."""
    dense = tracker.dense_tracks
    position = tracker.eta == "position"
    if not dense.enabled:
        return TrackRules(0.0, 0, math.inf, tracker.direction_smearing, position)
    return TrackRules(dense.eta_cell, dense.phi_cells, dense.max_eta, tracker.direction_smearing, position)


@kernel
def separated(charged: Charged, rules: TrackRules) -> NDArray[np.bool_]:
    """Tell which particles are the hardest in their cell of the dense-track surface.

    A particle that starts beyond the surface shares its cell with none; one that crosses it beyond `max_eta` is
    lost. Source: Delphes, DenseTrackFilter.
    """
    n = len(charged.pt)
    if rules.eta_cell == 0.0:
        return np.ones(n, dtype=np.bool_)
    keys = np.empty(n, dtype=np.int64)
    rows_per_side = math.ceil(rules.max_eta / rules.eta_cell) + 1
    for i in range(n):
        if math.isnan(charged.dense_eta[i]):
            keys[i] = _FAR + i
        elif abs(charged.dense_eta[i]) >= rules.max_eta:
            keys[i] = -1
        else:
            row = math.ceil(charged.dense_eta[i] / rules.eta_cell) + rows_per_side
            column = math.ceil((charged.dense_phi[i] + math.pi) * rules.phi_cells / (2.0 * math.pi))
            keys[i] = row * (rules.phi_cells + 2) + column
    cells = group(keys)
    hardest = np.full(len(cells.key), -1)
    for i in range(n):
        cell = cells.of[i]
        if cell >= 0 and (hardest[cell] < 0 or charged.pt[i] > charged.pt[hardest[cell]]):
            hardest[cell] = i
    result = np.zeros(n, dtype=np.bool_)
    for i in hardest:
        result[i] = True
    return result


@kernel
def measure_tracks(
    charged: Charged, kinds: NDArray[np.int64], rules: TrackRules, efficiency: PtEtaTable, resolution: PtEtaTable,
    key: np.uint64,
) -> Tracks:  # fmt: skip
    """Find and measure tracks.

    A particle that is alone in its cell is found with the efficiency at its pt and eta. Its eta and phi are smeared
    by a Gaussian; the pt of hadrons and muons by a log-normal of mean pt and width σ·pt (σ at most 1), the energy of
    electrons by a Gaussian of width σ·E (lost if ≤ 0).

    Source: Delphes, DenseTrackFilter, Efficiency, MomentumSmearing, EnergySmearing.
    """
    n = len(charged.pt)
    alone = separated(charged, rules)
    out = Tracks(
        np.empty(n, dtype=np.int64), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        np.empty(n),
    )  # fmt: skip
    n_tracks = 0
    for i in range(n):
        true_pt, mass, kind = charged.pt[i], charged.mass[i], kinds[i]
        eta_of_tables = charged.outer_eta[i] if rules.position_eta else charged.eta[i]
        own = child(child(key, charged.interaction[i]), charged.particle[i])
        if not alone[i] or uniform(own, 0) >= value_at(efficiency, kind, true_pt, eta_of_tables):
            continue
        normal_eta, normal_phi = normals(own, 1)
        eta = charged.eta[i] + rules.smearing * normal_eta
        error = min(value_at(resolution, kind, true_pt, eta_of_tables), 1.0)
        normal_pt = normals(own, 3)[0]
        if kind == ELECTRON:
            energy = math.hypot(true_pt * math.cosh(eta), mass) * (1.0 + error * normal_pt)
            if energy <= mass:
                continue
            pt = math.sqrt(energy * energy - mass * mass) / math.cosh(eta)
        else:
            pt = log_normal(true_pt, error * true_pt, normal_pt)
            energy = math.hypot(pt * math.cosh(eta), mass)
        out.source[n_tracks] = i
        out.pt[n_tracks], out.eta[n_tracks], out.energy[n_tracks] = pt, eta, energy
        out.phi[n_tracks] = charged.phi[i] + rules.smearing * normal_phi
        out.resolution[n_tracks] = error
        out.d0_normal[n_tracks], out.dz_normal[n_tracks] = normals(own, 5)
        n_tracks += 1
    return Tracks(
        out.source[:n_tracks], out.pt[:n_tracks], out.eta[:n_tracks], out.phi[:n_tracks], out.energy[:n_tracks],
        out.resolution[:n_tracks], out.d0_normal[:n_tracks], out.dz_normal[:n_tracks],
    )  # fmt: skip
