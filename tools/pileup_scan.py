"""Measure methods against the mean pileup, from none to 200, and draw it.

    python tools/pileup_scan.py docs/pileup_scan.png [--processes ttbar-semileptonic zprime-tt …] [-n 150]

Collisions are those of the final test (seed 303): nobody's training or tuning. The numbers go to a .json of the same
name, process by process and mean by mean, and are not made again if they are there.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt

import hardscatter as hs
from hardscatter.report.style import colour, figure_style, label, simulation_label

SEED, N_MINBIAS = 303, 50_000
MEANS = (0, 20, 60, 100, 140, 200)
METHODS = ("none", "puppi", "supervised", "total")
PANELS = {
    ("ak4_central.pt", "resolution"): r"AK4 jets, $|\eta| < 2.5$: $\delta/(1 + \mathrm{median})$",
    ("ak4_central.pt", "median"): r"AK4 jets, $|\eta| < 2.5$: median",
    ("ak4_forward.pt", "resolution"): r"AK4 jets, $2.5 < |\eta| < 4.7$: $\delta/(1 + \mathrm{median})$",
    ("met", "delta"): r"missing momentum $\delta$ [GeV]",
}


def measure(process: str, mean: int, n: int) -> dict[str, Any]:
    """Return the table of a process at a mean pileup."""
    events = hs.simulate(process, n, pileup=mean, seed=SEED, n_minbias=N_MINBIAS)
    table = hs.resolution(events, {method: hs.mitigate(events, method) for method in METHODS})
    return table.to_dict()


def draw(numbers: dict[str, Any], process: str, output: Path) -> None:
    """Draw one panel a quantity."""
    with figure_style():
        figure, axes = plt.subplots(2, 2, sharex=True, figsize=(11, 8), layout="constrained")
        for axis, ((quantity, statistic), title) in zip(axes.flat, PANELS.items(), strict=True):
            for method in (*METHODS, "perfect"):
                tables = {mean: numbers[f"{process}, {mean}"]["estimates"] for mean in MEANS}
                seen = {mean: t[method][quantity][statistic] for mean, t in tables.items() if quantity in t[method]}
                if method == "none":
                    seen = {mean: estimate for mean, estimate in seen.items() if mean <= 20}
                axis.errorbar(
                    list(seen), [e["value"] for e in seen.values()], [e["error"] for e in seen.values()], fmt="o-",
                    markersize=4, capsize=2, color=colour(method), label=label(method),
                )  # fmt: skip
            axis.set_title(title, loc="right", fontsize="small")
            if statistic == "median":
                axis.axhline(0.0, color="black", linewidth=0.8)
            else:
                axis.set_ylim(bottom=0.0)
        for axis in axes[1]:
            axis.set_xlabel("mean pileup")
        axes[0, 0].legend()
        simulation_label(axes[0, 0])
        figure.savefig(output)
        plt.close(figure)


def main() -> None:
    """Measure what is missing, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--processes", nargs="+", default=["ttbar-semileptonic"])
    parser.add_argument("-n", type=int, default=150)
    given = parser.parse_args()
    path = given.output.with_suffix(".json")
    numbers = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    for process in given.processes:
        for mean in MEANS:
            if f"{process}, {mean}" not in numbers:
                print(f"{process} at {mean}", flush=True)
                numbers[f"{process}, {mean}"] = measure(process, mean, given.n)
                path.write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    draw(numbers, given.processes[0], given.output)


if __name__ == "__main__":
    main()
