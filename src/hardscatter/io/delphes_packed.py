"""Packed Delphes samples (``.npz``): flat arrays with counts per event, one member a leaf.

The members are those of `shared/data` of this project: counts ``n_trk``, ``n_pho``, ``n_had``, ``n_gj``, ``n_g8``;
leaves of tracks ``trk_*``, towers ``pho_*``, ``had_*`` and truth jets ``gj_*`` (AK4), ``g8_*`` (AK8); ``met``,
``met_phi``; ``npv`` and ``pv_z`` of the leading vertex, mm.
"""

from __future__ import annotations

import zipfile
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError
from hardscatter.events import Events
from hardscatter.io.delphes_events import (
    JET_LEAVES,
    NEUTRAL_HADRON,
    PHOTON,
    TOWER_LEAVES,
    TRACK_LEAVES,
    Crossing,
    assemble,
    from_towers,
    from_tracks,
)
from hardscatter.io.faults import bad_events, check_archive, damage
from hardscatter.io.root import Table
from hardscatter.io.tracks import TrackResolution

_COLLECTIONS = {
    "trk": TRACK_LEAVES,
    "pho": TOWER_LEAVES,
    "had": TOWER_LEAVES,
    "gj": JET_LEAVES,
    "g8": JET_LEAVES,
}
_EVENT_MEMBERS = ("met", "met_phi", "npv", "pv_z")


class PackedDelphesFile:
    """A packed Delphes sample, open for reading.

    A member of an ``.npz`` is one compressed stream, so each is loaded whole, once, when first read: memory is
    bounded by the size of the file (about 70 MB for 240 crossings), whatever the step.

    Raises
    ------
    UnreadableFileError
        If the file is damaged or its members are not those of a packed sample.
    """

    format = "delphes-packed"

    def __init__(self, path: Path, resolution: TrackResolution | None) -> None:
        self.path = path
        self._resolution = resolution
        check_archive(path, "its list of members")
        with damage(path, "its list of members"), zipfile.ZipFile(path) as archive:
            names = {name.removesuffix(".npy") for name in archive.namelist()}
        missing = [name for name in _members() if name not in names]
        if missing:
            raise UnreadableFileError(
                f"{path} is a zip file without the member '{missing[0]}' of a packed Delphes sample: give a Delphes, "
                "PFNano or hardscatter file."
            )
        self.n_events = len(self._load("npv"))
        self.edges = range(self.n_events + 1)

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`; ``event`` is the place in the file."""
        with bad_events(self.path, start, stop):
            return self._events(start, stop)

    def _events(self, start: int, stop: int) -> Events:
        tables = {name: self._table(name, start, stop) for name in _COLLECTIONS}
        parts = [
            from_tracks(tables["trk"]),
            from_towers(tables["pho"], PHOTON),
            from_towers(tables["had"], NEUTRAL_HADRON),
        ]
        here = slice(start, stop)
        crossing = Crossing(
            event=np.arange(start, stop),
            n_vertices=self._data["npv"][here].astype(np.int32),
            leading_z=self._data["pv_z"][here].astype(np.float64),
            jets=tables["gj"],
            fat_jets=tables["g8"],
            met={"pt": self._data["met"][here], "phi": self._data["met_phi"][here]},
        )
        metadata = {"format": self.format, "file": self.path.name}
        return assemble(parts, crossing, metadata, self._resolution)

    def _table(self, name: str, start: int, stop: int) -> Table:
        edges = self._edges[name]
        here = slice(edges[start], edges[stop])
        leaves = _COLLECTIONS[name]
        columns = {leaf: self._data[f"{name}_{_packed(leaf)}"][here] for leaf in leaves}
        return Table(np.diff(edges[start : stop + 1]), columns)

    @cached_property
    def _data(self) -> dict[str, NDArray[Any]]:
        return {name: self._load(name) for name in _members()}

    @cached_property
    def _edges(self) -> dict[str, NDArray[np.int64]]:
        """Where each event starts in the members of each collection, checked against their lengths."""
        edges = {}
        for name, leaves in _COLLECTIONS.items():
            counts = self._data[f"n_{name}"].astype(np.int64)
            edges[name] = np.concatenate(([0], np.cumsum(counts)))
            lengths = {len(self._data[f"{name}_{_packed(leaf)}"]) for leaf in leaves}
            if lengths != {int(edges[name][-1])} or len(counts) != self.n_events:
                raise UnreadableFileError(
                    f"{self.path} has members '{name}_…' that do not fit the counts 'n_{name}': make the file again."
                )
        return edges

    def _load(self, member: str) -> NDArray[Any]:
        with damage(self.path, f"member '{member}'"), np.load(self.path, allow_pickle=False) as archive:
            return np.asarray(archive[member])


def _packed(leaf: str) -> str:
    return "hard" if leaf == "HardEnergyFraction" else leaf


def _members() -> list[str]:
    leaves = [f"{name}_{_packed(leaf)}" for name, leaves in _COLLECTIONS.items() for leaf in leaves]
    return [*(f"n_{name}" for name in _COLLECTIONS), *leaves, *_EVENT_MEMBERS]
