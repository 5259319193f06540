"""Angles, tiles, neighbours: exact answers and edges."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from hardscatter.errors import SettingsError
from hardscatter.geometry import Tiles, delta_phi, delta_r, grid_median, neighbours_within, wrap_phi


def test_wrap_phi_keeps_values_in_range_to_the_last_bit():
    phi = np.array([-math.pi, -1.0, 0.0, 3.1, np.nextafter(math.pi, 0)])
    assert np.array_equal(wrap_phi(phi), phi)
    assert wrap_phi(np.array([math.pi]))[0] == -math.pi
    assert wrap_phi(np.array([7.0, -4.0])) == pytest.approx([7.0 - 2 * math.pi, 2 * math.pi - 4.0])


def test_wrap_phi_of_single_precision_stays_inside():
    edge = np.float32(math.pi)  # rounds to above π
    wrapped = wrap_phi(np.array([edge, -edge], dtype=np.float32))
    assert wrapped.dtype == np.float32
    assert all(-math.pi <= float(value) < math.pi for value in wrapped)
    assert np.abs(np.abs(wrapped) - edge).max() < 3e-7


def test_wrap_phi_passes_nan():
    assert math.isnan(wrap_phi(np.array([math.nan]))[0])


def test_distances_go_the_short_way_round():
    assert delta_phi(3.1, -3.1) == pytest.approx(6.2 - 2 * math.pi)
    assert delta_phi(-3.1, 3.1) == pytest.approx(2 * math.pi - 6.2)
    assert delta_r(1.0, 3.1, 1.0, -3.1) == pytest.approx(2 * math.pi - 6.2)
    assert delta_r(0.0, 0.0, 3.0, 4.0 - 2 * math.pi) == pytest.approx(math.hypot(3, 2 * math.pi - 4))


def test_tiles_follow_fastjet():
    tiles = Tiles(0.4, 4.0)
    assert (tiles.n_rows, tiles.n_columns) == (20, 16)  # the example of reference/peers.md, section 5
    assert tiles.area == pytest.approx(0.4 * 2 * math.pi / 16)
    y, phi = np.array([-4.0, 3.99, 4.0, -4.01, 0.0]), np.array([0.0, -0.01, 0.0, 0.0, -math.pi])
    assert list(tiles.index(y, phi)) == [0, 319, -1, -1, 10 * 16 + 8]
    for size, y_max in ((0, 4), (0.4, 0), (-1, 4)):
        with pytest.raises(SettingsError):
            Tiles(size, y_max)


def test_grid_median_of_a_uniform_sea():
    tiles = Tiles(1.0, 2.0)
    rows, columns = np.divmod(np.arange(tiles.n_tiles), tiles.n_columns)
    y = -2.0 + rows + 0.5
    phi = wrap_phi((columns + 0.5) * 2 * math.pi / tiles.n_columns)
    offsets = np.array([0, len(y), len(y), 2 * len(y)])
    pt = np.concatenate([np.full(len(y), 3.0), np.arange(len(y), dtype=float)])
    background = grid_median(pt, np.tile(y, 2), np.tile(phi, 2), offsets, tiles)
    assert background.rho == pytest.approx([3.0 / tiles.area, 0.0, np.median(pt[len(y) :]) / tiles.area])
    assert background.sigma[:2] == pytest.approx([0.0, 0.0])


def test_neighbours_by_hand():
    eta, phi = np.array([0.0, 0.3, 0.0, 2.0]), np.array([3.1, 3.1, -3.1, 0.0])
    offsets, found = neighbours_within(eta, phi, eta, phi, 0.35)
    lists = [list(found[a:b]) for a, b in pairwise(offsets)]
    assert lists == [[0, 1, 2], [0, 1, 2], [0, 1, 2], [3]]


@pytest.mark.parametrize("radius", [0.05, 1.9, 2.5, 4.0])
def test_neighbours_of_nothing(radius):
    none = np.zeros(0)
    offsets, found = neighbours_within(np.zeros(2), np.zeros(2), none, none, radius)
    assert list(offsets) == [0, 0, 0]
    assert len(found) == 0
    offsets, found = neighbours_within(none, none, np.zeros(2), np.zeros(2), radius)
    assert list(offsets) == [0]


def test_neighbours_with_a_stray_point_far_out():
    eta, phi = np.array([0.0, 0.1, 1e6]), np.zeros(3)
    offsets, found = neighbours_within(eta, phi, eta, phi, 0.2)
    assert list(offsets) == [0, 2, 4, 5]
    assert list(found) == [0, 1, 0, 1, 2]


def test_radius_must_be_positive():
    for radius in (0.0, -1.0, math.nan):
        with pytest.raises(SettingsError, match="above 0"):
            neighbours_within(np.zeros(1), np.zeros(1), np.zeros(1), np.zeros(1), radius)
