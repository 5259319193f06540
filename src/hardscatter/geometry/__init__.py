"""The (eta, phi) cylinder: angles, neighbours on a wrapped grid, grid-median energy density."""

from hardscatter.geometry.angles import delta_phi, delta_r, wrap_phi

__all__ = ["delta_phi", "delta_r", "wrap_phi"]
