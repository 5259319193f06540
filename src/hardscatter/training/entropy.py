"""The cross entropy of weights with what they should be, which several objectives share."""

from torch import Tensor


def cross_entropy(weights: Tensor, target: Tensor) -> Tensor:
    """Return −t ln w − (1 − t) ln(1 − w) of each weight with a target t in [0, 1], which need not be 0 or 1.

    Weights closer than 10⁻⁷ to 0 or 1 count as that far, so that it is finite.
    """
    w = weights.clamp(1e-7, 1 - 1e-7)
    return -target * w.log() - (1 - target) * (1 - w).log()
