"""Measure how soon the weights tell of a fault, at what rate of false alarms, and draw it.

    python tools/trigger_monitoring.py docs/trigger_monitoring.png --work FOLDER [--method total]

Crossings are minimum bias at pileup 200, tracks given to the leading vertex by a window in z. Reference and thresholds
come from one library of collisions (seed 303), the good and the faulty crossings that are judged from another (seed
404). Counts are kept in FOLDER; an interrupted run goes on. The numbers go to a .json of the same name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from pages import put

import hardscatter as hs
from hardscatter.arena.files import write_aside, write_json
from hardscatter.events import Events
from hardscatter.report.style import figure_style, label, simulation_label
from hardscatter.trigger.minbias import MinimumBias, MinimumBiasCrossings
from hardscatter.trigger.monitoring import DeadRegion, Regions, VertexWindow, WeightMonitor, windows

PILEUP, STEP, REGIONS = 200.0, 50, Regions()
REFERENCE, JUDGED = 303, 404
N_REFERENCE, N_CALIBRATION, N_GOOD, N_FAULTY = 800, 800, 1000, 250
WINDOWS, FALSE_ALARMS, N_DRAWN = (1, 2, 5, 10, 20, 50), 0.01, 1000
GOOD = "good"
GOOD_WINDOW = VertexWindow()


def dead(width: float) -> Callable[[Events], Events]:
    """Return a fault of that width in eta and phi, in the barrel."""
    patch = DeadRegion(eta=(0.8, 0.8 + width), phi=(1.0, 1.0 + width))
    return lambda events: patch(GOOD_WINDOW(events))


FAULTS: dict[str, Callable[[Events], Events]] = {
    GOOD: GOOD_WINDOW,
    "dead 0.2 × 0.2": dead(0.2),
    "dead 0.4 × 0.4": dead(0.4),
    "vertex off by 0.2 mm": VertexWindow(shift=0.2),
    "vertex off by 0.5 mm": VertexWindow(shift=0.5),
    "vertex off by 1 mm": VertexWindow(shift=1.0),
}


def counted(method: str, seed: int, first: int, last: int, faults: list[str], folder: Path) -> dict[str, Any]:
    """Return the counts of crossings under each fault, made where they are missing."""
    crossings = MinimumBiasCrossings(MinimumBias(pileup=PILEUP, seed=seed, n_jets=0, jets=0.0))
    parts: dict[str, list[Any]] = {fault: [] for fault in faults}
    for start in range(first, last, STEP):
        paths = {fault: folder / f"{method.replace(':', '_')}, {seed}, {fault}, {start:06d}.npz" for fault in faults}
        missing = [fault for fault in faults if not paths[fault].exists()]
        events = crossings[start : start + STEP].without_truth() if missing else None
        for fault in missing:
            changed = FAULTS[fault](events)
            counts = REGIONS.counts(changed, hs.mitigate(changed, method)).astype(np.int32)
            write_aside(paths[fault], lambda aside, counts=counts: np.savez_compressed(aside, counts=counts))
        for fault in faults:
            with np.load(paths[fault]) as found:
                parts[fault].append(found["counts"])
        if missing:
            print(f"{method}, seed {seed}: {start + STEP} of {last}", flush=True)
    return {fault: np.concatenate(part) for fault, part in parts.items()}


def measure(method: str, folder: Path) -> dict[str, Any]:
    """Return the share of windows with an alarm, by length of the window and by fault, with errors."""
    learnt = counted(method, REFERENCE, 0, N_REFERENCE + N_CALIBRATION, [GOOD], folder)[GOOD]
    judged = counted(method, JUDGED, 0, N_FAULTY, list(FAULTS), folder)
    more = counted(method, JUDGED, N_FAULTY, N_GOOD, [GOOD], folder)
    judged[GOOD] = np.concatenate([judged[GOOD], more[GOOD]])
    alarms: dict[str, Any] = {fault: {} for fault in FAULTS}
    for window in WINDOWS:
        monitor = WeightMonitor(learnt[:N_REFERENCE], learnt[N_REFERENCE:], window=window, false_alarms=FALSE_ALARMS)
        for fault, counts in judged.items():
            verdicts = [monitor.verdict(part) for part in windows(counts, window, N_DRAWN, seed=2)]
            share = float(np.mean([verdict.alarm for verdict in verdicts]))
            # Windows share crossings: no more than these are independent.
            n = len(counts) // window
            error = float(np.sqrt(max(share * (1 - share), 1 / n / 4) / n))
            eta, phi = REGIONS.where(int(np.bincount([verdict.region for verdict in verdicts]).argmax()))
            alarms[fault][str(window)] = {
                "share": round(share, 4), "error": round(error, 4), "independent": n,
                "region": [round(float(eta), 2), round(float(phi), 2)],
            }  # fmt: skip
    return alarms


def draw(numbers: dict[str, Any], output: Path) -> None:
    """Draw the share of windows with an alarm against their length, one panel a method."""
    colours = ("#717581", "#92dadd", "#3f90da", "#ffa90e", "#e76300", "#bd1f01")
    with figure_style():
        figure, axes = plt.subplots(
            1, len(numbers["alarms"]), sharey=True, figsize=(5.5 * len(numbers["alarms"]), 4.6), layout="constrained"
        )
        for axis, (method, faults) in zip(np.atleast_1d(axes), numbers["alarms"].items(), strict=True):
            for (fault, seen), colour in zip(faults.items(), colours, strict=True):
                length = [int(n) for n in seen]
                share, error = ([n[name] for n in seen.values()] for name in ("share", "error"))
                marker = "s--" if fault == GOOD else "o-"
                axis.errorbar(length, share, error, fmt=marker, capsize=2, color=colour, markersize=5, label=fault)
            axis.axhline(FALSE_ALARMS, color="black", linewidth=0.8, linestyle=":")
            axis.set_xscale("log")
            axis.set_xticks(WINDOWS, [str(n) for n in WINDOWS])
            axis.minorticks_off()
            axis.set_ylim(0, 1.25)
            axis.set_xlabel("crossings in a window")
            axis.set_title(label(method), loc="right", fontsize="small")
        np.atleast_1d(axes)[0].set_ylabel("share of windows with an alarm")
        np.atleast_1d(axes)[0].legend(fontsize="x-small", ncols=2, loc="upper left")
        simulation_label(np.atleast_1d(axes)[0])
        figure.savefig(output, dpi=110)
        plt.close(figure)


def table(alarms: dict[str, Any]) -> list[str]:
    """Return the share of windows with an alarm as a table in Markdown."""
    lines = ["| | " + " | ".join(f"{n} crossings" for n in WINDOWS) + " |", "|---|" + "---:|" * len(WINDOWS)]
    for method, faults in alarms.items():
        for fault, seen in faults.items():
            cells = [f"{n['share']:.3f} ± {n['error']:.3f}" for n in seen.values()]
            lines.append(f"| {label(method)}, {fault} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Count what is missing, measure, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="page with a place for the table")
    parser.add_argument("--methods", nargs="+", default=["puppi", "total"])
    given = parser.parse_args()
    hs.set_threads(1)
    numbers = {
        "pileup": PILEUP, "seeds": [REFERENCE, JUDGED], "false_alarms_asked_for": FALSE_ALARMS,
        "crossings": {"reference": N_REFERENCE, "thresholds": N_CALIBRATION, "good": N_GOOD, "faulty": N_FAULTY},
        "alarms": {method: measure(method, given.work) for method in given.methods},
    }  # fmt: skip
    write_json(given.output.with_suffix(".json"), numbers)
    draw(numbers, given.output)
    if given.page is not None:
        put(given.page, "monitoring", table(numbers["alarms"]))


if __name__ == "__main__":
    main()
