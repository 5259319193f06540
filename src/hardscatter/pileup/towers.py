"""What a first-level correlator can sum around each candidate: momentum in towers, in integers.

The (eta, phi) cylinder is cut into square towers of 2π/128, 128 around. Momenta count in steps of 1/64 GeV, so that
every sum is exact and no order of candidates matters. A sum over a square of towers is four places of a table that was
summed up once, whatever the size of the square: the cost is linear in the candidates and small.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel, lane_kernel
from hardscatter.events import LEADING, Events, flat_candidates

KINDS = ("neutral", "leading", "pileup", "photon")
"""Neutral, photons among them; charged of the leading vertex; of another or none; neutral and electromagnetic."""
REACHES = (0, 1, 2, 4, 8)
"""Towers to either side that a square takes in: ΔR of about 0.02, 0.07, 0.12, 0.22, 0.42."""
STEP = 1 / 64
"""GeV that an integer counts."""
N_PHI = 128
SIZE = 2.0 * math.pi / N_PHI
"""Width of a tower in eta and in phi."""

_N_KINDS = len(KINDS)
_NEUTRAL, _LEADING, _PILEUP, _PHOTON = range(_N_KINDS)
_EDGE = 104  # rows on each side of eta = 0: |eta| < 5.1; what lies further out counts in the last
_N_ETA = 2 * _EDGE
_REACH = REACHES[-1]
_SHAPE, _LANES = 7, 16  # towers to either side that a shape takes in; with one more they fill vector instructions
_STRIP = 10  # rows to either side, |Δeta| < 0.5
_LARGEST = 2**19  # 8 TeV, one candidate's most
_COLUMNS = N_PHI + 2 * _REACH + 1


def _names() -> dict[str, int]:
    squares = [f"{kind}_in_{2 * reach + 1}" for reach in REACHES for kind in KINDS]
    return {name: i for i, name in enumerate([*squares, "leading_shape", "neutral_strip", "pileup_strip",
                                              "neutral_all", "pileup_all"])}  # fmt: skip


NAMES = MappingProxyType(_names())
"""Column of each sum, by name."""


def tower_sums(events: Events) -> tuple[NDArray[np.int64], Callable[[int, NDArray[np.float32]], None]]:
    """Return where each crossing starts, and what writes the sums around each candidate of a crossing, itself excepted.

    ::

        ⟨kind⟩_in_⟨n⟩     Σ_j pt_j                 over j of that kind in the n × n towers around the candidate's
        leading_shape     Σ_t (pt_t / max(d, ½))²  over towers t, d < 7.5 towers away: e to the power of PUPPI's α
        ⟨kind⟩_strip      Σ_j pt_j                 in the 21 towers of eta around, all of phi
        ⟨kind⟩_all        Σ_j pt_j                 of the crossing

    The second takes the number of a crossing and an array of shape (N, 25), float32, columns as `NAMES` says; it
    writes GeV, GeV² for the shape. Sums do not depend on the order of candidates, and turn with them by whole towers
    in phi. Crossing by crossing, so that they are still near the processor when they are read.

    Parameters
    ----------
    events
        Crossings; of each candidate pt, eta, phi, charge and vertex are looked at, and pdg_id if it is there: without
        it no candidate is a photon.

    References
    ----------
    Summed tables: Crow, SIGGRAPH 1984. The shape is that of PUPPI, arXiv:1407.6013, eq. 2.1, of towers.
    """
    has_class = events.has("candidates.pdg_id")
    names = ("charge", "vertex", "pt", "eta", "phi", *(["pdg_id"] if has_class else []))
    offsets, columns = flat_candidates(events, *names)

    def write(crossing: int, sums: NDArray[np.float32]) -> None:
        here = slice(offsets[crossing], offsets[crossing + 1])
        charge, vertex, pt, eta, phi, *pdg_id = (column[here] for column in columns)
        _fill(pt, eta, phi, charge, vertex, pdg_id[0] if has_class else vertex[:0], _NEARNESS, sums)

    return offsets, write


def _nearness() -> NDArray[np.float32]:
    """Return 1 / d² of the towers around one, d in towers; 0 beyond the reach, and in one column more."""
    away = np.arange(-_SHAPE, _SHAPE + 1)
    d2 = (away[:, None] ** 2 + np.arange(-_SHAPE, -_SHAPE + _LANES) ** 2).astype(np.float32)
    near = np.where(d2 < (_SHAPE + 0.5) ** 2, 1.0 / np.maximum(d2, 0.25), 0.0)
    return near.astype(np.float32)


_NEARNESS = _nearness()


@kernel
def _fill(
    pt: NDArray[Any],
    eta: NDArray[Any],
    phi: NDArray[Any],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    pdg_id: NDArray[np.int32],
    nearness: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """Fill the sums of one crossing."""
    n = len(pt)
    # Rows and columns begin with one of nothing: the table holds what lies below and to the left.
    table = np.zeros((_N_ETA + 1, _COLUMNS, _N_KINDS), dtype=np.int32)
    count, row, column, kind = np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int32), np.empty(n, np.int8)
    for i in range(n):
        count[i] = min(int(pt[i] * (1.0 / STEP) + 0.5), _LARGEST)
        row[i] = min(max(math.floor(eta[i] * (1.0 / SIZE)) + _EDGE, 0), _N_ETA - 1)
        column[i] = math.floor(phi[i] * (1.0 / SIZE)) & (N_PHI - 1)
        kind[i] = _NEUTRAL
        if charge[i] != 0:
            kind[i] = _LEADING if vertex[i] == LEADING else _PILEUP
        elif len(pdg_id) > 0 and (abs(pdg_id[i]) == 22 or pdg_id[i] == 2):
            kind[i] = _PHOTON
            table[row[i] + 1, column[i] + _REACH + 1, _PHOTON] += count[i]
        table[row[i] + 1, column[i] + _REACH + 1, kind[i] if kind[i] != _PHOTON else _NEUTRAL] += count[i]
    shape = np.zeros((_N_ETA, N_PHI + _LANES), dtype=np.float32)
    _shape(table, nearness, shape)
    _sum_up(table)
    _look_up(count, row, column, kind, table, sums)
    _finish(count, row, column, kind, table, shape, sums)


@lane_kernel
def _shape(table: NDArray[np.int32], nearness: NDArray[np.float32], shape: NDArray[np.float32]) -> None:
    """Let each tower of leading tracks give its share to those around; column 7 is the tower at phi = 0."""
    for row in range(_N_ETA):
        for column in range(N_PHI):
            momentum = table[row + 1, column + _REACH + 1, _LEADING]
            if momentum != 0:
                square = (np.float32(momentum) * np.float32(STEP)) ** 2
                for other in range(max(row - _SHAPE, 0), min(row + _SHAPE + 1, _N_ETA)):
                    near, target = nearness[other - row + _SHAPE], shape[other, column : column + _LANES]
                    for lane in range(_LANES):
                        target[lane] += square * near[lane]
    for row in range(_N_ETA):  # what went beyond the ends of phi
        for column in range(_SHAPE):
            shape[row, N_PHI + column] += shape[row, column]
            shape[row, _SHAPE + column] += shape[row, N_PHI + _SHAPE + column]


@kernel
def _sum_up(table: NDArray[np.int32]) -> None:
    """Continue phi at both ends, and replace each tower by the sum of all that lie below and to the left."""
    for row in range(1, _N_ETA + 1):
        for column in range(_REACH):
            for k in range(_N_KINDS):
                table[row, column + 1, k] = table[row, column + N_PHI + 1, k]
                table[row, column + N_PHI + _REACH + 1, k] = table[row, column + _REACH + 1, k]
        for column in range(1, _COLUMNS):
            for k in range(_N_KINDS):
                table[row, column, k] += table[row, column - 1, k]
        for column in range(1, _COLUMNS):
            for k in range(_N_KINDS):
                table[row, column, k] += table[row - 1, column, k]


@kernel
def _look_up(
    count: NDArray[np.int32],
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    kind: NDArray[np.int8],
    table: NDArray[np.int32],
    sums: NDArray[np.float32],
) -> None:
    """Fill the sums over squares."""
    for r in range(len(REACHES)):
        reach = REACHES[r]
        for i in range(len(count)):
            low, high = max(row[i] - reach, 0), min(row[i] + reach + 1, _N_ETA)
            left, right = column[i] + _REACH - reach, column[i] + _REACH + reach + 1
            for k in range(_N_KINDS):
                whole = table[high, right, k] - table[high, left, k] - table[low, right, k] + table[low, left, k]
                itself = count[i] if kind[i] == k or (k == _NEUTRAL and kind[i] == _PHOTON) else np.int32(0)
                sums[i, r * _N_KINDS + k] = np.float32(whole - itself) * np.float32(STEP)


@kernel
def _finish(
    count: NDArray[np.int32],
    row: NDArray[np.int32],
    column: NDArray[np.int32],
    kind: NDArray[np.int8],
    table: NDArray[np.int32],
    shape: NDArray[np.float32],
    sums: NDArray[np.float32],
) -> None:
    """Fill shape, strips and totals."""
    left, right = _REACH, _REACH + N_PHI
    first = _N_KINDS * len(REACHES)
    for i in range(len(count)):
        # What the own tower would hold without the candidate: its share is that of the others in it.
        others = sums[i, _LEADING]
        both = others + (np.float32(count[i]) * np.float32(STEP) if kind[i] == _LEADING else np.float32(0.0))
        whole = shape[row[i], column[i] + _SHAPE]
        sums[i, first] = max(whole - np.float32(4.0) * (both * both - others * others), np.float32(0.0))
        low, high = max(row[i] - _STRIP, 0), min(row[i] + _STRIP + 1, _N_ETA)
        for k in range(2):
            of = _NEUTRAL if k == 0 else _PILEUP
            itself = count[i] if (kind[i] == of or (k == 0 and kind[i] == _PHOTON)) else np.int32(0)
            strip = table[high, right, of] - table[high, left, of] - table[low, right, of] + table[low, left, of]
            every = table[_N_ETA, right, of] - table[_N_ETA, left, of]
            sums[i, first + 1 + k] = np.float32(strip - itself) * np.float32(STEP)
            sums[i, first + 3 + k] = np.float32(every - itself) * np.float32(STEP)
