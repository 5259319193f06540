"""One training from configuration to checkpoints, in a folder of its own, stopped and resumed at will."""

from __future__ import annotations

import json
import logging
import sys
import time
import warnings
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import lightning
import torch
import yaml
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint

from hardscatter import __version__
from hardscatter.errors import SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.generate import Generation, build
from hardscatter.threads import set_threads, threads
from hardscatter.training.configuration import Machine, Training, parse, save_configuration
from hardscatter.training.data import CrossingData
from hardscatter.training.module import Weighing

CONFIGURATION, HISTORY, LAST, BEST = "training.yaml", "history.jsonl", "last.ckpt", "best.ckpt"
MONITORED = "validation/loss"


@dataclass(frozen=True)
class Progress:
    """What is known after a round."""

    round: int
    rounds: int
    crossings: int
    """Crossings that the network has learned from so far."""
    seconds: float
    """Since this process began to train."""
    waiting: float
    """Share of the round in which the trainer waited for crossings."""
    values: dict[str, float]
    """Means over the round: ``train/…`` and ``validation/…``."""


def train(
    training: Training,
    folder: str | Path,
    machine: Machine | None = None,
    *,
    resume: bool = False,
    on_round: Callable[[Progress], object] | None = None,
) -> Path:
    """Train a network and return the path of the best checkpoint.

    The folder holds the resolved configuration, a line for each round (``history.jsonl``), the best and the last
    checkpoint, and snapshots. After a kill, `resume` goes on from the last complete round with the crossings that
    come next: on the same machine and settings the result is the same to the last bit.

    Parameters
    ----------
    training
        What to train.
    folder
        Where; made if it is not there. It may hold nothing else.
    machine
        Where and how to run.
    resume
        Go on with what the folder holds.
    on_round
        Called after each round.

    Raises
    ------
    SettingsError
        If the folder holds a training already and `resume` is not asked for, or holds another one.
    UnwritableFileError
        If the folder cannot be made.
    """
    folder, machine = Path(folder), machine or Machine()
    last = _prepare(training, folder, resume)
    _build_libraries(training)
    torch.set_num_threads(machine.threads)
    set_threads(machine.threads)
    record = _Record(folder, training, machine.devices, on_round)
    best = ModelCheckpoint(folder, "best", monitor=MONITORED, enable_version_counter=False)
    snapshots = ModelCheckpoint(
        folder / "snapshots", "round-{epoch:04d}", auto_insert_metric_name=False, save_top_k=-1,
        every_n_epochs=training.length.snapshots, save_weights_only=True, enable_version_counter=False,
    )  # fmt: skip
    stop = EarlyStopping(MONITORED, patience=training.length.patience, check_finite=True)
    with _quiet():
        trainer = lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            strategy="ddp" if machine.devices > 1 else "auto",
            precision="bf16-mixed" if machine.precision == "bf16" else "32-true",
            max_epochs=training.length.rounds,
            gradient_clip_val=training.optimiser.clip,
            callbacks=[best, snapshots, stop, record, _Last(folder)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
        trainer.fit(Weighing(training), CrossingData(training, machine), ckpt_path=last, weights_only=True)
    if trainer.interrupted:
        raise KeyboardInterrupt
    return folder / BEST


def load(checkpoint: str | Path) -> tuple[Training, Weighing, dict[str, Any]]:
    """Return configuration, module and record (round, crossings) of a checkpoint, best of a run if given its folder.

    Raises
    ------
    UnreadableFileError
        If it is none of ours. Nothing in the file is executed.
    """
    path = Path(checkpoint)
    path = path / BEST if path.is_dir() else path
    home = path.parent if (path.parent / CONFIGURATION).is_file() else path.parent.parent
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        document = yaml.safe_load((home / CONFIGURATION).read_text(encoding="utf-8"))
        training = parse(Training, document, str(home / CONFIGURATION))
        module = Weighing(training)
        module.load_state_dict(state["state_dict"])
    except SettingsError:
        raise
    except Exception as problem:  # torch and pickle raise what they like
        raise UnreadableFileError(
            f"{path} is no checkpoint of a training with its {CONFIGURATION} beside it: give the folder of a run."
        ) from problem
    rounds = int(state["epoch"]) + 1
    seen = {"round": rounds, "crossings": rounds * training.length.steps * training.length.crossings}
    return training, module.eval(), seen


def history(folder: str | Path) -> list[dict[str, Any]]:
    """Return what a run wrote after each round."""
    lines = (Path(folder) / HISTORY).read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in lines]


