"""Errors of weights: learned from an ensemble, given on request, kept beside the weights and never taken for them."""

from __future__ import annotations

import dataclasses
import itertools
import pickle

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
import hardscatter as hs  # noqa: E402
from hardscatter.errors import InvalidEventsError, MissingFieldError, SettingsError, UnreadableFileError  # noqa: E402
from hardscatter.events import flat  # noqa: E402
from hardscatter.pileup import learned  # noqa: E402
from hardscatter.pileup.features import DEFAULT_SCHEMA, FeatureSchema  # noqa: E402
from hardscatter.training import load_configuration, train  # noqa: E402
from hardscatter.training.configuration import Term  # noqa: E402
from hardscatter.training.module import Weighing  # noqa: E402
from hardscatter.training.objectives import SUPERVISED, Sum, names, resolved  # noqa: E402
from helpers import toy_events  # noqa: E402
from small_models import by_hand  # noqa: E402
from small_trainings import batch, empty_pair, small, toy_pair  # noqa: E402

K = 4
OFFSETS = (-1.0, 0.5, 0.7)


@pytest.fixture
def members(tmp_path):
    paths = [tmp_path / f"member-{i}.onnx" for i in range(len(OFFSETS))]
    for path, offset in zip(paths, OFFSETS, strict=True):
        path.write_bytes(by_hand(0.3 * offset, offset, K))
    return [str(path) for path in paths]


@pytest.fixture
def model(tmp_path):
    """A model whose errors another one knows."""
    (tmp_path / "mine.onnx").write_bytes(by_hand(1.0, 0.0))
    (tmp_path / "mine-spread.onnx").write_bytes(by_hand(-1.0, -2.0))
    return str(tmp_path / "mine.onnx")


def term(models):
    return Term("spread", settings={"models": models})


def value(models, pair, outputs):
    (_, made), *_ = Sum.of([term(models)]).terms.values()
    return made(outputs, pair, torch.Generator())


def outputs_of(pair):
    return torch.rand(len(pair.hard_fraction), generator=torch.Generator().manual_seed(2)).requires_grad_()


def hand_weights(events, slope, offset):
    """What `by_hand` computes, from the events: every toy crossing has more candidates than neighbours."""
    pt, eta = flat(events.candidates.pt, np.float64), flat(events.candidates.eta, np.float64)
    return 1 / (1 + np.exp(-(slope * np.log(pt) + offset + eta + 1)))


def test_the_term_is_its_formula(members):
    alone, events = toy_pair(3, 60)
    pair = batch(alone, events, K)
    y = outputs_of(pair)
    s = np.std([hand_weights(events, 0.3 * offset, offset) for offset in OFFSETS], axis=0, ddof=1)
    given, pt = y.detach().numpy().astype(np.float64), flat(events.candidates.pt, np.float64)
    wrong = -s * np.log(given) - (1 - s) * np.log(1 - given)
    bounds = itertools.pairwise(pair.crossings.offsets.tolist())
    wanted = [np.average(wrong[a:b], weights=pt[a:b]) for a, b in bounds]
    found = value(members, pair, y)
    np.testing.assert_allclose(found.detach().numpy(), wanted, rtol=1e-4)
    (gradient,) = torch.autograd.grad(found.sum(), y)
    assert torch.equal(gradient > 0, y > torch.from_numpy(s))


def test_members_that_agree_have_no_spread(members):
    pair = batch(*toy_pair(3, 60), K)
    y, pt = outputs_of(pair), pair.crossings.kinematics[:, 0]
    bounds = itertools.pairwise(pair.crossings.offsets.tolist())
    wanted = torch.stack([-(pt * (1 - y).log())[a:b].sum() / pt[a:b].sum() for a, b in bounds])
    torch.testing.assert_close(value([members[0]] * 3, pair, y), wanted)


def test_the_term_reads_no_truth(members):
    pair = batch(*toy_pair(2, 60), K)
    blind = dataclasses.replace(pair, hard_fraction=torch.full_like(pair.hard_fraction, torch.nan))
    assert torch.equal(value(members, blind, outputs_of(pair)), value(members, pair, outputs_of(pair)))
    assert "spread" in names()
    assert "spread" not in SUPERVISED


