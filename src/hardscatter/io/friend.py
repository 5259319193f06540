"""Weights beside the candidates of an experiment's own ROOT file: a tree of the same entries, a friend of its tree.

The tree `TREE` holds, for each collection of candidates that the reader takes, its counter ``n<collection>`` and
``<collection>_weight_<name>``, float32, entry by entry and candidate by candidate as in the file's own tree.
``tree->AddFriend("HardscatterWeights", file)`` puts the branches beside the experiment's.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError
from hardscatter.events import Events, with_weights
from hardscatter.io.faults import damage
from hardscatter.io.metadata import packed, unpacked
from hardscatter.io.root import tree_of

TREE = "HardscatterWeights"
ABOUT = "HardscatterWeightsAbout"
"""Name of the JSON beside it: which branch holds which weights, made with which settings."""


class RootSource(Protocol):
    """A reader of candidates that stand, one collection after the other, in collections of a tree."""

    format: str
    n_events: int

    @property
    def collections(self) -> tuple[str, ...]:
        """The collections, in the order in which their candidates stand."""

    @property
    def edges(self) -> Sequence[int]:
        """Entries where the file is cut."""

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""

    def counts(self, start: int, stop: int) -> dict[str, NDArray[np.int64]]:
        """Return how many candidates of each event stand in each collection."""


class WithFriend:
    """A file of an experiment with weights that were written back into it.

    Raises
    ------
    UnreadableFileError
        If the weights do not fit the file's own entries.
    """

    def __init__(self, path: Path, file: Any, inner: RootSource) -> None:
        self.inner = inner
        self.format = inner.format
        self.n_events = inner.n_events
        self.edges = inner.edges
        self._tree = tree_of(path, file, TREE)
        with damage(path, f"its description '{ABOUT}'"):
            about = unpacked(path, str(file[ABOUT]))
        self._settings: dict[str, Any] = about["metadata"]
        if self._tree.n_events != inner.n_events:
            raise UnreadableFileError(
                f"{path} has {self._tree.n_events} entries in '{TREE}' for {inner.n_events} events: write the weights "
                "into the file again."
            )

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`, the weights with them."""
        events = self.inner.read(start, stop)
        for name, settings in self._settings.items():
            parts = [self._tree.array(branch(one, name), start, stop) for one in self.inner.collections]
            events = with_weights(events, name, ak.concatenate(parts, axis=1), settings)
        return events


def has_friend(contents: Mapping[str, str]) -> bool:
    """Tell from its list of contents whether a file holds weights that were written back."""
    return TREE in contents and ABOUT in contents


def branch(collection: str, name: str) -> str:
    """Return the branch that holds the weights `name` of a collection, a C++ identifier."""
    identifier = re.sub(r"\W", "_", name, flags=re.ASCII)
    return f"{collection}_weight_{identifier}"


class FriendSink:
    """The friend tree being written into an open file, batch by batch.

    Parameters
    ----------
    file
        An uproot file open for updating.
    source
        The reader of the file's own candidates.
    settings
        Settings by name of the weights.
    """

    def __init__(self, file: Any, source: RootSource, settings: Mapping[str, Any]) -> None:
        self._file, self._source, self._settings = file, source, dict(settings)
        self._tree: Any = None
        self._done = 0

    def write(self, events: Events) -> None:
        """Append the weights of the next events."""
        counts = self._source.counts(self._done, self._done + len(events))
        branches = self._branches(events, counts)
        if self._tree is None:
            self._tree = self._file.mktree(TREE, {name: values.type.content for name, values in branches.items()})
        self._tree.extend(branches)
        self._done += len(events)

    def close(self) -> None:
        """Write the description; a file without events gets no weights."""
        if self._tree is not None:
            self._file[ABOUT] = packed(self._settings)

    def _branches(self, events: Events, counts: Mapping[str, NDArray[np.int64]]) -> dict[str, ak.Array]:
        """Return one zipped record array a collection, so that each has one counter."""
        numbers = np.stack([counts[name] for name in self._source.collections], axis=1)
        branches = {}
        for place, collection in enumerate(self._source.collections):
            columns = {}
            for name in self._settings:
                values = ak.to_numpy(ak.flatten(events.weights[name], axis=1)).astype(np.float32)
                parts = ak.unflatten(ak.unflatten(values, numbers.ravel()), len(self._source.collections))
                columns[branch(collection, name).removeprefix(collection + "_")] = ak.to_packed(parts[:, place])
            branches[collection] = ak.zip(columns, depth_limit=2)
        return branches
