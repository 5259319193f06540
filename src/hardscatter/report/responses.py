"""Response histograms and resolutions by method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import hist
import numpy as np
from matplotlib.axes import Axes
from numpy.typing import NDArray

from hardscatter.metrics import Observations, ResolutionTable
from hardscatter.metrics.resolution import PERFECT
from hardscatter.report.style import colour, label


def draw_jet_responses(
    ax: Axes, observations: Mapping[str, Observations], methods: Sequence[str], study: str = "ak4_central"
) -> None:
    """Draw, for each method, the distribution of reconstructed/truth jet pt, normalised to the truth jets.

    Lost jets (ratio 0) and those above the range stand in the outermost bins. The same bins for every method.
    """
    binning = hist.axis.Regular(36, 0.4, 2.2, name="ratio")
    samples = {method: 1 + observations[method].jets[study].pt_response for method in methods}
    _draw_histograms(ax, samples, binning)
    ax.axvline(1.0, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    ax.set_xlabel(r"$p_T^{\mathrm{reco}}\,/\,p_T^{\mathrm{truth}}$")
    ax.set_ylabel("fraction of truth jets")


def draw_met_residuals(ax: Axes, observations: Mapping[str, Observations], methods: Sequence[str]) -> None:
    """Draw, for each method, measured minus true missing momentum, x and y together, normalised to the crossings."""
    binning = hist.axis.Regular(30, -120, 120, name="residual")
    samples = {
        method: (observations[method].met - observations[method].truth_met).ravel()  # type: ignore[operator]
        for method in methods
        if observations[method].met is not None
    }
    _draw_histograms(ax, samples, binning)
    ax.set_xlabel(r"$p_{x,y}^{\mathrm{miss}}$: reco − truth [GeV]")
    ax.set_ylabel("fraction of components")


def draw_resolutions(
    ax: Axes, table: ResolutionTable, methods: Sequence[str], quantity: str, statistic: str, *, names: bool = True
) -> None:
    """Draw one statistic of every method with its error, in the order given from the bottom up."""
    for place, name in enumerate(methods):
        estimate = table.estimates[name].get(quantity, {}).get(statistic)
        if estimate is not None:
            ax.errorbar(
                estimate.value, place, xerr=estimate.error, fmt="o", color=colour(name), markersize=5, capsize=2.5
            )
    if PERFECT in methods:
        limit = table.estimates[PERFECT][quantity][statistic].value
        ax.axvline(limit, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    ax.minorticks_off()
    ax.set_yticks(range(len(methods)), [label(name) for name in methods] if names else [])
    ax.tick_params(axis="y", left=False, right=False)
    ax.set_ylim(-0.6, len(methods) - 0.4)
    ax.set_xlim(left=0)


def _draw_histograms(ax: Axes, samples: Mapping[str, NDArray[np.float64]], binning: hist.axis.Regular) -> None:
    width = (binning.edges[-1] - binning.edges[0]) / len(binning)
    for method, values in samples.items():
        inside = np.clip(values, binning.edges[0] + width / 2, binning.edges[-1] - width / 2)
        counts = hist.Hist(binning).fill(inside).values()
        heavy = method in ("perfect", "puppi", "total")
        ax.stairs(
            counts / max(len(values), 1), binning.edges, color=colour(method), label=label(method),
            linewidth=1.8 if heavy else 1.2, linestyle="--" if method == "perfect" else "-",
        )  # fmt: skip
    ax.set_xlim(binning.edges[0], binning.edges[-1])
    ax.set_ylim(bottom=0, top=ax.get_ylim()[1] * 1.25)
    ax.legend(loc="upper right", handlelength=1.4)
