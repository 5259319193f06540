"""PUPPI, pileup per particle identification: the experiments' standard.

Each candidate i gets a local shape

    α_i = ln Σ_j (pt_j / ΔR_ij)²,   0.01 < ΔR_ij, j within the cone of i,

with j over charged candidates of the leading vertex where there is tracking and over all candidates elsewhere.
Charged pileup shows how α is distributed for pileup: median ᾱ and left-sided width σ. A neutral candidate gets

    w_i = F_χ²(1)(x_i),   x_i = (α_i − ᾱ) |α_i − ᾱ| / σ²,   0 for x_i ≤ 0,

then cuts in w·pt that rise with the number of vertices. Charged candidates are settled by their vertex.

The algorithm is CMSSW's (``CommonTools/PileupAlgos``), including its correction for low pileup and its
extrapolation of ᾱ and σ from the tracker to the forward region; `DELPHES` is what the Delphes cards mean.
"""

from __future__ import annotations

import math
from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat, jagged_like, offsets_of
from hardscatter.geometry.neighbours import build_grid, distance2, rows, spans
from hardscatter.threads import over_crossings

# What PUPPI takes a candidate for.
_NEUTRAL, _LEADING, _PILEUP, _SPECTATOR = 0, 1, 2, 3

_MIN_DISTANCE2 = 1e-4  # closer pairs are the candidate itself or a split track


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class EtaBin:
    """Settings of PUPPI for eta_min ≤ |eta| < eta_max."""

    eta_min: float
    eta_max: float
    neighbours: Literal["charged-leading", "all"]
    """Which candidates α sums over."""
    rms_pt_min: float
    """Least pt (GeV) of the candidates that give median and width."""
    pt_cut: float
    """A neutral needs w·pt ≥ pt_cut + pt_slope · n_vertices (GeV)."""
    pt_slope: float
    rms_scale: float = 1.0
    median_scale: float = 1.0
    reference: Literal["charged-pileup", "all"] = "charged-pileup"
    """Which candidates show how α is distributed for pileup; "all" knows no leading tracks to correct for."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Puppi:
    """PUPPI with the settings of one tune; see the module for the equations.

    Charged candidates of the leading vertex get 1, of pileup vertices 0. A charged candidate without a vertex
    counts as leading above `pt_max_charged`, or beyond `eta_min_delta_z` when |dz| < `delta_z_cut`; else it is
    weighted like a neutral. With no pileup track to learn from, neutrals get 1 before the cuts; a candidate
    outside all eta bins gets 0. Needs ``n_vertices``.

    References
    ----------
    Bertolini, Harris, Low, Tran, arXiv:1407.6013; CMS, arXiv:2003.00503; parameters from CMSSW
    ``CommonTools/PileupAlgos/python/Puppi_cff.py``.
    """

    eta_bins: tuple[EtaBin, ...]
    cone: float = 0.4
    """Radius of the circle, in rapidity and phi."""
    reference_eta_max: float | None = 2.0
    """|eta| below which candidates give median and width; None: those of the same eta bin."""
    min_weight: float = 0.01
    """Smaller weights become 0."""
    vertex_fraction: float = 1.0
    """The cuts use ⌊vertex_fraction · n_vertices⌋."""
    eta_as_rapidity: bool = False
    """Take a candidate's eta for its rapidity, as Delphes does when it hands particles to PUPPI: a particle of
    mass m then sits at the pseudorapidity arsinh(√(1 + m²/pt²) sinh η), further out than where it was seen."""
    leptons_apart: bool = False
    """Electrons and muons enter no sum and are settled by their vertex alone."""
    pt_max_charged: float | None = None
    eta_min_delta_z: float | None = None
    delta_z_cut: float = 0.0
    """mm."""
    split_vertices: int = 0
    """Charged candidates of the first so many pileup vertices count as leading when |dz| < split_delta_z (a
    vertex found in two parts). Needs a source that numbers its vertices."""
    split_delta_z: float = 2.0
    protect_neutrals: tuple[float, float] | None = None
    """(a, b) GeV: neutrals get at least (pt − a)/(b − a)."""
    protect_photons: tuple[float, float] | None = None
    """(pt, |eta|): photons above the one and below the other get 1."""

    def weights(self, events: Events) -> ak.Array:
        """Return PUPPI weights; raises `MissingFieldError` if the events lack ``n_vertices``."""
        candidates = events.candidates
        offsets = offsets_of(candidates.pt)
        pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
        kind = self._kinds(events)
        energy = flat(candidates.energy, np.float64)
        if self.eta_as_rapidity:
            y, eta = eta, _pseudorapidity_at(eta, pt, energy)
        else:
            y = rapidity(pt, eta, energy)
        n_vertices = np.floor(self.vertex_fraction * ak.to_numpy(events.n_vertices).astype(np.float64))
        table = self._table()
        result = np.zeros(len(pt))

        def run(first: int, last: int) -> None:
            _weigh(first, last, offsets, pt, y, eta, phi, kind, self.cone, table, result)

        over_crossings(run, len(events))
        self._cut(result, pt, eta, kind, np.repeat(n_vertices, np.diff(offsets)), events)
        return jagged_like(result.astype(np.float32), candidates.pt)

    def _kinds(self, events: Events) -> NDArray[np.int8]:
        candidates = events.candidates
        charged = flat(candidates.charge) != 0
        vertex = flat(candidates.vertex)
        pt, eta = flat(candidates.pt), np.abs(flat(candidates.eta))
        dz = np.abs(flat(candidates.dz)) if "dz" in candidates.fields else np.full(len(pt), np.nan)
        unassociated = charged & (vertex < LEADING)
        leading = charged & (vertex == LEADING)
        leading |= charged & (vertex > LEADING) & (vertex <= self.split_vertices) & (dz < self.split_delta_z)
        if self.pt_max_charged is not None:
            leading |= unassociated & (pt > self.pt_max_charged)
        if self.eta_min_delta_z is not None:
            leading |= unassociated & (eta >= self.eta_min_delta_z) & (dz < self.delta_z_cut)
        kind = np.full(len(pt), _NEUTRAL, dtype=np.int8)
        kind[leading] = _LEADING
        kind[charged & (vertex > LEADING) & ~leading] = _PILEUP
        if self.leptons_apart:
            kind[np.isin(flat(events.particle_class()), (11, 13))] = _SPECTATOR
        return kind

    def _table(self) -> NDArray[np.float64]:
        """Return what the kernel needs of the eta bins, one row a bin."""
        rows_of_table = []
        for eta_bin in self.eta_bins:
            extrapolated = self.reference_eta_max is not None
            rows_of_table.append(
                (
                    eta_bin.eta_min,
                    eta_bin.eta_max,
                    eta_bin.neighbours == "all",
                    eta_bin.reference == "all",
                    0.0 if extrapolated else eta_bin.eta_min,
                    self.reference_eta_max if extrapolated else eta_bin.eta_max,
                    eta_bin.rms_pt_min,
                    eta_bin.median_scale,
                    eta_bin.rms_scale,
                )
            )
        return np.array(rows_of_table, dtype=np.float64)

    def _cut(
        self,
        weight: NDArray[np.float64],
        pt: NDArray[np.float64],
        eta: NDArray[np.float64],
        kind: NDArray[np.int8],
        n_vertices: NDArray[np.float64],
        events: Events,
    ) -> None:
        """Apply, in CMSSW's order, the cut in w·pt, the protections and the least weight; settle charged ones."""
        neutral = kind == _NEUTRAL
        covered = np.zeros(len(pt), dtype=bool)
        for eta_bin in self.eta_bins:
            inside = (np.abs(eta) >= eta_bin.eta_min) & (np.abs(eta) < eta_bin.eta_max)
            covered |= inside
            soft = weight * pt < eta_bin.pt_cut + eta_bin.pt_slope * n_vertices
            weight[neutral & inside & soft] = 0.0
        weight[~np.isfinite(weight)] = 0.0
        unprotected = neutral & covered
        if self.protect_photons is not None:
            pt_min, eta_max = self.protect_photons
            photon = flat(events.particle_class()) == 22
            protected = unprotected & photon & (pt > pt_min) & (np.abs(eta) < eta_max)
            weight[protected] = 1.0
            unprotected &= ~protected
        if self.protect_neutrals is not None:
            start, full = self.protect_neutrals
            least = np.clip((pt - start) / (full - start), 0.0, 1.0)
            np.maximum(weight, least, out=weight, where=unprotected)
        weight[weight < self.min_weight] = 0.0
        weight[kind == _LEADING] = 1.0
        weight[kind == _PILEUP] = 0.0
        spectator = kind == _SPECTATOR
        weight[spectator] = flat(events.candidates.vertex)[spectator] <= LEADING


