"""Elementary functions without a branch, so that a loop over them becomes vector instructions.

The compiler's own are called number by number and cost five to ten times as much. These are good to about 2⁻⁵² of
the largest value in play (not of the result itself, near 0). Coefficients and reductions, but those of exp and sine:
fdlibm (Sun Microsystems).
"""

from __future__ import annotations

import math

import numpy as np

from hardscatter.compiled import lane_kernel

MOST_TURNS = 1e5
"""`sine_and_turn` is good up to so many half turns."""

_SQRT_HALF_BITS = 0x3FE6A09E667F3BCD
_LN2_HIGH, _LN2_LOW = 6.93147180369123816490e-01, 1.90821492927058770002e-10
_PER_LN2 = 1.0 / math.log(2.0)
_ROUNDING = 1.5 * 2.0**52
# π in two numbers of which the first has 33 bits: its multiples are exact.
_PI_HIGH, _PI_LOW = 2.0 * 1.57079632673412561417e00, 2.0 * 6.07710050650619224932e-11


@lane_kernel
def exp(x: float) -> float:
    """Return exp x for |x| < 700: 2^k times the Taylor series at |r| ≤ ½ ln 2."""
    shifted = x * _PER_LN2 + _ROUNDING  # what stands in its last bits is k
    k = shifted - _ROUNDING
    r = (x - k * _LN2_HIGH) - k * _LN2_LOW
    series = 1.0 / 479001600.0 + r * (1.0 / 6227020800.0)
    series = 1.0 / 3628800.0 + r * (1.0 / 39916800.0 + r * series)
    series = 1.0 / 40320.0 + r * (1.0 / 362880.0 + r * series)
    series = 1.0 / 720.0 + r * (1.0 / 5040.0 + r * series)
    series = 1.0 / 24.0 + r * (1.0 / 120.0 + r * series)
    series = 1.0 + r * (1.0 + r * (1.0 / 2.0 + r * (1.0 / 6.0 + r * series)))
    power: float = np.int64((np.float64(shifted).view(np.int64) + 1023) << 52).view(np.float64)
    return series * power


@lane_kernel
def log(x: float) -> float:
    """Return ln x of a normal number x > 0; anything else gives nonsense."""
    bits = np.float64(x).view(np.int64)
    exponent = (bits - _SQRT_HALF_BITS) >> 52  # leaves a mantissa from √½ to √2
    f = np.int64(bits - (exponent << 52)).view(np.float64) - 1.0
    s = f / (2.0 + f)
    z = s * s
    tail = 1.818357216161805012e-01 + z * (1.531383769920937332e-01 + z * 1.479819860511658591e-01)
    tail = 2.857142874366239149e-01 + z * (2.222219843214978396e-01 + z * tail)
    tail = z * (6.666666666666735130e-01 + z * (3.999999999940941908e-01 + z * tail))
    half, k = 0.5 * f * f, float(np.int32(exponent))
    return k * _LN2_HIGH - ((half - (s * (half + tail) + k * _LN2_LOW)) - f)


@lane_kernel
def arsinh(x: float) -> float:
    """Return arsinh x = ±ln(|x| + √(x² + 1))."""
    size = abs(x)
    return math.copysign(log(size + math.sqrt(size * size + 1.0)), x)


@lane_kernel
def arcsine(x: float) -> float:
    """Return arcsin x for 0 ≤ x ≤ 1; above ½ it is π/2 − 2 arcsin √((1 − x)/2)."""
    small = x < 0.5
    z = x * x if small else 0.5 * (1.0 - x)
    s = x if small else math.sqrt(z)
    p = 2.01212532134862925881e-01 + z * (-4.00555345006794114027e-02 + z * (7.91534994289814532176e-04
        + z * 3.47933107596021167570e-05))  # fmt: skip
    p = z * (1.66666666666666657415e-01 + z * (-3.25565818622400915405e-01 + z * p))
    q = 2.02094576023350569471e00 + z * (-6.88283971605453293030e-01 + z * 7.70381505559019352791e-02)
    q = 1.0 + z * (-2.40339491173441421878e00 + z * q)
    value = s + s * (p / q)
    return value if small else 0.5 * math.pi - 2.0 * value


@lane_kernel
def sine_and_turn(x: float) -> tuple[float, float]:
    """Return |sin x| and 1 where sin x < 0, else 0, for x from 0 to `MOST_TURNS` half turns."""
    k = math.floor(x * (1.0 / math.pi) + 0.5)
    r = (x - k * _PI_HIGH) - k * _PI_LOW
    z = r * r
    # The Taylor series: its next term is 2·10⁻¹⁸ at most, as |r| ≤ π/2.
    p = -7.647163731819816e-13 + z * (2.8114572543455206e-15 + z * -8.22063524662433e-18)
    p = -2.505210838544172e-08 + z * (1.605904383682161e-10 + z * p)
    p = -1.984126984126984e-04 + z * (2.755731922398589e-06 + z * p)
    p = -1.666666666666667e-01 + z * (8.333333333333333e-03 + z * p)
    sine = r + r * z * p
    odd = k - 2.0 * math.floor(0.5 * k)
    negative = 1.0 if sine < 0.0 else 0.0
    return abs(sine), abs(odd - negative)
