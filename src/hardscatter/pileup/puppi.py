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
from typing import Any, Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel, lane_kernel
from hardscatter.elementary import arsinh, exp
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.pileup.local_shape import alphas_of_all, alphas_of_leading
from hardscatter.threads import over_crossings

# What PUPPI takes a candidate for.
_NEUTRAL, _LEADING, _PILEUP, _SPECTATOR = 0, 1, 2, 3


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
        offsets, columns = self._columns(events)
        n_vertices = np.floor(self.vertex_fraction * ak.to_numpy(events.n_vertices).astype(np.float64))
        rules, bins = self._rules(), self._bins()
        weights = np.empty(offsets[-1], dtype=np.float32)

        def run(first: int, last: int) -> None:
            _weigh(first, last, offsets, n_vertices, rules, bins, weights, *columns)

        over_crossings(run, len(events))
        return jagged(weights, offsets)

    def _columns(self, events: Events) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]:
        """Return offsets, and pt, eta, phi, energy, charge, vertex, dz and PDG id; the last two empty if not there."""
        optional = ["dz"] if events.has("candidates.dz") else []
        if (self.leptons_apart or self.protect_photons is not None) and events.has("candidates.pdg_id"):
            optional.append("pdg_id")
        offsets, (*needed, vertex) = flat_candidates(
            events, *optional, "pt", "eta", "phi", "energy", "charge", "vertex"
        )
        there, needed = dict(zip(optional, needed, strict=False)), needed[len(optional) :]
        return offsets, (*needed, vertex, there.get("dz", needed[0][:0]), there.get("pdg_id", vertex[:0]))

    def _kinds(self, events: Events) -> NDArray[np.int8]:
        """Return what each candidate is taken for, flat."""
        _, (pt, eta, _, _, charge, vertex, dz, pdg_id) = self._columns(events)
        kind = np.empty(len(pt), dtype=np.int8)
        _sort_out(pt, eta, charge, vertex, dz, pdg_id, self._rules(), kind)
        return kind

    def _rules(self) -> _Rules:
        """Return what kernels need of the settings, but for the eta bins; what is off can never be reached."""
        photon_pt, photon_eta = self.protect_photons or (math.inf, 0.0)
        start, full = self.protect_neutrals or (0.0, math.inf)
        return _Rules(
            cone=self.cone,
            min_weight=self.min_weight,
            eta_as_rapidity=self.eta_as_rapidity,
            leptons_apart=self.leptons_apart,
            pt_max_charged=math.inf if self.pt_max_charged is None else self.pt_max_charged,
            eta_min_delta_z=math.inf if self.eta_min_delta_z is None else self.eta_min_delta_z,
            delta_z_cut=self.delta_z_cut,
            split_vertices=self.split_vertices,
            split_delta_z=self.split_delta_z,
            neutral_start=start,
            neutral_full=full,
            photon_pt=photon_pt,
            photon_eta=photon_eta,
        )

    def _bins(self) -> _Bins:
        """Return the eta bins, one array a setting."""
        every = self.eta_bins
        reach = self.reference_eta_max
        columns = (
            [eta_bin.eta_min for eta_bin in every],
            [eta_bin.eta_max for eta_bin in every],
            [eta_bin.neighbours == "all" for eta_bin in every],
            [eta_bin.reference == "all" for eta_bin in every],
            [eta_bin.eta_min if reach is None else 0.0 for eta_bin in every],
            [eta_bin.eta_max if reach is None else reach for eta_bin in every],
            [eta_bin.rms_pt_min for eta_bin in every],
            [eta_bin.median_scale for eta_bin in every],
            [eta_bin.rms_scale for eta_bin in every],
            [eta_bin.pt_cut for eta_bin in every],
            [eta_bin.pt_slope for eta_bin in every],
        )
        return _Bins(*(np.array(column, dtype=np.float64) for column in columns))


class _Rules(NamedTuple):
    """The settings of a tune outside its eta bins."""

    cone: float
    min_weight: float
    eta_as_rapidity: bool
    leptons_apart: bool
    pt_max_charged: float
    eta_min_delta_z: float
    delta_z_cut: float
    split_vertices: int
    split_delta_z: float
    neutral_start: float
    neutral_full: float
    photon_pt: float
    photon_eta: float


