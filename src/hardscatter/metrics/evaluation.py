"""Evaluate methods on a whole file, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import awkward as ak

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events
from hardscatter.io import count, iterate
from hardscatter.metrics.definitions import DESIGN, Definition, definition_of
from hardscatter.metrics.observations import Observations, join
from hardscatter.metrics.resolution import ResolutionTable, against_no_pileup, observe_all, summarise
from hardscatter.metrics.statistics import LEAST_REPLICAS
from hardscatter.pileup import mitigate, one_of_each
from hardscatter.pileup.method import by_name


@dataclass(frozen=True)
class Evaluation:
    """What was observed with each method, and the table made of it."""

    observations: dict[str, Observations]
    table: ResolutionTable
    paired: ResolutionTable | None = None
    """The same against the paired crossings without pileup, if they were given."""
    methods: Mapping[str, str] = field(default_factory=dict)
    """The method ids and model files that were asked for, by the name of their weights."""


def evaluate(
    path: str | os.PathLike[str],
    names: str | Sequence[str] | None = None,
    *,
    entries: int | None = None,
    step: int = 100,
    paired: str | os.PathLike[str] | None = None,
    definition: str | Definition = DESIGN,
    replicas: int = 400,
    particle_flow: str | None = None,
    on_events: Callable[[int], None] | None = None,
) -> Evaluation:
    """Measure methods on a file of crossings with truth, in bounded memory.

    Parameters
    ----------
    path
        The file.
    names
        Names of stored weights, which go first, method ids, or paths of trained models (``….onnx``), whose row gets
        the stem of the file; None: the stored weights, or one of each method if the file has none.
    entries, step, particle_flow
        As for `hardscatter.iterate`.
    paired
        File of the same hard collisions without pileup: compare with them as well (`against_no_pileup`).
    definition, replicas
        As for `hardscatter.resolution`.
    on_events
        Called with the number of events after each batch, for progress bars.

    Raises
    ------
    HardscatterError
        If a file cannot be read, a method or definition is unknown or there is no truth; the sentence says which.
    """
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    definition = definition_of(definition)
    chosen = by_name([names] if isinstance(names, str) else names or [])
    partners = None
    if paired is not None:
        check_pairs(path, paired)
        partners = iterate(paired, step, entries, particle_flow=particle_flow)
    seen: list[dict[str, Observations]] = []
    against: list[dict[str, Observations]] = []
    for events in iterate(path, step, entries, particle_flow=particle_flow):
        weights = {name: weights_of(events, method) for name, method in (chosen or _defaults(events)).items()}
        seen.append(observe_all(events, weights, definition))
        if partners is not None:
            against.append(observe_all(against_no_pileup(events, next(partners)), weights, definition))
        if on_events is not None:
            on_events(len(events))
    if not seen:
        raise InvalidEventsError(f"{path} holds no events to evaluate.")
    observations = _joined(seen)
    return Evaluation(
        observations,
        summarise(observations, replicas=replicas),
        summarise(_joined(against), replicas=replicas) if against else None,
        chosen,
    )


def _joined(parts: list[dict[str, Observations]]) -> dict[str, Observations]:
    return {name: join([part[name] for part in parts]) for name in parts[0]}


def weights_of(events: Events, name: str) -> ak.Array:
    """Return the stored weights of that name, or else those of the method with that id."""
    stored = events.has("weights") and name in events.weights.fields
    return events.weights[name] if stored else mitigate(events, name)


def check_pairs(path: str | os.PathLike[str], paired: str | os.PathLike[str]) -> None:
    """Make sure that two files hold as many events.

    Raises
    ------
    InvalidEventsError
        If they do not.
    """
    here, there = count(path), count(paired)
    if here != there:
        raise InvalidEventsError(
            f"{path} has {here} events, {paired} has {there}: give the same hard collisions, event by event."
        )


def _defaults(events: Events) -> dict[str, str]:
    return {name: name for name in (events.weights.fields if events.has("weights") else one_of_each())}
