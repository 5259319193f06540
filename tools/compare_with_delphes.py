"""Compare our detector with Delphes, on the same kind of collisions: means per crossing, side by side.

    python tools/compare_with_delphes.py DELPHES_FILE --hard LIBRARY --minbias LIBRARY [--pileup 140] [--events 240]

DELPHES_FILE is a Delphes ROOT file or packed sample of known mean pileup; the libraries are folders made by
`hardscatter.generate.build`, the hard one of the same process. Both samples are cut into |eta| strips, hard and
pileup apart (by truth; a neutral by its hard fraction, as Delphes defines it). The error of a ratio is statistical.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

import hardscatter as hs
from hardscatter.detector import Poisson, simulate_crossings
from hardscatter.events import Events
from hardscatter.generate import Library

STRIPS = ((0.0, 5.0), (0.0, 1.5), (1.5, 2.5), (2.5, 3.0), (3.0, 4.0), (4.0, 5.0))
PT_EDGES = (0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 50.0, 1000.0)
TYPES = {"tracks": None, "photons": 22, "neutral hadrons": 130}

Row = tuple[str, NDArray[np.float64], NDArray[np.float64]]


def of_type(events: Events, pdg_id: int | None) -> ak.Array:
    """Tell which candidates are tracks (None), photons or neutral hadrons."""
    candidates = events.candidates
    return candidates.charge != 0 if pdg_id is None else (candidates.charge == 0) & (candidates.pdg_id == pdg_id)


def hard_share(events: Events) -> ak.Array:
    """Return the hard share of candidates as Delphes defines it."""
    name = "delphes_hard_fraction" if events.has("truth.delphes_hard_fraction") else "hard_fraction"
    return events.truth[name]


def per_event(values: ak.Array) -> NDArray[np.float64]:
    """Add up the values of each event."""
    return np.asarray(ak.sum(values, axis=1), dtype=np.float64)


def rows(delphes: Events, ours: Events) -> Iterator[Row]:
    """Yield label and one number an event for both samples."""

    def both(label: str, measure: Callable[[Events], ak.Array]) -> Row:
        return label, per_event(measure(delphes)), per_event(measure(ours))

    for name, pdg_id in TYPES.items():
        for low, high in STRIPS:

            def inside(events: Events, pdg_id: Any = pdg_id, low: float = low, high: float = high) -> ak.Array:
                eta = abs(events.candidates.eta)
                return of_type(events, pdg_id) & (eta >= low) & (eta < high)

            where = f"{name} |eta| {low:g}–{high:g}"
            yield both(f"n     {where}", inside)
            yield both(f"ΣpT   {where}", lambda e, s=inside: e.candidates.pt * s(e))
            yield both(f"ΣE    {where}", lambda e, s=inside: e.candidates.energy * s(e))
            yield both(f"ΣpT hard   {where}", lambda e, s=inside: e.candidates.pt * s(e) * hard_share(e))
            yield both(f"ΣpT pileup {where}", lambda e, s=inside: e.candidates.pt * s(e) * (1 - hard_share(e)))
            yield both(f"ΣpT²  {where}", lambda e, s=inside: e.candidates.pt**2 * s(e))
        for low, high in pairwise(PT_EDGES):

            def between(events: Events, pdg_id: Any = pdg_id, low: float = low, high: float = high) -> ak.Array:
                pt = events.candidates.pt
                return of_type(events, pdg_id) & (pt >= low) & (pt < high)

            yield both(f"n     {name} pT {low:g}–{high:g}", between)
    yield both("n     tracks given to the leading vertex", lambda e: of_type(e, None) & (e.candidates.vertex == 0))
    yield both(
        "ΣpT   pileup tracks given to the leading vertex",
        lambda e: e.candidates.pt * (of_type(e, None) & (e.candidates.vertex == 0)) * (1 - hard_share(e)),
    )


def print_table(delphes: Events, ours: Events) -> None:
    """Print means per event, their ratio and its statistical error."""
    print(f"{'mean per crossing':58s}{'Delphes':>10s}{'ours':>10s}{'ratio':>8s}{'±':>7s}")
    for label, theirs, mine in rows(delphes, ours):
        mean, other = theirs.mean(), mine.mean()
        if mean == 0.0:
            if other != 0.0:
                print(f"{label:58s}{mean:10.2f}{other:10.2f}{'–':>8s}")
            continue
        error = np.hypot(*(x.std() / np.sqrt(len(x)) / max(x.mean(), 1e-9) for x in (theirs, mine)))
        mark = "" if abs(other / mean - 1.0) < max(0.1, 2.0 * error) else "  <--"
        print(f"{label:58s}{mean:10.2f}{other:10.2f}{other / mean:8.3f}{error:7.3f}{mark}")
    print_missing(delphes, ours)


def print_missing(delphes: Events, ours: Events) -> None:
    """Print the 68 % half-width of the missing momentum with perfect weights, per component."""
    for label, events in (("Delphes", delphes), ("ours", ours)):
        pt, phi = events.candidates.pt * hard_share(events), events.candidates.phi
        residual = np.concatenate(
            [
                -per_event(pt * turn(phi)) - np.asarray(events.truth.met.pt * turn(events.truth.met.phi))
                for turn in (np.cos, np.sin)
            ]
        )
        print(f"missing momentum with perfect weights, {label}: 68 % within {np.quantile(abs(residual), 0.68):.2f} GeV")


def main() -> None:
    """Read or make both samples and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("delphes", help="Delphes ROOT file or packed sample")
    parser.add_argument("--hard", required=True, help="folder of a library of the same process")
    parser.add_argument("--minbias", required=True, help="folder of a minimum-bias library")
    parser.add_argument("--pileup", type=float, default=140.0, help="mean number of pileup collisions")
    parser.add_argument("--events", type=int, default=240)
    parser.add_argument("--card", default="delphes-phase2")
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    hard = Library.open(args.hard)
    collisions = hard.load(slice(0, min(args.events, len(hard))))
    pileup = Poisson(mean=args.pileup)
    ours = simulate_crossings(collisions, Library.open(args.minbias).load(), pileup, args.card, args.seed)
    print_table(hs.read(args.delphes), ours)


if __name__ == "__main__":
    main()
