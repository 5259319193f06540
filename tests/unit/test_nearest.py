"""The k nearest neighbours: edges of the interface and places where a grid may go wrong."""

from itertools import pairwise

import numpy as np
import pytest

from hardscatter.errors import SettingsError
from hardscatter.geometry.nearest import NO_NEIGHBOUR, nearest
from hardscatter.geometry.neighbours import build_grid, columns_around, distance2
from hardscatter.threads import set_threads, threads

PHI_MAX = np.nextafter(np.pi, 0)


def brute(eta, phi, offsets, k, queries=None, sources=None, include_self=False):
    """All distances, sorted by (ΔR², index)."""
    queries = np.ones(len(eta), bool) if queries is None else queries
    sources = np.ones(len(eta), bool) if sources is None else sources
    answer = []
    for a, b in pairwise(offsets):
        for i in range(a, b):
            if not queries[i]:
                continue
            j = a + np.flatnonzero(sources[a:b])
            j = j if include_self else j[j != i]
            d_phi = np.abs(phi[i] - phi[j])
            d_phi = np.where(d_phi > np.pi, 2 * np.pi - d_phi, d_phi)
            d_eta = eta[i] - eta[j]
            found = j[np.lexsort((j, d_eta * d_eta + d_phi * d_phi))][:k]
            answer.append(np.pad(found, (0, k - len(found)), constant_values=NO_NEIGHBOUR))
    return np.array(answer, dtype=np.int64).reshape(-1, k)


def crossing(n, seed=1, eta_max=5.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-eta_max, eta_max, n), rng.uniform(-np.pi, np.pi, n), np.array([0, n])


@pytest.mark.parametrize("n", [0, 1, 2, 3, 19, 20, 21, 22, 400])
@pytest.mark.parametrize("include_self", [False, True])
def test_few_and_many(n, include_self):
    where = crossing(n)
    found = nearest(*where, 20, include_self=include_self)
    assert found.shape == (n, 20)
    assert found.dtype == np.int64
    np.testing.assert_array_equal(found, brute(*where, 20, include_self=include_self))


def test_all_at_one_place_by_index():
    found = nearest(np.ones(50), np.full(50, -np.pi), np.array([0, 50]), 4)
    np.testing.assert_array_equal(found[0], [1, 2, 3, 4])
    np.testing.assert_array_equal(found[2], [0, 1, 3, 4])
    np.testing.assert_array_equal(found[49], [0, 1, 2, 3])


@pytest.mark.parametrize("spread", [1e-9, 1e-3, 1.0])
def test_far_outliers(spread):
    eta, phi, offsets = crossing(300)
    eta *= spread
    eta[[0, 100]] = 20.0, -1e6
    np.testing.assert_array_equal(nearest(eta, phi, offsets, 7), brute(eta, phi, offsets, 7))


def test_a_ring_and_a_line():
    rng = np.random.default_rng(3)
    ring = np.zeros(200), rng.uniform(-np.pi, np.pi, 200), np.array([0, 200])
    line = rng.uniform(-5, 5, 200), np.full(200, PHI_MAX), np.array([0, 200])
    for where in (ring, line):
        np.testing.assert_array_equal(nearest(*where, 9), brute(*where, 9))


def test_ties_on_a_lattice():
    eta, phi = (axis.ravel() for axis in np.meshgrid(np.arange(-8, 8) * 0.25, np.arange(-8, 8) * 0.25))
    np.testing.assert_array_equal(nearest(eta, phi, np.array([0, 256]), 10), brute(eta, phi, np.array([0, 256]), 10))


def test_neighbour_across_the_seam():
    found = nearest(np.zeros(3), np.array([-np.pi, PHI_MAX, 3.0]), np.array([0, 3]), 1)
    np.testing.assert_array_equal(found[:, 0], [1, 0, 1])


def test_dense_and_empty_regions_side_by_side():
    """Blocks must grow and shrink from cell to cell, and thresholds with them."""
    rng = np.random.default_rng(8)
    eta = np.concatenate([rng.uniform(-5, 5, 100), rng.normal(1.0, 0.01, 600), rng.normal(-3.0, 1e-5, 300)])
    phi = np.concatenate([rng.uniform(-np.pi, np.pi, 100), rng.normal(3.0, 0.01, 600), rng.normal(0.0, 1e-5, 300)])
    where = eta, phi, np.array([0, 1000])
    for k in (1, 16, 20, 90):
        np.testing.assert_array_equal(nearest(*where, k), brute(*where, k))


