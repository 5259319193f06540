"""Linearised PUPPI: the form that fits into the CMS Level-1 trigger, without a median and without a width.

A neutral candidate i of one eta region gets

    w_i = 1 / (1 + exp(−x_i)),   x_i = clip(a (α_i − α₀), ±crop) + b (pt_i − pt₀) − prior − ln(N_PU / 200),

    α_i = ln Σ_j (min(pt_j, cap) / max(ΔR_ij, ΔR_min))²,   ΔR_ij ≤ cone, j ≠ i,

with j over the leading vertex's charged candidates where there is tracking and over neutrals elsewhere; with no j the
first term is −crop. Each region has numbers of its own, and b, pt₀ and prior two sets: hadrons and photons.
"""

from __future__ import annotations

from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass
from scipy.special import expit

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat, jagged_like, offsets_of
from hardscatter.geometry.neighbours import build_grid, distance2, rows, spans
from hardscatter.pileup.chs import is_charged_pileup
from hardscatter.threads import over_crossings

_REFERENCE_PILEUP = 200.0  # the pileup that the priors were tuned at
_NO_NEIGHBOUR = -1e9  # a finite α below any crop


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PtTerm:
    """What pt and the prior add to x: slope · (pt − zero) − prior."""

    slope: float
    """per GeV"""
    zero: float
    """GeV, about the pt that pileup has."""
    prior: float


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class LinearRegion:
    """Settings of linearised PUPPI for eta_min ≤ |eta| < eta_max."""

    eta_min: float
    eta_max: float
    neighbours: Literal["charged-leading", "neutral"]
    """Which candidates α sums over."""
    neighbour_pt_min: float
    """Least pt (GeV) of a neighbour: below it the trigger has no track or cluster."""
    neighbour_pt_cap: float
    """A neighbour counts with at most this pt (GeV)."""
    distance_min: float
    """ΔR below which neighbours count as at this distance."""
    alpha_slope: float
    alpha_zero: float
    alpha_crop: float
    hadron: PtTerm
    photon: PtTerm
    pt_cut: float
    """w = 0 unless w·pt ≥ pt_cut (GeV)."""
    cone: float = 0.3


