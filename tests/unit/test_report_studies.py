"""Figures of studies: what they draw, not how it looks (a person looks at that)."""

from __future__ import annotations

import logging
import math
from dataclasses import replace

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.container import ErrorbarContainer
from matplotlib.patches import StepPatch

from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import NO_PILEUP, Distance, Distribution, Numbers, Profile
from hardscatter.report.first_light import save
from hardscatter.report.studies import MAX_COLUMNS, draw
from hardscatter.report.style import MARKERS, colour, label, line, marker, named, text

mpl.use("agg")

NAN = Estimate(*[math.nan] * 4)


def estimate(value, error=0.01):
    return Estimate(value, error, value - error, value + 2 * error)


def a_distribution(**changes):
    shares = {
        "puppi:best": (estimate(0.2), estimate(0.5), estimate(0.3)),
        "total": (estimate(0.3), estimate(0.4), estimate(0.3)),
        NO_PILEUP: (estimate(0.4), estimate(0.5), estimate(0.1)),
    }
    distances = {"puppi:best": Distance(3.14, 0.8, 1.3), "total": Distance(1.16, 0.8, 1.3)}
    entries = dict.fromkeys(shares, 100)
    given = Distribution(
        "mass", "AK8 jet mass", "tt̄", "mass [GeV]", (0.0, 1.0, 2.0, 3.0), shares, entries, NO_PILEUP, distances, 50
    )
    return replace(given, **changes)


def a_profile(**changes):
    values = {"puppi:best": (0.2, 0.1, math.nan), "total": (0.1, 0.08, 0.05)}
    medians = {"puppi:best": (0.02, 0.0, math.nan), "total": (0.01, 0.03, -0.02)}
    statistics = {
        name: {method: tuple(estimate(one) for one in row) for method, row in rows.items()}
        for name, rows in (("resolution", values), ("efficiency", values), ("median", medians))
    }
    headings = {"resolution": "δ/(1 + median)", "efficiency": "efficiency", "median": "median of jet pt"}
    given = Profile(
        "jets", "Jets", "tt̄", "pt [GeV]", (0.0, 10.0, 20.0, 40.0), statistics, headings, (50, 30, 7), "puppi:best", 50
    )
    return replace(given, **changes)


def numbers(columns, rows, **changes):
    given = Numbers("table", "Table", "tt̄", {name: name for name in columns}, rows, 50)
    return replace(given, **changes)


def bars(ax):
    """Return positions, values and the ends of the bars of all points with errors, by colour."""
    found = {}
    for container in ax.containers:
        if isinstance(container, ErrorbarContainer):
            points, _, (segments,) = container
            found[points.get_color()] = (*points.get_data(), np.array([part[:, 1] for part in segments.get_segments()]))
    return found


def words(figure):
    """Return all that is written in the figure's panels and legends."""
    axes = figure.axes
    legends = [ax.get_legend() for ax in axes if ax.get_legend()] + figure.legends
    written = [one.get_text() for ax in axes for one in (*ax.texts, ax.xaxis.label, ax.yaxis.label)]
    written += [one.get_text() for legend in legends for one in (*legend.get_texts(), legend.get_title())]
    return written + [one.get_text() for one in figure.texts]


def test_distribution_draws_shares_and_their_ratios():
    figure = draw(a_distribution())
    main, ratio = figure.axes
    drawn = [patch for patch in main.patches if isinstance(patch, StepPatch)]
    steps = {
        mpl.colors.to_hex(patch.get_edgecolor()): patch.get_data().values for patch in drawn if not patch.get_fill()
    }
    assert list(steps[colour("total")]) == [0.3, 0.4, 0.3]
    assert list(steps[colour(NO_PILEUP)]) == [0.4, 0.5, 0.1]
    assert [list(patch.get_data().values) for patch in drawn if patch.get_fill()] == [[0.4, 0.5, 0.1]]
    places, values, ends = bars(ratio)[colour("total")]
    assert values == pytest.approx([0.75, 0.8, 3.0])
    assert ends[0] == pytest.approx([0.29 / 0.4, 0.32 / 0.4])
    assert np.all((places > [0, 1, 2]) & (places < [1, 2, 3]))
    assert colour(NO_PILEUP) not in bars(ratio)


