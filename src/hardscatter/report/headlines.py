"""The numbers that a reader takes away, picked out of the studies, and the sentences that tell them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TypeGuard

from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import NO_PILEUP, Numbers, Study
from hardscatter.report.page import Headline
from hardscatter.report.style import FAVOURITE, label
from hardscatter.report.tables import with_error

_NOT_TOLD = (REFERENCE, CMS_REFERENCE, "puppi", "none", PERFECT, NO_PILEUP)


@dataclass(frozen=True)
class _Pick:
    """A number of a table."""

    table: str
    """What its name contains, as a whole word."""
    home: str
    """The study that it is best taken from."""
    column: str
    tuned: str
    """The column with the same against PUPPI tuned for the detector."""
    title: str
    published: str = ""
    """What TOTAL's authors found."""


_PICKS = (
    _Pick("talk_ak4_pt", "resolution_ttbar", "improvement_cms", "improvement", "jet pt, better than PUPPI by",
          "talk: about 20 %"),
    _Pick("talk_met", "resolution_ttbar", "improvement_cms", "improvement", "missing momentum, better than PUPPI by",
          "talk: about 20 %"),
    _Pick("talk_ak8_mass", "resolution_zprime", "improvement_cms", "improvement", "AK8 jet mass, better than PUPPI by",
          "talk: about 30 %"),
    _Pick("talk_ak8_tau32", "resolution_zprime", "improvement_cms", "improvement", "τ32, better than PUPPI by",
          "talk: up to about 30 %"),
    _Pick("mjj_matched", "dijets", "improvement_cms", "improvement",
          "dijet mass in vector-boson fusion, better than PUPPI by", "talk: more than 10 %"),
    _Pick("recoil", "recoil", "improvement_perpendicular_cms", "improvement_perpendicular",
          "recoil of Z → ℓℓ, perpendicular, better than PUPPI by"),
    _Pick("invisible_significance", "invisible", "gain_cms", "gain",
          "significance of H → invisible, more than with PUPPI by", "talk: about 15 %"),
)  # fmt: skip


def headlines_of(studies: Sequence[Study]) -> tuple[Headline, ...]:
    """Return the headline numbers that the studies hold, in percent, with what they are to be set against.

    They compare with PUPPI as CMS tuned it, as the talk did; the same against PUPPI tuned for the detector stands
    beside it. Where several samples tell a number, that of the talk's is taken, or else the best known one.
    """
    headlines = (_best_known(pick, studies) for pick in _PICKS)
    return tuple(headline for headline in headlines if headline is not None)


def summary_of(headlines: Sequence[Headline], n_events: int) -> tuple[str, ...]:
    """Return the sentences above the headline numbers: what was done, and how to read it."""
    number = f"{n_events:,}".replace(",", "\N{NO-BREAK SPACE}")
    return (
        f"{number} crossings, weighed candidate by candidate by each method, and measured against the truth and, where "
        "they were simulated, against the same hard collisions without pileup.",
        *(["Each number below compares with PUPPI as CMS tuned it for Phase 2, in the definitions of the talk on TOTAL "
           "where it has one; the same against PUPPI tuned for this very detector stands under it, and what perfect "
           "weights would reach. Errors are bootstraps over crossings; < and > stand before 68 % bounds."]
          if headlines else []),
    )  # fmt: skip


def _best_known(pick: _Pick, studies: Sequence[Study]) -> Headline | None:
    found = []
    for study in studies:
        for result in study.results:
            if isinstance(result, Numbers) and f"{pick.table}_" in f"{result.name}_":
                value = result.rows.get(told(result.rows), {}).get(pick.column)
                if _known(value):
                    found.append((study.name != pick.home, value.error, _headline(pick, result, study, value)))
    return min(found, key=lambda one: one[:2])[2] if found else None


def _headline(pick: _Pick, numbers: Numbers, study: Study, value: Estimate) -> Headline:
    method = told(numbers.rows)
    tuned = numbers.rows[method].get(pick.tuned)
    limit = numbers.rows.get(PERFECT, {}).get(pick.column)
    comparisons = [
        f"against {label(REFERENCE)}: {with_error(_percent(tuned))} %" if _known(tuned) else "",
        f"perfect weights: {with_error(_percent(limit))} %" if _known(limit) else "",
        pick.published,
    ]
    return Headline(
        f"{label(method)}: {pick.title}", _percent(value), "%", "; ".join(filter(None, comparisons)),
        f"{numbers.sample}, {numbers.n_events} crossings", study.name,
    )  # fmt: skip


def told(methods: Iterable[str]) -> str:
    """Return the method whose numbers are told; empty if there is none but references and limits."""
    others = [name for name in methods if name not in _NOT_TOLD]
    return FAVOURITE if FAVOURITE in others else next(reversed(others), "")


def _known(estimate: Estimate | None) -> TypeGuard[Estimate]:
    return estimate is not None and math.isfinite(estimate.value) and math.isfinite(estimate.error)


def _percent(estimate: Estimate) -> Estimate:
    return Estimate(*(100 * number for number in (estimate.value, estimate.error, estimate.low, estimate.high)))
