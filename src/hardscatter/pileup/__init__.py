"""Pileup mitigation: one file a method, all with one interface."""

from hardscatter.pileup.files import mitigate_file
from hardscatter.pileup.method import Entry, Method, get_method, methods, mitigate, one_of_each, perfect_weights
from hardscatter.pileup.uncertainty import weight_errors

__all__ = [
    "Entry",
    "Method",
    "get_method",
    "methods",
    "mitigate",
    "mitigate_file",
    "one_of_each",
    "perfect_weights",
    "weight_errors",
]
