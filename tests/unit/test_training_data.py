"""Unpaired batches: nobody meets the own partner, nothing is lost, any process makes any batch. Recorded crossings."""

from __future__ import annotations

import itertools

import pytest

torch = pytest.importorskip("torch")

import hardscatter as hs  # noqa: E402
from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.pileup.features import DEFAULT_SCHEMA  # noqa: E402
from hardscatter.pileup.links import Nearest  # noqa: E402
from hardscatter.training import data  # noqa: E402
from hardscatter.training.configuration import Crossings, RecordedCrossings, Validation  # noqa: E402
from hardscatter.training.masking import Masking  # noqa: E402
from helpers import toy_events  # noqa: E402
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
    return data.CrossingBatches(settings, crossings, Nearest(k=4), (0.0, 0.0), 1)


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


def recorded(tmp_path, sizes):
    """Write files of toy crossings, without truth; return their names and all crossings' candidates."""
    files, events = [], toy_events(sum(sizes), 60).without_truth()
    for number, (first, last) in enumerate(itertools.pairwise(itertools.accumulate(sizes, initial=0))):
        files.append(str(tmp_path / f"{number}.parquet"))
        hs.write(files[-1], events[first:last])
    return files, [crossing["pt"].tolist() for crossing in events.candidates]


def test_recorded_crossings_are_gone_through_again_and_again(tmp_path):
    files, crossings = recorded(tmp_path, (5, 3))
    settings = RecordedCrossings(files=files, validation_files=files[:1])
    stream = data._RecordedStream(settings, 2)
    wanted = [crossings[0:2], crossings[2:4], crossings[5:7]]  # what is left of a file makes no batch
    for index in (0, 1, 2, 3, 4, 2, 0, 8):
        alone, events = stream[index]
        assert events.candidates.pt.tolist() == wanted[index % 3]
        assert alone is events
    assert settings.held_out(Validation()).files == tuple(files[:1])


def test_recorded_crossings_without_truth_teach_by_masked_tracks(tmp_path):
    files, _ = recorded(tmp_path, (8,))
    settings = RecordedCrossings(files=files, validation_files=files)
    dealt = data.CrossingBatches(settings, 4, Nearest(k=4), (0.0, 0.0), 1, masking=Masking(0.5, 0.5))
    batch = dealt[1]
    assert batch.hard_fraction.isnan().all()
    charged = batch.crossings.charge != 0
    assert 0 < batch.masked.sum() < charged.sum()
    assert charged[batch.masked].all()
    charge = batch.inputs.features[:, DEFAULT_SCHEMA.names.index("charge")]
    assert (charge[batch.masked] == 0).all()
    assert (charge[charged & ~batch.masked] != 0).all()
    assert torch.equal(dealt[1].masked, batch.masked)
    again = data.CrossingBatches(settings, 4, Nearest(k=4), (0.0, 0.0), 1, masking=Masking(0.5, 0.5))[3]
    assert not torch.equal(again.masked, batch.masked)  # the same crossings, another disguise


def test_files_too_short_for_a_batch_get_one_sentence(tmp_path):
    files, _ = recorded(tmp_path, (1,))
    with pytest.raises(SettingsError, match="no file holds 4 crossings"):
        data._RecordedStream(RecordedCrossings(files=files, validation_files=files), 4)
