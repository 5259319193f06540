"""What a batch holds, what it must not know, and what a training minimises."""

from __future__ import annotations

import dataclasses
import itertools

import awkward as ak
import numpy as np
import pytest

torch = pytest.importorskip("torch")
from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.geometry.angles import delta_phi  # noqa: E402
from hardscatter.pileup.features import DEFAULT_SCHEMA, OPTIONAL, drop_fields, features  # noqa: E402
from hardscatter.training.configuration import Term  # noqa: E402
from hardscatter.training.module import Weighing  # noqa: E402
from hardscatter.training.objectives import (  # noqa: E402
    DISTILLED,
    JET_CELL,
    MASKED,
    SUPERVISED,
    CrossEntropy,
    HardFraction,
    Sum,
    close_to_jets,
    make_term,
    names,
)
from small_trainings import batch, empty_pair, small, toy_pair  # noqa: E402

OURS = [name for name in names() if name not in {**DISTILLED, **MASKED}]  # the others: test_spread.py, test_masking.py
LABEL_FREE = [name for name in OURS if name not in SUPERVISED]


def weights_of(pair, seed=2):
    return torch.rand(len(pair.hard_fraction), generator=torch.Generator().manual_seed(seed)).requires_grad_()


def judged(terms, pair, weights=None):
    """Return loss, terms and the gradient of the weights."""
    weights = weights_of(pair) if weights is None else weights
    loss, values = Sum.of([Term(**term) for term in terms])(weights, pair, torch.Generator().manual_seed(1))
    (gradient,) = torch.autograd.grad(loss, weights)
    return loss, values, gradient


def same(one, other):
    """Tell whether two parts of batches hold the same bits."""
    return all(
        torch.equal(getattr(one, field.name), getattr(other, field.name)) and getattr(one, field.name).numel() > 0
        for field in dataclasses.fields(one)
    )


def test_a_batch_holds_what_the_events_hold():
    alone, events = toy_pair()
    pair = batch(alone, events, k=5)
    assert pair.inputs.features.shape == (ak.sum(ak.num(events.candidates)), len(DEFAULT_SCHEMA))
    assert pair.inputs.neighbours.shape == (len(pair.inputs.features), 5)
    assert pair.crossings.kinematics[:, 0].tolist() == np.float32(ak.flatten(events.candidates.pt)).tolist()
    assert pair.alone.kinematics[:, 3].tolist() == np.float32(ak.flatten(alone.candidates.energy)).tolist()
    assert pair.crossings.charge.tolist() == ak.to_list(ak.flatten(events.candidates.charge))
    assert pair.hard_fraction.tolist() == ak.to_list(ak.flatten(events.truth.hard_fraction))
    assert pair.crossings.offsets.diff().tolist() == ak.to_list(ak.num(events.candidates))
    assert pair.alone.offsets.diff().tolist() == ak.to_list(ak.num(alone.candidates))
    moved = pair.to(torch.device("cpu"))
    assert same(moved.inputs, pair.inputs)
    assert same(moved.alone, pair.alone)
    assert torch.equal(moved.hard_fraction, pair.hard_fraction)


@pytest.mark.parametrize("name", LABEL_FREE)
@pytest.mark.parametrize("candidates", ["all", "neutral", "charged"])
def test_objectives_without_labels_never_look_at_them(name, candidates):
    pair = batch(*toy_pair(2, 60))
    blind = dataclasses.replace(pair, hard_fraction=torch.full_like(pair.hard_fraction, torch.nan))
    settings = {"sinkhorn": {"epsilon": 0.5}}
    term = {"loss": name, "candidates": candidates, "settings": settings.get(name, {})}
    loss, _, gradient = judged([term], pair)
    blind_loss, _, blind_gradient = judged([term], blind)
    assert loss > 0
    assert torch.equal(loss, blind_loss)
    assert torch.equal(gradient, blind_gradient)
    assert gradient.abs().sum() > 0
    chosen = {"all": torch.ones_like(gradient), "neutral": pair.crossings.charge == 0,
              "charged": pair.crossings.charge != 0}[candidates].bool()  # fmt: skip
    assert not gradient[~chosen].any()


@pytest.mark.parametrize("name", SUPERVISED)
def test_the_supervised_ones_do(name):
    pair = batch(*toy_pair(2, 60))
    blind = dataclasses.replace(pair, hard_fraction=torch.full_like(pair.hard_fraction, torch.nan))
    assert torch.isfinite(judged([{"loss": name}], pair)[0])
    assert torch.isnan(judged([{"loss": name}], blind)[0])


