"""An integer model as a graph of additions and shifts, by da4ml: what it costs, and as Verilog.

A product with a known weight is a sum of shifted inputs, and sums share their parts: so a layer needs no multiplier.
da4ml finds such a graph, counts its cost without any synthesis tool, and runs it bit by bit.

References
----------
da4ml: distributed arithmetic for neural networks, arXiv:2507.04535.
"""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingExtraError, SettingsError
from hardscatter.trigger.fixed import Format, to_real
from hardscatter.trigger.integer import IntegerModel

_WIDEST = 24
"""Bits of a weight that da4ml keeps: it holds them in single precision, and says nothing of those it loses."""
_ADDER, _CARRY = 1, -1
"""Delay is counted in additions, whatever their width."""


class Adders:
    """The graph of a model; `inputs` of its inputs come in, one output goes out."""

    def __init__(self, model: IntegerModel) -> None:
        """Find the graph; raises MissingExtraError without da4ml, SettingsError if weights are wider than 24 bits."""
        try:
            from da4ml.trace import FixedVariableArray, HWConfig, comb_trace
        except ImportError:
            raise MissingExtraError("firmware needs da4ml: pip install 'hardscatter[trigger]'.") from None
        if any(layer.weight_format.width > _WIDEST for layer in model.layers):
            raise SettingsError(f"firmware: a weight has more than {_WIDEST} bits, which da4ml would round: use fewer.")
        shape = (3, len(model.inputs))
        inputs = np.broadcast_to(np.array(_parts(model.input_format), dtype=np.int8)[:, None], shape)
        given = values = FixedVariableArray.from_kif(*inputs, HWConfig(_ADDER, _CARRY, -1))
        for layer in model.layers:
            sums = values @ to_real(layer.weights.T, layer.weight_format) + to_real(layer.biases, layer.bias_format)
            # Not its relu(), which wraps around where a number is too large.
            values = sums.quantize(*_parts(layer.result_format), overflow_mode="SAT", round_mode="RND")
        self._model = model
        self._graph = comb_trace(given, values)

    def integers(self, x: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the output integers, shape (N,), of input integers, shape (N, inputs), as da4ml computes them."""
        if not len(x):
            return np.zeros(0, dtype=np.int64)
        results = np.asarray(self._graph.predict(to_real(x, self._model.input_format)), dtype=np.float64)
        scaled = np.ldexp(results[:, 0], self._model.output_format.fraction)
        whole = scaled.astype(np.int64)
        if (whole != scaled).any():
            raise SettingsError("firmware: da4ml gives numbers between those of the output's format.")
        return whole

    def ports(self) -> dict[str, tuple[int, int]]:
        """Return the lowest and the highest bit of each input in the Verilog's; one that no weight uses has none."""
        ends = np.cumsum([0, *_widths(self._graph.inp_kifs)]).tolist()
        places = zip(self._model.inputs, ends, ends[1:], strict=False)
        return {name: (low, end - 1) for name, low, end in places if end > low}

    def packed_inputs(self, x: NDArray[np.int64]) -> tuple[int, list[int]]:
        """Return how many bits the Verilog's input has, and the number that it is for each candidate."""
        return _packed(x, self._model.input_format, self._graph.inp_kifs)

    def packed_outputs(self, y: NDArray[np.int64]) -> tuple[int, list[int]]:
        """Return how many bits the Verilog's output has, and the number that it is for each candidate."""
        return _packed(y[:, None], self._model.output_format, self._graph.out_kifs)

    def write_verilog(
        self, folder: Path, *, name: str, part: str, clock_period: float, adders_per_stage: int
    ) -> dict[str, Any]:
        """Write the graph as pipelined Verilog; return what da4ml estimates, see the keys."""
        from da4ml.codegen import VerilogModel

        with redirect_stdout(io.StringIO()):
            verilog = VerilogModel(
                self._graph,
                name,
                folder,
                latency_cutoff=adders_per_stage,
                part_name=part,
                clock_period=clock_period,
            )
            written: dict[str, Any] = {}
            verilog.write(written)
        return {
            "luts": round(written["cost"]),
            "flip_flops": int(written["reg_bits"]),
            "stages": int(written["latency"]),
            "additions": sum(op.opcode in (0, 1) for op in self._graph.ops),
            "additions_in_a_row": round(self._graph.latency[1]),
        }


def _parts(form: Format) -> tuple[int, int, int]:
    """Return a format as da4ml has it: sign, bits in front of the point without it, bits behind it."""
    return int(form.signed), form.integer - form.signed, form.fraction


def _packed(x: NDArray[np.int64], form: Format, parts: NDArray[np.int8]) -> tuple[int, list[int]]:
    """Put integers side by side, the first in the lowest bits, each as wide as da4ml wants it and no wider."""
    packed = [0] * len(x)
    shift = 0
    for column, width, fraction in zip(x.T, _widths(parts), parts[2].tolist(), strict=True):
        if width:
            bits = (column >> (form.fraction - fraction)) & ((1 << width) - 1)
            packed = [number | (bit << shift) for number, bit in zip(packed, bits.tolist(), strict=True)]
            shift += width
    return shift, packed


def _widths(parts: NDArray[np.int8]) -> list[int]:
    """Return the bits of numbers of which da4ml knows sign, bits before and bits behind the point."""
    return [max(int(width), 0) for width in parts.astype(np.int64).sum(axis=0)]
