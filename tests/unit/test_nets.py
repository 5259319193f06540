"""The attention layers and ABCNet: sizes, gradients, and the equations written out the slow way."""

import dataclasses
import subprocess
import sys

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.geometry import delta_phi, delta_r  # noqa: E402
from hardscatter.nets.abcnet import ABCNet, AttentionSettings  # noqa: E402
from hardscatter.nets.edges import SMALLEST_DELTA_R, edge_features  # noqa: E402
from hardscatter.nets.export import parity_inputs  # noqa: E402
from hardscatter.nets.gap import GAP, RawGAP, gather_sum, masked_softmax  # noqa: E402


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(before)


N_FEATURES = 5
TINY = AttentionSettings(k=4, encoder=(8, 6), dense=(7,), head=(9, 5))
TINY_RAW = dataclasses.replace(TINY, first_hop="raw")
TINY_LOCAL = dataclasses.replace(TINY_RAW, blocks=1)
TINY_ALONE = dataclasses.replace(TINY, blocks=0)
KINDS = pytest.mark.parametrize(
    "settings", [TINY, TINY_RAW, TINY_LOCAL, TINY_ALONE], ids=["state", "raw", "local", "alone"]
)


def tensors(settings, n):
    return [torch.from_numpy(value) for value in parity_inputs(ABCNet(settings, N_FEATURES), n).values()]


def test_parameters_of_the_paper():
    def count(settings, n_features):
        return sum(p.numel() for p in ABCNet(settings, n_features).parameters())

    assert abs(count(AttentionSettings.paper(), 14) - 110_789) < 200  # arXiv:2211.02029 has 14 inputs
    assert count(AttentionSettings.small(), 27) < 15_000


def test_edges_by_hand():
    coordinates = torch.tensor([[0.0, 3.1, 1.0], [0.3, -3.1, 2.0], [0.3, -3.1, 0.0]])
    neighbours = torch.tensor([[1, -1], [2, 0], [1, 0]])
    edges = edge_features(coordinates, neighbours).numpy()
    wanted = delta_r(0.3, -3.1, 0.0, 3.1)
    np.testing.assert_allclose(edges[0, 0], [wanted, 0.3, delta_phi(-3.1, 3.1), 2.0 - np.log(wanted)], atol=1e-6)
    np.testing.assert_array_equal(edges[0, 1], 0)
    np.testing.assert_allclose(edges[1, 0], [0, 0, 0, -np.log(SMALLEST_DELTA_R)], rtol=1e-6)
    of_one = edge_features(coordinates, neighbours[1:2], torch.tensor([1])).numpy()
    np.testing.assert_array_equal(of_one[0], edges[1])


def test_softmax_ignores_empty_slots():
    logits = torch.tensor([[1.0, 2.0, 50.0], [1.0, 2.0, 3.0]])
    there = torch.tensor([[True, True, False], [False, False, False]])
    weights = masked_softmax(logits, there)
    torch.testing.assert_close(weights[0, :2], torch.softmax(logits[0, :2], 0))
    assert not weights[0, 2]
    assert not weights[1].any()


def test_gather_sum_is_the_plain_sum():
    values, weights = torch.randn(30, 7, dtype=torch.float64), torch.rand(11, 4, dtype=torch.float64)
    index = torch.randint(0, 30, (11, 4))
    torch.testing.assert_close(gather_sum(values, index, weights), (weights[..., None] * values[index]).sum(1))


def test_gap_is_its_equation():
    """Neighbour by neighbour, as the docstring says, with the (N, k, width) array that the layer avoids."""
    layer, k = GAP(6, 4).double(), 5
    x, edges = torch.randn(40, 6, dtype=torch.float64), torch.randn(40, k, 4, dtype=torch.float64)
    neighbours = torch.randint(-1, 40, (40, k))
    neighbours[7] = -1
    wanted = x.clone()
    for i in range(40):
        slots = [slot for slot in range(k) if neighbours[i, slot] >= 0]
        if not slots:
            continue
        y = torch.stack([layer.difference(x[i] - x[neighbours[i, s]]) + layer.edge(edges[i, s]) for s in slots])
        own = layer.self_attention(layer.norm(layer.node(x[i])))
        attention = torch.softmax(torch.nn.functional.leaky_relu(own + layer.edge_attention(y)[:, 0], 0.2), 0)
        wanted[i] += torch.relu((attention[:, None] * y).sum(0))
    torch.testing.assert_close(layer(x, neighbours, edges), wanted)
    assert torch.equal(layer(x, neighbours, edges)[7], x[7])


@pytest.mark.parametrize("raw", [False, True])
def test_gradients_in_double_precision(raw):
    layer = (RawGAP(3, 5, 4) if raw else GAP(5, 4)).double()
    names = [name for name, _ in layer.named_parameters()]
    features = torch.randn(6, 3, dtype=torch.float64)
    neighbours = torch.tensor([[1, 2, 3], [0, 5, -1], [4, 1, 0], [2, 2, -1], [-1, -1, -1], [3, 0, 1]])

    def run(x, edges, *parameters):
        given = (x, features, neighbours, edges) if raw else (x, neighbours, edges)
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), given)

    x, edges = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((6, 5), (6, 3, 4)))
    assert torch.autograd.gradcheck(run, (x, edges, *layer.parameters()))


@KINDS
def test_gradient_reaches_every_parameter(settings):
    net = ABCNet(settings, N_FEATURES)
    net(*tensors(settings, 60)).sum().backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead
    assert all(torch.isfinite(p.grad).all() for p in net.parameters())


@KINDS
@pytest.mark.parametrize("n", [0, 1, 2])
def test_hardly_any_candidates(settings, n):
    net, inputs = ABCNet(settings, N_FEATURES), tensors(settings, n)
    weights = net(*inputs)
    assert weights.shape == (len(inputs[2]),)
    assert torch.isfinite(weights).all()
    weights.sum().backward()
    assert all(p.grad is None or torch.isfinite(p.grad).all() for p in net.parameters())


def test_a_local_network_asked_about_some():
    net = ABCNet(TINY_LOCAL, N_FEATURES)
    features, coordinates, neighbours, queries = tensors(TINY_LOCAL, 50)
    everybody = torch.full((50, 4), -1)
    everybody[queries] = neighbours
    torch.testing.assert_close(
        net(features, coordinates, neighbours, queries), net(features, coordinates, everybody)[queries]
    )
    with pytest.raises(SettingsError, match="one raw hop"):
        ABCNet(TINY, N_FEATURES)(features, coordinates, neighbours, queries)


def test_modes_agree_and_seeds_repeat():
    """Nothing depends on training or evaluation: no statistics of a batch are kept."""
    inputs = tensors(TINY, 30)
    torch.manual_seed(5)
    net = ABCNet(TINY, N_FEATURES)
    torch.manual_seed(5)
    again = ABCNet(TINY, N_FEATURES)
    assert torch.equal(net.train()(*inputs), again.eval()(*inputs))
    torch.testing.assert_close(torch.sigmoid(net.logits(*inputs)), net(*inputs))


def test_bad_settings():
    with pytest.raises(ValueError, match="greater than or equal to 1"):
        AttentionSettings(k=0)
    with pytest.raises(ValueError, match="depth"):
        AttentionSettings(depth=3)


def test_inputs_are_made_without_torch():
    code = (
        "import sys; sys.modules['torch'] = None; import hardscatter.pileup.features, hardscatter.geometry.nearest;"
        "assert not [name for name in sys.modules if name.startswith('hardscatter.nets')]"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
