"""The background density rho of each crossing, for area subtraction."""

from __future__ import annotations

from typing import Any

import numpy as np

from hardscatter.events import Events, checked_fraction, flat, offsets_of
from hardscatter.geometry.tiles import Background, Tiles, grid_median


def background_density(events: Events, weights: Any = None, *, tile: float = 0.55, y_max: float = 5.0) -> Background:
    """Measure rho, the transverse momentum per unit area that a crossing has everywhere, by the grid median.

    Parameters
    ----------
    events
        Any events; candidates are taken as massless (y = eta).
    weights
        Jagged, in [0, 1], aligned with the candidates; None means 1 for all. Give CHS weights for jets made of what
        CHS leaves.
    tile, y_max
        Size of the tiles and their reach in rapidity.

    Returns
    -------
    Background
        ``rho`` and its spread ``sigma`` (GeV per unit of rapidity and azimuth), shape (events,).

    Raises
    ------
    InvalidEventsError
        If the weights are not aligned with the candidates or lie outside [0, 1].
    SettingsError
        If a size is not above 0.

    References
    ----------
    Cacciari, Salam, arXiv:0707.1378; grid form: FastJet, arXiv:1111.6097 section 8.1.
    """
    candidates = events.candidates
    pt, eta, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
    if weights is not None:
        pt = pt * flat(checked_fraction("weights", weights, np.asarray(events.n_candidates)), np.float64)
    return grid_median(pt, eta, phi, offsets_of(candidates.pt), Tiles(tile, y_max))
