"""Which collisions make a crossing, where and when they happen."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector import random
from hardscatter.detector.card import Beam
from hardscatter.detector.random import normals, stream_key, uniform

Floats = NDArray[np.float64]

MM_PER_PS = 0.299792458


class Interactions(NamedTuple):
    """The collisions of one crossing; the hard one is number 0, pileup follows."""

    collision: NDArray[np.int64]
    """Place in the minimum-bias library; −1 for the hard collision."""
    z: Floats
    """mm."""
    t: Floats
    """c·t, mm."""
    rotation: Floats
    """Angle about the beam that the collision is turned by, rad; 0 for the hard one."""
    mirror: Floats
    """−1 where the collision is turned end to end, else 1."""


def draw_interactions(
    beam: Beam, n_pileup: int, n_library: int, seed: int, event: int, replacement: bool
) -> Interactions:
    """Draw the collisions of a crossing.

    z and t of every vertex follow f(z, t) ∝ exp(−z²/2σz² − t²/2στ²) inside the range of `beam`; each pileup
    collision is a library entry drawn uniformly, turned about the beam by a uniform angle and, where the card says
    so, mirrored end to end. The hard vertex depends on `seed` and `event` only, never on the pileup.

    Source: Delphes, PileUpMerger.
    """
    spread = (beam.sigma_z, beam.max_z, beam.sigma_t * MM_PER_PS, beam.max_t * MM_PER_PS)
    return _draw(spread, beam.mirror, n_pileup, n_library, seed, event, replacement)


@kernel
def _draw(
    spread: tuple[float, float, float, float], mirror: bool, n_pileup: int, n_library: int, seed: int, event: int,
    replacement: bool,
) -> Interactions:  # fmt: skip
    n = n_pileup + 1
    result = Interactions(np.full(n, -1), np.empty(n), np.empty(n), np.zeros(n), np.ones(n))
    vertex, choice = stream_key(seed, event, random.VERTEX, 0), stream_key(seed, event, random.CHOICE, 0)
    for k in range(n):
        result.z[k], result.t[k] = _vertex(spread, random.child(vertex, k))
        if k == 0:
            continue
        key = random.child(choice, k)
        result.rotation[k] = math.pi * (2.0 * uniform(key, 0) - 1.0)
        if mirror and uniform(key, 1) < 0.5:
            result.mirror[k] = -1.0
        n_tried = 2
        result.collision[k] = int(uniform(key, n_tried) * n_library)
        while not replacement and np.any(result.collision[1:k] == result.collision[k]):
            n_tried += 1
            result.collision[k] = int(uniform(key, n_tried) * n_library)
    return result


@kernel
def _vertex(spread: tuple[float, float, float, float], key: np.uint64) -> tuple[float, float]:
    """Draw z and t, again and again until both lie in range."""
    sigma_z, max_z, sigma_t, max_t = spread
    n_drawn = 0
    while True:
        z, t = normals(key, n_drawn)
        if abs(z) * sigma_z <= max_z and abs(t) * sigma_t <= max_t:
            return z * sigma_z, t * sigma_t
        n_drawn += 2
