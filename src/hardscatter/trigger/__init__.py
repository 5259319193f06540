"""What runs at 40 MHz: exact fixed-point arithmetic, and small networks in it."""

from hardscatter.trigger.fixed import Format, quantise, requantise, to_real
from hardscatter.trigger.integer import IntegerModel, Layer, read_model, write_model

__all__ = [
    "Format",
    "IntegerModel",
    "Layer",
    "quantise",
    "read_model",
    "requantise",
    "to_real",
    "write_model",
]
