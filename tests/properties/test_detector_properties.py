"""What must hold for any collisions: threads, batches, angles, energy sums."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.detector import Poisson, load_card, prepare, simulate_crossings
from hardscatter.detector.calorimeter import sum_towers
from hardscatter.detector.crossing import Draw, simulate_crossing
from hardscatter.detector.overlay import draw_interactions
from hardscatter.detector.propagation import Cylinder, propagate
from hardscatter.detector.tables import tables_of
from hardscatter.generate import Collisions
from hardscatter.threads import threads as threads_in_use

CARD = load_card("cms-phase2")
FIELDS = ("pt", "eta", "phi", "energy", "charge", "pdg_id", "vertex", "d0", "dz", "d0_error", "dz_error")


def random_collisions(n_collisions, seed, n_particles=40):
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, n_particles, n_collisions)
    n = int(counts.sum())
    pid = rng.choice([211, -211, 321, -2212, 22, 130, 310, 2112, 11, -13], n)
    masses = {211: 0.14, 321: 0.49, 2212: 0.94, 22: 0.0, 130: 0.5, 310: 0.5, 2112: 0.94, 11: 0.0005, 13: 0.106}
    narrow = {
        "pt": 0.1 + rng.exponential(1.5, n),
        "eta": rng.uniform(-5.5, 5.5, n),
        "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": [masses[abs(p)] for p in pid.tolist()],
        "x": rng.normal(0, 1, n) * (rng.random(n) < 0.2),
        "y": rng.normal(0, 1, n) * (rng.random(n) < 0.2),
        "z": rng.normal(0, 1, n),
        "t": np.zeros(n),
    }
    no_truth = {f"truth_{name}": np.zeros(0, dtype=np.float32) for name in ("pt", "eta", "phi", "mass")}
    return Collisions(
        offsets=np.concatenate(([0], np.cumsum(counts))).astype(np.int64),
        pid=pid.astype(np.int32),
        **{name: np.asarray(values, dtype=np.float32) for name, values in narrow.items()},
        ancestry=np.zeros(n, dtype=np.uint8),
        weight=np.ones(n_collisions),
        truth_offsets=np.zeros(n_collisions + 1, dtype=np.int64),
        truth_role=np.zeros(0, dtype=np.int8),
        truth_pid=np.zeros(0, dtype=np.int32),
        **no_truth,
    )


HARD, MINBIAS = random_collisions(12, 1), random_collisions(300, 2)


def assert_same(a, b):
    for name in FIELDS:
        left, right = (ak.to_numpy(ak.flatten(e.candidates[name])) for e in (a, b))
        assert left.tobytes() == right.tobytes()
    assert a.truth.hard_fraction.to_list() == b.truth.hard_fraction.to_list()


@pytest.fixture
def threads():
    before = threads_in_use()
    yield
    hs.set_threads(before)


@pytest.mark.usefixtures("threads")
def test_results_do_not_depend_on_threads():
    hs.set_threads(1)
    one = simulate_crossings(HARD, MINBIAS, Poisson(mean=40.0), CARD, seed=7)
    hs.set_threads(3)
    assert_same(one, simulate_crossings(HARD, MINBIAS, Poisson(mean=40.0), CARD, seed=7))


@given(st.integers(1, 11))
def test_results_do_not_depend_on_the_batch(cut):
    whole = simulate_crossings(HARD, MINBIAS, Poisson(mean=20.0), CARD, seed=7, first_event=100)
    parts = [
        simulate_crossings(HARD.select(part), MINBIAS, Poisson(mean=20.0), CARD, seed=7, first_event=first)
        for part, first in ((slice(0, cut), 100), (slice(cut, None), 100 + cut))
    ]
    assert_same(whole, hs.concatenate(parts))
    assert whole.event.to_list() == list(range(100, 112))


def test_seeds_and_events_give_other_crossings():
    a = simulate_crossings(HARD, MINBIAS, Poisson(mean=20.0), CARD, seed=7)
    for seed, first in ((8, 0), (7, 1)):
        b = simulate_crossings(HARD, MINBIAS, Poisson(mean=20.0), CARD, seed=seed, first_event=first)
        assert a.vertices.z[0, 0] != b.vertices.z[0, 0]
        assert ak.num(a.candidates.pt).to_list() != ak.num(b.candidates.pt).to_list()


def _propagated(seed, rotate=0.0):
    source, library = prepare(HARD, CARD), prepare(MINBIAS, CARD)
    drawn = draw_interactions(CARD.beam, 30, 300, seed, 0, True)
    turned = drawn._replace(rotation=drawn.rotation + rotate)
    return propagate(source, 0, library, turned, Cylinder(1290.0, 3000.0, 300.0, 700.0, 3.8), 0.2)


@given(st.integers(0, 50), st.floats(-3.0, 3.0))
def test_turning_all_collisions_turns_all_hits(seed, angle):
    (deposits, charged), (turned, charged_turned) = _propagated(seed), _propagated(seed, angle)
    np.testing.assert_allclose(deposits.eta, turned.eta, atol=1e-9)
    difference = np.remainder(turned.phi - deposits.phi - angle + np.pi, 2 * np.pi) - np.pi
    np.testing.assert_allclose(difference, 0, atol=1e-9)
    np.testing.assert_allclose(charged.d0, charged_turned.d0, atol=1e-7)
    np.testing.assert_allclose(charged.z, charged_turned.z, atol=1e-7)


@given(st.integers(0, 50))
def test_towers_hold_all_that_was_deposited(seed):
    deposits, charged = _propagated(seed)
    tables = tables_of(CARD)
    inside = np.abs(deposits.eta) < 5
    energy = np.sqrt((charged.pt * np.cosh(charged.eta)) ** 2 + charged.mass**2)
    for table in (tables.ecal, tables.hcal):
        touches = table.fraction[deposits.species[charged.deposit]] > 0
        sums, tower = sum_towers(
            deposits, charged.deposit[touches], energy[touches], np.full(touches.sum(), 0.01), table
        )
        share = deposits.energy * table.fraction[deposits.species] * inside
        assert sums.energy.sum() == pytest.approx(share.sum())
        assert sums.hard.sum() == pytest.approx(share[deposits.hard].sum())
        assert np.all(sums.hard <= sums.energy * (1 + 1e-12))
        assert np.all(sums.unseen_hard <= sums.unseen * (1 + 1e-12))
        # What tracks and unseen particles hold is all there is, in each tower.
        fraction = table.fraction[deposits.species[charged.deposit[touches]]]
        seen = np.bincount(tower[tower >= 0], (energy[touches] * fraction)[tower >= 0], minlength=len(sums.number))
        np.testing.assert_allclose(seen + sums.unseen, sums.energy, rtol=1e-5, atol=1e-5)


@given(st.integers(0, 30), st.integers(0, 60))
def test_candidates_are_valid(event, n_pileup):
    source, library = prepare(HARD, CARD), prepare(MINBIAS, CARD)
    crossing = simulate_crossing(source, event % 12, library, n_pileup, True, CARD, Draw(1, event))
    c = crossing.candidates
    assert np.all(c.pt > 0)
    assert np.all(np.isfinite(c.energy))
    assert np.all(np.abs(c.eta) < 5.1)
    assert np.all((c.hard_fraction >= 0) & (c.hard_fraction <= 1))
    assert np.all(np.isnan(c.dz) == (c.charge == 0))
    assert c.vertex.max(initial=0) < len(crossing.vertices_z)
