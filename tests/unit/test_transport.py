"""Transport: closed forms, exact gradients, edges and sentences."""

from __future__ import annotations

import math

import pytest
import torch
from pydantic import ValidationError
from torch.autograd import gradcheck, gradgradcheck

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.transport import (
    LOSSES,
    MissingMomentum,
    Sinkhorn,
    energy_movers_distance,
    entropic_transport,
    exact_transport,
    get_loss,
    padded_sliced_wasserstein,
    random_directions,
    sinkhorn_potentials,
    sliced_wasserstein,
    sort_values,
    sort_with_order,
    squared_wasserstein_1d,
)
from hardscatter.transport.costs import delta_r, squared_delta_r, squared_distance

SMALL = {
    "sinkhorn": {"epsilon": 0.5, "tolerance": 1e-12},
    "swd:paper": {"slices": 5},
    "swd:mass": {"slices": 5},
    "population": {"sizes": (0.4, 1.6), "slices": 5},
}


def seeded(seed=0):
    return torch.Generator().manual_seed(seed)


def random(*shape, seed=0):
    return torch.rand(*shape, generator=seeded(seed), dtype=torch.float64)


def particles(n, seed=0, dtype=torch.float64):
    u = random(n, 4, seed=seed)
    pt, eta, phi = 0.3 - 4 * u[:, 0].log(), 6 * u[:, 1] - 3, 2 * math.pi * u[:, 2] - math.pi
    return torch.stack([pt, eta, phi, pt * eta.cosh()], dim=1).to(dtype)


def one(features):
    return torch.tensor([0, len(features)])


def crossing(n_hard=7, n_pileup=12, seed=0):
    """Hard particles, then pileup; weights that delete exactly the pileup."""
    features = particles(n_hard + n_pileup, seed)
    weights = torch.cat([torch.ones(n_hard), torch.zeros(n_pileup)]).double()
    return weights, features, one(features), features[:n_hard], torch.tensor([0, n_hard])


# Sorting in one dimension


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("threads", [1, 64])
def test_sorting_both_ways(dtype, threads, monkeypatch):
    monkeypatch.setattr(torch, "get_num_threads", lambda: threads)
    x = torch.randn(3, 4, 50, generator=seeded(), dtype=dtype)
    values, order = sort_with_order(x)
    assert torch.equal(values, x.sort(dim=-1).values)
    assert torch.equal(x.gather(-1, order), values)
    assert torch.equal(sort_values(x), values)
    assert not order.requires_grad


def test_sorted_values_are_differentiable_twice():
    x = random(2, 6).requires_grad_()
    assert gradcheck(sort_values, x)
    assert gradgradcheck(sort_values, x)


def test_diracs_and_shifts_on_a_line():
    one_point = torch.tensor([2.0])
    assert squared_wasserstein_1d(one_point, torch.tensor([5.0])) == 9.0
    x = torch.randn(3, 40, generator=seeded())
    assert torch.allclose(squared_wasserstein_1d(x, x.flip(-1) + 0.5), torch.full((3,), 0.25))
    # All mass of one cloud on a single point: second moment about it.
    assert torch.allclose(squared_wasserstein_1d(x, torch.zeros(3, 1)), x.square().mean(-1))


def test_gaussians_on_a_line():
    """W² = (μ − ν)² + (σ − τ)², with quantile points of a million-fold sample's accuracy."""
    levels = (torch.arange(20_000, dtype=torch.float64) + 0.5) / 20_000
    normal = math.sqrt(2) * torch.erfinv(2 * levels - 1)
    levels = (torch.arange(7_000, dtype=torch.float64) + 0.5) / 7_000
    other = math.sqrt(2) * torch.erfinv(2 * levels - 1)
    value = squared_wasserstein_1d(1.0 + 2.0 * normal, -0.5 + 0.7 * other)
    assert value == pytest.approx(1.5**2 + 1.3**2, rel=1e-3)


def test_masses_are_repeated_points():
    x, y = random(9, seed=1), random(14, seed=2)
    repeats = torch.tensor([1, 2, 0, 3, 1, 4, 1, 1, 1])
    expected = squared_wasserstein_1d(x.repeat_interleave(repeats), y)
    assert squared_wasserstein_1d(x, y, repeats.double()) == pytest.approx(expected.item(), rel=1e-12)
    assert squared_wasserstein_1d(x, y, 3.7 * repeats.double()) == pytest.approx(expected.item(), rel=1e-12)


def test_weighted_gradients_are_exact():
    x, y, a, b = (random(2, n, seed=i).requires_grad_() for i, n in enumerate((6, 8, 6, 8)))
    assert gradcheck(squared_wasserstein_1d, (x, y, a, b))
    assert gradgradcheck(squared_wasserstein_1d, (x, y, a, b))


