"""The one event model: what a crossing holds, in which units, and the checks on entry.

A batch of crossings is an `Events`: a jagged record array, one record a crossing, with

====================  ======================================================================================
``candidates``        particle-flow candidates: ``pt`` (GeV, > 0), ``eta``, ``phi`` (rad, [−π, π)), ``energy``
                      (GeV), ``charge`` (−1, 0, 1), ``vertex`` (`LEADING`, > 0 pileup, `NO_VERTEX`); where
                      known ``pdg_id``, ``d0``, ``dz``, ``d0_error``, ``dz_error`` (mm, relative to the leading
                      vertex, NaN without a track)
``weights``           weights computed or found so far, float32 in [0, 1], aligned with the candidates
``weight_errors``     errors of some of these weights, under the same names, float32 in [0, 1], aligned as they are
``n_vertices``        reconstructed vertices, the leading one included, as the file or the caller gave it
``rho``               GeV; of the reconstruction, as are ``vertices`` (``vertices.z`` in mm)
``run``, ``event``    identity and provenance, with ``lumi``, ``process`` and ``pileup``
``truth``             behind the wall: ``hard_fraction`` in [0, 1], aligned with the candidates; ``jets``,
                      ``fat_jets`` (GeV), ``leptons`` (prompt), ``met`` (``pt``, ``phi``)
====================  ======================================================================================

A mitigation method is handed `Events.without_truth`; nothing under ``truth`` can reach its inputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.checks import (
    KINEMATICS,
    TRACK_FIELDS,
    checked_candidates,
    checked_event_column,
    checked_truth,
)
from hardscatter.checks import checked_fraction as checked_fraction
from hardscatter.errors import InvalidEventsError, MissingFieldError
from hardscatter.jagged import flat as flat
from hardscatter.jagged import jagged_like as jagged_like
from hardscatter.jagged import offsets_of as offsets_of

LEADING = 0
"""Value of ``candidates.vertex`` for the leading vertex, the hard scatter's."""

PILEUP = 1
"""Value for a pileup vertex when the source only says that it is one; any value > 0 means pileup."""

NO_VERTEX = -1
"""Value for a candidate without a vertex: every neutral, and a charged one that fits none."""

COMPULSORY = (*KINEMATICS, "charge", "vertex")
CANDIDATE_FIELDS = (*COMPULSORY, "pdg_id", *TRACK_FIELDS)
EVENT_FIELDS = ("n_vertices", "rho", "run", "lumi", "event", "process", "pileup", "vertices")

_REMEDIES = {
    "candidates": "pass it to hs.from_candidates",
    "n_vertices": "pass n_vertices= to hs.from_candidates (the number of reconstructed vertices of each event)",
    "truth": "no method is handed it; else use a file of simulation or pass truth= to hs.from_candidates",
    "weights": "compute some with hs.mitigate and store them with hs.with_weights",
    "weight_errors": "compute some with hs.weight_errors and store them with hs.with_weights",
}

_OTHER = 23
"""Stands for all absolute PDG ids from here on: particle flow has no class for them."""

_CLASSES = np.repeat(np.array([[130], [211]], dtype=np.int32), _OTHER + 1, axis=1)
"""Particle-flow class by charged or not and by absolute PDG id."""
_CLASSES[0, [1, 2, 22]] = 1, 2, 22
_CLASSES[1, [11, 13]] = 11, 13


