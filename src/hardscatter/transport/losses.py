"""The losses by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from hardscatter.errors import SettingsError
from hardscatter.transport.entropic import Sinkhorn
from hardscatter.transport.exact import EnergyMovers
from hardscatter.transport.features import PUBLISHED
from hardscatter.transport.flow import LocalFlow
from hardscatter.transport.met import MissingMomentum
from hardscatter.transport.population import Population
from hardscatter.transport.ragged import TransportLoss
from hardscatter.transport.sliced import PaddedSliced, WeightedSliced

LOSSES: Mapping[str, TransportLoss] = MappingProxyType(
    {
        "swd:paper": PaddedSliced(),
        "swd:masked": WeightedSliced(features=PUBLISHED, mass="count"),
        "swd:mass": WeightedSliced(),
        "flow": LocalFlow(),
        "population": Population(),
        "met": MissingMomentum(),
        "sinkhorn": Sinkhorn(),
        "emd": EnergyMovers(),
    }
)


def get_loss(name: str, /, **settings: Any) -> TransportLoss:
    """Return the loss called `name`, with some of its settings changed: ``get_loss("swd:paper", slices=64)``.

    Raises
    ------
    SettingsError
        If there is no such loss, or if it has no such setting.
    """
    if name not in LOSSES:
        raise SettingsError(f"there is no loss {name!r}: choose one of {', '.join(LOSSES)}.")
    loss: Any = LOSSES[name]
    known = [field.name for field in dataclasses.fields(loss)]
    unknown = sorted(set(settings) - set(known))
    if unknown:
        raise SettingsError(f"{name} has no setting {unknown[0]!r}: it has {', '.join(known)}.")
    changed: TransportLoss = dataclasses.replace(loss, **settings)
    return changed
