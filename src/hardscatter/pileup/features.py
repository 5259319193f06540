"""What a network sees: numbers made from what a detector measures, the same in training and in inference.

A `FeatureSchema` says which columns there are, in which order, and how each is transformed; its hash travels inside
every exported model. Nothing here reads ``truth``. The azimuth is no feature: it enters through differences only, so
that a network cannot tell one side of the detector from the other.

A field that events may lack (`OPTIONAL`) is encoded by zeros in all columns that need it, its flag ``has_<field>``
among them. The same zeros stand for a value that is not finite, such as dz without a track. So to drop a field at
random in training (`drop_fields`) is to zero its columns, and gives what events without that field give.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping
from functools import cached_property
from types import MappingProxyType
from typing import Any, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from hardscatter.errors import SettingsError
from hardscatter.events import CANDIDATE_FIELDS, LEADING, NO_VERTEX, Events, flat, offsets_of
from hardscatter.pileup import pixels
from hardscatter.pileup.puppi import CMS_PHASE2
from hardscatter.pileup.surroundings import KINDS, NAMES, RADII, surroundings

TRACK = ("d0", "dz", "d0_error", "dz_error")
OPTIONAL = (*TRACK, "pdg_id", "n_vertices", "rho")
"""Fields that events may lack."""

_TRANSFORMS: dict[str, Callable[[NDArray[np.float64], float], NDArray[Any]]] = {
    "identity": lambda x, _: x,
    "log": lambda x, _: np.log(x),
    "asinh": lambda x, _: np.arcsinh(x),
    "equals": lambda x, value: x == value,
    "above": lambda x, value: x > value,
}


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Feature:
    """One column: x = clip((f(source / unit) − offset) / scale, −limit, limit); 0 where the source is not finite.

    `source` is a field of the candidates, ``d0_significance``, ``dz_significance``, ``particle_class``,
    ``n_vertices``, ``rho``, ``has_<optional field>``, ``puppi_weight`` (of `puppi:cms-phase2`), or a sum of
    `hardscatter.pileup.surroundings` or `hardscatter.pileup.pixels`; `unit` is in GeV, mm or a number. The transform f
    is ``identity``, natural ``log``, ``asinh`` (keeps the sign: linear well below the unit, a logarithm far above),
    ``equals`` or ``above`` (1 where the source is, or exceeds, `value`).
    """

    name: str
    source: str
    transform: Literal["identity", "log", "asinh", "equals", "above"] = "identity"
    unit: float = 1.0
    offset: float = 0.0
    scale: float = 1.0
    limit: float = 10.0
    value: float = 0.0

    def __post_init__(self) -> None:
        if not (self.unit > 0 and self.scale > 0 and self.limit > 0):
            raise ValueError(f"feature '{self.name}': unit, scale and limit must be above 0.")

    @property
    def needs(self) -> tuple[str, ...]:
        """The optional fields without which the column is zero."""
        source = self.source.removeprefix("has_")
        if source == "particle_class":
            return ("pdg_id",)
        if source == "puppi_weight":
            return ("n_vertices",)
        if source.endswith("_significance"):
            return (source.removesuffix("_significance"), source.replace("significance", "error"))
        return (source,) if source in OPTIONAL else ()

    def of(self, source: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the column, finite whatever the source holds."""
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            x = _TRANSFORMS[self.transform](source / self.unit, self.value)
            x = np.clip((x - self.offset) / self.scale, -self.limit, self.limit)
        return np.where(np.isfinite(source) & ~np.isnan(x), x, 0.0)


def _flag(field: str) -> Feature:
    return Feature(f"has_{field}", f"has_{field}")


def _classes() -> tuple[Feature, ...]:
    names = {211: "charged_hadron", 130: "neutral_hadron", 22: "photon", 11: "electron", 13: "muon",
             1: "forward_hadronic", 2: "forward_electromagnetic"}  # fmt: skip
    return tuple(Feature(f"is_{name}", "particle_class", "equals", value=pdg_id) for pdg_id, name in names.items())


