"""Settings of a training: from YAML and the command line, closed, and one sentence for what does not fit."""

from __future__ import annotations

import pytest

pytest.importorskip("torch")
from hardscatter.errors import SettingsError
from hardscatter.training import Machine, configurations, load_configuration
from hardscatter.training.configuration import Optimiser, Training, parse, save_configuration
from hardscatter.training.module import make_network, share
from hardscatter.training.objectives import Sum
from small_trainings import small

SHORT = "name: mine\nobjective:\n  - loss: met\n  - loss: swd:paper\n    settings: {slices: 8}\n"


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(SHORT)
    return path


@pytest.mark.parametrize("name", sorted(configurations()))
def test_packaged_configurations_are_whole(name):
    training = load_configuration(name)
    assert training.name == name
    assert Sum.of(training.objective).terms
    assert sum(parameter.numel() for parameter in make_network(training).parameters()) > 1000
    assert training.data.seed != training.validation.seed


def test_the_published_method_has_the_published_sizes():
    training = load_configuration("total-paper")
    (_, sliced), (_, met) = Sum.of(training.objective).terms.values()
    assert (sliced.loss.slices, sliced.loss.scale) == (128, 1000.0)
    assert sliced.loss.features == ("eta", "phi", "log_pt", "scaled_log_energy")
    assert met.loss.scale == 1e-3  # GeV⁻²: λ = 1e-6 relative to an unscaled distance
    assert [factor for factor, _ in Sum.of(training.objective).terms.values()] == [1.0, 100.0]  # λ: docs/total.md
    assert 100_000 < sum(parameter.numel() for parameter in make_network(training).parameters()) < 120_000


def test_yaml_of_ones_own(own):
    training = load_configuration(own)
    assert training.name == "mine"
    assert [term.loss for term in training.objective] == ["met", "swd:paper"]
    assert training.objective[1].settings == {"slices": 8}
    assert training.length.rounds == Training("x", training.objective).length.rounds


