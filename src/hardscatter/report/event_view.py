"""One crossing, made small enough to be looked at on a page: what its interactive display needs, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import SettingsError
from hardscatter.events import LEADING, Events, flat
from hardscatter.jets import cluster
from hardscatter.jets.momenta import flat_weights
from hardscatter.met import missing_momentum
from hardscatter.metrics.definitions import LEPTON_DISTANCE
from hardscatter.metrics.matching import near_any
from hardscatter.metrics.resolution import PERFECT
from hardscatter.pileup import perfect_weights
from hardscatter.report.display import ETA_MAX
from hardscatter.report.first_light import JET_PT_MIN
from hardscatter.report.style import label

PT_MIN = 0.5
"""GeV: softer candidates are not drawn; jets and missing momentum are made from all."""
JET_RADIUS = 0.4
ALL = "none"
"""The view in which every candidate counts in full."""
WEIGHT_UNIT = 1000
"""Weights are whole numbers of thousandths."""

KINDS = ("charged, pileup", "neutral", "charged, leading vertex")
"""How candidates are coloured; one that is charged and fits no vertex counts to the leading one."""


@dataclass(frozen=True)
class EventView:
    """One crossing as its display draws it; numbers have three digits, what does not exist is None."""

    title: str
    candidates: dict[str, list[Any]]
    """Columns over the candidates above `PT_MIN`: ``pt`` (GeV), ``eta``, ``phi`` (rad), ``kind`` (position in `KINDS`),
    ``pdg`` (class of particle flow), ``dz`` (mm)."""
    methods: dict[str, dict[str, Any]]
    """By method: ``label``, ``weights`` (thousandths, None for 1 everywhere), ``jets`` and ``met``."""
    truth: dict[str, Any]
    """``jets``, ``leptons`` and ``met``, as far as the truth is known."""
    left_out: dict[str, float]
    """Candidates that are not drawn: how many (``n``), of how many (``of``), and their share of Σ pt."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data."""
        return asdict(self)


def event_view(event: Events, weights: Mapping[str, Any], title: str = "") -> EventView:
    """Return what the interactive display shows of one crossing.

    Jets are anti-kT jets of radius `JET_RADIUS` above `JET_PT_MIN`; they and the missing momentum are made, method by
    method, from all candidates. All candidates with weight 1 come first, the perfect weights last if the truth holds
    the hard fraction.

    Parameters
    ----------
    event
        One crossing: an `Events` of length 1.
    weights
        By method, jagged as the candidates are.
    title
        What the crossing is called; made from its process, pileup and number if none is given.

    Raises
    ------
    SettingsError
        If there is not exactly one crossing.
    InvalidEventsError
        If weights are not aligned with the candidates or lie outside [0, 1].
    """
    if len(event) != 1:
        raise SettingsError(f"a display shows one crossing, not {len(event)}: pass events[i : i + 1].")
    shown: dict[str, Any] = {ALL: None, **{name: given for name, given in weights.items() if name != ALL}}
    if event.has("truth.hard_fraction"):
        shown[PERFECT] = shown.pop(PERFECT, None)
        shown[PERFECT] = perfect_weights(event) if shown[PERFECT] is None else shown[PERFECT]
    pt = flat(event.candidates.pt, np.float64)
    kept = pt >= PT_MIN
    return EventView(
        title=title or _title(event),
        candidates=_candidates(event, kept),
        methods={name: _view(event, name, given, kept) for name, given in shown.items()},
        truth=_truth(event),
        left_out={
            "n": int((~kept).sum()), "of": len(kept), "share": _digits(pt[~kept].sum() / max(pt.sum(), PT_MIN)),
        },
    )  # fmt: skip


def _title(event: Events) -> str:
    """Return a name from what the crossing says of itself: ``zprime-tt, crossing 7, pileup 140, 98 vertices``."""
    known = {name: event.array[name][0] for name in ("process", "event", "pileup", "n_vertices") if event.has(name)}
    parts = [str(known["process"])] if "process" in known else []
    parts.append(f"crossing {int(known['event'])}" if "event" in known else "one crossing")
    parts += [f"pileup {known['pileup']:.4g}"] if "pileup" in known else []
    parts += [f"{int(known['n_vertices'])} vertices"] if "n_vertices" in known else []
    text = ", ".join(parts)
    return text[0].upper() + text[1:]


def _candidates(event: Events, kept: NDArray[np.bool_]) -> dict[str, list[Any]]:
    candidates = event.candidates
    charge, vertex = (flat(candidates[name], np.int64)[kept] for name in ("charge", "vertex"))
    no_track = np.full(len(kept), np.nan)
    dz = (flat(candidates.dz, np.float64) if event.has("candidates.dz") else no_track)[kept]
    return {
        "pt": _significant(flat(candidates.pt, np.float64)[kept]),
        "eta": _rounded(flat(candidates.eta, np.float64)[kept]),
        "phi": _rounded(flat(candidates.phi, np.float64)[kept]),
        "kind": np.where(charge == 0, 1, np.where(vertex > LEADING, 0, 2)).tolist(),
        "pdg": flat(event.particle_class(), np.int64)[kept].tolist(),
        "dz": [_digits(value) if np.isfinite(value) else None for value in dz],
    }


def _view(event: Events, name: str, weights: Any, kept: NDArray[np.bool_]) -> dict[str, Any]:
    jets = cluster(event, weights, radius=JET_RADIUS, min_pt=JET_PT_MIN)[0]
    met = missing_momentum(event, weights)[0]
    thousandths = None
    if weights is not None:
        thousandths = np.rint(flat_weights(event, weights)[kept] * WEIGHT_UNIT).astype(np.int64).tolist()
    return {
        "label": "all candidates" if name == ALL else label(name),
        "weights": thousandths,
        "jets": _directions(jets[abs(jets.eta) < ETA_MAX]),
        "met": [_digits(met.pt), round(float(met.phi), 3)],
    }


def _truth(event: Events) -> dict[str, Any]:
    known: dict[str, Any] = {}
    if event.has("truth.leptons"):
        known["leptons"] = _directions(event.truth.leptons[0])
    if event.has("truth.jets"):
        jets = event.truth.jets
        shown = (jets.pt > JET_PT_MIN) & (abs(jets.eta) < ETA_MAX)
        if event.has("truth.leptons"):
            shown = shown & ~near_any(jets, event.truth.leptons, LEPTON_DISTANCE)
        known["jets"] = _directions(jets[shown][0])
    if event.has("truth.met"):
        met = event.truth.met[0]
        known["met"] = [_digits(met.pt), round(float(met.phi), 3)]
    return known


def _directions(objects: ak.Array) -> list[list[float]]:
    """Return pt, eta and phi of jets or leptons."""
    return [[_digits(one.pt), round(float(one.eta), 3), round(float(one.phi), 3)] for one in objects]


def _digits(value: float) -> float:
    return float(f"{float(value):.3g}")


def _significant(values: NDArray[np.float64]) -> list[float]:
    return [_digits(value) for value in values]


def _rounded(values: NDArray[np.float64]) -> list[float]:
    return list(np.round(values, 2).tolist())
