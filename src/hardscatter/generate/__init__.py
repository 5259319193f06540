"""Proton collisions: Pythia processes and libraries of them on disk."""

from hardscatter.generate.collisions import Collisions

__all__ = ["Collisions"]
