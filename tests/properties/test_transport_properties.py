"""Transport is a distance: symmetric, zero on itself, blind to order, to the choice of axes and to units."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from hardscatter.transport import (
    LOSSES,
    get_loss,
    random_directions,
    sliced_wasserstein,
    squared_wasserstein_1d,
)

SEEDS = st.integers(0, 2**31)
SIZES = st.integers(0, 12)
NAMES = st.sampled_from(list(LOSSES))
SETTINGS = {name: {"slices": 16} for name in ("swd:paper", "swd:masked", "swd:mass")} | {
    "sinkhorn": {"epsilon": 0.5},
    "population": {"sizes": (0.4, 1.6), "slices": 4},
}


def loss_of(name):
    return get_loss(name, **SETTINGS.get(name, {}))


def particles(n, generator):
    u = torch.rand(n, 4, generator=generator, dtype=torch.float64)
    pt, eta, phi = 0.3 - 4 * (1 - u[:, 0]).log(), 6 * u[:, 1] - 3, 2 * math.pi * u[:, 2] - math.pi
    return torch.stack([pt, eta, phi, pt * eta.cosh()], dim=1)


def value(name, weights, features, target, seed=0):
    offsets, target_offsets = torch.tensor([0, len(features)]), torch.tensor([0, len(target)])
    generator = torch.Generator().manual_seed(seed)
    return loss_of(name)(weights, features, offsets, target, target_offsets, generator).item()


@given(NAMES, SEEDS, SIZES, SIZES)
def test_losses_are_symmetric_positive_and_zero_on_themselves(name, seed, n, m):
    generator = torch.Generator().manual_seed(seed)
    x, y = particles(n, generator), particles(m, generator)
    there, back = value(name, torch.ones(n).double(), x, y), value(name, torch.ones(m).double(), y, x)
    if name != "flow":  # its variance is that of the crossing with pileup, on purpose
        assert there == pytest.approx(back, rel=1e-5, abs=1e-6)
    assert there >= -1e-6
    assert value(name, torch.ones(n).double(), x, x[torch.randperm(n, generator=generator)]) == pytest.approx(
        0, abs=1e-6
    )


@given(NAMES, SEEDS, SIZES, SIZES)
def test_order_of_particles_does_not_matter(name, seed, n, m):
    generator = torch.Generator().manual_seed(seed)
    x, y = particles(n, generator), particles(m, generator)
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    i, j = torch.randperm(n, generator=generator), torch.randperm(m, generator=generator)
    assert value(name, weights[i], x[i], y[j]) == pytest.approx(value(name, weights, x, y), rel=1e-6, abs=1e-6)


@given(st.sampled_from(["swd:mass", "sinkhorn"]), SEEDS, SIZES, SIZES, st.floats(1e-3, 1e3))
def test_units_of_momentum_do_not_matter(name, seed, n, m, unit):
    generator = torch.Generator().manual_seed(seed)
    x, y = particles(n, generator), particles(m, generator)
    weights = torch.rand(n, generator=generator, dtype=torch.float64)
    scale = torch.tensor([unit, 1, 1, unit], dtype=torch.float64)
    assert value(name, weights, scale * x, scale * y) == pytest.approx(value(name, weights, x, y), rel=1e-5, abs=1e-6)


@given(SEEDS, SIZES, SIZES)
def test_energy_movers_distance_scales_with_momentum(seed, n, m):
    generator = torch.Generator().manual_seed(seed)
    x, y = particles(n, generator), particles(m, generator)
    scale = torch.tensor([7, 1, 1, 7]).double()
    one = torch.ones(n).double()
    assert value("emd", one, scale * x, scale * y) == pytest.approx(7 * value("emd", one, x, y), rel=1e-9, abs=1e-9)
    assert value("met", one, scale * x, scale * y) == pytest.approx(49 * value("met", one, x, y), rel=1e-9, abs=1e-9)


@given(st.sampled_from(["swd:mass", "sinkhorn", "emd", "met", "population"]), SEEDS, SIZES, SIZES)
def test_whole_turns_do_not_matter(name, seed, n, m):
    generator = torch.Generator().manual_seed(seed)
    x, y = particles(n, generator), particles(m, generator)
    turns = torch.randint(-2, 3, (n,), generator=generator)
    turned = x.clone()
    turned[:, 2] += 2 * math.pi * turns
    one = torch.ones(n).double()
    assert value(name, one, turned, y) == pytest.approx(value(name, one, x, y), rel=1e-6, abs=1e-6)


@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.floats(-7, 7))
def test_mass_loss_is_blind_to_a_rotation_in_phi(seed, n, m, angle):
    """Turning both clouds is turning the directions; over all directions nothing changes."""
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(k, 3, generator=generator, dtype=torch.float64) for k in (n, m))
    a, b = (torch.rand(k, generator=generator, dtype=torch.float64) for k in (n, m))
    c, s = math.cos(angle), math.sin(angle)
    turn = torch.tensor([[1, 0, 0], [0, c, -s], [0, s, c]], dtype=torch.float64)
    directions = random_directions(16, 3, generator, x)
    turned = sliced_wasserstein(x @ turn.T, y @ turn.T, directions @ turn.T, a, b)
    assert turned.item() == pytest.approx(sliced_wasserstein(x, y, directions, a, b).item(), rel=1e-9, abs=1e-12)


def test_mass_loss_after_a_rotation_within_the_noise_of_its_slices():
    generator = torch.Generator().manual_seed(1)
    x, y = particles(40, generator), particles(30, generator)
    turn = torch.tensor([0, 0, 2.5, 0]).double()
    offsets = torch.tensor([0, 40]), torch.tensor([0, 30])
    straight, turned = (
        get_loss("swd:mass", slices=5000)(
            torch.ones(40).double(), x + t, offsets[0], y + t, offsets[1], torch.Generator().manual_seed(2)
        ).item()
        for t in (0 * turn, turn)
    )
    assert turned == pytest.approx(straight, rel=0.05)


@given(SEEDS, st.integers(1, 12), st.integers(1, 12), st.floats(-5, 5), st.floats(0.1, 10))
def test_line_distance_follows_shift_and_scale(seed, n, m, shift, scale):
    generator = torch.Generator().manual_seed(seed)
    x, y = (torch.randn(3, k, generator=generator, dtype=torch.float64) for k in (n, m))
    a = torch.rand(n, generator=generator, dtype=torch.float64)
    plain = squared_wasserstein_1d(x, y, a)
    assert torch.allclose(squared_wasserstein_1d(scale * x, scale * y, a), scale**2 * plain)
    mean = (a * x).sum(-1) / a.sum() - y.mean(-1)
    assert torch.allclose(squared_wasserstein_1d(x + shift, y, a), plain + 2 * shift * mean + shift**2)
