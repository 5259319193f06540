"""The quantile coupling of two clouds on a line, and its gradient, in one walk along both: CPUs only.

PyTorch's way to it takes a dozen arrays the size of all slices, back and forth; here a slice stays in the cache.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from hardscatter.compiled import kernel

Floats = NDArray[np.floating[Any]]
Formula = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def coupled_cost(x: Tensor, y: Tensor, x_mass: Tensor, y_mass: Tensor, formula: Formula) -> Tensor:
    """Return ∫ (F⁻¹(q) − G⁻¹(q))² dq of clouds on S lines, (S,); 0 where a cloud has no mass.

    Parameters
    ----------
    x, y
        Positions, (S, n) and (S, m), on the CPU; neither cloud empty.
    x_mass, y_mass
        Masses, (1 or S, n) and (1 or S, m).
    formula
        The same in PyTorch's terms: for derivatives of the gradient.
    """
    return _Coupled.apply(x, y, x_mass, y_mass, formula)  # type: ignore[no-any-return, no-untyped-call]


class _Coupled(torch.autograd.Function):
    """The cost, with its gradient worked out on the way forward."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, y: Tensor, x_mass: Tensor, y_mass: Tensor, formula: Formula) -> Tensor:
        given = (x, y, x_mass, y_mass)
        points = [tensor.detach().contiguous().numpy() for tensor in given]
        lines = len(x)
        slopes = [np.zeros((lines, array.shape[1]), array.dtype) for array in points]
        cost = np.zeros(lines, points[0].dtype)
        for s in range(lines):
            here = [array[min(s, len(array) - 1)] for array in points]
            orders = [np.argsort(here[0]), np.argsort(here[1])]
            cost[s] = _walk(*here, *orders, *[slope[s] for slope in slopes])
        ctx.formula = formula
        ctx.save_for_backward(*given, *map(torch.from_numpy, slopes))
        return torch.from_numpy(cost)

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, ...]:
        given, slopes = ctx.saved_tensors[:4], ctx.saved_tensors[4:]
        needed = ctx.needs_input_grad[:4]
        if torch.is_grad_enabled():  # somebody wants to differentiate once more
            wanted = [tensor for tensor, need in zip(given, needed, strict=True) if need]
            found = iter(torch.autograd.grad(ctx.formula(*given), wanted, gradient, create_graph=True))
            return (*(next(found) if need else None for need in needed), None)
        result: list[Tensor | None] = []
        for tensor, slope, need in zip(given, slopes, needed, strict=True):
            together = len(tensor) < len(gradient)  # one row of masses for all lines
            flow = gradient.to(slope.dtype)
            weighted = (flow[None] @ slope if together else flow[:, None] * slope) if need else None
            result.append(weighted)
        return (*result, None)


@kernel
def _walk(
    x: Floats, y: Floats, a: Floats, b: Floats, x_order: NDArray[np.int64], y_order: NDArray[np.int64],
    to_x: Floats, to_y: Floats, to_a: Floats, to_b: Floats,
) -> float:  # fmt: skip
    """Return the cost of one line and write its derivatives by positions and masses, which come as zeros.

    At the level q of a partial sum of masses one cloud goes on to its next point: from there on the gap is another,
    so the derivative by that level is the difference of the squared gaps.
    """
    n, m = len(x), len(y)
    x_total, y_total = a.astype(np.float64).sum(), b.astype(np.float64).sum()
    if not (x_total > 0.0 and y_total > 0.0):
        return 0.0
    by_x_level, by_y_level = np.zeros(n), np.zeros(m)
    cost = level = x_scaled = y_scaled = 0.0
    i = j = 0
    x_sum, y_sum = np.float64(a[x_order[0]]), np.float64(b[y_order[0]])
    while True:
        gap = np.float64(x[x_order[i]]) - np.float64(y[y_order[j]])
        x_level = x_sum / x_total if i < n - 1 else 1.0
        y_level = y_sum / y_total if j < m - 1 else 1.0
        x_next = i < n - 1 and (x_level <= y_level or j == m - 1)
        reached = x_level if x_next else y_level
        width = max(reached - level, 0.0)
        level = max(reached, level)
        cost += width * gap * gap
        to_x[x_order[i]] += 2.0 * width * gap
        to_y[y_order[j]] -= 2.0 * width * gap
        if x_next:
            further = np.float64(x[x_order[i + 1]]) - np.float64(y[y_order[j]])
            by_x_level[i] = gap * gap - further * further
            x_scaled += by_x_level[i] * x_level
            i += 1
            x_sum += a[x_order[i]]
        elif j < m - 1:
            further = np.float64(x[x_order[i]]) - np.float64(y[y_order[j + 1]])
            by_y_level[j] = gap * gap - further * further
            y_scaled += by_y_level[j] * y_level
            j += 1
            y_sum += b[y_order[j]]
        else:
            break
    _by_mass(by_x_level, x_scaled, x_total, x_order, to_a)
    _by_mass(by_y_level, y_scaled, y_total, y_order, to_b)
    return cost


@kernel
def _by_mass(by_level: Floats, scaled: float, total: float, order: NDArray[np.int64], to_mass: Floats) -> None:
    """Write derivatives by masses: each lifts all levels from its own on, and the total lowers all."""
    above = 0.0
    for i in range(len(order) - 1, -1, -1):
        above += by_level[i]
        to_mass[order[i]] = (above - scaled) / total
