"""Straight lines and helices against known answers and against a numerical integration."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardscatter.detector.propagation import MM_PER_GEV_TESLA, curved_exit, make_helix, straight_exit

RADIUS, LENGTH, FIELD = 1290.0, 3000.0, 3.8


def stepped(x, y, z, phi, slope, pt, charge, step=0.02):
    """Follow a particle in small steps of transverse path (mm); return (rho, eta, phi) where it leaves."""
    turning = charge * FIELD / (pt * MM_PER_GEV_TESLA)
    while math.hypot(x, y) <= RADIUS and abs(z) <= LENGTH:
        middle = phi - 0.5 * turning * step
        x, y, z = x + step * math.cos(middle), y + step * math.sin(middle), z + step * slope
        phi -= turning * step
    return math.asinh(z / math.hypot(x, y)), math.atan2(y, x)


def close_in_angle(a, b, tolerance):
    return abs(math.remainder(a - b, 2 * math.pi)) < tolerance


def test_straight_from_the_centre():
    assert straight_exit(0.0, 0.0, 0.0, 0.3, math.sinh(1.0), RADIUS, LENGTH) == (True, pytest.approx(1.0), 0.3)
    assert straight_exit(0.0, 0.0, 0.0, 0.3, math.sinh(-3.0), RADIUS, LENGTH) == (True, pytest.approx(-3.0), 0.3)


def test_straight_from_a_displaced_vertex():
    reached, eta, phi = straight_exit(0.0, 0.0, 100.0, 0.0, 0.0, RADIUS, LENGTH)
    assert (reached, eta, phi) == (True, pytest.approx(math.asinh(100 / RADIUS)), 0.0)
    reached, eta, phi = straight_exit(10.0, 20.0, 0.0, 0.0, 1.0, RADIUS, LENGTH)
    x = math.sqrt(RADIUS**2 - 400)
    assert phi == pytest.approx(math.atan2(20, x))
    assert eta == pytest.approx(math.asinh((x - 10) / RADIUS))
    z_side = 3000.0 - 250.0
    _, eta, _ = straight_exit(0.0, 0.0, 250.0, 0.0, math.sinh(4.5), RADIUS, LENGTH)
    assert math.sinh(eta) == pytest.approx(3000.0 / (z_side / math.sinh(4.5)))


def test_a_particle_from_outside_going_away_is_not_seen():
    assert not straight_exit(1400.0, 0.0, 0.0, 0.0, 0.0, RADIUS, LENGTH)[0]
    assert not straight_exit(0.0, 1400.0, 0.0, 0.0, 0.0, RADIUS, LENGTH)[0]


@pytest.mark.parametrize("charge", [1, -1])
@pytest.mark.parametrize(
    ("pt", "slope"),
    [(1.0, 0.5), (5.0, -0.3), (0.74, 0.1), (0.5, 0.8), (0.3, -0.2), (0.25, 2.5), (2.0, 4.0), (50.0, 0.0)],
)
@pytest.mark.parametrize(("x", "y", "z"), [(0.0, 0.0, 0.0), (0.0, 0.0, -120.0), (12.0, -7.0, 80.0), (-0.3, 0.1, 5.0)])
def test_helices_end_where_small_steps_end(charge, pt, slope, x, y, z):
    phi = 2.1
    reached, eta, angle = curved_exit(make_helix(x, y, z, phi, slope, pt, charge, FIELD), RADIUS, LENGTH)
    eta_stepped, phi_stepped = stepped(x, y, z, phi, slope, pt, charge)
    assert reached
    assert eta == pytest.approx(eta_stepped, abs=2e-4)
    assert close_in_angle(angle, phi_stepped, 2e-4)


def test_a_looper_reaches_the_endcap_and_one_without_pz_nothing():
    assert curved_exit(make_helix(0.0, 0.0, 0.0, 0.0, 0.01, 0.3, 1, FIELD), RADIUS, LENGTH)[0]
    assert not curved_exit(make_helix(0.0, 0.0, 0.0, 0.0, 0.0, 0.3, 1, FIELD), RADIUS, LENGTH)[0]


def test_stiff_tracks_are_nearly_straight():
    helix = make_helix(0.0, 0.0, 0.0, 0.4, 0.2, 7000.0, 1, FIELD)
    _, eta, phi = curved_exit(helix, RADIUS, LENGTH)
    assert (eta, phi) == (pytest.approx(math.asinh(0.2), abs=1e-7), pytest.approx(0.4, abs=2e-4))


@pytest.mark.parametrize("charge", [1, -1])
def test_closest_approach(charge):
    """Against a fine scan of the circle: distance, z, and azimuth at the point nearest to the axis."""
    x, y, z, phi, slope, pt = 3.0, 4.0, 10.0, 1.9, 1.5, 0.8
    helix = make_helix(x, y, z, phi, slope, pt, charge, FIELD)
    radius = pt * MM_PER_GEV_TESLA / FIELD
    path = np.linspace(-30, 30, 600_001)
    angle = phi - charge * path / radius
    xs = x + charge * radius * (math.sin(phi) - np.sin(angle))
    ys = y - charge * radius * (math.cos(phi) - np.cos(angle))
    nearest = np.argmin(np.hypot(xs, ys))
    d0 = xs[nearest] * np.sin(angle[nearest]) - ys[nearest] * np.cos(angle[nearest])
    assert helix.sense * (helix.centre - helix.radius) == pytest.approx(d0, abs=1e-6)
    assert helix.z + helix.ahead * slope == pytest.approx(z + path[nearest] * slope, abs=1e-3)
    assert close_in_angle(helix.phi, angle[nearest], 1e-5)
