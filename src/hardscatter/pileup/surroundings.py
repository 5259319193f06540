"""What surrounds each candidate: momentum in cones and strips by kind of candidate, and PUPPI's sums.

At a pileup of 140 the 20 nearest neighbours of a candidate lie within ΔR = 0.2 and hold hardly a track of the leading
vertex. These sums reach further and tell by kind: they are what rules such as PUPPI decide by, and a network's first
look around.
"""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel, quick_kernel
from hardscatter.events import LEADING, Events, flat_candidates
from hardscatter.geometry.neighbours import Grid, build_grid, columns_around, distance2
from hardscatter.threads import over_crossings

KINDS = ("neutral", "leading", "pileup", "unassociated")
"""Neutral; charged of the leading vertex, of a pileup vertex, of none."""
_N_KINDS = len(KINDS)
RADII = (0.05, 0.1, 0.2, 0.3, 0.4)
"""ΔR of the cones; the last is PUPPI's."""
STRIP = 0.5
"""Half the width in eta of the strips, which run around the whole of phi."""

_RADII2 = tuple(radius * radius for radius in RADII)
CLOSEST = 0.02  # nearer than a calorimeter can tell: without it one pair of split energy would be all of the sum
_RING = 2
"""Cells to either side that a radius of the largest cone covers."""
_LANES = 16
"""Candidates of one kind are filled up to a multiple of this, so that vector instructions leave no rest."""


def _names() -> dict[str, int]:
    cones = [f"{kind}_within_{radius:g}" for kind in KINDS for radius in RADII]
    return {name: i for i, name in enumerate([*cones, *(f"{kind}_shape" for kind in KINDS), *map(_strip, KINDS)])}


def _strip(kind: str) -> str:
    return f"{kind}_in_strip"


NAMES = MappingProxyType(_names())
"""Column of each sum, by name."""


def surroundings(events: Events) -> NDArray[np.float64]:
    """Return the sums around every candidate, itself excepted.

    ::

        ⟨kind⟩_within_⟨r⟩   Σ_j pt_j                     over j of that kind with ΔR_ij < r
        ⟨kind⟩_shape        Σ_j (pt_j / max(ΔR_ij, 0.02))²    within ΔR < 0.4: e to the power of PUPPI's α
        ⟨kind⟩_in_strip     Σ_j pt_j                     with |η_i − η_j| < 0.5, all of phi

    Parameters
    ----------
    events
        Crossings; of each candidate pt, eta, phi, charge and vertex are looked at.

    Returns
    -------
    NDArray[np.float64]
        Shape (N, 28), columns as `NAMES` says; GeV, GeV² for shapes. 0 where there is no such neighbour.

    References
    ----------
    The shape is that of PUPPI, arXiv:1407.6013, eq. 2.1.
    """
    offsets, sums = sums_by_crossing(events)
    result = np.empty((len(NAMES), int(offsets[-1])))

    def run(first: int, last: int) -> None:
        for crossing in range(first, last):
            sums(crossing, result, offsets[crossing])

    over_crossings(run, len(events))
    return result.T


def sums_by_crossing(events: Events) -> tuple[NDArray[np.int64], Callable[[int, NDArray[np.float64], int], None]]:
    """Return where each crossing starts, and what writes the `surroundings` of one crossing.

    It takes the crossing, an array of shape (28, N), and the column in it of the crossing's first candidate.
    """
    offsets, (charge, vertex, *kinematics) = flat_candidates(events, "charge", "vertex", "pt", "eta", "phi")
    pt, eta, phi = (column.astype(np.float64) for column in kinematics)
    kind = kinds(charge, vertex)

    def fill(crossing: int, result: NDArray[np.float64], first: int) -> None:
        here = slice(offsets[crossing], offsets[crossing + 1])
        _cones(pt[here], eta[here], phi[here], kind[here], result, first)
        _strips(pt[here], eta[here], kind[here], np.argsort(eta[here]), result, first)

    return offsets, fill


def kinds(charge: NDArray[Any], vertex: NDArray[Any]) -> NDArray[np.int8]:
    """Return the kind of each candidate, its place in `KINDS`."""
    kind: NDArray[np.int8] = 1 + (vertex > LEADING).astype(np.int8) + 2 * (vertex < LEADING).astype(np.int8)
    kind[charge == 0] = 0
    return kind


class _Sources(NamedTuple):
    """The candidates of a crossing by kind, and by cell within a kind.

    Those of kind k in cell c are the places [start[k, c], start[k, c + 1]); `order` tells who they are.
    """

    grid: Grid
    start: NDArray[np.int64]
    order: NDArray[np.int64]
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]


