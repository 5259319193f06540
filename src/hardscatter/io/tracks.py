"""Impact parameters as a tracker would measure them, for files that hold the true ones."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.floating[Any]]

SMEARING_SEED = 20221103
"""Default seed of the noise."""


@dataclass(frozen=True)
class TrackResolution:
    """Resolution of the card CMS_PhaseII_200PU_v04 of Delphes, which uses it only to choose vertices.

    The card gives σ(dz) = f(pt)·10^(0.5·|η| + 1.5) µm, with f = 1 − 0.8·log10(pt/GeV) below 10 GeV and 0.2 above.
    It gives no resolution of d0. We take σ(dz) at η = 0 times √cosh η: multiple scattering lets σ(d0) grow as
    1/(p·sin^(3/2) θ), which is √cosh η / pt.
    """

    scale_mm: float = 10**1.5 * 1e-3
    low_pt_slope: float = 0.8
    plateau_pt: float = 10.0
    plateau: float = 0.2
    eta_exponent: float = 0.5
    seed: int = SMEARING_SEED

    def dz(self, pt: Floats, eta: Floats) -> NDArray[np.float64]:
        """Return σ(dz) in mm of tracks of transverse momentum `pt` (GeV, > 0) and pseudorapidity `eta`."""
        return np.asarray(self._pt_factor(pt) * self.scale_mm * 10 ** (self.eta_exponent * np.abs(eta)))

    def d0(self, pt: Floats, eta: Floats) -> NDArray[np.float64]:
        """Return σ(d0) in mm of tracks of transverse momentum `pt` (GeV, > 0) and pseudorapidity `eta`."""
        return np.asarray(self._pt_factor(pt) * self.scale_mm * np.sqrt(np.cosh(eta)))

    def record(self) -> dict[str, Any]:
        """Return the settings for the metadata of the events."""
        return {"card": "CMS_PhaseII_200PU_v04", **asdict(self)}

    def _pt_factor(self, pt: Floats) -> NDArray[np.float64]:
        wide = np.asarray(pt, dtype=np.float64)
        with np.errstate(divide="ignore", invalid="ignore"):  # a bad momentum is reported by the event model
            falling = 1.0 - self.low_pt_slope * np.log10(wide)
        return np.where(wide < self.plateau_pt, falling, self.plateau)


def noise(events: NDArray[np.integer[Any]], counts: NDArray[np.int64], seed: int) -> NDArray[np.float64]:
    """Return two independent normal numbers for each track, the same whichever events are read together.

    Parameters
    ----------
    events
        Number of each event: it and `seed` are the key of the event's own generator (Philox), so the noise of an
        event depends neither on the batch it is read in nor on the number of threads.
    counts
        Number of tracks of each event.
    seed
        Seed, ≥ 0.

    Returns
    -------
    numpy.ndarray
        Shape (2, tracks), for d0 and dz.
    """
    if len(events) == 0:
        return np.zeros((2, 0))
    parts = []
    for number, n_tracks in zip(events.tolist(), counts.tolist(), strict=True):
        key = np.array([seed, number % 2**64], dtype=np.uint64)
        parts.append(np.random.Generator(np.random.Philox(key=key)).standard_normal((2, n_tracks)))
    return np.concatenate(parts, axis=1)
