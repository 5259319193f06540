"""What goes into an exported network and comes out, in words: for who runs it without hardscatter."""

from __future__ import annotations

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

_GEV, _MM = "GeV", "mm"
_UNITS = MappingProxyType(
    {"pt": _GEV, "energy": _GEV, "rho": _GEV, "d0": _MM, "dz": _MM, "d0_error": _MM, "dz_error": _MM}
)
_ENDINGS = MappingProxyType({"_shape": "GeV²", "_in_strip": _GEV, "_in_pixel": _GEV})
_COORDINATES = ("eta", "phi [rad]", "ln(pt / GeV)")
_NEIGHBOURS = "rows of other candidates of the crossing as `links` says, −1 where there is none"
_WEIGHTS = "share of the candidate that belongs to the hard scatter, 0 to 1; of a model of errors, that weight's error"


def inputs_in_words(schema: str) -> str:
    """Return as JSON what each input of a graph holds: of every feature its name, source, unit and normalisation.

    Parameters
    ----------
    schema
        The features as `hardscatter.pileup.features.FeatureSchema.to_json` gives them.
    """
    columns = json.loads(schema)["columns"]
    words = {
        "features": {column["name"]: _formula(column) for column in columns},
        "coordinates": _COORDINATES,
        "neighbours": _NEIGHBOURS,
    }
    return json.dumps(words, ensure_ascii=False, separators=(",", ":"))


def outputs_in_words() -> str:
    """Return as JSON what the output of a graph is."""
    return json.dumps({"weights": _WEIGHTS}, ensure_ascii=False)


def unit_of(source: str) -> str:
    """Return the unit of what a feature is made from; empty for a number."""
    if source in _UNITS:
        return _UNITS[source]
    if "_within_" in source:
        return _GEV
    return next((unit for ending, unit in _ENDINGS.items() if source.endswith(ending)), "")


def _formula(column: Mapping[str, Any]) -> str:
    """Return how a column is made, such as ``clip((ln(pt / 1 GeV) − 0) / 1, ±10)``; 0 where there is no source."""
    source, transform, unit = column["source"], column["transform"], unit_of(column["source"])
    if source.startswith("has_"):
        return f"1 if {source.removeprefix('has_')} is known, else 0"
    scaled = source if column["unit"] == 1.0 and not unit else f"{source} / {column['unit']:g}{unit and f' {unit}'}"
    if transform in ("equals", "above"):
        return f"1 if {scaled} {'=' if transform == 'equals' else '>'} {column['value']:g}, else 0"
    value = scaled if transform == "identity" else f"{'ln' if transform == 'log' else transform}({scaled})"
    shifted = f"({value} − {column['offset']:g})" if column["offset"] else value
    divided = f"{shifted} / {column['scale']:g}" if column["scale"] != 1.0 else shifted
    return f"clip({divided}, ±{column['limit']:g}), 0 where unknown"
