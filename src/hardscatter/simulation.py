"""Crossings from protons in one call: libraries of collisions, overlay, detector and truth jets.

A library of the hard process and one of minimum-bias collisions are built on first use and kept in the cache folder;
crossings are mixed from them on the fly.
"""

from __future__ import annotations

import hashlib
import itertools
import operator
import os
import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypedDict, Unpack

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ValidationError

from hardscatter.detector import Card, Fixed, Flat, Histogram, Pileup, Poisson, Source, load_card, prepare
from hardscatter.detector import simulate_crossings as crossings_of
from hardscatter.detector import simulate_pairs as pairs_of
from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.events import Events, concatenate, flat
from hardscatter.generate import Collisions, Generation, Library, build, excerpt, iterate_hepmc
from hardscatter.io import Writer
from hardscatter.jets import cluster_momenta
from hardscatter.jets.momenta import four_momenta
from hardscatter.jobs import Cluster, is_cluster

if TYPE_CHECKING:
    from distributed import Client

TRUTH_JETS = (("jets", 0.4, 15.0), ("fat_jets", 0.8, 200.0))
"""Truth jets: field of ``truth``, anti-kT radius, least pt (GeV), as in the Delphes samples."""

# What the metadata of a library says about all of it: it grows, the crossings made from it stay.
_GROWING = ("n_collisions", "cross_section_mb", "cross_section_error_mb", "n_tried")

_HEPMC = re.compile(r"\.hepmc[23]?(\.gz)?$")

Progress = Callable[[str, int, int], None]
"""Called with what is being done, how much is ready, and how much there is."""

Selection = Callable[[Collisions], NDArray[np.float64]]
"""Gives the weight of each hard collision, 0 for those that are left out: a filter, or an enrichment, that must depend
on nothing but the collision and its place among all that were made."""


class StreamSettings(TypedDict, total=False):
    """What `stream` takes beside processes and cards; all may be left out."""

    pileup: float | str | Pileup
    """Mean of a Poisson number of interactions (default 140), 0 for none; ``"fixed:140"``, ``"flat:0-200"``,
    ``"hist:FILE"`` (a text file with the height of each bin 0, 1, 2, …), or one of `hardscatter.detector.Poisson`,
    `Fixed`, `Flat`, `Histogram`."""
    seed: int
    """Of everything: hard collisions, pileup and detector (default 1). Different seeds share no collision; the same
    seed gives every process its own pileup and noise, drawn from one pool."""
    n_minbias: int
    """Minimum-bias collisions in the pool that pileup is drawn from with replacement (default 20 000)."""
    energy: float
    """Centre-of-mass energy, GeV (default 14 000, or what a ``.cmnd`` file says), of hard process and pileup; of the
    pileup alone for a HepMC file."""
    tune: str
    """``"monash"`` (default), ``"cp5"`` or ``"4c"``, of hard process and pileup."""
    mass: float
    """Mass of the resonance, GeV, where the process has one to choose."""
    elastic: bool
    """Have elastic collisions among the pileup (default False)."""
    shared_draws: bool
    """Draw the detector's noise once for both members of a pair (default False: anew for each)."""
    workers: int | Cluster | Client
    """Processes that build libraries (default 1), or a cluster. More than one are spawned, so a script then needs
    ``if __name__ == "__main__":``; the result is the same."""
    progress: Progress
    """Called with what is being made, how much is ready and how much is wanted."""


class Settings(StreamSettings, total=False):
    """What `simulate` and `simulate_file` take beside the process; all may be left out."""

    card: str | Card
    """Name or path of a detector card (default ``"cms-phase2"``), or a `hardscatter.detector.Card`."""
    select: Selection
    """Which hard collisions to take; its weights multiply ``generator_weight`` (default: all)."""


def simulate(process: str | os.PathLike[str], n: int = 100, **settings: Unpack[Settings]) -> Events:
    """Simulate crossings of one hard process with pileup, truth included.

    Parameters
    ----------
    process
        A named process (see `hardscatter.generate.processes`), the path of a Pythia ``.cmnd`` file, or a HepMC file
        of any generator (``.hepmc``, ``.hepmc3``, also ``.gz``) with at least `n` collisions.
    n
        Number of crossings, one for each hard collision.
    **settings
        ``pileup``, ``seed``, ``card``, ``n_minbias``, ``energy``, ``tune``, ``mass``, ``elastic``, ``select``,
        ``workers``, ``progress``: see `Settings`.

    Returns
    -------
    Events
        Candidates, vertices, and ``truth`` with hard fractions, jets, missing momentum, leptons, particles, partons.

    Raises
    ------
    UnknownProcessError, SettingsError
        If there is no such process, card or pileup; the sentence lists what there is.
    """
    return concatenate([events for events, _ in Crossings(process, n, **settings).batches(step=100)])


