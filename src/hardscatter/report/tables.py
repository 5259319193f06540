"""Tables for the terminal."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

from rich.box import SIMPLE_HEAD
from rich.table import Table

from hardscatter.io.inspection import Inspection
from hardscatter.metrics import Estimate, ResolutionTable
from hardscatter.metrics.differential import TITLES
from hardscatter.pileup import Entry
from hardscatter.trigger.menu import MenuStudy

_HEADINGS = {
    "median": "median",
    "delta": "δ",
    "resolution": "δ/(1+med)",
    "efficiency": "effic.",
    "fakes": "fakes",
    "width68": "68 %/2",
    "width95": "95 %/2",
    "slope": "slope",
    "gap": "gap",
    "gap_cms": "gap CMS",
    "improvement": "improvement",
    "improvement_cms": "impr. CMS",
}
_MISSING_MOMENTUM_UNIT = ("delta", "width68", "width95")


def with_error(estimate: Estimate | None) -> str:
    """Write a value and its error, digits as the error deserves: ``0.0398 ± 0.0069``.

    A share at its edge is written as its 68 % bound, ``< 0.0038``, and what is exact without an error.
    """
    if estimate is None or not math.isfinite(estimate.value):
        return "–"
    if not math.isfinite(estimate.error) or estimate.error == 0:
        return f"{estimate.value:.3g}"
    if estimate.bound is not None:
        digits = _digits(estimate.error, most=9)
        rare = not estimate.value and digits > 5
        return f"{'>' if estimate.value else '<'} {estimate.bound:{'.2g' if rare else f'.{digits}f'}}"
    digits = _digits(estimate.error)
    return f"{estimate.value:.{digits}f} ± {estimate.error:.{digits}f}"


def with_error_in_brackets(estimate: Estimate | None) -> str:
    """Write the error as digits of the value, so that tables fit a terminal: ``0.0398(69)``, ``29.4(1.3)``."""
    text = with_error(estimate)
    if estimate is None or " ± " not in text:
        return text
    digits = _digits(estimate.error)
    value, error = text.split(" ± ")
    return f"{value}({error if estimate.error >= 1 else round(estimate.error * 10**digits)})"


def _digits(error: float, most: int = 4) -> int:
    """Return the decimals that show two significant digits of the error."""
    return min(max(1 - math.floor(math.log10(error)), 0), most)


def resolution_tables(
    table: ResolutionTable, write: Callable[[Estimate | None], str] = with_error_in_brackets
) -> list[Table]:
    """Return one table a quantity: methods down, statistics across, best resolution first; `write` gives the cells."""
    tables = []
    for quantity, size in table.sizes.items():
        measured = {
            name: by_quantity[quantity] for name, by_quantity in table.estimates.items() if quantity in by_quantity
        }
        statistics = [name for name in _HEADINGS if any(name in values for values in measured.values())]
        order = "resolution" if "resolution" in statistics else "delta"
        what = "crossings" if quantity.endswith(("met", "ht")) else "truth jets"
        shown = Table(
            title=f"{TITLES.get(quantity, quantity)} ({size} {what})",
            title_justify="left",
            header_style="bold",
            box=SIMPLE_HEAD,
            padding=0,
            pad_edge=False,
        )
        shown.add_column("method", no_wrap=True)
        for name in statistics:
            unit = " [GeV]" if quantity == "met" and name in _MISSING_MOMENTUM_UNIT else ""
            shown.add_column(_HEADINGS[name] + unit, justify="right", no_wrap=True)
        for method in sorted(measured, key=lambda name: _rank(measured[name][order])):
            shown.add_row(method, *(write(measured[method].get(name)) for name in statistics))
        tables.append(shown)
    return tables


def menu_tables(found: MenuStudy, write: Callable[[Estimate | None], str] = with_error_in_brackets) -> list[Table]:
    """Return thresholds and efficiencies of a trigger menu: path by path at one rate, then all paths together."""
    alone = f"one path alone at {found.menu.alone_khz:g} kHz"
    whole = f"all paths together at {found.menu.budget_khz:g} kHz"
    by_path = {
        f"{alone}: thresholds [GeV]": "threshold",
        **{f"{alone}: efficiency, {name}": name for name in found.crossings if name != "minbias"},
    }
    told = {
        title: {m: {path: found.alone[m][path][key] for path in found.menu.paths} for m in found.alone}
        for title, key in by_path.items()
    }
    together = {
        f"{whole}: thresholds [GeV]": "threshold",
        f"{whole}: rate that no other path accepts [kHz]": "pure",
        f"{whole}: efficiency": "efficiency",
        f"{whole}: efficiency over that of {found.reference}, minus 1": "gain",
        f"all paths together: rate [kHz] at the efficiency of {found.reference}": "same",
    }
    told |= {title: {m: found.whole[m].get(key, {}) for m in found.whole} for title, key in together.items()}
    return [_by_method(title, rows, write) for title, rows in told.items() if any(rows.values())]


def _by_method(
    title: str, rows: Mapping[str, Mapping[str, Estimate]], write: Callable[[Estimate | None], str]
) -> Table:
    shown = Table(title=title, title_justify="left", header_style="bold", box=SIMPLE_HEAD)
    shown.add_column("method", no_wrap=True)
    columns = list(next(iter(rows.values())))
    for column in columns:
        shown.add_column(column, justify="right", no_wrap=True)
    for method, row in rows.items():
        shown.add_row(method, *(write(row[column]) for column in columns))
    return shown


def methods_table(catalogue: Mapping[str, Entry]) -> Table:
    """Return the catalogue of methods."""
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    table.add_column("method")
    for heading in ("what it does", "paper"):
        table.add_column(heading, overflow="fold")
    for entry in catalogue.values():
        table.add_row(entry.id, entry.summary, entry.paper)
    return table


def processes_table(processes: Mapping[str, str]) -> Table:
    """Return the named processes."""
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    table.add_column("process", no_wrap=True)
    table.add_column("what it makes")
    for name, summary in processes.items():
        table.add_row(name, summary)
    return table


def inspection_tables(found: Inspection) -> list[Table]:
    """Return what an inspection found."""
    table = Table(show_header=False, title=f"{found.path} ({found.format})", title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    table.add_row("events", f"{found.n_events}{_readable(found)}")
    if found.n_readable:
        counts = found.candidates
        table.add_row(
            "candidates an event", f"{counts['mean']:.0f} (least {counts['least']:.0f}, most {counts['most']:.0f})"
        )
        table.add_row("", _listed({name: f"{value:.1f}" for name, value in found.classes.items()}))
        table.add_row("charged candidates", _listed({name: f"{value:.1%}" for name, value in found.charged.items()}))
        if found.n_vertices is not None:
            table.add_row("vertices an event", f"{found.n_vertices:.1f}")
        table.add_row("stored weights", _listed({name: f"mean {value:.3f}" for name, value in found.weights.items()}))
        table.add_row("truth an event", _listed({name: f"{value:.3g}" for name, value in found.truth.items()}))
    tables = [table]
    if found.ranges:
        ranges = Table(title="candidates", title_justify="left", header_style="bold", box=SIMPLE_HEAD)
        ranges.add_column("field")
        for heading in ("least", "greatest"):
            ranges.add_column(heading, justify="right")
        for name, (low, high) in found.ranges.items():
            ranges.add_row(name, f"{low:.5g}", f"{high:.5g}")
        tables.append(ranges)
    return tables


def _readable(found: Inspection) -> str:
    """Return what is to be said if not all events can be read."""
    if found.n_readable == found.n_events:
        return ""
    return f", the first {found.n_readable} of them readable" if found.n_readable else ", none of them readable"


def _listed(values: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {value}" for name, value in values.items()) or "none"


def _rank(estimate: Estimate) -> float:
    return estimate.value if math.isfinite(estimate.value) else math.inf


def plain_lines(tables: Sequence[Table]) -> list[str]:
    """Return tables as tab-separated lines, for pipes and log files."""
    lines = []
    for table in tables:
        if table.title:
            lines.append(f"# {table.title}")
        if table.show_header:
            lines.append("\t".join(str(column.header) for column in table.columns))
        lines.extend("\t".join(row) for row in zip(*(map(str, column.cells) for column in table.columns), strict=True))
    return lines
