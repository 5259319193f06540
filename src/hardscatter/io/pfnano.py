"""CMS PFNano and btvNano: NanoAOD with every particle-flow candidate (``PFCands_*``), data or simulation.

btvNano, which took PFNano into CMSSW, has the same branches and more; it holds every candidate only with ``allPF`` on.
Lengths are in cm and become mm; −1 stands for "no track details" and becomes NaN. CMS' own PUPPI weights are kept
as ``weights.cms_puppi`` and ``weights.cms_puppi_nolep``, to compare with.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingFieldError, UnreadableFileError
from hardscatter.events import LEADING, NO_VERTEX, PILEUP, Events, from_candidates
from hardscatter.io.faults import bad_events
from hardscatter.io.root import RootTree, Table, counts_of

TREE = "Events"
MM_PER_CM = 10.0
NO_TRACK = -1.0

_CANDIDATES = ("pt", "eta", "phi", "mass", "charge", "pdgId", "d0", "dz", "pvAssocQuality")
_ERRORS = ("d0Err", "dzErr")
_WEIGHTS = {"cms_puppi": "puppiWeight", "cms_puppi_nolep": "puppiWeightNoLep"}
_JET = ("pt", "eta", "phi", "mass")
_GEN = ("pt", "eta", "phi", "pdgId", "status", "statusFlags")
_IS_PROMPT = 1  # bit 0 of GenPart_statusFlags
_OF_EVENTS = {
    # PUPPI counts vertices that are not fake, with ndof ≥ 4 and |z| ≤ 24 cm: PV_npvsGood.
    "n_vertices": ("PV_npvsGood", "PV_npvs"),
    "rho": ("fixedGridRhoFastjetAll", "Rho_fixedGridRhoFastjetAll"),
    "run": ("run",),
    "lumi": ("luminosityBlock",),
    "event": ("event",),
}
_JET_LINKS = ("JetPFCands_pFCandsIdx", "FatJetPFCands_pFCandsIdx")
_LOOKED_AT = 100
"""Entries that tell whether a file holds all candidates."""


@dataclass(frozen=True)
class VertexChoice:
    """Which charged candidates belong to the leading vertex, as the file does not say it outright.

    ``pvAssocQuality`` says how a candidate got its vertex (6, 7: used in a vertex fit; below: by distance), not
    which vertex. Of a track that took part in a fit, |dz| < 1 mm tells whether it was the leading vertex's; of the
    others CMS' PUPPI takes |dz| < 3 mm (``DeltaZCut``, runs 2 and 3).
    """

    fit_quality: int = 6
    max_dz_in_fit: float = 1.0
    max_dz: float = 3.0

    def of(self, charge: NDArray[Any], quality: NDArray[Any], dz: NDArray[Any]) -> NDArray[np.int32]:
        """Return `LEADING`, `PILEUP` or, of neutrals and where dz (mm) is NaN, `NO_VERTEX`.

        The file keeps no track details of charged candidates below about 0.5 GeV and so does not say their vertex.
        CMS' PUPPI weight (0 or 1) would give it away, but a method must not be fed another method's answer.
        """
        limit = np.where(quality >= self.fit_quality, self.max_dz_in_fit, self.max_dz)
        chosen = np.where(np.abs(dz) < limit, LEADING, PILEUP)
        return np.where((charge == 0) | np.isnan(dz), NO_VERTEX, chosen).astype(np.int32)


def from_pfcands(
    candidates: ak.Array,
    *,
    n_vertices: Any = None,
    rho: Any = None,
    vertex_choice: VertexChoice | None = None,
    metadata: Mapping[str, Any] | None = None,
) -> Events:
    """Build events from the candidates of PFNano or btvNano that are in memory already, as in a coffea processor.

    Parameters
    ----------
    candidates
        Jagged records, events × candidates, with PFNano's names, units and "none" values (``events.PFCands`` of
        coffea's ``PFNanoAODSchema``).
    n_vertices, rho
        Of each event: ``PV.npvsGood``, ``Rho.fixedGridRhoFastjetAll``.
    vertex_choice
        How a candidate's vertex is told.
    metadata
        Provenance that travels with the events.

    Returns
    -------
    Events
        Those that `hardscatter.read` gives for the file, of these fields: weights made of them are aligned with
        `candidates`.

    Raises
    ------
    MissingFieldError
        If a field of the candidates is missing.
    InvalidEventsError
        As `hardscatter.from_candidates`.
    """
    missing = [name for name in _CANDIDATES if name not in candidates.fields]
    if missing:
        raise MissingFieldError(
            f"the candidates have no field '{missing[0]}': give PFCands of PFNano or btvNano, with their track details."
        )
    counts = np.asarray(ak.num(candidates["pt"], axis=1), dtype=np.int64)
    names = (*_CANDIDATES, *(name for name in _ERRORS if name in candidates.fields))
    source = Table(counts, {name: ak.to_numpy(ak.flatten(candidates[name], axis=1)) for name in names})
    columns = _columns(source, vertex_choice or VertexChoice())
    return from_candidates(
        **{name: ak.unflatten(values, counts) for name, values in columns.items()},
        n_vertices=n_vertices,
        rho=rho,
        metadata=metadata,
    )


class PFNanoFile:
    """A PFNano file, open for reading.

    Raises
    ------
    UnreadableFileError
        If a branch of the candidates is missing.
    """

    format = "pfnano"
    collections = ("PFCands",)

    def __init__(self, tree: RootTree, vertex_choice: VertexChoice | None = None) -> None:
        tree.need(
            [f"PFCands_{name}" for name in _CANDIDATES],
            "make the file with PFNano (or btvNano) with all candidates and their track details",
        )
        refuse_jet_constituents(tree)
        self.n_events = tree.n_events
        self.edges = tree.edges
        self._tree = tree
        self._choice = vertex_choice or VertexChoice()

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""
        with bad_events(self._tree.path, start, stop):
            return self._events(start, stop)

    def counts(self, start: int, stop: int) -> dict[str, NDArray[np.int64]]:
        """Return how many candidates each event has in each collection."""
        return counts_of(self._tree, {"PFCands": "PFCands_pt"}, start, stop)

    def _events(self, start: int, stop: int) -> Events:
        tree = self._tree
        optional = [name for name in (*_ERRORS, *_WEIGHTS.values()) if tree.has(f"PFCands_{name}")]
        source = tree.table("PFCands_{}", (*_CANDIDATES, *optional), start, stop)
        columns = _columns(source, self._choice)
        jagged = {name: ak.unflatten(values, source.counts) for name, values in columns.items()}
        # The packed weights overshoot [0, 1] by up to 0.002.
        weights = {
            name: ak.unflatten(np.clip(source[branch], 0.0, 1.0), source.counts)
            for name, branch in _WEIGHTS.items()
            if branch in optional
        }
        return from_candidates(
            **jagged,
            **event_columns(tree, _OF_EVENTS, start, stop),
            weights=weights or None,
            truth=nano_truth(tree, start, stop),
            metadata={
                "format": self.format,
                "file": tree.path.name,
                "vertex_choice": asdict(self._choice),
                "weights": {name: {"source": f"PFCands_{_WEIGHTS[name]}"} for name in weights},
            },
        )


def event_columns(tree: RootTree, wanted: Mapping[str, Sequence[str]], start: int, stop: int) -> dict[str, Any]:
    """Return what is known of each event: of the branches `wanted` for a field the first that is there counts."""
    found = {name: next(filter(tree.has, branches), None) for name, branches in wanted.items()}
    return {name: tree.scalars(branch, start, stop) for name, branch in found.items() if branch}


def nano_truth(tree: RootTree, start: int, stop: int) -> dict[str, Any] | None:
    """Return the truth that NanoAOD holds, None for data."""
    if not tree.has("GenJet_pt"):
        return None
    truth: dict[str, Any] = {}
    for name, collection in (("jets", "GenJet"), ("fat_jets", "GenJetAK8")):
        if tree.has(*(f"{collection}_{field}" for field in _JET)):
            jets = tree.table(collection + "_{}", _JET, start, stop)
            truth[name] = ak.zip({field: jets.jagged(field) for field in _JET}, depth_limit=2)
    if tree.has("GenMET_pt", "GenMET_phi"):
        truth["met"] = {key: tree.scalars(f"GenMET_{key}", start, stop) for key in ("pt", "phi")}
    if tree.has(*(f"GenPart_{field}" for field in _GEN)):
        truth["leptons"] = _prompt_leptons(tree.table("GenPart_{}", _GEN, start, stop))
    return truth


def refuse_puppi_weighted(tree: RootTree) -> None:
    """Raise a sentence about NanoAODv15's ``PFCand_*``: jet constituents, momenta times their PUPPI weight."""
    if tree.has("PFCand_pt") and not tree.has("PFCands_pt"):
        raise UnreadableFileError(
            f"{tree.path} holds NanoAOD's 'PFCand_pt', momenta of jet constituents already multiplied by their PUPPI "
            "weight: make the file with PFNano (or btvNano) with all candidates ('PFCands_pt')."
        )


