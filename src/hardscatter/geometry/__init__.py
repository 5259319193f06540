"""The (eta, phi) cylinder: angles, neighbours on a wrapped grid, tiles and the background density."""

from hardscatter.geometry.angles import delta_phi, delta_r, wrap_phi
from hardscatter.geometry.nearest import NO_NEIGHBOUR, nearest
from hardscatter.geometry.neighbours import neighbours_within
from hardscatter.geometry.tiles import Background, Tiles, grid_median

__all__ = [
    "NO_NEIGHBOUR",
    "Background",
    "Tiles",
    "delta_phi",
    "delta_r",
    "grid_median",
    "nearest",
    "neighbours_within",
    "wrap_phi",
]
