"""Every shape in which a study gives its numbers becomes a histogram of hist."""

from __future__ import annotations

import math

import hist
import pytest

from hardscatter.metrics.histograms import histograms
from hardscatter.metrics.statistics import UNKNOWN, Estimate
from hardscatter.metrics.studies import Distribution, Numbers, Profile, Study

A, B, C = (
    Estimate(value, error, value - error, value + error) for value, error in ((0.2, 0.1), (0.5, 0.2), (3.0, 1.5))
)
WHAT = {"title": "T", "sample": "tt̄"}
STUDY = Study(
    "jets", "Jets", "…",
    (
        Distribution("mass", **WHAT, quantity="m [GeV]", edges=(0.0, 50.0, 200.0), entries={"chs": 9, "total": 9},
                     shares={"chs": (A, B), "total": (B, UNKNOWN)}, reference="chs", distances={}, n_events=5),
        Profile("jer", **WHAT, variable="pt [GeV]", edges=(30.0, 60.0), headings={"resolution": "δ", "bias": "b"},
                statistics={"resolution": {"chs": (A,)}, "bias": {"chs": (C,)}}, sizes=(4,), reference="chs",
                n_events=5),
        Numbers("met", **WHAT, headings={"δ": "δ [GeV]", "gap": "gap closed"}, n_events=5,
                rows={"chs": {"δ": C}, "total": {"δ": B, "gap": A}}),
    ),
)  # fmt: skip


def test_values_and_variances_are_the_studys_numbers_and_errors():
    found = histograms(STUDY)
    assert list(found) == ["mass", "jer.resolution", "jer.bias", "met"]
    mass = found["mass"]
    assert isinstance(mass, hist.Hist)
    assert mass.storage_type is hist.storage.Weight
    assert mass["chs", :].values().tolist() == [0.2, 0.5]
    assert mass["chs", :].variances().tolist() == pytest.approx([0.01, 0.04])
    assert mass.axes["quantity"].edges.tolist() == [0.0, 50.0, 200.0]
    assert (mass.axes["quantity"].label, mass.label) == ("m [GeV]", "T")
    assert math.isnan(mass["total", 1].value)


def test_a_profile_gives_one_a_statistic_and_a_table_its_cells():
    found = histograms(STUDY)
    assert found["jer.bias"]["chs", 0].value == 3.0
    assert found["jer.bias"].label == "b"
    assert found["met"]["total", "gap"].value == 0.2
    assert found["met"]["chs", "δ"].variance == 2.25
    assert math.isnan(found["met"]["chs", "gap"].value)


def test_distributions_add_up_and_project():
    mass = histograms(STUDY)["mass"]
    assert (mass + mass)["chs", :].values().tolist() == [0.4, 1.0]
    assert mass["chs", :].sum().value == pytest.approx(0.7)
