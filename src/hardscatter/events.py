"""The one event model: what a crossing holds, in which units, and the checks on entry.

A batch of crossings is an `Events`: a jagged record array, one record a crossing, with

====================  ======================================================================================
``candidates``        particle-flow candidates: ``pt`` (GeV, > 0), ``eta``, ``phi`` (rad, [−π, π)), ``energy``
                      (GeV), ``charge`` (−1, 0, 1), ``vertex`` (`LEADING`, > 0 pileup, `NO_VERTEX`); where
                      known ``pdg_id``, ``d0``, ``dz``, ``d0_error``, ``dz_error`` (mm, relative to the leading
                      vertex, NaN without a track)
``weights``           weights computed or found so far, float32 in [0, 1], aligned with the candidates
``n_vertices``        reconstructed vertices, the leading one included, as the file or the caller gave it
``vertices``, ``rho`` what else the reconstruction knows (``vertices.z`` in mm; ``rho`` in GeV)
``run``, ``lumi``, ``event``, ``process``, ``pileup``   identity and provenance
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

from hardscatter.errors import InvalidEventsError, MissingFieldError
from hardscatter.geometry.angles import wrap_phi

LEADING = 0
"""Value of ``candidates.vertex`` for the leading vertex, the hard scatter's."""

PILEUP = 1
"""Value for a pileup vertex when the source only says that it is one; any value > 0 means pileup."""

NO_VERTEX = -1
"""Value for a candidate without a vertex: every neutral, and a charged one that fits none."""

KINEMATICS = ("pt", "eta", "phi", "energy")
COMPULSORY = (*KINEMATICS, "charge", "vertex")
TRACK_FIELDS = ("d0", "dz", "d0_error", "dz_error")
IDENTITY = ("run", "lumi", "event", "process", "pileup")

_INTEGERS = {"charge": np.int8, "vertex": np.int32, "pdg_id": np.int32}
_EVENT_INTEGERS = {"n_vertices": np.int32, "run": np.int64, "lumi": np.int64, "event": np.int64}

_REMEDIES = {
    "candidates": "pass it to hs.from_candidates",
    "n_vertices": "pass n_vertices= to hs.from_candidates (the number of reconstructed vertices of each event)",
    "truth": "truth exists only in simulation; use a file that holds it or pass truth= to hs.from_candidates",
    "weights": "compute some with hs.mitigate and store them with hs.with_weights",
}


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
        return ak.num(self._array["candidates"], axis=1)

    def has(self, path: str) -> bool:
        """Tell whether a dotted field such as ``"candidates.dz"`` or ``"truth.jets"`` is there."""
        fields, array = self._array.fields, self._array
        for name in path.split("."):
            if name not in fields:
                return False
            array = array[name]
            fields = array.fields
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
        candidates = self._array["candidates"]
        charged = flat(candidates["charge"]) != 0
        classes = np.where(charged, 211, 130).astype(np.int32)
        if "pdg_id" in candidates.fields:
            absolute = np.abs(flat(candidates["pdg_id"]))
            for known in (22, 11, 13, 1, 2):
                classes[(absolute == known) & (charged == (known in (11, 13)))] = known
        return ak.unflatten(classes, ak.num(candidates["charge"], axis=1))


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
    weights
        Weights by name, jagged, in [0, 1].
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
    columns = {name: _column(f"candidates.{name}", name, value) for name, value in given.items() if value is not None}
    counts = np.asarray(ak.num(columns["pt"], axis=1))
    for name, column in columns.items():
        _check_aligned(f"candidates.{name}", column, counts)
    _check_candidates(columns)
    columns["phi"] = jagged_like(wrap_phi(flat(columns["phi"])), columns["phi"])

    fields: dict[str, Any] = {"candidates": ak.zip(columns, depth_limit=2)}
    if weights:
        checked = {name: checked_fraction(f"weights.{name}", value, counts) for name, value in weights.items()}
        fields["weights"] = ak.zip(checked, depth_limit=2)
    for name, value in {"n_vertices": n_vertices, "rho": rho, "run": run, "lumi": lumi, "event": event,
                        "process": process, "pileup": pileup, "vertices": vertices}.items():  # fmt: skip
        if value is not None:
            fields[name] = _event_column(name, value, len(counts))
    if truth is not None:
        fields["truth"] = _truth_record(truth, counts)
    return Events(ak.zip(fields, depth_limit=1), metadata)


