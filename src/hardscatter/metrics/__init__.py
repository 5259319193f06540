"""Numbers: response, resolution, bias, efficiency, fakes, substructure, missing momentum, and their errors."""

from hardscatter.metrics.calibration import Calibration, Closure, calibration, closure
from hardscatter.metrics.definitions import DESIGN, TALK, Definition, HtStudy, JetStudy, MetStudy, definition_of
from hardscatter.metrics.evaluation import Evaluation, evaluate
from hardscatter.metrics.observations import Observations, join, observe
from hardscatter.metrics.resolution import (
    ResolutionTable,
    against_no_pileup,
    differences,
    observe_all,
    replicas_of,
    resolution,
    summarise,
)
from hardscatter.metrics.statistics import Estimate

__all__ = [
    "DESIGN",
    "TALK",
    "Calibration",
    "Closure",
    "Definition",
    "Estimate",
    "Evaluation",
    "HtStudy",
    "JetStudy",
    "MetStudy",
    "Observations",
    "ResolutionTable",
    "against_no_pileup",
    "calibration",
    "closure",
    "definition_of",
    "differences",
    "evaluate",
    "join",
    "observe",
    "observe_all",
    "replicas_of",
    "resolution",
    "summarise",
]
