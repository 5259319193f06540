"""The soak sees memory that grows and weights that change; the long run itself is `make nightly`."""

from __future__ import annotations

import importlib.util
import itertools
import mmap
from pathlib import Path

import pytest

import hardscatter as hs
from hardscatter import io
from helpers import toy_events


@pytest.fixture
def tool():
    path = Path(__file__).parents[2] / "tools" / "soak.py"
    spec = importlib.util.spec_from_file_location("soak", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def crossings(tmp_path):
    io.write(tmp_path / "crossings.parquet", toy_events(4, 50))
    return tmp_path / "crossings.parquet"


def test_the_same_weights_and_where_memory_stood(tool, crossings):
    seen = tool.soak(crossings, 20, ["softkiller", "chs"])
    assert (seen["crossings"], seen["different"]) == (80, 0)
    assert [done for done, _ in seen["memory_mb"]] == list(range(8, 81, 8))
    assert all(size > 50 for _, size in seen["memory_mb"])
    assert 0 <= seen["grown_mb"] < tool.GROWTH


def test_weights_that_change_and_memory_that_grows_are_seen(tool, crossings, monkeypatch):
    honest, calls, kept = hs.mitigate, itertools.count(), []

    def leaky(events, method):
        # A mapping of its own, every page written: what the allocator has lying free cannot serve it.
        kept.append(mmap.mmap(-1, 16_000_000))
        kept[-1].write(b"x" * 16_000_000)
        return honest(events, "none" if next(calls) == 7 else method)

    monkeypatch.setattr(tool.hs, "mitigate", leaky)
    seen = tool.soak(crossings, 10, ["softkiller"])
    assert seen["different"] == 1
    assert seen["grown_mb"] > tool.GROWTH
