"""AK8 jets of mitigated crossings in JetClass' layout, to train weaver or Particle Transformer on.

::

    python jetclass.py crossings.parquet puppi Tbqq jets.root
    weaver --data-train jets.root --data-config JetClass_full.yaml ...
"""

from __future__ import annotations

import sys
from pathlib import Path

import hardscatter as hs
from hardscatter import io

RADIUS, MIN_PT = 0.8, 200.0


def write_jets(path: str | Path, method: str, label: str, output: str | Path, min_pt: float = MIN_PT) -> None:
    """Write the jets of a file, all of them of one class of JetClass."""
    with io.JetClassWriter(output) as writer:
        for events in hs.iterate(path):
            weights = hs.mitigate(events, method)
            jets = hs.cluster(events, weights, radius=RADIUS, min_pt=min_pt, massless=False)
            groomed = hs.soft_drop(events, jets, weights, radius=RADIUS, massless=False)
            taus = hs.n_subjettiness(events, jets, weights, n=(1, 2, 3, 4), radius=RADIUS, massless=False)
            writer.write(events, jets, weights, label=label, groomed=groomed, taus=taus)


if __name__ == "__main__":
    write_jets(*sys.argv[1:5])
