"""What a method costs: time and memory on one thread, each method in a process of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from hardscatter.arena.contest import Contestant
from hardscatter.arena.files import stored, write_json
from hardscatter.arena.samples import Sample
from hardscatter.errors import HardscatterError

REPEATS = 5
_THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")


@dataclass(frozen=True)
class Cost:
    """Time and memory of one method."""

    milliseconds: float
    """A crossing: median over repeats, compilation and warm-up left out."""
    megabytes: float
    """Peak of the resident memory of the process, minus that before the method's first call."""
    candidates: float
    """Mean number in the crossings that were weighed."""
    crossings: int
    repeats: int


def cost_of(one: Contestant, sample: Sample, crossings: int, folder: Path) -> Cost | str:
    """Return the cost of a method on the first crossings of a sample, remembered in the folder; or why there is none.

    The method runs on one thread in a new process, first to compile and warm up, then `REPEATS` times.
    """
    path = folder / f"{quote(one.name, safe='')}.json"
    fingerprint = f"{sample.fingerprint()}-{one.fingerprint()}-{crossings}"
    if (known := stored(path, fingerprint)) is not None:
        return Cost(**known)
    asked = json.dumps([one.word, list(map(str, sample.chain.files)), sample.particle_flow, crossings])
    environment = os.environ | dict.fromkeys(_THREADS, "1")
    command = [sys.executable, "-c", "from hardscatter.arena.cost import child; child()", asked]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    said = done.stdout.strip().splitlines()
    if done.returncode or not said:
        reason = done.stderr.strip().splitlines()
        return reason[-1] if reason else f"the process that measured it ended with {done.returncode}"
    cost = Cost(**json.loads(said[-1]))
    write_json(path, {"fingerprint": fingerprint, **asdict(cost)})
    return cost


def child() -> None:
    """Measure the method that the command line names; write the cost as one line of JSON."""
    try:
        print(json.dumps(asdict(measured(*json.loads(sys.argv[1])))))
    except HardscatterError as problem:
        sys.exit(str(problem))


def measured(word: str, files: Sequence[str], particle_flow: str | None, crossings: int) -> Cost:
    """Measure a method in this process, which should be a new one, on the first crossings of some files."""
    from hardscatter.pileup import get_method, mitigate
    from hardscatter.production import chain
    from hardscatter.threads import set_threads

    set_threads(1)
    first = chain(files, crossings)
    events = first.read(0, len(first), particle_flow=particle_flow).without_truth()
    method: Any = get_method(word)
    before = _resident_megabytes()
    mitigate(events, method)
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        mitigate(events, method)
        times.append(time.perf_counter() - start)
    peak = _peak_megabytes()
    mean = float(np.mean(np.asarray(events.n_candidates)))
    milliseconds = 1000 * float(np.median(times)) / len(events)
    return Cost(milliseconds, max(peak - before, 0.0), mean, len(events), REPEATS)


def _resident_megabytes() -> float:
    """Return the memory of this process now, its peak forgotten where the system (Linux) can do that; else the peak."""
    with contextlib.suppress(OSError):
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    return _peak_megabytes()


def _peak_megabytes() -> float:
    """Return the largest resident memory of this process since its start, or since it was forgotten."""
    with contextlib.suppress(OSError):  # Linux; what getrusage says there includes the process that started this one
        found = re.search(r"VmHWM:\s*(\d+) kB", Path("/proc/self/status").read_text(encoding="ascii"))
        if found:
            return int(found[1]) / 2**10
    import resource  # not on every system

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 2**20 if sys.platform == "darwin" else peak / 2**10  # bytes there, kilobytes elsewhere
