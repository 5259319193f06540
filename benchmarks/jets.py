"""Jets of weighted candidates, beside bare FastJet.

Ours is `hardscatter.cluster`: events and weights in, awkward jets with their constituents out, weighting,
four-momenta, sorting and checks included. `none` keeps all candidates, PUPPI a few hundred, and with the weights of
`total` hardly one is exactly 0: eleven thousand particles for a handful of jets.

Peers are handed finished four-momenta (px, py, pz, E as numbers; in C++ as `PseudoJet`s) and return jets and
constituents: FastJet in C++ against the headers and libraries of its wheel (`jets.cc`), left out without a compiler;
the wheel's interface to awkward arrays; and its plain classes, a `PseudoJet` made for each particle. That favours them,
most of all where PUPPI leaves little to cluster. The same jets come out: numbers and pt are compared when a case is
made.

Soft drop of jets of all candidates is compared with the wheel's own batch method. N-subjettiness is fjcontrib's in
either case: no peer.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

import hardscatter as hs
from benchmarks.cpp import FASTJET, rows_of, started
from benchmarks.crossings import crossings
from benchmarks.harness import Case, Seconds
from hardscatter.jets.momenta import constituents_of, weighted_candidates

N = 8
ALGORITHMS = {"antikt": (-1, fastjet.antikt_algorithm), "cambridge": (0, fastjet.cambridge_algorithm),
              "kt": (1, fastjet.kt_algorithm)}  # fmt: skip
SETTINGS = (("antikt", 0.4, 15.0), ("antikt", 0.8, 100.0), ("cambridge", 0.8, 100.0), ("kt", 0.4, 15.0))
TOLERANCE = 1e-9


def cases() -> Iterator[Case]:
    """Yield the cases."""
    events = crossings(N)
    for method in ("none", "puppi:best", "total"):
        weights = hs.mitigate(events, method)
        columns, offsets, _ = weighted_candidates(events, weights, massless=True)
        momenta = ak.unflatten(ak.zip(columns), np.diff(offsets))
        with in_cpp(momenta) as program:
            for algorithm, radius, min_pt in SETTINGS if method != "puppi:best" else SETTINGS[:1]:
                settings = {"algorithm": algorithm, "radius": radius, "min_pt": min_pt}

                def ours(weights: ak.Array = weights, settings: dict[str, Any] = settings) -> ak.Array:
                    return hs.cluster(events, weights, **settings)

                name = f"{algorithm} {radius:g}, {method}"
                pt = np.sort(ak.to_numpy(ak.flatten(ours()["pt"])))
                for against, peer, found in _peers(program, momenta, algorithm, radius, min_pt):
                    _check(name, against, pt, found)
                    promised = algorithm == "antikt" and method != "puppi:best"
                    yield Case(name, ours, peer, against, per_call=N, repeats=7,
                               least_ratio=1.0 if promised else None)  # fmt: skip
    yield from _substructure(events[:2], hs.mitigate(events[:2], "none"))


def _check(name: str, against: str, ours: NDArray[np.float64], peers: NDArray[np.float64]) -> None:
    if len(ours) != len(peers) or not np.allclose(ours, np.sort(peers), rtol=TOLERANCE, atol=0):
        raise RuntimeError(f"{name}: {against} gives other jets.")


Peer = tuple[str, Callable[[], object], NDArray[np.float64]]


def _peers(
    program: Callable[..., tuple[Seconds, NDArray[np.float64]]] | None,
    momenta: ak.Array, algorithm: str, radius: float, min_pt: float,
) -> Iterator[Peer]:  # fmt: skip
    """Yield who else does the job, how, and the pt of the jets that come out."""
    power, known = ALGORITHMS[algorithm]
    if program is not None:
        yield "FastJet in C++", lambda: program(power, radius, min_pt)[0], program(power, radius, min_pt)[1]
    if (algorithm, radius) != ("antikt", 0.4):
        return
    definition = fastjet.JetDefinition(known, radius)

    def batch() -> ak.Array:
        sequence = fastjet.ClusterSequence(momenta, definition)
        sequence.constituent_index(min_pt=min_pt)
        return sequence.inclusive_jets(min_pt=min_pt)

    jets = batch()
    yield "FastJet, awkward interface", batch, ak.to_numpy(ak.flatten(np.hypot(jets.px, jets.py)))
    rows = rows_of(momenta, ("px", "py", "pz", "E"))

    def classes() -> list[float]:
        found = []
        for particles in rows:
            sequence = fastjet._swig.ClusterSequence(
                [fastjet.PseudoJet(*row) for row in particles.tolist()], definition
            )
            for jet in sequence.inclusive_jets(min_pt):
                jet.constituents()
                found.append(jet.perp())
        return found

    yield "FastJet classes", classes, np.array(classes())


@contextmanager
def in_cpp(momenta: ak.Array) -> Iterator[Callable[..., tuple[Seconds, NDArray[np.float64]]] | None]:
    """Start the C++ program with these particles; None if there is no compiler."""
    with started(Path(__file__).with_suffix(".cc"), (FASTJET,), rows_of(momenta, ("px", "py", "pz", "E"))) as process:
        yield process and (lambda power, radius, min_pt: _asked(process, f"{power} {radius} {min_pt}"))


def _asked(process: subprocess.Popen[str], job: str) -> tuple[Seconds, NDArray[np.float64]]:
    """Return the CPU time of a job, and the pt of the jets."""
    assert process.stdin is not None
    assert process.stderr is not None
    print(job, file=process.stdin, flush=True)
    pt = []
    for said in process.stderr:
        if said.startswith("OUT "):
            pt.append(float(said[4:]))
        if said.startswith("END "):
            return Seconds(said.split()[1]), np.array(pt)
    raise RuntimeError(f"jets.cc ended before it answered '{job}'.")


def _substructure(events: hs.Events, weights: ak.Array) -> Iterator[Case]:
    jets = hs.cluster(events, weights, radius=0.8, min_pt=100.0)
    n = int(ak.sum(ak.num(jets.pt)))
    constituents = ak.to_packed(constituents_of(events, jets, weights, massless=True))
    tree = fastjet.JetDefinition(fastjet.cambridge_algorithm, 1000.0)

    def peer() -> ak.Array:
        sequence = fastjet.ClusterSequence(constituents, tree)
        return sequence.exclusive_jets_softdrop_grooming(njets=1, beta=0.0, symmetry_cut=0.1, R0=0.8)

    groomed = (ak.to_numpy(ak.flatten(hs.soft_drop(events, jets, weights)["pt"])), ak.to_numpy(peer()["ptsoftdrop"]))
    _check("soft drop", "FastJet", *map(np.sort, groomed))
    yield Case("soft drop, none", lambda: hs.soft_drop(events, jets, weights), peer,
               "FastJet, awkward interface", per_call=n, unit="jet", repeats=5)  # fmt: skip
    yield Case("N-subjettiness 1, 2, 3, none", lambda: hs.n_subjettiness(events, jets, weights),
               per_call=n, unit="jet", repeats=5)  # fmt: skip
