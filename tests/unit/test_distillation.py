"""Teaching a student, in floating point and in integers; and that what comes out is one network on three machines."""

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest
import torch

import hardscatter as hs
from hardscatter.errors import SettingsError
from hardscatter.nets.student import StudentNetwork, clip
from hardscatter.nets.student_export import export_integers, export_student
from hardscatter.pileup.student import INPUTS, MODELS, Student
from hardscatter.training import distillation
from hardscatter.training.distillation import (
    Distillation,
    Lessons,
    cells,
    distil,
    draw,
    load_distillation,
    missing_momentum,
)
from hardscatter.training.quantised import Bits, QuantisedStudent, quantise_student, rounded
from hardscatter.trigger import Format, quantise, read_model
from helpers import toy_events
from small_integers import random_model

SMALL = Distillation("small", hidden=(12, 8), steps=300, candidates=512, rate=1e-2, crossings=6)
NAMES = tuple(column.name for column in INPUTS)


def lessons(crossings=6, n=400, seed=1):
    """Return lessons whose teacher is a simple rule of two inputs."""
    rng = np.random.default_rng(seed)
    total = crossings * n
    inputs = rng.uniform(0, 1.5, size=(total, len(INPUTS))).astype(np.float16)
    teacher = np.clip(2 * inputs[:, 0].astype(np.float32) - inputs[:, 11], 0, 1)
    kinematics = np.stack([rng.exponential(2.0, total) + 0.1, rng.uniform(-4, 4, total), rng.uniform(-3, 3, total),
                           np.ones(total)], axis=1).astype(np.float32)  # fmt: skip
    return Lessons(
        inputs, kinematics, rng.integers(-1, 2, total).astype(np.int8), teacher, np.arange(crossings + 1) * n
    )


def error(network, given):
    with torch.no_grad():
        weights = network(torch.from_numpy(given.inputs.astype(np.float32))).numpy()
    return np.average((weights - given.teacher) ** 2, weights=given.kinematics[:, 0])


@pytest.mark.parametrize("change", [{}, {"loss": "absolute"}, {"whole_steps": 40, "missing_momentum": 1.0}])
def test_a_student_learns_what_the_teacher_says(change):
    given, settings = lessons(), replace(SMALL, lacking=0.0, **change)
    network = distil(settings, draw(given, settings), given)
    apart = lessons(seed=2)
    assert error(network, apart) < 0.1 * apart.teacher.var()
    again = distil(settings, draw(given, settings), given)
    assert error(again, apart) == error(network, apart)


def test_drawn_candidates_stand_for_all():
    given = lessons(crossings=20)
    drawn = draw(given, replace(SMALL, lacking=0.0))
    assert len(drawn.teacher) < 0.95 * len(given.teacher)
    pt = given.kinematics[:, 0]
    wanted = (pt * given.teacher).sum()
    assert (drawn.factor * drawn.teacher).sum().item() == pytest.approx(wanted, rel=0.02)


def test_what_a_crossing_lacks_is_zero():
    settings = replace(SMALL, lacking=1.0)
    inputs = draw(lessons(), settings).inputs.numpy()
    lacking = np.array([any(word in name for word in ("photon", "dz", "d0")) for name in NAMES])
    assert not inputs[:, lacking].any()
    assert (inputs[:, ~lacking] > 0).any(axis=0).all()


def test_today_sees_less():
    settings = replace(SMALL, inputs="today")
    given = lessons()
    assert [NAMES[i] for i in settings.columns] == list(distillation.TODAY)
    network = distil(replace(settings, steps=3), draw(given, settings), given)
    assert network.linear()[0].in_features == len(distillation.TODAY)


