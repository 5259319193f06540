"""SoftKiller: the pt cut that leaves half of the (y, phi) tiles empty."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.geometry.tiles import Tiles, tiles_of
from hardscatter.threads import over_crossings

NEEDED = ("pt", "eta", "phi", "charge", "vertex")
"""The fields of the candidates that `SoftKiller.kill` takes."""


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
        offsets, columns = flat_candidates(events, *NEEDED)
        return jagged(self.kill(offsets, *columns)[0], offsets)

    def thresholds(self, events: Events) -> NDArray[np.float64]:
        """Return the pt cut (GeV) of each event, shape (events,); 0 where more than half the tiles are empty."""
        offsets, columns = flat_candidates(events, *NEEDED)
        return np.sqrt(self.kill(offsets, *columns)[1])

    def kill(
        self,
        offsets: NDArray[np.int64],
        pt: NDArray[Any],
        eta: NDArray[Any],
        phi: NDArray[Any],
        charge: NDArray[np.int8],
        vertex: NDArray[np.int32],
    ) -> tuple[NDArray[np.float32], NDArray[np.float64]]:
        """Return, from the flat columns `NEEDED`, the weight of each candidate and the square of each event's cut."""
        tiles = Tiles(self.tile, self.y_max)
        weights = np.empty(len(pt), dtype=np.float32)
        threshold2 = np.empty(len(offsets) - 1)

        def run(first: int, last: int) -> None:
            _kill(
                first, last, offsets, pt, eta, phi, charge, vertex, tiles.n_rows, tiles.n_columns, tiles.y_max,
                self.neutrals_only, weights, threshold2,
            )  # fmt: skip

        over_crossings(run, len(threshold2))
        return weights, threshold2


@kernel
def _kill(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    pt: NDArray[Any],
    eta: NDArray[Any],
    phi: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    n_rows: int,
    n_columns: int,
    y_max: float,
    neutrals_only: bool,
    weights: NDArray[np.float32],
    threshold2: NDArray[np.float64],
) -> None:
    """Find the cut of each crossing of a range and apply it."""
    most = np.diff(offsets[first_event : last_event + 1]).max()
    tile, pt2 = np.empty(most, dtype=np.int64), np.empty(most)
    hardest = np.empty(n_rows * n_columns)
    middle = len(hardest) // 2
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        tiles_of(eta[a:b], phi[a:b], n_rows, n_columns, y_max, tile)
        _killable_pt2(pt[a:b], charge[a:b], vertex[a:b], neutrals_only, pt2)
        hardest[:] = 0.0
        for i in range(b - a):
            if tile[i] >= 0:
                hardest[tile[i]] = max(hardest[tile[i]], pt2[i])
        # As in FastJet's contrib: the upper median, raised by a hair so that the median tile itself is emptied.
        threshold2[event] = (1.0 + 1e-12) * np.partition(hardest, middle)[middle]
        _keep(pt[a:b], charge[a:b], vertex[a:b], neutrals_only, threshold2[event], weights[a:b])


# Two loops without a branch, over one crossing: they become vector instructions.


@kernel
def _killable_pt2(
    pt: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    neutrals_only: bool,
    pt2: NDArray[np.float64],
) -> None:
    """Fill pt² of candidates that may be killed, 0 for others."""
    for i in range(len(pt)):
        killable = (charge[i] == 0) | ((not neutrals_only) & (vertex[i] <= LEADING))
        wide = np.float64(pt[i])
        pt2[i] = wide * wide if killable else 0.0


@kernel
def _keep(
    pt: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    neutrals_only: bool,
    threshold2: float,
    weights: NDArray[np.float32],
) -> None:
    """Fill weight 1 for survivors, 0 for the rest."""
    for i in range(len(pt)):
        wide = np.float64(pt[i])
        hard = wide * wide >= threshold2
        kept_charged = (vertex[i] <= LEADING) & (neutrals_only | hard)
        weights[i] = 1.0 if ((charge[i] == 0) & hard) | ((charge[i] != 0) & kept_charged) else 0.0