class Events:
    """A batch of crossings: jagged arrays by field, with the settings and versions that made them.

    Attribute access gives the arrays (``events.candidates.pt``, ``events.truth.met.pt``), indexing with a
    slice, a mask or an index array gives fewer events, indexing with an integer gives one record. An `Events`
    is not changed after it is made. Build one with `from_candidates` or by reading a file.
    """

    __slots__ = ("_array", "metadata")

    def __init__(self, array: ak.Array, metadata: Mapping[str, Any] | None = None) -> None:
        self._array = array
        self.metadata: dict[str, Any] = dict(metadata or {})

    @property
    def array(self) -> ak.Array:
        """The awkward record array behind the events."""
        return self._array

    @property
    def fields(self) -> list[str]:
        """Names of the fields that are there."""
        return list(self._array.fields)

    def __len__(self) -> int:
        return len(self._array)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        if name in self._array.fields:
            return self._array[name]
        remedy = _REMEDIES.get(name, f"these events hold {', '.join(self._array.fields)}")
        raise MissingFieldError(f"events have no field '{name}': {remedy}.")

    def __getitem__(self, where: Any) -> Any:
        selected = self._array[where]
        return Events(selected, self.metadata) if isinstance(selected, ak.Array) else selected

    def __iter__(self) -> Iterator[Any]:
        return iter(self._array)

    def __repr__(self) -> str:
        n_candidates = int(ak.sum(self.n_candidates)) if len(self) else 0
        names = [name for name in self.fields if name != "candidates"]
        return f"<Events: {len(self)} crossings, {n_candidates} candidates, with {', '.join(names) or 'no more'}>"

    @property
    def n_candidates(self) -> ak.Array:
        """Number of candidates of each event."""
        offsets, _ = flat_candidates(self)
        return ak.Array(np.diff(offsets))

    def has(self, path: str) -> bool:
        """Tell whether a dotted field such as ``"candidates.dz"`` or ``"truth.jets"`` is there."""
        layout = self._array.layout
        for name in path.split("."):
            if name not in layout.fields:
                return False
            layout = layout[name]
        return True

    def without_truth(self) -> Events:
        """Return the events as a detector gives them: all but ``truth``."""
        if "truth" not in self._array.fields:
            return self
        return Events(self._array[[name for name in self._array.fields if name != "truth"]], self.metadata)

    def with_field(self, name: str, value: ak.Array) -> Events:
        """Return these events with one more (or another) top-level field; no check, for readers and makers."""
        return Events(ak.with_field(self._array, value, name), self.metadata)

    def particle_class(self) -> ak.Array:
        """Return the particle-flow class of each candidate, whatever PDG ids the source used.

        The classes are those of CMS: 211 charged hadron, 130 neutral hadron, 22 photon, 11 electron, 13 muon,
        1 and 2 hadronic and electromagnetic deposit of the forward calorimeter. Without ``pdg_id`` a charged
        candidate is a 211 and a neutral one a 130. Returns int32, jagged, aligned with the candidates.
        """
        names = ["charge", "pdg_id"] if self.has("candidates.pdg_id") else ["charge"]
        offsets, (charge, *pdg_id) = flat_candidates(self, *names)
        absolute = np.minimum(np.abs(pdg_id[0]).view(np.uint32), _OTHER).astype(np.uint8) if pdg_id else _OTHER
        return jagged(_CLASSES.take((_OTHER + 1) * (charge != 0) + absolute), offsets)


def flat_candidates(events: Events, *names: str) -> tuple[NDArray[np.int64], tuple[NDArray[Any], ...]]:
    """Return where each event starts, shape (events + 1,), and the named fields of the candidates as kernels want them.

    Flat and contiguous; ``charge`` int8, ``vertex`` and ``pdg_id`` int32, all others float32 if all of them are, else
    float64. Read-only: what needs no conversion is no copy.
    """
    layout: Any = events.array.layout
    layout = layout.content("candidates") if isinstance(layout, ak.contents.RecordArray) else None
    if not _is_plain(layout, names):
        candidates = events.candidates[list(names)] if names else events.candidates
        layout = ak.to_packed(candidates).layout if names else None
        if not _is_plain(layout, names):
            return offsets_of(candidates), _for_kernels({name: flat(candidates[name]) for name in names})
    offsets = np.array(layout.offsets.data, dtype=np.int64)
    first, last = offsets[0], offsets[-1]
    return offsets - first, _for_kernels({name: layout.content.content(name).data[first:last] for name in names})


_INTEGERS: dict[str, type[np.generic]] = {"charge": np.int8, "vertex": np.int32, "pdg_id": np.int32}


def _for_kernels(columns: Mapping[str, NDArray[Any]]) -> tuple[NDArray[Any], ...]:
    """Return columns in one of two sets of types, so that a kernel is compiled twice at most."""
    single = all(column.dtype == np.float32 for name, column in columns.items() if name not in _INTEGERS)
    number = np.float32 if single else np.float64
    typed = [np.ascontiguousarray(column, dtype=_INTEGERS.get(name, number)) for name, column in columns.items()]
    views = tuple(column.view() for column in typed)
    for view in views:
        view.flags.writeable = False
    return views