def with_weights(events: Events, name: str, weights: Any, settings: Mapping[str, Any] | None = None) -> Events:
    """Return the events with one more weight vector, stored under ``events.weights.<name>``.

    Parameters
    ----------
    events
        The events the weights belong to.
    name
        Method id or where the weights came from; an existing vector of that name is replaced.
    weights
        Jagged, in [0, 1], aligned with the candidates; stored as float32.
    settings
        Resolved settings of the method; kept in ``events.metadata["weights"][name]``.

    Raises
    ------
    InvalidEventsError
        If the weights are not aligned with the candidates, not finite or outside [0, 1].
    """
    if not name:
        raise InvalidEventsError("weights need a name: give the method id or where they came from.")
    counts = np.asarray(events.n_candidates)
    checked = checked_fraction(f"weights.{name}", weights, counts)
    old = {key: events.weights[key] for key in events.weights.fields} if events.has("weights") else {}
    result = events.with_field("weights", ak.zip({**old, name: checked}, depth_limit=2))
    recorded = {**events.metadata.get("weights", {}), name: dict(settings or {})}
    return Events(result.array, {**events.metadata, "weights": recorded})


def concatenate(parts: Sequence[Events]) -> Events:
    """Join batches of events that hold the same fields; the metadata of the first is kept.

    Raises
    ------
    InvalidEventsError
        If there is nothing to join or the batches hold different fields.
    """
    if not parts:
        raise InvalidEventsError("concatenate() needs at least one batch of events.")
    for part in parts[1:]:
        if part.fields != parts[0].fields:
            raise InvalidEventsError(
                f"batches hold different fields ({', '.join(parts[0].fields)} and {', '.join(part.fields)}): "
                "read them from files of one kind."
            )
    return Events(ak.concatenate([part.array for part in parts]), parts[0].metadata)


def flat(jagged: ak.Array, dtype: Any = None) -> NDArray[Any]:
    """Return all values of a jagged array in one contiguous NumPy array, for kernels."""
    values = ak.to_numpy(ak.flatten(jagged, axis=1), allow_missing=False)
    return np.ascontiguousarray(values, dtype=dtype)


def offsets_of(jagged: ak.Array) -> NDArray[np.int64]:
    """Return where each event starts in the flat array, and the total at the end: shape (events + 1,)."""
    offsets = np.zeros(len(jagged) + 1, dtype=np.int64)
    np.cumsum(ak.to_numpy(ak.num(jagged, axis=1)), out=offsets[1:])
    return offsets


def jagged_like(values: NDArray[Any], like: ak.Array) -> ak.Array:
    """Return flat `values` with the event structure of the jagged array `like`."""
    return ak.unflatten(values, ak.num(like, axis=1))


def _column(label: str, name: str, value: Any) -> ak.Array:
    """Turn what the caller gave into a jagged array of the dtype that the event model wants."""
    column = _as_jagged(label, value)
    if name in _INTEGERS:
        values = ak.to_numpy(ak.flatten(column, axis=1)).astype(np.float64)
        _check(label, column, np.isfinite(values) & (values == np.round(values)), "must be a whole number",
               "give integers")  # fmt: skip
        return ak.values_astype(column, _INTEGERS[name])
    values = ak.to_numpy(ak.flatten(column, axis=1))
    return column if values.dtype in (np.float32, np.float64) else ak.values_astype(column, np.float64)


def _as_jagged(label: str, value: Any) -> ak.Array:
    """Return `value` as a packed list-of-lists array without missing entries."""
    try:
        array = value if isinstance(value, ak.Array) else ak.Array(value)
    except (TypeError, ValueError, RuntimeError) as problem:
        raise InvalidEventsError(f"{label} cannot be read as a jagged array of numbers ({problem}).") from None
    if len(array) == 0 and array.ndim != 2:
        array = ak.Array(np.zeros((0, 0)))
    if array.ndim != 2:
        raise InvalidEventsError(
            f"{label} has {array.ndim} dimension(s): give one list of candidates for each event (events × candidates)."
        )
    if ak.any(ak.is_none(array, axis=0)) or ak.any(ak.is_none(array, axis=1)):
        raise InvalidEventsError(f"{label} has missing entries: drop them first (for example with ak.drop_none).")
    array = ak.to_packed(ak.from_regular(ak.drop_none(ak.drop_none(array, axis=1), axis=0), axis=1))
    values = ak.flatten(array, axis=1)
    if values.layout.is_unknown:  # [[], []]: no value to tell a type from; typed empty lists keep their type
        return ak.unflatten(np.zeros(0), ak.num(array, axis=1))
    if values.ndim != 1 or values.layout.is_record or ak.to_numpy(values).dtype.kind not in "fiub":
        raise InvalidEventsError(f"{label} does not hold numbers (its type is {array.type}).")
    return array


