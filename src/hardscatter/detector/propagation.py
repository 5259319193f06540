"""From production vertex to calorimeter: straight lines and helices, in closed form, while pileup is overlaid.

The cylinder has its axis along z, the field too. Lengths in mm, momenta in GeV, angles in rad. A position is given by
its (eta, phi) seen from the centre of the detector, as calorimeters and Delphes use it.

On a helix the particle turns by δ since its closest approach to the axis; with turning radius r and the circle's
centre at distance c from the axis, its distance ρ from the axis obeys ρ² = c² + r² − 2 r c cos δ.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel, lane_kernel
from hardscatter.detector.overlay import Interactions
from hardscatter.detector.sources import Source
from hardscatter.elementary import MOST_TURNS, arcsine, arsinh, sine_and_turn

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


@lane_kernel
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
def propagate(
    hard: Source, hard_event: int, minbias: Source, interactions: Interactions, cylinder: Cylinder, min_pt: float
) -> tuple[Deposits, Charged]:
    """Overlay one crossing's interactions and bring every particle to the calorimeter.

    Interaction 0 is collision `hard_event` of `hard`, the others are collisions of `minbias`. Charged particles
    above `min_pt` are returned for the tracker as well. Particles produced outside the cylinder, slower than
    10^−4.5 GeV or spiralling without end are dropped.

    Source: Delphes, ParticlePropagator and PileUpMerger.
    """
    n, most = _n_particles(hard, hard_event, minbias, interactions)
    deposits, charged = _empty_deposits(n), _empty_charged(n)
    flights, chosen = _empty_flights(most), np.empty((2, most), dtype=np.int64)
    n_deposits = n_charged = 0
    for k in range(len(interactions.collision)):
        place = Place(k, interactions.z[k], interactions.rotation[k], interactions.mirror[k])
        collision = _collision(hard, hard_event) if k == 0 else _collision(minbias, interactions.collision[k])
        _fly_from_axis(collision, place, cylinder, flights)
        here, bent = chosen[0], chosen[1]
        _fly_carefully(collision, place, cylinder, flights, here)
        n_here, n_bent = _choose(
            flights.reached, collision.charge, collision.pt, min_pt, here, bent, n_deposits, charged.deposit[n_charged:]
        )
        _write_deposits(deposits, n_deposits, collision, flights, here[:n_here], k == 0)
        _write_charged(charged, n_charged, collision, flights, bent[:n_bent], k)
        n_deposits, n_charged = n_deposits + n_here, n_charged + n_bent
    return _cut_deposits(deposits, n_deposits), _cut_charged(charged, n_charged)


class Place(NamedTuple):
    """Where and how a collision lies in the crossing."""

    interaction: int
    z: float
    rotation: float
    mirror: float


class Flights(NamedTuple):
    """How the particles of one collision fly, one entry each; room for more may follow."""

    reached: NDArray[np.bool_]
    curvature: Floats
    """1/2r, r the turning radius, negative where phi falls; 0 for neutral particles."""
    slope: Floats
    """pz / pt."""
    own_eta: Floats
    """Of the momentum."""
    own_phi: Floats
    """Of the momentum at closest approach."""
    d0: Floats
    z: Floats
    """z of closest approach."""
    origin_z: Floats
    eta: Floats
    """Position on the calorimeter."""
    phi: Floats
    dense_eta: Floats
    """Position on the surface where tracks must be apart, NaN if the particle starts beyond it."""
    dense_phi: Floats


@kernel
def _empty_flights(n: int) -> Flights:
    return Flights(
        np.empty(n, dtype=np.bool_), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
        np.empty(n), np.empty(n), np.empty(n), np.empty(n), np.empty(n),
    )  # fmt: skip


@kernel
def _n_particles(hard: Source, hard_event: int, minbias: Source, interactions: Interactions) -> tuple[int, int]:
    """Return how many particles the crossing has, and how many its largest collision."""
    n = most = hard.offsets[hard_event + 1] - hard.offsets[hard_event]
    offsets = minbias.offsets
    for chosen in interactions.collision[1:]:
        here = offsets[chosen + 1] - offsets[chosen]
        n, most = n + here, max(most, here)
    return n, most


@kernel
def _collision(source: Source, number: int) -> Source:
    """Return one collision of a source, a view."""
    a, b = source.offsets[number], source.offsets[number + 1]
    return Source(
        source.offsets[number : number + 2], source.particle[a:b], source.species[a:b], source.charge[a:b],
        source.pt[a:b], source.eta[a:b], source.phi[a:b], source.pz[a:b], source.energy[a:b], source.mass[a:b],
        source.x[a:b], source.y[a:b], source.z[a:b],
    )  # fmt: skip


# Kernels below that loop over particles are given arrays, not records of arrays: to take an array out of a record
# counts its references, and in a loop that costs more than the physics. Loops over few arrays, without a branch,
# become vector instructions.


@kernel
def _fly_from_axis(collision: Source, place: Place, cylinder: Cylinder, out: Flights) -> None:
    """Work out for all particles what is right for nearly all: those that come from the axis."""
    n = len(collision.pt)
    curvature, slope, z = out.curvature[:n], out.slope[:n], out.origin_z[:n]
    _curvatures(collision.charge, collision.pt, -0.5 * cylinder.field / MM_PER_GEV_TESLA, curvature)
    _slopes(collision.pz, collision.pt, place.mirror, slope)
    _shifted(collision.z, place.z, place.mirror, z)
    _shifted(collision.eta, 0.0, place.mirror, out.own_eta)
    _azimuths(collision.phi, place.rotation, out.own_phi)
    _no_distances(curvature, out.d0)
    out.z[:n] = z
    _exits(curvature, slope, z, cylinder.radius, cylinder.half_length, out.eta, out.phi)
    _turn(out.own_phi, out.phi, n)
    _exits(curvature, slope, z, cylinder.dense_radius, cylinder.dense_half_length, out.dense_eta, out.dense_phi)
    _turn(out.own_phi, out.dense_phi, n)


@lane_kernel
def _curvatures(charge: NDArray[np.int8], pt: NDArray[np.float32], field: float, out: Floats) -> None:
    for i in range(len(pt)):
        out[i] = float(charge[i]) * field / float(pt[i])


@lane_kernel
def _slopes(pz: NDArray[np.float32], pt: NDArray[np.float32], mirror: float, out: Floats) -> None:
    for i in range(len(pt)):
        out[i] = mirror * pz[i] / float(pt[i])


@lane_kernel
def _shifted(values: NDArray[np.float32], shift: float, mirror: float, out: Floats) -> None:
    for i in range(len(values)):
        out[i] = shift + mirror * values[i]


@lane_kernel
def _no_distances(curvature: Floats, out: Floats) -> None:
    """Write d0 = 0, negative where the particle turns the other way."""
    for i in range(len(curvature)):
        out[i] = math.copysign(0.0, -curvature[i])


@lane_kernel
def _azimuths(phi: NDArray[np.float32], rotation: float, out: Floats) -> None:
    for i in range(len(phi)):
        out[i] = _wrapped(float(phi[i]) + rotation)


@lane_kernel
def _turn(own_phi: Floats, phi: Floats, n: int) -> None:
    for i in range(n):
        phi[i] = _wrapped(own_phi[i] + phi[i])


@lane_kernel
def _exits(
    curvature: Floats, slope: Floats, z: Floats, radius: float, half_length: float, eta: Floats, angle: Floats
) -> None:
    """Write where particles from the axis leave a cylinder: eta, and azimuth less that of the momentum.

    This is `curved_exit` and `straight_exit` without a branch: a chord ρ from the axis turns a particle by half an
    angle of arcsin(ρ/2r). Where it turns too often or never leaves, eta is infinite or NaN.
    """
    inverse_radius = 1.0 / radius  # what costs here are divisions
    for i in range(len(z)):
        c = abs(curvature[i])
        width = 1.0 / c if c > 0.0 else 0.0
        half_turn = arcsine(min(c * radius, 1.0))
        path = half_turn * width if c > 0.0 else radius
        z_side = z[i] + path * slope[i]
        side = (c * radius < 1.0) & (abs(z_side) <= half_length)
        z_end = math.copysign(half_length, slope[i])
        path_end = (z_end - z[i]) / slope[i]
        half_turn = half_turn if side else c * path_end
        sine, turned_round = sine_and_turn(half_turn)
        chord = sine * width if c > 0.0 else path_end
        steepness = z_side * inverse_radius if side else z_end / chord
        eta[i] = arsinh(steepness) if half_turn < MOST_TURNS else math.nan
        angle[i] = math.copysign(half_turn, curvature[i]) + math.pi * turned_round


@kernel
def _fly_carefully(collision: Source, place: Place, cylinder: Cylinder, out: Flights, few: NDArray[np.int64]) -> None:
    """Say which particles reach the calorimeter, and work out the few that are not simple one by one."""
    x, y, z, phi, slope = collision.x, collision.y, out.origin_z, collision.phi, out.slope
    charge, pt = collision.charge, collision.pt
    lengths = cylinder.half_length, cylinder.dense_half_length
    n_few = _mark(x, y, pt, z, lengths, out.eta, out.dense_eta, out.reached, few)
    cosine, sine = math.cos(place.rotation), math.sin(place.rotation)
    for i in few[:n_few]:
        turned_x, turned_y = x[i] * cosine - y[i] * sine, x[i] * sine + y[i] * cosine
        turned_phi = phi[i] + place.rotation
        reached = turned_x * turned_x + turned_y * turned_y <= cylinder.radius**2
        if reached and charge[i] != 0:
            helix = make_helix(turned_x, turned_y, z[i], turned_phi, slope[i], pt[i], charge[i], cylinder.field)
            reached, out.eta[i], angle = curved_exit(helix, cylinder.radius, cylinder.half_length)
            dense, dense_eta, dense_angle = False, 0.0, 0.0
            if math.hypot(x[i], y[i]) < cylinder.dense_radius and abs(z[i]) < cylinder.dense_half_length:
                dense, dense_eta, dense_angle = curved_exit(helix, cylinder.dense_radius, cylinder.dense_half_length)
            out.dense_eta[i], out.dense_phi[i] = dense_eta if dense else math.nan, _wrapped(dense_angle)
            out.own_phi[i], out.d0[i] = _wrapped(helix.phi), helix.sense * (helix.centre - helix.radius)
            out.z[i] = helix.z + helix.ahead * helix.slope
        elif reached:
            reached, out.eta[i], angle = straight_exit(
                turned_x, turned_y, z[i], turned_phi, slope[i], cylinder.radius, cylinder.half_length
            )
        if reached:
            out.phi[i] = _wrapped(angle)
        out.reached[i] = reached


@kernel
def _mark(
    x: NDArray[np.float32], y: NDArray[np.float32], pt: NDArray[np.float32], z: Floats, lengths: tuple[float, float],
    eta: Floats, dense_eta: Floats, reached: NDArray[np.bool_], few: NDArray[np.int64],
) -> int:  # fmt: skip
    """Tell who may reach the calorimeter, and list who of them comes from off the axis or has no orderly exit."""
    n_few = 0
    for i in range(len(pt)):
        simple = (x[i] == 0.0) & (y[i] == 0.0) & (abs(eta[i]) < math.inf) & (abs(dense_eta[i]) < math.inf)
        reached[i] = (pt[i] >= _MIN_PT) & (abs(z[i]) <= lengths[0])
        few[n_few] = i
        n_few += reached[i] & (not simple)
        if abs(z[i]) >= lengths[1]:
            dense_eta[i] = math.nan
    return n_few


@kernel
def _choose(
    reached: NDArray[np.bool_], charge: NDArray[np.int8], pt: NDArray[np.float32], min_pt: float,
    here: NDArray[np.int64], bent: NDArray[np.int64], n_before: int, deposit: NDArray[np.int64],
) -> tuple[int, int]:  # fmt: skip
    """List who reaches the calorimeter and who of them the tracker may find; the deposit of each of the latter."""
    n_here = n_bent = 0
    for i in range(len(pt)):
        if not reached[i]:
            continue
        here[n_here] = i
        if charge[i] != 0 and pt[i] > min_pt:
            bent[n_bent], deposit[n_bent] = i, n_before + n_here
            n_bent += 1
        n_here += 1
    return n_here, n_bent


@kernel
def _write_deposits(
    out: Deposits, n: int, collision: Source, flights: Flights, chosen: NDArray[np.int64], hard: bool
) -> None:
    _take(collision.energy, chosen, out.energy[n:])
    _take(flights.eta, chosen, out.eta[n:])
    _take(flights.phi, chosen, out.phi[n:])
    _take(collision.species, chosen, out.species[n:])
    out.hard[n : n + len(chosen)] = hard


@kernel
def _write_charged(
    out: Charged, n: int, collision: Source, flights: Flights, chosen: NDArray[np.int64], interaction: int
) -> None:
    out.interaction[n : n + len(chosen)] = interaction
    _take(collision.particle, chosen, out.particle[n:])
    _take(collision.charge, chosen, out.charge[n:])
    _take(collision.pt, chosen, out.pt[n:])
    _take(flights.own_eta, chosen, out.eta[n:])
    _take(flights.own_phi, chosen, out.phi[n:])
    _take(collision.mass, chosen, out.mass[n:])
    _take(flights.d0, chosen, out.d0[n:])
    _take(flights.z, chosen, out.z[n:])
    _take(flights.origin_z, chosen, out.origin_z[n:])
    _take(flights.eta, chosen, out.outer_eta[n:])
    _take(flights.dense_eta, chosen, out.dense_eta[n:])
    _take(flights.dense_phi, chosen, out.dense_phi[n:])


@kernel
def _take(column: NDArray[Any], chosen: NDArray[np.int64], out: NDArray[Any]) -> None:
    for i in range(len(chosen)):
        out[i] = column[chosen[i]]


@kernel
def _cut_deposits(d: Deposits, n: int) -> Deposits:
    return Deposits(d.energy[:n], d.eta[:n], d.phi[:n], d.species[:n], d.hard[:n])


@kernel
def _cut_charged(c: Charged, n: int) -> Charged:
    return Charged(
        c.interaction[:n], c.particle[:n], c.deposit[:n], c.charge[:n], c.pt[:n], c.eta[:n], c.phi[:n], c.mass[:n],
        c.d0[:n], c.z[:n], c.origin_z[:n], c.outer_eta[:n], c.dense_eta[:n], c.dense_phi[:n],
    )  # fmt: skip
