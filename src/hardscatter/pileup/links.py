"""Whom a network lets a candidate look at: links, found outside the network and given to it as an index array.

For every candidate the links are rows of other candidates of its crossing, −1 where there is none: the nearest ones,
those near it in a sequence, or those that stand for the pixels around it. So one form of input serves every
architecture, and no search is ever part of a graph.
"""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Discriminator, Field, TypeAdapter
from pydantic.dataclasses import dataclass

from hardscatter.events import Events, flat_candidates
from hardscatter.geometry import NO_NEIGHBOUR, nearest
from hardscatter.geometry.angles import delta_r
from hardscatter.geometry.pixels import pixel_patches
from hardscatter.geometry.sequence import kmeans_sequence, pt_sequence, windows

_CLOSED = ConfigDict(extra="forbid")
_Floats = NDArray[np.float64]
_Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=_CLOSED)
class Nearest:
    """The `k` nearest in ΔR, those beyond `radius` left out."""

    kind: Literal["nearest"] = "nearest"
    k: _Whole = 20
    radius: Annotated[float, Field(gt=0)] | None = None

    @property
    def width(self) -> int:
        """Links of each candidate."""
        return self.k

    def find(self, eta: _Floats, phi: _Floats, pt: _Floats, offsets: NDArray[np.int64]) -> NDArray[np.int64]:  # noqa: ARG002
        """Return the links, shape (N, width)."""
        found = nearest(eta, phi, offsets, self.k)
        if self.radius is None:
            return found
        there = np.maximum(found, 0)
        far = delta_r(eta[there], phi[there], eta[:, None], phi[:, None]) >= self.radius
        return np.where(far, NO_NEIGHBOUR, found)


@dataclass(frozen=True, config=_CLOSED)
class Window:
    """Those near in a sequence of all candidates of the crossing: see `hardscatter.geometry.sequence`."""

    kind: Literal["window"] = "window"
    order: Literal["k-means", "pt"] = "k-means"
    """Clusters by their pt and candidates in them by theirs, or all candidates by pt."""
    cluster: _Whole = 32
    """Candidates in a cluster, on average."""
    reach: Annotated[int, Field(ge=0)] = 16
    """Places to either side."""
    dilation: _Whole = 1
    """Every so many places."""
    n_global: Annotated[int, Field(ge=0)] = 0
    """The first so many of the sequence, whom all look at."""

    @property
    def width(self) -> int:
        """Links of each candidate."""
        return 2 * self.reach + 1 + self.n_global

    def find(self, eta: _Floats, phi: _Floats, pt: _Floats, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the links, shape (N, width)."""
        by_cluster = self.order == "k-means"
        places = kmeans_sequence(eta, phi, pt, offsets, size=self.cluster) if by_cluster else pt_sequence(pt, offsets)
        return windows(places, offsets, self.reach, self.dilation, self.n_global)


@dataclass(frozen=True, config=_CLOSED)
class Pixels:
    """Those who stand for the pixels around: see `hardscatter.geometry.pixels`."""

    kind: Literal["pixels"] = "pixels"
    n_phi: _Whole = 64
    """Pixels around in phi."""
    reach: Annotated[int, Field(ge=0)] = 2
    """Pixels to each side of a candidate's own."""

    @property
    def width(self) -> int:
        """Links of each candidate."""
        return (2 * self.reach + 1) ** 2

    def find(self, eta: _Floats, phi: _Floats, pt: _Floats, offsets: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the links, shape (N, width)."""
        return pixel_patches(eta, phi, pt, offsets, self.n_phi, self.reach)


Links = Annotated[Nearest | Window | Pixels, Discriminator("kind")]


def links_of(events: Events, links: Links) -> NDArray[np.int64]:
    """Return the links of all candidates, shape (N, width), indices into the flat candidates."""
    offsets, columns = flat_candidates(events, "eta", "phi", "pt")
    eta, phi, pt = (column.astype(np.float64, copy=False) for column in columns)
    return links.find(eta, phi, pt, offsets)


_LINKS: TypeAdapter[Links] = TypeAdapter(Links)


def links_to_json(links: Links) -> str:
    """Return links as JSON, for the metadata of a model."""
    return _LINKS.dump_json(links).decode()


def links_from_json(text: str) -> Links:
    """Return the links that `links_to_json` wrote."""
    return _LINKS.validate_json(text)
