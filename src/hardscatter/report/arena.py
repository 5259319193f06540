"""What an arena shows: tables for terminal and page, the leaderboard's figure, and that of the domain shifts."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from textwrap import fill

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from rich.box import SIMPLE_HEAD
from rich.table import Table

from hardscatter.arena.cost import Cost
from hardscatter.arena.files import plain, write_json, write_text
from hardscatter.arena.leaderboard import HEADLINE, LEAST, Leaderboard, SampleResult
from hardscatter.arena.samples import Facts
from hardscatter.arena.shifts import NOMINAL, PROCESS, ShiftTable
from hardscatter.metrics import Estimate
from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.report.first_light import save
from hardscatter.report.style import colour, figure_style, label, simulation_label
from hardscatter.report.tables import with_error
from hardscatter.workshop2014 import Result, compare

Column = tuple[str, str, str]
"""Quantity, statistic, heading."""

_NAMES = {
    "ak4_central.pt": "AK4 central",
    "ak4_forward.pt": "AK4 forward",
    "ak8.mass": "AK8 mass",
    "met": "missing momentum",
    "ht": "H_T",
}
_GROUPS: dict[str, tuple[Column, ...]] = {
    "resolution": (
        ("ak4_central.pt", "resolution", "AK4 central δ/(1+med)"),
        ("ak4_forward.pt", "resolution", "AK4 forward δ/(1+med)"),
        ("ak8.mass", "resolution", "AK8 mass δ/(1+med)"),
        ("ak8.tau32", "delta", "τ32 δ"),
        ("met", "delta", "missing momentum δ [GeV]"),
        ("met", "width68", "68 %/2 [GeV]"),
        ("met", "width95", "95 %/2 [GeV]"),
        ("ht", "resolution", "H_T δ/(1+med)"),
        ("ht", "delta", "H_T δ"),
    ),
    "bias, efficiency and fakes": (
        ("ak4_central.pt", "median", "AK4 central median"),
        ("ak4_forward.pt", "median", "AK4 forward median"),
        ("ak8.mass", "median", "AK8 mass median"),
        ("ht", "median", "H_T median"),
        ("met", "slope", "missing momentum slope"),
        ("ak4_central.pt", "efficiency", "central effic."),
        ("ak4_central.pt", "fakes", "central fakes"),
        ("ak4_forward.pt", "efficiency", "forward effic."),
        ("ak4_forward.pt", "fakes", "forward fakes"),
    ),
    f"gap closed (0: {REFERENCE}, 1: {PERFECT} weights)": tuple(
        (quantity, "gap", name) for quantity, name in _NAMES.items()
    ),
    f"gap closed (0: {CMS_REFERENCE}, 1: {PERFECT} weights)": tuple(
        (quantity, "gap_cms", name) for quantity, name in _NAMES.items()
    ),
}
_SHIFT_COLUMNS: tuple[Column, ...] = (
    ("ak4_central.pt", "resolution", "AK4 central δ/(1+med)"),
    ("ak4_central.pt", "median", "AK4 central median"),
    ("ak4_central.pt", "gap", "AK4 central gap"),
    ("ak4_central.pt", "gap_cms", "gap CMS"),
    ("met", "delta", "missing momentum δ [GeV]"),
    ("met", "gap", "missing momentum gap"),
    ("met", "gap_cms", "gap CMS"),
)
_SHIFT_SUMMARY = (_SHIFT_COLUMNS[0], _SHIFT_COLUMNS[1], _SHIFT_COLUMNS[4], _SHIFT_COLUMNS[2])
"""What one table over all shifts is made of, each."""
_AXES = {
    "ak4_central.pt": "AK4 jets, $|\\eta| < 2.5$\n$\\delta\\,/\\,(1 + \\mathrm{median})$ of $p_T$",
    "ak4_forward.pt": "AK4 jets, $2.5 < |\\eta| < 4.7$\n$\\delta\\,/\\,(1 + \\mathrm{median})$ of $p_T$",
    "ak8.mass": "AK8 jets, $p_T > 200$ GeV\n$\\delta\\,/\\,(1 + \\mathrm{median})$ of mass",
    "met": "missing momentum\n$\\delta$ of $x$ and $y$ [GeV]",
    "ht": "$H_T$ of AK4 jets\n$\\delta\\,/\\,(1 + \\mathrm{median})$",
}
_OFF_SCALE = 2.5
"""Points beyond this multiple of the reference are marked at the edge, with their value."""


@dataclass(frozen=True)
class Grid:
    """A table: title, headings and cells."""

    title: str
    headings: tuple[str, ...]
    rows: list[tuple[str, ...]]

    def to_rich(self) -> Table:
        """Return the table for a terminal."""
        table = Table(title=self.title, title_justify="left", header_style="bold", box=SIMPLE_HEAD, pad_edge=False)
        for place, heading in enumerate(self.headings):
            table.add_column(heading, justify="right" if place else "left", overflow="fold")
        for row in self.rows:
            table.add_row(*row)
        return table

    def to_markdown(self) -> list[str]:
        """Return the lines of the table for a page."""
        cells = ["| " + " | ".join(row) + " |" for row in self.rows]
        return [f"**{self.title}**", "", "| " + " | ".join(self.headings) + " |", "|---" * len(self.headings) + "|",
                *cells, ""]  # fmt: skip


def write_leaderboard(result: Leaderboard, folder: Path) -> list[Path]:
    """Write ``leaderboard.md`` and, for each sample, its figure; return what was written, the first figure first."""
    drawn = [name for name, sample in result.samples.items() if _shown(sample)]
    written: list[Path] = []
    for place, name in enumerate(drawn):
        stem = "leaderboard" if place == 0 else "leaderboard-" + re.sub(r"[^\w-]+", "-", name)
        written += save(draw_leaderboard(result, name), folder / stem)
    figures = [f"![{name}]({path.name})" for name, path in zip(drawn, written[::2], strict=True)]
    page = ["# Leaderboard", "", *_remarks(), ""]
    for grid in leaderboard_grids(result):
        page += grid.to_markdown()
    for name, sample in result.samples.items():
        page += [f"- {name}: `{method}` was not measured: {reason}" for method, reason in sample.failures.items()]
    page += [
        f"- `{one}`: time and memory unknown: {cost}" for one, cost in result.costs.items() if isinstance(cost, str)
    ]
    write_text(folder / "leaderboard.md", "\n".join([*page, "", *figures]) + "\n")
    return [folder / "leaderboard.md", *written]


def write_shifts(result: ShiftTable, folder: Path) -> list[Path]:
    """Write ``shifts.md`` and the figure of the shifts; return what was written."""
    page = ["# Domain shifts", "", f"{PROCESS}; Δ is shifted − nominal, with the same collisions where paired.", ""]
    for grid in shift_grids(result):
        page += grid.to_markdown()
    for name, shift in result.shifts.items():
        page += [f"- {name}: `{method}` was not measured: {reason}" for method, reason in shift.failures.items()]
    written = save(draw_shifts(result), folder / "shifts")
    write_text(folder / "shifts.md", "\n".join([*page, "", "![changes](shifts.png)"]) + "\n")
    return [folder / "shifts.md", *written]


def write_workshop(result: Result, folder: Path) -> list[Path]:
    """Write ``workshop2014.json`` and ``workshop2014.md``: our numbers beside those of the workshop."""
    page = ["# The benchmark of the 2014 pileup workshop", "", "Jets' subtracted − hard, ours | theirs, GeV.", ""]
    for grid in workshop_grids(result):
        page += grid.to_markdown()
    written = [folder / "workshop2014.json", folder / "workshop2014.md"]
    write_json(written[0], plain(result.to_dict()))
    write_text(written[1], "\n".join(page) + "\n")
    return written


def leaderboard_grids(result: Leaderboard) -> list[Grid]:
    """Return the tables of a leaderboard: the order and the costs, then those of each sample, in that order."""
    grids = [_ranking(result)]
    for name, sample in result.samples.items():
        order = [method for method in result.ranking if method in (*sample.table.estimates, *sample.failures)]
        for what, columns in _GROUPS.items():
            shown = [column for column in columns if _measured(sample.table.estimates, column)]
            if not shown:
                continue
            rows = [
                (method, *("failed" if method in sample.failures else _cell(sample.table.estimates, method, column)
                           for column in shown))
                for method in order
            ]  # fmt: skip
            headings = tuple(_with_size(sample, column) for column in shown)
            grids.append(Grid(f"{name}: {what} ({_about(sample.facts)})", ("method", *headings), rows))
    return grids


def shift_grids(result: ShiftTable) -> list[Grid]:
    """Return a table over all shifts for each headline number, then one a shift with the differences to the nominal."""
    grids = [_by_shift(result, column) for column in _SHIFT_SUMMARY]
    for name, shift in result.shifts.items():
        pairs = "" if name == NOMINAL else ", the same hard collisions" if shift.paired else ", other hard collisions"
        columns = [column for column in _SHIFT_COLUMNS if _measured(shift.values, column)]
        headings, rows = ["method"], []
        for _, _, heading in columns:
            headings += [heading] if name == NOMINAL else [heading, "Δ"]
        for method in (*shift.values, *shift.failures):
            cells = [method]
            for column in columns:
                value = "failed" if method in shift.failures else _cell(shift.values, method, column)
                cells += [value] if name == NOMINAL else [value, _cell(shift.changes, method, column)]
            rows.append(tuple(cells))
        grids.append(Grid(f"{name} ({_about(shift.facts)}{pairs})", tuple(headings), rows))
    return grids


def _by_shift(result: ShiftTable, column: Column) -> Grid:
    """Return one number of every method under every shift: what a skeptic asks for first."""
    methods = dict.fromkeys(method for shift in result.shifts.values() for method in (*shift.values, *shift.failures))
    rows = [(method, *(_cell(shift.values, method, column) for shift in result.shifts.values())) for method in methods]
    return Grid(f"{column[2]} under every shift", ("method", *result.shifts), rows)


def workshop_grids(result: Result) -> list[Grid]:
    """Return one table for each sample and pileup: shift and dispersion of pt and mass, ours beside theirs."""
    theirs = {(one.sample, one.n_pileup, one.method, one.quantity): one for one in compare(result)}
    headings = ["method", "found"]
    for quantity in ("pt", "mass"):
        headings += [f"{quantity} shift [GeV]", "theirs", f"{quantity} dispersion [GeV]", "theirs", "agrees"]
    grids: dict[tuple[str, int], Grid] = {}
    for row in result.rows:
        title = f"{row.sample}, {row.n_pileup} pileup collisions ({row.n_crossings} crossings, {row.n_jets} jets)"
        grid = grids.setdefault((row.sample, row.n_pileup), Grid(title, tuple(headings), []))
        cells = [row.method, f"{row.n_matched / row.n_jets:.1%}" if row.n_jets else "–"]
        for quantity in ("pt", "mass"):
            found = theirs.get((row.sample, row.n_pileup, row.method, quantity))
            shift, dispersion = with_error(row.shift[quantity]), with_error(row.dispersion[quantity])
            if found is None:
                cells += [shift, "–", dispersion, "–", "–"]
            else:
                agrees = "yes" if found.agrees else "no"
                cells += [shift, f"{found.published_shift:g}", dispersion, f"{found.published_dispersion:g}", agrees]
        grid.rows.append(tuple(cells))
    return list(grids.values())


def draw_leaderboard(result: Leaderboard, name: str) -> Figure:
    """Draw the headline quantities of one sample: a row a method in the leaderboard's order, the best at the top."""
    sample = result.samples[name]
    panels = _shown(sample)
    methods = [method for method in result.ranking if method in sample.table.estimates][::-1]
    with figure_style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(max(3.6 + 2.2 * len(panels), 9.0), 1.9 + 0.29 * len(methods)), sharey=True,
            squeeze=False, layout="constrained",
        )  # fmt: skip
        for ax, quantity in zip(axes[0], panels, strict=True):
            _points(ax, sample, methods, quantity)
            size = sample.table.sizes[quantity]
            ax.set_xlabel(_AXES[quantity] + f"\n({size} {'crossings' if quantity in ('met', 'ht') else 'jets'})")
        first = axes[0][0]
        first.set_yticks(range(len(methods)), [label(method) for method in methods])
        first.set_ylim(-0.6, len(methods) - 0.4)
        for tick, method in zip(first.get_yticklabels(), methods, strict=True):
            tick.set_fontweight("bold" if method in (REFERENCE, PERFECT) else "normal")
        simulation_label(first)
        figure.suptitle(f"{name} ({_about(sample.facts)})", fontsize=11, x=0.995, ha="right")
    return figure


