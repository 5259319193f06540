"""Optimal transport as a loss: sorting in one dimension, slices, missing momentum, Sinkhorn, exact.

The only room of its kind together with `nets` and `training`: it needs torch, from ``pip install hardscatter[train]``.
"""

from hardscatter.transport.entropic import Potentials, Sinkhorn, entropic_transport, sinkhorn_potentials
from hardscatter.transport.exact import EnergyMovers, energy_movers_distance, exact_transport
from hardscatter.transport.features import KINEMATICS, positions
from hardscatter.transport.flow import LocalFlow
from hardscatter.transport.losses import LOSSES, get_loss
from hardscatter.transport.met import MissingMomentum
from hardscatter.transport.population import Population
from hardscatter.transport.ragged import TransportLoss
from hardscatter.transport.sliced import (
    PaddedSliced,
    WeightedSliced,
    padded_sliced_wasserstein,
    random_directions,
    sliced_wasserstein,
)
from hardscatter.transport.sorting import cramer_1d, sort_values, sort_with_order, squared_wasserstein_1d

__all__ = [
    "KINEMATICS",
    "LOSSES",
    "EnergyMovers",
    "LocalFlow",
    "MissingMomentum",
    "PaddedSliced",
    "Population",
    "Potentials",
    "Sinkhorn",
    "TransportLoss",
    "WeightedSliced",
    "cramer_1d",
    "energy_movers_distance",
    "entropic_transport",
    "exact_transport",
    "get_loss",
    "padded_sliced_wasserstein",
    "positions",
    "random_directions",
    "sinkhorn_potentials",
    "sliced_wasserstein",
    "sort_values",
    "sort_with_order",
    "squared_wasserstein_1d",
]
