"""What the detector does by vector instructions agrees with what it does number by number."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardscatter.detector import load_card
from hardscatter.detector.crossing import _cylinder, _falling
from hardscatter.detector.grouping import group, group_few
from hardscatter.detector.overlay import Interactions
from hardscatter.detector.propagation import curved_exit, make_helix, propagate, straight_exit
from hardscatter.detector.sources import Source, empty_source
from hardscatter.detector.tables import HADRON, tables_of, tower_number, tower_numbers, value_at, values_at

CARD = load_card("cms-phase2")
TABLES = tables_of(CARD)


def source(n, seed):
    """Return a collision of charged and neutral particles, soft and hard, steep and flat, all from the axis."""
    rng = np.random.default_rng(seed)
    pt, eta = np.exp(rng.uniform(-6, 5, n)), rng.normal(0, 2.5, n)
    pz = pt * np.sinh(eta)
    columns = {name: np.zeros(n, dtype=np.float32) for name in ("mass", "x", "y")}
    columns |= {
        "pt": pt, "eta": eta, "phi": rng.uniform(-np.pi, np.pi, n), "pz": pz, "energy": np.hypot(pt, pz),
        "z": rng.normal(0, 60, n),
    }  # fmt: skip
    return Source(
        offsets=np.array([0, n]), particle=np.arange(n, dtype=np.int32), species=np.full(n, 1, dtype=np.uint8),
        charge=rng.integers(-1, 2, n).astype(np.int8),
        **{name: column.astype(np.float32) for name, column in columns.items()},
    )  # fmt: skip


@pytest.mark.parametrize(("rotation", "mirror"), [(0.0, 1.0), (2.5, -1.0)])
def test_particles_from_the_axis_end_where_their_helices_do(rotation, mirror):
    particles, cylinder = source(3000, seed=5), _cylinder(CARD)
    where = Interactions(np.array([-1]), np.array([7.0]), np.zeros(1), np.array([rotation]), np.array([mirror]))
    deposits, charged = propagate(particles, 0, empty_source(), where, cylinder, 0.0)
    expected, dense = [], []
    for i in range(len(particles.pt)):
        z, phi = 7.0 + mirror * float(particles.z[i]), float(particles.phi[i]) + rotation
        slope, pt = mirror * float(particles.pz[i]) / float(particles.pt[i]), float(particles.pt[i])
        if particles.charge[i]:
            helix = make_helix(0.0, 0.0, z, phi, slope, pt, particles.charge[i], cylinder.field)
            expected.append(curved_exit(helix, cylinder.radius, cylinder.half_length)[1:])
            found, eta, _ = curved_exit(helix, cylinder.dense_radius, cylinder.dense_half_length)
            dense.append(eta if found else math.nan)
        else:
            expected.append(straight_exit(0.0, 0.0, z, phi, slope, cylinder.radius, cylinder.half_length)[1:])
    eta, phi = np.array(expected).T
    np.testing.assert_allclose(deposits.eta, eta, rtol=0, atol=1e-10)
    turned = np.remainder(deposits.phi - phi + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(turned, 0, atol=1e-9)
    np.testing.assert_allclose(charged.dense_eta, dense, rtol=0, atol=1e-10)
    assert (charged.d0 == 0).all()
    assert charged.deposit.tolist() == np.flatnonzero(particles.charge).tolist()


def test_a_particle_without_pz_that_turns_inside_leaves_nothing():
    still = source(2, seed=1)._replace(
        pt=np.array([0.3, 0.3], dtype=np.float32), pz=np.array([0.0, 0.2], dtype=np.float32),
        charge=np.array([1, 1], dtype=np.int8),
    )  # fmt: skip
    where = Interactions(np.array([-1]), np.zeros(1), np.zeros(1), np.zeros(1), np.ones(1))
    deposits, charged = propagate(still, 0, empty_source(), where, _cylinder(CARD), 0.0)
    assert len(deposits.energy) == 1
    assert charged.particle.tolist() == [1]


def test_two_ways_of_grouping_agree():
    keys = np.random.default_rng(1).integers(-1, 500, 20_000)
    for one, other in zip(group(keys), group_few(keys, 500), strict=True):
        assert np.array_equal(one, other)
    assert len(group_few(np.zeros(0, dtype=np.int64), 0).key) == 0


def test_many_look_ups_are_one_look_up_each():
    rng = np.random.default_rng(2)
    pt, eta, phi = np.exp(rng.uniform(-3, 6, 200)), rng.uniform(-6, 6, 200), rng.uniform(-np.pi, np.pi, 200)
    kinds = rng.integers(0, 3, 200)
    values = values_at(TABLES.resolution, kinds, pt, eta)
    assert values.tolist() == [value_at(TABLES.resolution, *each) for each in zip(kinds, pt, eta, strict=True)]
    assert (values_at(TABLES.resolution, np.full(200, HADRON), pt, np.full(200, 0.3)) > 0).all()
    numbers = tower_numbers(TABLES.ecal.grid, eta, phi)
    assert numbers.tolist() == [tower_number(TABLES.ecal.grid, *each) for each in zip(eta, phi, strict=True)]
    rows = TABLES.ecal.grid.row[numbers[numbers >= 0]]
    assert np.array_equal(rows, np.searchsorted(TABLES.ecal.grid.first, numbers[numbers >= 0], side="right") - 1)


def test_the_hardest_comes_first_and_equals_keep_their_order():
    pt = np.array([1.0, 3.0, 1.0, np.inf, 1e-40, 3.0], dtype=np.float32)
    assert _falling(pt).tolist() == np.argsort(-pt, kind="stable").tolist() == [3, 1, 5, 0, 2, 4]
    assert len(_falling(pt[:0])) == 0
