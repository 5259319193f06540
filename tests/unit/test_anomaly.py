"""Anomaly scores: inputs, area under the curve, slope on the vertices, and the study of known crossings."""

import math
import sys

import awkward as ak
import numpy as np
import pytest

from hardscatter.errors import MissingExtraError, MissingFieldError, SettingsError
from hardscatter.metrics.anomaly import (
    AnomalySettings,
    anomaly_study,
    area,
    features,
    scores,
    scores_by_training,
    slope,
    train,
)
from hardscatter.metrics.records import N_CONSTITUENTS, N_FAT_JETS, Records
from hardscatter.metrics.studies import NO_PILEUP

QUICK = AnomalySettings(hidden=(16, 4, 16), trainings=2, epochs=30, replicas=60, vertices=(0.0, 50.0, 100.0, 150.0))


def jagged(rows, fields):
    """Return jagged records from rows of tuples, with their type even where all rows are empty."""
    counts = [len(row) for row in rows]
    columns = np.array([entry for row in rows for entry in row], dtype=np.float32).reshape(-1, len(fields))
    return ak.unflatten(ak.zip(dict(zip(fields, columns.T, strict=True))), np.array(counts, dtype=np.int64))


def view_of(jets, fat_jets, met, constituents=None):
    """Return a view; jets are (pt,), fat jets (pt, eta, mass, τ21, τ32), missing momentum is along x."""
    if constituents is None:
        constituents = np.zeros((len(jets), N_FAT_JETS, N_CONSTITUENTS, 3))
    fields = {
        "jets": jagged(jets, ("pt",)),
        "fat_jets": jagged(fat_jets, ("pt", "eta", "mass", "tau21", "tau32")),
        "met": ak.zip({"px": np.asarray(met, dtype=np.float32), "py": np.zeros(len(jets), dtype=np.float32)}),
        "constituents": np.asarray(constituents, dtype=np.float32),
    }
    return ak.zip(fields, depth_limit=1)


def crossings(n, seed, *, mass=0.1, extra_jets=None):
    """Return a view of dijets of many momenta whose jets have this mass over pt; optionally with soft jets added."""
    generator = np.random.default_rng(seed)
    pt = generator.uniform(100.0, 500.0, n)
    extra = np.zeros(n, dtype=int) if extra_jets is None else extra_jets
    balance = generator.uniform(0.7, 1.0, n)
    jets = [[(p,), (p * b,), *[(40.0,)] * k] for p, b, k in zip(pt, balance, extra, strict=True)]
    ratio = mass * generator.uniform(0.8, 1.2, n)
    fat_jets = [[(p, 0.0, p * m, 4 * m, 0.8)] for p, m in zip(pt, ratio, strict=True)]
    return view_of(jets, fat_jets, generator.exponential(10.0, n))


def records(views, *, n_vertices=None, first=0, sample="made-up QCD"):
    n = len(next(iter(views.values())))
    truth = {"event": np.arange(first, first + n), "generator_weight": np.ones(n)}
    if n_vertices is not None:
        truth["n_vertices"] = n_vertices
    return Records(sample, ak.zip(truth), views)


def ones(n):
    return np.ones((1, n), dtype=np.int64)


def test_inputs_of_a_known_crossing():
    constituents = np.zeros((1, N_FAT_JETS, N_CONSTITUENTS, 3))
    constituents[0, 0, :2] = [(0.7, 0.03, 0.0), (0.2, 0.0, -0.3)]
    view = view_of([[(200.0,), (50.0,), (20.0,)]], [[(300.0, 3.0, 9.0, 0.9, 0.9), (150.0, 1.0, 30.0, 0.4, np.nan)]],
                   [50.0], constituents)  # fmt: skip
    settings = AnomalySettings(rings=(0.1, 0.2, 0.4))
    expected = [
        *(0.75, 0), *(0.2, 0), *(0.4, 0), *(0, 0),  # the forward jet is left out, τ32 is not known
        *(0.7, 0), *(0, 0), *(0.2, 0), *(0.53, 0), *(0.081, 0),
        math.log(3), math.log(1 + 250 / 200), 50 / 300,
    ]  # fmt: skip
    assert features(view, settings)[0] == pytest.approx(expected, abs=1e-6)


def test_inputs_do_not_know_the_scale_of_momenta():
    view, harder = (
        view_of([[(s * 100,), (s * 40,)]], [[(s * 120, 0.0, s * 12, 0.3, 0.5)]], [s * 10]) for s in (1.0, 7.0)
    )
    assert features(harder) == pytest.approx(features(view), rel=1e-6)


def test_inputs_of_nothing_are_zero():
    assert not features(view_of([[], []], [[], []], [0.0, 0.0])).any()
    assert features(view_of([], [], [])).shape == (0, 25)


def test_constituents_must_be_recorded():
    view = view_of([[]], [[]], [0.0])
    with pytest.raises(MissingFieldError, match="'constituents'"):
        features(view[["jets", "fat_jets", "met"]])


