"""How many threads hardscatter uses, and the one pool that runs kernels over crossings.

Kernels are serial per crossing and release the GIL; parallel means several crossings at once. Numba's own
threading layers abort after a fork or under nested threads, so none of them is used.
"""

from __future__ import annotations

import math
import os
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

from hardscatter.errors import SettingsError

_threads: int | None = None
_pool = threading.local()


def set_threads(n: int) -> None:
    """Use `n` threads over crossings from now on (1 inside worker processes).

    Raises
    ------
    SettingsError
        If `n` is below 1.
    """
    global _threads
    if n < 1:
        raise SettingsError(f"set_threads({n}): the number of threads must be at least 1.")
    _threads = int(n)


def threads() -> int:
    """Return the number of threads in use: what `set_threads` said, else the cores this process may use."""
    if _threads is not None:
        return _threads
    if hasattr(os, "sched_getaffinity"):  # what a batch system grants, not what the machine has
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def over_crossings(kernel: Callable[[int, int], object], n_events: int) -> None:
    """Call `kernel(first, last)` over contiguous ranges that cover `n_events`, several ranges at once.

    The result does not depend on the number of threads: each crossing is computed on its own. Within a kernel that
    runs in the pool, this function opens no second pool.
    """
    workers = 1 if getattr(_pool, "inside", False) else min(threads(), n_events)
    if workers <= 1:
        if n_events:
            kernel(0, n_events)
        return
    edges = _shrinking(n_events, workers)
    with ThreadPoolExecutor(workers, initializer=_enter_pool) as pool:
        list(pool.map(kernel, edges[:-1], edges[1:]))


def _shrinking(n_events: int, workers: int) -> list[int]:
    """Return the edges of ranges each of which takes half of a thread's share of the rest.

    Few ranges in all, and single crossings at the end: no thread waits long for the last one, though crossings differ
    in size and other work disturbs some threads.
    """
    edges = [0]
    while edges[-1] < n_events:
        edges.append(edges[-1] + math.ceil((n_events - edges[-1]) / (2 * workers)))
    return edges


def _enter_pool() -> None:
    _pool.inside = True
