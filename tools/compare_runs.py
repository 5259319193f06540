"""Compare trainings that differ in one thing: validation loss, and gaps with paired errors.

    python tools/compare_runs.py BASE RUN [RUN …] [-n 150] [--output docs/puma.json]

Measured on the tuning sample (semileptonic tt̄, seed 202, pileup 140), whose collisions are neither training nor test.
The validation losses are those of the best rounds, on the same validation crossings for all.
"""

from __future__ import annotations

import argparse
import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pages import tuning_sample

import hardscatter as hs
from hardscatter.metrics import differences, observe_all, summarise
from hardscatter.training import history
from hardscatter.training.run import MONITORED
from hardscatter.training.trained import Trained

QUANTITIES = {"ak4_central.pt": "central jets", "ak4_forward.pt": "forward jets", "met": "missing momentum"}


def compare(runs: list[Path], n: int) -> dict[str, Any]:
    """Return loss, gaps and their differences to the first run, by run."""
    events = tuning_sample(n)
    methods = {run.name: Trained(run) for run in runs}
    seen = observe_all(events, {name: hs.mitigate(events, method) for name, method in methods.items()})
    estimates, changes = summarise(seen).estimates, differences(seen, runs[0].name)
    return {
        run.name: {
            "loss": min(line["values"][MONITORED] for line in history(run)),
            "crossings": methods[run.name].seen["crossings"],
            "gap": {q: asdict(estimates[run.name][q]["gap"]) for q in QUANTITIES},
            "change": {q: asdict(changes[run.name][q]) for q in QUANTITIES},
            "median": asdict(estimates[run.name]["ak4_central.pt"]["median"]),
        }
        for run in runs
    }


def table(numbers: dict[str, Any]) -> list[str]:
    """Return the numbers as lines of Markdown."""
    heads = [f"{name}: gap | against the first" for name in QUANTITIES.values()]
    lines = [f"| run | crossings | validation loss | {' | '.join(heads)} |", "|---|" + "---:|" * (2 + 2 * len(heads))]
    for name, values in numbers.items():
        cells = [f"{values['crossings']}", f"{values['loss']:.4g}"]
        for quantity in QUANTITIES:
            gap, change = values["gap"][quantity], values["change"][quantity]
            cells.append(f"{gap['value']:.2f} ± {gap['error']:.2f}")
            cells.append(f"{change['value']:+.2f} ± {change['error']:.2f}" if change["error"] else "–")
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Compare, print the table and write the numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("-n", type=int, default=150)
    parser.add_argument("--output", type=Path)
    given = parser.parse_args()
    numbers = compare(given.runs, given.n)
    print("\n".join(table(numbers)))
    if given.output is not None:
        given.output.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
