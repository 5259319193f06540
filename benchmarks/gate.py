"""The gate: hot jobs must not need a fifth more instructions than when `gate.json` was written.

    python -m benchmarks.gate            exit code 1 if one does
    python -m benchmarks.gate --update   write gate.json anew

Seconds tell nothing on a shared machine; instructions, counted by Valgrind's callgrind, repeat to a few parts in ten
thousand whatever else runs. The kernels are compiled for one fixed processor (Haswell), natively and beforehand, so
that Valgrind, which knows no AVX-512, meets finished code on any x86-64 machine. Vector instructions count as one each:
a loop that is no longer vectorised shows up. What is not seen are cache misses.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

ALLOWED = 1.2
"""Instructions over those of `gate.json`."""
STORE = Path(__file__).with_name("gate.json")
N_CROSSINGS = 2

_FIXED = {
    "NUMBA_CPU_NAME": "haswell", "NUMBA_CPU_FEATURES": "+avx2,+fma,+bmi,+bmi2,+popcnt,+lzcnt",
    "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "OPENBLAS_CORETYPE": "Haswell", "PYTHONHASHSEED": "0",
}  # fmt: skip
# callgrind writes its counters and sets them to zero whenever this function is entered, which nobody else calls.
_MARK, _CALLS_IT = "erand48_r", "drand48"


def jobs() -> dict[str, Callable[[], object]]:
    """Return the hot jobs by name, on the same crossings at pileup 200."""
    from benchmarks.crossings import N_MINBIAS, SEED, crossings
    from hardscatter.detector import Poisson, load_card, prepare, simulate_crossings
    from hardscatter.events import flat, offsets_of
    from hardscatter.generate import Generation, build
    from hardscatter.geometry import nearest
    from hardscatter.pileup import mitigate
    from hardscatter.pileup.features import coordinates, features
    from hardscatter.pileup.learned import load
    from hardscatter.pileup.links import links_of
    from hardscatter.pileup.surroundings import surroundings

    events = crossings(N_CROSSINGS)
    eta, phi = (flat(events.candidates[name], float) for name in ("eta", "phi"))
    offsets = offsets_of(events.candidates.pt)
    network = load("total")
    matrix, places = features(events, network.card.schema)[0], coordinates(events)
    links = links_of(events, network.card.links)
    card = load_card("cms-phase2")
    hard = build(Generation("ttbar-semileptonic", seed=SEED), N_CROSSINGS, workers=1).load()
    pool = prepare(build(Generation("minbias", seed=SEED), N_MINBIAS, workers=1).load(), card)
    return {
        "neighbours, k = 20": lambda: nearest(eta, phi, offsets, 20),
        "surroundings": lambda: surroundings(events),
        "puppi": lambda: mitigate(events, "puppi"),
        "network of total": lambda: network.run(matrix, places, links),
        "overlay and detector": lambda: simulate_crossings(hard, pool, Poisson(200.0), card),
    }


def main() -> None:
    """Count, compare, and say what each job needs."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--update", action="store_true", help="write gate.json anew")
    parser.add_argument("--child", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        child()
        return
    if shutil.which("valgrind") is None:
        sys.exit("the gate counts instructions with valgrind, which is not here: install Debian's package valgrind.")
    counts = counted()
    made_with = {name: version(name) for name in ("numba", "llvmlite", "numpy", "awkward", "onnxruntime")}
    if options.update:
        document = {"crossings": N_CROSSINGS, "made_with": made_with, "instructions": counts}
        STORE.write_text(json.dumps(document, indent=1) + "\n", encoding="utf-8")
    stored = json.loads(STORE.read_text(encoding="utf-8"))
    lost = [name for name in stored["instructions"] if name not in counts]
    for name, n in counts.items():
        ratio = n / stored["instructions"][name]
        print(f"{name}: {n / N_CROSSINGS / 1e6:.1f} million instructions a crossing, {ratio:.3f} of gate.json")
        if ratio > ALLOWED:
            lost.append(name)
    if lost and stored["made_with"] != made_with:
        print(f"gate.json was made with {stored['made_with']}, this is {made_with}: libraries may be the reason.")
    if lost:
        sys.exit(f"slower than gate.json allows ({ALLOWED:g}): {', '.join(lost)}.")


def counted() -> dict[str, int]:
    """Return the instructions of each job."""
    with tempfile.TemporaryDirectory() as folder:
        environment = os.environ | _FIXED | {"NUMBA_CACHE_DIR": f"{folder}/kernels"}
        command = [sys.executable, "-m", "benchmarks.gate", "--child"]
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL)  # compiles
        valgrind = ["valgrind", "--tool=callgrind", f"--dump-before={_MARK}", f"--callgrind-out-file={folder}/counts"]
        done = subprocess.run([*valgrind, *command], env=environment, check=False, capture_output=True, text=True)
        names = done.stdout.splitlines()
        if done.returncode or not names:
            sys.exit(f"the gate's jobs failed under valgrind: {done.stderr.strip().splitlines()[-1]}")
        names = names[names.index("jobs") + 1 :]
        # Dump 1 ends with everything that came before the first job.
        return {name: _total(Path(f"{folder}/counts.{i}")) for i, name in enumerate(names, start=2)}


def _total(dump: Path) -> int:
    found = re.search(r"^totals: (\d+)", dump.read_text(encoding="utf-8"), re.MULTILINE)
    assert found, f"callgrind wrote no total into {dump.name}"
    return int(found[1])


def child() -> None:
    """Run every job once to load its kernels, then once with a mark on either side; print their names."""
    from hardscatter.threads import set_threads

    set_threads(1)
    mark = getattr(ctypes.CDLL(None), _CALLS_IT)
    todo = jobs()
    for job in todo.values():
        job()
    mark()
    for job in todo.values():
        job()
        mark()
    print("jobs", *todo, sep="\n", flush=True)


if __name__ == "__main__":
    main()