@pytest.mark.parametrize("minimal", [False, True])
def test_fields_are_missing_as_configured(minimal):
    alone, events = toy_pair(40, 20, minimal=minimal)
    whole = batch(alone, events).inputs.features
    assert whole.numpy().tolist() == features(events)[0].tolist()
    nothing = batch(alone, events, missing=(1.0, 0.0)).inputs.features
    assert torch.equal(nothing, batch(alone, events, missing=(0.0, 1.0)).inputs.features)
    optional = [i for i, column in enumerate(DEFAULT_SCHEMA.columns) if set(column.needs) & set(OPTIONAL)]
    rest = [i for i in range(len(DEFAULT_SCHEMA)) if i not in optional]
    assert not nothing[:, optional].any()
    assert torch.equal(nothing[:, rest], whole[:, rest])
    if minimal:
        return
    some = batch(alone, events, missing=(0.3, 0.2), number=3, seed=5).inputs.features
    matrix, offsets = features(events)
    wanted = drop_fields(matrix, offsets, DEFAULT_SCHEMA, np.random.default_rng([5, 3]), 0.3, 0.2)
    assert some.numpy().tolist() == wanted.tolist()
    flag = DEFAULT_SCHEMA.names.index("has_n_vertices")
    lacking = 1 - np.mean([some[first, flag] for first in offsets[:-1]])
    assert 0.44 - 0.25 < lacking < 0.44 + 0.25  # 1 − 0.7 · 0.8
    other = batch(alone, events, missing=(0.3, 0.2), number=4, seed=5).inputs.features
    assert not torch.equal(some, other)


@pytest.mark.parametrize("counts", [(0, 0), (0, 3, 0), (1,), (3,)], ids=str)
@pytest.mark.parametrize("name", OURS)
def test_empty_crossings_cost_nothing_and_break_nothing(name, counts):
    pair = batch(*empty_pair(counts))
    training = small(objective=[{"loss": name}])
    module = Weighing(training)
    logged = {}
    module.log_dict = lambda values, **_: logged.update(values)
    loss = module.training_step(pair, 0)
    loss.backward()
    assert torch.isfinite(loss)
    assert all(torch.isfinite(parameter.grad).all() for parameter in module.parameters() if parameter.grad is not None)
    assert set(logged) == {"train/loss", f"train/{name}", "train/kept"}
    assert all(torch.isfinite(value) for value in logged.values())
    if sum(counts) == 0:
        assert loss == 0


@pytest.mark.parametrize("power", [0, 1])
def test_hard_fraction_is_its_formula(power):
    alone, events = toy_pair(4, 90)
    pair, (_, empty) = batch(alone, events), empty_pair((0,))
    weights = weights_of(pair)
    value = HardFraction(momentum_power=power)(weights, pair, torch.Generator())
    bounds = pair.crossings.offsets.tolist()
    pt = np.asarray(ak.flatten(events.candidates.pt), np.float64) ** power
    wrong = (weights.detach().double().numpy() - np.asarray(ak.flatten(events.truth.hard_fraction))) ** 2
    wanted = [np.average(wrong[a:b], weights=pt[a:b]) for a, b in itertools.pairwise(bounds)]
    np.testing.assert_allclose(value.detach().numpy(), wanted, rtol=1e-5)
    truth = pair.hard_fraction.clone()
    assert not HardFraction(momentum_power=power)(truth, pair, torch.Generator()).any()
    nobody = batch(empty, empty)
    assert HardFraction()(torch.empty(0), nobody, torch.Generator()).tolist() == [0.0]


@pytest.mark.parametrize("power", [0, 1])
def test_cross_entropy_is_its_formula_and_least_at_the_truth(power):
    alone, events = toy_pair(4, 90)
    pair = batch(alone, events)
    half = dataclasses.replace(pair, hard_fraction=0.5 * pair.hard_fraction + 0.2)
    weights = weights_of(pair)
    value = CrossEntropy(momentum_power=power)(weights, half, torch.Generator())
    w, h = weights.detach().double().numpy(), half.hard_fraction.double().numpy()
    pt = np.asarray(ak.flatten(events.candidates.pt), np.float64) ** power
    entropy = -h * np.log(w) - (1 - h) * np.log1p(-w)
    wanted = [np.average(entropy[a:b], weights=pt[a:b]) for a, b in itertools.pairwise(pair.crossings.offsets.tolist())]
    np.testing.assert_allclose(value.detach().numpy(), wanted, rtol=1e-4)
    assert (CrossEntropy()(half.hard_fraction, half, torch.Generator()) < CrossEntropy()(weights, half, None)).all()
    sure = (weights > 0.5).to(weights.dtype)  # wrong for some, and the loss stays finite
    assert torch.isfinite(CrossEntropy()(sure, half, torch.Generator())).all()


def test_the_sum_is_factors_times_means():
    pair = batch(*toy_pair())
    weights = weights_of(pair)
    met, hard = make_term(Term("met")), make_term(Term("hard_fraction"))
    terms = [{"loss": "met", "factor": 0.5}, {"loss": "hard_fraction", "factor": 3.0}]
    loss, values, gradient = judged(terms, pair, weights)
    means = {"met": met(weights, pair, None).mean(), "hard_fraction": hard(weights, pair, None).mean()}
    assert {name: value.item() for name, value in values.items()} == {n: v.item() for n, v in means.items()}
    assert not any(value.requires_grad for value in values.values())
    wanted = 0.5 * means["met"] + 3.0 * means["hard_fraction"]
    torch.testing.assert_close(loss, wanted)
    torch.testing.assert_close(gradient, torch.autograd.grad(wanted, weights)[0])


