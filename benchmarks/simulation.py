"""How fast crossings are made: overlay, detector, vertices, particle flow, beside Pythia's own rate.

Ours is `hardscatter.detector.simulate_crossings`, from collisions in memory to checked events, for both shipped cards;
and a part of what `hardscatter.simulate` returns, which has truth jets besides. The peer is Pythia, bare: the time that
it needs for as many minimum-bias collisions as a crossing holds, from its rate with `nextBatch` in the same process. So
the peer does another job, the one without which there would be no crossings. The ratio says how much is saved by mixing
crossings from a library; it also says when a detector would begin to be what one waits for.
"""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Iterator

from benchmarks.crossings import N_MINBIAS, SEED
from benchmarks.harness import Case, Seconds
from hardscatter.detector import Fixed, load_card, prepare, simulate_crossings
from hardscatter.generate import Generation, build
from hardscatter.simulation import Crossings

PILEUP = 200
N = 50
COLLISIONS = 100
"""That Pythia makes for each of its turns."""
TARGET = 15.0


def cases() -> Iterator[Case]:
    """Yield the cases."""
    hard = build(Generation("ttbar-semileptonic", seed=SEED), N, workers=1).load(slice(N))
    minbias = build(Generation("minbias", seed=SEED), N_MINBIAS, workers=1).load(slice(N_MINBIAS))
    peer = _pythia()
    for name in ("cms-phase2", "delphes-phase2"):
        card = load_card(name)
        pool, seeds = prepare(minbias, card), itertools.count()
        yield Case(
            f"simulate_crossings, {name}",
            lambda pool=pool, card=card, seeds=seeds: simulate_crossings(hard, pool, Fixed(PILEUP), card, next(seeds)),
            peer, f"Pythia, {PILEUP} collisions", per_call=N, target=TARGET,
        )  # fmt: skip
    made = Crossings("ttbar-semileptonic", N, pileup=f"fixed:{PILEUP}", seed=SEED, n_minbias=N_MINBIAS)
    yield Case("simulate, with truth jets", lambda: made[:N], per_call=N, target=TARGET)


def _pythia() -> Callable[[], Seconds]:
    """Return the job that generates some collisions and says how long all of N crossings would take."""
    from pythia8mc import Pythia

    pythia = Pythia("", False)
    for line in (*Generation("minbias", seed=SEED).settings()[0], "Print:quiet = on"):
        pythia.readString(line)
    pythia.init()

    def seconds() -> Seconds:
        start = time.process_time()
        made = len(pythia.nextBatch(COLLISIONS, errorMode=20.0))
        return Seconds((time.process_time() - start) * PILEUP * N / made)

    return seconds
