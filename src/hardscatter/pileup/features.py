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
import math
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, TypeAdapter
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.events import CANDIDATE_FIELDS, LEADING, NO_VERTEX, Events, flat, flat_candidates
from hardscatter.pileup import pixels
from hardscatter.pileup.puppi import CMS_PHASE2
from hardscatter.pileup.surroundings import KINDS, NAMES, RADII, sums_by_crossing
from hardscatter.threads import over_crossings

TRACK = ("d0", "dz", "d0_error", "dz_error")
OPTIONAL = (*TRACK, "pdg_id", "n_vertices", "rho")
"""Fields that events may lack."""

_TRANSFORMS = ("identity", "log", "asinh", "equals", "above")
_IDENTITY, _LOG, _ASINH, _EQUALS, _ABOVE = range(len(_TRANSFORMS))
_ROWS = 128
"""Candidates that are transformed together, column by column: little enough to stay near the processor."""
_LARGEST = float(np.finfo(np.float64).max)
_SMALLEST = float(np.finfo(np.float64).tiny)
"""A divisor of at least this is seen not to be 0: without a branch for each number a loop becomes vectors."""
_LN_2 = math.log(2.0)
_ONE_BITS, _SQRT_HALF_BITS = np.array([1.0, math.sqrt(0.5)]).view(np.uint64)
_MANTISSA = np.uint64(2**52 - 1)


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
    offsets, _ = flat_candidates(events)
    sources = _Sources(events, offsets)
    there = columns_there(events, schema)
    columns = [schema.columns[i] for i in there]
    rows, places, tables = sources.gather([column.source for column in columns])
    transforms = np.array([_TRANSFORMS.index(column.transform) for column in columns], dtype=np.int64)
    parameters = [(c.unit, 1.0 / c.unit, c.value, c.offset, 1.0 / c.scale, c.limit) for c in columns]
    numbers = np.array(parameters, dtype=np.float64).reshape(-1, 6)
    targets = np.array(there, dtype=np.int64)
    matrix = np.zeros((int(offsets[-1]), len(schema)), dtype=np.float32)

    def run(first: int, last: int) -> None:
        for crossing in range(first, last):
            start, stop = offsets[crossing], offsets[crossing + 1]
            table = tables(crossing)  # crossing by crossing: it is still near the processor when it is read
            _transform(start, stop, rows, table, places, transforms, numbers, targets, matrix)

    over_crossings(run, len(events))
    return matrix, offsets


def columns_there(events: Events, schema: FeatureSchema) -> list[int]:
    """Return the columns of a schema whose optional fields the events have; all others are 0."""
    fields = {*events.fields, *(f"candidates.{name}" for name in events.candidates.fields)}
    there = {field for field in OPTIONAL if field in fields or f"candidates.{field}" in fields}
    return [i for i, column in enumerate(schema.columns) if there.issuperset(column.needs)]


def source(events: Events, name: str) -> NDArray[Any]:
    """Return what a column is made of, flat, shape (N,); raises SettingsError if it is nothing measured."""
    offsets, _ = flat_candidates(events)
    if name in pixels.NAMES:
        return pixels.pixel_sums(events)[:, pixels.NAMES[name]]
    return _Sources(events, offsets)[name]


