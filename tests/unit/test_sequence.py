"""Crossings in sequence: k-means against the slow way, the order of clusters, windows and their ends."""

import numpy as np
import pytest

from hardscatter.errors import SettingsError
from hardscatter.geometry import delta_phi, delta_r, wrap_phi
from hardscatter.geometry.neighbours import build_grid
from hardscatter.geometry.sequence import _kmeans, _spacing, _starts, kmeans_sequence, pt_sequence, windows
from hardscatter.threads import set_threads, threads


def crossing(n, seed=1, eta_max=4.0):
    """Eta, phi, pt of `n` candidates, the hardest first."""
    rng = np.random.default_rng(seed)
    return rng.uniform(-eta_max, eta_max, n), rng.uniform(-np.pi, np.pi, n), np.sort(rng.exponential(2.0, n))[::-1]


def slow_starts(eta, phi, n_clusters):
    spacing, chosen = _spacing(eta, n_clusters), []
    while len(chosen) < n_clusters:
        for i in range(len(eta)):
            clear = delta_r(eta[i], phi[i], eta[chosen], phi[chosen]).min(initial=np.inf) >= spacing
            if i not in chosen and clear and len(chosen) < n_clusters:
                chosen.append(i)
        spacing *= 0.8
    return np.array(chosen)


def slow_kmeans(eta, phi, starts, iterations):
    """Lloyd with every distance written down; the clusters, and after each round Σ ΔR² to the centres."""
    centre_eta, centre_phi, squares = eta[starts].copy(), phi[starts].copy(), []
    clusters = np.full(len(eta), -1)
    for iteration in range(iterations):
        if iteration > 0:
            for c in range(len(starts)):
                mine = clusters == c
                if mine.any():
                    centre_eta[c] = eta[mine].mean()
                    centre_phi[c] = wrap_phi(centre_phi[c] + delta_phi(phi[mine], centre_phi[c]).mean())
        distances = delta_r(eta[:, None], phi[:, None], centre_eta, centre_phi)
        clusters = distances.argmin(1)
        squares.append((distances.min(1) ** 2).sum())
    return clusters, squares


@pytest.mark.parametrize(("n", "n_clusters"), [(1, 1), (5, 1), (6, 2), (60, 3), (400, 13), (400, 100), (50, 50)])
@pytest.mark.parametrize("iterations", [1, 2, 5])
def test_kmeans_is_lloyd_with_every_distance(n, n_clusters, iterations):
    eta, phi, _ = crossing(n, seed=n)
    spacing = _spacing(eta, n_clusters)
    starts = _starts(build_grid(eta, phi, spacing), eta, phi, n_clusters, spacing)
    np.testing.assert_array_equal(starts, slow_starts(eta, phi, n_clusters))
    wanted, squares = slow_kmeans(eta, phi, starts, iterations)
    np.testing.assert_array_equal(_kmeans(eta, phi, n_clusters, iterations), wanted)
    assert (np.diff(squares) <= 1e-12).all()


@pytest.mark.parametrize("spread", [0.0, 1e-9, 1.0])
def test_far_outliers_and_candidates_at_one_place(spread):
    eta, phi, _ = crossing(200)
    eta, phi = spread * eta, spread * phi
    eta[[0, 100]] = 20.0, -1e5
    clusters = _kmeans(eta, phi, 7, 3)
    assert ((clusters >= 0) & (clusters < 7)).all()
    assert not {clusters[0], clusters[100]} & set(np.delete(clusters, [0, 100]))


def test_a_start_that_fills_the_crossing_leaves_no_cluster_far_too_large():
    eta, phi, _ = crossing(6400)
    members = np.bincount(_kmeans(eta, phi, 200, 5), minlength=200)
    assert members.min() >= 5
    assert members.max() <= 80


def test_clusters_by_summed_pt_and_candidates_by_pt():
    """Three blobs, one over the seam of phi: the middle one holds most pt, the second the hardest candidate."""
    rng = np.random.default_rng(2)
    where = np.repeat([[-3.0, 0.5], [0.0, np.pi], [3.0, -1.0]], 20, axis=0) + rng.normal(0, 0.05, (60, 2))
    pt = rng.uniform(1, 2, 60) + np.repeat([0.0, 10.0, 1.0], 20)
    pt[5] = 100.0
    blob, summed = np.repeat([0, 1, 2], 20), [pt[:20].sum(), pt[20:40].sum(), pt[40:].sum()]
    assert summed[1] > summed[0] > summed[2]
    mixed = rng.permutation(60)
    eta, phi, pt, blob = where[mixed, 0], wrap_phi(where[mixed, 1]), pt[mixed], blob[mixed]
    places = kmeans_sequence(eta, phi, pt, np.array([0, 60]), 20)
    order = np.argsort(places)
    np.testing.assert_array_equal(blob[order], np.repeat([1, 0, 2], 20))
    assert all((np.diff(part) < 0).all() for part in np.split(pt[order], 3))