@pytest.mark.parametrize(
    ("change", "place", "value"),
    [
        ("length.rounds=20", ("length", "rounds"), 20),
        ("optimiser.rate=1e-3", ("optimiser", "rate"), 1e-3),
        ("optimiser.rate=2.5E-4", ("optimiser", "rate"), 2.5e-4),
        ("objective.1.factor=0", ("objective", 1, "factor"), 0.0),
        ("objective.1.settings.slices=4", ("objective", 1, "settings"), {"slices": 4}),
        ("objective.0.settings.scale=2", ("objective", 0, "settings"), {"scale": 2}),
        ("network.encoder=[16, 8]", ("network", "encoder"), (16, 8)),
        ("network.head=[]", ("network", "head"), ()),
        ("data.processes=[qcd]", ("data", "processes"), ("qcd",)),
        ("data.pileup=60", ("data", "pileup"), "60"),
        ("data.pileup=flat:0-200", ("data", "pileup"), "flat:0-200"),
        ("name=2026", ("name",), "2026"),
        ("name=a=b", ("name",), "a=b"),
    ],
)
def test_set_changes_one_setting(own, change, place, value):
    def at(training):
        for part in place:
            training = training[part] if isinstance(part, int) else getattr(training, part)
        return training

    plain, changed = load_configuration(own), load_configuration(own, [change])
    assert at(changed) == value
    assert type(at(changed)) is type(value)
    assert at(plain) != value
    assert load_configuration(own, [change, change]) == changed


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ("length.rounds", "write it as key=value"),
        ("=3", "write it as key=value"),
        ("lenght.rounds=3", "own.yaml: lenght: "),
        ("length.round=3", "own.yaml: length.round: "),
        ("length.rounds=many", "own.yaml: length.rounds: "),
        ("length.rounds=0", "own.yaml: length.rounds: "),
        ("length.rounds=1.5", "own.yaml: length.rounds: "),
        ("length.rounds=", "own.yaml: length.rounds: "),
        ("length.rounds.x=3", "own.yaml: length.rounds: "),  # the file has no section length
        ("objective.0.loss.x=3", "--set objective.0.loss.x=3: there is no such setting"),
        ("name.x=3", "--set name.x=3: there is no such setting"),
        ("objective.7.factor=0", "--set objective.7.factor=0: there is no such setting"),
        ("objective.first.factor=0", "there is no such setting"),
        ("objective.0.factor=-1", "own.yaml: objective.0.factor: "),
        ("objective.0.factor=.nan", "own.yaml: objective.0.factor: "),
        ("objective.0.weight=1", "own.yaml: objective.0.weight: "),
        ("objective=[]", "own.yaml: objective: "),
        ("name=[1,", "--set name=[1,: [1, is not YAML"),
        ("data.processes=qcd", "own.yaml: data.processes: "),
        ("data.noise=loud", "own.yaml: data.noise: "),
        ("data.seed=-1", "own.yaml: data.seed: "),
        ("data.seed=102", "own.yaml: the whole: validation and training crossings share a seed"),
        ("optimiser.rate=.inf", "own.yaml: optimiser.rate: "),
        ("missing.field=1.1", "own.yaml: missing.field: "),
        ("network.first_hop=cooked", "own.yaml: network.first_hop: "),
        ("network.kind=spiral", "own.yaml: network: "),
        ("network={kind: gated, encoder: [4]}", "own.yaml: network.encoder: "),
        ("data={files: [some.root]}", "own.yaml: data.validation_files: "),
        ("data={files: [a.root], validation_files: [b.root]}", "only the loss masked learns from them"),
        ("objective=[{loss: masked}]", "set masking"),
        ("masking.leading=2", "own.yaml: masking.leading: "),
    ],
)
def test_a_setting_that_does_not_fit_gets_one_sentence(own, change, words):
    with pytest.raises(SettingsError) as caught:
        load_configuration(own, [change])
    sentence = str(caught.value)
    assert words in sentence
    assert "\n" not in sentence
    assert sentence.endswith(".")
    assert "Crossings" not in sentence


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (None, "cannot be read: give a YAML file or one of"),
        ("name: [", "is not YAML"),
        ("", "holds no settings"),
        ("- a list", "holds no settings"),
        ("name: x", "objective"),
        ("objective: [{loss: met}]", "name"),
        (SHORT + "1: 2\n", "own.yaml"),
        (SHORT + "length:\n", "own.yaml: length: "),
        (SHORT + "extra: 1\n", "own.yaml: extra: "),
        ("name: x\nobjective: [{loss: met, factor: 0}]\n", "factor 0: nothing would be trained"),
        (b"name: \xff", "cannot be read"),
    ],
)
def test_a_bad_file_gets_one_sentence(tmp_path, content, words):
    path = tmp_path / "own.yaml"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SettingsError) as caught:
        load_configuration(path)
    assert words in str(caught.value)
    assert "own.yaml" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_an_unknown_name_lists_what_there_is():
    with pytest.raises(SettingsError, match=r"one of .*supervised.*total-paper"):
        load_configuration("total-papre")


@pytest.mark.parametrize("name", sorted(configurations()))
def test_a_saved_configuration_is_the_same(name, tmp_path):
    training = load_configuration(name, ["optimiser.rate=1e-5", "objective.0.settings={}"])
    save_configuration(training, tmp_path / "saved.yaml")
    again = load_configuration(tmp_path / "saved.yaml")
    assert again == training
    assert type(again.data) is type(training.data)
    assert parse(Training, training.to_dict(), "plain") == training
    assert [path.name for path in tmp_path.iterdir()] == ["saved.yaml"]


def test_settings_are_frozen_and_the_machine_is_no_part_of_them():
    with pytest.raises(AttributeError):
        small().name = "other"
    assert "workers" not in str(small().to_dict())
    for wrong in ({"devices": 0}, {"workers": -1}, {"precision": "16"}, {"accelerator": "tpu"}, {"gpu": 1}):
        with pytest.raises(SettingsError, match=f"machine: {next(iter(wrong))}: "):
            parse(Machine, wrong, "machine")


def test_the_rate_warms_up_then_falls_to_one_percent():
    optimiser = Optimiser(warmup=3, schedule="cosine")
    rates = [share(optimiser, step, 1000) for step in range(1001)]
    assert rates[:3] == pytest.approx([0.25, 0.5, 0.75], rel=1e-3)
    assert rates[3] == pytest.approx(1.0, rel=1e-3)
    assert rates[500] == pytest.approx(0.505)
    assert rates[1000] == pytest.approx(0.01)
    assert rates[3:] == sorted(rates[3:], reverse=True)
    assert share(optimiser, 2000, 1000) == pytest.approx(0.01)
    assert share(Optimiser(warmup=0, schedule="constant"), 0, 10) == 1.0
