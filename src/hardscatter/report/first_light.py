"""The first picture: one crossing before and after mitigation, and what mitigation buys."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import awkward as ak
import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.events import Events
from hardscatter.io import count, read
from hardscatter.jets import cluster
from hardscatter.met import missing_momentum
from hardscatter.metrics import Observations, ResolutionTable
from hardscatter.metrics.definitions import LEPTON_DISTANCE
from hardscatter.metrics.evaluation import Evaluation, weights_of
from hardscatter.metrics.matching import near_any
from hardscatter.metrics.resolution import PERFECT
from hardscatter.pileup import perfect_weights
from hardscatter.production import files_of
from hardscatter.report.display import ETA_MAX, draw_event
from hardscatter.report.responses import draw_jet_responses, draw_met_residuals, draw_resolutions
from hardscatter.report.style import figure_style, label, simulation_label

JET_PT_MIN = 30.0
"""GeV, of the jets that are drawn."""

# Whose weights the display shows, the first that was evaluated.
_AFTER = ("total", "puppi", "puppi:cms-phase2")

# The histograms show the rungs of the ladder; the resolutions at their side show every method.
_IN_HISTOGRAMS = ("none", "chs", "softkiller", "puppi", "total", "perfect")


def first_light(
    event: Events,
    weights: ak.Array,
    method: str,
    observations: Mapping[str, Observations],
    table: ResolutionTable,
) -> Figure:
    """Draw one crossing before and after mitigation, the responses and the resolutions on one page.

    Parameters
    ----------
    event
        One crossing (an `Events` of length 1) to display.
    weights, method
        Its weights and the method they are from, for the display on the right.
    observations, table
        What was measured on all crossings (`hardscatter.metrics`).
    """
    methods = [name for name in table.estimates if name in observations]
    with figure_style():
        figure = plt.figure(figsize=(14, 10.2))
        page = figure.add_gridspec(
            2, 1, height_ratios=(1.3, 1), hspace=0.36, left=0.05, right=0.985, top=0.955, bottom=0.065
        )
        displays = page[0].subgridspec(1, 2, wspace=0.12)
        ones = ak.ones_like(event.candidates.pt)
        _display(figure.add_subplot(displays[0]), event, ones, "all candidates")
        _display(figure.add_subplot(displays[1]), event, weights, f"after {label(method)}")
        halves = page[1].subgridspec(1, 2, wspace=0.36, width_ratios=(1.25, 0.85))
        histograms, resolutions = halves[0].subgridspec(1, 2, wspace=0.25), halves[1].subgridspec(1, 2, wspace=0.08)
        cells = [histograms[0], histograms[1], resolutions[0], resolutions[1]]
        _measurements([figure.add_subplot(cell) for cell in cells], observations, table, methods)
    return figure


def before_and_after(event: Events, weights: ak.Array, method: str) -> Figure:
    """Draw one crossing (an `Events` of length 1) with all its candidates, and as the weights of a method make it."""
    with figure_style():
        figure, axes = plt.subplots(1, 2, figsize=(14, 5.6), layout="constrained")
        _display(axes[0], event, ak.ones_like(event.candidates.pt), "all candidates")
        _display(axes[1], event, weights, f"after {label(method)}")
    return figure


def draw(path: str | Path, entry: int, evaluation: Evaluation, *, particle_flow: str | None = None) -> Figure:
    """Draw the page for one crossing of the file that was evaluated; the arguments are those of the evaluation."""
    event = read(path, (entry, entry + 1), particle_flow=particle_flow)
    after = next((name for name in _AFTER if name in evaluation.observations), next(iter(evaluation.observations)))
    weights = perfect_weights(event) if after == PERFECT else weights_of(event, evaluation.methods.get(after, after))
    return first_light(event, weights, after, evaluation.observations, evaluation.table)


def check(words: Sequence[str | os.PathLike[str]], entry: int, figure: str | Path) -> tuple[Path, int]:
    """Return the file that holds a crossing, and its place there; before any work, with the figure's name in order.

    Parameters
    ----------
    words
        The files that are evaluated, as for `hardscatter.evaluate`.
    entry
        The crossing, counted over all files.

    Raises
    ------
    SettingsError
        If there is no such crossing.
    UnwritableFileError
        If the name of the figure has another suffix than .png or .pdf, or its folder cannot be made or written to.
    """
    place = _located(words, entry)
    target = Path(figure)
    if target.suffix not in ("", ".png", ".pdf") or not target.name:
        raise UnwritableFileError(f"figure '{figure}': give a name that ends in .png or .pdf; both are written.")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        writable = os.access(target.parent, os.W_OK)
    except OSError:
        writable = False
    if not writable:
        raise UnwritableFileError(f"figure '{figure}' cannot be written: its folder cannot be made or written to.")
    return place


def save(figure: Figure, path: str | Path, dpi: float | Literal["figure"] = "figure") -> list[Path]:
    """Write the figure as PNG and PDF beside each other; return both paths. Figures of that name are replaced.

    `dpi` is that of the PNG, by default the figure's own.

    Raises
    ------
    UnwritableFileError
        If there is no space or no permission; nothing half-written is left.
    """
    stem = Path(path).with_suffix("")
    written = []
    for suffix in (".png", ".pdf"):
        target = stem.with_suffix(suffix)
        aside = stem.with_name(f".{stem.name}.partial{suffix}")
        try:
            figure.savefig(aside, dpi=dpi)
            aside.replace(target)
        except OSError as problem:
            raise UnwritableFileError(f"figure {target} cannot be written ({problem.strerror}).") from None
        finally:
            aside.unlink(missing_ok=True)
        written.append(target)
    plt.close(figure)
    return written


def _located(words: Sequence[str | os.PathLike[str]], entry: int) -> tuple[Path, int]:
    before = 0
    for path in files_of(words):
        n_events = count(path)
        if before <= entry < before + n_events:
            return path, entry - before
        before += n_events
    raise SettingsError(f"{', '.join(map(str, words))} has no event {entry} to draw: its events are 0 to {before - 1}.")


def _display(ax: Axes, event: Events, weights: ak.Array, what: str) -> None:
    jets = cluster(event, weights, radius=0.4, min_pt=JET_PT_MIN)[0]
    met = missing_momentum(event, weights)[0]
    truth = leptons = None
    if event.has("truth.leptons"):
        leptons = event.truth.leptons[0]
    if event.has("truth.jets"):
        jets_of_truth = event.truth.jets
        shown = (jets_of_truth.pt > JET_PT_MIN) & (abs(jets_of_truth.eta) < ETA_MAX)
        if leptons is not None:
            shown = shown & ~near_any(jets_of_truth, event.truth.leptons, LEPTON_DISTANCE)
        truth = jets_of_truth[shown][0]
    draw_event(ax, event.candidates[0], weights[0], jets, truth, leptons, met=(float(met.pt), float(met.phi)))
    simulation_label(ax, _crossing(event, what))


def _crossing(event: Events, what: str) -> str:
    vertices = f", {int(event.n_vertices[0])} vertices" if event.has("n_vertices") else ""
    return f"{what}{vertices}"


def _measurements(
    axes: Sequence[Axes], observations: Mapping[str, Observations], table: ResolutionTable, methods: Sequence[str]
) -> None:
    """Fill two histograms and, beside them, the resolutions of all methods, the best in jets at the top."""
    jets_ax, met_ax, jet_resolution_ax, met_resolution_ax = axes
    shown = [name for name in _IN_HISTOGRAMS if name in methods]
    if "ak4_central.pt" in table.sizes:
        ranked = sorted(methods, key=lambda name: -table.estimates[name]["ak4_central.pt"]["resolution"].value)
        draw_jet_responses(jets_ax, observations, shown)
        size = table.sizes["ak4_central.pt"]
        jets_ax.set_title(
            rf"AK4, $p_T^{{\mathrm{{truth}}}}>30$ GeV, $|\eta|<2.5$ ({size} jets)", loc="left", fontsize=9.5
        )
        draw_resolutions(jet_resolution_ax, table, ranked, "ak4_central.pt", "resolution")
    else:
        ranked = list(methods)
    jet_resolution_ax.set_xlabel(r"jet $p_T$:  $\delta\,/\,(1+\mathrm{median})$")
    if "met" in table.sizes:
        draw_met_residuals(met_ax, observations, shown)
        met_ax.set_title(f"missing momentum ({table.n_events} crossings)", loc="left", fontsize=9.5)
        draw_resolutions(met_resolution_ax, table, ranked, "met", "delta", names=False)
    met_resolution_ax.set_xlabel(r"missing momentum:  $\delta$ [GeV]")
