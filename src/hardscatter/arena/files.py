"""What an arena keeps on disk: small files, each written aside and renamed, with the fingerprint of what made them."""

from __future__ import annotations

import json
import math
import uuid
import zipfile
import zlib
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hardscatter.errors import UnwritableFileError
from hardscatter.metrics import DESIGN, Observations
from hardscatter.metrics.observations import JetObservations

_FLAT = ("met", "truth_met", "ht", "truth_ht")


def write_aside(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file aside and rename it: the file is there whole or not at all.

    Raises
    ------
    UnwritableFileError
        If there is no space or no permission.
    """
    aside = path.with_name(f".{uuid.uuid4().hex[:8]}.partial{path.suffix}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write(aside)
        aside.replace(path)
    except OSError as problem:
        raise UnwritableFileError(f"{path} cannot be written ({problem.strerror}): choose another folder.") from None
    finally:
        if aside.parent.is_dir():
            aside.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text, whole or not at all."""
    write_aside(path, lambda aside: aside.write_text(text, encoding="utf-8"))


def write_json(path: Path, data: Any) -> None:
    """Write plain data as JSON, whole or not at all."""
    write_text(path, json.dumps(data, indent=1, allow_nan=False) + "\n")


def plain(data: Any) -> Any:
    """Return data fit for JSON: mappings, lists, words and numbers; None for numbers that do not exist.

    Numbers have six significant digits, more than the error of any deserves: the rest would only fill the disk.
    """
    if is_dataclass(data):
        data = {one.name: getattr(data, one.name) for one in fields(data)}
    elif hasattr(data, "item"):  # of NumPy
        data = data.item()
    if isinstance(data, Mapping):
        return {str(key): plain(value) for key, value in data.items()}
    if isinstance(data, list | tuple):
        return [plain(value) for value in data]
    if isinstance(data, float):
        return float(f"{data:.6g}") if math.isfinite(data) else None
    return data


def stored(path: Path, fingerprint: str) -> dict[str, Any] | None:
    """Return what `write_json` stored under this fingerprint; None if it is not there or belongs to another."""
    try:
        found = dict(json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
    return found if found.pop("fingerprint", None) == fingerprint else None


def save(path: Path, seen: Observations, fingerprint: str) -> None:
    """Write observations made by the definition `DESIGN`, under a fingerprint."""
    columns: dict[str, Any] = {"fingerprint": np.array(fingerprint), "n_events": np.array(seen.n_events)}
    for name, jets in seen.jets.items():
        columns |= {f"jets/{name}/{item.name}": getattr(jets, item.name) for item in fields(JetObservations)}
    columns |= {name: getattr(seen, name) for name in _FLAT if getattr(seen, name) is not None}
    write_aside(path, lambda aside: np.savez_compressed(aside, **columns))


def load(path: Path, fingerprint: str) -> Observations | None:
    """Return the observations that `save` wrote under this fingerprint; None if there are none, whole and such."""
    try:
        with path.open("rb") as stream, np.load(stream, allow_pickle=False) as file:
            if str(file["fingerprint"]) != fingerprint:
                return None
            studies = [study.name for study in DESIGN.jets if f"jets/{study.name}/event" in file]
            jets = {
                name: JetObservations(
                    **{item.name: file[f"jets/{name}/{item.name}"] for item in fields(JetObservations)}
                )
                for name in studies
            }
            flat = {name: file[name] for name in _FLAT if name in file}
            return Observations(
                DESIGN, int(file["n_events"]), jets, flat.pop("met", None), flat.pop("truth_met", None), **flat
            )
    except (OSError, KeyError, ValueError, EOFError, zipfile.BadZipFile, zlib.error):
        return None
