"""A card's tables as arrays with quick look-ups, for kernels."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.card import ByParticle, Calorimeter, Card, PtEtaBlock

Floats = NDArray[np.float64]

HADRON, ELECTRON, MUON = range(3)
"""Kinds of charged particles, the order of tables by particle."""

_FINE = 4096  # look-up bins over the eta range of a tower grid: finer than any tower


class PtEtaTable(NamedTuple):
    """Piecewise linear functions of pt and |eta|, one for each kind of particle: value = a + b·pt."""

    eta: Floats
    pt: Floats
    a: Floats
    """Shape (kinds, eta bins, pt bins)."""
    b: Floats


class TowerGrid(NamedTuple):
    """Towers numbered from low eta to high, round in phi inside each row."""

    edges: Floats
    phi_cells: NDArray[np.int64]
    """Towers in each row, shape (rows,)."""
    first: NDArray[np.int64]
    """Number of each row's first tower, and the number of all towers at the end."""
    row: NDArray[np.int32]
    """Row of each tower."""
    guess: NDArray[np.int64]
    """A row at or below the one that a fine eta bin lies in."""
    guess_per_eta: float
    constant2: Floats
    """Terms of σ² of each row: constant2·E² + stochastic2·E + noise2."""
    stochastic2: Floats
    noise2: Floats


class CalorimeterTable(NamedTuple):
    """A calorimeter for kernels."""

    grid: TowerGrid
    fraction: Floats
    """Energy fraction by species."""
    min_energy: float
    min_significance: float
    smear_centre: bool


class Tables(NamedTuple):
    """All look-ups of a card."""

    efficiency: PtEtaTable
    resolution: PtEtaTable
    ecal: CalorimeterTable
    hcal: CalorimeterTable
    kind: NDArray[np.int64]
    """HADRON, ELECTRON or MUON by species."""


@lru_cache(maxsize=8)
def tables_of(card: Card) -> Tables:
    """Return the look-ups of a card, made once."""
    pdg = [0, *card.species_pdg()]
    kind = np.array([{11: ELECTRON, 13: MUON}.get(number, HADRON) for number in pdg])
    ecal, hcal = (
        CalorimeterTable(tower_grid(c), fraction, c.min_energy, c.min_significance, c.smear_centre)
        for c, fraction in zip((card.ecal, card.hcal), card.fractions(), strict=True)
    )
    return Tables(
        pt_eta_table(card.tracker.efficiency), pt_eta_table(card.tracker.resolution), ecal, hcal, kind.astype(np.int64)
    )


def pt_eta_table(functions: ByParticle) -> PtEtaTable:
    """Merge the blocks of all particles into one grid of pt and |eta|."""
    kinds = (functions.hadron, functions.electron, functions.muon)
    blocks = [block for kind in kinds for block in kind]
    eta = np.unique(np.array([edge for block in blocks for edge in block.eta]))
    pt = np.unique(np.array([edge for block in blocks for edge in block.pt]))
    a = np.zeros((len(kinds), len(eta) - 1, len(pt) - 1))
    b = np.zeros_like(a)
    for k, kind in enumerate(kinds):
        for block in kind:
            _add_block(block, eta, pt, a[k], b[k])
    return PtEtaTable(eta, pt, a, b)


def _add_block(block: PtEtaBlock, eta: Floats, pt: Floats, a: Floats, b: Floats) -> None:
    columns = slice(*np.searchsorted(pt, block.pt))
    slopes = block.slope or (0.0,) * len(block.constant)
    for low, high, constant, slope in zip(block.eta, block.eta[1:], block.constant, slopes, strict=False):
        rows = slice(*np.searchsorted(eta, (low, high)))
        a[rows, columns] += constant - slope * block.pt[0]
        b[rows, columns] += slope