DEFAULT_FEATURES = (
    Feature("log_pt", "pt", "log"),
    Feature("eta", "eta", scale=2.5),
    Feature("log_energy", "energy", "log", offset=1.0, scale=1.5),
    Feature("charge", "charge"),
    *_classes(),
    _flag("pdg_id"),
    Feature("d0", "d0", "asinh", unit=0.05, scale=2.0),
    Feature("dz", "dz", "asinh", unit=0.1, scale=4.0),
    Feature("d0_significance", "d0_significance", "asinh", scale=2.0),
    Feature("dz_significance", "dz_significance", "asinh", scale=4.0),
    *(_flag(field) for field in TRACK),
    Feature("is_leading", "vertex", "equals", value=LEADING),
    Feature("is_pileup", "vertex", "above", value=LEADING),
    Feature("has_no_vertex", "vertex", "equals", value=NO_VERTEX),
    Feature("n_vertices", "n_vertices", unit=100.0),
    _flag("n_vertices"),
    Feature("rho", "rho", unit=50.0),
    _flag("rho"),
)


def _around() -> tuple[Feature, ...]:
    cones = [Feature(f"{kind}_within_{r:g}", f"{kind}_within_{r:g}", "asinh", unit=0.3, scale=3.0)
             for kind in KINDS for r in RADII]  # fmt: skip
    shapes = [Feature(f"{kind}_shape", f"{kind}_shape", "asinh", unit=1.0, scale=4.0) for kind in KINDS]
    strips = [Feature(f"{kind}_in_strip", f"{kind}_in_strip", "asinh", unit=3.0, offset=3.0, scale=3.0)
              for kind in KINDS]  # fmt: skip
    return (*cones, *shapes, *strips)


def _pixels() -> list[Feature]:
    # eta: where no tracker is, no track means nothing. A pixel has that of the candidate which stands for it.
    sums = [Feature(name, name, "asinh", unit=1.0, scale=2.0) for name in pixels.NAMES]
    return [Feature("eta", "eta", scale=2.5), *sums]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FeatureSchema:
    """The columns of a feature matrix in their order; a model works only with the schema it was trained with."""

    columns: tuple[Feature, ...] = DEFAULT_FEATURES
    version: int = 1

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.columns):
            raise ValueError("a feature schema has two columns of one name: give each its own.")

    def __len__(self) -> int:
        return len(self.columns)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the columns."""
        return tuple(column.name for column in self.columns)

    def to_json(self) -> str:
        """Return the schema as JSON, the same text for the same schema."""
        return json.dumps(dataclasses.asdict(self), sort_keys=True, separators=(",", ":"))

    @staticmethod
    def from_json(text: str) -> FeatureSchema:
        """Return the schema that `to_json` wrote."""
        return TypeAdapter(FeatureSchema).validate_json(text)

    def hash(self) -> str:
        """Return 16 hexadecimal digits that change with any column, its place, any parameter or the version."""
        return hashlib.sha256(self.to_json().encode()).hexdigest()[:16]


DEFAULT_SCHEMA = FeatureSchema()
"""A candidate on its own, and how much pileup there is in its crossing."""
SURROUNDINGS_SCHEMA = FeatureSchema((*DEFAULT_FEATURES, *_around()), version=2)
"""The same, and what lies around it."""
PUPPI_SCHEMA = FeatureSchema((*DEFAULT_FEATURES, Feature("puppi_weight", "puppi_weight")), version=1)
"""A candidate on its own, and what PUPPI says of it."""
PIXELS_SCHEMA = FeatureSchema(tuple(_pixels()), version=1)
"""What is in a candidate's pixel, of `hardscatter.pileup.pumml`'s image."""
SCHEMAS = MappingProxyType(
    {"candidates": DEFAULT_SCHEMA, "surroundings": SURROUNDINGS_SCHEMA, "puppi": PUPPI_SCHEMA, "pixels": PIXELS_SCHEMA}
)
"""Schemas by the name that a training configuration gives them."""


def features(events: Events, schema: FeatureSchema = DEFAULT_SCHEMA) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Return the feature matrix of all candidates of all crossings.

    Returns
    -------
    matrix, offsets
        float32, shape (N, F), aligned with the flat candidates, never NaN or infinite; where each crossing starts,
        shape (crossings + 1,).

    Raises
    ------
    SettingsError
        If a column's source is nothing that a detector measures.
    """
    offsets = offsets_of(events.candidates.pt)
    sources = _Sources(events, offsets)
    matrix = np.zeros((int(offsets[-1]), len(schema)), dtype=np.float32)
    for i, column in enumerate(schema.columns):
        if all(sources.there(field) for field in column.needs):
            matrix[:, i] = column.of(sources[column.source])
    return matrix, offsets


