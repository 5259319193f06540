"""How kernels are compiled: once, for one crossing at a time, without the GIL."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from numba import njit
from numba.core import entrypoints
from numba.core.compiler_lock import global_compiler_lock

F = TypeVar("F", bound=Callable[..., object])


def kernel(function: F) -> F:
    """Compile a function over NumPy arrays with Numba; the machine code is kept on disk for the next process.

    Sums keep their order also where a `quick_kernel` calls it: left unsaid, that would be inherited from the caller.
    """
    compiled: F = _without_extensions(njit(nogil=True, cache=True, fastmath=False)(function))
    return compiled


def quick_kernel(function: F) -> F:
    """Compile like `kernel`, with the order of sums left to the compiler: they become vector instructions."""
    compiled: F = _without_extensions(njit(nogil=True, cache=True, fastmath=True)(function))
    return compiled


def lane_kernel(function: F) -> F:
    """Compile like `kernel`, but x/0 is inf or NaN: looking for zeros needs a branch, and a loop with one no lanes."""
    compiled: F = _without_extensions(njit(nogil=True, cache=True, fastmath=False, error_model="numpy")(function))
    return compiled


def _without_extensions(dispatcher: Any) -> Any:
    """Let Numba load a kernel without what other packages add to its compiler.

    Before it loads its first function, Numba imports these additions: with vector's come SymPy and half a second.
    Kernels take plain arrays and need none. They are there, as ever, for the first function that is not a kernel of
    ours. A Numba whose private names differ loads them at once.
    """
    load = dispatcher.compile

    def compile_plainly(signature: Any) -> Any:
        with global_compiler_lock:  # nobody else compiles meanwhile
            loaded = getattr(entrypoints, "_already_initialized", False)
            entrypoints._already_initialized = True
            try:
                return load(signature)
            finally:
                entrypoints._already_initialized = loaded

    dispatcher.compile = compile_plainly
    dispatcher._compilation_chain_init_hook = lambda: None
    return dispatcher
