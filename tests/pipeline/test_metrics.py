"""Both definitions of resolution on boosted tops of our own, from protons to the table."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.metrics import observe

SMALL = {"n_minbias": 400, "pileup": 20, "workers": 1, "seed": 4}


@pytest.fixture(scope="module")
def events(tmp_path_factory):
    """Ten crossings of Z′ → tt̄ (hadronic)."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield hs.simulate("zprime-tt", 10, **SMALL)


def test_every_truth_jet_has_its_tau32(events):
    """Clustering the truth particles once more finds every truth jet again."""
    fat = observe(events, hs.perfect_weights(events)).jets["ak8"]
    assert len(fat.truth_tau32) >= 10
    assert np.all((fat.truth_tau32 > 0) & (fat.truth_tau32 < 1))
    assert abs(np.nanmedian(fat.tau32 - fat.truth_tau32)) < 0.1


@pytest.mark.parametrize(("definition", "quantity"), [("design", "ak8.tau32"), ("talk", "talk_ak8.tau32")])
def test_pileup_spoils_tau32(events, definition, quantity):
    table = hs.resolution(events, {"none": hs.mitigate(events, "none")}, definition=definition, replicas=5)
    median = {name: table.estimates[name][quantity]["median"].value for name in ("none", "perfect")}
    assert median["none"] > abs(median["perfect"])


@pytest.mark.parametrize("suffix", ["parquet", "root"])
def test_a_file_gives_the_same_in_batches(events, suffix, tmp_path):
    path = tmp_path / f"crossings.{suffix}"
    hs.write(path, events)
    whole = hs.resolution(events, {"chs": hs.mitigate(events, "chs")}, replicas=5)
    streamed = hs.evaluate(path, "chs", step=3, replicas=5).table
    for quantity in ("ak8.tau32", "ak8.mass", "met"):
        here, there = (table.estimates["chs"][quantity]["delta"].value for table in (whole, streamed))
        assert here == pytest.approx(there, rel=1e-4)
    assert json.loads(json.dumps(streamed.to_dict()))["definition"] == "design"


def test_no_vector_of_the_truth_reaches_the_weights(events):
    """Only the measurement looks at truth particles: without them the weights are the same."""
    assert ak.array_equal(hs.mitigate(events, "puppi"), hs.mitigate(events.without_truth(), "puppi"))