def test_errors_that_cancel_are_cheap():
    """Two candidates in one place: the same error with two signs, or with one."""
    kinematics = torch.tensor([[5.0, 0.5, 1.0, 9.0], [5.0, 0.5, 1.0, 9.0], [5.0, -2.0, -1.0, 9.0]])
    charge, offsets = torch.zeros(3), torch.tensor([0, 3])

    def loss(*excess):
        return cells(torch.tensor(excess), kinematics, charge, offsets, torch.Generator().manual_seed(1)).item()

    assert loss(0.2, -0.2, 0.0) == pytest.approx(0.0, abs=1e-9)
    assert loss(0.2, 0.2, 0.0) > loss(0.2, 0.0, 0.2) > 0
    assert loss(0.0, 0.0, 0.0) == 0.0
    # All at one place and nothing else: C_s = 1 and V_c from the definition.
    alone = cells(torch.tensor([0.2]), kinematics[:1], charge[:1], torch.tensor([0, 1]), torch.Generator())
    sizes = distillation.SIZES
    wanted = sum(2 * (5.0 * 0.2) ** 2 / (5 * (s / 0.4) ** 2 + 0.05 * 5.0) for s in sizes) / len(sizes)
    assert alone.item() == pytest.approx(wanted, rel=1e-5)


def test_missing_momentum_adds_up_over_a_crossing():
    kinematics = torch.tensor([[30.0, 0.0, 0.0, 30.0], [40.0, 0.0, math.pi / 2, 40.0]])
    excess = torch.tensor([1.0, 1.0])
    assert missing_momentum(excess, kinematics, torch.tensor([0, 2])).item() == pytest.approx(0.25)
    assert missing_momentum(excess, kinematics, torch.tensor([0, 1, 2])).item() == pytest.approx((0.09 + 0.16) / 2)


def test_the_clip_leads_back_in():
    z = torch.tensor([-1.0, -1.0, 0.5, 2.0, 2.0], requires_grad=True)
    (clip(z) * torch.tensor([1.0, -1.0, 3.0, 1.0, -1.0])).sum().backward()
    assert z.grad.tolist() == [0.0, -1.0, 3.0, 1.0, 0.0]


def test_rounding_in_training_is_that_of_the_format():
    x = torch.linspace(-3, 3, 1001)
    for form in (Format(6, 2), Format(7, 1, signed=False), Format(5, -1)):
        ours = quantise(x.numpy(), form) * form.step
        ties = np.abs((x.numpy() / form.step) % 1 - 0.5) < 1e-3
        np.testing.assert_array_equal(rounded(x, form).numpy()[~ties], ours[~ties].astype(np.float32))


def test_integers_are_what_was_taught():
    given, settings = lessons(), replace(SMALL, lacking=0.0)
    drawn = draw(given, settings)
    network = distil(settings, drawn, given)
    student = quantise_student(network, Bits(), replace(settings, steps=100), drawn, given)
    model = student.integer_model(NAMES)
    inputs = np.random.default_rng(3).uniform(0, 1.5, size=(5000, len(INPUTS))).astype(np.float32)  # halves are rare
    with torch.no_grad():
        theirs = student(torch.from_numpy(inputs)).numpy()
    # Halves are rounded to even there and up here; a step of a hidden layer may move the last one by a few.
    difference = np.abs(model.weights(inputs) - theirs) * 256
    assert (difference <= 2).mean() > 0.99
    assert difference.max() < 16
    assert error(student, given) < 0.1 * given.teacher.var()


def test_whole_crossings_count_for_integers_too():
    """What is left in cells comes nearer to the teacher's than by candidates alone."""
    given, settings = lessons(), replace(SMALL, lacking=0.0, steps=100)
    drawn = draw(given, settings)
    network = distil(settings, drawn, given)
    kinematics, charge, offsets = (torch.from_numpy(x) for x in (given.kinematics, given.charge, given.offsets))

    def left(whole_steps):
        student = quantise_student(network, Bits(), replace(settings, whole_steps=whole_steps), drawn, given)
        with torch.no_grad():
            excess = student(torch.from_numpy(given.inputs.astype(np.float32))) - torch.from_numpy(given.teacher)
        return cells(excess, kinematics, charge, offsets, torch.Generator().manual_seed(1)).item()

    assert left(100) < 0.9 * left(0)


