"""Trainings of seconds, from configuration to exported model: what they write, resume, refuse and never look at."""

from __future__ import annotations

import itertools
import json
import math
import os
import pickle
import shutil
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import awkward as ak
import matplotlib.image
import numpy as np
import onnxruntime
import pytest

torch = pytest.importorskip("torch")
import hardscatter as hs  # noqa: E402
from hardscatter.detector import load_card  # noqa: E402
from hardscatter.errors import HardscatterError, SettingsError, UnreadableFileError, UnwritableFileError  # noqa: E402
from hardscatter.pileup.features import DEFAULT_SCHEMA  # noqa: E402
from hardscatter.pileup.links import Nearest  # noqa: E402
from hardscatter.threads import threads  # noqa: E402
from hardscatter.training import Machine, configurations, history, load, load_configuration, train  # noqa: E402
from hardscatter.training.configuration import (  # noqa: E402
    Crossings,
    NoisyCrossings,
    ParticleLevelCrossings,
    save_configuration,
)
from hardscatter.training.curves import draw  # noqa: E402
from hardscatter.training.data import CrossingBatches  # noqa: E402
from hardscatter.training.export import export, model_card  # noqa: E402
from hardscatter.training.objectives import resolved  # noqa: E402
from small_trainings import SMALL, batch, small  # noqa: E402

HERE = Machine(accelerator="cpu", workers=0)
LIBRARIES = {"pileup": 5, "seed": 11, "n_minbias": 60}


@pytest.fixture(scope="module", autouse=True)
def _cache(collisions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(collisions))
        patch.setattr("hardscatter.threads._threads", 1)
        yield


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    """A training of three rounds in one go."""
    folder = tmp_path_factory.mktemp("runs") / "whole"
    train(small(), folder, HERE)
    return folder


def parameters(checkpoint):
    return torch.load(checkpoint, weights_only=True)["state_dict"]


def equal(one, other):
    one, other = parameters(one), parameters(other)
    return list(one) == list(other) and all(torch.equal(one[name], other[name]) for name in one)


def files(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())


def same_run(folder, other):
    """Tell whether two folders hold the same training to the last bit, times left out."""
    checkpoints = [name for name in files(other) if name.endswith(".ckpt")]
    assert files(folder) == files(other)
    assert [line["values"] for line in history(folder)] == [line["values"] for line in history(other)]
    assert [line["round"] for line in history(folder)] == [line["round"] for line in history(other)]
    assert [line["crossings"] for line in history(folder)] == [line["crossings"] for line in history(other)]
    return all(equal(folder / name, other / name) for name in checkpoints)


# What the network learns from


def test_the_stream_is_a_list_that_never_ends():
    settings = {"cards": ["cms-phase2", "delphes-phase2"], "n_hard": 5, "step": 2, **LIBRARIES}
    batches = list(itertools.islice(hs.stream("ttbar-semileptonic", **settings), 12))  # two passes and more
    stream = hs.stream("ttbar-semileptonic", **settings)
    for index in (7, 2, 11, 2):
        for one, other in zip(stream[index], batches[index], strict=True):
            assert ak.array_equal(one.array, other.array, equal_nan=True)
    hashes = [events.metadata["detector"]["hash"] for _, events in batches]
    assert hashes == [load_card("cms-phase2").hash(), load_card("delphes-phase2").hash()] * 6
    assert {len(events) for _, events in batches} == {2}
    for kind in (0, 1):
        met = np.concatenate([ak.to_numpy(events.truth.met.pt) for _, events in batches[kind::2]]).round(3).tolist()
        assert len(set(met[:5])) == 5  # each collision once in a pass, in another order each time
        assert set(met[:5]) == set(met[5:10])
        assert met[:5] != met[5:10]
    numbers = np.concatenate([ak.to_numpy(events.event) for _, events in batches])
    assert len(set(numbers)) == len(numbers)
    directions = np.concatenate([ak.to_numpy(events.truth.met.phi) for _, events in batches])
    pileup = np.concatenate([ak.to_numpy(ak.sum(events.candidates.pt, axis=1)) for _, events in batches])
    assert len(set(directions)) == len(set(pileup)) == 24


def nonsense(array):
    """Return an array of the same shape in which every number is another."""

    def changed(layout, **_):
        if not layout.is_numpy:
            return None
        data = np.asarray(layout.data)
        return ak.contents.NumpyArray(~data if data.dtype == bool else (3 - 2 * data).astype(data.dtype))

    return ak.transform(changed, array)


