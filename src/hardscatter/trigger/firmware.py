"""From an integer model to a folder that a firmware engineer takes away, all of it checked bit by bit.

C++ comes from hls4ml (`hardscatter.trigger.hls`), Verilog and estimates from da4ml (`hardscatter.trigger.adders`).
Neither is trusted: the C++ is read back and compared with the model, compiled, and run; the graph behind the Verilog is
run by da4ml. One bit that differs, of one candidate, and nothing is exported.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from tempfile import TemporaryDirectory
from typing import Annotated, Any, get_args

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter import __version__
from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.io.writing import aside
from hardscatter.trigger.adders import Adders
from hardscatter.trigger.hls import Strategy, check_project, write_project
from hardscatter.trigger.integer import IntegerModel, write_model

STRATEGIES: tuple[Strategy, ...] = get_args(Strategy)
CROSSINGS = 40.0
"""Of bunches, in MHz."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class FirmwareSettings:
    """What the firmware is made for, and how much it is tried."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9_]*$")] = "student"
    """Of the top function and module."""
    strategy: Strategy = "latency"
    """How the C++ multiplies; see `hardscatter.trigger.hls.write_project`."""
    part: str = "xcvu13p-flga2577-2-e"
    """The device."""
    clock: Annotated[float, Field(gt=0)] = 360.0
    """Its frequency in MHz."""
    adders_per_stage: Annotated[int, Field(ge=1)] = 5
    """Additions in a row between two registers of the Verilog."""
    n_compared: Annotated[int, Field(ge=1)] = 100_000
    """Candidates on which every bit is compared."""
    n_vectors: Annotated[int, Field(ge=1)] = 10_000
    """How many of them, the first, go into the folder."""
    seed: int = 1
    """Of those made up."""


def write_firmware(
    model: IntegerModel,
    folder: Path,
    settings: FirmwareSettings | None = None,
    *,
    candidates: NDArray[np.int64] | None = None,
    overwrite: bool = False,
    say: Callable[[str], object] = print,
) -> dict[str, Any]:
    """Write C++, Verilog, testbenches, vectors and estimates of a model after comparing every bit.

    The C++ is compiled by ``$CXX``, else g++; where there is none it is only read back, and README says so.

    Parameters
    ----------
    model
        What everything must equal.
    folder
        Where; it appears when all is done and right.
    settings
        See `FirmwareSettings`.
    candidates
        Input integers of real candidates, shape (N, inputs), to compare on before made-up ones.
    overwrite
        Replace a folder that is there.
    say
        Where a line about each check goes.

    Returns
    -------
    dict[str, Any]
        What ``estimates.json`` holds.

    Raises
    ------
    SettingsError
        If what hls4ml or da4ml made differs from the model, or the compiler fails.
    UnwritableFileError
        If the folder exists, or cannot be written.
    MissingExtraError
        If hls4ml or da4ml is not installed.
    """
    settings = settings or FirmwareSettings()
    if folder.exists() and not overwrite:
        raise UnwritableFileError(f"{folder} exists: take another name or --overwrite.")
    inputs = probes(model, settings.n_compared, settings.seed, candidates)
    with aside(folder) as place:
        place.mkdir(parents=True)
        return _fill(place, model, settings, inputs, say)


def probes(model: IntegerModel, n: int, seed: int, candidates: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return input integers to try a model on, shape (N, inputs), at most n of them.

    First what is most likely to go wrong: all inputs 0, at either end, each alone at an end or one step from 0, and
    those that make the sum of each node of the first layer as large, and as small, as can be. Then the `candidates`
    given, then chance, half of it from all of the format, half of it near 0 where real candidates are.
    """
    form, first = model.input_format, model.layers[0].weights
    n_inputs = len(model.inputs)
    alone = [value * np.eye(n_inputs, dtype=np.int64) for value in (form.lowest, form.highest, -1, 1)]
    extreme = [np.where(sign * first > 0, form.highest, form.lowest) for sign in (1, -1)]
    whole = [np.full((1, n_inputs), value) for value in (0, form.lowest, form.highest)]
    rng = np.random.default_rng(seed)
    wide = rng.integers(form.lowest, form.highest + 1, size=(n, n_inputs))
    near = np.rint(rng.normal(scale=2.0 ** (form.width - 4), size=(n, n_inputs))).astype(np.int64)
    given = np.empty((0, n_inputs), dtype=np.int64) if candidates is None else candidates
    chance = np.where(np.arange(n)[:, None] % 2, near, wide)
    found = np.concatenate([*whole, *alone, *extreme, given, chance])[:n]
    return np.asarray(np.clip(found, form.lowest, form.highest))


