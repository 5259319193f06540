"""The walk along two clouds gives what PyTorch's formula gives, and so do its gradients."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hardscatter.transport.coupling import coupled_cost  # noqa: E402
from hardscatter.transport.sorting import _quantile_formula, squared_wasserstein_1d  # noqa: E402


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 4), (9, 1), (30, 11)])
@pytest.mark.parametrize(("dtype", "tolerance"), [(torch.float64, 1e-12), (torch.float32, 1e-5)])
def test_cost_and_gradients(rows, n, m, dtype, tolerance):
    generator = torch.Generator().manual_seed(100 * n + m)
    shapes = ((5, n), (5, m), (rows, n), (rows, m))
    given = [torch.rand(*shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes]
    towards = torch.rand(5, generator=generator, dtype=dtype)
    costs = coupled_cost(*given, _quantile_formula), _quantile_formula(*given)
    gradients = (torch.autograd.grad(cost, given, towards) for cost in costs)
    torch.testing.assert_close(*costs, rtol=tolerance, atol=tolerance)
    for here, there in zip(*gradients, strict=True):
        torch.testing.assert_close(here, there, rtol=tolerance, atol=tolerance)


def test_no_mass_no_cost_no_gradient():
    x, y = torch.rand(2, 4, requires_grad=True), torch.rand(2, 3)
    mass = torch.tensor([[0.0] * 4, [0.0, 1.0, 0.0, 2.0]])
    cost = coupled_cost(x, y, mass, torch.ones(1, 3), _quantile_formula)
    cost.sum().backward()
    assert cost[0] == 0
    assert (x.grad[0] == 0).all()
    assert x.grad[1].tolist()[::2] == [0, 0]


def test_axes_before_the_last_may_be_any():
    x, y, mass = torch.rand(2, 3, 6), torch.rand(2, 3, 4), torch.rand(3, 6)
    together = squared_wasserstein_1d(x, y, mass)
    assert together.shape == (2, 3)
    assert together[1, 2] == squared_wasserstein_1d(x[1, 2], y[1, 2], mass[2])
