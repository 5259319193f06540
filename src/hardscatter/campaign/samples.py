"""The samples of a campaign: crossings that are simulated on the fly, or read from a file, part by part."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as settings_class

from hardscatter import __version__
from hardscatter.arena.contest import code_of
from hardscatter.arena.samples import Change, hash_of
from hardscatter.detector import Card, load_card
from hardscatter.detector.truth import truth_of
from hardscatter.events import Events, flat
from hardscatter.generate import Collisions, Generation
from hardscatter.jets import cluster_momenta
from hardscatter.jets.momenta import four_momenta
from hardscatter.jobs import Cluster
from hardscatter.metrics.records import Extra
from hardscatter.production import Chain, chain, files_of
from hardscatter.production.inputs import identity
from hardscatter.production.manifest import fingerprint_of
from hardscatter.simulation import Crossings, Progress, Settings, is_hepmc, pileup_of

if TYPE_CHECKING:
    from distributed import Client

# The code that makes crossings.
_ROOMS = ("geometry", "generate", "detector")

_GENERATION = ("seed", "energy", "mass", "tune")


class Source(Protocol):
    """Where the crossings of a sample come from."""

    def __len__(self) -> int:
        """Return how many there are."""

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with the crossings, not with their number."""

    def part(self, first: int, last: int) -> tuple[Events, Events | None]:
        """Return the crossings from `first` to before `last`, and the same collisions without pileup if there are."""

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain data."""

    def ready(self, workers: int | Cluster | Client, progress: Progress | None) -> None:
        """Build what parts are made from, if anything."""

    def forget(self) -> None:
        """Let go of what was loaded to give parts."""

    @property
    def has_pairs(self) -> bool:
        """Whether there are the same collisions without pileup."""

    @property
    def has_fractions(self) -> bool:
        """Whether the truth knows the hard fractions of the candidates."""

    @property
    def stored(self) -> tuple[str, ...]:
        """Names of weights that the crossings hold: measured beside the methods', in place of those of that name."""


@dataclass(frozen=True)
class Sample:
    """Crossings with a part to play in the physics case."""

    name: str
    """By which studies ask for it, and of its folder."""
    title: str
    """In words, with the pileup."""
    source: Source
    extras: tuple[Extra, ...] = ()
    """What is recorded beside jets and missing momentum."""
    methods: tuple[str, ...] | None = None
    """Methods that weigh it, by id or model file; None for all that were asked for."""
    also: tuple[str, ...] = ()
    """Methods that weigh it beside these."""


@settings_class(frozen=True, config=ConfigDict(extra="forbid"))
class Enriched:
    """All collisions with the look of a search region, and one in `others` of the rest, with a weight that undoes it.

    The look: true missing momentum above `met`, and two true AK4 jets above `jet_pt`, |eta| < 5, whose mass exceeds
    `dijet_mass` (GeV).
    """

    met: float = 100.0
    dijet_mass: float = 300.0
    jet_pt: float = 25.0
    others: int = 5

    def __call__(self, collisions: Collisions) -> NDArray[np.float64]:
        """Return the weight of each collision, 0 for those that are left out."""
        chosen = np.zeros(len(collisions), dtype=np.bool_)
        for first in range(0, len(collisions), 2000):  # bounds the memory of clustering
            part = slice(first, min(first + 2000, len(collisions)))
            chosen[part] = self._looks_like_signal(collisions.select(part))
        others = np.arange(len(collisions)) % self.others == 0
        return np.where(chosen, 1.0, np.where(others, float(self.others), 0.0))

    def _looks_like_signal(self, collisions: Collisions) -> NDArray[np.bool_]:
        truth = truth_of(collisions)
        missing = np.asarray(truth["met"]["pt"]) > self.met
        particles = truth["particles"][missing]
        pt, eta, phi, mass = (flat(particles[name], np.float64) for name in ("pt", "eta", "phi", "mass"))
        columns = four_momenta(pt, eta, phi, np.hypot(pt * np.cosh(eta), mass))
        momenta = ak.zip({name: ak.unflatten(values, ak.num(particles.pt)) for name, values in columns.items()})
        jets = cluster_momenta(momenta, radius=0.4, min_pt=self.jet_pt)
        one, other = ak.unzip(ak.combinations(jets[abs(jets.eta) < 5.0], 2))
        mass2 = 2 * one.pt * other.pt * (np.cosh(one.eta - other.eta) - np.cos(one.phi - other.phi))
        missing[missing] = np.asarray(ak.fill_none(ak.max(mass2, axis=1), 0.0)) > self.dijet_mass**2
        return missing


