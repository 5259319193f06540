"""Populations of cells: closed forms, what they tell apart, what they are blind to."""

from __future__ import annotations

import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch.autograd import gradcheck  # noqa: E402

from hardscatter.errors import InvalidEventsError, SettingsError  # noqa: E402
from hardscatter.transport import Population, cramer_1d, random_directions  # noqa: E402
from hardscatter.transport.cells import Grid  # noqa: E402

COARSE = Population(sizes=(0.8, 1.6), slices=8, unit=4.0)


def particles(n, seed, low=0.5, high=20.0):
    rng = np.random.default_rng(seed)
    pt, eta, phi = rng.uniform(low, high, n), rng.uniform(-4, 4, n), rng.uniform(-np.pi, np.pi, n)
    return torch.tensor(np.stack([pt, eta, phi, pt * np.cosh(eta)], axis=1))


def charges(n, seed):
    return torch.tensor(np.random.default_rng(seed).integers(-1, 2, n))


def loss(weights, here, there, charge=None, target_charge=None, *, population=COARSE, cuts=None, seed=1):
    offsets, target_offsets = cuts or (torch.tensor([0, len(here)]), torch.tensor([0, len(there)]))
    generator = torch.Generator().manual_seed(seed)
    return population(weights, here, offsets, there, target_offsets, generator, charge, target_charge)


def ones(n):
    return torch.ones(n, dtype=torch.float64)


# Cramér's distance


def test_cramer_of_two_points_is_their_distance():
    x, y, one = torch.tensor([[1.0], [4.0]]).double(), torch.tensor([[3.0], [3.5]]).double(), ones(1)
    assert cramer_1d(x, y, one, one).tolist() == [2.0, 0.5]


def test_cramer_by_hand_with_masses():
    """Mass shares 1/4 at 0 and 3/4 at 2 against all at 1: (1/4)² over one unit and (1/4 − 1)² over the next."""
    x, y = torch.tensor([2.0, 0.0]).double(), torch.tensor([1.0]).double()
    value = cramer_1d(x, y, torch.tensor([3.0, 1.0]).double(), torch.tensor([7.0]).double())
    assert value.item() == pytest.approx(1 / 16 + 9 / 16, rel=1e-12)


def test_cramer_is_half_the_energy_distance():
    rng = np.random.default_rng(2)
    x, y = (torch.tensor(rng.normal(size=n)) for n in (7, 5))
    a, b = (torch.tensor(rng.uniform(size=n)) for n in (7, 5))
    a_share, b_share = a / a.sum(), b / b.sum()

    def mean(p, q, left, right):
        return left @ (p[:, None] - q[None]).abs() @ right

    energy = 2 * mean(x, y, a_share, b_share) - mean(x, x, a_share, a_share) - mean(y, y, b_share, b_share)
    assert cramer_1d(x, y, a, b).item() == pytest.approx(energy.item() / 2, rel=1e-12)


def test_cramer_gradients_are_exact():
    rng = np.random.default_rng(3)
    x, y, a, b = (torch.tensor(rng.uniform(size=s)).requires_grad_() for s in ((2, 5), (2, 4), (5,), (4,)))
    assert gradcheck(cramer_1d, (x, y, a, b))


def test_cramer_of_nothing_is_nothing_and_shapes_are_checked():
    x, none = ones(3), ones(0)
    assert cramer_1d(x, none, x, none) == cramer_1d(none, none, none, none) == cramer_1d(x, x + 1, 0 * x, x) == 0
    with pytest.raises(InvalidEventsError, match="equal leading axes"):
        cramer_1d(ones(2)[:, None], ones(3)[:, None], ones(1), ones(1))


# Cells


