"""What networks see of many crossings at once: uploaded once, all else made on the device.

The numbers are those of `hardscatter.pileup.features`, to the rounding of single precision.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import cached_property

import torch
from torch import Tensor

from hardscatter.device.nearest import nearest
from hardscatter.device.surroundings import surroundings
from hardscatter.errors import SettingsError
from hardscatter.events import LEADING, Events, flat_candidates
from hardscatter.geometry import NO_NEIGHBOUR
from hardscatter.nets.edges import take
from hardscatter.pileup.features import Feature, FeatureSchema, columns_there, source
from hardscatter.pileup.links import Links, Nearest
from hardscatter.pileup.surroundings import NAMES

_SIGNIFICANCE, _HAS = "_significance", "has_"


class Crossings:
    """What a detector measured in some crossings, flat, as far as feature schemas ask for it."""

    def __init__(self, events: Events, schemas: Iterable[FeatureSchema]) -> None:
        self.offsets, _ = flat_candidates(events)
        self.there = {schema: [(i, schema.columns[i]) for i in columns_there(events, schema)] for schema in schemas}
        asked = {column.source for columns in self.there.values() for _, column in columns}
        measured = {"eta", "phi", "pt", *(name for one in asked for name in _made_of(one))}
        self.columns = {name: source(events, name) for name in sorted(measured)}

    def batch(self, first: int, last: int, device: torch.device) -> Batch:
        """Return the crossings [first, last) on the device."""
        a, b = self.offsets[first], self.offsets[last]
        columns = {name: torch.tensor(values[a:b], device=device) for name, values in self.columns.items()}
        return Batch(columns, torch.tensor(self.offsets[first : last + 1] - a, device=device), self.there)


class Batch:
    """Crossings on a device, and what networks want of them, each made when first asked for."""

    def __init__(
        self,
        columns: Mapping[str, Tensor],
        offsets: Tensor,
        there: Mapping[FeatureSchema, list[tuple[int, Feature]]],
    ) -> None:
        self.columns, self.offsets, self.there = columns, offsets, there
        self._features: dict[FeatureSchema, Tensor] = {}
        self._links: dict[Links, Tensor] = {}

    def __len__(self) -> int:
        return len(self.columns["pt"])

    def features(self, schema: FeatureSchema) -> Tensor:
        """Return the feature matrix of a schema, float32, shape (N, F)."""
        if schema not in self._features:
            matrix = torch.zeros(len(self), len(schema), device=self.offsets.device)
            for transform in {column.transform for _, column in self.there[schema]}:
                alike = [(place, one) for place, one in self.there[schema] if one.transform == transform]
                sources = torch.stack([self[column.source] for _, column in alike])
                places = [place for place, _ in alike]
                matrix[:, places] = _transformed(sources, [column for _, column in alike]).T.float()
            self._features[schema] = matrix
        return self._features[schema]

    @cached_property
    def coordinates(self) -> Tensor:
        """(η, φ, ln(pt/GeV)), float32, shape (N, 3)."""
        return torch.stack([self["eta"], self["phi"], self["pt"].log()], dim=1).float()

    def links(self, links: Links) -> Tensor:
        """Return whom each candidate looks at, int64, shape (N, width); raises SettingsError if not the nearest."""
        if not isinstance(links, Nearest):
            raise SettingsError(f"links of kind '{links.kind}' are found on the processor alone: take device 'cpu'.")
        if links not in self._links:
            found = nearest(self["eta"], self["phi"], self.offsets, links.k)
            self._links[links] = found if links.radius is None else self._within(found, links.radius)
        return self._links[links]

    def _within(self, neighbours: Tensor, radius: float) -> Tensor:
        eta, phi, there = self["eta"], self["phi"], neighbours.clamp(min=0)
        d_phi = (take(phi, there) - phi[:, None] + torch.pi).remainder(2 * torch.pi) - torch.pi
        far = torch.hypot(take(eta, there) - eta[:, None], d_phi) >= radius
        return torch.where(far, NO_NEIGHBOUR, neighbours)

    @cached_property
    def _around(self) -> Tensor:
        vertex, charge = self["vertex"], self["charge"]
        kind = torch.where(charge == 0, 0, 1 + (vertex > LEADING).long() + 2 * (vertex < LEADING).long())
        return surroundings(self["pt"], self["eta"], self["phi"], kind, self.offsets)

    def __getitem__(self, name: str) -> Tensor:
        """Return what a column is made of, float64, shape (N,)."""
        if name in NAMES:
            return self._around[NAMES[name]]
        if name.startswith(_HAS):
            return self[name.removeprefix(_HAS)].isfinite().double()
        if name.endswith(_SIGNIFICANCE):
            value = name.removesuffix(_SIGNIFICANCE)
            error = self[f"{value}_error"]
            return torch.where(error > 0, self[value] / error, torch.nan)
        return self.columns[name].double()


def _made_of(name: str) -> tuple[str, ...]:
    """Return what has to be uploaded for a column's source."""
    if name in NAMES:
        return ("pt", "eta", "phi", "charge", "vertex")
    if name.endswith(_SIGNIFICANCE):
        value = name.removesuffix(_SIGNIFICANCE)
        return (value, f"{value}_error")
    return (name.removeprefix(_HAS),)


def _transformed(sources: Tensor, columns: list[Feature]) -> Tensor:
    """Return columns of one transform, (columns, N), as `hardscatter.pileup.features.Feature` says."""

    def each(values: Iterable[float]) -> Tensor:
        return torch.tensor(list(values), device=sources.device, dtype=sources.dtype)[:, None]

    x = sources * each(1.0 / column.unit for column in columns)
    match columns[0].transform:
        case "log":
            x = x.log()
        case "asinh":
            x = x.asinh()
        case "equals":
            x = (x == each(column.value for column in columns)).to(x.dtype)
        case "above":
            x = (x > each(column.value for column in columns)).to(x.dtype)
    x = (x - each(column.offset for column in columns)) * each(1.0 / column.scale for column in columns)
    limit = each(column.limit for column in columns)
    return torch.where(sources.isfinite() & ~x.isnan(), torch.clamp(x, -limit, limit), 0.0)