def draw_shifts(result: ShiftTable) -> Figure:
    """Draw by how much each shift widens what each method measures, as a share of its nominal width."""
    panels = [column for column in _SHIFT_COLUMNS if column[1] in ("resolution", "delta")]
    nominal = next(iter(result.shifts.values())).values
    shifts = [name for name in result.shifts if name != NOMINAL]
    with figure_style():
        figure, axes = plt.subplots(
            1, len(panels), figsize=(13.3, 2.4 + 0.3 * len(nominal)), sharey=True, squeeze=False, layout="constrained"
        )
        for ax, (quantity, statistic, heading) in zip(axes[0], panels, strict=True):
            shares, errors = (np.full((len(nominal), len(shifts)), np.nan) for _ in range(2))
            for row, method in enumerate(nominal):
                start = nominal[method].get(quantity, {}).get(statistic)
                for place, name in enumerate(shifts):
                    change = result.shifts[name].changes.get(method, {}).get(quantity, {}).get(statistic)
                    if start is not None and change is not None and start.value > 0:
                        shares[row, place] = 100 * change.value / start.value
                        errors[row, place] = 100 * change.error / start.value
            ax.imshow(shares, cmap="PuOr_r", vmin=-40, vmax=40, aspect="auto")
            for row, place in np.argwhere(np.isfinite(shares)):
                text = f"{shares[row, place]:+.0f} ± {errors[row, place]:.0f}"
                dark = abs(shares[row, place]) > 28
                ax.text(place, row, text, ha="center", va="center", fontsize=8.5, color="white" if dark else "black")
            ax.set_xticks(range(len(shifts)), [fill(name, 12) for name in shifts], fontsize=8.5)
            ax.set_yticks(range(len(nominal)), [label(method) for method in nominal])
            ax.minorticks_off()
            ax.tick_params(length=0)
            simulation_label(ax, f"change of {heading.partition(' [')[0]} [%]")
    return figure


