"""Rectangular tiles on the cylinder, as FastJet lays them, and what is measured with them.

FastJet's rule (``RectangularGrid``): n_y = max(⌊2 y_max / a + ½⌋, 1) rows and n_φ = ⌊2π / a + ½⌋ columns, φ from 0.
Following it exactly makes rho and SoftKiller agree with the C++ to rounding.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.errors import SettingsError
from hardscatter.geometry.angles import TWO_PI
from hardscatter.threads import over_crossings


@dataclass(frozen=True)
class Tiles:
    """Tiles of about `size` × `size` that cover |y| < `y_max`."""

    size: float
    y_max: float

    def __post_init__(self) -> None:
        if not (self.size > 0 and self.y_max > 0):
            raise SettingsError(f"tiles of size {self.size} up to |y| {self.y_max}: both must be above 0.")

    @property
    def n_rows(self) -> int:
        """Number of tiles in rapidity."""
        return max(int(2 * self.y_max / self.size + 0.5), 1)

    @property
    def n_columns(self) -> int:
        """Number of tiles in azimuth."""
        return max(int(TWO_PI / self.size + 0.5), 1)

    @property
    def n_tiles(self) -> int:
        """Number of tiles in all."""
        return self.n_rows * self.n_columns

    @property
    def area(self) -> float:
        """Area of one tile."""
        return 2 * self.y_max * TWO_PI / self.n_tiles

    def index(self, y: NDArray[np.float64], phi: NDArray[np.float64]) -> NDArray[np.int64]:
        """Return the tile each point lies in, −1 outside; `y` any, `phi` in [−π, π), same shape (points,)."""
        index = np.empty(len(y), dtype=np.int64)
        tiles_of(y, phi, self.n_rows, self.n_columns, self.y_max, index)
        return index


@kernel
def tiles_of(
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    index: NDArray[np.int64],
) -> None:
    """Fill `index` as `Tiles.index` does; without a branch, so that the loop becomes vector instructions."""
    for i in range(len(y)):
        row = math.floor((y[i] + y_max) * (n_rows / (2 * y_max)))
        column = math.floor((phi[i] + TWO_PI if phi[i] < 0 else phi[i]) * (n_columns / TWO_PI))
        column = column if column < n_columns else 0  # rounding at 2π
        index[i] = row * n_columns + column if 0 <= row < n_rows else -1


@dataclass(frozen=True)
class Background:
    """Background density of each crossing: median `rho` and spread `sigma`, GeV, shape (events,)."""

    rho: NDArray[np.float64]
    sigma: NDArray[np.float64]


# FastJet's lower edge of a central 68.27 % interval: sigma is measured on the side that jets do not reach.
_LOWER_EDGE = (1 - 0.6827) / 2


def grid_median(
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    offsets: NDArray[np.int64],
    tiles: Tiles,
) -> Background:
    """Measure the background density of crossings by the median over tiles.

    ρ = median over tiles of (Σ pt in the tile) / (area of the tile); empty tiles count.
    σ = (ρ − q) √area with q the 15.865 % quantile over tiles.

    Parameters
    ----------
    pt, y, phi
        Flat arrays over all candidates: GeV, rapidity (eta for massless ones), rad in [−π, π).
    offsets
        Where each crossing starts, shape (events + 1,). A crossing without candidates has rho 0.
    tiles
        Tile size and reach in rapidity.

    References
    ----------
    Cacciari, Salam, *Pileup subtraction using jet areas*, arXiv:0707.1378; FastJet user manual
    arXiv:1111.6097 section 8.1 (``GridMedianBackgroundEstimator``).
    """
    sums = np.zeros((len(offsets) - 1, tiles.n_tiles))

    def run(first: int, last: int) -> None:
        _add_up(first, last, offsets, pt, y, phi, tiles.n_rows, tiles.n_columns, tiles.y_max, sums)

    over_crossings(run, len(offsets) - 1)
    density = sums / tiles.area
    low, median = np.quantile(density, [_LOWER_EDGE, 0.5], axis=1, method="hazen")  # FastJet's quantile
    return Background(rho=median, sigma=(median - low) * math.sqrt(tiles.area))


@kernel
def _add_up(
    first_event: int,
    last_event: int,
    offsets: NDArray[np.int64],
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    n_rows: int,
    n_columns: int,
    y_max: float,
    sums: NDArray[np.float64],
) -> None:
    """Add the pt of each candidate to that of its tile, in a range of crossings."""
    for event in range(first_event, last_event):
        start, stop = offsets[event], offsets[event + 1]
        tile = np.empty(stop - start, dtype=np.int64)
        tiles_of(y[start:stop], phi[start:stop], n_rows, n_columns, y_max, tile)
        for i in range(stop - start):
            if tile[i] >= 0:
                sums[event, tile[i]] += pt[start + i]
