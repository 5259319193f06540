"""The k nearest neighbours on the (eta, phi) cylinder, by rings of cells on a wrapped grid.

The sources of a crossing are sorted into cells that hold about four each. A search starts with the cell of
the query and widens the block ring by ring until nothing outside it can be nearer than the k-th point found: exact,
and linear in the number of points at bounded density. Points piled up in one cell cost what brute force costs.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.neighbours import Grid, build_grid, column_of, distance2, row_of
from hardscatter.threads import over_crossings

NO_NEIGHBOUR = -1
"""What fills a slot for which there is no neighbour; sorts out easily (``index >= 0``) and names no candidate."""

_PER_CELL = 4.0


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
    neighbours = np.full((int(row[-1]), k), NO_NEIGHBOUR, dtype=np.int64)

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


@kernel
def _cell_width(eta: NDArray[np.float64]) -> float:
    """Return the width w that cuts the points' cylinder into n / _PER_CELL cells: 2π (range + w) = w² cells."""
    if len(eta) == 0:
        return TWO_PI
    cells = max(len(eta) / _PER_CELL, 1.0)
    return (math.pi + math.sqrt(math.pi**2 + TWO_PI * (eta.max() - eta.min()) * cells)) / cells


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
    best = np.empty(neighbours.shape[1], dtype=np.float64)
    for crossing in range(first_crossing, last_crossing):
        a, b = offsets[crossing], offsets[crossing + 1]
        names = a + np.flatnonzero(found[a:b])
        grid = build_grid(eta[names], phi[names], _cell_width(eta[names]))
        names = names[grid.order]  # from here on in the order of the cells
        source_eta, source_phi = eta[names], phi[names]
        for i in range(a, b):
            if asks[i]:
                skip = -1 if include_self else i
                _search(grid, names, source_eta, source_phi, eta[i], phi[i], skip, best, neighbours[row[i]])


@kernel
def _search(
    grid: Grid,
    names: NDArray[np.int64],
    source_eta: NDArray[np.float64],
    source_phi: NDArray[np.float64],
    eta: float,
    phi: float,
    skip: int,
    best: NDArray[np.float64],
    answer: NDArray[np.int64],
) -> None:
    """Fill `answer` with the nearest sources, `best` with their ΔR²."""
    best[:] = np.inf
    points = (names, source_eta, source_phi)
    row = row_of(eta, grid.eta_low, grid.rows_per_eta, grid.n_rows)
    column = column_of(phi, grid.columns_per_phi, grid.n_columns)
    left_most, right_most = (grid.n_columns - 1) // 2, grid.n_columns // 2  # together they go once around
    ring = 0
    while True:
        low, high = row - ring, row + ring
        left, right = column - min(ring, left_most), column + min(ring, right_most)
        if low >= 0:
            _take_run(grid, low, left, right, points, eta, phi, skip, best, answer)
        if ring > 0 and high < grid.n_rows:
            _take_run(grid, high, left, right, points, eta, phi, skip, best, answer)
        for between in range(max(low + 1, 0), min(high, grid.n_rows)):
            if ring <= left_most:
                _take_run(grid, between, left, left, points, eta, phi, skip, best, answer)
            if ring <= right_most:
                _take_run(grid, between, right, right, points, eta, phi, skip, best, answer)
        inside = _distance_to_unseen(grid, row, column, ring, eta, phi)
        # Strictly nearer, so that no point of the same distance and a lower index is left out.
        if inside == np.inf or (inside > 0.0 and best[-1] < inside * inside):
            return
        ring += 1


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
def _take_run(
    grid: Grid,
    row: int,
    left: int,
    right: int,
    points: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    eta: float,
    phi: float,
    skip: int,
    best: NDArray[np.float64],
    answer: NDArray[np.int64],
) -> None:
    """Consider the cells from column `left` to `right` of a row; columns may stick out on either side of ±π."""
    start, n = grid.start[row * grid.n_columns : (row + 1) * grid.n_columns + 1], grid.n_columns
    if left < n and right >= 0:
        _take(start[max(left, 0)], start[min(right, n - 1) + 1], points, eta, phi, skip, best, answer)
    if left < 0:
        _take(start[left + n], start[min(right, -1) + n + 1], points, eta, phi, skip, best, answer)
    if right >= n:
        _take(start[max(left, n) - n], start[right - n + 1], points, eta, phi, skip, best, answer)


@kernel
def _take(
    first: int,
    last: int,
    points: tuple[NDArray[np.int64], NDArray[np.float64], NDArray[np.float64]],
    eta: float,
    phi: float,
    skip: int,
    best: NDArray[np.float64],
    answer: NDArray[np.int64],
) -> None:
    """Sort the points [first, last) into the best so far."""
    names, source_eta, source_phi = points
    for n in range(first, last):
        distance, name = distance2(eta, phi, source_eta[n], source_phi[n]), names[n]
        slot = len(best) - 1
        if name == skip or distance > best[slot] or (distance == best[slot] and name > answer[slot]):
            continue
        while slot > 0 and (distance < best[slot - 1] or (distance == best[slot - 1] and name < answer[slot - 1])):
            best[slot], answer[slot] = best[slot - 1], answer[slot - 1]
            slot -= 1
        best[slot], answer[slot] = distance, name
