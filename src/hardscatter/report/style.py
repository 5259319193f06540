"""One look for every figure: colours, markers and lines by method, labels, and no experiment's name."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import mplhep
from matplotlib.axes import Axes

from hardscatter.metrics.studies import NO_PILEUP

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
    NO_PILEUP: "#00868b",
}
FAVOURITE = "total"
"""The method whose numbers are told and whose weights are shown first, if it took part."""

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
    NO_PILEUP: "no pileup",
}

# So that prints in grey can be read: what stands together in most figures differs in marker and line as well.
MARKERS = {
    "none": "X", "chs": "P", "softkiller": "<", "puppi": "s", "puppi:best": "D", "supervised": "^", "total:paper": "v",
    "total": "o", "perfect": "*", NO_PILEUP: "h",
}  # fmt: skip
_OTHER_MARKERS = "><dp8H"
Line = str | tuple[int, tuple[float, ...]]
LINES: dict[str, Line] = {
    "none": (0, (1, 1)), "puppi": (0, (4, 1, 1, 1, 1, 1)), "puppi:best": "-.", "supervised": (0, (6, 1)),
    "total:paper": (0, (3, 1, 1, 1)), "total": "-", "perfect": "--", NO_PILEUP: "-",
}  # fmt: skip
_OTHER_LINES: tuple[Line, ...] = ((0, (2, 1)), (0, (5, 1, 1, 1)), (0, (8, 2)))

# Plain words, as results hold them, and how an axis shows them.
_MATHS = (
    (r"(?<![\w-])p[tT](?![\w-])", r"$p_\\mathrm{T}$"),
    (r"\|eta\|", r"$|\\eta|$"),
    (r"(?<![\w\\])eta(?!\w)", r"$\\eta$"),
    (r"(?<![\w\\])phi(?!\w)", r"$\\phi$"),
    (r"τ₃/τ₂", r"$\\tau_3/\\tau_2$"),
    (r"τ₂/τ₁", r"$\\tau_2/\\tau_1$"),
    (r"τ(\d+)", r"$\\tau_{\1}$"),
    (r"(?<!\w)tt\u0304", r"$t\\bar{t}$"),
    (r"(?<!\w)(\w)_(\w+)", r"$\1_{\2}$"),
    (r"(?<!\w)(\w)∥", r"$\1_\\parallel$"),
    (r"(?<!\w)(\w)⊥", r"$\1_\\perp$"),
    # What the font of the text lacks: beside a symbol, no other font steps in.
    ("′", r"$^\\prime$"),
    ("⟨", r"$\\langle$"),
    ("⟩", r"$\\rangle$"),
    ("∥", r"$\\parallel$"),
    ("⊥", r"$\\perp$"),
    ("⁻", r"$^{-}$"),
    *((subscript, rf"$_{digit}$") for digit, subscript in enumerate("₀₁₂₃₄₅₆₇₈₉")),
)


def colour(method: str) -> str:
    """Return the colour of a method; a tune has its method's, one that has none of its own gets one by its name."""
    family = method.partition(":")[0]
    return COLOURS.get(method, COLOURS.get(family, _OTHERS[sum(method.encode()) % len(_OTHERS)]))


def label(method: str) -> str:
    """Return how a method is called in a legend."""
    return LABELS.get(method, method)


def marker(method: str) -> str:
    """Return the marker of a method, by the rules of `colour`."""
    family = method.partition(":")[0]
    return MARKERS.get(method, MARKERS.get(family, _OTHER_MARKERS[sum(method.encode()) % len(_OTHER_MARKERS)]))


def line(method: str) -> Line:
    """Return the line style of a method, by the rules of `colour`."""
    family = method.partition(":")[0]
    return LINES.get(method, LINES.get(family, _OTHER_LINES[sum(method.encode()) % len(_OTHER_LINES)]))


def named(words: str) -> str:
    """Return words with the ids in them (``puppi:best``; plain ones may be words) as the methods are called."""
    ids = sorted((method for method in LABELS if ":" in method), key=len, reverse=True)
    return re.sub("|".join(map(re.escape, ids)), lambda found: label(found[0]), words)


def text(words: str) -> str:
    """Return plain words (``jet pt``, ``|eta|``, ``τ32``, ``m_jj``) with their symbols set as a figure sets them."""
    words = words.replace("$", r"\$")
    for plain, symbol in _MATHS:
        words = re.sub(plain, symbol, words)
    return words


@contextmanager
def figure_style() -> Iterator[None]:
    """Draw in the house style inside the block; nothing outside it changes."""
    settings: dict[str, Any] = {
        # The first comes with mplhep, the second, for glyphs that the first lacks, with matplotlib. Named, not
        # "sans-serif", whose meaning is looked up when a figure is saved: outside of this block.
        "font.family": [mplhep.style.CMS["font.sans-serif"][0], "DejaVu Sans"],
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
        "mathtext.fontset": "stixsans",
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
