"""Classical methods: what a user waits for, beside plain NumPy and FastJet contrib's C++.

Ours is `hardscatter.mitigate` unless the case says otherwise: awkward arrays in and out, checks included.

PUPPI against NumPy: the same equations as matrices of all pairs, a few hundred rows at a time, without a grid; it asks
for every α once and for none that is not needed, as we do, but for the cut in w·pt. One crossing; weights equal
within 1e-5.

SoftKiller against NumPy: the half dozen lines that the paper needs, on the flat columns, without awkward arrays.

SoftKiller, constituent subtraction (CS, ICS) against FastJet contrib: a small C++ program (`contrib.cc`) over the
FastJet wheel's own headers and libraries, handed the neutrals alone, as finished `PseudoJet`s; ghosts are laid once.
It neither selects nor converts anything, so the comparison favours it; "kernel alone" is ours from flat columns, which
is nearer to what it does. The same pt is left. Without a compiler these cases are left out.
"""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from scipy.special import erf, erfinv

import hardscatter as hs
from benchmarks.cpp import CONTRIB, rows_of, started
from benchmarks.crossings import crossings
from benchmarks.harness import Case, Seconds
from hardscatter.events import LEADING, flat, flat_candidates
from hardscatter.pileup import get_method
from hardscatter.pileup.puppi import EtaBin, Puppi, rapidity
from hardscatter.pileup.puppi_best import CMS_PHASE2_BEST
from hardscatter.pileup.softkiller import NEEDED, SoftKiller

N = 8
PUPPI_TARGET = 5.0
SOFTKILLER_TARGET = 0.5
TUNES = ("puppi:cms-phase2", "puppi:cms-run3", "puppi:delphes", "puppi:best")
OTHERS = ("puppi-linear", "softkiller-zeroing", "chs", "voronoi")


def cases() -> Iterator[Case]:
    """Return the cases."""
    events = crossings(N)
    for method in TUNES:
        yield Case(method, _ours(events, method), per_call=N, target=PUPPI_TARGET)
    one = events[:1]
    for method in TUNES:
        tune = CMS_PHASE2_BEST if method == "puppi:best" else get_method(method)
        assert isinstance(tune, Puppi)
        _check(method, flat(hs.mitigate(one, method), np.float64), puppi_of_numpy(one, tune))
        yield Case(f"{method}, one crossing", _ours(one, method), lambda tune=tune: puppi_of_numpy(one, tune),
                   "NumPy, all pairs", repeats=5, least_ratio=1.0)  # fmt: skip
    _check("softkiller", flat(hs.mitigate(events, "softkiller")), softkiller_of_numpy(events))
    yield Case("softkiller", _ours(events, "softkiller"), lambda: softkiller_of_numpy(events), "NumPy",
               per_call=N, target=SOFTKILLER_TARGET)  # fmt: skip
    with contrib(events) as peer:
        if peer is not None:
            for method in ("softkiller", "cs", "ics"):
                neutral = flat(events.candidates.charge) == 0
                left = flat(hs.mitigate(events, method), np.float64) * flat(events.candidates.pt)
                _check(method, left[neutral], peer.left(method), tolerance=1e-5)
                yield Case(method, _ours(events, method), lambda method=method: peer.seconds(method),
                           "FastJet contrib (C++)", per_call=N,
                           least_ratio=None if method == "softkiller" else 1.0)  # fmt: skip
            offsets, columns = flat_candidates(events, *NEEDED)
            yield Case("softkiller, kernel alone", lambda: SoftKiller().kill(offsets, *columns),
                       lambda: peer.seconds("softkiller"), "FastJet contrib (C++)", per_call=N)  # fmt: skip
    for method in OTHERS:
        yield Case(method, _ours(events, method), per_call=N)


def _ours(events: hs.Events, method: str) -> Callable[[], ak.Array]:
    return lambda: hs.mitigate(events, method)


def _check(method: str, ours: NDArray[Any], peers: NDArray[Any], tolerance: float = 1e-5) -> None:
    difference = float(np.abs(ours - peers).max())
    if not difference <= tolerance:
        raise AssertionError(f"{method}: ours and the peer's answer differ by {difference:g}.")


