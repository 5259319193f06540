"""What holds for the convolution of any crossing: order, whole turns, batches and empty pixels change no weight."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hardscatter.geometry import wrap_phi  # noqa: E402
from hardscatter.geometry.pixels import pixel_patches  # noqa: E402
from hardscatter.nets.convolution import ConvolutionNetwork, ConvolutionSettings  # noqa: E402

SETTINGS = ConvolutionSettings(n_phi=16, reach=1, filters=(4, 4), head=(5,))
torch.manual_seed(4)
NET = ConvolutionNetwork(SETTINGS, 3).double()
SEEDS = st.integers(0, 2**32 - 1)


def crossings(seed, n_crossings=1, most=150):
    """Features, (η, φ, ln pt) and offsets, in double precision."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(rng.integers(0, most, n_crossings))])
    n = offsets[-1]
    where = np.stack([rng.uniform(-5.5, 5.5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)], axis=1)
    return rng.normal(size=(n, 3)), where, offsets


def weights(features, where, offsets, patches=None):
    eta, phi, log_pt = where.T
    if patches is None:
        patches = pixel_patches(eta, phi, np.exp(log_pt), offsets, SETTINGS.n_phi, SETTINGS.reach)
    torch.set_num_threads(1)
    with torch.no_grad():
        return NET(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (features, where, patches))).numpy()


@given(SEEDS)
def test_equivariant_under_permutation(seed):
    features, where, offsets = crossings(seed)
    wanted = weights(features, where, offsets)
    order = np.random.default_rng(seed).permutation(len(where))
    np.testing.assert_allclose(weights(features[order], where[order], offsets), wanted[order], atol=1e-12)
    assert ((wanted > 0) & (wanted < 1)).all()


@given(SEEDS, st.integers(-20, 20))
def test_turned_by_whole_pixels(seed, steps):
    features, where, offsets = crossings(seed)
    turned = where.copy()
    turned[:, 1] = wrap_phi(where[:, 1] + steps * 2 * np.pi / SETTINGS.n_phi)
    np.testing.assert_allclose(weights(features, turned, offsets), weights(features, where, offsets), atol=1e-12)


@given(SEEDS)
def test_batch_of_one_is_batch_of_many(seed):
    features, where, offsets = crossings(seed, n_crossings=4, most=60)
    together = weights(features, where, offsets)
    for a, b in pairwise(offsets):
        np.testing.assert_allclose(weights(features[a:b], where[a:b], np.array([0, b - a])), together[a:b], atol=1e-12)


@given(SEEDS)
def test_only_who_stands_for_a_pixel_counts_and_a_pixel_has_one_weight(seed):
    features, where, offsets = crossings(seed)
    eta, phi, log_pt = where.T
    patches = pixel_patches(eta, phi, np.exp(log_pt), offsets, SETTINGS.n_phi, SETTINGS.reach)
    stands = patches[:, patches.shape[1] // 2]
    wanted = weights(features, where, offsets, patches)
    np.testing.assert_allclose(wanted, wanted[stands], atol=1e-15)
    changed = np.where((stands == np.arange(len(eta)))[:, None], features, 1e3)
    np.testing.assert_array_equal(weights(changed, where, offsets, patches), wanted)


@given(SEEDS)
def test_any_number_below_zero_is_an_empty_pixel(seed):
    features, where, offsets = crossings(seed)
    eta, phi, log_pt = where.T
    patches = pixel_patches(eta, phi, np.exp(log_pt), offsets, SETTINGS.n_phi, SETTINGS.reach)
    others = np.where(patches < 0, np.random.default_rng(seed).integers(-9, 0, patches.shape), patches)
    np.testing.assert_array_equal(weights(features, where, offsets, others), weights(features, where, offsets, patches))
