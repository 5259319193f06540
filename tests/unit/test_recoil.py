"""The recoil against Z → ℓℓ: on recoils whose response and widths are known, and on next to no crossings."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

from hardscatter.errors import MissingFieldError
from hardscatter.metrics.recoil import PT_EDGES, RecoilSelection, recoil_numbers, recoil_profile, recoil_study
from hardscatter.metrics.records import Records

SIGMA_68 = 0.9945  # half of the central 68 % of a normal distribution, in its σ


def z_records(n, responses, sigma=(8.0, 5.0), seed=4, pt=None):
    """Build crossings whose recoil is R q along the boson, smeared by R times `sigma` along it and across."""
    rng = np.random.default_rng(seed)
    pt = rng.uniform(31.0, 149.0, n) if pt is None else np.asarray(pt)
    phi = rng.uniform(-np.pi, np.pi, n)
    along, across = (rng.normal(0.0, s, n) for s in sigma)
    direction = np.stack([np.cos(phi), np.sin(phi)])
    normal = np.stack([-np.sin(phi), np.cos(phi)])
    views = {}
    for name, response in responses.items():
        recoil = -response * ((pt + along) * direction + across * normal)
        px, py = -pt * direction - recoil
        views[name] = ak.zip({"met": ak.zip({"px": px, "py": py})}, depth_limit=1)
    truth = {
        "n_vertices": rng.integers(1, 140, n),
        "boson": ak.zip({"pt": pt, "phi": phi}),
        "met": ak.zip({"pt": np.zeros(n), "phi": np.zeros(n)}),
        "leptons": ak.zip({"eta": ak.unflatten(np.zeros(2 * n), np.full(n, 2))}),
    }
    return Records("toy", ak.zip(truth, depth_limit=1), views)


def test_response_and_corrected_widths_are_found_whatever_the_response():
    records = z_records(4000, {"puppi:best": 1.0, "low": 0.7})
    row = recoil_numbers(records, replicas=60).rows
    for method, response in {"puppi:best": 1.0, "low": 0.7}.items():
        assert row[method]["response"].value == pytest.approx(response, abs=0.005)
        assert row[method]["parallel"].value == pytest.approx(8.0 * SIGMA_68, rel=0.05)
        assert row[method]["perpendicular"].value == pytest.approx(5.0 * SIGMA_68, rel=0.05)
        # The error of σ(68 %) of n normal values is 1.17 σ/√(2n) or so: here 0.07 GeV.
        assert 0.04 < row[method]["perpendicular"].error < 0.12


def test_improvement_of_a_scaled_copy_is_zero_without_error_because_both_see_the_same_draws():
    records = z_records(300, {"puppi:best": 1.0, "puppi:cms-phase2": 0.5})
    row = recoil_numbers(records, replicas=40).rows["puppi:cms-phase2"]
    assert row["improvement_perpendicular"].value == pytest.approx(0.0, abs=1e-9)
    assert row["improvement_perpendicular"].error == pytest.approx(0.0, abs=1e-9)
    assert row["improvement_perpendicular_cms"].value == 0.0
    # Missing momentum is not corrected: what is not measured of the recoil is missing.
    assert row["met"].value > 10.0
    assert row["improvement_met"].value < -1.0


def test_components_have_the_boson_for_axis():
    """One boson along x: all that is missing along y is perpendicular."""
    n = 8
    records = z_records(n, {"total": 1.0}, sigma=(0.0, 0.0), pt=np.full(n, 60.0))
    phi = np.asarray(records.truth.boson.phi)
    shift = np.where(np.arange(n) % 2, 20.0, -20.0)
    view = ak.zip({"met": ak.zip({"px": -shift * np.sin(phi), "py": shift * np.cos(phi)})}, depth_limit=1)
    row = recoil_numbers(Records("toy", records.truth, {"total": view}), replicas=5).rows["total"]
    assert row["perpendicular"].value == pytest.approx(20.0)
    assert row["parallel"].value == pytest.approx(0.0, abs=1e-9)
    assert row["response"].value == pytest.approx(1.0)
    assert "improvement_perpendicular" not in row
    assert "ratio" not in recoil_profile(records, "boson_pt", PT_EDGES, replicas=5).statistics


def test_profile_sorts_crossings_into_its_bins_and_agrees_with_the_table_where_one_bin_holds_all():
    records = z_records(500, {"none": 0.9, "puppi:best": 1.0})
    whole = recoil_profile(records, "boson_pt", (30.0, 150.0), replicas=20)
    assert whole.reference == "puppi:best"
    numbers = recoil_numbers(records, replicas=20).rows
    for name in ("perpendicular", "parallel", "response"):
        for method, (estimate,) in whole.statistics[name].items():
            assert estimate == numbers[method][name]
    for method, (relative,) in whole.statistics["ratio"].items():
        improvement = numbers[method]["improvement_perpendicular"]
        assert relative.value == pytest.approx(1 - improvement.value)
        assert relative.error == pytest.approx(improvement.error)
    fine = recoil_profile(records, "boson_pt", (*PT_EDGES, 1000.0), replicas=5)
    pt = np.asarray(records.truth.boson.pt)
    assert fine.sizes == tuple(np.histogram(pt, (*PT_EDGES, 1000.0))[0])
    assert np.isnan(fine.statistics["response"]["none"][-1].value)
    assert np.isnan(fine.statistics["response"]["none"][-1].error)
    vertices = recoil_profile(records, "n_vertices", (0.0, 70.0, 140.0), replicas=5)
    assert sum(vertices.sizes) == 500


def test_selection_leaves_out_soft_bosons_leptons_outside_and_crossings_without_a_boson():
    records = z_records(6, {"total": 1.0}, pt=[20.0, np.nan, 40.0, 50.0, 60.0, 70.0])
    leptons = ak.zip({"eta": ak.Array([[0, 0], [0, 0], [0, 3.0], [1.0], [0, -2.0, 4.0], [0, 0]])})
    truth = ak.with_field(records.truth, leptons, "leptons")
    kept = recoil_profile(Records("toy", truth, records.views), "boson_pt", (0.0, 100.0), replicas=5)
    assert kept.sizes == (2,)
    wide = RecoilSelection(boson_pt_min=0.0, lepton_eta_max=3.5)
    every = recoil_profile(Records("toy", truth, records.views), "boson_pt", (0.0, 100.0), selection=wide, replicas=5)
    assert every.sizes == (4,)
    unknown = ak.without_field(records.truth, "leptons")
    unasked = recoil_profile(Records("toy", unknown, records.views), "boson_pt", (0.0, 100.0), replicas=5)
    assert unasked.sizes == (4,)


def test_width_over_a_response_that_is_not_positive_does_not_exist():
    row = recoil_numbers(z_records(100, {"total": -0.2}), replicas=5).rows["total"]
    assert row["response"].value == pytest.approx(-0.2, abs=0.01)
    assert np.isnan(row["parallel"].value)
    assert np.isnan(row["perpendicular"].value)


@pytest.mark.parametrize("n", [0, 1, 3])
def test_too_few_crossings_give_nan(n):
    records = z_records(n, {"total": 1.0, "puppi:best": 1.0})
    study = recoil_study(records, records, replicas=5)
    table, by_pt, by_vertices = study.results
    assert all(np.isnan(cell.value) for row in table.rows.values() for cell in row.values())
    assert sum(by_pt.sizes) == n == sum(by_vertices.sizes)
    json.dumps(study.to_dict())


def test_crossings_that_agree_exactly_have_no_width_to_improve_on():
    records = z_records(5, {"total": 1.0, "puppi:best": 1.0}, sigma=(0.0, 0.0), pt=np.full(5, 64.0))
    still = ak.zip({"met": ak.zip({"px": np.zeros(5), "py": np.zeros(5)})}, depth_limit=1)
    row = recoil_numbers(Records("toy", records.truth, dict.fromkeys(records.views, still)), replicas=10).rows["total"]
    assert row["met"].value == 0.0
    assert np.isnan(row["improvement_met"].value)


def test_no_views_and_no_boson():
    records = z_records(10, {})
    assert recoil_profile(records, "boson_pt", PT_EDGES, replicas=5).statistics["response"] == {}
    for field in ("boson", "n_vertices"):
        lacking = Records("toy", ak.without_field(records.truth, field), records.views)
        with pytest.raises(MissingFieldError, match=field):
            recoil_profile(lacking, "n_vertices", (0.0, 140.0))
