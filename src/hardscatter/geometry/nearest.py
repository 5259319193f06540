"""The k nearest neighbours on the (eta, phi) cylinder, by blocks of cells on a wrapped grid.

The sources of a crossing are sorted into cells that hold about three each. All queries of a cell share one block of
cells around it, copied together once. Whatever lies nearer to a query than the edge of the block is in the block: so
if k are, those are the answer; if not, the block grows. Of the block a query keeps those below a threshold that lets
few more than k through, and sorts them by counting who is nearer than whom. Exact, and linear in the number of points
at bounded density; points piled up in one cell cost what brute force costs.

There are hardly any branches for a processor to guess wrong, and no slices of arrays inside the loops: Numba would
count references for each of them.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel, quick_kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.neighbours import Grid, build_grid, column_of, columns_around, distance2, row_of
from hardscatter.threads import over_crossings

NO_NEIGHBOUR = -1
"""What fills a slot for which there is no neighbour; sorts out easily (``index >= 0``) and names no candidate."""

_PER_CELL = 3.0
_SPARE = 1.1
"""A block is taken to be large enough if so many times k are to be expected as far out as its nearest edge is."""
_LANES = 32
"""Counting goes on in steps of this, so that vector instructions leave no rest."""
_FAR = np.float32(3e38)
_ONE, _ZERO = np.float32(1.0), np.float32(0.0)


def nearest(
    eta: NDArray[np.floating],
    phi: NDArray[np.floating],
    offsets: NDArray[np.int64],
    k: int,
    *,
    queries: NDArray[np.bool_] | None = None,
    sources: NDArray[np.bool_] | None = None,
    include_self: bool = False,
) -> NDArray[np.int64]:
    """Return the `k` candidates of the same crossing that are nearest in ΔR, for every query.

    Parameters
    ----------
    eta, phi
        All candidates of all crossings, flat, shape (N,); phi in rad, [−π, π).
    offsets
        Where each crossing starts in the flat arrays, and N at the end: shape (crossings + 1,).
    k
        Neighbours of each query, at least 1.
    queries, sources
        Which candidates ask, and which may be found, shape (N,); all of them if not given.
    include_self
        Whether a candidate that is a source finds itself (at ΔR = 0, in the order below).

    Returns
    -------
    NDArray[np.int64]
        Indices into the flat arrays, shape (Q, k), Q the number of queries in their order; nearest first, equal
        distances by index, so that the answer is reproducible. Where a crossing has too few sources, the last
        slots hold `NO_NEIGHBOUR`.

    Raises
    ------
    SettingsError
        If `k` is below 1, lengths disagree, or a coordinate is not finite or phi not in [−π, π).
    """
    if k < 1:
        raise SettingsError(f"nearest: k is {k}; it must be at least 1.")
    eta, phi = (np.ascontiguousarray(column, dtype=np.float64) for column in (eta, phi))
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    asks, found = (_mask(mask, len(eta)) for mask in (queries, sources))
    _check(eta, phi, offsets)
    row = np.zeros(len(eta) + 1, dtype=np.int64)
    np.cumsum(asks, out=row[1:])
    neighbours = np.empty((int(row[-1]), k), dtype=np.int64)

    def run(first: int, last: int) -> None:
        _search_crossings(first, last, offsets, eta, phi, asks, found, include_self, row, neighbours)

    over_crossings(run, len(offsets) - 1)
    return neighbours


def _mask(mask: NDArray[np.bool_] | None, n: int) -> NDArray[np.bool_]:
    if mask is None:
        return np.ones(n, dtype=np.bool_)
    mask = np.ascontiguousarray(mask)
    if mask.dtype != np.bool_ or mask.shape != (n,):
        raise SettingsError(f"nearest: a mask must be {n} booleans, one for each candidate.")
    return mask


def _check(eta: NDArray[np.float64], phi: NDArray[np.float64], offsets: NDArray[np.int64]) -> None:
    if len(phi) != len(eta):
        raise SettingsError(f"nearest: {len(eta)} eta and {len(phi)} phi: give one of each for every candidate.")
    if (
        offsets.ndim != 1
        or not len(offsets)
        or offsets[0] != 0
        or offsets[-1] != len(eta)
        or (np.diff(offsets) < 0).any()
    ):
        raise SettingsError(f"nearest: offsets must rise from 0 to the number of candidates, {len(eta)}.")
    if not np.isfinite(eta).all():
        raise SettingsError("nearest: eta holds a number that is not finite.")
    if not ((phi >= -math.pi) & (phi < math.pi)).all():
        raise SettingsError("nearest: phi must lie in [−π, π): wrap it first (hardscatter.geometry.wrap_phi).")


class _Sources(NamedTuple):
    """The sources of a crossing in the order of their cells; `names` are their indices in the flat arrays."""

    grid: Grid
    names: NDArray[np.int64]
    eta: NDArray[np.float64]
    phi: NDArray[np.float64]


class _Queries(NamedTuple):
    """Who asks, sorted by cell of the sources' grid: those of cell c are ``order[start[c]:start[c + 1]]``."""

    start: NDArray[np.int64]
    order: NDArray[np.int64]