def test_massless_points_know_what_mass_would_bring():
    x, y = random(9, seed=3), random(5, seed=4)
    mass = torch.tensor([1, 0, 0, 2, 0, 1, 0, 0, 1.5]).double().requires_grad_()
    squared_wasserstein_1d(x, y, mass).backward()
    step = 1e-7
    for i in range(len(x)):
        moved = mass.detach().clone()
        moved[i] += step
        slope = (squared_wasserstein_1d(x, y, moved) - squared_wasserstein_1d(x, y, mass.detach())) / step
        assert mass.grad[i] == pytest.approx(slope.item(), rel=1e-5, abs=1e-6)


def test_nothing_to_move_costs_nothing():
    x, empty = random(4).requires_grad_(), torch.zeros(0, dtype=torch.float64)
    assert squared_wasserstein_1d(empty, empty) == 0
    assert squared_wasserstein_1d(x, empty) == 0
    value = squared_wasserstein_1d(x, random(3), torch.zeros(4, dtype=torch.float64))
    value.backward()
    assert value == 0
    assert torch.isfinite(x.grad).all()


def test_leading_axes_must_agree():
    with pytest.raises(InvalidEventsError, match="leading axes"):
        squared_wasserstein_1d(torch.zeros(2, 3), torch.zeros(3, 3))


# Slices


def test_directions_are_unit_seeded_and_the_same_in_any_precision():
    directions = random_directions(100, 4, seeded(5), torch.zeros(1).double())
    assert torch.allclose(directions.norm(dim=1), torch.ones(100).double())
    assert torch.equal(directions.float(), random_directions(100, 4, seeded(5), torch.zeros(1)))
    assert not torch.equal(directions, random_directions(100, 4, seeded(6), directions))


def test_shift_in_space():
    """A shift by v costs |v|² / d on average over all directions, and the mean of (θ·v)² over those drawn."""
    x = random(30, 4)
    v = torch.tensor([1.0, -2.0, 0.5, 3.0]).double()
    directions = random_directions(20_000, 4, seeded(), x)
    value = sliced_wasserstein(x, x + v, directions)
    assert value == pytest.approx((directions @ v).square().mean().item(), rel=1e-10)
    assert value == pytest.approx((v @ v / 4).item(), rel=0.03)


def test_padding_goes_to_the_origin():
    x, y = random(5, 3) - 0.5, random(2, 3, seed=1) - 0.5
    directions = random_directions(7, 3, seeded(), x)
    zeros = torch.zeros(10, 3).double()
    filled = squared_wasserstein_1d(directions @ x.T, directions @ torch.cat([y, zeros[:3]]).T).mean()
    assert padded_sliced_wasserstein(x, y, directions) == pytest.approx(filled.item(), rel=1e-12)
    slots = squared_wasserstein_1d(
        directions @ torch.cat([x, zeros[:7]]).T, directions @ torch.cat([y, zeros]).T
    ).mean()
    assert padded_sliced_wasserstein(x, y, directions, slots=12) == pytest.approx(slots.item(), rel=1e-12)


def test_sliced_gradients_are_exact():
    x, y, a, b = (random(*s, seed=i).requires_grad_() for i, s in enumerate([(6, 3), (4, 3), (6,), (4,)]))
    directions = random_directions(5, 3, seeded(), x.detach())
    assert gradcheck(lambda *t: padded_sliced_wasserstein(*t, directions), (x, y))
    assert gradcheck(lambda x, y, a, b: sliced_wasserstein(x, y, directions, a, b), (x, y, a, b))


# The losses by name


@pytest.mark.parametrize("name", list(LOSSES))
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_deleting_pileup_is_free_and_keeping_it_is_not(name, dtype):
    weights, features, offsets, target, target_offsets = (
        t.to(dtype) if t.is_floating_point() else t for t in crossing()
    )
    clean, half, dirty = (
        get_loss(name)(w, features, offsets, target, target_offsets, seeded())
        for w in (weights, 0.5 + 0.5 * weights, torch.ones_like(weights))
    )
    assert clean.shape == (1,)
    assert clean.dtype == dtype
    assert clean.item() == pytest.approx(0, abs=1e-5)
    assert dirty.item() > half.item() > 10 * abs(clean.item())


@pytest.mark.parametrize("name", list(LOSSES))
def test_loss_gradients_in_the_weights_are_exact(name):
    loss = get_loss(name, **SMALL.get(name, {}))
    features, target = particles(7), particles(5, seed=1)
    weights = (0.2 + 0.6 * random(7)).requires_grad_()
    assert gradcheck(lambda w: loss(w, features, one(features), target, one(target), seeded()), weights, atol=1e-4)


