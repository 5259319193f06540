"""From collisions to events: what a crossing holds, with a detector that hides little."""

from __future__ import annotations

import dataclasses

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

from hardscatter.detector import (
    Fixed,
    Flat,
    Histogram,
    Poisson,
    load_card,
    prepare,
    simulate_crossings,
    simulate_mixtures,
    simulate_pairs,
)
from hardscatter.detector.overlay import MM_PER_PS, draw_interactions
from hardscatter.errors import SettingsError
from hardscatter.events import LEADING, NO_VERTEX
from hardscatter.generate import Ancestry, Collisions, Role

MASS = {211: 0.13957, 321: 0.49368, 11: 0.000511, 13: 0.10566, 2112: 0.93957, 310: 0.49761}


def collisions(*events, weight=None, leptons=()):
    """Make collisions of (pid, pt, eta, phi) particles; those numbered in `leptons` are prompt."""
    rows = [row for event in events for row in event]
    n = len(rows)
    pid = np.array([row[0] for row in rows], dtype=np.int32)
    ancestry = np.zeros(n, dtype=np.uint8)
    ancestry[list(leptons)] = Ancestry.PROMPT
    column = {name: np.array([row[i] for row in rows], dtype=np.float32) for i, name in ((1, "pt"), (2, "eta"))}
    return Collisions(
        offsets=np.concatenate(([0], np.cumsum([len(event) for event in events]))).astype(np.int64),
        pid=pid,
        **column,
        phi=np.array([row[3] for row in rows], dtype=np.float32),
        mass=np.array([MASS.get(abs(p), 0.0) for p in pid.tolist()], dtype=np.float32),
        **{name: np.zeros(n, dtype=np.float32) for name in ("x", "y", "z", "t")},
        ancestry=ancestry,
        weight=np.ones(len(events)) if weight is None else np.array(weight),
        truth_offsets=np.arange(len(events) + 1),
        truth_role=np.full(len(events), Role.PARTON, dtype=np.int8),
        truth_pid=np.full(len(events), 21, dtype=np.int32),
        **{f"truth_{name}": np.ones(len(events), dtype=np.float32) for name in ("pt", "eta", "phi", "mass")},
        metadata={"generation": {"process": "toy"}},
    )


HARD = collisions(
    [(211, 20.0, 0.3, 1.0), (-321, 30.0, -1.0, -2.0), (22, 40.0, 0.9, 2.5), (2112, 50.0, -3.5, 0.0), (12, 60.0, 0, 0)],
    [(11, 25.0, 0.2, 0.1), (-13, 35.0, 1.1, -0.1), (22, 0.01, 8.0, 0.0), (310, 45.0, -0.5, 3.0)],
    weight=[1.0, 0.5],
    leptons=(5, 6),
)  # fmt: skip
PILEUP = collisions(
    *[[(211, 1.5, 0.1 * i, 0.2), (-211, 2.0, -0.2 * i, -1.0), (22, 3.0, 0.15 * i, 2.0)] for i in range(1, 21)]
)
CARD = load_card("cms-phase2")


def test_chosen_pileup_is_what_drawing_all_of_a_library_gives():
    library = prepare(PILEUP, CARD)
    drawn = simulate_crossings(HARD, library, Fixed(20, replacement=False), CARD, seed=3, first_event=7)
    chosen = simulate_mixtures(HARD, [library, library], Poisson(20.0), CARD, seed=3, first_event=7)
    for name in ("pt", "eta", "vertex"):
        assert ak.to_list(chosen.candidates[name]) == ak.to_list(drawn.candidates[name])
    assert chosen.truth.n_interactions.to_list() == [20, 20]
    assert chosen.pileup.to_list() == [20, 20]
    alone = simulate_mixtures(HARD, [prepare(PILEUP.select(slice(0)), CARD)] * 2, Poisson(20.0), CARD, seed=3)
    assert ak.to_list(alone.candidates.pt) == ak.to_list(
        simulate_crossings(HARD, None, Fixed(0), CARD, 3).candidates.pt
    )


def test_a_crossing_without_pileup_holds_what_the_hard_collision_left():
    events = simulate_crossings(HARD, None, Fixed(0), CARD, seed=3)
    assert events.process.to_list() == ["toy", "toy"]
    assert events.pileup.to_list() == [0, 0]
    assert events.n_vertices.to_list() == [1, 1]
    assert events.generator_weight.to_list() == [1.0, 0.5]
    assert ak.all(events.truth.hard_fraction == 1)
    neutral = events.candidates[events.candidates.charge == 0]
    assert set(ak.flatten(neutral.pdg_id).to_list()) <= {22, 130}
    assert ak.all(np.isnan(neutral.dz))
    assert ak.all(neutral.vertex == NO_VERTEX)
    charged = events.candidates[events.candidates.charge != 0]
    assert set(ak.flatten(charged.pdg_id).to_list()) <= {211, -211, 11, -13}
    assert not ak.any(np.isnan(charged.dz) | np.isnan(charged.d0_error))
    assert ak.all(charged.vertex == LEADING)
    assert events.metadata["detector"] == {"name": "cms-phase2", "hash": CARD.hash()}


