"""SoftKiller: the pt cut that leaves half of the (y, phi) tiles empty."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events, flat, jagged_like, offsets_of
from hardscatter.geometry.tiles import Tiles
from hardscatter.pileup.chs import is_charged_pileup


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SoftKiller:
    """Keep candidates with pt ≥ median over tiles of the hardest pt in the tile.

    Charged pileup is removed first. With `neutrals_only` the leading vertex's charged candidates (and charged
    ones without a vertex) are kept and the cut is found and applied among neutrals; otherwise it is found and
    applied among all that remain. Weights are 0 or 1. Candidates beyond `y_max` take no part in finding the
    cut but are cut as well; candidates are taken as massless, y = eta.

    References
    ----------
    Cacciari, Soyez, Salam, arXiv:1407.0408 eq. 2.1; tile 0.5 on neutrals after CHS: Soyez, arXiv:1801.09721.
    """

    tile: float = 0.5
    y_max: float = 5.0
    neutrals_only: bool = True

    def weights(self, events: Events) -> ak.Array:
        """Return weight 1 for survivors, 0 for the rest."""
        return jagged_like(self.survivors(events).astype(np.float32), events.candidates.charge)

    def survivors(self, events: Events) -> NDArray[np.bool_]:
        """Tell, flat over all candidates, which survive."""
        pt = flat(events.candidates.pt, np.float64)
        killable = self._killable(events)
        threshold2 = np.repeat(self._threshold2(events, killable), ak.to_numpy(events.n_candidates))
        hard: NDArray[np.bool_] = pt * pt >= threshold2
        return ~is_charged_pileup(events) & (~killable | hard)

    def thresholds(self, events: Events) -> NDArray[np.float64]:
        """Return the pt cut (GeV) of each event, shape (events,); 0 where more than half the tiles are empty."""
        return np.sqrt(self._threshold2(events, self._killable(events)))

    def _killable(self, events: Events) -> NDArray[np.bool_]:
        neutral: NDArray[np.bool_] = flat(events.candidates.charge) == 0
        return neutral if self.neutrals_only else ~is_charged_pileup(events)

    def _threshold2(self, events: Events, killable: NDArray[np.bool_]) -> NDArray[np.float64]:
        candidates = events.candidates
        pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
        offsets = offsets_of(candidates.pt)
        tiles = Tiles(self.tile, self.y_max)
        n_events = len(offsets) - 1
        tile = tiles.index(eta, phi)
        crossing = np.repeat(np.arange(n_events), np.diff(offsets))
        counted = (tile >= 0) & killable
        hardest = np.zeros(n_events * tiles.n_tiles)
        np.maximum.at(hardest, crossing[counted] * tiles.n_tiles + tile[counted], pt[counted] ** 2)
        ranked = np.sort(hardest.reshape(n_events, tiles.n_tiles), axis=1)
        # As in FastJet's contrib: the upper median, raised by a hair so that the median tile itself is emptied.
        return (1.0 + 1e-12) * ranked[:, tiles.n_tiles // 2]
