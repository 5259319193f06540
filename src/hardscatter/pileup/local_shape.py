"""The local shape α of PUPPI: the sums over neighbours, which take nearly all of its time."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel, lane_kernel, quick_kernel
from hardscatter.elementary import log
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.neighbours import build_grid, rows, spans

_MIN_DISTANCE2 = 1e-4  # closer pairs are the candidate itself or a split track


@kernel
def alphas_of_leading(
    wanted: NDArray[np.bool_],
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    leading: NDArray[np.bool_],
    cone: float,
    alpha: NDArray[np.float64],
) -> None:
    """Fill wanted α over the leading vertex's tracks, 0 where there is none.

    There are few of these tracks: each gives its share to the candidates around it.
    """
    asking = np.flatnonzero(wanted)
    grid = build_grid(y[asking], phi[asking], cone)
    asking = asking[grid.order]
    near_y, near_eta, near_phi = y[asking], eta[asking], phi[asking]
    total = np.zeros(len(asking))
    for j in np.flatnonzero(leading):
        first, last = rows(grid, y[j])
        for row in range(first, last):
            a, b, c, d = spans(grid, row, phi[j])
            for low, high in ((a, b), (c, d)):
                _give(low, high, pt[j] * pt[j], y[j], eta[j], phi[j], cone * cone, near_y, near_eta, near_phi, total)
    _logarithms(total)
    for k in range(len(asking)):
        alpha[asking[k]] = total[k]


@kernel
def alphas_of_all(
    wanted: NDArray[np.bool_],
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    counts: NDArray[np.bool_],
    cone: float,
    alpha: NDArray[np.float64],
) -> None:
    """Fill wanted α over all candidates that count, 0 where there is no neighbour."""
    n = len(pt)
    if not wanted.any():
        return
    grid = build_grid(y, phi, cone)
    # In the order of the cells, so that memory is read straight on.
    all_pt2, all_y, all_eta, all_phi = np.empty(n), np.empty(n), np.empty(n), np.empty(n)
    asks = np.empty(n, dtype=np.bool_)
    for k in range(n):
        i = grid.order[k]
        all_pt2[k] = pt[i] * pt[i] if counts[i] else 0.0
        all_y[k], all_eta[k], all_phi[k], asks[k] = y[i], eta[i], phi[i], wanted[i]
    total = np.zeros(n)
    for q in range(n):
        if asks[q]:
            first, last = rows(grid, all_y[q])
            for row in range(first, last):
                a, b, c, d = spans(grid, row, all_phi[q])
                for low, high in ((a, b), (c, d)):
                    total[q] += _sum(
                        low, high, all_y[q], all_eta[q], all_phi[q], cone * cone, all_pt2, all_y, all_eta, all_phi
                    )
    _logarithms(total)
    for k in range(n):
        alpha[grid.order[k]] = total[k]


@quick_kernel
def _give(
    low: int,
    high: int,
    pt2: float,
    y: float,
    eta: float,
    phi: float,
    cone2: float,
    near_y: NDArray[np.float64],
    near_eta: NDArray[np.float64],
    near_phi: NDArray[np.float64],
    total: NDArray[np.float64],
) -> None:
    """Add the share pt²/ΔR² of one source to the sums of a run of candidates."""
    for k in range(np.uint64(low), np.uint64(high)):  # an index without a sign needs no wrapping round
        within, separation2 = _pair(y, eta, phi, cone2, near_y[k], near_eta[k], near_phi[k])
        share = np.divide(pt2, max(separation2, _MIN_DISTANCE2))
        total[k] += share if within else 0.0


@quick_kernel
def _sum(
    low: int,
    high: int,
    y: float,
    eta: float,
    phi: float,
    cone2: float,
    pt2: NDArray[np.float64],
    near_y: NDArray[np.float64],
    near_eta: NDArray[np.float64],
    near_phi: NDArray[np.float64],
) -> float:
    """Return Σ pt²/ΔR² over a run of sources."""
    total = 0.0
    for k in range(np.uint64(low), np.uint64(high)):
        within, separation2 = _pair(y, eta, phi, cone2, near_y[k], near_eta[k], near_phi[k])
        share = np.divide(pt2[k], max(separation2, _MIN_DISTANCE2))
        total += share if within else 0.0
    return total


@quick_kernel
def _pair(
    y_a: float, eta_a: float, phi_a: float, cone2: float, y_b: float, eta_b: float, phi_b: float
) -> tuple[bool, float]:
    """Tell whether two candidates are neighbours, by rapidity and phi; return ΔR², by pseudorapidity and phi."""
    d_phi = abs(phi_a - phi_b)
    d_phi = min(d_phi, TWO_PI - d_phi)
    d_y, d_eta = y_a - y_b, eta_a - eta_b
    d_phi2 = d_phi * d_phi
    separation2 = d_eta * d_eta + d_phi2
    return (d_y * d_y + d_phi2 <= cone2) & (separation2 >= _MIN_DISTANCE2), separation2


@lane_kernel
def _logarithms(values: NDArray[np.float64]) -> None:
    """Replace values above 0 by their logarithms."""
    for i in range(len(values)):
        values[i] = log(values[i]) if values[i] > 0.0 else 0.0
