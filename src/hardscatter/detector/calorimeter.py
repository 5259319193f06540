"""Deposits merge in towers, towers are smeared, and particle flow tells their charged content from the rest."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.grouping import group_few
from hardscatter.detector.propagation import Deposits
from hardscatter.detector.random import child, log_normal, normals, uniform
from hardscatter.detector.tables import CalorimeterTable, TowerGrid, error_of, tower_numbers

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
    numbers = tower_numbers(table.grid, deposits.eta, deposits.phi)
    _leave_out(numbers, table.fraction, deposits.species)
    towers = group_few(numbers, len(table.grid.row))
    n = len(towers.key)
    sums = TowerSums(towers.key, np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n), np.zeros(n))
    tower_of_track = towers.of[track_deposit]
    fraction = table.fraction[deposits.species[track_deposit]]
    _add_tracks(tower_of_track, track_energy, track_resolution, fraction, table.grid, sums)
    seen = np.zeros(len(numbers), dtype=np.bool_)
    seen[track_deposit] = True
    _add_deposits(towers.of, deposits, seen, table.fraction, sums)
    return sums, tower_of_track


@kernel
def _leave_out(numbers: NDArray[np.int64], fraction: Floats, species: NDArray[np.uint8]) -> None:
    """Take deposits of next to nothing out of their towers."""
    for i in range(len(numbers)):
        if fraction[species[i]] <= _NO_DEPOSIT:
            numbers[i] = -1


@kernel
def _add_tracks(
    tower_of: NDArray[np.int64], energies: Floats, resolutions: Floats, fractions: Floats, grid: TowerGrid,
    sums: TowerSums,
) -> None:  # fmt: skip
    number, sum_energy, sum_variance = sums.number, sums.track_energy, sums.track_variance
    rows, constant2, stochastic2, noise2 = grid.row, grid.constant2, grid.stochastic2, grid.noise2
    for t in range(len(tower_of)):
        tower = tower_of[t]
        if tower < 0:
            continue
        energy, resolution = energies[t], resolutions[t]
        deposited = energy * fractions[t]
        row = rows[number[tower]]
        calorimeter_error = error_of(constant2[row], stochastic2[row], noise2[row], energy) / energy
        guess = deposited if calorimeter_error < resolution else energy
        sum_energy[tower] += deposited
        sum_variance[tower] += (resolution * guess) ** 2


@kernel
def _add_deposits(
    tower_of: NDArray[np.int64], deposits: Deposits, seen: NDArray[np.bool_], fraction: Floats, sums: TowerSums
) -> None:
    energies, species, hard = deposits.energy, deposits.species, deposits.hard
    sum_all, sum_hard, sum_unseen, sum_unseen_hard = sums.energy, sums.hard, sums.unseen, sums.unseen_hard
    for i in range(len(tower_of)):
        tower = tower_of[i]
        if tower < 0:
            continue
        deposited = energies[i] * fraction[species[i]]
        sum_all[tower] += deposited
        sum_unseen[tower] += 0.0 if seen[i] else deposited
        if hard[i]:
            sum_hard[tower] += deposited
            sum_unseen_hard[tower] += 0.0 if seen[i] else deposited


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
    energies, sigmas = _measure(sums.number, sums.energy, table, key)
    excess, factor = np.empty(n), np.ones(n)
    neutral, n_neutrals = np.empty(n, dtype=np.int64), 0
    track_energy, track_variance = sums.track_energy, sums.track_variance
    for tower in range(n):
        energy, sigma = energies[tower], sigmas[tower]
        tracks, variance = track_energy[tower], track_variance[tower]
        over = max(energy - tracks, 0.0)
        if over > table.min_energy and over > table.min_significance * math.sqrt(variance + sigma * sigma):
            neutral[n_neutrals], excess[n_neutrals] = tower, over
            n_neutrals += 1
        elif tracks > 0.0:
            factor[tower] = _best_energy(tracks, variance, energy, sigma) / tracks
    return _neutrals(neutral[:n_neutrals], excess[:n_neutrals], sums, table, key), factor


@kernel
def _measure(
    numbers: NDArray[np.int64], true: Floats, table: CalorimeterTable, key: np.uint64
) -> tuple[Floats, Floats]:
    """Return the measured energy of each tower, 0 below the thresholds, and σ of that before they are asked."""
    grid = table.grid
    energies, sigmas = np.empty(len(true)), np.empty(len(true))
    for tower in range(len(true)):
        row = grid.row[numbers[tower]]
        terms = grid.constant2[row], grid.stochastic2[row], grid.noise2[row]
        energy = log_normal(true[tower], error_of(*terms, true[tower]), normals(child(key, numbers[tower]), 0)[0])
        sigma = error_of(*terms, energy)
        read_out = energy >= table.min_energy and energy >= table.min_significance * sigma
        energies[tower], sigmas[tower] = energy if read_out else 0.0, sigma
    return energies, sigmas


@kernel
def _neutrals(
    chosen: NDArray[np.int64], excess: Floats, sums: TowerSums, table: CalorimeterTable, key: np.uint64
) -> Neutrals:
    """Put what is too much for the tracks of the `chosen` towers somewhere into them."""
    n = len(chosen)
    number, energy, hard = sums.number[chosen], sums.energy[chosen], sums.hard[chosen]
    unseen, unseen_hard = sums.unseen[chosen], sums.unseen_hard[chosen]
    rows, edges, first, phi_cells = table.grid.row, table.grid.edges, table.grid.first, table.grid.phi_cells
    eta, phi, hard_fraction, all_hard = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    for i in range(n):
        own, row = child(key, number[i]), rows[number[i]]
        across, around = (uniform(own, 2), uniform(own, 3)) if table.smear_centre else (0.5, 0.5)
        eta[i] = edges[row] + across * (edges[row + 1] - edges[row])
        cell = number[i] - first[row] + around
        phi[i] = -math.pi + 2.0 * math.pi * cell / phi_cells[row]
        all_hard[i] = hard[i] / energy[i]
        hard_fraction[i] = all_hard[i] if unseen[i] <= 0.0 else unseen_hard[i] / unseen[i]
    return Neutrals(number, excess, eta, phi, hard_fraction, all_hard)


@kernel
def _best_energy(tracks: float, variance: float, energy: float, sigma: float) -> float:
    """Return the inverse-variance mean of what tracks and tower say; tracks without an error are right."""
    if variance == 0.0 or sigma == 0.0:
        return tracks
    track_weight, tower_weight = 1.0 / variance, 1.0 / (sigma * sigma)
    return (track_weight * tracks + tower_weight * energy) / (track_weight + tower_weight)
