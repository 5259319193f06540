"""Jets as JetClass has them, for weaver, Particle Transformer and their kin: one entry a jet.

Names and types are those of the files of Zenodo 6619768 as ``notebooks/JetClass101.ipynb`` of
jet-universe/particle_transformer lists them. Lists have a counter in place of ``std::vector``, which weaver (uproot)
reads alike.
"""

from __future__ import annotations

import os
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events, checked_fraction, flat
from hardscatter.geometry.angles import wrap_phi
from hardscatter.io.writing import aside, check_target

TREE = "tree"
LABELS = {
    "QCD": np.float32, "Hbb": np.bool_, "Hcc": np.bool_, "Hgg": np.bool_, "H4q": np.bool_, "Hqql": np.bool_,
    "Zqq": np.int32, "Wqq": np.int32, "Tbqq": np.int32, "Tbl": np.int32,
}  # fmt: skip
"""Classes of JetClass and the types of their branches, as they are in its files."""

_CLASSES = {"ChargedHadron": (211,), "NeutralHadron": (130, 1), "Photon": (22, 2), "Electron": (11,), "Muon": (13,)}
_TRACK = {"d0val": "d0", "d0err": "d0_error", "dzval": "dz", "dzerr": "dz_error"}
_TAUS = ("tau1", "tau2", "tau3", "tau4")


class JetClassWriter:
    """A file of jets in JetClass' layout, written batch by batch, for use in a ``with`` statement.

    Parameters
    ----------
    path
        Where to write, a ``.root`` file.
    overwrite
        Whether a file that is already there may be replaced. It stays as it is until the new one is complete.

    Raises
    ------
    UnwritableFileError
        If the file is already there, or its folder is missing or not writable.
    """

    def __init__(self, path: str | os.PathLike[str], overwrite: bool = False) -> None:
        self.path = Path(path)
        check_target(self.path, overwrite)
        self._resources = ExitStack()
        self._tree: Any = None

    def __enter__(self) -> Self:
        import uproot  # only where a ROOT file is met: it takes long

        place = self._resources.enter_context(aside(self.path))
        self._file = self._resources.enter_context(uproot.recreate(place, compression=uproot.ZSTD(1)))
        self._tree = self._file.mktree(TREE, _types(_branches_of_nothing()))
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._resources.__exit__(kind, problem, trace)

    def write(
        self,
        events: Events,
        jets: ak.Array,
        weights: Any = None,
        *,
        label: str,
        groomed: ak.Array | None = None,
        taus: ak.Array | None = None,
    ) -> None:
        """Append the jets of some events.

        Parameters
        ----------
        events, weights
            What the jets were clustered from; particles carry their momenta times their weights, those of weight 0
            are left out. Weights are jagged, in [0, 1], aligned with the candidates; None means 1.
        jets
            Jets from `hardscatter.cluster`; with ``massless=False`` their energy is the sum of the particles'.
        label
            What all these jets are, one of `LABELS`: its branch ``label_…`` is 1, the others are 0.
        groomed
            The same jets from `hardscatter.soft_drop`, for ``jet_sdmass``; NaN without.
        taus
            The same jets from `hardscatter.n_subjettiness` with n = 1 to 4, for ``jet_tau1`` to ``jet_tau4``; NaN for
            those that are not there.

        Raises
        ------
        SettingsError
            If the label is none of those of JetClass.
        InvalidEventsError
            If the jets do not belong to the events, or the weights do not.

        Notes
        -----
        As in JetClass, ``part_deta`` has the sign of the jet's pseudorapidity, particles come hardest first, lengths
        are in mm and 0 (as their errors) where there is no track.
        """
        if label not in LABELS:
            raise SettingsError(f"label is {label!r}: choose one of {', '.join(LABELS)}.")
        branches = _jets(jets, groomed, taus) | _particles(events, jets, weights)
        n_jets = len(branches["jet_pt"])
        branches |= {f"label_{name}": np.full(n_jets, name == label, dtype) for name, dtype in LABELS.items()}
        branches["jet_nparticles"] = ak.to_numpy(ak.num(branches["part"]["px"], axis=1)).astype(np.float32)
        self._tree.extend(branches)


def _jets(jets: ak.Array, groomed: ak.Array | None, taus: ak.Array | None) -> dict[str, Any]:
    pt, eta, phi, mass = (flat(jets[name], np.float64) for name in ("pt", "eta", "phi", "mass"))
    columns = {"pt": pt, "eta": eta, "phi": phi, "energy": np.hypot(pt * np.cosh(eta), mass)}
    columns["sdmass"] = _aligned(jets, groomed, "mass")
    columns |= {name: _aligned(jets, taus, name) for name in _TAUS}
    return {f"jet_{name}": values.astype(np.float32) for name, values in columns.items()}


