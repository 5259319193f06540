"""What the tools that write numbers into pages share: a place between markers, errors, the tuning sample."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import hardscatter as hs

TUNING_SEED, PILEUP, N_MINBIAS = 202, 140, 12_000


def tuning_sample(n: int) -> hs.Events:
    """Return semileptonic tt̄ at pileup 140 whose collisions are neither training (seed 101) nor test (seed 303)."""
    return hs.simulate("ttbar-semileptonic", n, pileup=PILEUP, seed=TUNING_SEED, n_minbias=N_MINBIAS)


def put(page: Path, mark: str, lines: Sequence[str]) -> None:
    """Replace what stands between ``<!-- mark -->`` and ``<!-- end mark -->`` in a page."""
    begin, end = f"<!-- {mark} -->", f"<!-- end {mark} -->"
    before, found, rest = page.read_text(encoding="utf-8").partition(begin)
    _, closed, after = rest.partition(end)
    if not (found and closed):
        raise SystemExit(f"{page} has no place for the numbers: write {begin} and {end} where they belong.")
    page.write_text("\n".join([f"{before}{begin}", *lines, f"{end}{after}"]), encoding="utf-8")


def with_digits(value: float, error: float, digits: int) -> str:
    """Write a number with its error; what is exact, such as a number set against itself, without one."""
    return f"{value:.{digits}f} ± {error:.{digits}f}" if error else f"{value:.3g}"