class _Block(NamedTuple):
    """Room for the sources around a cell: where they are, their place among all, and ΔR² to the query at hand."""

    eta: NDArray[np.float64]
    phi: NDArray[np.float64]
    place: NDArray[np.int64]
    distance2: NDArray[np.float64]


class _Few(NamedTuple):
    """Room for the few of a block that a query sorts: ΔR², place, how many are nearer, and places once sorted."""

    distance2: NDArray[np.float32]
    place: NDArray[np.int64]
    nearer: NDArray[np.float32]
    sorted_place: NDArray[np.int64]


@kernel
def _search_crossings(
    first_crossing: int,
    last_crossing: int,
    offsets: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    asks: NDArray[np.bool_],
    found: NDArray[np.bool_],
    include_self: bool,
    row: NDArray[np.int64],
    neighbours: NDArray[np.int64],
) -> None:
    for crossing in range(first_crossing, last_crossing):
        a, b = offsets[crossing], offsets[crossing + 1]
        names = a + np.flatnonzero(found[a:b])
        grid = build_grid(eta[names], phi[names], _cell_width(eta[names]))
        names = names[grid.order]
        sources = _Sources(grid, names, eta[names], phi[names])
        queries = _by_cell(grid, a + np.flatnonzero(asks[a:b]), eta, phi)
        places = _search(sources, queries, eta, phi, found, include_self, neighbours.shape[1])
        # Line by line of the result: a jump to another line for each query is slower than the whole search.
        line = np.empty(b - a, dtype=np.int64)
        line[queries.order - a] = np.arange(len(queries.order))
        for i in range(a, b):
            if asks[i]:
                for slot in range(neighbours.shape[1]):
                    place = places[line[i - a], slot]
                    neighbours[row[i], slot] = names[place] if place >= 0 else NO_NEIGHBOUR


@kernel
def _cell_width(eta: NDArray[np.float64]) -> float:
    """Return the width w that cuts the points' cylinder into n / _PER_CELL cells: 2π (range + w) = w² cells."""
    if len(eta) == 0:
        return TWO_PI
    cells = max(len(eta) / _PER_CELL, 1.0)
    return (math.pi + math.sqrt(math.pi**2 + TWO_PI * (eta.max() - eta.min()) * cells)) / cells


@kernel
def _by_cell(grid: Grid, names: NDArray[np.int64], eta: NDArray[np.float64], phi: NDArray[np.float64]) -> _Queries:
    cells = np.empty(len(names), dtype=np.int64)
    start = np.zeros(grid.n_rows * grid.n_columns + 1, dtype=np.int64)
    for i in range(len(names)):
        cell = row_of(eta[names[i]], grid.eta_low, grid.rows_per_eta, grid.n_rows) * grid.n_columns
        cell += column_of(phi[names[i]], grid.columns_per_phi, grid.n_columns)
        cells[i] = cell
        start[cell + 1] += 1
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]
    order = np.empty(len(names), dtype=np.int64)
    cursor = start[:-1].copy()
    for i in range(len(names)):
        order[cursor[cells[i]]] = names[i]
        cursor[cells[i]] += 1
    return _Queries(start, order)


