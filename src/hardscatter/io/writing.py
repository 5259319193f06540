"""Writes files whole or not at all: aside, in the same folder, and renamed when all went well."""

from __future__ import annotations

import contextlib
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import awkward as ak
import numpy as np

from hardscatter.errors import UnwritableFileError
from hardscatter.events import Events, from_candidates
from hardscatter.io.carrying import CarryingSink
from hardscatter.io.nanoaod import RootSink
from hardscatter.io.parquet import ParquetSink, ReadEvents

PIECE = 2**18
"""Candidates in one row group or basket: what a reader must hold at least (about 12 MB), 30 crossings at pileup 140."""


class Sink(Protocol):
    """A file being written in one format; fields, types and metadata are those of `first`."""

    def __init__(self, path: Path, first: Events) -> None: ...

    def write(self, events: Events, source: Events | None = None, /) -> None:
        """Append events, of which `source` is what was read, if they come from a file."""

    def close(self) -> None:
        """Finish the file."""


_SINKS: dict[str, type[Sink]] = {".parquet": ParquetSink, ".root": RootSink}


class Writer:
    """A file to which events are written batch by batch, for use in a ``with`` statement.

    Parameters
    ----------
    path
        Where to write; the suffix, ``.parquet`` or ``.root``, gives the format.
    overwrite
        Whether a file that is already there may be replaced. It stays as it is until the new one is complete.

    Raises
    ------
    UnwritableFileError
        Before any work: if the suffix is unknown, the file is already there, or its folder is missing or not
        writable. Later: if the device is full or a batch has other fields than the first. The target is then
        untouched and nothing is left beside it; so it is after any other exception in the ``with`` block.

    Notes
    -----
    Fields, types and metadata are those of the first batch. If nothing was written, the file holds zero events with
    the compulsory fields only.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path = Path(path)
        self._overwrite = overwrite
        self._sink: Sink | None = None
        self._type: Any = None
        if self.path.suffix not in _SINKS:
            raise UnwritableFileError(
                f"{self.path} has no suffix that says its format: name it .parquet (native) or .root."
            )
        check_target(self.path, self._overwrite)
        self._aside = self.path.with_name(f".{self.path.name}.{uuid.uuid4().hex[:8]}.partial")

    def __enter__(self) -> Self:
        with self._device():
            self._aside.touch(exist_ok=False)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._finish()
            elif self._sink is not None:
                with contextlib.suppress(Exception):  # the first problem is the one to tell
                    self._sink.close()
        finally:
            self._aside.unlink(missing_ok=True)

    def write(self, events: Events, source: Events | None = None) -> None:
        """Append a batch of events, a changed copy of `source` as it was read: what is untouched may cost less."""
        if self._sink is None:
            kind = CarryingSink if _carries(self.path, source) else _SINKS[self.path.suffix]
            with self._device():
                self._sink = kind(self._aside, events)
            self._type = events.array.type.content
        conform = self._conform(events)
        # Several row groups together are small ones: they are written one by one, as they were.
        in_pieces = isinstance(self._sink, CarryingSink) and isinstance(source, ReadEvents) and len(source.groups) > 1
        for piece in [conform] if in_pieces else _pieces(conform):
            with self._device():
                self._sink.write(piece, source)

    def _conform(self, events: Events) -> Events:
        """Return the events with the types of the first batch, which must hold them without loss."""
        array = events.array
        if str(array.type.content) == str(self._type):
            return events
        try:
            cast = ak.enforce_type(array, self._type)
            if ak.array_equal(cast, array, equal_nan=True, dtype_exact=False):
                return Events(cast, events.metadata)
        except (TypeError, ValueError):
            pass
        raise UnwritableFileError(
            f"{self.path}: a batch of events holds {array.type.content}, the first held {self._type}; "
            "write events of one kind."
        )

    def _finish(self) -> None:
        if self._sink is None:
            self.write(from_candidates(pt=[], eta=[], phi=[], energy=[], charge=[], vertex=[]))
        sink = self._sink
        with self._device():
            if sink is not None:
                sink.close()
            check_target(self.path, self._overwrite)  # somebody else may have written it meanwhile
            self._aside.replace(self.path)

    @contextlib.contextmanager
    def _device(self) -> Iterator[None]:
        """Turn what the operating system says into one sentence."""
        try:
            yield
        except UnwritableFileError:
            raise
        except OSError as problem:
            reason = os.strerror(problem.errno) if problem.errno else str(problem).splitlines()[0]
            raise UnwritableFileError(
                f"{self.path} cannot be written ({reason}): make room or choose another place."
            ) from None


def write(path: str | os.PathLike[str], events: Events, *, overwrite: bool = False) -> None:
    """Write events to a ``.parquet`` or ``.root`` file, whole or not at all.

    Parameters
    ----------
    path
        Where to write; the suffix gives the format.
    events
        Events to write; none is fine.
    overwrite
        Whether a file that is already there may be replaced.

    Raises
    ------
    UnwritableFileError
        If the file cannot be written (see `Writer`); the target is then as it was.
    """
    with Writer(path, overwrite) as writer:
        writer.write(events)


def check_target(path: Path, overwrite: bool) -> None:
    """Raise a sentence if a file cannot be written at `path`; see `Writer`."""
    if path.is_dir():
        raise UnwritableFileError(f"{path} is a folder: give the name of a file.")
    if path.exists() and not overwrite:
        raise UnwritableFileError(
            f"{path} is already there: choose another name or allow overwriting (--overwrite on the command "
            "line, overwrite=True in Python)."
        )
    folder = path.parent
    if not folder.is_dir():
        raise UnwritableFileError(f"{path} cannot be written, there is no folder {folder}: create it first.")
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UnwritableFileError(f"{path} cannot be written, {folder} is not yours to write in: choose another.")


@contextlib.contextmanager
def aside(output: Path) -> Iterator[Path]:
    """Give a name beside the output for a file or folder that is renamed to it if all went well, else removed.

    A file that is there is replaced, and by a folder a folder.
    """
    place = output.with_name(f".{output.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield place
        if place.is_dir() and output.is_dir():
            shutil.rmtree(output)
        place.replace(output)
    except OSError as problem:
        if isinstance(problem, UnwritableFileError):
            raise
        reason = os.strerror(problem.errno) if problem.errno else str(problem).splitlines()[0]
        raise UnwritableFileError(
            f"{output} cannot be written ({reason}): make room or choose another place."
        ) from None
    finally:
        if place.is_dir():
            shutil.rmtree(place, ignore_errors=True)
        else:
            place.unlink(missing_ok=True)


def _carries(path: Path, source: Events | None) -> bool:
    """Tell whether columns may be copied from the file that was read."""
    return path.suffix == ".parquet" and isinstance(source, ReadEvents)


def _pieces(events: Events) -> Iterator[Events]:
    """Cut a batch so that readers can stream with bounded memory; an empty batch is one empty piece."""
    ends = np.cumsum(np.asarray(events.n_candidates))
    start = 0
    while start < len(events):
        done = ends[start - 1] if start else 0
        stop = max(start + 1, int(np.searchsorted(ends, done + PIECE, side="right")))
        yield events if stop - start == len(events) else events[start:stop]
        start = stop
