"""Ground distances between all particles of two small clouds, and the gradient of a minimum."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor


def squared_distance(x: Tensor, y: Tensor) -> Tensor:
    """Return |x_i − y_j|²: (n, d) and (m, d) become (n, m)."""
    return (x[:, None] - y[None]).square().sum(dim=-1)


def squared_delta_r(x: Tensor, y: Tensor) -> Tensor:
    """Return ΔR² = Δη² + Δφ², Δφ (rad) the short way round: (n, 2) and (m, 2) of (eta, phi) become (n, m)."""
    difference = x[:, None] - y[None]
    phi = torch.remainder(difference[..., 1] + math.pi, 2 * math.pi) - math.pi
    return difference[..., 0].square() + phi.square()


def delta_r(x: Tensor, y: Tensor) -> Tensor:
    """Return ΔR as `squared_delta_r` does its square; its gradient at distance 0, which has none, is 0."""
    squared = squared_delta_r(x, y)
    apart = squared > 0
    return torch.where(apart, torch.where(apart, squared, 1.0).sqrt(), 0.0)


class _Envelope(torch.autograd.Function):
    """The value of a transport problem, with the gradient that its solution gives for nothing.

    By the envelope theorem the minimum over plans P of ⟨P, C⟩ (with or without entropy), given the marginals a and
    b, has the gradients P in C and the dual potentials f in a and g in b.
    """

    @staticmethod
    def forward(
        ctx: Any, cost: Tensor, a: Tensor, b: Tensor, value: Tensor, plan: Tensor, f: Tensor, g: Tensor
    ) -> Tensor:
        ctx.save_for_backward(plan.to(cost), f.to(a), g.to(b))
        return value.to(cost)

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor | None, ...]:
        return (*(gradients[0] * solution for solution in ctx.saved_tensors), None, None, None, None)


def with_envelope(
    cost: Tensor, marginals: tuple[Tensor, Tensor], value: Tensor, plan: Tensor, potentials: tuple[Tensor, Tensor]
) -> Tensor:
    """Return `value`, differentiable once in the cost (n, m) and the marginals (n,), (m,).

    Potentials are defined up to a constant, f + c and g − c: so only changes of the marginals that keep their totals
    equal have a meaning.
    """
    result: Tensor = _Envelope.apply(cost, *marginals, value, plan, *potentials)  # type: ignore[no-untyped-call]
    return result
