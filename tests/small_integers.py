"""Integer models that no training made, for tests of what is done with them."""

from __future__ import annotations

from itertools import pairwise

import numpy as np

from hardscatter.trigger import Format, IntegerModel, Layer

PROBABILITY = Format(8, 0, signed=False)
_INPUTS, _WEIGHTS, _HIDDEN = Format(8, 3), Format(6, 1), Format(8, 3, signed=False)


def random_model(
    seed: int,
    shape: tuple[int, ...] = (12, 16, 8, 1),
    inputs: Format = _INPUTS,
    weights: Format = _WEIGHTS,
    hidden: Format = _HIDDEN,
    sparsity: float = 0.0,
) -> IntegerModel:
    """Return a model with weights drawn from all of their format; `shape` counts inputs, hidden nodes and 1 output.

    Biases put each hidden node's median at 0 and the output's at a half, so that nothing is always at an end.
    """
    rng = np.random.default_rng(seed)
    x = rng.integers(inputs.lowest, inputs.highest + 1, size=(500, shape[0]))
    layers = []
    for i, (n_in, n_out) in enumerate(pairwise(shape)):
        last = i == len(shape) - 2
        takes, gives = (hidden if i else inputs), (PROBABILITY if last else hidden)
        fraction = weights.fraction + takes.fraction
        drawn = rng.integers(weights.lowest, weights.highest + 1, size=(n_out, n_in))
        drawn[rng.random(drawn.shape) < sparsity] = 0
        biases = (1 << fraction >> 1) * last - np.median(x @ drawn.T, axis=0).astype(np.int64)
        layer = Layer(drawn, biases, takes, weights, Format(fraction + 16, 16), gives)
        layers.append(layer)
        x = layer(x)
    return IntegerModel(tuple(f"x{i}" for i in range(shape[0])), tuple(layers))
