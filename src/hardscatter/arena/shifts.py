"""Domain shifts: how much each method loses where the crossings are not those it was made for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from hardscatter import __version__
from hardscatter.arena.contest import Outcome
from hardscatter.arena.files import plain
from hardscatter.arena.leaderboard import estimates_of
from hardscatter.arena.samples import (
    DEFAULT_CARD,
    DEFAULT_PILEUP,
    N_MINBIAS,
    SEED,
    Change,
    Facts,
    NeutralScale,
    Recipe,
    Sample,
    simulated,
)  # fmt: skip
from hardscatter.detector import load_card
from hardscatter.metrics import Estimate, Observations, replicas_of
from hardscatter.simulation import Settings

PROCESS = "ttbar-semileptonic"
NOMINAL = "nominal"

STATISTICS = (
    ("ak4_central.pt", "resolution"),
    ("ak4_central.pt", "median"),
    ("ak4_central.pt", "gap"),
    ("ak4_central.pt", "gap_cms"),
    ("met", "delta"),
    ("met", "gap"),
    ("met", "gap_cms"),
)
"""What is told of each shift: quantity and statistic."""

_SEED_OF_OTHERS = 2  # of the draws of crossings that share nothing with the nominal ones


def shifted_samples(
    folder: Path, *, n: int, seed: int = SEED, card: str = DEFAULT_CARD, n_minbias: int = N_MINBIAS
) -> dict[str, Sample]:
    """Return semileptonic tt̄ as it is and under each shift, by the name of the shift.

    All but the tune have the hard collisions in common, crossing by crossing:

    - pileup and hard process with the tune CP5;
    - another detector, ``atlas-like``;
    - energy and pt of the neutral candidates of barrel and endcap 5 % up and down (`NeutralScale`: truth stays);
    - d0 and dz measured half as well, and tracks associated to vertices anew;
    - twice the pileup.
    """
    nominal = load_card(card)
    impact = dataclasses.replace(nominal.tracker.impact, scale_mm=2 * nominal.tracker.impact.scale_mm)
    blurred = dataclasses.replace(nominal, tracker=dataclasses.replace(nominal.tracker, impact=impact))
    base: Settings = {"pileup": DEFAULT_PILEUP, "seed": seed, "card": card, "n_minbias": n_minbias}

    def sample(what: str, settings: Settings, change: Change | None = None) -> Sample:
        # What only changes candidates shares one file with the nominal sample and, on its card, with the contest.
        file = f"{PROCESS}, pileup {DEFAULT_PILEUP}" if settings is base else f"{PROCESS}, {what}"
        made = simulated(file, Recipe(PROCESS, n, settings), folder, change)
        return dataclasses.replace(made, name=f"{PROCESS}, {what}")

    return {
        NOMINAL: sample(NOMINAL, base),
        "tune CP5": sample("tune CP5", {**base, "tune": "cp5"}),
        "ATLAS-like detector": sample("ATLAS-like detector", {**base, "card": "atlas-like"}),
        "neutral energy +5 %": sample("neutral energy +5 %", base, NeutralScale(1.05)),
        "neutral energy −5 %": sample("neutral energy -5 %", base, NeutralScale(0.95)),
        "d0 and dz half as good": sample("d0 and dz half as good", {**base, "card": blurred}),
        "pileup 280": sample("pileup 280", {**base, "pileup": "280"}),
    }


@dataclass(frozen=True)
class Shift:
    """What a shift does to the methods."""

    facts: Facts
    paired: bool
    """Whether the hard collisions are those of the nominal sample, so that their fluctuations leave the changes."""
    values: dict[str, dict[str, dict[str, Estimate]]]
    """By method, quantity and statistic."""
    changes: dict[str, dict[str, dict[str, Estimate]]]
    """The same: shifted − nominal."""
    failures: dict[str, str]


@dataclass(frozen=True)
class ShiftTable:
    """All shifts, the nominal sample first."""

    shifts: dict[str, Shift]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are None."""
        return {
            "version": __version__,
            "process": PROCESS,
            "shifts": {
                name: {
                    **dataclasses.asdict(shift.facts), "paired": shift.paired, "failures": shift.failures,
                    "values": plain(shift.values), "changes": plain(shift.changes),
                }
                for name, shift in self.shifts.items()
            },
        }  # fmt: skip


def shift_table(outcomes: Mapping[str, Outcome], *, replicas: int = 400) -> ShiftTable:
    """Return what each shift does, from what was observed; the first sample is the nominal one."""
    nominal = next(iter(outcomes.values())).observations
    drawn = replicas_of(nominal, replicas=replicas)
    shifts = {}
    for name, outcome in outcomes.items():
        paired = _same_collisions(nominal, outcome.observations)
        # The same draws for the same collisions: what they have in common leaves the error of the difference.
        shifted = replicas_of(outcome.observations, replicas=replicas, seed=1 if paired else _SEED_OF_OTHERS)
        told = [key for key in shifted[0] if key[1:] in STATISTICS]
        compared = [key for key in told if key in drawn[0]]
        values = estimates_of([{key: each[key] for key in told} for each in shifted])
        changes = estimates_of(
            [{key: here[key] - there[key] for key in compared} for here, there in zip(shifted, drawn, strict=True)]
        )
        shifts[name] = Shift(outcome.facts, paired, _nested(values), _nested(changes), outcome.failures)
    return ShiftTable(shifts)


def _same_collisions(here: Mapping[str, Observations], there: Mapping[str, Observations]) -> bool:
    """Tell whether both were made of the same hard collisions: their true missing momenta are then the same."""
    first, second = (next(iter(seen.values())).truth_met for seen in (here, there))
    if first is None or second is None or first.shape != second.shape:
        return False
    return bool(np.allclose(first, second, rtol=1e-4, atol=1e-3, equal_nan=True))


def _nested(estimates: Mapping[tuple[str, str, str], Estimate]) -> dict[str, dict[str, dict[str, Estimate]]]:
    nested: dict[str, dict[str, dict[str, Estimate]]] = {}
    for (method, quantity, statistic), estimate in estimates.items():
        nested.setdefault(method, {}).setdefault(quantity, {})[statistic] = estimate
    return nested