class _Bins(NamedTuple):
    """The eta bins of a tune, float64 arrays of shape (bins,)."""

    eta_min: NDArray[np.float64]
    eta_max: NDArray[np.float64]
    sums_all: NDArray[np.float64]
    refers_to_all: NDArray[np.float64]
    reference_eta_min: NDArray[np.float64]
    reference_eta_max: NDArray[np.float64]
    reference_pt_min: NDArray[np.float64]
    median_scale: NDArray[np.float64]
    rms_scale: NDArray[np.float64]
    pt_cut: NDArray[np.float64]
    pt_slope: NDArray[np.float64]


def rapidity(pt: NDArray[np.float64], eta: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return y = arsinh(pz / mT), mT² = E² − pz² taken not below pt² (rounding); GeV, same shapes."""
    pz = pt * np.sinh(eta)
    transverse_mass = np.sqrt(np.maximum(energy * energy - pz * pz, pt * pt))
    return np.asarray(np.arcsinh(pz / transverse_mass))


@kernel
def _weigh(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    n_vertices: NDArray[np.float64],
    rules: _Rules,
    bins: _Bins,
    weights: NDArray[np.float32],
    pt_all: NDArray[Any],
    eta_all: NDArray[Any],
    phi_all: NDArray[Any],
    energy_all: NDArray[Any],
    charge_all: NDArray[np.int8],
    vertex_all: NDArray[np.int32],
    dz_all: NDArray[Any],
    pdg_id_all: NDArray[np.int32],
) -> None:
    """Fill the weights of a range of crossings."""
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        charge, vertex, pdg_id = charge_all[a:b], vertex_all[a:b], pdg_id_all[a:b]
        kind = np.empty(b - a, dtype=np.int8)
        _sort_out(pt_all[a:b], eta_all[a:b], charge, vertex, dz_all[a:b], pdg_id, rules, kind)
        pt, phi = pt_all[a:b].astype(np.float64), phi_all[a:b].astype(np.float64)
        eta, energy = eta_all[a:b].astype(np.float64), energy_all[a:b].astype(np.float64)
        if rules.eta_as_rapidity:
            y = eta
            eta = _pseudorapidities(y, pt, energy)
        else:
            y = _rapidities(pt, eta, energy)
        weight = _raw_weights(pt, y, eta, phi, kind, n_vertices[event], rules.cone, bins)
        _settle(weight, pt, eta, kind, vertex, charge, pdg_id, n_vertices[event], rules, bins, weights[a:b])


@kernel
def _sort_out(
    pt: NDArray[Any],
    eta: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    dz: NDArray[Any],
    pdg_id: NDArray[np.int32],
    rules: _Rules,
    kind: NDArray[np.int8],
) -> None:
    """Fill what each candidate is taken for; `dz` and `pdg_id` may be empty."""
    for i in range(len(pt)):
        distance = abs(dz[i]) if len(dz) else np.nan
        if charge[i] == 0:
            kind[i] = _NEUTRAL
        elif rules.leptons_apart and len(pdg_id) and (abs(pdg_id[i]) == 11 or abs(pdg_id[i]) == 13):
            kind[i] = _SPECTATOR
        elif vertex[i] == LEADING:
            kind[i] = _LEADING
        elif vertex[i] > LEADING:
            split = vertex[i] <= rules.split_vertices and distance < rules.split_delta_z
            kind[i] = _LEADING if split else _PILEUP
        else:
            near = abs(eta[i]) >= rules.eta_min_delta_z and distance < rules.delta_z_cut
            kind[i] = _LEADING if near or pt[i] > rules.pt_max_charged else _NEUTRAL


@lane_kernel
def _rapidities(pt: NDArray[np.float64], eta: NDArray[np.float64], energy: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return what `rapidity` returns, by vector instructions."""
    y = np.empty(len(pt))
    for i in range(len(pt)):
        grown = exp(eta[i])
        pz = 0.5 * pt[i] * (grown - 1.0 / grown)
        mt2 = max(energy[i] * energy[i] - pz * pz, pt[i] * pt[i])
        y[i] = arsinh(pz / math.sqrt(mt2))
    return y


@lane_kernel
def _pseudorapidities(
    y: NDArray[np.float64], pt: NDArray[np.float64], energy: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return the pseudorapidities of particles of rapidity `y` that keep the mass they have with eta = `y`."""
    eta = np.empty(len(y))
    for i in range(len(y)):
        grown = exp(y[i])
        momentum = 0.5 * pt[i] * (grown + 1.0 / grown)
        mass2 = max(energy[i] * energy[i] - momentum * momentum, 0.0)
        mass_to_pt2 = mass2 / (pt[i] * pt[i])
        eta[i] = arsinh(math.sqrt(1.0 + mass_to_pt2) * 0.5 * (grown - 1.0 / grown))
    return eta


@kernel
def _raw_weights(
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    kind: NDArray[np.int8],
    n_vertices: float,
    cone: float,
    bins: _Bins,
) -> NDArray[np.float64]:
    """Return the weights of neutrals before any cut, 0 where even weight 1 would not pass it."""
    n = len(pt)
    hopeful = _hopeful(pt, eta, kind, n_vertices, bins)
    # One α for each way to choose neighbours, computed once and only where asked for.
    wanted = np.zeros((2, n), dtype=np.bool_)
    for k in range(len(bins.eta_min)):
        _add_wanted(k, bins, pt, eta, kind, hopeful, wanted[int(bins.sums_all[k])])
    alpha = np.zeros((2, n))
    alphas_of_leading(wanted[0], pt, y, eta, phi, kind == _LEADING, cone, alpha[0])
    alphas_of_all(wanted[1], pt, y, eta, phi, kind != _SPECTATOR, cone, alpha[1])
    weight = np.zeros(n)
    reference, leading = np.empty(n), np.empty(n)
    n_reference, median, width = 0, 0.0, 1.0
    for k in range(len(bins.eta_min)):
        own = alpha[int(bins.sums_all[k])]
        if k == 0 or not _same_reference(k, bins):
            n_reference, n_leading = _collect_reference(k, bins, pt, eta, kind, own, reference, leading)
            if n_reference:
                median, width = _median_and_width(reference[:n_reference], leading[:n_leading])
        middle, scale = bins.median_scale[k] * median, bins.rms_scale[k] * width
        for i in range(n):
            if hopeful[i] and bins.eta_min[k] <= abs(eta[i]) < bins.eta_max[k]:
                if n_reference == 0:
                    weight[i] = 1.0
                elif own[i] != 0.0:
                    weight[i] = _weight(own[i] - middle, scale)
    return weight


@kernel
def _hopeful(
    pt: NDArray[np.float64], eta: NDArray[np.float64], kind: NDArray[np.int8], n_vertices: float, bins: _Bins
) -> NDArray[np.bool_]:
    """Tell which neutrals pass the cut in w·pt of their bin if their weight is 1: only they need an α of their own."""
    hopeful: NDArray[np.bool_] = kind == _NEUTRAL
    for k in range(len(bins.eta_min)):
        cut = bins.pt_cut[k] + bins.pt_slope[k] * n_vertices
        low, high = bins.eta_min[k], bins.eta_max[k]
        for i in range(len(pt)):
            hopeful[i] &= (pt[i] >= cut) | (abs(eta[i]) < low) | (abs(eta[i]) >= high)
    return hopeful


@kernel
def _add_wanted(
    k: int,
    bins: _Bins,
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    kind: NDArray[np.int8],
    hopeful: NDArray[np.bool_],
    wanted: NDArray[np.bool_],
) -> None:
    """Mark the candidates that need an α for an eta bin: its hopeful neutrals and the reference sample."""
    low, high = bins.eta_min[k], bins.eta_max[k]
    reference_low, reference_high = bins.reference_eta_min[k], bins.reference_eta_max[k]
    pt_min, all_refer = bins.reference_pt_min[k], bins.refers_to_all[k] == 1.0
    for i in range(len(pt)):
        size = abs(eta[i])
        weighted = hopeful[i] & (size >= low) & (size < high)
        referred = (pt[i] >= pt_min) & (size >= reference_low) & (size < reference_high)
        referred &= (kind[i] != _SPECTATOR) & (all_refer | (kind[i] != _NEUTRAL))
        wanted[i] |= weighted | referred


@kernel
def _same_reference(k: int, bins: _Bins) -> bool:
    """Tell whether an eta bin looks at the same reference sample as the one before it."""
    return bool(
        bins.sums_all[k] == bins.sums_all[k - 1]
        and bins.refers_to_all[k] == bins.refers_to_all[k - 1]
        and bins.reference_eta_min[k] == bins.reference_eta_min[k - 1]
        and bins.reference_eta_max[k] == bins.reference_eta_max[k - 1]
        and bins.reference_pt_min[k] == bins.reference_pt_min[k - 1]
    )


@kernel
def _collect_reference(
    k: int,
    bins: _Bins,
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    kind: NDArray[np.int8],
    alpha: NDArray[np.float64],
    reference: NDArray[np.float64],
    leading: NDArray[np.float64],
) -> tuple[int, int]:
    """Fill the α that show what pileup looks like and those of leading tracks among them; return how many."""
    all_refer = bins.refers_to_all[k] == 1.0
    n_reference, n_leading = 0, 0
    for i in range(len(pt)):
        if not (
            bins.reference_eta_min[k] <= abs(eta[i]) < bins.reference_eta_max[k] and pt[i] >= bins.reference_pt_min[k]
        ):
            continue
        if kind[i] == _PILEUP or (all_refer and kind[i] != _SPECTATOR):
            reference[n_reference] = alpha[i]
            n_reference += 1
        if kind[i] == _LEADING and not all_refer:
            leading[n_leading] = alpha[i]
            n_leading += 1
    return n_reference, n_leading


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
    """Return median and left-sided width of α (pileup), corrected for leading-vertex tracks among it.

    Exact zeros (no neighbour) stand in front of the median's place, as in CMSSW: it counts from the last of them.
    """
    n = len(alpha)
    n_zero, n_up_to_zero = 0, 0
    for value in alpha:
        n_zero += value == 0.0
        n_up_to_zero += value <= 0.0
    last_zero = n_up_to_zero - 1 if n_zero else 0
    middle = last_zero + int(0.5 * (n - last_zero))
    median = np.partition(alpha, middle)[middle]
    total, n_left = 0.0, 0
    for value in alpha:
        counts = (value != 0.0) & (value <= median)
        total += (value - median) ** 2 if counts else 0.0
        n_left += counts
    mean = total / n_left if n_left else 0.0
    width = math.sqrt(mean if mean > 0.0 else 1e-5)
    n_leading = 0
    for value in alpha_leading:
        n_leading += value <= median
    p = n_leading / (n_leading + 0.5 * n)
    if p > 0.0:
        shift = math.sqrt(_chi2_quantile(p) * width)
        median -= shift
        width -= shift
    return median, width


@kernel
def _weight(excess: float, width: float) -> float:
    """Return the weight for α − ᾱ = `excess`; the corrected width may be negative or zero, its square counts."""
    if excess <= 0.0:
        return 0.0
    return _chi2_cdf((excess / width) ** 2) if width != 0.0 else 1.0


@kernel
def _settle(
    weight: NDArray[np.float64],
    pt: NDArray[np.float64],
    eta: NDArray[np.float64],
    kind: NDArray[np.int8],
    vertex: NDArray[np.int32],
    charge: NDArray[np.int8],
    pdg_id: NDArray[np.int32],
    n_vertices: float,
    rules: _Rules,
    bins: _Bins,
    result: NDArray[np.float32],
) -> None:
    """Apply, in CMSSW's order, the cut in w·pt, the protections and the least weight; settle charged ones."""
    for i in range(len(pt)):
        if kind[i] != _NEUTRAL:
            kept = kind[i] == _LEADING or (kind[i] == _SPECTATOR and vertex[i] <= LEADING)
            result[i] = 1.0 if kept else 0.0
            continue
        w = weight[i] if weight[i] > 0.0 else 0.0  # what is no number becomes 0
        protected = pt[i] > rules.neutral_start or pt[i] > rules.photon_pt
        if w == 0.0 and not protected:
            result[i] = 0.0
            continue
        covered = False
        for k in range(len(bins.eta_min)):
            if bins.eta_min[k] <= abs(eta[i]) < bins.eta_max[k]:
                covered = True
                if w * pt[i] < bins.pt_cut[k] + bins.pt_slope[k] * n_vertices:
                    w = 0.0
        if covered:
            photon = charge[i] == 0 and len(pdg_id) > 0 and abs(pdg_id[i]) == 22
            if photon and pt[i] > rules.photon_pt and abs(eta[i]) < rules.photon_eta:
                w = 1.0
            else:
                least = (pt[i] - rules.neutral_start) / (rules.neutral_full - rules.neutral_start)
                w = max(w, min(max(least, 0.0), 1.0))
        result[i] = w if w >= rules.min_weight else 0.0


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