@pytest.mark.parametrize("name", [name for name in LOSSES if name != "population"])  # which pools events on purpose
def test_ragged_events_down_to_none(name):
    sizes, target_sizes = [0, 1, 9, 0, 1, 4], [0, 0, 3, 2, 1, 4]
    offsets, target_offsets = (torch.tensor([0, *s]).cumsum(0) for s in (sizes, target_sizes))
    features, target = particles(sum(sizes)), particles(sum(target_sizes), seed=1)
    weights = random(sum(sizes)).requires_grad_()
    together = get_loss(name)(weights, features, offsets, target, target_offsets, seeded())
    together.sum().backward()
    assert torch.isfinite(weights.grad).all()
    assert together[0] == 0
    source = seeded()
    alone = [
        get_loss(name)(w, f, one(f), t, one(t), source)
        for w, f, t in zip(weights.split(sizes), features.split(sizes), target.split(target_sizes), strict=True)
    ]
    assert torch.equal(torch.cat(alone), together)
    none = get_loss(name)(weights[:0], features[:0], offsets[:1], target[:0], offsets[:1], seeded())
    assert none.shape == (0,)


@pytest.mark.parametrize("name", ["swd:paper", "swd:masked", "swd:mass"])
def test_the_seed_decides(name):
    weights, features, *rest = crossing()
    values = [get_loss(name)(weights * 0.5 + 0.3, features, *rest, seeded(s)) for s in (1, 1, 2)]
    assert torch.equal(values[0], values[1])
    assert not torch.equal(values[0], values[2])
    with pytest.raises(SettingsError, match="give a generator"):
        get_loss(name)(weights, features, *rest)


def test_published_loss_by_hand():
    """One particle of weight w against none: w² (θ·x)², times 1000."""
    features = torch.tensor([[math.e, 1.0, -2.0, math.exp(0.871)]], dtype=torch.float64)  # x = (1, −2, 1, 0)
    weight = torch.tensor([0.5]).double()
    value = get_loss("swd:paper")(weight, features, one(features), features[:0], torch.tensor([0, 0]), seeded(3))
    directions = random_directions(128, 4, seeded(3), features)
    expected = 1000 * 0.25 * (directions @ torch.tensor([1.0, -2.0, 1.0, 0.0]).double()).square().mean()
    assert value.item() == pytest.approx(expected.item(), rel=1e-12)
    slots = get_loss("swd:paper", slots=10)(
        weight, features, one(features), features[:0], torch.tensor([0, 0]), seeded(3)
    )
    assert slots.item() == pytest.approx(expected.item() / 10, rel=1e-12)


@pytest.mark.parametrize("name", ["swd:masked", "swd:mass", "sinkhorn"])
def test_a_wrong_total_is_priced(name):
    features = particles(6)
    arguments = (torch.full((6,), 1 / 3).double(), features, one(features), features, one(features), seeded())
    assert get_loss(name)(*arguments).item() == pytest.approx(0.25, rel=1e-6)
    assert get_loss(name, mass_penalty=0.0)(*arguments).item() == pytest.approx(0, abs=1e-9)


def test_missing_momentum_by_hand():
    features = torch.tensor([[3.0, 0.0, 0.0, 3.0], [4.0, 1.0, math.pi / 2, 6.2]], dtype=torch.float64)
    target = torch.tensor([[1.0, 0.0, math.pi, 1.0]], dtype=torch.float64)
    value = MissingMomentum(scale=0.1)(torch.tensor([1.0, 0.5]).double(), features, one(features), target, one(target))
    assert value.item() == pytest.approx(0.1 * (16 + 4))


# Entropic and exact


def test_ground_distances_know_the_cylinder():
    x, y = (torch.tensor([p], dtype=torch.float64) for p in ([0.0, 3.1], [0.3, -3.1]))
    expected = 0.09 + (2 * math.pi - 6.2) ** 2
    assert squared_delta_r(x, y).item() == pytest.approx(expected)
    assert delta_r(x, y).item() == pytest.approx(math.sqrt(expected))
    assert squared_distance(x, y).item() == pytest.approx(0.09 + 6.2**2)
    x = x.clone().requires_grad_()
    delta_r(x, x.detach()).sum().backward()
    assert torch.equal(x.grad, torch.zeros(1, 2).double())


def test_entropic_transport_between_two_points():
    """Between Diracs there is only one plan: cost C, no entropy relative to the product."""
    cost = torch.tensor([[2.5]]).double()
    mass = torch.ones(1).double()
    assert entropic_transport(cost, mass, mass, 0.3).item() == pytest.approx(2.5)


