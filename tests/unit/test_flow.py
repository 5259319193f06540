"""Local energy flow: its minimum, its cells, its bad input."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.transport import LocalFlow  # noqa: E402


def cloud(n, seed, low=0.5, high=5.0):
    rng = np.random.default_rng(seed)
    pt, eta, phi = rng.uniform(low, high, n), rng.uniform(-4, 4, n), rng.uniform(-np.pi, np.pi, n)
    return torch.tensor(np.stack([pt, eta, phi, pt * np.cosh(eta)], axis=1))


def one(weights, here, there, flow=None, seed=1):
    flow = flow or LocalFlow()
    generator = torch.Generator().manual_seed(seed)
    offsets, target_offsets = torch.tensor([0, len(here)]), torch.tensor([0, len(there)])
    return flow(weights, here, offsets, there, target_offsets, generator)[0]


def test_deleting_exactly_the_pileup_costs_nothing_and_keeping_it_costs():
    hard, pileup = cloud(40, 1), cloud(200, 2)
    both = torch.cat([hard, pileup])
    kept = torch.cat([torch.ones(40), torch.zeros(200)]).double()
    assert one(kept, both, hard) < 1e-25
    assert one(torch.ones(240).double(), both, hard) > one(0.5 * (1 + kept), both, hard) > 0


def test_one_cell_by_hand():
    here = torch.tensor([[3.0, 0.1, 0.0, 3.1], [2.0, 0.1, 0.0, 2.1]], dtype=torch.float64)
    there = torch.tensor([[4.0, 0.1, 0.0, 4.1]], dtype=torch.float64)
    flow = LocalFlow(sizes=(0.4,), floor=1.5, unit=0.5, scale=2.0)
    weights = torch.tensor([0.5, 0.25], dtype=torch.float64)
    expected = 2.0 * (0.5 * 3 + 0.25 * 2 - 4.0) ** 2 / (1.5 + 0.5 * 5.0)
    assert one(weights, here, there, flow) == pytest.approx(expected, rel=1e-12)


def test_the_best_weight_of_a_cell_is_the_mean_of_what_it_may_hold():
    """Two crossings that look alike, one with a target and one without: the loss has its minimum at the mean."""
    here = torch.tensor([[4.0, 0.1, 0.0, 4.1]] * 2, dtype=torch.float64)
    there = torch.tensor([[3.0, 0.1, 0.0, 3.1]], dtype=torch.float64)
    flow = LocalFlow(sizes=(0.4, 0.8))

    def loss(w):
        weights = torch.full((2,), w, dtype=torch.float64)
        offsets, targets = torch.tensor([0, 1, 2]), torch.tensor([0, 1, 1])
        return float(flow(weights, here, offsets, there, targets, torch.Generator().manual_seed(3)).sum())

    tried = np.linspace(0, 1, 81)
    assert tried[int(np.argmin([loss(w) for w in tried]))] == pytest.approx(1.5 / 4.0)


def test_cells_are_periodic_in_phi():
    here = torch.tensor([[3.0, 0.0, math.pi - 1e-3, 3.0]], dtype=torch.float64)
    there = torch.tensor([[3.0, 0.0, -math.pi + 1e-3, 3.0]], dtype=torch.float64)
    values = [float(one(torch.ones(1).double(), here, there, LocalFlow(sizes=(0.4,)), seed)) for seed in range(200)]
    assert np.mean(np.array(values) > 0) < 0.1  # an edge falls between them now and then, π is no edge


def test_gradients_are_exact():
    here, there = cloud(12, 3), cloud(7, 4)
    weights = torch.rand(12, dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda w: one(w, here, there), (weights,))


def test_crossings_of_a_batch_do_not_see_each_other():
    a, b, there = cloud(30, 5), cloud(20, 6), cloud(10, 7)
    weights = torch.rand(50, dtype=torch.float64)
    flow = LocalFlow(sizes=(0.4,))
    together = flow(
        weights, torch.cat([a, b]), torch.tensor([0, 30, 50]), torch.cat([there, there]), torch.tensor([0, 10, 20]),
        torch.Generator().manual_seed(1),
    )  # fmt: skip
    changed = flow(
        torch.cat([weights[:30], torch.zeros(20)]), torch.cat([a, b]), torch.tensor([0, 30, 50]),
        torch.cat([there, there]), torch.tensor([0, 10, 20]), torch.Generator().manual_seed(1),
    )  # fmt: skip
    assert together[0] == changed[0]
    assert together[1] != changed[1]


def test_empty_crossings_cost_nothing():
    none = torch.zeros(0, 4, dtype=torch.float64)
    assert one(torch.zeros(0).double(), none, none) == 0
    there = cloud(3, 1)
    assert one(torch.zeros(0).double(), none, there) > 0


def test_bad_settings_and_no_generator():
    with pytest.raises(SettingsError, match="random places"):
        LocalFlow()(torch.ones(1), torch.ones(1, 4), torch.tensor([0, 1]), torch.ones(1, 4), torch.tensor([0, 1]))
    for wrong in ({"sizes": ()}, {"sizes": (0.0,)}, {"floor": 0.0}, {"unit": -1.0}, {"other": 1}):
        with pytest.raises(ValueError, match=next(iter(wrong))):
            LocalFlow(**wrong)