# NumPy


def softkiller_of_numpy(events: hs.Events, size: float = 0.5, y_max: float = 5.0) -> NDArray[np.float32]:
    """Return SoftKiller's weights: neutrals below the median of the tiles' hardest pt, and charged pileup, get 0."""
    c = events.candidates
    pt, eta, phi, charge, vertex = (flat(c[name]) for name in ("pt", "eta", "phi", "charge", "vertex"))
    rows, columns = int(2 * y_max / size + 0.5), int(2 * np.pi / size + 0.5)
    row = np.floor((eta + y_max) * (rows / (2 * y_max))).astype(int)
    column = np.floor(np.mod(phi, 2 * np.pi) * (columns / (2 * np.pi))).astype(int) % columns
    crossing = np.repeat(np.arange(len(events)), ak.to_numpy(events.n_candidates))
    counted = (charge == 0) & (row >= 0) & (row < rows)
    hardest = np.zeros((len(events), rows * columns))
    np.maximum.at(hardest, (crossing[counted], (row * columns + column)[counted]), pt[counted])
    cut = np.sort(hardest, axis=1)[:, rows * columns // 2] * (1 + 1e-12)
    kept = np.where(charge == 0, pt >= cut[crossing], vertex <= LEADING)
    return kept.astype(np.float32)


def puppi_of_numpy(events: hs.Events, tune: Puppi) -> NDArray[np.float64]:
    """Return the PUPPI weights of one crossing."""
    c = events.candidates
    pt, eta, phi, energy, dz = (flat(c[name], np.float64) for name in ("pt", "eta", "phi", "energy", "dz"))
    charged, vertex = flat(c.charge) != 0, flat(c.vertex)
    unassociated = charged & (vertex < LEADING)
    leading = charged & (vertex == LEADING)
    if tune.pt_max_charged is not None:
        leading |= unassociated & (pt > tune.pt_max_charged)
    if tune.eta_min_delta_z is not None:
        leading |= unassociated & (np.abs(eta) >= tune.eta_min_delta_z) & (np.abs(dz) < tune.delta_z_cut)
    pileup = charged & (vertex > LEADING)
    lepton = tune.leptons_apart & np.isin(flat(events.particle_class()), (11, 13))
    neutral = ~lepton & ~pileup & ~leading
    leading, pileup = leading & ~lepton, pileup & ~lepton
    if tune.eta_as_rapidity:
        y = eta
        mass2 = np.maximum(energy**2 - (pt * np.cosh(y)) ** 2, 0.0)
        eta = np.arcsinh(np.sqrt(1 + mass2 / pt**2) * np.sinh(y))
    else:
        y = rapidity(pt, eta, energy)
    size = np.abs(eta)
    cut_vertices = np.floor(tune.vertex_fraction * float(events.n_vertices[0]))
    weight = np.zeros(len(pt))
    covered = np.zeros(len(pt), dtype=bool)
    known: dict[str, NDArray[np.float64]] = {}
    for region in tune.eta_bins:
        inside = neutral & (size >= region.eta_min) & (size < region.eta_max)
        covered |= inside
        reference = ~lepton & (pt >= region.rms_pt_min) & _in_reference(tune, region, size)
        shows_pileup = reference & (pileup if region.reference == "charged-pileup" else True)
        tracks = reference & leading if region.reference == "charged-pileup" else np.zeros(len(pt), dtype=bool)
        alpha = known.setdefault(region.neighbours, np.full(len(pt), np.nan))
        wanted = (inside | shows_pileup | tracks) & np.isnan(alpha)
        source = leading if region.neighbours == "charged-leading" else ~lepton
        alpha[wanted] = _alphas(wanted, source, pt, y, eta, phi, tune.cone)
        middle, width = _median_and_width(alpha[shows_pileup], alpha[tracks])
        excess, width = alpha[inside] - middle * region.median_scale, width * region.rms_scale
        w = np.where((excess > 0) & (alpha[inside] != 0), erf(np.abs(excess / width) / np.sqrt(2)), 0.0)
        weight[inside] = np.where(w * pt[inside] < region.pt_cut + region.pt_slope * cut_vertices, 0.0, w)
    if tune.protect_neutrals is not None:
        start, full = tune.protect_neutrals
        weight = np.where(covered, np.maximum(weight, np.clip((pt - start) / (full - start), 0, 1)), weight)
    weight[weight < tune.min_weight] = 0.0
    weight[leading | (lepton & (vertex <= LEADING))] = 1.0
    return weight


def _in_reference(tune: Puppi, region: EtaBin, size: NDArray[np.float64]) -> NDArray[np.bool_]:
    if tune.reference_eta_max is not None:
        return np.asarray(size < tune.reference_eta_max)
    return np.asarray((size >= region.eta_min) & (size < region.eta_max))


def _alphas(
    wanted: NDArray[np.bool_],
    source: NDArray[np.bool_],
    pt: NDArray[np.float64],
    y: NDArray[np.float64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    cone: float,
    rows: int = 256,
) -> NDArray[np.float64]:
    found = []
    queries = np.flatnonzero(wanted)
    pt2, source_y, source_eta, source_phi = pt[source] ** 2, y[source], eta[source], phi[source]
    for first in range(0, len(queries), rows):
        i = queries[first : first + rows, None]
        d_phi = np.abs(phi[i] - source_phi)
        d_phi2 = np.minimum(d_phi, 2 * np.pi - d_phi) ** 2
        separation2 = (eta[i] - source_eta) ** 2 + d_phi2
        near = ((y[i] - source_y) ** 2 + d_phi2 <= cone**2) & (separation2 >= 1e-4)
        total = np.sum(np.where(near, pt2 / np.where(near, separation2, 1.0), 0.0), axis=1)
        found.append(np.log(np.where(total > 0, total, 1.0)))
    return np.concatenate(found) if found else np.zeros(0)


def _median_and_width(alpha: NDArray[np.float64], of_tracks: NDArray[np.float64]) -> tuple[float, float]:
    alpha = np.sort(alpha)
    zeros = np.flatnonzero(alpha == 0)
    last_zero = int(zeros[-1]) if len(zeros) else 0
    median = float(alpha[last_zero + int(0.5 * (len(alpha) - last_zero))])
    left = alpha[(alpha != 0) & (alpha <= median)]
    width = float(np.sqrt(np.mean((left - median) ** 2)))
    n_tracks = int(np.sum(of_tracks <= median))
    shift = float(np.sqrt(2 * erfinv(n_tracks / (n_tracks + 0.5 * len(alpha))) ** 2 * width))
    return median - shift, width - shift


# FastJet contrib


class Contrib:
    """The C++ program, waiting for jobs."""

    def __init__(self, process: subprocess.Popen[str], n_particles: int) -> None:
        self._process, self._n_particles = process, n_particles

    def seconds(self, job: str) -> Seconds:
        """Return the CPU time that a job needed for all crossings."""
        return Seconds(self._answers(job, 1)[0])

    def left(self, job: str) -> NDArray[np.float64]:
        """Return the pt that a job leaves of each particle."""
        return np.array(self._answers(f"left {job}", self._n_particles))

    def _answers(self, line: str, n: int) -> list[float]:
        assert self._process.stdin is not None
        assert self._process.stderr is not None
        print(line, file=self._process.stdin, flush=True)
        found: list[float] = []
        while len(found) < n:
            said = self._process.stderr.readline()
            if not said:
                raise RuntimeError(f"contrib ended before it answered '{line}'.")
            if said.startswith("OUT "):
                found.append(float(said[4:]))
        return found


@contextmanager
def contrib(events: hs.Events) -> Iterator[Contrib | None]:
    """Start the C++ program with the neutrals of the events; None if there is no compiler."""
    neutrals = rows_of(events.candidates[events.candidates.charge == 0], ("pt", "eta", "phi"))
    with started(Path(__file__).with_name("contrib.cc"), CONTRIB, neutrals) as process:
        yield process and Contrib(process, sum(map(len, neutrals)))
