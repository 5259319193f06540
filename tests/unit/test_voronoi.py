"""Voronoi areas against brute force and closed forms; what the subtraction and the spreading take, and from whom."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.errors import SettingsError
from hardscatter.geometry import delta_r, wrap_phi
from hardscatter.pileup import voronoi as module
from hardscatter.pileup.voronoi import Voronoi, voronoi_areas

Y_MAX = 2.0
WHOLE = 4 * math.pi * Y_MAX


def points(n, seed, coarse=False):
    """Points on the cylinder; `coarse` puts them on tower centres, many in line and some at the same place."""
    rng = np.random.default_rng(seed)
    eta, phi = rng.uniform(-Y_MAX, Y_MAX, n), rng.uniform(-math.pi, math.pi, n)
    if coarse:
        eta, phi = np.round(eta * 4) / 4, (np.floor((phi + math.pi) * 8 / math.pi) + 0.5) * math.pi / 8 - math.pi
    return eta, phi


crowds = st.builds(points, st.integers(1, 120), st.integers(0, 2**32 - 1), st.booleans())


@pytest.mark.parametrize("coarse", [False, True])
def test_areas_equal_brute_force(coarse):
    eta, phi = points(12, 3, coarse)
    n_rows, n_columns = 400, 628
    probe_eta = np.repeat((np.arange(n_rows) + 0.5) * (2 * Y_MAX / n_rows) - Y_MAX, n_columns)
    probe_phi = np.tile((np.arange(n_columns) + 0.5) * (2 * math.pi / n_columns) - math.pi, n_rows)
    distance = delta_r(probe_eta[:, None], probe_phi[:, None], eta, phi)
    nearest = np.isclose(distance, distance.min(axis=1, keepdims=True), rtol=0, atol=1e-12)
    expected = (nearest / nearest.sum(axis=1, keepdims=True)).mean(axis=0) * WHOLE
    assert voronoi_areas(eta, phi, Y_MAX) == pytest.approx(expected, abs=0.03)


@given(crowds)
def test_areas_cover_the_cylinder(crowd):
    areas = voronoi_areas(*crowd, Y_MAX)
    assert (areas > 0).all()
    assert areas.sum() == pytest.approx(WHOLE, rel=1e-12)


@given(crowds, st.floats(-7, 7))
def test_areas_turn_and_mirror_with_the_points(crowd, turn):
    eta, phi = crowd
    assert voronoi_areas(-eta, wrap_phi(phi + turn), Y_MAX) == pytest.approx(voronoi_areas(eta, phi, Y_MAX), abs=1e-9)


@given(crowds, st.integers(0, 2**32 - 1))
def test_areas_follow_the_order_of_points(crowd, seed):
    eta, phi = crowd
    order = np.random.default_rng(seed).permutation(len(eta))
    assert voronoi_areas(eta[order], phi[order], Y_MAX) == pytest.approx(voronoi_areas(eta, phi, Y_MAX)[order])


def test_areas_of_few_of_aligned_and_of_identical_points():
    assert len(voronoi_areas(np.empty(0), np.empty(0), Y_MAX)) == 0
    assert voronoi_areas(np.array([1.9]), np.array([-3.0]), Y_MAX) == pytest.approx([WHOLE])
    # two on either side of ±π: each has half, the border at phi = 0 and π
    assert voronoi_areas(np.zeros(2), np.array([-3.0, 3.0]), Y_MAX) == pytest.approx([WHOLE / 2] * 2)
    # in line along phi (0.4 apart across ±π), and along eta
    in_phi = voronoi_areas(np.zeros(3), np.array([0.0, math.pi - 0.2, -math.pi + 0.2]), Y_MAX)
    assert in_phi == pytest.approx(2 * Y_MAX * np.array([math.pi - 0.2, math.pi / 2 + 0.1, math.pi / 2 + 0.1]))
    in_eta = voronoi_areas(np.array([-2.0, 0.0, 1.0]), np.zeros(3), Y_MAX)
    assert in_eta == pytest.approx(2 * math.pi * np.array([1.0, 1.5, 1.5]))
    # three at one place share what one would have
    shared = voronoi_areas(np.array([0.0, 0.0, 0.0, 0.0]), np.array([1.0, 1.0, 1.0, -1.0]), Y_MAX)
    assert shared == pytest.approx(WHOLE * np.array([1 / 6, 1 / 6, 1 / 6, 1 / 2]))


def test_a_cell_may_have_very_many_corners():
    turn = np.linspace(0, 2 * math.pi, 500, endpoint=False)
    eta, phi = np.append(0.0, np.sin(turn)), np.append(0.0, np.cos(turn))
    areas = voronoi_areas(eta, phi, Y_MAX)
    assert areas[0] == pytest.approx(math.pi / 4, rel=1e-4)  # the circle of half the radius
    assert areas.sum() == pytest.approx(WHOLE)


@pytest.mark.parametrize(("eta", "phi", "y_max"), [(2.1, 0.0, 2.0), (0.0, 3.2, 2.0), (np.nan, 0.0, 2.0), (0, 0, 0)])
def test_points_off_the_cylinder_are_refused(eta, phi, y_max):
    with pytest.raises(SettingsError, match="voronoi_areas"):
        voronoi_areas(np.array([eta]), np.array([phi]), y_max)


def spread(pt, eta, phi, radius=0.4):
    result = np.array(pt, dtype=np.float64)
    module._spread(result, np.array(eta, dtype=np.float64), np.array(phi, dtype=np.float64), radius)
    return result.tolist()


def test_spreading_takes_by_distance_and_no_further_than_the_radius():
    assert spread([-5.0, 9.0, 9.0, 9.0], [0, 0.1, -0.2, 0.41], [0] * 4) == pytest.approx([0, 5, 8, 9])  # 4 : 1 : 0
    assert spread([-1.0, 3.0], [0, 0], [3.1, -3.1]) == pytest.approx([0, 2])  # across ±π
    assert spread([-1.0, 3.0], [1, 1], [2, 2]) == pytest.approx([0, 2])  # at the same place


def test_nobody_pays_more_than_it_has():
    assert spread([-5.0, 1.0, 9.0], [0, 0.1, -0.2], [0] * 3) == pytest.approx([-3, 0, 8])  # shares 4 and 1
    assert spread([-5.0, 1.0, 0.5], [0, 0.1, -0.2], [0] * 3) == pytest.approx([-3.5, 0, 0])
    assert spread([-5.0, -1.0], [0, 0.1], [0, 0]) == [-5, -1]


def test_who_lacks_most_asks_first():
    assert spread([-1.0, -3.0, 3.0], [0.1, -0.1, 0], [0] * 3) == pytest.approx([-1, 0, 0])


@given(st.integers(1, 60), st.integers(0, 2**32 - 1))
def test_spreading_creates_nothing(n, seed):
    eta, phi = points(n, seed)
    before = np.random.default_rng(seed).normal(size=n)
    after = np.array(spread(before, eta, phi, radius=0.7))
    assert after.sum() == pytest.approx(before.sum())
    assert (np.abs(after) <= np.abs(before) + 1e-12).all()
    assert (after * before >= 0).all()


def uniform_pileup():
    """Neutrals of 1 GeV, one on each tile of 0.5 × 2π/13, one of them 100 GeV harder; then charged ones."""
    eta, phi = np.meshgrid(np.arange(-4.75, 5, 0.5), (np.arange(13) + 0.5) * 2 * math.pi / 13)
    eta, phi = eta.ravel(), wrap_phi(phi.ravel())
    pt = np.ones(len(eta))
    pt[100] += 100.0
    more = [(7.0, 0.3, 1, 0), (7.0, -0.3, 1, 2), (0.1, 5.5, 0, -1)]
    columns = {
        "pt": np.append(pt, [p for p, *_ in more]),
        "eta": np.append(eta, [e for _, e, *_ in more]),
        "phi": np.append(phi, [0.0] * 3),
        "charge": np.append(np.zeros(len(eta), dtype=int), [c for *_, c, _ in more]),
        "vertex": np.append(np.full(len(eta), -1), [v for *_, v in more]),
    }
    columns["energy"] = columns["pt"] * np.cosh(columns["eta"])
    return hs.from_candidates(**{name: [values] for name, values in columns.items()})


@pytest.mark.parametrize("radius", [0.0, 0.4])
def test_even_pileup_goes_and_the_hard_one_stays(radius):
    weights = ak.to_numpy(hs.mitigate(uniform_pileup(), Voronoi(spread_radius=radius))[0])
    assert weights[100] == pytest.approx(100 / 101, rel=1e-5)
    assert np.delete(weights[:260], 100) == pytest.approx(0, abs=1e-6)
    # leading and pileup tracks by their vertex; beyond y_max nothing stays
    assert weights[260:].tolist() == [1, 0, 0]


def test_a_charged_candidate_without_vertex_is_subtracted_like_a_neutral():
    events = uniform_pileup()
    fields = {name: events.candidates[name] for name in events.candidates.fields}
    fields["charge"] = ak.concatenate([[[1]], fields["charge"][:, 1:]], axis=1)
    assert ak.array_equal(hs.mitigate(hs.from_candidates(**fields), "voronoi"), hs.mitigate(events, "voronoi"))


def test_settings_are_checked():
    with pytest.raises(ValidationError):
        Voronoi(spread_radius=-0.1)