def test_area_counts_pairs_and_ties():
    background, signal = np.array([3.0, 0.0, 1.0, 2.0]), np.array([2.0, 5.0, -1.0, 2.5])
    pairs = signal[:, None] - background
    expected = ((pairs > 0).sum() + 0.5 * (pairs == 0).sum()) / pairs.size
    assert area(background, signal, ones(4), ones(4)) == pytest.approx([expected])


def test_area_of_drawn_crossings_is_that_of_repeated_ones():
    generator = np.random.default_rng(5)
    background, signal = generator.integers(0, 6, 20).astype(float), generator.integers(2, 9, 12).astype(float)
    counts = generator.integers(0, 3, (3, 20)), generator.integers(0, 3, (3, 12))
    expected = [
        area(np.repeat(background, b), np.repeat(signal, s), ones(b.sum()), ones(s.sum()))[0]
        for b, s in zip(*counts, strict=True)
    ]
    assert area(background, signal, *counts) == pytest.approx(expected)


def test_area_of_too_few_or_without_scores_is_unknown():
    assert np.isnan(area(np.arange(3.0), np.arange(9.0), ones(3), ones(9))).all()
    assert np.isnan(area(np.full(9, np.nan), np.arange(9.0), ones(9), ones(9))).all()


def test_slope_of_a_straight_line():
    n_vertices = np.array([0.0, 10.0, 50.0, 120.0, 200.0])
    counts = np.array([[1, 1, 1, 1, 1], [0, 2, 1, 0, 2], [5, 0, 0, 0, 0]])
    assert slope(3 - 0.02 * n_vertices, n_vertices, counts) == pytest.approx([-0.02, -0.02, math.nan], nan_ok=True)
    assert np.isnan(slope(np.arange(3.0), np.arange(3.0), ones(3))).all()


def test_slope_is_that_of_least_squares():
    generator = np.random.default_rng(2)
    n_vertices = generator.uniform(0, 200, 50)
    values = 0.1 * n_vertices + generator.normal(size=50)
    assert slope(values, n_vertices, ones(50))[0] == pytest.approx(np.polyfit(n_vertices, values, 1)[0])


def test_scores_rise_with_what_was_not_learned():
    learned = features(crossings(200, 1), QUICK)
    autoencoder = train(learned, QUICK)
    familiar = scores(autoencoder, features(crossings(100, 2), QUICK))
    strange = scores(autoencoder, features(crossings(100, 3, mass=0.5), QUICK))
    assert (familiar >= 0).all()
    assert area(familiar, strange, ones(100), ones(100))[0] > 0.99
    each = scores_by_training(autoencoder, learned)
    assert each.shape == (QUICK.trainings, 200)
    assert not np.allclose(*each)
    assert each.mean(axis=0) == pytest.approx(scores(autoencoder, learned))


def test_inputs_that_never_change_are_no_trouble():
    learned = np.random.default_rng(1).normal(size=(100, 3))
    constant = np.concatenate([learned, np.full((100, 1), 7.0)], axis=1)
    assert np.isfinite(scores(train(constant, QUICK), constant)).all()


def test_too_few_crossings_teach_nothing():
    autoencoder = train(np.zeros((39, 25)), QUICK)
    assert np.isnan(scores(autoencoder, np.zeros((5, 25)))).all()
    assert scores(autoencoder, np.zeros((0, 25))).shape == (0,)
    assert scores(train(np.random.default_rng(1).normal(size=(40, 25)), QUICK), np.zeros((0, 25))).shape == (0,)


