"""Libraries of collisions on disk: built in parallel, resumable, the same whatever the number of processes.

A library is a folder with ``library.json`` (what it holds and how it was made), the tables of multiparton
interactions it was generated from, and chunks of collisions. A chunk depends on the generation and its number alone.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.generate.collisions import Collisions
from hardscatter.generate.extraction import PILEUP_ETA
from hardscatter.generate.files import aside, load
from hardscatter.generate.generation import Generation
from hardscatter.io.faults import check_stored

FORMAT = 1
"""Goes up when the content of a library changes for the same generation."""

DESCRIPTION = "library.json"
MULTIPARTON = "multiparton.mpi"

CHUNK = 200
"""Collisions in a chunk of a hard process, about 1.5 s of work."""

PILEUP_CHUNK = 500
"""Collisions in a chunk of pileup, about 1.5 s of work."""


@dataclass(frozen=True)
class Library:
    """Collisions on disk, numbered from 0; the first n of a larger library are those of a library of n.

    Made by `build` or `Library.open`.
    """

    folder: Path
    description: dict[str, Any]
    """What ``library.json`` says: generation, settings, versions, chunk size, cross section (mb), hashes."""
    n: int

    @classmethod
    def open(cls, folder: str | os.PathLike[str]) -> Library:
        """Return the library in a folder.

        Raises
        ------
        UnreadableFileError
            If there is none, or its first build was interrupted and never resumed.
        """
        folder = Path(folder)
        description = read_description(folder)
        if "n_collisions" not in description:
            raise UnreadableFileError(f"{folder} holds an unfinished library: build it again, which resumes.")
        n = description["n_collisions"]
        if not isinstance(n, int) or n < 0:
            raise UnreadableFileError(
                f"{folder / DESCRIPTION} is damaged: delete the folder and build the library again."
            )
        return cls(folder, description, n)

    def __len__(self) -> int:
        return self.n

    @property
    def generation(self) -> Generation:
        """What was generated."""
        return Generation(**self.description["generation"])

    @property
    def cross_section(self) -> float:
        """Cross section of the process as Pythia estimates it, mb."""
        return float(self.description["cross_section_mb"])

    def load(self, entries: slice | Sequence[int] | NDArray[np.integer[Any]] | None = None) -> Collisions:
        """Return collisions in memory (6 kB each for pileup): all, or those with these numbers, in this order.

        Raises
        ------
        IndexError
            If there is no collision of that number.
        UnreadableFileError
            If a chunk is missing or damaged.
        """
        wanted = np.arange(self.n)[slice(None) if entries is None else entries]
        if len(wanted) == 0:
            return self._chunk(0, wanted)
        chunk, place = np.divmod(wanted, self.description["chunk_size"])
        order = np.argsort(chunk, kind="stable")
        numbers, starts = np.unique(chunk[order], return_index=True)
        parts = [
            self._chunk(int(number), place[rows])
            for number, rows in zip(numbers, np.split(order, starts[1:]), strict=True)
        ]
        joined = Collisions.concatenate(parts, self.description)
        return joined if np.array_equal(order, np.arange(len(order))) else joined.select(np.argsort(order))

    def collisions(self, i: int) -> Collisions:
        """Return collision `i` alone; it costs reading its chunk, so `load` many at once."""
        return self.load([i])

    def _chunk(self, number: int, places: NDArray[np.int64]) -> Collisions:
        """Return the collisions at these places of a chunk, which a later build may have made longer."""
        path = chunk_path(self.folder, number)
        chunk = load(path)
        if len(places) and places.max() >= len(chunk):
            raise UnreadableFileError(f"{path} is shorter than {DESCRIPTION} says: build the library again.")
        if np.array_equal(places, np.arange(len(chunk))):
            return chunk
        return chunk.select(places)


def cache_folder() -> Path:
    """Return where libraries lie by default: ``HARDSCATTER_CACHE``, else what the platform uses for caches."""
    own = os.environ.get("HARDSCATTER_CACHE")
    if own:
        return Path(own)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "hardscatter"


def library_folder(generation: Generation) -> Path:
    """Return the folder in the cache for this generation, another one for each version of Pythia."""
    fingerprint = generation.fingerprint(FORMAT, version("pythia8mc"))
    return cache_folder() / "libraries" / f"{generation.process}-{fingerprint}"


def chunk_path(folder: Path, number: int) -> Path:
    """Return the file of a chunk."""
    return folder / f"chunk-{number:06d}.npz"


def describe(generation: Generation, chunk_size: int | None, multiparton: str | None) -> dict[str, Any]:
    """Return the content of ``library.json`` as it is before there are collisions."""
    size = chunk_size or (CHUNK if generation.keeps_invisible else PILEUP_CHUNK)
    kept = "all stable ones" if generation.keeps_invisible else f"stable, visible, |eta| < {PILEUP_ETA:g}"
    return {
        "format": FORMAT,
        "generation": generation.to_dict(),
        "settings": [list(lines) for lines in generation.settings()],
        "particles": f"{kept}; stable means c tau > 10 mm unless the settings say otherwise",
        "chunk_size": size,
        "multiparton_sha256": multiparton,
        "versions": {name: version(name) for name in ("hardscatter", "pythia8mc", "numpy")},
    }


def read_description(folder: Path) -> dict[str, Any]:
    """Return the content of ``library.json``.

    Raises
    ------
    UnreadableFileError
        If it is missing or damaged.
    """
    path = folder / DESCRIPTION
    check_stored(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UnreadableFileError(f"{folder} holds no library of collisions: build one there first.") from None
    except (OSError, ValueError, RecursionError):
        content = None
    if not isinstance(content, dict) or not {"generation", "chunk_size", "format"} <= content.keys():
        raise _damaged(path)
    return content


def _damaged(path: Path) -> UnreadableFileError:
    return UnreadableFileError(f"{path} is damaged: delete the folder and build the library again.")


def write_description(folder: Path, description: dict[str, Any]) -> None:
    """Write ``library.json``, whole or not at all."""
    with aside(folder / DESCRIPTION) as path:
        path.write_text(json.dumps(description, indent=2) + "\n", encoding="utf-8")


def check_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    """Make sure that what a folder holds can be resumed or extended.

    Raises
    ------
    SettingsError
        If it was made with other settings or another Pythia.
    """
    keys = ("format", "generation", "settings", "chunk_size", "multiparton_sha256")
    differing = [key for key in keys if found.get(key) != wanted[key]]
    if found.get("versions", {}).get("pythia8mc") != wanted["versions"]["pythia8mc"]:
        differing.append("version of pythia8mc")
    if differing:
        raise SettingsError(
            f"{folder} holds another library ({', '.join(differing)} not the same): choose another folder or delete it."
        )
