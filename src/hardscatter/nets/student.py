"""A small feed-forward network for one candidate at a time, and the clip that its last value ends in."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn


class Clip(torch.autograd.Function):
    """w = min(max(z, 0), 1), whose gradient still leads back in from outside.

    Forward it is what an FPGA computes by cutting bits. Backward the gradient passes inside, and outside where a step
    against it brings z nearer to [0, 1]; a plain clip would leave a candidate for good that once got out.
    """

    @staticmethod
    def forward(ctx: Any, z: Tensor) -> Tensor:
        """Return the clipped values."""
        ctx.save_for_backward(z)
        return z.clamp(0.0, 1.0)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:
        """Return the gradient with respect to z."""
        (z,) = ctx.saved_tensors
        outward = ((z > 1.0) & (gradient < 0.0)) | ((z < 0.0) & (gradient > 0.0))
        return gradient.masked_fill(outward, 0.0)


class StudentNetwork(nn.Module):
    """w = clip(A_n ReLU(… ReLU(A_1 x + b_1) …) + b_n): inputs (N, n_inputs) to weights (N,) in [0, 1].

    Parameters
    ----------
    n_inputs
        Columns of the input.
    hidden
        Width of each hidden layer.
    """

    def __init__(self, n_inputs: int, hidden: Sequence[int]) -> None:
        super().__init__()
        widths = [n_inputs, *hidden, 1]
        self.layers = nn.ModuleList(nn.Linear(a, b) for a, b in pairwise(widths))
        with torch.no_grad():
            self.linear()[-1].bias.fill_(0.5)

    def linear(self) -> list[nn.Linear]:
        """Return the layers, first to last."""
        return [layer for layer in self.layers if isinstance(layer, nn.Linear)]

    def forward(self, x: Tensor) -> Tensor:
        """Return the weights."""
        *hidden, last = self.linear()
        for layer in hidden:
            x = torch.relu(layer(x))
        return clip(last(x).squeeze(1))


def clip(z: Tensor) -> Tensor:
    """Return z cut off at 0 and 1; see `Clip`."""
    clipped: Tensor = Clip.apply(z)  # type: ignore[no-untyped-call]
    return clipped
