"""What holds for any crossing: order, rotation, batches and empty slots do not change a candidate's weight."""

import dataclasses
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hardscatter.geometry import wrap_phi  # noqa: E402
from hardscatter.geometry.nearest import nearest  # noqa: E402
from hardscatter.nets.abcnet import ABCNet, AttentionSettings  # noqa: E402
from hardscatter.nets.gap import GAP, RawGAP  # noqa: E402

N_FEATURES = 5
STATE = AttentionSettings(k=6, encoder=(12, 8), dense=(10,), head=(9, 5))
NETS = {}
for _hop in ("state", "raw"):
    torch.manual_seed(4)
    NETS[_hop] = ABCNet(dataclasses.replace(STATE, first_hop=_hop), N_FEATURES).double()

SEEDS = st.integers(0, 2**32 - 1)
HOPS = st.sampled_from(sorted(NETS))


def crossings(seed, n_crossings=1, most=60):
    """Features, coordinates (η, φ, ln pt) and offsets, in double precision."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, most, n_crossings))])
    n = offsets[-1]
    where = np.stack([rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)], axis=1)
    return rng.normal(size=(n, N_FEATURES)), where, offsets


def weights(hop, features, where, neighbours):
    torch.set_num_threads(1)
    with torch.no_grad():
        return NETS[hop](*(torch.from_numpy(np.ascontiguousarray(x)) for x in (features, where, neighbours))).numpy()


def neighbours_of(where, offsets):
    return nearest(where[:, 0], where[:, 1], offsets, STATE.k)


@given(HOPS, SEEDS)
def test_equivariant_under_permutation(hop, seed):
    features, where, offsets = crossings(seed)
    wanted = weights(hop, features, where, neighbours_of(where, offsets))
    order = np.random.default_rng(seed).permutation(len(where))
    shuffled = weights(hop, features[order], where[order], neighbours_of(where[order], offsets))
    np.testing.assert_allclose(shuffled, wanted[order], atol=1e-12)
    assert ((wanted > 0) & (wanted < 1)).all()


@given(HOPS, SEEDS, st.floats(-10, 10))
def test_rotation_and_wrap_change_nothing(hop, seed, angle):
    features, where, offsets = crossings(seed)
    neighbours = neighbours_of(where, offsets)
    wanted = weights(hop, features, where, neighbours)
    turned = where.copy()
    turned[:, 1] = wrap_phi(where[:, 1] + angle)
    np.testing.assert_allclose(weights(hop, features, turned, neighbours_of(turned, offsets)), wanted, atol=1e-10)
    unwrapped = where + np.array([0.0, 2 * np.pi, 0.0]) * np.random.default_rng(seed).integers(-2, 3, (len(where), 1))
    np.testing.assert_allclose(weights(hop, features, unwrapped, neighbours), wanted, atol=1e-10)


@given(HOPS, SEEDS)
def test_batch_of_one_is_batch_of_many(hop, seed):
    features, where, offsets = crossings(seed, n_crossings=5, most=25)
    together = weights(hop, features, where, neighbours_of(where, offsets))
    for a, b in pairwise(offsets):
        alone = weights(hop, features[a:b], where[a:b], neighbours_of(where[a:b], np.array([0, b - a])))
        np.testing.assert_allclose(alone, together[a:b], atol=1e-12)


@given(HOPS, SEEDS)
def test_empty_slots_and_the_order_of_neighbours_change_nothing(hop, seed):
    features, where, offsets = crossings(seed)
    neighbours = neighbours_of(where, offsets)
    wanted = weights(hop, features, where, neighbours)
    rng = np.random.default_rng(seed)
    wider = np.concatenate([neighbours, rng.integers(-9, 0, (len(where), 3))], axis=1)
    wider = rng.permuted(wider, axis=1)
    np.testing.assert_allclose(weights(hop, features, where, wider), wanted, atol=1e-12)


@given(st.booleans(), SEEDS)
def test_what_an_empty_slot_holds_is_not_read(raw, seed):
    torch.manual_seed(seed % 2**31)
    layer = (RawGAP(3, 5, 4) if raw else GAP(5, 4)).double()
    neighbours = torch.randint(-2, 12, (12, 6))
    x, edges = torch.randn(12, 5, dtype=torch.float64), torch.randn(12, 6, 4, dtype=torch.float64)
    other = torch.where((neighbours >= 0)[..., None], edges, 1e6 * torch.randn_like(edges))
    if raw:
        features = torch.randn(12, 3, dtype=torch.float64)
        torch.testing.assert_close(layer(x, features, neighbours, other), layer(x, features, neighbours, edges))
    else:
        torch.testing.assert_close(layer(x, neighbours, other), layer(x, neighbours, edges))
