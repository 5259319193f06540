"""Between jagged awkward arrays and the flat NumPy arrays that kernels want."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray


def flat(jagged: ak.Array, dtype: Any = None) -> NDArray[Any]:
    """Return all values of a jagged array in one contiguous NumPy array, for kernels."""
    values = ak.to_numpy(ak.flatten(jagged, axis=1), allow_missing=False)
    return np.ascontiguousarray(values, dtype=dtype)


def offsets_of(jagged: ak.Array) -> NDArray[np.int64]:
    """Return where each event starts in the flat array, and the total at the end: shape (events + 1,)."""
    offsets = np.zeros(len(jagged) + 1, dtype=np.int64)
    np.cumsum(ak.to_numpy(ak.num(jagged, axis=1)), out=offsets[1:])
    return offsets


def jagged_like(values: NDArray[Any], like: ak.Array) -> ak.Array:
    """Return flat `values` with the event structure of the jagged array `like`."""
    return ak.unflatten(values, ak.num(like, axis=1))