def test_sequence_by_pt():
    places = pt_sequence(np.array([1.0, 3.0, 3.0, 2.0, 7.0, 9.0]), np.array([0, 4, 4, 6]))
    np.testing.assert_array_equal(places, [3, 0, 1, 2, 1, 0])


@pytest.mark.parametrize("n", [0, 1, 31, 32, 33])
def test_hardly_any_candidates(n):
    eta, phi, pt = crossing(n)
    offsets = np.array([0, 0, n, n])
    places = kmeans_sequence(eta, phi, pt, offsets)
    np.testing.assert_array_equal(np.sort(places), np.arange(n))
    if n <= 32:  # one cluster
        np.testing.assert_array_equal(places, pt_sequence(pt, offsets))
    found = windows(places, offsets, 2, n_global=1)
    assert found.shape == (n, 6)
    np.testing.assert_array_equal(found[:, 2], np.arange(n))


def test_crossings_do_not_mix_and_threads_do_not_matter():
    eta, phi, pt = crossing(900)
    pt = np.random.default_rng(3).permutation(pt)
    offsets = np.array([0, 0, 3, 400, 400, 401, 900, 900])

    def run(n):
        set_threads(n)
        places = kmeans_sequence(eta, phi, pt, offsets, 10)
        return places, pt_sequence(pt, offsets), windows(places, offsets, 4, 2, 3)

    before = threads()
    try:
        one, several = run(1), run(3)
    finally:
        set_threads(before)
    for ours, theirs in zip(one, several, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    a, b = 401, 900
    np.testing.assert_array_equal(kmeans_sequence(eta[a:b], phi[a:b], pt[a:b], np.array([0, b - a]), 10), one[0][a:b])
    found = one[2]
    crossing_of = np.repeat(np.arange(7), np.diff(offsets))
    assert (crossing_of[np.maximum(found, 0)] == crossing_of[:, None])[found >= 0].all()


def test_float32_columns():
    columns = [column.astype(np.float32) for column in crossing(300)]
    offsets = np.array([0, 300])
    wide = [column.astype(np.float64) for column in columns]
    np.testing.assert_array_equal(kmeans_sequence(*columns, offsets, 20), kmeans_sequence(*wide, offsets, 20))


def test_windows_by_hand():
    """Candidate i stands at place 4 − i of the first crossing; the second holds two."""
    places, offsets = np.array([4, 3, 2, 1, 0, 0, 1]), np.array([0, 5, 7])
    np.testing.assert_array_equal(
        windows(places, offsets, 1),
        [[1, 0, -1], [2, 1, 0], [3, 2, 1], [4, 3, 2], [-1, 4, 3], [-1, 5, 6], [5, 6, -1]],
    )
    np.testing.assert_array_equal(
        windows(places, offsets, 1, dilation=2)[:5], [[2, 0, -1], [3, 1, -1], [4, 2, 0], [-1, 3, 1], [-1, 4, 2]]
    )
    np.testing.assert_array_equal(windows(places, offsets, 0)[:, 0], np.arange(7))


def test_global_candidates_are_seen_once():
    places, offsets = np.array([4, 3, 2, 1, 0, 0, 1]), np.array([0, 5, 7])
    np.testing.assert_array_equal(
        windows(places, offsets, 1, n_global=3)[:, 3:],
        [[4, 3, 2], [4, 3, -1], [4, -1, -1], [-1, -1, -1], [-1, -1, 2], [-1, -1, -1], [-1, -1, -1]],
    )
    # With steps of two, a global one between the steps is not in the window.
    np.testing.assert_array_equal(windows(places, offsets, 1, 2, 2)[:4, 3:], [[4, 3], [4, -1], [-1, 3], [4, -1]])


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"size": 0}, "size 0"),
        ({"iterations": 0}, "iterations 0"),
        ({"eta": np.array([0.0, np.nan])}, "eta holds"),
        ({"pt": np.array([1.0, np.inf])}, "pt holds"),
        ({"phi": np.array([0.0, np.pi])}, "wrap it first"),
        ({"phi": np.zeros(3)}, "one number each"),
        ({"offsets": np.array([0, 1])}, "offsets must rise"),
    ],
)
def test_bad_input_is_a_sentence(change, sentence):
    given = {"eta": np.zeros(2), "phi": np.zeros(2), "pt": np.ones(2), "offsets": np.array([0, 2])} | change
    with pytest.raises(SettingsError, match=sentence):
        kmeans_sequence(**given)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"reach": -1}, "reach -1"),
        ({"dilation": 0}, "dilation 0"),
        ({"n_global": -1}, "n_global -1"),
        ({"places": np.array([0, 0])}, "each once"),
        ({"places": np.array([1, 2])}, "each once"),
        ({"offsets": np.array([0, 3])}, "offsets must rise"),
    ],
)
def test_bad_windows_are_a_sentence(change, sentence):
    given = {"places": np.array([1, 0]), "offsets": np.array([0, 2]), "reach": 1} | change
    with pytest.raises(SettingsError, match=sentence):
        windows(**given)
