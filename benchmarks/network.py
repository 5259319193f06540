"""Networks: weights from features, against ONNX Runtime and eager PyTorch, and methods with all that they include.

- The graph attention networks run in our kernels. Peers get the same features, coordinates and neighbours, and the same
  parameters: ONNX Runtime the model's file with its own best optimisation, PyTorch `hardscatter.nets.ABCNet` without
  gradients, one crossing at a time. Each runs in one thread. Answers are compared when the cases are made.
- How near that is to the machine's limit: multiplications and additions that the network needs (dense layers and sums
  over neighbours; no exponential, no norm) a second, over those of NumPy's product of two matrices of 1024² single
  precision numbers, timed in turns with it. The note of the first case says both.
- `mitigate` with features, neighbours and network; the other kinds of network, which ONNX Runtime runs, for comparison.
- Peak memory of a process of its own that weighs a file of eight crossings in two threads: megabytes stand where the
  table has milliseconds.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import fields
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import hardscatter as hs
from benchmarks.crossings import crossings
from benchmarks.harness import Case, Seconds
from hardscatter.pileup.features import coordinates, features
from hardscatter.pileup.learned import Network, load
from hardscatter.pileup.links import links_of

MODELS = ("total", "total-spread", "total-workshop2014", "total-paper", "supervised")
KIN = ("total:paper", "supervised", "total:student")
OTHERS = ("puppiml", "sspuppi", "puma", "pumml")
N_CROSSINGS = 4
TOLERANCE = 1e-5
MEMORY = """
import sys
import hardscatter as hs
hs.set_threads(2)
hs.mitigate_file(sys.argv[1], sys.argv[2], "total", uncertainty="errors" in sys.argv, overwrite=True)
print(next(line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM")))
"""

_Job = Callable[[], object]


def cases() -> Iterator[Case]:
    """Yield the cases; raise if a peer gives other weights."""
    for model in MODELS:
        network = load(model)
        if network.attention is None:
            raise RuntimeError(f"{model} does not run in our kernels.")
        inputs = [_inputs(network, i) for i in range(N_CROSSINGS)]
        ours = partial(_each, network.attention.weights, inputs)
        note = _share_of_peak(network, inputs) if model == "total" else ""
        yield _against(f"network {model}", ours, partial(_each, network._onnx, inputs), "ONNX Runtime", note)
        if model == "total" and (eager := _eager(network)) is not None:
            yield _against(f"network {model}", ours, partial(_each, eager, inputs), "PyTorch, eager")
    yield _method("total", target=60.0, n=8)
    for method in KIN:
        yield _method(method, n=8)
    for method in OTHERS:
        yield _method(method, n=1)
    yield from _memory()


def _inputs(network: Network, i: int) -> tuple[Any, Any, Any]:
    events = crossings()[i : i + 1]
    return features(events, network.card.schema)[0], coordinates(events), links_of(events, network.card.links)


def _each(run: Callable[..., Any], inputs: list[Any]) -> list[Any]:
    return [run(*given) for given in inputs]


def _against(name: str, ours: _Job, peer: _Job, against: str, note: str = "") -> Case:
    difference = max(float(np.abs(a - b).max()) for a, b in zip(ours(), peer(), strict=True))
    if not difference <= TOLERANCE:
        raise RuntimeError(f"{name}: {against} gives weights that differ by {difference:.2g}.")
    note = f"{note} Largest difference {difference:.1g}.".strip()
    return Case(name, ours, peer, against, per_call=N_CROSSINGS, repeats=5, note=note)


def _share_of_peak(network: Network, inputs: list[Any]) -> str:
    square = np.random.default_rng(1).normal(size=(1024, 1024)).astype(np.float32)
    operations = _operations(network) * sum(len(given[0]) for given in inputs)
    rates = np.array([
        (operations / _seconds(partial(_each, network.attention.weights, inputs)),
         2 * 1024**3 / _seconds(lambda: square @ square))
        for _ in range(8)
    ][1:]) / 1e9  # fmt: skip
    ours, peak = np.median(rates, axis=0)
    share = np.median(rates[:, 0] / rates[:, 1])
    return (
        f"{ours:.0f} GFLOP/s, {100 * share:.0f} % of NumPy's matrix product ({peak:.0f} GFLOP/s); "
        f"{_operations(network) / 1000:.0f} thousand operations a candidate."
    )


def _operations(network: Network) -> int:
    """Return multiplications and additions for one candidate, with linear layers multiplied out."""
    settings, n_features = network.card.settings, len(network.card.schema)
    width, hop = settings["encoder"][-1], settings["dense"]
    # GAP's sum and its coefficients, the dense layers, the weighted sum of the neighbours' states.
    block = (width + 4) * width + width * (width + 2) + _products(width, *hop, width) + network.card.links.width * width
    return 2 * (n_features * width + settings["blocks"] * block + _products(width, *settings["head"], 1))


def _products(*widths: int) -> int:
    return sum(a * b for a, b in pairwise(widths))


def _seconds(job: _Job) -> float:
    start = time.process_time()
    job()
    return time.process_time() - start


def _eager(network: Network) -> Callable[..., Any] | None:
    """Return the network in PyTorch, its parameters taken from the file by the package onnx."""
    try:
        import onnx
        import torch

        from hardscatter.nets.abcnet import ABCNet, AttentionSettings
    except ImportError as problem:
        print(f"network: {problem.name} is not installed; eager PyTorch is left out.")
        return None
    torch.set_num_threads(1)
    known = {field.name for field in fields(AttentionSettings)}
    settings = AttentionSettings(**{key: value for key, value in network.card.settings.items() if key in known})
    net = ABCNet(settings, len(network.card.schema)).eval()
    stored = {one.name: onnx.numpy_helper.to_array(one) for one in onnx.load(network.card.path).graph.initializer}
    net.load_state_dict({name: torch.from_numpy(stored[name].copy()) for name in net.state_dict()})

    def weights(*given: Any) -> Any:
        with torch.inference_mode():
            return net(*map(torch.from_numpy, given)).numpy()

    return weights


def _method(method: str, *, n: int, target: float | None = None) -> Case:
    events = crossings()[:n]
    repeats = 7 if target else 3
    return Case(f"mitigate, {method}", lambda: hs.mitigate(events, method), per_call=n, target=target, repeats=repeats)


def _memory() -> Iterator[Case]:
    if not Path("/proc/self/status").is_file():
        print("network: this system has no /proc; peak memory is left out.")
        return
    with tempfile.TemporaryDirectory() as folder:
        source, output = (str(Path(folder) / name) for name in ("events.parquet", "weighed.parquet"))
        hs.write(source, crossings())
        for name, word in (("total", ""), ("total with errors", "errors")):
            command = [sys.executable, "-c", MEMORY, source, output, word]
            yield Case(
                f"peak memory in MB, mitigate_file, {name}", partial(_megabytes, command), unit="process",
                target=600.0, repeats=2, note="Megabytes (10⁶ bytes) in place of milliseconds.",
            )  # fmt: skip


def _megabytes(command: list[str]) -> Seconds:
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return Seconds(1024 * int(done.stdout.split()[-1]) / 1e6 / 1000)
