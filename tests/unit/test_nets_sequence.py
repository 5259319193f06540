"""The transformer over windows: its equation written out the slow way, gradients, export."""

import dataclasses
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hardscatter.nets.edges import edge_features  # noqa: E402
from hardscatter.nets.export import check_parity, parity_inputs, to_onnx  # noqa: E402
from hardscatter.nets.sequence import Attention, SequenceNetwork, SequenceSettings  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(before)


TINY = SequenceSettings(cluster=6, reach=3, n_global=2, width=8, heads=2, feedforward=7, head=(5,))
ONE_HEAD = dataclasses.replace(TINY, order="pt", n_global=0, dilation=2, heads=1, layers=1, head=())
KINDS = pytest.mark.parametrize("settings", [TINY, ONE_HEAD], ids=["two heads", "one head"])


def tensors(net, n):
    return [torch.from_numpy(value) for value in parity_inputs(net, n).values()]


def test_a_laptop_can_train_it():
    assert sum(p.numel() for p in SequenceNetwork(SequenceSettings(), 27).parameters()) < 25_000


@pytest.mark.parametrize("heads", [1, 3])
def test_attention_is_its_equation(heads):
    """Link by link and head by head, as the docstring says."""
    layer, width, k = Attention(6, heads).double(), 6 // heads, 5
    x, edges = torch.randn(40, 6, dtype=torch.float64), torch.randn(40, k, 4, dtype=torch.float64)
    neighbours = torch.randint(-1, 40, (40, k))
    neighbours[7] = -1
    heard = torch.zeros_like(x)
    for i in range(40):
        slots = [slot for slot in range(k) if neighbours[i, slot] >= 0]
        for h in range(heads if slots else 0):
            part = slice(h * width, (h + 1) * width)
            others = x[neighbours[i, slots]]
            logits = layer.key(others)[:, part] @ layer.query(x[i])[part] / math.sqrt(width)
            attention = torch.softmax(logits + layer.edge(edges[i, slots])[:, h], 0)
            heard[i, part] = attention @ layer.value(others)[:, part]
    torch.testing.assert_close(layer(x, neighbours, edges), layer.output(heard))
    assert torch.equal(layer(x, neighbours, edges)[7], layer.output.bias)


def test_what_an_empty_slot_holds_is_not_read():
    layer = Attention(6, 2).double()
    neighbours = torch.randint(-2, 12, (12, 5))
    x, edges = torch.randn(12, 6, dtype=torch.float64), torch.randn(12, 5, 4, dtype=torch.float64)
    other = torch.where((neighbours >= 0)[..., None], edges, 1e6 * torch.randn_like(edges))
    torch.testing.assert_close(layer(x, neighbours, other), layer(x, neighbours, edges))


def test_gradients_in_double_precision():
    layer = Attention(4, 2).double()
    names = [name for name, _ in layer.named_parameters()]
    neighbours = torch.tensor([[1, 2, 3], [0, 5, -1], [4, 1, 0], [2, 2, -1], [-1, -1, -1], [3, 0, 1]])

    def run(x, edges, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, neighbours, edges))

    x, edges = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((6, 4), (6, 3, 4)))
    assert torch.autograd.gradcheck(run, (x, edges, *layer.parameters()))


@KINDS
def test_gradient_reaches_every_parameter(settings):
    net = SequenceNetwork(settings, 5)
    net(*tensors(net, 60)).sum().backward()
    assert all(p.grad.abs().sum() > 0 and torch.isfinite(p.grad).all() for p in net.parameters())


@KINDS
@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_candidates(settings, n):
    net = SequenceNetwork(settings, 5)
    weights = net(*tensors(net, n))
    assert weights.shape == (n,)
    assert ((weights > 0) & (weights < 1)).all()
    weights.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())


def test_the_window_is_as_far_as_one_layer_sees():
    """A change of one candidate reaches those that hold it in their window, and no other."""
    net = SequenceNetwork(ONE_HEAD, 5)
    features, coordinates, links = tensors(net, 80)
    changed = features.clone()
    changed[13] += 1.0
    differs = net(changed, coordinates, links) != net(features, coordinates, links)
    torch.testing.assert_close(differs, (links == 13).any(1))


def test_phi_enters_by_differences_only():
    net = SequenceNetwork(TINY, 5).double()
    features, coordinates, links = tensors(net, 50)
    features, coordinates = features.double(), coordinates.double()
    turned = coordinates + torch.tensor([0.0, 1.0, 0.0])
    torch.testing.assert_close(net(features, turned, links), net(features, coordinates, links))
    torch.testing.assert_close(edge_features(turned, links), edge_features(coordinates, links))
    torch.testing.assert_close(
        torch.sigmoid(net.logits(features, coordinates, links)), net(features, coordinates, links)
    )


def test_onnx_gives_the_same_weights():
    net = SequenceNetwork(dataclasses.replace(TINY, layers=1), 5)
    said = []
    check_parity(net, to_onnx(net), sizes=(0, 1, 20, 500), say=said.append)
    assert len(said) == 4


def test_links_are_the_windows_of_the_settings():
    rng = np.random.default_rng(1)
    eta, phi, pt = rng.uniform(-4, 4, 100), rng.uniform(-np.pi, np.pi, 100), rng.exponential(2.0, 100)
    found = TINY.links.find(eta, phi, pt, np.array([0, 100]))
    assert found.shape == (100, TINY.links.width) == (100, 9)
    by_pt = np.argsort(-pt)
    found = ONE_HEAD.links.find(eta, phi, pt, np.array([0, 100]))
    np.testing.assert_array_equal(found[by_pt[50]], by_pt[[44, 46, 48, 50, 52, 54, 56]])


def test_bad_settings():
    with pytest.raises(ValueError, match="evenly"):
        SequenceSettings(width=32, heads=3)
    with pytest.raises(ValueError, match="reach"):
        SequenceSettings(reach=-1)
    with pytest.raises(ValueError, match="depth"):
        SequenceSettings(depth=3)
