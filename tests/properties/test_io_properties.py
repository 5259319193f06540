"""Any events come back from Parquet and ROOT as they were, however they were cut into batches."""

from __future__ import annotations

import tempfile
from pathlib import Path

import awkward as ak
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import hardscatter as hs
import hardscatter.io as io
from hardscatter.io.tracks import noise

FLOATS = st.sampled_from([np.float32, np.float64])
NAMES = st.text(alphabet="ab:_-/ .é", min_size=1, max_size=6)


@st.composite
def crossings(draw):
    counts = np.array(draw(st.lists(st.integers(0, 6), max_size=6)), dtype=np.int64)
    size, n_events = int(counts.sum()), len(counts)
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    dtype = draw(FLOATS)

    def column(values, dtype=dtype):
        return ak.unflatten(np.asarray(values, dtype=dtype), counts)

    charge = rng.integers(-1, 2, size)
    fields = {
        "pt": column(rng.exponential(3, size) + 1e-3), "eta": column(rng.normal(0, 3, size)),
        "phi": column(rng.uniform(-3.1, 3.1, size)), "energy": column(rng.exponential(9, size) + 1e-3),
        "charge": column(charge, np.int8), "vertex": column(np.where(charge, rng.integers(0, 3, size), -1), np.int32),
    }  # fmt: skip
    if draw(st.booleans()):
        fields["d0"] = column(np.where(rng.random(size) < 0.5, np.nan, rng.normal(0, 1, size)))
    if draw(st.booleans()):
        fields["n_vertices"] = rng.integers(0, 200, n_events)
    if draw(st.booleans()):
        fields["process"] = ak.Array(["", *rng.choice(["tt", "zz"], n_events)])[1:]
    names = draw(st.lists(NAMES, unique=True, max_size=3))
    if names:
        fields["weights"] = {name: column(rng.random(size), np.float32) for name in names}
        known = draw(st.lists(st.sampled_from(names), unique=True))
        fields["weight_errors"] = {name: column(rng.random(size), np.float32) for name in known}
    if draw(st.booleans()):
        fields["truth"] = {
            "hard_fraction": column(rng.random(size)),
            "met": {"pt": rng.exponential(9, n_events), "phi": np.zeros(n_events, np.float32)},
        }
    return hs.from_candidates(**fields, metadata={"names": names})


@pytest.mark.parametrize("suffix", [".parquet", ".root"])
@given(events=crossings(), step=st.integers(1, 4))
@settings(max_examples=30, deadline=None)
def test_round_trip(suffix, events, step):
    with tempfile.TemporaryDirectory() as folder:
        whole, cut = Path(folder) / f"whole{suffix}", Path(folder) / f"cut{suffix}"
        io.write(whole, events)
        with io.Writer(cut) as writer:
            for start in range(0, max(len(events), 1), step):
                writer.write(events[start : start + step])
        for path in (whole, cut):
            found = io.read(path)
            assert found.array.type.is_equal_to(events.array.type)
            assert ak.array_equal(found.array, events.array, equal_nan=True)
            assert found.metadata == events.metadata
        parts = list(io.iterate(whole, step))
        assert sum(len(part) for part in parts) == len(events)
        if parts:
            assert ak.array_equal(hs.concatenate(parts).array, events.array, equal_nan=True)


@given(st.lists(st.tuples(st.integers(-(2**63), 2**63 - 1), st.integers(0, 5)), max_size=5), st.integers(0, 2**32))
@settings(deadline=None)
def test_noise_of_an_event_does_not_depend_on_the_others(events, seed):
    numbers = np.array([number for number, _ in events], dtype=np.int64)
    counts = np.array([n for _, n in events], dtype=np.int64)
    together = noise(numbers, counts, seed)
    alone = [noise(numbers[i : i + 1], counts[i : i + 1], seed) for i in range(len(events))]
    assert np.array_equal(together, np.concatenate([np.zeros((2, 0)), *alone], axis=1))
