"""Energy flow: means, densities and closure of flows that are known."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

from hardscatter.metrics.flow import ETA_REGIONS, flow_numbers, flow_profile, flow_study
from hardscatter.metrics.records import FLOW_ETA, FLOW_PHI, Records


def records_of(flows, n):
    """Build records whose views have the same flow per recorded bin, times 1 ± 0.5 by turns of the crossing."""
    scale = np.where(np.arange(n) % 2, 1.5, 0.5)[:, None]
    views = {
        name: ak.zip(
            {
                "flow_eta": scale * np.broadcast_to(values, len(FLOW_ETA) - 1),
                "flow_phi": scale * np.full(len(FLOW_PHI) - 1, np.mean(values)),
            },
            depth_limit=1,
        )
        for name, values in flows.items()
    }
    return Records("toy", ak.zip({"event": np.arange(n)}, depth_limit=1), views)


def test_density_is_that_of_the_recorded_bins_and_conserves_momentum():
    eta = np.arange(50.0)
    records = records_of({"total": eta}, 40)
    profile = flow_profile(records, "eta", replicas=20)
    flow = np.array([estimate.value for estimate in profile.statistics["flow"]["total"]])
    assert flow == pytest.approx((eta[::2] + eta[1::2]) / 0.4)
    assert flow @ np.diff(profile.edges) == pytest.approx(eta.sum())
    assert profile.sizes == (40,) * 25
    by_phi = flow_profile(records, "phi", replicas=20)
    assert [e.value for e in by_phi.statistics["flow"]["total"]] == pytest.approx([24.5 * 32 / (2 * np.pi)] * 16)


def test_error_is_that_of_a_mean_and_leaves_the_closure_where_crossings_fluctuate_together():
    records = records_of({"total": 3.0, "no pileup": 2.0}, 400)
    profile = flow_profile(records, "eta", replicas=200)
    assert profile.reference == "no pileup"
    flow, closure = (profile.statistics[name]["total"][7] for name in ("flow", "closure"))
    assert flow.error == pytest.approx(15.0 * 0.5 / np.sqrt(400), rel=0.25)
    assert closure.value == pytest.approx(1.5)
    assert closure.error == pytest.approx(0.0, abs=1e-12)
    row = flow_numbers(records, replicas=20).rows["total"]
    assert {name: estimate.value for name, estimate in row.items()} == pytest.approx(dict.fromkeys(ETA_REGIONS, 1.5))


def test_regions_hold_their_bins():
    eta = np.abs((FLOW_ETA[1:] + FLOW_ETA[:-1]) / 2)
    where = {"central": eta < 2.6, "forward": (eta > 2.6) & (eta < 4.0), "very_forward": eta > 4.0}
    for name, inside in where.items():
        row = flow_numbers(records_of({"perfect": 1.0, "total": 1.0 + inside}, 8), replicas=5).rows["total"]
        assert row[name].value == pytest.approx(2.0)
        assert sum(estimate.value for estimate in row.values()) == pytest.approx(4.0)


def test_views_without_flow_are_left_out_and_empty_samples_give_nan():
    some = records_of({"total": 1.0}, 5)
    other = ak.zip({"event": np.arange(5)}, depth_limit=1)
    study = flow_study(Records("toy", some.truth, {"no pileup": other, **some.views}), replicas=5)
    assert set(study.results[0].statistics["flow"]) == {"total"}
    assert study.results[0].reference == "total"
    assert flow_study(Records("toy", some.truth, {"no pileup": other})).results == ()
    empty = flow_study(records_of({"total": 1.0, "no pileup": 1.0}, 0), replicas=5)
    assert all(np.isnan(e.value) for e in empty.results[0].statistics["flow"]["total"])
    assert all(np.isnan(e.value) for e in empty.results[2].rows["total"].values())
    json.dumps(empty.to_dict())
    dark = flow_profile(records_of({"total": 1.0, "no pileup": 0.0}, 4), "eta", replicas=5)
    assert all(np.isnan(e.value) for e in dark.statistics["closure"]["total"])
