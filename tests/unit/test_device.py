"""Learned methods on a device of PyTorch: the same neighbours, features and weights as on the processor.

Here the device is PyTorch's own processor, "cpu:0": all of its code but what a GPU's driver does.
"""

from __future__ import annotations

import sys

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import HardscatterError, MissingExtraError, SettingsError, UnreadableFileError
from hardscatter.events import flat, flat_candidates, from_candidates
from hardscatter.geometry import nearest
from hardscatter.geometry.nearest import NO_NEIGHBOUR
from hardscatter.pileup.features import DEFAULT_FEATURES, SCHEMAS, Feature, FeatureSchema, coordinates, features
from hardscatter.pileup.learned import Learned, load
from hardscatter.pileup.links import Nearest, Window, links_of
from hardscatter.pileup.surroundings import NAMES, surroundings
from hardscatter.pileup.uncertainty import weights_and_errors
from helpers import toy_events

torch = pytest.importorskip("torch")
pytest.importorskip("onnx")
from hardscatter.device import cells, weigh, weights  # noqa: E402
from hardscatter.device.features import Crossings  # noqa: E402
from hardscatter.device.nearest import nearest as on_device  # noqa: E402
from small_models import by_hand, exported  # noqa: E402

DEVICE = "cpu:0"
MODELS = ("total", "total-spread", "total-paper", "supervised", "total-workshop2014")
PHI_MAX = np.nextafter(np.pi, 0)


def found(eta, phi, offsets, k):
    coordinates = (torch.tensor(np.asarray(values, dtype=np.float64)) for values in (eta, phi))
    return on_device(*coordinates, torch.tensor(np.asarray(offsets)), k).numpy()


def same_neighbours(eta, phi, offsets, k):
    ours = found(eta, phi, offsets, k)
    np.testing.assert_array_equal(ours, nearest(eta, phi, np.asarray(offsets), k))
    assert ours.dtype == np.int64


def points(n, seed=1, eta_max=5.0):
    rng = np.random.default_rng(seed)
    return rng.uniform(-eta_max, eta_max, n), rng.uniform(-np.pi, np.pi, n)


def batch_of(events, *schemas):
    return Crossings(events, schemas or SCHEMAS.values()).batch(0, len(events), torch.device(DEVICE))


def crossings(**columns):
    """Return crossings of these lists of coordinates, the rest made up."""
    counts, n = ak.num(columns["eta"]), int(ak.sum(ak.num(columns["eta"])))
    rng = np.random.default_rng(5)
    charge = rng.integers(-1, 2, n)
    made_up = {
        "pt": rng.exponential(size=n) + 0.1,
        "energy": rng.exponential(size=n) + 1.0,
        "charge": charge,
        "vertex": np.where(charge == 0, -1, rng.integers(-1, 3, n)),
    }
    return from_candidates(**{name: ak.unflatten(x, counts) for name, x in made_up.items()}, **columns)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 19, 20, 21, 22, 400, 3000])
def test_neighbours_of_few_and_many(n):
    same_neighbours(*points(n), [0, n], 20)


def test_neighbours_of_several_crossings_do_not_mix():
    same_neighbours(*points(900), [0, 0, 3, 400, 400, 401, 900, 900], 5)


@pytest.mark.parametrize("k", [1, 16, 20, 90])
def test_neighbours_in_dense_and_empty_regions(k):
    rng = np.random.default_rng(8)
    eta = np.concatenate([rng.uniform(-5, 5, 100), rng.normal(1.0, 0.01, 600), rng.normal(-3.0, 1e-5, 300), [1e6, -40]])
    phi = np.concatenate([rng.uniform(-np.pi, np.pi, 100), rng.normal(3.0, 0.01, 600), rng.normal(0.0, 1e-5, 302)])
    same_neighbours(eta, phi, [0, 1002], k)


def test_equally_far_by_index_and_across_the_seam():
    lattice = [axis.ravel() for axis in np.meshgrid(np.arange(-8, 8) * 0.25, np.arange(-8, 8) * 0.25)]
    same_neighbours(*lattice, [0, 256], 10)
    same_neighbours(np.ones(50), np.full(50, -np.pi), [0, 50], 4)
    assert found(np.zeros(3), np.array([-np.pi, PHI_MAX, 3.0]), [0, 3], 1)[:, 0].tolist() == [1, 0, 1]
    eta, phi = points(300)
    eta[::3], phi[::3] = 0.25, PHI_MAX
    same_neighbours(eta, phi, [0, 150, 300], 20)


@pytest.mark.parametrize("scale", [1e-170, 1e-25, 1e25, 1e100])
def test_distances_beyond_single_precision(scale):
    eta, phi = points(80)
    same_neighbours(eta * scale, np.zeros(80) if scale < 1 else phi, [0, 80], 5)


def test_few_pairs_at_a_time_change_nothing(monkeypatch):
    """The answer does not depend on how much is treated together, and no more than allowed is."""
    eta, phi = points(1500)
    seen = []
    spread_out = cells._spread_out

    def noted(begin, length, own, width):
        seen.append(len(begin) * width)
        return spread_out(begin, length, own, width)

    monkeypatch.setattr(cells, "_spread_out", noted)
    monkeypatch.setattr(cells, "PAIRS", 2000)
    same_neighbours(eta, phi, [0, 700, 1500], 16)
    assert max(seen) <= 2000
    assert len(seen) > 50


