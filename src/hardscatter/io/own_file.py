"""Writes weights back into an experiment's own file: a copy of it, with the weights beside its candidates."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hardscatter.errors import InvalidEventsError, UnwritableFileError
from hardscatter.events import Events, flat
from hardscatter.io.delphes import DelphesFile
from hardscatter.io.formats import Source, iterate, opened
from hardscatter.io.friend import FriendSink, WithFriend
from hardscatter.io.hdf5 import WEIGHTS, open_hdf5
from hardscatter.io.padded import PaddedFile
from hardscatter.io.pfnano import PFNanoFile
from hardscatter.io.scouting import ScoutingFile
from hardscatter.io.writing import aside, check_target

_SAME = ("pt", "eta", "phi", "charge")
"""Fields by which candidates of the two files are told to be the same."""


def write_back(
    path: str | os.PathLike[str],
    weighted: str | os.PathLike[str] | Iterable[Events],
    output: str | os.PathLike[str],
    *,
    step: int = 100,
    overwrite: bool = False,
    particle_flow: str | None = None,
    on_events: Callable[[int], None] | None = None,
) -> list[str]:
    """Write an experiment's own file with weights beside its candidates, aligned one to one.

    Nothing of the file changes. A ROOT file gets one more tree, ``HardscatterWeights``, a friend of its own: branches
    ``<collection>_weight_<name>`` for the collections the candidates came from (``PFCands``, ``ScoutingPFCandidate``,
    ``EFlowTrack``, …). An HDF5 file of the layouts of TOTAL or DistillNet gets data sets
    ``hardscatter_weights/<name>``, events × slots, 0 in empty slots. `hardscatter.read` finds them under
    ``weights.<name>``.

    Parameters
    ----------
    path
        The experiment's file.
    weighted
        What ``hardscatter mitigate`` made of it, or its events in batches, in the order of the file. All weights that
        the experiment's own file does not hold itself are taken.
    output
        Where to write.
    step
        Events held in memory at once.
    overwrite
        Whether a file that is already there may be replaced.
    particle_flow
        As for `hardscatter.read`.
    on_events
        Called with the number of events after each batch, for progress bars.

    Returns
    -------
    list of str
        Names of the weights written.

    Raises
    ------
    InvalidEventsError
        If the weighted events are not those of the file, one to one, or carry no new weights.
    UnwritableFileError
        If the file cannot be written, or its format has no place for weights (files of hardscatter, packed samples).
    UnreadableFileError
        If either file cannot be read.
    """
    path, output = Path(path), Path(output)
    check_target(output, overwrite)
    batches = iterate(weighted, step) if isinstance(weighted, str | os.PathLike) else iter(weighted)
    with opened(path, particle_flow, smear_tracks=True) as source, aside(output) as copy:
        inner = source.inner if isinstance(source, WithFriend) else source
        shutil.copyfile(path, copy)
        first = next(batches, None)
        if first is None:
            raise InvalidEventsError(f"{path}: there are no weighted events to write into it.")
        settings = _settings(path, first, inner)
        with _sink(path, copy, inner, settings) as sink:
            start = 0
            for events in _with(first, batches):
                _check_same(path, events, inner, start)
                sink.write(events)
                start += len(events)
                if on_events is not None:
                    on_events(len(events))
            if start != inner.n_events:
                raise InvalidEventsError(
                    f"{path} holds {inner.n_events} events, weights are there for {start}: weigh it whole."
                )
        return list(settings)


class _PaddedSink:
    """Weights being written into a padded HDF5 file."""

    def __init__(self, file: Any, source: PaddedFile, settings: dict[str, Any]) -> None:
        self._source, self._done = source, 0
        group = file.require_group(WEIGHTS)
        shape = (source.n_events, source.n_slots)
        for name in settings:
            group.pop(name, None)
        self._data = {
            name: group.create_dataset(name, shape, np.float32, chunks=(1, source.n_slots), compression="gzip")
            for name in settings
        }
        for name, about in settings.items():
            self._data[name].attrs["settings"] = json.dumps(about)

    def write(self, events: Events) -> None:
        """Append the weights of the next events."""
        here = slice(self._done, self._done + len(events))
        filled = self._source.filled(here.start, here.stop)
        for name, data in self._data.items():
            slots = np.zeros(filled.shape, dtype=np.float32)
            slots[filled] = flat(events.weights[name])
            data[here] = slots
        self._done = here.stop


@contextmanager
def _sink(path: Path, copy: Path, source: Source, settings: dict[str, Any]) -> Iterator[FriendSink | _PaddedSink]:
    """Open the copy for the weights."""
    if isinstance(source, PaddedFile):
        with open_hdf5(copy, "r+") as file:
            yield _PaddedSink(file, source, settings)
        return
    if not isinstance(source, DelphesFile | PFNanoFile | ScoutingFile):
        raise UnwritableFileError(
            f"{path} is a file of the format {source.format}: write_back is for an experiment's own ROOT or HDF5 "
            "file; hardscatter mitigate writes the weights into files of this one."
        )
    import uproot

    with uproot.update(copy) as file:
        sink = FriendSink(file, source, settings)
        yield sink
        sink.close()


def _settings(path: Path, weighted: Events, source: Source) -> dict[str, Any]:
    """Return the settings of the weights that the file does not hold itself."""
    held = _held(source)
    given = weighted.weights.fields if weighted.has("weights") else []
    about = weighted.metadata.get("weights", {})
    settings = {name: dict(about.get(name, {})) for name in given if name not in held}
    if not settings:
        raise InvalidEventsError(
            f"{path}: the weighted events carry no weights that it does not hold: mitigate it first."
        )
    return settings


def _held(source: Source) -> set[str]:
    """Return the names of the weights that are the experiment's own, not written back."""
    if isinstance(source, PaddedFile):
        return set(source.own_weights)
    own = source.read(0, min(1, source.n_events))
    return set(own.weights.fields) if own.has("weights") else set()


def _check_same(path: Path, events: Events, source: Source, start: int) -> None:
    """Raise a sentence unless the events are those of the file from entry `start` on."""
    stop = start + len(events)
    if stop > source.n_events:
        raise InvalidEventsError(f"{path} holds {source.n_events} events, weights are there for more: weigh this file.")
    own = source.read(start, stop)
    counts, theirs = ak.to_numpy(own.n_candidates), ak.to_numpy(events.n_candidates)
    differing = counts != theirs
    if not differing.any():
        event = np.repeat(np.arange(len(counts)), counts)
        for name in _SAME:
            unequal = flat(own.candidates[name]) != flat(events.candidates[name])
            differing[event[unequal]] = True
    if differing.any():
        raise InvalidEventsError(
            f"{path}, entry {start + int(np.argmax(differing))}: the weighted events have other candidates: weigh this "
            "file, and leave no candidate out."
        )


def _with(first: Events, rest: Iterator[Events]) -> Iterator[Events]:
    yield first
    yield from rest
