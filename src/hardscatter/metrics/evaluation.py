"""Evaluate methods on a whole file, batch by batch."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import awkward as ak

from hardscatter.errors import InvalidEventsError
from hardscatter.events import Events
from hardscatter.io import iterate
from hardscatter.metrics.observations import Observations, join
from hardscatter.metrics.resolution import ResolutionTable, against_no_pileup, observe_all, summarise
from hardscatter.pileup import methods, mitigate


@dataclass(frozen=True)
class Evaluation:
    """What was observed with each method, and the table made of it."""

    observations: dict[str, Observations]
    table: ResolutionTable


def evaluate(
    path: str | os.PathLike[str],
    names: Sequence[str] | None = None,
    *,
    entries: int | None = None,
    step: int = 100,
    paired: str | os.PathLike[str] | None = None,
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
        Method ids or names of stored weights, which go first; None: the stored weights, or one of each method if
        the file has none.
    entries, step, particle_flow
        As for `hardscatter.iterate`.
    paired
        File of the same hard collisions without pileup, to compare with in place of the truth
        (`against_no_pileup`).
    replicas
        Bootstrap replicas.
    on_events
        Called with the number of events after each batch, for progress bars.

    Raises
    ------
    HardscatterError
        If a file cannot be read, a method is unknown or there is no truth; the sentence says which.
    """
    batches = iterate(path, step, entries, particle_flow=particle_flow)
    partners = iter(iterate(paired, step, entries, particle_flow=particle_flow)) if paired is not None else None
    seen: list[dict[str, Observations]] = []
    for events in batches:
        weights = {name: weights_of(events, name) for name in names or _default_names(events)}
        if partners is not None:
            events = against_no_pileup(events, _partner(partners, len(events), paired))
        seen.append(observe_all(events, weights))
        if on_events is not None:
            on_events(len(events))
    if not seen:
        raise InvalidEventsError(f"{path} holds no events to evaluate.")
    observations = {name: join([part[name] for part in seen]) for name in seen[0]}
    return Evaluation(observations, summarise(observations, replicas=replicas))


def weights_of(events: Events, name: str) -> ak.Array:
    """Return the stored weights of that name, or else those of the method with that id."""
    stored = events.has("weights") and name in events.weights.fields
    return events.weights[name] if stored else mitigate(events, name)


def _partner(partners: Iterator[Events], n_events: int, paired: object) -> Events:
    partner = next(partners, None)
    if partner is None or len(partner) != n_events:
        raise InvalidEventsError(
            f"{paired} has fewer events than the file it is paired with: give the same collisions."
        )
    return partner


def _default_names(events: Events) -> list[str]:
    if events.has("weights"):
        return list(events.weights.fields)
    return [name for name in methods() if name != "puppi:cms-phase2"]
