"""Methods meet samples: what is observed is kept, so that a second run does only what is missing."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Container, Iterator, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib import resources, util
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

import awkward as ak

from hardscatter import __version__
from hardscatter.arena.files import load, save
from hardscatter.arena.samples import Facts, Sample, hash_of
from hardscatter.errors import ClusterError, HardscatterError
from hardscatter.events import Events
from hardscatter.jobs import Cluster, run_in_order
from hardscatter.metrics import DESIGN, Observations, join, observe
from hardscatter.metrics.resolution import PERFECT
from hardscatter.metrics.substructure import with_truth_tau32
from hardscatter.pileup import get_method, methods, mitigate, one_of_each, perfect_weights
from hardscatter.pileup.method import MODEL_SUFFIX, Method, by_name, settings_of
from hardscatter.production.manifest import fingerprint_of
from hardscatter.simulation import Progress

if TYPE_CHECKING:
    from distributed import Client

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
        return fingerprint_of(said)


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
    cluster: Cluster | Client | None = None,
    progress: Progress | None = None,
) -> Outcome:
    """Measure methods on a sample; what the folder holds of the same method on the same crossings is not done again.

    Each method on each batch is a job. Results are joined in the order of the crossings, whoever worked, and those so
    far are on disk, so an interrupted run goes on where it was. A method that fails is left out with its sentence; the
    others go on.
    """
    fingerprint = sample.fingerprint()
    here = folder / sample.folder
    facts = sample.facts(here, fingerprint, step, cluster, progress)
    prints = {one.name: f"{fingerprint}-{one.fingerprint()}" for one in contestants}
    paths = {one.name: here / f"{quote(one.name, safe='')}.npz" for one in contestants}
    seen = {name: load(paths[name], prints[name]) for name in prints}
    failures: dict[str, str] = {}
    places = {name: _done(before) for name, before in seen.items()}
    rounds = _rounds(contestants, places, sample.chain.ends, step, failures)
    for outcome in run_in_order(_Measure(sample, fingerprint), rounds, cluster):
        name, now = outcome.job.contestant.name, outcome.result
        if isinstance(outcome.problem, ClusterError):  # it kills workers
            now = str(outcome.problem)
        if now is None:
            raise outcome.problem or AssertionError("a job without an outcome")
        if isinstance(now, str):
            failures.setdefault(name, now)
        elif name not in failures:
            before = seen[name]
            joined = now if before is None else join([before, now])
            save(paths[name], joined, prints[name])
            seen[name] = joined
            if progress is not None:
                progress(sample.name, sum(map(_done, seen.values())), facts.crossings * len(seen))
    _crossings.cache_clear()
    complete = {name: record for name, record in seen.items() if record is not None and name not in failures}
    return Outcome(facts, complete, failures)


@dataclass(frozen=True)
class _Round:
    """A job: one method on some crossings of the sample."""

    contestant: Contestant
    first: int
    last: int


@dataclass(frozen=True)
class _Measure:
    """Does jobs: returns what is observed, or why it cannot be."""

    sample: Sample
    fingerprint: str
    """Of the sample, so that no other crossings are taken for these."""

    def __call__(self, job: _Round) -> Observations | str:
        events = _crossings(self.sample, self.fingerprint, job.first, job.last)
        weights = _weights_or_reason(job.contestant, events)
        return weights if isinstance(weights, str) else observe(events, weights, DESIGN)


def _rounds(
    contestants: Sequence[Contestant],
    places: dict[str, int],
    ends: Sequence[int],
    step: int,
    failures: Container[str],
) -> Iterator[_Round]:
    """Yield what is missing: batch by batch, in each those that have got so far; failures may grow meanwhile.

    Batches end where a file ends and where others of the contestants go on, so that all meet in the same ones.
    """
    while left := [one for one in contestants if places[one.name] < ends[-1] and one.name not in failures]:
        first = min(places[one.name] for one in left)
        last = min(first + step, *(place for place in (*ends, *(places[one.name] for one in left)) if place > first))
        for one in left:
            if places[one.name] == first and one.name not in failures:
                yield _Round(one, first, last)
                places[one.name] = last


@lru_cache(maxsize=1)  # several methods in turn see the same crossings
def _crossings(sample: Sample, _fingerprint: str, first: int, last: int) -> Events:
    return with_truth_tau32(sample.read(first, last), DESIGN.jets)


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
