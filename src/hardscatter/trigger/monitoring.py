"""Data quality from the weights: an alarm when their distribution leaves that of good runs.

Weights of neutral candidates are counted by region of the calorimeter and by value. With n the candidates of a
crossing, h_c those in cell c (a region and a bin of the weight) and f_c the share of the cell in the reference,

    z_c = Σ (h_c − f_c n) / √(N v_c),    T_region = Σ_bins z_c² / bins,

summed over the N crossings of a window; v_c is the variance of h_c − f_c n in the reference. Shares take the
luminosity out. Two numbers are watched: the largest T of all regions, each in units of what it rarely exceeds in the
reference (weights are no Poisson numbers: some regions fluctuate far more), which a local fault moves and which says
where; and the mean T, which a global one moves. Their thresholds are quantiles in windows of other good crossings, so
that the rate of false alarms is what was asked for.
"""

from __future__ import annotations

from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import LEADING, PILEUP, Events, checked_fraction, flat, jagged_like
from hardscatter.geometry.angles import wrap_phi

Floats = NDArray[np.float64]
Counts = NDArray[np.int64]

_CLOSED = ConfigDict(extra="forbid")


@dataclass(frozen=True, config=_CLOSED)
class Regions:
    """How the weights of neutral candidates are counted."""

    eta: tuple[float, ...] = (-5.0, -4.0, -3.0, -2.25, -1.5, -0.75, 0.0, 0.75, 1.5, 2.25, 3.0, 4.0, 5.0)
    """Edges of the regions, rising."""
    n_phi: int = Field(default=12, ge=1)
    """Regions around the beam."""
    weight: tuple[float, ...] = (0.02, 0.1, 0.3, 0.7)
    """Inner edges of the bins of the weight, rising; the outer ones are 0 and 1."""

    def __post_init__(self) -> None:
        if len(self.eta) < 2 or min(np.diff(self.eta)) <= 0 or (np.diff(self.weight) <= 0).any():
            raise ValueError("the edges of eta and weight must rise")

    @property
    def shape(self) -> tuple[int, int]:
        """Return (regions, bins of the weight); region number = eta row · n_phi + phi column."""
        return (len(self.eta) - 1) * self.n_phi, len(self.weight) + 1

    def where(self, region: int) -> tuple[float, float]:
        """Return eta and phi (rad) of a region's centre."""
        row, column = divmod(region, self.n_phi)
        return (self.eta[row] + self.eta[row + 1]) / 2, -np.pi + (column + 0.5) * 2 * np.pi / self.n_phi

    def counts(self, events: Events, weights: ak.Array) -> Counts:
        """Return how many neutral candidates of each crossing each cell holds, (crossings, regions, bins).

        Candidates outside all regions do not count.

        Raises
        ------
        InvalidEventsError
            If the weights are not aligned with the candidates or lie outside [0, 1].
        """
        n_candidates = np.asarray(events.n_candidates)
        value = flat(checked_fraction("weights", weights, n_candidates, dtype=None), np.float64)
        candidates = events.candidates
        eta, phi, charge = (flat(candidates[name], np.float64) for name in ("eta", "phi", "charge"))
        row = np.searchsorted(self.eta, eta, side="right") - 1
        column = np.minimum(((wrap_phi(phi) + np.pi) / (2 * np.pi) * self.n_phi).astype(np.int64), self.n_phi - 1)
        value_bin = np.searchsorted(self.weight, value, side="right")
        inside = (charge == 0) & (row >= 0) & (row < len(self.eta) - 1)
        regions, bins = self.shape
        event = np.repeat(np.arange(len(events)), n_candidates)
        cell = ((event * regions) + row * self.n_phi + column) * bins + value_bin
        counted = np.bincount(cell[inside], minlength=len(events) * regions * bins)
        return counted.reshape(len(events), regions, bins)


class Verdict(NamedTuple):
    """What the monitor says of a window of crossings."""

    local: float
    """Largest T of a region in units of its 99 % quantile, about 1 when all is well."""
    overall: float
    """Mean T of all regions."""
    region: int
    """That of the largest T."""
    alarm: bool


