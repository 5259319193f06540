"""Alarms from the distribution of weights: silent on good crossings, loud on faults, and right about where."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import LEADING, NO_VERTEX, PILEUP
from hardscatter.trigger.monitoring import DeadRegion, Regions, VertexWindow, WeightMonitor, windows
from helpers import toy_events

SMALL = Regions(eta=(-2.0, 0.0, 2.0), n_phi=2, weight=(0.5,))


def neutrals(eta, phi, charge=None):
    eta, phi = ak.Array(eta), ak.Array(phi)
    charge = ak.zeros_like(eta) if charge is None else ak.Array(charge)
    return hs.from_candidates(
        pt=ak.ones_like(eta), eta=eta, phi=phi, energy=np.cosh(eta), charge=charge,
        vertex=ak.where(charge == 0, NO_VERTEX, LEADING),
    )  # fmt: skip


def good(n, seed):
    """Counts as good crossings have them: some 2 000 neutrals in eight regions, more of them in busy crossings."""
    generator = np.random.default_rng(seed)
    share = np.outer(np.linspace(1, 2, 8), [0.7, 0.2, 0.1])
    busy = generator.gamma(20.0, 1 / 20.0, n)
    return generator.poisson(2000 * busy[:, np.newaxis, np.newaxis] * share / share.sum())


def test_counts_by_region_and_weight():
    events = neutrals(
        [[-1.0, -1.0, 0.5, 1.9, 2.5, 0.5], []],
        [[-1.0, 1.0, 3.1, -3.1, 0.0, 1.0], []],
        [[0, 0, 0, 0, 0, 1], []],
    )
    weights = ak.Array([[0.0, 0.5, 0.49, 1.0, 1.0, 1.0], []])
    found = SMALL.counts(events, weights)
    # Region = 2 · eta row + phi half; that at eta 2.5 lies outside, the charged one does not count.
    np.testing.assert_array_equal(found[0], [[1, 0], [0, 1], [0, 1], [1, 0]])
    assert not found[1].any()
    assert SMALL.shape == (4, 2)
    np.testing.assert_allclose(SMALL.where(3), (1.0, np.pi / 2))


def test_counts_need_aligned_weights():
    events = neutrals([[0.1, 0.2]], [[0.0, 1.0]])
    with pytest.raises(InvalidEventsError):
        SMALL.counts(events, ak.Array([[1.0]]))


@pytest.mark.parametrize("edges", [{"eta": (1.0,)}, {"eta": (1.0, 1.0)}, {"weight": (0.5, 0.2)}])
def test_edges_must_rise(edges):
    with pytest.raises(ValidationError, match="rise"):
        Regions(**edges)


def test_false_alarms_are_as_many_as_asked_for():
    monitor = WeightMonitor(good(1000, 1), good(2000, 2), window=10, false_alarms=0.05)
    alarms = [monitor.verdict(part).alarm for part in good(10_000, 3).reshape(1000, 10, 8, 3)]
    assert 0.02 < np.mean(alarms) < 0.08  # 1 000 windows: 0.007 of chance, and as much of the thresholds


def test_a_local_fault_is_found_where_it_is():
    monitor = WeightMonitor(good(500, 1), good(500, 2), window=10)
    counts = good(10, 4)
    assert not monitor.verdict(counts).alarm
    counts[:, 5, :] //= 2
    found = monitor.verdict(counts)
    assert found.alarm
    assert found.region == 5
    assert found.local > 5 * monitor.thresholds[0]


def test_a_fault_everywhere_is_seen_though_no_region_stands_out():
    monitor = WeightMonitor(good(500, 1), good(500, 2), window=10)
    counts = good(10, 4)
    moved = counts[:, :, 0] // 12
    counts[:, :, 0] -= moved
    counts[:, :, 1] += moved
    assert monitor.verdict(counts).overall > 2 * monitor.thresholds[1]


def test_one_wild_crossing_raises_no_alarm_and_a_fault_in_all_does():
    monitor = WeightMonitor(good(500, 1), good(500, 2), window=10)
    wild, faulty = good(10, 4), good(10, 4)
    wild[0, 3, 2] += 250
    faulty[:, 3, 2] += 25
    assert not monitor.verdict(wild).alarm
    assert monitor.verdict(faulty).alarm


def test_weights_that_move_together_do_not_hide_a_hole():
    # The weights of a crossing lie on one side of an edge or on the other; a fault takes a third of a region.
    def moving(n, seed):
        counts = good(n, seed)
        moved = np.random.default_rng(seed).random((n, 1)) < 0.5
        counts[:, :, 1] += np.where(moved, counts[:, :, 0], 0)
        counts[:, :, 0] = np.where(moved, 0, counts[:, :, 0])
        return counts

    monitor = WeightMonitor(moving(500, 1), moving(500, 2), window=10)
    counts = moving(10, 4)
    assert not monitor.verdict(counts).alarm
    counts[:, 6] = counts[:, 6] * 2 // 3
    found = monitor.verdict(counts)
    assert found.alarm
    assert found.region == 6


def test_luminosity_is_no_fault():
    monitor = WeightMonitor(good(500, 1), good(500, 2), window=10)
    assert not monitor.verdict(good(20, 5).reshape(10, 2, 8, 3).sum(axis=1)).alarm


def test_an_empty_window_is_judged_without_a_crash():
    monitor = WeightMonitor(good(50, 1), good(50, 2), window=5)
    found = monitor.verdict(np.zeros((5, 8, 3), dtype=np.int64))
    assert np.isfinite(found[:2]).all()
    assert found.region in range(8)


def test_monitor_refuses_what_it_cannot_learn_or_judge():
    with pytest.raises(SettingsError, match="cannot be learnt"):
        WeightMonitor(good(50, 1), good(5, 2), window=10)
    with pytest.raises(SettingsError, match="false alarms"):
        WeightMonitor(good(50, 1), good(50, 2), window=10, false_alarms=1.0)
    with pytest.raises(SettingsError, match="no neutral"):
        WeightMonitor(np.zeros((5, 8, 3)), good(50, 2), window=10)
    monitor = WeightMonitor(good(50, 1), good(50, 2), window=10)
    with pytest.raises(InvalidEventsError, match="as many crossings"):
        monitor.verdict(good(9, 3))


def test_windows_hold_different_crossings():
    numbered = np.arange(30).reshape(30, 1, 1)
    drawn = windows(numbered, 10, 50, seed=1)
    assert all(len(np.unique(part)) == 10 for part in drawn)


def test_dead_region_takes_neutrals_and_wraps():
    eta, phi = [[0.5, 0.5, 0.5, -0.5]], [[3.1, -3.1, 0.0, 3.1]]
    events = DeadRegion(eta=(0.0, 1.0), phi=(3.0, -3.0))(neutrals(eta, phi))
    assert events.candidates.phi.to_list()[0] == pytest.approx([0.0, 3.1])
    tracks = DeadRegion(eta=(0.0, 1.0), phi=(3.0, -3.0))(neutrals(eta, phi, [[1, 0, 0, 0]]))
    assert tracks.candidates.charge.to_list() == [[1, 0, 0]]
    toys = hs.with_weights(toy_events(2, 50), "mine", ak.ones_like(toy_events(2, 50).candidates.pt))
    dead = DeadRegion(eta=(-1.0, 1.0), phi=(-3.0, 3.0))(toys)
    assert not dead.has("weights")  # they would no longer be aligned
    assert len(hs.mitigate(dead, "chs")) == 2


def test_vertex_window_moves_dz_and_associates():
    events = toy_events(1, 800)
    candidates = events.candidates
    charged = ak.to_numpy(candidates.charge[0] != 0)
    dz, error = (ak.to_numpy(candidates[name][0])[charged] for name in ("dz", "dz_error"))
    for shift in (0.0, 0.1):
        found = VertexWindow(shift=shift, width=0.1, n_sigma=3.0)(events).candidates
        np.testing.assert_allclose(ak.to_numpy(found.dz[0])[charged], dz - shift, atol=1e-5)
        expected = np.where(np.abs(dz - shift) < np.hypot(0.1, 3 * error), LEADING, PILEUP)
        np.testing.assert_array_equal(ak.to_numpy(found.vertex[0])[charged], expected)
        assert set(ak.to_numpy(found.vertex[0])[~charged]) == {NO_VERTEX}
    assert (expected == LEADING).any()
    assert (expected == PILEUP).any()
