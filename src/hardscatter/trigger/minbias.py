"""Crossings without a hard collision: what the first level of a trigger is fed with, 31 million times a second.

A crossing is a Poisson number of inelastic collisions, mean μ. Rates of a few kHz are made by collisions that no
library of affordable size holds often enough, so crossings are drawn by their *hardest* collision (the pt s of its
leading particle jet) and carry a weight. With q the probability of a library's collision among all inelastic ones and
Q(s) the probability of a harder one,

    weight ∝ μ q exp(−μ Q(s)) / g,

where g is the probability that the hardest collision is drawn with. The others are a Poisson number, mean μ (1 − Q(s)),
of softer ones. Soft collisions come from the minimum-bias library (SoftQCD:inelastic); those with a jet above
`JET_PT` come from a library of HardQCD with pT-hat above half of that, normalised by its cross section. That
is Pythia's own recipe for joining both, the boundary laid through jets instead of pT-hat.

The leading vertex is the one reconstruction would choose: the collision of the largest Σ pt² of charged particles that
the tracker sees. It plays the hard collision: hard fractions, and so perfect weights, are relative to it.
"""

from __future__ import annotations

from functools import cached_property
from typing import NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter.detector import Card, Poisson, Source, load_card, prepare, simulate_mixtures
from hardscatter.errors import SettingsError
from hardscatter.events import Events
from hardscatter.generate import Collisions, Generation, build
from hardscatter.jets import cluster_momenta
from hardscatter.jets.momenta import four_momenta
from hardscatter.simulation import with_truth_jets

Floats = NDArray[np.float64]

JET_PT = 35.0
"""GeV: collisions with a particle jet above it come from the library of hard processes."""

_ETA_MAX = 5.0  # of the particles that make a collision's hardest jet
_TRACKER_ETA = 4.0
_LEAST_JET = 5.0
# pT-hat below 18 GeV makes no jet above 35 GeV in 8 000 collisions; the bias spends them evenly over rates.
_JETS = """HardQCD:all = on
PhaseSpace:pTHatMin = 18
PhaseSpace:bias2Selection = on
PhaseSpace:bias2SelectionPow = 3
PhaseSpace:bias2SelectionRef = 100
"""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MinimumBias:
    """Settings of crossings without a hard collision."""

    pileup: float = Field(default=200.0, gt=0)
    """Mean number μ of collisions in a crossing, all of them counted."""
    seed: int = Field(default=303, ge=0)
    """Of libraries, draws and detector. Different seeds share no collision."""
    card: str = "cms-phase2"
    n_minbias: int = Field(default=50_000, ge=1)
    """Collisions of the minimum-bias library."""
    n_jets: int = Field(default=12_000, ge=0)
    """Collisions of the library of hard processes; with 0 the minimum-bias library stands for all of them."""
    jets: float = Field(default=0.5, ge=0, le=1)
    """Share of the crossings whose hardest collision is drawn from the library of hard processes; with 0 no crossing
    has a particle jet above `JET_PT`."""


