"""No mitigation: the crossing as it is."""

from __future__ import annotations

import awkward as ak
import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events, flat_candidates, jagged


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class NoMitigation:
    """Every candidate counts in full, w = 1: what pileup does when nothing is done."""

    def weights(self, events: Events) -> ak.Array:
        """Return weight 1 for every candidate."""
        offsets, _ = flat_candidates(events)
        return jagged(np.ones(offsets[-1], dtype=np.float32), offsets)
