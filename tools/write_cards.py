"""Write the arena's results into the cards of the learned rivals, and the workshop's into that of its TOTAL.

    python tools/write_cards.py docs/arena.json docs/workshop2014.json

The files are those of `hardscatter arena`; what stands between "## Results" and "## Settings" in a card is replaced.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from measure_methods import write_card

MODELS = Path(__file__).parents[1] / "src" / "hardscatter" / "pileup" / "models"
RIVALS = ("pumml", "puppiml", "sspuppi", "puma")
WORKSHOP = "workshop:total"


def workshop_results(runs: dict[str, Any]) -> list[str]:
    """Return the section on the workshop's rows; of a row measured twice the larger sample."""
    rows: dict[tuple[str, int], Any] = {}
    for row in (row for run in runs.values() for row in run["rows"] if row["method"] == WORKSHOP):
        key = row["sample"], row["n_pileup"]
        if key not in rows or row["n_crossings"] > rows[key]["n_crossings"]:
            rows[key] = row
    lines = [
        "## Results",
        "",
        "Jets' subtracted − hard of the 2014 workshop's set-up, `workshop:total` with its scale; rivals in "
        "docs/workshop2014.md.",
        "",
        "| sample | pileup | jets | pt shift [GeV] | dispersion [GeV] | mass shift [GeV] | dispersion [GeV] |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for (sample, n_pileup), row in sorted(rows.items()):
        cells = [
            f"{row[what][quantity]['value']:.2f} ± {row[what][quantity]['error']:.2f}"
            for quantity in ("pt", "mass")
            for what in ("shift", "dispersion")
        ]
        lines.append(f"| {sample} | {n_pileup} | {row['n_jets']} | {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Write the cards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("arena", type=Path)
    parser.add_argument("workshop", type=Path)
    given = parser.parse_args()
    samples = json.loads(given.arena.read_text(encoding="utf-8"))["samples"]
    results = {name: {"design": sample} for name, sample in samples.items()}
    for rival in RIVALS:
        write_card(MODELS / f"{rival}.md", results, rival, Path("docs/arena.md"))
    card = MODELS / "total-workshop2014.md"
    before, _, settings = card.read_text(encoding="utf-8").partition("## Settings")
    lines = workshop_results(json.loads(given.workshop.read_text(encoding="utf-8")))
    text = before.partition("## Results")[0] + "\n".join(lines) + "\n\n## Settings" + settings
    card.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