def refuse_jet_constituents(tree: RootTree) -> None:
    """Raise a sentence about PFNano and btvNano without ``allPF``: without what lies between jets nothing works.

    Such a file is told by its links: every candidate belongs to a jet. In a whole crossing most belong to none.
    """
    links = [branch for branch in _JET_LINKS if tree.has(branch)]
    stop = min(tree.n_events, _LOOKED_AT)
    if not links or not stop:
        return
    counts = ak.to_numpy(ak.num(tree.array("PFCands_pt", 0, stop), axis=1))
    offsets = np.cumsum(counts) - counts
    linked = np.zeros(int(counts.sum()), dtype=bool)
    for branch in links:
        inside = tree.array(branch, 0, stop)
        inside = inside[(inside >= 0) & (inside < counts)]
        linked[ak.to_numpy(ak.flatten(inside + offsets, axis=1)).astype(np.int64)] = True
    if len(linked) and linked.all():
        raise UnreadableFileError(
            f"{tree.path} holds only candidates inside jets ('PFCands_pt'): make the file with all of them "
            "(btvNano: btvNano_switch.btvNano_addallPF_switch = True; PFNano: allPF=True)."
        )


def _columns(source: Table, choice: VertexChoice) -> dict[str, NDArray[Any]]:
    tracks = _track_columns(source)
    pt, eta = source["pt"].astype(np.float64), source["eta"].astype(np.float64)
    mass = np.maximum(source["mass"], 0.0)  # reduced precision leaves photons at −0.002 GeV
    energy = np.hypot(pt * np.cosh(eta), mass).astype(np.float32)
    return {
        "pt": source["pt"],
        "eta": source["eta"],
        "phi": source["phi"],
        "energy": energy,
        "charge": source["charge"],
        "vertex": choice.of(source["charge"], source["pvAssocQuality"], tracks["dz"]),
        "pdg_id": source["pdgId"],
        **tracks,
    }