def test_nothing_true_reaches_the_network_or_a_loss_without_labels():
    alone, events = hs.stream("ttbar-semileptonic", n_hard=5, step=3, **LIBRARIES)[0]
    assert {"hard_fraction", "jets", "met", "particles", "leptons", "n_interactions"} <= set(events.truth.fields)
    honest = batch(alone, events, missing=(0.2, 0.2))
    for field in events.truth.fields:
        lies = [
            each.with_field("truth", ak.with_field(each.truth, nonsense(each.truth[field]), field))
            for each in (alone, events)
        ]
        assert not ak.array_equal(lies[1].truth[field], events.truth[field], equal_nan=True), field
        told = batch(*lies, missing=(0.2, 0.2))
        for part in ("inputs", "crossings", "alone"):
            for name, tensor in vars(getattr(honest, part)).items():
                assert torch.equal(getattr(getattr(told, part), name), tensor), (field, part, name)
        assert torch.equal(told.hard_fraction, honest.hard_fraction) == (field != "hard_fraction")


@pytest.mark.parametrize("crossings", [3, 8])
def test_batches_have_their_size_and_their_number_says_which(crossings):
    data = Crossings(("ttbar-semileptonic",), ("cms-phase2", "delphes-phase2"), "5", 11, 5, 60)
    some, other = (CrossingBatches(data, crossings, Nearest(k=4), (0.1, 0.1), 1) for _ in range(2))
    first = [some[index] for index in range(2 * some.block)]
    sums = [each.crossings.kinematics[:, 0].sum().item() for each in first]
    assert len(set(sums)) == len(first)
    for index, each in enumerate(first):
        assert len(each.crossings.offsets) == len(each.alone.offsets) == crossings + 1
        assert each.number == index
    last = 2 * some.block - 1
    again = other[last]
    assert torch.equal(again.inputs.features, first[last].inputs.features)
    assert torch.equal(again.inputs.neighbours, first[last].inputs.neighbours)
    assert torch.equal(again.alone.kinematics, first[last].alone.kinematics)
    # Neighbours stay within their crossing.
    offsets = again.crossings.offsets
    owner = torch.repeat_interleave(torch.arange(crossings), offsets.diff())
    there = again.inputs.neighbours >= 0
    assert there.any()
    assert torch.equal(owner[again.inputs.neighbours[there]], owner[:, None].expand_as(there)[there])


# What a training writes


def full(training):
    """Write out the defaults of every loss, as a run does."""
    return replace(training, objective=resolved(training.objective))


def test_a_training_leaves_all_that_is_needed(whole):
    assert files(whole) == ["best.ckpt", "history.jsonl", "last.ckpt", "snapshots/round-0002.ckpt", "training.yaml"]
    written = load_configuration(whole / "training.yaml")  # with the defaults of every loss
    assert written == full(small())
    assert written.objective[1].settings["mass_penalty"] == 1.0
    rounds = history(whole)
    assert [line["round"] for line in rounds] == [1, 2, 3]
    assert [line["crossings"] for line in rounds] == [4, 8, 12]
    terms = ("hard_fraction", "kept", "loss", "met", "swd:mass")
    names = [f"{stage}/{term}" for stage in ("train", "validation") for term in terms]
    for line in rounds:
        assert list(line["values"]) == names
        assert all(math.isfinite(value) for value in line["values"].values())
        hard, sliced = (line["values"][f"train/{name}"] for name in ("hard_fraction", "swd:mass"))
        assert line["values"]["train/loss"] == pytest.approx(hard + 0.1 * sliced, rel=1e-5)
        assert 0 <= line["waiting"] <= 1
        assert line["version"] == hs.__version__
    assert not equal(whole / "last.ckpt", whole / "snapshots" / "round-0002.ckpt")
    training, module, seen = load(whole / "snapshots" / "round-0002.ckpt")
    assert training == full(small())
    assert seen == {"round": 2, "crossings": 8, "precision": "32-true"}
    assert not module.training


def test_each_round_brings_other_crossings_and_the_same_validation(tmp_path):
    train(small(optimiser={"rate": 1e-30}), tmp_path, HERE)
    rounds = [line["values"] for line in history(tmp_path)]
    assert len({values["train/met"] for values in rounds}) == 3
    assert len({values["validation/met"] for values in rounds}) == 1
    assert len({values["validation/swd:mass"] for values in rounds}) == 1


