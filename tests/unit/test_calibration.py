"""Calibration and closure: on weights that are right, that fluctuate, that are wrong, and on next to no candidates."""

from __future__ import annotations

import json
import math

import awkward as ak
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, MissingFieldError, SettingsError
from hardscatter.metrics import calibration, closure
from hardscatter.metrics.calibration import ETA_EDGES, LEAST_CROSSINGS, PT_EDGES, REGIONS, WEIGHT_EDGES, bin_names
from hardscatter.report.calibration import calibration_figure
from helpers import toy_events

mpl.use("agg")


def crossings(hard, counts, pt=None, eta=None, charged=None):
    """Build crossings of candidates, by default central neutrals of 1 GeV, with these hard fractions."""
    n = len(hard)
    pt = np.ones(n) if pt is None else np.asarray(pt)
    eta = np.zeros(n) if eta is None else np.asarray(eta)
    charge = np.zeros(n, dtype=int) if charged is None else np.asarray(charged, dtype=int)
    columns = {
        "pt": pt, "eta": eta, "phi": np.zeros(n), "energy": pt * np.cosh(eta), "charge": charge, "vertex": charge - 1,
    }  # fmt: skip
    jagged = {name: ak.unflatten(values, counts) for name, values in columns.items()}
    return hs.from_candidates(**jagged, truth={"hard_fraction": ak.unflatten(np.asarray(hard, dtype=float), counts)})


def random_crossings(n_events=200, n_candidates=300, seed=3):
    """Build crossings whose hard fractions are 1 with the probability w that is returned with them, else 0."""
    rng = np.random.default_rng(seed)
    n = n_events * n_candidates
    weight = rng.random(n)
    hard = rng.random(n) < weight
    eta, charged = rng.uniform(-4.9, 4.9, n), rng.random(n) < 0.5
    events = crossings(hard, np.full(n_events, n_candidates), 0.2 + rng.exponential(size=n), eta, charged)
    return events, ak.unflatten(weight, np.full(n_events, n_candidates))


def all_bins(table, name="weights"):
    return [entry for curve in table.curves[name].values() for entry in curve.bins]


def pulls(table):
    """How many errors hard fractions are from weights; the narrow bins at 0 and 1 hold too few of the rare outcome."""
    broad = [b for b in all_bins(table) if b.low >= 0.02 and b.high <= 0.98]
    return np.array([(b.hard_fraction.value - b.weight) / b.hard_fraction.error for b in broad])


def test_hard_fractions_as_weights_are_calibrated_exactly():
    events, weight = random_crossings(20)
    fractions = hs.from_candidates(
        **{name: events.candidates[name] for name in events.candidates.fields}, truth={"hard_fraction": weight}
    )
    table = calibration(fractions, weight)
    assert all(b.hard_fraction.value == b.weight for b in all_bins(table))
    assert all(b.low <= b.weight <= b.high for b in all_bins(table))
    assert table.errors["weights"].measured.value == table.errors["weights"].fluctuation == 0
    kept = closure(fractions, weight).bins["weights"]
    ratios = [cell.ratio for by_eta in kept.values() for by_pt in by_eta.values() for cell in by_pt.values()]
    assert {ratio.value for ratio in ratios if not math.isnan(ratio.value)} == {1.0}
    assert {ratio.error for ratio in ratios if not math.isnan(ratio.error)} == {0.0}


def test_probabilities_are_calibrated_within_errors_of_the_right_size():
    events, weight = random_crossings()
    table = calibration(events, weight)
    pull = pulls(table)
    assert len(pull) == len(REGIONS) * (len(WEIGHT_EDGES) - 3)
    assert np.abs(pull).max() < 4
    assert 0.75 < pull.std() < 1.25
    error = table.errors["weights"]
    assert error.measured.value == pytest.approx(error.fluctuation, rel=0.25)
    total = closure(events, weight).bins["weights"]["all"]["all"]["all"]
    assert abs(total.ratio.value - 1) < 4 * total.ratio.error < 0.05


def test_weights_that_are_not_probabilities_are_found_out():
    events, weight = random_crossings()
    table = calibration(events, {"right": weight, "wrong": weight**2})
    right, wrong = table.errors["right"], table.errors["wrong"]
    # ∫ |w − w²| dw = 1/6
    assert wrong.measured.value == pytest.approx(1 / 6, abs=4 * wrong.measured.error)
    assert wrong.measured.value > 10 * wrong.fluctuation
    assert right.measured.value < 2 * right.fluctuation
    kept = closure(events, weight**2).bins["weights"]["all"]["all"]["all"].ratio
    assert kept.value == pytest.approx(2 / 3, abs=4 * kept.error)  # ∫ w² / ∫ w


def test_means_are_weighted_with_momentum():
    events = crossings([1.0, 0.0, 0.5], [2, 1], pt=[3.0, 1.0, 12.0], charged=[0, 0, 1])
    table = calibration(events, ak.Array([[0.53, 0.57], [1.0]]))
    entry = table.curves["weights"]["neutral_central"].bins[6]
    assert (entry.low, entry.high, entry.candidates, entry.share) == (0.5, 0.6, 2, 1.0)
    assert entry.hard_fraction.value == pytest.approx(0.75)
    assert entry.weight == pytest.approx(0.54)
    assert table.curves["weights"]["neutral_central"].error.measured.value == pytest.approx(0.21)
    assert table.curves["weights"]["charged_central"].bins[-1].candidates == 1  # weight 1 is in the last bin
    # |3·1 − (3·0.53 + 0.57)| + |12·0.5 − 12| over 16 GeV
    assert table.errors["weights"].measured.value == pytest.approx((0.84 + 6) / 16)