def simulate_file(
    process: str | os.PathLike[str],
    output: str | os.PathLike[str],
    n: int = 100,
    *,
    paired: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    step: int = 100,
    **settings: Unpack[Settings],
) -> int:
    """Simulate crossings into a file, in bounded memory; return how many.

    Parameters
    ----------
    output, paired, overwrite
        Where to write (``.parquet`` or ``.root``); `paired` gets the same hard collisions without pileup, event by
        event, with the detector's noise drawn anew.
    step
        Crossings held in memory at once.
    process, n, **settings
        As for `simulate`, whose crossings these are.

    Raises
    ------
    HardscatterError
        As `simulate`, and if a file cannot be written: nothing half-written is left.
    """
    if paired is not None and Path(paired).resolve() == Path(output).resolve():
        raise SettingsError(f"{output} and its partner without pileup are the same file: give two names.")
    with ExitStack() as stack:
        writer = stack.enter_context(Writer(output, overwrite=overwrite))
        partner = stack.enter_context(Writer(paired, overwrite=overwrite)) if paired is not None else None
        for events, alone in Crossings(process, n, pairs=paired is not None, **settings).batches(step):
            writer.write(events)
            if partner is not None and alone is not None:
                partner.write(alone)
    return n


class Crossings:
    """The crossings that `simulate` makes, any part of them at a time: ``crossings[first:last]``.

    A part is the events and, with `pairs`, the same hard collisions without pileup (else None). Parts do not depend on
    one another, so work on them can stop and go on. Settings are checked at once, libraries are built for the first
    part that is asked for. Arguments and errors as of `simulate`.
    """

    def __init__(
        self, process: str | os.PathLike[str], n: int = 100, *, pairs: bool = False, **settings: Unpack[Settings]
    ) -> None:
        self._simulation, self._n, self._pairs = _Simulation(process, **settings), whole_number("n", n), pairs

    def __len__(self) -> int:
        return self._n

    def __getitem__(self, part: slice) -> tuple[Events, Events | None]:
        """Return one part."""
        first, last, _ = part.indices(self._n)
        hard = self._hard.select(slice(first, last))
        return self._simulation.crossings(hard, self._pool, first, self._pairs, "simulate")

    def excerpt(self, first: int, last: int) -> tuple[Events, Events | None]:
        """Return the crossings from `first` to before `last`, with hard collisions made for them alone.

        The same as ``crossings[first:last]``, but no library of hard collisions grows: for productions that are too
        long for one. Raises `SettingsError` where hard collisions are selected, which takes all of them.
        """
        hard = self._simulation.between(first, last)
        return self._simulation.crossings(hard, self._pool, first, self._pairs, "simulate")

    def make_ready(self) -> None:
        """Build what `excerpt` needs of libraries: the pool of pileup, and the tables that Pythia starts with."""
        self._simulation.between(0, 0)
        self._simulation.minimum_bias()

    def build_libraries(self) -> None:
        """Build all that parts are made from, the library of hard collisions included."""
        self._simulation.collisions(self._n)
        self._simulation.minimum_bias()

    def batches(self, step: int = 100) -> Iterator[tuple[Events, Events | None]]:
        """Yield all crossings, `step` at a time."""
        for first in range(0, self._n, whole_number("step", step)):
            yield self[first : first + step]
            self._simulation.tell("crossings")(min(first + step, self._n), self._n)

    @property
    def cross_section(self) -> float:
        """Of the crossings' summed ``generator_weight``, mb: that of the process times what a selection keeps of it.

        NaN for a HepMC file, which does not say.
        """
        return float(self._hard.metadata.get("cross_section_mb", np.nan))

    @cached_property
    def _hard(self) -> Collisions:
        return self._simulation.collisions(self._n)

    @cached_property
    def _pool(self) -> Source | None:
        return self._simulation.pool()


