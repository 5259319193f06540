"""The event model: what it accepts, what it refuses, and in which words."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, MissingFieldError
from hardscatter.events import flat, flat_candidates, offsets_of
from helpers import toy_events

GOOD = {
    "pt": [[1.0, 2.0], [], [3.0]],
    "eta": [[0.0, 1.0], [], [2.0]],
    "phi": [[0.0, 4.0], [], [math.pi]],
    "energy": [[2.0, 4.0], [], [20.0]],
    "charge": [[0, 1], [], [-1]],
    "vertex": [[-1, 0], [], [1]],
}


def test_minimal_fields_are_enough():
    events = hs.from_candidates(**GOOD)
    assert len(events) == 3
    assert events.fields == ["candidates"]
    assert ak.to_list(events.n_candidates) == [2, 0, 1]


def test_phi_is_wrapped_on_entry():
    phi = ak.to_list(hs.from_candidates(**GOOD).candidates.phi)
    assert phi[0][1] == pytest.approx(4.0 - 2 * math.pi)
    assert phi[2][0] == -math.pi


def test_inputs_are_not_changed():
    phi = ak.Array([[0.0, 4.0], [], [5.0]])
    hs.from_candidates(**{**GOOD, "phi": phi})
    assert ak.to_list(phi) == [[0.0, 4.0], [], [5.0]]


def test_precision_is_kept():
    single = hs.from_candidates(**{**GOOD, "pt": ak.values_astype(ak.Array(GOOD["pt"]), np.float32)})
    assert single.candidates.pt.type.content.content.primitive == "float32"
    assert single.candidates.eta.type.content.content.primitive == "float64"
    assert single.candidates.charge.type.content.content.primitive == "int8"


@pytest.mark.parametrize(
    ("field", "value", "words"),
    [
        ("pt", [[1.0, math.nan], [], [3.0]], ["candidates.pt", "nan", "event 0", "finite"]),
        ("pt", [[1.0, 2.0], [], [0.0]], ["candidates.pt", "event 2", "above 0"]),
        ("pt", [[1.0, -2.0], [], [-1.0]], ["candidates.pt", "event 0", "1 more"]),
        ("eta", [[1.0, math.inf], [], [3.0]], ["candidates.eta", "event 0", "finite"]),
        ("energy", [[1.0, 1.0], [], [0.0]], ["candidates.energy", "event 2", "above 0"]),
        ("charge", [[0, 2], [], [1]], ["candidates.charge", "2", "event 0"]),
        ("charge", [[0, 0.5], [], [1]], ["candidates.charge", "whole number"]),
        ("vertex", [[0, -2], [], [1]], ["candidates.vertex", "event 0", "−1"]),
        ("eta", [[1.0], [], [3.0]], ["candidates.eta", "event 0", "1 entries for 2"]),
        ("eta", [[1.0, 2.0], []], ["candidates.eta", "2 events", "has 3"]),
        ("pt", [1.0, 2.0, 3.0], ["candidates.pt", "one list of candidates for each event"]),
        ("eta", [[1.0, None], [], [3.0]], ["candidates.eta", "missing entries"]),
        ("eta", [["a", "b"], [], ["c"]], ["candidates.eta", "numbers"]),
        ("dz", [[math.inf, 1.0], [], [1.0]], ["candidates.dz", "infinite"]),
        ("eta", [[1.0, 800.0], [], [3.0]], ["candidates.eta", "800", "event 0", "±20"]),
        ("vertex", [[0, 2**32], [], [1]], ["candidates.vertex", "whole number"]),
        ("charge", [[256, 1], [], [1]], ["candidates.charge", "256"]),
        ("pdg_id", [[10**12, 1], [], [1]], ["candidates.pdg_id", "whole number"]),
        ("pt", None, ["candidates.pt", "compulsory"]),
        ("eta", "eta", ["candidates.eta", "lists of numbers"]),
        ("eta", {1: 2}, ["candidates.eta"]),
    ],
)
def test_bad_values_are_named(field, value, words):
    with pytest.raises(InvalidEventsError) as raised:
        hs.from_candidates(**{**GOOD, field: value})
    for word in words:
        assert word in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize("fraction", [[[0.0, 1.5], [], [0.0]], [[0.0, -0.1], [], [0.0]], [[0.0, math.nan], [], [0.0]]])
def test_hard_fraction_must_lie_in_zero_to_one(fraction):
    with pytest.raises(InvalidEventsError, match=r"truth.hard_fraction.*\[0, 1\]"):
        hs.from_candidates(**GOOD, truth={"hard_fraction": fraction})


def test_per_event_fields_need_one_entry_an_event():
    with pytest.raises(InvalidEventsError, match="n_vertices has 2 entries for 3 events"):
        hs.from_candidates(**GOOD, n_vertices=[1, 2])


@pytest.mark.parametrize(
    "n_vertices", [[1, math.nan, 2], [1, -5, 2], [1, None, 2], [1, 2.5, 3], [[1], [2], [3]], 140, "many", [1, 2**40, 2]]
)
def test_n_vertices_is_a_whole_number_for_each_event(n_vertices):
    with pytest.raises(InvalidEventsError, match="n_vertices") as raised:
        hs.from_candidates(**GOOD, n_vertices=n_vertices)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    "truth",
    [
        [1], {}, {"jets": [[], [], []]}, {"jets": [{"pt": 1.0}] * 3}, {"met": [1.0, 2.0, 3.0]},
        {"fat_jets": [[{"pt": 1.0, "eta": 0.0, "phi": 0.0}], [], []]}, {"met": {"pt": [1.0], "phi": [0.0]}},
    ],
)  # fmt: skip
def test_truth_has_the_fields_that_measurements_need(truth):
    with pytest.raises(InvalidEventsError, match="truth"):
        hs.from_candidates(**GOOD, truth=truth)


def test_arrays_of_objects_are_lists():
    columns = {name: np.array([np.array(row) for row in rows], dtype=object) for name, rows in GOOD.items()}
    assert ak.array_equal(hs.from_candidates(**columns).array, hs.from_candidates(**GOOD).array)


def test_no_events_and_no_candidates():
    empty = {name: [] for name in GOOD}
    assert len(hs.from_candidates(**empty)) == 0
    bare = {name: [[], []] for name in GOOD}
    events = hs.from_candidates(**bare)
    assert ak.to_list(events.n_candidates) == [0, 0]
    assert events.candidates.charge.type.content.content.primitive == "int8"


def test_missing_field_says_how_to_supply_it():
    events = hs.from_candidates(**GOOD)
    with pytest.raises(MissingFieldError, match="n_vertices="):
        _ = events.n_vertices
    assert not hasattr(events, "truth")
    assert not events.has("candidates.dz")
    assert toy_events().has("truth.met.pt")


def test_without_truth_keeps_everything_else():
    events = toy_events()
    bare = events.without_truth()
    assert "truth" not in bare.fields
    assert bare.fields == [name for name in events.fields if name != "truth"]
    assert bare.without_truth() is bare


def test_slices_masks_and_records():
    events = toy_events(4)
    assert len(events[1:3]) == 2
    assert ak.to_list(events[[True, False, True, False]].event) == [0, 2]
    assert ak.to_list(events[np.array([3, 0])].event) == [3, 0]
    assert events[2].event == 2


def test_with_weights_checks_and_records():
    events = hs.from_candidates(**GOOD)
    weighted = hs.with_weights(events, "puppi:cms-run3", [[0.0, 1.0], [], [0.5]], {"cone": 0.4})
    assert ak.to_list(weighted.weights["puppi:cms-run3"]) == [[0.0, 1.0], [], [0.5]]
    assert weighted.weights["puppi:cms-run3"].type.content.content.primitive == "float32"
    assert weighted.metadata["weights"] == {"puppi:cms-run3": {"cone": 0.4}}
    assert not events.has("weights")
    second = hs.with_weights(weighted, "other", [[1.0, 1.0], [], [1.0]])
    assert second.weights.fields == ["puppi:cms-run3", "other"]
    for bad in ([[0.0], [], [0.5]], [[0.0, 2.0], [], [0.5]], [[0.0, math.nan], [], [0.5]]):
        with pytest.raises(InvalidEventsError, match=r"weights\.x"):
            hs.with_weights(events, "x", bad)
    with pytest.raises(InvalidEventsError, match="need a name"):
        hs.with_weights(events, "", [[0.0, 1.0], [], [0.5]])


def test_particle_classes():
    events = hs.from_candidates(
        pt=[[1.0] * 8], eta=[[0.0] * 8], phi=[[0.0] * 8], energy=[[1.0] * 8],
        charge=[[1, -1, 1, 0, 0, 0, 0, -1]], vertex=[[0] * 8],
        pdg_id=[[321, 11, -13, 22, 2112, 1, 0, -2212]],
    )  # fmt: skip
    assert ak.to_list(events.particle_class()) == [[211, 11, 13, 22, 130, 1, 130, 211]]
    assert ak.to_list(hs.from_candidates(**GOOD).particle_class()) == [[130, 211], [], [211]]


def test_concatenate():
    events = toy_events(3)
    joined = hs.concatenate([events[:1], events[1:]])
    assert ak.array_equal(joined.array, events.array, equal_nan=True)
    with pytest.raises(InvalidEventsError, match="different fields"):
        hs.concatenate([events, events.without_truth()])
    with pytest.raises(InvalidEventsError, match=r"candidates\.dz"):
        hs.concatenate([events, events.with_field("candidates", events.candidates[["pt", "eta", "phi"]])])
    with pytest.raises(InvalidEventsError, match="at least one"):
        hs.concatenate([])


@pytest.mark.parametrize("where", [slice(None), slice(1, 3), [2, 0], [False, True, True], slice(0, 0)])
def test_flat_candidates_of_any_selection(where):
    events = hs.from_candidates(**GOOD)[where]
    offsets, (vertex, pt) = flat_candidates(events, "vertex", "pt")
    assert offsets.tolist() == offsets_of(events.candidates.pt).tolist()
    assert pt.tolist() == flat(events.candidates.pt).tolist()
    assert vertex.tolist() == flat(events.candidates.vertex).tolist()
    assert flat_candidates(events)[0].tolist() == offsets.tolist()
    assert not pt.flags.writeable


def test_flat_candidates_have_one_of_two_sets_of_types():
    single = {name: ak.values_astype(ak.Array(values), np.float32) for name, values in GOOD.items()}
    for fields, number in ((GOOD, np.float64), (single, np.float32), ({**single, "eta": GOOD["eta"]}, np.float64)):
        _, (pt, charge, eta, vertex) = flat_candidates(hs.from_candidates(**fields), "pt", "charge", "eta", "vertex")
        assert (pt.dtype, eta.dtype, charge.dtype, vertex.dtype) == (number, number, np.int8, np.int32)


def test_particle_class_of_odd_ids():
    ids = [[11, 211, -2147483648, 2147483647], [], [-13]]
    columns = {name: [values[0][:1] * 4, [], values[2]] for name, values in GOOD.items()}
    events = hs.from_candidates(**{**columns, "charge": [[0, 1, 1, 0], [], [-1]]}, pdg_id=ids)
    assert ak.to_list(events.particle_class()) == [[130, 211, 211, 130], [], [13]]
