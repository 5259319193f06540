"""Points of many crossings in the cells of wrapped grids, and the padded blocks of cells around them.

Each crossing has a grid of its own; the cells of all grids stand one after another, row by row, and the points in their
order. A block of cells around a cell is then at most two runs of points in each of its rows, two where it crosses ±π.
Blocks are filled up to one of a few widths, and those of one width are treated together, as many at once as memory
allows: no loop runs over crossings or points.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from hardscatter.geometry.angles import TWO_PI
from hardscatter.nets.edges import take

PAIRS = 1 << 23
"""Pairs of a point and another that are looked at together: what bounds memory, at some 150 bytes a pair."""

_WIDTHS = sorted(step << power for step in (2, 3) for power in range(4, 30))


@dataclass(frozen=True)
class Grids:
    """Points sorted into cells, C crossings with N points; a place is a point's number in the order of the cells."""

    low: Tensor
    """Smallest eta of each crossing, (C,); 0 without points."""
    rows_per_eta: Tensor
    n_rows: Tensor
    columns_per_phi: Tensor
    n_columns: Tensor
    base: Tensor
    """First cell of each crossing, (C,)."""
    start: Tensor
    """First place of each cell, and N at the end."""
    order: Tensor
    """Point at each place, (N,); points of one cell by number."""
    cell: Tensor
    crossing: Tensor
    """Of the point at each place, (N,)."""
    where: Tensor
    """Its eta and phi, (N, 2)."""

    def around(self, cells: Tensor, reach: int) -> tuple[Tensor, Tensor]:
        """Return the runs of places in the blocks of cells out to `reach`: first place and length, each (cells, runs).

        Every point is in one run at most, however few columns there are.
        """
        crossing = self.crossing[self.start[cells]]  # cells that hold a point
        n_columns = self.n_columns[crossing, None]
        row, column = self.row_and_column(cells, crossing)
        rows = row[:, None] + torch.arange(-reach, reach + 1, device=cells.device)
        there = (rows >= 0) & (rows < self.n_rows[crossing, None])
        first = self.base[crossing, None] + torch.where(there, rows, 0) * n_columns
        left, right = column[:, None] - reach, column[:, None] + reach + 1
        everywhere = right - left >= n_columns
        left, right = torch.where(everywhere, 0, left), torch.where(everywhere, n_columns, right)
        a, b = left.clamp(min=0), torch.minimum(right, n_columns)
        # What lies beyond ±π is at the other end of the row.
        c = torch.where(left < 0, left + n_columns, 0)
        d = torch.where(left < 0, n_columns, (right - n_columns).clamp(min=0))
        begin = torch.cat([self.start[first + a], self.start[first + c]], dim=1)
        end = torch.cat([self.start[first + b], self.start[first + d]], dim=1)
        return begin, torch.where(there.repeat(1, 2), end - begin, 0)

    def all_of_crossing(self, cells: Tensor) -> tuple[Tensor, Tensor]:
        """Return the runs, (cells, 1), of all places of the cells' crossings."""
        crossing = self.crossing[self.start[cells]]
        begin = self.start[self.base[crossing]]
        end = self.start[self.base[crossing] + self.n_rows[crossing] * self.n_columns[crossing]]
        return begin[:, None], (end - begin)[:, None]

    def row_and_column(self, cells: Tensor, crossing: Tensor) -> tuple[Tensor, Tensor]:
        """Return where in the grid of its crossing a cell is."""
        local, n_columns = cells - self.base[crossing], self.n_columns[crossing]
        return local // n_columns, local % n_columns


