"""Resolutions: what must hold whatever the crossings."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.metrics import DESIGN, TALK, observe
from hardscatter.simulation import with_truth_jets

SEEDS = st.integers(0, 2**32 - 1)


def random_crossings(seed, n_events=4):
    """Build crossings of a three-prong fat jet of truth particles, seen smeared and among soft others."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(12, 40, n_events)
    n = int(counts.sum())
    axes = np.array([[0.0, 0.0], [0.4, 0.1], [0.2, 0.5]])[rng.integers(3, size=n)]
    pt = rng.exponential(60.0, n) + 1
    eta, phi = axes[:, 0] + 0.05 * rng.normal(size=n), 3.0 + axes[:, 1] + 0.05 * rng.normal(size=n)
    particles = {"pt": pt, "eta": eta, "phi": np.angle(np.exp(1j * phi)), "mass": 0 * pt}
    soft = 30
    seen = {
        "pt": (pt * rng.uniform(0.8, 1.2, n), rng.exponential(2.0, soft * n_events) + 0.1),
        "eta": (eta, rng.uniform(-2, 2, soft * n_events)),
        "phi": (phi, rng.uniform(-np.pi, np.pi, soft * n_events)),
    }
    truth = ak.zip({name: ak.unflatten(values, counts) for name, values in particles.items()})
    columns = {
        name: ak.concatenate([ak.unflatten(hard, counts), ak.unflatten(pileup, np.full(n_events, soft))], axis=1)
        for name, (hard, pileup) in seen.items()
    }
    return columns, truth, rng


def events_of(columns, truth):
    neutral = ak.values_astype(0 * columns["pt"], np.int64)
    px, py = (-ak.sum(truth.pt * turned, axis=1) for turned in (np.cos(truth.phi), np.sin(truth.phi)))
    return with_truth_jets(
        hs.from_candidates(
            **columns, energy=columns["pt"] * np.cosh(columns["eta"]), charge=neutral, vertex=neutral - 1,
            truth={"particles": truth, "met": {"pt": np.hypot(px, py), "phi": np.arctan2(py, px)}},
        )
    )  # fmt: skip


def assert_same(one, other):
    assert one.jets.keys() == other.jets.keys()
    for name in one.jets:
        for field in ("event", "pt_response", "mass_response", "tau32", "truth_tau32", "matched", "fakes"):
            here, there = (getattr(seen.jets[name], field) for seen in (one, other))
            assert here == pytest.approx(there, rel=1e-6, abs=1e-6, nan_ok=True), (name, field)


@pytest.mark.parametrize("definition", [DESIGN, TALK], ids=["design", "talk"])
@settings(max_examples=8)
@given(seed=SEEDS)
def test_the_order_of_candidates_and_particles_does_not_matter(definition, seed):
    columns, truth, rng = random_crossings(seed)
    events = events_of(columns, truth)
    weights = ak.unflatten(rng.choice([0.0, 0.5, 1.0], int(ak.sum(events.n_candidates))), events.n_candidates)
    order, particle_order = (
        ak.argsort(ak.unflatten(rng.uniform(size=int(ak.sum(ak.num(jagged)))), ak.num(jagged)))
        for jagged in (columns["pt"], truth.pt)
    )
    shuffled = events_of({name: column[order] for name, column in columns.items()}, truth[particle_order])
    whole = observe(events, weights, definition)
    assert_same(whole, observe(shuffled, weights[order], definition))
    assert whole.met == pytest.approx(observe(shuffled, weights[order], definition).met, abs=1e-6)


@pytest.mark.parametrize("definition", [DESIGN, TALK], ids=["design", "talk"])
@settings(max_examples=8)
@given(seed=SEEDS, angle=st.floats(-3, 3))
def test_rotation_in_phi_and_reflection_in_eta_change_nothing(definition, seed, angle):
    columns, truth, _ = random_crossings(seed)
    turned = {"pt": columns["pt"], "eta": -columns["eta"], "phi": columns["phi"] + angle}
    wrapped = np.mod(truth.phi + angle + np.pi, 2 * np.pi) - np.pi
    other = ak.zip({"pt": truth.pt, "eta": -truth.eta, "phi": wrapped, "mass": truth.mass})
    one, two = events_of(columns, truth), events_of(turned, other)
    assert_same(*(observe(events, ak.ones_like(events.candidates.pt), definition) for events in (one, two)))


@settings(max_examples=4)
@given(seed=SEEDS)
def test_a_crossing_alone_is_as_in_a_batch(seed):
    events = events_of(*random_crossings(seed)[:2])
    weights = ak.ones_like(events.candidates.pt)
    for definition in (DESIGN, TALK):
        whole = observe(events, weights, definition)
        for k in range(len(events)):
            alone = observe(events[k : k + 1], weights[k : k + 1], definition)
            for name, jets in whole.jets.items():
                for field in ("pt_response", "mass_response", "tau32", "truth_tau32"):
                    here = getattr(jets, field)[jets.event == k]
                    assert here == pytest.approx(getattr(alone.jets[name], field), nan_ok=True)


@given(seed=SEEDS)
def test_tau32_is_a_ratio(seed):
    """τ₃ ≤ τ₂ up to what one pass of minimisation misses."""
    events = events_of(*random_crossings(seed)[:2])
    fat = observe(events, ak.ones_like(events.candidates.pt)).jets["ak8"]
    for values in (fat.tau32, fat.truth_tau32):
        assert np.all((values >= 0) & (values < 1.05))
