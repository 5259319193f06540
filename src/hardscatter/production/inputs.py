"""Which files are meant: names, patterns, folders and lists of them, in a fixed order and none twice."""

from __future__ import annotations

import glob
import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from operator import itemgetter
from pathlib import Path

from hardscatter.errors import HardscatterError, SettingsError, UnreadableFileError
from hardscatter.production.manifest import NAME, read_manifest

SUFFIXES = (".parquet", ".root", ".npz")
"""Of the files that are taken from a folder."""

_LIST = "@"
_ENDS = 2**16  # bytes at either end of a file that tell it from another


def files_of(words: Sequence[str | os.PathLike[str]]) -> list[Path]:
    """Return the files that words name, by their full paths.

    Parameters
    ----------
    words
        Each the name of a file; a folder, whose files with the suffixes `SUFFIXES` are taken by name, hidden ones and
        folders in it left out (of a production's folder the parts that its manifest lists); a pattern with ``*``,
        ``?`` or ``**``, its files sorted; or ``@LIST``, a text file with one of these a line (empty lines and those
        that start with # left out).

    Raises
    ------
    UnreadableFileError
        If a word names nothing.
    SettingsError
        If a file is named twice.
    """
    try:
        found = [path.resolve() for word in words for path in _files(str(word))]
    except HardscatterError:
        raise
    except (OSError, ValueError, RuntimeError) as problem:  # a link or a list to itself, a zero byte, a name too long
        reason = str(problem).splitlines()[0][:120]
        raise UnreadableFileError(f"{str(words)[:200]} names what cannot be a file ({reason}): check it.") from None
    twice = next((path for path, times in Counter(found).items() if times > 1), None)
    if twice is not None:
        raise SettingsError(f"{twice} is named twice: its events would count twice.")
    return found


def _files(word: str) -> Iterator[Path]:
    path = Path(word).expanduser()
    if word.startswith(_LIST):
        yield from _listed(Path(word.removeprefix(_LIST)).expanduser())
    elif path.is_dir():
        inside = sorted(_inside(path))
        if not inside:
            raise UnreadableFileError(f"{path} holds no file with suffix {', '.join(SUFFIXES)}: give another folder.")
        yield from inside
    elif path.exists() or not glob.has_magic(word):
        yield path  # one that is not there is a bad input like any other, found when it is opened
    else:
        matching = sorted(glob.glob(str(path), recursive=True))  # noqa: PTH207  Path.glob takes no absolute pattern
        if not matching:
            raise UnreadableFileError(f"no file matches '{word}': check the pattern.")
        yield from (Path(one) for one in matching)


def _inside(folder: Path) -> list[Path]:
    if (folder / NAME).exists():
        parts = [folder / part for part in read_manifest(folder).parts]  # what a killed run left unlisted may be half
        if lost := next((part for part in parts if not part.exists()), None):
            raise UnreadableFileError(f"{lost} is missing: give the command that made the parts of {folder} again.")
        return parts
    return [one for one in folder.iterdir() if one.suffix in SUFFIXES and not one.name.startswith(".")]


def _listed(path: Path) -> Iterator[Path]:
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError):
        raise UnreadableFileError(
            f"the list of files {path} cannot be read: give a text file with a name a line."
        ) from None
    for line in lines:
        if (word := line.strip()) and not word.startswith("#"):
            yield from _files(word)


def parts_of(folder: Path, path: Path) -> list[Path]:
    """Return the parts that a production made of one input, in the order of its entries; the input may have moved.

    Raises
    ------
    UnreadableFileError
        If the folder holds no production, or nothing made of this file, or the file cannot be read.
    """
    manifest, wanted = read_manifest(folder), identity(path)
    names = {name for name, about in manifest.inputs.items() if about.get("identity") == wanted}
    lines = sorted((line for line in manifest.parts.values() if line["input"] in names), key=itemgetter("first"))
    if not lines:
        raise UnreadableFileError(f"{folder} holds nothing made of {path}: give the file it was made of.")
    return [folder / line["part"] for line in lines]


def identity(path: Path) -> str:
    """Return what tells a file from another: its size and a checksum of both its ends.

    Headers and footers lie there, in ROOT as in Parquet, and a production of 10⁵ files need not read them all to know
    that they are still the same.

    Raises
    ------
    UnreadableFileError
        If it cannot be read.
    """
    try:
        with path.open("rb") as stream:
            size = stream.seek(0, os.SEEK_END)
            stream.seek(0)
            digest = hashlib.sha256(stream.read(_ENDS))
            stream.seek(max(size - _ENDS, 0))
            digest.update(stream.read())
    except OSError as problem:
        raise UnreadableFileError(
            f"{path} cannot be opened ({problem.strerror}): check its name and permissions."
        ) from None
    return f"{size}-{digest.hexdigest()[:16]}"
