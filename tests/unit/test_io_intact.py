"""Events of our own files are taken as they are where that changes nothing, and checked where anything is odd."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError
from hardscatter.events import Events, checked
from hardscatter.io import intact
from helpers import toy_events


@pytest.fixture
def thorough(monkeypatch):
    """Count how often events are taken apart."""
    seen = []
    monkeypatch.setattr(intact, "checked", lambda events: seen.append(events) or checked(events))
    return seen


def weighted(n_events=4):
    events = hs.with_weights(toy_events(n_events), "half", ak.ones_like(toy_events(n_events).candidates.pt) * 0.5)
    return Events(ak.to_packed(events.array), events.metadata)


def changed(events, path, value):
    return Events(ak.with_field(events.array, value, path.split(".")), events.metadata)


@pytest.mark.parametrize("n_events", [0, 1, 4])
def test_what_is_right_is_taken_as_it_is(n_events, thorough):
    events = weighted(4)[:n_events]
    events = Events(ak.to_packed(events.array), events.metadata)
    found = intact.right(events)
    assert found is events
    assert not thorough
    expected = checked(events)
    assert found.array.type.is_equal_to(expected.array.type)
    assert ak.array_equal(found.array, expected.array, equal_nan=True)


@pytest.mark.parametrize(
    ("path", "change"),
    [
        ("candidates.phi", lambda phi: ak.where(phi > 3, phi + 10 * np.pi, phi)),
        ("candidates.charge", lambda charge: ak.values_astype(charge, np.int64)),
        ("candidates.pt", lambda pt: ak.values_astype(pt * 0 + 2, np.int32)),
        ("weights.half", lambda half: ak.values_astype(half, np.float64)),
        ("n_vertices", lambda n: ak.values_astype(n, np.int64)),
    ],
)
def test_what_must_be_converted_is_converted(path, change, thorough):
    events = weighted()
    value = events.array
    for name in path.split("."):
        value = value[name]
    odd = changed(events, path, change(value))
    found = intact.right(odd)
    assert len(thorough) == 1
    assert ak.array_equal(found.array, checked(odd).array, equal_nan=True)
    assert found.array.type.is_equal_to(events.array.type) or path == "candidates.pt"


@pytest.mark.parametrize(
    ("path", "value", "words"),
    [
        ("candidates.pt", np.nan, r"candidates\.pt is nan"),
        ("candidates.pt", 0.0, r"candidates\.pt is 0"),
        ("candidates.energy", np.inf, r"candidates\.energy is inf"),
        ("candidates.eta", -20.5, r"candidates\.eta is -20\.5"),
        ("candidates.phi", np.nan, r"candidates\.phi is nan"),
        ("candidates.charge", np.int8(2), r"candidates\.charge is 2"),
        ("candidates.vertex", np.int32(-2), r"candidates\.vertex is -2"),
        ("candidates.dz", -np.inf, r"candidates\.dz is -inf"),
        ("weights.half", np.float32(1.5), r"weights\.half is 1\.5"),
        ("weights.half", np.float32(np.nan), r"weights\.half is nan"),
        ("truth.hard_fraction", -0.1, r"truth\.hard_fraction is -0\.1"),
    ],
)
def test_one_bad_number_is_found(path, value, words):
    events = weighted()
    column = events.array
    for name in path.split("."):
        column = column[name]
    values = ak.to_numpy(ak.flatten(column, axis=1)).copy()
    values[-1] = value
    with pytest.raises(InvalidEventsError, match=words):
        intact.right(changed(events, path, ak.unflatten(values, ak.num(column))))


def test_fields_that_do_not_fit_are_found():
    events = weighted()
    with pytest.raises(InvalidEventsError, match=r"n_vertices is -1"):
        intact.right(changed(events, "n_vertices", ak.Array(np.array([1, 2, -1, 3], dtype=np.int32))))
    with pytest.raises(InvalidEventsError, match="hard_fraction of event"):
        intact.right(changed(events, "truth.hard_fraction", events.truth.hard_fraction[:, 1:]))
    with pytest.raises(InvalidEventsError, match=r"truth\.met must be"):
        intact.right(changed(events, "truth.met", ak.zip({"pt": np.ones(4)})))
    with pytest.raises(InvalidEventsError, match=r"truth\.jets must be"):
        intact.right(changed(events, "truth.jets", ak.Array(np.ones(4))))
