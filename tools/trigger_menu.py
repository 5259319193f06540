"""Measure rates and efficiencies of a first-level menu for several methods, and draw them.

    python tools/trigger_menu.py docs/trigger_rates.png --work FOLDER [--methods puppi total …]

Minimum-bias crossings and signals are simulated at pileup 200 and what the trigger sees of them is kept in FOLDER, part
by part and method by method: an interrupted run goes on, a method that is added later joins. Collisions are those of
the final test (seed 303): nobody's training or tuning. The numbers go to a .json of the same name.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from pages import put
from PIL import Image

import hardscatter as hs
from hardscatter.arena.files import write_aside, write_json
from hardscatter.events import Events
from hardscatter.report.style import colour, figure_style, label, line, marker, simulation_label
from hardscatter.report.tables import with_error
from hardscatter.simulation import Crossings
from hardscatter.trigger.menu import PERFECT, Menu, MenuStudy, Seen, effective_above, seen_of, study, weights_of
from hardscatter.trigger.minbias import MinimumBias, MinimumBiasCrossings
from hardscatter.trigger.objects import true_objects

SEED, N_MINBIAS, PILEUP, STEP = 303, 50_000, 200.0, 50
METHODS = ("puppi", "puppi:best", "puppi-linear", "total:student", "total", PERFECT)
REPLICAS = 200
MINBIAS = "minbias"
SIGNALS = {
    "ttbar-semileptonic": r"$t\bar{t}$, one lepton",
    "vbf-h-invisible": r"VBF H $\to$ invisible",
    "hh-4b": r"X(400) $\to$ HH $\to$ 4b",
}
PATHS = {
    "jet": r"leading jet $p_\mathrm{T}$ [GeV]",
    "multijet": r"fourth jet $p_\mathrm{T}$ [GeV]",
    "ht": r"$H_\mathrm{T}$ [GeV]",
    "met": r"$p_\mathrm{T}^\mathrm{miss}$ [GeV]",
}
TURN_ONS = {
    "jet": ("ttbar-semileptonic", np.arange(40.0, 281.0, 15.0)),
    "multijet": ("hh-4b", np.arange(15.0, 91.0, 5.0)),
    "ht": ("ttbar-semileptonic", np.arange(60.0, 661.0, 40.0)),
    "met": ("vbf-h-invisible", np.arange(0.0, 301.0, 20.0)),
}
"""The signal that a path's turn-on is drawn for, and bins of the true quantity (GeV)."""


def collect(sample: str, n: int, methods: list[str], folder: Path) -> None:
    """Make what is missing of a sample: one file a part for the truth, one a part and method."""
    crossings: Callable[[int, int], Events] | None = None
    for first in range(0, n, STEP):
        wanted = [name for name in ("truth", *methods) if not part_of(folder, sample, name, first).exists()]
        if not wanted:
            continue
        crossings = crossings or source(sample, n)
        events = crossings(first, min(first + STEP, n))
        for name in wanted:
            columns = truth_of(events) if name == "truth" else seen_of(events, name)
            path = part_of(folder, sample, name, first)
            write_aside(path, lambda aside, columns=columns: np.savez(aside, **columns))
        print(f"{sample}: {min(first + STEP, n)} of {n}", flush=True)


def source(sample: str, n: int) -> Callable[[int, int], Events]:
    """Return what makes the crossings from one number to another."""
    if sample == MINBIAS:
        minbias = MinimumBiasCrossings(MinimumBias(pileup=PILEUP, seed=SEED, n_minbias=N_MINBIAS))
        return lambda first, last: minbias[first:last]
    signal = Crossings(sample, n, pileup=PILEUP, seed=SEED, n_minbias=N_MINBIAS)
    return lambda first, last: signal[first:last][0]


def truth_of(events: Events) -> dict[str, NDArray[Any]]:
    """Return true quantities and weights; for minimum bias the collision that crossings may have in common."""
    common = {"collision": np.asarray(events.collision)} if events.has("collision") else {}
    return true_objects(events) | {"weight": weights_of(events)} | common


def part_of(folder: Path, sample: str, name: str, first: int) -> Path:
    """Return where a part is kept."""
    return folder / sample / f"{name.replace(':', '_')}-{first:06d}.npz"


def load(sample: str, n: int, methods: list[str], folder: Path) -> tuple[Seen, dict[str, NDArray[Any]]]:
    """Return what was collected of a sample, and its truth."""

    def joined(name: str) -> dict[str, NDArray[Any]]:
        parts = [np.load(part_of(folder, sample, name, first)) for first in range(0, n, STEP)]
        return {key: np.concatenate([part[key] for part in parts]) for key in parts[0].files}

    truth = joined("truth")
    unit = truth.get("collision", np.arange(n))
    return Seen({method: joined(method) for method in methods}, truth["weight"], unit), truth


