"""Constituent subtraction, event-wide: ghosts that carry the background are taken from nearby candidates."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import Events, flat, jagged_like, offsets_of
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.tiles import Tiles, grid_median
from hardscatter.pileup.chs import is_charged_pileup
from hardscatter.threads import over_crossings


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ConstituentSubtraction:
    """Subtract the background density from candidates, nearest and softest first.

    Ghosts of area A_g cover |y| < `y_max`, each with pt = ρ A_g, ρ the grid median. Pairs (candidate i, ghost k)
    with ΔR_ik ≤ `max_distance` are taken in the order of pt_i^`alpha` · ΔR_ik²; of each pair the smaller pt is
    subtracted from both. The method subtracts momentum along the candidate's own direction, so its weight is

        w_i = pt_i(after) / pt_i(before).

    Charged pileup is removed first (w = 0). With `neutrals_only` other charged candidates are kept and ρ and the
    subtraction concern neutrals; otherwise all that remain. Candidates at |eta| > `y_max` get 0, as in
    fjcontrib; candidates are taken as massless, y = eta.

    References
    ----------
    Berta, Spousta, Miller, Leitner, arXiv:1403.3108 (order of the pairs: eq. 2.2, squared as fjcontrib does);
    event-wide use and settings: arXiv:1905.03470.
    """

    max_distance: float = 0.25
    alpha: float = 1.0
    ghost_area: float = 0.01
    y_max: float = 5.0
    rho_tile: float = 0.5
    neutrals_only: bool = True

    def weights(self, events: Events) -> ak.Array:
        """Return the fraction of each candidate's pt that is left."""
        return ak.values_astype(self.pt_left(events) / events.candidates.pt, np.float32)

    def pt_left(self, events: Events) -> ak.Array:
        """Return the pt (GeV, float64) that is left of each candidate, jagged."""
        return subtract(
            events,
            ((self.max_distance, self.alpha),),
            ghost_area=self.ghost_area,
            y_max=self.y_max,
            rho_tile=self.rho_tile,
            neutrals_only=self.neutrals_only,
            ghost_removal=False,
        )


CS_BEST = ConstituentSubtraction(max_distance=0.2, alpha=2.0, rho_tile=0.6)
"""Found by ``tools/tune_classical.py`` for the card ``cms-phase2``: see docs/tunes.md."""


def subtract(
    events: Events,
    passes: tuple[tuple[float, float], ...],
    *,
    ghost_area: float,
    y_max: float,
    rho_tile: float,
    neutrals_only: bool,
    ghost_removal: bool,
) -> ak.Array:
    """Subtract in one or more passes (max_distance, alpha) and return the pt left of each candidate, jagged.

    Between passes the background not yet subtracted is spread over the ghosts in proportion to what they
    carried; with `ghost_removal` only over those that the pass before used up (arXiv:1905.03470 section 3).
    """
    candidates = events.candidates
    offsets = offsets_of(candidates.pt)
    pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
    removed = is_charged_pileup(events)
    concerned = (flat(candidates.charge) == 0) if neutrals_only else ~removed
    background = grid_median(np.where(concerned, pt, 0.0), eta, phi, offsets, Tiles(rho_tile, y_max))
    ghosts = Tiles(math.sqrt(ghost_area), y_max)
    max_distances = np.array([max_distance for max_distance, _ in passes])
    alphas = np.array([alpha for _, alpha in passes])
    left = np.where(removed | (concerned & (np.abs(eta) > y_max)), 0.0, pt)
    concerned &= np.abs(eta) <= y_max

    def run(first: int, last: int) -> None:
        for event in range(first, last):
            chosen = offsets[event] + np.flatnonzero(concerned[offsets[event] : offsets[event + 1]])
            left[chosen] = _subtract_event(
                pt[chosen], eta[chosen], phi[chosen], ghosts.n_rows, ghosts.n_columns, ghosts.y_max,
                background.rho[event] * ghosts.area, max_distances, alphas, ghost_removal,
            )  # fmt: skip

    over_crossings(run, len(events))
    return jagged_like(left, candidates.pt)


