"""Batches for training: the crossing stream behind a PyTorch loader."""

from __future__ import annotations

import itertools
import logging
import math
import signal
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any, Protocol

import lightning
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Dataset, Sampler

from hardscatter.detector import load_card
from hardscatter.detector.noise import add_noise, zero_suppressed
from hardscatter.errors import SettingsError
from hardscatter.events import Events
from hardscatter.io import count, iterate
from hardscatter.pileup.features import DEFAULT_SCHEMA, FeatureSchema
from hardscatter.pileup.links import Links
from hardscatter.simulation import CrossingStream, stream
from hardscatter.threads import set_threads
from hardscatter.training.batches import Batch, batch_of, merge
from hardscatter.training.configuration import (
    Crossings,
    Data,
    Machine,
    NoisyCrossings,
    ParticleLevelCrossings,
    RecordedCrossings,
    Training,
)
from hardscatter.training.masking import Masking
from hardscatter.workshop2014 import WorkshopStream

_SIMULATED = 8
"""Crossings of each kind that are simulated at once, or more."""


class CrossingBatches(Dataset[Batch]):
    """Batch i of the stream, made when asked for: any process may make any of them.

    Crossings are simulated in blocks, several of each process and detector at once, and dealt out to the batches of
    the block in random order: a simulation of many costs less for each, and every batch is a mixture. Only the last
    block is kept. The libraries are loaded where the first batch is made, so that the dataset travels to a worker as
    settings only.
    """

    def __init__(
        self,
        data: Data,
        crossings: int,
        links: Links,
        missing: tuple[float, float],
        seed: int,
        schema: FeatureSchema = DEFAULT_SCHEMA,
        masking: Masking | None = None,
    ) -> None:
        self._data, self._crossings, self._links, self._missing, self._seed = data, crossings, links, missing, seed
        self._schema, self._masking = schema, masking
        self._kinds = data.kinds
        least = max(_SIMULATED, 2 * crossings) if data.unpaired else _SIMULATED
        self._step = crossings * -(-least // crossings)
        self.block = self._kinds * self._step // crossings
        self._stream: _Pairs | None = None
        self._last: tuple[int, list[Batch]] = (-1, [])

    def __getitem__(self, index: int) -> Batch:
        """Return batch `index` ≥ 0."""
        number, place = divmod(index, self.block)
        if self._last[0] != number:
            self._last = (number, self._dealt(number))
        return self._last[1][place]

    def __getitems__(self, indices: Sequence[int]) -> list[Batch]:
        """Return several batches; PyTorch's loader calls this by this name."""
        return [self[index] for index in indices]

    def _dealt(self, number: int) -> list[Batch]:
        if self._stream is None:
            self._stream = _pairs(self._data, self._step)
        singles: list[Batch] = []
        for index in range(number * self._kinds, (number + 1) * self._kinds):
            alone, events = self._stream[index]
            singles += batch_of(
                alone, events, index, self._schema, self._links, self._missing, self._seed, self._masking
            ).split()
        order = np.random.default_rng([self._seed, 0xDEA1, number]).permutation(len(singles))
        if self._data.unpaired:
            singles = _parted(singles, order, self._crossings)
        hands = order.reshape(self.block, self._crossings)
        return [merge([singles[i] for i in hand], number * self.block + j) for j, hand in enumerate(hands)]


def _parted(singles: Sequence[Batch], order: NDArray[np.int64], crossings: int) -> list[Batch]:
    """Return single crossings, each with what the one a whole batch later in the order is without pileup.

    The order is one round of two batches or more, so that no batch holds both members of a pair.
    """
    parted = list(singles)
    for here, there in zip(order, np.roll(order, -crossings), strict=True):
        parted[here] = replace(singles[here], alone=singles[there].alone)
    return parted


class _Pairs(Protocol):
    """Batch i of (without pileup, with pileup), whatever was asked before."""

    def __getitem__(self, index: int) -> tuple[Events, Events]: ...


def _pairs(data: Data, crossings: int) -> _Pairs:
    match data:
        case NoisyCrossings():
            return _NoisyStream(data, crossings)
        case RecordedCrossings():
            return _RecordedStream(data, crossings)
        case ParticleLevelCrossings():
            return WorkshopStream(
                data.samples, data.pileup, seed=data.seed, n_hard=data.n_hard, n_minbias=data.n_minbias, step=crossings
            )
        case Crossings():
            return _stream(data, crossings)


def _stream(data: Crossings, crossings: int, *, pairs: bool = True) -> CrossingStream:
    return stream(
        data.processes, cards=data.cards, n_hard=data.n_hard, step=crossings, pileup=data.pileup, seed=data.seed,
        n_minbias=data.n_minbias, pairs=pairs, shared_draws=data.shared_draws,
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


class _RecordedStream:
    """Crossings of files, by number, in place of both members of a pair: no loss that compares them is let in.

    The last few of a file that are no whole batch are left out.
    """

    def __init__(self, data: RecordedCrossings, crossings: int) -> None:
        self._crossings = crossings
        self._starts = np.cumsum([0, *(count(file) // crossings for file in data.files)])
        if not self._starts[-1]:
            raise SettingsError(f"data.files: no file holds {crossings} crossings, as many as make a batch.")
        self._files, self._open, self._next = data.files, -1, 0
        self._reader: Iterator[Events] = iter(())

    def __getitem__(self, index: int) -> tuple[Events, Events]:
        place = index % int(self._starts[-1])
        file = int(np.searchsorted(self._starts, place, side="right")) - 1
        place -= int(self._starts[file])
        if file != self._open or place < self._next:
            self._reader, self._open, self._next = iterate(self._files[file], self._crossings), file, 0
        events = next(itertools.islice(self._reader, place - self._next, None))
        self._next = place + 1
        return events, events


class Rounds(Sampler[list[int]]):
    """The batches of a round, gathered by block: device d of n takes every n-th block, from block d on.

    No device ever sees a block of another, no round a batch of an earlier one, and a training that goes on in round r
    goes on with the batches of round r, whatever was done before.
    """

    def __init__(self, steps: int, block: int, device: int = 0, devices: int = 1) -> None:
        self._steps, self._block, self._device, self._devices = steps, block, device, devices
        self._round = 0

    def set_epoch(self, epoch: int) -> None:
        """Begin round `epoch`; Lightning calls this by this name."""
        self._round = epoch

    def __iter__(self) -> Iterator[list[int]]:
        steps = range(self._round * self._steps, (self._round + 1) * self._steps)
        for block, places in itertools.groupby(steps, lambda step: step // self._block):
            first = (block * self._devices + self._device) * self._block
            yield [first + place % self._block for place in places]


class BatchByBatch:
    """What Lightning iterates over: batches one by one from a loader that hands over blocks."""

    def __init__(self, loader: DataLoader[Batch], steps: int) -> None:
        self._loader, self._steps = loader, steps
        self.sampler = loader.batch_sampler
        """Told the round by Lightning."""

    def __len__(self) -> int:
        return self._steps

    def __iter__(self) -> Iterator[Batch]:
        return itertools.chain.from_iterable(self._loader)


class CrossingData(lightning.LightningDataModule):
    """Training rounds from the endless stream, and the same few validation batches after each of them."""

    def __init__(self, training: Training, machine: Machine) -> None:
        super().__init__()
        self._training, self._machine = training, machine
        self._validation: list[Batch] | None = None

    def train_dataloader(self) -> BatchByBatch:
        """Return the loader of the training rounds."""
        t, machine = self._training, self._machine
        missing = (t.missing.field, t.missing.everything)
        batches = CrossingBatches(t.data, t.length.crossings, t.network.links, missing, t.seed, t.schema, t.masking)
        device, devices = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
        several: dict[str, Any] = {}
        if machine.workers:
            several = {
                "num_workers": machine.workers, "persistent_workers": True, "multiprocessing_context": "spawn",
                "prefetch_factor": 2, "worker_init_fn": _begin_worker,
            }  # fmt: skip
        rounds: Any = Rounds(t.length.steps, batches.block, device, devices)
        loader = DataLoader(batches, batch_sampler=rounds, collate_fn=_as_it_is, **several)
        return BatchByBatch(loader, t.length.steps)

    def val_dataloader(self) -> DataLoader[Batch]:
        """Return the loader of the validation batches, made once and kept; devices share them out."""
        if self._validation is None:
            t, v = self._training, self._training.validation
            batches = CrossingBatches(
                t.data.held_out(v), t.length.crossings, t.network.links, (0.0, 0.0), t.seed, t.schema, t.masking
            )
            device, devices = (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)
            self._validation = [batches[i] for i in range(device, math.ceil(v.batches / devices) * devices, devices)]
        return DataLoader(self._validation, batch_size=None, collate_fn=_as_it_is)  # type: ignore[arg-type]


def _as_it_is(batch: Any) -> Any:
    return batch


def _begin_worker(_: int) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches all processes; the trainer ends its workers
    set_threads(1)
    logging.getLogger("lightning").setLevel(logging.ERROR)
