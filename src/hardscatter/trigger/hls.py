"""An integer model as a C++ project of hls4ml, written with every number format set by hand, and read back.

hls4ml is given its own graph of dense layers, not a file of another framework: so no converter guesses a precision. The
result type of a layer, ``ap_(u)fixed<W, I, AP_RND, AP_SAT>``, does all that the integer model does to a sum: it rounds,
clips, and is the ReLU where it has no sign. What hls4ml takes silently, such as a setting for a layer that it knows by
another name, shows in what it wrote: types, weights, strategy and calls are compared with the model one by one.

References
----------
hls4ml, arXiv:1804.06913, arXiv:2512.01463; distributed arithmetic, arXiv:2507.04535.
"""

from __future__ import annotations

import io
import re
import shutil
from collections.abc import Iterator
from contextlib import redirect_stdout
from fractions import Fraction
from pathlib import Path
from typing import Any, Literal

import numpy as np

from hardscatter.errors import MissingExtraError, SettingsError
from hardscatter.trigger.fixed import Format, to_real
from hardscatter.trigger.integer import IntegerModel, Layer

Strategy = Literal["latency", "distributed_arithmetic"]

_INPUT = "candidate"
_FIRST = 2  # hls4ml counts layers from 1, the input among them
_ROUNDED = "AP_RND", "AP_SAT"
_PLAIN = "AP_TRN", "AP_WRAP"


def write_project(
    model: IntegerModel, folder: Path, *, name: str, strategy: Strategy, part: str, clock_period: float
) -> None:
    """Write the C++ project of a model for Vitis HLS: one candidate a clock, every product its own hardware.

    Parameters
    ----------
    model
        The integers that the C++ has to give.
    folder
        Where; it must not exist.
    name
        Of the top function.
    strategy
        ``latency`` keeps weights and multiplications in the C++, ``distributed_arithmetic`` writes each layer as
        shifts and additions that share their parts.
    part, clock_period
        The device, and the period of its clock in ns.

    Raises
    ------
    MissingExtraError
        If hls4ml is not installed.
    """
    try:
        from hls4ml.model.graph import ModelGraph
        from hls4ml.utils.config import create_config
    except ImportError:
        raise MissingExtraError("firmware needs hls4ml: pip install 'hardscatter[trigger]'.") from None

    with redirect_stdout(io.StringIO()):
        config = create_config(
            output_dir=str(folder),
            project_name=name,
            backend="Vitis",
            part=part,
            clock_period=clock_period,
            io_type="io_parallel",
            write_weights_txt=False,  # else they are in two places
        )
        by_layer = {_INPUT: {"Precision": {"result": str(model.input_format)}}}
        by_layer |= {_name(k): _settings(layer, strategy) for k, layer in enumerate(model.layers)}
        # The precision of the whole is used by no layer: each has its own.
        config["HLSConfig"] = {
            "Model": {"Precision": str(model.input_format), "ReuseFactor": 1, "Strategy": strategy},
            "LayerName": by_layer,
        }
        ModelGraph.from_layer_list(config, list(_graph(model))).write()
    for unneeded in ("build_lib.sh", f"{name}_bridge.cpp"):  # they serve hls4ml's own emulation
        (folder / unneeded).unlink(missing_ok=True)
    shutil.rmtree(folder / "tb_data", ignore_errors=True)
    record = folder / "hls4ml_config.yml"  # says where it was written, and a stamp that differs each time
    lines = record.read_text(encoding="utf-8").splitlines(keepends=True)
    lines = [re.sub(r"^OutputDir: .*", "OutputDir: .", line) for line in lines if not line.startswith("Stamp:")]
    record.write_text("".join(lines), encoding="utf-8")


def check_project(model: IntegerModel, folder: Path, *, name: str, strategy: Strategy) -> None:
    """Compare what hls4ml wrote with the model: every type, weight, strategy, reuse factor and call.

    Distributed arithmetic leaves no weight to be read: there only types and calls can be compared.

    Raises
    ------
    SettingsError
        If one is not what it should be, or is missing.
    """
    source = folder / "firmware"
    defines = (source / "defines.h").read_text(encoding="utf-8")
    types = {alias: _type(text) for text, alias in re.findall(r"^typedef (ap_u?fixed<[^>]*>) (\w+);", defines, re.M)}
    wanted = _types(model, strategy)
    _same("types", {alias: types.get(alias) for alias in wanted}, wanted)

    parameters = (source / "parameters.h").read_text(encoding="utf-8")
    for k, layer in enumerate(model.layers if strategy == "latency" else ()):
        n_out, n_in = layer.weights.shape
        hardware = {"n_in": str(n_in), "n_out": str(n_out), "strategy": "nnet::latency", "reuse_factor": "1"}
        _same(f"settings of layer {k + 1}", _config(parameters, k), hardware)
        _check_numbers(source, f"w{k + _FIRST}", layer.weights.T.ravel(), layer.weight_format)
        _check_numbers(source, f"b{k + _FIRST}", layer.biases, layer.bias_format)
    code = (source / f"{name}.cpp").read_text(encoding="utf-8")
    _same("calls", re.findall(r"^\s*(nnet::[^;]*);", code, re.M), list(_calls(model, strategy)))


