"""Charged-hadron subtraction: tracks tell charged pileup apart by its vertex."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import LEADING, Events, flat, flat_candidates, jagged


def is_charged_pileup(events: Events) -> NDArray[np.bool_]:
    """Tell, flat over all candidates, which are charged and belong to a pileup vertex."""
    _, (charge, vertex) = flat_candidates(events, "charge", "vertex")
    return np.asarray((charge != 0) & (vertex > LEADING))


def settled_by_vertex(events: Events, weights: ak.Array) -> ak.Array:
    """Return weights with 1 for charged candidates of the leading vertex and 0 for those of others; float32.

    Neutral candidates and charged ones without a vertex keep theirs.
    """
    offsets, (charge, vertex) = flat_candidates(events, "charge", "vertex")
    decided = (charge != 0) & (vertex >= LEADING)
    settled = np.where(decided, vertex == LEADING, flat(weights, np.float32)).astype(np.float32)
    return jagged(settled, offsets)


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ChargedHadronSubtraction:
    """Remove charged candidates of pileup vertices: w = 0 for charge ≠ 0 and vertex > 0, else 1.

    Charged candidates without any vertex stay, as in CMS.

    References
    ----------
    CMS, *Particle-flow reconstruction and global event description*, arXiv:1706.04965 section 8.
    """

    def weights(self, events: Events) -> ak.Array:
        """Return weight 0 for charged pileup, 1 for all else."""
        offsets, (charge, vertex) = flat_candidates(events, "charge", "vertex")
        kept = (charge == 0) | (vertex <= LEADING)
        return jagged(kept.astype(np.float32), offsets)