def stream(
    processes: str | Sequence[str],
    *,
    cards: Sequence[str | Card] = ("cms-phase2",),
    n_hard: int = 10_000,
    step: int = 16,
    pairs: bool = True,
    **settings: Unpack[StreamSettings],
) -> CrossingStream:
    """Return crossings, or pairs, without end: for training.

    The libraries hold a finite number of collisions, the stream never repeats a crossing: each pass goes through the
    hard collisions in another order, turns each by a random angle in phi, mirrors half of them in eta, and overlays
    other pileup and noise.

    Parameters
    ----------
    processes, cards
        Processes and detectors; all combinations take turns batch by batch.
    n_hard
        Hard collisions in the library of each process.
    step
        Crossings in each batch.
    pairs
        Yield (without pileup, with pileup), the same hard collisions in both; otherwise crossings with pileup.
    **settings
        As for `simulate`.

    Returns
    -------
    CrossingStream
        Batches in their order when iterated, any of them by its number: the same for the same arguments.
    """
    names = [processes] if isinstance(processes, str) else list(processes)
    if not names or not cards or step < 1 or n_hard < 1:
        raise SettingsError("a stream needs at least one process and card, step ≥ 1 and n_hard ≥ 1.")
    simulations = [_Simulation(name, card=card, **settings) for card in cards for name in names]
    return CrossingStream(simulations, n_hard, step, pairs)


class CrossingStream:
    """Batches of crossings, or of pairs, without end: ``stream[i]`` is batch i, whatever was asked for before.

    So a training that was stopped goes on where it was, and several processes share one stream without a repetition.
    """

    def __init__(self, simulations: Sequence[_Simulation], n_hard: int, step: int, pairs: bool) -> None:
        self._simulations, self._n_hard, self._step, self._pairs = list(simulations), n_hard, step, pairs
        self._libraries = {s.hard: s.collisions(n_hard) for s in self._simulations}
        pools = {s.card.hash(): s for s in self._simulations}
        self._pools = {card: simulation.pool() for card, simulation in pools.items()}

    def __iter__(self) -> Iterator[Any]:
        """Yield the batches from the first on."""
        return map(self.__getitem__, itertools.count())

    def __getitem__(self, index: int) -> Any:
        """Return batch `index` ≥ 0: events, or (without pileup, with pileup)."""
        turn, kind = divmod(index, len(self._simulations))
        simulation, chosen = self._simulations[kind], self._chosen(kind, turn * self._step)
        generator = np.random.default_rng([simulation.seed, 0x57BEA, index])
        hard = turned(self._libraries[simulation.hard].select(chosen), generator)
        pool = self._pools[simulation.card.hash()]
        events, alone = simulation.crossings(hard, pool, index * self._step, self._pairs, "stream")
        return (alone, events) if self._pairs else events

    def _chosen(self, kind: int, first: int) -> NDArray[np.int64]:
        """Return which hard collisions of a kind come from place `first` on; one pass follows upon another."""
        passes, places = np.divmod(np.arange(first, first + self._step), self._n_hard)
        return np.concatenate([self._permutation(n, kind)[places[passes == n]] for n in np.unique(passes).tolist()])

    def _permutation(self, number: int, kind: int) -> NDArray[np.int64]:
        """Return the order in which pass `number` goes through the hard collisions of a kind."""
        generator = np.random.default_rng([self._simulations[0].seed, 0x0BDE2, number, kind])
        return generator.permutation(self._n_hard)


def with_truth_jets(events: Events) -> Events:
    """Return the events with ``truth.jets`` and ``truth.fat_jets``, anti-kT jets of ``truth.particles`` (visible)."""
    particles = events.truth.particles
    pt, eta, phi, mass = (flat(particles[name], np.float64) for name in ("pt", "eta", "phi", "mass"))
    momenta = four_momenta(pt, eta, phi, np.hypot(pt * np.cosh(eta), mass))
    jagged = ak.zip({name: ak.unflatten(values, ak.num(particles.pt)) for name, values in momenta.items()})
    truth = {name: events.truth[name] for name in events.truth.fields}
    for field, radius, min_pt in TRUTH_JETS:
        truth[field] = cluster_momenta(jagged, radius=radius, min_pt=min_pt)[["pt", "eta", "phi", "mass"]]
    return events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))


