"""From production vertex to calorimeter: straight lines and helices, in closed form, while pileup is overlaid.

The cylinder has its axis along z, the field too. Lengths in mm, momenta in GeV, angles in rad. A position is given by
its (eta, phi) seen from the centre of the detector, as calorimeters and Delphes use it.

On a helix the particle turns by δ since its closest approach to the axis; with turning radius r and the circle's
centre at distance c from the axis, its distance ρ from the axis obeys ρ² = c² + r² − 2 r c cos δ.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.detector.overlay import Interactions
from hardscatter.detector.sources import Source

Floats = NDArray[np.float64]

MM_PER_GEV_TESLA = 1e12 / 299_792_458.0
"""Turning radius in mm of 1 GeV of transverse momentum and unit charge in 1 T."""

_MIN_PT = 10**-4.5
_NOWHERE = (False, 0.0, 0.0)


class Cylinder(NamedTuple):
    """The volume of the tracker, the surface where tracks must be apart, and the field (T)."""

    radius: float
    half_length: float
    dense_radius: float
    dense_half_length: float
    field: float


class Helix(NamedTuple):
    """A helix about the z axis's direction, described from its closest approach to the axis."""

    sense: float
    """+1 turns clockwise seen from +z (positive charge, positive field), −1 the other way."""
    radius: float
    """Turning radius."""
    centre: float
    """Distance of the circle's centre from the axis."""
    phi: float
    """Azimuth of the momentum at closest approach."""
    ahead: float
    """Transverse path from the production vertex to closest approach, negative if it lies behind."""
    z: float
    """z of the production vertex."""
    slope: float
    """pz / pt."""


class Deposits(NamedTuple):
    """Particles that reach the calorimeter and may leave energy there."""

    energy: Floats
    eta: Floats
    phi: Floats
    species: NDArray[np.uint8]
    hard: NDArray[np.bool_]


class Charged(NamedTuple):
    """Charged particles that reach the calorimeter: what the tracker may find, momenta at closest approach."""

    interaction: NDArray[np.int32]
    particle: NDArray[np.int32]
    """Place in its collision: the key of its random numbers."""
    deposit: NDArray[np.int64]
    """Its place among the deposits."""
    charge: NDArray[np.int8]
    pt: Floats
    eta: Floats
    phi: Floats
    mass: Floats
    d0: Floats
    z: Floats
    """z of closest approach."""
    origin_z: Floats
    """z of the production vertex."""
    outer_eta: Floats
    """Position on the calorimeter."""
    dense_eta: Floats
    """Position on the surface where tracks must be apart."""
    dense_phi: Floats


@kernel
def straight_exit(
    x: float, y: float, z: float, phi: float, slope: float, radius: float, half_length: float
) -> tuple[bool, float, float]:
    """Return whether, and at which (eta, phi), a straight line from (x, y, z) leaves a cylinder."""
    along, across, cosine, sine = 0.0, 0.0, 1.0, 0.0
    if x != 0.0 or y != 0.0:
        cosine, sine = math.cos(phi), math.sin(phi)
        along, across = x * cosine + y * sine, x * sine - y * cosine
    if abs(across) > radius:
        return _NOWHERE
    path = math.sqrt(radius * radius - across * across) - along
    z_exit = z + path * slope
    if abs(z_exit) > half_length:
        z_exit = math.copysign(half_length, slope)
        path = (z_exit - z) / slope
    if path < 0.0:
        return _NOWHERE
    rho = math.hypot(along + path, across)
    angle = phi if across == 0.0 else math.atan2(y + path * sine, x + path * cosine)
    return rho > 0.0, math.asinh(z_exit / rho) if rho > 0.0 else 0.0, angle


