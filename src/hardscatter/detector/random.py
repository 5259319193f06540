"""Random numbers by counting: each is a hash of what it is drawn for, never of what was drawn before.

A key is a 64-bit hash of a path such as (seed, event, stream, interaction, particle); the n-th number of a key is a
hash of both. So the smearing of one particle depends neither on the other particles nor on threads or batches. The
hash is the finaliser of SplitMix64 (Steele, Lea, Flood, OOPSLA 2014, doi:10.1145/2660193.2660195).
"""

from __future__ import annotations

import math

import numpy as np

from hardscatter.compiled import kernel

# Streams: what a draw is for. Never renumber them, results would change.
NUMBER, VERTEX, CHOICE, TRACK, ECAL, HCAL, PHOTON = range(7)

# Two different odd multipliers, so that a key's children and its numbers never coincide.
_CHILD = np.uint64(0x9E3779B97F4A7C15)
_DRAW = np.uint64(0xD1342543DE82EF95)
_ONE = np.uint64(1)


@kernel
def _mix(x: np.uint64) -> np.uint64:
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def child(key: np.uint64, number: int) -> np.uint64:
    """Return the key of the `number`-th branch below `key`."""
    return _mix(np.uint64(key) + _CHILD * (np.uint64(number) + _ONE))


@kernel
def stream_key(seed: int, event: int, stream: int, salt: int) -> np.uint64:
    """Return the key of one stream of one event; another `salt` gives independent noise."""
    return child(child(child(child(np.uint64(0), seed), event), stream), salt)


@kernel
def uniform(key: np.uint64, n: int) -> float:
    """Return the n-th number of `key`, uniform in the open interval (0, 1)."""
    bits = _mix(np.uint64(key) + _DRAW * (np.uint64(n) + _ONE)) >> np.uint64(12)
    return (float(bits) + 0.5) * 2.0**-52


@kernel
def normals(key: np.uint64, n: int) -> tuple[float, float]:
    """Return two independent standard normal numbers made of the n-th and (n+1)-th of `key` (Box–Muller)."""
    radius = math.sqrt(-2.0 * math.log(uniform(key, n)))
    angle = 2.0 * math.pi * uniform(key, n + 1)
    return radius * math.cos(angle), radius * math.sin(angle)


@kernel
def log_normal(mean: float, sigma: float, normal: float) -> float:
    """Return a log-normal number of given `mean` (> 0, else 0 comes back) and standard deviation.

    exp(a + b·normal) with b² = ln(1 + σ²/mean²) and a = ln(mean) − b²/2, as in Delphes' MomentumSmearing and
    SimpleCalorimeter.
    """
    if mean <= 0.0:
        return 0.0
    b2 = math.log1p((sigma / mean) ** 2)
    return mean * math.exp(math.sqrt(b2) * normal - 0.5 * b2)
