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
    return TowerGrid(edges, phi_cells, first, guess.astype(np.int64), per_eta, constant2, stochastic2, noise2)


@kernel
def value_at(table: PtEtaTable, kind: int, pt: float, eta: float) -> float:
    """Return the value of a function at pt (GeV) and eta, 0 outside its blocks; bins hold their upper edge."""
    row, column = int(np.searchsorted(table.eta, abs(eta))) - 1, int(np.searchsorted(table.pt, pt)) - 1
    if row >= table.a.shape[1] or column < 0 or column >= table.a.shape[2]:
        return 0.0
    row = max(row, 0)
    return float(table.a[kind, row, column] + table.b[kind, row, column] * pt)


@kernel
def tower_row(grid: TowerGrid, eta: float) -> int:
    """Return the row of towers that eta lies in, (lower edge, upper edge], or −1 outside the grid."""
    if not grid.edges[0] < eta <= grid.edges[-1]:
        return -1
    row = grid.guess[int((eta - grid.edges[0]) * grid.guess_per_eta)]
    while eta > grid.edges[row + 1]:
        row += 1
    while eta <= grid.edges[row]:
        row -= 1
    return int(row)


@kernel
def tower_number(grid: TowerGrid, eta: float, phi: float) -> int:
    """Return the number of the tower at (eta, phi in [−π, π)), or −1 outside the grid."""
    row = tower_row(grid, eta)
    if row < 0:
        return -1
    cells = grid.phi_cells[row]
    turn = int((phi + math.pi) * cells / (2.0 * math.pi))
    return int(grid.first[row] + min(max(turn, 0), cells - 1))


@kernel
def energy_error(grid: TowerGrid, row: int, energy: float) -> float:
    """Return σ(E) in GeV of a tower in a row."""
    return math.sqrt((grid.constant2[row] * energy + grid.stochastic2[row]) * energy + grid.noise2[row])
