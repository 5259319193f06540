"""Delphes ROOT files: ``EFlowTrack`` + ``EFlowPhoton`` + ``EFlowNeutralHadron``, before any mitigation.

``ParticleFlowCandidate`` is read only if the user says what filled it: some cards fill it with all candidates,
CMS' Snowmass and JetClass-II cards with momenta already multiplied by the PUPPI weight. Delphes leaves impact
parameters unsmeared and relative to the beam line; here they are smeared (`hardscatter.io.tracks`) and dz becomes
relative to the leading vertex, ``Vertex[0]``. Only named leaves are read, so slimmed trees work as well.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError
from hardscatter.events import Events
from hardscatter.io.delphes_events import (
    CANDIDATE_LEAVES,
    JET_LEAVES,
    NEUTRAL_HADRON,
    PHOTON,
    TOWER_LEAVES,
    TRACK_LEAVES,
    Crossing,
    assemble,
    from_mixed,
    from_towers,
    from_tracks,
)
from hardscatter.io.faults import bad_events
from hardscatter.io.root import RootTree, Table, counts_of
from hardscatter.io.tracks import TrackResolution

TREE = "Delphes"
PARTICLE_FLOW = ("eflow", "chs", "puppi")

_EFLOW = {"EFlowTrack": TRACK_LEAVES, "EFlowPhoton": TOWER_LEAVES, "EFlowNeutralHadron": TOWER_LEAVES}
_CARD_LINES = {
    "EFlowTrack": "add Branch HCal/eflowTracks EFlowTrack Track",
    "EFlowPhoton": "add Branch PhotonEnergySmearing/eflowPhotons EFlowPhoton Tower",
    "EFlowNeutralHadron": "add Branch HCal/eflowNeutralHadrons EFlowNeutralHadron Tower",
    "Vertex": "add Branch PileUpMerger/vertices Vertex Vertex",
}
_ALL_CANDIDATES = "add Branch EFlowMerger/eflow ParticleFlowCandidate ParticleFlowCandidate"
_MITIGATED = {
    "ParticleFlowCandidatePUPPI": "momenta times their PUPPI weight, those of weight 0 left out",
    "ParticleFlowCandidateCHS": "charged pileup left out",
}


class DelphesFile:
    """A Delphes file, open for reading.

    Parameters
    ----------
    tree
        The tree ``Delphes``.
    particle_flow
        What filled ``ParticleFlowCandidate`` (see `hardscatter.io.read`); not used when the EFlow branches are there.
    resolution
        How well a tracker would have measured d0 and dz; None leaves the true values.

    Raises
    ------
    UnreadableFileError
        If a branch that is needed is missing (truth jets and missing momentum are not needed) or the momenta were
        already multiplied by a weight.
    """

    format = "delphes"

    def __init__(self, tree: RootTree, particle_flow: str | None, resolution: TrackResolution | None) -> None:
        self.n_events = tree.n_events
        self.edges = tree.edges
        self._tree = tree
        self._resolution = resolution
        _refuse_mitigated(tree)
        self._mixed = not tree.has("EFlowTrack.PT") and tree.has("ParticleFlowCandidate.PT")
        self._metadata: dict[str, Any] = {"format": self.format, "file": tree.path.name}
        if self._mixed:
            _check_particle_flow(tree, particle_flow)
            self._metadata["particle_flow"] = particle_flow
        collections: Mapping[str, tuple[str, ...]] = (
            {"ParticleFlowCandidate": CANDIDATE_LEAVES} if self._mixed else _EFLOW
        )
        self.collections = tuple(collections)
        for name, leaves in {**collections, "Vertex": ("Z",), "Event": ("Number",)}.items():
            tree.need([f"{name}.{leaf}" for leaf in leaves], _remedy(tree, name))

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""
        with bad_events(self._tree.path, start, stop):
            parts = self._parts(start, stop)
            return assemble(parts, self._crossing(start, stop), self._metadata, self._resolution)

    def counts(self, start: int, stop: int) -> dict[str, NDArray[np.int64]]:
        """Return how many candidates each event has in each collection."""
        return counts_of(self._tree, {name: f"{name}.Eta" for name in self.collections}, start, stop)

    def _parts(self, start: int, stop: int) -> list[Table]:
        if self._mixed:
            return [from_mixed(self._tree.table("ParticleFlowCandidate.{}", CANDIDATE_LEAVES, start, stop))]
        tracks, photons, hadrons = (
            self._tree.table(name + ".{}", leaves, start, stop) for name, leaves in _EFLOW.items()
        )
        return [from_tracks(tracks), from_towers(photons, PHOTON), from_towers(hadrons, NEUTRAL_HADRON)]

    def _crossing(self, start: int, stop: int) -> Crossing:
        tree = self._tree
        vertices = tree.table("Vertex.{}", ("Z",), start, stop)
        met = None
        if tree.has("GenMissingET.MET", "GenMissingET.Phi"):  # its Eta is an artefact of the boost: not read
            met = {key: tree.firsts(f"GenMissingET.{leaf}", start, stop) for key, leaf in _MET.items()}
        return Crossing(
            event=tree.firsts("Event.Number", start, stop).astype(np.int64),
            n_vertices=vertices.counts.astype(np.int32),
            leading_z=tree.firsts("Vertex.Z", start, stop).astype(np.float64),
            vertices=ak.zip({"z": vertices.jagged("Z")}, depth_limit=2),
            jets=self._jets("GenJet", start, stop),
            fat_jets=self._jets("GenJetAK8", start, stop),
            met=met,
        )

    def _jets(self, name: str, start: int, stop: int) -> Table | None:
        if not self._tree.has(*(f"{name}.{leaf}" for leaf in JET_LEAVES)):
            return None
        return self._tree.table(name + ".{}", JET_LEAVES, start, stop)


_MET = {"pt": "MET", "phi": "Phi"}


def _refuse_mitigated(tree: RootTree) -> None:
    """Raise a sentence about files whose only candidates are those after mitigation, under a name that says so."""
    whole = any(tree.has_collection(name) for name in (*_EFLOW, "ParticleFlowCandidate"))
    done = [name for name in _MITIGATED if tree.has_collection(name)]
    if done and not whole:
        raise UnreadableFileError(
            f"{tree.path} holds candidates only after mitigation ('{done[0]}', {_MITIGATED[done[0]]}): write those "
            f"before it as well, with the line '{_ALL_CANDIDATES}' in the TreeWriter of the Delphes card."
        )


def _check_particle_flow(tree: RootTree, particle_flow: str | None) -> None:
    """Refuse what cannot be mitigated, and ask where Delphes' name does not tell."""
    if particle_flow is None:
        raise UnreadableFileError(
            f"{tree.path} holds only 'ParticleFlowCandidate', which cards fill with different things: say which with "
            "particle_flow= (--particle-flow): 'eflow' for all candidates before mitigation, 'chs' if charged "
            "pileup is already removed, 'puppi' if the momenta are already multiplied by the PUPPI weight."
        )
    if particle_flow == "puppi":
        raise UnreadableFileError(
            f"{tree.path} holds momenta already multiplied by the PUPPI weight, which cannot be undone: write the "
            f"candidates before mitigation, with the line '{_ALL_CANDIDATES}' in the TreeWriter of the Delphes card."
        )


def _remedy(tree: RootTree, collection: str) -> str:
    if collection in _CARD_LINES and not tree.has_collection(collection):
        return f"write it with the line '{_CARD_LINES[collection]}' in the TreeWriter of the Delphes card"
    return "make the file with Delphes 3.5.1 or newer, and keep this leaf when slimming"