@kernel
def _subtract_event(
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    ghost_pt_each: float,
    max_distances: NDArray[np.float64],
    alphas: NDArray[np.float64],
    ghost_removal: bool,
) -> NDArray[np.float64]:
    """Return the pt that is left of each candidate after all passes."""
    left = pt.copy()
    ghost_pt = np.full(n_rows * n_columns, ghost_pt_each)
    for p in range(len(max_distances)):
        ghost_left = ghost_pt.copy()
        alive = np.flatnonzero(left > 0.0)
        distance, candidate, ghost = _pairs(
            left[alive], y[alive], phi[alive], ghost_pt, n_rows, n_columns, y_max, max_distances[p], alphas[p]
        )
        for k in np.argsort(distance):
            i, g = alive[candidate[k]], ghost[k]
            if left[i] > 0.0 and ghost_left[g] > 0.0:
                taken = min(left[i], ghost_left[g])
                left[i] -= taken
                ghost_left[g] -= taken
        if p + 1 < len(max_distances):
            _redistribute(ghost_pt, ghost_left, ghost_removal)
    return left


@kernel
def _redistribute(ghost_pt: NDArray[np.float64], ghost_left: NDArray[np.float64], ghost_removal: bool) -> None:
    """Spread what is left over the ghosts in proportion to what they carried; unused ones drop out."""
    remaining = ghost_left.sum()
    if ghost_removal:
        for g in range(len(ghost_pt)):
            if ghost_left[g] > 1e-10:  # GeV, fjcontrib's threshold
                ghost_pt[g] = 0.0
    carried = ghost_pt.sum()
    for g in range(len(ghost_pt)):
        ghost_pt[g] = ghost_pt[g] * remaining / carried if carried > 0.0 else 0.0


@kernel
def _pairs(
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    ghost_pt: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    max_distance: float,
    alpha: float,
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.int64]]:
    """Return all pairs of a candidate and a ghost within the distance: their measure, candidate and ghost."""
    height, width = 2.0 * y_max / n_rows, TWO_PI / n_columns
    reach_rows = int(max_distance / height) + 1
    reach_columns = min(int(max_distance / width) + 1, n_columns // 2)
    per_candidate = (2 * reach_rows + 1) * (2 * reach_columns + 1)
    distance = np.empty(len(pt) * per_candidate)
    candidate = np.empty(len(distance), dtype=np.int64)
    ghost = np.empty(len(distance), dtype=np.int64)
    n = 0
    limit = max_distance * max_distance
    for i in range(len(pt)):
        factor = pt[i] ** alpha
        row = int((y[i] + y_max) / height)
        # Ghosts stand at phi = (column + ½) · width counted from 0; candidates have phi in [−π, π).
        turned = phi[i] if phi[i] >= 0.0 else phi[i] + TWO_PI
        column = int(turned / width)
        last_column = column + reach_columns + (1 if 2 * reach_columns < n_columns else 0)
        for r in range(max(row - reach_rows, 0), min(row + reach_rows + 1, n_rows)):
            for c in range(column - reach_columns, last_column):
                g = r * n_columns + c % n_columns
                if ghost_pt[g] <= 0.0:
                    continue
                ghost_phi = (c % n_columns + 0.5) * width
                separation = abs(turned - ghost_phi)
                if separation > math.pi:
                    separation = TWO_PI - separation
                d_y = y[i] - ((r + 0.5) * height - y_max)
                separation2 = separation * separation + d_y * d_y
                if separation2 <= limit:
                    distance[n] = separation2 * factor
                    candidate[n] = i
                    ghost[n] = g
                    n += 1
    return distance[:n], candidate[:n], ghost[:n]
