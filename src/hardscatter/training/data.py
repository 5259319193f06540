"""Batches for training: the crossing stream behind a PyTorch loader."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import lightning
import numpy as np
from torch.utils.data import DataLoader, Dataset, Sampler

from hardscatter.detector import load_card
from hardscatter.detector.noise import add_noise, zero_suppressed
from hardscatter.events import Events
from hardscatter.pileup.features import DEFAULT_SCHEMA
from hardscatter.simulation import CrossingStream, stream
from hardscatter.threads import set_threads
from hardscatter.training.batches import Batch, batch_of
from hardscatter.training.configuration import Crossings, Machine, NoisyCrossings, Training


class CrossingBatches(Dataset[Batch]):
    """Batch i of the stream, made when asked for: any process may make any of them.

    The libraries are loaded where the first batch is made, so that the dataset travels to a worker as settings only.
    """

    def __init__(self, data: Crossings, crossings: int, k: int, missing: tuple[float, float], seed: int) -> None:
        self._data, self._crossings, self._k, self._missing, self._seed = data, crossings, k, missing, seed
        self._stream: CrossingStream | _NoisyStream | None = None

    def __getitem__(self, index: int) -> Batch:
        """Return batch `index` ≥ 0."""
        if self._stream is None:
            make = _NoisyStream if isinstance(self._data, NoisyCrossings) else _stream
            self._stream = make(self._data, self._crossings)
        alone, events = self._stream[index]
        return batch_of(alone, events, index, DEFAULT_SCHEMA, self._k, self._missing, self._seed)


def _stream(data: Crossings, crossings: int, *, pairs: bool = True) -> CrossingStream:
    return stream(
        data.processes, cards=data.cards, n_hard=data.n_hard, step=crossings, pileup=data.pileup, seed=data.seed,
        n_minbias=data.n_minbias, pairs=pairs,
    )  # fmt: skip


class _NoisyStream:
    """Pairs of the same crossings, without and with noise, by number like those of `CrossingStream`."""

    def __init__(self, data: NoisyCrossings, crossings: int) -> None:
        self._noise, self._seed = data.noise, data.seed
        self._crossings = _stream(data, crossings, pairs=False)
        self._cards = {card.hash(): card for card in map(load_card, data.cards)}

    def __getitem__(self, index: int) -> tuple[Events, Events]:
        events = self._crossings[index]
        card = self._cards[events.metadata["detector"]["hash"]]
        alone = zero_suppressed(events, self._noise, card)
        return alone, add_noise(alone, self._noise, card, np.random.default_rng([self._seed, 0x2015E, index]))


class Rounds(Sampler[int]):
    """The batches of a round: in round r, device d of n takes (r · steps + j) · n + d for j = 0 … steps − 1.

    No device ever sees a batch of another, no round one of an earlier round, and a training that goes on in round r
    goes on with the batches of round r.
    """

    def __init__(self, steps: int, device: int = 0, devices: int = 1) -> None:
        self._steps, self._device, self._devices = steps, device, devices
        self._round = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin round `epoch`; Lightning calls this by this name."""
        self._round = epoch

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[int]:
        first = self._round * self._steps
        return iter([(first + j) * self._devices + self._device for j in range(self._steps)])


class CrossingData(lightning.LightningDataModule):
    """Training rounds from the endless stream, and the same few validation batches after each of them."""

    def __init__(self, training: Training, machine: Machine) -> None:
        super().__init__()
        self._training, self._machine = training, machine
        self._validation: list[Batch] | None = None

    def train_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the training rounds."""
        t, machine = self._training, self._machine
        missing = (t.missing.field, t.missing.everything)
        batches = CrossingBatches(t.data, t.length.crossings, t.network.k, missing, t.seed)
        device, devices = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        several: dict[str, Any] = {}
        if machine.workers:
            several = {
                "num_workers": machine.workers, "persistent_workers": True, "multiprocessing_context": "spawn",
                "prefetch_factor": 4, "worker_init_fn": _one_thread,
            }  # fmt: skip
        return DataLoader(
            batches, sampler=Rounds(t.length.steps, device, devices), batch_size=None, collate_fn=_as_it_is, **several
        )

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the validation batches, made once and kept; devices share them out."""
        if self._validation is None:
            t, v = self._training, self._training.validation
            data = replace(t.data, seed=v.seed, n_hard=v.n_hard, n_minbias=v.n_minbias)
            batches = CrossingBatches(data, t.length.crossings, t.network.k, (0.0, 0.0), t.seed)
            device, devices = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
            self._validation = [batches[i] for i in range(device, math.ceil(v.batches / devices) * devices, devices)]
        return DataLoader(self._validation, batch_size=None, collate_fn=_as_it_is)  # type: ignore[arg-type]


def _as_it_is(batch: Any) -> Any:
    return batch


def _one_thread(_: int) -> None:
    set_threads(1)
    logging.getLogger("lightning").setLevel(logging.ERROR)
