"""PUPPI as it was in May 2014, at the workshop: a logarithm of a sum of pt/ΔR, not yet of its square."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat, jagged_like, offsets_of
from hardscatter.geometry.neighbours import Grid, build_grid, distance2, rows, spans
from hardscatter.threads import over_crossings


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WorkshopPuppi:
    """Weigh neutrals by how much the leading vertex's tracks around them stand out from pileup's.

    With j over charged candidates of the leading vertex, 0.001 < ΔR_ij ≤ `cone`,

        α_i = ln Σ_j pt_j / max(ΔR_ij, `floor`),   0 without any j,
        w_i = F_χ²(1)((α_i − ᾱ)|α_i − ᾱ| / σ²),

    where ᾱ is the median of α over charged pileup above `rms_pt_min` that has a j, and σ² the mean of (α − ᾱ)² over
    those up to ᾱ. A neutral with w·pt < `pt_cut` + `pt_slope` · N_PU or w < `min_weight` gets 0; N_PU is
    ``n_vertices`` − 1. Charged candidates are settled by their vertex, and all below `min_pt` get 0. Without any
    pileup track to learn from, neutrals with an α above 0 get 1 before the cuts.

    References
    ----------
    Bertolini, Harris, Low, Tran, arXiv:1407.6013; settings: ``puppiContainer`` of the 2014 pileup workshop's
    repository, as used for Soyez, arXiv:1801.09721.
    """

    cone: float = 0.3
    floor: float = 0.05
    rms_pt_min: float = 0.5
    """GeV."""
    pt_cut: float = 0.6
    pt_slope: float = 0.66667e-2
    min_weight: float = 0.1
    min_pt: float = 0.1
    """GeV; softer candidates are not looked at."""

    def weights(self, events: Events) -> ak.Array:
        """Return weights; raises `MissingFieldError` if the events lack ``n_vertices``."""
        candidates = events.candidates
        offsets = offsets_of(candidates.pt)
        pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
        cut = self.pt_cut + self.pt_slope * (ak.to_numpy(events.n_vertices).astype(np.float64) - 1.0)
        charged, vertex = flat(candidates.charge) != 0, flat(candidates.vertex)
        seen = pt >= self.min_pt
        track = charged & (vertex <= LEADING) & seen
        reference = charged & (vertex > LEADING) & (pt >= self.rms_pt_min)
        # Weights are 1 at most: what is softer than the cut falls to it anyway.
        wanted = ~charged & seen & (pt >= np.repeat(cut, np.diff(offsets)))
        weight = track.astype(np.float64)
        settings = np.array([self.cone, self.floor, self.min_weight])

        def run(first: int, last: int) -> None:
            _weigh(first, last, offsets, pt, eta, phi, track, reference, wanted, cut, settings, weight)

        over_crossings(run, len(events))
        return jagged_like(weight.astype(np.float32), candidates.pt)


_CLOSEST2 = 1e-6  # nearer tracks are the candidate itself


@kernel
def _weigh(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    track: NDArray[np.bool_],
    reference: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
    cut: NDArray[np.float64],
    settings: NDArray[np.float64],
    weight: NDArray[np.float64],
) -> None:
    """Fill the weights of wanted neutrals in a range of crossings."""
    cone, floor, min_weight = settings
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        tracks = a + np.flatnonzero(track[a:b])
        grid = build_grid(eta[tracks], phi[tracks], cone)
        alphas = np.empty(b - a)
        n = 0
        for i in range(a, b):
            if reference[i]:
                alpha = _alpha(grid, tracks, pt, eta, phi, eta[i], phi[i], cone, floor)
                if alpha != 0.0:
                    alphas[n] = alpha
                    n += 1
        median, width = _median_and_width(np.sort(alphas[:n]))
        for i in range(a, b):
            if wanted[i]:
                excess = _alpha(grid, tracks, pt, eta, phi, eta[i], phi[i], cone, floor) - median
                if excess > 0.0:
                    w = math.erf(excess / width / math.sqrt(2.0)) if width > 0.0 else 1.0
                    if w * pt[i] >= cut[event] and w >= min_weight:
                        weight[i] = w


@kernel
def _median_and_width(alphas: NDArray[np.float64]) -> tuple[float, float]:
    """Return median and left-sided width of sorted α; (0, 0) if there are none."""
    n = len(alphas)
    if n == 0:
        return 0.0, 0.0
    median = alphas[min(int(0.5 * n + 0.5), n - 1)]
    total, n_left = 0.0, 0
    for alpha in alphas:
        if alpha <= median:
            total += (alpha - median) ** 2
            n_left += 1
    return median, math.sqrt(total / n_left)


@kernel
def _alpha(
    grid: Grid,
    tracks: NDArray[np.int64],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    query_eta: float,
    query_phi: float,
    cone: float,
    floor: float,
) -> float:
    total = 0.0
    first, last = rows(grid, query_eta)
    for row in range(first, last):
        a, b, c, d = spans(grid, row, query_phi)
        for low, high in ((a, b), (c, d)):
            for k in range(low, high):
                j = tracks[grid.order[k]]
                separation2 = distance2(query_eta, query_phi, eta[j], phi[j])
                if _CLOSEST2 <= separation2 <= cone * cone:
                    total += pt[j] / max(math.sqrt(separation2), floor)
    return math.log(total) if total > 0.0 else 0.0
