"""Jets: what must hold whatever the event."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.geometry.angles import delta_phi
from hardscatter.jets import cluster, n_subjettiness, soft_drop
from hardscatter.met import missing_momentum

SEEDS = st.integers(0, 2**32 - 1)


def random_events(seed, n_events=5, n_most=60):
    """Build events of clustered and lone candidates with weights, some of them empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, n_most, n_events) * (rng.uniform(size=n_events) < 0.8)
    total = int(counts.sum())
    eta = np.where(rng.uniform(size=total) < 0.5, rng.uniform(-4, 4, total), rng.normal(1.0, 0.4, total))
    phi = np.where(rng.uniform(size=total) < 0.5, rng.uniform(-4, 4, total), rng.normal(3.0, 0.4, total))
    return build(rng.exponential(8.0, total) + 0.1, eta, phi, counts), jagged(rng.choice([0, 0.3, 1.0], total), counts)


def jagged(values, counts):
    return ak.unflatten(np.asarray(values, dtype=np.float64), counts)


def build(pt, eta, phi, counts):
    zero = jagged(np.zeros(len(pt)), counts)
    pt, eta, phi = (jagged(values, counts) for values in (pt, eta, phi))
    return hs.from_candidates(pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta) + 0.1, charge=zero, vertex=zero - 1)


def assert_same(one, other, fields=("pt", "eta", "mass")):
    assert ak.num(one, axis=1).tolist() == ak.num(other, axis=1).tolist()
    for name in fields:
        assert ak.flatten(one[name]).tolist() == pytest.approx(ak.flatten(other[name]).tolist(), rel=1e-7, abs=1e-3)
    if "phi" in one.fields:
        assert np.all(np.abs(delta_phi(ak.flatten(one.phi), ak.flatten(other.phi))) < 1e-6)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, angle=st.floats(-3, 3), massless=st.booleans())
def test_rotation_in_phi_turns_the_jets(seed, angle, massless):
    events, weights = random_events(seed)
    c = events.candidates
    turned = build(ak.flatten(c.pt), ak.flatten(c.eta), ak.to_numpy(ak.flatten(c.phi)) + angle, events.n_candidates)
    before = cluster(events, weights, massless=massless)
    after = cluster(turned, weights, massless=massless)
    assert_same(before, ak.with_field(after, after.phi - angle, "phi"))
    assert before.constituents.tolist() == after.constituents.tolist()
    met, turned_met = missing_momentum(events, weights), missing_momentum(turned, weights)
    assert met.pt.tolist() == pytest.approx(turned_met.pt.tolist(), abs=1e-9)
    assert np.all(ak.to_numpy(after.phi.layout.content) < np.pi)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS)
def test_order_of_candidates_does_not_matter(seed):
    events, weights = random_events(seed)
    order = ak.argsort(jagged(np.random.default_rng(seed).uniform(size=int(ak.sum(events.n_candidates))),
                              events.n_candidates), axis=1)  # fmt: skip
    c = events.candidates[order]
    shuffled = build(ak.flatten(c.pt), ak.flatten(c.eta), ak.flatten(c.phi), events.n_candidates)
    before, after = cluster(events, weights), cluster(shuffled, weights[order])
    assert_same(before, after)
    for event in range(len(events)):
        back = [sorted(order[event, jet].tolist()) for jet in after.constituents[event]]
        assert back == before.constituents[event].tolist()
    met, shuffled_met = missing_momentum(events, weights), missing_momentum(shuffled, weights[order])
    assert met.px.tolist() == pytest.approx(shuffled_met.px.tolist(), abs=1e-9)


@settings(max_examples=15, deadline=None)
@given(seed=SEEDS, ghost_area=st.sampled_from([None, 0.1]))
def test_a_batch_of_one_and_of_many_slices_and_masks(seed, ghost_area):
    events, weights = random_events(seed)

    def everything(part, part_weights):
        jets = cluster(part, part_weights, radius=0.8, ghost_area=ghost_area)
        groomed = soft_drop(part, jets, part_weights)
        return jets, groomed, n_subjettiness(part, jets, part_weights), missing_momentum(part, part_weights)

    full = [result.tolist() for result in everything(events, weights)]
    mask = np.random.default_rng(seed).uniform(size=len(events)) < 0.5
    choices = [slice(k, k + 1) for k in range(len(events))]
    choices += [slice(1, None), slice(None, None, -1), slice(1, 4, 2), mask, np.array([3, 0, 3])]
    for choice in choices:
        positions = np.arange(len(events))[choice]
        for whole, part in zip(full, everything(events[choice], weights[choice]), strict=True):
            assert part.tolist() == [whole[k] for k in positions]


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, algorithm=st.sampled_from(["antikt", "cambridge", "kt"]))
def test_jets_are_sums_of_their_constituents(seed, algorithm):
    events, weights = random_events(seed)
    jets = cluster(events, weights, min_pt=0.0, algorithm=algorithm)
    for event, weight, found in zip(events.candidates, weights, jets, strict=True):
        members = [k for jet in found.constituents for k in jet]
        assert sorted(members) == np.flatnonzero(ak.to_numpy(weight) > 0).tolist()  # each one in one jet
        pt = ak.to_numpy(event.pt * weight)
        assert found.pt.tolist() == sorted(found.pt.tolist(), reverse=True)
        for jet in found:
            inside = ak.to_numpy(jet.constituents)
            px, py = np.sum(pt[inside] * np.cos(event.phi[inside])), np.sum(pt[inside] * np.sin(event.phi[inside]))
            assert jet.pt == pytest.approx(np.hypot(px, py), rel=1e-9)


@settings(max_examples=25, deadline=None)
@given(seed=SEEDS, beta=st.sampled_from([0.0, 1.0, 2.0, -0.5]))
def test_grooming_removes_and_taus_fall(seed, beta):
    events, weights = random_events(seed)
    jets = cluster(events, weights, radius=1.0)
    groomed = soft_drop(events, jets, weights, beta=beta, radius=1.0)
    assert ak.all(groomed.mass <= jets.mass + 1e-3)
    assert ak.all((groomed.z_g >= 0) & (groomed.z_g <= 0.5 + 1e-12))
    taus = n_subjettiness(events, jets, weights, radius=1.0)
    assert ak.all((taus.tau1 >= taus.tau2 - 0.02) & (taus.tau2 >= taus.tau3 - 0.02) & (taus.tau3 >= 0))


@settings(max_examples=20, deadline=None)
@given(seed=SEEDS)
def test_weight_zero_is_absence(seed):
    events, weights = random_events(seed)
    kept = events.candidates[weights > 0]
    fewer = build(ak.flatten(kept.pt), ak.flatten(kept.eta), ak.flatten(kept.phi), ak.num(kept.pt))
    assert_same(cluster(events, weights), cluster(fewer, weights[weights > 0]))