def _fill(
    folder: Path,
    model: IntegerModel,
    settings: FirmwareSettings,
    inputs: NDArray[np.int64],
    say: Callable[[str], object],
) -> dict[str, Any]:
    """Write all of a firmware folder; return the estimates."""
    outputs = model.integers(inputs)
    name, part, clock_period = settings.name, settings.part, 1000.0 / settings.clock
    write_model(model, folder / "model.json")
    few = inputs[: settings.n_vectors], outputs[: settings.n_vectors]
    np.savez_compressed(folder / "vectors.npz", inputs=few[0], outputs=few[1])

    adders = Adders(model)
    _compare("da4ml's graph", adders.integers(inputs), outputs)
    say(f"da4ml's graph: {len(inputs)} candidates, all bits equal")
    verilog = adders.write_verilog(
        folder / "verilog",
        name=name,
        part=part,
        clock_period=clock_period,
        adders_per_stage=settings.adders_per_stage,
    )
    _write_bench(folder / "verilog", adders, *few, name, verilog["stages"] + 1)

    cpp = folder / "cpp"
    write_project(model, cpp, name=name, strategy=settings.strategy, part=part, clock_period=clock_period)
    check_project(model, cpp, name=name, strategy=settings.strategy)
    say("hls4ml's C++: types, weights, settings and calls are the model's")
    bench = _filled("testbench.cpp", name=name, n_inputs=len(model.inputs))
    (cpp / f"{name}_test.cpp").write_text(bench, encoding="utf-8")
    _write_vectors(cpp / "tb_data", *few)
    with TemporaryDirectory() as room:
        if compile_cpp(cpp, name, Path(room) / "testbench"):
            compare_cpp(Path(room) / "testbench", inputs, outputs)
            cpp_check = f"compiled and run on {len(inputs)} candidates: all bits equal to the integer model"
        else:
            cpp_check = "read back and compared with the model; not compiled, for there was no compiler"
    say(f"hls4ml's C++: {cpp_check}")

    estimates = _estimates(model, settings, verilog)
    (folder / "estimates.json").write_text(json.dumps(estimates, indent=1) + "\n", encoding="utf-8")
    ports = ", ".join(f"{name} {low}-{high}" for name, (low, high) in adders.ports().items())
    readme = _readme(model, settings, estimates, len(inputs), len(few[0]), cpp_check, ports)
    (folder / "README.md").write_text(readme, encoding="utf-8")
    _write_checksums(folder)
    return estimates


def compile_cpp(cpp: Path, name: str, bench: Path) -> bool:
    """Compile the C++ of a project with its testbench into a program; False if there is no compiler.

    Raises
    ------
    SettingsError
        If it does not compile.
    """
    compiler = shutil.which(os.environ.get("CXX", "g++"))
    if compiler is None:
        return False
    sources = [f"{name}_test.cpp", f"firmware/{name}.cpp"]
    _run([compiler, "-std=c++17", "-O1", "-w", "-Ifirmware/ap_types", "-o", bench, *sources], cpp, "compile")
    return True


def compare_cpp(bench: Path, inputs: NDArray[np.int64], outputs: NDArray[np.int64]) -> None:
    """Run what `compile_cpp` made; raises SettingsError if a bit differs."""
    with TemporaryDirectory() as room:
        _write_vectors(Path(room), inputs, outputs)
        _run([bench, "inputs.txt", "outputs.txt"], Path(room), "give the model's bits")


def _run(command: Sequence[str | Path], folder: Path, what: str) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode:
        said = (done.stdout.strip() or done.stderr.strip() or "no word").splitlines()[0]
        raise SettingsError(f"firmware: hls4ml's C++ does not {what} ({said}): nothing is exported.")


def _compare(what: str, found: NDArray[np.int64], wanted: NDArray[np.int64]) -> None:
    different = int(np.count_nonzero(found != wanted))
    if different:
        raise SettingsError(
            f"firmware: {what} differs from the integer model in {different} of {len(wanted)} candidates: nothing is "
            "exported; try the version in constraints.txt."
        )


def _write_vectors(folder: Path, inputs: NDArray[np.int64], outputs: NDArray[np.int64]) -> None:
    """Write integers as text, a candidate a line."""
    folder.mkdir(exist_ok=True)
    np.savetxt(folder / "inputs.txt", inputs, fmt="%d")
    np.savetxt(folder / "outputs.txt", outputs, fmt="%d")


