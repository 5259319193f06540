"""Sums and dot products over neighbours by compiled loops: results, gradients, the other way."""

from __future__ import annotations

import pytest

torch = pytest.importorskip("torch")

from hardscatter.nets.gather import gather_dot, gather_sum  # noqa: E402


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


def inputs_of_heads(dtype=torch.float64, heads=3, n=9, q=7, k=4, width=5):
    generator = torch.Generator().manual_seed(2)
    shapes = (n, heads, width), (q, heads, width), (q, heads, k)
    values, rows, weights = (
        torch.randn(*shape, generator=generator, dtype=dtype, requires_grad=True) for shape in shapes
    )
    return values, rows, weights, torch.randint(0, n, (q, k), generator=generator)


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32])
def test_heads_are_summed_and_multiplied_on_their_own(dtype):
    values, rows, weights, index = inputs_of_heads(dtype)
    flows = torch.randn(7, 3, 5, dtype=dtype), torch.randn(7, 3, 4, dtype=dtype)
    pairs = (
        (gather_sum(values, index, weights), torch.einsum("qhk,qkha->qha", weights, values[index])),
        (gather_dot(rows, index, values), torch.einsum("qha,qkha->qhk", rows, values[index])),
    )
    for (ours, theirs), inner, flow in zip(pairs, (weights, rows), flows, strict=True):
        torch.testing.assert_close(ours, theirs)
        torch.testing.assert_close(
            torch.autograd.grad(ours, (values, inner), flow), torch.autograd.grad(theirs, (values, inner), flow)
        )


def test_gradcheck_of_heads_and_of_one_alone():
    values, rows, weights, index = inputs_of_heads()
    assert torch.autograd.gradcheck(lambda v, w: gather_sum(v, index, w), (values, weights))
    assert torch.autograd.gradcheck(lambda r, v: gather_dot(r, index, v), (rows, values))
    assert torch.autograd.gradcheck(lambda r, v: gather_dot(r[:, 0], index, v[:, 0]), (rows, values))


def test_only_what_wants_a_gradient_gets_one():
    values, rows, _, index = inputs_of_heads()
    gather_dot(rows, index, values.detach()).sum().backward()
    assert values.grad is None
    torch.testing.assert_close(rows.grad, values.detach()[index].sum(1))


@pytest.mark.parametrize("heads", [False, True])
def test_other_devices_and_export_give_the_same(heads, monkeypatch):
    values, rows, weights, index = inputs_of_heads(torch.float32)
    if not heads:
        values, rows, weights = (part[:, 0] for part in (values, rows, weights))
    wanted = gather_sum(values, index, weights), gather_dot(rows, index, values)
    monkeypatch.setattr("hardscatter.nets.gather._compiled_loops_serve", lambda values: False)
    torch.testing.assert_close((gather_sum(values, index, weights), gather_dot(rows, index, values)), wanted)
    monkeypatch.setattr(torch.compiler, "is_exporting", lambda: True)
    torch.testing.assert_close((gather_sum(values, index, weights), gather_dot(rows, index, values)), wanted)


@pytest.mark.parametrize("n", [0, 3])
def test_nobody_asks(n):
    values = torch.randn(n, 2, 5, requires_grad=True)
    index, none = torch.zeros(0, 4, dtype=torch.int64), torch.zeros(0, 2, 5, requires_grad=True)
    assert gather_dot(none, index, values).shape == (0, 2, 4)
    result = gather_sum(values, index, torch.ones(0, 2, 4))
    assert result.shape == (0, 2, 5)
    result.sum().backward()
    assert not values.grad.any()


def test_dot_products_of_half_precision_are_widened():
    values, rows, _, index = inputs_of_heads()
    values, rows = (part.detach().bfloat16().requires_grad_() for part in (values, rows))
    result = gather_dot(rows, index, values)
    assert result.dtype == torch.float32
    result.sum().backward()
    assert values.grad.dtype == rows.grad.dtype == torch.bfloat16
