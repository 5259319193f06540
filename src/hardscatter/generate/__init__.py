"""Proton collisions: Pythia processes, libraries of them on disk, and HepMC files."""

from hardscatter.generate.build import build, excerpt
from hardscatter.generate.collisions import Ancestry, Collisions, Role
from hardscatter.generate.generation import Generation
from hardscatter.generate.hepmc import iterate_hepmc, read_hepmc
from hardscatter.generate.library import Library, cache_folder, library_folder
from hardscatter.generate.processes import processes

__all__ = [
    "Ancestry",
    "Collisions",
    "Generation",
    "Library",
    "Role",
    "build",
    "cache_folder",
    "excerpt",
    "iterate_hepmc",
    "library_folder",
    "processes",
    "read_hepmc",
]
