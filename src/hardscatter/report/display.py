"""Event display in the (eta, phi) plane."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.lines import Line2D
from matplotlib.patches import Circle
from numpy.typing import NDArray

# Okabe–Ito, told apart by colour-blind readers.
_CHARGED_LEADING = "#0072b2"
_CHARGED_PILEUP = "#c9c9c9"
_NEUTRAL = "#e69f00"
_JET = "#000000"
_TRUTH_JET = "#009e73"
_MET = "#d55e00"
_LEPTON = "#cc79a7"
_LEPTON_MARK: dict[str, Any] = {"s": 110, "marker": "D", "facecolors": "none", "edgecolors": _LEPTON, "linewidths": 1.6}

ETA_MAX = 5.0


def draw_event(
    ax: Axes,
    candidates: Any,
    weights: Any,
    jets: Any,
    truth_jets: Any = None,
    leptons: Any = None,
    *,
    met: tuple[float, float] | None = None,
    radius: float = 0.4,
    legend: bool = True,
) -> None:
    """Draw one crossing: candidates as discs of area ∝ w·pt, jets as circles, missing momentum as a line in phi.

    Parameters
    ----------
    ax
        Where to draw.
    candidates, weights
        Candidates of one event and the weight of each; a weight of 0 hides the candidate.
    jets, truth_jets, leptons
        Jets of the event, drawn with their pt (GeV); the truth jets, dashed; prompt leptons, as diamonds.
    met
        Missing momentum (pt, phi); its pt is written beside the line.
    radius
        Jet radius.
    """
    pt = np.asarray(candidates.pt, dtype=np.float64) * np.asarray(weights, dtype=np.float64)
    eta, phi = np.asarray(candidates.eta), np.asarray(candidates.phi)
    charge, vertex = np.asarray(candidates.charge), np.asarray(candidates.vertex)
    groups = (
        (_CHARGED_PILEUP, (charge != 0) & (vertex > 0)),
        (_NEUTRAL, charge == 0),
        (_CHARGED_LEADING, (charge != 0) & (vertex <= 0)),
    )
    for face, members in groups:
        shown = members & (pt > 0)
        ax.scatter(eta[shown], phi[shown], s=_disc(pt[shown]), c=face, alpha=0.75, linewidths=0, rasterized=True)
    if truth_jets is not None:
        for jet in truth_jets:
            _circle(ax, jet.eta, jet.phi, radius * 1.15, _TRUTH_JET, (0, (4, 2)))
    if leptons is not None:
        ax.scatter(leptons.eta, leptons.phi, **_LEPTON_MARK)
    for jet in jets:
        _circle(ax, jet.eta, jet.phi, radius, _JET, "solid")
    for jet in jets:
        _write_pt(ax, jet, radius)
    if met is not None:
        ax.axhline(met[1], color=_MET, linewidth=1.4, linestyle=(0, (6, 2, 1, 2)), zorder=1)
        ax.text(
            ETA_MAX - 0.1, met[1], rf"$p_T^{{\mathrm{{miss}}}}$ {met[0]:.0f} GeV", color=_MET, fontsize=9,
            ha="right", va="center", bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.5, "alpha": 0.85},
        )  # fmt: skip
    ax.set_xlim(-ETA_MAX, ETA_MAX)
    ax.set_ylim(-math.pi, math.pi)
    ax.set_yticks([-math.pi, -math.pi / 2, 0, math.pi / 2, math.pi], ["−π", "−π/2", "0", "π/2", "π"])
    ax.set_xlabel(r"$\eta$")
    ax.set_ylabel(r"$\phi$ [rad]")
    if legend:
        _legend(ax, truth_jets is not None, leptons is not None)


def _disc(pt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the area of a disc in points²: a 1 GeV candidate is just visible, a 100 GeV one not overwhelming."""
    return np.asarray(3.0 * np.minimum(pt, 100.0) + 0.3)


def _circle(ax: Axes, eta: float, phi: float, radius: float, edge: str, line: Any) -> None:
    for turn in (-2 * math.pi, 0.0, 2 * math.pi):  # a circle that crosses ±π shows on both sides
        if abs(phi + turn) < math.pi + radius:
            ax.add_patch(Circle((eta, phi + turn), radius, fill=False, edgecolor=edge, linestyle=line, linewidth=1.1))


def _write_pt(ax: Axes, jet: Any, radius: float) -> None:
    above = jet.phi + radius + 0.05
    inside = above < math.pi - 0.25
    ax.text(
        jet.eta, above if inside else jet.phi - radius - 0.05, f"{jet.pt:.0f}", fontsize=7.5, ha="center",
        va="bottom" if inside else "top", clip_on=True,
    )  # fmt: skip


def _legend(ax: Axes, with_truth: bool, with_leptons: bool) -> None:
    def disc(face: str, text: str) -> Line2D:
        return Line2D([], [], marker="o", linestyle="none", markersize=5, markeredgewidth=0, color=face, label=text)

    handles = [
        disc(_CHARGED_LEADING, "charged, leading vertex"),
        disc(_CHARGED_PILEUP, "charged, pileup"),
        disc(_NEUTRAL, "neutral"),
        Line2D([], [], color=_JET, linewidth=1.1, label="jet, $p_T$ in GeV"),
    ]
    if with_truth:
        handles.append(Line2D([], [], color=_TRUTH_JET, linewidth=1.1, linestyle=(0, (4, 2)), label="truth jet"))
    if with_leptons:
        mark: dict[str, Any] = {"markerfacecolor": "none", "markeredgecolor": _LEPTON, "markersize": 7}
        handles.append(Line2D([], [], marker="D", linestyle="none", label="prompt lepton", **mark))
    ax.legend(
        handles=handles,
        loc="upper center",
        bbox_to_anchor=(0.5, -0.13),
        ncols=6,
        columnspacing=0.8,
        handletextpad=0.2,
        fontsize=7.6,
    )
