"""Turns what file libraries raise on damaged files into one sentence."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from hardscatter.errors import HardscatterError, InvalidEventsError, UnreadableFileError

EXPANSION = 100
"""How many times its size the content of a file may be in memory."""
HARMLESS = 2**28
"""Bytes that any machine has to spare."""


@contextmanager
def damage(path: Path, what: str) -> Iterator[None]:
    """Raise `UnreadableFileError` for anything that goes wrong while `what` of the file is read.

    On damaged files uproot, pyarrow and zipfile raise whatever the nonsense bytes lead to (struct, key, index,
    value, decompression errors), so only a wide net catches all. Wrap calls of those libraries and nothing else:
    a mistake of our own must not be blamed on the file.
    """
    try:
        yield
    except HardscatterError:
        raise
    except MemoryError:
        raise UnreadableFileError(
            f"{path}: {what} needs more memory than there is; take fewer events at once, and if the file is no large "
            "one, copy or make it again."
        ) from None
    except Exception as problem:
        reason = _first_line(problem)
        raise UnreadableFileError(
            f"{path} is damaged or cut short: {what} cannot be read ({reason}); copy or make the file again."
        ) from None


@contextmanager
def bad_events(path: Path, start: int, stop: int) -> Iterator[None]:
    """Name the file and the entries in the sentence about events that break the event model, or cannot be made at all.

    Arithmetic with what a damaged file holds must not warn on the way to that sentence. Branches of the wrong shape or
    type lead to whatever error they like, far from where they were read: the sentence keeps it as its cause.
    """
    try:
        with np.errstate(all="ignore"):
            yield
    except InvalidEventsError as problem:
        raise UnreadableFileError(
            f"{path}, entries {start} to {stop - 1} (event 0 is entry {start}): {problem}"
        ) from None
    except HardscatterError:
        raise
    except MemoryError:
        raise UnreadableFileError(
            f"{path}: entries {start} to {stop - 1} need more memory than there is; take fewer events at once."
        ) from None
    except Exception as problem:
        raise UnreadableFileError(
            f"{path} holds something else than its format promises: no events can be made of entries {start} to "
            f"{stop - 1} ({_first_line(problem)}); make the file again."
        ) from problem


def check_stored(path: Path) -> None:
    """Refuse a pipe or a device before it is opened, which alone would wait for whoever writes into it."""
    try:
        kind = path.stat().st_mode
    except (OSError, ValueError):  # whoever opens it says what is wrong
        return
    if not (stat.S_ISREG(kind) or stat.S_ISDIR(kind)):
        raise UnreadableFileError(f"{path} is a pipe or a device, no file: store what comes out of it in a file.")


def check_expansion(path: Path, what: str, declared: int) -> None:
    """Refuse a trap: what grows far beyond the size of its file when it is decompressed.

    Parameters
    ----------
    declared
        Bytes that `what` says it holds once it is in memory; up to `HARMLESS` are always taken.

    Raises
    ------
    UnreadableFileError
        If they are more than `EXPANSION` times the bytes of the file. Momenta shrink to a half at best, a padded or
        constant column to a twentieth.
    """
    size = path.stat().st_size
    if declared > max(HARMLESS, EXPANSION * size):
        raise UnreadableFileError(
            f"{path}: {what} would grow to {declared:.2g} bytes in memory out of a file of {size}: it is damaged or a "
            "trap; make it again from what you trust."
        )


def check_archive(path: Path, what: str) -> None:
    """Refuse a zip archive, as `check_expansion` does, whose members grow far beyond its size; other files pass."""
    check_stored(path)
    with damage(path, what):
        if not zipfile.is_zipfile(path):
            return
        with zipfile.ZipFile(path) as archive:
            declared = sum(member.file_size for member in archive.infolist())
    check_expansion(path, what, declared)


def _first_line(problem: Exception) -> str:
    lines = str(problem).strip().splitlines()
    kind = type(problem).__name__
    return f"{kind}: {lines[0].strip().rstrip('.')[:120]}" if lines else kind