def _points(ax: Axes, sample: SampleResult, methods: Sequence[str], quantity: str) -> None:
    found = {
        method: sample.table.estimates[method][quantity][HEADLINE[quantity]]
        for method in methods
        if HEADLINE[quantity] in sample.table.estimates[method].get(quantity, {})
    }
    finite = {method: estimate for method, estimate in found.items() if math.isfinite(estimate.value)}
    start = finite.get(REFERENCE)
    limit = _OFF_SCALE * start.value if start is not None else math.inf
    inside = [estimate.value + estimate.error for estimate in finite.values() if estimate.value <= limit]
    right = 1.08 * max((value for value in inside if math.isfinite(value)), default=1.0)
    for place, method in enumerate(methods):
        estimate = finite.get(method)
        if place % 2:
            ax.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=-1)
        if estimate is None:
            continue
        if estimate.value > right:
            ax.plot(0.985 * right, place, ">", color=colour(method), markersize=6)
            ax.text(0.95 * right, place, _three_digits(estimate.value), ha="right", va="center", fontsize=9)
            continue
        marker = "D" if method in (REFERENCE, PERFECT) else "o"
        ax.errorbar(
            estimate.value, place, xerr=estimate.error, fmt=marker, color=colour(method), markersize=6, capsize=3
        )
    for method, style in ((REFERENCE, "--"), (PERFECT, ":")):
        if method in finite:
            ax.axvline(finite[method].value, color="0.5", linewidth=0.9, linestyle=style, zorder=0)
    ax.set_xlim(0, right)
    ax.minorticks_off()
    ax.tick_params(axis="y", left=False, right=False)


