"""What must hold for noise in any crossings: alignment, order, phi, determinism."""

from __future__ import annotations

import awkward as ak
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.detector import load_card
from hardscatter.detector.noise import Noise, NoiseLevel, add_noise, zero_suppressed
from hardscatter.events import checked, flat
from helpers import toy_events

CARD = load_card("cms-phase2")
seeds = st.integers(0, 2**32)
levels = st.builds(lambda a, b: NoiseLevel((1.5, 5.0), (a, b)), st.floats(0, 2), st.floats(0, 5))
noises = st.builds(Noise, levels, levels, st.floats(2.0, 4.0))


def narrow(events):
    """The same with single-precision momenta, as our own crossings have them."""
    candidates = events.candidates
    columns = {name: candidates[name] for name in candidates.fields}
    columns |= {name: ak.values_astype(columns[name], np.float32) for name in ("pt", "eta", "phi", "energy")}
    return hs.from_candidates(**columns, truth={"hard_fraction": events.truth.hard_fraction})


@given(noises, seeds, st.booleans())
def test_noisy_crossings_are_proper_events_with_aligned_truth(noise, seed, single):
    events = narrow(toy_events(seed=seed % 7)) if single else toy_events(seed=seed % 7)
    noisy = add_noise(events, noise, CARD, seed)
    checked(noisy)  # ranges, alignment, phi
    phi = flat(noisy.candidates.phi, np.float64)
    assert np.all((phi >= -np.pi) & (phi < np.pi))
    assert noisy.candidates.pt.layout.content.dtype == events.candidates.pt.layout.content.dtype
    assert ak.all(noisy.candidates.pt[:, 1:] <= noisy.candidates.pt[:, :-1])
    # The hard scatter's energy is neither made nor lost.
    before, after = (ak.sum(e.truth.hard_fraction * e.candidates.energy, axis=1) for e in (events, noisy))
    np.testing.assert_allclose(before, after, rtol=1e-5)
    charged = [flat(e.candidates.pt[e.candidates.charge != 0]) for e in (events, noisy)]
    np.testing.assert_array_equal(*(np.sort(pt) for pt in charged))


@given(noises, seeds)
def test_the_same_seed_gives_the_same_noise_another_seed_another(noise, seed):
    events = toy_events()
    first, again = (add_noise(events, noise, CARD, s) for s in (seed, np.random.default_rng(seed)))
    assert ak.array_equal(first.array, again.array, equal_nan=True)
    n = int(ak.sum(first.n_candidates - events.n_candidates))
    assert n >= 0
    if n > 10:
        other = add_noise(events, noise, CARD, seed + 1)
        assert not ak.array_equal(first.candidates.pt, other.candidates.pt)


@given(noises, seeds)
def test_zero_suppression_keeps_a_subset_in_its_order_and_is_idempotent(noise, seed):
    events = toy_events(seed=seed % 7)
    kept = zero_suppressed(events, noise, CARD)
    checked(kept)
    assert ak.all(kept.n_candidates <= events.n_candidates)
    assert set(flat(kept.candidates.pt).tolist()) <= set(flat(events.candidates.pt).tolist())
    assert ak.array_equal(zero_suppressed(kept, noise, CARD).array, kept.array, equal_nan=True)
    noisy = add_noise(kept, noise, CARD, seed)  # all of it is above threshold
    assert ak.array_equal(zero_suppressed(noisy, noise, CARD).n_candidates, noisy.n_candidates)
