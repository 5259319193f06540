"""Missing transverse momentum: what the visible particles leave unbalanced."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np

from hardscatter.events import Events, checked_fraction, flat
from hardscatter.geometry.angles import wrap_phi


def missing_momentum(events: Events, weights: Any = None) -> ak.Array:
    """Return minus the vector sum of each event's candidates, scaled by their weights.

    ::

        (px, py) = − Σ_i w_i · pt_i · (cos phi_i, sin phi_i)

    Parameters
    ----------
    events
        Any events; candidates of every pseudorapidity count.
    weights
        Jagged, in [0, 1], aligned with the candidates. None means 1 for all.

    Returns
    -------
    ak.Array
        One record an event, float64: ``px``, ``py``, ``pt`` (GeV), ``phi`` (rad, [−π, π)). An event in which
        nothing counts has 0 everywhere.

    Raises
    ------
    InvalidEventsError
        If the weights are not aligned with the candidates or lie outside [0, 1].
    """
    candidates = events.candidates
    counts = np.asarray(events.n_candidates)
    pt = flat(candidates.pt, np.float64)
    if weights is not None:
        pt = pt * flat(checked_fraction("weights", weights, counts, dtype=None), np.float64)
    phi = flat(candidates.phi, np.float64)
    event = np.repeat(np.arange(len(events)), counts)
    # 0 − sum, so that an event without candidates has +0 and not −0, whose azimuth would be −π.
    px = 0.0 - np.bincount(event, pt * np.cos(phi), minlength=len(events))
    py = 0.0 - np.bincount(event, pt * np.sin(phi), minlength=len(events))
    return ak.zip({"px": px, "py": py, "pt": np.hypot(px, py), "phi": wrap_phi(np.arctan2(py, px))})
