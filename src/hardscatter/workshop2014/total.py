"""TOTAL on the workshop's crossings: the method of `hardscatter.pileup.learned.TOTAL`, trained where it is used."""

from __future__ import annotations

from typing import Annotated

import awkward as ak
import numpy as np
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter.events import Events
from hardscatter.pileup.chs import settled_by_vertex
from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class WorkshopTotal:
    """Weights of a network trained without labels on the workshop's crossings: w_i = min(1, scale · network_i).

    That is for neutral particles. Charged ones are settled by their vertex, which the workshop knows: 1 for the leading
    one, else 0. The scale calibrates jets: a network's weights are right on average over all that looks like a
    particle, while the workshop asks about jets chosen by their true momentum, which fluctuated up. Trained by
    ``hardscatter train --config total-workshop2014`` on other collisions (seed 101) at 20 to 160 pileup collisions.
    An event without candidates gets no weights; `UnreadableFileError` if there is no such model.

    References
    ----------
    TOTAL, arXiv:2211.02029; its objective here: docs/past_total.md.
    """

    model: str = "total-workshop2014"
    """Name of a shipped model, or the path of an .onnx file."""
    scale: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 1.035
    """Found on other collisions (seed 202, 100 at each of six points), where it keeps the shift of jets at 0.5 GeV."""

    def weights(self, events: Events) -> ak.Array:
        """Return the network's weights of neutral particles, and 0 or 1 for charged ones."""
        weights = np.minimum(self.scale * Learned(self.model).weights(events), 1.0)
        return settled_by_vertex(events, weights)
