"""The physics case: samples, what is recorded of them chunk by chunk, and the studies made of the records."""

from hardscatter.campaign.plan import full_plan, own_plan, quick_plan
from hardscatter.campaign.recording import Job, record
from hardscatter.campaign.samples import FromFile, Sample, Simulated

__all__ = [
    "FromFile",
    "Job",
    "Sample",
    "Simulated",
    "full_plan",
    "own_plan",
    "quick_plan",
    "record",
]
