"""What to generate: names, options, lines for Pythia, seeds; every mistake is one sentence."""

from __future__ import annotations

import json

import pytest

from hardscatter.errors import HardscatterError, SettingsError, UnknownProcessError, UnreadableFileError
from hardscatter.generate import Generation, build, library_folder, processes
from hardscatter.generate.pythia import LARGEST_SEED, chunk_seed, run_chunk

NAMES = [
    "minbias",
    "qcd",
    "ttbar-dileptonic",
    "ttbar-semileptonic",
    "ttbar-hadronic",
    "vbf-h-invisible",
    "hh-4b",
    "wjets",
    "znunu-jets",
    "znunu-jets-boosted",
    "zll-jets",
    "gamma-jets",
    "zprime-tt",
    "wprime-dijets",
    "soft-unclustered",
]


def test_named_processes():
    assert list(processes()) == NAMES
    assert all("\n" not in line for line in processes().values())


def test_unknown_process_lists_those_that_exist():
    with pytest.raises(UnknownProcessError, match=r"no process 'ttbar'.*ttbar-hadronic.*\.cmnd") as caught:
        Generation("ttbar")
    assert "\n" not in str(caught.value)
    with pytest.raises(UnknownProcessError, match=r"'qdc' \(did you mean qcd\?\): take one of minbias"):
        Generation("qdc")
    with pytest.raises(UnknownProcessError, match=r"no process '': take"):
        Generation("")


@pytest.mark.parametrize("name", NAMES)
def test_defaults_are_resolved_and_survive_json(name):
    generation = Generation(name, seed=5)
    assert generation.energy == 14000.0
    assert generation.tune == "monash"
    again = Generation(**json.loads(json.dumps(generation.to_dict())))
    assert again == generation
    assert hash(again) == hash(generation)
    assert again.fingerprint() == generation.fingerprint()


def test_fingerprint_knows_every_option():
    variations = [
        Generation("minbias"),
        Generation("minbias", seed=2),
        Generation("minbias", energy=13600),
        Generation("minbias", tune="cp5"),
        Generation("minbias", elastic=True),
        Generation("zprime-tt"),
        Generation("zprime-tt", mass=3000),
    ]
    assert len({generation.fingerprint() for generation in variations}) == len(variations)
    assert len({library_folder(generation) for generation in variations}) == len(variations)
    assert Generation("minbias", energy=14000, tune="monash") == Generation("minbias")


def test_options_reach_pythia():
    (lines,) = Generation("zprime-tt", energy=13600, mass=1500, tune="cp5").settings()
    assert {"Beams:eCM = 13600", "32:m0 = 1500", "PDF:pSet = 20", "ParticleDecays:tau0Max = 10"} <= set(lines)
    assert "SoftQCD:all = on" in Generation("minbias", elastic=True).settings()[0]
    assert "Tune:pp = 5" in Generation("minbias", tune="4c").settings()[0]
    assert len(Generation("ttbar-semileptonic").settings()) == 2


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"process": "qcd", "mass": 2000}, "no mass to choose"),
        ({"process": "qcd", "elastic": True}, "belongs to minbias"),
        ({"process": "qcd", "tune": "a14"}, "no tune 'a14': take one of monash, cp5, 4c"),
        ({"process": "qcd", "seed": -1}, "seed -1"),
        ({"process": "qcd", "seed": 1.5}, "seed 1.5"),
        ({"process": "qcd", "energy": 14}, "energy 14 GeV"),
        ({"process": "qcd", "energy": float("nan")}, "energy nan GeV"),
        ({"process": "zprime-tt", "mass": 9000}, "mass 9000 GeV"),
        ({"process": "qcd", "cmnd": "HardQCD:all = on"}, "takes no command file"),
        ({"process": "cmnd"}, "needs the text"),
        ({"process": "cmnd", "cmnd": "HardQCD:all = on", "mass": 500}, "says itself"),
        ({"process": "cmnd", "cmnd": "Beams:frameType = 4\nBeams:LHEF = a.lhe"}, "LHE file"),
    ],
)
def test_impossible_options(options, sentence):
    with pytest.raises(SettingsError, match=sentence):
        Generation(**options)


def test_command_file(tmp_path):
    file = tmp_path / "my run.cmnd"
    file.write_text("! a comment\n/* out\nTop:all = on\n*/\nHardQCD:all = on ! on\n\nBeams:eCM = 8000.\n")
    generation = Generation.of(file, seed=3)
    assert generation.energy is None
    assert generation.settings()[0][-2:] == ("HardQCD:all = on", "Beams:eCM = 8000.")
    assert Generation.of(str(file), energy=900).settings()[0][-1] == "Beams:eCM = 900"
    assert Generation.of("qcd") == Generation("qcd")
    file.write_bytes(b"\xff\xfe\x00")
    for bad in (file, tmp_path / "missing.cmnd"):
        with pytest.raises(UnreadableFileError, match=bad.name):
            Generation.of(bad)


def test_pythia_refuses():
    with pytest.raises(SettingsError, match="'HardQCD:everything = on'"):
        run_chunk(Generation("cmnd", cmnd="HardQCD:everything = on"), 0, 1, None)
    with pytest.raises(SettingsError, match="cannot start"):
        run_chunk(Generation("cmnd", cmnd="PDF:pSet = 13"), 0, 1, None)


def test_pythia_that_never_succeeds_is_given_up():
    hopeless = "Top:gg2ttbar = on\nCheck:epTolErr = 1e-30\nCheck:epTolWarn = 1e-30\nPartonLevel:MPI = off"
    with pytest.raises(HardscatterError, match="fails nearly always"):
        run_chunk(Generation("cmnd", cmnd=hopeless), 0, 1, None)


def test_seeds_differ_and_are_allowed():
    seeds = [chunk_seed(seed, number, v) for seed in (0, 1, 2**62) for number in range(300) for v in (0, 1)]
    assert len(set(seeds)) == len(seeds)
    assert min(seeds) >= 1
    assert max(seeds) <= LARGEST_SEED


@pytest.mark.parametrize("options", [{"n": 0}, {"n": 1, "workers": 0}, {"n": 1, "chunk_size": 0}])
def test_build_wants_at_least_one(options, tmp_path):
    with pytest.raises(SettingsError, match="at least 1"):
        build(Generation("qcd"), folder=tmp_path, **options)
