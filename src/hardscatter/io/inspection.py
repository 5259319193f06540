"""What a file holds, and what is wrong with it."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np

from hardscatter.errors import UnreadableFileError
from hardscatter.events import LEADING, Events, flat
from hardscatter.io.formats import opened, up_to_damage

CLASS_NAMES = {
    211: "charged hadrons", 130: "neutral hadrons", 22: "photons", 11: "electrons", 13: "muons",
    1: "forward hadronic", 2: "forward electromagnetic",
}  # fmt: skip


@dataclass(frozen=True)
class Inspection:
    """What `inspect` found; `problems` make the file unusable, `remarks` are worth knowing."""

    path: str
    format: str
    n_events: int = 0
    """Events that the file should hold."""
    n_readable: int = 0
    """How many of them, from the first on, can be read: all below is about these."""
    candidates: dict[str, float] = field(default_factory=dict)
    """Mean, least and greatest number of candidates of an event."""
    classes: dict[str, float] = field(default_factory=dict)
    """Mean number of candidates of an event by particle-flow class."""
    charged: dict[str, float] = field(default_factory=dict)
    """Share of charged candidates by the vertex they belong to."""
    ranges: dict[str, tuple[float, float]] = field(default_factory=dict)
    """Least and greatest value of each field of the candidates, NaN left out."""
    n_vertices: float | None = None
    """Mean number of vertices."""
    weights: dict[str, float] = field(default_factory=dict)
    """Mean of each stored weight."""
    truth: dict[str, float] = field(default_factory=dict)
    """Truth fields: mean hard fraction, jets an event, mean missing momentum (GeV)."""
    metadata: dict[str, Any] = field(default_factory=dict)
    remarks: tuple[str, ...] = ()
    problems: tuple[str, ...] = ()

    @property
    def usable(self) -> bool:
        """Whether methods can run on the file."""
        return not self.problems

    def to_dict(self) -> dict[str, Any]:
        """Return plain data for JSON."""
        return asdict(self) | {"usable": self.usable}


def inspect(
    path: str | os.PathLike[str], *, step: int = 100, particle_flow: str | None = None, on_events: Any = None
) -> Inspection:
    """Read a whole file, in batches, and say what it holds and what is wrong with it.

    Parameters
    ----------
    path
        The file, of any format that `read` knows.
    step
        Events held in memory at once.
    particle_flow
        As for `read`.
    on_events
        Called with the number of events after each batch, for progress bars.

    Returns
    -------
    Inspection
        A file that can be opened but not used has its ``problems`` filled; of a damaged one the events before the
        damage are described.

    Raises
    ------
    UnreadableFileError
        If the file cannot be opened or its format is unknown.
    """
    with opened(Path(path), "eflow", smear_tracks=True) as source:
        kind, n_events = source.format, source.n_events
    tally = _Tally()
    problems: list[str] = []
    try:
        for events in up_to_damage(path, step, particle_flow=particle_flow):
            tally.add(events)
            if on_events is not None:
                on_events(len(events))
    except UnreadableFileError as problem:
        problems.append(str(problem))
    if not problems and n_events == 0:
        problems.append("the file holds no events.")
    return tally.result(str(path), kind, n_events, problems)


class _Tally:
    """Running sums over the batches of a file."""

    def __init__(self) -> None:
        self.n_events = 0
        self.counts: list[np.ndarray[Any, Any]] = []
        self.sums: dict[tuple[str, str], float] = {}
        self.ranges: dict[str, tuple[float, float]] = {}
        self.metadata: dict[str, Any] = {}

    def add(self, events: Events) -> None:
        """Count one batch."""
        self.n_events += len(events)
        self.metadata = events.metadata
        self.counts.append(ak.to_numpy(events.n_candidates))
        candidates = events.candidates
        for name in candidates.fields:
            self._extend(name, flat(candidates[name], np.float64))
        classes = flat(events.particle_class())
        self._sum("classes", {name: float((classes == code).sum()) for code, name in CLASS_NAMES.items()})
        vertex = flat(candidates.vertex)[flat(candidates.charge) != 0]
        self._sum(
            "charged",
            {
                "leading vertex": float((vertex == LEADING).sum()),
                "pileup vertex": float((vertex > LEADING).sum()),
                "no vertex": float((vertex < LEADING).sum()),
            },
        )
        if events.has("n_vertices"):
            self._sum("events", {"n_vertices": float(ak.sum(events.n_vertices))})
        if events.has("weights"):
            self._sum("weights", {name: float(ak.sum(events.weights[name])) for name in events.weights.fields})
        if events.has("truth"):
            self._sum("truth", _truth_sums(events))

    def _extend(self, name: str, values: np.ndarray[Any, Any]) -> None:
        known = values[~np.isnan(values)]
        if len(known):
            low, high = self.ranges.get(name, (math.inf, -math.inf))
            self.ranges[name] = (min(low, float(known.min())), max(high, float(known.max())))

    def _sum(self, group: str, values: dict[str, float]) -> None:
        for name, value in values.items():
            self.sums[group, name] = self.sums.get((group, name), 0.0) + value

    def result(self, path: str, kind: str, n_events: int, problems: list[str]) -> Inspection:
        """Return what was counted."""
        if not self.n_events:
            return Inspection(path, kind, n_events, problems=tuple(problems))
        counts = np.concatenate(self.counts)
        charged = self._group("charged", max(sum(self._group("charged", 1.0).values()), 1.0))
        n_candidates = max(float(counts.sum()), 1.0)
        return Inspection(
            path=path,
            format=kind,
            n_events=n_events,
            n_readable=self.n_events,
            candidates={"mean": float(counts.mean()), "least": float(counts.min()), "most": float(counts.max())},
            classes={name: value for name, value in self._group("classes", self.n_events).items() if value},
            charged=charged,
            ranges=self.ranges,
            n_vertices=self._group("events", self.n_events).get("n_vertices"),
            weights=self._group("weights", n_candidates),
            truth=self._group("truth", self.n_events),
            metadata=self.metadata,
            remarks=tuple(self._remarks(counts, charged)),
            problems=tuple(problems),
        )

    def _group(self, group: str, divisor: float) -> dict[str, float]:
        return {name: value / divisor for (kind, name), value in self.sums.items() if kind == group}

    def _remarks(self, counts: np.ndarray[Any, Any], charged: dict[str, float]) -> Iterable[str]:
        if (counts == 0).any():
            yield f"{int((counts == 0).sum())} events have no candidates."
        if ("events", "n_vertices") not in self.sums:
            yield "no number of vertices: PUPPI cannot run."
        if charged["pileup vertex"] == 0 and charged["leading vertex"] > 0:
            yield "no charged candidate belongs to a pileup vertex: charged-hadron subtraction seems done already."
        if charged["no vertex"] > 0:
            yield f"{charged['no vertex']:.1%} of the charged candidates have no vertex."
        if not any(kind == "truth" for kind, _ in self.sums):
            yield "no truth: methods run, resolutions cannot be measured."


def _truth_sums(events: Events) -> dict[str, float]:
    sums: dict[str, float] = {}
    for name in events.truth.fields:
        values = events.truth[name]
        if name == "hard_fraction":
            n_candidates = ak.to_numpy(ak.num(values, axis=1))
            shares = ak.to_numpy(ak.sum(values, axis=1)) / np.maximum(n_candidates, 1)
            sums["mean hard_fraction"] = float(shares.sum())
        elif name == "met":
            sums["mean met"] = float(np.nansum(ak.to_numpy(values.pt)))
        elif values.ndim == 1:
            sums[f"mean {name}"] = float(ak.sum(values))
        else:
            sums[name] = float(ak.sum(ak.num(values, axis=1)))
    return sums