def coordinates(events: Events) -> NDArray[np.float32]:
    """Return (eta, phi, ln(pt/GeV)) of all candidates, shape (N, 3): what edges between candidates are made of."""
    candidates = events.candidates
    eta, phi, pt = (flat(candidates[name], np.float64) for name in ("eta", "phi", "pt"))
    return np.stack([eta, phi, np.log(pt)], axis=1).astype(np.float32)


def drop_fields(
    matrix: NDArray[np.float32],
    offsets: NDArray[np.int64],
    schema: FeatureSchema,
    rng: np.random.Generator,
    probability: float | Mapping[str, float] = 0.1,
    minimal: float = 0.1,
) -> NDArray[np.float32]:
    """Return a copy in which each crossing lacks some optional fields, as if its file did not have them.

    Parameters
    ----------
    matrix, offsets
        What `features` returned for `schema`.
    rng
        Where chance comes from.
    probability
        That a crossing lacks a field, each on its own: one number, or by field (0 where not named).
    minimal
        That it lacks all of them.
    """
    unknown = sorted(set(probability) - set(OPTIONAL)) if isinstance(probability, Mapping) else []
    if unknown:
        raise SettingsError(f"drop_fields: {', '.join(unknown)} is no optional field; there are {', '.join(OPTIONAL)}.")
    n_crossings = len(offsets) - 1
    everything = rng.random(n_crossings) < minimal
    kept = np.ones((n_crossings, len(schema)), dtype=np.bool_)
    for field in OPTIONAL:
        chance = probability.get(field, 0.0) if isinstance(probability, Mapping) else probability
        lacking = everything | (rng.random(n_crossings) < chance)
        needing = np.array([field in column.needs for column in schema.columns], dtype=np.bool_)
        kept &= ~np.outer(lacking, needing)
    return matrix * np.repeat(kept, np.diff(offsets), axis=0)


class _Sources:
    """What the columns are made of, by name, flat and float64; made when first asked for."""

    def __init__(self, events: Events, offsets: NDArray[np.int64]) -> None:
        self._events, self._counts = events, np.diff(offsets)
        self._fields = set(events.fields) | {f"candidates.{name}" for name in events.candidates.fields}
        self._made: dict[str, NDArray[np.float64]] = {}

    @cached_property
    def _around(self) -> NDArray[np.float64]:
        return surroundings(self._events)

    @cached_property
    def _pixel_sums(self) -> NDArray[np.float64]:
        return pixels.pixel_sums(self._events)

    def there(self, field: str) -> bool:
        return field in self._fields or f"candidates.{field}" in self._fields

    def __getitem__(self, name: str) -> NDArray[np.float64]:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> NDArray[np.float64]:
        if name in NAMES:
            return self._around[:, NAMES[name]]
        if name in pixels.NAMES:
            return self._pixel_sums[:, pixels.NAMES[name]]
        if name == "puppi_weight":
            return flat(CMS_PHASE2.weights(self._events), np.float64)
        if name.startswith("has_"):
            return np.isfinite(self[name.removeprefix("has_")]).astype(np.float64)
        if name.endswith("_significance"):
            value = name.removesuffix("_significance")
            error = self[f"{value}_error"]
            return np.divide(self[value], error, out=np.full_like(error, np.nan), where=error > 0)
        if name == "particle_class":
            return flat(self._events.particle_class(), np.float64)
        if name in ("n_vertices", "rho"):
            return np.repeat(ak.to_numpy(self._events.array[name]).astype(np.float64), self._counts)
        if name not in CANDIDATE_FIELDS:  # least of all anything under truth
            raise SettingsError(f"a feature schema asks for '{name}', which is nothing that a detector measures.")
        return flat(self._events.candidates[name], np.float64)
