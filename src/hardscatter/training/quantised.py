"""Quantisation-aware training: a student learns with the numbers that an FPGA will compute with.

Weights, inputs and what each layer gives are rounded to `hardscatter.trigger.Format` in the forward pass, by PyTorch's
own ``fake_quantize_per_tensor_affine``: scale and ends are those of the format, so that what is trained is what
`IntegerModel` computes. The gradient passes as if nothing had been rounded, and stops where a number is cut off.
PyTorch rounds halves to even, the hardware up: at ties alone, and the integers that are shipped decide. The weights
that are smallest in size are pruned step by step while the training goes on (Zhu and Gupta, arXiv:1710.01878).

Why PyTorch's own: it is kept with the library that trains, takes scale and ends as given, and brings no other package.
Brevitas learns the scales, of which a power of two leaves one sensible choice; it also asks for another setuptools.
HGQ2 searches the width of every single weight, and brings Keras.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Annotated

import numpy as np
import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.nets.student import StudentNetwork, clip
from hardscatter.training.distillation import Distillation, Drawn, Lessons, teach_candidates, teach_crossings
from hardscatter.trigger import Format, IntegerModel, Layer

_Width = Annotated[int, Field(ge=2, le=16)]
_REST = 1e-3
"""Share of values that the range of a hidden layer leaves out."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Bits:
    """Widths of the numbers of an integer model, and how many of its weights are 0.

    Parameters
    ----------
    inputs
        One bit in front of the point, no sign.
    weights
        With a sign; the point lies where a layer's largest weight asks for it.
    hidden
        What a layer gives, no sign; the point lies where all but a thousandth of its values fit.
    output
        Behind the point: the weight of a candidate comes in steps of 2^−output.
    sparsity
        Share of all weights that is pruned.
    """

    inputs: _Width = 9
    weights: _Width = 6
    hidden: _Width = 8
    output: _Width = 8
    sparsity: Annotated[float, Field(ge=0, lt=1)] = 0.0


class QuantisedStudent(nn.Module):
    """A student whose numbers are rounded to formats; starts from a trained network and some of its inputs (N, F)."""

    def __init__(self, network: StudentNetwork, inputs: Tensor, bits: Bits) -> None:
        super().__init__()
        self.bits = bits
        layers = [_copy(layer) for layer in network.linear()]
        self.layers = nn.ModuleList(layers)
        self.input_format = Format(bits.inputs, 1, signed=False)
        self.weight_formats: list[Format] = []
        self.result_formats: list[Format] = []
        x = inputs
        with torch.no_grad():
            for layer in layers[:-1]:
                x = torch.relu(layer(x))
                largest = torch.quantile(x.flatten()[: 2**23], 1 - _REST).item()
                self.result_formats.append(Format(bits.hidden, _integer_bits(largest), signed=False))
        self.result_formats.append(Format(bits.output, 0, signed=False))
        for i, layer in enumerate(layers):
            largest = layer.weight.detach().abs().max().item()
            self.weight_formats.append(Format(bits.weights, _integer_bits(largest) + 1))
            self.register_buffer(f"mask_{i}", torch.ones_like(layer.weight))

    def prune(self, sparsity: float) -> None:
        """Set that share of all weights to 0 for good: the smallest, each against the largest of its layer."""
        weights = [layer.weight.detach() for layer in self._linear()]
        sizes = [(weight * self._mask(i)).abs() / weight.abs().max() for i, weight in enumerate(weights)]
        cut = torch.quantile(torch.cat([size.flatten() for size in sizes]), sparsity)
        for i, size in enumerate(sizes):
            self._mask(i).copy_(size > cut)

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights (N,) of inputs (N, F), all numbers rounded."""
        x = rounded(x, self.input_format)
        for i, layer in enumerate(self._linear()):
            weight = rounded(layer.weight, self.weight_formats[i]) * self._mask(i)
            x = nn.functional.linear(x, weight, layer.bias)
            if i < len(self.layers) - 1:
                x = rounded(x, self.result_formats[i])
        return rounded(clip(x.squeeze(1)), self.result_formats[-1], pass_ends=True)

    def integer_model(self, names: tuple[str, ...]) -> IntegerModel:
        """Return the same in integers; `names` are those of the inputs."""
        layers, takes = [], self.input_format
        for i, layer in enumerate(self._linear()):
            form = self.weight_formats[i]
            weight = torch.round(layer.weight.detach().double() / form.step) * self._mask(i)
            weights = np.clip(weight.numpy().astype(np.int64), form.lowest, form.highest)
            fraction = form.fraction + takes.fraction
            biases = np.rint(np.ldexp(layer.bias.detach().double().numpy(), fraction)).astype(np.int64)
            width = int(np.abs(biases).max()).bit_length() + 1
            layers.append(Layer(weights, biases, takes, form, Format(width, width - fraction), self.result_formats[i]))
            takes = self.result_formats[i]
        return IntegerModel(names, tuple(layers))

    def _linear(self) -> list[nn.Linear]:
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def _mask(self, i: int) -> Tensor:
        mask: Tensor = self.get_buffer(f"mask_{i}")
        return mask


def rounded(x: Tensor, form: Format, *, pass_ends: bool = False) -> Tensor:
    """Return x rounded to a format and cut off at its ends; with `pass_ends` the gradient passes beyond them, too."""
    near = torch.fake_quantize_per_tensor_affine(x, form.step, 0, form.lowest, form.highest)
    return x + (near - x).detach() if pass_ends else near


def _integer_bits(largest: float) -> int:
    """Return the bits in front of the point that hold numbers up to `largest`."""
    return math.ceil(math.log2(max(largest, 2.0**-8) * (1 + 1e-6)))


def _copy(layer: nn.Linear) -> nn.Linear:
    copy = nn.Linear(layer.in_features, layer.out_features)
    copy.load_state_dict(layer.state_dict())
    return copy


def quantise_student(
    network: StudentNetwork, bits: Bits, settings: Distillation, drawn: Drawn, lessons: Lessons
) -> QuantisedStudent:
    """Return a student taught again in rounded numbers, as many steps as the settings say.

    Both parts again: candidates alone would undo what the second one taught. Pruned is in the first half of the first.
    """
    student = QuantisedStudent(network, drawn.inputs[:100_000].float(), bits)
    steps = settings.steps

    def prune(step: int) -> None:
        if bits.sparsity and step <= steps // 2 and step % _PRUNING == 0:
            student.prune(bits.sparsity * (1 - (1 - step / (steps // 2)) ** 3))

    settings = replace(settings, rate=_RATE, whole_rate=_WHOLE_RATE)
    teach_candidates(student, settings, drawn, on_step=prune)
    if bits.sparsity:
        student.prune(bits.sparsity)
    if settings.whole_steps:
        teach_crossings(student, settings, lessons)
    return student


_RATE, _WHOLE_RATE, _PRUNING = 1e-3, 5e-4, 50