class _Block(NamedTuple):
    """Room for the candidates in the cells around one, a row a kind: size[k] of kind k, the own cell's from own[k].

    And for their ΔR² to the candidate at hand.
    """

    size: NDArray[np.int64]
    own: NDArray[np.int64]
    pt: NDArray[np.float64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    separation2: NDArray[np.float64]


@kernel
def _cones(
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    kind: NDArray[np.int8],
    result: NDArray[np.float64],
    first: int,
) -> None:
    """Fill cones and shapes of one crossing.

    All candidates of a cell share one block of cells around it, copied together by kind: a sum runs over contiguous
    numbers, and belonging to it is a comparison, neither a branch nor a place in memory.
    """
    grid = build_grid(eta, phi, RADII[-1] / _RING)
    start, order = _by_kind(grid, kind)
    sources = _Sources(grid, start, order, pt[order], eta[order], phi[order])
    room = (_N_KINDS, len(pt) + _LANES)
    block = _Block(
        np.zeros(_N_KINDS, dtype=np.int64), np.zeros(_N_KINDS, dtype=np.int64),
        np.empty(room), np.empty(room), np.empty(room), np.empty(room),
    )  # fmt: skip
    sums = np.zeros((len(pt), _N_KINDS * (len(RADII) + 1)))
    for cell in range(grid.n_rows * grid.n_columns):
        if grid.start[cell] == grid.start[cell + 1]:
            continue
        _fill(block, sources, cell // grid.n_columns, cell % grid.n_columns)
        for k in range(_N_KINDS):
            for place in range(start[k, cell], start[k, cell + 1]):
                itself = block.own[k] + place - start[k, cell]
                block.pt[k, itself] = 0.0
                for other in range(_N_KINDS):
                    if block.size[other] > 0:
                        _measure(block, other, sources.eta[place], sources.phi[place])
                        _sum(block, other, sums, place)
                block.pt[k, itself] = sources.pt[place]
    # Line by line of the result: a jump to another line for each candidate is slower than the sums.
    places = np.empty(len(pt), dtype=np.int64)
    places[order] = np.arange(len(pt))
    for i in range(len(pt)):
        for column in range(sums.shape[1]):
            result[column, first + i] = sums[places[i], column]


@kernel
def _by_kind(grid: Grid, kind: NDArray[np.int8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Sort the candidates by kind and cell: where each begins, and who they are."""
    n_cells = grid.n_rows * grid.n_columns
    cursor = np.zeros((_N_KINDS, n_cells + 1), dtype=np.int64)
    for cell in range(n_cells):
        for place in range(grid.start[cell], grid.start[cell + 1]):
            cursor[kind[grid.order[place]], cell] += 1
    n = 0
    for k in range(_N_KINDS):
        for cell in range(n_cells + 1):
            n, cursor[k, cell] = n + cursor[k, cell], n
    start = cursor.copy()
    order = np.empty(n, dtype=np.int64)
    for cell in range(n_cells):
        for place in range(grid.start[cell], grid.start[cell + 1]):
            i = grid.order[place]
            order[cursor[kind[i], cell]] = i
            cursor[kind[i], cell] += 1
    return start, order


@kernel
def _fill(block: _Block, sources: _Sources, row: int, column: int) -> None:
    """Copy the candidates of the cells around one together; what fills up has no momentum."""
    grid, start = sources.grid, sources.start
    a, b, c, d = columns_around(grid, column, _RING)
    for k in range(_N_KINDS):
        n = 0
        for other in range(max(row - _RING, 0), min(row + _RING + 1, grid.n_rows)):
            base = other * grid.n_columns
            for left, right in ((a, b), (c, d)):
                if other == row and left <= column < right:
                    block.own[k] = n + start[k, base + column] - start[k, base + left]
                for place in range(start[k, base + left], start[k, base + right]):
                    block.pt[k, n] = sources.pt[place]
                    block.eta[k, n] = sources.eta[place]
                    block.phi[k, n] = sources.phi[place]
                    n += 1
        while n % _LANES:
            block.pt[k, n] = block.eta[k, n] = block.phi[k, n] = 0.0
            n += 1
        block.size[k] = n


@kernel
def _measure(block: _Block, kind: int, eta: float, phi: float) -> None:
    """Write the ΔR² of a block's candidates of one kind to a point.

    Not a quick kernel's to do: what it calls may be compiled as quickly, and ΔR² rounded otherwise, for all who call.
    """
    for i in range(block.size[kind]):
        block.separation2[kind, i] = distance2(eta, phi, block.eta[kind, i], block.phi[kind, i])


@quick_kernel
def _sum(block: _Block, kind: int, sums: NDArray[np.float64], line: int) -> None:
    """Write the sums over a block's candidates of one kind, by their ΔR²."""
    a = b = c = d = e = shape = 0.0
    for i in range(block.size[kind] // _LANES * _LANES):
        pt = block.pt[kind, i]
        separation2 = block.separation2[kind, i]
        a += pt if separation2 < _RADII2[0] else 0.0
        b += pt if separation2 < _RADII2[1] else 0.0
        c += pt if separation2 < _RADII2[2] else 0.0
        d += pt if separation2 < _RADII2[3] else 0.0
        within = pt if separation2 < _RADII2[4] else 0.0
        e += within
        shape += within * within / max(separation2, CLOSEST * CLOSEST)
    n = len(RADII)
    sums[line, kind * n] = a
    sums[line, kind * n + 1] = b
    sums[line, kind * n + 2] = c
    sums[line, kind * n + 3] = d
    sums[line, kind * n + 4] = e
    sums[line, _N_KINDS * n + kind] = shape


@kernel
def _strips(
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    kind: NDArray[np.int8],
    order: NDArray[np.int64],
    result: NDArray[np.float64],
    first: int,
) -> None:
    """Fill the strips of one crossing, the last columns: differences of running sums along eta."""
    n = len(pt)
    running = np.zeros((n + 1, _N_KINDS))
    for i in range(n):
        for k in range(_N_KINDS):
            running[i + 1, k] = running[i, k] + (pt[order[i]] if kind[order[i]] == k else 0.0)
    sorted_eta = eta[order]
    lows, highs = np.empty(n, dtype=np.int64), np.empty(n, dtype=np.int64)
    low = high = 0
    for i in range(n):
        while sorted_eta[low] <= sorted_eta[i] - STRIP:
            low += 1
        while high < n and sorted_eta[high] < sorted_eta[i] + STRIP:
            high += 1
        lows[order[i]], highs[order[i]] = low, high
    for k in range(_N_KINDS):
        row = len(result) - _N_KINDS + k
        for i in range(n):
            total = running[highs[i], k] - running[lows[i], k]
            result[row, first + i] = max(total - pt[i], 0.0) if kind[i] == k else total
