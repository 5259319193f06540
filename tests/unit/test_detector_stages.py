"""Tracker, calorimeter, vertices: each stage on a few particles with known answers."""

from __future__ import annotations

import numpy as np
import pytest

from hardscatter.detector import load_card
from hardscatter.detector.calorimeter import flow, sum_towers
from hardscatter.detector.grouping import group
from hardscatter.detector.propagation import Charged, Deposits
from hardscatter.detector.tables import ELECTRON, HADRON, tables_of
from hardscatter.detector.tracker import measure_tracks, separated, track_rules
from hardscatter.detector.vertices import (
    MeasuredTracks,
    VertexRules,
    Vertices,
    associate,
    associate_as_delphes,
    count_tracks,
    fit_vertices,
)

CARD = load_card("delphes-phase2")
TABLES = tables_of(CARD)
KEY = np.uint64(17)


def array(*values):
    return np.array(values, dtype=np.float64)


def charged_particles(pt, eta, phi=None, interaction=None, mass=0.13957):
    n = len(pt)
    phi = np.zeros(n) if phi is None else phi
    return Charged(
        interaction=np.zeros(n, dtype=np.int32) if interaction is None else np.array(interaction, dtype=np.int32),
        particle=np.arange(n, dtype=np.int32),
        deposit=np.arange(n),
        charge=np.ones(n, dtype=np.int8),
        pt=array(*pt), eta=array(*eta), phi=array(*phi), mass=np.full(n, mass), d0=np.zeros(n), z=np.zeros(n),
        origin_z=np.zeros(n), outer_eta=array(*eta), dense_eta=array(*eta), dense_phi=array(*phi),
    )  # fmt: skip


def deposits(energy, eta, phi, pids, hard):
    return Deposits(
        array(*energy), array(*eta), array(*phi),
        np.array([CARD.species(pid) for pid in pids], dtype=np.uint8), np.array(hard, dtype=np.bool_),
    )  # fmt: skip


def quiet(table):
    """Return a calorimeter that measures exactly."""
    zeros = np.zeros_like(table.grid.noise2)
    return table._replace(grid=table.grid._replace(constant2=zeros, stochastic2=zeros, noise2=zeros))


def test_grouping():
    keys = np.array([7, 3, -1, 7, 10**12, 3, 7])
    groups = group(keys)
    assert groups.key.tolist() == [7, 3, 10**12]
    assert groups.of.tolist() == [0, 1, -1, 0, 2, 1, 0]
    many = np.random.default_rng(1).integers(0, 5000, 20_000)
    groups = group(many)
    assert np.array_equal(groups.key[groups.of], many)
    assert len(groups.key) == len(np.unique(many))


def test_of_tracks_in_one_cell_the_hardest_is_found():
    rules = track_rules(CARD.tracker)
    near = charged_particles([1.0, 3.0, 2.0, 1.0], [0.5001, 0.5002, 0.5003, 1.0])
    assert separated(near, rules).tolist() == [False, True, False, True]
    assert separated(near._replace(dense_eta=array(4.2, np.nan, np.nan, -4.0)), rules).tolist() == [
        False, True, True, False,
    ]  # fmt: skip
    assert separated(near, rules._replace(eta_cell=0.0)).all()


def test_efficiency_and_resolution_of_tracks():
    n = 40_000
    rng = np.random.default_rng(2)
    charged = charged_particles(np.full(n, 20.0), np.full(n, 0.3), rng.uniform(-3.1, 3.1, n))
    rules = track_rules(CARD.tracker)._replace(eta_cell=0.0)
    hadrons = measure_tracks(charged, np.full(n, HADRON), rules, TABLES.efficiency, TABLES.resolution, KEY)
    assert len(hadrons.pt) / n == pytest.approx(0.97, abs=4e-3)
    assert hadrons.pt.mean() == pytest.approx(20.0, rel=2e-4)
    assert hadrons.pt.std() / 20.0 == pytest.approx(0.005343 + 10 * 0.000043, rel=0.02)
    assert (hadrons.eta - 0.3).std() == pytest.approx(0.003, rel=0.02)
    assert (hadrons.phi - charged.phi[hadrons.source]).std() == pytest.approx(0.003, rel=0.02)
    electrons = measure_tracks(charged, np.full(n, ELECTRON), rules, TABLES.efficiency, TABLES.resolution, KEY)
    energy = np.hypot(electrons.pt * np.cosh(electrons.eta), 0.13957)
    np.testing.assert_allclose(energy, electrons.energy, rtol=1e-12)
    assert electrons.energy.std() / electrons.energy.mean() == pytest.approx(0.028, rel=0.02)


