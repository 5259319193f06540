"""Collisions in files: flat NumPy arrays in an .npz, written aside and renamed."""

from __future__ import annotations

import contextlib
import json
import os
import struct
import time
import tokenize
import uuid
import zipfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from hardscatter.errors import HardscatterError, UnreadableFileError, UnwritableFileError
from hardscatter.generate.collisions import PARTICLE_FIELDS, TRUTH_FIELDS, Collisions
from hardscatter.io.faults import check_archive

FIELDS = ("offsets", *PARTICLE_FIELDS, "weight", "truth_offsets", *TRUTH_FIELDS)

STALE = 3600.0
"""A half-written file older than this (s) belongs to a process that died."""


@contextlib.contextmanager
def aside(path: Path) -> Iterator[Path]:
    """Give a path beside `path` to write to; what stands there in the end takes the place of `path` at once.

    Raises
    ------
    UnwritableFileError
        If the device is full or the folder not ours to write in. `path` is then as it was.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        if partial.exists():
            partial.replace(path)
    except OSError as problem:
        if isinstance(problem, UnwritableFileError):
            raise
        reason = problem.strerror or str(problem)
        raise UnwritableFileError(
            f"{path} cannot be written ({reason}): make room or choose another place, then start again; "
            "what is complete is kept."
        ) from None
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def make_folder(folder: Path) -> None:
    """Make a folder, and those it lies in, unless it is there.

    Raises
    ------
    UnwritableFileError
        If that is impossible.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise UnwritableFileError(
            f"{folder} cannot be made ({problem.strerror}): choose another place, "
            "for all libraries with HARDSCATTER_CACHE."
        ) from None


def remove_stale(folder: Path) -> None:
    """Remove half-written files that killed processes left in a folder."""
    for partial in folder.glob(".*.partial"):
        with contextlib.suppress(OSError):  # another process may be faster
            if time.time() - partial.stat().st_mtime > STALE:
                partial.unlink()


def save(path: Path, collisions: Collisions) -> None:
    """Write collisions to an .npz file, whole or not at all.

    Raises
    ------
    UnwritableFileError
        See `aside`.
    """
    arrays = {name: getattr(collisions, name) for name in FIELDS}
    arrays["metadata"] = np.array(json.dumps(collisions.metadata))
    with aside(path) as partial, partial.open("wb") as file:
        np.savez(file, **arrays)
        file.flush()
        os.fsync(file.fileno())


def load(path: Path) -> Collisions:
    """Read what `save` wrote.

    Raises
    ------
    UnreadableFileError
        If the file is missing or damaged.
    """
    with _opened(path) as file:
        arrays = {name: file[name] for name in FIELDS}
        metadata = json.loads(str(file["metadata"]))
    collisions = Collisions(**arrays, metadata=metadata)
    if not _fit_together(collisions):
        raise UnreadableFileError(f"{path} is damaged, its arrays do not fit together: {REMEDY}.")
    return collisions


def _fit_together(collisions: Collisions) -> bool:
    """Tell whether all arrays are numbers and as long as the offsets say."""
    for offsets, names in ((collisions.offsets, PARTICLE_FIELDS), (collisions.truth_offsets, TRUTH_FIELDS)):
        if offsets.ndim != 1 or offsets.dtype.kind != "i" or len(offsets) != len(collisions.weight) + 1:
            return False
        if offsets[0] != 0 or (np.diff(offsets) < 0).any():
            return False
        columns = [getattr(collisions, name) for name in names]
        if any(column.shape != (offsets[-1],) or column.dtype.kind not in "iuf" for column in columns):
            return False
    return collisions.weight.ndim == 1 and collisions.weight.dtype.kind == "f"


def read_metadata(path: Path) -> dict[str, Any]:
    """Read only the metadata of a file.

    Raises
    ------
    UnreadableFileError
        If the file is missing or damaged.
    """
    with _opened(path) as file:
        return dict(json.loads(str(file["metadata"])))


def count(path: Path) -> int:
    """Return how many collisions a file holds, 0 if it is missing or damaged."""
    try:
        with _opened(path) as file:
            return len(file["weight"])
    except UnreadableFileError:
        return 0


# What NumPy, zipfile, zlib and json raise on damaged bytes; a file of another kind gives an array without a name.
_DAMAGE = (
    OSError, ValueError, KeyError, EOFError, AttributeError, TypeError, RuntimeError, SyntaxError, IndexError,
    MemoryError, NotImplementedError, tokenize.TokenError, zipfile.BadZipFile, zlib.error, struct.error,
)  # fmt: skip
REMEDY = "delete it and build the library again, which makes only what is missing"


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[np.lib.npyio.NpzFile]:
    try:
        if path.exists():
            check_archive(path, "its list of arrays")
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            yield file
    except FileNotFoundError:
        raise UnreadableFileError(
            f"{path} is missing: build the library again, which makes only what is missing."
        ) from None
    except HardscatterError:
        raise
    except _DAMAGE as problem:
        reason = (str(problem).strip().splitlines() or [type(problem).__name__])[0].rstrip(".")[:120]
        raise UnreadableFileError(f"{path} is damaged ({reason}): {REMEDY}.") from None
