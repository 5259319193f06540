"""Constituent subtraction, event-wide: ghosts that carry the background are taken from nearby candidates."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import LEADING, Events, flat_candidates, jagged
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.tiles import Tiles, grid_median
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
        offsets, pt, left = self._subtract(events)
        return jagged((left / pt).astype(np.float32), offsets)

    def pt_left(self, events: Events) -> ak.Array:
        """Return the pt (GeV, float64) that is left of each candidate, jagged."""
        offsets, _, left = self._subtract(events)
        return jagged(left, offsets)

    def _subtract(self, events: Events) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
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
) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
    """Subtract in one or more passes (max_distance, alpha); return offsets, pt, and the pt left, flat.

    Between passes the background not yet subtracted is spread over the ghosts in proportion to what they
    carried; with `ghost_removal` only over those that the pass before used up (arXiv:1905.03470 section 3).
    """
    offsets, (pt, eta, phi, charge, vertex) = flat_candidates(events, "pt", "eta", "phi", "charge", "vertex")
    removed = (charge != 0) & (vertex > LEADING)
    concerned = (charge == 0) if neutrals_only else ~removed
    background = grid_median(np.where(concerned, pt, 0), eta, phi, offsets, Tiles(rho_tile, y_max))
    ghosts = Tiles(math.sqrt(ghost_area), y_max)
    within = np.abs(eta) <= y_max
    left = np.where(removed | (concerned & ~within), 0.0, pt.astype(np.float64))
    concerned &= within
    max_distances, alphas = np.array(passes, dtype=np.float64).reshape(-1, 2).T.copy()

    def run(first: int, last: int) -> None:
        _subtract(
            first, last, offsets, eta, phi, concerned, ghosts.n_rows, ghosts.n_columns, ghosts.y_max,
            background.rho * ghosts.area, max_distances, alphas, ghost_removal, left,
        )  # fmt: skip

    over_crossings(run, len(events))
    return offsets, pt, left


@kernel
def _subtract(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    eta: NDArray[Any],
    phi: NDArray[Any],
    concerned: NDArray[np.bool_],
    n_rows: int,
    n_columns: int,
    y_max: float,
    ghost_pt_each: NDArray[np.float64],
    max_distances: NDArray[np.float64],
    alphas: NDArray[np.float64],
    ghost_removal: bool,
    left: NDArray[np.float64],
) -> None:
    """Subtract from the pt of concerned candidates in a range of crossings."""
    for event in range(first_event, last_event):
        chosen = offsets[event] + np.flatnonzero(concerned[offsets[event] : offsets[event + 1]])
        y, turned = eta[chosen].astype(np.float64), phi[chosen].astype(np.float64)
        # Ghosts stand at phi = (column + ½) · width counted from 0; candidates have phi in [−π, π).
        turned = np.where(turned >= 0.0, turned, turned + TWO_PI)
        pt = left[chosen]
        ghost_pt = np.full(n_rows * n_columns, ghost_pt_each[event])
        for p in range(len(max_distances)):
            ghost_left = ghost_pt.copy()
            _pass(pt, y, turned, ghost_left, n_rows, n_columns, y_max, max_distances[p], alphas[p])
            if p + 1 < len(max_distances):
                _redistribute(ghost_pt, ghost_left, ghost_removal)
        left[chosen] = pt


@kernel
def _pass(
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    ghost_pt: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    max_distance: float,
    alpha: float,
) -> None:
    """Take from candidates and ghosts (phi in [0, 2π)) what pairs share, in the order of pt^alpha · ΔR².

    Most candidates are used up by the few ghosts next to them. So pairs are made in rounds of growing measure, only of
    candidates and ghosts that still have something: at pileup 200 one in seven is ever made.
    """
    max_distance = min(max_distance, 1.001 * math.hypot(2.0 * y_max, math.pi))  # nothing is further apart
    alive = np.flatnonzero(pt > 0.0)
    factor = _power(pt, alpha)
    size = TWO_PI / n_columns
    bound = 0.25 * size * size * factor[alive].min() if len(alive) else 0.0
    done = -1.0
    pairs = _Pairs(np.empty(4096), np.empty(4096, dtype=np.int32), np.empty(4096, dtype=np.int32))
    while len(alive):
        pairs, n = _make_pairs(
            alive, factor, y, phi, ghost_pt, n_rows, n_columns, y_max, max_distance, done, bound, pairs
        )
        for k in _ascending(pairs.measure[:n], max(done, 0.0), bound):
            i, g = pairs.candidate[k], pairs.ghost[k]
            if pt[i] > 0.0 and ghost_pt[g] > 0.0:
                taken = min(pt[i], ghost_pt[g])
                pt[i] -= taken
                ghost_pt[g] -= taken
        alive = _still_alive(alive, pt, factor, max_distance * max_distance, bound)
        done, bound = bound, 4.0 * bound


class _Pairs(NamedTuple):
    """Room for pairs of a candidate and a ghost, with the measure of each."""

    measure: NDArray[np.float64]
    candidate: NDArray[np.int32]
    ghost: NDArray[np.int32]


@kernel
def _power(pt: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """Return pt^alpha, kept from becoming 0 or infinite."""
    power = pt if alpha == 1.0 else (pt * pt if alpha == 2.0 else pt**alpha)
    return np.minimum(np.maximum(power, 1e-280), 1e280)


@kernel
def _still_alive(
    alive: NDArray[np.int64], pt: NDArray[np.float64], factor: NDArray[np.float64], limit: float, done: float
) -> NDArray[np.int64]:
    """Return the candidates that have something left and pairs beyond the measure `done`."""
    n = 0
    kept = np.empty_like(alive)
    for i in alive:
        kept[n] = i
        n += pt[i] > 0.0 and limit * factor[i] > done
    return kept[:n]


@kernel
def _make_pairs(
    alive: NDArray[np.int64],
    factor: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    ghost_pt: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    max_distance: float,
    done: float,
    bound: float,
    pairs: _Pairs,
) -> tuple[_Pairs, int]:
    """Make all pairs within the distance whose measure lies above `done` and up to `bound`; return their number."""
    rows_per_y, columns_per_phi = n_rows / (2.0 * y_max), n_columns / TWO_PI
    limit = max_distance * max_distance
    n = 0
    for i in alive:
        # A hair more than what the measure allows: rounding must not lose a pair.
        reach = math.sqrt(min(np.divide(bound, factor[i]), limit)) * (1.0 + 1e-9)
        row, column = (y[i] + y_max) * rows_per_y - 0.5, phi[i] * columns_per_phi - 0.5
        first_row = max(math.ceil(row - reach * rows_per_y), 0)
        last_row = min(math.floor(row + reach * rows_per_y), n_rows - 1)
        first = math.ceil(column - reach * columns_per_phi)
        last = min(math.floor(column + reach * columns_per_phi), first + n_columns - 1)
        if first_row > last_row or first > last:
            continue
        while n + (last_row - first_row + 1) * (last - first + 1) > len(pairs.measure):
            pairs = _Pairs(_twice(pairs.measure), _twice(pairs.candidate), _twice(pairs.ghost))
        n = _look_around(
            i, y[i], phi[i], factor[i], first_row, last_row, first, last, ghost_pt, 2.0 * y_max / n_rows, y_max,
            TWO_PI / n_columns, n_columns, limit, done, bound, n, pairs.measure, pairs.candidate, pairs.ghost,
        )  # fmt: skip
    return pairs, n


@kernel
def _look_around(
    i: int,
    y: float,
    phi: float,
    factor: float,
    first_row: int,
    last_row: int,
    first_column: int,
    last_column: int,
    ghost_pt: NDArray[np.float64],
    height: float,
    y_max: float,
    width: float,
    n_columns: int,
    limit: float,
    done: float,
    bound: float,
    n: int,
    measures: NDArray[np.float64],
    candidates: NDArray[np.int32],
    ghosts: NDArray[np.int32],
) -> int:
    """Append the pairs of one candidate; without a branch: what is no pair is written over by the next."""
    for row in range(first_row, last_row + 1):
        d_y = y - ((row + 0.5) * height - y_max)
        for c in range(first_column, last_column + 1):
            column = c + n_columns if c < 0 else (c - n_columns if c >= n_columns else c)
            g = row * n_columns + column
            separation = abs(phi - (column + 0.5) * width)
            separation = min(separation, TWO_PI - separation)
            separation2 = separation * separation + d_y * d_y
            measure = separation2 * factor
            measures[n], candidates[n], ghosts[n] = measure, i, g
            n += (ghost_pt[g] > 0.0) & (separation2 <= limit) & (measure > done) & (measure <= bound)
    return n


@kernel
def _twice(column: NDArray[Any]) -> NDArray[Any]:
    """Return a copy with room for twice as many."""
    return np.concatenate((column, column))


@kernel
def _ascending(measure: NDArray[np.float64], low: float, high: float) -> NDArray[np.int64]:
    """Return the places of numbers between `low` and `high`, spread evenly or so, in ascending order; stable.

    Sorted into as many bins as there are numbers, then by insertion within each bin.
    """
    n = len(measure)
    bins_per_unit = np.divide(n, high - low)
    start = np.zeros(n + 1, dtype=np.int64)
    bins = np.empty(n, dtype=np.int64)
    for k in range(n):
        bins[k] = min(max(int((measure[k] - low) * bins_per_unit), 0), n - 1)
        start[bins[k] + 1] += 1
    for b in range(n):
        start[b + 1] += start[b]
    order = np.empty(n, dtype=np.int64)
    for k in range(n):
        place = start[bins[k]]
        start[bins[k]] += 1
        order[place] = k
    for place in range(1, n):
        k = order[place]
        value, slot = measure[k], place
        while slot > 0 and measure[order[slot - 1]] > value:
            order[slot] = order[slot - 1]
            slot -= 1
        order[slot] = k
    return order


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
