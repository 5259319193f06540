"""One figure for each shape of result: distributions, profiles and numbers, whichever study they are from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import singledispatch
from textwrap import fill as wrapped
from typing import Any, Literal

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullFormatter, NullLocator
from numpy.typing import NDArray

from hardscatter.metrics.resolution import PERFECT, REFERENCE
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Distance, Distribution, Numbers, Profile, Result
from hardscatter.report.style import colour, figure_style, label, line, marker, named, simulation_label, text

Array = NDArray[np.float64]

SIZE = (6.4, 5.6)
"""Inches, of a figure with one column of panels; a legend that does not fit in is beside it."""
MAX_COLUMNS = 5
"""So many columns of a table are drawn."""
MAX_ROWS = 24
"""And so many of its rows."""

_LOG_DECADES = 2.5
# A headline's axis is logarithmic where methods, in most bins, or bins, with most methods, differ by more than this.
_LOG_RATIOS = (12.0, 100.0)
_LEGEND_ROWS = {1: 7, 2: 7, 3: 4}  # by panels; more stand beside them
_DODGE = 0.6  # share of a bin over which the methods' points are spread
_MARKED_BINS = 16  # with more bins, lines and bands are drawn instead of points
_OFF_SCALE = 2.5  # points beyond this multiple of all others are marked at the edge, with their value
_RATIOS = ("ratio", "closure")  # statistics that are ratios to the reference
_BIASES = ("median", "bias", "response", "slope", "mean")
_TICKS = (1, 2, 3, 5)  # of a logarithmic axis, a decade
_MORE_TICKS = (1, 1.5, 2, 3, 4, 5, 7)  # of a short one
# Where ratios may end: the nearest edge that holds them, so that many figures have the same.
_RATIO_LOW = (0.9, 0.8, 0.5, 0.0)
_RATIO_HIGH = (1.1, 1.2, 1.5, 2.0)
_GREY = "0.45"


@singledispatch
def draw(result: Result) -> Figure:
    """Draw a result in the house style.

    What has nothing finite to show is a figure with a sentence. Methods have the same colours, markers and lines in
    all figures; errors are those of the estimates (central 68 % of the bootstrap), and of ratios those that
    the result holds or else the method's alone, beside a band for the reference's: both are from the same crossings,
    so the two together are an upper limit.
    """
    raise TypeError(f"there is no figure for {type(result).__name__}.")


@draw.register
def draw_distribution(result: Distribution) -> Figure:
    """Draw shares by bin with error bands, the reference filled, above ratios to it.

    The legend tells each distance from the reference and what is expected of fluctuations alone; "differs" marks
    those beyond what 5 of 100 samples show. Logarithmic if the shares span more than 2.5 decades. Bins of unequal
    width are divided by it.
    """
    axis = _Binning.of(result.edges)
    curves = {method: _Curve.of(shares) for method, shares in result.shares.items()}
    curves = {method: curve for method, curve in curves.items() if np.isfinite(curve.value).any()}
    if not curves:
        return _sentence(result, "there is no entry to show")
    reference = curves.get(result.reference)
    rivals = [method for method in curves if method != result.reference]
    ratios = {method: curves[method].over(reference) for method in rivals} if reference is not None else {}
    filled = sum(np.any([curve.value > 0 for curve in curves.values()], axis=0))
    known = sum(np.any([np.isfinite(ratio.value) for ratio in ratios.values()], axis=0)) if ratios else 0
    with figure_style():
        figure, (main, *lower) = _panels((3, 1) if 2 * known >= filled and ratios else (1,))
        shown = {method: curve.scaled(axis.density) for method, curve in curves.items()}
        # The legend's order: the reference first, behind the others.
        for method in ([result.reference] if reference is not None else []) + rivals:
            name = _with_distance(label(method), result.distances.get(method), result.quantity)
            _draw_steps(main, axis, shown[method], method, name, filled=method == result.reference)
            _band(main, axis, shown[method], method, alpha=0.22 if len(curves) < 4 else 0.14)
        main.set_ylabel(axis.share_of(result.quantity))
        if lower and reference is not None:
            _draw_reference_band(lower[0], axis, reference.over(reference), result.reference, 1.0)
            for method, ratio in ratios.items():
                _draw_errors(lower[0], axis, ratio, method, rivals)
            _finish_ratio(lower[0], axis, ratios, f"ratio to {_bound(label(result.reference))}")
        distances = text(f"\ndistance (W₁) from {label(result.reference)}") if result.distances else ""
        heading = f"{_words(result.title, 60)}\n{_count(result.n_events)}{distances}"
        _finish(figure, axis, result.sample, result.quantity, axis.edges[[0, -1]])
        _place_legend(figure, main, heading, _share_heights(axis, shown.values()))
    return figure


@draw.register
def draw_profile(result: Profile) -> Figure:
    """Draw the headline by bin above its ratio to the reference and, if there is one, bias, median or response.

    Where the reference's headline is not positive, the difference stands for the ratio. Bins without a finite
    estimate are left out; the axis is logarithmic if the edges are geometric. The row of small numbers tells the
    entries of each bin.
    """
    headline = next(iter(result.statistics), "")
    curves = {method: _Curve.of(values) for method, values in result.statistics.get(headline, {}).items()}
    curves = {method: curve for method, curve in curves.items() if np.isfinite(curve.value).any()}
    if not curves:
        return _sentence(result, "no bin has enough entries")
    axis = _Binning.of(result.edges)
    reference = curves.get(result.reference)
    rivals = [method for method in curves if method != result.reference]
    second = _second_statistic(result, headline)
    heights = (2.5, *((1,) if reference is not None and rivals else ()), *((1,) if second else ()))
    with figure_style():
        figure, (main, *lower) = _panels(heights)
        for method, curve in curves.items():
            _draw_errors(main, axis, curve, method, list(curves), name=label(method))
        main.set_ylabel(_words(result.headings.get(headline, headline), 38))
        if reference is not None and rivals:
            _draw_ratios(lower[0], axis, result, curves)
        if second:
            values = {method: _Curve.of(estimates) for method, estimates in result.statistics[second].items()}
            for method, curve in values.items():
                _draw_errors(lower[-1], axis, curve, method, list(values))
            _finish_second(lower[-1], axis, values, second, result.headings.get(second, second))
        inside = np.flatnonzero(np.any([np.isfinite(curve.value) for curve in curves.values()], axis=0))
        span = axis.edges[[inside[0], inside[-1] + 1]]
        _finish(figure, axis, result.sample, result.variable, span)
        told = len(set(result.sizes)) > 1  # where all are alike, they are the crossings
        sizes = told and _size_row(main, axis, result.sizes, span)
        heading = f"{_words(result.title, 60)}\n{_count(result.n_events)}"
        if told and not sizes:
            heading += f", {min(result.sizes)} to {max(result.sizes)} entries in a bin"
        _place_legend(figure, main, heading, _headline_heights(axis, curves.values()), below=0.075 if sizes else 0.0)
    return figure


@draw.register
def draw_numbers(result: Numbers) -> Figure:
    """Draw a row for each method and a panel for each of the first five columns that have a number.

    Vertical lines mark PUPPI and perfect weights or, of gaps, 0 and 1, of improvements, 0. Points far to the right of
    the others are marked at the edge, with their value; open points have no error.
    """
    columns = [
        column for column in result.headings
        if any(_finite(row.get(column)) for row in result.rows.values())
    ][:MAX_COLUMNS]  # fmt: skip
    rows = [name for name, row in result.rows.items() if any(_finite(row.get(column)) for column in columns)]
    if not rows:
        return _sentence(result, "there is too little to measure")
    rows = rows[:MAX_ROWS][::-1]  # the first at the top
    names = [label(row) if result.of == "method" else text(row) for row in rows]
    with figure_style():
        room = 0.085 * min(max(map(len, names)), 30)
        size = (max(room + 0.4 + 1.75 * len(columns), SIZE[0]), max(2.0 + 0.3 * len(rows), 2.8))
        figure = Figure(figsize=size, layout="constrained")
        axes = figure.subplots(1, len(columns), sharey=True, squeeze=False)[0]
        width = (size[0] - room - 0.4) / len(columns)
        for ax, column in zip(axes, columns, strict=True):
            estimates = [result.rows[row].get(column) for row in rows]
            _draw_column(ax, rows, estimates, result.of == "method")
            _draw_marks(ax, result, column)
            ax.set_xlabel(_words(result.headings[column], max(int(width / 0.088), 12)))
            _plain_ticks(ax)
        axes[0].set_yticks(range(len(rows)), names)
        axes[0].set_ylim(-0.6, len(rows) - 0.4)
        axes[0].tick_params(axis="y", length=0)
        _title_over(figure, axes, f"{result.title} ({_count(result.n_events)})", result.sample)
    return figure


# Values.


@dataclass(frozen=True)
class _Curve:
    """Values with the edges of their errors; NaN where there is none."""

    value: Array
    low: Array
    high: Array

    @classmethod
    def of(cls, estimates: Sequence[Estimate]) -> _Curve:
        """Return the finite part of the estimates; the errors hold the value."""
        rows = np.array([(one.value, one.low, one.high) for one in estimates], dtype=np.float64).reshape(-1, 3)
        value, low, high = np.where(np.isfinite(rows), rows, np.nan).T
        return cls(value, np.fmin(low, value), np.fmax(high, value))

    @property
    def bars(self) -> Array:
        """Return the lengths of the error bars below and above, 0 where there is none."""
        return np.nan_to_num(np.stack((self.value - self.low, self.high - self.value)))

    def scaled(self, factor: Array) -> _Curve:
        """Return the curve times a positive factor for each bin."""
        return _Curve(self.value * factor, self.low * factor, self.high * factor)

    def over(self, reference: _Curve) -> _Curve:
        """Return the ratio to the reference's values, NaN where these are not positive."""
        return self.scaled(1 / np.where(reference.value > 0, reference.value, np.nan))

    def minus(self, reference: _Curve) -> _Curve:
        """Return the difference to the reference's values."""
        return _Curve(self.value - reference.value, self.low - reference.value, self.high - reference.value)