def test_truth_is_that_of_the_generator():
    truth = simulate_crossings(HARD, None, Fixed(0), CARD).truth
    visible = [(20.0, 1.0), (30.0, -2.0), (40.0, 2.5), (50.0, 0.0)]
    px, py = (-sum(pt * turn(phi) for pt, phi in visible) for turn in (np.cos, np.sin))
    assert truth.met.pt[0] == pytest.approx(np.hypot(px, py), rel=1e-6)
    assert truth.met.phi[0] == pytest.approx(np.arctan2(py, px), rel=1e-6)
    assert ak.num(truth.particles.pt).to_list() == [4, 4]
    assert truth.leptons.pdg_id.to_list() == [[], [11, -13]]
    assert truth.partons.role.to_list() == [[Role.PARTON], [Role.PARTON]]


def test_candidates_come_by_falling_pt_so_that_their_order_tells_nothing():
    events = simulate_crossings(HARD, PILEUP, Fixed(15), CARD, seed=1)
    for event in events:
        assert np.all(np.diff(ak.to_numpy(event.candidates.pt)) <= 0)


def test_pairs_with_shared_draws_and_no_pileup_are_equal_to_the_last_bit():
    alone, crowded = simulate_pairs(HARD, PILEUP, Fixed(0), CARD, seed=5, shared_draws=True)
    for name in alone.candidates.fields:
        a, b = (ak.to_numpy(ak.flatten(e.candidates[name])) for e in (alone, crowded))
        assert a.tobytes() == b.tobytes()
    assert alone.vertices.z.to_list() == crowded.vertices.z.to_list()


def test_pairs_are_redrawn_by_default_and_the_second_is_the_crossing():
    alone, crowded = simulate_pairs(HARD, PILEUP, Fixed(0), CARD, seed=5)
    assert not np.array_equal(ak.flatten(alone.candidates.pt)[:2], ak.flatten(crowded.candidates.pt)[:2])
    assert alone.truth.vertex_z.to_list() == crowded.truth.vertex_z.to_list()
    again = simulate_crossings(HARD, PILEUP, Fixed(0), CARD, seed=5)
    assert again.candidates.pt.to_list() == crowded.candidates.pt.to_list()


def test_noise_of_a_hard_track_does_not_depend_on_pileup():
    """A lone electron in its towers: shared draws give the same track whatever lies on top."""
    hard = collisions([(13, 30.0, 0.3, 1.0)])
    elsewhere = collisions([(211, 1.5, -1.0, 0.2), (22, 3.0, -1.5, 2.0)])
    alone, crowded = simulate_pairs(hard, elsewhere, Fixed(30), CARD, seed=2, shared_draws=True)
    for name in ("pt", "eta", "phi", "d0"):
        assert alone.candidates[name][0, 0] == crowded.candidates[name][0, 0]
    assert ak.num(crowded.candidates.pt)[0] > 1


def test_switches_of_the_delphes_card():
    events = simulate_crossings(HARD, PILEUP, Fixed(10), "delphes-phase2", seed=4)
    charged = events.candidates[events.candidates.charge != 0]
    hard = events.truth.hard_fraction[events.candidates.charge != 0] == 1
    assert ak.all(charged.vertex[hard] == LEADING)
    assert ak.all(np.isnan(charged.dz_error))
    assert ak.all(abs(charged.dz[hard]) < 1e-3)
    assert events.n_vertices.to_list() == [11, 11]
    assert events.vertices.z[:, 0].to_list() == events.truth.vertex_z.to_list()
    mass2 = charged.energy**2 - (charged.pt * np.cosh(charged.eta)) ** 2
    kaon = hard & (charged.pdg_id == -211)
    assert np.sqrt(ak.flatten(mass2[kaon])[0]) == pytest.approx(0.494, abs=0.02)
    pion = simulate_crossings(HARD, None, Fixed(0), CARD, seed=4).candidates
    track = pion[pion.pdg_id == -211]
    assert ak.flatten(track.energy)[0] == pytest.approx(
        np.hypot(ak.flatten(track.pt * np.cosh(track.eta))[0], 0.13957), rel=1e-6
    )


