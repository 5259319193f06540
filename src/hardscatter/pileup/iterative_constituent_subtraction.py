"""Iterative constituent subtraction: close pairs first, then what is left of the background once more."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events, jagged
from hardscatter.pileup.constituent_subtraction import subtract


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class IterativeConstituentSubtraction:
    """Constituent subtraction in several passes; the weight is w_i = pt_i(after) / pt_i(before).

    Each pass is a pair (max_distance, alpha). After a pass the background that no candidate could give is
    spread over the ghosts again, with `ghost_removal` only over those that were used up.

    References
    ----------
    Berta, Masetti, Miller, Spousta, *Pileup and underlying event mitigation with iterative constituent
    subtraction*, arXiv:1905.03470, section 3 and its settings {0.2, 0.15}, {1, 1}.
    """

    passes: tuple[tuple[float, float], ...] = ((0.2, 1.0), (0.15, 1.0))
    ghost_removal: bool = True
    ghost_area: float = 0.01
    y_max: float = 5.0
    rho_tile: float = 0.5
    neutrals_only: bool = True

    def weights(self, events: Events) -> ak.Array:
        """Return the fraction of each candidate's pt that is left."""
        offsets, pt, left = self._subtract(events)
        return jagged((left / pt).astype(np.float32), offsets)

    def pt_left(self, events: Events) -> ak.Array:
        """Return the pt (GeV, float64) that is left of each candidate, jagged."""
        offsets, _, left = self._subtract(events)
        return jagged(left, offsets)

    def _subtract(self, events: Events) -> tuple[NDArray[np.int64], NDArray[Any], NDArray[np.float64]]:
        return subtract(
            events,
            self.passes,
            ghost_area=self.ghost_area,
            y_max=self.y_max,
            rho_tile=self.rho_tile,
            neutrals_only=self.neutrals_only,
            ghost_removal=self.ghost_removal,
        )


ICS_BEST = IterativeConstituentSubtraction(passes=((0.15, 1.5), (0.05, 1.0)), rho_tile=1.0)
"""Found by ``tools/tune_classical.py`` for the card ``cms-phase2``: see docs/tunes.md."""