def coordinates(events: Events) -> NDArray[np.float32]:
    """Return (eta, phi, ln(pt/GeV)) of all candidates, shape (N, 3): what edges between candidates are made of."""
    _, (eta, phi, pt) = flat_candidates(events, "eta", "phi", "pt")
    return np.stack([eta, phi, np.log(pt, dtype=np.float64)], axis=1).astype(np.float32)


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
    """What the columns are made of, by name and flat; made when first asked for."""

    def __init__(self, events: Events, offsets: NDArray[np.int64]) -> None:
        self._events, self._offsets = events, offsets
        self._made: dict[str, NDArray[Any]] = {}

    def gather(
        self, names: list[str]
    ) -> tuple[NDArray[np.float64], NDArray[np.int64], Callable[[int], NDArray[np.float64]]]:
        """Return the sources of these names.

        Rows of an array over all candidates; for each name its row, or beyond them its row in the table of a crossing;
        and what makes that table.
        """
        single = [name for name in dict.fromkeys(names) if name not in NAMES and name not in pixels.NAMES]
        place = {name: i for i, name in enumerate(single)}
        rows = np.empty((len(single), int(self._offsets[-1])))
        for row, name in zip(rows, single, strict=True):
            row[:] = self[name]
        width = 0
        makers = []
        for known, maker in ((pixels.NAMES, self._pixel_sums), (NAMES, self._around)):
            if any(name in known for name in names):
                place |= {name: len(single) + width + i for name, i in known.items()}
                width += len(known)
                makers.append(maker())

        def table(crossing: int) -> NDArray[np.float64]:
            n = self._offsets[crossing + 1] - self._offsets[crossing]
            parts = [make(crossing) for make in makers]
            return parts[0] if len(parts) == 1 else np.concatenate([np.empty((0, n)), *parts])

        return rows, np.array([place[name] for name in names], dtype=np.int64), table

    def _around(self) -> Callable[[int], NDArray[np.float64]]:
        offsets, fill = sums_by_crossing(self._events)

        def table(crossing: int) -> NDArray[np.float64]:
            sums = np.empty((len(NAMES), offsets[crossing + 1] - offsets[crossing]))
            fill(crossing, sums, 0)
            return sums

        return table

    def _pixel_sums(self) -> Callable[[int], NDArray[np.float64]]:
        sums = pixels.pixel_sums(self._events)
        return lambda crossing: np.ascontiguousarray(sums[self._offsets[crossing] : self._offsets[crossing + 1]].T)

    def __getitem__(self, name: str) -> NDArray[Any]:
        if name not in self._made:
            self._made[name] = self._make(name)
        return self._made[name]

    def _make(self, name: str) -> NDArray[Any]:
        if name == "puppi_weight":
            return flat(CMS_PHASE2.weights(self._events), np.float64)
        if name.startswith("has_"):
            finite: NDArray[np.bool_] = np.isfinite(self[name.removeprefix("has_")])
            return finite
        if name.endswith("_significance"):
            value = name.removesuffix("_significance")
            error = self[f"{value}_error"].astype(np.float64)
            significance: NDArray[np.float64] = np.full_like(error, np.nan)
            np.divide(self[value], error, out=significance, where=error > 0)
            return significance
        if name == "particle_class":
            return flat(self._events.particle_class())
        if name in ("n_vertices", "rho"):
            return np.repeat(ak.to_numpy(self._events.array[name]).astype(np.float64), np.diff(self._offsets))
        if name not in CANDIDATE_FIELDS:  # least of all anything under truth
            raise SettingsError(f"a feature schema asks for '{name}', which is nothing that a detector measures.")
        field: NDArray[Any] = flat_candidates(self._events, name)[1][0]
        return field


class _Room(NamedTuple):
    """Room for one column of `_ROWS` candidates: its source, the column, and what a logarithm needs."""

    source: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    bits: NDArray[np.uint64]
    """Those of `y`."""
    exponent: NDArray[np.float64]


@kernel
def _transform(
    first: int,
    last: int,
    rows: NDArray[np.float64],
    table: NDArray[np.float64],
    places: NDArray[np.int64],
    transforms: NDArray[np.int64],
    parameters: NDArray[np.float64],
    targets: NDArray[np.int64],
    matrix: NDArray[np.float32],
) -> None:
    """Write the columns `targets` of the candidates [first, last), a few candidates at a time."""
    y = np.ones(_ROWS)
    room = _Room(np.zeros(_ROWS), np.zeros(_ROWS), y, y.view(np.uint64), np.zeros(_ROWS))
    for start in range(first, last, _ROWS):
        n = min(_ROWS, last - start)
        a, b = max(start, 0), max(start - first, 0)  # the same, but known not to count from the end: no check in loops
        for c in range(len(places)):
            if places[c] < len(rows):
                for i in range(n):
                    room.source[i] = rows[places[c], a + i]
            else:
                for i in range(n):
                    room.source[i] = table[places[c] - len(rows), b + i]
            unit, factor, value = parameters[c, 0], parameters[c, 1], parameters[c, 2]
            # Each step a kernel that calls no other: Numba counts no references for those.
            _scale(room, factor)
            if transforms[c] == _LOG:
                _before_log(room)
                _logarithm(room)
                _after_log(room)
            elif transforms[c] == _ASINH:
                _before_asinh(room)
                _logarithm(room)
                _after_asinh(room)
            elif transforms[c] == _EQUALS:
                _equals(room, unit, value)
            elif transforms[c] == _ABOVE:
                _above(room, unit, value)
            _limit(room, parameters[c, 3], parameters[c, 4], parameters[c, 5])
            for i in range(n):
                matrix[a + i, targets[c]] = room.x[i]