def _is_plain(layout: Any, names: Sequence[str]) -> bool:
    """Tell whether a layout is lists of records, one list after the other, with plain numbers under these names."""
    return (
        isinstance(layout, ak.contents.ListOffsetArray)
        and isinstance(layout.content, ak.contents.RecordArray)
        and set(names) <= set(layout.content.fields)
        and all(isinstance(layout.content.content(name), ak.contents.NumpyArray) for name in names)
    )


def jagged(values: NDArray[Any], offsets: NDArray[np.int64]) -> ak.Array:
    """Return flat `values` as lists that start at `offsets`; the way back from `flat_candidates`, no copy."""
    return ak.Array(ak.contents.ListOffsetArray(ak.index.Index64(offsets), ak.contents.NumpyArray(values)))


def from_candidates(
    *,
    pt: Any,
    eta: Any,
    phi: Any,
    energy: Any,
    charge: Any,
    vertex: Any,
    pdg_id: Any = None,
    d0: Any = None,
    dz: Any = None,
    d0_error: Any = None,
    dz_error: Any = None,
    n_vertices: Any = None,
    truth: Mapping[str, Any] | None = None,
    weights: Mapping[str, Any] | None = None,
    weight_errors: Mapping[str, Any] | None = None,
    vertices: Any = None,
    rho: Any = None,
    run: Any = None,
    lumi: Any = None,
    event: Any = None,
    process: Any = None,
    pileup: Any = None,
    metadata: Mapping[str, Any] | None = None,
) -> Events:
    """Build events from anyone's jagged arrays, checked.

    Parameters
    ----------
    pt, eta, phi, energy
        Momenta of the candidates, jagged (events × candidates): awkward arrays or nested sequences. GeV and
        rad; pt > 0; phi is wrapped into [−π, π); all finite. float32 stays float32, all else becomes float64.
    charge, vertex
        −1, 0 or 1; the vertex that the reconstruction chose: 0 leading, > 0 pileup, −1 none.
    pdg_id
        Any PDG ids (see `Events.particle_class`).
    d0, dz, d0_error, dz_error
        Impact parameters relative to the leading vertex and their errors, mm; NaN where there is no track.
    n_vertices
        Reconstructed vertices of each event, unscaled.
    truth
        ``hard_fraction`` (jagged, in [0, 1], aligned with the candidates) and, where known, ``jets``,
        ``fat_jets`` (jagged records of ``pt``, ``eta``, ``phi``, ``mass``), ``leptons`` (jagged records of
        ``pt``, ``eta``, ``phi``, prompt ones) and ``met`` (``pt``, ``phi`` of each event).
    weights, weight_errors
        Weights by name, and errors of some of them by the same names: jagged, in [0, 1].
    vertices, rho, run, lumi, event, process, pileup
        What else is known of each event; ``vertices`` holds jagged records with ``z`` in mm.
    metadata
        Provenance that travels with the events.

    Raises
    ------
    InvalidEventsError
        If lengths differ, a number is not finite or out of range; the sentence names the field, the event and
        the remedy.
    """
    given = {
        "pt": pt, "eta": eta, "phi": phi, "energy": energy, "charge": charge, "vertex": vertex,
        "pdg_id": pdg_id, "d0": d0, "dz": dz, "d0_error": d0_error, "dz_error": dz_error,
    }  # fmt: skip
    for name in COMPULSORY:
        if given[name] is None:
            raise InvalidEventsError(f"candidates.{name} is None: kinematics, charge and vertex are compulsory.")
    columns = checked_candidates({name: value for name, value in given.items() if value is not None})
    counts = np.asarray(ak.num(columns["pt"], axis=1))

    fields: dict[str, Any] = {"candidates": ak.zip(columns, depth_limit=2)}
    for kind, named in (("weights", weights), ("weight_errors", weight_errors)):
        if named:
            checked = {name: checked_fraction(f"{kind}.{name}", value, counts) for name, value in named.items()}
            fields[kind] = ak.zip(checked, depth_limit=2)
    about_events = (n_vertices, rho, run, lumi, event, process, pileup, vertices)
    for name, value in zip(EVENT_FIELDS, about_events, strict=True):
        if value is not None:
            fields[name] = checked_event_column(name, value, len(counts))
    if truth is not None:
        fields["truth"] = checked_truth(truth, counts)
    return Events(ak.zip(fields, depth_limit=1), metadata)


