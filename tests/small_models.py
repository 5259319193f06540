"""Networks as they come from the exporter, with random parameters, made once for all tests of a process."""

from __future__ import annotations

import functools
import json
import tempfile
from pathlib import Path

import numpy as np
import onnx
import torch

from hardscatter.nets.abcnet import ABCNet, AttentionSettings
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
    return ABCNet(getattr(AttentionSettings, name)(), len(DEFAULT_SCHEMA)).eval()


@functools.cache
def exported(name):
    """Return the content of the .onnx file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        export_onnx(network(name), path, DEFAULT_SCHEMA, metadata=ABOUT, sizes=(0, 1, 20), say=lambda _: None)
        return path.read_bytes()


def by_hand(slope, offset, k=4, schema=DEFAULT_SCHEMA):
    """Return the content of an .onnx file made by hand: w = σ(slope · x_0 + offset + η + share of neighbours)."""
    make, number = onnx.helper.make_node, onnx.numpy_helper.from_array
    constants = {
        "first": np.array(0), "slope": np.float32(slope), "offset": np.float32(offset), "nobody": np.array(-1),
        "along": np.array([1]),
    }  # fmt: skip
    nodes = [
        make("Gather", ["features", "first"], ["x"], axis=1),
        make("Gather", ["coordinates", "first"], ["eta"], axis=1),
        make("Greater", ["neighbours", "nobody"], ["there"]),
        make("Cast", ["there"], ["counted"], to=onnx.TensorProto.FLOAT),
        make("ReduceMean", ["counted", "along"], ["share"], keepdims=0),
        make("Mul", ["slope", "x"], ["sloped"]),
        make("Sum", ["sloped", "offset", "eta", "share"], ["logit"]),
        make("Sigmoid", ["logit"], ["weights"]),
    ]
    real, whole = onnx.TensorProto.FLOAT, onnx.TensorProto.INT64
    inputs = {"features": (real, len(schema)), "coordinates": (real, 3), "neighbours": (whole, k)}
    graph = onnx.helper.make_graph(
        nodes,
        "by hand",
        [onnx.helper.make_tensor_value_info(name, kind, ["n", width]) for name, (kind, width) in inputs.items()],
        [onnx.helper.make_tensor_value_info("weights", real, ["n"])],
        [number(np.asarray(value), name) for name, value in constants.items()],
    )
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 20)], ir_version=10)
    about = {"schema": schema.to_json(), "schema_hash": schema.hash(), "settings": json.dumps({"k": k})}
    onnx.helper.set_model_props(model, {**ABOUT, **about})
    return model.SerializeToString()