def test_threads_are_as_before(tmp_path, monkeypatch):
    monkeypatch.setattr("hardscatter.threads._threads", 2)
    before = torch.get_num_threads()
    seen = []
    train(
        small(length={"rounds": 1}), tmp_path, Machine(accelerator="cpu", workers=0, threads=before + 1),
        on_round=lambda _: seen.append((threads(), torch.get_num_threads())),
    )  # fmt: skip
    assert seen == [(before + 1, before + 1)]
    assert (threads(), torch.get_num_threads()) == (2, before)


@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_the_loss_falls(tmp_path, precision):
    objective = [{"loss": "hard_fraction"}]
    training = small(objective=objective, optimiser={"rate": 0.01, "warmup": 0}, length={"rounds": 3, "steps": 8})
    train(training, tmp_path, Machine(accelerator="cpu", workers=0, precision=precision))
    values = [line["values"]["validation/loss"] for line in history(tmp_path)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < 0.9 * values[0]


@pytest.fixture
def validated(monkeypatch):
    """Return a function that fixes the validation losses of the rounds to come."""

    def fix(*values):
        def validation_step(module, pair, _):
            loss = torch.tensor(values[module.current_epoch])
            module._log("validation", {"loss": loss, "kept": torch.ones(())}, pair)

        monkeypatch.setattr("hardscatter.training.module.Weighing.validation_step", validation_step)

    return fix


def test_the_best_checkpoint_has_the_least_validation_loss(tmp_path, validated):
    validated(3.0, 1.0, 2.0, 1.0, 5.0)
    training = small(length={"rounds": 5, "snapshots": 1})
    with pytest.raises(StoppedError):
        train(training, tmp_path, HERE, on_round=stop_after(3, StoppedError()))
    assert train(training, tmp_path, HERE, resume=True) == tmp_path / "best.ckpt"
    assert equal(tmp_path / "best.ckpt", tmp_path / "snapshots" / "round-0002.ckpt")
    assert load(tmp_path)[2]["round"] == 2


@pytest.mark.parametrize("name", sorted(configurations()))
def test_every_packaged_configuration_trains(name, tmp_path):
    plain = load_configuration(name)
    workshop = isinstance(plain.data, ParticleLevelCrossings)
    changes = [
        "data.samples=[dijets020]" if workshop else "data.processes=[ttbar-semileptonic]", "data.seed=11",
        "data.n_hard=9", "validation.seed=12", "validation.n_hard=4", "validation.batches=1", "length.rounds=1",
        "length.steps=1", "length.crossings=1",
    ]  # fmt: skip
    if plain.data.pileup != "0":
        pileup = "2" if plain.data.pileup == "2" else "5"  # exact transport is for little pileup
        changes += [f"data.pileup={pileup}", "data.n_minbias=60", "validation.n_minbias=60"]
    if name == "total-spread":
        changes.append("objective.0.settings.models=[total, total]")  # its own members are not shipped
    train(load_configuration(name, changes), tmp_path / "run", HERE)
    _, module, seen = load(tmp_path / "run")
    assert seen == {"round": 1, "crossings": 1, "precision": "32-true"}
    assert all(torch.isfinite(parameter).all() for parameter in module.parameters())


def test_without_pileup_no_minimum_bias_is_made(tmp_path, monkeypatch):
    made = []
    monkeypatch.setattr("hardscatter.training.run.build", lambda generation, n, **_: made.append(generation.process))
    train(small(data={"pileup": 0, "n_minbias": 10**9}, length={"rounds": 1}), tmp_path, HERE)
    assert made == ["ttbar-semileptonic"] * 2


def test_noise_instead_of_pileup(tmp_path):
    training = small(data={"noise": {}, "pileup": 0})
    assert isinstance(training.data, NoisyCrossings)
    train(training, tmp_path, HERE)
    assert load(tmp_path)[0] == full(training)


# Going on


class StoppedError(Exception):
    """Something that went wrong."""


def stop_after(number, problem):
    def on_round(progress):
        if progress.round == number:
            raise problem

    return on_round


@pytest.mark.parametrize(
    ("number", "problem"), [(1, KeyboardInterrupt()), (1, SystemExit(143)), (2, StoppedError()), (3, StoppedError())]
)
def test_a_training_goes_on_where_it_was_to_the_last_bit(whole, tmp_path, number, problem):
    folder = tmp_path / "stopped"
    with pytest.raises(type(problem)) as caught:
        train(small(), folder, HERE, on_round=stop_after(number, problem))
    if isinstance(problem, SystemExit):
        assert caught.value.code == 143
    assert len(history(folder)) == number
    assert not list(folder.rglob("*.partial"))
    moved = folder.rename(tmp_path / "moved")
    told = []
    best = train(small(), moved, HERE, resume=True, on_round=told.append)
    assert best == moved / "best.ckpt"
    assert [progress.round for progress in told] == [1, 2, 3][number:]
    assert same_run(moved, whole)


def test_ctrl_c_stays_what_it_was(tmp_path):
    before = signal.getsignal(signal.SIGINT)  # a job in the background ignores it
    with pytest.raises(KeyboardInterrupt):
        train(small(), tmp_path, HERE, on_round=stop_after(1, KeyboardInterrupt()))
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [0, 1])
def test_what_a_kill_left_of_a_round_is_forgotten(whole, tmp_path, number):
    """As if killed while round `number` + 1 was written: its line, best and snapshot are there, the last is not."""
    folder = tmp_path / "killed"
    with pytest.raises(StoppedError):
        train(small(), folder, HERE, on_round=stop_after(1, StoppedError()))
    if number == 0:
        (folder / "last.ckpt").unlink()
    else:
        line = {**history(folder)[0], "round": 2}
        with (folder / "history.jsonl").open("a") as file:
            file.write(json.dumps(line) + '\n{"round": 3, "va')
    (folder / "snapshots").mkdir()
    for name in ("best.ckpt", "snapshots/round-0002.ckpt"):
        shutil.copy(whole / "last.ckpt", folder / name)
    (folder / "last.ckpt.partial").write_bytes(b"half")
    train(small(), folder, HERE, resume=True)
    assert same_run(folder, whole)