def test_closure_by_type_eta_and_pt():
    events = crossings([1.0, 0.5, 0.0], [2, 1], pt=[3.0, 8.0, 0.5], eta=[0.3, -2.7, 4.5], charged=[1, 0, 0])
    kept = closure(events, ak.Array([[0.5, 1.0], [1.0]])).bins["weights"]
    assert list(kept) == ["charged", "neutral", "all"]
    assert list(kept["all"]) == [*bin_names(ETA_EDGES), "all"] == ["0-1.5", "1.5-2.5", "2.5-3", "3-4", ">4", "all"]
    assert list(kept["all"]["all"]) == [*bin_names(PT_EDGES), "all"]
    assert kept["charged"]["0-1.5"]["2-5"].ratio.value == 0.5
    assert kept["neutral"]["2.5-3"]["5-20"].ratio.value == 2.0
    assert kept["neutral"]["2.5-3"]["5-20"].hard_pt == 4.0
    assert math.isnan(kept["neutral"][">4"]["0-1"].ratio.value)  # the hard scatter brings nothing
    assert kept["neutral"][">4"]["0-1"].candidates == 1
    assert kept["all"]["all"]["all"].ratio.value == pytest.approx((1.5 + 8 + 0.5) / 7)
    assert kept["all"]["all"]["all"].candidates == 3
    assert kept["charged"]["all"]["5-20"].candidates == 0


def test_every_candidate_is_in_one_region_and_bin():
    events, weight = random_crossings(6)
    table = calibration(events, weight)
    assert sum(b.candidates for b in all_bins(table)) == int(ak.sum(events.n_candidates))
    for curve in table.curves["weights"].values():
        assert sum(b.share for b in curve.bins) == pytest.approx(1)


@pytest.mark.parametrize("n_events", [0, 3])
def test_no_candidates_no_numbers(n_events):
    events = crossings([], np.zeros(n_events, dtype=int))
    table = calibration(events, events.candidates.pt)
    assert all(
        math.isnan(b.hard_fraction.value) and math.isnan(b.weight) and math.isnan(b.share) for b in all_bins(table)
    )
    assert math.isnan(table.errors["weights"].measured.value)
    assert math.isnan(table.errors["weights"].fluctuation)
    total = closure(events, events.candidates.pt).bins["weights"]["all"]["all"]["all"]
    assert math.isnan(total.ratio.value)
    assert (total.hard_pt, total.candidates) == (0.0, 0)
    plt.close(calibration_figure(table))


def test_one_candidate_has_a_value_and_no_error():
    events = crossings([0.25], [1])
    table = calibration(events, ak.Array([[0.25]]))
    first, *others = [b for b in all_bins(table) if b.candidates]
    assert not others
    assert first.hard_fraction.value == first.weight == 0.25
    assert math.isnan(first.hard_fraction.error)
    ratio = closure(events, ak.Array([[0.25]])).bins["weights"]["neutral"]["0-1.5"]["1-2"].ratio
    assert ratio.value == 1
    assert math.isnan(ratio.error)
    plt.close(calibration_figure(table))


def test_errors_need_some_crossings_and_are_the_same_again():
    for n, known in ((LEAST_CROSSINGS - 1, False), (LEAST_CROSSINGS, True)):
        events = crossings(np.arange(n) % 2, np.ones(n, dtype=int))
        weight = ak.unflatten(np.full(n, 0.5), np.ones(n, dtype=int))
        first, again = (calibration(events, weight, seed=5) for _ in range(2))
        assert repr(first) == repr(again)
        entry = first.curves["weights"]["neutral_central"].bins[6]
        assert math.isfinite(entry.hard_fraction.error) is known


def test_bad_input_is_told_in_a_sentence():
    events = toy_events(2, 40)
    weight = ak.ones_like(events.candidates.pt)
    for measure in (calibration, closure):
        with pytest.raises(MissingFieldError, match=r"need truth\.hard_fraction"):
            measure(events.without_truth(), weight)
        with pytest.raises(InvalidEventsError, match=r"weights\.mine"):
            measure(events, {"mine": 2 * weight})
        with pytest.raises(InvalidEventsError, match="events"):
            measure(events, weight[:1])
        with pytest.raises(SettingsError, match="replicas"):
            measure(events, weight, replicas=1)


def test_results_are_plain_data():
    events = toy_events(6, 200)
    weights = {"chs": hs.mitigate(events, "chs"), "perfect": hs.perfect_weights(events)}
    plain = json.loads(json.dumps(calibration(events, weights).to_dict()))
    assert plain["n_events"] == 6
    assert plain["curves"]["chs"]["charged_central"]["bins"][0]["high"] == 0.02
    kept = json.loads(json.dumps(closure(events, weights).to_dict()))
    assert kept["bins"]["perfect"]["charged"]["all"]["all"]["ratio"]["value"] == 1


def test_figure_shows_bins_with_an_error_only():
    events, weight = random_crossings(8, 100)
    table = calibration(events, {"puppi": weight, "perfect": hs.perfect_weights(events)})
    figure = calibration_figure(table, ["puppi"])
    diagrams = [ax for ax in figure.axes if ax.get_ylabel().startswith("hard fraction")]
    assert len(diagrams) == len(REGIONS)
    for ax, curve in zip(diagrams, table.curves["puppi"].values(), strict=True):
        drawn = ax.containers[0].lines[0].get_ydata()
        assert np.isfinite(drawn).sum() == sum(math.isfinite(b.hard_fraction.error) for b in curve.bins)
    plt.close(figure)
