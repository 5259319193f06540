"""Put items with equal keys into groups without sorting and without an array for all possible keys."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)


class Groups(NamedTuple):
    """Items in groups, numbered in the order of their first item."""

    of: NDArray[np.int64]
    """Group of each item, −1 for an item without a key."""
    key: NDArray[np.int64]
    """Key of each group."""


@kernel
def group(keys: NDArray[np.int64]) -> Groups:
    """Group items by key (≥ 0; a negative key puts an item into no group), in linear time.

    A hash table with open addressing, at most half full: memory goes with the number of items.
    """
    n = len(keys)
    bits = 4
    while (1 << bits) < 2 * n:
        bits += 1
    shift, last = np.uint64(64 - bits), (1 << bits) - 1
    table = np.full(1 << bits, -1, dtype=np.int32)
    of, key = np.full(n, -1), np.empty(n, dtype=np.int64)
    n_groups = 0
    for i in range(n):
        if keys[i] < 0:
            continue
        place = np.int64((np.uint64(keys[i]) * _GOLDEN) >> shift)
        while table[place] >= 0 and key[table[place]] != keys[i]:
            place = (place + 1) & last
        if table[place] < 0:
            table[place] = n_groups
            key[n_groups] = keys[i]
            n_groups += 1
        of[i] = table[place]
    return Groups(of, key[:n_groups])


@kernel
def group_few(keys: NDArray[np.int64], n_keys: int) -> Groups:
    """Group items as `group` does, with a table of all keys from 0 to `n_keys` − 1: quicker where that is small."""
    table = np.full(n_keys, -1, dtype=np.int32)
    of, key = np.empty(len(keys), dtype=np.int64), np.empty(min(len(keys), n_keys), dtype=np.int64)
    n_groups = 0
    for i in range(len(keys)):
        if keys[i] < 0:
            of[i] = -1
            continue
        if table[keys[i]] < 0:
            table[keys[i]] = n_groups
            key[n_groups] = keys[i]
            n_groups += 1
        of[i] = table[keys[i]]
    return Groups(of, key[:n_groups])
