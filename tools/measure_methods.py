"""Measure methods on the final test samples and write the tables of a page.

    python tools/measure_methods.py docs/total.md --methods puppi supervised total:paper --delphes FOLDER
    python tools/measure_methods.py docs/past_total.md --methods puppi supervised total --delphes FOLDER

Samples: 300 crossings each of four processes, seed 303, mean pileup 140 from 50 000 collisions, made once and kept
in the folder `--samples`; and the packed Delphes samples in the folder `--delphes`, if given. Their collisions are
nobody's training or tuning. All numbers go to PAGE.json beside the page; the page's text between the markers
``<!-- measured -->`` and ``<!-- end measured -->`` is replaced by the tables, and so are the results in the cards of
shipped models.
"""

from __future__ import annotations

import argparse
import json
import math
from pathlib import Path
from typing import Any

from pages import put, with_digits

import hardscatter as hs
from hardscatter.metrics import evaluate
from hardscatter.report.progress import stages
from hardscatter.threads import threads

PROCESSES = ("ttbar-semileptonic", "qcd", "zprime-tt", "wjets")
SEED, PILEUP, N_MINBIAS = 303, 140, 50_000
DELPHES = {"Delphes, ttbar-semileptonic": "delphes_ttsl_pu140.npz", "Delphes, zprime-tt": "delphes_zprime_pu140.npz"}

# Column: quantity, statistic, heading.
DESIGN_COLUMNS = (
    ("ak4_central.pt", "resolution", "central jets δ/(1+med)"),
    ("ak4_central.pt", "median", "median"),
    ("ak4_central.pt", "gap", "gap"),
    ("ak4_central.pt", "gap_cms", "gap CMS"),
    ("ak4_forward.pt", "resolution", "forward jets"),
    ("ak4_forward.pt", "gap", "gap"),
    ("ak4_forward.pt", "gap_cms", "gap CMS"),
    ("ak8.mass", "resolution", "AK8 mass"),
    ("ak8.mass", "gap", "gap"),
    ("ak8.mass", "gap_cms", "gap CMS"),
    ("ak8.tau32", "delta", "τ32 δ"),
    ("met", "delta", "missing momentum δ [GeV]"),
    ("met", "slope", "slope"),
    ("met", "gap", "gap"),
    ("met", "gap_cms", "gap CMS"),
)
TALK_COLUMNS = (
    ("talk_ak4.pt", "delta", "AK4 pt δ"),
    ("talk_ak4.pt", "improvement", "better than the best PUPPI by"),
    ("talk_ak4.pt", "improvement_cms", "than CMS' by"),
    ("talk_ak8.mass", "delta", "AK8 mass δ"),
    ("talk_ak8.mass", "improvement", "better by"),
    ("talk_ak8.mass", "improvement_cms", "than CMS' by"),
    ("talk_ak8.tau32", "delta", "τ32 δ"),
    ("talk_met", "delta", "relative missing momentum δ"),
    ("talk_met", "improvement", "better by"),
    ("talk_met", "improvement_cms", "than CMS' by"),
)

Columns = tuple[tuple[str, str, str], ...]

LEAST = 60
"""Fewer jets or crossings make no row of a table."""


def sample(process: str, folder: Path, n: int) -> Path:
    """Return a test sample, made if it is not there."""
    path = folder / f"{process}-{PILEUP}-{SEED}-{n}.parquet"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        hs.simulate_file(
            process, path, n, pileup=PILEUP, seed=SEED, n_minbias=N_MINBIAS, workers=threads()
        )  # fmt: skip
    return path


def measure(path: Path, methods: list[str], entries: int | None, weighted: Path) -> dict[str, Any]:
    """Return the tables of a sample, by definition."""
    hs.mitigate_file(path, weighted, methods, entries=entries, overwrite=True)
    tables = {}
    for definition in ("design", "talk"):
        with stages() as tell:
            tables[definition] = evaluate(weighted, definition=definition, progress=tell).table.to_dict()
    return tables


