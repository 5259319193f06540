"""The sums around every candidate of many crossings at once: `hardscatter.pileup.surroundings` on any device."""

from __future__ import annotations

import torch
from torch import Tensor

from hardscatter.device.cells import build_grids, padded, separation2
from hardscatter.nets.edges import take
from hardscatter.pileup.surroundings import CLOSEST, KINDS, RADII, STRIP

_REACH = 4
"""Cells to either side that a radius of the largest cone covers."""


def surroundings(pt: Tensor, eta: Tensor, phi: Tensor, kind: Tensor, offsets: Tensor) -> Tensor:
    """Return the sums around every candidate, itself excepted, as `hardscatter.pileup.surroundings.surroundings`.

    Those in cones are a product of matrices for each candidate i, over the j of a padded block of cells::

        S_rk = Σ_j A_rj B_jk,   B_jk = pt_j if j is of kind k, else 0,
        A_rj = 1 if ΔR_ij < r, else 0;   in a last row pt_j / max(ΔR_ij, 0.02)² if ΔR_ij < 0.4, else 0.

    Those in strips are differences of running sums along eta. All in double precision.

    Parameters
    ----------
    pt, eta, phi
        float64, shape (N,); GeV; phi in rad, [−π, π).
    kind
        Place in `hardscatter.pileup.surroundings.KINDS`, int64, shape (N,).
    offsets
        Where each crossing starts, and N at the end: int64, shape (crossings + 1,).

    Returns
    -------
    Tensor
        float64, shape (28, N), rows as `hardscatter.pileup.surroundings.NAMES` says; GeV, GeV² for shapes.
    """
    by_kind = torch.where(kind[:, None] == torch.arange(len(KINDS), device=kind.device), pt[:, None], 0.0)
    return torch.cat([_cones(by_kind, eta, phi, offsets), _strips(by_kind, eta, offsets)], dim=1).T.contiguous()


def _cones(by_kind: Tensor, eta: Tensor, phi: Tensor, offsets: Tensor) -> Tensor:
    """Return the sums in cones, and the shapes, (N, kinds · (radii + 1))."""
    # A little wider, so that rounding cannot put a neighbour a cell farther away.
    width = eta.new_full((len(offsets) - 1,), RADII[-1] / _REACH * (1.0 + 1e-9))
    grids = build_grids(eta, phi, offsets, width)
    by_kind = by_kind[grids.order]
    pt = by_kind.sum(1)
    radii2 = torch.tensor([radius * radius for radius in RADII], device=eta.device, dtype=eta.dtype)
    cells, line = torch.unique_consecutive(grids.cell, return_inverse=True)
    result = eta.new_empty(len(eta), len(KINDS) * (len(RADII) + 1))
    for queries, places in padded(*grids.around(cells, _REACH), line, torch.arange(len(eta), device=eta.device)):
        squared = separation2(grids, queries, places)
        factors = eta.new_empty(len(queries), len(RADII) + 1, places.shape[1])
        factors[:, :-1] = squared[:, None, :] < radii2[:, None]
        torch.div(take(pt, places), squared.clamp_(min=CLOSEST * CLOSEST), out=factors[:, -1])
        factors[:, -1].mul_(factors[:, -2])
        sums = factors @ take(by_kind, places)
        cones, shapes = sums[:, :-1].transpose(1, 2).flatten(1), sums[:, -1]
        result[grids.order[queries]] = torch.cat([cones, shapes], dim=1)
    return result


def _strips(by_kind: Tensor, eta: Tensor, offsets: Tensor) -> Tensor:
    """Return the sums in strips, (N, kinds)."""
    n, counts = len(eta), offsets.diff()
    crossing = torch.repeat_interleave(torch.arange(len(counts), device=eta.device), counts)
    # Candidates and both edges of each strip in one order; of those at one place an upper edge comes first and a lower
    # one last, for the strip is open.
    by_eta = torch.argsort(torch.cat([eta + STRIP, eta, eta - STRIP]), stable=True)
    order = by_eta[torch.argsort(crossing.repeat(3)[by_eta], stable=True)]
    counted = (order >= n) & (order < 2 * n)
    behind = torch.empty_like(order).scatter_(0, order, counted.cumsum(0))  # candidates before each edge
    running = by_kind.new_zeros(n + 1, by_kind.shape[1])
    torch.cumsum(by_kind[order[counted] - n], 0, out=running[1:])
    total = running[behind[:n]] - running[behind[2 * n :]]
    return torch.where(by_kind != 0, (total - by_kind).clamp(min=0.0), total)