def test_without_the_library_the_way_to_install_it_is_told(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.neural_network", None)
    with pytest.raises(MissingExtraError, match=r"hardscatter\[report\]"):
        train(np.zeros((50, 3)), QUICK)


@pytest.mark.parametrize(
    "wrong", [{"trainings": 0}, {"hidden": ()}, {"kept": 1.0}, {"rings": (0.2, 0.1)}, {"vertices": (10.0, 10.0)}]
)
def test_impossible_settings(wrong):
    with pytest.raises(SettingsError):
        AnomalySettings(**wrong)


@pytest.fixture(scope="module")
def samples():
    """Return background and signals: one method is steady, the other sees a jet more per 20 vertices."""
    generator = np.random.default_rng(9)

    def both(n, seed, n_vertices, **kind):
        return {
            "total": crossings(n, seed, **kind),
            "puppi:best": crossings(n, seed, extra_jets=(n_vertices // 20).astype(int), **kind),
        }

    at_mean, flat = generator.normal(100, 8, 400), generator.uniform(0, 150, 300)
    background = {
        "140": records(both(400, 1, at_mean), n_vertices=at_mean),
        "flat": records(both(300, 2, flat), n_vertices=flat, first=1000, sample="made-up QCD, flat pileup"),
        "0": records({"none": crossings(400, 3)}),
    }
    signals = {
        "heavy": {
            "140": records(both(100, 4, at_mean[:100], mass=0.5), sample="heavy jets"),
            "0": records({"none": crossings(100, 5, mass=0.5)}),
        },
        "same": {"140": records({"total": crossings(150, 6)})},
    }
    return background, signals


@pytest.fixture(scope="module")
def study(samples):
    return anomaly_study(*samples, QUICK)


def result(study, name):
    return next(result for result in study.results if result.name == name)


def test_study_separates_what_differs_and_nothing_else(study):
    rows = result(study, "anomaly").rows
    assert list(rows) == ["total", "puppi:best"]
    assert rows["total"]["heavy"].value > 0.99
    assert rows["puppi:best"]["heavy"].value > 0.95
    same = rows["total"]["same"]
    assert 0.01 < same.error < 0.06
    assert abs(same.value - 0.5) < 4 * same.error
    assert "same" not in rows["puppi:best"]
    assert rows["total"]["trainings"].value < 0.1
    assert abs(rows["total"]["momentum"].value) < 4 * rows["total"]["momentum"].error
    alone = result(study, "anomaly_no_pileup")
    assert list(alone.rows) == [NO_PILEUP]
    assert alone.rows[NO_PILEUP]["heavy"].value > 0.99
    assert "same" not in alone.rows[NO_PILEUP]


def test_study_compares_with_puppi_on_the_same_crossings(study):
    rows, differences = result(study, "anomaly").rows, result(study, "anomaly_differences").rows
    assert list(differences) == ["total"]
    assert list(differences["total"]) == ["heavy"]
    expected = rows["total"]["heavy"].value - rows["puppi:best"]["heavy"].value
    assert differences["total"]["heavy"].value == pytest.approx(expected)


def test_slopes_tell_who_follows_the_pileup(samples, study):
    background = samples[0]
    rows = result(study, "anomaly").rows
    steady, following = (rows[method]["slope"] for method in ("total", "puppi:best"))
    assert abs(steady.value) < 4 * steady.error
    assert abs(following.value) > 10 * following.error
    view = background["140"].views["puppi:best"]
    autoencoder = train(features(view[::2], QUICK), QUICK)
    here, flat = (
        np.log(scores(autoencoder, features(crossing, QUICK)))
        for crossing in (view[1::2], background["flat"].views["puppi:best"])
    )
    vertices = background["flat"].truth.n_vertices.to_numpy()
    assert following.value == pytest.approx(10 * np.polyfit(vertices, flat, 1)[0] / here.std())
    shifts = result(study, "anomaly_score").statistics["shift"]["puppi:best"]
    first = flat[vertices < 50]
    assert shifts[0].value == pytest.approx((first.mean() - here.mean()) / here.std())
    assert result(study, "anomaly_score").sizes[0] == len(first)


def test_a_trigger_keeps_what_it_should_unless_the_score_follows_the_pileup(study):
    rates = result(study, "anomaly_rate").statistics["rate"]
    assert all(abs(rate.value - QUICK.kept) < 4 * rate.error + 0.02 for rate in rates["total"])
    assert rates["puppi:best"][0].value > 0.5
    assert all(estimate.error > 0 for estimates in rates.values() for estimate in estimates)


def test_crossings_that_were_trained_on_are_left_out(samples):
    background, _ = samples
    again = {"140": background["140"], "flat": background["140"]}
    profile = result(anomaly_study(again, {}, QUICK), "anomaly_score")
    assert profile.n_events == 200
    # What is left are the crossings that everything is measured in units of.
    rows = profile.statistics["shift"]["total"]
    sizes = np.array(profile.sizes)
    assert sizes.sum() == 200
    assert sum(size * row.value for size, row in zip(sizes, rows, strict=True) if size) == pytest.approx(0, abs=1e-9)


def test_study_is_the_same_again(samples, study):
    assert repr(anomaly_study(*samples, QUICK)) == repr(study)


@pytest.mark.parametrize("n", [0, 1, 7])
def test_hardly_any_crossings_give_no_numbers(n):
    few = records({"total": crossings(n, 1), "puppi:best": crossings(n, 1)}, n_vertices=np.full(n, 100.0))
    new = records({"total": crossings(n, 1)}, n_vertices=np.full(n, 100.0), first=50)
    study = anomaly_study({"140": few, "flat": new, "0": few}, {"new": {"140": new, "0": new}}, QUICK)
    values = [
        estimate.value
        for found in study.results
        for cells in (found.rows.values() if found.kind == "numbers" else found.statistics.values())
        for estimate in (
            cells.values() if found.kind == "numbers" else [each for row in cells.values() for each in row]
        )
    ]
    assert len(values) > 8
    assert np.isnan(values).all()


def test_nothing_recorded_is_an_empty_study():
    assert anomaly_study({}, {}).results == ()
    assert [found.name for found in anomaly_study({"140": records({"total": crossings(4, 1)})}, {}).results] == [
        "anomaly"
    ]