@kernel
def make_helix(x: float, y: float, z: float, phi: float, slope: float, pt: float, charge: int, field: float) -> Helix:
    """Describe the helix of a particle produced at (x, y, z) with azimuth `phi`."""
    sense = 1.0 if charge * field > 0.0 else -1.0
    radius = pt * MM_PER_GEV_TESLA / abs(charge * field)
    if x == 0.0 and y == 0.0:
        return Helix(sense, radius, radius, phi, 0.0, z, slope)
    centre_x = x + sense * radius * math.sin(phi)
    centre_y = y - sense * radius * math.cos(phi)
    phi_closest = math.atan2(centre_y, centre_x) + sense * 0.5 * math.pi
    turned = phi - phi_closest
    turned -= 2.0 * math.pi * math.floor(turned / (2.0 * math.pi) + 0.5)
    return Helix(sense, radius, math.hypot(centre_x, centre_y), phi_closest, radius * sense * turned, z, slope)


@kernel
def curved_exit(helix: Helix, radius: float, half_length: float) -> tuple[bool, float, float]:
    """Return whether, and at which (eta, phi), a helix leaves a cylinder that it starts in."""
    path = math.inf
    prompt = helix.ahead == 0.0 and helix.centre == helix.radius
    if helix.centre + helix.radius > radius:
        if prompt:
            path = 2.0 * helix.radius * math.asin(min(0.5 * radius / helix.radius, 1.0))
        else:
            cosine = helix.centre**2 + helix.radius**2 - radius * radius
            cosine /= max(2.0 * helix.radius * helix.centre, 1e-300)
            path = helix.ahead + helix.radius * math.acos(max(min(cosine, 1.0), -1.0))
    z_exit = helix.z + path * helix.slope if math.isfinite(path) else math.inf
    if abs(z_exit) > half_length:
        if helix.slope == 0.0:
            return _NOWHERE
        z_exit = math.copysign(half_length, helix.slope)
        path = (z_exit - helix.z) / helix.slope
    if path < 0.0:
        return _NOWHERE
    rho, angle = _place(helix, path, prompt)
    return rho > 0.0, math.asinh(z_exit / rho) if rho > 0.0 else 0.0, helix.phi + angle


@kernel
def _place(helix: Helix, path: float, prompt: bool) -> tuple[float, float]:
    """Return distance from the axis, and azimuth from the momentum at closest approach, after a transverse path."""
    delta = helix.sense * (helix.ahead - path) / helix.radius
    if prompt:  # the chord of a circle through the axis
        chord = -helix.sense * 2.0 * helix.radius * math.sin(0.5 * delta)
        return abs(chord), 0.5 * delta if chord >= 0.0 else 0.5 * delta + math.pi
    forward = -helix.sense * helix.radius * math.sin(delta)
    sideways = helix.sense * (helix.radius * math.cos(delta) - helix.centre)
    return math.hypot(forward, sideways), math.atan2(sideways, forward)


@kernel
def _wrapped(phi: float) -> float:
    return phi - 2.0 * math.pi * math.floor(phi / (2.0 * math.pi) + 0.5)


@kernel
def _empty_deposits(n: int) -> Deposits:
    return Deposits(np.empty(n), np.empty(n), np.empty(n), np.empty(n, dtype=np.uint8), np.empty(n, dtype=np.bool_))


@kernel
def _empty_charged(n: int) -> Charged:
    return Charged(
        np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int32), np.empty(n, dtype=np.int64),
        np.empty(n, dtype=np.int8), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        np.empty(n), np.empty(n), np.empty(n), np.empty(n),
    )  # fmt: skip


@kernel
def _write_charged(
    out: Charged, n: int, source: Source, row: int, deposit: int, interaction: int, mirror: float, helix: Helix,
    outer_eta: float, cylinder: Cylinder,
) -> None:  # fmt: skip
    reached, eta, phi = False, 0.0, 0.0
    if math.hypot(source.x[row], source.y[row]) < cylinder.dense_radius and abs(helix.z) < cylinder.dense_half_length:
        reached, eta, phi = curved_exit(helix, cylinder.dense_radius, cylinder.dense_half_length)
    out.interaction[n] = interaction
    out.particle[n] = source.particle[row]
    out.deposit[n] = deposit
    out.charge[n] = source.charge[row]
    out.pt[n] = source.pt[row]
    out.eta[n] = mirror * source.eta[row]
    out.phi[n] = _wrapped(helix.phi)
    out.mass[n] = source.mass[row]
    out.d0[n] = helix.sense * (helix.centre - helix.radius)
    out.z[n] = helix.z + helix.ahead * helix.slope
    out.origin_z[n] = helix.z
    out.outer_eta[n] = outer_eta
    out.dense_eta[n] = eta if reached else math.nan
    out.dense_phi[n] = _wrapped(phi)