class WeightMonitor:
    """Watches the weights of one method for windows of `window` crossings.

    Parameters
    ----------
    reference, calibration
        `Regions.counts` of good crossings; the second set, disjoint from the first, fixes the thresholds. At least
        two crossings, and at least `window`.
    window
        Crossings that are judged together.
    false_alarms
        Share of good windows that may raise an alarm, split evenly between both numbers.

    Raises
    ------
    SettingsError
        If there are too few crossings, or the share does not lie between 0 and 1.
    """

    def __init__(
        self, reference: Counts, calibration: Counts, *, window: int, false_alarms: float = 0.01, seed: int = 1
    ) -> None:
        if len(reference) < 2 or window < 1 or len(calibration) < window:
            raise SettingsError(
                f"a window of {window} crossings cannot be learnt from {len(reference)} and {len(calibration)}: "
                "give more good crossings."
            )
        if not 0 < false_alarms < 1:
            raise SettingsError(f"a share of false alarms of {false_alarms} makes no sense: give one between 0 and 1.")
        self.window = window
        held = reference.sum(axis=(1, 2), dtype=np.float64)
        if not held.sum() > 0:
            raise SettingsError("the reference holds no neutral candidates: give good crossings.")
        self._share = reference.sum(axis=0) / held.sum()
        self._variance = np.var(reference - self._share * held[:, np.newaxis, np.newaxis], axis=0)
        # A cell that the window hardly ever fills has no normal fluctuations: it is not looked at.
        self._used = (self._share * held.mean() * window >= _LEAST_EXPECTED) & (self._variance > 0)
        self._watched = self._used.any(axis=1)
        known = [self._t(part) for part in windows(reference, min(window, len(reference)), _N_WINDOWS, seed)]
        # A region whose T is always 0 is never the largest.
        self._rare = np.where(self._watched, np.maximum(np.quantile(known, _RARE, axis=0), 1e-9), np.inf)
        drawn = np.array([self._numbers(part)[:2] for part in windows(calibration, window, _N_WINDOWS, seed)])
        self.thresholds: Floats = np.quantile(drawn, 1.0 - false_alarms / 2, axis=0)
        """Of the largest and the mean T."""

    def verdict(self, counts: Counts) -> Verdict:
        """Judge a window of crossings.

        Raises
        ------
        InvalidEventsError
            If it does not hold as many crossings as the monitor was made for, or their regions differ.
        """
        if counts.shape != (self.window, *self._share.shape):
            raise InvalidEventsError(
                f"the monitor judges counts of shape {(self.window, *self._share.shape)}, not {counts.shape}: give it "
                "as many crossings, counted in the same regions, as it was made for."
            )
        local, overall, region = self._numbers(counts)
        return Verdict(local, overall, region, bool(local > self.thresholds[0] or overall > self.thresholds[1]))

    def _t(self, counts: Counts) -> Floats:
        """Return T of each region."""
        held = counts.sum(axis=0, dtype=np.float64)
        excess = (held - self._share * held.sum()) ** 2
        z2 = np.divide(excess, len(counts) * self._variance, out=np.zeros_like(excess), where=self._used)
        return np.asarray(z2.sum(axis=1) / np.maximum(self._used.sum(axis=1), 1))

    def _numbers(self, counts: Counts) -> tuple[float, float, int]:
        t = self._t(counts)
        relative = t / self._rare
        overall = float(t[self._watched].mean()) if self._watched.any() else 0.0
        return float(relative.max()), overall, int(relative.argmax())


_RARE = 0.99
_LEAST_EXPECTED = 5.0
_N_WINDOWS = 2000


def windows(counts: Counts, window: int, n: int, seed: int) -> list[Counts]:
    """Return `n` windows of different crossings each, drawn at random; two windows may have crossings in common."""
    generator = np.random.default_rng(seed)
    return [counts[generator.choice(len(counts), window, replace=False)] for _ in range(n)]


@dataclass(frozen=True, config=_CLOSED)
class DeadRegion:
    """A part of the calorimeter that reads nothing: its neutral candidates are gone, tracks stay."""

    eta: tuple[float, float]
    phi: tuple[float, float]
    """rad, from the first round to the second in rising azimuth: (3, −3) holds π."""

    def __call__(self, events: Events) -> Events:
        """Return the crossings as that calorimeter sees them, without truth and weights: mitigate them anew."""
        candidates = events.candidates
        width = (self.phi[1] - self.phi[0]) % (2 * np.pi)
        inside = (candidates.eta >= self.eta[0]) & (candidates.eta < self.eta[1])
        inside = inside & ((candidates.phi - self.phi[0]) % (2 * np.pi) < width)
        kept = ~(inside & (candidates.charge == 0))
        left = events.array[[name for name in events.fields if name not in ("truth", "weights", "weight_errors")]]
        return Events(left, events.metadata).with_field("candidates", candidates[kept])


@dataclass(frozen=True, config=_CLOSED)
class VertexWindow:
    """Tracks given to the leading vertex by a window in z, as a first level does, around where it is believed to be.

    A charged candidate belongs to it if |dz − shift| < √((n_sigma · dz_error)² + width²), else to pileup.
    """

    shift: float = 0.0
    """mm: how far the leading vertex is believed to be from where it is; dz is then relative to the wrong place."""
    width: float = Field(default=0.5, ge=0)
    """mm."""
    n_sigma: float = Field(default=2.0, ge=0)

    def __call__(self, events: Events) -> Events:
        """Return the crossings with dz and vertices as that window gives them; tracks without dz stay as they are."""
        candidates = events.candidates
        moved = candidates.dz - np.float32(self.shift)
        reach2 = (self.n_sigma * candidates.dz_error) ** 2 + self.width**2
        known = (candidates.charge != 0) & ~np.isnan(candidates.dz) & ~np.isnan(candidates.dz_error)
        chosen = ak.where(moved**2 < reach2, LEADING, PILEUP)
        vertex = flat(ak.where(known, chosen, candidates.vertex), np.int32)
        candidates = ak.with_field(candidates, jagged_like(vertex, candidates.pt), "vertex")
        return events.with_field("candidates", ak.with_field(candidates, moved, "dz"))
