"""Draw how much of the gap a network closes against the crossings that it has learned from.

    python tools/learning_curve.py RUN [RUN …] --output docs/learning_curve.png [-n 200] [--rounds 5 10 20 40]

Measured on the tuning sample (semileptonic tt̄, seed 202, pileup 140), whose collisions are neither training nor
test; the numbers go to a .json of the same name.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
from matplotlib.ticker import LogLocator, NullFormatter, StrMethodFormatter
from pages import tuning_sample

import hardscatter as hs
from hardscatter.report.style import figure_style, simulation_label
from hardscatter.training.trained import Trained

PANELS = {
    "ak4_central.pt": r"AK4 jets, $|\eta| < 2.5$",
    "ak4_forward.pt": r"AK4 jets, $2.5 < |\eta| < 4.7$",
    "met": "missing momentum",
}


def measure(runs: list[Path], rounds: list[int] | None, n: int) -> dict[str, list[dict[str, Any]]]:
    """Return, for each run, one entry a snapshot: crossings seen and the gap of each quantity with its error."""
    events = tuning_sample(n)
    curves: dict[str, list[dict[str, Any]]] = {}
    for run in runs:
        points = []
        for path in sorted((run / "snapshots").glob("*.ckpt")):
            method = Trained(path)
            if rounds and method.seen["round"] not in rounds:
                continue
            table = hs.resolution(events, {run.name: hs.mitigate(events, method)})
            estimates = table.estimates[run.name]
            points.append(
                {
                    "crossings": method.seen["crossings"],
                    **{q: (estimates[q]["gap"].value, estimates[q]["gap"].error) for q in PANELS},
                    "median": (
                        estimates["ak4_central.pt"]["median"].value,
                        estimates["ak4_central.pt"]["median"].error,
                    ),
                }
            )
            print(run.name, points[-1], flush=True)
        curves[run.name] = points
    return curves


def draw(curves: dict[str, list[dict[str, Any]]], output: Path) -> None:
    """Draw one panel a quantity."""
    with figure_style():
        figure, axes = plt.subplots(1, len(PANELS), sharex=True, figsize=(12, 4), layout="constrained")
        for axis, (quantity, title) in zip(axes, PANELS.items(), strict=True):
            for name, points in curves.items():
                x = [point["crossings"] for point in points]
                y, error = zip(*(point[quantity] for point in points), strict=True)
                axis.errorbar(x, y, error, fmt="o-", markersize=4, capsize=2, label=name)
            axis.axhline(0.0, color="black", linewidth=0.8)
            axis.set(xscale="log", xlabel="crossings seen")
            axis.xaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
            axis.xaxis.set_major_formatter(StrMethodFormatter("{x:g}"))
            axis.xaxis.set_minor_formatter(NullFormatter())
            axis.set_title(title, loc="right")
        axes[0].set_ylabel("gap closed (PUPPI = 0, perfect = 1)")
        axes[0].legend()
        simulation_label(axes[0])
        figure.savefig(output)
        plt.close(figure)


def main() -> None:
    """Measure and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--rounds", nargs="+", type=int)
    parser.add_argument("-n", type=int, default=200)
    given = parser.parse_args()
    curves = measure(given.runs, given.rounds, given.n)
    given.output.with_suffix(".json").write_text(json.dumps(curves, indent=1) + "\n", encoding="utf-8")
    draw(curves, given.output)


if __name__ == "__main__":
    main()
