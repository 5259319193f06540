"""Data quality from the weights: an alarm when their distribution leaves that of good runs.

Weights of neutral candidates are counted by region of the calorimeter and by value. With n the candidates of a
crossing, h_c those in cell c (a region, and a bin of the weight or any above it), f_c the cell's share in the reference
and v_c the variance of h_c − f_c n there,

    r_c = clip((h_c − f_c n) / √v_c, −3, 3),    z_c = Σ (r_c − ⟨r_c⟩) / (σ(r_c) √N),    T_region = Σ_bins z_c² / bins,

summed over the N crossings of a window; mean and σ of r_c are those of the reference. Shares take the luminosity out;
the clip sees to it that a fault, which is in every crossing, outweighs one wild crossing. Two numbers are watched: the
largest T of all regions, which a local fault moves and which says where, and that of all regions added up, which a
global one moves. Their thresholds are quantiles in windows of other good crossings, so that the rate of false alarms
is what was asked for.
"""

from __future__ import annotations

from typing import Any, NamedTuple

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
    """Largest T of a region."""
    overall: float
    """T of all regions added up, about 1 when all is well."""
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
        self.window, self._shape = window, reference.shape[1:]
        held = reference.sum(axis=(1, 2), dtype=np.float64)
        if not held.sum() > 0:
            raise SettingsError("the reference holds no neutral candidates: give good crossings.")
        above = _cells(reference)
        self._share = above.sum(axis=0) / held.sum()
        variance = np.var(above - self._share * held[:, np.newaxis, np.newaxis], axis=0)
        # A cell that is hardly ever filled has no normal fluctuations: it is not looked at.
        self._used = (self._share * held.mean() >= _LEAST_EXPECTED) & (variance > 0)
        self._spread = np.sqrt(np.where(self._used, variance, 1.0))
        clipped = self._clipped(reference)
        self._mean, self._sigma = clipped.mean(axis=0), np.maximum(clipped.std(axis=0), _LEAST_SIGMA)
        drawn = [self._numbers(part)[:2] for part in windows(self._clipped(calibration), window, _N_WINDOWS, seed)]
        self.thresholds: Floats = np.quantile(drawn, 1.0 - false_alarms / 2, axis=0)
        """Of the largest T and of that of all regions together."""

    def verdict(self, counts: Counts) -> Verdict:
        """Judge a window of crossings.

        Raises
        ------
        InvalidEventsError
            If it does not hold as many crossings as the monitor was made for, or their regions differ.
        """
        if counts.shape != (self.window, *self._shape):
            raise InvalidEventsError(
                f"the monitor judges counts of shape {(self.window, *self._shape)}, not {counts.shape}: give it as "
                "many crossings, counted in the same regions, as it was made for."
            )
        local, overall, region = self._numbers(self._clipped(counts))
        return Verdict(local, overall, region, bool(local > self.thresholds[0] or overall > self.thresholds[1]))

    def _clipped(self, counts: Counts) -> Floats:
        """Return r of each crossing and cell."""
        held = counts.sum(axis=(1, 2), dtype=np.float64)[:, np.newaxis, np.newaxis]
        return np.asarray(np.clip((_cells(counts) - self._share * held) / self._spread, -_CLIP, _CLIP))

    def _numbers(self, clipped: Floats) -> tuple[float, float, int]:
        z = (clipped - self._mean).sum(axis=0) / (self._sigma * np.sqrt(len(clipped)))
        t = np.where(self._used, z**2, 0.0).sum(axis=1) / np.maximum(self._used.sum(axis=1), 1)
        return float(t[:-1].max()), float(t[-1]), int(t[:-1].argmax())


def _cells(counts: Counts) -> Counts:
    """Return counts with one more region, which is all of them, and in each bin of the weight those above it too.

    The first bin then holds all candidates, whatever their weight: weights of pileup move together from crossing to
    crossing, over the edge of a bin and back.
    """
    regions = np.concatenate([counts, counts.sum(axis=1, keepdims=True)], axis=1)
    return np.cumsum(regions[..., ::-1], axis=-1)[..., ::-1]


_CLIP = 3.0
_LEAST_SIGMA = 1e-3
_LEAST_EXPECTED = 1.0
_N_WINDOWS = 2000


def windows(counts: NDArray[Any], window: int, n: int, seed: int) -> list[NDArray[Any]]:
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