def _aligned(jets: ak.Array, more: ak.Array | None, name: str) -> NDArray[np.float64]:
    counts = ak.num(jets["pt"], axis=1)
    if more is None or name not in more.fields:
        return np.full(int(ak.sum(counts)), np.nan)
    if len(more) != len(jets) or not ak.all(ak.num(more[name], axis=1) == counts):
        raise InvalidEventsError(f"'{name}' is not there for each of the jets: give what was made of the same jets.")
    return flat(more[name], np.float64)


def _particles(events: Events, jets: ak.Array, weights: Any) -> dict[str, ak.Array]:
    """Return the weighted constituents, jets of all events × particles, hardest first."""
    counts = np.asarray(events.n_candidates)
    if len(jets) != len(events):
        raise InvalidEventsError(f"jets of {len(jets)} events for {len(events)} events: give those they came from.")
    if weights is None:
        weights = ak.unflatten(np.ones(int(counts.sum()), np.float32), counts)
    scale = flat(checked_fraction("weights", weights, counts), np.float64)
    members = ak.flatten(jets["constituents"], axis=1)
    sizes = ak.to_numpy(ak.num(members, axis=1))
    event = np.repeat(np.repeat(np.arange(len(events)), ak.num(jets["pt"], axis=1)), sizes)
    position = flat(members, np.int64)
    if np.any((position < 0) | (position >= counts[event])):
        raise InvalidEventsError("jets have constituents that these events lack: give the events they came from.")
    chosen = (np.cumsum(counts) - counts)[event] + position
    jet = np.repeat(np.arange(len(sizes)), sizes)
    pt = flat(events.candidates.pt, np.float64)[chosen] * scale[chosen]
    order = np.lexsort((-pt, jet))
    order = order[pt[order] > 0]
    columns = _columns(events, chosen[order], scale, jets, jet[order])
    kept = np.bincount(jet[order], minlength=len(sizes))
    return {"part": ak.zip({name: ak.unflatten(values, kept) for name, values in columns.items()}, depth_limit=2)}


def _columns(
    events: Events, chosen: NDArray[np.int64], scale: NDArray[np.float64], jets: ak.Array, jet: NDArray[np.int64]
) -> dict[str, NDArray[Any]]:
    """Return the branches ``part_…`` of the candidates `chosen`, which belong to the jets `jet`."""
    candidates, weight = events.candidates, scale[chosen]
    pt, eta, phi, energy = (flat(candidates[name], np.float64)[chosen] for name in ("pt", "eta", "phi", "energy"))
    jet_eta, jet_phi = (flat(jets[name], np.float64)[jet] for name in ("eta", "phi"))
    columns = {
        "px": weight * pt * np.cos(phi), "py": weight * pt * np.sin(phi), "pz": weight * pt * np.sinh(eta),
        "energy": weight * energy,
        "deta": (eta - jet_eta) * np.where(jet_eta < 0, -1.0, 1.0), "dphi": wrap_phi(phi - jet_phi),
    }  # fmt: skip
    for name, field in _TRACK.items():
        there = field in candidates.fields
        columns[name] = np.nan_to_num(flat(candidates[field])[chosen]) if there else np.zeros(len(chosen))
    columns["charge"] = flat(candidates.charge)[chosen]
    kind = flat(events.particle_class())[chosen]
    single = {name: values.astype(np.float32) for name, values in columns.items()}
    return single | {f"is{name}": np.isin(kind, codes).astype(np.int32) for name, codes in _CLASSES.items()}


def _types(branches: dict[str, Any]) -> dict[str, Any]:
    return {
        name: values.dtype if isinstance(values, np.ndarray) else values.type.content
        for name, values in branches.items()
    }


def _branches_of_nothing() -> dict[str, Any]:
    """Return all branches, empty, in the order of JetClass."""
    tracks = [*("px", "py", "pz", "energy", "deta", "dphi"), *_TRACK, "charge"]
    parts = {name: np.zeros(0, np.float32) for name in tracks} | {
        f"is{name}": np.zeros(0, np.int32) for name in _CLASSES
    }
    lists = ak.zip({name: ak.unflatten(values, [0])[:0] for name, values in parts.items()}, depth_limit=2)
    labels: dict[str, Any] = {f"label_{name}": np.zeros(0, dtype) for name, dtype in LABELS.items()}
    jets = ("pt", "eta", "phi", "energy", "nparticles", "sdmass", *_TAUS)
    return {"part": lists, **labels, **{f"jet_{name}": np.zeros(0, np.float32) for name in jets}}