def build_grids(eta: Tensor, phi: Tensor, offsets: Tensor, width: Tensor) -> Grids:
    """Sort points into cells of at least a width.

    Parameters
    ----------
    eta, phi
        float64, shape (N,), phi in [−π, π).
    offsets
        Where each crossing starts, and N at the end: int64, shape (C + 1,).
    width
        Of the cells of each crossing, shape (C,). Rows are wider where there would be more of them than points.
    """
    counts = offsets.diff()
    crossing = torch.repeat_interleave(torch.arange(len(counts), device=eta.device), counts)
    low, high = eta_range(eta, crossing, len(counts))
    n_columns = (TWO_PI / width).long().clamp(min=1)
    n_rows = torch.minimum((high - low) / width, counts.to(width.dtype)).long() + 1
    rows_per_eta = torch.minimum(1.0 / width, n_rows / (high - low).clamp(min=1e-300))
    columns_per_phi = n_columns / TWO_PI
    end = (n_rows * n_columns).cumsum(0)
    base = end - n_rows * n_columns

    row = ((eta - low[crossing]) * rows_per_eta[crossing]).long()
    column = ((phi + math.pi) * columns_per_phi[crossing]).long().clamp(min=0)
    row, column = torch.minimum(row, n_rows[crossing] - 1), torch.minimum(column, n_columns[crossing] - 1)
    cell, order = torch.sort(base[crossing] + row * n_columns[crossing] + column, stable=True)
    n_cells = int(end[-1]) if len(end) else 0
    start = torch.searchsorted(cell, torch.arange(n_cells + 1, device=eta.device))
    return Grids(
        low, rows_per_eta, n_rows, columns_per_phi, n_columns, base, start, order, cell,
        crossing[order], torch.stack([eta[order], phi[order]], dim=1),
    )  # fmt: skip


def eta_range(eta: Tensor, crossing: Tensor, n_crossings: int) -> tuple[Tensor, Tensor]:
    """Return smallest and largest eta of each crossing; 0 where there is no point."""
    zero = eta.new_zeros(n_crossings)
    return (
        zero.scatter_reduce(0, crossing, eta, "amin", include_self=False),
        zero.scatter_reduce(0, crossing, eta, "amax", include_self=False),
    )


def padded(
    begin: Tensor, length: Tensor, line: Tensor, queries: Tensor, least: int = 1
) -> Iterator[tuple[Tensor, Tensor]]:
    """Yield queries with the places in their blocks, as many queries at once as memory allows.

    Parameters
    ----------
    begin, length
        The runs of each block, (blocks, runs).
    line
        The block of each query, (Q,).
    queries
        The place of each query, (Q,).
    least
        Slots that a block has at least.

    Yields
    ------
    some, places
        Which queries, (q,); the places in their blocks, int32, (q, width): the query's own in slots left over.
    """
    widths = [width for width in _WIDTHS if width >= least]
    kind = torch.bucketize(length.sum(1)[line], torch.tensor(widths, device=line.device))
    order = torch.argsort(kind, stable=True)
    counts = torch.bincount(kind, minlength=len(widths)).tolist()
    for width, alike in zip(widths, torch.split(order, counts), strict=True):
        if len(alike):
            for some in torch.split(alike, max(PAIRS // width, 1)):
                own = queries[some, None].int()
                yield some, _spread_out(begin[line[some]].int(), length[line[some]].int(), own, width)


def separation2(grids: Grids, queries: Tensor, places: Tensor) -> Tensor:
    """Return ΔR² of queries (q,) to places (q, width), infinite to themselves.

    One rounding a step, as in `hardscatter.geometry.neighbours.distance2`: the same number to the last bit.
    """
    apart = take(grids.where, places) - grids.where[queries, None]
    d_eta, d_phi = apart[..., 0], apart[..., 1].abs()
    d_phi = torch.minimum(d_phi, TWO_PI - d_phi)
    squared = d_eta * d_eta + d_phi * d_phi
    return squared.masked_fill_(places == queries[:, None], torch.inf)


def _spread_out(begin: Tensor, length: Tensor, own: Tensor, width: int) -> Tensor:
    """Return the places in runs one after another, (Q, width), and the query's own in what is left over."""
    end = length.cumsum(1)
    # Places rise by 1 from slot to slot; where a run starts they jump from behind the one before.
    jump = begin.clone()
    jump[:, 1:] -= (begin + length)[:, :-1]
    jumps = begin.new_zeros(len(begin), width + 1).scatter_add_(1, end - length, jump)
    slots = torch.arange(width, device=begin.device, dtype=begin.dtype)
    places = jumps[:, :width].cumsum(1, dtype=begin.dtype).add_(slots)
    return torch.where(slots < end[:, -1:], places, own)
