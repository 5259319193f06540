"""Laws of training: settings are understood or refused, rounds share no batch, crossings do not know each other."""

from __future__ import annotations

import dataclasses
import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

torch = pytest.importorskip("torch")
from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.training.batches import Cloud  # noqa: E402
from hardscatter.training.configuration import Term, Training, parse, save_configuration  # noqa: E402
from hardscatter.training.configuration import load_configuration as load  # noqa: E402
from hardscatter.training.data import Rounds  # noqa: E402
from hardscatter.training.objectives import Sum  # noqa: E402
from small_trainings import SMALL, batch, toy_pair  # noqa: E402

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5) | st.integers(), inner, max_size=3),
    max_leaves=5,
)
PLACES = [(key, inner) for key, value in SMALL.items() if isinstance(value, dict) for inner in value]


@given(place=st.sampled_from([*((key,) for key in SMALL), *PLACES, ("new",), ("data", "new")]), value=ANYTHING)
@settings(max_examples=150)
def test_any_settings_are_understood_or_refused_in_one_sentence(place, value, tmp_path_factory):
    document = {key: dict(inner) if isinstance(inner, dict) else inner for key, inner in SMALL.items()}
    *parents, last = place
    here = document[parents[0]] if parents else document
    here[last] = value
    try:
        training = parse(Training, document, "any.yaml")
    except SettingsError as problem:
        sentence = str(problem)
    else:
        path = tmp_path_factory.mktemp("any") / "saved.yaml"
        save_configuration(training, path)
        assert load(path) == training
        return
    assert sentence.startswith("any.yaml: ")
    assert "\n" not in sentence


@given(
    steps=st.integers(1, 7),
    block=st.integers(1, 5),
    devices=st.integers(1, 4),
    rounds=st.integers(1, 5),
    entered=st.integers(0, 4),
)
def test_devices_and_rounds_share_no_batch_and_leave_none_out(steps, block, devices, rounds, entered):
    def taken(device, first):
        sampler = Rounds(steps, block, device, devices)
        for number in range(first, rounds):
            sampler.set_epoch(number)
            hands = list(sampler)
            assert sum(map(len, hands)) == steps
            assert all(len({index // block for index in hand}) == 1 for hand in hands)
            yield from itertools.chain.from_iterable(hands)

    of_devices = [list(taken(device, 0)) for device in range(devices)]
    everything = sorted(itertools.chain.from_iterable(of_devices))
    assert len(set(everything)) == len(everything) == steps * rounds * devices
    if steps * rounds % block == 0:
        assert everything == list(range(len(everything)))
    # No two devices share a block, and a training that goes on in some round goes on with what comes next.
    assert len({index // block for index in everything}) == devices * -(-steps * rounds // block)
    for device in range(devices):
        assert list(taken(device, entered)) == of_devices[device][steps * entered :]


def one_of(pair, event):
    """Return the batch of one event of a batch."""

    def cut(cloud):
        chosen = slice(*cloud.offsets[event : event + 2].tolist())
        return Cloud(cloud.kinematics[chosen], cloud.charge[chosen], torch.tensor([0, len(cloud.charge[chosen])]))

    chosen = slice(*pair.crossings.offsets[event : event + 2].tolist())
    parts = {"crossings": cut(pair.crossings), "alone": cut(pair.alone), "hard_fraction": pair.hard_fraction[chosen]}
    return dataclasses.replace(pair, **parts), chosen


@given(
    seed=st.integers(0, 50),
    name=st.sampled_from(["hard_fraction", "met", "swd:paper", "swd:masked", "swd:mass"]),
    factor=st.floats(0.1, 10),
)
def test_a_batch_of_many_is_the_mean_of_batches_of_one(seed, name, factor):
    pair = batch(*toy_pair(3, 40, seed))
    weights = torch.rand(len(pair.hard_fraction), generator=torch.Generator().manual_seed(seed))
    objective = Sum.of([Term(name, factor=factor)])
    together, _ = objective(weights, pair, torch.Generator().manual_seed(1))
    generator = torch.Generator().manual_seed(1)  # directions are drawn event by event
    alone = []
    for event in range(3):
        one, chosen = one_of(pair, event)
        alone.append(objective(weights[chosen], one, generator)[0])
    torch.testing.assert_close(together, torch.stack(alone).mean(), rtol=1e-4, atol=1e-7)


@given(seed=st.integers(0, 50), power=st.sampled_from([0.0, 0.5, 1.0, 2.0]))
def test_the_supervised_loss_has_its_least_value_at_the_truth(seed, power):
    pair = batch(*toy_pair(2, 30, seed))
    weights = torch.rand(len(pair.hard_fraction), generator=torch.Generator().manual_seed(seed)).requires_grad_()
    objective = Sum.of([Term("hard_fraction", settings={"momentum_power": power})])
    value, _ = objective(weights, pair, torch.Generator())
    (gradient,) = torch.autograd.grad(value, weights)
    assert 0 < value < 1
    assert objective(pair.hard_fraction, pair, torch.Generator())[0] == 0
    assert torch.equal(gradient > 0, weights > pair.hard_fraction)
