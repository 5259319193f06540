"""A method of your own, in one file: how a package joins hardscatter.

This folder is a whole package. `pyproject.toml` names the method under the entry-point group ``hardscatter.methods``;
this module holds it. Copy the folder, change names and the rule, install it, and it takes part everywhere::

    pip install ./third_party_method
    hardscatter methods                                             # soft-neutral-cut stands at the end
    hardscatter mitigate IN.root OUT.parquet --method soft-neutral-cut
    hardscatter arena trial --sample IN.root --method soft-neutral-cut --method softkiller

What a method must be: a frozen record of settings with ``weights(events)``, which gets a whole batch of crossings with
the truth removed and returns one number in [0, 1] for each candidate. hardscatter checks what it returns. Settings,
the code of this module and the version of hardscatter decide whether the arena measures the method again.
"""

from __future__ import annotations

from dataclasses import dataclass

import awkward as ak
import numpy as np

from hardscatter.events import LEADING, Events


@dataclass(frozen=True)
class SoftNeutralCut:
    """Charged candidates count if the leading vertex has them, all others if they are hard enough.

    w = 1 for charged candidates of the leading vertex, 0 for those of another; for neutral candidates, and charged ones
    without a vertex, w = 1 if pt > `pt_min` cosh(eta)^−1/2, so that the cut sinks forward, else 0.
    """

    pt_min: float = 3.0
    """GeV, at eta = 0."""

    def weights(self, events: Events) -> ak.Array:
        """Return 0 or 1 for each candidate, jagged float32."""
        candidates = events.candidates
        hard = candidates.pt > self.pt_min / np.sqrt(np.cosh(candidates.eta))
        settled = (candidates.charge != 0) & (candidates.vertex >= LEADING)
        kept = ak.where(settled, candidates.vertex == LEADING, hard)
        return ak.values_astype(kept, np.float32)