class MinimumBiasCrossings:
    """Crossings ``[first:last]`` of nothing but inelastic collisions; any part at any time, each part the same always.

    Each has ``generator_weight``, whose mean over all crossings is the share of crossings that they stand for (1 where
    ``jets`` > 0), and ``collision``, the library's number of its hardest collision: crossings that share it are not
    independent. A crossing holds at least one collision. With `pool` its collisions are used, else libraries are built.

    Raises
    ------
    SettingsError
        If the settings contradict each other.
    """

    def __init__(self, settings: MinimumBias, pool: Pool | None = None) -> None:
        self.settings = settings
        if settings.jets > 0 and settings.n_jets == 0:
            raise SettingsError("jets > 0 asks for a library of hard processes: give n_jets of at least 1.")
        if pool is not None:
            self.pool = pool

    def __getitem__(self, part: slice) -> Events:
        """Return one part."""
        first = part.start or 0
        generators = [self._generator(number) for number in range(first, part.stop)]
        drawn = [self._drawn(generator) for generator in generators]
        leading = self.pool.collisions.select([crossing.leading for crossing in drawn])
        angle = np.array([generator.uniform(-np.pi, np.pi) for generator in generators])
        sign = np.array([generator.choice((-1.0, 1.0)) for generator in generators])
        events = simulate_mixtures(
            leading.transformed(angle, sign), [rows_of(self._source, crossing.others) for crossing in drawn],
            Poisson(self.settings.pileup), self._card, self.settings.seed, first,
        )  # fmt: skip
        columns = {
            "generator_weight": np.array([crossing.weight for crossing in drawn]),
            "collision": np.array([crossing.hardest for crossing in drawn]),
            "process": ["minbias"] * len(drawn),
        }
        for name, value in columns.items():
            events = events.with_field(name, ak.Array(value))
        return with_truth_jets(events)

    @cached_property
    def pool(self) -> Pool:
        """The collisions, with what each is like: those given, or those of the libraries."""
        s = self.settings
        minbias = build(Generation("minbias", seed=s.seed), s.n_minbias, workers=1).load(slice(s.n_minbias))
        if s.n_jets == 0:
            return make_pool(minbias, None)
        jets = build(Generation("cmnd", seed=s.seed, cmnd=_JETS), s.n_jets, workers=1).load(slice(s.n_jets))
        return make_pool(minbias, jets)

    def drawn(self, number: int) -> Drawn:
        """Return which collisions a crossing is made of."""
        return self._drawn(self._generator(number))

    def _generator(self, number: int) -> np.random.Generator:
        return np.random.default_rng([self.settings.seed, 0x313B, number])

    def _drawn(self, generator: np.random.Generator) -> Drawn:
        pool = self.pool
        hardest, weight = self._hardest(generator)
        others = pool.softer(hardest, generator.poisson(self.settings.pileup * pool.below[hardest]), generator)
        members = np.append(others, hardest)
        leading = int(np.argmax(pool.sum_pt2[members]))
        return Drawn(int(members[leading]), np.delete(members, leading), hardest, weight)

    def _hardest(self, generator: np.random.Generator) -> tuple[int, float]:
        """Draw the hardest collision; return it and the weight of the crossing."""
        jets = self.settings.jets
        stratum, share = (self._hard, jets) if generator.uniform() < jets else (self._soft, 1.0 - jets)
        place = int(np.searchsorted(stratum, generator.uniform() * stratum[-1], side="right"))
        tried = share * (stratum[place] - (stratum[place - 1] if place else 0.0)) / stratum[-1]
        return place, float(self._probability[place] / tried)

    @cached_property
    def _probability(self) -> Floats:
        """Probability that each collision is the hardest of a crossing."""
        pool, mean = self.pool, self.settings.pileup
        return np.asarray(mean * pool.probability * np.exp(-mean * (1.0 - pool.below - pool.probability)))

    @cached_property
    def _soft(self) -> Floats:
        """Soft collisions are tried as often as they are the hardest: all get one weight."""
        return np.cumsum(np.where(self.pool.hard, 0.0, self._probability))

    @cached_property
    def _hard(self) -> Floats:
        """Of the hard ones the rare are tried more often than that, to know small rates."""
        return np.cumsum(np.where(self.pool.hard, np.sqrt(self._probability), 0.0))

    @cached_property
    def _card(self) -> Card:
        return load_card(self.settings.card)

    @cached_property
    def _source(self) -> Source:
        return prepare(self.pool.collisions, self._card)


class Drawn(NamedTuple):
    """The collisions of a crossing, by their places in the pool."""

    leading: int
    """Where the leading vertex is."""
    others: NDArray[np.int64]
    hardest: int
    """That of the hardest particle jet; often the leading one."""
    weight: float