def markdown(title: str, table: dict[str, Any], columns: Columns) -> list[str]:
    """Return one table of a page, columns that say something only; nothing if there are none."""
    estimates, sizes = table["estimates"], table["sizes"]
    shown = [
        (quantity, statistic, heading)
        for quantity, statistic, heading in columns
        if sizes.get(quantity, 0) >= LEAST
        and any(statistic in values.get(quantity, {}) for values in estimates.values())
    ]
    if not shown:
        return []
    counts = ", ".join(f"{quantity} {sizes[quantity]}" for quantity in dict.fromkeys(column[0] for column in shown))
    lines = [
        f"**{title}**, {table['n_events']} crossings ({counts})",
        "",
        "| method | " + " | ".join(heading for *_, heading in shown) + " |",
        "|---|" + "---|" * len(shown),
    ]
    for method, values in estimates.items():
        cells = [cell(values.get(quantity, {}).get(statistic)) for quantity, statistic, _ in shown]
        lines.append(f"| {method} | " + " | ".join(cells) + " |")
    return [*lines, ""]


CARD_COLUMNS = tuple(column for column in DESIGN_COLUMNS if column[0] != "ak8.tau32")
MODELS = {"supervised": "supervised", "total": "total", "total:paper": "total-paper"}


def write_card(card: Path, results: dict[str, Any], method: str, page: Path) -> None:
    """Put a section with the results of a method into the card of its model, before its settings."""
    lines = [
        "## Results",
        "",
        "Gap: 0 for PUPPI tuned for the detector (`puppi:best`), 1 for perfect weights; gap CMS: 0 for "
        f"`puppi:cms-phase2`. Errors are bootstraps. See {page}.",
        "",
        "| sample | crossings | " + " | ".join(heading for *_, heading in CARD_COLUMNS) + " |",
        "|---|---|" + "---|" * len(CARD_COLUMNS),
    ]
    for name, tables in results.items():
        table = tables["design"]
        values, sizes = table["estimates"][method], table["sizes"]
        cells = [
            cell(values.get(quantity, {}).get(statistic)) if sizes.get(quantity, 0) >= LEAST else "–"
            for quantity, statistic, _ in CARD_COLUMNS
        ]
        lines.append(f"| {name} | {table['n_events']} | " + " | ".join(cells) + " |")
    text = card.read_text(encoding="utf-8")
    before, _, settings = text.partition("## Settings")
    before = before.partition("## Results")[0]
    card.write_text(before + "\n".join(lines) + "\n\n## Settings" + settings, encoding="utf-8")


def cell(estimate: dict[str, float] | None) -> str:
    """Write a number with its error."""
    if estimate is None or not math.isfinite(estimate["value"]):
        return "–"
    digits = 1 if estimate["value"] > 5 else 3 if abs(estimate["value"]) < 0.3 and estimate["error"] < 0.02 else 2
    return with_digits(estimate["value"], estimate["error"], digits)


def main() -> None:
    """Measure, and write page and numbers."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--methods", nargs="+", default=["puppi", "supervised", "total:paper"])
    parser.add_argument("--samples", type=Path, default=Path("demo_output/test_samples"))
    parser.add_argument("--delphes", type=Path)
    parser.add_argument("-n", type=int, default=300)
    parser.add_argument("--again", action="store_true", help="write the tables of the numbers that are there")
    given = parser.parse_args()
    results: dict[str, Any] = {}
    numbers = given.page.with_suffix(".json")
    if given.again:
        results = json.loads(numbers.read_text(encoding="utf-8"))
    else:
        weighted = given.samples / "weighted.parquet"
        for process in PROCESSES:
            results[process] = measure(sample(process, given.samples, given.n), given.methods, given.n, weighted)
        for name, file in DELPHES.items() if given.delphes else ():
            results[name] = measure(given.delphes / file, given.methods, None, weighted)
        weighted.unlink()
        numbers.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    models = Path(__file__).parents[1] / "src" / "hardscatter" / "pileup" / "models"
    for method, model in MODELS.items():
        if all(method in tables["design"]["estimates"] for tables in results.values()):
            write_card(models / f"{model}.md", results, method, given.page)
    lines = ["### By the design page's definitions", ""]
    for name, tables in results.items():
        lines += markdown(name, tables["design"], DESIGN_COLUMNS)
    lines += ["### The talk's columns", ""]
    for name, tables in results.items():
        lines += markdown(name, tables["talk"], TALK_COLUMNS)
    put(given.page, "measured", lines)


if __name__ == "__main__":
    main()
