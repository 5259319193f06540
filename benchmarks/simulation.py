"""How fast crossings are made: overlay, detector and candidates from libraries in memory, beside Pythia's own rate.

    python benchmarks/simulation.py [--pileup 200] [--crossings 100] [--repeats 5]

Libraries are built (or reused) in the cache folder first. CPU time of one thread; wall time with all of them. The
detector is serial per crossing, so throughput on n cores is n times the first number where memory keeps up.
"""

from __future__ import annotations

import argparse
import time

import numpy as np

import hardscatter as hs
from hardscatter.detector import Poisson, load_card, prepare, simulate_crossings
from hardscatter.generate import Generation, build
from hardscatter.threads import threads


def main() -> None:
    """Print a table: median and range over the repeats."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--pileup", type=float, default=200.0)
    parser.add_argument("--crossings", type=int, default=100)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()

    hard = build(Generation("ttbar-semileptonic", seed=1), options.crossings, workers=1).load()
    minbias = build(Generation("minbias", seed=1), 5000, workers=1).load()
    for name in ("cms-phase2", "delphes-phase2"):
        card = load_card(name)
        pool = prepare(minbias, card)
        cores = threads()
        for n in dict.fromkeys((1, cores)):
            hs.set_threads(n)
            simulate_crossings(hard.select(slice(2)), pool, Poisson(options.pileup), card)  # compile
            rates = []
            for repeat in range(options.repeats):
                clock = time.process_time if n == 1 else time.perf_counter
                start = clock()
                simulate_crossings(hard, pool, Poisson(options.pileup), card, seed=repeat)
                rates.append(len(hard) / (clock() - start))
            kind = "CPU, one thread" if n == 1 else f"wall, {n} threads"
            print(
                f"{name}\tpileup {options.pileup:g}\t{kind}\t"
                f"{np.median(rates):.1f} crossings/s (from {min(rates):.1f} to {max(rates):.1f})"
            )
        hs.set_threads(cores)


if __name__ == "__main__":
    main()
