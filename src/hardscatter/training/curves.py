"""Learning curves of one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt
from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from hardscatter.report.style import figure_style, simulation_label
from hardscatter.training.run import MONITORED, history


def draw(folders: Sequence[str | Path], output: str | Path) -> Path:
    """Draw training and validation loss, and the momentum kept, against crossings seen; return the file.

    A ring marks the round with the least validation loss, whose network is the best checkpoint.
    """
    output = Path(output)
    with figure_style():
        figure, (above, below) = plt.subplots(
            2, 1, sharex=True, figsize=(6, 6), height_ratios=(2, 1), layout="constrained"
        )
        for number, folder in enumerate(folders):
            _draw_run(Path(folder), f"C{number}", above, below)
        low, high = above.dataLim.intervaly
        above.set(yscale="log" if high > 5 * low > 0 else "linear", ylabel="loss, mean over crossings")
        below.axhline(1.0, color="black", linewidth=0.8)
        below.set_xlabel("crossings seen")
        below.set_ylabel(r"$\Sigma\,w\,p_\mathrm{T}\;/\;\Sigma\,p_\mathrm{T}^\mathrm{no\ pileup}$")
        below.set_xlim(0, 1.05 * below.dataLim.x1)
        below.xaxis.set_major_locator(MaxNLocator(integer=True))
        below.margins(y=0.15)
        above.legend()
        simulation_label(above)
        figure.savefig(output)
        plt.close(figure)
    return output


def _draw_run(folder: Path, colour: str, above: Axes, below: Axes) -> None:
    rounds = history(folder)
    values = {name: [line["values"][name] for line in rounds] for name in rounds[0]["values"]}
    crossings = [line["crossings"] for line in rounds]
    name = folder.resolve().name
    for stage, style in (("train", ":x"), ("validation", "-o")):
        above.plot(crossings, values[f"{stage}/loss"], style, color=colour, markersize=4, label=f"{name}, {stage}")
        below.plot(crossings, values[f"{stage}/kept"], style, color=colour, markersize=4)
    best = min(range(len(rounds)), key=values[MONITORED].__getitem__)
    above.plot(
        crossings[best], values[MONITORED][best], "o", markersize=9, fillstyle="none", color=colour,
        label=f"{name}, best checkpoint",
    )  # fmt: skip