def _track_columns(source: Table) -> dict[str, NDArray[Any]]:
    """Return impact parameters and errors in mm; a real dz of −1 cm is told from "none" by its error."""
    known = source["charge"] != 0
    if "dzErr" in source.columns:
        known = known & (source["dzErr"] != NO_TRACK)
    else:
        known = known & ((source["dz"] != NO_TRACK) | (source["d0"] != NO_TRACK))
    names = {"d0": "d0", "dz": "dz", "d0_error": "d0Err", "dz_error": "dzErr"}
    tracks = {}
    for name, branch in names.items():
        if branch in source.columns:
            finite = known & np.isfinite(source[branch])
            tracks[name] = np.where(finite, source[branch] * np.float32(MM_PER_CM), np.float32(np.nan))
    return tracks


def _prompt_leptons(particles: Table) -> ak.Array:
    """Pick stable prompt electrons and muons above 10 GeV."""
    lepton = np.isin(np.abs(particles["pdgId"]), (11, 13)) & (particles["status"] == 1)
    prompt = lepton & ((particles["statusFlags"] & _IS_PROMPT) != 0) & (particles["pt"] > 10.0)
    chosen = ak.unflatten(prompt, particles.counts)
    fields = {"pt": "pt", "eta": "eta", "phi": "phi", "pdg_id": "pdgId"}
    return ak.zip({name: particles.jagged(field)[chosen] for name, field in fields.items()}, depth_limit=2)
