"""Neighbours within a radius on the (eta, phi) cylinder, by a wrapped grid.

The points are sorted into cells at least one radius wide in both directions, so that all neighbours of a point
lie in its own cell or one of the eight around it: the work is linear in the number of points at bounded density. The
three cells next to each other in phi are one contiguous run of the sorted points (two where the run crosses ±π), so a
search reads memory in order.

`build_grid`, `rows` and `spans` are compiled building blocks for kernels that fuse the search with a sum
(PUPPI, SoftKiller zeroing); `neighbours_within` is the search on its own.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI

# A stray point far out in eta must not make millions of empty rows; wider rows stay correct.
_MAX_ROWS = 2048


class Grid(NamedTuple):
    """Points of one crossing sorted into cells; `order` gives their original places."""

    eta_low: float
    rows_per_eta: float
    n_rows: int
    columns_per_phi: float
    n_columns: int
    start: NDArray[np.int64]
    order: NDArray[np.int64]


@kernel
def column_of(phi: float, columns_per_phi: float, n_columns: int) -> int:
    """Return the column of a point."""
    return min(max(int((phi + math.pi) * columns_per_phi), 0), n_columns - 1)


@kernel
def row_of(eta: float, eta_low: float, rows_per_eta: float, n_rows: int) -> int:
    """Return the row of a point, the first or last one beyond the grid."""
    # Clamped in floating point: a far-away query must not overflow the integer.
    return int(min(max((eta - eta_low) * rows_per_eta, 0.0), n_rows - 1.0))


@kernel
def build_grid(eta: NDArray[np.float64], phi: NDArray[np.float64], radius: float) -> Grid:
    """Sort points (phi in [−π, π)) into cells wide enough for a search within `radius`."""
    n = len(eta)
    width = radius * (1.0 + 1e-9)  # so that rounding cannot put a neighbour two cells away
    n_columns = max(int(TWO_PI / width), 1)
    eta_low = eta_high = 0.0
    if n:
        eta_low, eta_high = eta.min(), eta.max()
    n_rows = int(min((eta_high - eta_low) / width, _MAX_ROWS - 1.0)) + 1
    rows_per_eta = min(1.0 / width, n_rows / max(eta_high - eta_low, 1e-300))
    columns_per_phi = n_columns / TWO_PI

    # Small loops of one thing each: the first becomes vector instructions.
    cells = np.empty(n, dtype=np.int64)
    for i in range(n):
        row = row_of(eta[i], eta_low, rows_per_eta, n_rows)
        cells[i] = row * n_columns + column_of(phi[i], columns_per_phi, n_columns)
    start = np.zeros(n_rows * n_columns + 1, dtype=np.int64)
    for i in range(n):
        start[cells[i] + 1] += 1
    for cell in range(len(start) - 1):
        start[cell + 1] += start[cell]
    order = np.empty(n, dtype=np.int64)
    cursor = start[:-1].copy()
    for i in range(n):
        order[cursor[cells[i]]] = i
        cursor[cells[i]] += 1
    return Grid(eta_low, rows_per_eta, n_rows, columns_per_phi, n_columns, start, order)


@kernel
def rows(grid: Grid, eta: float) -> tuple[int, int]:
    """Return the range of rows that can hold neighbours of a point at `eta`."""
    row = row_of(eta, grid.eta_low, grid.rows_per_eta, grid.n_rows)
    return max(row - 1, 0), min(row + 2, grid.n_rows)


@kernel
def spans(grid: Grid, row: int, phi: float) -> tuple[int, int, int, int]:
    """Return the one or two runs [a, b), [c, d) of sorted points of a row that can hold neighbours at `phi`."""
    base = row * grid.n_columns
    if grid.n_columns < 4:  # the three columns around would meet themselves
        return grid.start[base], grid.start[base + grid.n_columns], 0, 0
    column = column_of(phi, grid.columns_per_phi, grid.n_columns)
    last = grid.n_columns - 1
    if column == 0:
        return grid.start[base], grid.start[base + 2], grid.start[base + last], grid.start[base + last + 1]
    if column == last:
        return (
            grid.start[base + last - 1],
            grid.start[base + last + 1],
            grid.start[base],
            grid.start[base + 1],
        )
    return grid.start[base + column - 1], grid.start[base + column + 2], 0, 0


@kernel
def columns_around(grid: Grid, column: int, reach: int) -> tuple[int, int, int, int]:
    """Return the one or two runs [a, b), [c, d) of columns at most `reach` away, across ±π; each at most once."""
    left, right, n = column - reach, column + reach + 1, grid.n_columns
    if right - left >= n:
        return 0, n, 0, 0
    if left < 0:
        return 0, right, left + n, n
    if right > n:
        return left, n, 0, right - n
    return left, right, 0, 0


@kernel
def distance2(eta_a: float, phi_a: float, eta_b: float, phi_b: float) -> float:
    """Return ΔR² of two points whose phi lie in [−π, π)."""
    d_phi = abs(phi_a - phi_b)
    if d_phi > math.pi:
        d_phi = TWO_PI - d_phi
    d_eta = eta_a - eta_b
    return d_eta * d_eta + d_phi * d_phi


@kernel
def _collect(
    query_eta: NDArray[np.float64],
    query_phi: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    radius: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    grid = build_grid(eta, phi, radius)
    offsets = np.zeros(len(query_eta) + 1, dtype=np.int64)
    found = np.empty(16, dtype=np.int64)
    n = 0
    for q in range(len(query_eta)):
        first, last = rows(grid, query_eta[q])
        for row in range(first, last):
            a, b, c, d = spans(grid, row, query_phi[q])
            for low, high in ((a, b), (c, d)):
                for k in range(low, high):
                    j = grid.order[k]
                    if distance2(query_eta[q], query_phi[q], eta[j], phi[j]) <= radius * radius:
                        if n == len(found):
                            larger = np.empty(2 * n, dtype=np.int64)
                            larger[:n] = found
                            found = larger
                        found[n] = j
                        n += 1
        found[offsets[q] : n].sort()
        offsets[q + 1] = n
    return offsets, found[:n].copy()


def neighbours_within(
    query_eta: NDArray[np.float64],
    query_phi: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    radius: float,
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return, for every query point of one crossing, the points within ΔR ≤ `radius`.

    Parameters
    ----------
    query_eta, query_phi
        Where to look, shape (Q,); phi in [−π, π).
    eta, phi
        The points, shape (N,); a query that is itself among the points finds itself.
    radius
        Search radius in (eta, phi), above 0.

    Returns
    -------
    offsets, neighbours
        Neighbours of query q are ``neighbours[offsets[q]:offsets[q + 1]]``, indices into the points, ascending.

    Raises
    ------
    SettingsError
        If the radius is not above 0 or a coordinate is not finite.
    """
    if not radius > 0:
        raise SettingsError(f"neighbours_within: the radius is {radius}; it must be above 0.")
    query_eta, query_phi, eta, phi = (
        np.ascontiguousarray(column, dtype=np.float64) for column in (query_eta, query_phi, eta, phi)
    )
    for name, column in (("eta", eta), ("phi", phi), ("query_eta", query_eta), ("query_phi", query_phi)):
        if not np.isfinite(column).all():
            raise SettingsError(f"neighbours_within: {name} holds a number that is not finite.")
    return _collect(query_eta, query_phi, eta, phi, float(radius))
