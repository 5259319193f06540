"""What all ROOT readers share: a tree of an open file and its branches as flat arrays with counts."""

from __future__ import annotations

import struct
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError
from hardscatter.io.faults import check_expansion, damage


@dataclass(frozen=True)
class Table:
    """Columns of one collection: all events one after the other, with the number of entries of each event."""

    counts: NDArray[np.int64]
    columns: dict[str, NDArray[Any]]

    def __getitem__(self, name: str) -> NDArray[Any]:
        return self.columns[name]

    def jagged(self, name: str) -> ak.Array:
        """Return one column with its event structure."""
        return ak.unflatten(self.columns[name], self.counts)


class RootTree:
    """A TTree of an open file: which branches there are, and their values in a range of entries."""

    def __init__(self, path: Path, tree: Any) -> None:
        self.path = path
        self.name: str = tree.name
        self.n_events = int(tree.num_entries)
        self._tree = tree
        # A split collection lists its leaves as "EFlowTrack/EFlowTrack.PT", a flat tree as "EFlowTrack.PT".
        self._branches = {key.rsplit("/", 1)[-1]: key for key in tree.keys()}  # noqa: SIM118 - a tree is no dict

    @property
    def edges(self) -> list[int]:
        """Entries where the baskets of all branches end."""
        with damage(self.path, f"tree '{self.name}'"):
            return [int(edge) for edge in self._tree.common_entry_offsets()]

    def has(self, *branches: str) -> bool:
        """Tell whether all these branches are there."""
        return all(branch in self._branches for branch in branches)

    def has_collection(self, name: str) -> bool:
        """Tell whether there is any leaf ``name.…``."""
        return any(branch.startswith(f"{name}.") for branch in self._branches)

    def need(self, branches: Sequence[str], remedy: str) -> None:
        """Raise a sentence with `remedy` if one of `branches` is not there."""
        for branch in branches:
            if branch not in self._branches:
                raise UnreadableFileError(f"{self.path} has no branch '{branch}' in its tree '{self.name}': {remedy}.")

    def scalars(self, branch: str, start: int, stop: int) -> NDArray[Any]:
        """Return a branch with one value an event."""
        return np.asarray(ak.to_numpy(self.array(branch, start, stop)))

    def firsts(self, branch: str, start: int, stop: int) -> NDArray[Any]:
        """Return the first value of each event of a jagged branch, NaN (as float64) where there is none."""
        values = ak.firsts(self.array(branch, start, stop))
        if ak.any(ak.is_none(values)):
            values = ak.fill_none(ak.values_astype(values, np.float64), np.nan)
        return np.asarray(ak.to_numpy(values, allow_missing=False))

    def table(self, pattern: str, fields: Sequence[str], start: int, stop: int) -> Table:
        """Return the branches that `pattern` (as in ``"GenJet_{}"``) makes of `fields`, which share a counter."""
        arrays = {name: self.array(pattern.format(name), start, stop) for name in fields}
        counts = np.asarray(ak.num(arrays[fields[0]], axis=1), dtype=np.int64)
        for name, array in arrays.items():
            if not np.array_equal(np.asarray(ak.num(array, axis=1)), counts):
                branches = f"'{pattern.format(fields[0])}' and '{pattern.format(name)}'"
                raise UnreadableFileError(
                    f"{self.path} has branches {branches} of different lengths: make the file again."
                )
        return Table(counts, {name: ak.to_numpy(ak.flatten(array, axis=1)) for name, array in arrays.items()})

    def array(self, branch: str, start: int, stop: int) -> ak.Array:
        """Return the values of a branch."""
        with damage(self.path, f"branch '{branch}', entries {start} to {stop - 1},"):
            found = self._tree[self._branches[branch]]
            check_expansion(self.path, f"branch '{branch}'", int(found.uncompressed_bytes))
            values = found.array(entry_start=start, entry_stop=stop, library="ak")
            if len(values) != stop - start:
                raise ValueError(f"it holds {len(values)} entries of {stop - start}")
            return values


def counts_of(tree: RootTree, branches: Mapping[str, str], start: int, stop: int) -> dict[str, NDArray[np.int64]]:
    """Return how many entries each event has in some collections, each known by one of its branches."""
    return {
        name: np.asarray(ak.num(tree.array(branch, start, stop), axis=1), dtype=np.int64)
        for name, branch in branches.items()
    }


@contextmanager
def open_root(path: Path) -> Iterator[Any]:
    """Open a ROOT file for reading; a file shorter than its header says is told from other damage."""
    import uproot  # only where a ROOT file is met: it takes long

    _check_length(path)
    with _classes_of_its_own():
        with damage(path, "its list of contents"):
            file = uproot.open(path, array_cache=None)  # a cache would grow with the file
        with file:
            yield file


def tree_of(path: Path, file: Any, name: str) -> RootTree:
    """Return a tree of the file."""
    with damage(path, f"tree '{name}'"):
        found = file[name]
        is_tree = str(found.classname) == "TTree"
    if not is_tree:
        raise UnreadableFileError(
            f"{path} stores '{name}' as {found.classname}, not as a TTree: write it as a TTree (uproot: mktree)."
        )
    with damage(path, f"tree '{name}'"):
        return RootTree(path, found)


@contextmanager
def _classes_of_its_own() -> Iterator[None]:
    """Forget in the end which classes a file defined: uproot would read all later files with them, damaged or not."""
    import uproot

    known = dict(uproot.classes)
    versions = {name: dict(found.known_versions) for name, found in known.items() if hasattr(found, "known_versions")}
    try:
        yield
    finally:
        for name in set(uproot.classes) - set(known):
            uproot.classes.pop(name, None)
        for name, before in versions.items():
            if known[name].known_versions != before:
                known[name].known_versions = before


def _check_length(path: Path) -> None:
    """Compare the length of the file with fEND of its header (ROOT's TFile: 4 or 8 bytes at byte 12)."""
    with path.open("rb") as stream:
        header = stream.read(20)
    length = path.stat().st_size
    if len(header) < 20:
        raise UnreadableFileError(f"{path} is cut short after {length} bytes: copy or make the file again.")
    (version,) = struct.unpack(">i", header[4:8])
    (end,) = struct.unpack(">q", header[12:20]) if version >= 1_000_000 else struct.unpack(">i", header[12:16])
    if length < end:
        raise UnreadableFileError(f"{path} is cut short: it has {length} of {end} bytes; copy or make the file again.")
