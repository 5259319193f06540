"""One training from configuration to checkpoints, in a folder of its own, stopped and resumed at will."""

from __future__ import annotations

import json
import logging
import math
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import lightning
import torch
from lightning.fabric.utilities.exceptions import MisconfigurationException
from lightning.pytorch.callbacks import Checkpoint, EarlyStopping
from lightning.pytorch.utilities import rank_zero_only

from hardscatter import __version__
from hardscatter.detector import Fixed, Poisson, load_card
from hardscatter.errors import SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.generate import Generation, build
from hardscatter.io import count
from hardscatter.io.faults import check_archive
from hardscatter.simulation import Progress, pileup_of
from hardscatter.threads import set_threads, threads
from hardscatter.training.configuration import (
    Crossings,
    Data,
    Machine,
    ParticleLevelCrossings,
    RecordedCrossings,
    Training,
    load_configuration,
    replace_text,
    save_configuration,
)
from hardscatter.training.data import CrossingData
from hardscatter.training.module import Weighing
from hardscatter.training.objectives import check_models, resolved
from hardscatter.workshop2014.crossings import hard_collisions, hard_generation, pileup_pool

CONFIGURATION, HISTORY, LAST, BEST = "training.yaml", "history.jsonl", "last.ckpt", "best.ckpt"
MONITORED = "validation/loss"


