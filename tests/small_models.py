"""Networks as they come from the exporter, with random parameters, made once for all tests of a process."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import torch

from hardscatter.nets.abcnet import ABCNet, PUNetworkSettings
from hardscatter.nets.export import export_onnx
from hardscatter.pileup.features import DEFAULT_SCHEMA

NAMES = ("paper", "small")
ABOUT = {
    "version": "0.1.0",
    "cards": json.dumps({"cms-phase2": "0123456789abcdef"}),
    "training": json.dumps({"name": "random", "seed": 3}),
}


@functools.cache
def network(name):
    torch.manual_seed(3)
    return ABCNet(getattr(PUNetworkSettings, name)(len(DEFAULT_SCHEMA))).eval()


@functools.cache
def exported(name):
    """Return the content of the .onnx file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(network(name), path, DEFAULT_SCHEMA, metadata=ABOUT, sizes=(0, 1, 20), say=lambda _: None)
        return path.read_bytes()
