"""Linearised PUPPI: the form that fits into the CMS Level-1 trigger, without a median and without a width.

A neutral candidate i of one eta region gets

    w_i = 1 / (1 + exp(−x_i)),   x_i = clip(a (α_i − α₀), ±crop) + b (pt_i − pt₀) − prior − ln(N_PU / 200),

    α_i = ln Σ_j (min(pt_j, cap) / max(ΔR_ij, ΔR_min))²,   ΔR_ij ≤ cone, j ≠ i,

with j over the leading vertex's charged candidates where there is tracking and over neutrals elsewhere; with no j the
first term is −crop. Each region has numbers of its own, and b, pt₀ and prior two sets: hadrons and photons.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.geometry.neighbours import build_grid, distance2, rows, spans
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
        has_class = events.has("candidates.pdg_id")
        names = ("pt", "eta", "phi", "charge", "vertex")
        offsets, columns = flat_candidates(events, *names, *(["pdg_id"] if has_class else []))
        pdg_id = columns[5] if has_class else columns[4][:0]
        n_vertices = ak.to_numpy(events.n_vertices).astype(np.float64)
        crowding = np.log(np.where(n_vertices > 0, n_vertices, _REFERENCE_PILEUP) / _REFERENCE_PILEUP)
        regions = self._regions()
        weights = np.empty(offsets[-1], dtype=np.float32)

        def run(first: int, last: int) -> None:
            _weigh(first, last, offsets, crowding, regions, weights, pdg_id, *columns[:5])

        over_crossings(run, len(offsets) - 1)
        return jagged(weights, offsets)

    def _regions(self) -> _Regions:
        """Return the regions, one array a setting."""
        terms = [(region.hadron, region.photon) for region in self.regions]
        columns = {
            "eta_range": [(region.eta_min, region.eta_max) for region in self.regions],
            "of_leading": [region.neighbours == "charged-leading" for region in self.regions],
            "neighbour_pt": [(region.neighbour_pt_min, region.neighbour_pt_cap) for region in self.regions],
            "reach": [(region.distance_min, region.cone) for region in self.regions],
            "alpha": [(region.alpha_slope, region.alpha_zero, region.alpha_crop) for region in self.regions],
            "pt_terms": [[(term.slope, term.zero, term.prior) for term in pair] for pair in terms],
            "pt_cut": [region.pt_cut for region in self.regions],
        }
        return _Regions(**{name: np.array(values, dtype=np.float64) for name, values in columns.items()})


class _Regions(NamedTuple):
    """Settings of the regions, float64 arrays whose first axis is the region."""

    eta_range: NDArray[np.float64]
    of_leading: NDArray[np.float64]
    neighbour_pt: NDArray[np.float64]
    """Least pt, and the pt that counts at most."""
    reach: NDArray[np.float64]
    """Least distance and cone."""
    alpha: NDArray[np.float64]
    """Slope, zero, crop."""
    pt_terms: NDArray[np.float64]
    """Slope, zero, prior of hadrons, and of photons."""
    pt_cut: NDArray[np.float64]


@kernel
def _weigh(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    crowding: NDArray[np.float64],
    regions: _Regions,
    weights: NDArray[np.float32],
    pdg_id_all: NDArray[np.int32],
    pt_all: NDArray[Any],
    eta_all: NDArray[Any],
    phi_all: NDArray[Any],
    charge_all: NDArray[np.int8],
    vertex_all: NDArray[np.int32],
) -> None:
    """Fill the weights of a range of crossings."""
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        pt, eta = pt_all[a:b].astype(np.float64), eta_all[a:b].astype(np.float64)
        phi, charge, vertex, pdg_id = phi_all[a:b].astype(np.float64), charge_all[a:b], vertex_all[a:b], pdg_id_all[a:b]
        leading = (charge != 0) & (vertex == LEADING)
        weighted = (charge == 0) | (vertex < LEADING)
        weight = weights[a:b]
        weight[:] = leading
        for k in range(len(regions.pt_cut)):
            asking = _in_range(weighted, pt, eta, regions.pt_cut[k], regions.eta_range[k, 0], regions.eta_range[k, 1])
            weight[weighted & (np.abs(eta) >= regions.eta_range[k, 0]) & (np.abs(eta) < regions.eta_range[k, 1])] = 0.0
            cone = regions.reach[k, 1]
            sources = _in_range(
                leading if regions.of_leading[k] == 1.0 else weighted, pt, eta, regions.neighbour_pt[k, 0],
                regions.eta_range[k, 0] - cone, regions.eta_range[k, 1] + cone,
            )  # fmt: skip
            alpha = _alphas(k, regions, asking, sources, pt, eta, phi)
            slope, zero, crop = regions.alpha[k]
            for m in range(len(asking)):
                i = asking[m]
                photon = charge[i] == 0 and len(pdg_id) > 0 and (abs(pdg_id[i]) == 22 or abs(pdg_id[i]) == 2)
                pt_slope, pt_zero, prior = regions.pt_terms[k, 1 if photon else 0]
                x = min(max(slope * (alpha[m] - zero), -crop), crop)
                found = 1.0 / (1.0 + math.exp(-(x + pt_slope * (pt[i] - pt_zero) - prior - crowding[event])))
                if found * pt[i] >= regions.pt_cut[k]:
                    weight[i] = found


@kernel
def _in_range(
    chosen: NDArray[np.bool_],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    pt_min: float,
    eta_min: float,
    eta_max: float,
) -> NDArray[np.int64]:
    """Return which of the chosen have at least this pt (a weight is 1 at most) and lie in a range of |eta|."""
    size = np.abs(eta)
    return np.flatnonzero(chosen & (pt >= pt_min) & (size >= eta_min) & (size < eta_max))


@kernel
def _alphas(
    k: int,
    regions: _Regions,
    asking: NDArray[np.int64],
    sources: NDArray[np.int64],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return α of those who ask."""
    alpha = np.full(len(asking), _NO_NEIGHBOUR)
    if len(asking) == 0 or len(sources) == 0:
        return alpha
    least2, cone2, cap = regions.reach[k, 0] ** 2, regions.reach[k, 1] ** 2, regions.neighbour_pt[k, 1]
    grid = build_grid(eta[sources], phi[sources], regions.reach[k, 1])
    for m in range(len(asking)):
        i = asking[m]
        total = 0.0
        first, last = rows(grid, eta[i])
        for row in range(first, last):
            a, b, c, d = spans(grid, row, phi[i])
            for low, high in ((a, b), (c, d)):
                for place in range(low, high):
                    j = sources[grid.order[place]]
                    apart2 = distance2(eta[i], phi[i], eta[j], phi[j])
                    if j != i and apart2 <= cone2:
                        total += min(pt[j], cap) ** 2 / max(apart2, least2)
        if total > 0.0:
            alpha[m] = math.log(total)
    return alpha
