"""Unpaired batches: nobody meets the own partner, nothing is lost, any process makes any batch."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

from hardscatter.training import data  # noqa: E402
from hardscatter.training.configuration import Crossings  # noqa: E402
from small_trainings import toy_pair  # noqa: E402


class ToyStream:
    """Pairs by number, like those of `hardscatter.simulation.CrossingStream`."""

    def __init__(self, step):
        self.step = step

    def __getitem__(self, index):
        return toy_pair(self.step, 90, seed=index)


def batches(crossings, processes, *, unpaired, monkeypatch):
    monkeypatch.setattr(data, "_stream", lambda _, step: ToyStream(step))
    settings = Crossings(processes, ("cms-phase2",), unpaired=unpaired)
    return data.CrossingBatches(settings, crossings, 4, (0.0, 0.0), 1)


def clouds(cloud):
    """Return the candidates of each crossing as something to compare and to count."""
    return [tuple(map(tuple, cloud.kinematics[a:b].tolist())) for a, b in itertools.pairwise(cloud.offsets.tolist())]


def partners(batch):
    """Return what each crossing is without pileup: in these toys the hard candidates."""
    hard = batch.hard_fraction > 0.5
    ends = batch.crossings.offsets.tolist()
    return [tuple(map(tuple, batch.crossings.kinematics[a:b][hard[a:b]].tolist())) for a, b in itertools.pairwise(ends)]


@pytest.mark.parametrize("crossings", [1, 3, 8, 16])
@pytest.mark.parametrize("processes", [("qcd",), ("qcd", "ttbar-dileptonic")])
def test_no_batch_holds_a_pair_and_all_clouds_are_dealt_out(crossings, processes, monkeypatch):
    dealt = batches(crossings, processes, unpaired=True, monkeypatch=monkeypatch)
    block = [dealt[index] for index in range(dealt.block)]
    for batch in block:
        assert len(clouds(batch.alone)) == len(clouds(batch.crossings)) == crossings
        assert set(clouds(batch.alone)).isdisjoint(partners(batch))
    alone = sorted(itertools.chain.from_iterable(clouds(batch.alone) for batch in block))
    assert alone == sorted(itertools.chain.from_iterable(partners(batch) for batch in block))
    assert len(set(alone)) == len(alone) == len(processes) * dealt._step


def test_pairs_stay_together_unless_asked(monkeypatch):
    dealt = batches(3, ("qcd",), unpaired=False, monkeypatch=monkeypatch)
    for index in range(dealt.block):
        assert clouds(dealt[index].alone) == partners(dealt[index])


def test_any_process_makes_any_unpaired_batch(monkeypatch):
    some, other = (batches(4, ("qcd",), unpaired=True, monkeypatch=monkeypatch) for _ in range(2))
    first = [some[index] for index in range(2 * some.block)]
    again = other[2 * other.block - 1]
    assert torch.equal(again.inputs.features, first[-1].inputs.features)
    assert torch.equal(again.alone.kinematics, first[-1].alone.kinematics)
    assert torch.equal(again.alone.charge, first[-1].alone.charge)
    assert clouds(again.alone) != clouds(first[0].alone)
