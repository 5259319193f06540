"""The words in a model's metadata say what its inputs are: computed from them, the features come out."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("torch")
onnx = pytest.importorskip("onnx")

from hardscatter.nets.meaning import inputs_in_words, outputs_in_words, unit_of  # noqa: E402
from hardscatter.pileup.features import SURROUNDINGS_SCHEMA, FeatureSchema, features  # noqa: E402
from hardscatter.pileup.learned import MODELS  # noqa: E402
from helpers import toy_events  # noqa: E402

NUMBERS = {"ln": math.log, "asinh": math.asinh}


def computed(words: str, source: str, value: float) -> float:
    """Return what the words make of a value of the source, written with its name."""
    if words.startswith("1 if "):
        condition = words.removeprefix("1 if ").removesuffix(", else 0")
        if condition.endswith(" is known"):
            return value
        sign, number = condition.removeprefix(source).split()
        return float(value == float(number) if sign == "=" else value > float(number))
    formula, limit = words.removesuffix(", 0 where unknown").removeprefix("clip(").removesuffix(")").split(", ±")
    for unit in (" GeV²", " GeV", " mm"):
        formula = formula.replace(unit, "")
    result = eval(formula.replace(source, "value").replace("−", "-"), {**NUMBERS, "value": value})
    return float(np.clip(result, -float(limit), float(limit)))


def test_the_words_give_the_features():
    events = toy_events(n_events=2, n_candidates=400).without_truth()
    plain = replace(column := SURROUNDINGS_SCHEMA.columns[0], transform="identity", limit=1e30)
    assert column.name == "log_pt"
    words = json.loads(inputs_in_words(SURROUNDINGS_SCHEMA.to_json()))["features"]
    assert list(words) == list(SURROUNDINGS_SCHEMA.names)
    matrix, _ = features(events, SURROUNDINGS_SCHEMA)
    different = 0
    for column, values in zip(SURROUNDINGS_SCHEMA.columns, matrix.T, strict=True):
        sources, _ = features(events, FeatureSchema((replace(plain, name="raw", source=column.source),)))
        sure = np.ones(len(sources), dtype=bool)
        if column.transform not in ("equals", "above"):
            sure = (values != 0) | (sources[:, 0] != 0)  # elsewhere it may be unknown
        wanted = [computed(words[column.name], column.source, float(value)) for value in sources[sure, 0]]
        np.testing.assert_allclose(values[sure], wanted, rtol=2e-4, atol=2e-5, err_msg=column.name)
        different += np.unique(wanted).size > 1
    assert different > 30, different


@pytest.mark.parametrize(
    ("source", "unit"),
    [("pt", "GeV"), ("dz", "mm"), ("eta", ""), ("pileup_shape", "GeV²"), ("leading_in_pixel", "GeV"),
     ("neutral_within_0.4", "GeV"), ("dz_significance", ""), ("n_vertices", "")],
)  # fmt: skip
def test_units(source, unit):
    assert unit_of(source) == unit


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.onnx")), ids=lambda path: path.stem)
def test_shipped_models_say_what_they_take(path):
    model = onnx.load(path)
    about = {entry.key: entry.value for entry in model.metadata_props}
    assert about["inputs"]
    if "schema" not in about:  # the student has inputs of its own
        return
    assert about["inputs"] == inputs_in_words(about["schema"])
    assert about["outputs"] == outputs_in_words()
    assert json.loads(about["links"])["kind"]
    for given in model.graph.input:
        sizes = given.type.tensor_type.shape.dim
        assert sizes[0].dim_param, f"{given.name} takes a fixed number of candidates"