@kernel
def _scale(room: _Room, factor: float) -> None:
    for i in range(_ROWS):
        room.x[i] = room.source[i] * factor


@kernel
def _equals(room: _Room, unit: float, value: float) -> None:
    for i in range(_ROWS):
        room.x[i] = 1.0 if room.source[i] / max(unit, _SMALLEST) == value else 0.0


@kernel
def _above(room: _Room, unit: float, value: float) -> None:
    for i in range(_ROWS):
        room.x[i] = 1.0 if room.source[i] / max(unit, _SMALLEST) > value else 0.0


@kernel
def _limit(room: _Room, offset: float, factor: float, limit: float) -> None:
    """Shift, scale and clip; 0 where the source is not finite or its transform is not a number."""
    for i in range(_ROWS):
        x = (room.x[i] - offset) * factor
        clipped = limit if x > limit else (-limit if x < -limit else x)
        room.x[i] = clipped if abs(room.source[i]) <= _LARGEST and not math.isnan(x) else 0.0


@kernel
def _before_log(room: _Room) -> None:
    for i in range(_ROWS):
        room.y[i] = room.x[i]


@kernel
def _after_log(room: _Room) -> None:
    """Take ln x from y: −∞ at 0, not a number below."""
    for i in range(_ROWS):
        x = room.x[i]
        room.x[i] = room.y[i] if x > 0.0 else (-np.inf if x == 0.0 else np.nan)


@kernel
def _before_asinh(room: _Room) -> None:
    """Put into y what asinh |x| is the logarithm of: |x| + √(x² + 1)."""
    for i in range(_ROWS):
        size = abs(room.x[i])
        root = math.sqrt(size * size + 1.0)
        room.y[i] = size + (root if root < _LARGEST else size)


@kernel
def _after_asinh(room: _Room) -> None:
    """Take asinh x from y, or from its series where |x| is small."""
    for i in range(_ROWS):
        size = abs(room.x[i])
        square = size * size
        series = size * (1.0 - square * (1.0 / 6.0 - square * (3.0 / 40.0 - square * (15.0 / 336.0))))
        size = series if size < 0.01 else room.y[i]
        room.x[i] = -size if room.x[i] < 0.0 else size


@kernel
def _logarithm(room: _Room) -> None:
    """Replace y > 0 by ln y within 1e-14: in vectors, as the mathematical library of a compiled loop cannot.

    With y = 2ᵉ m and m in [√½, √2) it is e ln 2 + 2 artanh s, s = (m − 1) / (m + 1), by its series.
    """
    for i in range(_ROWS):
        shifted = room.bits[i] + (_ONE_BITS - _SQRT_HALF_BITS)
        room.exponent[i] = np.float64(shifted >> np.uint64(52)) - 1023.0
        room.bits[i] = (shifted & _MANTISSA) + _SQRT_HALF_BITS
    for i in range(_ROWS):
        s = (room.y[i] - 1.0) / max(room.y[i] + 1.0, 1.0)
        z = s * s
        series = 1.0 / 11.0 + z * (1.0 / 13.0 + z * (1.0 / 15.0 + z * (1.0 / 17.0)))
        series = 1.0 / 3.0 + z * (1.0 / 5.0 + z * (1.0 / 7.0 + z * (1.0 / 9.0 + z * series)))
        room.y[i] = room.exponent[i] * _LN_2 + 2.0 * s * (1.0 + z * series)
