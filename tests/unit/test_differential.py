"""Resolutions over whole samples and in bins, on records whose answers are known."""

from __future__ import annotations

import math
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.metrics import DESIGN, TALK
from hardscatter.metrics.differential import (
    AK4,
    AK4_CENTRAL,
    AK8,
    differential_study,
    inclusive_study,
    jet_profile,
    met_profile,
    supervised_study,
    vertices_study,
)
from hardscatter.metrics.records import Records, truth_of, view_of

BEST, CMS = "puppi:best", "puppi:cms-phase2"


def one_jet(pt, eta, mass=10.0, tau32=0.5):
    """One jet a crossing, at phi 0."""
    columns = {"pt": pt, "eta": eta, "phi": 0 * pt, "mass": 0 * pt + mass, "tau21": 0 * pt, "tau32": 0 * pt + tau32}
    return ak.zip({name: ak.from_regular(values[:, np.newaxis]) for name, values in columns.items()})


def toys(responses, truth_pt=100.0, eta=0.5, met=50.0, n_vertices=30, residuals=0.0, sample="toys"):
    """Records of crossings with one true jet each, AK4 and AK8, and views that scale them.

    `responses` and `residuals` (GeV, of missing momentum, x) are by view, one number a crossing.
    """
    n = len(next(iter(responses.values())))
    truth_pt, eta, met, n_vertices = (
        np.broadcast_to(values, n).astype(float) for values in (truth_pt, eta, met, n_vertices)
    )
    jets = one_jet(truth_pt, eta)
    truth = {
        "event": np.arange(n), "n_vertices": n_vertices.astype(int), "jets": jets, "fat_jets": jets,
        "met": ak.zip({"pt": met, "phi": 0 * met}),
    }  # fmt: skip
    views = {}
    for name, response in responses.items():
        scale = 1 + np.asarray(response, dtype=float)
        residual = residuals[name] if isinstance(residuals, dict) else residuals
        scaled = one_jet(truth_pt * scale, eta, 10.0 * scale, 0.5 + np.asarray(response))
        momentum = ak.zip({"px": met + residual, "py": 0 * met + residual})
        views[name] = ak.zip({"jets": scaled, "fat_jets": scaled, "met": momentum}, depth_limit=1)
    return Records(sample, ak.zip(truth, depth_limit=1), views)


def values_of(estimates):
    return [estimate.value for estimate in estimates]


@pytest.fixture(scope="module")
def delphes_events(delphes_file):
    return hs.read(str(delphes_file))[:10]


@pytest.mark.parametrize("definition", [DESIGN, TALK], ids=lambda definition: definition.name)
def test_the_inclusive_tables_are_those_of_the_crossings_themselves(delphes_events, definition):
    weights = {BEST: hs.mitigate(delphes_events, BEST), CMS: hs.mitigate(delphes_events, CMS)}
    table = hs.resolution(delphes_events, weights, definition=definition, replicas=20)
    weights["perfect"] = hs.perfect_weights(delphes_events)
    views = {name: view_of(delphes_events, weight) for name, weight in weights.items()}
    study = inclusive_study(Records("tt̄", truth_of(delphes_events), views), (definition,), replicas=20)
    shown = {quantity for quantity, size in table.sizes.items() if size}
    assert {result.name for result in study.results} == {f"resolution_{name.replace('.', '_')}" for name in shown}
    assert len(shown) >= 2
    for quantity in shown:
        numbers = next(result for result in study.results if result.name.endswith(quantity.replace(".", "_")))
        assert numbers.remark.startswith(f"{table.sizes[quantity]} ")
        assert set(numbers.rows) == set(table.estimates)
        for method, row in numbers.rows.items():
            expected = table.estimates[method][quantity]
            assert set(row) == set(expected) <= set(numbers.headings)
            for statistic, estimate in row.items():
                pair = (estimate.value, estimate.error), (expected[statistic].value, expected[statistic].error)
                assert pair[0] == pytest.approx(pair[1], rel=1e-3, abs=1e-4, nan_ok=True)


