"""What studies give: distributions, profiles and tables of numbers with errors, method by method.

All studies give these three shapes, so that one figure, one JSON and one table on the page serve each of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, ClassVar

from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.metrics.statistics import Estimate

NO_PILEUP = "no pileup"
"""The view of the same hard collisions, simulated without pileup."""

PUPPIS = {"": REFERENCE, "_cms": CMS_REFERENCE}
"""The methods that others are set against, by the ending of the columns that do so."""


def reference_of(methods: Iterable[str]) -> str:
    """Return the PUPPI that others are set against: the tuned one, else that of CMS, else the first method."""
    return _first(methods, REFERENCE, CMS_REFERENCE)


def limit_of(methods: Iterable[str]) -> str:
    """Return what methods should come to: the view without pileup, else perfect weights, else the first method."""
    return _first(methods, NO_PILEUP, PERFECT)


def _first(methods: Iterable[str], *wanted: str) -> str:
    known = list(methods)
    return next((name for name in (*wanted, *known) if name in known), "")


@dataclass(frozen=True)
class Distance:
    """How far a distribution is from the reference's: the Wasserstein-1 distance, in the quantity's unit."""

    value: float
    expected: float
    """What it is on average if both come from one distribution and only fluctuations, of these sizes, differ."""
    high: float
    """What it exceeds then in 5 of 100 samples; a distance above it is a difference that is seen."""


@dataclass(frozen=True)
class Distribution:
    """How a quantity is distributed."""

    kind: ClassVar[str] = "distribution"
    name: str
    """Of its files; letters, digits and underscores."""
    title: str
    sample: str
    """In words, with the pileup: ``semileptonic tt̄, pileup 140``."""
    quantity: str
    """With its unit: ``AK8 jet mass [GeV]``."""
    edges: tuple[float, ...]
    shares: dict[str, tuple[Estimate, ...]]
    """By method: the share of all entries in each bin; what lies outside the edges is in no bin."""
    entries: dict[str, int]
    reference: str
    """The method that the others are set against; in `shares` as well."""
    distances: dict[str, Distance]
    """From the reference."""
    n_events: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Profile:
    """Numbers against a variable."""

    kind: ClassVar[str] = "profile"
    name: str
    title: str
    sample: str
    variable: str
    """With its unit."""
    edges: tuple[float, ...]
    statistics: dict[str, dict[str, tuple[Estimate, ...]]]
    """By statistic, the headline first, and method: an estimate for each bin; NaN where there is nothing to tell."""
    headings: dict[str, str]
    """What each statistic is called, with its unit: ``δ/(1 + median)``."""
    sizes: tuple[int, ...]
    """Entries of each bin: truth jets, or crossings."""
    reference: str
    """The method that ratios of the headline are taken to."""
    n_events: int

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return {"kind": self.kind, **asdict(self)}


@dataclass(frozen=True)
class Numbers:
    """Numbers by method: rows and columns of a table."""

    kind: ClassVar[str] = "numbers"
    name: str
    title: str
    sample: str
    headings: dict[str, str]
    """What each column is called, with its unit."""
    rows: dict[str, dict[str, Estimate]]
    """By method (or what else the rows are) and column; a cell may be missing."""
    n_events: int
    remark: str = ""
    """What a reader must know to read the numbers, sizes included."""
    of: str = "method"
    """What the rows are."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return {"kind": self.kind, **asdict(self)}


Result = Distribution | Profile | Numbers


@dataclass(frozen=True)
class Study:
    """A question, and the results that answer it."""

    name: str
    """Of its files; letters, digits and underscores."""
    title: str
    text: str
    """One or two sentences: what is measured and how, and the limits of it."""
    results: tuple[Result, ...]
    facts: dict[str, Any] = field(default_factory=dict)
    """What else is worth keeping, as plain data: selections, cross sections, settings."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are NaN."""
        return {
            "name": self.name, "title": self.title, "text": self.text, "facts": self.facts,
            "results": [result.to_dict() for result in self.results],
        }  # fmt: skip
