"""Vertices as reconstruction finds them, and which of them each track chooses.

A vertex is the inverse-variance mean of the measured z of its own collision's tracks. So which tracks make a vertex
is taken from truth, where it lies is not; collisions without enough tracks have none, and vertices nearer to each
other than the merging distance become one. The leading vertex is always the hard collision's, as in Delphes; a hard
collision without tracks keeps its true z.

Which vertex a track goes to uses no truth: the vertex v of the largest posterior

    n_v(pt) · [(1 − f) N(Δz; s) + f exp(−|Δz|/λ) / 2λ],   s² = σ_track² + σ_v²,

with Δz the distance in z, n_v(pt) the number of tracks of similar pt that v holds (a hard track is rare in a pileup
vertex), and f, λ the share and the length scale of tracks from displaced decays.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.card import Vertexing
from hardscatter.events import LEADING, NO_VERTEX, PILEUP

Floats = NDArray[np.float64]


# Tracks are of similar pt within these edges (GeV).
_PT_EDGES = np.array([1.0, 2.0, 4.0, 8.0])


class VertexRules(NamedTuple):
    """Numbers of the card that the kernels need."""

    min_track_pt: float
    max_d0_significance: float
    min_tracks: int
    merging_distance: float
    min_error: float
    max_significance: float
    displaced_share: float
    displacement: float
    reach: float


class Vertices(NamedTuple):
    """Reconstructed vertices, the leading one first, the others by falling Σ pt²."""

    z: Floats
    error: Floats


class MeasuredTracks(NamedTuple):
    """What vertexing looks at: measured quantities, and the interaction for `fit_vertices`."""

    interaction: NDArray[np.int32]
    pt: Floats
    d0: Floats
    d0_error: Floats
    z: Floats
    z_error: Floats


def vertex_rules(card: Vertexing) -> VertexRules:
    """Flatten the card for the kernel."""
    return VertexRules(
        card.min_track_pt, card.max_d0_significance, card.min_tracks, card.merging_distance, card.min_error,
        card.max_significance, card.displaced_share, card.displacement, card.reach,
    )  # fmt: skip


@kernel
def fit_vertices(tracks: MeasuredTracks, true_z: Floats, rules: VertexRules) -> Vertices:
    """Reconstruct the vertices of a crossing; `true_z` holds one entry an interaction, the hard one first."""
    n = len(true_z)
    count, weight = np.zeros(n, dtype=np.int64), np.zeros(n)
    mean, sum_pt2 = np.zeros(n), np.zeros(n)
    interaction, pt, d0, d0_error, track_z, z_error = tracks
    for i in range(len(pt)):
        k = interaction[i]
        if pt[i] < rules.min_track_pt or abs(d0[i]) > rules.max_d0_significance * d0_error[i]:
            continue
        own = 1.0 / z_error[i] ** 2
        count[k] += 1
        weight[k] += own
        mean[k] += own * track_z[i]
        sum_pt2[k] += pt[i] ** 2
    largest = 1.0 / rules.min_error**2
    sum_pt2[0] = math.inf
    z, w, n_kept = np.empty(n), np.empty(n), 0
    for k in np.argsort(-sum_pt2):
        if count[k] < rules.min_tracks and k != 0:
            continue
        here = mean[k] / weight[k] if weight[k] > 0.0 else true_z[k]
        own = min(weight[k], largest) if weight[k] > 0.0 else largest
        merged = False
        for other in range(n_kept):
            if abs(z[other] - here) < rules.merging_distance:
                z[other] = (w[other] * z[other] + own * here) / (w[other] + own)
                w[other] = min(w[other] + own, largest)
                merged = True
                break
        if not merged:
            z[n_kept], w[n_kept] = here, own
            n_kept += 1
    return Vertices(z[:n_kept], 1.0 / np.sqrt(w[:n_kept]))


@kernel
def count_tracks(tracks: MeasuredTracks, vertices: Vertices, rules: VertexRules) -> Floats:
    """Return how many tracks of each pt bin lie nearest (in σ) to each vertex, shape (vertices, pt bins), smoothed.

    The mean over vertices, and one track shared by all, is added: a vertex without a track of that pt may have had one.
    """
    n_tracks = np.zeros((len(vertices.z), len(_PT_EDGES) + 1))
    order, z, error2, start = _in_a_row(vertices, tracks.z)
    widest2 = error2.max()
    bins, track_z, track_error = _pt_bins(tracks.pt), tracks.z, tracks.z_error
    for i in range(len(track_z)):
        nearest, best = -1, rules.max_significance**2
        track_error2 = track_error[i] ** 2
        for step in (1, -1):
            v = start[i] + min(step, 0)
            while 0 <= v < len(z):
                distance2 = (track_z[i] - z[v]) ** 2
                if distance2 / (track_error2 + widest2) > best:  # nor is any further out nearer
                    break
                significance2 = distance2 / (track_error2 + error2[v])
                if significance2 < best or (significance2 == best and order[v] < nearest):
                    nearest, best = order[v], significance2
                v += step
        if nearest >= 0:
            n_tracks[nearest, bins[i]] += 1.0
    for b in range(n_tracks.shape[1]):
        n_tracks[:, b] += (n_tracks[:, b].sum() + 1.0) / max(len(z), 1)
    return n_tracks


@kernel
def associate(tracks: MeasuredTracks, vertices: Vertices, n_tracks: Floats, rules: VertexRules) -> NDArray[np.int32]:
    """Return the vertex of the largest posterior for each track, `NO_VERTEX` where none is within reach.

    `n_tracks` is what `count_tracks` gives. A vertex is within reach if it is nearer than `max_significance` standard
    deviations or `reach` (mm).
    """
    order, z, error2, start = _in_a_row(vertices, tracks.z)
    least2, widest2 = error2.min(), error2.max()
    n_of, most = n_tracks[order], np.array([n_tracks[:, b].max() for b in range(n_tracks.shape[1])])
    bins, track_z, track_error = _pt_bins(tracks.pt), tracks.z, tracks.z_error
    chosen = np.full(len(track_z), NO_VERTEX, dtype=np.int32)
    share, length = rules.displaced_share, rules.displacement
    root = math.sqrt(2.0 * math.pi)
    for i in range(len(track_z)):
        best, b = 0.0, bins[i]
        track_error2 = track_error[i] ** 2
        reach = max(rules.max_significance * math.sqrt(track_error2 + widest2), rules.reach)
        # No vertex further out has more than this where exp(−x) < 1 / (1 + x + x²/2); a little is left for rounding.
        peak = 1.000001 * most[b] * (1.0 - share) / (root * math.sqrt(track_error2 + least2))
        plateau = 1.000001 * most[b] * share / (2.0 * length)
        for step in (1, -1):
            v = start[i] + min(step, 0)
            while 0 <= v < len(z):
                distance = abs(track_z[i] - z[v])
                x, y = 0.5 * distance * distance / (track_error2 + widest2), distance / length
                bound = peak / (1.0 + x * (1.0 + 0.5 * x)) + plateau / (1.0 + y * (1.0 + 0.5 * y))
                if distance > reach or bound < best:
                    break
                spread = math.sqrt(track_error2 + error2[v])
                if distance <= max(rules.max_significance * spread, rules.reach):
                    prompt = math.exp(-0.5 * (distance / spread) ** 2) / (root * spread)
                    displaced = math.exp(-distance / length) / (2.0 * length)
                    posterior = n_of[v, b] * ((1.0 - share) * prompt + share * displaced)
                    if posterior > best or (posterior == best and posterior > 0.0 and order[v] < chosen[i]):
                        best, chosen[i] = posterior, order[v]
                v += step
    return chosen


_CELLS = 256  # of z, to begin the search in


@kernel
def _in_a_row(vertices: Vertices, track_z: Floats) -> tuple[NDArray[np.int64], Floats, Floats, NDArray[np.int64]]:
    """Return vertices by rising z (their numbers, z, variances), and for each track the first that is not below it."""
    order = np.argsort(vertices.z)
    z = vertices.z[order]
    first, last = (z[0], z[-1]) if len(z) else (0.0, 0.0)
    per_mm = _CELLS / max(last - first, 1e-3)
    begin = np.searchsorted(z, first + np.arange(_CELLS) / per_mm)
    start = np.empty(len(track_z), dtype=np.int64)
    for i in range(len(track_z)):
        v = begin[int(min(max((track_z[i] - first) * per_mm, 0.0), _CELLS - 1.0))]
        while v > 0 and z[v - 1] >= track_z[i]:
            v -= 1
        while v < len(z) and z[v] < track_z[i]:
            v += 1
        start[i] = v
    return order, z, vertices.error[order] ** 2, start


@kernel
def _pt_bins(pt: Floats) -> NDArray[np.int64]:
    bins = np.zeros(len(pt), dtype=np.int64)
    for i in range(len(pt)):
        for edge in _PT_EDGES:
            bins[i] += pt[i] > edge
    return bins


def associate_as_delphes(
    interaction: NDArray[np.int32], origin_z: Floats, leading_z: float, resolution: Floats
) -> NDArray[np.int32]:
    """Return `PILEUP` for true pileup produced further than σ_z from the leading vertex, `LEADING` for the rest.

    All in mm, true values. Source: Delphes, TrackPileUpSubtractor.
    """
    lost = (interaction > 0) & (np.abs(origin_z - leading_z) > resolution)
    return np.where(lost, PILEUP, LEADING).astype(np.int32)
