"""Fixed-point numbers as an FPGA has them: integers that stand for multiples of a power of two.

A number of format (W, I) has W bits, I of them in front of the binary point, and stands for n · 2^(I − W), where the
integer n is in [−2^(W−1), 2^(W−1)) if it has a sign, which is one of the I bits, else in [0, 2^W). These are
``ap_fixed<W, I, AP_RND, AP_SAT>`` and ``ap_ufixed<W, I, AP_RND, AP_SAT>`` of high-level synthesis: what lies between
two numbers goes to the nearer, a half up; what lies outside goes to the end.

References
----------
AMD, Vitis High-Level Synthesis User Guide (UG1399), Arbitrary Precision Fixed-Point Data Types.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

WIDEST = 62
"""Bits of the widest number: a sum of two is still an int64."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Format:
    """How a number is written; see the module. `integer` may be negative or exceed `width`, as in ``ap_fixed``."""

    width: int
    """All bits, 1 to 62."""
    integer: int
    """Bits in front of the binary point, a sign among them."""
    signed: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.width <= WIDEST:
            raise ValueError(f"a fixed-point number of {self.width} bits: give it 1 to {WIDEST}.")
        if abs(self.fraction) > WIDEST:
            raise ValueError(f"a fixed-point number with {self.fraction} bits of fraction: at most {WIDEST}.")

    @property
    def fraction(self) -> int:
        """Bits behind the binary point; negative where even the last bit counts more than 1."""
        return self.width - self.integer

    @property
    def step(self) -> float:
        """What the last bit is worth."""
        return 2.0**-self.fraction

    @property
    def lowest(self) -> int:
        """The smallest integer."""
        return -(1 << (self.width - 1)) if self.signed else 0

    @property
    def highest(self) -> int:
        """The largest integer."""
        return (1 << (self.width - self.signed)) - 1

    def __str__(self) -> str:
        return f"ap_{'' if self.signed else 'u'}fixed<{self.width},{self.integer},AP_RND,AP_SAT>"


def quantise(x: NDArray[Any], into: Format) -> NDArray[np.int64]:
    """Return the integers that stand for real numbers: n = clip(⌊x / step + ½⌋), exactly.

    Parameters
    ----------
    x
        Any shape; infinities go to the ends.

    Raises
    ------
    ValueError
        If one is not a number: hardware has none such, so whoever has it must say what it means.
    """
    with np.errstate(over="ignore"):  # infinity goes to the end as well
        scaled = np.ldexp(np.asarray(x, dtype=np.float64), into.fraction)
    if np.isnan(scaled).any():
        raise ValueError("fixed-point numbers cannot stand for NaN: replace it before.")
    # Clipped a step further out than the ends, so that the difference to the integer below is exact. Not ⌊x + ½⌋:
    # that sum would be rounded.
    scaled = np.clip(scaled, into.lowest - 1, into.highest + 1)
    below = np.floor(scaled)
    return np.clip(below.astype(np.int64) + (scaled - below >= 0.5), into.lowest, into.highest)


def requantise(n: NDArray[np.int64], fraction: int, into: Format) -> NDArray[np.int64]:
    """Return integers of another format: those that have `fraction` bits behind the point, rounded and clipped.

    Exact for |n| < 2^62; the same as `quantise` of the real numbers.
    """
    shift = fraction - into.fraction
    if shift > WIDEST:  # less than half a step, whatever it is
        return np.zeros_like(n)
    if shift > 0:
        # A half is added behind the shift: before it, it might overflow.
        n = (n >> shift) + ((n >> (shift - 1)) & 1)
    elif shift < 0:
        # What leaves the format is caught before the shift, lest it leave int64; `width` bits take all but 0 out of it.
        left = min(-shift, into.width)
        n = np.clip(n, (into.lowest >> left) - 1, (into.highest >> left) + 1) << left
    return np.clip(n, into.lowest, into.highest)


def to_real(n: NDArray[np.int64], of: Format) -> NDArray[np.float64]:
    """Return the real numbers that integers of a format stand for, exact up to 53 bits."""
    return np.ldexp(n.astype(np.float64), -of.fraction)