def turn_on(seen: Seen, truth: NDArray[Any], method: str, path: str, threshold: float) -> dict[str, list[float | None]]:
    """Return the efficiency in bins of the true quantity with binomial errors (Agresti and Coull), None if empty."""
    edges = TURN_ONS[path][1]
    held, _ = np.histogram(truth, edges)
    passed, _ = np.histogram(truth[seen.values[method][path] > threshold], edges)
    middle = (passed + 0.5) / (held + 1.0)
    return {
        "efficiency": [float(k / n) if n else None for k, n in zip(passed, held, strict=True)],
        "error": [
            float(e) if n else None for e, n in zip(np.sqrt(middle * (1 - middle) / (held + 1)), held, strict=True)
        ],
    }


def measure(given: argparse.Namespace) -> tuple[MenuStudy, dict[str, Any]]:
    """Return the study, and the turn-on curves at the rate of one path alone."""
    minbias, _ = load(MINBIAS, given.minbias, given.methods, given.work)
    loaded = {name: load(name, given.signal, given.methods, given.work) for name in SIGNALS}
    found = study(minbias, {name: seen for name, (seen, _) in loaded.items()}, Menu(), replicas=REPLICAS)
    more: dict[str, Any] = {"turn_on": {}, "effective_at_threshold": {}}
    for method in given.methods:
        thresholds = {path: found.alone[method][path]["threshold"].value for path in PATHS}
        more["turn_on"][method] = {
            path: turn_on(loaded[signal][0], loaded[signal][1][path], method, path, thresholds[path])
            for path, (signal, _) in TURN_ONS.items()
        }
        more["effective_at_threshold"][method] = {
            path: round(effective_above(minbias, method, path, threshold), 1) for path, threshold in thresholds.items()
        }
    return found, more


def draw(found: MenuStudy, more: dict[str, Any], output: Path) -> None:
    """Draw rates above, turn-on curves in the middle, and what the whole menu keeps below."""
    with figure_style():
        figure = plt.figure(figsize=(13, 10), layout="constrained")
        axes = figure.subplots(3, 4)
        for i, path in enumerate(PATHS):
            for method in found.curves:
                draw_rate(axes[0, i], found, method, path)
                draw_turn_on(axes[1, i], more, method, path)
            axes[0, i].axhline(found.menu.alone_khz, color="black", linewidth=0.8, linestyle=":")
            axes[0, i].set(yscale="log", ylim=(3, 4e4), xlabel=PATHS[path], xlim=_RANGES[path])
            axes[1, i].set(ylim=(0, 1.19), xlabel=f"true {PATHS[path]}", xlim=TURN_ONS[path][1][[0, -1]])
            axes[1, i].set_title(SIGNALS[TURN_ONS[path][0]], loc="left", fontsize="small", x=0.03, y=0.88)
        axes[0, 0].set_ylabel("rate [kHz]")
        axes[1, 0].set_ylabel(f"efficiency at {found.menu.alone_khz:.0f} kHz")
        simulation_label(axes[0, 0])
        axes[0, 3].set_title(f"14 TeV, pileup {PILEUP:.0f}", loc="right", fontsize="medium")
        for axis, (signal, title) in zip(axes[2], SIGNALS.items(), strict=False):
            for method, scan in found.scan.items():
                draw_scan(axis, scan[signal], method)
            axis.axvline(found.menu.budget_khz, color="black", linewidth=0.8, linestyle=":")
            axis.set(xscale="log", xlabel="rate of all four paths [kHz]", xlim=(45, 1650), ylim=(0, 1.19))
            axis.set_xticks((50, 100, 200, 400, 750, 1500), ("50", "100", "200", "400", "750", "1500"))
            axis.minorticks_off()
            axis.set_title(title, loc="left", fontsize="small", x=0.03, y=0.88)
        axes[2, 0].set_ylabel("efficiency of all four paths")
        axes[2, 3].axis("off")
        axes[2, 3].legend(*axes[0, 0].get_legend_handles_labels(), loc="center", fontsize="medium")
        figure.savefig(output, dpi=110)
        plt.close(figure)
    Image.open(output).convert("RGB").quantize(_COLOURS, dither=Image.Dither.NONE).save(output, optimize=True)


_COLOURS = 160  # of the figure's palette: a third of the size, and no eye sees it
_RANGES = {"jet": (20, 250), "multijet": (16, 80), "ht": (40, 600), "met": (10, 200)}


