"""How kernels are compiled: once, for one crossing at a time, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from numba import njit

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function over NumPy arrays with Numba; the machine code is kept on disk for the next process."""
    compiled: F = njit(nogil=True, cache=True)(function)
    return compiled


def quick_kernel(function: F) -> F:
    """Compile like `kernel`, with the order of sums left to the compiler: they become vector instructions."""
    compiled: F = njit(nogil=True, cache=True, fastmath=True)(function)
    return compiled
