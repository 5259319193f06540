"""What a detector is, as data: closed, frozen records that a TOML file fills.

Lengths in mm, times in ps, momenta and energies in GeV, angles in rad, field in T. Every record says which module of
Delphes its rule comes from.
"""

from __future__ import annotations

import hashlib
import json
import math
from dataclasses import asdict
from typing import Annotated, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

CALORIMETERS = ("ecal", "hcal")

_CLOSED = ConfigDict(extra="forbid", allow_inf_nan=True)
_SAME_EDGE = 1e-9
_LEAST_CUT = 0.1

Finite = Annotated[float, Field(allow_inf_nan=False)]
Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=_CLOSED)
class Beam:
    """Where collisions happen: f(z, t) ∝ exp(−z²/2σz² − t²/2στ²), cut at `max_z` and `max_t` (PileUpMerger)."""

    sigma_z: Positive
    max_z: Positive
    sigma_t: Positive
    max_t: Positive
    mirror: bool = False
    """Turn each pileup collision end to end at random as well: protons collide with protons."""

    def __post_init__(self) -> None:
        # Positions are drawn until one is inside the cut: a cut far below σ would never end.
        for name, cut, sigma in (("z", self.max_z, self.sigma_z), ("t", self.max_t, self.sigma_t)):
            if cut < _LEAST_CUT * sigma:
                raise ValueError(f"max_{name} must be at least {_LEAST_CUT} sigma_{name}")


@dataclass(frozen=True, config=_CLOSED)
class Volume:
    """The tracker's cylinder, up to the calorimeter's face, and its field along z (ParticlePropagator)."""

    field: Positive
    radius: Positive
    half_length: Positive


@dataclass(frozen=True, config=_CLOSED)
class PtEtaBlock:
    """A piece of a function of pt and |eta|: constant + slope·(pt − lower pt), one pair for each eta bin.

    Blocks that overlap add up, as the terms of a Delphes formula do; outside all blocks the function is 0.
    """

    eta: Annotated[tuple[float, ...], Field(min_length=2)]
    """Edges of the |eta| bins, rising."""
    pt: tuple[float, float]
    constant: tuple[Finite, ...]
    slope: tuple[Finite, ...] = ()

    def __post_init__(self) -> None:
        n_bins = len(self.eta) - 1
        if any(high <= low for low, high in zip(self.eta, self.eta[1:], strict=False)) or self.pt[1] <= self.pt[0]:
            raise ValueError("the edges of eta and pt must rise")
        if min(self.constant) < 0:
            raise ValueError("constants must not be negative")
        if len(self.constant) != n_bins or len(self.slope) not in (0, n_bins):
            raise ValueError(f"constant and slope must hold {n_bins} numbers, one for each bin between the eta edges")


@dataclass(frozen=True, config=_CLOSED)
class ByParticle:
    """One function of pt and |eta| for charged hadrons, one for electrons, one for muons."""

    hadron: tuple[PtEtaBlock, ...]
    electron: tuple[PtEtaBlock, ...]
    muon: tuple[PtEtaBlock, ...]


@dataclass(frozen=True, config=_CLOSED)
class DenseTracks:
    """Of tracks in one cell of a surface only the one of highest pt is found (DenseTrackFilter)."""

    enabled: bool
    radius: Positive
    half_length: Positive
    eta_cell: Positive
    phi_cells: Whole
    max_eta: Positive


@dataclass(frozen=True, config=_CLOSED)
class ImpactParameters:
    """Resolution of d0 and dz: see `hardscatter.io.tracks.TrackResolution`, whose settings these are."""

    smear: bool
    """False leaves the true values, as Delphes does, with NaN as their errors."""
    scale_mm: Positive
    low_pt_slope: float
    plateau_pt: Positive
    plateau: Positive
    eta_exponent: float


@dataclass(frozen=True, config=_CLOSED)
class Tracker:
    """Which charged particles become tracks, and how well they are measured (Efficiency, MomentumSmearing)."""

    min_pt: NotNegative
    eta: Literal["position", "momentum"]
    """Which eta efficiency and resolution are functions of: that on the calorimeter (v04), or the momentum's."""
    mass: Literal["true", "pion"]
    """Mass of a charged hadron: of the true particle, as in Delphes, or the pion's, as reconstruction assumes."""
    direction_smearing: NotNegative
    """σ of the Gaussian smearing of eta and of phi."""
    dense_tracks: DenseTracks
    efficiency: ByParticle
    resolution: ByParticle
    """σ/pt of hadrons and muons, log-normal; σ/E of electrons, Gaussian."""
    impact: ImpactParameters


@dataclass(frozen=True, config=_CLOSED)
class TowerSegment:
    """Upper eta edges of towers and how many towers go round in phi: listed, or first + i·step for i = 1 … count."""

    phi: Whole
    eta: tuple[Finite, ...] = ()
    first: Finite = 0.0
    step: Finite = 0.0
    count: Annotated[int, Field(ge=0)] = 0

    def edges(self) -> list[float]:
        """Return the eta edges of this segment."""
        return [*self.eta, *(self.first + i * self.step for i in range(1, self.count + 1))]