def _write_bench(
    folder: Path,
    adders: Adders,
    inputs: NDArray[np.int64],
    outputs: NDArray[np.int64],
    name: str,
    latency: int,
) -> None:
    """Write the testbench of the Verilog, and its vectors as it packs them."""
    input_bits, packed = adders.packed_inputs(inputs)
    output_bits, answers = adders.packed_outputs(outputs)
    for what, bits, numbers in (("inputs", input_bits, packed), ("outputs", output_bits, answers)):
        digits = math.ceil(bits / 4)
        text = "".join(f"{number:0{digits}x}\n" for number in numbers)
        (folder / f"{what}.hex").write_text(text, encoding="ascii")
    bench = _filled(
        "testbench.v", name=name, input_bits=input_bits, output_bits=output_bits, latency=latency, n_vectors=len(inputs)
    )
    (folder / "testbench.v").write_text(bench, encoding="utf-8")


def _estimates(model: IntegerModel, settings: FirmwareSettings, verilog: dict[str, Any]) -> dict[str, Any]:
    """Return what the hardware will about need; only the initiation interval is by construction."""
    latency = verilog["stages"] + 1  # the output is in a register too
    layers = [
        {
            "inputs": layer.weights.shape[1],
            "outputs": layer.weights.shape[0],
            "multiplications": int(np.count_nonzero(layer.weights)),
            "accumulator_bits": layer.accumulator.width,
        }
        for layer in model.layers
    ]
    return {
        "kind": "estimate, made without a synthesis tool",
        "made_by": {name: version(name) for name in ("da4ml", "hls4ml")} | {"hardscatter": __version__},
        "settings": asdict(settings),
        "synthesis_tools_here": [tool for tool in ("vitis-run", "vivado", "quartus_sh") if shutil.which(tool)],
        "initiation_interval_clocks": 1,
        "latency_clocks": latency,
        "latency_ns": latency * 1000.0 / settings.clock,
        "candidates_per_crossing": int(settings.clock / CROSSINGS),
        "luts": verilog["luts"],
        "flip_flops": verilog["flip_flops"],
        "dsps": 0,
        "block_rams": 0,
        "additions": verilog["additions"],
        "additions_in_a_row": verilog["additions_in_a_row"],
        "multiplications": model.multiplications,
        "layers": layers,
    }


def _readme(
    model: IntegerModel,
    settings: FirmwareSettings,
    estimates: dict[str, Any],
    n_compared: int,
    n_vectors: int,
    cpp_check: str,
    ports: str,
) -> str:
    clocks, ns = estimates["latency_clocks"], estimates["latency_ns"]
    rows = [
        ("initiation interval", f"{estimates['initiation_interval_clocks']} clock (by construction)"),
        ("latency", f"{clocks} clocks (by construction); {ns:.1f} ns if timing closes"),
        ("candidates a crossing and instance", f"{estimates['candidates_per_crossing']}"),
        ("look-up tables", f"{estimates['luts']} (estimate)"),
        ("flip-flops", f"{estimates['flip_flops']} between stages (estimate)"),
        ("multipliers, memories", "none (by construction)"),
        ("additions", f"{estimates['additions']}, for {estimates['multiplications']} products"),
    ]
    table = "\n".join(["| Verilog | |", "|---|---|", *(f"| {name} | {value} |" for name, value in rows)])
    return _filled(
        "README.md",
        name=settings.name,
        version=__version__,
        n_inputs=len(model.inputs),
        layers=" → ".join(str(n) for n in (len(model.inputs), *(len(layer.weights) for layer in model.layers))),
        input_type=model.input_format,
        inputs=", ".join(model.inputs),
        output_type=model.output_format,
        fraction=model.input_format.fraction,
        parameters=model.parameters,
        nonzero=model.multiplications,
        part=settings.part,
        clock=f"{settings.clock:g}",
        strategy=settings.strategy,
        hls4ml=version("hls4ml"),
        da4ml=version("da4ml"),
        cpp_check=cpp_check,
        ports=ports,
        n_compared=n_compared,
        n_vectors=n_vectors,
        latency=estimates["latency_clocks"],
        estimates=table,
    )


def _filled(template: str, **values: object) -> str:
    text = (files("hardscatter.trigger") / "templates" / template).read_text(encoding="utf-8")
    return Template(text).substitute(values)


def _write_checksums(folder: Path) -> None:
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    sums = [hashlib.sha256(path.read_bytes()).hexdigest() for path in paths]
    lines = [f"{total}  {path.relative_to(folder).as_posix()}\n" for total, path in zip(sums, paths, strict=True)]
    (folder / "SHA256SUMS").write_text("".join(lines), encoding="utf-8")
