"""The samples of a contest: files of crossings, or processes that are simulated once and kept."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Protocol
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
from hardscatter.generate import Generation
from hardscatter.io import count, iterate, read
from hardscatter.simulation import Progress, Settings, pileup_of, simulate_file

PROCESSES = ("ttbar-semileptonic", "qcd", "zprime-tt", "wjets")
"""The samples of a contest that names none."""
SEED = 303
"""Of the samples: nobody's training or tuning."""
N_MINBIAS = 50_000
DEFAULT_PILEUP = "140"
DEFAULT_CARD = "cms-phase2"


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
    """How to simulate a sample: the arguments of `hardscatter.simulate_file`."""

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
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


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
    n: int
    """Crossings that are used, at most."""
    particle_flow: str | None = None
    recipe: Recipe | None = field(default=None, compare=False)
    """How to make the file; None if it is somebody's own."""
    change: Change | None = None

    @property
    def folder(self) -> str:
        """The name as that of a folder."""
        return quote(self.name, safe=" ,+")

    def ready(self, workers: int, progress: Progress | None) -> None:
        """Make the file if it is simulated and not there yet."""
        if self.recipe is None or self.path.exists():
            return
        self.path.parent.mkdir(parents=True, exist_ok=True)
        settings: Settings = {**self.recipe.settings, "workers": workers}
        if progress is not None:
            settings["progress"] = progress
        simulate_file(self.recipe.process, self.path, self.recipe.n, **settings)

    def fingerprint(self) -> str:
        """Return hexadecimal digits that change with the crossings: the file's content, how it is read and changed."""
        change = None if self.change is None else {"class": type(self.change).__name__, **asdict(self.change)}  # type: ignore[call-overload]
        said = {"content": hash_of(self.path), "n": self.n, "particle_flow": self.particle_flow, "change": change}
        return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()

    def read(self, first: int, last: int) -> Events:
        """Return the crossings from `first` to before `last`."""
        events = read(self.path, (first, last), particle_flow=self.particle_flow)
        return events if self.change is None else self.change(events)

    def facts(self, folder: Path, fingerprint: str, step: int) -> Facts:
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
        for events in iterate(self.path, step, self.n, particle_flow=self.particle_flow):
            if not (events.has("truth.met") or events.has("truth.jets")):
                raise InvalidEventsError(f"{self.path} holds no truth to compare with: give simulated crossings.")
            candidates += np.asarray(events.n_candidates).tolist()
            vertices += np.asarray(events.n_vertices).tolist() if events.has("n_vertices") else []
        if not candidates:
            raise InvalidEventsError(f"{self.path} holds no crossings to measure on.")
        facts = Facts(len(candidates), float(np.mean(candidates)), float(np.mean(vertices)) if vertices else None)
        write_json(path, {"fingerprint": fingerprint, **asdict(facts)})
        return facts


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

    Raises
    ------
    HardscatterError
        Before any work: if a file cannot be read, a process, pileup or card is unknown, or two samples share a name.
    """
    if n < 1:
        raise SettingsError(f"n is {n}: a contest needs at least 1 crossing.")
    samples: list[Sample] = []
    for given in names:
        if Path(given).suffix not in ("", ".cmnd"):
            count(given)  # a file that cannot be read is found before any work
            samples.append(Sample(Path(given).stem, Path(given), n, particle_flow))
            continue
        for pileup in pileups:
            settings: Settings = {"pileup": pileup, "seed": seed, "card": card, "n_minbias": n_minbias}
            name = f"{Path(given).stem}, pileup {pileup}" + (f", {Path(card).stem}" if card != DEFAULT_CARD else "")
            samples.append(simulated(name, Recipe(given, n, settings), folder))
    for index, sample in enumerate(samples):
        if sample.name in {other.name for other in samples[:index]}:
            raise SettingsError(f"two samples are called '{sample.name}': give each once, or rename a file.")
    return samples


def simulated(name: str, recipe: Recipe, folder: Path, change: Change | None = None) -> Sample:
    """Return the sample that a recipe makes; its file has the recipe in its name, so another recipe makes another."""
    file = folder / f"{quote(name.replace(', ', '-').replace(' ', ''), safe='')}-{recipe.fingerprint()[:8]}.parquet"
    return Sample(name, file, recipe.n, recipe=recipe, change=change)


def hash_of(path: str | os.PathLike[str]) -> str:
    """Return hexadecimal digits that change with the content of a file."""
    state = Path(path).stat()
    return _hash(str(path), state.st_size, state.st_mtime_ns)


@lru_cache(maxsize=256)
def _hash(path: str, _size: int, _changed: int) -> str:
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "blake2b").hexdigest()[:32]
