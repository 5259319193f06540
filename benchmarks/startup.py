"""How long until there is something to see: a new process of the command line, wall clock, kernels in Numba's cache.

The peer is the least that any such program must do, which is to start Python and import NumPy and awkward; so its
ratio says how much of the time is not ours. `--version` and `--help` need neither.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import hardscatter as hs
from benchmarks.crossings import crossings
from benchmarks.harness import Case

START = "from hardscatter.cli import main; main()"
SECOND = 1000.0


def cases() -> Iterator[Case]:
    """Return the cases; the crossings lie in a temporary folder meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        source, output = str(folder / "events.parquet"), str(folder / "weighed.parquet")
        hs.write(source, crossings())
        for word in ("--version", "--help"):
            yield _case(word, 0.4 * SECOND, [word], repeats=7)
        for method in ("puppi", "softkiller", "total"):
            words = ["mitigate", source, output, "-n", "1", "-m", method, "--overwrite"]
            yield _case(f"first event of mitigate, {method}", 2.0 * SECOND, words)
        yield _case(f"inspect, {len(crossings())} crossings", 2.0 * SECOND, ["inspect", source])


def _case(name: str, target: float, words: list[str], repeats: int = 3) -> Case:
    return Case(
        name, _process("-c", START, *words), _process("-c", "import numpy, awkward"), "Python, NumPy, awkward",
        unit="start", target=target, repeats=repeats, clock=time.perf_counter,
    )  # fmt: skip


def _process(*words: str) -> Callable[[], object]:
    return lambda: subprocess.run([sys.executable, *words], check=True, capture_output=True)
