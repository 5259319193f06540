"""Between the record array of events and flat named branches, both ways."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import awkward as ak
import numpy as np

from hardscatter.errors import UnwritableFileError

Path = tuple[str, ...]

_CANDIDATES = "PFCands"
# coffea refuses a collection with both "energy" and "mass", and cannot do without the mass.
_ALIASES = {"pdg_id": "pdgId", "d0_error": "d0Err", "dz_error": "dzErr", "energy": "totalEnergy"}
_PREFIXES: dict[Path, str] = {
    ("candidates",): _CANDIDATES,
    ("weights",): _CANDIDATES + "_weight",
    ("weight_errors",): _CANDIDATES + "_weightErr",
    ("truth", "hard_fraction"): _CANDIDATES + "_truth_hard_fraction",
    ("truth", "jets"): "GenJet",
    ("truth", "fat_jets"): "GenJetAK8",
    ("truth", "leptons"): "GenLep",
    ("truth", "met"): "GenMET",
    ("vertices",): "RecoVertex",
    ("n_vertices",): "PV_npvs",
    ("rho",): "Rho_fixedGridRhoFastjetAll",
    ("lumi",): "luminosityBlock",
}
_ALIGNED = (("candidates",), ("weights",), ("weight_errors",), ("truth", "hard_fraction"))
_KINDS = "biuf"


@dataclass(frozen=True)
class Column:
    """One branch and the field it stands for.

    ``list_at`` is the length of the part of `path` that is a list of each event: 1 for ``candidates.pt``, 2 for
    ``truth.hard_fraction``, 0 where the event has a single value.
    """

    path: Path
    list_at: int
    dtype: str
    branch: str = ""
    collection: str | None = None
    strings: list[str] | None = None

    @property
    def is_text(self) -> bool:
        """Tell whether the field holds text."""
        return self.dtype == "text"

    def leaf(self, array: ak.Array) -> ak.Array:
        """Return the values of the field."""
        for name in self.path:
            array = array[name]
        return array

    def to_json(self, strings: list[str] | None) -> dict[str, Any]:
        """Return the entry of the description."""
        entry: dict[str, Any] = {"path": list(self.path), "branch": self.branch, "list_at": self.list_at}
        return {**entry, "dtype": self.dtype, "strings": strings}

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Column:
        """Read an entry of the description."""
        return cls(tuple(entry["path"]), int(entry["list_at"]), entry["dtype"], entry["branch"], None, entry["strings"])


def columns_of(array: ak.Array) -> list[Column]:
    """Return one column for each field of the events, in their order.

    Raises
    ------
    UnwritableFileError
        If a field is not a number, a text, a list of numbers or a (list of) records of those.
    """
    return [column for name in array.fields for column in _columns((name,), array[name], 0)]


def branch_names(columns: Sequence[Column]) -> list[Column]:
    """Give each column its branch, a C++ identifier, and each list of candidates the same counter."""
    taken: set[str] = {"run", "luminosityBlock", "event", f"n{_CANDIDATES}", f"{_CANDIDATES}_mass"}
    named = []
    for column in columns:
        collection = _collection(column) if column.list_at else None
        prefix, rest = _prefix(column.path)
        wanted = "_".join([prefix, *(_ALIASES.get(name, name) for name in rest)])
        wanted = re.sub(r"\W", "_", wanted, flags=re.ASCII)
        identity = column.path in (("run",), ("lumi",), ("event",))
        branch = wanted if identity else _unused(wanted, taken)
        taken |= {branch, f"n{collection}"} if collection else {branch}
        named.append(replace(column, branch=branch, collection=_held(branch, collection)))
    return named


def grouped(columns: Sequence[Column]) -> dict[str | None, list[Column]]:
    """Return the columns by collection; those with a single value an event under None."""
    groups: dict[str | None, list[Column]] = {}
    for column in columns:
        groups.setdefault(column.collection, []).append(column)
    return groups


def rebuilt(columns: Sequence[Column], leaves: Mapping[Path, ak.Array]) -> ak.Array:
    """Return the record array whose fields are `leaves`."""
    return _record(columns, leaves, 0)


def _record(columns: Sequence[Column], leaves: Mapping[Path, ak.Array], depth: int) -> ak.Array:
    groups: dict[str, list[Column]] = {}
    for column in columns:
        groups.setdefault(column.path[depth], []).append(column)
    fields = {}
    for name, members in groups.items():
        alone = len(members[0].path) == depth + 1
        fields[name] = leaves[members[0].path] if alone else _record(members, leaves, depth + 1)
    in_list = depth > 0 and columns[0].list_at == depth
    return ak.zip(fields, depth_limit=2 if in_list else 1)


def _columns(path: Path, array: ak.Array, list_at: int) -> Iterator[Column]:
    kind = str(array.type.content) if len(path) else ""
    if kind == "string":
        yield Column(path, 0, "text")
        return
    if array.ndim == 2 and not list_at:
        list_at = len(path)
    if array.fields and array.ndim == (2 if list_at else 1):
        for name in array.fields:
            yield from _columns((*path, name), array[name], list_at)
        return
    yield Column(path, list_at, _dtype(path, array, list_at))


def _dtype(path: Path, array: ak.Array, list_at: int) -> str:
    values = ak.flatten(array, axis=1) if list_at and array.ndim == 2 else array
    if values.ndim == 1 and not values.fields:
        layout = ak.to_packed(values).layout
        if layout.is_unknown:
            return "float64"
        if layout.is_numpy and layout.dtype.kind in _KINDS and layout.dtype != np.float16:
            return str(layout.dtype)
    raise UnwritableFileError(
        f"field '{'.'.join(path)}' ({array.type.content}) does not fit flat ROOT branches: write Parquet instead, "
        "or drop the field."
    )


def _prefix(path: Path) -> tuple[str, Path]:
    for length in (2, 1):
        if path[:length] in _PREFIXES:
            return _PREFIXES[path[:length]], path[length:]
    return path[0], path[1:]


def _collection(column: Column) -> str:
    head = column.path[: column.list_at]
    if head in _ALIGNED:
        return _CANDIDATES
    prefix, rest = _prefix(head)
    return re.sub(r"\W", "_", "_".join([prefix, *rest]), flags=re.ASCII)


def _held(branch: str, collection: str | None) -> str | None:
    """Give a branch that had to take another name than its collection's a counter of its own."""
    if collection is None or branch == collection or branch.startswith(collection + "_"):
        return collection
    return branch


def _unused(wanted: str, taken: set[str]) -> str:
    branch, number = wanted, 2
    while branch in taken:
        branch, number = f"{wanted}_{number}", number + 1
    return branch
