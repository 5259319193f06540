"""Parts of a production: each some entries of one input, made into one file or several by whoever is free.

A worker writes a part aside, under a name of its own, and tells its checksum. The process that keeps the manifest
renames it and writes it down: so a part exists once, whole, or not at all, however many workers have tried.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from hardscatter.errors import UnwritableFileError

ASIDE = ".partial"
"""The folder, inside the production's, of parts that nobody has accepted yet."""


@dataclass(frozen=True)
class Part:
    """What is to be made."""

    source: str
    """The input: the name of a file, or of a process."""
    first: int
    last: int
    """Entries from `first` to before `last`."""
    name: str
    """Of its file."""


class Work(Protocol):
    """How parts are made: settings that are sent to the workers."""

    def __call__(self, part: Part, files: list[Path]) -> int:
        """Write the files of a part and return how many events they hold."""

    @property
    def also(self) -> tuple[str, ...]:
        """What the names of further files begin with."""


@dataclass(frozen=True)
class Made:
    """A part that lies aside."""

    events: int
    files: tuple[tuple[str, str, int, str], ...]
    """Of each file its name, the path where it lies, bytes and SHA-256."""


@dataclass(frozen=True)
class Maker:
    """Makes parts aside, in any process that sees the folder."""

    work: Work
    folder: Path

    def __call__(self, part: Part) -> Made:
        """Make one part; whatever fails, nothing of it is left."""
        place = self.folder / ASIDE
        mark = uuid.uuid4().hex[:12]
        names = [part.name, *(f"{prefix}{part.name}" for prefix in self.work.also)]
        paths = [place / f"{mark}-{i}-{part.name}" for i in range(len(names))]
        try:
            place.mkdir(exist_ok=True)
            events = self.work(part, paths)
            about = tuple(
                (name, str(path), path.stat().st_size, sha256(path)) for name, path in zip(names, paths, strict=True)
            )
            return Made(events, about)
        except BaseException as problem:
            for path in paths:
                path.unlink(missing_ok=True)
            if isinstance(problem, OSError) and not isinstance(problem, UnwritableFileError):
                raise UnwritableFileError(f"{place} cannot be written ({problem.strerror}): make room.") from None
            raise


def name_of(stem: str, source: str, first: int, last: int, suffix: str) -> str:
    """Return the name of a part's file: it says where the entries come from, also for two inputs of one name."""
    mark = hashlib.sha256(source.encode()).hexdigest()[:8]
    return f"{stem}-{mark}-{first:09d}-{last:09d}{suffix}"


def ranges(n: int, size: int) -> Iterator[tuple[int, int]]:
    """Yield the limits of parts of `size` entries; an input without entries has one empty part."""
    for first in range(0, max(n, 1), size):
        yield first, min(first + size, n)


def sha256(path: Path) -> str:
    """Return the checksum of a file."""
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def line_of(part: Part, made: Made) -> dict[str, Any]:
    """Return what the manifest says of a finished part."""
    (name, _, size, digest), *more = made.files
    line: dict[str, Any] = {
        "part": name, "input": part.source, "first": part.first, "last": part.last, "events": made.events,
        "bytes": size, "sha256": digest,
    }  # fmt: skip
    if more:
        line["with"] = [{"file": name, "bytes": size, "sha256": digest} for name, _, size, digest in more]
    return line