@dataclass(frozen=True, config=_CLOSED)
class Towers:
    """The grid of a calorimeter (SimpleCalorimeter): the edges of all segments, merged.

    A point belongs to the tower (lower, upper] in eta and takes the phi division that its **upper** edge brings.
    """

    segments: tuple[TowerSegment, ...]

    def __post_init__(self) -> None:
        if len(self.edges()) < 2:
            raise ValueError("the segments must give at least two eta edges")

    def rows(self) -> list[tuple[float, int]]:
        """Return (eta edge, phi division) in rising eta; edges that differ by rounding are one, the lower."""
        rows: list[tuple[float, int]] = []
        for edge, phi in sorted((edge, segment.phi) for segment in self.segments for edge in segment.edges()):
            if not rows or edge > rows[-1][0] + _SAME_EDGE:
                rows.append((edge, phi))
        return rows

    def edges(self) -> list[float]:
        """Return the merged eta edges."""
        return [edge for edge, _ in self.rows()]


@dataclass(frozen=True, config=_CLOSED)
class EnergyFraction:
    """Share of its energy that a particle leaves in a calorimeter, for these absolute PDG ids."""

    pdg: tuple[int, ...]
    fraction: Share


@dataclass(frozen=True, config=_CLOSED)
class EnergyResolution:
    """σ(E)² = constant²·E² + stochastic²·E + noise², in GeV, by |eta| of the tower's centre up to each edge."""

    eta: Annotated[tuple[Finite, ...], Field(min_length=1)]
    constant: tuple[NotNegative, ...]
    stochastic: tuple[NotNegative, ...]
    noise: tuple[NotNegative, ...]

    def __post_init__(self) -> None:
        if list(self.eta) != sorted(set(self.eta)):
            raise ValueError("the edges of eta must rise")
        if len({len(self.eta), len(self.constant), len(self.stochastic), len(self.noise)}) != 1:
            raise ValueError("eta, constant, stochastic and noise must hold as many numbers as each other")


@dataclass(frozen=True, config=_CLOSED)
class Calorimeter:
    """A calorimeter with particle flow inside its towers (SimpleCalorimeter)."""

    min_energy: NotNegative
    min_significance: NotNegative
    smear_centre: bool
    """Place what a tower holds at random inside it, instead of at its centre."""
    other_fraction: Share
    """Energy fraction of every particle that `fractions` does not name."""
    fractions: tuple[EnergyFraction, ...]
    resolution: EnergyResolution
    towers: Towers

    def __post_init__(self) -> None:
        named = [pdg for entry in self.fractions for pdg in entry.pdg]
        if len(named) != len(set(named)):
            raise ValueError("fractions must name each particle once")


@dataclass(frozen=True, config=_CLOSED)
class Vertexing:
    """How charged candidates find their vertex (see `hardscatter.detector.vertices`)."""

    association: Literal["reconstruction", "delphes"]
    min_track_pt: NotNegative
    """Tracks that make a vertex: pt above this, |d0| below `max_d0_significance` of its error."""
    max_d0_significance: Positive
    min_tracks: Whole
    merging_distance: NotNegative
    min_error: Positive
    """Floor of the error of a vertex's z."""
    max_significance: Positive
    reach: NotNegative
    """A track further from every vertex than `max_significance` standard deviations and than `reach` has none."""
    displaced_share: Share
    """Share of tracks that come from displaced decays, and the length scale of their distance from the vertex."""
    displacement: Positive


@dataclass(frozen=True, config=_CLOSED)
class Card:
    """A detector. Load one with `load_card`."""

    name: str
    description: str
    beam: Beam
    volume: Volume
    tracker: Tracker
    ecal: Calorimeter
    hcal: Calorimeter
    photon_smearing: NotNegative
    """Extra relative Gaussian smearing of the energy of photons."""

    def __post_init__(self) -> None:
        if self.beam.max_z >= self.volume.half_length:
            raise ValueError("collisions (beam.max_z) must lie inside the tracker (volume.half_length)")
        for name in ("hadron", "electron", "muon"):
            if any(max(block.constant) > 1 for block in getattr(self.tracker.efficiency, name)):
                raise ValueError(f"the efficiency of {name}s must not exceed 1")

    vertexing: Vertexing

    def calorimeter(self, name: str) -> Calorimeter:
        """Return the calorimeter of that name."""
        return self.ecal if name == "ecal" else self.hcal

    def species_pdg(self) -> list[int]:
        """Return the absolute PDG ids that some calorimeter names, and those of leptons; species 0 is all others."""
        named = {pdg for name in CALORIMETERS for item in self.calorimeter(name).fractions for pdg in item.pdg}
        return sorted(named | {11, 13})

    def species(self, pid: int) -> int:
        """Return the place of a PDG id in the table of `fractions`."""
        known = self.species_pdg()
        return known.index(abs(pid)) + 1 if abs(pid) in known else 0

    def fractions(self) -> NDArray[np.float64]:
        """Return the energy fractions, shape (2 calorimeters, species)."""
        table = np.empty((len(CALORIMETERS), len(self.species_pdg()) + 1))
        for row, name in zip(table, CALORIMETERS, strict=True):
            row[:] = self.calorimeter(name).other_fraction
            for item in self.calorimeter(name).fractions:
                row[[self.species(pdg) for pdg in item.pdg]] = item.fraction
        return table

    def record(self) -> dict[str, Any]:
        """Return name and hash for the metadata of events."""
        return {"name": self.name, "hash": self.hash()}

    def hash(self) -> str:
        """Return twelve hexadecimal digits that change when any number of the card does."""
        numbers = {key: value for key, value in asdict(self).items() if key != "description"}
        text = json.dumps(numbers, sort_keys=True, default=_readable)
        return hashlib.sha256(text.encode()).hexdigest()[:12]


def _readable(value: object) -> str:
    return "inf" if value == math.inf else str(value)