def _event_column(name: str, value: Any, n_events: int) -> ak.Array:
    column = value if isinstance(value, ak.Array) else ak.Array(value)
    if len(column) != n_events:
        raise InvalidEventsError(f"{name} has {len(column)} entries for {n_events} events: give one an event.")
    if name in _EVENT_INTEGERS:
        return ak.values_astype(column, _EVENT_INTEGERS[name])
    return column


def _truth_record(truth: Mapping[str, Any], counts: NDArray[Any]) -> ak.Array:
    names = truth.fields if isinstance(truth, ak.Array) else list(truth)
    fields: dict[str, Any] = {}
    for name in names:
        if name == "hard_fraction":
            fields[name] = checked_fraction("truth.hard_fraction", truth[name], counts, dtype=None)
        else:
            value = truth[name]
            if isinstance(value, Mapping):  # {"pt": …, "phi": …} of each event or of each jet
                value = ak.zip({key: ak.Array(column) for key, column in value.items()})
            fields[name] = _event_column(f"truth.{name}", value, len(counts))
    if not fields:
        raise InvalidEventsError("truth is empty: leave it out or give at least one field, such as hard_fraction.")
    return ak.zip(fields, depth_limit=1)


def checked_fraction(label: str, value: Any, counts: NDArray[Any], dtype: Any = np.float32) -> ak.Array:
    """Return `value` as a jagged array in [0, 1] with `counts` entries an event, or raise a sentence about `label`."""
    column = _as_jagged(label, value)
    _check_aligned(label, column, counts)
    values = flat(column, np.float64)
    _check(label, column, np.isfinite(values) & (values >= 0) & (values <= 1), "must lie in [0, 1]",
           "clip or recompute it")  # fmt: skip
    return column if dtype is None else ak.values_astype(column, dtype)


def _check_aligned(label: str, column: ak.Array, counts: NDArray[Any]) -> None:
    found = np.asarray(ak.num(column, axis=1))
    if len(found) != len(counts):
        raise InvalidEventsError(
            f"{label} has {len(found)} events, candidates.pt has {len(counts)}: give every field the same events."
        )
    wrong = np.flatnonzero(found != counts)
    if len(wrong):
        first = int(wrong[0])
        raise InvalidEventsError(
            f"{label} of event {first} has {found[first]} entries for {counts[first]} candidates: "
            "give one value for each candidate, in the same order."
        )


def _check_candidates(columns: Mapping[str, ak.Array]) -> None:
    for name in KINEMATICS:
        values = flat(columns[name])
        _check(f"candidates.{name}", columns[name], np.isfinite(values), "must be finite",
               "drop such candidates before")  # fmt: skip
    for name in ("pt", "energy"):
        _check(f"candidates.{name}", columns[name], flat(columns[name]) > 0, "must be above 0 GeV",
               "drop such candidates before")  # fmt: skip
    _check("candidates.charge", columns["charge"], np.abs(flat(columns["charge"])) <= 1, "must be −1, 0 or 1",
           "give the charge in units of e")  # fmt: skip
    _check("candidates.vertex", columns["vertex"], flat(columns["vertex"]) >= NO_VERTEX,
           "must be 0 (leading), > 0 (pileup) or −1 (none)", "use −1 for a candidate without a vertex")  # fmt: skip
    for name in TRACK_FIELDS:
        if name in columns:
            _check(f"candidates.{name}", columns[name], ~np.isinf(flat(columns[name])), "must not be infinite",
                   "use NaN where there is no track")  # fmt: skip


def _check(label: str, column: ak.Array, good: NDArray[np.bool_], rule: str, remedy: str) -> None:
    """Raise a sentence about the first value that is not good, with the event it stands in."""
    if good.all():
        return
    position = int(np.flatnonzero(~good)[0])
    event = int(np.searchsorted(offsets_of(column), position, side="right") - 1)
    value = ak.flatten(column, axis=1)[position]
    n_bad = int((~good).sum())
    more = f" (and {n_bad - 1} more)" if n_bad > 1 else ""
    raise InvalidEventsError(f"{label} is {value} in event {event}{more}: it {rule}; {remedy}.")