@dataclass(frozen=True)
class _Binning:
    """Edges as they are drawn: finite, on a linear or logarithmic axis."""

    edges: Array
    logarithmic: bool

    @classmethod
    def of(cls, edges: Sequence[float]) -> _Binning:
        """Return the edges; open bins are drawn as wide as their neighbours."""
        drawn = np.array(edges, dtype=np.float64)
        if len(drawn) > 2:
            drawn[-1] = drawn[-1] if np.isfinite(drawn[-1]) else 2 * drawn[-2] - drawn[-3]
            drawn[0] = drawn[0] if np.isfinite(drawn[0]) else 2 * drawn[1] - drawn[2]
        return cls(drawn, _geometric(drawn))

    @property
    def density(self) -> Array:
        """Return what shares are multiplied with: 1, or 1/width where widths differ."""
        widths = np.diff(self.edges)
        return np.ones_like(widths) if self._equal else 1 / widths

    @property
    def _equal(self) -> bool:
        widths = np.diff(self.edges)
        return bool(np.allclose(widths, widths[0], rtol=1e-3))

    def share_of(self, quantity: str) -> str:
        """Return what shares are called: ``share / 10 GeV``."""
        unit = _unit(quantity)
        if not self._equal:
            return f"share / {unit}" if unit else "share / bin width"
        return f"share / {self.edges[1] - self.edges[0]:.3g}{' ' if unit else ''}{unit}"

    def places(self, method: str, methods: Sequence[str]) -> Array:
        """Return where the points of one of several methods stand: side by side about the middle of each bin."""
        edges = np.log(self.edges) if self.logarithmic else self.edges
        shift = _DODGE * ((methods.index(method) + 0.5) / len(methods) - 0.5)
        places = (edges[1:] + edges[:-1]) / 2 + shift * np.diff(edges)
        return np.exp(places) if self.logarithmic else places