def test_a_profile_of_one_bin_is_the_inclusive_table():
    generator = np.random.default_rng(1)
    records = toys({BEST: generator.normal(0, 0.2, 50), "total": generator.normal(0.1, 0.1, 50)})
    profile = jet_profile(records, AK4_CENTRAL, "pt", "pt", (30.0, 1000.0), replicas=30)
    (numbers,) = (one for one in inclusive_study(records, replicas=30).results if one.name.endswith("ak4_central_pt"))
    for statistic in ("resolution", "median", "efficiency"):
        assert profile.statistics[statistic]["total"] == (numbers.rows["total"][statistic],)
    assert profile.sizes == (50,)
    assert profile.n_events == 50


def test_resolution_and_bias_by_hand_in_bins_of_momentum():
    """Responses −d, 0, d, … shifted by 0.1: q75 − q25 of five equal steps is two steps, δ one."""
    steps = np.tile([-0.1, -0.05, 0.0, 0.05, 0.1], 4)
    pt = np.repeat([50.0, 150.0], 10)
    records = toys({"total": np.where(pt < 100, steps, 2 * steps + 0.1)}, truth_pt=pt)
    profile = jet_profile(records, AK4_CENTRAL, "pt", "pt", (30.0, 100.0, 150.0, 300.0, 500.0), replicas=20)
    assert list(profile.statistics) == ["resolution", "median", "efficiency"]  # nothing to take a ratio to
    assert list(profile.headings) == list(profile.statistics)
    assert profile.sizes == (10, 0, 10, 0)  # lower edges included
    assert values_of(profile.statistics["resolution"]["total"]) == pytest.approx(
        [0.05, math.nan, 0.1 / 1.1, math.nan], nan_ok=True, abs=1e-6
    )
    assert values_of(profile.statistics["median"]["total"]) == pytest.approx(
        [0, math.nan, 0.1, math.nan], nan_ok=True, abs=1e-6
    )
    assert profile.name == "ak4_central_pt_pt"
    assert profile.reference == "total"


def test_tau32_is_a_difference_and_mass_a_ratio():
    steps = np.tile([-0.1, -0.05, 0.0, 0.05, 0.1], 4) + 0.02
    records = toys({"total": steps}, truth_pt=500.0)
    tau32 = jet_profile(records, AK8, "tau32", "pt", (300.0, 600.0), replicas=20)
    assert next(iter(tau32.statistics)) == "delta"
    assert values_of(tau32.statistics["delta"]["total"]) == pytest.approx([0.05])
    assert values_of(tau32.statistics["median"]["total"]) == pytest.approx([0.02])
    mass = jet_profile(records, AK8, "mass", "pt", (300.0, 600.0), replicas=20)
    assert values_of(mass.statistics["resolution"]["total"]) == pytest.approx([0.05 / 1.02])


def test_lost_jets_are_in_the_efficiency_of_their_bin():
    response = np.zeros(20)
    response[12:] = -0.95  # 5 GeV of 100: below what is reconstructed, or here found and far off
    records = toys({"total": response}, eta=np.repeat([-0.5, 3.5], [10, 10]))
    view = records.views["total"]
    records = replace(records, views={"total": ak.with_field(view, view.jets[view.jets.pt > 10], "jets")})
    profile = jet_profile(records, AK4, "pt", "eta", (0.0, 1.0, 4.7), replicas=20)
    assert values_of(profile.statistics["efficiency"]["total"]) == [1.0, 0.2]
    assert profile.statistics["efficiency"]["total"][0].error > 0
    assert profile.sizes == (10, 10)


def test_ratios_leave_out_what_methods_have_in_common():
    """Twice the reference in every crossing: the ratio is 2 in every replica, whatever its resolution's error."""
    response = np.random.default_rng(2).normal(0, 0.1, 60)
    records = toys({"total": 2 * response, CMS: response, BEST: response}, truth_pt=500.0)
    profile = jet_profile(records, AK8, "tau32", "pt", (300.0, 600.0), replicas=40)
    assert profile.reference == BEST
    (ratio,) = profile.statistics["ratio"]["total"]
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((2.0, 2.0, 2.0))
    assert ratio.error == pytest.approx(0.0, abs=1e-9)
    assert profile.statistics["delta"]["total"][0].error > 0.01
    assert values_of(profile.statistics["ratio"][BEST]) == [1.0]
    without = replace(records, views={name: view for name, view in records.views.items() if name != BEST})
    profile = jet_profile(without, AK8, "tau32", "pt", (300.0, 600.0), replicas=40)
    assert profile.reference == CMS
    assert values_of(profile.statistics["ratio"]["total"]) == pytest.approx([2.0])


