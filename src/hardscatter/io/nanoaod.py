"""Our ROOT files: a TTree ``Events`` of flat branches, NanoAOD style, that coffea and RDataFrame open.

Candidates are ``PFCands_*`` with the counter ``nPFCands`` (lengths in mm, NaN where there is none; the energy is
``PFCands_totalEnergy``, since coffea refuses ``energy`` beside ``mass``, which is derived), their weights
``PFCands_weight_<name>`` with errors ``PFCands_weightErr_<name>``, their hard fraction
``PFCands_truth_hard_fraction``; truth is ``GenJet_*``, ``GenJetAK8_*``, ``GenLep_*``, ``GenMET_*``; vertices are
``RecoVertex_*``, their number ``PV_npvs``, the leading one's position ``PV_z`` (``PV_x`` and ``PV_y`` are NaN and
there for coffea). A string (``process``) is stored as a number, its place in a list of names. A TObjString
``hardscatter`` holds JSON: metadata, units, and which branch is which field, so that reading gives back the same
events, field by field and type by type.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError
from hardscatter.events import COMPULSORY, Events, flat
from hardscatter.io.columns import Column, branch_names, columns_of, grouped, rebuilt
from hardscatter.io.faults import bad_events, damage
from hardscatter.io.intact import right
from hardscatter.io.metadata import KEY, packed, unpacked
from hardscatter.io.root import RootTree

TREE = "Events"
_COLLECTION = "PFCands"


class HardscatterRootFile:
    """A ROOT file of ours, open for reading.

    Raises
    ------
    UnreadableFileError
        If a branch or the description of the branches is missing.
    """

    format = "hardscatter-root"

    def __init__(self, tree: RootTree, text: str) -> None:
        content = unpacked(tree.path, text)
        self.n_events = tree.n_events
        self.edges = tree.edges
        self._tree = tree
        self._metadata = content["metadata"]
        try:
            self._columns = [Column.from_json(entry) for entry in content["columns"]]
        except (KeyError, TypeError, ValueError):
            raise UnreadableFileError(
                f"{tree.path} has unreadable 'hardscatter' metadata: make the file again."
            ) from None
        tree.need([column.branch for column in self._columns], "make the file again, with all its branches")
        paths = {column.path for column in self._columns}
        missing = [name for name in COMPULSORY if ("candidates", name) not in paths]
        if missing:
            raise UnreadableFileError(f"{tree.path} has no field 'candidates.{missing[0]}': make the file again.")

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""
        leaves = {}
        for column in self._columns:
            array = self._tree.array(column.branch, start, stop)
            with damage(self._tree.path, f"branch '{column.branch}'"):
                leaves[column.path] = _text(array, column.strings) if column.strings is not None else array
        with damage(self._tree.path, f"what belongs together in entries {start} to {stop - 1}"):
            array = rebuilt(self._columns, leaves)
        with bad_events(self._tree.path, start, stop):
            return right(Events(ak.to_packed(array), self._metadata))


class RootSink:
    """A ROOT file being written, batch by batch; branches and metadata are those of the first batch."""

    def __init__(self, path: Path, first: Events) -> None:
        import uproot  # only where a ROOT file is met: it takes long

        self._columns = branch_names(columns_of(first.array))
        self._metadata = first.metadata
        packed(self._metadata)  # metadata that cannot be stored is found before any work
        self._strings: dict[str, list[str]] = {column.branch: [] for column in self._columns if column.is_text}
        self._n_events = 0
        types = {name: _type(values) for name, values in self._branches(first[:0]).items()}
        self._file = uproot.recreate(path, compression=uproot.ZSTD(1))  # higher levels save a per cent
        self._tree = self._file.mktree(TREE, types)

    def write(self, events: Events, _source: Events | None = None, /) -> None:
        """Append events as one basket a branch."""
        if len(events):
            self._tree.extend(self._branches(events))
            self._n_events += len(events)

    def close(self) -> None:
        """Write the description and close the file."""
        try:
            if not self._file.closed:
                columns = [column.to_json(self._strings.get(column.branch)) for column in self._columns]
                self._file[KEY] = packed(self._metadata, columns=columns)
        finally:
            self._file.close()

    def _branches(self, events: Events) -> dict[str, Any]:
        """Return what uproot writes: one zipped record array a collection, so that it makes one counter each."""
        leaves = {}
        for column in self._columns:
            leaf = column.leaf(events.array)
            if column.is_text:
                leaves[column.path] = _codes(leaf, self._strings[column.branch])
            else:
                leaves[column.path] = ak.values_astype(ak.to_packed(leaf), column.dtype)  # untyped empty lists too
        branches: dict[str, Any] = {}
        for collection, columns in grouped(self._columns).items():
            if collection is None:
                branches |= {c.branch: ak.to_numpy(leaves[c.path], allow_missing=False) for c in columns}
                continue
            record = {c.branch.removeprefix(collection + "_"): leaves[c.path] for c in columns}
            if collection == _COLLECTION:
                record["mass"] = _mass(events.candidates)
            lone = list(record) == [collection]  # a list of plain numbers
            branches[collection] = record[collection] if lone else ak.zip(record, depth_limit=2)
        # coffea wants all three; those that the events lack are not in the description, so not read back.
        place = np.arange(self._n_events, self._n_events + len(events), dtype=np.int64)
        for name, value in (("run", np.ones_like(place)), ("luminosityBlock", np.ones_like(place)), ("event", place)):
            branches.setdefault(name, value)
        if "PV_npvs" in branches:
            branches |= _leading_vertex(events)
        return branches


def _leading_vertex(events: Events) -> dict[str, NDArray[np.float32]]:
    """Return the position (mm) that coffea wants beside ``PV_npvs``; NaN where nobody knows it."""
    unknown = np.full(len(events), np.nan, dtype=np.float32)
    z = unknown
    if events.has("vertices.z"):
        z = ak.to_numpy(ak.fill_none(ak.firsts(events.vertices.z), np.nan)).astype(np.float32)
    return {"PV_x": unknown, "PV_y": unknown, "PV_z": z}


def _type(values: Any) -> Any:
    return values.dtype if isinstance(values, np.ndarray) else values.type.content


def _mass(candidates: ak.Array) -> ak.Array:
    """Return the mass (GeV) as NanoAOD readers want it; 0 where rounding makes it imaginary."""
    pt, eta, energy = (flat(candidates[name], np.float64) for name in ("pt", "eta", "energy"))
    with np.errstate(over="ignore"):
        squared = energy**2 - (pt * np.cosh(eta)) ** 2
    mass = np.sqrt(np.maximum(squared, 0.0)).astype(np.float32)
    return ak.unflatten(mass, ak.num(candidates["pt"], axis=1))


def _codes(texts: ak.Array, known: list[str]) -> NDArray[np.int32]:
    """Return the place of each text in `known`, to which new ones are appended."""
    places = {text: place for place, text in enumerate(known)}
    codes = np.array([places.setdefault(text, len(places)) for text in ak.to_list(texts)], dtype=np.int32)
    known[:] = list(places)
    return codes


def _text(codes: ak.Array, strings: list[str]) -> ak.Array:
    names = ak.Array([*strings, ""])  # never empty, so that the type is text
    return names[ak.to_numpy(codes)]
