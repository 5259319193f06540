"""The samples of a contest: files of crossings, one or many, or processes that are simulated once and kept."""

from __future__ import annotations

import glob
import hashlib
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import quote

import awkward as ak
import numpy as np
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass as settings_class

from hardscatter import __version__
from hardscatter.arena.files import stored, write_json
from hardscatter.detector import Card, load_card
from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events
from hardscatter.generate import Generation, processes
from hardscatter.jobs import Cluster, run_in_order
from hardscatter.production import Chain, chain, simulate_files
from hardscatter.production.manifest import NAME, fingerprint_of, read_manifest
from hardscatter.simulation import Crossings, Progress, Settings, pileup_of

if TYPE_CHECKING:
    from distributed import Client

PROCESSES = ("ttbar-semileptonic", "qcd", "zprime-tt", "wjets")
"""The samples of a contest that names none."""
SEED = 303
"""Of the samples: nobody's training or tuning."""
N_MINBIAS = 50_000
DEFAULT_PILEUP = "140"
DEFAULT_CARD = "cms-phase2"

PART = 100
"""Crossings in a part of a sample that is simulated."""


class Change(Protocol):
    """A change of crossings, with settings of its own, that stands for another detector."""

    def __call__(self, events: Events) -> Events:
        """Return the changed crossings."""


@settings_class(frozen=True, config=ConfigDict(extra="forbid"))
class NeutralScale:
    """Energy and pt of neutral candidates up to |eta| `eta_max` times `factor`: a calorimeter out of calibration.

    Truth (jets, missing momentum, hard fractions), tracks and a stored ``rho`` stay as they are.
    """

    factor: float
    eta_max: float = 3.0
    """Barrel and endcap."""

    def __call__(self, events: Events) -> Events:
        """Return the crossings as that calorimeter sees them."""
        candidates = events.candidates
        scale = ak.where((candidates.charge == 0) & (abs(candidates.eta) < self.eta_max), self.factor, 1.0)
        for name in ("pt", "energy"):
            scaled = ak.values_astype(candidates[name] * scale, events.candidates[name].layout.content.dtype)
            candidates = ak.with_field(candidates, scaled, name)
        return events.with_field("candidates", candidates)


@dataclass(frozen=True)
class Recipe:
    """How to simulate a sample: the arguments of `hardscatter.simulate_files`."""

    process: str
    n: int
    settings: Settings

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with anything that decides which crossings come out."""
        card = self.settings["card"]
        options: dict[str, Any] = {"seed": self.settings["seed"]}
        if "tune" in self.settings:
            options["tune"] = self.settings["tune"]
        said = {
            "hard": Generation.of(self.process, **options).fingerprint(), "n": self.n, "version": __version__,
            "pileup": repr(pileup_of(self.settings["pileup"])), "n_minbias": self.settings["n_minbias"],
            "card": (card if isinstance(card, Card) else load_card(card)).hash(), **options,
        }  # fmt: skip
        return fingerprint_of(said)


@dataclass(frozen=True)
class Facts:
    """What a sample is like."""

    crossings: int
    candidates: float
    """Mean number in a crossing."""
    n_vertices: float | None
    """Mean number of reconstructed vertices; None where the sample does not say."""


@dataclass(frozen=True)
class Sample:
    """Crossings that methods are measured on."""

    name: str
    path: Path
    """A file, or a folder or pattern that stands for several (`hardscatter.production.files_of`)."""
    n: int
    """Crossings that are used, at most, the first."""
    particle_flow: str | None = None
    recipe: Recipe | None = field(default=None, compare=False)
    """How to make the files; None if they are somebody's own."""
    change: Change | None = None

    @property
    def folder(self) -> str:
        """The name as that of a folder."""
        return quote(self.name, safe=" ,+")

    @cached_property
    def chain(self) -> Chain:
        """The crossings that are used; none before they are simulated."""
        return chain([self.path], self.n)

    def ready(self, workers: int, progress: Progress | None, cluster: Cluster | Client | None = None) -> None:
        """Make the files if they are simulated and not there yet."""
        if self.recipe is None or self._is_made():
            return
        settings: Settings = {**self.recipe.settings, "workers": workers if cluster is None else cluster}
        if progress is not None:
            settings["progress"] = progress
        Crossings(self.recipe.process, self.n, **settings).build_libraries()  # samples share the hard collisions
        simulate_files(self.recipe.process, self.path, self.n, part=PART, cluster=cluster, **settings)

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with the crossings: the files' content, how it is read and changed."""
        change = None if self.change is None else {"class": type(self.change).__name__, **asdict(self.change)}  # type: ignore[call-overload]
        content = [hash_of(path) for path in self.chain.files]
        said = {
            "content": content if len(content) > 1 else "".join(content), "n": self.n,
            "particle_flow": self.particle_flow, "change": change,
        }  # fmt: skip
        return fingerprint_of(said)

    def read(self, first: int, last: int) -> Events:
        """Return the crossings from `first` to before `last`."""
        events = self.chain.read(first, last, particle_flow=self.particle_flow)
        return events if self.change is None else self.change(events)

    def facts(
        self,
        folder: Path,
        fingerprint: str,
        step: int,
        cluster: Cluster | Client | None = None,
        progress: Progress | None = None,
    ) -> Facts:
        """Return what the sample is like, remembered in the folder.

        Raises
        ------
        InvalidEventsError
            If it holds no crossings, or none with a truth to compare with.
        """
        path = folder / "sample.json"
        if (known := stored(path, fingerprint)) is not None:
            return Facts(**known)
        candidates: list[int] = []
        vertices: list[int] = []
        for outcome in run_in_order(_Look(self), self.chain.batches(step), cluster):
            if outcome.result is None:
                raise outcome.problem or AssertionError("a job without an outcome")
            candidates += outcome.result[0]
            vertices += outcome.result[1]
            if progress is not None:
                progress(f"{self.name}: looking", len(candidates), len(self.chain))
        if not candidates:
            raise InvalidEventsError(f"{self.path} holds no crossings to measure on.")
        facts = Facts(len(candidates), float(np.mean(candidates)), float(np.mean(vertices)) if vertices else None)
        write_json(path, {"fingerprint": fingerprint, **asdict(facts)})
        return facts

    def _is_made(self) -> bool:
        """Tell whether the folder of a simulated sample holds all of it."""
        if not (self.path / NAME).exists():
            return False
        made: int = sum(line["events"] for line in read_manifest(self.path).parts.values())
        return made >= self.n


