"""Rates of a trigger from weighted minimum-bias crossings, thresholds at a rate, and several thresholds at once.

All functions work on *exposures*: how much each crossing counts, shape (crossings,), its weight times how often a
bootstrap replica drew it. A crossing passes a threshold if its value is above it.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError, SettingsError

Floats = NDArray[np.float64]

BUNCHES = 2760
"""Colliding pairs of bunches of the LHC at high luminosity."""
REVOLUTION_KHZ = 11.2455
"""Of the LHC's beams."""
CROSSINGS_KHZ = BUNCHES * REVOLUTION_KHZ
"""Crossings a second: 31 million."""
BUDGET_KHZ = 750.0
"""What the first level of CMS may accept at high luminosity."""


def rate_above(values: Floats, exposure: Floats, thresholds: Any) -> Floats:
    """Return the rate above each threshold, kHz: R(t) = 31 MHz · Σ w(value > t) / Σ w.

    Raises
    ------
    InvalidEventsError
        If there are no crossings, or their weights are not finite, ≥ 0 and of a sum above 0.
    """
    ordered, cumulative = _falling(values, exposure)
    n_above = np.searchsorted(-ordered, -np.asarray(thresholds, dtype=np.float64), side="left")
    return np.concatenate(([0.0], cumulative))[n_above]


def threshold_at(values: Floats, exposure: Floats, rate_khz: float) -> float:
    """Return the threshold that accepts this rate (kHz), GeV, never below 0.

    Linear between the two crossings whose values the rate falls between, so that it neither jumps nor leans to one
    side. NaN where the rate is below that of the very first crossing: nothing is known up there.

    Raises
    ------
    SettingsError
        If the rate is not above 0.
    InvalidEventsError
        As `rate_above`.
    """
    if not rate_khz > 0:
        raise SettingsError(f"a rate of {rate_khz} kHz has no threshold: give one above 0.")
    ordered, cumulative = _falling(values, exposure)
    drawn = np.diff(cumulative, prepend=0.0) > 0
    ordered, cumulative = ordered[drawn], cumulative[drawn]
    if rate_khz < cumulative[0]:
        return float("nan")
    # The threshold that accepts the first k crossings is the value of the next.
    return float(np.interp(rate_khz, cumulative[:-1], ordered[1:], right=0.0)) if len(ordered) > 1 else 0.0


def standing_rates(values: Floats, exposure: Floats) -> Floats:
    """Return the rate (kHz) that a path must be given for it to accept each crossing, shape (crossings,).

    The rate of all crossings of at least that value; ∞ for a value of 0, which no path accepts.
    """
    ordered, cumulative = _falling(values, exposure)
    last = np.searchsorted(-ordered, -values, side="right") - 1
    return np.where(values > 0, cumulative[last], np.inf)


def rates_to_pass(signal: Floats, values: Floats, exposure: Floats) -> Floats:
    """Return the rate (kHz) that a path must be given for it to accept each crossing of a signal.

    The rate of minimum-bias crossings above that value; ∞ for a value of 0.
    """
    return np.where(signal > 0, rate_above(values, exposure, signal), np.inf)


def common_scale(standing: Floats, shares: Floats, exposure: Floats, budget_khz: Any) -> Floats:
    """Return the rate S (kHz) so that paths with rates `shares` · S accept `budget_khz` together, overlaps once.

    One S for each budget; NaN where no crossing can be accepted at all.

    A crossing is accepted by some path if min_p standing_p / share_p ≤ S: sorted, one cumulative sum gives S.

    Parameters
    ----------
    standing
        `standing_rates` of each path, shape (paths, crossings).
    shares
        Above 0, shape (paths,).
    """
    least = np.min(standing / shares[:, np.newaxis], axis=0)
    order = np.argsort(least, kind="stable")
    total = CROSSINGS_KHZ * np.cumsum(exposure[order]) / exposure.sum()
    reachable = np.isfinite(least[order])
    budgets = np.asarray(budget_khz, dtype=np.float64)
    if not reachable.any():
        return np.full(budgets.shape, np.nan)
    return np.asarray(np.interp(budgets, total[reachable], least[order][reachable]))


def accepted(values: Floats, exposure: Floats, threshold: float) -> float:
    """Return the weighted share of crossings above a threshold; NaN if there are none or the threshold is unknown."""
    total = float(exposure.sum())
    if total <= 0 or np.isnan(threshold):
        return float("nan")
    return float(exposure[values > threshold].sum()) / total


def _falling(values: Floats, exposure: Floats) -> tuple[Floats, Floats]:
    """Return values, highest first, and the rate (kHz) of each and all above it."""
    if len(values) == 0 or not (np.isfinite(exposure).all() and exposure.min() >= 0 and exposure.sum() > 0):
        raise InvalidEventsError(
            "rates need minimum-bias crossings whose weights are finite, not negative and not all 0: check the file."
        )
    if not np.isfinite(values).all():
        raise InvalidEventsError("a trigger's numbers must be finite: check the candidates of the file.")
    order = np.argsort(-values, kind="stable")
    return values[order], CROSSINGS_KHZ * np.cumsum(exposure[order]) / float(exposure.sum())
