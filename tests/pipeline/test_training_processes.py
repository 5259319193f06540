"""Training as a batch system sees it: processes that are killed, interrupted, many, and several that train together."""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
from hardscatter.pileup.links import Nearest  # noqa: E402
from hardscatter.training import Machine, history, load, train  # noqa: E402
from hardscatter.training.data import CrossingBatches, Rounds  # noqa: E402
from hardscatter.training.module import Weighing, share  # noqa: E402
from small_trainings import SMALL, small  # noqa: E402

pytestmark = pytest.mark.slow

PROGRAM = str(Path(sys.executable).parent / "hardscatter")
LONG = {"rounds": 40, "snapshots": 100}
HERE = Machine(accelerator="cpu", workers=0)


@pytest.fixture(scope="module", autouse=True)
def _cache(collisions):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(collisions))
        patch.setattr("hardscatter.threads._threads", 1)
        yield


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """The long training in one go, by a process that makes its own crossings."""
    folder = tmp_path_factory.mktemp("runs") / "reference"
    train(small(length=LONG), folder, HERE)
    return folder


def command(folder, *more, length=LONG):
    config = folder.with_suffix(".yaml")
    config.write_text(json.dumps({**SMALL, "length": {**SMALL["length"], **length}}))
    words = ["--threads", 1, "train", "--config", config, "--output", folder, "--accelerator", "cpu", *more]
    return [PROGRAM, *map(str, words)]


def started(words):
    """Start a training in a process group of its own, as a terminal does; return it after its first round."""
    process = subprocess.Popen(words, stderr=subprocess.PIPE, text=True, start_new_session=True)
    path = Path(words[words.index("--output") + 1]) / "history.jsonl"
    while not (path.exists() and path.read_text()):
        time.sleep(0.01)
        assert process.poll() is None, process.stderr.read()
    return process


def finished(words):
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stderr


def same_run(folder, other):
    for name in ("best.ckpt", "last.ckpt"):
        one, two = (torch.load(where / name, weights_only=True) for where in (folder, other))
        assert one["epoch"] == two["epoch"]
        assert all(torch.equal(one["state_dict"][key], two["state_dict"][key]) for key in two["state_dict"])
    assert [line["round"] for line in history(folder)] == [line["round"] for line in history(other)]
    assert [line["values"] for line in history(folder)] == [line["values"] for line in history(other)]


def test_a_killed_training_goes_on_to_the_last_bit(reference, tmp_path):
    words = command(tmp_path / "run", "--workers", 1)
    process = started(words)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    left = len(history(tmp_path / "run"))
    assert 0 < left < LONG["rounds"]
    err = finished([*words, "--resume"])
    assert f"round {left + 1}/40" in err or f"round {left}/40" in err  # the last line's checkpoint may be missing
    assert "round 1/40" not in err or left == 1
    same_run(tmp_path / "run", reference)


@pytest.mark.parametrize(("name", "code"), [("SIGINT", 130), ("SIGTERM", 143)])
def test_a_stopped_training_says_how_to_go_on(reference, tmp_path, name, code):
    folder = tmp_path / "run"
    words = command(folder, "--workers", 1)
    process = started(words)
    os.killpg(process.pid, getattr(signal, name))  # Ctrl-C reaches the workers as well
    _, err = process.communicate(timeout=60)
    assert process.returncode == code
    lines = [line for line in err.splitlines() if not line.startswith(("#", "round "))]
    assert lines == [
        f"{folder}: go on with the same words and --resume",
        "hardscatter: interrupted; nothing half-written is left.",
    ]
    assert not list(folder.rglob("*.partial"))
    assert 0 < len(history(folder)) < LONG["rounds"]
    if name == "SIGINT":
        finished([*words, "--resume"])
        same_run(folder, reference)


def test_processes_that_make_crossings_leave_the_result_alone(reference, tmp_path):
    """The killed training says so of one process."""
    train(small(length=LONG), tmp_path / "run", Machine(accelerator="cpu", workers=2))
    same_run(tmp_path / "run", reference)


def test_two_processes_train_on_the_sum_of_their_batches(tmp_path):
    """Against plain torch: at each step the mean gradient of both processes' batches."""
    length = {"rounds": 3, "steps": 5, "snapshots": 100}
    folder = tmp_path / "run"
    err = finished(command(folder, "--devices", 2, "--workers", 0, length=length))
    assert err.count("round 1/3") == err.count("the best checkpoint") == err.count("the learning curves") == 1
    training = small(length=length)
    assert load(folder / "last.ckpt")[2] == {"round": 3, "crossings": 3 * 5 * 2 * 2, "precision": "32-true"}
    assert [line["crossings"] for line in history(folder)] == [20, 40, 60]

    module = Weighing(training)
    optimiser = torch.optim.Adam(module.parameters(), training.optimiser.rate)
    missing = (training.missing.field, training.missing.everything)
    devices = [
        CrossingBatches(training.data, training.length.crossings, Nearest(k=4), missing, training.seed)
        for _ in range(2)
    ]
    samplers = [Rounds(5, devices[device].block, device, 2) for device in range(2)]
    step = 0
    for number in range(3):
        losses = []
        for sampler in samplers:
            sampler.set_epoch(number)
        taken = [itertools.chain.from_iterable(sampler) for sampler in samplers]
        for indices in zip(*taken, strict=True):
            for group in optimiser.param_groups:
                group["lr"] = training.optimiser.rate * share(training.optimiser, step, 15)
            loss = sum(module._judged(devices[d][index])[0] for d, index in enumerate(indices)) / 2
            optimiser.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(module.parameters(), training.optimiser.clip)
            optimiser.step()
            losses.append(loss.item())
            step += 1
        assert history(folder)[number]["values"]["train/loss"] == pytest.approx(sum(losses) / 5, rel=1e-4)
    trained = load(folder / "last.ckpt")[1].state_dict()
    for name, value in module.state_dict().items():
        torch.testing.assert_close(trained[name], value, rtol=1e-4, atol=1e-5)
    assert not all(torch.equal(value, trained[name]) for name, value in Weighing(training).state_dict().items())


def test_processes_never_learn_from_one_crossing_twice():
    """By content: whatever two processes draw in three rounds, hard collision and pileup, is there once."""
    training = small()
    missing = (training.missing.field, training.missing.everything)
    drawn = []
    for device in range(2):
        batches = CrossingBatches(training.data, training.length.crossings, Nearest(k=4), missing, training.seed)
        sampler = Rounds(5, batches.block, device, 2)
        for number in range(3):
            sampler.set_epoch(number)
            for index in itertools.chain.from_iterable(sampler):
                drawn += [one.crossings.kinematics.numpy().tobytes() for one in batches[index].split()]
    assert len(drawn) == len(set(drawn)) == 2 * 3 * 5 * training.length.crossings