def test_an_atlas_like_detector_is_a_file():
    events = simulate_crossings(HARD, PILEUP, Fixed(10), "atlas-like", seed=4)
    charged = events.candidates.charge != 0
    assert ak.all(abs(events.candidates.eta[charged]) < 2.6)
    assert ak.all(abs(events.candidates.eta) < 4.9)
    assert ak.sum(charged) > 10


def test_numbers_of_interactions():
    numbers = np.arange(20_000)
    poisson = Poisson(mean=140.0).numbers(1, numbers)
    assert poisson.mean() == pytest.approx(140, abs=0.4)
    assert poisson.var() == pytest.approx(140, rel=0.05)
    flat = Flat(low=3, high=12).numbers(1, numbers)
    assert np.bincount(flat, minlength=14)[3:13].min() > 1800
    assert (flat.min(), flat.max()) == (3, 12)
    assert Flat().numbers(1, numbers).max() == 200
    histogram = Histogram(contents=(0.0, 1.0, 3.0)).numbers(1, numbers)
    assert np.bincount(histogram).tolist()[0] == 0
    assert np.mean(histogram == 2) == pytest.approx(0.75, abs=0.015)
    assert Fixed(7).numbers(1, numbers[:2]).tolist() == [7, 7]
    for wrong in (lambda: Poisson(mean=-1), lambda: Flat(low=3, high=2), lambda: Histogram(contents=(0.0,))):
        with pytest.raises(ValidationError):
            wrong()


def test_vertices_follow_the_beam():
    drawn = draw_interactions(CARD.beam, 50_000, 20, 1, 0, True)
    assert drawn.z.std() == pytest.approx(53, rel=0.02)
    assert drawn.t.std() == pytest.approx(160 * MM_PER_PS, rel=0.02)
    assert abs(drawn.z).max() <= 250
    assert abs(np.corrcoef(drawn.z, drawn.t)[0, 1]) < 0.02
    assert drawn.rotation[0] == 0
    assert drawn.mirror[0] == 1
    assert np.histogram(drawn.rotation[1:], 10, (-np.pi, np.pi))[0].min() > 4700
    assert drawn.mirror[1:].mean() == pytest.approx(0, abs=0.02)
    assert np.bincount(drawn.collision[1:]).min() > 2200


def test_drawing_without_replacement():
    drawn = draw_interactions(CARD.beam, 20, 20, 1, 0, False)
    assert sorted(drawn.collision[1:]) == list(range(20))
    with pytest.raises(SettingsError, match="needs 21 different"):
        simulate_crossings(HARD, PILEUP, Fixed(21, replacement=False), CARD)


def test_a_library_is_prepared_once():
    prepared = prepare(PILEUP, CARD)
    assert prepare(prepared, CARD) is prepared
    assert len(prepared.offsets) == len(PILEUP) + 1
    a, b = (simulate_crossings(HARD, library, Fixed(5), CARD) for library in (PILEUP, prepared))
    assert a.candidates.pt.to_list() == b.candidates.pt.to_list()


def test_unseen_particles_are_left_out_and_keep_the_others_places():
    prepared = prepare(HARD, CARD)
    assert prepared.offsets.tolist() == [0, 4, 7]
    assert prepared.particle.tolist() == [0, 1, 2, 3, 0, 1, 3]


def test_wrong_calls_are_one_sentence():
    with pytest.raises(SettingsError, match="no minimum-bias collisions"):
        simulate_crossings(HARD, None, Poisson(mean=50.0), CARD)
    with pytest.raises(SettingsError, match="seed=-1"):
        simulate_crossings(HARD, None, Fixed(0), CARD, seed=-1)


def test_no_collisions_give_no_events():
    assert len(simulate_crossings(HARD.select(slice(0, 0)), PILEUP, Fixed(3), CARD)) == 0


def test_merged_towers_share_their_hard_fraction():
    """A hard and a pileup photon of the same energy at the same place, where a forward tower holds both."""
    beam = dataclasses.replace(CARD.beam, sigma_z=1e-3, mirror=False)
    card = dataclasses.replace(CARD, beam=beam)
    photon = collisions([(22, 20.0, 4.1, 0.0)])
    everywhere = collisions([(22, 20.0, 4.1, 2 * np.pi * i / 72) for i in range(72)])
    events = simulate_crossings(photon, everywhere, Fixed(1), card, seed=1)
    shares = sorted(ak.flatten(events.truth.hard_fraction).to_list())
    assert shares[-1] == pytest.approx(1 / 3, abs=1e-3)
    assert shares[-2] == 0.0
