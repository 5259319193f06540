"""Many crossings through `mitigate` in one process: memory must stay flat, and the last weights be those of the first.

A file of crossings at small pileup is read and weighed again and again, as a long production does. Example:

    python tools/soak.py --crossings 100000 --output soak.json
"""

from __future__ import annotations

import argparse
import gc
import hashlib
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import hardscatter as hs

METHODS = ("total", "puppi:best", "softkiller")
WARM = 0.2
"""Share of the crossings before memory is compared: caches and thread pools are full by then."""
GROWTH = 16.0
"""What the resident memory may grow by after that (MB): the scatter that the allocator leaves, not a leak."""


def main() -> None:
    """Soak, say what was seen, and exit with 1 if memory grew or weights changed."""
    arguments = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "crossings.parquet"
        distinct = min(arguments.distinct, arguments.crossings)
        hs.simulate_file(
            "ttbar-semileptonic", path, distinct, pileup=arguments.pileup, seed=arguments.seed, n_minbias=4000
        )
        seen = soak(path, arguments.crossings // distinct, arguments.methods)
    seen |= {"distinct": distinct, "pileup": arguments.pileup, "seed": arguments.seed, "python": sys.version.split()[0]}
    if arguments.output is not None:
        arguments.output.write_text(json.dumps(seen, indent=1) + "\n", encoding="utf-8")
    print(f"{seen['crossings']} crossings: grown by {seen['grown_mb']:.1f} MB, {seen['different']} passes differ")
    sys.exit(int(seen["grown_mb"] > GROWTH or seen["different"] > 0))


def soak(path: Path, passes: int, methods: Sequence[str]) -> dict[str, object]:
    """Weigh the crossings of a file so many times.

    Returns
    -------
    dict
        ``memory_mb``: resident memory at each tenth; ``grown_mb``: its largest growth after the first fifth;
        ``different``: passes whose weights are not those of the first, bit for bit; ``sha256`` of the first's.
    """
    first, different, crossings, memory = "", 0, 0, []
    tenths = {max(1, round(passes * i / 10)) for i in range(1, 11)}
    for done in range(1, passes + 1):
        digest = hashlib.sha256()
        for events in hs.iterate(path, 100):
            for method in methods:
                weights = hs.mitigate(events, method)
                digest.update(weights.layout.offsets.data.tobytes())
                digest.update(weights.layout.content.data.tobytes())
            crossings += len(events)
        first = first or digest.hexdigest()
        different += digest.hexdigest() != first
        if done in tenths:
            gc.collect()
            memory.append([crossings, round(_resident(), 1)])
            print(f"{crossings} crossings, {memory[-1][1]} MB", file=sys.stderr, flush=True)
    warm = [size for done, size in memory if done >= WARM * crossings]
    return {
        "crossings": crossings,
        "methods": list(methods),
        "memory_mb": memory,
        "grown_mb": round(max(warm) - warm[0], 1),
        "different": different,
        "sha256": first,
    }


def _resident() -> float:
    """Return the resident memory of this process (MB, 10⁶ bytes)."""
    pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--crossings", type=int, default=100_000)
    parser.add_argument("--distinct", type=int, default=200, help="crossings in the file that is gone through")
    parser.add_argument("--pileup", default="20")
    parser.add_argument("--seed", type=int, default=5)
    parser.add_argument("--methods", nargs="+", default=METHODS)
    parser.add_argument("--output", type=Path)
    return parser.parse_args()


if __name__ == "__main__":
    main()
