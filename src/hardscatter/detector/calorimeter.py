"""Deposits merge in towers, towers are smeared, and particle flow tells their charged content from the rest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.grouping import group
from hardscatter.detector.propagation import Deposits
from hardscatter.detector.random import child, log_normal, normals, uniform
from hardscatter.detector.tables import CalorimeterTable, TowerGrid, energy_error, tower_number

Floats = NDArray[np.float64]

_NO_DEPOSIT = 1e-9


class TowerSums(NamedTuple):
    """What truly hit each tower, and the tracks that lead to it; one entry a tower that was hit."""

    number: NDArray[np.int64]
    """Place in the grid."""
    energy: Floats
    """Σ E·fraction of all particles, GeV."""
    hard: Floats
    """The part of it from the hard collision."""
    unseen: Floats
    """The part of `energy` from particles without a track."""
    unseen_hard: Floats
    track_energy: Floats
    """Σ E·fraction of tracks, as measured."""
    track_variance: Floats
    """Σ of the tracks' squared errors, GeV²."""


class Neutrals(NamedTuple):
    """Neutral candidates of one calorimeter: massless, at a place inside their tower."""

    tower: NDArray[np.int64]
    """Number of the tower in the grid."""
    energy: Floats
    eta: Floats
    phi: Floats
    hard_fraction: Floats
    """Hard share of what the tracks do not explain."""
    deposit_hard_fraction: Floats
    """Hard share of all deposits of the tower, as Delphes counts."""


@kernel
def sum_towers(
    deposits: Deposits, track_deposit: NDArray[np.int64], track_energy: Floats, track_resolution: Floats,
    table: CalorimeterTable,
) -> tuple[TowerSums, NDArray[np.int64]]:  # fmt: skip
    """Add up deposits and tracks by tower; the second result is the tower of each track, −1 for none.

    A track belongs to the tower that its own particle hit. Its error is resolution·E, with E the deposited part of
    its energy where the calorimeter is better than the tracker, else all of it. Source: SimpleCalorimeter.
    """
    numbers = np.empty(len(deposits.energy), dtype=np.int64)
    for i in range(len(numbers)):
        numbers[i] = -1
        if table.fraction[deposits.species[i]] > _NO_DEPOSIT:
            numbers[i] = tower_number(table.grid, deposits.eta[i], deposits.phi[i])
    towers = group(numbers)
    n = len(towers.key)
    sums = TowerSums(towers.key, np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))
    seen = np.zeros(len(numbers), dtype=np.bool_)
    tower_of_track = np.full(len(track_deposit), -1)
    for t in range(len(track_deposit)):
        tower = towers.of[track_deposit[t]]
        seen[track_deposit[t]] = True
        tower_of_track[t] = tower
        if tower < 0:
            continue
        energy = track_energy[t]
        deposited = energy * table.fraction[deposits.species[track_deposit[t]]]
        calorimeter_error = energy_error(table.grid, _row(table.grid, towers.key[tower]), energy) / energy
        guess = deposited if calorimeter_error < track_resolution[t] else energy
        sums.track_energy[tower] += deposited
        sums.track_variance[tower] += (track_resolution[t] * guess) ** 2
    for i in range(len(numbers)):
        tower = towers.of[i]
        if tower < 0:
            continue
        deposited = deposits.energy[i] * table.fraction[deposits.species[i]]
        sums.energy[tower] += deposited
        sums.hard[tower] += deposited if deposits.hard[i] else 0.0
        sums.unseen[tower] += 0.0 if seen[i] else deposited
        sums.unseen_hard[tower] += deposited if deposits.hard[i] and not seen[i] else 0.0
    return sums, tower_of_track


@kernel
def flow(sums: TowerSums, table: CalorimeterTable, key: np.uint64) -> tuple[Neutrals, Floats]:
    """Measure towers and tell neutral from charged.

    Per tower: E is log-normal about the true sum with σ(E_true); set to 0 below the threshold or one (or
    `min_significance`) σ(E). Excess E_n = max(E − E_tracks, 0). If E_n exceeds the threshold and
    E_n/√(σ_tracks² + σ²) the significance, a neutral of energy E_n stands somewhere in the tower; else the tracks
    are rescaled to the inverse-variance mean of E_tracks and E. The second result is that factor for each tower.

    The hard fraction of a neutral is (E_hard − E_hard tracks)/(E − E_tracks) of true deposits; where tracks explain
    all of them (the excess is a fluctuation) it is the hard share of all deposits.

    Source: Delphes, SimpleCalorimeter.
    """
    n = len(sums.number)
    out = Neutrals(np.empty(n, dtype=np.int64), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n))
    factor = np.ones(n)
    n_neutrals = 0
    for tower in range(n):
        row = _row(table.grid, sums.number[tower])
        own = child(key, sums.number[tower])
        energy = log_normal(sums.energy[tower], energy_error(table.grid, row, sums.energy[tower]), normals(own, 0)[0])
        sigma = energy_error(table.grid, row, energy)
        if energy < table.min_energy or energy < table.min_significance * sigma:
            energy = 0.0
        tracks, variance = sums.track_energy[tower], sums.track_variance[tower]
        excess = max(energy - tracks, 0.0)
        if excess <= table.min_energy or excess <= table.min_significance * math.sqrt(variance + sigma * sigma):
            if tracks > 0.0:
                factor[tower] = _best_energy(tracks, variance, energy, sigma) / tracks
            continue
        out.tower[n_neutrals], out.energy[n_neutrals] = sums.number[tower], excess
        out.eta[n_neutrals], out.phi[n_neutrals] = _place(table, sums.number[tower], row, own)
        all_hard = sums.hard[tower] / sums.energy[tower]
        explained = sums.unseen[tower] <= 0.0
        out.hard_fraction[n_neutrals] = all_hard if explained else sums.unseen_hard[tower] / sums.unseen[tower]
        out.deposit_hard_fraction[n_neutrals] = all_hard
        n_neutrals += 1
    neutrals = Neutrals(
        out.tower[:n_neutrals], out.energy[:n_neutrals], out.eta[:n_neutrals], out.phi[:n_neutrals],
        out.hard_fraction[:n_neutrals], out.deposit_hard_fraction[:n_neutrals],
    )  # fmt: skip
    return neutrals, factor


@kernel
def _best_energy(tracks: float, variance: float, energy: float, sigma: float) -> float:
    """Return the inverse-variance mean of what tracks and tower say; tracks without an error are right."""
    if variance == 0.0 or sigma == 0.0:
        return tracks
    track_weight, tower_weight = 1.0 / variance, 1.0 / (sigma * sigma)
    return (track_weight * tracks + tower_weight * energy) / (track_weight + tower_weight)


@kernel
def _row(grid: TowerGrid, number: int) -> int:
    return int(np.searchsorted(grid.first, number, side="right")) - 1


@kernel
def _place(table: CalorimeterTable, number: int, row: int, key: np.uint64) -> tuple[float, float]:
    """Return where in its tower a neutral is put."""
    grid = table.grid
    across, around = (uniform(key, 2), uniform(key, 3)) if table.smear_centre else (0.5, 0.5)
    eta = grid.edges[row] + across * (grid.edges[row + 1] - grid.edges[row])
    cell = number - grid.first[row] + around
    return eta, -math.pi + 2.0 * math.pi * cell / grid.phi_cells[row]