@kernel
def _search(
    sources: _Sources,
    queries: _Queries,
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    found: NDArray[np.bool_],
    include_self: bool,
    k: int,
) -> NDArray[np.int32]:
    """Return the places of the nearest sources for the queries in their order, −1 where there are none left."""
    grid, n = sources.grid, len(sources.names)
    room = n + _LANES
    block = _Block(np.empty(room), np.empty(room), np.empty(room, dtype=np.int64), np.empty(room))
    few = _Few(
        np.empty(room, dtype=np.float32), np.empty(room, dtype=np.int64),
        np.empty(room, dtype=np.float32), np.empty(room, dtype=np.int64),
    )  # fmt: skip
    places = np.full((len(queries.order), k), -1, dtype=np.int32)
    threshold = 1.0
    for cell in range(len(queries.start) - 1):
        if queries.start[cell] == queries.start[cell + 1]:
            continue
        row, column = cell // grid.n_columns, cell % grid.n_columns
        ring = _large_enough(grid, row, column, k)
        size = _fill(block, sources, row, column, ring)
        for line in range(queries.start[cell], queries.start[cell + 1]):
            query = queries.order[line]
            itself = found[query] and not include_self  # among the sources, and to be left out
            wanted = k + itself
            while True:
                _measure(block, size, eta[query], phi[query])
                inside = _distance_to_unseen(grid, row, column, ring, eta[query], phi[query])
                threshold = _threshold(block.distance2, size, min(wanted, n), inside * abs(inside), threshold)
                if threshold >= 0.0 or inside == np.inf:
                    break
                ring += 1 + ring // 2
                size = _fill(block, sources, row, column, ring)
            if threshold < 0.0:  # no more than fits into the numbers is far away
                threshold = np.inf
            n_few = _keep(block, size, threshold, few)
            easy = wanted <= n_few <= _most(wanted) and threshold < _FAR
            if not (easy and _sort(few, n_few, itself, places, line)):
                skip = query if itself else -1
                _sort_carefully(block, size, threshold, sources.names, skip, few.sorted_place, places, line)
            if threshold == np.inf:
                threshold = 1.0
    return places


@kernel
def _large_enough(grid: Grid, row: int, column: int, k: int) -> int:
    """Return a ring so large that the block out to it is likely to hold the `k` nearest for all queries of a cell."""
    ring = 1
    while ring < grid.n_rows or 2 * ring + 1 < grid.n_columns:
        size = 0
        a, b, c, d = columns_around(grid, column, ring)
        for other in range(max(row - ring, 0), min(row + ring + 1, grid.n_rows)):
            start = other * grid.n_columns
            size += grid.start[start + b] - grid.start[start + a] + grid.start[start + d] - grid.start[start + c]
        if size * math.pi * ring**2 >= _SPARE * k * (2 * ring + 1) ** 2:
            break
        ring += 1 + ring // 4
    return ring


@kernel
def _fill(block: _Block, sources: _Sources, row: int, column: int, ring: int) -> int:
    """Copy the sources in the block of cells out to `ring` together; return how many there are."""
    n, grid = 0, sources.grid
    a, b, c, d = columns_around(grid, column, ring)
    for other in range(max(row - ring, 0), min(row + ring + 1, grid.n_rows)):
        start = other * grid.n_columns
        for left, right in ((a, b), (c, d)):
            for place in range(grid.start[start + left], grid.start[start + right]):
                block.eta[n] = sources.eta[place]
                block.phi[n] = sources.phi[place]
                block.place[n] = place
                n += 1
    return n


@kernel
def _measure(block: _Block, size: int, eta: float, phi: float) -> None:
    for i in range(size):
        block.distance2[i] = distance2(eta, phi, block.eta[i], block.phi[i])


@kernel
def _distance_to_unseen(grid: Grid, row: int, column: int, ring: int, eta: float, phi: float) -> float:
    """Return a lower limit of the distance to any point outside the block of cells out to `ring`."""
    height, width = 1.0 / grid.rows_per_eta, TWO_PI / grid.n_columns
    limit = np.inf
    if row - ring > 0:
        limit = min(limit, eta - (grid.eta_low + (row - ring) * height))
    if row + ring < grid.n_rows - 1:
        limit = min(limit, grid.eta_low + (row + ring + 1) * height - eta)
    if 2 * ring + 1 < grid.n_columns:
        limit = min(limit, phi + math.pi - (column - ring) * width, (column + ring + 1) * width - phi - math.pi)
    return limit - 1e-9 * min(height, width)  # rounding may have put a point into the next cell