def pileup_of(given: float | str | Pileup) -> Pileup:
    """Return the distribution of the number of interactions that a number or a few letters stand for.

    Raises
    ------
    SettingsError
        If they stand for nothing.
    """
    if isinstance(given, Poisson | Fixed | Flat | Histogram):
        return given
    kind, _, numbers = str(given).partition(":") if ":" in str(given) else ("", "", str(given))
    try:
        if kind == "flat":
            low, high = numbers.split("-")
            return Flat(int(low), int(high))
        if kind == "fixed":
            return Fixed(int(numbers))
        if kind == "hist":
            return Histogram(tuple(np.loadtxt(numbers, ndmin=1).tolist()))
        if kind in ("", "poisson"):
            return Poisson(float(numbers))
    except (ValueError, ValidationError, OSError):
        pass
    raise SettingsError(
        f"pileup '{given}' is not understood: give a mean such as 140, or fixed:140, flat:0-200, hist:FILE, all ≥ 0."
    )


class _Simulation:
    """What to simulate, resolved and checked before any work."""

    def __init__(
        self,
        process: str | os.PathLike[str],
        *,
        pileup: float | str | Pileup = 140.0,
        seed: int = 1,
        card: str | Card = "cms-phase2",
        n_minbias: int = 20_000,
        elastic: bool = False,
        shared_draws: bool = False,
        select: Selection | None = None,
        workers: int | Cluster | Client = 1,
        progress: Progress | None = None,
        **generation: Any,
    ) -> None:
        unknown = sorted(set(generation) - set(Settings.__annotations__))
        if unknown:
            raise SettingsError(
                f"there is no setting '{unknown[0]}': take one of {', '.join(Settings.__annotations__)}."
            )
        if str(process) == "minbias":
            raise SettingsError(
                "minbias is what pileup is made of, no hard process to simulate: for crossings of nothing else use "
                "hardscatter.trigger.minbias, or give a .cmnd file with SoftQCD:inelastic = on as the hard process."
            )
        self.hard = _hard_process(process, seed, generation)
        energy = self.hard.collision_energy if isinstance(self.hard, Generation) else generation.get("energy")
        tune = {"tune": generation["tune"]} if "tune" in generation else {}
        self.minbias = Generation("minbias", seed=seed, energy=energy, elastic=elastic, **tune)
        self.pileup = pileup_of(pileup)
        self.card = card if isinstance(card, Card) else load_card(card)
        self.n_minbias = whole_number("n_minbias", n_minbias)
        self.workers = workers if is_cluster(workers) else whole_number("workers", workers)
        self.seed, self.shared_draws, self.progress = self.minbias.seed, shared_draws, progress
        self.select = select

    def draws(self, purpose: str) -> int:
        """Return the detector's seed: another one for each process and for streams, so that none share their draws."""
        hard = self.hard.name if isinstance(self.hard, Path) else self.hard.fingerprint()
        return int.from_bytes(hashlib.sha256(f"{self.seed} {hard} {purpose}".encode()).digest()[:7])

    def pool(self) -> Source | None:
        """Return the pileup pool, built or reused; None where no pileup is asked for."""
        library = self.minimum_bias()
        return None if library is None else prepare(library.load(slice(self.n_minbias)), self.card)

    def minimum_bias(self) -> Library | None:
        """Return the library of the pool, built or reused."""
        if self.pileup in (Fixed(0), Poisson(0)):
            return None
        return build(self.minbias, self.n_minbias, workers=self.workers, on_collisions=self.tell("minimum bias"))

    def collisions(self, n: int) -> Collisions:
        """Return the first `n` hard collisions that are selected, of the HepMC file or of the library."""
        if self.select is None:
            return self._first(n)
        wanted = n
        while True:
            made = self._first(wanted)
            weight = self.select(made)
            kept = np.flatnonzero(weight > 0)
            if len(kept) >= n:
                return _selected(made, kept[:n], weight)
            # A little more than it takes if the share that is kept stays what it is.
            wanted = max(2 * wanted, 64) if not len(kept) else wanted + int(1.1 * wanted * (n / len(kept) - 1)) + 64

    def between(self, first: int, last: int) -> Collisions:
        """Return some hard collisions, without a library of those before."""
        if self.select is not None:
            raise SettingsError("hard collisions that are selected depend on all before them: simulate without parts.")
        if isinstance(self.hard, Path):
            return _from_hepmc(self.hard, max(last, 1)).select(slice(first, last))
        return excerpt(self.hard, first, last)

    def _first(self, n: int) -> Collisions:
        """Return the first `n` hard collisions of the HepMC file, or of the library, built or reused."""
        if isinstance(self.hard, Path):
            return _from_hepmc(self.hard, n)
        library = build(self.hard, n, workers=self.workers, on_collisions=self.tell(self.hard.process))
        return library.load(slice(n))

    def crossings(
        self, hard: Collisions, pool: Source | None, first: int, pairs: bool, purpose: str
    ) -> tuple[Events, Events | None]:
        """Simulate one batch, event numbers from `first` on."""
        settings = (hard, pool, self.pileup, self.card, self.draws(purpose), first)
        if not pairs:
            return self._finished(crossings_of(*settings)), None
        alone, events = pairs_of(*settings, shared_draws=self.shared_draws)
        return self._finished(events), self._finished(alone)

    def _finished(self, events: Events) -> Events:
        """Add truth jets, and where the pileup came from."""
        generator = {key: value for key, value in events.metadata.get("generator", {}).items() if key not in _GROWING}
        pool = {"generation": self.minbias.to_dict(), "n": self.n_minbias}
        metadata = {**events.metadata, "seed": self.seed, "generator": generator, "minbias": pool}
        return Events(with_truth_jets(events).array, metadata)

    def tell(self, what: str) -> Callable[[int, int], None]:
        def tell(ready: int, wanted: int) -> None:
            if self.progress is not None:
                self.progress(what, ready, wanted)

        return tell