def test_towers_add_up_all_deposits():
    hits = deposits([5.0, 3.0, 2.0, 8.0], [0.51, 0.512, 0.512, 2.0], [0.1] * 4, [22, 310, 211, 13], [1, 0, 1, 1])
    nothing = np.zeros(0, dtype=np.int64)
    for table, energy, hard in ((TABLES.ecal, 5.0 + 0.9, 5.0), (TABLES.hcal, 2.1 + 2.0, 2.0)):
        sums, _ = sum_towers(hits, nothing, array(), array(), table)
        assert sums.energy.sum() == pytest.approx(energy)
        assert sums.hard.sum() == pytest.approx(hard)
        np.testing.assert_array_equal(sums.unseen, sums.energy)


def test_an_excess_becomes_a_neutral_and_leaves_tracks_alone():
    """A hard track of 10 GeV, a hard neutron of 6 and a pileup neutron of 2 in one tower, measured exactly."""
    hits = deposits([10.0, 6.0, 2.0], [0.51] * 3, [0.1] * 3, [211, 2112, 2112], [1, 1, 0])
    sums, tower = sum_towers(hits, np.array([0]), array(10.0), array(0.01), quiet(TABLES.hcal))
    neutrals, factor = flow(sums, quiet(TABLES.hcal), KEY)
    assert tower.tolist() == [0]
    assert factor.tolist() == [1.0]
    assert neutrals.energy == pytest.approx([8.0])
    assert neutrals.hard_fraction == pytest.approx([0.75])
    assert neutrals.deposit_hard_fraction == pytest.approx([16.0 / 18.0])
    assert abs(neutrals.eta[0] - 0.51) < 0.087
    assert abs(neutrals.phi[0] - 0.1) < 2 * np.pi / 72


def test_without_excess_tracks_are_rescaled_to_the_best_estimate():
    hits = deposits([50.0], [0.51], [0.1], [211], [1])
    sums, _ = sum_towers(hits, np.array([0]), array(60.0), array(0.1), TABLES.hcal)
    assert sums.track_variance[0] == pytest.approx((0.1 * 60.0) ** 2)
    neutrals, factor = flow(sums, TABLES.hcal, KEY)
    assert len(neutrals.energy) == 0
    low, high = 50.0 - 4 * np.sqrt(50 + 0.05**2 * 50**2), 60.0
    assert low / 60.0 < factor[0] < 1.0 <= high / 60.0


def test_a_fluctuation_above_the_tracks_takes_the_hard_share_of_all():
    hits = deposits([10.0, 30.0], [0.51] * 2, [0.1] * 2, [211, 211], [1, 0])
    sums, _ = sum_towers(hits, np.array([0, 1]), array(5.0, 5.0), array(0.001, 0.001), quiet(TABLES.hcal))
    neutrals, _ = flow(sums, quiet(TABLES.hcal), KEY)
    assert neutrals.energy == pytest.approx([30.0])
    assert neutrals.hard_fraction == pytest.approx([0.25])


def test_thresholds():
    for energy, n in ((0.9, 0), (1.1, 1)):
        hits = deposits([energy], [0.51], [0.1], [2112], [1])
        sums, _ = sum_towers(hits, np.zeros(0, dtype=np.int64), array(), array(), quiet(TABLES.hcal))
        assert len(flow(sums, quiet(TABLES.hcal), KEY)[0].energy) == n


