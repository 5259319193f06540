"""Weights by class and region: shares, means, ROC areas and calibration of weights that are known."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.metrics.calibration import calibration
from hardscatter.metrics.records import Records, view_of
from hardscatter.metrics.spectra import area_under_roc, weights_study


def crossings(n, seed=5, size=60):
    """Build crossings of neutral candidates all over, a third each pileup, mixed and hard."""
    rng = np.random.default_rng(seed)
    eta = np.tile([0.5, -3.0, 4.5], n * size // 3)
    pt = rng.uniform(0.5, 5.0, n * size)
    hard = np.repeat(np.tile([0.0, 0.5, 1.0], n * size // 9 + 1), 3)[: n * size]
    columns = {
        "pt": pt, "eta": eta, "phi": rng.uniform(-3, 3, n * size), "energy": pt * np.cosh(eta),
        "charge": np.zeros(n * size, int), "vertex": np.full(n * size, -1),
    }  # fmt: skip
    jagged = {name: ak.unflatten(values, np.full(n, size)) for name, values in columns.items()}
    return hs.from_candidates(**jagged, truth={"hard_fraction": ak.unflatten(hard, np.full(n, size))})


def records_of(events, weights):
    views = {name: view_of(events, weight, ["weights"]) for name, weight in weights.items()}
    return Records("toy", ak.zip({"event": np.arange(len(events))}, depth_limit=1), views)


@pytest.fixture(scope="module")
def measured():
    """The results, by name, of perfect weights, of none, of weights that are half of the hard fraction, of noise."""
    events = crossings(20)
    hard = events.truth.hard_fraction
    noise = ak.unflatten(np.random.default_rng(1).random(len(ak.flatten(hard))), ak.num(hard))
    weights = {"none": None, "perfect": hard, "half": hard / 2, "noise": noise}
    study = weights_study(records_of(events, weights), replicas=60)
    return events, weights, {result.name: result for result in study.results}


def test_means_by_class(measured):
    _, _, results = measured
    for name, hard in {"pileup": 0.0, "mixed": 0.5, "hard": 1.0}.items():
        rows = results[f"mean_weight_{name}"].rows
        for region in ("neutral_central", "neutral_forward", "neutral_very_forward"):
            assert rows["none"][region].value == pytest.approx(1.0, abs=1e-6)
            # Within half a bin, but where weights are all but 0 or 1.
            assert rows["perfect"][region].value == pytest.approx(hard, abs=0.021 if name == "mixed" else 1e-6)
            assert rows["half"][region].value == pytest.approx(hard / 2, abs=0.021)
            assert abs(rows["noise"][region].value - 0.5) < 5 * rows["noise"][region].error
        assert np.isnan(rows["perfect"]["charged_central"].value)
        assert np.isnan(rows["perfect"]["charged_central"].error)


def test_areas(measured):
    _, _, results = measured
    rows = results["weights_auc"].rows
    for column in rows["none"]:
        assert rows["none"][column].value == 0.5
        assert rows["perfect"][column].value == 1.0 == rows["half"][column].value
        assert abs(rows["noise"][column].value - 0.5) < 4 * rows["noise"][column].error
        # Of 2 × 133 candidates: 1/√(6 · 133).
        assert 0.02 < rows["noise"][column].error < 0.07


def test_area_is_the_chance_that_a_hard_candidate_weighs_more():
    rng = np.random.default_rng(2)
    hard, pileup = rng.integers(0, 6, 40), rng.integers(0, 5, 50)
    chance = np.mean(hard[:, None] > pileup) + np.mean(hard[:, None] == pileup) / 2
    area = area_under_roc(*(np.bincount(values, minlength=6).astype(float) for values in (hard, pileup)))
    assert area == pytest.approx(chance)
    assert np.isnan(area_under_roc(np.zeros(6), np.ones(6)))


def test_distributions_are_shares_of_pt(measured):
    _, _, results = measured
    mixed = results["weights_neutral_central_mixed"]
    assert mixed.reference == "perfect"
    half = np.array([estimate.value for estimate in mixed.shares["half"]])
    assert half.sum() == pytest.approx(1.0)
    assert half[np.searchsorted(mixed.edges, 0.25, side="right") - 1] == pytest.approx(1.0)
    noise = results["weights_neutral_forward_pileup"].shares["noise"]
    assert sum(estimate.value for estimate in noise) == pytest.approx(1.0)
    assert max(estimate.value for estimate in noise) < 0.2
    assert set(mixed.entries.values()) == {mixed.entries["perfect"]}
    assert 100 < mixed.entries["perfect"] < 160


def test_calibration_is_that_of_the_candidates_themselves(measured):
    events, weights, results = measured
    table = calibration(events, weights["noise"], replicas=60)
    row = results["weights_calibration"].rows["noise"]
    assert row["all"].value == pytest.approx(table.errors["weights"].measured.value, rel=1e-5)
    assert row["neutral_forward"].error == pytest.approx(
        table.curves["weights"]["neutral_forward"].error.measured.error, rel=1e-4
    )
    assert results["weights_calibration"].rows["perfect"]["all"].value == pytest.approx(0.0, abs=1e-6)
    profile = results["weights_calibration_neutral_central"]
    bias = profile.statistics["bias"]["half"]
    # Weights of 1/4 stand for hard fractions of 1/2, weights of 1/2 for 1.
    by_weight = {low: estimate.value for low, estimate in zip(profile.edges, bias, strict=False)}
    assert (by_weight[0.2], by_weight[0.5]) == (pytest.approx(0.25, abs=1e-6), pytest.approx(0.5, abs=1e-6))
    assert np.isnan(by_weight[0.8])
    entries = [e.candidates for e in calibration(events, weights["perfect"]).curves["weights"]["neutral_central"].bins]
    assert list(profile.sizes) == entries


@pytest.mark.parametrize("n", [0, 1])
def test_next_to_nothing_is_answered(n):
    events = crossings(n, size=9)
    study = weights_study(records_of(events, {"perfect": events.truth.hard_fraction}), replicas=5)
    means = study.results[0].rows["perfect"]
    assert all(np.isnan(estimate.value) for estimate in means.values())  # at most one candidate of a class
    json.dumps(study.to_dict())


def test_views_without_weights_are_left_out():
    events = crossings(2, size=9)
    bare = view_of(events, None)
    full = view_of(events, events.truth.hard_fraction, ["weights"])
    truth = ak.zip({"event": np.arange(2)}, depth_limit=1)
    study = weights_study(Records("toy", truth, {"no pileup": bare, "perfect": full}), replicas=5)
    assert set(study.results[0].rows) == {"perfect"}
    assert weights_study(Records("toy", truth, {"no pileup": bare})).results == ()
