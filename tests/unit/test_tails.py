"""Fake jets, lost jets and fake missing momentum: on crossings where each can be counted by hand."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

from hardscatter.metrics.records import Records
from hardscatter.metrics.tails import tail_numbers, tails_study


def jets(rows):
    """Build jets of (pt, eta, phi), crossing by crossing."""
    flat = np.array([jet for row in rows for jet in row], dtype=float).reshape(-1, 3)
    counts = np.array([len(row) for row in rows], dtype=int)
    return ak.zip({name: ak.unflatten(flat[:, k], counts) for k, name in enumerate(("pt", "eta", "phi"))})


def records_of(true, measured, leptons=None, met=None, weight=None):
    """Build records of one view, ``total``; missing momentum by (px, py), the true one 0."""
    n = len(true)
    met = np.zeros((n, 2)) if met is None else np.asarray(met, dtype=float).reshape(n, 2)
    truth = {
        "generator_weight": np.ones(n) if weight is None else np.asarray(weight, dtype=float),
        "jets": jets(true),
        "leptons": jets([[]] * n if leptons is None else leptons),
        "met": ak.zip({"pt": np.zeros(n), "phi": np.zeros(n)}),
    }
    view = {"jets": jets(measured), "met": ak.zip({"px": met[:, 0], "py": met[:, 1]})}
    return Records("toy", ak.zip(truth, depth_limit=1), {"total": ak.zip(view, depth_limit=1)})


def values(table, method="total"):
    return [estimate.value for estimate in table.rows[method].values()]


def by_name(records, **settings):
    return {table.name.replace("_toy", ""): table for table in tail_numbers(records, "toy", replicas=300, **settings)}


def test_fakes_are_counted_by_threshold_and_region_away_from_truth_jets_and_leptons():
    true = [[(20.0, 0.0, 3.1)], [], [], []]
    measured = [
        [(60.0, 0.1, -3.1)],  # beside the truth jet, across the seam of phi
        [(45.0, 1.0, 0.0), (35.0, -1.0, 2.0)],
        [(80.0, -3.0, 0.0), (90.0, 4.8, 0.0)],  # the second beyond the region
        [(50.0, 2.0, 1.0)],  # a lepton
    ]
    tables = by_name(records_of(true, measured, leptons=[[], [], [], [(50.0, 2.1, 1.1)]]))
    assert values(tables["fakes_central"]) == [0.5, 0.25, 0.0, 0.0]
    assert values(tables["fakes_forward"]) == [0.25, 0.25, 0.25, 0.25]


def test_lost_jets_are_those_without_half_their_momentum_nearby():
    true = [[(40.0, 0.0, 0.0)], [(40.0, 0.0, 0.0)], [(60.0, 1.0, 3.1), (60.0, 3.0, 0.0)], [(100.0, 0.0, 0.0)]]
    measured = [
        [(19.0, 0.0, 0.0), (90.0, 0.5, 0.0)],  # too soft, and too far
        [(21.0, 0.3, 0.0)],
        [(40.0, 1.0, -3.1)],  # across the seam of phi; the forward jet is lost
        [(10.0, 0.0, 0.0)],  # of a lepton: not asked for
    ]
    table = by_name(records_of(true, measured, leptons=[[], [], [], [(100.0, 0.0, 0.0)]]))["lost"]
    assert list(table.rows["total"]) == [
        "central_above_30", "central_above_50", "forward_above_30", "forward_above_50",
    ]  # fmt: skip
    assert "3, 1, 1, 1 truth jets" in table.remark
    assert np.isnan(values(table)).all()  # fewer than 4 jets tell nothing
    tripled = by_name(records_of(true * 4, measured * 4, leptons=[[], [], [], [(100.0, 0.0, 0.0)]] * 4))["lost"]
    assert values(tripled) == pytest.approx([1 / 3, 0.0, 1.0, 1.0])


def test_fake_missing_momentum_is_the_distance_from_the_true_one():
    met = [(60.0, 80.1), (-51.0, 0.0), (0.0, 0.0), (0.0, 49.0)]
    table = by_name(records_of([[]] * 4, [[]] * 4, met=met))["fake_met"]
    assert values(table) == [0.5, 0.25, 0.0]


def test_nothing_in_the_tail_comes_with_its_bound_and_a_share_with_its_binomial_error():
    n = 400
    met = np.zeros((n, 2))
    met[: n // 4, 0] = 60.0
    records = records_of([[]] * n, [[]] * n, met=met)
    quarter, none, _ = by_name(records)["fake_met"].rows["total"].values()
    assert quarter.error == pytest.approx(np.sqrt(0.25 * 0.75 / n), rel=0.2)
    # Of a true share p none of n is seen in 32 of 100 samples: (1 - p)^n = 0.3173.
    assert (1 - none.error) ** n == pytest.approx(0.3173)
    assert (none.value, none.low, none.high) == (0.0, 0.0, none.error)


def test_generator_weights_count_and_are_used_only_where_they_leave_enough():
    n = 200
    met = np.zeros((n, 2))
    met[:50, 0] = 60.0
    weight = np.where(np.arange(n) < 50, 1.0, 2.0)
    records = records_of([[]] * n, [[]] * n, met=met, weight=weight)
    tables = by_name(records, weighted=True)
    assert values(tables["fake_met_weighted"])[0] == pytest.approx(50 / 350)
    names = {table.name for table in tails_study({"enriched": records}, replicas=5).results}
    assert {"fake_met_enriched", "fake_met_enriched_weighted"} <= names
    flat = records_of([[]] * n, [[]] * n, weight=10.0 ** -np.arange(n).astype(float).clip(max=30))
    assert not any("weighted" in table.name for table in tails_study({"qcd": flat}, replicas=5).results)
    equal = records_of([[]] * n, [[]] * n, weight=np.full(n, 3.0))
    assert not any("weighted" in table.name for table in tails_study({"equal": equal}, replicas=5).results)


@pytest.mark.parametrize("n", [0, 1])
def test_too_few_crossings_give_nan(n):
    study = tails_study({"pileup 140": records_of([[]] * n, [[]] * n)}, replicas=5)
    assert [table.name for table in study.results] == [
        f"{name}_pileup_140" for name in ("fakes_central", "fakes_forward", "lost", "fake_met")
    ]
    assert all(np.isnan(values(table)).all() for table in study.results)
    json.dumps(study.to_dict())


def test_tables_that_the_truth_does_not_allow_are_left_out():
    records = records_of([[(40.0, 0.0, 0.0)]] * 4, [[]] * 4)
    no_met = Records("toy", records.truth[["jets"]], records.views)
    tables = {table.name: table for table in tails_study({"toy": no_met}, replicas=5).results}
    assert list(tables) == ["fakes_central_toy", "fakes_forward_toy", "lost_toy"]
    assert values(tables["lost_toy"])[0] == 1.0
    no_jets = Records("toy", ak.without_field(records.truth, "jets"), records.views)
    assert [table.name for table in tails_study({"toy": no_jets}, replicas=5).results] == ["fake_met_toy"]
