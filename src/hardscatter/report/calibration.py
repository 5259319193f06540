"""Reliability diagrams: hard fraction against weight."""

from __future__ import annotations

import math
from collections.abc import Sequence

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hardscatter.metrics.calibration import REGIONS, WEIGHT_EDGES, Calibration, CalibrationCurve, Region
from hardscatter.metrics.resolution import PERFECT
from hardscatter.report.style import colour, figure_style, label, simulation_label

# Row and column of each of `REGIONS`; the corner without a tracker has no charged candidates and is the legend's.
_PLACES = ((0, 0), (0, 1), (1, 0), (1, 1), (1, 2))
_LEGEND = (0, 2)

_MARKERS = "os^Dvp<>"

# Shares of the momentum that are drawn: a bin with less matters to nobody.
_SHARES = (1e-4, 2.0)


def calibration_figure(calibration: Calibration, methods: Sequence[str] | None = None) -> Figure:
    """Draw hard fraction against weight for each region, and below it where the momentum is.

    Charged candidates stand above neutral ones, |eta| grows to the right; a calibrated weight lies on the diagonal.
    Error bars are the central 68 % of the bootstrap over crossings; bins with too few crossings for it are not drawn.

    Parameters
    ----------
    calibration
        What was measured (`hardscatter.metrics.calibration`).
    methods
        Which methods to draw, in this order; None: all.
    """
    chosen = list(calibration.curves) if methods is None else list(methods)
    markers = {name: _MARKERS[place % len(_MARKERS)] for place, name in enumerate(chosen)}
    with figure_style():
        figure = plt.figure(figsize=(13.2, 11.4))
        page = figure.add_gridspec(2, 3, hspace=0.2, wspace=0.24, left=0.06, right=0.985, top=0.965, bottom=0.055)
        for place, region in zip(_PLACES, REGIONS, strict=True):
            cells = page[place].subgridspec(2, 1, height_ratios=(3, 1), hspace=0.07)
            diagram, shares = figure.add_subplot(cells[0]), figure.add_subplot(cells[1])
            for name in chosen:
                curve = calibration.curves[name][region.name]
                draw_reliability(diagram, curve, name, markers[name])
                draw_shares(shares, curve, name)
            _finish(diagram, shares, region)
        simulation_label(figure.axes[0])
        _draw_legend(figure.add_subplot(page[_LEGEND]), calibration, markers)
    return figure


def draw_reliability(ax: Axes, curve: CalibrationCurve, method: str, marker: str = "o") -> None:
    """Draw mean hard fraction against mean weight of the bins whose error is known; the line breaks at others."""
    weight = np.array([entry.weight for entry in curve.bins])
    value, low, high, error = np.array(
        [(h.value, h.low, h.high, h.error) for h in (entry.hard_fraction for entry in curve.bins)]
    ).T
    value = np.where(np.isfinite(error), value, np.nan)
    bars = np.maximum((value - low, high - value), 0.0)
    ax.errorbar(
        weight, value, yerr=bars, color=colour(method), marker=marker, linestyle=_line(method),
        markersize=4.5, capsize=2, linewidth=1.1, clip_on=False, zorder=3,
    )  # fmt: skip


def draw_shares(ax: Axes, curve: CalibrationCurve, method: str) -> None:
    """Draw which share of the region's momentum each bin of the weight holds, on a logarithmic axis."""
    shares = np.nan_to_num([entry.share for entry in curve.bins])
    ax.stairs(np.maximum(shares, _SHARES[0] / 10), WEIGHT_EDGES, color=colour(method), linestyle=_line(method))


def _finish(diagram: Axes, shares: Axes, region: Region) -> None:
    diagram.plot((0, 1), (0, 1), color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    diagram.set(xlim=(0, 1), ylim=(0, 1), ylabel=r"hard fraction  $\Sigma\,p_T h\,/\,\Sigma\,p_T$")
    diagram.tick_params(labelbottom=False)
    kind = "charged" if region.charged else "neutral"
    lower = f"{region.eta_min:g}<" if region.eta_min else ""
    open_ended = math.isinf(region.eta_max)
    eta = rf"|\eta|>{region.eta_min:g}" if open_ended else rf"{lower}|\eta|<{region.eta_max:g}"
    diagram.set_title(f"{kind}, ${eta}$", loc="right", fontsize=11)
    shares.set(xlim=(0, 1), yscale="log", ylim=_SHARES, ylabel=r"share of $\Sigma\,p_T$")
    shares.set_xlabel(r"weight  $\Sigma\,p_T w\,/\,\Sigma\,p_T$")


def _draw_legend(ax: Axes, calibration: Calibration, markers: dict[str, str]) -> None:
    """Name the methods, with their calibration errors over all regions and what fluctuations give."""
    ax.axis("off")
    for name, marker in markers.items():
        error = calibration.errors[name]
        numbers = rf"${error.measured.value:.3f}\pm{error.measured.error:.3f}$  ({error.fluctuation:.3f})"
        style = {"color": colour(name), "marker": marker, "linestyle": _line(name), "markersize": 4.5}
        ax.plot([], [], label=f"{label(name)}\n{numbers}", **style)  # type: ignore[arg-type]
    ax.plot([], [], color="0.6", linewidth=0.8, linestyle=":", label="calibrated")
    explanation = (
        f"{calibration.n_events} crossings\n\n"
        "Calibration error over all regions:\n"
        r"$\Sigma_{\mathrm{bins}}\,|\Sigma\,p_T h-\Sigma\,p_T w|\,/\,\Sigma\,p_T$"
        "\n(in brackets: what fluctuations give)\n"
    )
    ax.legend(loc="upper left", title=explanation, title_fontsize=10, alignment="left", fontsize=10, labelspacing=0.8)


def _line(method: str) -> str:
    return "--" if method == PERFECT else "-"
