"""A small feed-forward network in integers, as an FPGA computes it: the same bits on every machine.

With input integers x of format F_x, a layer of weights w (F_w) and biases b (F_b) gives

    a_j = Σ_i w_ji x_i + b_j · 2^(f_w + f_x − f_b),   y_j = round_sat(a_j → F_y),

where f is the number of bits behind the point. The sum is exact: it is held in `Layer.accumulator`, which is wide
enough for any input. A result format without a sign makes the layer a ReLU, for what is negative goes to 0; that of
the last layer, without a sign and without a bit in front of the point, clips to [0, 1): no table of a logistic
function is needed, and nothing is left to how a compiler rounds one.
"""

from __future__ import annotations

import dataclasses
import json
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import TypeAdapter, ValidationError

from hardscatter.errors import UnreadableFileError
from hardscatter.io.faults import check_stored
from hardscatter.trigger.fixed import WIDEST, Format, quantise, requantise, to_real

_KIND = "hardscatter integer model"
_VERSION = 1
_DOUBLE = 53
"""Bits of the widest whole numbers all of which a double holds."""


@dataclasses.dataclass(frozen=True, eq=False)
class Layer:
    """A dense layer in integers; see the module. A weight of 0 costs nothing: that is what pruning makes."""

    weights: NDArray[np.int64]
    """Shape (outputs, inputs), integers of `weight_format`."""
    biases: NDArray[np.int64]
    """Shape (outputs,), integers of `bias_format`."""
    input_format: Format
    weight_format: Format
    bias_format: Format
    """Its bits behind the point are at most those of a product, so that it is added exactly."""
    result_format: Format

    def __post_init__(self) -> None:
        if self.weights.ndim != 2 or self.biases.shape != self.weights.shape[:1]:
            raise ValueError(f"weights {self.weights.shape} and biases {self.biases.shape} are no dense layer.")
        for name, values, form in (
            ("weights", self.weights, self.weight_format),
            ("biases", self.biases, self.bias_format),
        ):
            if values.dtype != np.int64 or (values < form.lowest).any() or (values > form.highest).any():
                raise ValueError(f"{name} of a layer are no integers of {form}.")
            values.setflags(write=False)
        if self.bias_format.fraction > self.fraction:
            raise ValueError(f"biases of {self.bias_format} are finer than the products of a layer.")
        if self.accumulator.width > WIDEST:
            raise ValueError(f"a layer needs a sum of {self.accumulator.width} bits: {WIDEST} is the most.")

    @property
    def fraction(self) -> int:
        """Bits behind the point of a product, and so of the sum."""
        return self.weight_format.fraction + self.input_format.fraction

    @cached_property
    def accumulator(self) -> Format:
        """The narrowest signed format that holds the sum, and every part of it, of any input of the format."""
        shift = self.fraction - self.bias_format.fraction
        largest_input = max(-self.input_format.lowest, self.input_format.highest)
        # Python's integers: the bound itself must not overflow.
        bound = max(
            largest_input * sum(abs(int(w)) for w in row) + (abs(int(b)) << shift)
            for row, b in zip(self.weights, self.biases, strict=True)
        )
        width = bound.bit_length() + 1
        return Format(width, width - self.fraction, signed=True)

    def __call__(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the results, shape (N, outputs), of inputs, shape (N, inputs)."""
        if self.accumulator.width <= _DOUBLE:  # whole numbers all along: doubles hold every sum, and multiply faster
            sums = (x.astype(np.float64) @ self.weights.T.astype(np.float64)).astype(np.int64)
        else:
            sums = x @ self.weights.T
        sums = sums + (self.biases << (self.fraction - self.bias_format.fraction))
        return requantise(sums, self.fraction, self.result_format)


@dataclasses.dataclass(frozen=True, eq=False)
class IntegerModel:
    """A feed-forward network in integers, one output; see the module.

    Its inputs are real numbers near 1, already transformed as the float model's are (`inputs` names them in their
    order); `quantised` makes integers of them, `integers` does all arithmetic.
    """

    inputs: tuple[str, ...]
    """Names of the input columns."""
    layers: tuple[Layer, ...]

    def __post_init__(self) -> None:
        if not self.layers or len(self.inputs) != self.layers[0].weights.shape[1]:
            raise ValueError("an integer model needs a layer that takes as many numbers as it has inputs.")
        for one, two in pairwise(self.layers):
            if one.result_format != two.input_format or len(one.weights) != two.weights.shape[1]:
                raise ValueError("a layer of an integer model does not take what the one before it gives.")
        if len(self.layers[-1].weights) != 1:
            raise ValueError("the last layer of an integer model must have one output.")

    @property
    def input_format(self) -> Format:
        """The format of all inputs."""
        return self.layers[0].input_format

    @property
    def output_format(self) -> Format:
        """The format of the output."""
        return self.layers[-1].result_format

    @property
    def parameters(self) -> int:
        """Number of weights and biases, pruned ones too."""
        return sum(layer.weights.size + layer.biases.size for layer in self.layers)

    @property
    def multiplications(self) -> int:
        """Number of products a candidate costs: one a weight that is not 0."""
        return sum(int(np.count_nonzero(layer.weights)) for layer in self.layers)

    def quantised(self, x: NDArray[np.float32]) -> NDArray[np.int64]:
        """Return the input integers, shape (N, inputs), of real inputs of that shape; a NaN raises ValueError."""
        return quantise(x, self.input_format)

    def integers(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the output integers, shape (N,), of input integers, shape (N, inputs).

        Raises
        ------
        ValueError
            If inputs are not integers of the input format, or not as many as the model has.
        """
        form = self.input_format
        if x.ndim != 2 or x.shape[1] != len(self.inputs):
            raise ValueError(f"inputs have shape {x.shape}, the integer model takes (N, {len(self.inputs)}).")
        if x.size and (x.min() < form.lowest or x.max() > form.highest):
            raise ValueError(f"inputs are not integers of {form}: make them with quantised().")
        for layer in self.layers:
            x = layer(x)
        return x[:, 0]

    def weights(self, x: NDArray[np.float32]) -> NDArray[np.float64]:
        """Return the real outputs, shape (N,), of real inputs, shape (N, inputs)."""
        return to_real(self.integers(self.quantised(x)), self.output_format)


