"""What a first-level trigger cuts on: a few numbers a crossing, made of weighted candidates."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass

from hardscatter.errors import MissingFieldError
from hardscatter.events import Events
from hardscatter.jets import cluster
from hardscatter.met import missing_momentum

Floats = NDArray[np.float64]

QUANTITIES = ("jet", "multijet", "ht", "met")
"""What `trigger_objects` returns."""


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ObjectDefinition:
    """How trigger objects are made: anti-kT jets, and momenta in GeV."""

    radius: float = Field(default=0.4, gt=0)
    eta_max: float = Field(default=2.4, gt=0)
    """Of the jets that count. Missing momentum takes candidates at any angle."""
    ht_min_pt: float = Field(default=30.0, ge=0)
    """Of the jets in H_T."""
    multiplicity: int = Field(default=4, ge=1)
    """The multijet trigger cuts on the pt of the jet of this rank."""
    min_pt: float = Field(default=15.0, ge=0)
    """Softer jets are not there."""


DEFINITION = ObjectDefinition()


def trigger_objects(events: Events, weights: Any, definition: ObjectDefinition = DEFINITION) -> dict[str, Floats]:
    """Return the trigger's numbers of each crossing, shape (events,), GeV.

    ``jet``: pt of the leading jet; ``multijet``: pt of the fourth one; ``ht``: Σ pt of jets above 30 GeV, all with
    |eta| < 2.4; ``met``: missing transverse momentum. What is not there is 0: a crossing without candidates has 0
    everywhere and passes no trigger.

    Parameters
    ----------
    weights
        Jagged, in [0, 1], aligned with the candidates.

    Raises
    ------
    InvalidEventsError
        If the weights are not aligned with the candidates or lie outside [0, 1].
    """
    jets = cluster(events, weights, radius=definition.radius, min_pt=definition.min_pt)
    return _numbers(jets, ak.to_numpy(missing_momentum(events, weights).pt), definition)


def true_objects(events: Events, definition: ObjectDefinition = DEFINITION) -> dict[str, Floats]:
    """Return the same numbers of the particles of the hard collision: what a trigger would like to know.

    Raises
    ------
    MissingFieldError
        If the events hold no ``truth.jets`` or no ``truth.met``.
    """
    for name in ("truth.jets", "truth.met"):
        if not events.has(name):
            raise MissingFieldError(f"turn-on curves need {name}, which these events lack: use simulation with truth.")
    jets = events.truth.jets
    return _numbers(jets[jets.pt >= definition.min_pt], ak.to_numpy(events.truth.met.pt), definition)


def _numbers(jets: ak.Array, met: Floats, definition: ObjectDefinition) -> dict[str, Floats]:
    """Return the numbers of jets by falling pt."""
    pt = jets.pt[abs(jets.eta) < definition.eta_max]
    ranked = ak.fill_none(ak.pad_none(pt, definition.multiplicity, clip=True), 0.0)
    leading = ak.to_numpy(ranked).astype(np.float64).reshape(len(pt), definition.multiplicity)
    ht = ak.to_numpy(ak.sum(pt[pt >= definition.ht_min_pt], axis=1)).astype(np.float64)
    return {"jet": leading[:, 0], "multijet": leading[:, -1], "ht": ht, "met": met.astype(np.float64)}
