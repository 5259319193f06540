"""Neighbours and surroundings on a device of PyTorch for any crossings: those of the processor's kernels."""

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from hardscatter.events import from_candidates
from hardscatter.geometry import nearest, wrap_phi
from hardscatter.pileup.features import SURROUNDINGS_SCHEMA
from hardscatter.pileup.surroundings import NAMES, surroundings

torch = pytest.importorskip("torch")
from hardscatter.device.features import Crossings  # noqa: E402
from hardscatter.device.nearest import nearest as on_device  # noqa: E402


@st.composite
def points(draw):
    """Up to four crossings, some empty, some points piled up; few values, so that many are equally far."""
    counts = np.array(draw(st.lists(st.integers(0, 50), min_size=1, max_size=4)))
    n = int(counts.sum())
    scale = draw(st.sampled_from([1e-6, 0.1, 1.0, 5.0, 20.0]))
    coordinate = st.one_of(st.floats(-1, 1, width=32), st.sampled_from([-1.0, -0.5, 0.0, 0.5, 1.0]))
    eta = scale * draw(arrays(np.float64, n, elements=coordinate))
    edges = st.sampled_from([-np.pi, np.nextafter(np.pi, 0), 0.0])
    phi = wrap_phi(draw(arrays(np.float64, n, elements=st.one_of(st.floats(-4, 4, width=32), edges))))
    return eta, phi, counts


@given(points(), st.integers(1, 25))
def test_neighbours(where, k):
    eta, phi, counts = where
    offsets = np.concatenate([[0], np.cumsum(counts)])
    found = on_device(*(torch.tensor(given) for given in (eta, phi, offsets)), k)
    np.testing.assert_array_equal(found, nearest(eta, phi, offsets, k))


@given(points(), st.integers(0, 2**32 - 1))
def test_surroundings(where, seed):
    eta, phi, counts = where
    rng = np.random.default_rng(seed)
    charge = rng.integers(-1, 2, len(eta))
    columns = {
        "pt": rng.exponential(size=len(eta)) + 0.1,
        "eta": eta,
        "phi": phi,
        "energy": np.full(len(eta), 1e4),
        "charge": charge,
        "vertex": np.where(charge == 0, -1, rng.integers(-1, 3, len(eta))),
    }
    events = from_candidates(**{name: ak.unflatten(values, counts) for name, values in columns.items()})
    batch = Crossings(events, [SURROUNDINGS_SCHEMA]).batch(0, len(events), torch.device("cpu"))
    ours = np.stack([batch[name].numpy() for name in NAMES], axis=1)
    np.testing.assert_allclose(ours, surroundings(events), rtol=1e-10, atol=1e-10)
