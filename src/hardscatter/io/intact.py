"""Tells quickly whether events are right as they are, so that files of ours need not be taken apart to be checked."""

from __future__ import annotations

import math
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.checks import ETA_MAX, TRACK_FIELDS
from hardscatter.events import COMPULSORY, NO_VERTEX, Events, checked

_RANGES: dict[str, tuple[str, float, float]] = {
    "pt": ("f", math.ulp(0.0), math.inf),
    "energy": ("f", math.ulp(0.0), math.inf),
    "eta": ("f", -ETA_MAX, math.nextafter(ETA_MAX, math.inf)),
    "phi": ("f", -math.pi, math.pi),
    "charge": ("int8", -1, 2),
    "vertex": ("int32", NO_VERTEX, math.inf),
    "pdg_id": ("int32", -math.inf, math.inf),
}
"""Kind or type of a field of the candidates, its least value and what it must stay below."""
_OF_EVENTS: dict[str, tuple[str, float, float]] = {
    "n_vertices": ("int32", 0, math.inf),
    **dict.fromkeys(("run", "lumi", "event"), ("int64", -math.inf, math.inf)),
}
_SHARE = ("f", 0.0, math.nextafter(1.0, 2.0))
_WEIGHT = ("float32", 0.0, math.nextafter(1.0, 2.0))
_RECORDS = {
    "jets": {"pt", "eta", "phi"},
    "fat_jets": {"pt", "eta", "phi", "mass"},
    "leptons": {"pt", "eta", "phi"},
}


def right(events: Events) -> Events:
    """Return events from a file of ours as `hardscatter.events.checked` does, at once where nothing is to be done."""
    layout = events.array.layout
    return events if isinstance(layout, ak.contents.RecordArray) and _is_intact(layout) else checked(events)


def _is_intact(layout: Any) -> bool:
    """Tell whether every field has the type and the range that `checked` would give it; False where that is unclear."""
    candidates = layout.content("candidates")
    if not _is_list_of_records(candidates) or not set(COMPULSORY) <= set(candidates.content.fields):
        return False
    offsets = candidates.offsets.data
    for name in candidates.content.fields:
        values = candidates.content.content(name)
        if not (_lies_in(values, *_RANGES[name]) if name in _RANGES else _is_track_field(name, values)):
            return False
    return all(_is_right(name, layout.content(name), offsets) for name in layout.fields if name != "candidates")


def _is_right(name: str, layout: Any, offsets: NDArray[Any]) -> bool:
    if name in ("weights", "weight_errors"):
        return _is_list_of_records(layout, offsets) and all(
            _lies_in(layout.content.content(field), *_WEIGHT) for field in layout.content.fields
        )
    if name == "truth":
        return bool(layout.is_record and layout.fields) and all(
            _is_truth(field, layout.content(field), offsets) for field in layout.fields
        )
    return name not in _OF_EVENTS or _lies_in(layout, *_OF_EVENTS[name])


def _is_truth(name: str, layout: Any, offsets: NDArray[Any]) -> bool:
    if name == "hard_fraction":
        return _is_list(layout, offsets) and _lies_in(layout.content, *_SHARE)
    if name == "met":
        return bool(layout.is_record) and all(
            field in layout.fields and _is_plain(layout.content(field), "f") for field in ("pt", "phi")
        )
    if name in _RECORDS:
        return _is_list_of_records(layout) and set(layout.content.fields) >= _RECORDS[name]
    return True


def _is_track_field(name: str, layout: Any) -> bool:
    """Tell whether there is no infinity in a field where NaN says that there is no track; others hold anything."""
    return name not in TRACK_FIELDS or (_is_plain(layout, "f") and not np.isinf(layout.data).any())


def _is_list(layout: Any, offsets: NDArray[Any] | None = None) -> bool:
    """Tell whether these are lists, one after the other, without gaps, and as long as others are."""
    if not isinstance(layout, ak.contents.ListOffsetArray) or layout.parameters:
        return False
    own = layout.offsets.data
    if own[0] != 0 or own[-1] != len(layout.content):
        return False
    return offsets is None or np.array_equal(own, offsets)


def _is_list_of_records(layout: Any, offsets: NDArray[Any] | None = None) -> bool:
    return _is_list(layout, offsets) and layout.content.is_record


def _is_plain(layout: Any, kind: str) -> bool:
    """Tell whether a field holds numbers of a type, or floating-point numbers ("f") that need no conversion."""
    if not isinstance(layout, ak.contents.NumpyArray) or layout.data.ndim != 1:
        return False
    dtype = layout.data.dtype
    return bool(dtype in (np.float32, np.float64) if kind == "f" else dtype == kind)


def _lies_in(layout: Any, kind: str, least: float, below: float) -> bool:
    """Tell whether all values lie in [least, below); a NaN does not."""
    if not _is_plain(layout, kind):
        return False
    values = layout.data
    return len(values) == 0 or bool(float(values.min()) >= least and float(values.max()) < below)
