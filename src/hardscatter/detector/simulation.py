"""From libraries of collisions to events: crossings, and pairs of crossings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.detector.card import Card
from hardscatter.detector.crossing import Candidates, Crossing, Draw, simulate_crossing
from hardscatter.detector.interactions import Fixed, Pileup
from hardscatter.detector.loading import load_card
from hardscatter.detector.sources import Source, empty_source, prepare
from hardscatter.detector.truth import truth_of
from hardscatter.errors import SettingsError
from hardscatter.events import Events, from_candidates
from hardscatter.generate.collisions import Collisions
from hardscatter.threads import over_crossings

DEFAULT_CARD = "cms-phase2"

_NO_PILEUP = Fixed(0)
_REDRAWN = 1  # salt of the first member of a pair: its second member is what simulate_crossings gives
_TRUE_CANDIDATES = ("hard_fraction", "delphes_hard_fraction")


def simulate_crossings(
    hard: Collisions,
    minbias: Collisions | Source | None,
    pileup: Pileup,
    card: Card | str = DEFAULT_CARD,
    seed: int = 0,
    first_event: int = 0,
) -> Events:
    """Simulate one crossing for each hard collision, with pileup overlaid before the calorimeter merges deposits.

    Parameters
    ----------
    hard
        Hard collisions; event `first_event` + i is collision i.
    minbias
        Library that pileup is drawn from; pass the result of `prepare` when it is used again and again. None for
        no pileup.
    pileup
        Number of pileup collisions: `Poisson`, `Fixed`, `Flat` or `Histogram`.
    card
        Detector, or the name or path of its card.
    seed, first_event
        ≥ 0. Every random number is a hash of seed, event and what it is drawn for: results depend neither on
        threads nor on how events are split into calls.

    Returns
    -------
    Events
        Candidates by falling pt with all track fields, ``vertices.z``, ``n_vertices``, ``event``, ``process``,
        ``pileup`` (the mean number of interactions that was asked for), ``generator_weight``,
        and ``truth``: ``hard_fraction``, ``delphes_hard_fraction``, ``particles``, ``met``, ``leptons``, ``partons``,
        ``n_interactions`` (pileup), ``vertex_z`` (mm). Truth jets are left to the caller.

    Raises
    ------
    SettingsError
        If the library is empty, or too small to draw from without replacement.
    """
    return _Run(hard, minbias, _card(card), seed, first_event).events(pileup, salt=0)


def simulate_pairs(
    hard: Collisions,
    minbias: Collisions | Source | None,
    pileup: Pileup,
    card: Card | str = DEFAULT_CARD,
    seed: int = 0,
    first_event: int = 0,
    *,
    shared_draws: bool = False,
) -> tuple[Events, Events]:
    """Simulate each hard collision twice: alone, and under pileup.

    The second member is exactly what `simulate_crossings` gives; both have the same hard vertex. By default the
    detector's noise is drawn anew for the first member, as when the same collision is simulated twice.

    Parameters
    ----------
    hard, minbias, pileup, card, seed, first_event
        As for `simulate_crossings`.
    shared_draws
        Use the same random number for the same particle or tower in both members: without pileup they are then
        equal to the last bit.

    Returns
    -------
    tuple
        Events without pileup, events with it.
    """
    run = _Run(hard, minbias, _card(card), seed, first_event)
    return run.events(_NO_PILEUP, salt=0 if shared_draws else _REDRAWN), run.events(pileup, salt=0)


def simulate_mixtures(
    hard: Collisions,
    others: Sequence[Source],
    pileup: Pileup,
    card: Card | str = DEFAULT_CARD,
    seed: int = 0,
    first_event: int = 0,
) -> Events:
    """Simulate crossings whose other collisions are chosen already: all of `others[i]` join hard collision i.

    Each is turned about the beam at random (and mirrored, where the card says so), as pileup always is.

    Parameters
    ----------
    others
        Results of `prepare`, one for each hard collision; one without collisions means no pileup.
    pileup
        What the choice follows, for the record: ``pileup`` and the metadata of the events.
    hard, card, seed, first_event
        As for `simulate_crossings`, and so are the events.
    """
    return _Run(hard, None, _card(card), seed, first_event).mixtures(others, pileup)


def _card(card: Card | str) -> Card:
    return card if isinstance(card, Card) else load_card(card)


class _Run:
    """Hard collisions and library, ready for one or two passes through the detector."""

    def __init__(
        self, hard: Collisions, minbias: Collisions | Source | None, card: Card, seed: int, first: int
    ) -> None:
        for name, number in (("seed", seed), ("first_event", first)):
            if number < 0:
                raise SettingsError(f"{name}={number}: give a number that is not negative.")
        self._truth = hard
        self._hard = prepare(hard, card)
        self._minbias = empty_source() if minbias is None else prepare(minbias, card)
        self._card, self._seed = card, seed
        self._numbers = first + np.arange(len(hard), dtype=np.int64)

    def events(self, pileup: Pileup, salt: int) -> Events:
        """Simulate all crossings with this pileup."""
        n_pileup = pileup.numbers(self._seed, self._numbers)
        _check_library(n_pileup, len(self._minbias.offsets) - 1, pileup.replacement)
        crossings: list[Crossing | None] = [None] * len(self._numbers)

        def work(first: int, last: int) -> None:
            for i in range(first, last):
                draw = Draw(self._seed, int(self._numbers[i]), salt)
                crossings[i] = simulate_crossing(
                    self._hard, i, self._minbias, int(n_pileup[i]), pileup.replacement, self._card, draw
                )

        over_crossings(work, len(crossings))
        return self._assemble([crossing for crossing in crossings if crossing is not None], pileup)

    def mixtures(self, others: Sequence[Source], pileup: Pileup) -> Events:
        """Simulate all crossings, each with all collisions of its own source."""
        crossings = []
        for i, (source, number) in enumerate(zip(others, self._numbers.tolist(), strict=True)):
            n_others = len(source.offsets) - 1
            draw = Draw(self._seed, number)
            crossings.append(simulate_crossing(self._hard, i, source, n_others, False, self._card, draw))
        return self._assemble(crossings, pileup)

    def _assemble(self, crossings: list[Crossing], pileup: Pileup) -> Events:
        n_pileup = np.array([len(c.interactions.z) - 1 for c in crossings], dtype=np.int64)
        counts = np.array([len(c.candidates.pt) for c in crossings], dtype=np.int64)
        vertices = np.array([len(c.vertices_z) for c in crossings], dtype=np.int64)
        candidates = {
            name: ak.unflatten(_joined([getattr(c.candidates, name) for c in crossings]), counts)
            for name in Candidates._fields
        }
        truth = {name: candidates.pop(name) for name in _TRUE_CANDIDATES} | truth_of(self._truth)
        truth["n_interactions"] = n_pileup
        truth["vertex_z"] = np.array([c.interactions.z[0] for c in crossings])
        process = _process(self._truth)
        events = from_candidates(
            **candidates,
            n_vertices=vertices,
            vertices=ak.zip({"z": ak.unflatten(_joined([c.vertices_z for c in crossings]), vertices)}, depth_limit=2),
            event=self._numbers,
            process=[process] * len(crossings),
            pileup=pileup.means(n_pileup),
            truth=truth,
            metadata=self._metadata(pileup),
        )
        return events.with_field("generator_weight", ak.Array(self._truth.weight))

    def _metadata(self, pileup: Pileup) -> dict[str, Any]:
        return {
            "format": "hardscatter",
            "detector": self._card.record(),
            "seed": self._seed,
            "pileup": {"distribution": type(pileup).__name__.lower(), **asdict(pileup)},
            "generator": dict(self._truth.metadata),
        }


def _check_library(n_pileup: NDArray[np.int64], n_library: int, replacement: bool) -> None:
    most = int(n_pileup.max(initial=0))
    if most > 0 and n_library == 0:
        raise SettingsError(
            "there are no minimum-bias collisions to draw pileup from: make a library, or use Fixed(0)."
        )
    if not replacement and most > n_library:
        raise SettingsError(
            f"a crossing needs {most} different pileup collisions but the library holds {n_library}: make it larger or "
            "draw with replacement."
        )


def _process(collisions: Collisions) -> str:
    """Return the name of the process that the generator recorded."""
    found = collisions.metadata
    return str(dict(found.get("generation") or found).get("process", "unknown"))


def _joined(parts: list[NDArray[Any]]) -> NDArray[Any]:
    return np.concatenate(parts) if parts else np.zeros(0)
