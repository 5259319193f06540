"""TOTAL on the workshop's crossings: the method of `hardscatter.pileup.learned.TOTAL`, trained where it is used."""

from __future__ import annotations

import awkward as ak
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events
from hardscatter.pileup.chs import settled_by_vertex
from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WorkshopTotal:
    """Weights of a network trained without labels on the workshop's crossings, for neutral particles.

    Charged particles are settled by their vertex, which the workshop knows: 1 for the leading one, else 0. Trained by
    ``hardscatter train --config total-workshop2014`` on other collisions (seed 101) at 20 to 160 pileup collisions.
    An event without candidates gets no weights; `UnreadableFileError` if there is no such model.

    References
    ----------
    TOTAL, arXiv:2211.02029; its objective here: docs/past_total.md.
    """

    model: str = "total-workshop2014"
    """Name of a shipped model, or the path of an .onnx file."""

    def weights(self, events: Events) -> ak.Array:
        """Return the network's weights of neutral particles, and 0 or 1 for charged ones."""
        return settled_by_vertex(events, Learned(self.model).weights(events))