def test_distribution_tells_which_distances_fluctuations_do_not_explain():
    found = words(draw(a_distribution()))
    assert f"{label('puppi:best')}: 3.1 GeV (expected 0.80), differs" in found
    assert "TOTAL: 1.2 GeV (expected 0.80)" in found
    assert "share / 1 GeV" in found


def test_bins_of_unequal_width_are_divided_by_it():
    figure = draw(a_distribution(edges=(0.0, 1.0, 3.0, 7.0)))
    outline = [patch for patch in figure.axes[0].patches if mpl.colors.to_hex(patch.get_edgecolor()) == colour("total")]
    assert outline[-1].get_data().values == pytest.approx([0.3, 0.2, 0.075])
    assert "share / GeV" in words(figure)
    assert bars(figure.axes[1])[colour("total")][1] == pytest.approx([0.75, 0.8, 3.0])


@pytest.mark.parametrize(("smallest", "scale"), [(0.01, "linear"), (0.001, "log")])
def test_shares_over_many_decades_have_a_logarithmic_axis(smallest, scale):
    shares = (estimate(0.5), estimate(0.4), estimate(smallest, 0.1 * smallest))
    figure = draw(a_distribution(shares={"total": shares}, reference="total", distances={}))
    assert [ax.get_yscale() for ax in figure.axes] == [scale]


def test_profile_draws_headline_ratio_and_median():
    main, ratio, median = draw(a_profile()).axes
    places, values, ends = bars(main)[colour("total")]
    assert list(values) == [0.1, 0.08, 0.05]
    assert ends == pytest.approx(np.array([(0.09, 0.12), (0.07, 0.10), (0.04, 0.07)]))
    assert np.all((places > [0, 10, 20]) & (places < [10, 20, 40]))
    assert list(bars(main)[colour("puppi:best")][1]) == [0.2, 0.1]  # what is NaN is left out
    assert bars(ratio)[colour("total")][1][:2] == pytest.approx([0.5, 0.8])
    assert list(bars(median)[colour("total")][1]) == [0.01, 0.03, -0.02]
    assert {"50", "30", "7"} <= set(words(main.figure))


def test_a_reference_that_is_not_positive_gives_differences():
    values = {"puppi:best": (0.0, -0.1, 0.1), "total": (0.1, 0.1, 0.1)}
    statistics = {"slope": {method: tuple(map(estimate, row)) for method, row in values.items()}}
    figure = draw(a_profile(statistics=statistics, headings={"slope": "slope"}))
    assert bars(figure.axes[1])[colour("total")][1] == pytest.approx([0.1, 0.2, 0.0])
    assert any(one.startswith("difference") for one in words(figure))


def test_bins_that_are_empty_at_the_end_are_cut_off():
    rows = {"total": (NAN, estimate(0.1), estimate(0.2), NAN)}
    edges = (1.0, 2.0, 4.0, 8.0, math.inf)
    (main,) = draw(a_profile(edges=edges, statistics={"resolution": rows}, sizes=(0, 9, 8, 1))).axes
    assert main.get_xlim() == pytest.approx((2.0, 8.0))
    assert main.get_xscale() == "log"


def test_ratios_beyond_the_range_are_marked_at_its_edge():
    values = {"puppi:best": (0.1, 0.1, 0.1), "none": (0.9, 0.11, 0.1)}
    statistics = {"resolution": {method: tuple(estimate(one, 0.001) for one in row) for method, row in values.items()}}
    ratio = draw(a_profile(statistics=statistics)).axes[1]
    (mark,) = [one for one in ratio.lines if one.get_marker() == "^" and len(one.get_xdata())]
    assert ratio.get_ylim()[0] < mark.get_ydata()[0] <= ratio.get_ylim()[1] < 9
    assert 0 < mark.get_xdata()[0] < 10


