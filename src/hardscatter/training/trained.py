"""A checkpoint as a mitigation method: for looking at a training before its export."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import awkward as ak
import numpy as np
import torch
from torch import Tensor

from hardscatter.events import Events
from hardscatter.pileup.features import FeatureSchema
from hardscatter.pileup.links import Links
from hardscatter.training.batches import inputs_of
from hardscatter.training.run import load

_AT_ONCE = 4  # crossings


class Trained:
    """Weights of the network in a checkpoint, w = network(features, coordinates, neighbours).

    Parameters
    ----------
    checkpoint
        A checkpoint, or the folder of a run: its best.

    Raises
    ------
    UnreadableFileError
        If it is none of ours.
    """

    def __init__(self, checkpoint: str | Path) -> None:
        self.training, module, self.seen = load(checkpoint)
        self._network = module.network

    def weights(self, events: Events) -> ak.Array:
        """Return jagged float32 weights in [0, 1], aligned with the candidates."""
        return weigh(self._network, events, self.training.schema, self.training.network.links)


def weigh(network: Callable[..., Tensor], events: Events, schema: FeatureSchema, links: Links) -> ak.Array:
    """Return the weights of a network for all candidates of some crossings, a few at once."""
    parts = [np.zeros(0, dtype=np.float32)]
    for first in range(0, len(events), _AT_ONCE):
        part = events[first : first + _AT_ONCE]
        inputs = inputs_of(part, schema, links, (0.0, 0.0), np.random.default_rng(0))
        with torch.no_grad():
            parts.append(network(inputs.features, inputs.coordinates, inputs.neighbours).numpy())
    return ak.unflatten(np.concatenate(parts), ak.num(events.candidates.pt, axis=1))