def draw_rate(axis: Any, found: MenuStudy, method: str, path: str) -> None:
    """Draw one rate with its error as a band."""
    curve = found.curves[method][path]
    threshold = np.array(curve["threshold"])
    low, value, high = (np.array([getattr(e, name) for e in curve["rate"]]) for name in ("low", "value", "high"))
    known = value > 0
    axis.plot(threshold[known], value[known], color=colour(method), linestyle=line(method), label=label(method))
    axis.fill_between(threshold[known], low[known], high[known], color=colour(method), alpha=0.2, linewidth=0)


def draw_turn_on(axis: Any, more: dict[str, Any], method: str, path: str) -> None:
    """Draw one turn-on curve."""
    edges, curve = TURN_ONS[path][1], more["turn_on"][method][path]
    middle = (edges[1:] + edges[:-1]) / 2
    known = [e is not None for e in curve["efficiency"]]
    efficiency, error = ([e for e in curve[name] if e is not None] for name in ("efficiency", "error"))
    axis.errorbar(
        middle[known], efficiency, error, color=colour(method), marker=marker(method), linestyle=line(method),
        markersize=3, linewidth=1,
    )  # fmt: skip


def draw_scan(axis: Any, scan: dict[str, Any], method: str) -> None:
    """Draw the efficiency of the whole menu against its rate."""
    budget = np.array([float(b) for b in scan])
    low, value, high = (np.array([getattr(e, name) for e in scan.values()]) for name in ("low", "value", "high"))
    axis.plot(
        budget, value, color=colour(method), linestyle=line(method), marker=marker(method), markersize=3, linewidth=1
    )
    axis.fill_between(budget, low, high, color=colour(method), alpha=0.2, linewidth=0)


def tables(found: MenuStudy) -> list[str]:
    """Return the tables of the page: one path alone, then all together."""
    alone = [f"One path alone at {found.menu.alone_khz:.0f} kHz:", ""]
    told = {f"{path} > [GeV]": (path, "threshold") for path in PATHS}
    told |= {f"{path}, {signal}": (path, signal) for path, signal in _OWN_PATHS}
    rows = [[found.alone[m][path][key] for path, key in told.values()] for m in found.alone]
    together = [f"All together at {found.menu.budget_khz:.0f} kHz:", ""]
    keys = {"": "efficiency", "gain, ": "gain", "kHz for that of PUPPI, ": "same"}
    wanted = {f"{words}{signal}": (key, signal) for words, key in keys.items() for signal in SIGNALS}
    whole = [[found.whole[m][key][signal] for key, signal in wanted.values()] for m in found.whole]
    methods = list(found.whole)
    return [*alone, *table(methods, list(told), rows), "", *together, *table(methods, list(wanted), whole)]


def table(methods: list[str], columns: list[str], rows: list[list[Any]]) -> list[str]:
    """Return a table of estimates in Markdown."""
    lines = ["| | " + " | ".join(columns) + " |", "|---|" + "---:|" * len(columns)]
    for method, row in zip(methods, rows, strict=True):
        lines.append(f"| {label(method)} | " + " | ".join(map(cell, row, columns)) + " |")
    return lines


def cell(estimate: Any, column: str) -> str:
    """Return an estimate with its error; at any rate at all there may be more signal than PUPPI leaves."""
    return "–" if column.startswith("kHz") and estimate.value == 0 else with_error(estimate)


_OWN_PATHS = (
    ("jet", "ttbar-semileptonic"),
    ("multijet", "hh-4b"),
    ("ht", "hh-4b"),
    ("ht", "ttbar-semileptonic"),
    ("met", "vbf-h-invisible"),
)


def main() -> None:
    """Collect what is missing, measure, and draw."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("output", type=Path)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--page", type=Path, help="page with a place for the tables")
    parser.add_argument("--methods", nargs="+", default=list(METHODS))
    parser.add_argument("--minbias", type=int, default=6000, help="minimum-bias crossings")
    parser.add_argument("--signal", type=int, default=1500, help="crossings of each signal")
    given = parser.parse_args()
    hs.set_threads(1)
    for sample in (*SIGNALS, MINBIAS):
        collect(sample, given.minbias if sample == MINBIAS else given.signal, given.methods, given.work)
    found, more = measure(given)
    settings = {"pileup": PILEUP, "seed": SEED, "n_minbias": N_MINBIAS, "replicas": REPLICAS}
    write_json(given.output.with_suffix(".json"), {"settings": settings, **found.to_dict(), **more})
    draw(found, more, given.output)
    if given.page is not None:
        put(given.page, "rates", tables(found))


if __name__ == "__main__":
    main()
