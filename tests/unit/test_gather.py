"""Sums over neighbours by compiled loops: the sums, the gradients, the other way."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hardscatter.nets.gather import gather_sum  # noqa: E402


def inputs(dtype=torch.float64, n=9, q=7, k=4, width=5):
    generator = torch.Generator().manual_seed(1)
    values = torch.randn(n, width, generator=generator, dtype=dtype, requires_grad=True)
    index = torch.randint(0, n, (q, k), generator=generator)
    weights = torch.rand(q, k, generator=generator, dtype=dtype, requires_grad=True)
    return values, index, weights


def plainly(values, index, weights):
    return (weights[..., None] * values[index]).sum(1)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_the_sum_and_its_gradients_are_those_of_plain_pytorch(dtype):
    values, index, weights = inputs(dtype)
    torch.testing.assert_close(gather_sum(values, index, weights), plainly(values, index, weights))
    flow = torch.randn(7, 5, dtype=dtype)
    ours = torch.autograd.grad(gather_sum(values, index, weights), (values, weights), flow)
    theirs = torch.autograd.grad(plainly(values, index, weights), (values, weights), flow)
    torch.testing.assert_close(ours, theirs)


def test_gradcheck():
    values, index, weights = inputs()
    assert torch.autograd.gradcheck(lambda v, w: gather_sum(v, index, w), (values, weights))


def test_half_precision_is_widened_and_gradients_come_back_as_they_went():
    values, index, weights = inputs()
    values, weights = (part.detach().bfloat16().requires_grad_() for part in (values, weights))
    result = gather_sum(values, index, weights)
    assert result.dtype == torch.float32
    result.sum().backward()
    assert values.grad.dtype == weights.grad.dtype == torch.bfloat16


@pytest.mark.parametrize(("n", "q"), [(0, 0), (3, 0)])
def test_nothing_to_gather(n, q):
    values, index = torch.randn(n, 5, requires_grad=True), torch.zeros(q, 4, dtype=torch.int64)
    result = gather_sum(values, index, torch.ones(q, 4, requires_grad=True))
    assert result.shape == (q, 5)
    result.sum().backward()
    assert values.grad is None or not values.grad.any()