def _graph(model: IntegerModel) -> Iterator[dict[str, Any]]:
    """Give the layers as hls4ml's converters would; floats hold the integers and their powers of two exactly."""
    yield {"class_name": "InputLayer", "name": _INPUT, "input_shape": [len(model.inputs)]}
    for k, layer in enumerate(model.layers):
        n_out, n_in = layer.weights.shape
        yield {
            "class_name": "Dense", "name": _name(k), "n_in": n_in, "n_out": n_out, "use_bias": True,
            "weight_data": to_real(layer.weights.T, layer.weight_format),
            "bias_data": to_real(layer.biases, layer.bias_format),
        }  # fmt: skip


def _name(k: int) -> str:
    return f"dense{k + 1}"


def _settings(layer: Layer, strategy: Strategy) -> dict[str, Any]:
    precision = {
        "weight": _plain(layer.weight_format),
        "bias": _plain(layer.bias_format),
        "accum": _plain(layer.accumulator),
        "result": str(layer.result_format),
    }
    return {"Precision": precision, "Strategy": strategy, "ReuseFactor": 1}


def _plain(form: Format) -> str:
    """Return a type that neither rounds nor clips: for numbers that are known to fit."""
    return f"ap_{'' if form.signed else 'u'}fixed<{form.width},{form.integer}>"


_Type = tuple[Format, tuple[str, str]]


def _types(model: IntegerModel, strategy: Strategy) -> dict[str, _Type]:
    """Return the type that each alias must stand for; distributed arithmetic has sums and weights in its code."""
    aliases: dict[str, _Type] = {"input_t": (model.input_format, _ROUNDED)}
    for k, layer in enumerate(model.layers):
        aliases[_result(model, k)] = (layer.result_format, _ROUNDED)
        if strategy != "latency":
            continue
        for what in ("weight", "bias"):
            aliases[f"{_name(k)}_{what}_t"] = (getattr(layer, f"{what}_format"), _PLAIN)
        aliases[f"{_name(k)}_accum_t"] = (layer.accumulator, _PLAIN)
    return aliases


def _result(model: IntegerModel, k: int) -> str:
    """Return the alias of a layer's result; −1 is the input."""
    if k < 0:
        return "input_t"
    return "result_t" if k == len(model.layers) - 1 else f"layer{k + _FIRST}_t"


def _type(text: str) -> _Type | None:
    """Read a type as C++ does: it cuts off and wraps around where nothing else is said; None if it cannot be read."""
    found = re.fullmatch(r"ap_(u?)fixed<(-?\d+),(-?\d+)(?:,(\w+),(\w+)(?:,0)?)?>", text.replace(" ", ""))
    if found is None:
        return None
    unsigned, width, integer, rounding, overflow = found.groups()
    modes = (rounding, overflow) if rounding else _PLAIN
    return Format(int(width), int(integer), signed=not unsigned), modes


def _config(parameters: str, k: int) -> dict[str, str | None]:
    """Return what the configuration of a layer says of its size and its hardware."""
    body = re.search(rf"struct config{k + _FIRST} : nnet::dense_config {{(.*?)^}};", parameters, re.M | re.S)
    text = body.group(1) if body else ""
    found = {key: re.search(rf"\b{key} = ([\w:]+);", text) for key in ("n_in", "n_out", "strategy", "reuse_factor")}
    return {key: match.group(1) if match else None for key, match in found.items()}


def _check_numbers(source: Path, name: str, integers: np.ndarray, form: Format) -> None:
    """Compare an array in a header with integers, digit by digit: a float in between might hide a difference."""
    text = (source / "weights" / f"{name}.h").read_text(encoding="utf-8")
    listed = re.search(rf"\b{name}\[\d+\] = {{(.*?)}};", text, re.S)
    written = [Fraction(number.strip()) for number in listed.group(1).split(",")] if listed else []
    step = Fraction(2) ** -form.fraction
    _same(f"numbers {name}", written, [int(n) * step for n in integers])


def _calls(model: IntegerModel, strategy: Strategy) -> Iterator[str]:
    """Give the calls of which the top function must consist."""
    for k in range(len(model.layers)):
        i, last = k + _FIRST, k == len(model.layers) - 1
        data, given = (f"layer{i - 1}_out" if k else _INPUT), f"layer{i}_out"
        types = f"{_result(model, k - 1)}, {'result_t' if last else f'layer{i}_t'}"
        if strategy == "latency":
            yield f"nnet::dense<{types}, config{i}>({data}, {given}, w{i}, b{i})"
        else:
            yield f"nnet::dense_da_{i}<{types}>({data}, {given})"


def _same(what: str, found: Any, wanted: Any) -> None:
    """Refuse what is not as wanted, with the first difference."""
    if found == wanted:
        return
    pairs = [(key, found.get(key), wanted[key]) for key in wanted] if isinstance(wanted, dict) else (
        [(i, *pair) for i, pair in enumerate(zip(found, wanted, strict=False))] + [("length", len(found), len(wanted))]
    )  # fmt: skip
    where, one, other = next(pair for pair in pairs if pair[1] != pair[2])
    raise SettingsError(
        f"firmware: hls4ml wrote {what} that are not the model's ({where}: {one} instead of {other}): "
        "nothing is exported; try the version in constraints.txt."
    )