def tower_grid(calorimeter: Calorimeter) -> TowerGrid:
    """Return the towers of a calorimeter, numbered, with the resolution of each row."""
    rows = calorimeter.towers.rows()
    edges = np.array([edge for edge, _ in rows])
    phi_cells = np.array([phi for _, phi in rows[1:]], dtype=np.int64)
    fine = edges[0] + np.arange(_FINE + 1) * (edges[-1] - edges[0]) / _FINE
    guess = np.clip(np.searchsorted(edges, fine, side="left") - 1, 0, len(phi_cells) - 1)
    resolution = calorimeter.resolution
    centre = np.abs(0.5 * (edges[1:] + edges[:-1]))
    strip = np.minimum(np.searchsorted(resolution.eta, centre), len(resolution.eta) - 1)
    constant2, stochastic2, noise2 = (
        np.array(terms)[strip] ** 2 for terms in (resolution.constant, resolution.stochastic, resolution.noise)
    )
    first = np.concatenate(([0], np.cumsum(phi_cells))).astype(np.int64)
    per_eta = _FINE / (edges[-1] - edges[0])
    row = np.repeat(np.arange(len(phi_cells), dtype=np.int32), phi_cells)
    return TowerGrid(edges, phi_cells, first, row, guess.astype(np.int64), per_eta, constant2, stochastic2, noise2)


# Loops over arrays, with nothing called inside that takes an array or a record of them: Numba would count references
# at each call, which costs more than the look-up.


@kernel
def values_at(table: PtEtaTable, kinds: NDArray[np.int64], pt: Floats, eta: Floats) -> Floats:
    """Return the value of a function at each pt (GeV) and eta, 0 outside its blocks; bins hold their upper edge."""
    eta_edges, pt_edges, a, b = table
    values = np.zeros(len(pt))
    for i in range(len(pt)):
        row = column = -1  # counts are quicker than searches among few edges
        for j in range(len(eta_edges)):
            row += eta_edges[j] < abs(eta[i])
        for j in range(len(pt_edges)):
            column += pt_edges[j] < pt[i]
        row = max(row, 0)
        if row < a.shape[1] and 0 <= column < a.shape[2]:
            values[i] = a[kinds[i], row, column] + b[kinds[i], row, column] * pt[i]
    return values


@kernel
def value_at(table: PtEtaTable, kind: int, pt: float, eta: float) -> float:
    """Return the value of a function at one pt (GeV) and eta."""
    return float(values_at(table, np.array([kind]), np.array([pt]), np.array([eta]))[0])


@kernel
def tower_numbers(grid: TowerGrid, eta: Floats, phi: Floats) -> NDArray[np.int64]:
    """Return the number of the tower at each (eta, phi in [−π, π)), −1 outside the grid.

    Rows are (lower edge, upper edge].
    """
    edges, phi_cells, first, guess = grid.edges, grid.phi_cells, grid.first, grid.guess
    lowest, highest = edges[0], edges[-1]
    numbers = np.full(len(eta), -1)
    for i in range(len(eta)):
        if not lowest < eta[i] <= highest:
            continue
        row = guess[int((eta[i] - lowest) * grid.guess_per_eta)]
        while eta[i] > edges[row + 1]:
            row += 1
        while eta[i] <= edges[row]:
            row -= 1
        cells = phi_cells[row]
        turn = int((phi[i] + math.pi) * cells / (2.0 * math.pi))
        numbers[i] = first[row] + min(max(turn, 0), cells - 1)
    return numbers


@kernel
def tower_number(grid: TowerGrid, eta: float, phi: float) -> int:
    """Return the number of the tower at one (eta, phi in [−π, π)), or −1 outside the grid."""
    return int(tower_numbers(grid, np.array([eta]), np.array([phi]))[0])


@kernel
def tower_row(grid: TowerGrid, eta: float) -> int:
    """Return the row of towers that eta lies in, or −1 outside the grid."""
    number = tower_number(grid, eta, 0.0)
    return -1 if number < 0 else int(grid.row[number])


@kernel
def energy_error(grid: TowerGrid, row: int, energy: float) -> float:
    """Return σ(E) in GeV of a tower in a row."""
    return error_of(grid.constant2[row], grid.stochastic2[row], grid.noise2[row], energy)


@kernel
def error_of(constant2: float, stochastic2: float, noise2: float, energy: float) -> float:
    """Return σ(E) in GeV of a tower with these terms."""
    return math.sqrt((constant2 * energy + stochastic2) * energy + noise2)