def test_a_finished_training_is_left_alone(whole, tmp_path):
    folder = shutil.copytree(whole, tmp_path / "copy")
    before = {name: (folder / name).read_bytes() for name in files(folder)}
    told = []
    assert train(small(), folder, HERE, resume=True, on_round=told.append) == folder / "best.ckpt"
    assert told == []
    assert {name: (folder / name).read_bytes() for name in files(folder)} == before


def test_patience_ends_and_is_remembered(tmp_path, validated):
    validated(3.0, 1.0, 2.0, 1.0, 5.0)
    training = small(length={"rounds": 5, "patience": 2})
    with pytest.raises(StoppedError):
        train(training, tmp_path, HERE, on_round=stop_after(3, StoppedError()))
    train(training, tmp_path, HERE, resume=True)
    assert len(history(tmp_path)) == 4  # the second was the best, then two without a better one
    train(training, tmp_path, HERE, resume=True)
    assert len(history(tmp_path)) == 4


def test_a_loss_that_is_not_finite_is_an_error(tmp_path, validated):
    validated(1.0, math.nan, 1.0)
    for resume in (False, True):
        with pytest.raises(SettingsError, match=r"the loss is not finite after round 2: try a lower optimiser.rate"):
            train(small(), tmp_path, HERE, resume=resume)
    assert load(tmp_path)[2]["round"] == 1


