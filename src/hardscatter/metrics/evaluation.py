"""Evaluate methods on files, batch by batch, in this process or by the workers of a cluster."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import awkward as ak

from hardscatter.errors import (
    ClusterError,
    HardscatterError,
    InvalidEventsError,
    MissingFieldError,
    SettingsError,
    UnreadableFileError,
)
from hardscatter.events import Events
from hardscatter.io import count, read
from hardscatter.jobs import Cluster, at_work, run_in_order
from hardscatter.metrics.definitions import DESIGN, Definition, definition_of
from hardscatter.metrics.observations import Observations, join
from hardscatter.metrics.resolution import ResolutionTable, against_no_pileup, observe_all, summarise
from hardscatter.metrics.statistics import LEAST_REPLICAS
from hardscatter.pileup import mitigate, one_of_each
from hardscatter.pileup.method import by_name
from hardscatter.production import files_of
from hardscatter.simulation import Progress

if TYPE_CHECKING:
    from distributed import Client

Words = str | os.PathLike[str] | Sequence[str | os.PathLike[str]]
"""Names of files, folders, patterns, lists, as `hardscatter.production.files_of` takes them; one or several."""

_FAULTS = (UnreadableFileError, InvalidEventsError, MissingFieldError, ClusterError)
"""What may be wrong with a file; anything else is wrong with what was asked."""


@dataclass(frozen=True)
class Evaluation:
    """What was observed with each method, and the table made of it."""

    observations: dict[str, Observations]
    table: ResolutionTable
    paired: ResolutionTable | None = None
    """The same against the paired crossings without pileup, if they were given."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """The method ids and model files that were asked for, by the name of their weights."""
    bad: tuple[str, ...] = ()
    """Files that could not be used, each with its reason."""


def evaluate(
    files: Words,
    names: str | Sequence[str] | None = None,
    *,
    entries: int | None = None,
    step: int = 100,
    paired: Words | None = None,
    definition: str | Definition = DESIGN,
    replicas: int = 400,
    particle_flow: str | None = None,
    cluster: Cluster | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Evaluation:
    """Measure methods on crossings with truth, in one file or many, in bounded memory.

    Only what is observed is kept: under 1 kB a crossing and method. It is joined in the order of the files, so the
    numbers are the same, bit for bit, whatever the step and whoever works.

    Parameters
    ----------
    files
        A file, folder, pattern or list of files, or several of them (`hardscatter.production.files_of`).
    names
        Names of stored weights, which go first, method ids, or paths of trained models (``….onnx``), whose row gets
        the stem of the file; None: the weights that the first file stores, or one of each method if it has none.
    entries
        Use only so many events, the first.
    step
        Events held in memory at once; the job of a worker.
    particle_flow
        As for `hardscatter.iterate`.
    paired
        The same hard collisions without pileup, file by file: compare with them as well (`against_no_pileup`).
    definition, replicas
        As for `hardscatter.resolution`.
    cluster
        Who works; this process if None.
    skip_bad
        Leave out a file that cannot be used, or its partner: all of it, whatever part is bad. Otherwise it is an error.
    progress
        Called with what is being done, how many events (or files) are ready and how many there are.

    Raises
    ------
    HardscatterError
        If a file cannot be read, a method or definition is unknown or there is no truth; the sentence says which.
    """
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    if step < 1:
        raise SettingsError(f"step is {step}: a batch must hold at least 1 event.")
    if entries is not None and entries < 0:
        raise SettingsError(f"entries is {entries}: give how many of the first events.")
    definition = definition_of(definition)
    chosen = by_name([names] if isinstance(names, str) else names or [])
    pairs = (
        [_Source(*one) for one in pairs_of(files, paired)]
        if paired is not None
        else [_Source(one) for one in _paths(files)]
    )
    with at_work(cluster) as workers:
        sources, bad = _counted(pairs, entries, workers, skip_bad, progress)
        methods = chosen or _defaults(sources, particle_flow)
        observe = _Observe(methods, definition, particle_flow)
        seen, more_bad = _observed(observe, sources, step, workers, skip_bad, progress)
        bad += more_bad
    if not seen:
        there = f"{pairs[0].path} holds" if len(pairs) == 1 else f"the {len(pairs)} files hold"
        raise InvalidEventsError(f"{there} no events to evaluate." if not bad else f"no file is left: {bad[0]}")
    observations = _joined([batch.observations for batch in seen])
    against = [batch.paired for batch in seen if batch.paired is not None]
    return Evaluation(
        observations,
        summarise(observations, replicas=replicas),
        summarise(_joined(against), replicas=replicas) if against else None,
        chosen,
        tuple(bad),
    )


def weights_of(events: Events, name: str) -> ak.Array:
    """Return the stored weights of that name, or else those of the method with that id."""
    stored = events.has("weights") and name in events.weights.fields
    return events.weights[name] if stored else mitigate(events, name)


def pairs_of(files: Words, paired: Words) -> list[tuple[Path, Path]]:
    """Return files, each with its partner without pileup.

    Raises
    ------
    SettingsError
        If these are not as many.
    """
    paths, partners = _paths(files), _paths(paired)
    if len(paths) != len(partners):
        raise SettingsError(
            f"{len(paths)} files have {len(partners)} partners without pileup: give as many, in the same order."
        )
    return list(zip(paths, partners, strict=True))


def check_pairs(path: str | os.PathLike[str], paired: str | os.PathLike[str]) -> int:
    """Return how many events two files hold each.

    Raises
    ------
    InvalidEventsError
        If these are not as many.
    """
    here, there = count(path), count(paired)
    if here != there:
        raise InvalidEventsError(
            f"{path} has {here} events, {paired} has {there}: give the same hard collisions, event by event."
        )
    return here


@dataclass(frozen=True)
class _Source:
    """A file, and its partner without pileup if there is one."""

    path: Path
    paired: Path | None = None
    used: int = 0
    """How many of its events, the first."""


@dataclass(frozen=True)
class _Batch:
    """Some entries of a file."""

    source: _Source
    first: int
    last: int


@dataclass(frozen=True)
class _Seen:
    """What was observed in a batch, by method."""

    observations: dict[str, Observations]
    paired: dict[str, Observations] | None


@dataclass(frozen=True)
class _Observe:
    """Reads a batch and observes it with each method."""

    methods: Mapping[str, str]
    definition: Definition
    particle_flow: str | None

    def __call__(self, batch: _Batch) -> _Seen:
        entries = (batch.first, batch.last)
        events = read(batch.source.path, entries, particle_flow=self.particle_flow)
        weights = {name: weights_of(events, method) for name, method in self.methods.items()}
        observations = observe_all(events, weights, self.definition)
        if batch.source.paired is None:
            return _Seen(observations, None)
        partners = read(batch.source.paired, entries, particle_flow=self.particle_flow)
        return _Seen(observations, observe_all(against_no_pileup(events, partners), weights, self.definition))


def _paths(words: Words) -> list[Path]:
    return files_of([words] if isinstance(words, str | os.PathLike) else words)


def _counted(
    pairs: Sequence[_Source], entries: int | None, workers: Client | None, skip_bad: bool, progress: Progress | None
) -> tuple[list[_Source], list[str]]:
    """Return the files with the number of events to be used, and those that cannot be."""
    sources: list[_Source] = []
    bad: list[str] = []
    left = entries
    for done, outcome in enumerate(run_in_order(_count, pairs, workers), 1):
        if outcome.result is None:
            bad.append(_set_aside(outcome.problem, outcome.job, skip_bad))
        else:
            used = outcome.result if left is None else min(outcome.result, left)
            left = None if left is None else left - used
            sources.append(_Source(outcome.job.path, outcome.job.paired, used))
        if progress is not None and len(pairs) > 1:
            progress("files", done, len(pairs))
        if left == 0:
            break
    return sources, bad


def _count(source: _Source) -> int:
    return count(source.path) if source.paired is None else check_pairs(source.path, source.paired)


def _observed(
    observe: _Observe,
    sources: Sequence[_Source],
    step: int,
    workers: Client | None,
    skip_bad: bool,
    progress: Progress | None,
) -> tuple[list[_Seen], list[str]]:
    """Observe all batches; return what was seen, in their order, and the files that turned out bad."""
    total = sum(source.used for source in sources)
    seen: dict[_Source, list[_Seen]] = {}
    bad: dict[_Source, str] = {}
    done = 0
    if progress is not None:
        progress("events", done, total)
    for outcome in run_in_order(observe, _batches(sources, step, bad), workers):
        batch, source = outcome.job, outcome.job.source
        if outcome.result is None:
            bad.setdefault(source, _set_aside(outcome.problem, source, skip_bad))
            seen.pop(source, None)
        elif source not in bad:
            seen.setdefault(source, []).append(outcome.result)
        done += batch.last - batch.first
        if progress is not None:
            progress("events", done, total)
    return [batch for batches in seen.values() for batch in batches], list(bad.values())


def _batches(sources: Sequence[_Source], step: int, bad: Mapping[_Source, str]) -> Iterator[_Batch]:
    for source in sources:
        for first in range(0, source.used, step):
            if source in bad:  # found since: what is left of it is not asked for
                break
            yield _Batch(source, first, min(first + step, source.used))


def _set_aside(problem: HardscatterError | None, source: _Source, skip_bad: bool) -> str:
    """Return the sentence about a file that cannot be used; raise it unless such files are skipped."""
    assert problem is not None  # there is no result
    if not isinstance(problem, _FAULTS):
        raise problem
    named = any(str(path) in str(problem) for path in (source.path, source.paired) if path is not None)
    sentence = str(problem) if named else f"{source.path}: {problem}"
    if not skip_bad:
        raise type(problem)(sentence) from problem
    return sentence


def _joined(parts: list[dict[str, Observations]]) -> dict[str, Observations]:
    return {name: join([part[name] for part in parts]) for name in parts[0]}


def _defaults(sources: Sequence[_Source], particle_flow: str | None) -> dict[str, str]:
    """Return what is measured where nobody says: the weights stored in the first file that has events, or methods."""
    for source in sources:
        try:
            events = read(source.path, (0, 1), particle_flow=particle_flow)
        except HardscatterError:
            continue  # its batches will tell
        if len(events):
            return {name: name for name in (events.weights.fields if events.has("weights") else one_of_each())}
    return {name: name for name in one_of_each()}