@pytest.mark.parametrize("counts", [(0, 0), (0, 3, 0), (1,)], ids=str)
def test_empty_crossings_cost_nothing(members, counts):
    pair = batch(*empty_pair(counts), K)
    found = value(members, pair, outputs_of(pair))
    assert [x > 0 for x in found.tolist()] == [n > 0 for n in counts]


def test_the_term_travels_as_settings(members):
    (full,) = resolved([term(tuple(members))])
    assert full.settings == {"models": members}
    objective = Sum.of([full])
    pair = batch(*toy_pair(1, 30), K)
    before = objective(outputs_of(pair), pair, torch.Generator())[1]["spread"]  # the models are loaded now
    again = pickle.loads(pickle.dumps(objective))
    assert again == objective
    assert again(outputs_of(pair), pair, torch.Generator())[1]["spread"] == before > 0


def test_what_is_trained_does_not_need_the_members():
    module = Weighing(small(objective=[{"loss": "spread", "settings": {"models": ["no-1.onnx", "no-2.onnx"]}}]))
    with pytest.raises(UnreadableFileError, match=r"there is no model .*no-1\.onnx"):
        module.training_step(batch(*toy_pair(1, 30), K), 0)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"models": ["a.onnx"]}, "spread: models: "),
        ({}, "spread: models: "),
        ({"models": ["a.onnx", "b.onnx"], "scale": 2}, "spread: scale: "),
    ],
)
def test_settings_that_do_not_fit_get_one_sentence(change, words):
    with pytest.raises(SettingsError) as caught:
        Sum.of([Term("spread", settings=change)])
    assert str(caught.value).startswith(words)
    assert "\n" not in str(caught.value)


def test_all_candidates_are_judged(members):
    with pytest.raises(SettingsError, match="spread compares all candidates"):
        Sum.of([dataclasses.replace(term(members), candidates="neutral")])