@pytest.mark.parametrize(
    ("changes", "resume", "error", "words"),
    [
        ({}, False, SettingsError, "holds a training already: resume it"),
        ({"seed": 2}, False, SettingsError, "holds a training already"),
        ({"seed": 2}, True, SettingsError, "holds a training with other settings"),
        ({"length": {"rounds": 4}}, True, SettingsError, "holds a training with other settings"),
    ],
)
def test_another_training_is_not_overwritten(whole, changes, resume, error, words):
    before = {name: (whole / name).read_bytes() for name in files(whole)}
    with pytest.raises(error, match=words):
        train(small(**changes), whole, HERE, resume=resume)
    assert {name: (whole / name).read_bytes() for name in files(whole)} == before


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"data": {"processes": ["nonsense"]}}, "no process 'nonsense'"),
        ({"data": {"processes": []}}, "data.processes"),
        ({"data": {"cards": []}}, "data.cards"),
        ({"data": {"cards": ["nonsense"]}}, "no detector card 'nonsense'"),
        ({"data": {"pileup": "lots"}}, "pileup 'lots'"),
        ({"objective": [{"loss": "nonsense"}]}, "no loss 'nonsense'"),
    ],
)
def test_what_cannot_be_trained_leaves_no_folder(tmp_path, changes, words):
    with pytest.raises(HardscatterError, match=words):
        train(small(**changes), tmp_path / "run", HERE)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_machine_that_is_not_there(tmp_path):
    with pytest.raises(SettingsError, match="machine: ") as caught:
        train(small(), tmp_path / "run", Machine(accelerator="gpu"))
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_used(whole, tmp_path):
    with pytest.raises(SettingsError, match="holds no training to resume"):
        train(small(), tmp_path / "nowhere", HERE, resume=True)
    (tmp_path / "thesis.tex").write_text("precious")
    with pytest.raises(SettingsError, match="holds other files"):
        train(small(), tmp_path, HERE)
    with pytest.raises(UnwritableFileError, match="cannot be written"):
        train(small(), tmp_path / "thesis.tex", HERE)
    assert files(tmp_path) == ["thesis.tex"]
    folder = shutil.copytree(whole, tmp_path / "damaged")
    (folder / "last.ckpt").write_bytes((folder / "last.ckpt").read_bytes()[:-300])
    with pytest.raises(UnreadableFileError, match=r"last.ckpt is damaged"):
        train(small(), folder, HERE, resume=True)
    folder = shutil.copytree(whole, tmp_path / "two")
    state = torch.load(folder / "last.ckpt", weights_only=True)
    torch.save({**state, "devices": 2}, folder / "last.ckpt")
    with pytest.raises(SettingsError, match="on 2 devices"):
        train(small(), folder, HERE, resume=True)
    folder = shutil.copytree(whole, tmp_path / "edited")
    (folder / "training.yaml").write_text("name: [")
    with pytest.raises(SettingsError, match=r"training.yaml is not YAML"):
        train(small(), folder, HERE, resume=True)


# What comes out


