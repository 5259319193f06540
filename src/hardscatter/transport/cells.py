"""Cells of one size that tile the (eta, phi) cylinder of every crossing."""

from __future__ import annotations

import math

import torch
from torch import Tensor

_ETA, _PHI = 1, 2


class Grid:
    """Cells of about `size` × `size`: in eta from −reach to reach and beyond, in phi a whole number around.

    Parameters
    ----------
    size
        Edge in eta; in phi the nearest edge of which a whole number goes around.
    moved
        (events, 2), in [0, 1): how far each event's grid is moved, in cells along eta and in turns along phi.
    reach
        Largest |eta| that has cells of its own; what lies further out belongs to the outermost.
    """

    def __init__(self, size: float, moved: Tensor, reach: float = 8.0) -> None:
        self._size, self._moved, self._reach = size, moved, reach
        self._n_phi = max(1, round(2 * math.pi / size))
        self._n_eta = math.ceil(2 * reach / size) + 1
        self.cells_of_event = self._n_phi * self._n_eta
        """Cells of every event, empty ones included."""

    def cells(self, features: Tensor, event: Tensor) -> Tensor:
        """Return the cell of every particle, unique among events: (particles, 4) and (particles,) to (particles,)."""
        moved = self._moved[event]
        eta = torch.floor((features[:, _ETA].double() + self._reach) / self._size + moved[:, 0])
        turn = (features[:, _PHI].double() / (2 * math.pi) + moved[:, 1]) % 1.0
        phi = torch.floor(turn * self._n_phi).clamp(0, self._n_phi - 1)
        return (event * self._n_eta + eta.clamp(0, self._n_eta - 1).long()) * self._n_phi + phi.long()

    def centres(self) -> Tensor:
        """Return the eta at the middle of every cell of every event, (events · cells_of_event,), float64."""
        row = torch.arange(self._n_eta, dtype=torch.float64, device=self._moved.device) + 0.5
        eta = (row - self._moved[:, :1]) * self._size - self._reach
        return eta.repeat_interleave(self._n_phi, dim=1).flatten()
