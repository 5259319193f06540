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
from hardscatter.detector.tables import ELECTRON, PtEtaTable, values_at

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
    eta, phi, pt = charged.dense_eta, charged.dense_phi, charged.pt
    for i in range(n):
        if math.isnan(eta[i]):
            keys[i] = _FAR + i
        elif abs(eta[i]) >= rules.max_eta:
            keys[i] = -1
        else:
            row = math.ceil(eta[i] / rules.eta_cell) + rows_per_side
            column = math.ceil((phi[i] + math.pi) * rules.phi_cells / (2.0 * math.pi))
            keys[i] = row * (rules.phi_cells + 2) + column
    cell_of, cells = group(keys)
    hardest = np.full(len(cells), -1)
    for i in range(n):
        cell = cell_of[i]
        if cell >= 0 and (hardest[cell] < 0 or pt[i] > pt[hardest[cell]]):
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
    found = _found(charged, kinds, rules, efficiency, key)
    n = len(found)
    interaction, particle, true_pt, mass = (
        charged.interaction[found], charged.particle[found], charged.pt[found], charged.mass[found]
    )  # fmt: skip
    true_eta, true_phi, kind = charged.eta[found], charged.phi[found], kinds[found]
    eta_of_tables = charged.outer_eta[found] if rules.position_eta else true_eta
    error = np.minimum(values_at(resolution, kind, true_pt, eta_of_tables), 1.0)
    pt, eta, phi, energy, d0, dz = np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    kept = np.ones(n, dtype=np.bool_)
    for i in range(n):
        own = child(child(key, interaction[i]), particle[i])
        normal_eta, normal_phi = normals(own, 1)
        eta[i], phi[i] = true_eta[i] + rules.smearing * normal_eta, true_phi[i] + rules.smearing * normal_phi
        normal_pt = normals(own, 3)[0]
        if kind[i] == ELECTRON:
            energy[i] = math.hypot(true_pt[i] * math.cosh(eta[i]), mass[i]) * (1.0 + error[i] * normal_pt)
            kept[i] = energy[i] > mass[i]
            pt[i] = math.sqrt(max(energy[i] * energy[i] - mass[i] * mass[i], 0.0)) / math.cosh(eta[i])
        else:
            pt[i] = log_normal(true_pt[i], error[i] * true_pt[i], normal_pt)
            energy[i] = math.hypot(pt[i] * math.cosh(eta[i]), mass[i])
        d0[i], dz[i] = normals(own, 5)
    if kept.all():
        return Tracks(found, pt, eta, phi, energy, error, d0, dz)
    return Tracks(found[kept], pt[kept], eta[kept], phi[kept], energy[kept], error[kept], d0[kept], dz[kept])


@kernel
def _found(
    charged: Charged, kinds: NDArray[np.int64], rules: TrackRules, efficiency: PtEtaTable, key: np.uint64
) -> NDArray[np.int64]:
    """Return which particles are found."""
    alone = separated(charged, rules)
    eta = charged.outer_eta if rules.position_eta else charged.eta
    chance = values_at(efficiency, kinds, charged.pt, eta)
    interaction, particle = charged.interaction, charged.particle
    found, n = np.empty(len(chance), dtype=np.int64), 0
    for i in range(len(chance)):
        if not alone[i]:
            continue
        found[n] = i
        n += uniform(child(child(key, interaction[i]), particle[i]), 0) < chance[i]
    return found[:n]
