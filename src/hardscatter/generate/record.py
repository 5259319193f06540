"""Reads a whole event record: what stable particles descend from, and which entries are worth telling as truth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.generate.collisions import Ancestry, Role

B_HADRON, C_HADRON, TAU, PROMPT = (int(bit) for bit in Ancestry)
FROM_HADRON = 16
"""Bit for the walk only: the particle is a hadron or descends from one."""

TOP, BOSON, DECAY_PRODUCT, PARTON, ROLE_B_HADRON, ROLE_C_HADRON = (int(role) for role in Role)

HARD_INCOMING, HARD_OUTGOING, HADRONS = 21, 23, 81
"""Pythia's status codes: into and out of the hard process; from here on hadronisation and decays."""


def walk(
    offsets: NDArray[np.int64], pid: NDArray[np.int32], status: NDArray[np.int32], mother: NDArray[np.int32]
) -> tuple[NDArray[np.uint8], NDArray[np.int8]]:
    """Return `Ancestry` bits and `Role` (0 where there is none) of every entry of flat event records.

    Parameters
    ----------
    offsets
        Entries ``offsets[c]`` to ``offsets[c + 1]`` belong to collision c.
    pid, status, mother
        PDG id, Pythia's status code (> 0 is stable) and number of the first mother, counted within the collision,
        0 or less where there is none.

    Notes
    -----
    Of several copies of a top or boson the last is told, just before it decays. Its decay products are told as the
    decay made them, before they radiate: those of a W, Z or H sum up to the boson exactly. Onia hold no open
    flavour and count neither as b nor as c hadrons.
    """
    bits = np.zeros(len(pid), dtype=np.uint8)
    roles = np.zeros(len(pid), dtype=np.int8)
    offsets = np.ascontiguousarray(offsets, np.int64)
    pid, status, mother = (np.ascontiguousarray(values, np.int32) for values in (pid, status, mother))
    _walk_bits(offsets, pid, status, mother, bits)
    _walk_roles(offsets, pid, status, mother, roles)
    return bits, roles


@kernel
def _is_hadron(pid: int) -> bool:
    code = abs(pid)
    quarks = (code // 10) % 10, (code // 100) % 10
    return 100 < code < 1_000_000_000 and 0 < quarks[0] < 7 and 0 < quarks[1] < 7


@kernel
def _open_flavour(pid: int) -> int:
    """Return 5 for a hadron with open beauty, 4 for one with open charm only, else 0."""
    if not _is_hadron(pid):
        return 0
    code = abs(pid)
    light, middle, heavy = (code // 10) % 10, (code // 100) % 10, (code // 1000) % 10
    if heavy == 0 and light == middle:  # an onium, or a light meson
        return 0
    flavour = max(light, middle, heavy)
    return flavour if flavour == 5 or flavour == 4 else 0


@kernel
def _is_top_or_boson(pid: int) -> bool:
    code = abs(pid)
    return code == 6 or code == 23 or code == 24 or code == 25 or code == 32 or code == 34


@kernel
def _own_bits(pid: int, status: int) -> int:
    """Return the bits that a particle starts in its descendants; the beams, though hadrons, start none."""
    if abs(pid) == 15:
        return TAU
    if abs(status) < HADRONS or not _is_hadron(pid):
        return 0
    flavour = _open_flavour(pid)
    if flavour == 5:
        return FROM_HADRON | B_HADRON
    if flavour == 4:
        return FROM_HADRON | C_HADRON
    return FROM_HADRON


@kernel
def _walk_bits(
    offsets: NDArray[np.int64],
    pid: NDArray[np.int32],
    status: NDArray[np.int32],
    mother: NDArray[np.int32],
    bits: NDArray[np.uint8],
) -> None:
    """Hand the bits of mothers down until nothing changes: twice for Pythia, whose daughters come after mothers."""
    for c in range(len(offsets) - 1):
        first, last = offsets[c], offsets[c + 1]
        changed = True
        while changed:
            changed = False
            for i in range(first, last):
                new = bits[i] | _own_bits(pid[i], status[i])
                if mother[i] > 0:
                    new |= bits[first + mother[i]]
                if new != bits[i]:
                    bits[i] = new
                    changed = True
        for i in range(first, last):
            code = abs(pid[i])
            if (11 <= code <= 16 or code == 22) and not bits[i] & FROM_HADRON:
                bits[i] |= PROMPT
            bits[i] &= ~np.uint8(FROM_HADRON)


@kernel
def _walk_roles(
    offsets: NDArray[np.int64],
    pid: NDArray[np.int32],
    status: NDArray[np.int32],
    mother: NDArray[np.int32],
    roles: NDArray[np.int8],
) -> None:
    goes_on = np.zeros(len(pid), dtype=np.bool_)  # there is a daughter of the same kind
    for c in range(len(offsets) - 1):
        first = offsets[c]
        for i in range(first, offsets[c + 1]):
            m = first + mother[i]
            if mother[i] > 0 and (
                (_is_top_or_boson(pid[i]) and pid[i] == pid[m])
                or (_open_flavour(pid[i]) > 0 and _open_flavour(pid[i]) == _open_flavour(pid[m]))
            ):
                goes_on[m] = True
        for i in range(first, offsets[c + 1]):
            m = first + max(mother[i], 0)
            if not goes_on[i] and _is_top_or_boson(pid[i]):
                roles[i] = TOP if abs(pid[i]) == 6 else BOSON
            elif _is_top_or_boson(pid[m]) and not goes_on[m] and not _is_top_or_boson(pid[i]):
                roles[i] = DECAY_PRODUCT
            elif abs(status[i]) == HARD_OUTGOING and abs(status[m]) == HARD_INCOMING:
                if abs(pid[i]) <= 5 or pid[i] == 21 or pid[i] == 22:
                    roles[i] = PARTON
            elif not goes_on[i] and abs(status[i]) >= HADRONS and _open_flavour(pid[i]) > 0:
                roles[i] = ROLE_B_HADRON if _open_flavour(pid[i]) == 5 else ROLE_C_HADRON