def _ranking(result: Leaderboard) -> Grid:
    ranked = {name: sample for name, sample in result.samples.items() if sample.counted}
    several = len(ranked) > 1
    headings = ["", "method", "mean gap", *(ranked if several else [])]
    headings += ["ms a crossing", "memory [MB]"] if result.costs else []
    rows, place = [], 0
    for method, mean in result.ranking.items():
        placed = math.isfinite(mean.value) and method != PERFECT
        place += placed
        cells = [str(place) if placed else "", method, with_error(mean)]
        cells += [with_error(sample.mean_gaps.get(method)) for sample in ranked.values()] if several else []
        cost = result.costs.get(method)
        if result.costs:
            cells += (
                [_three_digits(cost.milliseconds), f"{cost.megabytes:.0f}"] if isinstance(cost, Cost) else ["–", "–"]
            )
        rows.append(tuple(cells))
    first = next((cost for cost in result.costs.values() if isinstance(cost, Cost)), None)
    about = "" if first is None else f"; time and memory on one thread, {first.candidates:.0f} candidates a crossing"
    return Grid(f"overall{about}", tuple(headings), rows)


def _remarks() -> list[str]:
    headline = ", ".join(_NAMES.values())
    return [
        f"Order: the mean over samples and headline quantities ({headline}; those with at least {LEAST} truth jets or "
        f"crossings) of the gap closed, (PUPPI − method)/(PUPPI − perfect), where PUPPI is `{REFERENCE}`. Errors are "
        "bootstraps over crossings; < and > stand before 68 % bounds. Perfect weights mark the limit.",
    ]


def _shown(sample: SampleResult) -> list[str]:
    """Return the headline quantities that have something to show."""
    return [
        quantity
        for quantity, statistic in HEADLINE.items()
        if sample.table.sizes.get(quantity, 0) and _measured(sample.table.estimates, (quantity, statistic, ""))
    ]


def _measured(values: Mapping[str, Mapping[str, Mapping[str, Estimate]]], column: Column) -> bool:
    quantity, statistic, _ = column
    known: Iterable[Estimate | None] = (by.get(quantity, {}).get(statistic) for by in values.values())
    return any(estimate is not None and math.isfinite(estimate.value) for estimate in known)


def _cell(values: Mapping[str, Mapping[str, Mapping[str, Estimate]]], method: str, column: Column) -> str:
    return with_error(values.get(method, {}).get(column[0], {}).get(column[1]))


def _with_size(sample: SampleResult, column: Column) -> str:
    quantity, _, heading = column
    return heading if quantity in ("met", "ht") else f"{heading} ({sample.table.sizes[quantity]} jets)"


def _three_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _about(facts: Facts) -> str:
    vertices = "" if facts.n_vertices is None else f", {facts.n_vertices:.0f} vertices"
    return f"{facts.crossings} crossings, {facts.candidates:.0f} candidates{vertices}"
