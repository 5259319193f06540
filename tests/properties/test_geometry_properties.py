"""The grid search finds what brute force finds, and wrapping is what it says."""

from __future__ import annotations

import math

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hardscatter.geometry import delta_r, neighbours_within, wrap_phi


@given(
    seed=st.integers(0, 2**32 - 1),
    n=st.integers(0, 120),
    radius=st.floats(0.01, 4.0),
    spread=st.sampled_from([0.1, 1.0, 5.0, 300.0]),
)
def test_grid_search_equals_brute_force(seed, n, radius, spread):
    rng = np.random.default_rng(seed)
    eta, phi = rng.uniform(-spread, spread, n), rng.uniform(-math.pi, math.pi, n)
    query_eta, query_phi = rng.uniform(-spread, spread, 30), rng.uniform(-math.pi, math.pi, 30)
    offsets, found = neighbours_within(query_eta, query_phi, eta, phi, radius)
    distance = delta_r(query_eta[:, None], query_phi[:, None], eta[None], phi[None])
    for q in range(30):
        expected = np.flatnonzero(distance[q] <= radius)
        assert np.array_equal(found[offsets[q] : offsets[q + 1]], expected)


@given(st.lists(st.floats(-1e4, 1e4), max_size=20), st.sampled_from([np.float32, np.float64]))
def test_wrapped_phi_is_the_same_angle_in_range(angles, dtype):
    phi = np.array(angles, dtype=dtype)
    wrapped = wrap_phi(phi)
    assert wrapped.dtype == dtype
    assert ((wrapped.astype(float) >= -math.pi) & (wrapped.astype(float) < math.pi)).all()
    turns = (phi.astype(float) - wrapped.astype(float)) / (2 * math.pi)
    assert np.allclose(turns, np.round(turns), atol=1e-6)
    assert np.array_equal(wrap_phi(wrapped), wrapped)