def test_tower_noise_is_log_normal_about_the_sum():
    n = 2000
    sums = None
    energies = []
    hits = deposits([30.0], [0.51], [0.1], [2112], [1])
    sums, _ = sum_towers(hits, np.zeros(0, dtype=np.int64), array(), array(), TABLES.hcal)
    for key in range(n):
        energies.extend(flow(sums, TABLES.hcal, np.uint64(key))[0].energy)
    sigma = np.sqrt((0.05 * 30) ** 2 + 30)
    assert np.mean(energies) == pytest.approx(30.0, abs=4 * sigma / np.sqrt(n))
    assert np.std(energies) == pytest.approx(sigma, rel=0.08)


def measured(interaction, pt, z, z_error):
    n = len(pt)
    return MeasuredTracks(
        np.array(interaction, dtype=np.int32), array(*pt), np.zeros(n), np.ones(n), array(*z), array(*z_error)
    )


RULES = VertexRules(
    min_track_pt=0.5, max_d0_significance=3.0, min_tracks=2, merging_distance=0.3, min_error=0.01,
    max_significance=5.0, displaced_share=0.1, displacement=0.5, reach=3.0,
)  # fmt: skip


def test_a_vertex_is_the_weighted_mean_of_its_tracks():
    tracks = measured([0, 0, 1, 1, 2], [1, 1, 5, 5, 9], [1.0, 2.0, 30.0, 30.0, 60.0], [0.1, 0.2, 0.1, 0.1, 0.1])
    vertices = fit_vertices(tracks, array(1.5, 30.0, 60.0), RULES)
    assert vertices.z == pytest.approx([(1.0 / 0.01 + 2.0 / 0.04) / (100 + 25), 30.0])
    assert vertices.error == pytest.approx([1 / np.sqrt(125), 0.1 / np.sqrt(2)])


def test_near_vertices_merge_and_a_hard_one_without_tracks_stays():
    tracks = measured([1, 1, 2, 2], [1, 1, 5, 5], [30.0, 30.0, 30.2, 30.2], [0.1] * 4)
    vertices = fit_vertices(tracks, array(-7.0, 30.0, 30.2), RULES)
    assert vertices.z == pytest.approx([-7.0, 30.1])


def test_a_track_goes_to_the_most_probable_vertex():
    even = np.ones((2, 5))
    vertices = Vertices(array(0.0, 1.0), array(0.01, 0.01))
    # on a vertex, near the other, between them but nearer to the second, displaced by 2 mm, out of reach
    tracks = measured([0] * 5, [1] * 5, [0.02, 0.9, 0.55, 3.0, 5.0], [0.1, 0.1, 0.01, 0.1, 0.1])
    assert associate(tracks, vertices, even, RULES).tolist() == [0, 1, 1, 1, -1]
    # A hard track half-way between two vertices comes from the one that has hard tracks.
    hard_leading = even.copy()
    hard_leading[0, 4] = 20.0
    between = measured([0, 0], [1, 30], [0.52, 0.52], [0.2, 0.2])
    assert associate(between, vertices, hard_leading, RULES).tolist() == [1, 0]
    # A large error reaches further than the reach for displaced tracks.
    assert associate(measured([0], [1], [-8.0], [2.0]), vertices, even, RULES).tolist() == [0]


def test_tracks_are_counted_where_they_lie_whatever_their_collision():
    vertices = Vertices(array(0.0, 1.0), array(0.01, 0.01))
    tracks = measured([7, 7, 7, 7], [0.5, 9, 9, 9], [0.02, 0.9, 1.1, 9.0], [0.1] * 4)  # the last belongs to none
    counts = count_tracks(tracks, vertices, RULES)
    assert counts[:, 0].tolist() == [1 + 1.0, 0 + 1.0]
    assert counts[:, 4].tolist() == [0 + 1.5, 2 + 1.5]


def test_delphes_never_loses_the_hard_scatter():
    chosen = associate_as_delphes(np.array([0, 1, 1], dtype=np.int32), array(9.0, 0.05, 0.2), 0.0, array(0.1, 0.1, 0.1))
    assert chosen.tolist() == [0, 0, 1]