def test_low_and_high_of_a_ratio_enclose_it():
    generator = np.random.default_rng(3)
    records = toys({name: generator.normal(0, 0.1, 80) for name in (BEST, "total")})
    (ratio,) = jet_profile(records, AK4, "pt", "eta", (0.0, 4.7), replicas=80).statistics["ratio"]["total"]
    assert ratio.low < ratio.value < ratio.high
    assert ratio.error == pytest.approx((ratio.high - ratio.low) / 2)


def test_missing_momentum_by_hand():
    """Residuals of −2 … 2 GeV in equal shares: half of them within ±1. They are 0 on average, so the slope is 1."""
    met = np.repeat([10.0, 50.0], 20)
    residual = np.where(met < 20, 0.0, np.tile([-2.0, -1.0, 0.0, 1.0, 2.0], 8))
    records = toys({"total": np.zeros(40)}, met=met, residuals={"total": residual})
    profile = met_profile(records, "met", (0.0, 20.0, 100.0, 200.0), replicas=20)
    assert profile.sizes == (20, 20, 0)
    assert values_of(profile.statistics["delta"]["total"]) == pytest.approx([0.0, 1.0, math.nan], nan_ok=True)
    assert values_of(profile.statistics["slope"]["total"])[:2] == pytest.approx([1.0, 1.0])
    assert list(profile.statistics) == ["delta", "slope", "width68"]


def test_against_vertices():
    vertices = np.repeat([10, 50], 20)
    response = np.where(vertices < 20, 1.0, 3.0) * np.tile([-0.1, -0.05, 0.0, 0.05, 0.1], 8)
    records = toys({"total": response}, truth_pt=300.0, n_vertices=vertices, residuals={"total": 100 * response})
    study = vertices_study(records, (0, 20, 40, 60), replicas=20)
    assert [result.name for result in study.results] == [
        "vertices_ak4_central_pt_n_vertices", "vertices_met_n_vertices", "vertices_ak8_mass_n_vertices"
    ]  # fmt: skip
    for result, unit in zip(study.results, (0.05, 5.0, 0.05), strict=True):
        headline = next(iter(result.statistics.values()))
        assert values_of(headline["total"]) == pytest.approx([unit, math.nan, 3 * unit], nan_ok=True)
        assert result.sizes == (20, 0, 20)
    unknown = ak.zip({name: records.truth[name] for name in ("event", "jets", "met")}, depth_limit=1)
    assert vertices_study(replace(records, truth=unknown), replicas=20).results == ()


def test_each_sample_shows_what_it_is_for():
    response = {"total": np.tile([-0.1, 0.0, 0.1], 10)}
    samples = {
        name: toys(response, truth_pt=pt, sample=name)
        for name, pt in (("ttbar", 100.0), ("qcd", 100.0), ("zprime", 500.0))
    }
    study = differential_study(**samples, replicas=20)
    assert [(result.name, result.sample) for result in study.results] == [
        ("differential_ak4_central_pt_pt", "ttbar"),
        ("differential_ak4_pt_eta", "qcd"),
        ("differential_ak8_mass_pt", "zprime"),
        ("differential_ak8_tau32_pt", "zprime"),
        ("differential_met_met", "ttbar"),
    ]
    only = differential_study(qcd=samples["qcd"], name="own", replicas=20)
    assert [result.name for result in only.results] == ["own_ak4_pt_eta"]
    assert differential_study().results == ()