def rapidity(pt: NDArray[np.float64], eta: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y = arsinh(pz / mT), mT² = E² − pz² taken not below pt² (rounding); GeV, same shapes."""
    pz = pt * np.sinh(eta)
    transverse_mass = np.sqrt(np.maximum(energy * energy - pz * pz, pt * pt))
    return np.asarray(np.arcsinh(pz / transverse_mass))


def _pseudorapidity_at(
    y: NDArray[np.float64], pt: NDArray[np.float64], energy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the pseudorapidity of a particle of rapidity `y` that keeps the mass it has with eta = `y`."""
    mass2 = np.maximum(energy * energy - (pt * np.cosh(y)) ** 2, 0.0)
    return np.asarray(np.arcsinh(np.sqrt(1.0 + mass2 / (pt * pt)) * np.sinh(y)))


@kernel
def _chi2_cdf(x: float) -> float:
    """χ² cumulative distribution for one degree of freedom."""
    return math.erf(math.sqrt(0.5 * x)) if x > 0.0 else 0.0


@kernel
def _chi2_quantile(p: float) -> float:
    """Inverse of `_chi2_cdf` for 0 ≤ p < 1: Newton steps on erf, safeguarded by bisection."""
    low, high, z = 0.0, 6.0, p
    for _ in range(100):
        difference = math.erf(z) - p
        if difference > 0.0:
            high = z
        else:
            low = z
        step = difference * 0.5 * math.sqrt(math.pi) * math.exp(z * z)
        if abs(step) <= 1e-15 * z:
            break
        z -= step
        if not low < z < high:
            z = 0.5 * (low + high)
    return 2.0 * z * z


@kernel
def _median_and_width(alpha: NDArray[np.float64], alpha_leading: NDArray[np.float64]) -> tuple[float, float]:
    """Return median and left-sided width of α (sorted, pileup), corrected for leading-vertex tracks among it.

    Exact zeros (no neighbour) stand in front of the median's place, as in CMSSW.
    """
    n = len(alpha)
    last_zero = 0
    for i in range(n):
        if alpha[i] == 0.0:
            last_zero = i
    median = alpha[last_zero + int(0.5 * (n - last_zero))]
    total, n_left = 0.0, 0
    for i in range(n):
        if alpha[i] != 0.0 and alpha[i] <= median:
            total += (alpha[i] - median) ** 2
            n_left += 1
    mean = total / n_left if n_left else 0.0
    width = math.sqrt(mean if mean > 0.0 else 1e-5)
    n_leading = 0
    for value in alpha_leading:
        if value <= median:
            n_leading += 1
    p = n_leading / (n_leading + 0.5 * n)
    if p > 0.0:
        shift = math.sqrt(_chi2_quantile(p) * width)
        median -= shift
        width -= shift
    return median, width


@kernel
def _weigh(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    pt_all: NDArray[np.float64],
    y_all: NDArray[np.float64],
    eta_all: NDArray[np.float64],
    phi_all: NDArray[np.float64],
    kind_all: NDArray[np.int8],
    cone: float,
    table: NDArray[np.float64],
    result: NDArray[np.float64],
) -> None:
    """Fill `result` with the weights of neutrals before any cut, for a range of crossings."""
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        pt, y, eta, phi, kind = pt_all[a:b], y_all[a:b], eta_all[a:b], phi_all[a:b], kind_all[a:b]
        # One α for each way to choose neighbours, computed once and only where asked for.
        alpha = np.full((2, b - a), np.nan)
        for k in range(len(table)):
            use_all = int(table[k, 2])
            wanted = _wanted(table[k], pt, eta, kind)
            _shapes(wanted, use_all == 1, pt, y, eta, phi, kind, cone, alpha[use_all])
            reference = np.empty(b - a)
            leading = np.empty(b - a)
            n_reference, n_leading = 0, 0
            for i in range(b - a):
                if not _in_reference(table[k], pt[i], eta[i]):
                    continue
                if kind[i] == _PILEUP or (table[k, 3] == 1.0 and kind[i] != _SPECTATOR):
                    reference[n_reference] = alpha[use_all, i]
                    n_reference += 1
                if kind[i] == _LEADING and table[k, 3] == 0.0:
                    leading[n_leading] = alpha[use_all, i]
                    n_leading += 1
            median, width = 0.0, 1.0
            if n_reference:
                median, width = _median_and_width(np.sort(reference[:n_reference]), leading[:n_leading])
                median *= table[k, 7]
                width *= table[k, 8]
            for i in range(b - a):
                if kind[i] != _NEUTRAL or not (table[k, 0] <= abs(eta[i]) < table[k, 1]):
                    continue
                if n_reference == 0:
                    result[a + i] = 1.0
                elif alpha[use_all, i] != 0.0:
                    result[a + i] = _weight(alpha[use_all, i] - median, width)


@kernel
def _weight(excess: float, width: float) -> float:
    """Return the weight for α − ᾱ = `excess`; the corrected width may be negative or zero, its square counts."""
    if excess <= 0.0:
        return 0.0
    return _chi2_cdf((excess / width) ** 2) if width != 0.0 else 1.0


@kernel
def _in_reference(row: NDArray[np.float64], pt: float, eta: float) -> bool:
    return bool(row[4] <= abs(eta) < row[5] and pt >= row[6])


@kernel
def _wanted(
    row: NDArray[np.float64], pt: NDArray[np.float64], eta: NDArray[np.float64], kind: NDArray[np.int8]
) -> NDArray[np.bool_]:
    """Tell which candidates need an α for this eta bin: its neutrals and the reference sample."""
    wanted = np.zeros(len(pt), dtype=np.bool_)
    for i in range(len(pt)):
        if kind[i] == _SPECTATOR:
            continue
        weighted = kind[i] == _NEUTRAL and row[0] <= abs(eta[i]) < row[1]
        informative = (kind[i] != _NEUTRAL or row[3] == 1.0) and _in_reference(row, pt[i], eta[i])
        wanted[i] = weighted or informative
    return wanted


@kernel
def _shapes(
    wanted: NDArray[np.bool_],
    use_all: bool,
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    kind: NDArray[np.int8],
    cone: float,
    alpha: NDArray[np.float64],
) -> None:
    """Fill α where it is wanted and not yet known; 0 where no neighbour is found."""
    source = np.zeros(len(pt), dtype=np.bool_)
    for i in range(len(pt)):
        source[i] = kind[i] == _LEADING or (use_all and kind[i] != _SPECTATOR)
    sources = np.flatnonzero(source)
    grid = build_grid(y[sources], phi[sources], cone)
    # The sources in cell order: the inner loop then reads memory straight on.
    ordered = sources[grid.order]
    source_pt2, source_y, source_eta, source_phi = pt[ordered] ** 2, y[ordered], eta[ordered], phi[ordered]
    for i in range(len(pt)):
        if not wanted[i] or not math.isnan(alpha[i]):
            continue
        total = 0.0
        first, last = rows(grid, y[i])
        for row in range(first, last):
            a, b, c, d = spans(grid, row, phi[i])
            for low, high in ((a, b), (c, d)):
                for k in range(low, high):
                    if distance2(y[i], phi[i], source_y[k], source_phi[k]) > cone * cone:
                        continue
                    separation2 = distance2(eta[i], phi[i], source_eta[k], source_phi[k])
                    if separation2 >= _MIN_DISTANCE2:
                        total += source_pt2[k] / separation2
        alpha[i] = math.log(total) if total > 0.0 else 0.0


CMS_PHASE2 = Puppi(
    eta_bins=(
        EtaBin(0.0, 2.5, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.015),
        EtaBin(2.5, 3.5, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.030),
        EtaBin(3.5, 10.0, "all", rms_pt_min=0.5, pt_cut=2.0, pt_slope=0.08, median_scale=0.75),
    ),
    pt_max_charged=20.0,
    eta_min_delta_z=4.0,
    delta_z_cut=1.0,
    protect_neutrals=(20.0, 200.0),
)
"""CMSSW's ``phase2_common`` settings with the dz fallback and the neutral protection of tune v15."""

CMS_RUN3 = Puppi(
    eta_bins=(
        EtaBin(0.0, 2.5, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.015),
        EtaBin(2.5, 3.0, "all", rms_pt_min=0.5, pt_cut=1.7, pt_slope=0.08, rms_scale=1.20, median_scale=0.90),
        EtaBin(3.0, 10.0, "all", rms_pt_min=0.5, pt_cut=2.0, pt_slope=0.08, rms_scale=0.95, median_scale=0.75),
    ),
    pt_max_charged=20.0,
    eta_min_delta_z=2.4,
    delta_z_cut=3.0,
    protect_neutrals=(20.0, 200.0),
)
"""CMSSW's Run 2 and 3 settings (tune v15; its split-vertex rule is off: see `Puppi.split_vertices`)."""

DELPHES = Puppi(
    eta_bins=(
        EtaBin(0.0, 1.5, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.006),
        EtaBin(1.5, 4.0, "charged-leading", rms_pt_min=0.5, pt_cut=0.2, pt_slope=0.013),
        EtaBin(4.0, 10.0, "all", rms_pt_min=0.5, pt_cut=0.5, pt_slope=0.067, reference="all"),
    ),
    cone=0.2,
    reference_eta_max=None,
    min_weight=0.05,
    vertex_fraction=0.7,
    eta_as_rapidity=True,
    leptons_apart=True,
)
"""The Delphes Phase-2 cards' settings, run as they are meant (Delphes itself runs them with a defect)."""