@kernel
def _n_particles(hard: Source, hard_event: int, minbias: Source, interactions: Interactions) -> int:
    n = hard.offsets[hard_event + 1] - hard.offsets[hard_event]
    for chosen in interactions.collision[1:]:
        n += minbias.offsets[chosen + 1] - minbias.offsets[chosen]
    return int(n)


@kernel
def propagate(
    hard: Source, hard_event: int, minbias: Source, interactions: Interactions, cylinder: Cylinder, min_pt: float
) -> tuple[Deposits, Charged]:
    """Overlay one crossing's interactions and bring every particle to the calorimeter.

    Interaction 0 is collision `hard_event` of `hard`, the others are collisions of `minbias`. Charged particles
    above `min_pt` are returned for the tracker as well. Particles produced outside the cylinder, slower than
    10^−4.5 GeV or spiralling without end are dropped.

    Source: Delphes, ParticlePropagator and PileUpMerger.
    """
    capacity = _n_particles(hard, hard_event, minbias, interactions)
    deposits, charged = _empty_deposits(capacity), _empty_charged(capacity)
    n_deposits = n_charged = 0
    for k in range(len(interactions.collision)):
        source = hard if k == 0 else minbias
        chosen = hard_event if k == 0 else interactions.collision[k]
        rotation, mirror = interactions.rotation[k], interactions.mirror[k]
        cosine, sine = math.cos(rotation), math.sin(rotation)
        for row in range(source.offsets[chosen], source.offsets[chosen + 1]):
            x = source.x[row] * cosine - source.y[row] * sine
            y = source.x[row] * sine + source.y[row] * cosine
            z = interactions.z[k] + mirror * source.z[row]
            pt = source.pt[row]
            if pt < _MIN_PT or x * x + y * y > cylinder.radius**2 or abs(z) > cylinder.half_length:
                continue
            phi, slope = source.phi[row] + rotation, mirror * source.pz[row] / pt
            curved = source.charge[row] != 0
            if curved:
                helix = make_helix(x, y, z, phi, slope, pt, source.charge[row], cylinder.field)
                reached, outer_eta, outer_phi = curved_exit(helix, cylinder.radius, cylinder.half_length)
            else:
                reached, outer_eta, outer_phi = straight_exit(
                    x, y, z, phi, slope, cylinder.radius, cylinder.half_length
                )
            if not reached:
                continue
            if curved and pt > min_pt:
                _write_charged(charged, n_charged, source, row, n_deposits, k, mirror, helix, outer_eta, cylinder)
                n_charged += 1
            deposits.energy[n_deposits] = source.energy[row]
            deposits.eta[n_deposits] = outer_eta
            deposits.phi[n_deposits] = _wrapped(outer_phi)
            deposits.species[n_deposits] = source.species[row]
            deposits.hard[n_deposits] = k == 0
            n_deposits += 1
    return _cut_deposits(deposits, n_deposits), _cut_charged(charged, n_charged)


@kernel
def _cut_deposits(d: Deposits, n: int) -> Deposits:
    return Deposits(d.energy[:n], d.eta[:n], d.phi[:n], d.species[:n], d.hard[:n])


@kernel
def _cut_charged(c: Charged, n: int) -> Charged:
    return Charged(
        c.interaction[:n], c.particle[:n], c.deposit[:n], c.charge[:n], c.pt[:n], c.eta[:n], c.phi[:n], c.mass[:n],
        c.d0[:n], c.z[:n], c.origin_z[:n], c.outer_eta[:n], c.dense_eta[:n], c.dense_phi[:n],
    )  # fmt: skip
