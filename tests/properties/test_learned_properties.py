"""What must hold for every network, trained or not: symmetries, batching, range, and the wall before the truth."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.events import flat
from hardscatter.pileup.learned import Learned
from helpers import toy_events

pytest.importorskip("torch")
from small_models import NAMES, exported

few = settings(max_examples=8)  # each costs several runs of two networks
crossings = st.builds(toy_events, st.integers(1, 4), st.integers(2, 80), st.integers(0, 2**32 - 1))
seeds = st.integers(0, 2**32 - 1)


@pytest.fixture(scope="module", params=[*NAMES, "total"])
def method(request, tmp_path_factory):
    if request.param == "total":  # trained, and in our own kernels; the others are left to ONNX Runtime
        return Learned("total")
    path = tmp_path_factory.mktemp("models") / f"{request.param}.onnx"
    path.write_bytes(exported(request.param))
    return Learned(str(path))


def with_candidates(events, change):
    fields = {name: change(name, events.candidates[name]) for name in events.candidates.fields}
    return hs.from_candidates(**fields, n_vertices=events.n_vertices)


@few
@given(events=crossings, chunk=st.integers(1, 500))
def test_weights_are_aligned_in_range_and_the_same_in_any_chunk(method, events, chunk):
    weights = method.weights(events)
    assert ak.to_list(ak.num(weights)) == ak.to_list(events.n_candidates)
    values = flat(weights)
    assert values.dtype == np.float32
    assert ((values >= 0) & (values <= 1)).all()
    assert np.allclose(flat(Learned(method.model, chunk=chunk).weights(events)), values, atol=1e-6, rtol=0)


@few
@given(events=crossings)
def test_minimal_fields_are_enough(method, events):
    names = ("pt", "eta", "phi", "energy", "charge", "vertex")
    minimal = hs.from_candidates(**{name: events.candidates[name] for name in names})
    assert set(minimal.fields) == {"candidates"}
    values = flat(method.weights(minimal))
    assert ((values >= 0) & (values <= 1)).all()


@few
@given(events=crossings, seed=seeds)
def test_truth_never_reaches_the_network(method, events, seed):
    """Whatever is written behind the wall, also where a caller leaves the truth in: the same weights to the bit."""
    rng = np.random.default_rng(seed)
    n = len(events)
    truth = {
        "hard_fraction": ak.unflatten(rng.random(int(ak.sum(events.n_candidates))), events.n_candidates),
        "jets": ak.zip({name: ak.Array(rng.random((n, 3)).tolist()) for name in ("pt", "eta", "phi", "mass")}),
        "met": ak.zip({"pt": 100 * rng.random(n), "phi": rng.random(n)}),
        "leptons": ak.zip({name: ak.Array(rng.random((n, 1)).tolist()) for name in ("pt", "eta", "phi")}),
    }
    altered = events.with_field("truth", ak.zip(truth, depth_limit=1))
    weights = method.weights(events)
    assert ak.array_equal(method.weights(altered), weights)
    assert ak.array_equal(method.weights(events.without_truth()), weights)
    assert ak.array_equal(hs.mitigate(altered, method), weights)


@few
@given(events=crossings, seed=seeds)
def test_order_of_candidates_does_not_matter(method, events, seed):
    rng = np.random.default_rng(seed)
    order = ak.Array([rng.permutation(int(n)) for n in events.n_candidates])
    shuffled = with_candidates(events, lambda _, column: column[order])
    assert np.allclose(flat(method.weights(events)[order]), flat(method.weights(shuffled)), atol=1e-5, rtol=0)


@few
@given(events=crossings, turn=st.floats(-7, 7))
def test_rotation_in_phi_changes_nothing(method, events, turn):
    turned = with_candidates(events, lambda name, column: column + turn if name == "phi" else column)
    plain = with_candidates(events, lambda _, column: column)
    assert np.allclose(flat(method.weights(plain)), flat(method.weights(turned)), atol=1e-4, rtol=0)


@few
@given(seed=seeds)
def test_batch_of_one_is_batch_of_many_and_sliced_is_packed(method, seed):
    events = toy_events(5, 60, seed)
    together = method.weights(events)

    def close(a, b):
        return np.allclose(flat(a), flat(b), atol=1e-6, rtol=0)

    assert close(ak.concatenate([method.weights(events[i : i + 1]) for i in range(5)]), together)
    assert close(method.weights(events[1:4]), together[1:4])
    assert close(method.weights(events[[4, 0, 2]]), together[[4, 0, 2]])
    assert close(method.weights(events[[True, False, True, False, True]]), together[::2])