def test_few_crossings_tell_nothing():
    four = toys({BEST: np.zeros(4), "total": np.zeros(4)})
    profile = jet_profile(four, AK4, "pt", "eta", (0.0, 2.5), replicas=20)
    assert profile.sizes == (4,)
    assert all(
        math.isnan(estimate.value) and math.isnan(estimate.error)
        for by_method in profile.statistics.values()
        for estimate in by_method["total"] + by_method[BEST]
    )
    assert differential_study(ttbar=four, qcd=four, zprime=four, replicas=20).results == ()
    one = toys({"total": np.zeros(1)})
    assert inclusive_study(toys({"total": np.zeros(0)}), replicas=20).results == ()
    assert inclusive_study(one, replicas=20).results != ()
    nothing = replace(one, views={})
    assert (
        inclusive_study(nothing).results == supervised_study(nothing).results == vertices_study(nothing).results == ()
    )
    assert jet_profile(nothing, AK4, "pt", "eta", (0.0, 2.5)).statistics["resolution"] == {}


def test_truth_that_is_missing_leaves_its_results_out():
    records = toys({"total": np.tile([-0.1, 0.0, 0.1], 10)})
    jets_only = replace(records, truth=ak.zip({"jets": records.truth.jets}, depth_limit=1))
    assert met_profile(jets_only, "met", (0.0, 100.0), replicas=20).sizes == (0,)
    assert jet_profile(jets_only, AK8, "mass", "pt", (0.0, 100.0), replicas=20).sizes == (0,)
    names = {result.name for result in inclusive_study(jets_only, (DESIGN,), replicas=20).results}
    assert names == {"resolution_ak4_central_pt", "resolution_ht"}


def test_units_and_columns_of_the_inclusive_tables():
    generator = np.random.default_rng(4)
    records = toys(
        {name: generator.normal(0, width, 30) for name, width in ((CMS, 0.2), (BEST, 0.15), ("perfect", 0.02))}
    )
    results = {result.name: result for result in inclusive_study(records, replicas=20, name="all").results}
    jets = results["all_ak4_central_pt"]
    assert list(jets.headings)[:5] == ["resolution", "delta", "median", "gap", "gap_cms"]
    assert jets.remark == "30 true jets above 30 GeV in 30 crossings."
    assert "[GeV]" in results["all_met"].headings["delta"]
    assert "[GeV]" not in results["all_talk_met"].headings["delta"]
    assert {"improvement", "improvement_cms"} <= set(results["all_talk_ak4_pt"].headings)


def test_the_label_free_methods_against_the_supervised_one():
    """δ of 1, 0.5, 0.4 and 0 of the reference's: gaps 0, 0.5, 0.6 and 1; supervised and TOTAL differ by 0.1."""
    response = np.random.default_rng(5).permutation(np.linspace(-0.1, 0.1, 41))
    scales = {BEST: 1.0, "supervised": 0.5, "total:paper": 0.7, "total": 0.4, "perfect": 0.0, "none": 3.0}
    records = toys({name: scale * response for name, scale in scales.items()}, truth_pt=500.0)
    (numbers,) = supervised_study(records, replicas=30).results
    assert list(numbers.rows) == ["total:paper", "total"]
    for quantity in ("ak4_central.pt", "ak8.mass", "ak8.tau32"):
        assert numbers.rows["total"][quantity].value == pytest.approx(0.1, abs=1e-6)
        assert numbers.rows["total:paper"][quantity].value == pytest.approx(-0.2, abs=1e-6)
    # Residuals of τ32 scale exactly, in every replica: so the difference has no error, though the resolutions have.
    assert numbers.rows["total"]["ak8.tau32"].error == pytest.approx(0.0, abs=1e-9)
    assert set(numbers.headings) == set(numbers.rows["total"])
    without = replace(records, views={name: view for name, view in records.views.items() if name != "supervised"})
    assert supervised_study(without, replicas=30).results == ()


def test_the_gap_may_begin_at_the_tune_of_cms():
    response = np.random.default_rng(6).permutation(np.linspace(-0.1, 0.1, 41))
    scales = {CMS: 1.0, "supervised": 0.5, "total": 0.25, "perfect": 0.0}
    (numbers,) = supervised_study(toys({name: s * response for name, s in scales.items()}), replicas=30).results
    assert numbers.rows["total"]["ak4_central.pt"].value == pytest.approx(0.25, abs=1e-6)
    assert "CMS" in numbers.remark
