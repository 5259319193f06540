"""The manifest of a production: what its folder holds, one JSON object a line, appended as parts are finished.

The first line says what is made and how: settings, versions, and a hash of both that every later run must have. Then,
in the order of their completion:

- an input: ``{"input": name, "identity": …, "events": n}``;
- a part: ``{"part": file, "input": name, "first": …, "last": …, "events": n, "bytes": …, "sha256": …}``, more files of
  the same entries under ``"with"``;
- an input that could not be used: ``{"input": name, "problem": sentence}``; a later line may say otherwise.

A line counts once it ends; what a killed process left of one is cut off. Whoever writes holds a lock.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

from hardscatter import __version__
from hardscatter.errors import SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.io.faults import check_stored

try:
    import fcntl
except ImportError:  # no such locks on Windows
    _LOCKS = False
else:
    _LOCKS = True

NAME = "manifest.jsonl"
FORMAT = 1


@dataclass
class Manifest:
    """An open manifest: what is known, and where more is written."""

    folder: Path
    header: dict[str, Any]
    parts: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Finished parts by the name of their file."""
    inputs: dict[str, dict[str, Any]] = field(default_factory=dict)
    """What was found of each input, last."""
    stream: IO[bytes] | None = None
    """Where lines are appended; None if it is only read."""

    def add(self, line: Mapping[str, Any]) -> None:
        """Append a line; it is on disk when this returns.

        Raises
        ------
        UnwritableFileError
            If there is no space: what was there stays as it is.
        """
        assert self.stream is not None, "a manifest that is only read"
        place = self.stream.tell()
        try:
            self.stream.write(_text(line))
            self.stream.flush()
            os.fsync(self.stream.fileno())
        except OSError as problem:
            self.stream.truncate(place)
            raise UnwritableFileError(
                f"{self.folder / NAME} cannot be written ({problem.strerror}): make room and start again."
            ) from None
        self._take(dict(line))

    def _take(self, line: dict[str, Any]) -> None:
        if "part" in line:
            self.parts[line["part"]] = line
        else:
            self.inputs[line["input"]] = line


def header(production: str, settings: Mapping[str, Any]) -> dict[str, Any]:
    """Return the first line of a manifest."""
    said = {"production": production, "settings": dict(settings), "hardscatter": __version__, "format": FORMAT}
    return {**said, "fingerprint": fingerprint_of(said)[:16]}


def fingerprint_of(said: Mapping[str, Any]) -> str:
    """Return 64 hexadecimal digits that change with plain settings, not with their order; others count as words."""
    return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


@contextmanager
def opened(folder: Path, wanted: dict[str, Any]) -> Iterator[Manifest]:
    """Give the manifest of a folder for more to be added, begun if there is none.

    Raises
    ------
    SettingsError
        If the folder was made with other settings or another version, or another process is at work in it.
    UnwritableFileError
        If the folder cannot be written, or holds something else.
    """
    path = folder / NAME
    try:
        folder.mkdir(parents=True, exist_ok=True)
        if not path.exists() and any(folder.iterdir()):
            raise UnwritableFileError(f"{folder} holds files but no {NAME}: choose a new folder for the output.")
        stream = path.open("a+b")
    except (FileExistsError, NotADirectoryError):
        raise UnwritableFileError(f"{folder} is a file: give the name of a folder for the output.") from None
    except PermissionError as problem:
        raise UnwritableFileError(f"{folder} cannot be written ({problem.strerror}): choose another.") from None
    with stream:
        _lock(stream, folder)
        text = _whole_lines(stream)
        manifest = _read(path, text) if text else Manifest(folder, wanted)
        _check_same(folder, manifest.header, wanted)
        manifest.stream = stream
        if not text:
            stream.write(_text(wanted))
        yield manifest


def read_manifest(folder: Path) -> Manifest:
    """Return what the manifest of a folder says.

    Raises
    ------
    UnreadableFileError
        If there is none, or it is damaged.
    """
    path = folder / NAME
    check_stored(path)
    try:
        text = path.read_bytes()
    except OSError as problem:
        raise UnreadableFileError(_no_manifest(folder, problem)) from None
    return _read(path, text[: text.rfind(b"\n") + 1])


def _no_manifest(folder: Path, problem: OSError) -> str:
    """Return the sentence about a folder whose manifest cannot be read."""
    if folder.is_dir() and isinstance(problem, FileNotFoundError):
        return f"{folder} is no production, it holds no {NAME}: give a folder that mitigate or simulate filled."
    if not folder.exists():
        return f"{folder} does not exist: check the name."
    if not folder.is_dir():
        return f"{folder} is a file: give the folder of a production."
    return f"{folder / NAME} cannot be read ({problem.strerror}): check its permissions."


def _lock(stream: IO[bytes], folder: Path) -> None:
    if not _LOCKS:
        return
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)  # gone with the process, however it ends
    except BlockingIOError:
        raise SettingsError(f"another process is at work in {folder}: wait for it, or choose another.") from None
    except OSError:
        pass  # a file system without locks


def _text(line: Mapping[str, Any]) -> bytes:
    return json.dumps(line, ensure_ascii=False).encode() + b"\n"


def _whole_lines(stream: IO[bytes]) -> bytes:
    """Return the lines that end, and cut off what does not."""
    stream.seek(0)
    text = stream.read()
    end = text.rfind(b"\n") + 1
    stream.truncate(end)
    stream.seek(end)
    return text[:end]


def _read(path: Path, text: bytes) -> Manifest:
    try:
        first, *lines = [json.loads(line) for line in text.splitlines()]
        manifest = Manifest(path.parent, first)
        _check_kinds(first, {"settings": dict}, optional=True)
        for line in lines:
            _check_line(line)
            manifest._take(line)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UnreadableFileError(f"{path} is damaged: put the parts aside and start again in a new folder.") from None
    return manifest


_PART = {"input": str, "first": int, "last": int, "events": int}
_FILE = {"bytes": int, "sha256": str}
_INPUT = {"events": int, "identity": str, "problem": str}


def _check_line(line: dict[str, Any]) -> None:
    """Raise what `_read` catches if a line is none of ours.

    A part must lie in the folder, not somewhere above it. Files with the same entries bear its name in a folder beside.
    """
    if "part" not in line:
        _check_kinds(line, {"input": str})
        _check_kinds(line, _INPUT, optional=True)
        return
    _check_kinds(line, {**_PART, **_FILE})
    name = line["part"]
    if name in ("", ".", "..") or Path(name).name != name or "\0" in name:
        raise ValueError(f"{name} is no plain name")
    for more in line.get("with", []):
        _check_kinds(more, _FILE)
        if Path(more["file"]).is_absolute() or Path(more["file"]).name != name:
            raise ValueError(f"{more['file']} does not bear the name of its part")


def _check_kinds(line: dict[str, Any], kinds: Mapping[str, type], optional: bool = False) -> None:
    for name, kind in kinds.items():
        if not isinstance(line.get(name) if optional else line[name], (kind, type(None)) if optional else kind):
            raise TypeError(f"{name} is no {kind.__name__}")


def _check_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    if found.get("fingerprint") == wanted["fingerprint"]:
        return
    differing = [key for key in ("production", "hardscatter", "format") if found.get(key) != wanted[key]]
    there, here = found.get("settings", {}), wanted["settings"]
    differing += [key for key in sorted({*there, *here}) if there.get(key) != here.get(key)]
    raise SettingsError(
        f"{folder} was made with other settings ({', '.join(differing)} not the same): give those, or another folder."
    )