def _geometric(edges: Array) -> bool:
    """Tell whether bins rather grow with the variable than are of one width."""
    if len(edges) < 4 or edges[0] <= 0 or edges[-1] < 4 * edges[0]:
        return False
    steps, ratios = np.diff(edges), np.diff(np.log(edges))
    return bool(np.std(ratios) / np.mean(ratios) < 0.5 * np.std(steps) / np.mean(steps))


def _second_statistic(result: Profile, headline: str) -> str:
    """Return what the lowest panel shows: bias, median or response, or what comes after the headline; '' if nothing."""
    others = [
        name for name, by_method in result.statistics.items()
        if name not in (headline, *_RATIOS) and any(_finite(one) for values in by_method.values() for one in values)
    ]  # fmt: skip
    return next((name for name in others if name in _BIASES), others[0] if others else "")


def _unbiased(statistic: str) -> float:
    return 1.0 if statistic.endswith(("response", "slope")) else 0.0


def _words(words: str, width: int) -> str:
    """Return words as a figure shows them, in lines of that length; what stands in brackets stays together."""
    bound = re.sub(r"[(\[][^)\]]*[)\]]| [−/→] ", lambda found: found[0].replace(" ", "\xa0"), named(words))
    return text(wrapped(bound, width, break_long_words=False).replace("\xa0", " "))


