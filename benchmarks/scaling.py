"""How time and memory grow: python -m benchmarks.scaling writes scaling.json and scaling.png.

Crossings of pileup 0 to 300, then two to five crossings of pileup 200 laid over one another, up to 50 000 candidates:
the density grows with the number, as it does in a detector. Time is CPU time of one thread, the least of some repeats;
memory the peak of a fresh process that weighs the crossings; the gain of a second thread is wall time over wall time.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

import hardscatter as hs
from benchmarks.__main__ import machine
from benchmarks.crossings import N_MINBIAS, SEED, crossings
from hardscatter.detector import Poisson, load_card, prepare, simulate_crossings
from hardscatter.events import flat, offsets_of
from hardscatter.generate import Generation, build
from hardscatter.geometry import nearest
from hardscatter.pileup.surroundings import surroundings
from hardscatter.threads import set_threads, threads

HERE = Path(__file__).parent
PILEUPS = (0, 10, 20, 50, 100, 140, 200, 250, 300)
LAYERS = (2, 3, 4, 5)
METHODS = ("puppi:best", "puppi:cms-phase2", "softkiller", "cs", "total")
N_CROSSINGS = 4
N_SIMULATED = 40
REPEATS = 5


def main() -> None:
    """Measure, fit, draw."""
    cores = threads()
    set_threads(1)
    card = load_card("cms-phase2")
    hard = build(Generation("ttbar-semileptonic", seed=SEED), N_SIMULATED, workers=1).load()
    pool = prepare(build(Generation("minbias", seed=SEED), N_MINBIAS, workers=1).load(), card)
    points: list[dict[str, Any]] = []
    for pileup in PILEUPS:
        events = crossings(N_CROSSINGS, float(pileup))
        simulation = seconds(lambda pileup=pileup: simulate_crossings(hard, pool, Poisson(float(pileup)), card))
        points.append({"pileup": pileup, **measured(events), "simulation": 1000 * simulation / N_SIMULATED})
        print(points[-1], flush=True)
    for layers in LAYERS:
        points.append({"pileup": 200 * layers, **measured(laid_over(crossings(N_CROSSINGS * layers), layers))})
        print(points[-1], flush=True)
    gain = {method: two_threads(crossings(8), method, cores) for method in METHODS} if cores > 1 else {}
    document = {"machine": machine(), "crossings": N_CROSSINGS, "repeats": REPEATS, "points": points, "gain": gain}
    (HERE / "scaling.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    draw(document).savefig(HERE / "scaling.png", dpi=110)


def laid_over(events: hs.Events, layers: int) -> hs.Events:
    """Return crossings that hold the candidates of several each."""
    parts = [events.array[i::layers] for i in range(layers)]
    candidates = ak.concatenate([part.candidates for part in parts], axis=1)
    array = ak.with_field(parts[0], candidates, "candidates")
    array = ak.with_field(array, sum(ak.to_numpy(part.n_vertices) for part in parts), "n_vertices")
    return hs.Events(ak.to_packed(array), events.metadata)


def measured(events: hs.Events) -> dict[str, Any]:
    """Return candidates of a crossing, milliseconds and the peak memory of a process."""
    eta, phi = (flat(events.candidates[name], float) for name in ("eta", "phi"))
    offsets = offsets_of(events.candidates.pt)
    jobs: dict[str, Callable[[], object]] = {
        "neighbours, k = 20": lambda: nearest(eta, phi, offsets, 20),
        "surroundings": lambda: surroundings(events),
        **{method: lambda method=method: hs.mitigate(events, method) for method in METHODS},
    }
    return {
        "candidates": float(np.mean(np.asarray(events.n_candidates))),
        "milliseconds": {name: 1000 * seconds(job) / len(events) for name, job in jobs.items()},
        "megabytes": {method: megabytes(events, method) for method in ("puppi:best", "total")},
    }


def seconds(job: Callable[[], object]) -> float:
    """Return the least CPU time of some repeats."""
    job()
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        job()
        times.append(time.process_time() - start)
    return min(times)


def megabytes(events: hs.Events, method: str) -> float:
    """Return the peak memory of a fresh process that reads and weighs the crossings."""
    with tempfile.TemporaryDirectory() as folder:
        hs.write(f"{folder}/crossings.parquet", events)
        code = (
            "import re, sys, pathlib, hardscatter as hs\n"
            "hs.set_threads(1)\n"
            "hs.mitigate(hs.read(sys.argv[1]), sys.argv[2])\n"
            "print(re.search(r'VmHWM:\\s*(\\d+)', pathlib.Path('/proc/self/status').read_text())[1])"
        )
        command = [sys.executable, "-c", code, f"{folder}/crossings.parquet", method]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return int(done.stdout.split()[-1]) / 1024


def two_threads(events: hs.Events, method: str, cores: int) -> float:
    """Return how much faster all cores are than one."""
    walls = np.empty((REPEATS, 2))
    for turn in walls:
        for i, n in enumerate((1, cores)):
            set_threads(n)
            hs.mitigate(events, method)
            start = time.perf_counter()
            hs.mitigate(events, method)
            turn[i] = time.perf_counter() - start
    set_threads(1)
    return float(np.median(walls[:, 0] / walls[:, 1]))


def exponent(n: Any, y: Any) -> float:
    """Return p of y ∝ nᵖ above 2 000 candidates."""
    n, y = np.asarray(n), np.asarray(y)
    return float(np.polyfit(np.log(n[n > 2000]), np.log(y[n > 2000]), 1)[0])


def draw(document: dict[str, Any]) -> Any:
    """Draw time and memory against the number of candidates."""
    import matplotlib as mpl

    mpl.use("agg")
    import matplotlib.pyplot as plt

    points = document["points"]
    n = np.array([point["candidates"] for point in points])
    figure, (left, right) = plt.subplots(1, 2, figsize=(12, 5.2), layout="constrained")
    for name in points[0]["milliseconds"]:
        y = np.array([point["milliseconds"][name] for point in points])
        left.plot(n, y, "o-", ms=4, lw=1.2, label=f"{name}  $\\propto N^{{{exponent(n, y):.2f}}}$")
    made = [point for point in points if "simulation" in point]
    x, y = (np.array(values) for values in zip(*((p["candidates"], p["simulation"]) for p in made), strict=True))
    left.plot(
        x, y, "s--", ms=4, lw=1.2, color="0.4", label=f"overlay and detector  $\\propto N^{{{exponent(x, y):.2f}}}$"
    )
    guide = np.array([1000.0, 50000.0])
    left.plot(guide, guide / 1000 * 0.1, ":", color="0.6", lw=1)
    left.annotate("linear", (20000, 2.0), (22000, 1.3), color="0.5", fontsize=9)
    left.set(xscale="log", yscale="log", xlabel="candidates in a crossing", ylabel="time a crossing, one thread [ms]")
    left.legend(fontsize=8, frameon=False)
    for name in points[0]["megabytes"]:
        y = np.array([point["megabytes"][name] for point in points])
        slope, start = np.polyfit(n, y, 1)
        label = f"{name}: {start:.0f} MB + {1000 * slope / document['crossings']:.2f} kB a candidate"
        right.plot(n / 1000, y, "o", ms=5, label=label)
        right.plot(n / 1000, start + slope * n, "-", lw=1, color=right.lines[-1].get_color())
    text = f"candidates in a crossing [thousand], {document['crossings']} crossings at once"
    right.set(xlabel=text, ylabel="peak memory of the process [MB]", ylim=(0, None), xlim=(0, None))
    right.legend(fontsize=9, frameon=False)
    for axes in (left, right):
        axes.tick_params(direction="in", which="both", top=True, right=True)
    return figure


if __name__ == "__main__":
    main()
