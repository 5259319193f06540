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
    for i in range(len(tracks.pt)):
        k = tracks.interaction[i]
        if tracks.pt[i] < rules.min_track_pt or abs(tracks.d0[i]) > rules.max_d0_significance * tracks.d0_error[i]:
            continue
        w = 1.0 / tracks.z_error[i] ** 2
        count[k] += 1
        weight[k] += w
        mean[k] += w * tracks.z[i]
        sum_pt2[k] += tracks.pt[i] ** 2
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
    for i in range(len(tracks.z)):
        nearest, best = -1, rules.max_significance**2
        for v in range(len(vertices.z)):
            variance = tracks.z_error[i] ** 2 + vertices.error[v] ** 2
            significance2 = (tracks.z[i] - vertices.z[v]) ** 2 / variance
            if significance2 < best:
                nearest, best = v, significance2
        if nearest >= 0:
            n_tracks[nearest, _pt_bin(tracks.pt[i])] += 1.0
    for b in range(n_tracks.shape[1]):
        n_tracks[:, b] += (n_tracks[:, b].sum() + 1.0) / max(len(vertices.z), 1)
    return n_tracks


@kernel
def associate(tracks: MeasuredTracks, vertices: Vertices, n_tracks: Floats, rules: VertexRules) -> NDArray[np.int32]:
    """Return the vertex of the largest posterior for each track, `NO_VERTEX` where none is within reach.

    `n_tracks` is what `count_tracks` gives. A vertex is within reach if it is nearer than `max_significance` standard
    deviations or `reach` (mm).
    """
    chosen = np.full(len(tracks.z), NO_VERTEX, dtype=np.int32)
    for i in range(len(tracks.z)):
        best = 0.0
        b = _pt_bin(tracks.pt[i])
        for v in range(len(vertices.z)):
            distance = abs(tracks.z[i] - vertices.z[v])
            spread = math.sqrt(tracks.z_error[i] ** 2 + vertices.error[v] ** 2)
            if distance > max(rules.max_significance * spread, rules.reach):
                continue
            prompt = math.exp(-0.5 * (distance / spread) ** 2) / (math.sqrt(2.0 * math.pi) * spread)
            displaced = math.exp(-distance / rules.displacement) / (2.0 * rules.displacement)
            density = (1.0 - rules.displaced_share) * prompt + rules.displaced_share * displaced
            if n_tracks[v, b] * density > best:
                best = n_tracks[v, b] * density
                chosen[i] = v
    return chosen


@kernel
def _pt_bin(pt: float) -> int:
    place = 0
    while place < len(_PT_EDGES) and pt > _PT_EDGES[place]:
        place += 1
    return place


def associate_as_delphes(
    interaction: NDArray[np.int32], origin_z: Floats, leading_z: float, resolution: Floats
) -> NDArray[np.int32]:
    """Return `PILEUP` for true pileup produced further than σ_z from the leading vertex, `LEADING` for the rest.

    All in mm, true values. Source: Delphes, TrackPileUpSubtractor.
    """
    lost = (interaction > 0) & (np.abs(origin_z - leading_z) > resolution)
    return np.where(lost, PILEUP, LEADING).astype(np.int32)
