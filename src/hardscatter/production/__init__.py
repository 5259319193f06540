"""Productions: many files in, many parts out, on one machine or a cluster, and a manifest that proves what is there."""

from __future__ import annotations

from hardscatter.production.chain import Chain, chain
from hardscatter.production.inputs import files_of, parts_of
from hardscatter.production.run import Order, Produced, produce, produce_from_files, verify
from hardscatter.production.verbs import mitigate_files, simulate_files
from hardscatter.production.works import Mitigation, Simulation

__all__ = [
    "Chain",
    "Mitigation",
    "Order",
    "Produced",
    "Simulation",
    "chain",
    "files_of",
    "mitigate_files",
    "parts_of",
    "produce",
    "produce_from_files",
    "simulate_files",
    "verify",
]
