"""Runs Pythia for one chunk of collisions, which depends on the generation and the chunk's number alone."""

from __future__ import annotations

import errno
import hashlib
import math
import os
import shutil
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import HardscatterError, SettingsError
from hardscatter.generate.collisions import Collisions
from hardscatter.generate.extraction import extract, from_pythia
from hardscatter.generate.files import aside, make_folder
from hardscatter.generate.generation import Generation

INIT_SEED = 1
"""Every start of Pythia uses this one: its tables depend on it, and the collisions on the tables."""

LARGEST_SEED = 900_000_000
"""Pythia takes seeds from 1 to this."""

ATTEMPTS = 20.0
"""Tries for each collision before giving up; far more than any sane process needs."""


def chunk_seed(seed: int, number: int, variant: int = 0) -> int:
    """Return Pythia's seed for a variant of chunk `number`, well mixed from the seed of the library."""
    state = np.random.SeedSequence(seed, spawn_key=(number, variant)).generate_state(1, np.uint64)
    return int(state[0] % LARGEST_SEED) + 1


def run_chunk(generation: Generation, number: int, n: int, multiparton: Path | None) -> Collisions:
    """Return the first `n` collisions of a chunk; a longer run of the same chunk begins with the same ones.

    Each chunk starts a Pythia of its own, 0.1 s with prepared tables, so that nothing can leak from one to the next.

    Parameters
    ----------
    generation
        What to generate.
    number
        Number of the chunk.
    n
        Number of collisions, at least 1. Variants of the process take turns.
    multiparton
        Prepared tables of multiparton interactions (see `prepare_multiparton`); None to make them anew.

    Raises
    ------
    SettingsError
        If Pythia refuses the settings.
    HardscatterError
        If Pythia starts but fails nearly always to make a collision.
    """
    variants = generation.settings()
    parts = [
        _run_variant(
            generation, lines, chunk_seed(generation.seed, number, v), -(-(n - v) // len(variants)), multiparton
        )
        for v, lines in enumerate(variants)
        if v < n
    ]
    whole = len(variants) / len(parts)  # variants have equal cross sections, and a single collision uses only one
    metadata = {
        "generation": generation.to_dict(),
        "chunk": number,
        "n_tried": sum(part.metadata["n_tried"] for part in parts),
        "cross_section_mb": whole * sum(part.metadata["cross_section_mb"] for part in parts),
        "cross_section_error_mb": whole * math.hypot(*(part.metadata["cross_section_error_mb"] for part in parts)),
    }
    joined = Collisions.concatenate(parts, metadata)
    return joined.select(_in_turn(n, len(parts))) if len(parts) > 1 else joined


def prepare_multiparton(generation: Generation, target: Path, cache: Path) -> str | None:
    """Put the tables of multiparton interactions at `target`, from the cache or made now; return their SHA-256.

    They take up to 12 s to make. Collisions made from the file differ from those of the Pythia that wrote it, since
    it stores rounded numbers; so it is written first and everything is generated from it. None if the generation has
    no multiparton interactions.
    """
    if not target.exists():
        name = replace(generation, seed=0).fingerprint(version("pythia8mc"))
        stored = cache / f"{generation.process}-{name}.mpi"
        if not stored.exists():
            make_folder(stored.parent)
            with aside(stored) as path:
                _start(generation.settings()[0], path, create=True)
                if not path.exists():
                    return None
                if path.stat().st_size == 0:  # Pythia does not say so
                    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        with aside(target) as path:
            shutil.copyfile(stored, path)
    return hashlib.sha256(target.read_bytes()).hexdigest()


def _run_variant(
    generation: Generation, lines: tuple[str, ...], seed: int, n: int, multiparton: Path | None
) -> Collisions:
    pythia = _start(lines, multiparton)
    pythia.rndm.init(seed)
    try:
        batch = pythia.nextBatch(n, errorMode=ATTEMPTS)
    except RuntimeError as problem:
        raise HardscatterError(
            f"Pythia fails nearly always to make a collision of process '{generation.process}' ({problem}): "
            "check its settings."
        ) from None
    info = pythia.infoPython()
    metadata = {
        "cross_section_mb": float(info.sigmaGen()),
        "cross_section_error_mb": float(info.sigmaErr()),
        "n_tried": int(info.nTried()),
    }
    return extract(from_pythia(batch), _weights(batch), generation.keeps_invisible, metadata)


def _start(lines: tuple[str, ...], multiparton: Path | None, create: bool = False) -> Any:
    """Return a Pythia, silent and initialised."""
    from pythia8mc import Pythia  # type: ignore[import-not-found]  # takes 0.1 s, which only generation should pay

    pythia = Pythia("", False)
    ours = ("Random:setSeed = on", f"Random:seed = {INIT_SEED}", "Print:quiet = on")
    for line in (*lines, *ours):
        if not pythia.readString(line, False):
            raise SettingsError(f"Pythia does not understand the setting '{line}': correct or remove it.")
    if multiparton is not None:  # as a setting of its own, since a path may hold blanks
        pythia.settings.mode("MultipartonInteractions:reuseInit", 1 if create else 2)
        pythia.settings.word("MultipartonInteractions:initFile", str(multiparton))
    if not pythia.init():
        raise SettingsError(
            "Pythia cannot start with these settings, perhaps because no process is switched on "
            f"({'; '.join(lines[-8:])}): correct them."
        )
    return pythia


def _weights(batch: Any) -> NDArray[np.float64]:
    """Return the nominal weight of each collision, which comes first."""
    weights = batch["info", "weights"].layout
    first = np.asarray(weights.offsets.data)[:-1]
    return np.asarray(np.asarray(weights.content.data)[first], np.float64)


def _in_turn(n: int, variants: int) -> NDArray[np.intp]:
    """Return where collision 0, 1, … lie when those of each variant stand together."""
    turn = np.arange(n)
    return np.argsort(np.argsort(turn % variants, kind="stable"), kind="stable")
