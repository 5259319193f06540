"""The numbers that a reader takes away, picked out of the studies, and the sentences that tell them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import NO_PILEUP, Numbers, Study
from hardscatter.report.page import Headline
from hardscatter.report.style import label
from hardscatter.report.tables import with_error

FAVOURITE = "total"
"""Whose numbers are told, if it took part; else those of the last method that is no reference."""

_NOT_TOLD = (REFERENCE, CMS_REFERENCE, "puppi", "none", PERFECT, NO_PILEUP)


@dataclass(frozen=True)
class _Pick:
    """A number of a table: how its result's name ends, its column, and the column that it is compared by."""

    ending: str
    column: str
    title: str
    tuned: str = ""
    """The same against PUPPI tuned for the detector."""
    published: str = ""
    """What TOTAL's authors found."""


_PICKS = (
    _Pick("talk_ak4_pt", "improvement_cms", "Jet pt, better than PUPPI by", "improvement", "talk: about 20 %"),
    _Pick("talk_met", "improvement_cms", "Missing momentum, better than PUPPI by", "improvement", "talk: about 20 %"),
    _Pick("talk_ak8_mass", "improvement_cms", "AK8 jet mass, better than PUPPI by", "improvement", "talk: about 30 %"),
    _Pick("talk_ak8_tau32", "improvement_cms", "τ32, better than PUPPI by", "improvement", "talk: up to about 30 %"),
    _Pick("mjj_matched", "improvement_cms", "Dijet mass in vector-boson fusion, better than PUPPI by", "improvement",
          "talk: more than 10 %"),
    _Pick("recoil", "improvement_perpendicular_cms", "Recoil of Z → ℓℓ, perpendicular, better than PUPPI by",
          "improvement_perpendicular"),
    _Pick("invisible_significance", "gain_cms", "Significance of H → invisible, more than with PUPPI by", "gain",
          "talk: about 15 %"),
)  # fmt: skip


def headlines_of(studies: Sequence[Study]) -> tuple[Headline, ...]:
    """Return the headline numbers that the studies hold, in percent, with what they are to be set against.

    They compare with PUPPI as CMS tuned it, as the talk did; the same against PUPPI tuned for the detector stands
    beside it. The same table of another sample comes later and is not told again.
    """
    found: dict[str, Headline] = {}
    for pick in _PICKS:
        for study in studies:
            for result in study.results:
                if isinstance(result, Numbers) and result.name.endswith(pick.ending) and pick.ending not in found:
                    headline = _headline(pick, result, study)
                    if headline is not None:
                        found[pick.ending] = headline
    return tuple(found.values())


def summary_of(headlines: Sequence[Headline], n_events: int) -> tuple[str, ...]:
    """Return the sentences above the headline numbers: what was done, and how to read it."""
    number = f"{n_events:,}".replace(",", "\N{NO-BREAK SPACE}")
    return (
        f"{number} crossings, weighed candidate by candidate by each method, and measured against the truth and, where "
        "they were simulated, against the same hard collisions without pileup.",
        *(["Each number below compares with PUPPI as CMS tuned it for Phase 2, in the definitions of the talk on TOTAL "
           "where it has one; the same against PUPPI tuned for this very detector stands under it, and what perfect "
           "weights would reach. Errors are bootstraps over crossings."] if headlines else []),
    )  # fmt: skip


def _headline(pick: _Pick, numbers: Numbers, study: Study) -> Headline | None:
    method = told(numbers.rows)
    value = numbers.rows.get(method, {}).get(pick.column)
    if value is None or not math.isfinite(value.value):
        return None
    tuned = numbers.rows[method].get(pick.tuned)
    limit = numbers.rows.get(PERFECT, {}).get(pick.column)
    comparisons = [
        f"against {label(REFERENCE)}: {with_error(_percent(tuned))} %" if _known(tuned) else "",
        f"perfect weights: {with_error(_percent(limit))} %" if _known(limit) else "",
        pick.published,
    ]
    return Headline(
        f"{label(method)}: {pick.title[0].lower() + pick.title[1:] if pick.title[1].islower() else pick.title}",
        _percent(value), "%", "; ".join(filter(None, comparisons)),
        f"{numbers.sample}, {numbers.n_events} crossings", study.name,
    )  # fmt: skip


def told(methods: Iterable[str]) -> str:
    """Return the method whose numbers are told; empty if there is none but references and limits."""
    others = [name for name in methods if name not in _NOT_TOLD]
    return FAVOURITE if FAVOURITE in others else next(reversed(others), "")


def _known(estimate: Estimate | None) -> bool:
    return estimate is not None and math.isfinite(estimate.value)


def _percent(estimate: Estimate | None) -> Estimate:
    assert estimate is not None  # asked for where it is known only
    return Estimate(*(100 * number for number in (estimate.value, estimate.error, estimate.low, estimate.high)))
