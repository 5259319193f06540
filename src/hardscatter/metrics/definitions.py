"""What is measured, as data: which jets, how they are matched, what is made of them, and of missing momentum.

Two definitions stand here: `DESIGN`, by which hardscatter measures, and `TALK`, by which the authors of TOTAL did,
for comparing with their plots. Another one is another object.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import SettingsError
from hardscatter.metrics.matching import match, nearest

Quantity = Literal["pt", "mass", "tau32"]
Comparison = Literal["gap", "improvement"]
Matching = Callable[[ak.Array, ak.Array, float], NDArray[np.int64]]

LEPTON_DISTANCE = 0.4
"""Truth jets this close to a prompt lepton are left out."""


@dataclass(frozen=True)
class JetStudy:
    """Which jets a study looks at, and what it measures of them."""

    name: str
    truth: str
    """Field of ``truth`` with the truth jets."""
    radius: float
    truth_pt_min: float
    """GeV."""
    pt_min: float
    """GeV, of reconstructed jets that may match."""
    match_radius: float
    eta_min: float
    eta_max: float
    quantities: tuple[Quantity, ...] = ("pt",)
    """``pt`` and ``mass``: reconstructed/truth − 1. ``tau32``: reconstructed − truth, of τ₃/τ₂ (`n_subjettiness`,
    β = 1), where both are defined and the truth jets' particles are known."""
    truth_pt_max: float = math.inf
    """GeV."""
    fake_pt_min: float | None = None
    """GeV; reconstructed jets above it and away from all truth jets are fakes. None: not counted."""
    lepton_distance: float | None = LEPTON_DISTANCE
    """Truth jets this close to a prompt lepton are left out. None: all stay in."""
    matching: Matching = match
    response_min: float = -math.inf
    """Responses up to it count as lost and are left out; as it stands, lost jets stay in with −1."""
    calibrated: bool = True
    """Quote δ/(1 + median) of pt and mass beside δ."""


@dataclass(frozen=True)
class MetStudy:
    """How missing momentum is compared with the true one."""

    name: str
    relative_above: float | None = None
    """None: residuals of x and y, GeV. A number: (|measured| − |true|)/|true| in crossings whose true missing
    momentum exceeds it, GeV."""


@dataclass(frozen=True)
class HtStudy:
    """The scalar sum of the jets' pt, H_T: reconstructed/truth − 1 in crossings with at least one such truth jet."""

    name: str
    truth: str
    """Field of ``truth`` with the truth jets."""
    radius: float
    pt_min: float
    """GeV, of reconstructed jets and of truth jets; prompt leptons are in both."""
    eta_max: float


@dataclass(frozen=True)
class Definition:
    """Everything that is measured, and how methods are set against PUPPI."""

    name: str
    jets: tuple[JetStudy, ...]
    met: MetStudy
    comparisons: tuple[Comparison, ...]
    """``gap``: the part of the way from PUPPI to perfect weights; ``improvement``: 1 − δ/δ_PUPPI; each against
    ``puppi:best`` and, with ``_cms``, against ``puppi:cms-phase2``."""
    ht: HtStudy | None = None
    """None: not measured."""


DESIGN = Definition(
    "design",
    (
        JetStudy("ak4_central", "jets", 0.4, 30.0, 10.0, 0.2, 0.0, 2.5, fake_pt_min=30.0),
        JetStudy("ak4_forward", "jets", 0.4, 30.0, 10.0, 0.2, 2.5, 4.7, fake_pt_min=30.0),
        JetStudy("ak8", "fat_jets", 0.8, 200.0, 100.0, 0.4, 0.0, 2.5, ("pt", "mass", "tau32")),
    ),
    MetStudy("met"),
    ("gap",),
    HtStudy("ht", "jets", 0.4, 30.0, 2.5),
)
"""The design page's definition of resolution."""


def _as_in_the_talk(
    name: str,
    truth: str,
    radius: float,
    truth_pt: tuple[float, float],
    pt_min: float,
    quantities: tuple[Quantity, ...],
) -> JetStudy:
    """Return a study of truth jets up to |eta| 4 that each take the nearest jet within ΔR 0.4, δ as it is."""
    return JetStudy(
        name, truth, radius, truth_pt[0], pt_min, 0.4, 0.0, 4.0, quantities, truth_pt[1],
        lepton_distance=None, matching=nearest, response_min=-0.95, calibrated=False,
    )  # fmt: skip


TALK = Definition(
    "talk",
    (
        _as_in_the_talk("talk_ak4", "jets", 0.4, (15.0, math.inf), 15.0, ("pt",)),
        _as_in_the_talk("talk_ak8", "fat_jets", 0.8, (500.0, 1500.0), 100.0, ("pt", "mass", "tau32")),
    ),
    MetStudy("talk_met", relative_above=10.0),
    ("improvement",),
)
"""The columns of the talk and code that go with the TOTAL paper (arXiv:2211.02029).

Candidates are clustered massless; truth jets lie within |eta| 4, AK4 above 15 GeV, AK8 from 500 to 1500 GeV, prompt
leptons' jets among them; each takes the nearest reconstructed jet within ΔR 0.4, AK4 above 15 GeV, whether another
truth jet took it or not; responses up to −0.95, lost jets among them, are left out; δ is not divided by 1 + median.
Missing momentum is (|measured| − |true|)/|true|.

Where ours differs from theirs: ΔR wraps in phi; they keep the nine leading jets of each crossing, we all; they ask of
an AK8 jet that PUPPI and TOTAL both find it, we of each method by itself; the momentum of reconstructed AK8 jets
(above 100 GeV) and the residual of τ₃/τ₂ are our choices, theirs are not known. They divide by any true missing
momentum, we only above 10 GeV: below, where most of QCD lies, the ratio tells the resolution over a number near 0.
"""

DEFINITIONS = {definition.name: definition for definition in (DESIGN, TALK)}


def definition_of(given: str | Definition) -> Definition:
    """Return the definition of that name, or the one given.

    Raises
    ------
    SettingsError
        If there is none of that name.
    """
    if isinstance(given, Definition):
        return given
    if given not in DEFINITIONS:
        raise SettingsError(f"there is no definition '{given}': take one of {', '.join(DEFINITIONS)}.")
    return DEFINITIONS[given]
