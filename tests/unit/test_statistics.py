"""What studies share: draws, estimates, bounds, ratios, and which method is set against which."""

import math

import awkward as ak
import numpy as np
import pytest

from hardscatter.errors import SettingsError
from hardscatter.metrics.crossings import generator_weights, met_residuals
from hardscatter.metrics.records import Records
from hardscatter.metrics.statistics import (
    UNKNOWN,
    Estimate,
    Sample,
    bounded,
    draws,
    effective_number,
    estimate,
    estimates,
    ratio,
    resamplings,
)
from hardscatter.metrics.studies import NO_PILEUP, limit_of, reference_of


def test_draws_are_every_event_once_and_then_the_resamplings():
    counts = draws(7, 5, seed=3)
    assert counts[0].tolist() == [1] * 7
    np.testing.assert_array_equal(counts[1:], list(resamplings(7, 5, seed=3)))
    assert draws(0, 5, seed=3).shape == (1, 0)
    with pytest.raises(SettingsError, match="replicas"):
        draws(7, 1, seed=3)


def test_an_estimate_is_the_first_value_and_what_does_not_exist_has_no_error():
    values = np.array([[2.0, np.nan], [1.0, 1.0], [3.0, 3.0]])
    known, unknown = estimates(values)
    assert known == Estimate.from_replicas(2.0, np.array([1.0, 3.0])) == estimate(values[:, 0])
    assert unknown is UNKNOWN


def test_shares_of_none_and_of_all_get_the_bound_that_one_in_three_samples_would_pass():
    n = 20
    none, every = (bounded(Estimate(share, 0.0, share, share), n) for share in (0.0, 1.0))
    # If the share were the bound, n entries would all miss it in 32 of 100 samples.
    assert (1 - none.high) ** n == pytest.approx(0.3173)
    assert none.low == 0.0
    assert every.low == pytest.approx(1 - none.high)
    assert every.high == 1.0
    assert none.error == every.error == none.high
    assert (none.bound, every.bound) == (none.high, every.low)


def test_counts_by_crossing_are_bounded_at_none_only():
    none, one = (bounded(Estimate(rate, 0.0, rate, rate), 20, most=math.inf) for rate in (0.0, 1.0))
    assert none.bound == pytest.approx(1.148 / 20, rel=0.03)  # the Poisson limit −ln 0.3173
    assert one.error == 0.0
    assert one.bound is None


@pytest.mark.parametrize("share", [0.001, 0.01, 0.03, 0.05, 0.2])
def test_bounds_hold_for_entries_that_share_the_fate_of_their_crossing(share):
    """Of many samples without a lost jet at least 68 % would be right; counting jets instead of crossings is not."""
    rng = np.random.default_rng(5)
    jets = np.tile(np.arange(1, 7), 7)  # of 42 crossings
    lost = rng.random((4000, len(jets))) < share
    seen = lost.any(axis=1)  # the bootstrap's samples, not the bound's
    bound, naive = (bounded(Estimate(0.0, 0.0, 0.0, 0.0), n).high for n in (effective_number(jets), jets.sum()))
    assert np.mean(seen | (bound > share)) > 0.67
    if share == 0.01:
        assert np.mean(seen | (naive > share)) < 0.5


def test_errors_with_two_sides_are_no_bounds():
    assert Estimate.from_replicas(0.0, np.array([0.0, 0.0, 0.1, 0.2])).bound is None
    assert Estimate(1.0, 0.0, 1.0, 1.0).bound is None
    assert UNKNOWN.bound is None
    assert Estimate(0.0, 0.004, 0.0, 0.004001).bound == 0.004001  # as written with few digits


@pytest.mark.parametrize(
    ("share", "n"),
    [(Estimate(0.5, 0.0, 0.5, 0.5), 4), (Estimate(1.0, 0.9, 0.1, 1.9), 100), (Estimate(0.0, 0.0, 0.0, 0.0), 0)],
)
def test_what_the_bootstrap_knows_and_what_has_no_entries_is_not_bounded(share, n):
    assert bounded(share, n) is share


def test_ratios_broadcast_and_need_something_to_divide_by():
    found = ratio(np.array([[1.0, 2.0, 3.0]] * 2), np.array([[2], [0]]))
    np.testing.assert_array_equal(found, [[0.5, 1.0, 1.5], [np.nan] * 3])
    assert math.isnan(ratio(np.array([1.0]), np.array([-1.0]))[0])


def test_events_of_a_sample_know_as_much_as_so_many_with_equal_numbers_of_values():
    assert Sample(np.arange(6.0), np.array([0, 0, 1, 1, 4, 4])).effective == pytest.approx(3.0)
    assert Sample(np.arange(4.0), np.array([0, 1, 1, 1])).effective == pytest.approx(16 / 10)
    assert Sample(np.zeros(0), np.zeros(0, dtype=np.int64)).effective == 0.0


def test_effective_number_is_the_number_of_equal_weights():
    assert effective_number(np.full(9, 0.3)) == pytest.approx(9.0)
    assert effective_number(np.array([1.0, 0.0, 0.0])) == 1.0
    assert effective_number(np.zeros(3)) == 0.0


def test_methods_are_set_against_puppi_and_their_limit():
    methods = ["none", "puppi:cms-phase2", "perfect", "puppi:best", NO_PILEUP]
    assert reference_of(methods) == "puppi:best"
    assert reference_of(methods[:3]) == "puppi:cms-phase2"
    assert limit_of(methods) == NO_PILEUP
    assert limit_of(methods[:3]) == "perfect"
    assert reference_of(["none"]) == limit_of(["none"]) == "none"
    assert reference_of({}) == limit_of({}) == ""


def test_recorded_crossings_as_arrays():
    truth = ak.zip({"met": ak.zip({"pt": [10.0, 0.0], "phi": [np.pi / 2, 1.0]})}, depth_limit=1)
    view = ak.zip({"met": ak.zip({"px": [1.0, 2.0], "py": [10.0, -3.0]})}, depth_limit=1)
    np.testing.assert_allclose(met_residuals(truth, view), [[1.0, 0.0], [2.0, -3.0]], atol=1e-12)
    assert generator_weights(Records("toy", truth, {})).tolist() == [1.0, 1.0]
    weighted = ak.with_field(truth, [0.5, 2.0], "generator_weight")
    assert generator_weights(Records("toy", weighted, {})).tolist() == [0.5, 2.0]
