"""SoftKiller followed by zeroing: soft neutrals need a leading-vertex track nearby."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.geometry.neighbours import Grid, build_grid, distance2, rows, spans
from hardscatter.pileup.softkiller import NEEDED, SoftKiller
from hardscatter.threads import over_crossings


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SoftKillerZeroing:
    """SoftKiller on neutrals, then w = 0 for neutrals below `pt_max` with no leading track within `radius`.

    Beyond `track_eta_max` no track can be near, so SoftKiller alone decides there. Weights are 0 or 1.

    References
    ----------
    SoftKiller: arXiv:1407.0408. Zeroing with tile 0.45, radius 0.2 and 10 GeV: Soyez, arXiv:1801.09721
    section 4.3 and the 2014 pileup workshop ("sk45z02").
    """

    softkiller: SoftKiller = SoftKiller(tile=0.45)
    radius: float = 0.2
    pt_max: float = 10.0
    track_eta_max: float = 4.0

    def weights(self, events: Events) -> ak.Array:
        """Return weight 1 for survivors, 0 for the rest."""
        offsets, columns = flat_candidates(events, *NEEDED)
        weights, _ = self.softkiller.kill(offsets, *columns)

        def run(first: int, last: int) -> None:
            _zero(first, last, offsets, self.radius, self.pt_max, self.track_eta_max, weights, *columns)

        over_crossings(run, len(offsets) - 1)
        return jagged(weights, offsets)


SOFTKILLER_ZEROING_BEST = SoftKillerZeroing(softkiller=SoftKiller(tile=0.35, y_max=3.0), pt_max=40.0)
"""Found by ``tools/tune_classical.py`` for ``cms-phase2`` (docs/tunes.md): no bias of jets, more fakes forward."""


@kernel
def _zero(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    radius: float,
    pt_max: float,
    track_eta_max: float,
    weights: NDArray[np.float32],
    pt: NDArray[Any],
    eta: NDArray[Any],
    phi: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
) -> None:
    """Take the weight from soft neutrals without a track of the leading vertex within the radius."""
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        tracks = a + np.flatnonzero((charge[a:b] != 0) & (vertex[a:b] == LEADING))
        track_eta, track_phi = eta[tracks].astype(np.float64), phi[tracks].astype(np.float64)
        grid = build_grid(track_eta, track_phi, radius)
        for i in range(a, b):
            doubtful = weights[i] > 0 and charge[i] == 0 and pt[i] < pt_max and abs(eta[i]) < track_eta_max
            if doubtful and not _any_within(grid, track_eta, track_phi, np.float64(eta[i]), np.float64(phi[i]), radius):
                weights[i] = 0.0


@kernel
def _any_within(
    grid: Grid,
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    query_eta: float,
    query_phi: float,
    radius: float,
) -> bool:
    first, last = rows(grid, query_eta)
    for row in range(first, last):
        a, b, c, d = spans(grid, row, query_phi)
        for low, high in ((a, b), (c, d)):
            for k in range(low, high):
                j = grid.order[k]
                if distance2(query_eta, query_phi, eta[j], phi[j]) <= radius * radius:
                    return True
    return False
