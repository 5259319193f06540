"""Sums over the neighbours of each candidate, without ever writing down what is summed.

On a CPU by compiled loops, forward and backward: PyTorch's own way back, which sorts all indices, costs a quarter of
a training step. On other devices by `embedding_bag`.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import embedding_bag

from hardscatter.compiled import quick_kernel
from hardscatter.nets.edges import take


def gather_sum(values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    """Return Σ_j w_ij v_(index ij).

    Parameters
    ----------
    values
        v, shape (N, A).
    index
        int64, shape (Q, k), each from 0 to N − 1.
    weights
        w, shape (Q, k).

    Returns
    -------
    Tensor
        Shape (Q, A), differentiable once in values and weights.
    """
    if torch.compiler.is_exporting() or len(values) == 0:
        return torch.matmul(weights[:, None, :], take(values, index)).squeeze(1)
    if values.device.type != "cpu":
        return embedding_bag(index, values.float(), mode="sum", per_sample_weights=weights.float())
    return _GatherSum.apply(values, index, weights)  # type: ignore[no-any-return, no-untyped-call]


class _GatherSum(torch.autograd.Function):
    """The sum by compiled loops; half precision is widened first, as nothing is gained by narrow sums."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        wide = torch.float64 if values.dtype == torch.float64 else torch.float32
        ctx.dtypes = values.dtype, weights.dtype
        values, index, weights = values.to(wide).contiguous(), index.contiguous(), weights.to(wide).contiguous()
        ctx.save_for_backward(values, index, weights)
        result = values.new_zeros(len(index), values.shape[1])
        _sum(_array(values), _array(index), _array(weights), _array(result))
        return result

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, None, Tensor]:
        values, index, weights = ctx.saved_tensors
        to_values, to_weights = torch.zeros_like(values), torch.zeros_like(weights)
        flow = gradient.to(values.dtype).contiguous()
        _sum_backward(
            _array(values), _array(index), _array(weights), _array(flow), _array(to_values), _array(to_weights)
        )
        return to_values.to(ctx.dtypes[0]), None, to_weights.to(ctx.dtypes[1])


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().numpy())


@quick_kernel
def _sum(values: Any, index: Any, weights: Any, result: Any) -> None:
    n, k = index.shape
    for i in range(n):
        row = result[i]
        for j in range(k):
            weight, source = weights[i, j], values[index[i, j]]
            for a in range(row.size):
                row[a] += weight * source[a]


@quick_kernel
def _sum_backward(values: Any, index: Any, weights: Any, flow: Any, to_values: Any, to_weights: Any) -> None:
    n, k = index.shape
    for i in range(n):
        row = flow[i]
        for j in range(k):
            neighbour = index[i, j]
            weight, source, target = weights[i, j], values[neighbour], to_values[neighbour]
            product = row[0] * source[0] * 0
            for a in range(row.size):
                product += row[a] * source[a]
                target[a] += weight * row[a]
            to_weights[i, j] = product
