"""What a production costs beside its events: python -m benchmarks.productions writes productions.json.

Overheads are those of tiny parts, in which there is next to nothing to do; sizes and rates those of crossings of
pileup 200. docs/scale.md works out from them what large productions cost. Some five minutes on two cores.
"""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import psutil

import hardscatter as hs
from benchmarks.__main__ import machine
from benchmarks.crossings import N_MINBIAS, SEED, crossings
from hardscatter.jobs import Cluster, connected, run
from hardscatter.production import mitigate_files, simulate_files, verify
from hardscatter.production.manifest import NAME, read_manifest
from hardscatter.threads import set_threads

HERE = Path(__file__).parent
N_JOBS = 10_000
N_PARTS = 10_000
N_EVENTS = 400
WORKERS = (1, 2)


def main() -> None:
    """Measure and write down."""
    set_threads(1)
    document: dict[str, Any] = {"machine": machine()}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for title, measured in (
            ("jobs", jobs), ("parts", lambda: parts(folder)), ("sizes", lambda: sizes(folder)),
            ("mitigate", lambda: mitigation(folder)), ("simulate", lambda: simulation(folder)),
        ):  # fmt: skip
            document[title] = measured()
            print(title, json.dumps(document[title]), flush=True)
    (HERE / "productions.json").write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")


def jobs() -> dict[str, Any]:
    """Return the cost of a job that does nothing, for client and workers, and the client's memory while it lasts."""
    found: dict[str, Any] = {"n": N_JOBS}
    for workers in WORKERS:
        with connected(Cluster("local", workers=workers)) as client:
            done = sum(1 for _ in run(abs, range(100), client))
            began, memory = time.perf_counter(), []
            for done, _ in enumerate(run(abs, range(N_JOBS), client), start=1):
                if done % (N_JOBS // 10) == 0:
                    memory.append(megabytes())
            seconds = time.perf_counter() - began
        found[f"{workers} workers"] = {"ms a job": 1000 * seconds / N_JOBS, "MB of the client, by tenths": memory}
    return found


def parts(folder: Path) -> dict[str, Any]:
    """Return what a part of one small event costs in this process, and what the manifest of many costs."""
    small = toy(N_PARTS)
    hs.write(folder / "small.parquet", small)
    memory: list[float] = []

    def watch(_: str, done: int, total: int) -> None:
        if done and done % (total // 10) == 0:
            memory.append(megabytes())

    whole = seconds(lambda: hs.mitigate_file(folder / "small.parquet", folder / "whole.parquet", "puppi:best"))
    out = folder / "parts"
    cut = seconds(lambda: mitigate_files(folder / "small.parquet", out, "puppi:best", part=1, progress=watch))
    manifest = out / NAME
    return {
        "n": N_PARTS,
        "ms a part": 1000 * cut / N_PARTS,
        "ms an event in one file": 1000 * whole / N_PARTS,
        "MB of the client, by tenths": memory,
        "bytes of the manifest a part": manifest.stat().st_size / N_PARTS,
        "us to read a part's line": 1e6 * seconds(lambda: read_manifest(out)) / N_PARTS,
        "ms a part to start again, all done": 1000
        * seconds(lambda: mitigate_files(folder / "small.parquet", out, "puppi:best", part=1)) / N_PARTS,
        "ms a part to verify": 1000 * seconds(lambda: verify(out)) / N_PARTS,
        "problems": len(verify(out)),
    }  # fmt: skip


def sizes(folder: Path) -> dict[str, Any]:
    """Return kilobytes of a crossing of pileup 200: as simulated, with weights, in both formats."""
    events = crossings(N_EVENTS // 4)
    n = len(events)
    found = {"candidates": float(np.mean([len(one) for one in events.candidates.pt]))}
    for suffix in ("parquet", "root"):
        path = folder / f"pileup200.{suffix}"
        hs.write(path, events)
        found[f"kB, {suffix}"] = path.stat().st_size / n / 1000
    hs.mitigate_file(folder / "pileup200.parquet", folder / "weighed.parquet", "total")
    found["kB, parquet with weights of total"] = (folder / "weighed.parquet").stat().st_size / n / 1000
    return found


def mitigation(folder: Path) -> dict[str, Any]:
    """Return the rate of a production with total over crossings of pileup 200, by workers."""
    source, n = folder / "pileup200.parquet", N_EVENTS // 4
    found: dict[str, Any] = {"n": n}
    mitigate_files(source, folder / "warm", "total", part=25)  # the network is loaded, and checked once
    found["ms, one process"] = 1000 * seconds(lambda: mitigate_files(source, folder / "m", "total", part=25)) / n
    for workers in WORKERS:
        cluster = Cluster("local", workers=workers)
        out = folder / f"m{workers}"
        found[f"s, {workers} workers, start to end"] = seconds(
            lambda out=out, cluster=cluster: mitigate_files(source, out, "total", part=25, cluster=cluster)
        )
    return found


def simulation(folder: Path) -> dict[str, Any]:
    """Return the rate of a production of crossings of pileup 200 from protons, in one process."""
    settings = {"pileup": 200.0, "seed": SEED, "n_minbias": N_MINBIAS}
    took = seconds(lambda: simulate_files("ttbar-semileptonic", folder / "s", N_EVENTS, part=100, **settings))
    return {"n": N_EVENTS, "ms, one process, hard collisions included": 1000 * took / N_EVENTS}


def toy(n: int) -> hs.Events:
    """Return events of ten candidates."""
    rng = np.random.default_rng(1)
    pt = rng.exponential(1.0, (n, 10)) + 0.1
    eta, phi = rng.uniform(-3, 3, (n, 10)), rng.uniform(-np.pi, np.pi, (n, 10))
    charge = rng.integers(-1, 2, (n, 10))
    vertex = np.where(charge == 0, -1, rng.integers(0, 3, (n, 10)))
    return hs.from_candidates(
        pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta), charge=charge, vertex=vertex, n_vertices=np.full(n, 3)
    )


def seconds(job: Callable[[], object]) -> float:
    """Return the wall time of a job."""
    began = time.perf_counter()
    job()
    return time.perf_counter() - began


def megabytes() -> float:
    """Return what this process holds in memory, in 10⁶ bytes."""
    return round(psutil.Process().memory_info().rss / 1e6, 1)


if __name__ == "__main__":
    main()
