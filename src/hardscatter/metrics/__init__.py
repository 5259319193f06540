"""Numbers: response, resolution, bias, efficiency, fakes, missing momentum, and their errors."""

from hardscatter.metrics.evaluation import Evaluation, evaluate
from hardscatter.metrics.observations import JET_STUDIES, JetStudy, Observations, join, observe
from hardscatter.metrics.resolution import ResolutionTable, against_no_pileup, observe_all, resolution, summarise
from hardscatter.metrics.statistics import Estimate

__all__ = [
    "JET_STUDIES",
    "Estimate",
    "Evaluation",
    "JetStudy",
    "Observations",
    "ResolutionTable",
    "against_no_pileup",
    "evaluate",
    "join",
    "observe",
    "observe_all",
    "resolution",
    "summarise",
]
