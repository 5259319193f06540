"""One look for every figure: colours by method, labels, and no experiment's name."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import mplhep
from matplotlib.axes import Axes

# Petroff's ten colours (arXiv:2107.02270), told apart by colour-blind readers; one method, one colour, everywhere.
COLOURS = {
    "none": "#717581",
    "chs": "#92dadd",
    "puppi": "#3f90da",
    "puppi:cms-phase2": "#3f90da",
    "puppi:cms-run3": "#94a4a2",
    "puppi:delphes": "#832db6",
    "puppi:best": "#0b5394",
    "softkiller": "#ffa90e",
    "softkiller-zeroing": "#e76300",
    "cs": "#a96b59",
    "ics": "#b9ac70",
    "supervised": "#1845fb",
    "total:paper": "#c849a9",
    "total": "#bd1f01",
    "puppi-linear": "#578dff",
    "voronoi": "#009e73",
    "pumml": "#8a6d00",
    "puppiml": "#d0669b",
    "sspuppi": "#5b3f8c",
    "puma": "#00734f",
    "total:student": "#ff5e02",
    "perfect": "#000000",
}
_OTHERS = ("#bd1f01", "#656364", "#86c8dd", "#578dff", "#c91f16")

LABELS = {
    "none": "no mitigation",
    "chs": "CHS",
    "puppi": "PUPPI",
    "puppi:cms-phase2": "PUPPI (CMS Phase-2)",
    "puppi:cms-run3": "PUPPI (CMS Run 3)",
    "puppi:delphes": "PUPPI (Delphes)",
    "puppi:best": "PUPPI (best tune)",
    "softkiller": "SoftKiller",
    "softkiller-zeroing": "SoftKiller + zeroing",
    "cs": "Constituent Subtraction",
    "ics": "Iterative CS",
    "supervised": "supervised",
    "total:paper": "TOTAL (as published)",
    "total": "TOTAL",
    "puppi-linear": "linear PUPPI (Level 1)",
    "softkiller-zeroing:best": "SK + zeroing (best tune)",
    "cs:best": "CS (best tune)",
    "ics:best": "Iterative CS (best tune)",
    "voronoi": "Voronoi subtraction",
    "pumml": "PUMML",
    "puppiml": "PUPPIML",
    "sspuppi": "SSPUPPI",
    "puma": "PUMA",
    "total:student": "TOTAL (student)",
    "perfect": "perfect weights",
}


def colour(method: str) -> str:
    """Return the colour of a method; a tune has its method's, one that has none of its own gets one by its name."""
    family = method.partition(":")[0]
    return COLOURS.get(method, COLOURS.get(family, _OTHERS[sum(method.encode()) % len(_OTHERS)]))


def label(method: str) -> str:
    """Return how a method is called in a legend."""
    return LABELS.get(method, method)


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the house style inside the block; nothing outside it changes."""
    settings: dict[str, Any] = {
        "font.family": mplhep.style.CMS["font.family"],  # the fonts come with mplhep
        "font.sans-serif": mplhep.style.CMS["font.sans-serif"],
        "font.size": 10,
        "axes.labelsize": 11,
        "axes.titlesize": 11,
        "legend.fontsize": 8.5,
        "legend.frameon": False,
        "xtick.direction": "in",
        "ytick.direction": "in",
        "xtick.top": True,
        "ytick.right": True,
        "xtick.minor.visible": True,
        "ytick.minor.visible": True,
        "savefig.dpi": 200,
        "mathtext.fontset": "dejavusans",
    }
    with mpl.rc_context(settings):  # type: ignore[arg-type]  # the stubs want literal keys
        yield


def simulation_label(ax: Axes, right: str = "") -> None:
    """Write whose events these are above the axes, the way experiments label theirs, and `right` at the other end."""
    name = ax.annotate(
        "hardscatter", (0, 1), (0, 4), "axes fraction", "offset points", weight="bold", fontsize=12, va="bottom"
    )
    ax.annotate(
        "simulation",
        (1, 0),
        (5, 0),
        xycoords=name,
        textcoords="offset points",
        style="italic",
        fontsize=11,
        va="bottom",
    )
    ax.annotate(right, (1, 1), (0, 4), "axes fraction", "offset points", ha="right", fontsize=11, va="bottom")