def _bound(name: str) -> str:
    """Return a short name as one word, so that no line ends in it."""
    return name.replace(" ", "\xa0") if len(name) < 13 else name


def _finite(estimate: Estimate | None) -> bool:
    return estimate is not None and math.isfinite(estimate.value)


def _unit(words: str) -> str:
    found = re.search(r"\[([^\]]+)\]\s*$", words)
    return found[1] if found else ""


def _count(n_events: int) -> str:
    return f"{n_events} crossing{'' if n_events == 1 else 's'}"


def _with_distance(name: str, distance: Distance | None, quantity: str) -> str:
    """Return what a legend says of a method: ``TOTAL: 1.2 GeV (expected 0.8), differs``."""
    if distance is None or not math.isfinite(distance.value):
        return name
    unit = _unit(quantity)
    words = f"{name}: {_two_digits(distance.value)}{' ' if unit else ''}{unit}"
    if math.isfinite(distance.expected):
        words += f" (expected {_two_digits(distance.expected)})"
    return words + (", differs" if distance.value > distance.high else "")


def _two_digits(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:#.2g}".rstrip(".")


# Panels.


def _panels(heights: Sequence[float]) -> tuple[Figure, list[Axes]]:
    figure = Figure(figsize=SIZE, layout="constrained")
    axes = figure.subplots(len(heights), 1, sharex=True, squeeze=False, height_ratios=list(heights))[:, 0]
    figure.get_layout_engine().set(h_pad=0.015, w_pad=0.05, hspace=0.0)  # type: ignore[union-attr,call-arg]
    return figure, list(axes)


def _draw_steps(ax: Axes, axis: _Binning, curve: _Curve, method: str, name: str, *, filled: bool) -> None:
    if filled:
        ax.stairs(np.nan_to_num(curve.value), axis.edges, fill=True, color=colour(method), alpha=0.16, zorder=0.5)
    ax.stairs(curve.value, axis.edges, color=colour(method), linestyle=line(method), linewidth=1.6, label=name)


def _band(ax: Axes, axis: _Binning, curve: _Curve, method: str, alpha: float = 0.22) -> None:
    low, high = (np.append(edge, edge[-1]) for edge in (curve.low, curve.high))
    ax.fill_between(axis.edges, low, high, step="post", color=colour(method), alpha=alpha, linewidth=0, zorder=1)


def _draw_errors(
    ax: Axes, axis: _Binning, curve: _Curve, method: str, methods: Sequence[str], name: str | None = None
) -> None:
    """Draw points with errors and the extents of their bins; many bins as a line with a band."""
    if len(curve.value) > _MARKED_BINS:
        ax.stairs(
            curve.value,
            axis.edges,
            baseline=None,
            color=colour(method),
            linestyle=line(method),
            linewidth=1.4,
            label=name,
        )
        _band(ax, axis, curve, method, alpha=0.22 if len(methods) < 4 else 0.14)
        return
    there = np.isfinite(curve.value)
    ax.hlines(
        curve.value[there],
        axis.edges[:-1][there],
        axis.edges[1:][there],
        color=colour(method),
        linewidth=1.1,
        alpha=0.55,
    )
    ax.errorbar(
        axis.places(method, methods)[there], curve.value[there], yerr=curve.bars[:, there], color=colour(method),
        linestyle="none", marker=marker(method), markersize=6.5 if marker(method) == "*" else 5, capsize=2, label=name,
    )  # fmt: skip


def _draw_reference_band(ax: Axes, axis: _Binning, curve: _Curve, method: str, centre: float) -> None:
    ax.axhline(centre, color=colour(method), linewidth=1.1)
    _band(ax, axis, curve, method, alpha=0.18)


def _draw_ratios(ax: Axes, axis: _Binning, result: Profile, curves: Mapping[str, _Curve]) -> None:
    """Draw ratios to the reference, or differences if its values are not all positive.

    Ratios that the result holds are better than those of two estimates: what the methods have in common cancels.
    """
    name, reference = result.reference, curves[result.reference]
    paired = next((statistic for statistic in _RATIOS if statistic in result.statistics), "")
    ratio = bool(paired) or not np.any(reference.value <= 0)
    if paired:
        relative = {method: _Curve.of(row) for method, row in result.statistics[paired].items()}
        relative = {method: relative[method] for method in curves if method in relative and method != name}
        ax.axhline(1.0, color=colour(name), linewidth=1.1)
    else:
        relative = {method: (curve.over if ratio else curve.minus)(reference) for method, curve in curves.items()}
        _draw_reference_band(ax, axis, relative.pop(name), name, 1.0 if ratio else 0.0)
    for method, curve in relative.items():
        _draw_errors(ax, axis, curve, method, list(curves))
    if ratio:
        _finish_ratio(ax, axis, relative, f"ratio to {_bound(label(name))}", list(curves))
    else:
        _finish_lower(ax, f"difference to {_bound(label(name))}")
        ax.set_ylim(*_padded(_linear_limits(relative.values(), centre=0.0)))


def _finish_ratio(
    ax: Axes, axis: _Binning, ratios: Mapping[str, _Curve], heading: str, methods: Sequence[str] | None = None
) -> None:
    """Choose the range that holds the usual error and the points known best, and mark those beyond it at its edge."""
    known = [curve.value[(curve.bars.sum(axis=0) < curve.value)] for curve in ratios.values()]
    errors = np.concatenate([curve.bars.mean(axis=0)[np.isfinite(curve.value)] for curve in ratios.values()])
    usual = min(float(np.median(errors)), 1.0) if len(errors) else 0.0
    values = np.concatenate([*known, [1 - usual, 1 + usual]])
    values = values[values <= _RATIO_HIGH[-1]]
    low = next((edge for edge in _RATIO_LOW if edge <= values.min()), 0.0)
    high = next(edge for edge in _RATIO_HIGH if edge >= values.max())
    room = 0.04 * (high - low)
    ax.set_ylim(low - (room if low else 0.0), high + room)
    _mark_beyond(ax, axis, ratios, methods or list(ratios), (low, high))
    _finish_lower(ax, heading)


def _finish_second(ax: Axes, axis: _Binning, values: Mapping[str, _Curve], statistic: str, heading: str) -> None:
    """Choose the range that most points of a bias need, and mark those far beyond it at its edge."""
    if statistic in _BIASES:
        centre = _unbiased(statistic)
        ax.axhline(centre, color=_GREY, linewidth=0.9, linestyle=":", zorder=0)
        far = {method: np.abs(curve.value - centre) for method, curve in values.items()}
        rule = 3 * float(np.nanquantile(np.concatenate([*far.values(), [0.0]]), 0.75)) or math.inf
        near = [curve.scaled(np.where(far[method] <= rule, 1.0, np.nan)) for method, curve in values.items()]
        limits = _padded(_linear_limits(near, centre))
    else:
        limits = _padded(_linear_limits(values.values()))
    ax.set_ylim(*limits)
    room = 0.04 * (limits[1] - limits[0])
    _mark_beyond(ax, axis, values, list(values), (limits[0] + room, limits[1] - room))
    _finish_lower(ax, heading)


def _mark_beyond(
    ax: Axes, axis: _Binning, curves: Mapping[str, _Curve], methods: Sequence[str], limits: tuple[float, float]
) -> None:
    """Draw an arrow at the edge for each point that is beyond it."""
    low, high = ax.get_ylim()
    for method, curve in curves.items():
        if len(curve.value) > _MARKED_BINS:
            continue
        places = axis.places(method, methods)
        for beyond, edge, symbol in ((curve.value > high, limits[1], "^"), (curve.value < low, limits[0], "v")):
            ax.plot(places[beyond], np.full(beyond.sum(), edge), symbol, color=colour(method), markersize=4.5)


def _finish_lower(ax: Axes, heading: str) -> None:
    ax.set_ylabel(_words(heading, 18), fontsize=9.5)
    ax.yaxis.set_major_locator(MaxNLocator(5, steps=(1, 2, 5, 10), prune="both"))


def _finish(figure: Figure, axis: _Binning, sample: str, variable: str, span: Array) -> None:
    """Finish what all panels share: the axis of the variable, ticks and labels."""
    first, last = figure.axes[0], figure.axes[-1]
    if axis.logarithmic:
        last.set_xscale("log")
        decades = range(math.floor(math.log10(span[0])), math.ceil(math.log10(span[1])) + 1)
        digits = _TICKS if span[1] > 15 * span[0] else _MORE_TICKS
        ticks = [digit * 10.0**decade for decade in decades for digit in digits]
        last.xaxis.set_major_locator(FixedLocator([tick for tick in ticks if span[0] <= tick <= span[1]]))
        last.xaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        last.xaxis.set_minor_locator(LogLocator(subs=range(2, 10)))
        last.xaxis.set_minor_formatter(NullFormatter())
    last.set_xlim(span[0], span[1])
    last.set_xlabel(_words(variable, 62))
    for ax in figure.axes:
        _plain_ticks(ax)
    figure.align_ylabels(figure.axes)
    _labelled(first, sample)


def _plain_ticks(ax: Axes) -> None:
    """Set the look of ticks for good: those made when the figure is saved are made outside of the style."""
    ax.tick_params(which="both", direction="in", top=True, right=True, labelsize=10)
    ax.tick_params(which="major", length=5)
    ax.tick_params(which="minor", length=2.5)


def _labelled(ax: Axes, sample: str) -> None:
    """Write the simulation's name and the sample above the axes, the sample smaller the longer it is."""
    simulation_label(ax, _words(sample, 46))
    if len(sample) > 30:
        ax.texts[-1].set_fontsize(max(11 * 30 / len(sample), 8.5))


def _size_row(ax: Axes, axis: _Binning, sizes: Sequence[int], span: Array) -> bool:
    """Write the entries of each bin along the top, if there is room for all of them; tell whether it was done."""
    edges = np.log(axis.edges) if axis.logarithmic else axis.edges
    start, end = np.log(span) if axis.logarithmic else span
    inside = [bin for bin in range(len(sizes)) if span[0] <= axis.edges[bin] and axis.edges[bin + 1] <= span[1]]
    words = {bin: f"{sizes[bin]}" for bin in inside}
    if any(0.014 * (len(words[bin]) + 1) > (edges[bin + 1] - edges[bin]) / (end - start) for bin in inside):
        return False
    for bin in inside:
        middle = ((edges[bin] + edges[bin + 1]) / 2 - start) / (end - start)
        ax.text(middle, 0.965, words[bin], transform=ax.transAxes, ha="center", va="top", fontsize=7.5, color=_GREY)
    return True


# Ranges, and the legend's place.


@dataclass(frozen=True)
class _Heights:
    """How high is drawn in each bin, from where, and on which axis."""

    edges: Array
    tops: Array
    bottom: float
    logarithmic: bool

    def end(self, under: NDArray[Any], taken: float, otherwise: float = 0.0) -> float:
        """Return where the axis ends that leaves free the part `taken` over some bins, `otherwise` over the rest."""
        tops = np.log(np.where(self.tops > 0, self.tops, np.nan)) if self.logarithmic else self.tops
        bottom = math.log(self.bottom) if self.logarithmic else self.bottom
        free = np.maximum(1 - np.where(under, taken, otherwise) - 0.04, 0.25)
        high = np.nanmax((tops - bottom) / free, initial=0.0) or 1.0
        return math.exp(bottom + high) if self.logarithmic else float(bottom + high)


def _linear_limits(curves: Iterable[_Curve], centre: float | None = None) -> tuple[float, float]:
    """Return a range of all values, with their errors as far as these do not rule it."""
    rows = [row for curve in curves for row in zip(curve.value, curve.low, curve.high, strict=True)]
    value, low, high = np.array([row for row in rows if math.isfinite(row[0])] or [(0.0, 0.0, 0.0)]).T
    if centre is not None:
        value = np.append(value, centre)
    first, last = float(value.min()), float(value.max())
    room = 0.7 * ((last - first) or abs(last) or 1.0)
    first, last = (
        max(float(np.nanmin(low, initial=first)), first - room),
        min(float(np.nanmax(high, initial=last)), last + room),
    )
    return (0.0, last) if 0 <= first < 0.6 * last and centre is None else (first, last)


def _padded(limits: tuple[float, float]) -> tuple[float, float]:
    low, high = limits
    room = 0.12 * (high - low) or 0.1 * abs(high) or 0.1
    return low - room, high + room


def _share_heights(axis: _Binning, curves: Iterable[_Curve]) -> _Heights:
    """Return the heights of shares, on a logarithmic axis if those known to 80 % span many decades."""
    curves = list(curves)
    known = np.concatenate([curve.value[curve.bars[0] < 0.8 * curve.value] for curve in curves])
    tops = _tops(curves)
    positive = known[known > 0]
    if len(positive) and positive.max() > 10**_LOG_DECADES * positive.min():
        return _Heights(axis.edges, tops, float(positive.min()) / 2, logarithmic=True)
    return _Heights(axis.edges, tops, 0.0, logarithmic=False)


def _headline_heights(axis: _Binning, curves: Iterable[_Curve]) -> _Heights:
    """Return the heights of a profile's headline, on a logarithmic axis if the values differ by a large factor."""
    curves = list(curves)
    low, high = _linear_limits(curves)
    tops = np.minimum(_tops(curves), high)
    known = np.array([np.where(curve.bars[0] < 0.8 * curve.value, curve.value, np.nan) for curve in curves])
    by_bin, by_method = (known[:, np.isfinite(known).any(axis=0)], known[np.isfinite(known).any(axis=1)].T)
    spans = [np.median(np.nanmax(rows, axis=0) / np.nanmin(rows, axis=0)) for rows in (by_bin, by_method) if rows.size]
    if any(span > most for span, most in zip(spans, _LOG_RATIOS, strict=False)):
        return _Heights(axis.edges, tops, float(np.nanmin(known)) / 1.4, logarithmic=True)
    foot = 0.0 if low == 0 else 0.06 * ((high - low) or abs(high) or 1.0)
    return _Heights(axis.edges, tops, low - foot, logarithmic=False)


def _tops(curves: Sequence[_Curve]) -> Array:
    """Return the upper end of all error bars in each bin; NaN where nothing is drawn."""
    return np.asarray(np.fmax.reduce([curve.high for curve in curves]))


def _place_legend(figure: Figure, ax: Axes, heading: str, heights: _Heights, below: float = 0.0) -> None:
    """Put the legend where nothing is drawn: left or right at the top of the panel, or beside it if it is long.

    The axis ends where that leaves it free; `below` is the part of the panel at the top that is taken already.
    """
    if heights.logarithmic:
        ax.set_yscale("log")
    handles, names = ax.get_legend_handles_labels()
    columns = min(max(int(5.2 / (0.55 + 0.075 * max(map(len, names)))), 1), 3, len(names))
    if math.ceil(len(names) / columns) > _LEGEND_ROWS[len(figure.axes)]:
        figure.set_size_inches(SIZE[0] + 0.7 + 0.075 * max(*map(len, names), 20), SIZE[1])
        figure.legend(handles, names, loc="outside right upper", **_LEGEND)
        ax.text(0.02, 0.97 - below, heading, transform=ax.transAxes, va="top", fontsize=9.5)
        taken = below + 0.04 + 0.075 * (heading.count("\n") + 1)
        ax.set_ylim(heights.bottom, heights.end(np.ones_like(heights.tops), taken))
        return
    legend = ax.legend(
        handles, names, loc="upper left", bbox_to_anchor=(0.0, 1.0 - below), ncols=columns, title=heading,
        title_fontsize=9.5, **_LEGEND,
    )  # fmt: skip
    ax.set_ylim(heights.bottom, heights.end(np.ones_like(heights.tops), 0.5))  # roughly, for the measurement
    figure.draw_without_rendering()
    frame = legend.get_window_extent().transformed(ax.transAxes.inverted())
    place = _across(ax, heights.edges)
    height = below + frame.height
    left = heights.end((place[:-1] < frame.x1) & (place[1:] > 0), height, below)
    right = heights.end((place[1:] > 1 - frame.width) & (place[:-1] < 1), height, below)
    if right < left:
        legend.set_loc("upper right")
        legend.set_bbox_to_anchor((1.0, 1.0 - below), transform=ax.transAxes)
    ax.set_ylim(heights.bottom, min(left, right))


def _across(ax: Axes, places: Array) -> Array:
    """Return places on the horizontal axis as parts of its length."""
    start, end = ax.transData.transform([(left, 1.0) for left in ax.get_xlim()])[:, 0]
    return np.asarray((ax.transData.transform([(place, 1.0) for place in places])[:, 0] - start) / (end - start))


_LEGEND: dict[str, Any] = {
    "fontsize": 9.5, "alignment": "left", "handlelength": 1.8, "columnspacing": 1.2, "labelspacing": 0.35,
    "frameon": True, "edgecolor": "none", "framealpha": 0.8, "borderaxespad": 0.6,
}  # fmt: skip


# Numbers.


def _draw_column(ax: Axes, rows: Sequence[str], estimates: Sequence[Estimate | None], methods: bool) -> None:
    curve = _Curve.of([one or Estimate(*[math.nan] * 4) for one in estimates])
    beyond = _off_scale(curve)
    low, high = _linear_limits([curve.scaled(np.where(beyond, np.nan, 1.0))])
    left, right = _padded((low, high))
    left = -0.04 * right if low == 0 else left
    for place, row in enumerate(rows):
        if place % 2:
            ax.axhspan(place - 0.5, place + 0.5, color="0.96", zorder=-1)
        shade, symbol = (colour(row), marker(row)) if methods else (colour("puppi:best"), "o")
        if beyond[place]:
            positive = curve.value[place] > 0
            edge, inwards = (right, left - right) if positive else (left, right - left)
            side: Literal["left", "right"] = "right" if positive else "left"
            ax.plot(edge + 0.025 * inwards, place, ">" if positive else "<", color=shade, markersize=6)
            ax.text(
                edge + 0.07 * inwards,
                place,
                f"{curve.value[place]:.3g}".replace("-", "−"),
                ha=side,
                va="center",
                fontsize=9,
            )
        elif math.isfinite(curve.value[place]):
            known = math.isfinite(curve.low[place]) and curve.bars[:, place].any()
            ax.errorbar(
                curve.value[place], place, xerr=curve.bars[:, [place]], fmt=symbol, color=shade, capsize=2.5,
                markersize=8 if symbol == "*" else 6, markerfacecolor=shade if known else "white",
            )  # fmt: skip
    ax.set_xlim(left, right)
    ax.xaxis.set_major_locator(MaxNLocator(4, steps=(1, 2, 5, 10)))
    ax.ticklabel_format(axis="x", useMathText=True)
    ax.yaxis.set_minor_locator(NullLocator())


def _off_scale(curve: _Curve) -> NDArray[np.bool_]:
    """Tell which values, the fewer, are so much larger than all others that these would be squeezed."""
    size, reach = np.nan_to_num(np.abs(curve.value)), np.nan_to_num(np.fmax(np.abs(curve.low), np.abs(curve.high)))
    order = np.argsort(-size)
    beyond = np.zeros(len(size), dtype=bool)
    known = int(np.isfinite(curve.value).sum())
    for few in range(1, max(known // 4, int(known > 2)) + 1):  # of two, none is the odd one
        rest = reach[order[few:]].max(initial=0.0)
        if rest > 0 and size[order[few - 1]] > _OFF_SCALE * rest:
            beyond[order[:few]] = True
    return beyond


def _draw_marks(ax: Axes, result: Numbers, column: str) -> None:
    """Draw what numbers are read against: of gaps 0 and 1, of improvements 0, else PUPPI and perfect weights."""
    left, right = ax.get_xlim()
    marks: dict[float, str] = {}
    if column.endswith(_BIASES):
        marks[_unbiased(column)] = "-"
    elif column.startswith("gap"):
        marks[1.0] = ":"
    elif result.of == "method" and not column.startswith(("improvement", "gain", "difference")):
        for method, style in ((REFERENCE, "--"), (PERFECT, ":")):
            estimate = result.rows.get(method, {}).get(column)
            if estimate is not None and math.isfinite(estimate.value):
                marks[estimate.value] = style
    if left < 0 < right:
        marks[0.0] = "-"
    for place, style in marks.items():
        if left < place < right:
            ax.axvline(place, color="0.5", linewidth=0.9, linestyle=style, zorder=0)


def _title_over(figure: Figure, axes: Sequence[Axes], title: str, sample: str) -> None:
    """Write the title in a line of its own, and below it what is over all figures."""
    width = figure.get_figwidth()
    simulation_label(axes[0])
    words = axes[-1].annotate(
        text(sample), (1, 1), (0, 4), "axes fraction", "offset points", ha="right", va="bottom",
        fontsize=min(11.0, 11 * 12 * (width - 3.8) / len(sample or " ")),
    )  # fmt: skip
    words.set_in_layout(False)  # it reaches over its neighbours, which need not make room
    figure.suptitle(_words(title, int(width / 0.085)), fontsize=11, x=0.01, ha="left")


def _sentence(result: Result, reason: str) -> Figure:
    """Return a figure that says why there is none."""
    with figure_style():
        figure = Figure(figsize=(SIZE[0], 1.6))
        words = f"{_words(result.title, 60)}\n{_words(result.sample, 60)}\n\nNothing is drawn: {reason}."
        figure.text(0.5, 0.5, words, ha="center", va="center", fontsize=11)
    return figure
