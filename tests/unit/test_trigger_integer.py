import json
from fractions import Fraction

import numpy as np
import pytest

from hardscatter.errors import UnreadableFileError
from hardscatter.trigger import Format, IntegerModel, Layer, read_model, to_real, write_model
from small_integers import random_model


def _inputs(model: IntegerModel, n: int) -> np.ndarray:
    form = model.input_format
    drawn = np.random.default_rng(5).integers(form.lowest, form.highest + 1, size=(n, len(model.inputs)))
    drawn[0], drawn[1] = form.lowest, form.highest
    return drawn


def _rational(model: IntegerModel, x: np.ndarray) -> int:
    """Return the output of one candidate, computed in fractions from what the module's docstring says."""
    values = [Fraction(int(n)) / Fraction(2) ** model.input_format.fraction for n in x]
    for layer in model.layers:
        weight, bias = (Fraction(2) ** -form.fraction for form in (layer.weight_format, layer.bias_format))
        sums = [
            sum((int(w) * weight * v for w, v in zip(row, values, strict=True)), int(b) * bias)
            for row, b in zip(layer.weights, layer.biases, strict=True)
        ]
        form = layer.result_format
        scaled = [(s * Fraction(2) ** form.fraction + Fraction(1, 2)).__floor__() for s in sums]
        values = [Fraction(min(max(n, form.lowest), form.highest)) / Fraction(2) ** form.fraction for n in scaled]
    return int(values[0] * 2**model.output_format.fraction)


@pytest.mark.parametrize("seed", range(4))
def test_integers_are_what_fractions_give(seed):
    model = random_model(seed, (5, 7, 4, 1), weights=Format(6 + seed, seed - 1), sparsity=0.3)
    x = _inputs(model, 40)
    results = model.integers(x)
    assert results.tolist() == [_rational(model, row) for row in x]
    assert len(np.unique(results)) > 4


def test_the_accumulator_holds_every_sum_and_no_narrower_one_does():
    model = random_model(3)
    for layer in model.layers:
        form, shift = layer.input_format, layer.fraction - layer.bias_format.fraction
        bound = layer.accumulator.highest
        # The inputs that make each output as large, and as small, as can be.
        worst = [
            sign * int(row @ np.where(sign * row > 0, form.highest, form.lowest) + (b << shift))
            for row, b in zip(layer.weights, layer.biases, strict=True)
            for sign in (1, -1)
        ]
        assert max(worst) <= bound
        partial = np.abs(layer.weights).sum(axis=1) * max(form.highest, -form.lowest) + (abs(layer.biases) << shift)
        assert bound // 2 < partial.max() <= bound


def test_real_inputs_give_weights_in_the_unit_interval():
    model = random_model(1)
    weights = model.weights(np.random.default_rng(2).normal(size=(500, 12)).astype(np.float32))
    assert (weights >= 0).all()
    assert (weights <= 255 / 256).all()
    np.testing.assert_array_equal(weights, to_real(model.integers(model.quantised(np.random.default_rng(2)
                                  .normal(size=(500, 12)).astype(np.float32))), model.output_format))  # fmt: skip


def test_no_candidate_gives_no_weight():
    model = random_model(1)
    assert model.weights(np.zeros((0, 12), dtype=np.float32)).shape == (0,)


def test_a_model_comes_back_from_its_file(tmp_path):
    model = random_model(7, sparsity=0.5)
    write_model(model, tmp_path / "model.json")
    again = read_model(tmp_path / "model.json")
    x = _inputs(model, 1000)
    np.testing.assert_array_equal(again.integers(x), model.integers(x))
    assert again.inputs == model.inputs
    assert again.multiplications == model.multiplications < again.parameters
    write_model(again, tmp_path / "again.json")
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "model.json").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["again.json", "model.json"]


@pytest.mark.parametrize(
    ("key", "value"),
    [("weights", 0.5), ("weights", 10_000), ("weights", None), ("biases", [1]), ("weight_format", {"width": 3})],
)
def test_a_file_that_was_changed_is_refused(tmp_path, key, value):
    write_model(random_model(1), tmp_path / "model.json")
    content = json.loads((tmp_path / "model.json").read_text())
    if key == "weights":
        content["layers"][0]["weights"][0][0] = value
    else:
        content["layers"][0][key] = value
    (tmp_path / "model.json").write_text(json.dumps(content))
    with pytest.raises(UnreadableFileError, match="no integer model"):
        read_model(tmp_path / "model.json")


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"kind": "other", "version": 1}'])
def test_a_file_of_another_kind_is_refused(tmp_path, content):
    (tmp_path / "model.json").write_text(content)
    with pytest.raises(UnreadableFileError, match=r"model\.json holds no integer model"):
        read_model(tmp_path / "model.json")
    with pytest.raises(UnreadableFileError):
        read_model(tmp_path / "nowhere.json")


def test_inputs_that_are_no_integers_of_the_format_are_refused():
    model = random_model(1)
    with pytest.raises(ValueError, match="takes"):
        model.integers(np.zeros((3, 5), dtype=np.int64))
    with pytest.raises(ValueError, match="not integers of"):
        model.integers(np.full((3, 12), 1000))
    with pytest.raises(ValueError, match="NaN"):
        model.weights(np.full((3, 12), np.nan, dtype=np.float32))


def test_layers_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match="no dense layer"):
        Layer(np.zeros((2, 3), np.int64), np.zeros(3, np.int64), *[Format(8, 3)] * 4)
    with pytest.raises(ValueError, match="finer"):
        Layer(
            np.zeros((2, 3), np.int64), np.zeros(2, np.int64), Format(8, 3), Format(8, 3), Format(30, 3), Format(8, 3)
        )
    one, two = (random_model(seed, inputs=Format(8, 2 + seed)).layers for seed in (0, 1))
    with pytest.raises(ValueError, match="does not take"):
        IntegerModel(tuple("abcdefghijkl"), (one[0], two[0], two[1]))


@pytest.mark.slow
def test_wide_layers_are_as_exact_as_narrow_ones():
    model = random_model(9, (64, 64, 64, 1), weights=Format(16, 1), hidden=Format(16, 6, signed=False))
    x = _inputs(model, 20)
    assert model.integers(x).tolist() == [_rational(model, row) for row in x]
