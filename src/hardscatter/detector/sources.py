"""Collisions made ready for the detector: charges, energies and kinds looked up once, hopeless particles left out."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from particle.pdgid import charge as pdg_charge

from hardscatter.detector.card import CALORIMETERS, Card
from hardscatter.generate.collisions import Collisions

Floats = NDArray[np.float32]

PROMPT_MM = 1e-3
"""A production vertex nearer to the axis than this is put on the axis: far below what any detector resolves."""


class Source(NamedTuple):
    """Particles of many collisions that can reach a detector, in flat arrays (GeV, mm)."""

    offsets: NDArray[np.int64]
    particle: NDArray[np.int32]
    """Place of the particle in its collision, as generated."""
    species: NDArray[np.uint8]
    """Place in the card's table of energy fractions."""
    charge: NDArray[np.int8]
    pt: Floats
    eta: Floats
    phi: Floats
    pz: Floats
    energy: Floats
    mass: Floats
    x: Floats
    y: Floats
    z: Floats


def prepare(collisions: Collisions | Source, card: Card) -> Source:
    """Look up what the detector needs of each particle, once for a library that is used again and again.

    Parameters
    ----------
    collisions
        Generated collisions; what is already prepared comes back as it is.
    card
        The detector: its energy fractions name the species, its size tells which particles cannot be seen.

    Returns
    -------
    Source
        The same collisions in the same order. Left out: neutral particles that leave no energy, and particles so
        far forward that they pass beyond the last calorimeter edge from any vertex.
    """
    if isinstance(collisions, Source):
        return collisions
    pids, inverse = np.unique(collisions.pid, return_inverse=True)
    charge = np.array([_charge(int(pid)) for pid in pids], dtype=np.int8)[inverse]
    species = np.array([card.species(int(pid)) for pid in pids], dtype=np.uint8)[inverse]
    deposits = np.any(card.fractions(), axis=0)[species]

    eta = collisions.eta.astype(np.float64)
    kept = (deposits | (charge != 0)) & _within_reach(card, collisions)
    wide = {name: np.asarray(getattr(collisions, name)[kept], dtype=np.float64) for name in ("pt", "mass", "x", "y")}
    momentum = wide["pt"] * np.cosh(eta[kept])
    prompt = np.hypot(wide["x"], wide["y"]) < PROMPT_MM
    cumulative = np.concatenate(([0], np.cumsum(kept)))
    collision_start = np.repeat(collisions.offsets[:-1], np.diff(collisions.offsets))
    return Source(
        offsets=cumulative[collisions.offsets].astype(np.int64),
        particle=(np.arange(len(kept)) - collision_start)[kept].astype(np.int32),
        species=species[kept],
        charge=charge[kept],
        pt=_narrow(wide["pt"]),
        eta=_narrow(eta[kept]),
        phi=_narrow(collisions.phi[kept]),
        pz=_narrow(wide["pt"] * np.sinh(eta[kept])),
        energy=_narrow(np.hypot(momentum, wide["mass"])),
        mass=_narrow(wide["mass"]),
        x=_narrow(np.where(prompt, 0.0, wide["x"])),
        y=_narrow(np.where(prompt, 0.0, wide["y"])),
        z=_narrow(collisions.z[kept]),
    )


def _charge(pid: int) -> int:
    found = pdg_charge(pid)
    return 0 if found is None else round(float(found))


def _within_reach(card: Card, collisions: Collisions) -> NDArray[np.bool_]:
    """Tell which particles can hit a calorimeter from some vertex: the others pass inside its last eta edge.

    A helix only bends a particle back towards the axis, so the straight line is the furthest out.
    """
    last_edge = max(abs(edge) for name in CALORIMETERS for edge in card.calorimeter(name).towers.edges())
    length = card.volume.half_length
    way = length + np.minimum(np.abs(collisions.z) + card.beam.max_z, length)
    steepness = np.sinh(np.abs(collisions.eta.astype(np.float64)))
    furthest_out = np.hypot(collisions.x, collisions.y) + way / np.maximum(steepness, 1e-9)
    reach: NDArray[np.bool_] = furthest_out > length / math.sinh(last_edge)
    return reach


def _narrow(values: NDArray[Any]) -> Floats:
    return np.ascontiguousarray(values, dtype=np.float32)


def empty_source() -> Source:
    """Return a library without collisions, for crossings without pileup."""
    nothing = np.zeros(0, dtype=np.float32)
    return Source(
        np.zeros(1, dtype=np.int64), np.zeros(0, dtype=np.int32), np.zeros(0, dtype=np.uint8),
        np.zeros(0, dtype=np.int8), *(nothing for _ in range(9)),
    )  # fmt: skip