@dataclass(frozen=True)
class Simulated:
    """Crossings of a process, simulated part by part, with the same hard collisions without pileup."""

    process: str
    n: int
    settings: Settings
    """Of `hardscatter.simulate`; ``seed``, ``pileup``, ``card`` and ``n_minbias`` must be there."""
    pairs: bool = True
    change: Change | None = field(default=None)
    """What is done to the crossings with pileup."""

    def __len__(self) -> int:
        return self.n

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with the crossings."""
        generation = {name: value for name, value in self.settings.items() if name in _GENERATION}
        file = is_hepmc(self.process)
        said = self._said() | {
            "hard": hash_of(self.process) if file else Generation.of(self.process, **generation).fingerprint(),
            "card": self._card.hash(), "version": __version__, "code": code_of(*_ROOMS),
        }  # fmt: skip
        return fingerprint_of(said)

    def describe(self) -> dict[str, Any]:
        """Return the settings, and how many crossings of what cross section they are."""
        section = self.crossings.cross_section
        known = {"cross_section_mb": section} if math.isfinite(section) else {}  # a HepMC file may not say
        return {**self._said(), "n": self.n, **known}

    def ready(self, workers: int | Cluster | Client, progress: Progress | None) -> None:
        """Build the libraries, which workers load."""
        settings: Settings = {**self.settings, "workers": workers}
        if progress is not None:
            settings["progress"] = progress
        Crossings(self.process, self.n, pairs=self.pairs, **settings).build_libraries()

    def forget(self) -> None:
        """Let go of the collisions and the pool of pileup; they are loaded again when a part is asked for."""
        _crossings.cache_clear()

    def _said(self) -> dict[str, Any]:
        settings: dict[str, Any] = {name: self.settings.get(name) for name in _GENERATION if name in self.settings}
        changes = {"select": self.settings.get("select"), "change": self.change}
        return settings | {
            "process": self.process, "pileup": repr(pileup_of(self.settings["pileup"])), "card": self._card.name,
            "n_minbias": self.settings["n_minbias"], "pairs": self.pairs,
            **{name: {"class": type(it).__name__, **asdict(it)} for name, it in changes.items() if it is not None},  # type: ignore[call-overload]
        }  # fmt: skip

    def part(self, first: int, last: int) -> tuple[Events, Events | None]:
        """Return some of the crossings."""
        whole = self.settings.get("select") is not None or is_hepmc(self.process)
        events, alone = self.crossings[first:last] if whole else self.crossings.excerpt(first, last)
        return (events if self.change is None else self.change(events)), alone

    @property
    def has_pairs(self) -> bool:
        """As asked for."""
        return self.pairs

    @property
    def has_fractions(self) -> bool:
        """Always."""
        return True

    @property
    def stored(self) -> tuple[str, ...]:
        """None."""
        return ()

    @property
    def crossings(self) -> Crossings:
        """The crossings before they are changed."""
        return _crossings(self.process, self.n, self.pairs, tuple(sorted(self.settings.items())))

    @property
    def _card(self) -> Card:
        card = self.settings["card"]
        return card if isinstance(card, Card) else load_card(card)


@lru_cache(maxsize=1)  # collisions and pool are loaded once a worker, not for each of its chunks
def _crossings(process: str, n: int, pairs: bool, settings: tuple[tuple[str, Any], ...]) -> Crossings:
    return Crossings(process, n, pairs=pairs, **dict(settings))


@dataclass(frozen=True)
class FromFile:
    """Crossings with truth of somebody's files."""

    path: Path
    """A file, or a folder or pattern that stands for several (`hardscatter.production.files_of`)."""
    n: int
    """At most."""
    particle_flow: str | None = None
    paired: Path | None = None
    """The same hard collisions without pileup, event by event, in as many files."""

    def __len__(self) -> int:
        return len(self._chain)

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with the content of the files."""
        paired = None if self.paired is None else _content(self.paired)
        said = {"content": _content(self.path), "paired": paired, "particle_flow": self.particle_flow}
        return fingerprint_of(said)

    def ready(self, workers: int | Cluster | Client, progress: Progress | None) -> None:
        """Do nothing: the files are there."""

    def forget(self) -> None:
        """Do nothing: each part is read by itself."""

    @property
    def has_pairs(self) -> bool:
        """If the other file was given."""
        return self.paired is not None

    @cached_property
    def has_fractions(self) -> bool:
        """If its first crossing has them."""
        return self._first.has("truth.hard_fraction")

    @cached_property
    def stored(self) -> tuple[str, ...]:
        """As in the file."""
        return tuple(self._first.weights.fields) if self._first.has("weights") else ()

    @cached_property
    def _chain(self) -> Chain:
        return chain([self.path], self.n)

    @cached_property
    def _partners(self) -> Chain | None:
        return None if self.paired is None else chain([self.paired], self.n)

    @cached_property
    def _first(self) -> Events:
        return self._chain.read(0, 1, particle_flow=self.particle_flow)

    def __getstate__(self) -> dict[str, Any]:
        return {name: value for name, value in self.__dict__.items() if name != "_first"}  # too large for every job

    def describe(self) -> dict[str, Any]:
        """Return the settings as plain data."""
        return {"file": self.path.name, "paired": None if self.paired is None else self.paired.name}

    def part(self, first: int, last: int) -> tuple[Events, Events | None]:
        """Return some of the crossings."""
        events = self._chain.read(first, last, particle_flow=self.particle_flow)
        partners = self._partners
        alone = None if partners is None else partners.read(first, last, particle_flow=self.particle_flow)
        return events, alone


def _content(path: Path) -> str | list[str]:
    """Return what tells the content of a file, or of those that a word stands for, from other content."""
    return hash_of(path) if path.is_file() else [identity(one) for one in files_of([path])]
