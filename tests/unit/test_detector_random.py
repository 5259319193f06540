"""The counting random numbers: uniform, independent of their neighbours, the same for ever."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from hardscatter.compiled import kernel
from hardscatter.detector.random import child, log_normal, normals, stream_key, uniform


@kernel
def _field(n_keys, n_draws, seed):
    draws = np.empty((n_keys, n_draws))
    for i in range(n_keys):
        key = child(stream_key(seed, 3, 1, 0), i)
        for n in range(n_draws):
            draws[i, n] = uniform(key, n)
    return draws


@kernel
def _first_of_events(n, stream, salt):
    return np.array([uniform(stream_key(1, event, stream, salt), 0) for event in range(n)])


@kernel
def _normals(n):
    draws = np.empty((n, 2))
    for i in range(n):
        draws[i] = normals(stream_key(5, i, 2, 0), 0)
    return draws


@kernel
def _log_normals(n, mean, sigma):
    return np.array([log_normal(mean, sigma, normals(stream_key(6, i, 2, 0), 0)[0]) for i in range(n)])


def test_numbers_are_uniform_over_keys_and_over_draws():
    draws = _field(300, 300, 1)
    assert stats.kstest(draws.ravel(), "uniform").pvalue > 1e-3
    assert stats.kstest(draws[:, 0], "uniform").pvalue > 1e-3
    assert stats.kstest(draws[0], "uniform").pvalue > 1e-3
    assert draws.min() > 0
    assert draws.max() < 1


def test_neighbouring_keys_draws_events_streams_and_salts_are_independent():
    draws = _field(300, 300, 2)
    pairs = [
        (draws[1:], draws[:-1]),
        (draws[:, 1:], draws[:, :-1]),
        (_first_of_events(90_000, 1, 0)[1:], _first_of_events(90_000, 1, 0)[:-1]),
        (_first_of_events(90_000, 1, 0), _first_of_events(90_000, 2, 0)),
        (_first_of_events(90_000, 1, 0), _first_of_events(90_000, 1, 1)),
    ]
    for a, b in pairs:
        assert abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 4.0 / np.sqrt(90_000)
        table = np.histogram2d(a.ravel(), b.ravel(), bins=8, range=[[0, 1], [0, 1]])[0]
        assert stats.chisquare(table.ravel()).pvalue > 1e-3


def test_normals_are_normal_and_independent():
    draws = _normals(50_000)
    for column in draws.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    assert abs(np.corrcoef(draws.T)[0, 1]) < 0.02


def test_log_normal_has_the_mean_and_width_asked_for():
    values = _log_normals(200_000, 10.0, 4.0)
    assert values.mean() == pytest.approx(10.0, rel=5e-3)
    assert values.std() == pytest.approx(4.0, rel=2e-2)
    assert log_normal(0.0, 1.0, 0.3) == 0.0


def mixed(x):
    x = ((x ^ (x >> 30)) * 0xBF58476D1CE4E5B9) % 2**64
    x = ((x ^ (x >> 27)) * 0x94D049BB133111EB) % 2**64
    return x ^ (x >> 31)


def test_numbers_are_the_hash_they_are_said_to_be():
    key = 0
    for number in (1, 2, 3, 0):  # seed, event, stream, salt
        key = mixed((key + 0x9E3779B97F4A7C15 * (number + 1)) % 2**64)
    assert stream_key(1, 2, 3, 0) == key
    expected = ((mixed((key + 0xD1342543DE82EF95 * 5) % 2**64) >> 12) + 0.5) / 2**52
    assert uniform(np.uint64(key), 4) == expected
    assert uniform(np.uint64(key), 0) == 0.41262597125208467