@pytest.mark.parametrize(
    ("other", "words"),
    [
        ({"schema": FeatureSchema(tuple(reversed(DEFAULT_SCHEMA.columns)))}, "sees other features"),
        ({"k": K + 1}, "looks at Nearest\\(.*k=5.*, this training at Nearest\\(.*k=4"),
    ],
    ids=["schema", "k"],
)
def test_members_that_see_something_else_are_refused_before_any_work(members, tmp_path, other, words):
    (tmp_path / "other.onnx").write_bytes(by_hand(1.0, 0.0, **{"k": K, **other}))
    training = small(objective=[dataclasses.asdict(term([*members, str(tmp_path / "other.onnx")]))])
    with pytest.raises(SettingsError, match=rf"model .*other\.onnx {words}"):
        train(training, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_the_packaged_errors_fit_the_packaged_weights():
    weights, errors = load_configuration("total"), load_configuration("total-spread")
    assert (errors.schema, errors.network.links, errors.data) == (weights.schema, weights.network.links, weights.data)
    assert len(errors.objective[0].settings["models"]) == 2


def test_errors_of_a_model_are_those_of_the_model_beside_it(model):
    events = toy_events(3, 60)
    errors = hs.weight_errors(events, model)
    assert flat(errors).dtype == np.float32
    assert ak.to_list(ak.num(errors)) == ak.to_list(events.n_candidates)
    np.testing.assert_allclose(flat(errors), hand_weights(events, -1.0, -2.0), atol=1e-6)


def test_a_shipped_model_has_shipped_errors(monkeypatch, tmp_path):
    monkeypatch.setattr(learned, "MODELS", tmp_path)
    events, name = toy_events(2, 40), hs.get_method("total").model
    (tmp_path / f"{name}.onnx").write_bytes(by_hand(1.0, 0.0))
    with pytest.raises(SettingsError, match="no errors for the weights of 'total'"):
        hs.weight_errors(events)
    (tmp_path / f"{name}-spread.onnx").write_bytes(by_hand(-1.0, -2.0))
    np.testing.assert_allclose(flat(hs.weight_errors(events)), hand_weights(events, -1.0, -2.0), atol=1e-6)


def test_no_candidates_no_errors(model):
    columns = ("pt", "eta", "phi", "energy", "charge", "vertex")
    for empty in ([], [[], []]):
        events = hs.from_candidates(**dict.fromkeys(columns, empty))
        assert ak.to_list(hs.weight_errors(events, model)) == empty


def test_no_errors_without_a_model_of_them(model, tmp_path):
    (tmp_path / "lone.onnx").write_bytes(by_hand(1.0, 0.0))
    for method in ("puppi", str(tmp_path / "lone.onnx"), hs.get_method("chs")):
        with pytest.raises(SettingsError, match="there are no errors for the weights of ") as caught:
            hs.weight_errors(toy_events(1), method)
        assert "\n" not in str(caught.value)
    (tmp_path / "mine-spread.onnx").write_bytes(b"nothing")
    with pytest.raises(UnreadableFileError, match=r"mine-spread\.onnx is no model"):
        hs.weight_errors(toy_events(1), model)


@pytest.mark.parametrize("suffix", [".parquet", ".root"])
def test_errors_are_written_beside_the_weights_on_request(run, model, tmp_path, suffix):
    events, source, output = toy_events(5, 60), tmp_path / "toy.parquet", tmp_path / f"out{suffix}"
    hs.write(source, events)
    assert run("mitigate", source, output, "-m", "puppi", "-m", model, "--uncertainty", "--step", 2)[0] == 0
    back = hs.read(output)
    assert back.weights.fields == ["puppi", "mine"]
    assert back.weight_errors.fields == ["mine"]
    assert ak.array_equal(back.weights.mine, hs.mitigate(events, model))
    assert ak.array_equal(back.weight_errors.mine, hs.weight_errors(events, model), dtype_exact=True)
    assert back.metadata["weights"]["mine"]["errors"]["model"].endswith("mine-spread.onnx")
    assert "errors" not in back.metadata["weights"]["puppi"]
    # Weights that are made anew take the errors of the old ones along.
    again = tmp_path / "again.parquet"
    assert run("mitigate", output, again, "-m", model)[0] == 0
    assert hs.read(again).weights.fields == ["puppi", "mine"]
    assert not hs.read(again).has("weight_errors")


def test_who_does_not_ask_pays_nothing(run, model, tmp_path, monkeypatch):
    hs.write(tmp_path / "toy.parquet", toy_events(2, 40))
    monkeypatch.setattr(learned, "spread_of", None)
    assert run("mitigate", tmp_path / "toy.parquet", tmp_path / "out.parquet", "-m", model)[0] == 0
    with pytest.raises(MissingFieldError, match=r"compute some with hs\.weight_errors"):
        _ = hs.read(tmp_path / "out.parquet").weight_errors


def test_errors_that_nobody_knows_are_refused_before_any_work(run, tmp_path):
    hs.write(tmp_path / "toy.parquet", toy_events(2, 40))
    code, _, said = run(
        "mitigate", tmp_path / "toy.parquet", tmp_path / "out.parquet", "-m", "puppi", "-m", "chs", "--uncertainty"
    )
    assert code == 1
    assert "there are no errors for the weights of 'puppi', 'chs'" in said
    assert not (tmp_path / "out.parquet").exists()


def test_stored_errors_are_checked():
    events = toy_events(2, 40)
    ones = ak.ones_like(events.candidates.pt)
    known = hs.with_weights(events, "a", ones, errors=0.1 * ones)
    both = hs.with_weights(known, "b", ones, errors=0.2 * ones)
    assert both.weight_errors.fields == ["a", "b"]
    assert hs.with_weights(both, "a", ones).weight_errors.fields == ["b"]
    for bad in (ones[:, :-1], 2 * ones, np.nan * ones):
        with pytest.raises(InvalidEventsError, match=r"weight_errors\.x"):
            hs.with_weights(events, "x", ones, errors=bad)


def test_the_shipped_weights_have_errors():
    events = toy_events(2, 80)
    errors = flat(hs.weight_errors(events, "total"))
    assert len(errors) == len(flat(events.candidates.pt))
    assert np.isfinite(errors).all()
    assert (errors >= 0).all()
    assert 0 < errors.max() <= 1