@dataclass(frozen=True)
class _Look:
    """Counts candidates and vertices of some crossings of a sample."""

    sample: Sample

    def __call__(self, limits: tuple[int, int]) -> tuple[list[int], list[int]]:
        events = self.sample.read(*limits)
        if not (events.has("truth.met") or events.has("truth.jets")):
            raise InvalidEventsError(f"{self.sample.path} holds no truth to compare with: give simulated crossings.")
        vertices = np.asarray(events.n_vertices).tolist() if events.has("n_vertices") else []
        return np.asarray(events.n_candidates).tolist(), vertices


def samples_of(
    names: Sequence[str],
    folder: Path,
    *,
    n: int,
    pileups: Sequence[str] = (DEFAULT_PILEUP,),
    seed: int = SEED,
    card: str = DEFAULT_CARD,
    n_minbias: int = N_MINBIAS,
    particle_flow: str | None = None,
) -> list[Sample]:
    """Return the samples that names stand for: files, or processes at each mean pileup, to be kept in `folder`.

    A folder or a pattern is one sample.

    Raises
    ------
    HardscatterError
        Before any work: if a file cannot be read, a process, pileup or card is unknown, or two samples share a name.
    """
    if n < 1:
        raise SettingsError(f"n is {n}: a contest needs at least 1 crossing.")
    samples: list[Sample] = []
    for given in names:
        if names_files(given):
            samples.append(Sample(called(given), Path(given), n, particle_flow))
            _ = samples[-1].chain  # a file that cannot be read is found before any work
            continue
        for pileup in pileups:
            settings: Settings = {"pileup": pileup, "seed": seed, "card": card, "n_minbias": n_minbias}
            name = f"{Path(given).stem}, pileup {pileup}" + (f", {Path(card).stem}" if card != DEFAULT_CARD else "")
            samples.append(simulated(name, Recipe(given, n, settings), folder))
    for index, sample in enumerate(samples):
        if sample.name in {other.name for other in samples[:index]}:
            raise SettingsError(f"two samples are called '{sample.name}': give each once, or rename a file.")
    return samples


def names_files(word: str) -> bool:
    """Tell whether a word names files, a folder or a pattern, not a process to be simulated."""
    if word in processes() or word.endswith(".cmnd"):
        return False
    return word.startswith("@") or glob.has_magic(word) or Path(word).suffix != "" or Path(word).is_dir()


def called(word: str) -> str:
    """Return how a sample of such files is called: as the file, the folder, or the pattern's folder."""
    if glob.has_magic(word):
        return Path(word).resolve().parent.name
    path = Path(word.removeprefix("@"))
    return path.resolve().name if path.is_dir() else path.stem


def simulated(name: str, recipe: Recipe, folder: Path, change: Change | None = None) -> Sample:
    """Return the sample that a recipe makes; its folder has the recipe in its name, so another recipe makes another."""
    place = folder / f"{quote(name.replace(', ', '-').replace(' ', ''), safe='')}-{recipe.fingerprint()[:8]}"
    return Sample(name, place, recipe.n, recipe=recipe, change=change)


def hash_of(path: str | os.PathLike[str]) -> str:
    """Return hexadecimal digits that change with the content of a file."""
    state = Path(path).stat()
    return _hash(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
