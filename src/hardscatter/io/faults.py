"""Turns what file libraries raise on damaged files into one sentence."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hardscatter.errors import HardscatterError, InvalidEventsError, UnreadableFileError


@contextmanager
def damage(path: Path, what: str) -> Iterator[None]:
    """Raise `UnreadableFileError` for anything that goes wrong while `what` of the file is read.

    On damaged files uproot, pyarrow and zipfile raise whatever the nonsense bytes lead to (struct, key, index,
    value, decompression errors), so only a wide net catches all. Wrap calls of those libraries and nothing else:
    a mistake of our own must not be blamed on the file.
    """
    try:
        yield
    except (HardscatterError, MemoryError):
        raise
    except Exception as problem:
        reason = _first_line(problem)
        raise UnreadableFileError(
            f"{path} is damaged or cut short: {what} cannot be read ({reason}); copy or make the file again."
        ) from None


@contextmanager
def bad_events(path: Path, start: int, stop: int) -> Iterator[None]:
    """Name the file and the entries in the sentence about events that break the event model.

    Arithmetic with what a damaged file holds must not warn on the way to that sentence.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except InvalidEventsError as problem:
        raise UnreadableFileError(
            f"{path}, entries {start} to {stop - 1} (event 0 is entry {start}): {problem}"
        ) from None


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    kind = type(problem).__name__
    return f"{kind}: {lines[0].strip().rstrip('.')[:120]}" if lines else kind
