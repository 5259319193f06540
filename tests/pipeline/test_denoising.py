"""The second task of the trainer, against calorimeter noise: what its pairs of crossings are."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

pytest.importorskip("torch")
from hardscatter.detector import load_card
from hardscatter.detector.noise import Noise, zero_suppressed
from hardscatter.pileup.links import Nearest
from hardscatter.training import load_configuration
from hardscatter.training.configuration import NoisyCrossings, Training, parse
from hardscatter.training.data import CrossingBatches, _NoisyStream

CARDS = ("cms-phase2", "delphes-phase2")
DATA = NoisyCrossings(("ttbar-semileptonic",), CARDS, "0", 11, 9, 60, noise=Noise())


@pytest.fixture(autouse=True)
def _cache(collisions, monkeypatch):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))


def test_a_pair_is_one_crossing_read_out_without_noise_and_with_it():
    stream = _NoisyStream(DATA, 3)
    for index, name in enumerate(CARDS):
        card = load_card(name)
        alone, noisy = stream[index]
        assert noisy.metadata["detector"] == card.record()
        assert ak.array_equal(alone.event, noisy.event)
        assert ak.array_equal(alone.candidates.pt, zero_suppressed(alone, DATA.noise, card).candidates.pt)
        assert ak.all(noisy.n_candidates > alone.n_candidates + 500)
        hard = ak.sum(noisy.truth.hard_fraction * noisy.candidates.energy, axis=1)
        np.testing.assert_allclose(hard, ak.sum(alone.candidates.energy, axis=1), rtol=1e-5)


def test_pairs_come_by_number_and_each_has_its_own_noise():
    first = [_NoisyStream(DATA, 3)[index][1].candidates.pt for index in (0, 2)]
    again = _NoisyStream(DATA, 3)
    assert ak.array_equal(again[2][1].candidates.pt, first[1])
    assert ak.array_equal(again[0][1].candidates.pt, first[0])
    assert not ak.array_equal(*first)


def test_batches_hold_noise_as_what_is_to_be_removed():
    batch = CrossingBatches(DATA, 2, Nearest(k=4), (0.0, 0.0), 1)[0]
    assert len(batch.crossings.offsets) == len(batch.alone.offsets) == 3
    pure = batch.hard_fraction == 0
    assert 1000 < int(pure.sum()) == len(batch.hard_fraction) - len(batch.alone.charge)
    assert not batch.crossings.charge[pure].any()


def test_the_configuration_is_label_free_and_survives_being_written_down():
    training = load_configuration("denoising", ["data.noise.threshold=3"])
    assert isinstance(training.data, NoisyCrossings)
    assert training.data.noise.threshold == 3.0
    assert {term.loss for term in training.objective} == {"swd:paper", "met"}
    assert parse(Training, training.to_dict(), "again") == training