def checked(events: Events) -> Events:
    """Return events that came from elsewhere, such as a file that somebody may have edited, checked as on entry.

    Fields that the event model does not know are kept as they are. Nothing changes in events that are right.

    Raises
    ------
    InvalidEventsError
        As `from_candidates`.
    """
    array = events.array
    candidates = array["candidates"]
    known: dict[str, Any] = {name: candidates[name] for name in candidates.fields if name in CANDIDATE_FIELDS}
    known |= {name: array[name] for name in array.fields if name in (*EVENT_FIELDS, "truth")}
    known |= {kind: _by_name(events, kind) for kind in ("weights", "weight_errors")}
    right = from_candidates(**known).array
    known_columns = right["candidates"]
    columns = {
        name: known_columns[name] if name in known_columns.fields else candidates[name] for name in candidates.fields
    }
    whole = {name: right[name] if name in right.fields else array[name] for name in array.fields}
    return Events(ak.zip({**whole, "candidates": ak.zip(columns, depth_limit=2)}, depth_limit=1), events.metadata)


def with_weights(
    events: Events, name: str, weights: Any, settings: Mapping[str, Any] | None = None, errors: Any = None
) -> Events:
    """Return the events with one more weight vector, stored under ``events.weights.<name>``.

    Parameters
    ----------
    events
        The events the weights belong to.
    name
        Method id or where the weights came from; an existing vector of that name is replaced, its errors go with it.
    weights
        Jagged, in [0, 1], aligned with the candidates; stored as float32.
    settings
        Resolved settings of the method; kept in ``events.metadata["weights"][name]``.
    errors
        Errors of the weights (`hardscatter.weight_errors`), if known: jagged, in [0, 1], aligned with the candidates;
        stored as float32 under ``events.weight_errors.<name>``.

    Raises
    ------
    InvalidEventsError
        If the weights or errors are not aligned with the candidates, not finite or outside [0, 1].
    """
    if not name:
        raise InvalidEventsError("weights need a name: give the method id or where they came from.")
    counts = np.asarray(events.n_candidates)
    checked = {**_by_name(events, "weights"), name: checked_fraction(f"weights.{name}", weights, counts)}
    known = {key: value for key, value in _by_name(events, "weight_errors").items() if key != name}
    if errors is not None:
        known[name] = checked_fraction(f"weight_errors.{name}", errors, counts)
    kept = [field for field in events.fields if field != "weight_errors"]
    result = Events(events.array[kept]).with_field("weights", ak.zip(checked, depth_limit=2))
    if known:
        result = result.with_field("weight_errors", ak.zip(known, depth_limit=2))
    recorded = {**events.metadata.get("weights", {}), name: dict(settings or {})}
    return Events(result.array, {**events.metadata, "weights": recorded})


def _by_name(events: Events, kind: str) -> dict[str, ak.Array]:
    """Return the vectors of a record such as ``weights``; none where the events lack it."""
    return {name: events.array[kind][name] for name in events.array[kind].fields} if events.has(kind) else {}


def concatenate(parts: Sequence[Events]) -> Events:
    """Join batches of events that hold the same fields; the metadata of the first is kept.

    Raises
    ------
    InvalidEventsError
        If there is nothing to join or the batches hold different fields.
    """
    if not parts:
        raise InvalidEventsError("concatenate() needs at least one batch of events.")
    first = _paths(parts[0].array)
    for part in parts[1:]:
        differing = sorted(first ^ _paths(part.array))
        if differing:
            raise InvalidEventsError(
                f"batches hold different fields ({', '.join(differing)} only in some): take files of one kind."
            )
    return Events(ak.concatenate([part.array for part in parts]), parts[0].metadata)


def _paths(array: ak.Array, prefix: str = "") -> set[str]:
    """Return the dotted names of all fields."""
    names = {prefix + name for name in array.fields}
    return names.union(*(_paths(array[name], f"{prefix}{name}.") for name in array.fields))