def write_model(model: IntegerModel, path: Path) -> None:
    """Write an integer model as JSON: every integer and every format, nothing to be computed."""
    layers = [
        {
            "weights": layer.weights.tolist(),
            "biases": layer.biases.tolist(),
            **{name: dataclasses.asdict(getattr(layer, name)) for name in _FORMATS},
        }
        for layer in model.layers
    ]
    content = {"kind": _KIND, "version": _VERSION, "inputs": model.inputs, "layers": layers}
    aside = path.with_name(f".{path.name}.part")
    aside.write_text(json.dumps(content, separators=(",", ":")) + "\n", encoding="utf-8")
    aside.replace(path)


def read_model(path: Path) -> IntegerModel:
    """Read what `write_model` wrote.

    Raises
    ------
    UnreadableFileError
        If there is no such file, or its content is no integer model.
    """
    check_stored(path)
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        if content["kind"] != _KIND or content["version"] != _VERSION:
            raise ValueError("another kind or version")
        return IntegerModel(tuple(map(str, content["inputs"])), tuple(map(_layer, content["layers"])))
    except (OSError, ValueError, TypeError, KeyError, OverflowError, RecursionError, ValidationError) as problem:
        reason = str(problem).partition("\n")[0]
        raise UnreadableFileError(f"{path} holds no integer model ({reason}): write it again.") from None


_FORMATS = ("input_format", "weight_format", "bias_format", "result_format")


def _layer(content: dict[str, Any]) -> Layer:
    formats = {name: TypeAdapter(Format).validate_python(content[name]) for name in _FORMATS}
    return Layer(_whole(content["weights"]), _whole(content["biases"]), **formats)


def _whole(values: list[Any]) -> NDArray[np.int64]:
    numbers = np.array(values)
    if numbers.dtype != np.int64:
        raise ValueError("a weight that is no integer")
    return numbers
