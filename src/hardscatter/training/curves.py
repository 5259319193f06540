"""Learning curves of one or several runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib.pyplot as plt

from hardscatter.report.style import figure_style
from hardscatter.training.run import history


def draw(folders: Sequence[str | Path], output: str | Path) -> Path:
    """Draw training and validation loss, and the momentum kept, against crossings seen; return the file."""
    output = Path(output)
    with figure_style():
        figure, (above, below) = plt.subplots(2, 1, sharex=True, figsize=(6, 6), height_ratios=(2, 1))
        for number, folder in enumerate(folders):
            rounds = history(folder)
            crossings = [line["crossings"] for line in rounds]
            colour = f"C{number}"
            for stage, line_style in (("train", ":"), ("validation", "-")):
                values = [line["values"][f"{stage}/loss"] for line in rounds]
                above.plot(crossings, values, line_style, color=colour, label=f"{Path(folder).name}, {stage}")
            kept = [line["values"]["validation/kept"] for line in rounds]
            below.plot(crossings, kept, color=colour)
        below.axhline(1.0, color="black", linewidth=0.8)
        above.set(yscale="log", ylabel="loss")
        below.set(xlabel="crossings seen", ylabel=r"$\\sum w\\,p_T$ / without pileup", ylim=(0.5, 2.0))
        above.legend()
        figure.savefig(output)
        plt.close(figure)
    return output