class Bomb:
    """What somebody might hide in a checkpoint."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def test_nothing_else_is_loaded_and_nothing_executed(whole, tmp_path):
    fired = tmp_path / "fired"
    for name, write in {
        "random.ckpt": lambda path: path.write_bytes(np.random.default_rng(1).bytes(5000)),
        "empty.ckpt": lambda path: path.write_bytes(b""),
        "bomb.ckpt": lambda path: path.write_bytes(pickle.dumps(Bomb(fired))),
        "zipped.ckpt": lambda path: torch.save({"state_dict": Bomb(fired), "epoch": 1}, path),
        "other.ckpt": lambda path: torch.save({"state_dict": {"a": torch.ones(1)}, "epoch": 1}, path),
        "number.ckpt": lambda path: torch.save(7, path),
        "half.ckpt": lambda path: path.write_bytes((whole / "best.ckpt").read_bytes()[:4000]),
        "nowhere.ckpt": lambda path: None,
    }.items():
        folder = tmp_path / name.removesuffix(".ckpt")
        folder.mkdir()
        save_configuration(small(), folder / "training.yaml")
        write(folder / name)
        with pytest.raises(UnreadableFileError, match=name) as caught:
            load(folder / name)
        assert "\n" not in str(caught.value)
    assert not fired.exists()
    with pytest.raises(UnreadableFileError, match=r"best.ckpt is no checkpoint"):
        load(tmp_path / "random")
    shutil.copy(whole / "best.ckpt", tmp_path / "best.ckpt")
    with pytest.raises(UnreadableFileError, match=r"its training.yaml beside it"):
        load(tmp_path / "best.ckpt")
    with pytest.raises(UnreadableFileError, match="no history"):
        history(tmp_path)


def test_a_model_says_all_that_made_it(whole, tmp_path):
    lines = []
    output = tmp_path / "model.onnx"
    card = export(whole, output, say=lines.append)
    assert files(tmp_path) == ["model.md", "model.onnx"]
    assert [line.split(": ")[0] for line in lines] == [
        f"ONNX against torch, {n} candidates" for n in (0, 1, 20, 500, 9000)
    ]
    about = onnxruntime.InferenceSession(output).get_modelmeta().custom_metadata_map
    best = int(np.argmin([line["values"]["validation/loss"] for line in history(whole)])) + 1
    assert about["name"] == "small"
    assert about["version"] == hs.__version__
    assert about["schema_hash"] == DEFAULT_SCHEMA.hash()
    assert json.loads(about["training"]) == full(small()).to_dict()
    assert json.loads(about["seen"]) == {"round": best, "crossings": 4 * best, "precision": "32-true"}
    assert json.loads(about["cards"]) == {"cms-phase2": load_card("cms-phase2").hash()}
    assert float(about["largest_difference"]) < 1e-5
    text = card.read_text()
    for words in (
        "# Model card: small", "trained with per-particle labels", "pileup 5",
        "1 × `hard_fraction` + 0.1 × `swd:mass` + 0 × `met`",
        load_card("cms-phase2").hash(), DEFAULT_SCHEMA.hash(), f"{4 * best} crossings in {best} rounds",
        '"rate": 0.0005',
    ):  # fmt: skip
        assert words in text

    with pytest.raises(UnwritableFileError, match=r"model.onnx exists"):
        export(whole, output)
    output.unlink()
    with pytest.raises(UnwritableFileError, match=r"model.md exists"):
        export(whole, output)
    assert files(tmp_path) == ["model.md"]


@pytest.fixture
def quick_export(monkeypatch):
    """Take a few bytes for a checked model, which costs seconds."""

    def export_onnx(_, path, *__, **___):
        path.write_bytes(b"model")
        return 0.0

    monkeypatch.setattr("hardscatter.training.export.export_onnx", export_onnx)


def test_a_term_that_is_only_looked_at_is_no_label(tmp_path, quick_export):
    looked = small(objective=[{"loss": "met"}, {"loss": "hard_fraction", "factor": 0}], length={"rounds": 1})
    train(looked, tmp_path / "run", HERE)
    assert "without per-particle labels" in export(tmp_path / "run", tmp_path / "m.onnx").read_text()


def test_an_export_replaces_all_or_nothing(whole, tmp_path, quick_export, monkeypatch):
    output = tmp_path / "model.onnx"
    for checkpoint, path, error, words in (
        (whole, tmp_path / "model.pt", SettingsError, "ends in .onnx"),
        (whole, tmp_path / "nowhere" / "model.onnx", UnwritableFileError, "cannot be written"),
        (tmp_path, output, UnreadableFileError, "is no checkpoint"),
    ):
        with pytest.raises(error, match=words):
            export(checkpoint, path)
    output.write_text("precious")
    for function, problem in (
        ("export_onnx", SettingsError("weights differ")),
        ("model_card", OSError(28, "No space left")),
        ("model_card", KeyboardInterrupt()),
    ):
        with monkeypatch.context() as patch:
            patch.setattr(f"hardscatter.training.export.{function}", raiser(problem))
            with pytest.raises((KeyboardInterrupt, HardscatterError)):
                export(whole, output, overwrite=True)
        assert files(tmp_path) == ["model.onnx"]
        assert output.read_text() == "precious"
    export(whole / "best.ckpt", output, overwrite=True)
    assert output.read_bytes() == b"model"
    assert files(tmp_path) == ["model.md", "model.onnx"]


def raiser(problem):
    def function(*_, **__):
        raise problem

    return function


def test_the_curves(whole, tmp_path):
    one = tmp_path / "one"
    one.mkdir()
    (one / "history.jsonl").write_text((whole / "history.jsonl").read_text().splitlines()[0] + "\n")
    draw([str(one)], tmp_path / "one.pdf")
    draw([whole, one], tmp_path / "two.png")
    assert (tmp_path / "one.pdf").read_bytes().startswith(b"%PDF")
    image = np.round(255 * matplotlib.image.imread(tmp_path / "two.png")).astype(int)
    for colour in ((31, 119, 180), (255, 127, 14)):  # two runs, two colours
        assert np.all(image[:, :, :3] == colour, axis=2).sum() > 100
    with pytest.raises(UnreadableFileError, match="no history of a training"):
        draw([tmp_path], tmp_path / "none.png")


# The command line


@pytest.fixture
def own(tmp_path):
    path = tmp_path / "own.yaml"
    path.write_text(json.dumps(SMALL))  # JSON is YAML
    return path


def test_from_yaml_to_a_model_on_the_command_line(run, own, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("train", "--config", own, "--accelerator", "cpu", "--workers", 0, "--set", "length.rounds=2")
    code, out, err = run(*words)
    assert code == 0, err
    assert out == ""
    lines = [line for line in err.splitlines() if not line.startswith("#")]
    assert lines[0].startswith("round 1/2: 4 crossings, ")
    assert lines[-2] == "runs/small/best.ckpt: the best checkpoint"
    assert lines[-1] == "runs/small/curves.png: the learning curves"
    assert len(lines) == 4, lines  # nothing from Lightning
    assert (tmp_path / "runs/small/curves.png").stat().st_size > 5_000
    code, _, err = run(*words, "--resume")
    assert code == 0
    assert "round" not in err
    code, _, err = run(*words, "--set", "length.rounds=3", "--output", "told", "--progress", "json")
    assert code == 0, err
    told = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [(line["done"], line["total"]) for line in told if line["doing"] == "rounds"][-1] == (3, 3)
    assert {"minbias", *SMALL["data"]["processes"]} <= {line["doing"] for line in told}
    assert "round 1/3" not in err
    code, _, err = run(*words, "--output", "silent", "--progress", "none")
    assert [line.partition(":")[0] for line in err.splitlines()] == ["silent/best.ckpt", "silent/curves.png"]
    code, _, err = run("export", "runs/small", "small.onnx")
    assert code == 0
    assert "9000 candidates: largest difference" in err
    assert "small.onnx: run it with hardscatter mitigate --method small.onnx" in err
    assert (tmp_path / "small.md").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("--config", "nowhere.yaml"), "nowhere.yaml cannot be read: give a YAML file or one of"),
        (("--set", "length.rounds=many"), "length.rounds: "),
        (("--set", "rounds"), "--set rounds: write it as key=value"),
        (("--set", "objective.0.loss=mse"), "there is no loss 'mse'"),
        (("--set", "data.processes=[nonsense]"), "no process 'nonsense'"),
        (("--accelerator", "tpu"), "machine: accelerator: "),
        (("--precision", "16"), "machine: precision: "),
        (("--devices", 0), "machine: devices: "),
        (("--workers", -1), "machine: workers: "),
        (("--resume",), "holds no training to resume"),
        (("--output", "own.yaml"), "own.yaml cannot be written"),
        (("--output", "."), "holds other files"),
    ],
)
def test_wrong_words_get_one_sentence_and_leave_nothing(run, own, tmp_path, monkeypatch, arguments, words):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("train", "--config", own, "--accelerator", "cpu", *arguments)
    assert code == 1
    assert out == ""
    assert err.startswith("hardscatter: ")
    assert words in err
    assert err.count("\n") == 1, err
    assert files(tmp_path) == ["own.yaml"]


def test_a_model_card_names_cards_of_ones_own_without_the_folders_of_this_machine():
    training = small(data={"cards": ["/elsewhere/cards/mine.toml", "cms-phase2"]})
    codes = dict(zip(training.data.cards, ("abc", "def"), strict=True))
    seen = {"crossings": 8, "round": 2, "precision": "32-true"}
    lines = model_card(training, seen, codes, 1e-6, 1000).splitlines()
    assert "| detector cards | mine.toml (abc), cms-phase2 (def) |" in lines


def test_wrong_exports_get_one_sentence(run, whole, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("there.onnx").write_text("precious")
    for arguments, words in (
        (("nowhere", "a.onnx"), "is no checkpoint of a training"),
        ((whole, "a.pt"), "ends in .onnx"),
        ((whole, "there.onnx"), "there.onnx exists: take another name or --overwrite"),
        ((whole / "history.jsonl", "a.onnx"), "is no checkpoint of a training"),
    ):
        code, out, err = run("export", *arguments)
        assert (code, out) == (1, "")
        assert words in err
        assert err.count("\n") == 1, err
    assert files(tmp_path) == ["there.onnx"]


def test_help(run):
    for verb in ("train", "export"):
        code, out, _ = run(verb, "--help")
        assert code == 0
        assert f"$ hardscatter {verb}" in out


@pytest.mark.parametrize("verb", [("train", "--config", "supervised"), ("export", "runs/x", "x.onnx")])
def test_without_torch_one_sentence_says_what_to_install(verb, tmp_path):
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'onnx', 'onnxscript'): sys.modules[name] = None\n"
        f"sys.argv = ['hardscatter', *{verb!r}]\n"
        "from hardscatter.cli import main\n"
        "main()"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == (
        "hardscatter: training needs torch, lightning, onnx, onnxscript: pip install 'hardscatter[train]'.\n"
    )
    assert list(tmp_path.iterdir()) == []