@pytest.mark.parametrize("size", [0.3, 1.6, math.pi])
def test_particles_lie_in_the_cell_whose_centre_is_nearest_in_eta(size):
    moved = torch.rand(3, 2, generator=torch.Generator().manual_seed(4), dtype=torch.float64)
    grid = Grid(size, moved, reach=5.0)
    event = torch.arange(60) % 3
    here = particles(60, 5)
    centres = grid.centres()
    assert len(centres) == 3 * grid.cells_of_event
    cell = grid.cells(here, event)
    assert torch.equal(cell // grid.cells_of_event, event)
    assert ((centres[cell] - here[:, 1]).abs() <= size / 2 + 1e-9).all()


# The loss


def test_two_full_cells_by_hand():
    """All lies in one cell of each population, the same one: the energy distance of all cells, pair by pair."""
    population = Population(sizes=(math.pi,), slices=64, unit=2.0 * 0.4 / math.pi, scale=3.0, balance=0.5)
    here = torch.tensor([[3.0, 0.2, 0.1, 3.1], [5.0, 0.2, 0.1, 5.1]], dtype=torch.float64)
    there = torch.tensor([[4.0, 0.2, 0.1, 4.1]], dtype=torch.float64)
    weights = torch.tensor([0.5, 0.8], dtype=torch.float64)
    charge, target_charge = torch.tensor([1, 0]), torch.tensor([0])
    value = loss(weights, here, there, charge, target_charge, population=population, seed=6).item()
    # The same draws in the same order: offsets of the cells, then directions.
    generator = torch.Generator().manual_seed(6)
    grid = Grid(math.pi, torch.rand(1, 1, 2, generator=generator, dtype=torch.float64)[:, 0], 5.0)
    cell = grid.cells(here, torch.zeros(2, dtype=torch.int64))[0]
    x = torch.stack([0 * grid.centres(), 0 * grid.centres(), grid.centres().abs() / 4], dim=1)
    y, mass, target_mass = x.clone(), ones(len(x)), ones(len(x))
    x[cell, :2] = torch.tensor([math.asinh(0.5 * 3 / 2), math.asinh(0.8 * 5 / 2)], dtype=torch.float64)
    y[cell, 1] = math.asinh(4 / 2)
    mass[cell], target_mass[cell] = math.sqrt(1 + (1.5 + 4.0) / 2), math.sqrt(1 + 4 / 2)
    a, b = mass / mass.sum(), target_mass / target_mass.sum()
    expected = 0.0
    for direction in random_directions(64, 3, generator, x):
        p, q = x @ direction, y @ direction
        z, share = torch.cat([p, q]), torch.cat([a, -b])
        expected -= (share @ (z[:, None] - z[None]).abs() @ share).item() / 2 / 64
    unit = population.unit
    balance = math.log((unit + 1.5) / unit) ** 2 + math.log((unit + 4) / (unit + 4)) ** 2
    assert value == pytest.approx(3.0 * (0.4 / math.pi) ** 2 * expected + 0.5 * balance, rel=1e-9)


def test_it_hardly_matters_who_is_compared_with_whom_and_pileup_does():
    """The same two crossings, swapped: all that differs is where the cells of each lie."""
    a, b, pileup = particles(30, 7), particles(20, 8), particles(900, 9, 0.2, 2.0)
    charge = charges(50, 10)
    swapped = torch.cat([charge[30:], charge[:30]])
    population = Population(sizes=(math.pi,), slices=8)
    cuts = torch.tensor([0, 30, 50]), torch.tensor([0, 20, 50])
    everything = torch.cat([a, b])
    paired = loss(ones(50), everything, everything, charge, charge, population=population, cuts=(cuts[0], cuts[0]))
    other = loss(ones(50), everything, torch.cat([b, a]), charge, swapped, population=population, cuts=cuts)
    assert paired.abs().max() < 1e-12
    dirty = torch.cat([everything, pileup])
    polluted = loss(
        ones(950), dirty, torch.cat([b, a]), torch.cat([charge, charges(900, 11)]), swapped, population=population,
        cuts=(torch.tensor([0, 30, 950]), cuts[1]),
    )  # fmt: skip
    assert other[0] == other[1] < 0.1 * polluted[0]


def test_charge_tells_apart_what_momentum_alone_does_not():
    here = particles(40, 12)
    charge = charges(40, 13)
    other = (charge == 0).long()  # neutral where the other is charged
    assert loss(ones(40), here, here).item() == pytest.approx(0, abs=1e-12)
    assert loss(ones(40), here, here, charge, charge).item() == pytest.approx(0, abs=1e-12)
    assert loss(ones(40), here, here, charge, other).item() > 1e-3


def test_gradients_are_exact():
    here, there = particles(9, 14), particles(6, 15)
    weights = (0.2 + 0.6 * torch.rand(9, generator=torch.Generator().manual_seed(16)).double()).requires_grad_()
    charge, target_charge = charges(9, 17), charges(6, 18)
    assert gradcheck(lambda w: loss(w, here, there, charge, target_charge).sum(), (weights,))


def test_less_pileup_costs_less_down_to_none_and_less_of_the_hard_collision_costs_more():
    hard, pileup, other = particles(30, 19, 5.0, 40.0), particles(600, 20, 0.2, 2.0), particles(30, 21, 5.0, 40.0)
    both = torch.cat([hard, pileup])

    def value(kept, leaked):
        return loss(torch.cat([kept * ones(30), leaked * ones(600)]), both, other).item()

    assert value(1, 1) > value(1, 0.5) > value(1, 0.2) > value(1, 0)
    assert value(0, 0) > value(0.2, 0) > value(0.5, 0) > value(1, 0)


def test_whole_turns_and_order_do_not_matter():
    here, there = particles(40, 22), particles(25, 23)
    weights, charge, target_charge = torch.rand(40).double(), charges(40, 24), charges(25, 25)
    value = loss(weights, here, there, charge, target_charge).item()
    turned = here.clone()
    turned[::3, 2] += 2 * math.pi
    turned[1::3, 2] -= 4 * math.pi
    assert loss(weights, turned, there, charge, target_charge).item() == pytest.approx(value, rel=1e-9)
    i, j = torch.randperm(40), torch.randperm(25)
    mixed = loss(weights[i], here[i], there[j], charge[i], target_charge[j]).item()
    assert mixed == pytest.approx(value, rel=1e-9)


def test_all_events_have_the_value_of_the_batch_and_empty_ones_are_part_of_it():
    here, there = particles(20, 26), particles(10, 27)
    cuts = torch.tensor([0, 0, 20]), torch.tensor([0, 6, 10])
    weights = ones(20).requires_grad_()
    value = loss(weights, here, there, cuts=cuts)
    assert value.shape == (2,)
    assert value[0] == value[1] > 0
    value.mean().backward()
    assert torch.isfinite(weights.grad).all()
    none = torch.zeros(0, 4, dtype=torch.float64)
    assert loss(ones(0), none, none).tolist() == [0.0]
    start = torch.tensor([0])
    assert loss(ones(0), none, none, cuts=(start, start)).shape == (0,)


def test_bad_settings_charges_and_no_generator():
    here = particles(3, 28)
    cuts = torch.tensor([0, 3])
    with pytest.raises(SettingsError, match="random places"):
        Population()(ones(3), here, cuts, here, cuts)
    with pytest.raises(InvalidEventsError, match="one charge a particle"):
        loss(ones(3), here, here, charges(2, 1), charges(3, 1))
    bad = ({"sizes": ()}, {"sizes": (4.0,)}, {"slices": 0}, {"unit": 0.0}, {"scale": -1.0}, {"balance": -1.0}, {"x": 1})
    for wrong in bad:
        with pytest.raises(ValueError, match=next(iter(wrong))):
            Population(**wrong)
