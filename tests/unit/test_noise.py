"""Noise of calorimeters: where it comes, how much, what it leaves alone."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import ndtr

import hardscatter as hs
from hardscatter.detector import load_card
from hardscatter.detector.noise import Noise, NoiseLevel, add_noise, significance, zero_suppressed
from hardscatter.detector.tables import tables_of
from hardscatter.events import NO_VERTEX, Events, flat
from helpers import toy_events

CARD = load_card("cms-phase2")
SILENT = NoiseLevel((5.0,), (0.0,))
NOISE = Noise()


def crossing(*rows, **truth):
    """One crossing of (pt, eta, phi, charge, pdg_id) candidates, massless."""
    pt, eta, phi, charge, pdg_id = np.array(rows, dtype=np.float64).reshape(-1, 5).T
    jagged = {"pt": pt, "eta": eta, "phi": phi, "energy": pt * np.cosh(eta)}
    whole = {"charge": charge, "vertex": np.where(charge, 0, NO_VERTEX), "pdg_id": pdg_id}
    columns = {name: [values] for name, values in (jagged | whole).items()}
    return hs.from_candidates(**columns, truth={name: [values] for name, values in truth.items()} or None)


def empty(n):
    """Crossings without candidates, with truth."""
    none = ak.values_astype(ak.Array([[]] * n), np.float64)
    columns = dict.fromkeys(("pt", "eta", "phi", "energy", "charge", "vertex", "pdg_id", "dz"), none)
    return hs.from_candidates(**columns, truth={"hard_fraction": none})


def test_noise_makes_neutral_candidates_of_both_calorimeters_in_empty_crossings():
    events = add_noise(empty(3), NOISE, CARD, 1)
    candidates = events.candidates
    assert len(events) == 3
    assert ak.all(ak.num(candidates.pt) > 500)
    assert set(flat(candidates.pdg_id).tolist()) == {22, 130}
    assert ak.all(candidates.charge == 0)
    assert ak.all(candidates.vertex == NO_VERTEX)
    assert ak.all(np.isnan(candidates.dz))
    assert ak.all(events.truth.hard_fraction == 0)
    np.testing.assert_allclose(flat(candidates.energy), flat(candidates.pt) * np.cosh(flat(candidates.eta)), rtol=1e-12)
    json.dumps(events.metadata)  # travels inside files


def test_noise_lies_in_the_towers_evenly():
    events = add_noise(empty(40), NOISE, CARD, 2)
    photon = flat(events.candidates.pdg_id) == 22
    eta = flat(events.candidates.eta)[photon]
    grid = tables_of(CARD).ecal.grid
    share = np.diff(grid.first)[(grid.edges[1:] <= 1.0) & (grid.edges[:-1] > -1.0)].sum() / np.diff(grid.first).sum()
    inner = grid.edges[(grid.edges <= 1.0) & (grid.edges >= -1.0)]
    found = np.mean((eta > inner[0]) & (eta < inner[-1]))
    assert found == pytest.approx(share, abs=4 * np.sqrt(share / len(eta)))
    phi = flat(events.candidates.phi)
    assert abs(np.mean(np.exp(1j * phi))) < 4 / np.sqrt(len(phi))


def test_the_number_above_threshold_and_the_spectrum_are_those_of_a_gaussian():
    level, n = NoiseLevel((5.0,), (4.0,)), 30
    for threshold in (2.5, 3.0):
        # So much noise that the card's own cuts, 0.5 GeV and one σ(E), never decide in the barrel.
        events = add_noise(empty(n), Noise(level, SILENT, threshold), CARD, 3)
        barrel = np.abs(flat(events.candidates.eta)) < 1.4
        energy = np.sort(flat(events.candidates.energy)[barrel])
        grid = tables_of(CARD).ecal.grid
        inside = (np.abs(grid.edges[1:]) < 1.4) & (np.abs(grid.edges[:-1]) < 1.4)
        edge = np.abs(grid.edges[1:][inside]).max()
        expected = n * grid.phi_cells[inside].sum() * ndtr(-threshold) * 1.4 / edge
        assert len(energy) == pytest.approx(expected, abs=5 * np.sqrt(expected))
        # Kolmogorov's distance to the tail; 1.95/√n is exceeded once in a thousand times.
        tail = 1.0 - ndtr(-energy / 4.0) / ndtr(-threshold)
        rank = np.arange(1, len(energy) + 1) / len(energy)
        assert np.abs(tail - rank).max() < 1.95 / np.sqrt(len(energy))


def test_regions_have_their_own_sigma():
    events = add_noise(empty(5), Noise(NoiseLevel((1.5, 3.0), (1.0, 10.0)), SILENT, 3.0), CARD, 4)
    eta, energy = np.abs(flat(events.candidates.eta)), flat(events.candidates.energy)
    assert 3.0 <= energy[eta < 1.4].min() < 3.1
    assert energy[eta < 1.4].max() < 6.0
    assert 30.0 <= energy[(eta > 1.6) & (eta < 2.9)].min() < 31.0
    assert energy[eta > 3.2].min() >= 30.0  # the last region goes on


def test_cuts_of_particle_flow_hold_for_noise_too():
    events = add_noise(empty(5), Noise(NoiseLevel((5.0,), (0.1,)), SILENT, 2.0), CARD, 4)
    assert ak.all(events.candidates.energy > CARD.ecal.min_energy)
    grid = tables_of(CARD).hcal.grid
    events = add_noise(empty(5), Noise(SILENT, NoiseLevel((5.0,), (1.0,)), 2.5), CARD, 4)
    energy, eta = flat(events.candidates.energy), flat(events.candidates.eta)
    row = np.searchsorted(grid.edges, eta) - 1
    error = np.sqrt(grid.constant2[row] * energy**2 + grid.stochastic2[row] * energy + grid.noise2[row])
    assert np.all(energy > error)


def test_noise_in_an_occupied_tower_adds_to_its_candidate_and_to_no_other():
    occupied = {0.3: (5.0, 0.5, 130), 4.2: (2.0, 0.8, 1)}  # eta: pt, hard fraction, class
    others = {-0.9: (4.0, 22), 0.31: (3.0, 211)}  # of the other calorimeter, and a track in the same tower
    rows = [(pt, eta, 1.0, 0, pdg_id) for eta, (pt, _, pdg_id) in occupied.items()]
    rows += [(pt, eta, 1.0, int(pdg_id == 211), pdg_id) for eta, (pt, pdg_id) in others.items()]
    events = crossing(*rows, hard_fraction=np.array([0.5, 0.8, 1.0, 1.0]))
    grown, times = 0, 60
    for seed in range(times):
        noisy = add_noise(events, Noise(SILENT, NoiseLevel((5.0,), (3.0,)), 1.0), CARD, seed)
        found = {eta: np.flatnonzero(flat(noisy.candidates.eta) == eta) for eta in (*occupied, *others)}
        assert all(len(places) == 1 for places in found.values())
        pt, energy, hard = (flat(a) for a in (noisy.candidates.pt, noisy.candidates.energy, noisy.truth.hard_fraction))
        for eta, (before, fraction, _) in occupied.items():
            (i,) = found[eta]
            assert pt[i] == before or (pt[i] - before) * np.cosh(eta) >= 3.0
            assert energy[i] == pytest.approx(pt[i] * np.cosh(eta), rel=1e-12)
            assert hard[i] == pytest.approx(fraction * before / pt[i], rel=1e-6)
            grown += pt[i] > before
        for eta, (before, _) in others.items():
            (i,) = found[eta]
            assert (pt[i], hard[i]) == (before, 1.0)
    expected = 2 * times * ndtr(-1.0)
    assert grown == pytest.approx(expected, abs=4 * np.sqrt(expected))


def test_truth_of_the_crossing_and_other_fields_stay_weights_do_not():
    events = hs.with_weights(toy_events(), "mine", ak.ones_like(toy_events().candidates.pt))
    noisy = add_noise(events, NOISE, CARD, 5)
    assert ak.array_equal(noisy.truth.jets, events.truth.jets)
    assert ak.array_equal(noisy.truth.met, events.truth.met)
    assert ak.array_equal(noisy.event, events.event)
    assert not noisy.has("weights")
    assert noisy.metadata["noise"]["threshold"] == 2.5
    assert "weights" not in noisy.metadata


def test_events_without_truth_and_with_few_fields_work():
    noisy = add_noise(toy_events(minimal=True), NOISE, CARD, 5)
    assert not noisy.has("truth")
    assert set(noisy.candidates.fields) == set(toy_events(minimal=True).candidates.fields)


def test_no_events_give_no_events():
    none = toy_events()[:0]
    assert len(add_noise(none, NOISE, CARD, 1)) == 0
    assert len(zero_suppressed(none, NOISE, CARD)) == 0


def test_no_noise_leaves_candidates_as_they_are():
    events = toy_events()
    silent = add_noise(events, Noise(SILENT, SILENT), CARD, 1)
    order = ak.argsort(events.candidates.pt, ascending=False, stable=True)
    assert ak.array_equal(silent.candidates.pt, events.candidates.pt[order])
    assert ak.array_equal(silent.truth.hard_fraction, events.truth.hard_fraction[order])


def test_zero_suppression_removes_soft_neutrals_and_nothing_else():
    rows = [
        (0.50, 0.0, 1.0, 0, 22), (0.70, 0.0, 2.0, 0, 22), (0.50, 0.0, 1.0, 1, 211), (0.90, 0.1, 1.0, 0, 130),
        (1.10, 0.1, 1.0, 0, 130), (0.01, 5.5, 0.0, 0, 22), (0.30, 2.0, 0.0, 0, 22), (0.40, 2.0, 0.0, 0, 22),
    ]  # fmt: skip
    events = crossing(*rows, hard_fraction=np.linspace(0, 1, 8))
    kept = zero_suppressed(events, NOISE, CARD)  # thresholds: 0.625 and 1 GeV in the barrel, 1.25 GeV beyond
    assert kept.candidates.pt.to_list() == [[0.70, 0.50, 1.10, 0.01, 0.40]]
    energy = 0.40 * np.cosh(2.0)
    np.testing.assert_allclose(
        significance(kept, NOISE, CARD)[0], [0.70 / 0.25, np.inf, 1.10 * np.cosh(0.1) / 0.4, np.inf, energy / 0.5]
    )
    np.testing.assert_allclose(kept.truth.hard_fraction[0], np.linspace(0, 1, 8)[[1, 2, 4, 5, 7]])


@pytest.mark.parametrize(
    "wrong", [{"eta": (1.0,), "sigma": (0.1, 0.2)}, {"eta": (3.0, 1.5), "sigma": (0.1, 0.2)}, {"eta": (), "sigma": ()},
              {"eta": (3.0,), "sigma": (-0.1,)}, {"eta": (3.0,), "sigma": (0.1,), "unit": "GeV"}],
)  # fmt: skip
def test_levels_are_checked(wrong):
    with pytest.raises((ValidationError, TypeError)):
        NoiseLevel(**wrong)


def test_a_threshold_below_one_sigma_is_refused():
    with pytest.raises(ValidationError):
        Noise(threshold=0.5)
    assert isinstance(add_noise(empty(1), Noise(threshold=1.0), CARD, 1), Events)