def test_sinkhorn_meets_its_stopping_rule_or_warns():
    cost, a, b = random(6, 5), random(6, seed=1), random(5, seed=2)
    a, b = a / a.sum(), b / b.sum()
    solution = sinkhorn_potentials(cost, a, b, epsilon=0.05, tolerance=1e-10)
    plan = a[:, None] * b * torch.exp((solution.f[:, None] + solution.g - cost) / 0.05)
    assert (plan.sum(1) - a).abs().sum() <= 2e-10
    assert torch.allclose(plan.sum(0), b)
    with pytest.warns(RuntimeWarning, match="stopped after 3 iterations"):
        sinkhorn_potentials(cost, a, b, epsilon=1e-4, max_iterations=3)


def test_cold_sinkhorn_is_exact():
    cost, mass = random(5, 5), torch.full((5,), 0.2).double()
    cold = entropic_transport(cost, mass, mass, 1e-3)
    assert cold.item() == pytest.approx(exact_transport(cost, mass, mass).item(), abs=2e-3)


def test_envelope_gradients_are_exact():
    cost, a, b = (random(*s, seed=i).requires_grad_() for i, s in enumerate([(4, 5), (4,), (5,)]))

    def entropic(cost, a, b):
        return entropic_transport(cost, a / a.sum(), b / b.sum(), 0.2, 1e-13)

    def exact(cost, a, b):
        return exact_transport(cost, a / a.sum(), b / b.sum())

    assert gradcheck(entropic, (cost, a, b))
    assert gradcheck(exact, (cost, a, b))


def test_divergence_of_shifted_clouds():
    """Debiased, a shift by v costs |v|² at any temperature, when ΔR² knows no border."""
    features = particles(6)
    features[:, 2] *= 0.1
    shifted = features.clone()
    shifted[:, 1] += 0.7
    value = Sinkhorn(epsilon=0.2, tolerance=1e-10)(
        torch.ones(6).double(), features, one(features), shifted, one(shifted)
    )
    assert value.item() == pytest.approx(0.49, rel=1e-6)


def test_energy_movers_by_hand():
    x, y = torch.tensor([[0.0, 0.0], [1.0, 0.0]]).double(), torch.tensor([[0.0, 0.5]]).double()
    a = torch.tensor([3.0, 2.0]).double()
    # Three GeV move 0.5 / R, two are created.
    assert energy_movers_distance(x, y, a, torch.tensor([3.0]).double(), 2.0).item() == pytest.approx(0.75 + 2)
    assert energy_movers_distance(y, x, torch.tensor([3.0]).double(), a, 2.0).item() == pytest.approx(0.75 + 2)
    assert energy_movers_distance(x, y[:0], a, a[:0]).item() == 5.0


def test_energy_movers_gradients_are_exact():
    x, y = 2 * random(4, 2), 2 * random(5, 2, seed=1)
    for total in (0.5, 2.0):
        a, b = (total * random(4, seed=2)).requires_grad_(), random(5, seed=3).requires_grad_()
        assert gradcheck(lambda a, b: energy_movers_distance(x, y, a, b, 0.8), (a, b))
    x.requires_grad_()
    assert gradcheck(lambda x: energy_movers_distance(x, y, a.detach(), b.detach()), x)


def test_exact_transport_has_limits():
    mass = torch.ones(600)
    with pytest.raises(SettingsError, match="600 × 600"):
        exact_transport(torch.zeros(600, 600), mass, mass)
    with pytest.raises(SettingsError, match="equal totals"):
        exact_transport(torch.zeros(2, 2), mass[:2], 2 * mass[:2])


# Sentences


def test_losses_are_closed_and_named():
    assert get_loss("swd:paper", slices=3).slices == 3
    with pytest.raises(SettingsError, match="choose one of swd:paper"):
        get_loss("swd")
    with pytest.raises(SettingsError, match="no setting 'slice'"):
        get_loss("swd:paper", slice=3)
    with pytest.raises(ValidationError):
        get_loss("swd:paper", features=("rapidity",))


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"weights": torch.ones(3)}, "one weight a particle"),
        ({"features": torch.ones(4, 3)}, "one row a particle"),
        ({"offsets": torch.tensor([0, 3])}, "rise from 0"),
        ({"offsets": torch.tensor([0, 5, 4])}, "fall"),
        ({"target_offsets": torch.tensor([0, 1, 2])}, "one target an event"),
    ],
)
def test_misaligned_batches_get_a_sentence(change, sentence):
    good = {"weights": torch.ones(4), "features": torch.ones(4, 4), "offsets": torch.tensor([0, 4])}
    good |= {"target_features": torch.ones(2, 4), "target_offsets": torch.tensor([0, 2])}
    with pytest.raises(InvalidEventsError, match=sentence):
        get_loss("met")(**(good | change))
