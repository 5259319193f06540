"""How far the members of an ensemble lie apart: what the network of a method's errors learns, no label in it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from hardscatter.errors import SettingsError
from hardscatter.pileup.features import FeatureSchema
from hardscatter.pileup.learned import describe, load
from hardscatter.pileup.links import Links
from hardscatter.training.batches import Inputs


def spread(models: Sequence[str], inputs: Inputs) -> Tensor:
    """Return the sample standard deviation of each weight over the models, s_i² = Σ_m (w_mi − w̄_i)² / (M − 1).

    Parameters
    ----------
    models
        At least two: names of shipped models or paths of .onnx files. Each is loaded once a process.
    inputs
        What the networks see of N candidates.

    Returns
    -------
    Tensor
        (N,), float32 in [0, 1/√2], on the device of the inputs.

    Raises
    ------
    UnreadableFileError
        If a model is not there or takes other inputs.
    """
    given = [part.cpu().numpy() for part in (inputs.features, inputs.coordinates, inputs.neighbours)]
    if not len(given[0]):
        return inputs.features.new_zeros(0)
    weights = np.stack([load(model).run(*given) for model in models])
    return torch.from_numpy(weights.std(axis=0, ddof=1, dtype=np.float64)).to(inputs.features)


def check_members(models: Sequence[str], schema: FeatureSchema, links: Links) -> None:
    """Make sure that every model sees the features of a training, and its candidates the same others.

    Raises
    ------
    SettingsError
        If one does not.
    UnreadableFileError
        If there is no such model, or it cannot be used.
    """
    for model in models:
        card = describe(model)
        if card.schema_hash != schema.hash():
            raise SettingsError(
                f"spread: model {model} sees other features (schema {card.schema_hash}) than this training "
                f"({schema.hash()}): take its members from trainings with the same 'features'."
            )
        if card.links != links:
            raise SettingsError(f"spread: model {model} looks at {card.links}, this training at {links}: set network.")
