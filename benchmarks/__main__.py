"""Measure everything, or the parts named: python -m benchmarks [part …].

Parts are the modules of this folder with a `cases()`. Without names all run, and `results.json` and `results.md` are
written anew; with names only their part of both is.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Sequence
from dataclasses import asdict
from datetime import UTC, datetime
from importlib import import_module
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from benchmarks.harness import Result, Spread, measure
from hardscatter.threads import set_threads

HERE = Path(__file__).parent
PARTS = ("neighbours", "classical", "network", "gpu", "jets", "training", "simulation", "files", "startup")
PACKAGES = ("numpy", "numba", "scipy", "awkward", "pyarrow", "uproot", "fastjet", "onnxruntime", "torch", "POT",
            "geomloss", "pythia8mc")  # fmt: skip


def main() -> None:
    """Run the parts asked for and write the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", nargs="*", choices=[[], *PARTS], help=f"one of {', '.join(PARTS)}; default: all")
    chosen = parser.parse_args().part or PARTS
    set_threads(1)
    store = HERE / "results.json"
    results: dict[str, Any] = json.loads(store.read_text(encoding="utf-8")) if store.is_file() else {}
    for part in chosen:
        if measured := run(part):  # a part may need what this machine has not
            results[part] = {"machine": machine(), "results": [asdict(result) for result in measured]}
    results = {part: results[part] for part in PARTS if part in results}
    store.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (HERE / "results.md").write_text(page(results), encoding="utf-8")


def run(part: str) -> list[Result]:
    """Measure the cases of a module one after another, each printed when it is there."""
    done = []
    for case in import_module(f"benchmarks.{part}").cases():
        done.append(measure(case))
        print(part, *cells(done[-1]), sep=" | ", flush=True)
    return done


def machine() -> dict[str, Any]:
    """Return where and with what the figures were made."""
    return {
        "date": f"{datetime.now(UTC):%Y-%m-%d}",
        "processor": _processor(),
        "threads": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {name: found for name in ("hardscatter", *PACKAGES) if (found := _version(name))},
        "load": round(os.getloadavg()[0], 1),
    }


def _processor() -> str:
    about = Path("/proc/cpuinfo")
    lines = about.read_text(encoding="utf-8").splitlines() if about.is_file() else []
    named = {key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)}
    wide = next((name for name in ("avx512f", "avx2") if name in named.get("flags", "").split()), "")
    return " ".join(filter(None, (named.get("model name", platform.processor()), wide)))


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def page(results: dict[str, Any]) -> str:
    """Return the committed page: one table a part."""
    lines = ["# Measured", "", "Made by `make bench` (`python -m benchmarks`); README.md says how to read it.", ""]
    for part, made in results.items():
        about = made["machine"]
        lines += [f"## {part}", "", f"{about['date']}, {about['processor']}, {about['threads']} threads, load "
                  f"{about['load']}; {about['system']}; "
                  + ", ".join(f"{name} {number}" for name, number in about["versions"].items()), "",
                  "| job | ours, ms | target, ms | peer | peer, ms | peer / ours | kept |",
                  "|---|---:|---:|---|---:|---:|---|"]  # fmt: skip
        lines += [f"| {' | '.join(cells(_result(stored)))} |" for stored in made["results"]]
        notes = [f"- {stored['name']}: {stored['note']}" for stored in made["results"] if stored["note"]]
        lines += ["", *notes, *([""] if notes else [])]
    return "\n".join(lines)


def _result(stored: dict[str, Any]) -> Result:
    spreads = {key: Spread(**stored[key]) if stored[key] else None for key in ("ours", "peer", "ratio")}
    return Result(**{**stored, **spreads})


def cells(result: Result) -> Sequence[str]:
    """Return the cells of a result's row."""
    kept = {True: "yes", False: "**no**", None: ""}[result.met]
    name = result.name if result.unit == "crossing" else f"{result.name} (a {result.unit})"
    promised = [f"{result.target:g}"] if result.target is not None else []
    if result.least_ratio is not None:
        promised.append(f"{result.least_ratio:g} ×")
    return (name, _with_range(result.ours), ", ".join(promised), result.against, _with_range(result.peer),
            _with_range(result.ratio), kept)  # fmt: skip


def _with_range(spread: Spread | None) -> str:
    return "" if spread is None else f"{spread.median:.3g} ({spread.low:.3g}–{spread.high:.3g})"


if __name__ == "__main__":
    sys.exit(main())