@dataclass(frozen=True)
class Round:
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
    on_round: Callable[[Round], object] | None = None,
    progress: Progress | None = None,
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
        Called after each round, when all of it is written.
    progress
        Called while collisions are made, before the first round: with what they are, how many are ready, how many
        there are to be.

    Raises
    ------
    SettingsError
        If the settings or the machine cannot be had, if the folder holds a training already and `resume` is not asked
        for, or holds another one, and if the loss is not finite any more.
    UnreadableFileError
        If the objective needs a model that is not there or cannot be used.
    UnwritableFileError
        If the folder cannot be made.
    """
    folder, machine = Path(folder), machine or Machine()
    training = replace(training, objective=resolved(training.objective))
    check_models(training)
    _check_data(training)
    module = Weighing(training)
    with _quiet():
        trainer = _trainer(training, folder, machine, on_round)
        last = _last(folder, machine) if resume else None
        if trainer.is_global_zero:  # the others wait for this process before they read anything
            _prepare(training, folder, resume, last["epoch"] + 1 if last else 0)
        if last is None or not last["finished"]:
            if trainer.is_global_zero:
                _build(training, progress)
            with _threads(machine.threads):
                _fit(trainer, module, CrossingData(training, machine), folder / LAST if last else None)
    rounds = history(folder)
    if not math.isfinite(rounds[-1]["values"][MONITORED]):
        raise SettingsError(f"{folder}: the loss is not finite after round {len(rounds)}: try a lower optimiser.rate.")
    return folder / BEST


def leads() -> bool:
    """Tell whether this process is the first of those that train together: the others keep silent."""
    return bool(getattr(rank_zero_only, "rank", 0) == 0)


def load(checkpoint: str | Path) -> tuple[Training, Weighing, dict[str, Any]]:
    """Return configuration, module and record (round, crossings) of a checkpoint, best of a run if given its folder.

    Raises
    ------
    UnreadableFileError
        If it is none of ours, or was trained with other features or detector cards than this version has. Nothing in
        the file is executed.
    """
    path = Path(checkpoint)
    path = path / BEST if path.is_dir() else path
    home = path.parent if (path.parent / CONFIGURATION).is_file() else path.parent.parent
    check_archive(path, "its list of tensors")
    try:
        state = torch.load(path, map_location="cpu", weights_only=True)
        training = load_configuration(home / CONFIGURATION)
        module = Weighing(training)
        module.load_state_dict(state["state_dict"])
        rounds, devices = int(state["epoch"]) + 1, int(state.get("devices", 1))
    except Exception as problem:  # torch and pickle raise what they like
        if isinstance(problem, SettingsError) and (home / CONFIGURATION).is_file():
            raise
        raise UnreadableFileError(
            f"{path} is no checkpoint of a training with its {CONFIGURATION} beside it: give the folder of a run."
        ) from problem
    here = {"schema": training.schema.hash(), "cards": {name: load_card(name).hash() for name in training.data.cards}}
    for what, now in here.items():  # checkpoints of the first runs do not say
        if state.get(what, now) != now:
            raise UnreadableFileError(
                f"{path} was trained with other {what} ({state[what]}) than this version has ({now}): use the version "
                f"that trained it ({state['version']})."
            )
    length = training.length
    seen = {
        "round": rounds,
        "crossings": rounds * length.steps * length.crossings * devices,
        "precision": state.get("precision", "not recorded"),
    }
    return training, module.eval(), seen


def history(folder: str | Path) -> list[dict[str, Any]]:
    """Return what a run wrote after each round.

    Raises
    ------
    UnreadableFileError
        If it wrote nothing so far.
    """
    path = Path(folder) / HISTORY
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        return [json.loads(line) for line in lines[:-1]]  # what stands after the last line's end is half a line
    except (OSError, ValueError) as problem:
        raise UnreadableFileError(f"{path} is no history of a training: give the folder of a run.") from problem


def _trainer(
    training: Training, folder: Path, machine: Machine, on_round: Callable[[Round], object] | None
) -> lightning.Trainer:
    stop = EarlyStopping(MONITORED, patience=training.length.patience, check_finite=True)
    try:
        return lightning.Trainer(
            accelerator=machine.accelerator,
            devices=machine.devices,
            strategy="ddp" if machine.devices > 1 else "auto",
            precision="bf16-mixed" if machine.precision == "bf16" else "32-true",
            max_epochs=training.length.rounds,
            gradient_clip_val=training.optimiser.clip,
            callbacks=[stop, _Rounds(folder, training, on_round)],
            logger=False,
            enable_progress_bar=False,
            enable_model_summary=False,
            use_distributed_sampler=False,
            num_sanity_val_steps=0,
            default_root_dir=folder,
        )
    except MisconfigurationException as problem:
        raise SettingsError(f"machine: {' '.join(str(problem).split())}") from None


def _fit(trainer: lightning.Trainer, module: Weighing, data: CrossingData, last: Path | None) -> None:
    """Train; a Ctrl-C stays one."""
    try:
        trainer.fit(module, data, ckpt_path=last, weights_only=True)
    except SystemExit as stop:
        if isinstance(stop.__context__, KeyboardInterrupt):  # Lightning makes an exit with code 1 of it
            raise KeyboardInterrupt from None
        raise


def _last(folder: Path, machine: Machine) -> dict[str, Any] | None:
    """Return the last checkpoint, None if there is none."""
    path = folder / LAST
    if not path.exists():
        return None
    try:
        state: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        devices = state["devices"]
    except Exception as problem:  # torch and pickle raise what they like
        raise UnreadableFileError(f"{path} is damaged: start again in another folder.") from problem
    if devices != machine.devices:
        raise SettingsError(f"{folder} was trained on {devices} devices, each with crossings of its own: take as many.")
    return state


def _prepare(training: Training, folder: Path, resume: bool, rounds: int) -> None:
    """Make the folder, or check that it holds the same training and forget what came after its complete rounds."""
    described = folder / CONFIGURATION
    if described.exists():
        if not resume:
            raise SettingsError(f"{folder} holds a training already: resume it (--resume) or take another folder.")
        if load_configuration(described).to_dict() != training.to_dict():
            raise SettingsError(f"{folder} holds a training with other settings, {described}: take another folder.")
        if (folder / HISTORY).exists():
            lines = [json.dumps(line) + "\n" for line in history(folder) if line["round"] <= rounds]
            replace_text(folder / HISTORY, "".join(lines))
        return
    if resume:
        raise SettingsError(f"{folder} holds no training to resume: start it without --resume.")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if any(folder.iterdir()):
            raise SettingsError(f"{folder} holds other files: take a folder that is empty or not there yet.")
        save_configuration(training, described)
    except OSError as problem:
        raise UnwritableFileError(f"{folder} cannot be written ({problem.strerror}).") from problem


def _check_data(training: Training) -> None:
    """Make sure that what crossings are made of is there, or can be made."""
    for card in training.data.cards:
        load_card(card)
    for data in _both(training):
        match data:
            case RecordedCrossings():
                for file in data.files:
                    count(file)
            case ParticleLevelCrossings():
                for sample in data.samples:
                    hard_generation(sample, data.seed)
            case Crossings():
                _generations(data)


def _build(training: Training, progress: Progress | None) -> None:
    """Make the collisions before several processes look for them."""
    for data in _both(training):
        match data:
            case ParticleLevelCrossings():
                pileup_pool(data.seed, data.n_minbias, threads(), progress)
                for sample in data.samples:
                    hard_collisions(sample, data.seed, data.n_hard, threads(), progress)
            case Crossings():
                for generation, n in _generations(data):
                    tell = None if progress is None else partial(progress, generation.process)
                    build(generation, n, workers=threads(), on_collisions=tell)


def _both(training: Training) -> tuple[Data, Data]:
    return training.data, training.data.held_out(training.validation)


def _generations(data: Crossings) -> list[tuple[Generation, int]]:
    hard = [Generation.of(process, seed=data.seed) for process in data.processes]
    wanted = [(generation, data.n_hard) for generation in hard]
    if pileup_of(data.pileup) not in (Fixed(0), Poisson(0)):
        wanted.append((Generation("minbias", seed=data.seed, energy=hard[0].collision_energy), data.n_minbias))
    return wanted


class _Rounds(Checkpoint):
    """What is written after each round; callbacks of this kind come last, when it is known whether training stops.

    The last checkpoint makes a round complete, so it is written last: whatever else a kill leaves of a round is
    written anew when the round is repeated.
    """

    def __init__(self, folder: Path, training: Training, on_round: Callable[[Round], object] | None) -> None:
        self._folder, self._length, self._on_round = folder, training.length, on_round
        self._best = math.inf
        self._began = self._round_began = self._idle_since = time.perf_counter()
        self._waiting = 0.0

    def state_dict(self) -> dict[str, Any]:
        return {"best": self._best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        self._best = state_dict["best"]

    def on_train_start(self, *_: Any) -> None:
        self._began = time.perf_counter()

    def on_train_epoch_start(self, *_: Any) -> None:
        self._round_began = self._idle_since = time.perf_counter()
        self._waiting = 0.0

    def on_train_batch_start(self, *_: Any) -> None:
        self._waiting += time.perf_counter() - self._idle_since

    def on_train_batch_end(self, *_: Any) -> None:
        self._idle_since = time.perf_counter()

    def on_train_epoch_end(self, trainer: lightning.Trainer, pl_module: lightning.LightningModule) -> None:  # noqa: ARG002
        now, length, number = time.perf_counter(), self._length, trainer.current_epoch + 1
        progress = Round(
            number, length.rounds, number * length.steps * length.crossings * trainer.world_size, now - self._began,
            self._waiting / (now - self._round_began),
            {name: float(value) for name, value in sorted(trainer.callback_metrics.items())},
        )  # fmt: skip
        if trainer.is_global_zero:
            with (self._folder / HISTORY).open("a", encoding="utf-8") as file:
                print(json.dumps({**asdict(progress), "version": __version__}), file=file)
        if progress.values[MONITORED] < self._best:
            self._best = progress.values[MONITORED]
            self._save(trainer, self._folder / BEST, whole=False)
        if number % length.snapshots == 0:
            self._save(trainer, self._folder / "snapshots" / f"round-{number:04d}.ckpt", whole=False)
        self._save(trainer, self._folder / LAST, whole=True)
        if trainer.is_global_zero and self._on_round is not None:
            self._on_round(progress)

    def _save(self, trainer: lightning.Trainer, path: Path, whole: bool) -> None:
        """Replace a checkpoint in one go; `whole`: with all that a resumption needs."""
        aside = path.with_name(f"{path.name}.partial")
        try:
            trainer.save_checkpoint(aside, weights_only=not whole)
            if trainer.is_global_zero:
                aside.replace(path)
        finally:
            if trainer.is_global_zero:
                aside.unlink(missing_ok=True)


@contextmanager
def _threads(n: int) -> Iterator[None]:
    """Compute with `n` threads."""
    before = threads(), torch.get_num_threads()
    set_threads(n)
    torch.set_num_threads(n)
    try:
        yield
    finally:
        set_threads(before[0])
        torch.set_num_threads(before[1])


@contextmanager
def _quiet() -> Iterator[None]:
    """Silence Lightning's advertisements and advice; what goes wrong is raised all the same."""
    loggers = [logging.getLogger(name) for name in ("lightning", "lightning.pytorch", "lightning.fabric")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", module="lightning")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def say_round(progress: Round) -> None:
    """Print one line about a round."""
    values = progress.values
    print(
        f"round {progress.round}/{progress.rounds}: {progress.crossings} crossings, {progress.seconds:.0f} s, "
        f"loss {values.get('train/loss', float('nan')):.4g}, validation {values.get(MONITORED, float('nan')):.4g}, "
        f"kept {values.get('validation/kept', float('nan')):.3f}, waiting {progress.waiting:.0%}",
        file=sys.stderr, flush=True,
    )  # fmt: skip
