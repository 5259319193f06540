"""Elementary functions agree with the libraries'."""

from __future__ import annotations

import math

import numpy as np
import pytest

from hardscatter import elementary


@pytest.mark.parametrize(
    ("ours", "theirs", "values"),
    [
        (elementary.log, math.log, np.geomspace(1e-300, 1e300, 999)),
        (elementary.arsinh, math.asinh, np.concatenate([-np.geomspace(1e-9, 1e9, 99), [0.0], np.geomspace(1e-9, 1e9)])),
        (elementary.arcsine, math.asin, np.concatenate([np.linspace(0.0, 1.0, 999), [0.4999999999, 0.5, 0.99999999]])),
        (lambda x: elementary.sine_and_turn(x)[0], lambda x: abs(math.sin(x)), np.linspace(0.0, 1000.0, 999)),
        (lambda x: elementary.sine_and_turn(x)[0], lambda x: abs(math.sin(x)), np.linspace(0.0, 3e5, 999)),
    ],
)
def test_functions(ours, theirs, values):
    assert [ours(x) for x in values] == pytest.approx([theirs(x) for x in values], rel=1e-15, abs=1e-15)


def test_which_half_turn():
    x = np.linspace(0.01, 500.0, 999)
    assert [elementary.sine_and_turn(value)[1] for value in x] == (np.sin(x) < 0).tolist()


def test_functions_of_what_puppi_meets():
    x = np.concatenate([np.linspace(-20, 20, 4001), [0.0, 1e-300, 5e-9]])
    for ours, theirs, points in (
        (elementary.exp, np.exp, x),
        (elementary.log, np.log, np.exp(x)),
        (elementary.arsinh, np.arcsinh, np.sinh(x)),
    ):
        expected = theirs(points)
        found = np.array([ours(point) for point in points])
        assert np.all(np.abs(found - expected) <= 4e-16 * np.maximum(np.abs(expected), 1.0))
