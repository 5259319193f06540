"""The k nearest neighbours for any points: brute force agrees, rotation and order do not matter."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardscatter.geometry import delta_r, wrap_phi
from hardscatter.geometry.nearest import nearest


@st.composite
def crossings(draw):
    n = draw(st.integers(0, 60))
    scale = draw(st.sampled_from([1e-6, 0.1, 1.0, 5.0, 1e3]))
    eta = scale * draw(arrays(np.float64, n, elements=st.floats(-1, 1, width=32)))
    phi = wrap_phi(draw(arrays(np.float64, n, elements=st.floats(-4, 4, width=32))))
    masks = [draw(arrays(np.bool_, n)) if draw(st.booleans()) else np.ones(n, bool) for _ in range(2)]
    return eta, phi, masks, draw(st.integers(1, 25))


@given(crossings(), st.booleans())
def test_distances_are_those_of_brute_force(where, include_self):
    eta, phi, (queries, sources), k = where
    n = len(eta)
    found = nearest(eta, phi, np.array([0, n]), k, queries=queries, sources=sources, include_self=include_self)
    for i, row in zip(np.flatnonzero(queries), found, strict=True):
        allowed = np.flatnonzero(sources & (include_self | (np.arange(n) != i)))
        wanted = np.sort(delta_r(eta[i], phi[i], eta[allowed], phi[allowed]))[:k]
        got = row[row >= 0]
        assert len(got) == len(wanted)
        assert len(set(got)) == len(got)
        assert set(got) <= set(allowed)
        np.testing.assert_allclose(delta_r(eta[i], phi[i], eta[got], phi[got]), wanted, rtol=1e-9, atol=1e-12)


@given(st.integers(0, 2**32 - 1), st.floats(-7, 7))
def test_rotation_and_order_do_not_matter(seed, angle):
    rng = np.random.default_rng(seed)
    n, k = int(rng.integers(2, 200)), 5
    eta, phi = rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n)
    offsets = np.array([0, n])
    found = nearest(eta, phi, offsets, k)
    np.testing.assert_array_equal(nearest(eta, wrap_phi(phi + angle), offsets, k), found)
    order = rng.permutation(n)
    shuffled = nearest(eta[order], phi[order], offsets, k)
    np.testing.assert_array_equal(np.where(shuffled >= 0, order[shuffled], -1), found[order])
