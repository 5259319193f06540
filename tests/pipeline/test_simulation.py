"""Crossings from protons: the whole chain on small libraries, from the command line and from Python."""

from __future__ import annotations

import itertools
import json
import sys

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter import cli
from hardscatter.detector import Fixed, Flat, Histogram, Poisson
from hardscatter.errors import HardscatterError, SettingsError
from hardscatter.generate import Generation
from hardscatter.simulation import Crossings, _Simulation, pileup_of

SMALL = {"n_minbias": 400, "pileup": 30, "workers": 1}


@pytest.fixture(scope="module", autouse=True)
def _cache(tmp_path_factory):
    """A cache of its own, shared by the tests of this file."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def events(_cache):
    return hs.simulate("ttbar-semileptonic", 12, seed=3, **SMALL)


def test_simulated_crossings_are_whole(events):
    assert len(events) == 12
    assert set(events.process) == {"ttbar-semileptonic"}
    assert ak.all(events.pileup == 30)
    assert ak.to_list(events.event) == list(range(12))
    assert ak.all(events.candidates.energy >= events.candidates.pt * 0.999)
    hard = events.truth.hard_fraction
    assert 0 < ak.mean(hard) < 0.5
    assert ak.all(ak.num(events.truth.leptons) <= 1)
    assert ak.sum(ak.num(events.truth.jets)) > 20
    assert ak.all(events.truth.jets.pt >= 15)
    # Jets of the truth are made of its particles: their number and momentum fit.
    assert ak.all(ak.max(events.truth.jets.pt, axis=1) < ak.sum(events.truth.particles.pt, axis=1))


def test_every_method_runs_on_them_and_perfect_weights_are_best(events):
    table = hs.resolution(events, {m: hs.mitigate(events, m) for m in hs.methods()}, replicas=5)
    perfect = table.estimates["perfect"]
    assert abs(perfect["ak4_central.pt"]["median"].value) < 0.05
    for name in ("none", "chs"):
        assert table.estimates[name]["met"]["delta"].value > perfect["met"]["delta"].value


def test_the_same_seed_gives_the_same_crossings_and_another_other_ones(events):
    again = hs.simulate("ttbar-semileptonic", 12, seed=3, **SMALL)
    assert ak.array_equal(again.array, events.array, equal_nan=True)
    fewer = hs.simulate("ttbar-semileptonic", 5, seed=3, **SMALL)
    assert ak.array_equal(fewer.array, events[:5].array, equal_nan=True)
    assert not ak.array_equal(hs.simulate("ttbar-semileptonic", 5, seed=4, **SMALL).truth.met.pt, fewer.truth.met.pt)


def test_options_of_the_generator_reach_hard_process_and_pileup():
    def resolved(**options):
        simulation = _Simulation("zprime-tt", **options)
        return simulation.hard, simulation.minbias

    hard, minbias = resolved(mass=3000.0, energy=13600.0, tune="cp5", elastic=True)
    assert (hard.mass, hard.energy, hard.tune, hard.elastic) == (3000.0, 13600.0, "cp5", False)
    assert (minbias.energy, minbias.tune, minbias.elastic) == (13600.0, "cp5", True)
    assert resolved() == (Generation("zprime-tt"), Generation("minbias"))


def test_without_pileup_no_minimum_bias_is_made(monkeypatch):
    alone = hs.simulate("ttbar-semileptonic", 3, seed=3, pileup=0, n_minbias=10**9)
    assert ak.all(alone.truth.n_interactions == 0)
    assert ak.all(alone.truth.hard_fraction == 1)


def test_the_stream_never_repeats_and_is_reproducible():
    def first(n):
        stream = hs.stream(["ttbar-semileptonic", "zprime-tt"], n_hard=6, step=3, seed=5, **SMALL)
        return list(itertools.islice(stream, n))

    batches = first(6)  # twice the four batches of one pass
    again = first(2)
    for (alone, events), (alone_again, events_again) in zip(batches, again, strict=False):
        assert ak.array_equal(events.array, events_again.array, equal_nan=True)
        assert ak.array_equal(alone.array, alone_again.array, equal_nan=True)
    names = [batch.process[0] for _, batch in batches]
    assert names == ["ttbar-semileptonic", "zprime-tt"] * 3
    for alone, events in batches:
        assert ak.array_equal(alone.truth.met.pt, events.truth.met.pt)
        assert ak.array_equal(alone.event, events.event)
    numbers = np.concatenate([ak.to_numpy(events.event) for _, events in batches])
    assert len(set(numbers)) == len(numbers)
    # The second pass turns the same collisions: equal missing momentum in size, not in direction.
    sizes = [
        np.round(np.concatenate([ak.to_numpy(batches[i][1].truth.met.pt) for i in part]), 2) for part in ((0, 2), (4,))
    ]
    assert set(sizes[1]) <= set(sizes[0])
    directions = np.concatenate([ak.to_numpy(batch.truth.met.phi) for _, batch in batches])
    assert len(set(directions)) == len(directions)
    crossings = next(iter(hs.stream("ttbar-semileptonic", n_hard=6, step=3, seed=5, pairs=False, **SMALL)))
    assert len(crossings) == 3


@pytest.mark.parametrize(
    ("given", "meant"),
    [
        (140, Poisson(140)), ("140", Poisson(140)), ("poisson:7.5", Poisson(7.5)), ("fixed:3", Fixed(3)),
        ("flat:0-200", Flat(0, 200)), (Histogram((1.0, 2.0)), Histogram((1.0, 2.0))),
    ],
)  # fmt: skip
def test_pileup_in_a_few_letters(given, meant):
    assert pileup_of(given) == meant


@pytest.mark.parametrize("given", ["", "many", "-1", "flat:9-2", "fixed:1.5", "flat:7", "nan", -3])
def test_pileup_that_means_nothing(given):
    with pytest.raises(SettingsError, match="is not understood"):
        pileup_of(given)


def run(monkeypatch, capfd, *arguments):
    monkeypatch.setattr(sys, "argv", ["hardscatter", "--threads", "1", *map(str, arguments)])
    try:
        cli.main()
        code = 0
    except SystemExit as stop:
        code = stop.code or 0
    output = capfd.readouterr()
    return code, output.out, output.err


def test_simulate_verb_writes_pairs(monkeypatch, capfd, tmp_path, events):
    monkeypatch.setattr("hardscatter.threads._threads", None)
    output, paired = tmp_path / "crossings.root", tmp_path / "alone.parquet"
    code, _, err = run(
        monkeypatch, capfd, "simulate", "ttbar-semileptonic", output, "-n", 5, "--seed", 3, "--pileup", 30,
        "--n-minbias", 400, "--paired", paired, "--step", 2,
    )  # fmt: skip
    assert code == 0, err
    written, alone = hs.read(output), hs.read(paired)
    assert ak.array_equal(written.candidates, events.candidates[:5], equal_nan=True)
    assert ak.array_equal(alone.truth.met.pt, written.truth.met.pt)
    assert hs.against_no_pileup(written, alone).truth.jets.ndim == 2
    assert hs.resolution(written, {"puppi": hs.mitigate(written, "puppi")}, replicas=2).n_events == 5
    code, out, _ = run(monkeypatch, capfd, "inspect", output, "--json")
    assert code == 0
    assert json.loads(out)["n_events"] == 5
    assert "crossings: 4 of 5" in err


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("nonsense", "out.root"), "no process 'nonsense'"),
        (("qcd", "out.root", "--card", "nonsense"), "no detector card 'nonsense'"),
        (("qcd", "out.root", "--pileup", "lots"), "pileup 'lots'"),
        (("qcd", "out.txt",), ".parquet"),
        (("qcd", "out.root", "--mass", "500"), "no mass to choose"),
        (("qcd", "out.root", "-n", "0"), "at least 1"),
        (("missing.cmnd", "out.root"), "missing.cmnd"),
    ],
)  # fmt: skip
def test_wrong_simulations_get_one_sentence_and_leave_nothing(monkeypatch, capfd, tmp_path, arguments, words):
    monkeypatch.setattr("hardscatter.threads._threads", None)
    monkeypatch.chdir(tmp_path)
    code, _, err = run(monkeypatch, capfd, "simulate", *arguments)
    assert code == 1
    lines = [line for line in err.strip().splitlines() if not line.startswith("#")]
    assert len(lines) == 1
    assert words in lines[0]
    assert list(tmp_path.iterdir()) == []


def test_a_script_may_ask_for_nothing_impossible():
    with pytest.raises(HardscatterError, match="at least one process"):
        hs.stream([])


def test_collisions_of_another_generator_come_by_hepmc(tmp_path):
    pyhepmc = pytest.importorskip("pyhepmc")
    path = tmp_path / "two.hepmc3"
    with pyhepmc.open(path, "w") as file:
        for number in range(2):
            file.write(_back_to_back(pyhepmc, number))
    events = hs.simulate(path, 2, pileup=0)
    assert ak.all(events.truth.met.pt < 1e-3)
    assert ak.to_list(ak.num(events.truth.jets)) == [2, 2]
    with pytest.raises(SettingsError, match="holds 2 collisions, not 3"):
        hs.simulate(path, 3, pileup=0)


def _back_to_back(pyhepmc, number):
    """Two photons of 50 GeV back to back, from two protons."""
    event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    event.event_number = number
    vertex = pyhepmc.GenVertex((0, 0, 0, 0))
    for pz in (7000.0, -7000.0):
        vertex.add_particle_in(pyhepmc.GenParticle((0, 0, pz, 7000.0), 2212, 4))
    for px in (50.0, -50.0):
        vertex.add_particle_out(pyhepmc.GenParticle((px, 0, 0, 50.0), 22, 1))
    event.add_vertex(vertex)
    return event


def test_processes_share_a_seed_but_neither_pileup_nor_noise():
    top = hs.simulate("ttbar-semileptonic", 6, seed=3, **SMALL)
    other = hs.simulate("zprime-tt", 6, seed=3, **SMALL)
    assert not ak.all(top.truth.n_interactions == other.truth.n_interactions)
    assert not ak.any(top.truth.vertex_z == other.truth.vertex_z)
    stream = next(iter(hs.stream("ttbar-semileptonic", n_hard=6, step=6, seed=3, pairs=False, **SMALL)))
    assert not ak.any(stream.truth.vertex_z == top.truth.vertex_z)


def test_the_output_says_where_its_pileup_came_from(events):
    pool = events.metadata["minbias"]
    assert pool["n"] == SMALL["n_minbias"]
    assert pool["generation"]["process"] == "minbias"
    assert pool["generation"]["energy"] == 14000.0
    assert events.metadata["seed"] == 3
    assert "n_collisions" not in events.metadata["generator"]  # it depends on what else the library was used for


def test_flat_pileup_does_not_tell_the_true_number():
    flat = hs.simulate("ttbar-semileptonic", 4, seed=3, pileup="flat:0-60", n_minbias=400)
    assert ak.all(flat.pileup == 30)
    assert len(set(ak.to_list(flat.truth.n_interactions))) > 1


def test_truth_particles_know_where_they_come_from(events):
    particles = events.truth.particles
    assert {"x", "y", "z", "ancestry"} <= set(particles.fields)
    assert ak.any(particles.ancestry & 1)  # tops decay to b


def test_shared_draws_make_the_pair_identical_without_pileup(tmp_path):
    hs.simulate_file(
        "ttbar-semileptonic", tmp_path / "a.parquet", 3, paired=tmp_path / "b.parquet", seed=3, pileup=0,
        shared_draws=True,
    )  # fmt: skip
    assert ak.array_equal(hs.read(tmp_path / "a.parquet").array, hs.read(tmp_path / "b.parquet").array, equal_nan=True)


def test_a_pair_needs_two_files(tmp_path):
    with pytest.raises(SettingsError, match="same file"):
        hs.simulate_file("ttbar-semileptonic", tmp_path / "a.parquet", 2, paired=tmp_path / "x" / ".." / "a.parquet")


@pytest.mark.parametrize(
    ("process", "settings", "words"),
    [
        ("minbias", {}, "SoftQCD:inelastic"),
        ("qcd", {"foo": 1}, "no setting 'foo'"),
        ("qcd", {"n_minbias": -3}, "n_minbias"),
        ("qcd", {"n_minbias": 2.5}, "n_minbias"),
        ("none.hepmc", {}, "does not exist"),
        ("qcd", {"seed": -1}, "seed"),
    ],
)
def test_impossible_settings_are_named_before_any_work(process, settings, words):
    with pytest.raises(HardscatterError, match=words):
        hs.simulate(process, 2, **settings)


def test_numpy_integers_are_numbers():
    assert _Simulation("qcd", seed=np.int64(3), n_minbias=np.int32(7)).seed == 3
    with pytest.raises(SettingsError, match=r"n is 3\.0"):
        hs.simulate("qcd", 3.0)


def test_pileup_has_the_energy_of_the_command_file(tmp_path):
    (tmp_path / "own.cmnd").write_text("Beams:eCM = 8000. ! LHC Run 1\nHardQCD:all = on\nPhaseSpace:pTHatMin = 50\n")
    simulation = _Simulation(tmp_path / "own.cmnd")
    assert simulation.minbias.energy == 8000.0
    (tmp_path / "spread.cmnd").write_text("HardQCD:all = on\nBeams:allowVertexSpread = on\n")
    with pytest.raises(SettingsError, match="allowVertexSpread"):
        _Simulation(tmp_path / "spread.cmnd")


def test_pileup_from_a_histogram_file(tmp_path):
    (tmp_path / "mu.txt").write_text("0\n1\n3\n")
    assert pileup_of(f"hist:{tmp_path / 'mu.txt'}") == Histogram((0.0, 1.0, 3.0))
    with pytest.raises(SettingsError, match="hist"):
        pileup_of("hist:nowhere.txt")


def test_any_part_of_the_crossings_is_what_simulate_gives(events):
    crossings = Crossings("ttbar-semileptonic", 12, pairs=True, seed=3, **SMALL)
    part, alone = crossings[4:7]
    assert len(crossings) == 12
    for name in ("pt", "eta", "phi", "dz"):
        assert ak.array_equal(part.candidates[name], events[4:7].candidates[name], equal_nan=True)
    assert ak.to_list(alone.event) == [4, 5, 6]
    assert ak.mean(alone.n_candidates) < 0.3 * ak.mean(part.n_candidates)
    assert Crossings("ttbar-semileptonic", 12, seed=3, **SMALL)[10:99][1] is None


def _every_third(collisions):
    return np.where(np.arange(len(collisions)) % 3 == 1, 3.0, 0.0)


def test_a_selection_takes_what_it_likes_and_weighs_it():
    every = Crossings("ttbar-semileptonic", 12, seed=3, **SMALL)
    some = Crossings("ttbar-semileptonic", 4, seed=3, select=_every_third, **SMALL)
    events, _ = some[:]
    assert ak.to_list(events.generator_weight) == [3.0] * 4
    assert ak.array_equal(events.truth.particles.pt, every[:][0][1::3].truth.particles.pt)
    # Four of weight 3 of the eleven up to the last one taken.
    assert some.cross_section == pytest.approx(every.cross_section * 12 / 11)


def test_a_selection_grows_the_library_until_there_is_enough():
    some = Crossings("ttbar-semileptonic", 30, seed=3, pileup=0, select=_every_third)
    assert len(some[25:30][0]) == 5
