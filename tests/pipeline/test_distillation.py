"""From collisions to a student's weights, in floating point and in integers, in seconds."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
import hardscatter as hs
from hardscatter.events import flat
from hardscatter.nets.student_export import export_integers, export_student
from hardscatter.pileup.student import INPUTS, Student, student_inputs
from hardscatter.training.configuration import Crossings
from hardscatter.training.distillation import Distillation, distil, draw, make_lessons
from hardscatter.training.quantised import Bits, quantise_student
from hardscatter.trigger import read_model, write_model

pytestmark = pytest.mark.slow

LIBRARIES = {"pileup": 5, "seed": 11, "n_minbias": 60}
TINY = Distillation(
    "tiny", teacher="puppi", hidden=(16, 8), crossings=8, steps=400, candidates=512,
    data=Crossings(processes=("ttbar-semileptonic",), cards=("cms-phase2",), pileup="5", seed=11, n_hard=9,
                   n_minbias=60, shared_draws=True),
)  # fmt: skip


def test_a_student_of_puppi(collisions, monkeypatch, tmp_path):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))
    lessons = make_lessons(TINY)
    again = make_lessons(TINY)
    np.testing.assert_array_equal(lessons.inputs, again.inputs)
    np.testing.assert_array_equal(lessons.teacher, again.teacher)
    assert len(lessons) >= 8

    drawn = draw(lessons, TINY)
    network = distil(TINY, drawn, lessons)
    export_student(network, tmp_path / "tiny.onnx", INPUTS)
    events = hs.simulate("ttbar-semileptonic", 6, **LIBRARIES | {"seed": 12})
    weights, teacher = hs.mitigate(events, Student(str(tmp_path / "tiny.onnx"))), hs.mitigate(events, "puppi")
    w, t, pt = flat(weights), flat(teacher), flat(events.candidates.pt)
    assert np.average((w - t) ** 2, weights=pt) < 0.5 * np.average((t - np.average(t, weights=pt)) ** 2, weights=pt)

    student = quantise_student(network, Bits(), replace(TINY, steps=100), drawn, lessons)
    model = student.integer_model(tuple(column.name for column in INPUTS))
    write_model(model, tmp_path / "tiny.json")
    export_integers(model, tmp_path / "integers.onnx", INPUTS)
    inputs, _ = student_inputs(events.without_truth())
    integers = read_model(tmp_path / "tiny.json").weights(inputs)
    np.testing.assert_array_equal(
        flat(hs.mitigate(events, Student(str(tmp_path / "integers.onnx")))), integers.astype(np.float32)
    )
    assert np.average(np.abs(integers - w), weights=pt) < 0.1
