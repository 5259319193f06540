"""The k nearest neighbours of all candidates of many crossings at once, exact, on any device that PyTorch serves."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from hardscatter.device.cells import Grids, build_grids, eta_range, padded, separation2
from hardscatter.geometry import NO_NEIGHBOUR
from hardscatter.geometry.angles import TWO_PI
from hardscatter.nets.edges import take

_PER_CELL = 3.0
_SPARE = 1.1
"""A block is taken to be large enough if so many times k are to be expected as far out as its nearest edge is."""
_REACHES = (1, 2, 3, 4, 6, 8, 12, 16)
"""Of the blocks that are tried one after another; then the whole crossing."""


def nearest(eta: Tensor, phi: Tensor, offsets: Tensor, k: int) -> Tensor:
    """Return the `k` candidates of the same crossing that are nearest in ΔR: as `hardscatter.geometry.nearest`.

    Whatever lies nearer than the edge of a block of cells is in the block; so where k do, they are the answer, and the
    others look again in a larger block, at last in the whole crossing. Linear in the number of candidates at bounded
    density; memory is bounded by `hardscatter.device.cells.PAIRS`.

    Parameters
    ----------
    eta, phi
        Finite, float64, shape (N,); phi in rad, [−π, π).
    offsets
        Where each crossing starts, and N at the end: int64, shape (crossings + 1,).
    k
        Neighbours of each candidate, at least 1.

    Returns
    -------
    Tensor
        int64, shape (N, k): nearest first, equal distances by index, a candidate itself left out; `NO_NEIGHBOUR` in the
        last slots where a crossing has too few.
    """
    result = torch.full((len(eta), k), NO_NEIGHBOUR, device=eta.device)
    grids = build_grids(eta, phi, offsets, _cell_width(eta, offsets))
    waiting = torch.arange(len(eta), device=eta.device)
    for reach in (*_REACHES, None):
        if not len(waiting):
            break
        cells, line = torch.unique_consecutive(grids.cell[waiting], return_inverse=True)
        begin, length = grids.all_of_crossing(cells) if reach is None else grids.around(cells, reach)
        if reach is None:
            tried, edge2 = torch.ones_like(line, dtype=torch.bool), grids.where.new_full(line.shape, torch.inf)
        else:
            tried = (length.sum(1) * math.pi * reach**2 >= _SPARE * k * (2 * reach + 1) ** 2)[line]
            edge = _distance_to_unseen(grids, waiting, reach)
            edge2 = edge * edge.abs()
        asking = torch.nonzero(tried)[:, 0]
        unproven = ~tried
        for some, places in padded(begin, length, line[asking], waiting[asking], least=k + 1):
            queries, limit2 = waiting[asking[some]], edge2[asking[some]]
            farthest2, names = _closest(separation2(grids, queries, places), take(grids.order, places), k)
            result[grids.order[queries]] = names  # what is not proven is written again
            unproven[asking[some]] = (farthest2 >= limit2) & (limit2 < torch.inf)
        waiting = waiting[unproven]
    return result


def _cell_width(eta: Tensor, offsets: Tensor) -> Tensor:
    """Return the widths w that cut the crossings' cylinders into n / _PER_CELL cells: 2π (range + w) = w² cells."""
    counts = offsets.diff()
    crossing = torch.repeat_interleave(torch.arange(len(counts), device=eta.device), counts)
    low, high = eta_range(eta, crossing, len(counts))
    cells = (counts.to(eta.dtype) / _PER_CELL).clamp(min=1.0)
    return (math.pi + torch.sqrt(math.pi**2 + TWO_PI * (high - low) * cells)) / cells


def _distance_to_unseen(grids: Grids, places: Tensor, reach: int) -> Tensor:
    """Return lower limits of the distances to any point outside the blocks of cells out to `reach`; may be below 0."""
    crossing = grids.crossing[places]
    row, column = grids.row_and_column(grids.cell[places], crossing)
    n_rows, n_columns = grids.n_rows[crossing], grids.n_columns[crossing]
    height, width = 1.0 / grids.rows_per_eta[crossing], TWO_PI / n_columns
    eta, phi = grids.where[places, 0] - grids.low[crossing], grids.where[places, 1] + math.pi
    below = torch.where(row - reach > 0, eta - (row - reach) * height, torch.inf)
    above = torch.where(row + reach < n_rows - 1, (row + reach + 1) * height - eta, torch.inf)
    beside = torch.minimum(phi - (column - reach) * width, (column + reach + 1) * width - phi)
    beside = torch.where(2 * reach + 1 < n_columns, beside, torch.inf)
    limit = torch.minimum(torch.minimum(below, above), beside)
    return limit - 1e-9 * torch.minimum(height, width)  # rounding may have put a point into the next cell


def _closest(distance2: Tensor, names: Tensor, k: int) -> tuple[Tensor, Tensor]:
    """Return the k-th smallest distance of each row, (Q,), and the names of the k in order, (Q, k)."""
    nearest2, slots = torch.topk(distance2, k + 1, dim=1, largest=False)
    farthest2, following2 = nearest2[:, k - 1], nearest2[:, k]
    nearest2, slots = nearest2[:, :k].contiguous(), slots[:, :k].contiguous()
    # Which of those equally far as the last are among the k is for their names to decide.
    tied = torch.nonzero((farthest2 == following2) & (farthest2 < torch.inf))[:, 0]
    if len(tied):
        last, distances2, called = farthest2[tied, None], distance2[tied], names[tied]
        rank = torch.where(distances2 == last, called, torch.iinfo(called.dtype).max)
        rank = torch.where(distances2 < last, -1, rank)
        slots[tied] = torch.topk(rank, k, dim=1, largest=False).indices
        nearest2[tied] = distances2.gather(1, slots[tied])
    chosen, by_name = torch.sort(names.gather(1, slots), dim=1)
    nearest2, by_distance = torch.sort(nearest2.gather(1, by_name), dim=1, stable=True)
    return farthest2, torch.where(nearest2 < torch.inf, chosen.gather(1, by_distance), NO_NEIGHBOUR)
