"""SoftKiller followed by zeroing: soft neutrals need a leading-vertex track nearby."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat, jagged_like, offsets_of
from hardscatter.geometry.neighbours import Grid, build_grid, distance2, rows, spans
from hardscatter.pileup.softkiller import SoftKiller
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
        candidates = events.candidates
        survives = self.softkiller.survivors(events)
        pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
        charged = flat(candidates.charge) != 0
        track = charged & (flat(candidates.vertex) == LEADING)
        doubtful = survives & ~charged & (pt < self.pt_max) & (np.abs(eta) < self.track_eta_max)
        offsets = offsets_of(candidates.pt)

        def run(first: int, last: int) -> None:
            _zero(first, last, offsets, eta, phi, track, doubtful, self.radius, survives)

        over_crossings(run, len(events))
        return jagged_like(survives.astype(np.float32), candidates.charge)


SOFTKILLER_ZEROING_BEST = SoftKillerZeroing(softkiller=SoftKiller(tile=0.35, y_max=3.0), pt_max=40.0)
"""Found by ``tools/tune_classical.py`` for ``cms-phase2`` (docs/tunes.md): no bias of jets, more fakes forward."""


@kernel
def _zero(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    track: NDArray[np.bool_],
    doubtful: NDArray[np.bool_],
    radius: float,
    survives: NDArray[np.bool_],
) -> None:
    """Clear `survives` for doubtful candidates without a track within the radius."""
    for event in range(first_event, last_event):
        a, b = offsets[event], offsets[event + 1]
        tracks = a + np.flatnonzero(track[a:b])
        grid = build_grid(eta[tracks], phi[tracks], radius)
        for i in range(a, b):
            if doubtful[i]:
                survives[i] = _any_within(grid, tracks, eta, phi, eta[i], phi[i], radius)


@kernel
def _any_within(
    grid: Grid,
    points: NDArray[np.int64],
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
                j = points[grid.order[k]]
                if distance2(query_eta, query_phi, eta[j], phi[j]) <= radius * radius:
                    return True
    return False
