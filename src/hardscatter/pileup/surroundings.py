"""What surrounds each candidate: momentum in cones and strips by kind of candidate, and PUPPI's sums.

At a pileup of 140 the 20 nearest neighbours of a candidate lie within ΔR = 0.2 and hold hardly a track of the leading
vertex. These sums reach further and tell by kind: they are what rules such as PUPPI decide by, and a network's first
look around.
"""

from __future__ import annotations

import math
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat, offsets_of
from hardscatter.geometry.neighbours import build_grid, distance2, row_of, spans
from hardscatter.threads import over_crossings

KINDS = ("neutral", "leading", "pileup", "unassociated")
"""Neutral; charged of the leading vertex, of a pileup vertex, of none."""
_N_KINDS = len(KINDS)
RADII = (0.05, 0.1, 0.2, 0.3, 0.4)
"""ΔR of the cones; the last is PUPPI's."""
STRIP = 0.5
"""Half the width in eta of the strips, which run around the whole of phi."""

_CLOSEST = 0.02  # nearer than a calorimeter can tell: without it one pair of split energy would be all of the sum


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
    candidates = events.candidates
    offsets = offsets_of(candidates.pt)
    pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
    kind = kinds(flat(candidates.charge), flat(candidates.vertex))
    radii2 = np.square(np.array(RADII))
    result = np.zeros((len(pt), len(NAMES)))

    def run(first: int, last: int) -> None:
        for a, b in zip(offsets[first:last], offsets[first + 1 : last + 1], strict=True):
            here = slice(int(a), int(b))
            _cones(pt[here], eta[here], phi[here], kind[here], radii2, result[here])
            _strips(pt[here], eta[here], kind[here], result[here, -len(KINDS) :])

    over_crossings(run, len(events))
    return result


def kinds(charge: NDArray[Any], vertex: NDArray[Any]) -> NDArray[np.int8]:
    """Return the kind of each candidate, its place in `KINDS`."""
    charged = np.where(vertex == LEADING, 1, np.where(vertex > LEADING, 2, 3))
    return np.where(charge != 0, charged, 0).astype(np.int8)


@kernel
def _cones(
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    kind: NDArray[np.int8],
    radii2: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Fill cones and shapes of one crossing."""
    n_radii = len(radii2)
    largest2 = radii2[-1]
    grid = build_grid(eta, phi, math.sqrt(largest2))
    # In cell order the inner loop reads memory straight on, and one candidate's neighbours are the next one's.
    pt, eta, phi, kind = pt[grid.order], eta[grid.order], phi[grid.order], kind[grid.order]
    rings = np.zeros((len(pt), _N_KINDS, n_radii + 1))  # the last column holds the shape
    for i in range(len(pt)):
        row = row_of(eta[i], grid.eta_low, grid.rows_per_eta, grid.n_rows)
        for above in range(row, min(row + 2, grid.n_rows)):  # each pair once: its later member lies here or above
            a, b, c, d = spans(grid, above, phi[i])
            for low, high in ((a, b), (c, d)):
                for j in range(max(low, i + 1), high):
                    separation2 = distance2(eta[i], phi[i], eta[j], phi[j])
                    if separation2 >= largest2:
                        continue
                    ring = n_radii - 1
                    while ring > 0 and separation2 < radii2[ring - 1]:
                        ring -= 1
                    rings[i, kind[j], ring] += pt[j]
                    rings[j, kind[i], ring] += pt[i]
                    inverse = 1.0 / max(separation2, _CLOSEST * _CLOSEST)
                    rings[i, kind[j], n_radii] += pt[j] * pt[j] * inverse
                    rings[j, kind[i], n_radii] += pt[i] * pt[i] * inverse
    for i in range(len(pt)):
        sums = result[grid.order[i]]
        for k in range(_N_KINDS):
            total = 0.0
            for ring in range(n_radii):
                total += rings[i, k, ring]
                sums[k * n_radii + ring] = total
            sums[_N_KINDS * n_radii + k] = rings[i, k, n_radii]


@kernel
def _strips(
    pt: NDArray[np.float64], eta: NDArray[np.float64], kind: NDArray[np.int8], result: NDArray[np.float64]
) -> None:
    """Fill the strips of one crossing: differences of running sums along eta."""
    order = np.argsort(eta)
    running = np.zeros((len(pt) + 1, _N_KINDS))
    for i in range(len(pt)):
        running[i + 1] = running[i]
        running[i + 1, kind[order[i]]] += pt[order[i]]
    low = high = 0
    for i in order:
        while eta[order[low]] <= eta[i] - STRIP:
            low += 1
        while high < len(pt) and eta[order[high]] < eta[i] + STRIP:
            high += 1
        for k in range(_N_KINDS):
            result[i, k] = running[high, k] - running[low, k]
        result[i, kind[i]] = max(result[i, kind[i]] - pt[i], 0.0)