class Pool:
    """Collisions by rising hardness, each with its probability among all inelastic ones."""

    def __init__(self, collisions: Collisions, hardness: Floats, probability: Floats, hard: NDArray[np.bool_]) -> None:
        order = np.argsort(hardness, kind="stable")
        self.collisions = collisions.select(order)
        self.hardness, self.hard = hardness[order], hard[order]
        """pt of the leading particle jet, GeV (0 below 5), and whether it was drawn from the hard library."""
        self.probability = probability[order] / probability.sum()
        self.below: Floats = np.cumsum(self.probability) - self.probability
        """Probability of a softer collision."""
        self.sum_pt2 = sum_pt2_of(self.collisions)

    def softer(self, place: int, n: int, generator: np.random.Generator) -> NDArray[np.int64]:
        """Draw `n` collisions that are softer than that of a place, with replacement."""
        drawn = generator.uniform(0.0, self.below[place], n)
        return np.minimum(np.searchsorted(self.below, drawn, side="right") - 1, max(place - 1, 0))


def make_pool(minbias: Collisions, jets: Collisions | None) -> Pool:
    """Join a minimum-bias library below `JET_PT` and a library of hard processes above it; without, take all."""
    soft = hardness_of(minbias)
    if jets is None:
        return Pool(minbias, soft, np.ones(len(minbias)), np.zeros(len(minbias), dtype=np.bool_))
    hard = hardness_of(jets)
    below, above = soft < JET_PT, hard >= JET_PT
    inelastic = float(minbias.metadata["cross_section_mb"])
    each = jets.weight / jets.weight.sum() * float(jets.metadata["cross_section_mb"]) / inelastic
    share = float(each[above].sum())
    probability = np.concatenate([np.full(below.sum(), (1.0 - share) / below.sum()), each[above]])
    joined = Collisions.concatenate([minbias.select(np.flatnonzero(below)), jets.select(np.flatnonzero(above))])
    from_jets = np.arange(len(joined)) >= below.sum()
    return Pool(joined, np.concatenate([soft[below], hard[above]]), probability, from_jets)


def hardness_of(collisions: Collisions, step: int = 5000) -> Floats:
    """Return the pt of each collision's leading AK4 jet of particles with |eta| < 5, GeV; 0 below 5 GeV."""
    parts = []
    for first in range(0, len(collisions), step):
        part = collisions.select(slice(first, min(first + step, len(collisions))))
        seen = (np.abs(part.eta) < _ETA_MAX) & ~np.isin(np.abs(part.pid), (12, 14, 16))
        event = np.repeat(np.arange(len(part)), np.diff(part.offsets))[seen]
        momenta = four_momenta(part.pt[seen], part.eta[seen], part.phi[seen])
        counts = np.bincount(event, minlength=len(part))
        jagged = ak.zip({name: ak.unflatten(values, counts) for name, values in momenta.items()})
        jets = cluster_momenta(jagged, radius=0.4, min_pt=_LEAST_JET)
        parts.append(ak.to_numpy(ak.fill_none(ak.max(jets.pt, axis=1), 0.0)))
    return np.concatenate(parts) if parts else np.zeros(0)


def sum_pt2_of(collisions: Collisions) -> Floats:
    """Return Σ pt² (GeV²) of each collision's charged particles above 0.5 GeV with |eta| < 4."""
    charged = np.isin(np.abs(collisions.pid), (11, 13, 211, 321, 2212, 3112, 3222, 3312, 3334))
    seen = charged & (np.abs(collisions.eta) < _TRACKER_ETA) & (collisions.pt > 0.5)
    event = np.repeat(np.arange(len(collisions)), np.diff(collisions.offsets))[seen]
    pt = collisions.pt[seen].astype(np.float64)
    return np.bincount(event, pt**2, minlength=len(collisions)).astype(np.float64)


def rows_of(source: Source, chosen: NDArray[np.int64]) -> Source:
    """Return prepared collisions with these numbers, in this order; a number may come twice."""
    counts = np.diff(source.offsets)[chosen]
    offsets = np.concatenate(([0], np.cumsum(counts)))
    rows = np.arange(offsets[-1]) + np.repeat(source.offsets[:-1][chosen] - offsets[:-1], counts)
    columns = {name: getattr(source, name)[rows] for name in Source._fields if name != "offsets"}
    return Source(offsets=offsets.astype(np.int64), **columns)
