"""The crossings that benchmarks run on: semileptonic tt̄ of our CMS-like Phase-2 detector, fixed seeds."""

from __future__ import annotations

from functools import cache

import hardscatter as hs

SEED = 303
N_MINBIAS = 4000


@cache
def crossings(n: int = 8, pileup: float = 200.0) -> hs.Events:
    """Return crossings without truth; at pileup 200 they hold about 11 000 candidates each."""
    return hs.simulate(
        "ttbar-semileptonic", n, pileup=pileup, seed=SEED, n_minbias=N_MINBIAS, workers=1
    ).without_truth()


def repeated(events: hs.Events, n: int) -> hs.Events:
    """Return n crossings, the same again where there are not so many."""
    return hs.concatenate([events] * -(-n // len(events)))[:n]
