"""Methods meet samples: what is observed is kept, so that a second run does only what is missing."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from importlib import resources, util
from pathlib import Path
from typing import Any
from urllib.parse import quote

import awkward as ak

from hardscatter import __version__
from hardscatter.arena.files import load, save
from hardscatter.arena.samples import Facts, Sample, hash_of
from hardscatter.errors import HardscatterError
from hardscatter.events import Events
from hardscatter.metrics import DESIGN, Observations, join, observe
from hardscatter.metrics.resolution import PERFECT
from hardscatter.metrics.substructure import with_truth_tau32
from hardscatter.pileup import get_method, methods, mitigate, one_of_each, perfect_weights
from hardscatter.pileup.method import MODEL_SUFFIX, Method, by_name, settings_of
from hardscatter.simulation import Progress

ALWAYS = ("none", "puppi:cms-phase2", "puppi:best")
"""What stands in every table, beside perfect weights."""

# The code by which methods weigh and weights are judged.
_ROOMS = ("geometry", "jets", "met", "metrics", "pileup")
_LONG_NAMES = {"puppi": "puppi:cms-phase2"}


@dataclass(frozen=True)
class Contestant:
    """A method in the contest, or perfect weights (no method), which mark the limit."""

    name: str
    method: Method | None
    word: str = ""
    """The id or model file that stands for it."""

    def weights(self, events: Events) -> ak.Array:
        """Return the weight of every candidate."""
        return perfect_weights(events) if self.method is None else mitigate(events, self.method)

    def fingerprint(self, rooms: Sequence[str] = _ROOMS) -> str:
        """Return hexadecimal digits that change with settings, model, version and code: its module's, our `rooms`."""
        said: dict[str, Any] = {"version": __version__, "code": code_of(*rooms), "name": PERFECT}
        if self.method is not None:
            settings = settings_of(self.method)
            source = inspect.getsourcefile(type(self.method))
            said |= {
                "name": f"{type(self.method).__module__}.{type(self.method).__qualname__}", "settings": settings,
                "source": source and hash_of(source), "models": [hash_of(path) for path in _models(settings)],
            }  # fmt: skip
        return hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()


def contestants(words: Sequence[str] | None = None) -> list[Contestant]:
    """Return who takes part: methods by id or model file, and those that stand in every table.

    Parameters
    ----------
    words
        Method ids and paths of trained models (``….onnx``); None for one of each that is installed. ``puppi`` goes by
        its long name, ``puppi:cms-phase2``.

    Raises
    ------
    HardscatterError
        If a method is unknown, a model cannot be used, or two would get the same name: before any work.
    """
    catalogue = methods()
    if words is None:
        words = [*one_of_each(), *(entry.id for entry in catalogue.values() if not _ours(entry.place))]
    wanted = by_name(
        [_LONG_NAMES.get(word, word) for word in (*words, *(name for name in ALWAYS if name in catalogue))]
    )
    wanted.pop(PERFECT, None)
    return [Contestant(name, get_method(word), word) for name, word in wanted.items()] + [Contestant(PERFECT, None)]


@dataclass(frozen=True)
class Outcome:
    """What was observed on one sample, and which methods could not be measured and why."""

    facts: Facts
    observations: dict[str, Observations]
    failures: dict[str, str]


def compete(
    sample: Sample,
    contestants: Sequence[Contestant],
    folder: Path,
    *,
    step: int = 100,
    progress: Progress | None = None,
) -> Outcome:
    """Measure methods on a sample; what the folder holds of the same method on the same crossings is not done again.

    After each batch the observations so far are on disk, so an interrupted run goes on where it was. A method that
    fails is left out with its sentence; the others go on.
    """
    fingerprint = sample.fingerprint()
    here = folder / sample.folder
    facts = sample.facts(here, fingerprint, step)
    prints = {one.name: f"{fingerprint}-{one.fingerprint()}" for one in contestants}
    paths = {one.name: here / f"{quote(one.name, safe='')}.npz" for one in contestants}
    seen = {name: load(paths[name], prints[name]) for name in prints}
    failures: dict[str, str] = {}

    def tell() -> None:
        if progress is not None:
            progress(sample.name, sum(map(_done, seen.values())), facts.crossings * len(seen))

    while left := [one for one in contestants if _done(seen[one.name]) < facts.crossings and one.name not in failures]:
        places = {_done(seen[one.name]) for one in left}
        first = min(places)
        last = min([first + step, facts.crossings, *(places - {first})])
        events = with_truth_tau32(sample.read(first, last), DESIGN.jets)  # once for all
        for one in left:
            before = seen[one.name]
            if _done(before) != first:
                continue
            weights = _weights_or_reason(one, events)
            if isinstance(weights, str):
                failures[one.name] = weights
                continue
            now = observe(events, weights, DESIGN)
            joined = now if before is None else join([before, now])
            save(paths[one.name], joined, prints[one.name])
            seen[one.name] = joined
            tell()
    complete = {name: record for name, record in seen.items() if record is not None and name not in failures}
    return Outcome(facts, complete, failures)


def _done(seen: Observations | None) -> int:
    return 0 if seen is None else seen.n_events


def _weights_or_reason(one: Contestant, events: Events) -> ak.Array | str:
    try:
        return one.weights(events)
    except HardscatterError as problem:
        return str(problem)
    except Exception as problem:  # whatever a third party's method raises
        return f"{type(problem).__name__}: {str(problem).partition(chr(10))[0]}"


@cache
def code_of(*rooms: str) -> str:
    """Return a hash of the code in rooms of the package, or in single files of them, such as ``met/missing.py``."""
    package = Path(str(resources.files("hardscatter")))
    sources = [
        path
        for room in rooms
        for path in ([package / room] if room.endswith(".py") else sorted((package / room).glob("*.py")))
    ]
    return hashlib.sha256("".join(map(hash_of, sources)).encode()).hexdigest()


def _ours(place: str) -> bool:
    return place.partition(".")[0] == __name__.partition(".")[0]


def _models(settings: dict[str, Any]) -> list[Path]:
    """Return the model files that settings name, by path or as a shipped model."""
    spec = util.find_spec("hardscatter.pileup")
    shipped = Path(str(spec.origin)).parent / "models" if spec else Path()
    words = [value for value in settings.values() if isinstance(value, str) and value]
    places = [place for word in words for place in (Path(word), shipped / f"{word}{MODEL_SUFFIX}")]
    return [place for place in places if place.is_file()]