def is_hepmc(process: str | os.PathLike[str]) -> bool:
    """Tell whether a hard process is given as a HepMC file, by its suffix."""
    return _HEPMC.search(str(process)) is not None


def _hard_process(process: str | os.PathLike[str], seed: int, generation: dict[str, Any]) -> Generation | Path:
    if not is_hepmc(process):
        return Generation.of(process, seed=seed, **generation)
    if not Path(process).is_file():
        raise UnreadableFileError(f"{process} does not exist: check the name.")
    return Path(process)


def _selected(made: Collisions, kept: NDArray[np.int64], weight: NDArray[np.float64]) -> Collisions:
    """Return the collisions that were kept, with their weights, and the cross section of these weights' sum."""
    last = int(kept[-1]) + 1
    chosen = made.select(kept)
    chosen = replace(chosen, weight=chosen.weight * weight[kept])
    if "cross_section_mb" not in made.metadata:
        return chosen
    # Weights estimate what the filter keeps: Σ kept over Σ of all up to the last one kept.
    share = float(chosen.weight.sum() / made.weight[:last].sum())
    return replace(
        chosen, metadata={**made.metadata, "cross_section_mb": share * float(made.metadata["cross_section_mb"])}
    )


def whole_number(name: str, value: Any) -> int:
    """Return a setting that counts something; raises `SettingsError` unless it is a whole number of at least 1."""
    try:
        number = operator.index(value)
    except TypeError:
        number = 0
    if number < 1:
        raise SettingsError(f"{name} is {value!r}: give a whole number of at least 1.")
    return number


def _from_hepmc(path: Path, n: int) -> Collisions:
    parts: list[Collisions] = []
    for part in iterate_hepmc(path, step=min(n, 1000)):
        if not (np.isfinite(part.pt).all() and np.isfinite(part.eta).all() and np.isfinite(part.mass).all()):
            raise UnreadableFileError(f"{path} holds momenta that are not finite: make the file again.")
        if not len(part.pt):
            raise UnreadableFileError(f"{path} holds no stable particles (status 1): give events after hadronisation.")
        parts.append(part)
        if sum(map(len, parts)) >= n:
            return Collisions.concatenate(parts).select(slice(n))
    raise SettingsError(f"{path} holds {sum(map(len, parts))} collisions, not {n}: ask for fewer crossings.")


def turned(collisions: Collisions, generator: np.random.Generator) -> Collisions:
    """Return collisions each turned by a random angle about the beam and, every second one, mirrored in eta."""
    angle = generator.uniform(-np.pi, np.pi, len(collisions))
    sign = generator.choice(np.array([-1.0, 1.0]), len(collisions))
    return collisions.transformed(angle, sign)
