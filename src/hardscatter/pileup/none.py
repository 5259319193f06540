"""No mitigation: the crossing as it is."""

from __future__ import annotations

import awkward as ak
import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events, jagged_like


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class NoMitigation:
    """Every candidate counts in full, w = 1: what pileup does when nothing is done."""

    def weights(self, events: Events) -> ak.Array:
        """Return weight 1 for every candidate."""
        charge = events.candidates.charge
        return jagged_like(np.ones(int(ak.sum(ak.num(charge))), dtype=np.float32), charge)
