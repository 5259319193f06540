"""Figures: what they draw, not how it looks (a person looks at that)."""

from __future__ import annotations

import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from matplotlib.patches import Circle

import hardscatter as hs
from hardscatter.metrics import observe_all, summarise
from hardscatter.metrics.definitions import DEFINITIONS
from hardscatter.metrics.differential import TITLES
from hardscatter.metrics.statistics import UNKNOWN, Estimate, bounded
from hardscatter.report.display import draw_event
from hardscatter.report.responses import draw_jet_responses
from hardscatter.report.style import COLOURS, LABELS, colour, figure_style, label
from hardscatter.report.tables import plain_lines, resolution_tables, with_error, with_error_in_brackets
from helpers import toy_events

mpl.use("agg")


@pytest.fixture
def ax():
    figure, axes = plt.subplots()
    yield axes
    plt.close(figure)


def test_every_method_has_a_colour_and_a_label():
    for method in hs.methods():
        assert method in COLOURS or method.partition(":")[0] in COLOURS  # a tune has its method's
        assert method in LABELS
    assert colour("somebody-elses").startswith("#")
    assert label("somebody-elses") == "somebody-elses"


def test_style_changes_nothing_outside():
    before = dict(mpl.rcParams)
    with figure_style():
        pass
    assert dict(mpl.rcParams) == before


def test_display_hides_weight_zero_and_repeats_jets_across_phi(ax):
    events = toy_events(1, 60)
    weights = hs.mitigate(events, "chs")
    jets = hs.cluster(events, weights, radius=0.4, min_pt=1.0)[0]
    draw_event(ax, events.candidates[0], weights[0], jets, met=(30.0, 1.0))
    shown = sum(len(collection.get_offsets()) for collection in ax.collections)
    assert shown == int((np.asarray(weights[0]) > 0).sum())
    crossing = int(sum(abs(float(jet.phi)) > np.pi - 0.4 for jet in jets))
    assert len([patch for patch in ax.patches if isinstance(patch, Circle)]) == len(jets) + crossing


def test_histograms_are_normalised_and_keep_lost_jets(ax):
    events = toy_events(30, 200)
    observations = observe_all(events, {"none": hs.mitigate(events, "none")})
    draw_jet_responses(ax, observations, ["none", "perfect"])
    for patch in ax.patches:
        assert patch.get_data().values.sum() == pytest.approx(1.0)


def test_tables_show_value_and_error_with_the_same_digits():
    events = toy_events(20, 200)
    table = summarise(observe_all(events, {"none": hs.mitigate(events, "none")}), replicas=20)
    lines = plain_lines(resolution_tables(table))
    rows = [line.split("\t") for line in lines if line.startswith("none")]
    assert len(rows) == len(table.sizes)
    for row in rows:
        for cell in row[1:]:
            if "±" in cell:
                value, error = cell.split(" ± ")
                assert len(value.partition(".")[2]) == len(error.partition(".")[2])


def test_shares_at_their_edge_are_written_as_bounds_and_what_is_exact_without_error():
    shares = (0.0, 300), (1.0, 300), (0.0, 100_000), (1.0, 100_000)
    bounds = [bounded(Estimate(share, 0.0, share, share), n) for share, n in shares]
    for write in (with_error, with_error_in_brackets):
        assert [write(one) for one in bounds] == ["< 0.0038", "> 0.9962", "< 1.1e-05", "> 0.999989"]
        assert [write(Estimate(value, 0.0, value, value)) for value in (0.0, 1.0, -0.25)] == ["0", "1", "-0.25"]
        assert write(UNKNOWN) == write(None) == "–"
    half = Estimate(0.0, 0.05, -0.05, 0.05)
    assert (with_error(half), with_error_in_brackets(half)) == ("0.000 ± 0.050", "0.000(50)")


def test_every_quantity_has_a_title():
    for definition in DEFINITIONS.values():
        quantities = {f"{study.name}.{quantity}" for study in definition.jets for quantity in study.quantities}
        assert quantities | {definition.met.name} <= set(TITLES)


def test_the_talks_table_ranks_by_delta_and_shows_the_improvement():
    events = toy_events(20, 200)
    table = hs.resolution(events, {"none": hs.mitigate(events, "none")}, definition="talk", replicas=20)
    title, headings, first, *_ = plain_lines(resolution_tables(table))
    assert title.startswith("# AK4 jet pt, pt > 15 GeV, |eta| < 4 (")
    assert headings.split("\t") == ["method", "median", "δ", "effic.", "improvement", "impr. CMS"]
    best = min(table.estimates, key=lambda name: table.estimates[name]["talk_ak4.pt"]["delta"].value)
    assert first.split("\t")[0] == best
