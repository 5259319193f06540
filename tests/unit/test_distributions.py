"""Distributions by method and their distances from no pileup, on records whose answers are known."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from scipy.stats import wasserstein_distance

from hardscatter.metrics.distributions import (
    JETS,
    QUANTITIES,
    SOFT_FAT_JETS,
    JetSelection,
    distribution,
    distribution_study,
    jet_values,
    missing_momentum_values,
)
from hardscatter.metrics.records import Records
from hardscatter.metrics.studies import NO_PILEUP


def plain(view, _truth):
    """Values that a test wrote into the view."""
    return view.value


def records_of(**views):
    """Records whose views hold nothing but jagged values."""
    arrays = {name.replace("_", " "): ak.zip({"value": jagged(rows)}, depth_limit=1) for name, rows in views.items()}
    n_events = len(next(iter(arrays.values())))
    return Records("toys", ak.zip({"event": np.arange(n_events)}), arrays)


def jagged(rows):
    """A jagged array, of floats even if there is none."""
    flat = np.array([value for row in rows for value in row], dtype=float)
    return ak.unflatten(flat, np.array([len(row) for row in rows], dtype=int))


def of(records, edges=(0.0, 1.0, 2.0, 3.0), **options):
    return distribution(
        records, name="toy", title="Toy", quantity="toy [GeV]", edges=edges, values=plain, **{"replicas": 50, **options}
    )


def test_shares_are_of_all_entries_and_lower_edges_are_inside():
    rows = [[0.0, 0.5], [1.0], [2.5], [], [3.0, np.nan], [-1.0], [9.0]]
    result = of(records_of(total=rows))
    assert result.entries == {"total": 7}  # what is not finite is none
    assert [estimate.value for estimate in result.shares["total"]] == pytest.approx([2 / 7, 1 / 7, 1 / 7])
    assert result.n_events == 7
    assert result.reference == "total"
    assert result.distances == {}


def test_the_error_of_a_share_is_that_of_whole_crossings():
    """Crossings of ten equal entries: √(p(1−p)/crossings), not entries."""
    rows = [[0.5] * 10] * 100 + [[1.5] * 10] * 100
    first, second, third = of(records_of(total=rows), replicas=400).shares["total"]
    assert first.error == pytest.approx(math.sqrt(0.25 / 200), rel=0.15)
    assert second.error == pytest.approx(first.error)
    assert (third.value, third.low) == (0.0, 0.0)
    assert third.high == third.error == pytest.approx(1 - 0.3173 ** (1 / 200), rel=1e-3)


def test_what_methods_share_is_drawn_for_both():
    rows = np.random.default_rng(3).uniform(0, 3, (40, 2))
    result = of(records_of(a=rows, b=rows))
    assert result.shares["a"] == result.shares["b"]


@pytest.mark.parametrize(
    ("views", "reference"),
    [(("total", "perfect", NO_PILEUP), NO_PILEUP), (("total", "perfect"), "perfect"), (("total", "puppi"), "total")],
)
def test_the_reference_is_the_purest_view(views, reference):
    rows = [[1.0]] * 6
    result = of(records_of(**{view.replace(" ", "_"): rows for view in views}))
    assert result.reference == reference
    assert set(result.distances) == set(views) - {reference}


def test_the_distance_is_wassersteins():
    generator = np.random.default_rng(5)
    method, reference = ([generator.normal(1, 2, k % 4) for k in range(30)] for _ in range(2))
    method[3] = [40.0]  # entries outside the edges count as well
    result = of(records_of(no_pileup=reference, total=method))
    expected = wasserstein_distance(np.concatenate(method), np.concatenate(reference))
    assert result.distances["total"].value == pytest.approx(expected)


def test_a_shift_is_seen_and_is_the_distance():
    generator = np.random.default_rng(1)
    reference = generator.normal(0, 1, (300, 1))
    distance = of(records_of(no_pileup=reference, total=reference + 0.5)).distances["total"]
    assert distance.value == pytest.approx(0.5)
    assert distance.expected < distance.high < 0.25


def test_fluctuations_alone_exceed_the_quantile_in_5_of_100_samples():
    """Method and reference smear the same hard value independently: the distance is what exchanges make it."""
    generator = np.random.default_rng(2)
    seen, ratio = 0, []
    for _ in range(60):
        hard = generator.exponential(10.0, (80, 1))
        first, second = (hard + generator.normal(0, 1, hard.shape) for _ in range(2))
        distance = of(records_of(no_pileup=first, total=second), replicas=2).distances["total"]
        seen += distance.value > distance.high
        ratio.append(distance.value / distance.expected)
    assert seen <= 8  # 3 expected; 9 or more have probability 0.3 %
    assert np.mean(ratio) == pytest.approx(1.0, abs=0.15)


def test_exchanges_know_what_is_common():
    """Hard collisions spread by 100 GeV, smearing by 1: the distance expected is of the smearing's size, not 100's."""
    generator = np.random.default_rng(4)
    hard = generator.normal(0, 100.0, (400, 1))
    first, second = (hard + generator.normal(0, 1, hard.shape) for _ in range(2))
    assert of(records_of(no_pileup=first, total=second)).distances["total"].high < 1.0


def test_few_crossings_tell_nothing():
    for rows in ([], [[]] * 9, [[1.0] * 50], [[1.0]] * 4 + [[]] * 5):
        result = of(records_of(no_pileup=rows, total=rows))
        assert all(math.isnan(estimate.value) for estimate in result.shares["total"])
        assert math.isnan(result.distances["total"].value)
        assert result.entries["total"] == sum(map(len, rows))
    assert of(Records("nothing", ak.Array([{"event": 1}]), {})).shares == {}


def test_seeds_decide():
    rows = np.random.default_rng(3).uniform(0, 3, (40, 2))
    records = records_of(no_pileup=rows, total=rows[::-1])
    assert of(records) == of(records)
    assert of(records).distances["total"].high != of(records, seed=2).distances["total"].high


JET_FIELDS = ("pt", "eta", "phi", "mass", "tau21", "tau32")


def jets_of(rows):
    """Jagged jets from lists of (pt, eta, phi, mass, tau32)."""
    counts = np.array([len(row) for row in rows], dtype=int)
    pt, eta, phi, mass, tau = np.array([jet for row in rows for jet in row], dtype=float).reshape(-1, 5).T
    columns = zip(JET_FIELDS, (pt, eta, phi, mass, tau, tau), strict=True)
    return ak.zip({name: ak.unflatten(values, counts) for name, values in columns})


def crossings(rows, fat_rows, leptons=None):
    """Records of one view: AK4 jets, AK8 jets, missing momentum (3, 4) GeV."""
    n = len(rows)
    met = ak.zip({"px": np.full(n, 3.0), "py": np.full(n, 4.0)})
    view = ak.zip({"jets": jets_of(rows), "fat_jets": jets_of(fat_rows), "met": met}, depth_limit=1)
    truth = {"event": np.arange(n)} | ({} if leptons is None else {"leptons": leptons})
    return Records("toys", ak.zip(truth, depth_limit=1), {"total": view})


def test_jets_are_selected():
    records = crossings([[(50, 0, 0, 5, 0.5), (40, 4.5, 0, 5, 0.5), (30, 1, 1, 5, 0.5), (15, 0, 2, 5, 0.5)]], [[]])
    (view,), truth = records.views.values(), records.truth
    assert jet_values("jets", "pt", JETS)(view, truth).tolist() == [[50, 30]]
    assert jet_values("jets", "pt", JetSelection(10, 5, leading=1))(view, truth).tolist() == [[50]]
    with_lepton = crossings(
        [[(50, 0, 0, 5, 0.5), (30, 1, 1, 5, 0.5)]], [[]], ak.zip({"eta": [[0.1]], "phi": [[-0.2]], "pt": [[49.0]]})
    )
    (view,), truth = with_lepton.views.values(), with_lepton.truth
    assert jet_values("jets", "pt", JETS)(view, truth).tolist() == [[30]]
    assert jet_values("jets", "pt", JetSelection(20, 4, lepton_distance=None))(view, truth).tolist() == [[50, 30]]
    assert missing_momentum_values(view, truth).tolist() == [[5.0]]


def test_the_study_shows_what_there_is():
    fat = [(500, 0, 0, 173, 0.4), (450, 0, 3, 80, np.nan), (420, 0, 1, 20, 0.9)]
    study = distribution_study(crossings([[(50, 0, 0, 5, 0.5)]] * 6, [fat] * 6), name="shapes", replicas=10)
    assert [result.name for result in study.results] == [f"shapes_{which}" for which in QUANTITIES]
    assert [result.entries["total"] for result in study.results] == [6, 6, 12, 6]  # two leading; finite τ32 only
    mass = study.results[2]
    assert mass.shares["total"][17].value == mass.shares["total"][8].value == 0.5
    assert "the 2 leading with pt > 400 GeV" in study.text
    assert study.to_dict()["facts"]["fat_jets"]["pt_min"] == 400


def test_thresholds_and_quantities_are_ones_own():
    records = crossings([[]] * 6, [[(250, 0, 0, 80, 0.5)]] * 6)
    assert [result.name for result in distribution_study(records, replicas=10).results] == [
        "distributions_missing_momentum"
    ]
    soft = distribution_study(records, fat_jets=SOFT_FAT_JETS, quantities=("fat_jet_mass",), replicas=10)
    assert [result.entries["total"] for result in soft.results] == [6]
    assert distribution_study(crossings([], []), replicas=10).results == ()
