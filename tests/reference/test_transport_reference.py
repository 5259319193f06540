"""Transport against POT, Python Optimal Transport (Flamary et al., JMLR 22 (2021) 78)."""

from __future__ import annotations

import math

import numpy as np
import ot
import pytest
import torch

from hardscatter.transport import (
    energy_movers_distance,
    entropic_transport,
    exact_transport,
    random_directions,
    sinkhorn_potentials,
    sliced_wasserstein,
    squared_wasserstein_1d,
)
from hardscatter.transport.costs import squared_distance


def clouds(n, m, d, seed):
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=(n, d)), rng.normal(0.3, 1.4, size=(m, d))
    a, b = rng.exponential(size=n), rng.exponential(size=m)
    return tuple(torch.from_numpy(v) for v in (x, y, a / a.sum(), b / b.sum()))


@pytest.mark.parametrize(("n", "m"), [(1, 1), (1, 7), (40, 40), (200, 31)])
def test_line_against_emd2_1d(n, m):
    x, y, a, b = clouds(n, m, 1, seed=n + m)
    expected = ot.emd2_1d(x[:, 0].numpy(), y[:, 0].numpy(), a.numpy(), b.numpy(), metric="sqeuclidean")
    assert squared_wasserstein_1d(x[:, 0], y[:, 0], a, b).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("weighted", [False, True])
def test_slices_against_pot_on_the_same_lines(weighted):
    x, y, a, b = clouds(120, 75, 4, seed=3)
    directions = random_directions(64, 4, torch.Generator().manual_seed(9), x)
    masses = (a, b) if weighted else (None, None)
    numbers = [None if mass is None else mass.numpy() for mass in masses]
    expected = ot.sliced_wasserstein_distance(x.numpy(), y.numpy(), *numbers, projections=directions.T.numpy()) ** 2
    assert sliced_wasserstein(x, y, directions, *masses).item() == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize(("n", "m"), [(1, 5), (20, 20), (60, 35)])
def test_exact_against_emd2(n, m):
    x, y, a, b = clouds(n, m, 2, seed=n)
    cost = squared_distance(x, y).requires_grad_()
    value = exact_transport(cost, a, b)
    expected = ot.emd2(a.numpy(), b.numpy(), cost.detach().numpy())
    assert value.item() == pytest.approx(expected, rel=1e-9)
    value.backward()
    plan = ot.emd(a.numpy(), b.numpy(), cost.detach().numpy())
    assert np.allclose(cost.grad.numpy(), plan, atol=1e-12)


def test_energy_movers_distance_against_emd2_with_a_dump():
    """As EnergyFlow solves it: the lighter event gains a particle at distance 1 (in R) from everything."""
    x, y, a, b = clouds(25, 18, 2, seed=11)
    a, b = 40 * a, 55 * b
    delta_phi = np.remainder(x.numpy()[:, None, 1] - y.numpy()[:, 1] + math.pi, 2 * math.pi) - math.pi
    distance = np.hypot(x.numpy()[:, None, 0] - y.numpy()[:, 0], delta_phi) / 0.7
    distance = np.vstack([distance, np.ones(len(y))])
    expected = ot.emd2(np.append(a.numpy(), 15.0) / 55, b.numpy() / 55, distance) * 55
    assert energy_movers_distance(x, y, a, b, radius=0.7).item() == pytest.approx(expected, rel=1e-9)


def test_sinkhorn_against_pot():
    x, y, a, b = clouds(15, 22, 2, seed=5)
    cost = squared_distance(x, y)
    epsilon = 0.3
    plan = ot.sinkhorn(a.numpy(), b.numpy(), cost.numpy(), epsilon, stopThr=1e-13, method="sinkhorn_log")
    product = a.numpy()[:, None] * b.numpy()
    expected = (plan * cost.numpy()).sum() + epsilon * (plan * np.log(plan / product)).sum()
    assert entropic_transport(cost, a, b, epsilon).item() == pytest.approx(expected, rel=1e-8)
    solution = sinkhorn_potentials(cost, a, b, epsilon)
    ours = product * np.exp((solution.f.numpy()[:, None] + solution.g.numpy() - cost.numpy()) / epsilon)
    assert np.allclose(ours, plan, atol=1e-9)
