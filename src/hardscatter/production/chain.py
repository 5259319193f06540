"""Several files as one: their events in a row, read by their place in it."""

from __future__ import annotations

import os
from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path

from hardscatter.events import Events, concatenate
from hardscatter.io import count, read
from hardscatter.production.inputs import files_of


@dataclass(frozen=True)
class Chain:
    """The events of files one after the other."""

    files: tuple[Path, ...]
    ends: tuple[int, ...]
    """Where the events of each end, counted from the first of all."""

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def read(self, first: int, last: int, *, particle_flow: str | None = None) -> Events:
        """Return the events from `first` to before `last`, wherever a file ends.

        Raises
        ------
        UnreadableFileError
            If a file cannot be read.
        """
        entries = self._entries(first, min(last, len(self)))
        parts = [read(path, limits, particle_flow=particle_flow) for path, limits in entries]
        return parts[0] if len(parts) == 1 else concatenate(parts)

    def batches(self, step: int) -> Iterator[tuple[int, int]]:
        """Yield the limits of batches of at most `step` events, none of which goes past the end of a file."""
        first = 0
        for end in self.ends:
            while first < end:
                yield first, (first := min(first + step, end))

    def _entries(self, first: int, last: int) -> Iterator[tuple[Path, tuple[int, int]]]:
        """Yield files and which of their entries; none of the first file's where nothing is asked for."""
        place = min(bisect_right(self.ends, first), len(self.ends) - 1)
        while True:
            before = self.ends[place - 1] if place else 0
            stop = min(last, self.ends[place])
            yield self.files[place], (first - before, max(stop, first) - before)
            if stop >= last:
                return
            first, place = stop, place + 1


def chain(words: Sequence[str | os.PathLike[str]], n: int | None = None) -> Chain:
    """Return the first `n` events, or all, of the files that words name (`files_of`); files beyond are not opened.

    Raises
    ------
    UnreadableFileError, SettingsError
        As `files_of`, and if a file cannot be read.
    """
    paths: list[Path] = []
    lengths: list[int] = []
    left = n
    for path in files_of(words):
        found = count(path)
        paths.append(path)
        lengths.append(found if left is None else min(found, left))
        if left is not None:
            left -= lengths[-1]
        if left == 0:
            break
    return Chain(tuple(paths), tuple(accumulate(lengths)))