def test_ratios_that_a_result_holds_are_drawn_as_they_are():
    held = {"puppi:best": (1.0, 1.0, math.nan), "total": (0.51, 0.81, math.nan)}
    statistics = a_profile().statistics | {"ratio": {name: tuple(map(estimate, row)) for name, row in held.items()}}
    _, ratio, median = draw(a_profile(statistics=statistics)).axes
    _, values, ends = bars(ratio)[colour("total")]
    assert list(values) == [0.51, 0.81]
    assert ends[0] == pytest.approx([0.50, 0.53])
    assert list(bars(median)[colour("total")][1]) == [0.01, 0.03, -0.02]


def test_one_large_bias_does_not_squeeze_the_others():
    medians = {"none": (1.5, 1.4, 1.3), "puppi": (0.1, 0.08, 0.05), "total": (0.01, 0.0, 0.01), "cs": (0.02, 0.0, 0.0)}
    rows = {name: tuple(map(estimate, row)) for name, row in medians.items()}
    statistics = {"resolution": dict.fromkeys(rows, (estimate(0.1),) * 3), "median": rows}
    median = draw(a_profile(statistics=statistics)).axes[-1]
    assert 0.1 < median.get_ylim()[1] < 1
    assert any(one.get_marker() == "^" and len(one.get_xdata()) == 3 for one in median.lines)


@pytest.mark.parametrize(("largest", "scale"), [(0.5, "linear"), (1.5, "log")])
def test_methods_that_differ_by_large_factors_have_a_logarithmic_axis(largest, scale):
    statistics = {"resolution": {"none": (estimate(largest),) * 3, "perfect": (estimate(0.1),) * 3}}
    assert draw(a_profile(statistics=statistics)).axes[0].get_yscale() == scale


@pytest.mark.parametrize("result", [a_distribution(), a_profile()], ids=["distribution", "profile"])
def test_nothing_is_drawn_under_the_legend(result):
    figure = draw(result)
    figure.draw_without_rendering()
    main = figure.axes[0]
    frame = main.get_legend().get_window_extent().transformed(main.transData.inverted())
    width = np.diff(result.edges)
    for method in getattr(result, "shares", None) or result.statistics["resolution"]:
        estimates = getattr(result, "shares", None) or result.statistics["resolution"]
        for bin, one in enumerate(estimates[method]):
            apart = result.edges[bin] > frame.x1 or result.edges[bin] + width[bin] < frame.x0
            assert apart or math.isnan(one.value) or one.high < frame.y0


def test_numbers_draw_a_row_a_method_from_the_top():
    rows = {
        "puppi:best": {"resolution": estimate(0.2), "gap": estimate(0.0, 0.0)},
        "total": {"resolution": estimate(0.1), "gap": estimate(0.5, 0.1)},
        "perfect": {"resolution": estimate(0.05)},
    }
    figure = draw(numbers(("resolution", "gap", "nothing"), rows))
    resolution, gap = figure.axes
    assert [tick.get_text() for tick in resolution.get_yticklabels()] == [label(row) for row in list(rows)[::-1]]
    points = {points.get_color(): points.get_xydata()[0] for points, *_ in resolution.containers}
    assert list(points[colour("total")]) == [0.1, 1]
    assert list(points[colour("puppi:best")]) == [0.2, 2]
    assert len(gap.containers) == 2
    marks = {one.get_linestyle(): one.get_xdata()[0] for one in resolution.lines if len(set(one.get_xdata())) == 1
             and len(one.get_xdata()) == 2}  # fmt: skip
    assert marks == {"-": 0.0, "--": 0.2, ":": 0.05}


@pytest.mark.parametrize("far", [7.5, -7.5])
def test_points_far_beyond_the_others_are_marked_with_their_value(far):
    rows = {name: {"delta": estimate(value)} for name, value in {"none": far, "total": 0.9, "puppi": 1.0}.items()}
    (ax,) = draw(numbers(("delta",), rows)).axes
    assert -2 < ax.get_xlim()[0] < ax.get_xlim()[1] < 2
    assert f"{far}".replace("-", "−") in [one.get_text() for one in ax.texts]


