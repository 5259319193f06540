"""Recording: crossings come, are weighed by every method, and leave small records behind, chunk by chunk.

Each chunk of each view is one file, written aside and renamed, in a folder whose name has the fingerprint of what made
it. So a campaign that is stopped goes on where it was, more crossings or another method cost only themselves, and what
was made with other settings or code is never mixed in.
"""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import awkward as ak

from hardscatter.arena.contest import Contestant, code_of
from hardscatter.arena.files import write_aside, write_json
from hardscatter.campaign.samples import Sample
from hardscatter.errors import InvalidEventsError
from hardscatter.events import Events
from hardscatter.jobs import Cluster, run
from hardscatter.metrics.records import Extra, Records, truth_of, view_of
from hardscatter.metrics.resolution import PERFECT
from hardscatter.metrics.studies import NO_PILEUP
from hardscatter.pileup import get_method
from hardscatter.pileup.method import by_name
from hardscatter.simulation import Progress

if TYPE_CHECKING:
    from distributed import Client

CHUNK = 50
"""Crossings of a chunk."""

# The code by which candidates become views: that of the studies may change without a new recording.
_ROOMS = (
    "geometry", "jets", "met", "pileup", "metrics/records.py", "metrics/calibration.py", "metrics/substructure.py",
)  # fmt: skip
_TRUTH = "truth"

_Maker = Callable[[Events, Events | None], ak.Array]


@dataclass(frozen=True)
class Job:
    """One sample, the folder of its records, and what makes each of them."""

    sample: Sample
    folder: Path
    makers: dict[str, tuple[str, _Maker]]
    """By name of the record: its fingerprint, and the function that makes it of crossings and their partners."""

    @property
    def chunks(self) -> int:
        """How many chunks the sample has."""
        return math.ceil(len(self.sample.source) / CHUNK)

    def limits(self, chunk: int) -> tuple[int, int]:
        """Return the first crossing of a chunk and the one after its last."""
        return chunk * CHUNK, min((chunk + 1) * CHUNK, len(self.sample.source))

    def path(self, name: str, chunk: int) -> Path:
        """Return the file of a chunk of a record; a chunk that has grown is another file."""
        first, last = self.limits(chunk)
        return self.folder / f"{quote(name, safe='')}-{self.makers[name][0][:8]}" / f"{first:07d}-{last:07d}.parquet"

    def size(self, chunk: int) -> int:
        """Return how many crossings a chunk has."""
        first, last = self.limits(chunk)
        return last - first

    def missing(self, chunk: int) -> list[str]:
        """Return the records that a chunk lacks."""
        return [name for name in self.makers if not self.path(name, chunk).exists()]

    @property
    def about(self) -> Path:
        """The file that says what the sample is."""
        return self.folder / f"sample-{len(self.sample.source)}.json"


def prepared(sample: Sample, methods: Sequence[str], folder: Path) -> Job:
    """Return the job of recording a sample, with all that can be found wrong before any work.

    Raises
    ------
    HardscatterError
        If a method is unknown or a model cannot be used.
    """
    source, extras = sample.source, sample.extras
    stored = source.stored
    words = [*(sample.methods if sample.methods is not None else methods), *sample.also]
    words = [word for word in words if word not in stored]
    makers: dict[str, tuple[str, _Maker]] = {_TRUTH: (code_of(*_ROOMS), _truth)}
    contestants: list[Contestant | _Stored] = [_Stored(name) for name in stored if name != PERFECT]
    contestants += [Contestant(name, get_method(word), word) for name, word in by_name(words).items()]
    without_weights = tuple(extra for extra in extras if extra != "weights")
    if source.has_fractions:
        contestants.append(Contestant(PERFECT, None))
    else:
        extras = without_weights
    for one in contestants:
        makers[one.name] = (_fingerprint(one.fingerprint(_ROOMS), extras), partial(_view, one, extras))
    if source.has_pairs:
        makers[NO_PILEUP] = (_fingerprint(code_of(*_ROOMS), without_weights), partial(_alone, without_weights))
    return Job(sample, folder / f"{sample.name}-{source.fingerprint()[:8]}", makers)


def record(
    job: Job,
    progress: Progress | None = None,
    *,
    workers: int = 1,
    cluster: Cluster | Client | None = None,
) -> Records:
    """Record what is missing of a sample, and return all of it.

    Parameters
    ----------
    job
        As `prepared` gives it.
    progress
        Called with what is being done, how much is ready and how much there is.
    workers
        Processes that build libraries of collisions where there is no cluster.
    cluster
        Who makes the chunks, and the libraries; this process if None. The records are the same, bit for bit.

    Raises
    ------
    InvalidEventsError
        If the sample holds no crossings, or no truth to compare with.
    UnwritableFileError
        If there is no space or no permission; what was recorded so far stays.
    """
    n = len(job.sample.source)
    if not n:
        raise InvalidEventsError(f"sample '{job.sample.name}' holds no crossings: give a file with some.")
    missing = {chunk: names for chunk in range(job.chunks) if (names := job.missing(chunk))}
    ready = n - sum(job.size(chunk) for chunk in missing)
    if missing:
        job.sample.source.ready(workers if cluster is None else cluster, progress)
    if progress is not None:
        progress(job.sample.title, ready, n)
    for outcome in run(_Recorder(job), missing.items(), cluster):
        if outcome.problem is not None:
            raise outcome.problem
        ready += job.size(outcome.job[0])
        if progress is not None:
            progress(job.sample.title, ready, n)
    if not job.about.exists():
        write_json(job.about, job.sample.source.describe())  # last: it says that all is there
    job.sample.source.forget()  # else the pools of all samples would be held at once
    return _loaded(job)


@dataclass(frozen=True)
class _Recorder:
    """Makes what is missing of a chunk, in any process that sees the folder."""

    job: Job

    def __call__(self, chunk: tuple[int, Sequence[str]]) -> None:
        job, (number, missing) = self.job, chunk
        events, alone = job.sample.source.part(*job.limits(number))
        if not (events.has("truth.met") or events.has("truth.jets")):
            raise InvalidEventsError(
                f"sample '{job.sample.name}' holds no truth to compare with: give simulated crossings."
            )
        for name in missing:
            made = job.makers[name][1](events, alone)
            write_aside(job.path(name, number), partial(ak.to_parquet, made))


def _loaded(job: Job) -> Records:
    columns = {
        name: ak.concatenate([ak.from_parquet(job.path(name, chunk)) for chunk in range(job.chunks)])
        for name in job.makers
    }
    return Records(job.sample.title, columns.pop(_TRUTH), columns)


def _truth(events: Events, _alone: Events | None) -> ak.Array:
    return truth_of(events)


@dataclass(frozen=True)
class _Stored:
    """Weights that a file holds, and that its content decides."""

    name: str

    def weights(self, events: Events) -> ak.Array:
        return events.weights[self.name]

    def fingerprint(self, rooms: Sequence[str]) -> str:
        return code_of(*rooms)


def _view(one: Contestant | _Stored, extras: tuple[Extra, ...], events: Events, _alone: Events | None) -> ak.Array:
    return view_of(events, one.weights(events), extras)


def _alone(extras: tuple[Extra, ...], _events: Events, alone: Events | None) -> ak.Array:
    assert alone is not None  # sources with pairs give them
    return view_of(alone, None, extras)


def _fingerprint(made_by: str, extras: tuple[Extra, ...]) -> str:
    return hashlib.sha256(f"{made_by} {sorted(extras)}".encode()).hexdigest()
