"""CMS scouting: NanoAOD of the candidates that the high-level trigger kept in Run 3, data or simulation.

``ScoutingPFCandidate_*`` is the collection of CMSSW's ``run3scouting_cff``, ``ScoutingParticle_*`` the one it is made
from, without mass and charge. Lengths are in cm and become mm; they are relative to the first vertex. The trigger
keeps candidates above 0.6 GeV, and of a track d/σ(d), not σ(d).
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.events import NO_VERTEX, Events, from_candidates
from hardscatter.io.faults import bad_events
from hardscatter.io.pfnano import MM_PER_CM, event_columns, nano_truth
from hardscatter.io.root import RootTree, Table, counts_of

NO_TRACK_CHI2 = 999.0
"""The packer's χ²/ndof of a candidate without a track; 1000 where 6 bits of its mantissa are kept."""

_COLLECTIONS = {
    "ScoutingPFCandidate": {
        "vertex": "vertexIndex", "chi2": "trkNormchi2", "dz": "trkDz", "d0": "trkDxy",
        "dz_significance": "trkDzsig", "d0_significance": "trkDxysig", "mass": "mass", "charge": "charge",
    },
    "ScoutingParticle": {
        "vertex": "vertex", "chi2": "normchi2", "dz": "dz", "d0": "dxy",
        "dz_significance": "dzsig", "d0_significance": "dxysig",
    },
}  # fmt: skip
_KINEMATICS = ("pt", "eta", "phi", "pdgId")
_VERTICES = "ScoutingPrimaryVertex_z"
_OF_EVENTS = {
    "rho": ("ScoutingRho_fixedGridRhoFastjetAll",),
    "run": ("run",),
    "lumi": ("luminosityBlock",),
    "event": ("event",),
}
_MASSES = {211: 0.13957, 130: 0.49761, 11: 0.000511, 13: 0.10566}
"""Masses (GeV) of the classes of particle flow that have one, as CMSSW gives them to scouting particles."""


class ScoutingFile:
    """A file of scouting NanoAOD, open for reading.

    Raises
    ------
    UnreadableFileError
        If a branch of the candidates is missing.
    """

    format = "scouting"

    def __init__(self, tree: RootTree) -> None:
        self.collection = next(name for name in _COLLECTIONS if tree.has(f"{name}_pt"))
        self.collections = (self.collection,)
        self._names = _COLLECTIONS[self.collection]
        self._fields = (*_KINEMATICS, *self._names.values())
        tree.need(
            [f"{self.collection}_{name}" for name in self._fields],
            "make the file with the candidates' table of CMSSW's run3scouting_cff, track variables included",
        )
        self.n_events = tree.n_events
        self.edges = tree.edges
        self._tree = tree

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""
        with bad_events(self._tree.path, start, stop):
            return self._events(start, stop)

    def counts(self, start: int, stop: int) -> dict[str, NDArray[np.int64]]:
        """Return how many candidates each event has in each collection."""
        return counts_of(self._tree, {self.collection: f"{self.collection}_pt"}, start, stop)

    def _events(self, start: int, stop: int) -> Events:
        tree = self._tree
        source = tree.table(self.collection + "_{}", self._fields, start, stop)
        jagged = {name: ak.unflatten(values, source.counts) for name, values in self._columns(source).items()}
        return from_candidates(
            **jagged,
            **event_columns(tree, _OF_EVENTS, start, stop),
            **self._vertices(start, stop),
            truth=nano_truth(tree, start, stop),
            metadata={"format": self.format, "file": tree.path.name, "collection": self.collection},
        )

    def _columns(self, source: Table) -> dict[str, NDArray[Any]]:
        pdg_id = source["pdgId"].astype(np.int32)
        charge = self._charge(source, pdg_id)
        pt, eta = source["pt"].astype(np.float64), source["eta"].astype(np.float64)
        mass = source[self._names["mass"]] if "mass" in self._names else _mass(pdg_id)
        energy = np.hypot(pt * np.cosh(eta), np.maximum(mass, 0.0)).astype(np.float32)
        # The trigger gives neutrals the vertex they were assumed to come from, which nobody measured.
        vertex = np.where(charge == 0, NO_VERTEX, source[self._names["vertex"]]).astype(np.int32)
        return {
            **{name: source[name] for name in ("pt", "eta", "phi")},
            "energy": energy,
            "charge": charge,
            "vertex": np.maximum(vertex, NO_VERTEX),
            "pdg_id": pdg_id,
            **self._tracks(source, charge),
        }

    def _charge(self, source: Table, pdg_id: NDArray[np.int32]) -> NDArray[np.int8]:
        if "charge" in self._names:
            return source[self._names["charge"]].astype(np.int8)
        sign = np.sign(pdg_id)
        return np.select([np.isin(abs(pdg_id), (11, 13)), abs(pdg_id) == 211], [-sign, sign], 0).astype(np.int8)

    def _tracks(self, source: Table, charge: NDArray[np.int8]) -> dict[str, NDArray[Any]]:
        """Return impact parameters and errors in mm; both zero is what the packer writes if it stores no tracks."""
        d0, dz = (source[self._names[name]].astype(np.float32) for name in ("d0", "dz"))
        known = (charge != 0) & (source[self._names["chi2"]] < NO_TRACK_CHI2) & ((d0 != 0) | (dz != 0))
        tracks = {}
        for name, values in (("d0", d0), ("dz", dz)):
            with np.errstate(divide="ignore", invalid="ignore"):
                error = np.abs(values / source[self._names[f"{name}_significance"]])
            tracks[name] = np.where(known & np.isfinite(values), values * np.float32(MM_PER_CM), np.float32(np.nan))
            tracks[f"{name}_error"] = np.where(
                known & np.isfinite(error), error * np.float32(MM_PER_CM), np.float32(np.nan)
            ).astype(np.float32)
        return tracks

    def _vertices(self, start: int, stop: int) -> dict[str, Any]:
        if not self._tree.has(_VERTICES):
            return {}
        z = self._tree.array(_VERTICES, start, stop) * np.float32(MM_PER_CM)
        return {"n_vertices": ak.to_numpy(ak.num(z, axis=1)), "vertices": ak.zip({"z": z}, depth_limit=2)}


def is_scouting(tree: RootTree) -> bool:
    """Tell whether a tree holds scouting candidates."""
    return any(tree.has(f"{name}_pt") for name in _COLLECTIONS)


def _mass(pdg_id: NDArray[np.int32]) -> NDArray[np.float64]:
    absolute = np.abs(pdg_id)
    return np.select([absolute == code for code in _MASSES], list(_MASSES.values()), 0.0)
