"""The benchmark of the 2014 pileup workshop: its crossings, its methods, its published numbers beside ours."""

from hardscatter.workshop2014.benchmark import Comparison, Result, Row, compare, published, run
from hardscatter.workshop2014.crossings import SAMPLES, WorkshopStream, particle_level
from hardscatter.workshop2014.methods import METHODS
from hardscatter.workshop2014.puppi import WorkshopPuppi

__all__ = [
    "METHODS",
    "SAMPLES",
    "Comparison",
    "Result",
    "Row",
    "WorkshopPuppi",
    "WorkshopStream",
    "compare",
    "particle_level",
    "published",
    "run",
]
