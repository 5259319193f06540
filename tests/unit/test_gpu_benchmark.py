"""What measures a GPU, run on PyTorch's processor: no figure of it means anything, but all of its code runs."""

from __future__ import annotations

from pathlib import Path

import pytest

from helpers import toy_events

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")

N, K, FEATURES = 2, 16, 55


@pytest.fixture
def benchmarks(monkeypatch):
    monkeypatch.syspath_prepend(str(Path(__file__).parents[2]))
    from benchmarks import counted, gpu, harness

    return counted, gpu, harness


def test_without_a_gpu_one_sentence(benchmarks, monkeypatch, capsys):
    _, gpu, _ = benchmarks
    monkeypatch.setattr(gpu, "_gpu", lambda: None)
    assert list(gpu.cases()) == []
    assert capsys.readouterr().out == "gpu: PyTorch sees no GPU here; this part needs one and is left out.\n"


def test_all_cases_on_the_processor(benchmarks):
    _, gpu, harness = benchmarks
    events = toy_events(N, 60).without_truth()
    made = list(gpu.cases_on(torch.device("cpu:0"), events, (1, 3), side=64))
    results = [harness.measure(case) for case in made]
    assert [one.name for one in results] == [
        "total, 1 crossings a batch", "total, 3 crossings a batch", "to the device", "neighbours", "features",
        "network",
    ]  # fmt: skip
    assert all(one.ours.median > 0 for one in results)
    assert "crossings a second; largest difference" in results[0].note
    assert "% of copying" in results[-1].note


def test_a_wrong_weight_stops_it(benchmarks, monkeypatch):
    _, gpu, _ = benchmarks
    monkeypatch.setattr(gpu, "TOLERANCE", -1.0)
    with pytest.raises(RuntimeError, match="differ by"):
        next(gpu.cases_on(torch.device("cpu:0"), toy_events(1, 20), (1,), side=8))


def test_counts_of_known_steps(benchmarks):
    counted, _, _ = benchmarks
    a, b, index = torch.ones(10, 4), torch.ones(4, 3), torch.tensor([1, 7])
    with counted.Counting() as counting, torch.no_grad():
        torch.mm(a, b)
    assert counting.count == counted.Count(bytes=4 * (40 + 12 + 30), products=2 * 10 * 4 * 3, steps=1, seconds=5e-6)
    with counted.Counting() as counting, torch.no_grad():
        a.index_select(0, index)
    assert counting.count == counted.Count(bytes=4 * 8 + 4 * 8 + 2 * 8, others=8, steps=1, seconds=5e-6)
    with counted.Counting() as counting, torch.no_grad():
        a[:, 1:].T.reshape(30)
        a.exp_()
    assert counting.count.bytes == 4 * 60 + 4 * 80  # the copy, read and written, and the step in place
    assert counting.count.steps == 2
    with counted.Counting() as counting, torch.no_grad():
        torch.ones(1, device="meta").expand(10**9).clone()
    assert counting.count.seconds == pytest.approx((4e9 + 8) / 3.35e12 + 5e-6, rel=1e-3)  # the ones, and the copy


def test_counts_of_a_network(benchmarks):
    """Those of its matrices are what `benchmarks.network` counts by hand, with the encoder's layers apart."""
    counted, _, _ = benchmarks
    from hardscatter.device.features import Crossings
    from hardscatter.device.weights import network_on
    from hardscatter.pileup.learned import load

    network, events = load("total"), toy_events(N, 200).without_truth()
    batch = Crossings(events, [network.card.schema]).batch(0, N, torch.device("cpu"))
    found = counted.counted(batch, network_on(network, torch.device("cpu")), network.card)
    width, hidden, edges = 64, 64, 4
    block = 2 * width * width + edges * K + width + width + edges * width + 2 * width * hidden
    by_hand = FEATURES * 128 + 128 * width + 2 * block + width * 64 + 64
    # Products that do not grow with the candidates: of the edges' matrix and the coefficients, once a block.
    assert found["network"].products == pytest.approx(2 * len(batch) * by_hand, rel=1e-3)
    assert found["neighbours"].products == 0
    assert found["features"].products > 0
    assert min(one.bytes for one in found.values()) > 0
