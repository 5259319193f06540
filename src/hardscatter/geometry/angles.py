"""Angles on the (eta, phi) cylinder: one place where phi is wrapped."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

TWO_PI = 2.0 * math.pi


def wrap_phi(phi: NDArray[Any]) -> NDArray[Any]:
    """Return `phi` brought into [−π, π), in the precision it came in.

    Parameters
    ----------
    phi
        Azimuths, rad, any shape, any finite value. NaN stays NaN.

    Notes
    -----
    The float32 numbers next to ±π lie outside [−π, π); such a value is moved by one unit in the last place.
    """
    phi = np.asarray(phi)
    dtype = phi.dtype if phi.dtype in (np.float32, np.float64) else np.dtype(np.float64)
    wide = phi.astype(np.float64)
    # Values in range come back untouched, to the last bit.
    outside = (wide < -math.pi) | (wide >= math.pi)
    wide = np.where(outside, np.mod(wide + math.pi, TWO_PI) - math.pi, wide)
    narrow = wide.astype(dtype)
    low = dtype.type(-math.pi)
    if float(low) < -math.pi:
        low = np.nextafter(low, dtype.type(0))
    rounded_out = (narrow.astype(np.float64) >= math.pi) | (narrow.astype(np.float64) < -math.pi)
    return np.where(rounded_out, low, narrow).astype(dtype)


def delta_phi(a: Any, b: Any) -> NDArray[np.float64]:
    """Return the signed difference `a` − `b` of two azimuths (rad) in [−π, π)."""
    difference = np.subtract(np.asarray(a, dtype=np.float64), np.asarray(b, dtype=np.float64))
    return np.asarray(np.mod(difference + math.pi, TWO_PI) - math.pi)


def delta_r(eta_a: Any, phi_a: Any, eta_b: Any, phi_b: Any) -> NDArray[np.float64]:
    """Return ΔR = √(Δη² + Δφ²) with Δφ the short way round; arguments broadcast."""
    eta_difference = np.subtract(np.asarray(eta_a, dtype=np.float64), np.asarray(eta_b, dtype=np.float64))
    return np.hypot(eta_difference, delta_phi(phi_a, phi_b))
