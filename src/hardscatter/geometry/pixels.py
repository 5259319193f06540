"""Pixels that tile the (eta, phi) cylinder: a crossing as an image whose left edge is its right one.

n_phi columns go around; rows are as high as columns are wide, a = 2π / n_phi, and lie evenly about eta = 0, so that an
image mirrored or turned by whole pixels is the image of the mirrored or turned crossing. They reach to |eta| = 5; what
lies further out belongs to the outermost row.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI
from hardscatter.geometry.nearest import NO_NEIGHBOUR
from hardscatter.threads import over_crossings

ETA_MAX = 5.0


def pixel_rows(n_phi: int) -> int:
    """Return the number of rows, 2 ⌈5 / a⌉ with a = 2π / n_phi: 102 for 64 columns."""
    return 2 * math.ceil(ETA_MAX * n_phi / TWO_PI)


def pixel_of(eta: NDArray[np.floating], phi: NDArray[np.floating], n_phi: int) -> NDArray[np.int64]:
    """Return the pixel of every point, row · n_phi + column.

    Parameters
    ----------
    eta, phi
        Any finite eta and phi in rad, [−π, π), of one shape.
    n_phi
        Columns, at least 1.

    Returns
    -------
    NDArray[np.int64]
        Of the same shape, from 0 to `pixel_rows` (n_phi) · n_phi − 1.
    """
    per_unit, n_rows = n_phi / TWO_PI, pixel_rows(n_phi)
    # Clipped in floating point: a far-away eta must not overflow the integer, nor phi rounded up to π leave the image.
    row = np.clip(np.floor(np.asarray(eta, dtype=np.float64) * per_unit) + n_rows // 2, 0, n_rows - 1)
    column = np.clip(np.floor((np.asarray(phi, dtype=np.float64) + math.pi) * per_unit), 0, n_phi - 1)
    return np.asarray(row * n_phi + column, dtype=np.int64)


def pixel_patches(
    eta: NDArray[np.floating],
    phi: NDArray[np.floating],
    pt: NDArray[np.floating],
    offsets: NDArray[np.int64],
    n_phi: int = 64,
    reach: int = 2,
) -> NDArray[np.int64]:
    """Return, for every candidate, who stands for each of the pixels in the patch around its own.

    A pixel is represented by its hardest candidate, the first of those of equal pt.

    Parameters
    ----------
    eta, phi, pt
        All candidates of all crossings, flat, shape (N,); phi in rad, [−π, π).
    offsets
        Where each crossing starts in the flat arrays, and N at the end: shape (crossings + 1,).
    n_phi
        Pixels around in phi; they are as high in eta, see the module.
    reach
        Pixels from the middle of the patch to its edge; the patch may not meet itself around phi.

    Returns
    -------
    NDArray[np.int64]
        Indices into the flat arrays, shape (N, (2 reach + 1)²): row by row with rising eta, in a row with rising phi,
        across ±π too. −1 where a pixel is empty or lies beyond |eta| = 5. The middle is never empty.

    Raises
    ------
    SettingsError
        If the patch is wider than the image, lengths disagree, or a coordinate is not finite or phi not in [−π, π).
    """
    if reach < 0 or 2 * reach + 1 > n_phi:
        raise SettingsError(f"pixel_patches: reach is {reach}; it must be at least 0 and 2 reach + 1 at most {n_phi}.")
    eta, phi, pt = (np.ascontiguousarray(column, dtype=np.float64) for column in (eta, phi, pt))
    offsets = np.ascontiguousarray(offsets, dtype=np.int64)
    if not len(eta) == len(phi) == len(pt) or not len(offsets) or offsets[0] != 0 or offsets[-1] != len(eta):
        raise SettingsError("pixel_patches: give one eta, phi and pt a candidate, and offsets from 0 to their number.")
    if not np.isfinite(eta).all():
        raise SettingsError("pixel_patches: eta holds a number that is not finite.")
    if not ((phi >= -math.pi) & (phi < math.pi)).all():
        raise SettingsError("pixel_patches: phi must lie in [−π, π): wrap it first (hardscatter.geometry.wrap_phi).")
    pixel, n_rows = pixel_of(eta, phi, n_phi), pixel_rows(n_phi)
    patches = np.empty((len(eta), (2 * reach + 1) ** 2), dtype=np.int64)

    def run(first: int, last: int) -> None:
        _fill(first, last, offsets, pixel, pt, n_rows, n_phi, reach, patches)

    over_crossings(run, len(offsets) - 1)
    return patches


@kernel
def _fill(
    first_crossing: int,
    last_crossing: int,
    offsets: NDArray[np.int64],
    pixel: NDArray[np.int64],
    pt: NDArray[np.float64],
    n_rows: int,
    n_phi: int,
    reach: int,
    patches: NDArray[np.int64],
) -> None:
    hardest = np.empty(n_rows * n_phi, dtype=np.int64)
    for crossing in range(first_crossing, last_crossing):
        hardest[:] = NO_NEIGHBOUR
        for i in range(offsets[crossing], offsets[crossing + 1]):
            before = hardest[pixel[i]]
            if before == NO_NEIGHBOUR or pt[i] > pt[before]:
                hardest[pixel[i]] = i
        for i in range(offsets[crossing], offsets[crossing + 1]):
            row, column = pixel[i] // n_phi, pixel[i] % n_phi
            slot = 0
            for up in range(row - reach, row + reach + 1):
                for across in range(column - reach, column + reach + 1):
                    inside = 0 <= up < n_rows
                    patches[i, slot] = hardest[up * n_phi + across % n_phi] if inside else NO_NEIGHBOUR
                    slot += 1
