"""What is recorded of a crossing tells the studies what the crossing itself would."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.metrics.calibration import calibration, calibration_from
from hardscatter.metrics.definitions import DESIGN, TALK
from hardscatter.metrics.observations import observe, observe_view
from hardscatter.metrics.records import FLOW_ETA, FLOW_PHI, truth_of, view_of
from helpers import toy_events


@pytest.fixture(scope="module")
def events(delphes_file):
    return hs.read(delphes_file, (0, 6))


@pytest.mark.parametrize("definition", [DESIGN, TALK], ids=lambda definition: definition.name)
@pytest.mark.parametrize("method", ["puppi", "none"])
def test_a_view_is_measured_as_the_crossings_are(events, method, definition):
    weights = hs.mitigate(events, method)
    direct = observe(events, weights, definition)
    recorded = observe_view(truth_of(events), view_of(events, weights), definition)
    assert direct.jets.keys() == recorded.jets.keys()
    for name, jets in direct.jets.items():
        there = recorded.jets[name]
        np.testing.assert_array_equal(jets.event, there.event)
        np.testing.assert_array_equal(jets.matched, there.matched)
        np.testing.assert_array_equal(jets.fakes, there.fakes)
        np.testing.assert_allclose(jets.pt_response, there.pt_response, atol=1e-5)
        np.testing.assert_allclose(jets.mass_response, there.mass_response, atol=1e-5)
        np.testing.assert_allclose(jets.truth_tau32, there.truth_tau32, atol=1e-6)
    assert sum(len(jets.event) for jets in direct.jets.values()) > 10
    np.testing.assert_allclose(direct.met, recorded.met, atol=1e-3)
    if definition.ht is not None:
        np.testing.assert_allclose(direct.ht, recorded.ht, rtol=1e-5)


def test_energy_flow_is_the_momentum_there_is(events):
    weights = hs.mitigate(events, "puppi")
    view = view_of(events, weights, ["flow"])
    pt = events.candidates.pt * weights
    inside = abs(events.candidates.eta) <= FLOW_ETA[-1]
    total = ak.to_numpy(ak.sum(pt[inside], axis=1))
    assert np.asarray(view.flow_eta).shape == (6, len(FLOW_ETA) - 1)
    assert np.asarray(view.flow_phi).shape == (6, len(FLOW_PHI) - 1)
    np.testing.assert_allclose(np.sum(np.asarray(view.flow_eta), axis=1), total, rtol=1e-5)
    np.testing.assert_allclose(np.sum(np.asarray(view.flow_phi), axis=1), total, rtol=1e-5)
    barrel = ak.to_numpy(ak.sum(pt[(events.candidates.eta >= 0) & (events.candidates.eta < 0.2)], axis=1))
    np.testing.assert_allclose(np.asarray(view.flow_eta)[:, 25], barrel, rtol=1e-5, atol=1e-6)


def test_weights_are_counted_by_region_class_and_weight(events):
    weights = hs.mitigate(events, "puppi")
    view = view_of(events, weights, ["weights"])
    spectrum = np.asarray(view.spectrum)
    assert spectrum.shape == (6, 5, 3, 25, 2)
    np.testing.assert_array_equal(spectrum[..., 0].sum(axis=(1, 2, 3)), ak.num(events.candidates.pt))
    hard = np.asarray(events.truth.hard_fraction[0])
    first = events.candidates[0]
    neutral = np.asarray((first.charge == 0) & (abs(first.eta) < 2.5))
    assert spectrum[0, 2, 2, :, 0].sum() == np.sum(neutral & (hard >= 0.9))
    kept = np.asarray(weights[0]) >= 0.96
    assert spectrum[0, 2, :, 24, 0].sum() == np.sum(neutral & kept)
    direct = calibration(events, weights, replicas=5).curves["weights"]["neutral_central"]
    recorded = calibration_from({"w": np.asarray(view.sums, np.float64)}, replicas=5).curves["w"]["neutral_central"]
    for one, other in zip(direct.bins, recorded.bins, strict=True):
        assert one.candidates == other.candidates
        assert one.hard_fraction.value == pytest.approx(other.hard_fraction.value, rel=1e-4, nan_ok=True)


def test_constituents_are_the_hardest_of_the_hardest_central_jets(events):
    weights = hs.mitigate(events, "puppi")
    constituents = np.asarray(view_of(events, weights, ["constituents"]).constituents)
    assert constituents.shape == (6, 2, 30, 3)
    jets = hs.cluster(events, weights, radius=0.8, min_pt=100.0)
    jets = jets[abs(jets.eta) < 2.5]
    for event in range(6):
        for place, jet in enumerate(jets[event][:2]):
            pt = np.asarray(events.candidates.pt[event] * weights[event])[np.asarray(jet.constituents)]
            expected = np.sort(pt)[::-1][:30] / jet.pt
            np.testing.assert_allclose(constituents[event, place, : len(expected), 0], expected, rtol=1e-5)
            assert np.abs(constituents[event, place, :, 1:]).max() < 1.0
        assert not constituents[event, len(jets[event]) :].any()


def test_crossings_without_anything_have_records_too():
    empty = toy_events()[:0]
    assert len(truth_of(empty)) == 0
    bare = hs.from_candidates(
        pt=[[], [5.0]], eta=[[], [0.1]], phi=[[], [1.0]], energy=[[], [6.0]], charge=[[], [0]], vertex=[[], [-1]],
        truth={"hard_fraction": [[], [1.0]]},
    )  # fmt: skip
    view = view_of(bare, None, ["flow", "weights", "constituents"])
    assert ak.to_list(ak.num(view.jets.pt)) == [0, 0]
    assert ak.to_list(view.met.px)[0] == 0.0
    assert ak.to_list(ak.sum(view.flow_eta, axis=1)) == [0.0, 5.0]
    truth = truth_of(bare)
    assert ak.to_list(truth.n_candidates) == [0, 1]
    assert ak.to_list(truth.generator_weight) == [1.0, 1.0]
    assert "jets" not in truth.fields
