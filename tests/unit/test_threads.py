"""Threads over crossings: every crossing once, same result whatever their number."""

from __future__ import annotations

import awkward as ak
import pytest

import hardscatter as hs
from hardscatter import threads
from hardscatter.errors import SettingsError
from helpers import toy_events


@pytest.fixture(autouse=True)
def _restore(monkeypatch):
    monkeypatch.setattr(threads, "_threads", None)


@pytest.mark.parametrize("n", [1, 2, 5])
@pytest.mark.parametrize("n_events", [0, 1, 7, 100])
def test_every_crossing_once(n, n_events):
    hs.set_threads(n)
    seen = []
    threads.over_crossings(lambda first, last: seen.extend(range(first, last)), n_events)
    assert sorted(seen) == list(range(n_events))


def test_ranges_shrink_to_one_crossing():
    hs.set_threads(2)
    sizes = []
    threads.over_crossings(lambda first, last: sizes.append((first, last - first)), 100)
    assert [size for _, size in sorted(sizes)] == [25, 19, 14, 11, 8, 6, 5, 3, 3, 2, 1, 1, 1, 1]


def test_result_does_not_depend_on_threads():
    events = toy_events(9)
    hs.set_threads(1)
    alone = hs.mitigate(events, "puppi")
    hs.set_threads(4)
    assert ak.array_equal(hs.mitigate(events, "puppi"), alone)


def test_errors_reach_the_caller():
    def fail(first, last):
        raise ValueError(f"{first}-{last}")

    with pytest.raises(ValueError, match="0-"):
        threads.over_crossings(fail, 3)


def test_at_least_one_thread():
    with pytest.raises(SettingsError, match="at least 1"):
        hs.set_threads(0)
    assert threads.threads() >= 1