def test_a_term_of_factor_0_is_only_looked_at():
    pair = batch(*toy_pair())
    sliced = {"loss": "swd:mass", "settings": {"slices": 4}}
    alone, _, gradient = judged([sliced], pair)
    looked = {"loss": "swd:paper", "factor": 0, "settings": {"slices": 4}}
    # Wherever it stands it takes no direction from the others.
    loss, values, with_it = judged([looked, sliced], pair)
    assert set(values) == {"swd:paper", "swd:mass"}
    assert values["swd:paper"] > 0
    assert torch.equal(loss, alone)
    assert torch.equal(with_it, gradient)


@pytest.mark.parametrize(
    ("terms", "words"),
    [
        ([{"loss": "mse"}], "there is no loss 'mse': choose one of swd:paper"),
        ([{"loss": "met", "settings": {"lambda": 1}}], "met has no setting 'lambda'"),
        ([{"loss": "met", "settings": {"name": 1}}], "met has no setting 'name'"),
        ([{"loss": "met", "settings": {"scale": -1}}], "met: scale: "),
        ([{"loss": "swd:paper", "settings": {"features": ["eta", "mass"]}}], "swd:paper: features.1: "),
        ([{"loss": "hard_fraction", "settings": {"power": 1}}], "hard_fraction: power: "),
        ([{"loss": "hard_fraction", "settings": {"momentum_power": "big"}}], "hard_fraction: momentum_power: "),
        ([{"loss": "hard_fraction", "candidates": "neutral"}], "hard_fraction compares all candidates"),
        ([{"loss": "met"}, {"loss": "met", "factor": 0}], "names a loss twice"),
    ],
)
def test_an_objective_that_does_not_exist_gets_one_sentence(terms, words):
    with pytest.raises(SettingsError) as caught:
        Sum.of([Term(**term) for term in terms])
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_loss_may_look_at_neutral_and_at_charged_candidates():
    both = Sum.of([Term("met", "neutral"), Term("met", "charged")])
    assert list(both.terms) == ["met, neutral", "met, charged"]
    assert "scale" in str(make_term(Term("met", settings={"scale": "1e-2"})))  # as YAML reads 1e-2


def test_close_to_jets_is_where_momentum_is_without_pileup():
    """Every candidate counts whose cell, wherever the grid lies, holds enough; none far from all momentum does."""
    alone, events = toy_pair(3, 200)
    pair = batch(alone, events)
    here, there = close_to_jets(pair.crossings, pair.alone, 5.0, torch.Generator().manual_seed(3))
    assert here.shape == pair.hard_fraction.shape
    assert there.shape == pair.alone.charge.shape
    assert 0 < here.sum() < len(here)
    eta, phi, pt = (pair.alone.kinematics[:, i].double().numpy() for i in (1, 2, 0))
    of_alone = np.repeat(np.arange(3), pair.alone.offsets.diff().numpy())
    of_event = np.repeat(np.arange(3), pair.crossings.offsets.diff().numpy())
    for i in range(len(here)):
        where = pair.crossings.kinematics[i, 1:3].double().numpy()
        apart = np.maximum(abs(eta - where[0]), abs(delta_phi(phi, where[1])))
        around = pt[(of_alone == of_event[i]) & (apart < 1.01 * JET_CELL)].sum()  # more than any cell of his can hold
        assert around > 5.0 or not here[i]
    # The hard candidates are the same in both clouds, and so is what is said of them.
    assert sorted(pair.crossings.kinematics[here & (pair.hard_fraction > 0.5), 0].tolist()) == sorted(
        pair.alone.kinematics[there, 0].tolist()
    )
    every, all_alone = close_to_jets(pair.crossings, pair.alone, -1.0, torch.Generator().manual_seed(3))
    assert every.all()
    assert all_alone.all()


def test_a_loss_near_jets_is_blind_elsewhere():
    pair = batch(*toy_pair(3, 200))
    term = {"loss": "flow", "candidates": "neutral", "near_jets": 5.0}
    loss, values, gradient = judged([term], pair)
    assert list(values) == ["flow, neutral, near jets"]
    assert loss > 0
    near, _ = close_to_jets(pair.crossings, pair.alone, 5.0, torch.Generator().manual_seed(1))
    moved = gradient != 0
    assert moved.any()
    assert not (moved & ~(near & (pair.crossings.charge == 0))).any()
    _, _, perfect = judged([term], pair, pair.hard_fraction.clone().requires_grad_())
    assert perfect.abs().max() < 1e-5  # nothing to gain where both clouds agree


def test_the_network_is_drawn_from_its_own_seed():
    def parameters(seed):
        return torch.cat([p.detach().flatten() for p in Weighing(small(seed=seed)).parameters()])

    state = torch.random.get_rng_state()
    one, again, other = parameters(1), parameters(1), parameters(2)
    assert torch.equal(one, again)
    assert not torch.equal(one, other)
    assert torch.equal(torch.random.get_rng_state(), state)
