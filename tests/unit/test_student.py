"""The student: its inputs, its weights, and that it needs little."""

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import UnreadableFileError
from hardscatter.events import flat
from hardscatter.pileup.student import INPUTS, LARGEST, MODELS, Student, student_inputs
from hardscatter.trigger import read_model
from helpers import toy_events

COLUMN = {column.name: i for i, column in enumerate(INPUTS)}


def mitchell(v):
    """Return e + m for 1 + v = 2^e (1 + m)."""
    fraction, exponent = np.frexp(1.0 + np.asarray(v, dtype=np.float64))
    return exponent - 1 + 2 * fraction - 1


def test_inputs_are_what_they_say():
    events = toy_events()
    inputs, offsets = student_inputs(events.without_truth())
    assert inputs.shape == (offsets[-1], len(INPUTS))
    candidates = events.candidates
    pt, eta, charge = (flat(candidates[name], np.float64) for name in ("pt", "eta", "charge"))
    np.testing.assert_allclose(inputs[:, COLUMN["pt"]], mitchell(pt / 0.25) / 8, atol=1e-6)
    np.testing.assert_allclose(inputs[:, COLUMN["abs_eta"]], np.abs(eta) / 4, atol=1e-6)
    np.testing.assert_array_equal(inputs[:, COLUMN["is_leading"]], (charge != 0) & (flat(candidates.vertex) == 0))
    np.testing.assert_array_equal(inputs[:, COLUMN["is_photon"]], flat(candidates.pdg_id) == 22)
    for name in ("dz", "d0"):
        size = np.where(charge != 0, np.abs(flat(candidates[name], np.float64)), 0.0)
        error = np.where(charge != 0, flat(candidates[f"{name}_error"], np.float64), 1.0)
        np.testing.assert_allclose(inputs[:, COLUMN[name]], mitchell(size / 0.01) / 8, atol=1e-6)
        np.testing.assert_allclose(
            inputs[:, COLUMN[f"{name}_significance"]], mitchell(size / error / 0.25) / 8, atol=1e-5
        )
    assert (inputs >= 0).all()
    assert (inputs <= LARGEST).all()


def test_the_cheap_logarithm_is_near_the_true_one():
    v = np.geomspace(1e-3, 1e6, 1000)
    difference = np.log2(1 + v) - mitchell(v)
    assert difference.min() >= 0
    assert 0.08 < difference.max() < 0.0861


def test_a_displacement_that_was_not_measured_is_none():
    events = toy_events(n_events=1)
    dz = ak.unflatten(np.where(np.arange(int(events.n_candidates[0])) % 3, np.nan, 0.5), events.n_candidates)
    inputs, _ = student_inputs(events.with_field("candidates", ak.with_field(events.candidates, dz, "dz")))
    assert not inputs[np.isnan(flat(dz)), COLUMN["dz"]].any()
    assert np.isfinite(inputs).all()


def test_weights_are_of_each_crossing_alone():
    events = toy_events()
    together = hs.mitigate(events, "total:student")
    apart = ak.concatenate([hs.mitigate(events[i : i + 1], "total:student") for i in range(len(events))])
    assert together.tolist() == apart.tolist()
    assert ak.all((together >= 0) & (together <= 1))


def test_the_leading_vertex_counts_more_than_pileup():
    events = toy_events()
    weights, hard = flat(hs.mitigate(events, "total:student")), flat(events.truth.hard_fraction)
    charged = flat(events.candidates.charge) != 0
    assert weights[charged & (hard > 0.5)].mean() > weights[charged & (hard < 0.5)].mean() + 0.3


def test_little_is_needed_and_nothing_defined():
    events = toy_events(minimal=True)
    weights = hs.mitigate(events, "total:student")
    assert ak.num(weights).tolist() == ak.num(events.candidates.pt).tolist()
    empty = events[ak.Array([False] * len(events))]
    assert len(hs.mitigate(empty, "total:student")) == 0
    nobody = hs.from_candidates(
        **{name: ak.Array([[], []]) for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    )
    assert hs.mitigate(nobody, "total:student").tolist() == [[], []]


def test_shipped_integers_are_the_shipped_student():
    """Rounding may move a weight a little: the two are one network, taught again in integers."""
    model = read_model(MODELS / "total-student.json")
    events = toy_events()
    inputs, _ = student_inputs(events)
    assert model.inputs == tuple(COLUMN)
    assert model.parameters <= 5000
    difference = np.abs(model.weights(inputs) - flat(hs.mitigate(events, "total:student")))
    assert np.average(difference, weights=flat(events.candidates.pt)) < 0.05


def test_what_is_no_student_is_refused(tmp_path):
    with pytest.raises(UnreadableFileError, match="there is no student"):
        Student("nobody").weights(toy_events())
    with pytest.raises(UnreadableFileError, match="is no student"):
        Student(str(MODELS / "total.onnx")).weights(toy_events())
    (tmp_path / "empty.onnx").write_bytes(b"")
    with pytest.raises(UnreadableFileError, match="is no student"):
        Student(str(tmp_path / "empty.onnx")).weights(toy_events())