def test_ties_in_single_precision_only():
    """Those that differ by less than single precision tells are in the order of double precision."""
    rng = np.random.default_rng(9)
    eta = np.concatenate([rng.uniform(-1, 1, 200), 0.5 + rng.permutation(60) * 1e-12])
    where = eta, np.concatenate([rng.uniform(-1, 1, 200), np.zeros(60)]), np.array([0, 260])
    np.testing.assert_array_equal(nearest(*where, 20), brute(*where, 20))


@pytest.mark.parametrize("n_same", [30, 70, 290])
def test_many_in_one_place_among_others(n_same):
    eta, phi, offsets = crossing(300, seed=10)
    eta[-n_same:], phi[-n_same:] = 0.25, -np.pi
    for include_self in (False, True):
        found = nearest(eta, phi, offsets, 20, include_self=include_self)
        np.testing.assert_array_equal(found, brute(eta, phi, offsets, 20, include_self=include_self))


@pytest.mark.parametrize("scale", [1e-170, 1e-25, 1e25, 1e100])
def test_distances_beyond_single_precision(scale):
    eta, phi, offsets = crossing(80, seed=11)
    where = eta * scale, np.zeros(80) if scale < 1 else phi, offsets
    np.testing.assert_array_equal(nearest(*where, 5), brute(*where, 5))


@pytest.mark.parametrize("n_columns", [1, 2, 5, 6, 7])
def test_columns_around_go_around_once(n_columns):
    grid = build_grid(np.zeros(1), np.zeros(1), 2 * np.pi / (n_columns + 0.5))
    assert grid.n_columns == n_columns
    for column in range(n_columns):
        for reach in range(5):
            a, b, c, d = columns_around(grid, column, reach)
            wanted = {(column + step) % n_columns for step in range(-reach, reach + 1)}
            assert sorted([*range(a, b), *range(c, d)]) == sorted(wanted)


def test_squares_are_rounded_before_they_are_added():
    """A processor may fuse the two; then some that are equally far are no longer."""
    rng = np.random.default_rng(13)
    d_eta, d_phi = rng.normal(0.0, 1e-3, 500), rng.uniform(0.0, 3.0, 500)
    ours = [distance2(0.0, 0.0, eta, phi) for eta, phi in zip(d_eta, d_phi, strict=True)]
    np.testing.assert_array_equal(ours, d_eta * d_eta + d_phi * d_phi)


def test_ties_by_rounding_only():
    eta, phi, offsets = crossing(400, seed=14, eta_max=1e-9)
    eta[:250], phi[:250] = eta[:250] * 1e-3, 1.0
    np.testing.assert_array_equal(nearest(eta, phi, offsets, 20), brute(eta, phi, offsets, 20))


def test_masks_and_queries_outside_the_sources():
    eta, phi, offsets = crossing(500, seed=5)
    sources = np.abs(eta) < 1.0
    queries = np.abs(eta) > 2.0
    found = nearest(eta, phi, offsets, 6, queries=queries, sources=sources)
    np.testing.assert_array_equal(found, brute(eta, phi, offsets, 6, queries, sources))
    nobody = nearest(eta, phi, offsets, 6, sources=np.zeros(500, bool))
    assert (nobody == NO_NEIGHBOUR).all()


def test_crossings_do_not_mix_and_threads_do_not_matter():
    eta, phi, _ = crossing(900, seed=6)
    offsets = np.array([0, 0, 3, 400, 400, 401, 900, 900])
    before = threads()
    try:
        set_threads(1)
        one = nearest(eta, phi, offsets, 5)
        set_threads(3)
        np.testing.assert_array_equal(nearest(eta, phi, offsets, 5), one)
    finally:
        set_threads(before)
    np.testing.assert_array_equal(one, brute(eta, phi, offsets, 5))


def test_float32_coordinates():
    eta, phi, offsets = crossing(200)
    eta, phi = eta.astype(np.float32), phi.astype(np.float32)
    wide = eta.astype(np.float64), phi.astype(np.float64), offsets
    np.testing.assert_array_equal(nearest(eta, phi, offsets, 5), brute(*wide, 5))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"k": 0}, "k is 0"),
        ({"eta": np.array([0.0, np.nan])}, "eta holds"),
        ({"phi": np.array([0.0, np.pi])}, "wrap it first"),
        ({"phi": np.zeros(3)}, "2 eta and 3 phi"),
        ({"offsets": np.array([0, 1])}, "offsets must rise"),
        ({"queries": np.array([1, 0])}, "2 booleans"),
        ({"sources": np.ones(3, bool)}, "2 booleans"),
    ],
)
def test_bad_input_is_a_sentence(change, sentence):
    given = {"eta": np.zeros(2), "phi": np.zeros(2), "offsets": np.array([0, 2]), "k": 1} | change
    with pytest.raises(SettingsError, match=sentence):
        nearest(**given)