def test_pruning_takes_the_smallest_and_keeps_the_rest():
    given, settings = lessons(), replace(SMALL, lacking=0.0)
    drawn = draw(given, settings)
    network = distil(settings, drawn, given)
    shorter = replace(settings, steps=200, whole_steps=10)
    model = quantise_student(network, Bits(sparsity=0.6), shorter, drawn, given).integer_model(NAMES)
    weights = sum(layer.weights.size for layer in model.layers)
    assert model.multiplications <= 0.41 * weights
    assert model.multiplications > 0.2 * weights


def test_ranges_leave_out_next_to_nothing():
    network = StudentNetwork(len(INPUTS), (6,))
    inputs = torch.rand(1000, len(INPUTS)) * 2
    student = QuantisedStudent(network, inputs, Bits())
    with torch.no_grad():
        hidden = torch.relu(network.linear()[0](inputs))
    form = student.result_formats[0]
    assert (hidden <= (form.highest + 1) * form.step).float().mean() >= 0.999
    assert not form.signed


def test_the_exported_integers_are_the_model_bit_for_bit(tmp_path):
    """The shipped one, on a million candidates, the ends among them."""
    model = read_model(MODELS / "total-student.json")
    export_integers(model, tmp_path / "integers.onnx", INPUTS)
    session = onnxruntime.InferenceSession(str(tmp_path / "integers.onnx"), providers=["CPUExecutionProvider"])
    rng = np.random.default_rng(4)
    seen = set()
    for part in range(10):
        inputs = rng.uniform(0, 2, size=(100_000, len(INPUTS))).astype(np.float32)
        inputs[:1000] = rng.integers(0, 1025, size=(1000, len(INPUTS))) / 512  # exactly between two numbers, too
        inputs[1000:1002] = [[0.0], [2.0]]
        weights = model.weights(inputs)
        np.testing.assert_array_equal(session.run(["weights"], {"inputs": inputs})[0], weights.astype(np.float32))
        seen |= set(np.unique(weights).tolist()) if part == 0 else set()
    assert len(seen) > 100


def test_sums_too_wide_for_a_double_are_refused(tmp_path):
    model = random_model(3, (4, 16, 1), inputs=Format(20, 4), weights=Format(31, 1), hidden=Format(20, 4, signed=False))
    with pytest.raises(SettingsError, match="a double holds 53"):
        export_integers(model, tmp_path / "x.onnx", INPUTS[:4])
    assert not list(tmp_path.iterdir())


def test_an_exported_student_weighs_crossings(tmp_path):
    torch.manual_seed(1)
    network = StudentNetwork(len(INPUTS), (8,))
    assert export_student(network, tmp_path / "own.onnx", INPUTS) < 1e-5
    weights = hs.mitigate(toy_events(), str(tmp_path / "own.onnx"))
    assert len(weights) == 4
    assert weights.tolist() == Student(str(tmp_path / "own.onnx")).weights(toy_events()).tolist()


def test_an_exported_student_of_fewer_inputs_is_refused(tmp_path):
    from hardscatter.errors import UnreadableFileError

    export_student(StudentNetwork(3, (8,)), tmp_path / "few.onnx", INPUTS[:3])
    with pytest.raises(UnreadableFileError, match="takes other inputs"):
        Student(str(tmp_path / "few.onnx")).weights(toy_events())


def test_settings_are_closed(tmp_path):
    path = Path(distillation.__file__).parent / "students" / "total-student.yaml"
    assert load_distillation(path).name == "total-student"
    (tmp_path / "wrong.yaml").write_text("name: x\nhiden: [3]\n")
    with pytest.raises(SettingsError, match="hiden"):
        load_distillation(tmp_path / "wrong.yaml")
    (tmp_path / "empty.yaml").write_text("")
    with pytest.raises(SettingsError, match="no settings"):
        load_distillation(tmp_path / "empty.yaml")


def test_lessons_come_back_from_their_file(tmp_path):
    given = lessons()
    given.save(tmp_path / "lessons.npz")
    again = Lessons.load(tmp_path / "lessons.npz")
    np.testing.assert_array_equal(again.inputs, given.inputs)
    assert len(again.first(2)) == 2
    assert again.first(2).offsets[-1] == len(again.first(2).teacher)