@pytest.mark.parametrize(
    ("eta", "phi"),
    [
        ([[]], [[]]),
        ([[1.0], [], [1.0, 1.5, 2.0]], [[-np.pi], [], [0.0, 0.0, 0.0]]),  # a strip and its edges
        ([[0.0] * 40], [[-np.pi] * 20 + [PHI_MAX] * 20]),
        ([[0.0, 0.1, 18.0, -19.0]], [[3.1, -3.1, 0.0, 0.0]]),
        ([[0.0, 0.4, 0.1, 0.05], [0.0, 0.3]], [[0.0, 0.0, 0.0, 0.0], [0.0, 0.0]]),  # edges of cones
    ],
)
def test_surroundings_of_a_few(eta, phi):
    events = crossings(eta=ak.values_astype(ak.Array(eta), float), phi=ak.values_astype(ak.Array(phi), float))
    batch = batch_of(events)
    ours = np.stack([batch[name].numpy() for name in NAMES], axis=1)
    np.testing.assert_allclose(ours, surroundings(events), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("name", SCHEMAS)
@pytest.mark.parametrize("minimal", [False, True])
def test_features_are_the_same(name, minimal):
    events = toy_events(3, 400, minimal=minimal).without_truth()
    expected, _ = features(events, SCHEMAS[name])
    ours = batch_of(events).features(SCHEMAS[name])
    assert ours.dtype == torch.float32
    np.testing.assert_allclose(ours.numpy(), expected, rtol=1e-6, atol=1e-6)
    assert np.abs(expected).max() > 0.5


def test_values_that_are_not_finite_give_zeros():
    events = toy_events(2, 100).without_truth()
    odd = np.tile([np.nan, 1.0, -1.0, 1e-3, 0.0], 60)
    offsets, _ = flat_candidates(events)
    d0, d0_error, dz, dz_error = (
        ak.unflatten(np.roll(odd, shift)[: offsets[-1]], np.diff(offsets)) for shift in range(4)
    )
    kept = {name: events.candidates[name] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    events = from_candidates(**kept, d0=d0, d0_error=d0_error, dz=dz, dz_error=dz_error)
    schema = FeatureSchema((*DEFAULT_FEATURES, Feature("log_d0", "d0", "log")))
    np.testing.assert_allclose(batch_of(events, schema).features(schema), features(events, schema)[0], atol=1e-6)


def test_truth_is_no_source():
    schema = FeatureSchema((Feature("cheat", "hard_fraction"),))
    with pytest.raises(SettingsError, match="nothing that a detector measures"):
        batch_of(toy_events(1, 10), schema)


@pytest.mark.parametrize("model", MODELS)
def test_weights_are_those_of_the_processor(model):
    events = toy_events(4, 500)
    ours = hs.mitigate(events, Learned(model, device=DEVICE, chunk=700))
    expected = hs.mitigate(events, Learned(model))
    assert ak.num(ours).to_list() == ak.num(expected).to_list()
    assert flat(ours).dtype == np.float32
    np.testing.assert_allclose(flat(ours), flat(expected), atol=1e-5, rtol=0)
    assert np.ptp(flat(expected)) > (0.01 if model == "total-spread" else 0.5)


def test_weights_as_a_gpu_sums_neighbours(monkeypatch):
    events = toy_events(2, 500)
    expected = flat(hs.mitigate(events, "total"))
    monkeypatch.setattr("hardscatter.nets.gather._compiled_loops_serve", lambda values: False)
    ours = flat(hs.mitigate(events, Learned("total", device=DEVICE)))
    np.testing.assert_allclose(ours, expected, atol=1e-5, rtol=0)


def test_events_of_no_and_of_one_candidate():
    some = toy_events(3, 60)
    events = hs.Events(ak.with_field(some.array, some.candidates[[[], [3], [*range(20)]]], "candidates"))
    ours, expected = (hs.mitigate(events, Learned("total", device=device, chunk=1)) for device in (DEVICE, "cpu"))
    assert ak.num(ours).to_list() == [0, 1, 20]
    np.testing.assert_allclose(flat(ours), flat(expected), atol=1e-5, rtol=0)
    assert len(hs.mitigate(events[:0], Learned("total", device=DEVICE))) == 0


@pytest.mark.slow
def test_a_fresh_network_of_a_raw_hop(tmp_path):
    """Of it the exporter keeps some parameters under other names."""
    path = tmp_path / "small.onnx"
    path.write_bytes(exported("small"))
    events = toy_events(2, 200)
    ours, expected = (hs.mitigate(events, Learned(str(path), device=device)) for device in (DEVICE, "cpu"))
    np.testing.assert_allclose(flat(ours), flat(expected), atol=1e-5, rtol=0)


def test_weights_and_errors_share_a_batch():
    events = toy_events(2, 200)
    ours, expected = (
        weights_and_errors(events, Learned("total", device=device), Learned("total-spread", device=device))
        for device in (DEVICE, "cpu")
    )
    for one, other in zip(ours, expected, strict=True):
        np.testing.assert_allclose(flat(one), flat(other), atol=1e-5, rtol=0)
    with pytest.raises(SettingsError, match="need one device, not cpu, cuda"):
        weights_and_errors(events, Learned("total", device="cuda"), Learned("total-spread"))


def test_links_beyond_a_radius_are_left_out():
    events = toy_events(2, 150)
    links = Nearest(k=10, radius=0.3)
    ours = batch_of(events).links(links).numpy()
    np.testing.assert_array_equal(ours, links_of(events, links))
    assert (ours == NO_NEIGHBOUR).any()
    with pytest.raises(SettingsError, match="links of kind 'window'"):
        batch_of(events).links(Window())


@pytest.mark.parametrize("device", ["nonsense", "", "cuda:99", "meta"])
def test_a_device_that_is_not_there(device):
    with pytest.raises(SettingsError, match=r"device '.*' cannot be used \(.*\): name one") as caught:
        hs.mitigate(toy_events(1, 10), Learned("total", device=device))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("model", ["puma", "puppiml"])
def test_a_network_of_another_kind(model):
    with pytest.raises(SettingsError, match=rf"{model}.onnx is no graph attention network .*: it runs on device 'cpu'"):
        hs.mitigate(toy_events(1, 10), Learned(model, device=DEVICE))


def test_a_model_that_others_made(tmp_path):
    path = tmp_path / "by_hand.onnx"
    path.write_bytes(by_hand(1.0, 0.0))
    with pytest.raises(HardscatterError, match=r"by_hand\.onnx"):
        hs.mitigate(toy_events(1, 10), Learned(str(path), device=DEVICE))


def test_a_device_that_errs_is_refused(monkeypatch):
    weights._network_on.cache_clear()
    run = type(load("total")).run
    monkeypatch.setattr("hardscatter.pileup.learned.Network.run", lambda *given: run(*given) + np.float32(2e-4))
    with pytest.raises(SettingsError, match=r"differ by 0\.0002 from the processor's"):
        hs.mitigate(toy_events(1, 10), Learned("total", device=DEVICE))


def test_weights_that_are_none(monkeypatch):
    monkeypatch.setattr(
        weights, "network_on", lambda network, device: lambda *given: torch.full((len(given[0]),), torch.nan)
    )
    with pytest.raises(UnreadableFileError, match="not one number from 0 to 1"):
        hs.mitigate(toy_events(1, 10), Learned("total", device=DEVICE))


def test_too_little_memory(monkeypatch):
    def full(*given):
        raise torch.OutOfMemoryError("tried to allocate")

    monkeypatch.setattr(weights, "_run", full)
    with pytest.raises(SettingsError, match="too little memory for so many candidates: take a smaller chunk"):
        hs.mitigate(toy_events(1, 10), Learned("total", device=DEVICE))


@pytest.mark.parametrize("in_parts", [False, True])
def test_files_from_the_command_line(in_parts, tmp_path, run):
    source, output = tmp_path / "toy.parquet", tmp_path / ("parts" if in_parts else "out.parquet")
    hs.write(source, toy_events(3, 60))
    words = ["mitigate", source, output, "--device", DEVICE, "--method"]
    code, _, err = run(*words, "puppi")
    assert (code, err) == (
        1,
        "hardscatter: Puppi runs on the processor alone: device 'cpu:0' is for networks such as total.\n",
    )
    assert run(*words, "total", "--uncertainty")[0] == 0
    weighted = hs.read(next(output.glob("*.parquet")) if in_parts else output)
    expected = hs.mitigate(toy_events(3, 60), "total")
    np.testing.assert_allclose(flat(weighted.weights["total"]), flat(expected), atol=1e-5, rtol=0)
    assert weighted.metadata["weights"]["total"]["device"] == DEVICE
    assert weighted.metadata["weights"]["total"]["errors"]["device"] == DEVICE


def test_without_torch(monkeypatch):
    for name in [name for name in sys.modules if name.startswith(("hardscatter.nets", "hardscatter.device"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(MissingExtraError, match=r"a device needs torch: pip install 'hardscatter\[train\]'"):
        hs.mitigate(toy_events(1, 10), Learned("total", device="cuda"))


def test_what_the_process_chose_for_its_gpu_comes_back(monkeypatch):
    matmul, seen, run = torch.backends.cuda.matmul, [], weights._run

    def noted(*given):
        seen.append(matmul.fp32_precision)
        return run(*given)

    monkeypatch.setattr(weights, "_run", noted)
    before = matmul.fp32_precision
    matmul.fp32_precision = "tf32"
    try:
        weigh(toy_events(1, 10).without_truth(), [load("total")], [0, 1], DEVICE)
        assert (seen, matmul.fp32_precision) == (["ieee"], "tf32")
    finally:
        matmul.fp32_precision = before


def test_coordinates_are_the_same():
    events = toy_events(2, 100)
    np.testing.assert_array_equal(batch_of(events).coordinates, coordinates(events))