def _prepare(training: Training, folder: Path, resume: bool) -> Path | None:
    """Make the folder, or check that it holds the same training; return the checkpoint to go on from."""
    described = folder / CONFIGURATION
    if not described.exists():
        if resume:
            raise SettingsError(f"{folder} holds no training to resume: start it without --resume.")
        try:
            folder.mkdir(parents=True, exist_ok=True)
            save_configuration(training, described)
        except OSError as problem:
            raise UnwritableFileError(f"{folder} cannot be written ({problem.strerror}).") from problem
        return None
    if not resume:
        raise SettingsError(f"{folder} holds a training already: resume it or take another folder.")
    there = parse(Training, yaml.safe_load(described.read_text(encoding="utf-8")), str(described))
    if there != training:
        raise SettingsError(f"{folder} holds a training with other settings ({described.name}): take another folder.")
    return folder / LAST if (folder / LAST).exists() else None


def _build_libraries(training: Training) -> None:
    """Make sure that all collisions exist before several processes look for them."""
    data, held_out = training.data, training.validation
    for seed, n_hard, n_minbias in (
        (data.seed, data.n_hard, data.n_minbias),
        (held_out.seed, held_out.n_hard, held_out.n_minbias),
    ):
        hard = [Generation.of(process, seed=seed) for process in data.processes]
        for generation in hard:
            build(generation, n_hard, workers=threads())
        build(Generation("minbias", seed=seed, energy=hard[0].collision_energy), n_minbias, workers=threads())


class _Last(Callback):
    """The checkpoint to go on from, replaced as a whole after each round."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        aside = self._folder / f"{LAST}.partial"
        trainer.save_checkpoint(aside)
        if trainer.is_global_zero:
            aside.replace(self._folder / LAST)


class _Record(Callback):
    """Writes a line after each round, and how long the trainer waited for crossings."""

    def __init__(
        self, folder: Path, training: Training, devices: int, on_round: Callable[[Progress], object] | None
    ) -> None:
        self._path, self._training, self._devices, self._on_round = folder / HISTORY, training, devices, on_round
        self._began = self._round_began = self._idle_since = time.perf_counter()
        self._waiting = 0.0

    def on_train_epoch_start(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        self._round_began = self._idle_since = time.perf_counter()
        self._waiting = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self._waiting += time.perf_counter() - self._idle_since

    def on_train_batch_end(self, *_: Any) -> None:
        self._idle_since = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        now = time.perf_counter()
        length = self._training.length
        seen = (trainer.current_epoch + 1) * length.steps * length.crossings * self._devices
        values = {name: float(value) for name, value in trainer.callback_metrics.items()}
        progress = Progress(
            trainer.current_epoch + 1, length.rounds, seen, now - self._began,
            self._waiting / (now - self._round_began), values,
        )  # fmt: skip
        if not trainer.is_global_zero:
            return
        line = {**asdict(progress), "version": __version__}
        with self._path.open("a", encoding="utf-8") as file:
            print(json.dumps(line), file=file)
        if self._on_round is not None:
            self._on_round(progress)


class _quiet:  # noqa: N801
    """Silence Lightning's advertisements and advice; what goes wrong is raised all the same."""

    def __enter__(self) -> None:
        self._level = logging.getLogger("lightning").level
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(logging.ERROR)
        self._caught = warnings.catch_warnings()
        self._caught.__enter__()
        warnings.filterwarnings("ignore", module="lightning")

    def __exit__(self, *error: Any) -> None:
        self._caught.__exit__(*error)
        for name in ("lightning", "lightning.pytorch", "lightning.fabric"):
            logging.getLogger(name).setLevel(self._level)


def say_round(progress: Progress) -> None:
    """Print one line about a round."""
    values = progress.values
    print(
        f"round {progress.round}/{progress.rounds}: {progress.crossings} crossings, {progress.seconds:.0f} s, "
        f"loss {values.get('train/loss', float('nan')):.4g}, validation {values.get(MONITORED, float('nan')):.4g}, "
        f"kept {values.get('validation/kept', float('nan')):.3f}, waiting {progress.waiting:.0%}",
        file=sys.stderr, flush=True,
    )  # fmt: skip
