"""Students as ONNX graphs, in floating point and in integers: ``inputs`` (N, F) float32 to ``weights`` (N,) float32.

The integer graph computes in double precision with whole numbers far below 2^53: nothing in it is ever rounded but
where the integer model rounds, so that it gives the same bits on every machine.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime  # type: ignore[import-untyped, unused-ignore]
import torch
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from hardscatter.errors import SettingsError
from hardscatter.nets.student import StudentNetwork
from hardscatter.pileup.student import KIND, Input
from hardscatter.trigger import Format, IntegerModel

TOLERANCE = 1e-5
_OPSET, _IR = 17, 8  # of 2022: any ONNX Runtime that is in use reads them
_EXACT = 2**53


def export_student(
    network: StudentNetwork, path: Path, inputs: Sequence[Input], metadata: Mapping[str, str] | None = None
) -> float:
    """Write a student as ONNX; return the largest difference to torch of any weight of made-up inputs.

    Raises
    ------
    SettingsError
        If it is above 10⁻⁵; nothing is written then.
    """
    graph = _Graph()
    x = "inputs"
    layers = network.linear()
    for i, layer in enumerate(layers):
        weight, bias = (p.detach().numpy().astype(np.float32) for p in (layer.weight, layer.bias))
        x = graph.add("Gemm", x, graph.constant(weight), graph.constant(bias), transB=1)
        if i < len(layers) - 1:
            x = graph.add("Relu", x)
    graph.add("Clip", graph.squeezed(x), graph.constant(np.float32(0)), graph.constant(np.float32(1)), output="weights")
    model = graph.model(len(inputs))
    tried = _made_up(len(inputs))
    with torch.no_grad():
        ours = network(torch.from_numpy(tried)).numpy()
    largest = float(np.abs(_run(model, tried) - ours).max())
    if not largest <= TOLERANCE:
        raise SettingsError(f"export: ONNX Runtime's weights differ from torch's by {largest:.2g}: nothing is written.")
    _save(model, path, {**(metadata or {}), **_about(inputs), "largest_difference": f"{largest:.3g}"})
    return largest


def export_integers(model: IntegerModel, path: Path, inputs: Sequence[Input]) -> None:
    """Write an integer model as ONNX: real inputs, rounded as the model rounds them, integers from there on.

    Raises
    ------
    SettingsError
        If a sum could leave the integers that double precision holds, or the graph gives other bits than the model.
    """
    for i, layer in enumerate(model.layers):
        if 2**layer.accumulator.width >= _EXACT:
            raise SettingsError(f"export: sums of layer {i} need {layer.accumulator.width} bits, a double holds 53.")
    graph = _Graph()
    x = graph.add("Cast", "inputs", to=TensorProto.DOUBLE)
    x = graph.rounded(x, 2.0**model.input_format.fraction, model.input_format)
    for layer in model.layers:
        shift = layer.fraction - layer.bias_format.fraction
        weights, biases = layer.weights.T.astype(np.float64), np.ldexp(layer.biases.astype(np.float64), shift)
        x = graph.add("Add", graph.add("MatMul", x, graph.constant(weights)), graph.constant(biases))
        x = graph.rounded(x, 2.0 ** (layer.result_format.fraction - layer.fraction), layer.result_format)
    x = graph.add("Mul", x, graph.constant(np.float64(model.output_format.step)))
    graph.add("Cast", graph.squeezed(x), output="weights", to=TensorProto.FLOAT)
    made = graph.model(len(inputs))
    tried = _made_up(len(inputs))
    if not np.array_equal(_run(made, tried), model.weights(tried).astype(np.float32)):
        raise SettingsError("export: the graph of the integer model gives other bits than the model.")
    _save(made, path, _about(inputs))


class _Graph:
    """A graph in the making."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def constant(self, value: Any) -> str:
        name = f"c{len(self._constants)}"
        self._constants.append(numpy_helper.from_array(np.asarray(value), name))
        return name

    def add(self, kind: str, *given: str, output: str = "", **attributes: Any) -> str:
        name = output or f"x{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, given, [name], **attributes))
        return name

    def rounded(self, x: str, factor: float, form: Format) -> str:
        """Add ⌊x · factor + ½⌋ cut off at the ends of a format; the factor is a power of two, and so exact."""
        scaled = self.add("Mul", x, self.constant(np.float64(factor)))
        whole = self.add("Floor", self.add("Add", scaled, self.constant(np.float64(0.5))))
        return self.add("Clip", whole, self.constant(np.float64(form.lowest)), self.constant(np.float64(form.highest)))

    def squeezed(self, x: str) -> str:
        return self.add("Squeeze", x, self.constant(np.array([1], dtype=np.int64)))

    def model(self, n_inputs: int) -> onnx.ModelProto:
        takes = helper.make_tensor_value_info("inputs", TensorProto.FLOAT, ["n", n_inputs])
        gives = helper.make_tensor_value_info("weights", TensorProto.FLOAT, ["n"])
        graph = helper.make_graph(self._nodes, "student", [takes], [gives], self._constants)
        made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", _OPSET)], ir_version=_IR)
        onnx.checker.check_model(made)
        return made


def _about(inputs: Sequence[Input]) -> dict[str, str]:
    return {"kind": KIND, "inputs": json.dumps([dataclasses.asdict(column) for column in inputs])}


def _run(model: onnx.ModelProto, inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    weights: NDArray[np.float32] = session.run(["weights"], {"inputs": inputs})[0]
    return weights


def _made_up(n_inputs: int) -> NDArray[np.float32]:
    return np.random.default_rng(1).uniform(0, 2, size=(2000, n_inputs)).astype(np.float32)


def _save(model: onnx.ModelProto, path: Path, about: Mapping[str, str]) -> None:
    helper.set_model_props(model, dict(about))
    aside = path.with_name(f".{path.name}.part")
    aside.write_bytes(model.SerializeToString())
    aside.replace(path)