def test_long_tables_show_their_first_columns():
    columns = [f"c{place}" for place in range(8)]
    figure = draw(numbers(columns, {"total": {name: estimate(1.0) for name in columns}}))
    assert [ax.get_xlabel() for ax in figure.axes] == columns[:MAX_COLUMNS]


TWELVE = ["none", "chs", "puppi", "puppi:best", "softkiller", "cs", "ics", "supervised", "total:paper", "total",
          "perfect", NO_PILEUP]  # fmt: skip
ROW = (estimate(0.2), estimate(0.5), NAN)


@pytest.mark.parametrize("result", [
    a_distribution(shares=dict.fromkeys(TWELVE, ROW)),
    a_distribution(shares={"total": ROW}, reference="total", distances={}),
    a_distribution(shares={"total": (NAN,) * 3}),
    a_distribution(shares={"total": (estimate(0.0, 0.0),) * 3, NO_PILEUP: (estimate(0.0, 0.0),) * 3}),
    a_distribution(shares={}, edges=()),
    a_distribution(distances={"total": Distance(math.nan, math.nan, math.nan)}, quantity="τ32"),
    a_profile(statistics={"resolution": dict.fromkeys(TWELVE, ROW)}),
    a_profile(statistics={"resolution": {"total": ROW}}, reference="perfect"),
    a_profile(statistics={"resolution": {"total": (Estimate(0.3, math.nan, math.nan, math.nan),) * 3}}),
    a_profile(statistics={"resolution": {"total": (NAN,) * 3}}),
    a_profile(statistics={"resolution": {}}),
    a_profile(statistics={}, edges=(), sizes=()),
    numbers(("gap",), {name: {"gap": estimate(0.1)} for name in TWELVE}),
    numbers(("gap",), {"total": {"gap": Estimate(0.0, math.nan, math.nan, math.nan)}}),
    numbers(("gap",), {"total": {"gap": NAN}, "none": {}}),
    numbers((), {}),
])  # fmt: skip
def test_every_result_has_a_figure_that_can_be_saved(result, tmp_path, caplog):
    with caplog.at_level(logging.WARNING):
        draw(result).savefig(tmp_path / "figure.png", dpi=40)
    assert not caplog.records


@pytest.mark.parametrize("result", [
    a_distribution(shares={}), a_profile(statistics={}), numbers((), {}),
], ids=["distribution", "profile", "numbers"])  # fmt: skip
def test_where_there_is_nothing_a_sentence_says_so(result):
    figure = draw(result)
    assert not figure.axes
    assert "Nothing is drawn" in words(figure)[0]


def test_other_things_have_no_figure():
    with pytest.raises(TypeError, match="no figure for int"):
        draw(3)


def test_methods_of_most_figures_differ_in_more_than_colour():
    usual = ["none", "puppi:cms-phase2", "puppi:best", "supervised", "total:paper", "total", "perfect", NO_PILEUP]
    assert len({marker(method) for method in usual}) == len(usual)
    assert len({(colour(method), line(method)) for method in usual}) == len(usual)
    assert marker("total:mine") == MARKERS["total"]
    assert label(NO_PILEUP) == NO_PILEUP


def test_plain_words_become_symbols():
    assert text("jet pt, |eta| < 2.5 [GeV]") == r"jet $p_\mathrm{T}$, $|\eta|$ < 2.5 [GeV]"
    assert text("m_jj, τ32, τ₃/τ₂") == r"$m_{jj}$, $\tau_{32}$, $\tau_3/\tau_2$"
    assert text("description of beta") == "description of beta"
    assert text("5 $") == r"5 \$"
    assert named("improvement over puppi:best") == "improvement over PUPPI (best tune)"


def test_special_letters_beside_symbols_can_be_drawn(tmp_path, caplog):
    special = "pt of Z′ → ℓℓ, u∥, σ(u⊥), ⟨q⟩, δ, Δφ, √B ≥ 3000 fb⁻¹, W₁, τ₂, ±0.5 − 2 % × 10³, tt̄, ν"
    with caplog.at_level(logging.WARNING):
        save(draw(a_profile(title=special, sample=special, variable=special)), tmp_path / "figure")
    assert not caplog.records
