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