# CMSSW L1Trigger/Phase2L1ParticleFlow/python/l1ctLayer1_cff.py: barrel, HGCal in two halves, HGCal without tracks, HF.
CMS_LEVEL1_REGIONS = (
    LinearRegion(
        0.0, 1.5, "charged-leading", neighbour_pt_min=2.0, neighbour_pt_cap=50.0, distance_min=0.07,
        alpha_slope=0.7, alpha_zero=6.0, alpha_crop=4.0,
        hadron=PtTerm(0.3, 4.0, 5.0), photon=PtTerm(0.3, 2.5, 1.0), pt_cut=1.0,
    ),
    LinearRegion(
        1.5, 2.0, "charged-leading", neighbour_pt_min=2.0, neighbour_pt_cap=50.0, distance_min=0.04,
        alpha_slope=1.5, alpha_zero=6.0, alpha_crop=3.0,
        hadron=PtTerm(0.3, 5.0, 5.0), photon=PtTerm(0.4, 3.0, 1.5), pt_cut=1.0,
    ),
    LinearRegion(
        2.0, 2.5, "charged-leading", neighbour_pt_min=2.0, neighbour_pt_cap=50.0, distance_min=0.04,
        alpha_slope=1.5, alpha_zero=6.0, alpha_crop=3.0,
        hadron=PtTerm(0.3, 7.0, 5.0), photon=PtTerm(0.4, 4.0, 1.5), pt_cut=2.0,
    ),
    LinearRegion(
        2.5, 3.0, "neutral", neighbour_pt_min=0.0, neighbour_pt_cap=50.0, distance_min=0.04,
        alpha_slope=2.2, alpha_zero=9.0, alpha_crop=4.0,
        hadron=PtTerm(0.3, 9.0, 7.0), photon=PtTerm(0.4, 5.0, 5.0), pt_cut=4.0,
    ),
    LinearRegion(
        3.0, 5.5, "neutral", neighbour_pt_min=15.0, neighbour_pt_cap=100.0, distance_min=0.1,
        alpha_slope=0.6, alpha_zero=9.0, alpha_crop=4.0,
        hadron=PtTerm(0.25, 14.0, 6.0), photon=PtTerm(0.25, 14.0, 6.0), pt_cut=10.0,
    ),
)  # fmt: skip


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PuppiLinear:
    """Linearised PUPPI with the numbers of the CMS Phase-2 Level-1 trigger; see the module for the equations.

    Charged candidates of the leading vertex get 1, of pileup vertices 0; those without a vertex are weighted like
    a neutral hadron. A candidate outside all regions gets 0. Needs ``n_vertices``, taken for N_PU; without any the
    logarithm is left out, as in CMSSW. Photons are told by their class; without ``pdg_id`` all are hadrons.

    The numbers are made for the trigger's clusters and tracks (pt > 2 GeV, |eta| < 2.5); where the trigger asks a
    track's distance to the vertex, this asks the vertex the track was given. The present firmware, tuned at pileup
    200, leaves ln(N_PU/200) out; the software it comes from has it.

    References
    ----------
    Kreis, *Particle Flow and PUPPI in the Level-1 Trigger at CMS for the HL-LHC*, arXiv:1808.02094; CMSSW
    ``L1Trigger/Phase2L1ParticleFlow``: ``LinearizedPuppiAlgo`` and the numbers in ``l1ctLayer1_cff.py``.
    """

    regions: tuple[LinearRegion, ...] = CMS_LEVEL1_REGIONS

    def weights(self, events: Events) -> ak.Array:
        """Return the weights; raises `MissingFieldError` if the events lack ``n_vertices``."""
        candidates = events.candidates
        offsets = offsets_of(candidates.pt)
        pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
        n_vertices = ak.to_numpy(events.n_vertices).astype(np.float64)
        crowding = np.log(np.where(n_vertices > 0, n_vertices, _REFERENCE_PILEUP) / _REFERENCE_PILEUP)
        crowding = np.repeat(crowding, np.diff(offsets))
        leading = (flat(candidates.charge) != 0) & (flat(candidates.vertex) == LEADING)
        weighted = ~leading & ~is_charged_pileup(events)
        photon = np.isin(flat(events.particle_class()), (22, 2))  # 2: electromagnetic deposit of the forward region
        weight = leading.astype(np.float64)
        for region in self.regions:
            inside = weighted & (np.abs(eta) >= region.eta_min) & (np.abs(eta) < region.eta_max)
            source = leading if region.neighbours == "charged-leading" else weighted
            alpha = _alphas(region, offsets, pt, eta, phi, inside, source & (pt >= region.neighbour_pt_min))[inside]
            slope, zero, prior = (
                np.where(photon[inside], getattr(region.photon, term), getattr(region.hadron, term))
                for term in ("slope", "zero", "prior")
            )
            x = np.clip(region.alpha_slope * (alpha - region.alpha_zero), -region.alpha_crop, region.alpha_crop)
            found = expit(x + slope * (pt[inside] - zero) - prior - crowding[inside])
            weight[inside] = np.where(found * pt[inside] >= region.pt_cut, found, 0.0)
        return jagged_like(weight.astype(np.float32), candidates.pt)


def _alphas(
    region: LinearRegion,
    offsets: NDArray[np.int64],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    source: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return α of the wanted candidates, flat over all."""
    alpha = np.full(len(pt), _NO_NEIGHBOUR)
    pt2 = np.minimum(pt, region.neighbour_pt_cap) ** 2

    def run(first: int, last: int) -> None:
        _shapes(first, last, offsets, pt2, eta, phi, wanted, source, region.cone, region.distance_min, alpha)

    over_crossings(run, len(offsets) - 1)
    return alpha


@kernel
def _shapes(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    pt2: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    wanted: NDArray[np.bool_],
    source: NDArray[np.bool_],
    cone: float,
    distance_min: float,
    alpha: NDArray[np.float64],
) -> None:
    """Fill α of wanted candidates that have a neighbour."""
    for event in range(first_event, last_event):
        start, stop = offsets[event], offsets[event + 1]
        sources = start + np.flatnonzero(source[start:stop])
        grid = build_grid(eta[sources], phi[sources], cone)
        for i in range(start, stop):
            if not wanted[i]:
                continue
            total = 0.0
            first, last = rows(grid, eta[i])
            for row in range(first, last):
                a, b, c, d = spans(grid, row, phi[i])
                for low, high in ((a, b), (c, d)):
                    for k in range(low, high):
                        j = sources[grid.order[k]]
                        apart2 = distance2(eta[i], phi[i], eta[j], phi[j])
                        if j != i and apart2 <= cone * cone:
                            total += pt2[j] / max(apart2, distance_min * distance_min)
            if total > 0.0:
                alpha[i] = np.log(total)
