"""Sums and dot products over the neighbours of each candidate, without ever writing down what is summed.

On a CPU by compiled loops, forward and backward: PyTorch's own way back, which sorts all indices, costs a quarter of
a training step. On other devices the sum is an `embedding_bag`.
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
    """Return Σ_j w_ij v_(index ij), for each head on its own where there are heads.

    Parameters
    ----------
    values
        v, shape (N, A), or (N, H, A) with H heads.
    index
        int64, shape (Q, k), each from 0 to N − 1.
    weights
        w, shape (Q, k), or (Q, H, k).

    Returns
    -------
    Tensor
        Shape (Q, A), or (Q, H, A), differentiable once in values and weights.
    """
    if _compiled_loops_serve(values):
        return _with_heads(_GatherSum, values, index, weights)
    if values.ndim == 3:
        return torch.stack([gather_sum(values[:, h], index, weights[:, h]) for h in range(values.shape[1])], dim=1)
    if torch.compiler.is_exporting() or len(values) == 0:
        return torch.matmul(weights[:, None, :], take(values, index)).squeeze(1)
    return embedding_bag(index, values.float(), mode="sum", per_sample_weights=weights.float())


def gather_dot(queries: Tensor, index: Tensor, keys: Tensor) -> Tensor:
    """Return q_i · k_(index ij), for each head on its own where there are heads.

    Parameters
    ----------
    queries
        q, shape (Q, A), or (Q, H, A) with H heads.
    index
        int64, shape (Q, k), each from 0 to N − 1.
    keys
        k, shape (N, A), or (N, H, A).

    Returns
    -------
    Tensor
        Shape (Q, k), or (Q, H, k), differentiable once in queries and keys.
    """
    if _compiled_loops_serve(keys):
        return _with_heads(_GatherDot, queries, index, keys)
    if keys.ndim == 3:
        return torch.stack([gather_dot(queries[:, h], index, keys[:, h]) for h in range(keys.shape[1])], dim=1)
    return torch.matmul(take(keys, index), queries[:, :, None]).squeeze(2)


def _compiled_loops_serve(values: Tensor) -> bool:
    return not torch.compiler.is_exporting() and values.device.type == "cpu" and len(values) > 0


def _with_heads(function: type[torch.autograd.Function], first: Tensor, index: Tensor, last: Tensor) -> Tensor:
    """Apply a function of heads; without heads, as of one."""
    if first.ndim == 3:
        return function.apply(first, index, last)  # type: ignore[no-any-return, no-untyped-call]
    return function.apply(first[:, None, :], index, last[:, None, :]).squeeze(1)  # type: ignore[no-any-return, no-untyped-call]


class _GatherSum(torch.autograd.Function):
    """The sum by compiled loops; half precision is widened first, as nothing is gained by narrow sums."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
        ctx.dtypes = values.dtype, weights.dtype
        values, index, weights = _widened(values, index, weights)
        ctx.save_for_backward(values, index, weights)
        return _sum(values, index, weights)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        values, index, weights = ctx.saved_tensors
        to_values, _, to_weights = ctx.needs_input_grad
        flow = gradient.to(values.dtype).contiguous()
        return (
            _scatter(flow, index, weights, len(values)).to(ctx.dtypes[0]) if to_values else None,
            None,
            _dot(flow, index, values).to(ctx.dtypes[1]) if to_weights else None,
        )


class _GatherDot(torch.autograd.Function):
    """The dot products by compiled loops, widened like the sums."""

    @staticmethod
    def forward(ctx: Any, queries: Tensor, index: Tensor, keys: Tensor) -> Tensor:
        ctx.dtypes = queries.dtype, keys.dtype
        queries, index, keys = _widened(queries, index, keys)
        ctx.save_for_backward(queries, index, keys)
        return _dot(queries, index, keys)

    @staticmethod
    @torch.autograd.function.once_differentiable  # type: ignore[untyped-decorator, unused-ignore]
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, None, Tensor | None]:
        queries, index, keys = ctx.saved_tensors
        to_queries, _, to_keys = ctx.needs_input_grad
        flow = gradient.to(keys.dtype).contiguous()
        return (
            _sum(keys, index, flow).to(ctx.dtypes[0]) if to_queries else None,
            None,
            _scatter(queries, index, flow, len(keys)).to(ctx.dtypes[1]) if to_keys else None,
        )


def _widened(first: Tensor, index: Tensor, last: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    wide = torch.float64 if torch.float64 in (first.dtype, last.dtype) else torch.float32
    return first.to(wide).contiguous(), index.contiguous(), last.to(wide).contiguous()


def _array(tensor: Tensor) -> NDArray[Any]:
    return np.asarray(tensor.detach().numpy())


# The three of them are each other's ways back. Values (N, H, A), rows (Q, H, A), weights (Q, H, k), index (Q, k).


def _sum(values: Tensor, index: Tensor, weights: Tensor) -> Tensor:
    rows = values.new_zeros(len(index), *values.shape[1:])
    _sum_loops(_array(values), _array(index), _array(weights), _array(rows))
    return rows


def _dot(rows: Tensor, index: Tensor, values: Tensor) -> Tensor:
    weights = rows.new_empty(len(index), rows.shape[1], index.shape[1])
    _dot_loops(_array(values), _array(index), _array(weights), _array(rows))
    return weights


def _scatter(rows: Tensor, index: Tensor, weights: Tensor, n: int) -> Tensor:
    values = rows.new_zeros(n, *rows.shape[1:])
    _scatter_loops(_array(values), _array(index), _array(weights), _array(rows))
    return values


@quick_kernel
def _sum_loops(values: Any, index: Any, weights: Any, rows: Any) -> None:
    n, heads, k = weights.shape
    for i in range(n):
        for h in range(heads):
            row = rows[i, h]
            for j in range(k):
                weight, source = weights[i, h, j], values[index[i, j], h]
                for a in range(row.size):
                    row[a] += weight * source[a]


@quick_kernel
def _dot_loops(values: Any, index: Any, weights: Any, rows: Any) -> None:
    n, heads, k = weights.shape
    for i in range(n):
        for h in range(heads):
            row = rows[i, h]
            for j in range(k):
                source = values[index[i, j], h]
                product = row[0] * 0
                for a in range(row.size):
                    product += row[a] * source[a]
                weights[i, h, j] = product


@quick_kernel
def _scatter_loops(values: Any, index: Any, weights: Any, rows: Any) -> None:
    n, heads, k = weights.shape
    for i in range(n):
        for h in range(heads):
            row = rows[i, h]
            for j in range(k):
                weight, target = weights[i, h, j], values[index[i, j], h]
                for a in range(row.size):
                    target[a] += weight * row[a]
