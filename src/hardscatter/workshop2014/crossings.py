"""Crossings as the pileup workshop of 2014 made them: particles, no detector, a known vertex for every track.

A hard collision without multiparton interactions is laid over a number of minimum-bias collisions, elastic and
diffractive ones among them, of Pythia's tune 4C at 14 TeV. Particles with |y| < 4 are taken as massless, their pt, y
and φ kept: η := y, E := pt cosh y. Neutrinos are left out. Charged particles know their vertex exactly.

Set-up: ``github.com/PileupWorkshop/2014PileupWorkshop`` and G. Soyez, arXiv:1801.09721. What the text does not say was
found from its numbers: all but b hadrons have Pythia's default lifetimes (K⁰s and Λ decay: without CHS 61.2 % of the
pileup is charged, the γ0 of its linear cleansing), and the hard sample ``dijetselX`` holds collisions of p̂t > 0.8 X
with a jet of pt > X in |y| < 2.5 (mean jet pt and jets per collision).
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from particle.pdgid import charge as pdg_charge

from hardscatter.compiled import kernel
from hardscatter.detector import Fixed, Pileup, random
from hardscatter.detector.random import child, stream_key, uniform
from hardscatter.errors import SettingsError
from hardscatter.events import LEADING, NO_VERTEX, Events, from_candidates
from hardscatter.generate import Collisions, Generation, Library, build
from hardscatter.jets import cluster_momenta
from hardscatter.jets.momenta import four_momenta
from hardscatter.simulation import Progress, pileup_of
from hardscatter.threads import over_crossings

SAMPLES = {"dijets020": 20.0, "dijets050": 50.0, "dijets100": 100.0, "dijets500": 500.0}
"""Hard samples by name: least pt (GeV) of the hardest jet of a collision."""

Y_MAX = 4.0
"""Particles reach up to this |y|."""

JET_Y_MAX = 2.5
"""Jets reach up to this |y|."""

RADIUS = 0.4

ENERGY = 14000.0
TUNE = "4c"

_LIFETIMES = (
    "ParticleDecays:limitTau0 = off",
    *(f"{hadron}:mayDecay = off" for hadron in (511, 521, 531, 541, 5122, 5132, 5232, 5332)),
)
_NEUTRINOS = (12, 14, 16)
_CHUNK = 500
_LOADED = 5_000  # collisions of a library in memory at once
_PT_HAT = 0.8  # of the least jet pt
_NO_PILEUP = Fixed(0)


def minbias_generation(seed: int) -> Generation:
    """Return what pileup is made of: all soft collisions, elastic ones too."""
    return Generation("cmnd", cmnd=_lines("SoftQCD:all = on"), tune=TUNE, energy=ENERGY, seed=seed)


def hard_generation(sample: str, seed: int) -> Generation:
    """Return what the hard collisions of a sample are chosen from: dijets without multiparton interactions.

    Raises
    ------
    SettingsError
        If there is no such sample.
    """
    if sample not in SAMPLES:
        raise SettingsError(f"there is no workshop sample '{sample}': take one of {', '.join(SAMPLES)}.")
    cut = f"PhaseSpace:pTHatMin = {_PT_HAT * SAMPLES[sample]:g}"
    return Generation(
        "cmnd",
        cmnd=_lines("HardQCD:all = on", cut, "PartonLevel:MPI = off"),
        tune=TUNE,
        energy=ENERGY,
        seed=seed,
    )


def _lines(*process: str) -> str:
    return "\n".join((*process, *_LIFETIMES))


@dataclass(frozen=True)
class Particles:
    """What can be seen of many collisions, collision c in rows ``offsets[c]`` to ``offsets[c + 1]``."""

    offsets: NDArray[np.int64]
    pt: NDArray[np.float32]
    """GeV."""
    y: NDArray[np.float32]
    """Rapidity, |y| < `Y_MAX`."""
    phi: NDArray[np.float32]
    """rad, [−π, π)."""
    charge: NDArray[np.int8]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, chosen: NDArray[np.integer[Any]] | slice) -> Particles:
        """Return the collisions with these numbers, in this order."""
        numbers = np.arange(len(self))[chosen]
        counts = np.diff(self.offsets)[numbers]
        offsets = np.concatenate(([0], np.cumsum(counts)))
        rows = np.arange(offsets[-1]) + np.repeat(self.offsets[:-1][numbers] - offsets[:-1], counts)
        return Particles(offsets, self.pt[rows], self.y[rows], self.phi[rows], self.charge[rows])

    def transformed(self, angle: NDArray[np.float64], sign: NDArray[np.float64]) -> Particles:
        """Return the collisions turned about the beam by `angle` (rad) and mirrored, y → sign · y."""
        counts = np.diff(self.offsets)
        y = self.y * np.repeat(sign, counts).astype(np.float32)
        phi = np.mod(self.phi + np.repeat(angle, counts) + np.pi, 2 * np.pi) - np.pi
        return Particles(self.offsets, self.pt, y, phi.astype(np.float32), self.charge)

    @staticmethod
    def concatenate(parts: Sequence[Particles]) -> Particles:
        """Return the collisions of all parts one after the other; none of them is no collision."""
        counts = [np.diff(part.offsets) for part in parts]
        columns = [_joined([getattr(part, name) for part in parts], name) for name in _TYPES]
        return Particles(np.concatenate(([0], np.cumsum(np.concatenate([[], *counts])))).astype(np.int64), *columns)


_TYPES: dict[str, Any] = {"pt": np.float32, "y": np.float32, "phi": np.float32, "charge": np.int8}


def _joined(parts: Sequence[NDArray[Any]], name: str) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0, _TYPES[name])


def visible(collisions: Collisions | Particles) -> Particles:
    """Return the particles of collisions that the workshop counts: |y| < 4, no neutrinos."""
    if isinstance(collisions, Particles):
        return collisions
    pt = collisions.pt.astype(np.float64)
    y = np.arcsinh(pt * np.sinh(collisions.eta.astype(np.float64)) / np.hypot(pt, collisions.mass))
    pids, inverse = np.unique(collisions.pid, return_inverse=True)
    charges = np.array([_charge(int(pid)) for pid in pids], dtype=np.int8)
    kept = (np.abs(y) < Y_MAX) & ~np.isin(np.abs(pids), _NEUTRINOS)[inverse]
    offsets = np.concatenate(([0], np.cumsum(kept)))[collisions.offsets].astype(np.int64)
    narrow = [np.asarray(values[kept], np.float32) for values in (pt, y, collisions.phi)]
    return Particles(offsets, narrow[0], narrow[1], narrow[2], charges[inverse][kept])


def _charge(pid: int) -> int:
    found = pdg_charge(pid)
    return 0 if found is None else round(float(found))


def particle_level(
    hard: Collisions | Particles,
    pool: Collisions | Particles | None,
    n_pileup: Pileup | str | float,
    seed: int,
    first: int = 0,
    pairs: bool = True,
) -> tuple[Events | None, Events]:
    """Lay pileup over hard collisions and return (without pileup, with pileup), the workshop's way.

    Every use of a pileup collision turns it about the beam by a random angle and mirrors every second one. Candidates
    stand in the order of falling pt, so that their order tells nothing.

    Parameters
    ----------
    hard
        Hard collisions, one a crossing.
    pool
        Minimum-bias collisions to draw pileup from; None where there is none.
    n_pileup
        How many in each crossing: ``"fixed:140"``, ``"flat:20-200"`` and all else that `hardscatter.simulate` takes.
    seed, first
        Crossing i is drawn from (seed, first + i) alone.
    pairs
        Make the events without pileup as well; else None stands in their place.

    Returns
    -------
    tuple
        Candidates: ``pt``, ``eta`` = y, ``phi``, ``energy`` = pt cosh y (GeV, massless), ``charge``, ``vertex`` (0
        leading, 1 to N_PU for charged pileup, −1 for neutrals). ``n_vertices`` = N_PU + 1. ``truth.hard_fraction``
        is 0 or 1.

    Raises
    ------
    SettingsError
        If pileup is asked for and there is none to draw from.
    """
    seen, pileup = visible(hard), pileup_of(n_pileup)
    numbers = first + np.arange(len(seen), dtype=np.int64)
    source = visible(pool) if pool is not None else Particles.concatenate([])
    alone = _crossings(seen, source, _NO_PILEUP, seed, numbers) if pairs else None
    return alone, _crossings(seen, source, pileup, seed, numbers)


def _crossings(hard: Particles, pool: Particles, pileup: Pileup, seed: int, numbers: NDArray[np.int64]) -> Events:
    n_pileup = pileup.numbers(seed, numbers)
    most = int(n_pileup.max(initial=0))
    if (most and not len(pool)) or (most > len(pool) and not pileup.replacement):
        raise SettingsError(f"a crossing needs {most} pileup collisions, the pool holds {len(pool)}: make it larger.")
    starts = np.concatenate(([0], np.cumsum(n_pileup)))
    chosen, angle, sign = np.empty(starts[-1], np.int64), np.empty(starts[-1]), np.empty(starts[-1])
    _draw(seed, numbers, starts, len(pool), pileup.replacement, chosen, angle, sign)
    sizes = np.concatenate(([0], np.cumsum(np.diff(pool.offsets)[chosen])))
    offsets = hard.offsets + sizes[starts]
    n = int(offsets[-1])
    pt, y, phi = (np.empty(n, np.float32) for _ in range(3))
    charge, vertex = np.empty(n, np.int8), np.empty(n, np.int32)
    fraction = np.empty(n, np.float32)

    def overlay(first: int, last: int) -> None:
        _overlay(
            first, last, hard.offsets, hard.pt, hard.y, hard.phi, hard.charge,
            pool.offsets, pool.pt, pool.y, pool.phi, pool.charge, starts, chosen, angle, sign,
            offsets, pt, y, phi, charge, vertex, fraction,
        )  # fmt: skip

    over_crossings(overlay, len(hard))
    counts = np.diff(offsets)
    energy = (pt * np.cosh(y.astype(np.float64))).astype(np.float32)
    columns = {"pt": pt, "eta": y, "phi": phi, "energy": energy, "charge": charge, "vertex": vertex}
    return from_candidates(
        **{name: ak.unflatten(values, counts) for name, values in columns.items()},
        n_vertices=n_pileup + 1,
        event=numbers,
        pileup=n_pileup.astype(np.float32),
        truth={"hard_fraction": ak.unflatten(fraction, counts)},
    )


@kernel
def _draw(
    seed: int,
    numbers: NDArray[np.int64],
    starts: NDArray[np.int64],
    n_pool: int,
    replacement: bool,
    chosen: NDArray[np.int64],
    angle: NDArray[np.float64],
    sign: NDArray[np.float64],
) -> None:
    """Draw the pileup collisions of each crossing, how far they are turned and which are mirrored."""
    for i in range(len(numbers)):
        key = stream_key(seed, numbers[i], random.CHOICE, 0)
        for k in range(starts[i], starts[i + 1]):
            own = child(key, k - starts[i])
            angle[k] = np.pi * (2.0 * uniform(own, 0) - 1.0)
            sign[k] = -1.0 if uniform(own, 1) < 0.5 else 1.0
            n_tried = 2
            chosen[k] = int(uniform(own, n_tried) * n_pool)
            while not replacement and np.any(chosen[starts[i] : k] == chosen[k]):
                n_tried += 1
                chosen[k] = int(uniform(own, n_tried) * n_pool)


@kernel
def _overlay(
    first: int,
    last: int,
    hard_offsets: NDArray[np.int64],
    hard_pt: NDArray[np.float32],
    hard_y: NDArray[np.float32],
    hard_phi: NDArray[np.float32],
    hard_charge: NDArray[np.int8],
    pool_offsets: NDArray[np.int64],
    pool_pt: NDArray[np.float32],
    pool_y: NDArray[np.float32],
    pool_phi: NDArray[np.float32],
    pool_charge: NDArray[np.int8],
    starts: NDArray[np.int64],
    chosen: NDArray[np.int64],
    angle: NDArray[np.float64],
    sign: NDArray[np.float64],
    offsets: NDArray[np.int64],
    pt: NDArray[np.float32],
    y: NDArray[np.float32],
    phi: NDArray[np.float32],
    charge: NDArray[np.int8],
    vertex: NDArray[np.int32],
    fraction: NDArray[np.float32],
) -> None:
    """Fill the candidates of a range of crossings, hardest first."""
    for event in range(first, last):
        a, b = offsets[event], offsets[event + 1]
        row = np.empty(b - a, np.int64)
        use = np.empty(b - a, np.int64)
        value = np.empty(b - a, np.float32)
        n = 0
        for i in range(hard_offsets[event], hard_offsets[event + 1]):
            row[n], use[n], value[n] = i, -1, hard_pt[i]
            n += 1
        for k in range(starts[event], starts[event + 1]):
            for i in range(pool_offsets[chosen[k]], pool_offsets[chosen[k] + 1]):
                row[n], use[n], value[n] = i, k, pool_pt[i]
                n += 1
        order = np.argsort(-value)
        for j in range(b - a):
            i, k, to = row[order[j]], use[order[j]], a + j
            pt[to] = value[order[j]]
            if k < 0:
                y[to], phi[to], charge[to], fraction[to] = hard_y[i], hard_phi[i], hard_charge[i], 1.0
                vertex[to] = LEADING
            else:
                y[to], charge[to], fraction[to] = sign[k] * pool_y[i], pool_charge[i], 0.0
                phi[to] = pool_phi[i] + angle[k]  # wrapped when the events are built
                vertex[to] = k - starts[event] + 1
            if charge[to] == 0:
                vertex[to] = NO_VERTEX


def pileup_pool(seed: int, n: int, workers: int = 1, progress: Progress | None = None) -> Particles:
    """Return `n` minimum-bias collisions of the library of this seed, which is built or reused."""
    library = build(minbias_generation(seed), n, workers=workers, on_collisions=_tell(progress, "minimum bias"),
                    chunk_size=_CHUNK)  # fmt: skip
    return Particles.concatenate(list(_pieces(library, 0, n)))


def hard_collisions(sample: str, seed: int, n: int, workers: int = 1, progress: Progress | None = None) -> Particles:
    """Return the first `n` hard collisions of a sample, chosen from a library that is built or reused.

    A collision is chosen if its hardest jet in |y| < 2.5 has more than the pt of the sample.
    """
    found: list[Particles] = []
    have = made = 0
    generation = hard_generation(sample, seed)
    while have < n:
        wanted = made + _CHUNK * -(-3 * (n - have) // _CHUNK)  # about two in five are chosen
        library = build(generation, wanted, workers=workers, on_collisions=_tell(progress, sample), chunk_size=_CHUNK)
        for part in _pieces(library, made, wanted):
            found.append(part.select(np.flatnonzero(_leading_pt(part) > SAMPLES[sample])))
            have += len(found[-1])
            if have >= n:
                break
        made = wanted
    return Particles.concatenate(found).select(slice(n))


def _pieces(library: Library, first: int, last: int) -> Iterator[Particles]:
    """Yield what is visible of some collisions of a library, a few thousand at a time."""
    for start in range(first, last, _LOADED):
        yield visible(library.load(slice(start, min(start + _LOADED, last))))


def _leading_pt(particles: Particles) -> NDArray[np.float64]:
    """Return the pt (GeV) of the hardest jet in |y| < 2.5 of each collision, 0 where there is none."""
    momenta = four_momenta(particles.pt, particles.y, particles.phi)
    counts = np.diff(particles.offsets)
    jets = cluster_momenta(
        ak.zip({name: ak.unflatten(values, counts) for name, values in momenta.items()}), radius=RADIUS, min_pt=5.0
    )
    central = jets.pt[abs(rapidity_of(jets)) < JET_Y_MAX]
    return np.asarray(ak.to_numpy(ak.fill_none(ak.firsts(central), 0.0)), np.float64)


def rapidity_of(jets: ak.Array) -> ak.Array:
    """Return y = arsinh(pz / mT) of jets with ``pt``, ``eta``, ``mass``."""
    return np.arcsinh(jets.pt * np.sinh(jets.eta) / np.hypot(jets.pt, jets.mass))


def _tell(progress: Progress | None, what: str) -> Callable[[int, int], None] | None:
    return None if progress is None else lambda ready, wanted: progress(what, ready, wanted)


class WorkshopStream:
    """Batches of pairs without end: ``stream[i]`` is batch i, whatever was asked for before.

    Samples take turns batch by batch. Each pass goes through the hard collisions in another order, turns each by a
    random angle, mirrors every second one and overlays other pileup, so no crossing comes twice.

    Parameters
    ----------
    samples
        Names of `SAMPLES`.
    pileup
        ``"fixed:140"``, ``"flat:20-200"``, … as for `particle_level`.
    seed
        Of everything: hard collisions, pileup and draws. Different seeds share no collision.
    n_hard, n_minbias
        Collisions in the library of each sample and in the pool that pileup is drawn from with replacement.
    step
        Crossings in each batch.
    workers
        Processes that build libraries; the result is the same.
    """

    def __init__(
        self,
        samples: Sequence[str],
        pileup: str = "fixed:140",
        seed: int = 1,
        n_hard: int = 10_000,
        n_minbias: int = 60_000,
        step: int = 16,
        workers: int = 1,
        progress: Progress | None = None,
    ) -> None:
        if not samples or min(n_hard, n_minbias, step, workers) < 1:
            raise SettingsError("a workshop stream needs a sample, and n_hard, n_minbias, step and workers ≥ 1.")
        self._generations = [hard_generation(sample, seed) for sample in samples]  # unknown ones fail before any work
        self._pileup, self._seed, self._n_hard, self._step = pileup_of(pileup), seed, n_hard, step
        self._hard = [hard_collisions(sample, seed, n_hard, workers, progress) for sample in samples]
        self._pool = pileup_pool(seed, n_minbias, workers, progress)

    def __iter__(self) -> Iterator[tuple[Events, Events]]:
        """Yield the batches from the first on."""
        return map(self.__getitem__, itertools.count())

    def __getitem__(self, index: int) -> tuple[Events, Events]:
        """Return batch `index` ≥ 0: (without pileup, with pileup)."""
        turn, kind = divmod(index, len(self._hard))
        chosen = self._hard[kind].select(self._chosen(kind, turn * self._step))
        generator = np.random.default_rng([self._seed, 0x2014, index])
        angle, sign = generator.uniform(-np.pi, np.pi, self._step), generator.choice([-1.0, 1.0], self._step)
        hard = chosen.transformed(angle, sign)
        alone, events = particle_level(hard, self._pool, self._pileup, self._seed, index * self._step)
        assert alone is not None
        return alone, events

    def _chosen(self, kind: int, first: int) -> NDArray[np.int64]:
        """Return which hard collisions of a sample come from place `first` on; one pass follows upon another."""
        passes, places = np.divmod(np.arange(first, first + self._step), self._n_hard)
        return np.concatenate([self._permutation(n, kind)[places[passes == n]] for n in np.unique(passes).tolist()])

    def _permutation(self, number: int, kind: int) -> NDArray[np.int64]:
        """Return the order in which pass `number` goes through the hard collisions of a sample."""
        return np.random.default_rng([self._seed, 0x0BDE2, number, kind]).permutation(self._n_hard)
