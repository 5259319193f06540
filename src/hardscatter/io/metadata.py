"""The metadata of events as JSON, which both of our own file formats carry."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np

from hardscatter.errors import UnreadableFileError, UnwritableFileError

KEY = "hardscatter"
"""Name of the metadata in the file, and the mark that the file is ours."""

UNITS = {"momentum": "GeV", "length": "mm", "angle": "rad"}


def packed(metadata: Mapping[str, Any], **more: Any) -> str:
    """Return the metadata of events as JSON, with version, units and `more` about the file beside it.

    Raises
    ------
    UnwritableFileError
        If an entry is not made of numbers, strings, lists and dictionaries.
    """
    content = {"version": version("hardscatter"), "units": UNITS, **more, "metadata": dict(metadata)}
    try:
        return json.dumps(content, default=_plain)
    except (TypeError, ValueError) as problem:
        raise UnwritableFileError(
            f"the metadata of the events cannot be stored ({problem}): keep numbers, strings, lists and dictionaries."
        ) from None


def unpacked(path: Path, text: str | bytes) -> dict[str, Any]:
    """Return what `packed` stored; the events' own metadata stand under ``"metadata"``.

    Raises
    ------
    UnreadableFileError
        If the text is not what `packed` writes.
    """
    try:
        content = json.loads(text)
        if isinstance(content["metadata"], dict):
            return dict(content)
    except (ValueError, KeyError, TypeError, RecursionError):
        pass
    raise UnreadableFileError(f"{path} has unreadable 'hardscatter' metadata: make the file again.")


def _plain(value: Any) -> Any:
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"a {type(value).__name__}")
