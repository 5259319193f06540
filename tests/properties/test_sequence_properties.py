"""Sequences and the transformer over them: order given, rotation, reflection and batches change nothing."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hardscatter.geometry import wrap_phi
from hardscatter.geometry.sequence import kmeans_sequence, pt_sequence, windows

SEEDS = st.integers(0, 2**32 - 1)


def crossings(seed, n_crossings=1, most=200):
    """Columns (eta, phi, pt), all numbers different, and offsets."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, most, n_crossings))])
    n = offsets[-1]
    return [rng.normal(0, 2, n), rng.uniform(-np.pi, np.pi, n), rng.exponential(2.0, n)], offsets


@given(SEEDS, st.integers(1, 40), st.floats(-10, 10), st.booleans())
def test_the_order_does_not_depend_on_how_a_crossing_is_written_or_turned(seed, size, angle, mirrored):
    (eta, phi, pt), offsets = crossings(seed)
    places = kmeans_sequence(eta, phi, pt, offsets, size)
    np.testing.assert_array_equal(np.sort(places), np.arange(len(pt)))
    turned = kmeans_sequence(-eta if mirrored else eta, wrap_phi(phi + angle), pt, offsets, size)
    np.testing.assert_array_equal(turned, places)
    order = np.random.default_rng(seed).permutation(len(pt))
    np.testing.assert_array_equal(kmeans_sequence(eta[order], phi[order], pt[order], offsets, size), places[order])
    np.testing.assert_array_equal(pt_sequence(pt[order], offsets), pt_sequence(pt, offsets)[order])


@given(SEEDS, st.integers(0, 6), st.integers(1, 4), st.integers(0, 5))
def test_windows_hold_whom_they_should(seed, reach, dilation, n_global):
    (_, _, pt), offsets = crossings(seed, n_crossings=3, most=30)
    places = pt_sequence(pt, offsets)
    found = windows(places, offsets, reach, dilation, n_global)
    for a, b in pairwise(offsets):
        for i in range(a, b):
            steps, rest = np.divmod(np.abs(places[a:b] - places[i]), dilation)
            seen = ((rest == 0) & (steps <= reach)) | (places[a:b] < n_global)
            np.testing.assert_array_equal(np.sort(found[i][found[i] >= 0]), a + np.flatnonzero(seen))


@given(SEEDS, st.floats(-10, 10))
def test_weights_follow_their_candidates(seed, angle):
    torch = pytest.importorskip("torch")
    from hardscatter.nets.sequence import SequenceNetwork, SequenceSettings

    torch.set_num_threads(1)
    torch.manual_seed(4)
    settings = SequenceSettings(cluster=8, reach=4, n_global=1, width=8, feedforward=8, head=(5,))
    net = SequenceNetwork(settings, 3).double()

    def weights(features, columns, offsets):
        eta, phi, pt = columns
        links = settings.links.find(eta, phi, pt, offsets)
        coordinates = np.stack([eta, phi, np.log(pt)], axis=1)
        with torch.no_grad():
            return net(*(torch.from_numpy(x) for x in (features, coordinates, links))).numpy()

    columns, offsets = crossings(seed, n_crossings=3, most=40)
    rng = np.random.default_rng(seed)
    features = rng.normal(size=(offsets[-1], 3))
    wanted = weights(features, columns, offsets)
    turned = [columns[0], wrap_phi(columns[1] + angle), columns[2]]
    np.testing.assert_allclose(weights(features, turned, offsets), wanted, atol=1e-10)
    for a, b in pairwise(offsets):
        order = a + rng.permutation(b - a)  # alone, and in another order
        alone = weights(features[order], [column[order] for column in columns], np.array([0, b - a]))
        np.testing.assert_allclose(alone, wanted[order], atol=1e-12)
