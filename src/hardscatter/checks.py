"""The checks on entry: what each field of the event model must be, and the sentence when it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError
from hardscatter.geometry.angles import wrap_phi
from hardscatter.jagged import flat, jagged_like, offsets_of

KINEMATICS = ("pt", "eta", "phi", "energy")
TRACK_FIELDS = ("d0", "dz", "d0_error", "dz_error")
ETA_MAX = 20.0
"""Further forward than any particle of a collider; beyond about 700 pt · sinh(eta) is no number any more."""

_NO_VERTEX = -1
_INTEGERS: dict[str, type[np.signedinteger[Any]]] = {"charge": np.int8, "vertex": np.int32, "pdg_id": np.int32}
_EVENT_INTEGERS: dict[str, type[np.signedinteger[Any]]] = {
    "n_vertices": np.int32,
    "run": np.int64,
    "lumi": np.int64,
    "event": np.int64,
}
_TRUTH_RECORDS = {
    "jets": ("pt", "eta", "phi"),
    "fat_jets": ("pt", "eta", "phi", "mass"),
    "leptons": ("pt", "eta", "phi"),
}


def checked_candidates(given: Mapping[str, Any]) -> dict[str, ak.Array]:
    """Return the fields of the candidates as the event model wants them, aligned, in range, phi wrapped."""
    columns = {name: _column(f"candidates.{name}", name, value) for name, value in given.items()}
    counts = np.asarray(ak.num(columns["pt"], axis=1))
    for name, column in columns.items():
        _check_aligned(f"candidates.{name}", column, counts)
    _check_ranges(columns)
    columns["phi"] = jagged_like(wrap_phi(flat(columns["phi"])), columns["phi"])
    return columns


def checked_fraction(label: str, value: Any, counts: NDArray[Any], dtype: Any = np.float32) -> ak.Array:
    """Return `value` as a jagged array in [0, 1] with `counts` entries an event, or raise a sentence about `label`."""
    column = value
    if not _is_plain_fraction(value, counts):
        column = _as_jagged(label, value)
        _check_aligned(label, column, counts)
        values = flat(column, np.float64)
        _check(label, column, np.isfinite(values) & (values >= 0) & (values <= 1), "must lie in [0, 1]",
               "clip or recompute it")  # fmt: skip
    return column if dtype in (None, column.layout.content.dtype) else ak.values_astype(column, dtype)


def _is_plain_fraction(value: Any, counts: NDArray[Any]) -> bool:
    """Tell, by a look at the memory alone, whether a jagged array is right as it is: what our own methods return."""
    layout = value.layout if isinstance(value, ak.Array) else None
    if not isinstance(layout, ak.contents.ListOffsetArray) or not isinstance(layout.content, ak.contents.NumpyArray):
        return False
    values, offsets = layout.content.data, np.asarray(layout.offsets.data)
    packed = offsets[0] == 0 and offsets[-1] == len(values)
    if not packed or values.dtype.kind != "f" or not np.array_equal(np.diff(offsets), counts):
        return False
    return len(values) == 0 or bool(values.min() >= 0 and values.max() <= 1)  # not so if one is NaN


def checked_event_column(name: str, value: Any, n_events: int) -> ak.Array:
    """Return a field with one entry an event; whole numbers where the field counts or numbers something."""
    try:
        column = value if isinstance(value, ak.Array) else ak.Array(value)
    except (TypeError, ValueError, RuntimeError):
        column = None
    if column is None or not isinstance(column, ak.Array):
        raise InvalidEventsError(f"{name} is {value!r}: give one entry for each event.")
    if len(column) != n_events:
        raise InvalidEventsError(f"{name} has {len(column)} entries for {n_events} events: give one an event.")
    if name not in _EVENT_INTEGERS:
        return column
    try:
        values = ak.to_numpy(column, allow_missing=False).astype(np.float64)
    except (TypeError, ValueError):
        values = np.zeros((0, 0))
    if values.ndim != 1:
        raise InvalidEventsError(f"{name} must hold one number for each event (its type is {column.type}).")
    dtype = _EVENT_INTEGERS[name]
    lowest = 0 if name == "n_vertices" else np.iinfo(dtype).min
    bad = np.flatnonzero(~_whole(values, lowest, np.iinfo(dtype).max))
    if len(bad):
        raise InvalidEventsError(
            f"{name} is {values[bad[0]]:g} in event {bad[0]}: it must be a whole number"
            f"{' of at least 0' if name == 'n_vertices' else ''}; leave the field out if it is not known."
        )
    return ak.values_astype(column, dtype)


def checked_truth(truth: Any, counts: NDArray[Any]) -> ak.Array:
    """Return the truth record, each known field as the event model wants it."""
    if isinstance(truth, ak.Array) and truth.fields:
        names = truth.fields
    elif isinstance(truth, Mapping) and truth:
        names = list(truth)
    else:
        raise InvalidEventsError("truth must hold named fields, at least one, such as hard_fraction; or leave it out.")
    return ak.zip({name: _truth_field(name, truth[name], counts) for name in names}, depth_limit=1)


def _truth_field(name: str, value: Any, counts: NDArray[Any]) -> ak.Array:
    if name == "hard_fraction":
        return checked_fraction("truth.hard_fraction", value, counts, dtype=None)
    if isinstance(value, Mapping):  # {"pt": …, "phi": …} of each event or of each jet
        try:
            value = ak.zip({key: ak.Array(column) for key, column in value.items()})
        except (TypeError, ValueError, RuntimeError):
            raise InvalidEventsError(f"truth.{name} is no record of columns of one length: give those.") from None
    column = checked_event_column(f"truth.{name}", value, len(counts))
    wanted = ("pt", "phi") if name == "met" else _TRUTH_RECORDS.get(name, ())
    missing = [field for field in wanted if field not in column.fields]
    if missing or (wanted and column[wanted[0]].ndim != (1 if name == "met" else 2)):
        what = "one record for each event" if name == "met" else "a list of records for each event"
        raise InvalidEventsError(
            f"truth.{name} must be {what} with {', '.join(wanted)} (its type is {column.type}): give those, or leave "
            "it out."
        )
    return column


def _whole(values: NDArray[np.float64], lowest: float, highest: float) -> NDArray[np.bool_]:
    whole: NDArray[np.bool_] = np.isfinite(values) & (values >= lowest) & (values <= highest)
    return np.asarray(whole & (values == np.round(values)))


def _column(label: str, name: str, value: Any) -> ak.Array:
    """Turn what the caller gave into a jagged array of the dtype that the event model wants."""
    column = _as_jagged(label, value)
    values = ak.to_numpy(ak.flatten(column, axis=1))
    if name in _INTEGERS:
        limits = np.iinfo(_INTEGERS[name])
        _check(label, column, _whole(values.astype(np.float64), limits.min, limits.max), "must be a whole number of "
               f"{limits.bits} bits", "give integers")  # fmt: skip
        return ak.values_astype(column, _INTEGERS[name])
    return column if values.dtype in (np.float32, np.float64) else ak.values_astype(column, np.float64)


def _as_jagged(label: str, value: Any) -> ak.Array:
    """Return `value` as a packed list-of-lists array without missing entries."""
    if isinstance(value, np.ndarray) and value.dtype == object:  # what data frames give
        value = list(value)
    try:
        array = value if isinstance(value, ak.Array) else ak.Array(value)
    except (TypeError, ValueError, RuntimeError):
        array = None
    if not isinstance(array, ak.Array):  # a text becomes an array of no events
        raise InvalidEventsError(f"{label} cannot be read as lists of numbers, one list for each event.")
    if len(array) == 0 and array.ndim != 2:
        array = ak.Array(np.zeros((0, 0)))
    if array.ndim != 2:
        raise InvalidEventsError(
            f"{label} has {array.ndim} dimension(s): give one list of candidates for each event (events × candidates)."
        )
    if array.fields:
        raise InvalidEventsError(f"{label} does not hold numbers but records of {', '.join(array.fields[:4])}.")
    if ak.any(ak.is_none(array, axis=0)) or ak.any(ak.is_none(array, axis=1)):
        raise InvalidEventsError(f"{label} has missing entries: drop them first (for example with ak.drop_none).")
    array = ak.to_packed(ak.from_regular(ak.drop_none(ak.drop_none(array, axis=1), axis=0), axis=1))
    values = ak.flatten(array, axis=1)
    if values.layout.is_unknown:  # [[], []]: no value to tell a type from; typed empty lists keep their type
        return ak.unflatten(np.zeros(0), ak.num(array, axis=1))
    if values.ndim != 1 or values.layout.is_record or ak.to_numpy(values).dtype.kind not in "fiub":
        raise InvalidEventsError(f"{label} does not hold numbers (its type is {array.type}).")
    return array


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


def _check_ranges(columns: Mapping[str, ak.Array]) -> None:
    for name in KINEMATICS:
        values = flat(columns[name])
        _check(f"candidates.{name}", columns[name], np.isfinite(values), "must be finite",
               "drop such candidates before")  # fmt: skip
    _check("candidates.eta", columns["eta"], np.abs(flat(columns["eta"])) <= ETA_MAX, f"must lie within ±{ETA_MAX:g}",
           "drop candidates so far forward")  # fmt: skip
    for name in ("pt", "energy"):
        _check(f"candidates.{name}", columns[name], flat(columns[name]) > 0, "must be above 0 GeV",
               "drop such candidates before")  # fmt: skip
    _check("candidates.charge", columns["charge"], np.abs(flat(columns["charge"])) <= 1, "must be −1, 0 or 1",
           "give the charge in units of e")  # fmt: skip
    _check("candidates.vertex", columns["vertex"], flat(columns["vertex"]) >= _NO_VERTEX,
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
