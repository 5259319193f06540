"""Crossings as sequences: candidates ordered so that near ones stand near each other, and windows over that order.

The order of PUMA: clusters of k-means on the (eta, phi) cylinder by their summed pt, candidates inside a cluster by
their pt. A window over the sequence then costs O(N · width), as no list of neighbours has to be found.

References
----------
PUMA, arXiv:2107.02779; windows that slide, are dilated or see global tokens: arXiv:2004.05150.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.nearest import NO_NEIGHBOUR
from hardscatter.geometry.neighbours import Grid, build_grid, distance2, rows, spans
from hardscatter.threads import over_crossings

# Points thrown at random and kept if no nearer than r to those before fill the plane with 0.7 of them on each r².
_FILLED = 0.7
_CLOSER, _MOST_PASSES = 0.8, 20


def kmeans_sequence(
    eta: NDArray[np.floating],
    phi: NDArray[np.floating],
    pt: NDArray[np.floating],
    offsets: NDArray[np.int64],
    size: int = 32,
    *,
    iterations: int = 5,
) -> NDArray[np.int64]:
    """Return the place of every candidate in the sequence of its crossing: clusters by Σ pt, inside them by pt.

    Lloyd's k-means with ⌈n/size⌉ clusters: each candidate joins the nearest centre in ΔR, each centre moves to the
    mean of its candidates, φ averaged the short way round from where the centre stood; a centre that nobody joins
    stays. It starts from the hardest candidates that keep a distance to all harder ones taken (the distance that fills
    the crossing with so many), so that nothing is drawn and the start turns and is mirrored with the crossing.

    Parameters
    ----------
    eta, phi
        All candidates of all crossings, flat, shape (N,); phi in rad, [−π, π).
    pt
        GeV, shape (N,), finite.
    offsets
        Where each crossing starts in the flat arrays, and N at the end: shape (crossings + 1,).
    size
        Mean number of candidates in a cluster, at least 1.
    iterations
        Rounds of Lloyd, at least 1; it ends sooner once nobody changes cluster.

    Returns
    -------
    NDArray[np.int64]
        Shape (N,), from 0 to n − 1 in each crossing. Equal pt stand in the order given.

    Raises
    ------
    SettingsError
        If `size` or `iterations` is below 1, lengths disagree, or a number is not finite or phi not in [−π, π).
    """
    if size < 1 or iterations < 1:
        raise SettingsError(f"kmeans_sequence: size {size} and iterations {iterations} must be at least 1.")
    eta, phi, pt = (np.ascontiguousarray(column, dtype=np.float64) for column in (eta, phi, pt))
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    _check("kmeans_sequence", offsets, eta=eta, phi=phi, pt=pt)
    if not ((phi >= -math.pi) & (phi < math.pi)).all():
        raise SettingsError("kmeans_sequence: phi must lie in [−π, π): wrap it first (hardscatter.geometry.wrap_phi).")
    places = np.empty(len(pt), dtype=np.int64)

    def run(first: int, last: int) -> None:
        _order_by_cluster(first, last, offsets, eta, phi, pt, size, iterations, places)

    over_crossings(run, len(offsets) - 1)
    return places


def pt_sequence(pt: NDArray[np.floating], offsets: NDArray[np.int64]) -> NDArray[np.int64]:
    """Return the place of every candidate among those of its crossing by pt, the hardest first.

    Parameters, result and errors are those of `kmeans_sequence`.
    """
    wide, offsets = np.ascontiguousarray(pt, dtype=np.float64), np.ascontiguousarray(offsets, dtype=np.int64)
    _check("pt_sequence", offsets, pt=wide)
    places = np.empty(len(wide), dtype=np.int64)

    def run(first: int, last: int) -> None:
        _order_by_pt(first, last, offsets, wide, places)

    over_crossings(run, len(offsets) - 1)
    return places


def windows(
    places: NDArray[np.int64], offsets: NDArray[np.int64], reach: int, dilation: int = 1, n_global: int = 0
) -> NDArray[np.int64]:
    """Return, for every candidate at place p, who stands at p + dilation · {−reach, …, reach}, then global ones.

    Parameters
    ----------
    places
        Place of every candidate in the sequence of its crossing, shape (N,): `kmeans_sequence`, `pt_sequence`.
    offsets
        Where each crossing starts in the flat arrays, and N at the end: shape (crossings + 1,).
    reach
        Steps to either side, at least 0; the candidate itself stands in the middle.
    dilation
        Places in a step, at least 1.
    n_global
        So many first of the sequence are seen by all others of the crossing, whatever their place; at least 0.

    Returns
    -------
    NDArray[np.int64]
        Indices into the flat arrays, shape (N, 2 · reach + 1 + n_global); `NO_NEIGHBOUR` beyond the ends of the
        sequence, and for a global one that stands in the window already.

    Raises
    ------
    SettingsError
        If a number is below its least, lengths disagree, or a crossing's places are not 0 to n − 1, each once.
    """
    if reach < 0 or dilation < 1 or n_global < 0:
        raise SettingsError(
            f"windows: reach {reach} and n_global {n_global} must be at least 0, dilation {dilation} at least 1."
        )
    places, offsets = (np.ascontiguousarray(column, dtype=np.int64) for column in (places, offsets))
    _check("windows", offsets, places=places)
    sequence = np.full(len(places), NO_NEIGHBOUR, dtype=np.int64)
    found = np.full((len(places), 2 * reach + 1 + n_global), NO_NEIGHBOUR, dtype=np.int64)

    def run(first: int, last: int) -> None:
        _slide(first, last, offsets, places, reach, dilation, sequence, found)

    over_crossings(run, len(offsets) - 1)
    if (sequence == NO_NEIGHBOUR).any():
        raise SettingsError("windows: the places of a crossing must be 0 to n − 1, each once.")
    return found


def _check(name: str, offsets: NDArray[np.int64], **columns: NDArray[np.generic]) -> None:
    lengths = {len(column) for column in columns.values()}
    if len(lengths) > 1:
        raise SettingsError(f"{name}: {' and '.join(columns)} must have one number each for every candidate.")
    n = lengths.pop()
    if offsets.ndim != 1 or not len(offsets) or offsets[0] != 0 or offsets[-1] != n or (np.diff(offsets) < 0).any():
        raise SettingsError(f"{name}: offsets must rise from 0 to the number of candidates, {n}.")
    for label, column in columns.items():
        if not np.isfinite(column).all():
            raise SettingsError(f"{name}: {label} holds a number that is not finite.")


@kernel
def _hardest_first(pt: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.argsort(-pt, kind="mergesort")  # a stable sort


@kernel
def _order_by_pt(
    first_crossing: int,
    last_crossing: int,
    offsets: NDArray[np.int64],
    pt: NDArray[np.float64],
    places: NDArray[np.int64],
) -> None:
    for crossing in range(first_crossing, last_crossing):
        a, b = offsets[crossing], offsets[crossing + 1]
        for place, i in enumerate(_hardest_first(pt[a:b])):
            places[a + i] = place


@kernel
def _order_by_cluster(
    first_crossing: int,
    last_crossing: int,
    offsets: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    pt: NDArray[np.float64],
    size: int,
    iterations: int,
    places: NDArray[np.int64],
) -> None:
    for crossing in range(first_crossing, last_crossing):
        a, b = offsets[crossing], offsets[crossing + 1]
        if a == b:
            continue
        order = _hardest_first(pt[a:b])
        n_clusters = -((a - b) // size)
        clusters = _kmeans(eta[a:b][order], phi[a:b][order], n_clusters, iterations)
        summed, members = np.zeros(n_clusters), np.zeros(n_clusters, dtype=np.int64)
        for i in range(b - a):
            summed[clusters[i]] += pt[a + order[i]]
            members[clusters[i]] += 1
        next_place, before = np.empty(n_clusters, dtype=np.int64), 0
        for cluster in _hardest_first(summed):
            next_place[cluster] = before
            before += members[cluster]
        for i in range(b - a):
            places[a + order[i]] = next_place[clusters[i]]
            next_place[clusters[i]] += 1


@kernel
def _kmeans(eta: NDArray[np.float64], phi: NDArray[np.float64], n_clusters: int, iterations: int) -> NDArray[np.int64]:
    """Return the cluster of every candidate of one crossing, hardest first."""
    spacing = _spacing(eta, n_clusters)
    grid = build_grid(eta, phi, spacing)
    chosen = _starts(grid, eta, phi, n_clusters, spacing)
    centre_eta, centre_phi = eta[chosen], phi[chosen]
    clusters = np.full(len(eta), -1, dtype=np.int64)
    for iteration in range(iterations):
        if iteration > 0:
            _move(eta, phi, clusters, centre_eta, centre_phi)
        if not _assign(grid, eta, phi, centre_eta, centre_phi, clusters):
            break
    return clusters


@kernel
def _spacing(eta: NDArray[np.float64], n: int) -> float:
    """Return the least distance r at which about `n` points fill the candidates' cylinder: n r² = 0.7 · 2π (range + r).

    The strip of one r beside the range keeps r above 0 where all candidates have one eta.
    """
    half = 0.5 * _FILLED * TWO_PI
    return (half + math.sqrt(half * half + 2.0 * half * (eta.max() - eta.min()) * n)) / n


@kernel
def _starts(
    grid: Grid, eta: NDArray[np.float64], phi: NDArray[np.float64], n_clusters: int, spacing: float
) -> NDArray[np.int64]:
    """Return the candidates to start from: the hardest that keep the spacing to all chosen, then ever closer ones."""
    chosen = np.empty(n_clusters, dtype=np.int64)
    clear = np.full(len(eta), np.inf)  # ΔR² to the nearest chosen, below 0 for the chosen themselves
    closest, n, passes = spacing * spacing, 0, 0
    while n < n_clusters:
        for i in range(len(eta)):
            if clear[i] < closest:
                continue
            chosen[n] = i
            n += 1
            _clear_around(grid, eta, phi, i, clear)
            if n == n_clusters:
                break
        passes += 1
        closest *= _CLOSER * _CLOSER if passes < _MOST_PASSES else 0.0
    return chosen


@kernel
def _clear_around(
    grid: Grid, eta: NDArray[np.float64], phi: NDArray[np.float64], i: int, clear: NDArray[np.float64]
) -> None:
    first, last = rows(grid, eta[i])
    for row in range(first, last):
        a, b, c, d = spans(grid, row, phi[i])
        for low, high in ((a, b), (c, d)):
            for k in range(low, high):
                j = grid.order[k]
                clear[j] = min(clear[j], distance2(eta[i], phi[i], eta[j], phi[j]))
    clear[i] = -1.0


@kernel
def _assign(
    grid: Grid,
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    centre_eta: NDArray[np.float64],
    centre_phi: NDArray[np.float64],
    clusters: NDArray[np.int64],
) -> bool:
    """Give every candidate the nearest centre, the first of equally near; return whether any changed.

    Cell by cell: with h half a cell's diagonal and d the distance of the nearest centre to the middle of the cell, no
    centre beyond d + 2h of the middle can be the nearest of a candidate in the cell (triangle inequality).
    """
    height, width = 1.0 / grid.rows_per_eta, 1.0 / grid.columns_per_phi
    diagonal = math.sqrt(height * height + width * width) * (1.0 + 1e-9)
    distances, near = np.empty(len(centre_eta)), np.empty(len(centre_eta), dtype=np.int64)
    changed = False
    for cell in range(len(grid.start) - 1):
        low, high = grid.start[cell], grid.start[cell + 1]
        if low == high:
            continue
        row, column = divmod(cell, grid.n_columns)
        middle_eta, middle_phi = grid.eta_low + (row + 0.5) * height, (column + 0.5) * width - math.pi
        for c in range(len(centre_eta)):
            distances[c] = math.sqrt(distance2(middle_eta, middle_phi, centre_eta[c], centre_phi[c]))
        limit, n_near = distances.min() + diagonal, 0
        for c in range(len(centre_eta)):
            if distances[c] <= limit:
                near[n_near] = c
                n_near += 1
        for k in range(low, high):
            i = grid.order[k]
            best, nearest = np.inf, -1
            for c in near[:n_near]:
                distance = distance2(eta[i], phi[i], centre_eta[c], centre_phi[c])
                if distance < best:
                    best, nearest = distance, c
            changed |= nearest != clusters[i]
            clusters[i] = nearest
    return changed


@kernel
def _move(
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    clusters: NDArray[np.int64],
    centre_eta: NDArray[np.float64],
    centre_phi: NDArray[np.float64],
) -> None:
    """Move every centre to the mean of its candidates, seen from where it stands."""
    n_clusters = len(centre_eta)
    members, to_eta, to_phi = np.zeros(n_clusters), np.zeros(n_clusters), np.zeros(n_clusters)
    for i in range(len(eta)):
        c = clusters[i]
        d_phi = phi[i] - centre_phi[c]
        members[c] += 1.0
        to_eta[c] += eta[i] - centre_eta[c]
        to_phi[c] += d_phi - TWO_PI * np.round(d_phi / TWO_PI)
    for c in range(n_clusters):
        if members[c] > 0.0:
            centre_eta[c] += to_eta[c] / members[c]
            moved = centre_phi[c] + to_phi[c] / members[c]
            centre_phi[c] = moved - TWO_PI * math.floor((moved + math.pi) / TWO_PI)


@kernel
def _slide(
    first_crossing: int,
    last_crossing: int,
    offsets: NDArray[np.int64],
    places: NDArray[np.int64],
    reach: int,
    dilation: int,
    sequence: NDArray[np.int64],
    found: NDArray[np.int64],
) -> None:
    """Fill `sequence` with who stands where, `found` with the windows; a place out of range or twice leaves a gap."""
    n_global = found.shape[1] - 2 * reach - 1
    for crossing in range(first_crossing, last_crossing):
        a, b = offsets[crossing], offsets[crossing + 1]
        for i in range(a, b):
            if 0 <= places[i] < b - a:
                sequence[a + places[i]] = i
        for i in range(a, b):
            for slot in range(2 * reach + 1):
                place = places[i] + dilation * (slot - reach)
                if 0 <= place < b - a:
                    found[i, slot] = sequence[a + place]
            for place in range(min(n_global, b - a)):
                steps, rest = divmod(abs(places[i] - place), dilation)
                if rest != 0 or steps > reach:
                    found[i, 2 * reach + 1 + place] = sequence[a + place]
