"""Positions of particles for transport: named functions of (pt, eta, phi, energy)."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Literal

import torch
from torch import Tensor

FeatureName = Literal["eta", "phi", "cos_phi", "sin_phi", "log_pt", "log_energy", "scaled_log_energy"]

LOG_ENERGY_MEAN, LOG_ENERGY_SPREAD, CLIP = 0.871, 1.287, 4.0
"""The published standardisation of ln(E / GeV), cut off at ±4 spreads."""

KINEMATICS = ("pt", "eta", "phi", "energy")
"""The columns of every `features` tensor in this room: GeV, –, rad, GeV; pt and energy above 0."""
PT, _ETA, _PHI, _ENERGY = range(4)


def _scaled_log_energy(features: Tensor) -> Tensor:
    return ((features[:, _ENERGY].log() - LOG_ENERGY_MEAN) / LOG_ENERGY_SPREAD).clamp(-CLIP, CLIP)


FEATURES: Mapping[FeatureName, Callable[[Tensor], Tensor]] = MappingProxyType(
    {
        "eta": lambda features: features[:, _ETA],
        "phi": lambda features: features[:, _PHI],
        "cos_phi": lambda features: features[:, _PHI].cos(),
        "sin_phi": lambda features: features[:, _PHI].sin(),
        "log_pt": lambda features: features[:, PT].log(),
        "log_energy": lambda features: features[:, _ENERGY].log(),
        "scaled_log_energy": _scaled_log_energy,
    }
)

PUBLISHED: tuple[FeatureName, ...] = ("eta", "phi", "log_pt", "scaled_log_energy")
CYLINDER: tuple[FeatureName, ...] = ("eta", "cos_phi", "sin_phi")


def positions(features: Tensor, names: Sequence[FeatureName]) -> Tensor:
    """Return the named features side by side: (particles, 4) becomes (particles, len(names)).

    Natural logarithms of momenta and energies in GeV; phi in rad, as given.
    """
    return torch.stack([FEATURES[name](features) for name in names], dim=1)


def transverse_momenta(features: Tensor) -> Tensor:
    """Return (pt cos phi, pt sin phi), GeV: (particles, 4) becomes (particles, 2)."""
    phi = features[:, _PHI]
    return features[:, PT, None] * torch.stack([phi.cos(), phi.sin()], dim=1)
