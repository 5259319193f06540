"""Show how far weights can be believed: calibration curves and closure on a sample with truth.

    python tools/calibrate.py SAMPLE docs/calibration.png --page docs/past_total.md --methods puppi supervised total

SAMPLE is a file of ours with truth, for the page the semileptonic tt̄ test sample that `measure_methods.py` makes. The
numbers go to a .json beside the figure; the page's text between ``<!-- closure -->`` and ``<!-- end closure -->`` is
replaced by the calibration errors of all methods and the closure of the last one.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from pages import put

import hardscatter as hs
from hardscatter.metrics import Calibration, Closure, calibration, closure
from hardscatter.report.calibration import calibration_figure
from hardscatter.report.style import figure_style


def tables(calibrated: Calibration, closed: Closure, method: str) -> list[str]:
    """Return what stands on the page: the errors of all methods, the closure of one."""
    lines = ["| method | calibration error | of it fluctuation |", "|---|---:|---:|"]
    for name, error in calibrated.errors.items():
        measured = error.measured
        lines.append(f"| {name} | {measured.value:.4f} ± {measured.error:.4f} | {error.fluctuation:.4f} |")
    lines += ["", f"Σ w pT / Σ h pT of `{method}`; rows: type and abs(eta), columns: pT of the candidate in GeV.", ""]
    kinds = closed.bins[method]
    columns = list(next(iter(next(iter(kinds.values())).values())))
    lines += [f"| | {' | '.join(columns)} |", "|---|" + "---:|" * len(columns)]
    for kind, by_eta in kinds.items():
        for eta, by_pt in by_eta.items():
            ratios = [by_pt[column].ratio for column in columns]
            if not any(ratio.error > 0 for ratio in ratios):
                continue
            cells = [f"{r.value:.2f} ± {r.error:.2f}" if r.error < 1 else "–" for r in ratios]
            lines.append(f"| {kind}, {eta} | " + " | ".join(cells) + " |")
    return lines


def main() -> None:
    """Measure, draw and write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("sample", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--page", type=Path)
    parser.add_argument("--methods", nargs="+", default=["puppi", "supervised", "total"])
    parser.add_argument("-n", type=int, default=300)
    given = parser.parse_args()
    events = hs.read(given.sample, given.n)
    weights = {method: hs.mitigate(events, method) for method in given.methods}
    calibrated, closed = calibration(events, weights), closure(events, weights)
    numbers = {"sample": given.sample.name, "calibration": calibrated.to_dict(), "closure": closed.to_dict()}
    given.output.with_suffix(".json").write_text(json.dumps(numbers, indent=1) + "\n", encoding="utf-8")
    with figure_style():
        calibration_figure(calibrated).savefig(given.output)
    lines = tables(calibrated, closed, given.methods[-1])
    print("\n".join(lines))
    if given.page:
        put(given.page, "closure", lines)


if __name__ == "__main__":
    main()