@kernel
def _most(wanted: int) -> int:
    """Return how many a query sorts at most: up to the next full vector, for those come without a price."""
    return (wanted + 8 + _LANES - 1) // _LANES * _LANES


@kernel
def _threshold(distances2: NDArray[np.float64], size: int, wanted: int, limit: float, guess: float) -> float:
    """Return a threshold of at most `limit` with `wanted` or a few more distances below it; −1 if there is none."""
    low, high = 0.0, limit
    trial = min(guess, limit)
    for _ in range(8):  # where many are equally far no threshold lets only a few through: the last one will do
        n = _count_below(distances2, size, trial)
        if wanted <= n <= _most(wanted):
            return trial
        if n < wanted:
            if trial >= limit:
                return -1.0
            low, trial = trial, trial * max(1.25 * wanted / (n + 1), 1.2)
        else:
            high, trial = trial, trial * 1.25 * wanted / n
        if not low < trial < high:
            trial = 0.5 * (low + high) if high < limit else limit
    return high if high < limit or _count_below(distances2, size, limit) >= wanted else -1.0


@kernel
def _count_below(distances2: NDArray[np.float64], size: int, threshold: float) -> int:
    n = 0
    for i in range(size):
        n += distances2[i] < threshold
    return n


@kernel
def _keep(block: _Block, size: int, threshold: float, few: _Few) -> int:
    """Copy those below the threshold together; return how many there are."""
    n = 0
    for i in range(size):  # writes all, each over the one before if that was too far: no branch
        few.distance2[n] = np.float32(block.distance2[i])
        few.place[n] = block.place[i]
        n += block.distance2[i] < threshold
    return n


@quick_kernel
def _sort(few: _Few, n: int, skipped: int, places: NDArray[np.int32], line: int) -> bool:
    """Write the places of the nearest in order, the first `skipped` left out; False, and nothing, if two are tied.

    What is not tied in single precision is in the same order in double precision.
    """
    padded = (n + _LANES - 1) // _LANES * _LANES
    for i in range(n, padded):
        few.distance2[i] = _FAR
    for i in range(padded):
        few.nearer[i] = _ZERO
    for j in range(0, n, 4):
        a, b, c, d = few.distance2[j], few.distance2[j + 1], few.distance2[j + 2], few.distance2[j + 3]
        for i in range(padded):
            x = few.distance2[i]
            few.nearer[i] += (
                (_ONE if a < x else _ZERO) + (_ONE if b < x else _ZERO)
                + (_ONE if c < x else _ZERO) + (_ONE if d < x else _ZERO)
            )  # fmt: skip
    total = 0
    for i in range(n):
        rank = int(few.nearer[i])
        total += rank
        few.sorted_place[rank] = few.place[i]
    if total != n * (n - 1) // 2:
        return False
    for slot in range(places.shape[1]):
        places[line, slot] = few.sorted_place[skipped + slot]
    return True


@kernel
def _sort_carefully(
    block: _Block,
    size: int,
    threshold: float,
    names: NDArray[np.int64],
    skip: int,
    best: NDArray[np.int64],
    places: NDArray[np.int32],
    line: int,
) -> None:
    """Write the places of the nearest below the threshold in order, equal distances by name, `skip` left out.

    By insertion, for any number of ties and sources; `best` is room for places in the block.
    """
    k, n = places.shape[1], 0
    for i in range(size):
        distance, name = block.distance2[i], names[block.place[i]]
        if name == skip or not distance < threshold:
            continue
        if n == k:
            last = block.distance2[best[k - 1]]
            if distance > last or (distance == last and name > names[block.place[best[k - 1]]]):
                continue
        else:
            n += 1
        slot = n - 1
        while slot > 0:
            other = block.distance2[best[slot - 1]]
            if distance > other or (distance == other and name > names[block.place[best[slot - 1]]]):
                break
            best[slot] = best[slot - 1]
            slot -= 1
        best[slot] = i
    for slot in range(n):
        places[line, slot] = block.place[best[slot]]
