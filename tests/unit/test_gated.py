"""The gated graph network: published sizes, its equation written out the slow way, what must not change it, ONNX."""

import warnings
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

torch = pytest.importorskip("torch")

from hardscatter.geometry import wrap_phi  # noqa: E402
from hardscatter.nets.edges import edge_features  # noqa: E402
from hardscatter.nets.gated import GatedLayer, GatedNetwork, GatedSettings  # noqa: E402

TINY = GatedSettings(k=5, radius=1.5, width=6, head=(7,))
KINDS = {
    "gated": TINY,
    "plain": GatedSettings(k=5, radius=1.5, width=6, gated_messages=False, head=()),
    "no residual": GatedSettings(k=5, radius=None, width=4, steps=(1, 1), residual=False, head=(4,)),
}
EACH = pytest.mark.parametrize("settings", KINDS.values(), ids=KINDS)
SEEDS = st.integers(0, 2**32 - 1)
N_FEATURES = 3


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(before)


def network(settings, seed=4):
    torch.manual_seed(seed)
    return GatedNetwork(settings, N_FEATURES).double()


def crossings(seed, counts=None):
    """Features, coordinates (η, φ, ln pt), offsets."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts if counts is not None else rng.integers(0, 30, 4))])
    n = offsets[-1]
    where = np.stack([rng.uniform(-3, 3, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)], axis=1)
    return rng.normal(size=(n, N_FEATURES)), where, offsets


def links(settings, where, offsets):
    return settings.links.find(where[:, 0], where[:, 1], np.exp(where[:, 2]), offsets)


def weights(net, features, where, neighbours):
    with torch.no_grad():
        return net(*(torch.from_numpy(np.ascontiguousarray(x)) for x in (features, where, neighbours))).numpy()


def test_published_sizes():
    puppiml, sspuppi = GatedSettings.puppiml(), GatedSettings.sspuppi()
    assert (puppiml.width, puppiml.steps, puppiml.residual, puppiml.gated_messages) == (100, (2, 1, 1), True, False)
    assert (sspuppi.width, sspuppi.steps, sspuppi.links.radius) == (20, (1, 1), 0.4)
    made = GatedNetwork(puppiml, 27)
    assert [layer.update.input_size for layer in made.layers] == [100, 100, 200]  # the residual 2 ← 0
    counts = [sum(p.numel() for p in GatedNetwork(s, 27).parameters()) for s in (sspuppi, GatedSettings(), puppiml)]
    assert counts == sorted(counts)


@pytest.mark.parametrize("wrong", [{"k": 0}, {"radius": -1.0}, {"steps": ()}, {"steps": (0,)}, {"depth": 2}])
def test_bad_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        GatedSettings(**wrong)


def test_no_neighbour_beyond_the_radius():
    where = np.array([[0.0, 3.1, 0.0], [0.0, -3.1, 0.0], [0.5, 3.1, 0.0]])
    found = links(GatedSettings(), where, np.array([0, 3]))
    assert [sorted(row[row >= 0].tolist()) for row in found] == [[1], [0], []]


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("gated", [True, False])
def test_a_step_is_its_equation(gated, residual):
    """Neighbour by neighbour and gate by gate, GRU included."""
    width, k, n = 5, 4, 30
    layer = GatedLayer(width, residual, gated).double()
    h, first = torch.randn(2, n, width, dtype=torch.float64)
    edges, neighbours = torch.randn(n, k, 4, dtype=torch.float64), torch.randint(-1, n, (n, k))
    neighbours[7] = -1
    new = layer(h, first, neighbours, edges)
    (w_r, w_z, w_n), (u_r, u_z, u_n) = layer.update.weight_ih.chunk(3), layer.update.weight_hh.chunk(3)
    (b_r, b_z, b_n), (c_r, c_z, c_n) = layer.update.bias_ih.chunk(3), layer.update.bias_hh.chunk(3)
    for i in range(n):
        messages = []
        for j, e in zip(neighbours[i], edges[i], strict=True):
            if j >= 0:
                gate = (
                    torch.sigmoid(layer.gate_self(h[i]) + layer.gate_other(h[j]) + layer.gate_edge(e)) if gated else 1
                )
                messages.append(gate * (layer.state(h[j]) + layer.edge(e)))
        m = torch.stack(messages).mean(0) if messages else torch.zeros(width, dtype=torch.float64)
        m = torch.cat([m, first[i]]) if residual else m
        reset, update = torch.sigmoid(w_r @ m + b_r + u_r @ h[i] + c_r), torch.sigmoid(w_z @ m + b_z + u_z @ h[i] + c_z)
        proposed = torch.tanh(w_n @ m + b_n + reset * (u_n @ h[i] + c_n))
        torch.testing.assert_close(new[i], (1 - update) * proposed + update * h[i])


def test_layers_take_their_steps_with_their_own_parameters():
    net = network(TINY)
    features, where, offsets = crossings(2, [25])
    neighbours = links(TINY, where, offsets)
    x, index = torch.from_numpy(features), torch.from_numpy(neighbours)
    edges, first = edge_features(torch.from_numpy(where), index), torch.tanh(net.encoder(x))
    h = first
    for layer in (net.layers[0], net.layers[0], net.layers[1], net.layers[2]):  # steps (2, 1, 1)
        h = layer(h, first, index, edges)
    wanted = torch.sigmoid(net.output(net.head(torch.cat([h, first], 1))))[:, 0].detach().numpy()
    np.testing.assert_allclose(weights(net, features, where, neighbours), wanted, atol=1e-12)


@EACH
def test_gradient_reaches_every_parameter(settings):
    net = network(settings)
    features, where, offsets = crossings(3, [40])
    net(*(torch.from_numpy(x) for x in (features, where, links(settings, where, offsets)))).sum().backward()
    assert not [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]


@EACH
@pytest.mark.parametrize("counts", [[0], [1], [0, 2, 0]])
def test_hardly_any_candidates(settings, counts):
    net = network(settings)
    features, where, offsets = crossings(5, counts)
    result = net(*(torch.from_numpy(x) for x in (features, where, links(settings, where, offsets))))
    assert result.shape == (sum(counts),)
    result.sum().backward()
    assert all(torch.isfinite(p.grad).all() for p in net.parameters() if p.grad is not None)


@given(st.sampled_from(sorted(KINDS)), SEEDS, st.floats(-10, 10))
def test_order_rotation_batch_and_empty_slots_change_nothing(kind, seed, angle):
    settings = KINDS[kind]
    net, (features, where, offsets) = network(settings), crossings(seed)
    neighbours = links(settings, where, offsets)
    wanted = weights(net, features, where, neighbours)
    assert ((wanted > 0) & (wanted < 1)).all()
    rng = np.random.default_rng(seed)

    turned = where.copy()
    turned[:, 1] = wrap_phi(where[:, 1] + angle)
    np.testing.assert_allclose(weights(net, features, turned, neighbours), wanted, atol=1e-10)

    order = rng.permutation(len(where))
    renamed = np.append(np.argsort(order), -1)[neighbours[order]]  # the last stands for −1
    np.testing.assert_allclose(weights(net, features[order], where[order], renamed), wanted[order], atol=1e-12)

    wider = np.concatenate([neighbours, rng.integers(-9, 0, (len(where), 3))], axis=1)
    np.testing.assert_allclose(weights(net, features, where, rng.permuted(wider, axis=1)), wanted, atol=1e-12)

    for a, b in pairwise(offsets):
        alone = links(settings, where[a:b], np.array([0, b - a]))
        np.testing.assert_allclose(weights(net, features[a:b], where[a:b], alone), wanted[a:b], atol=1e-12)


def test_onnx_gives_the_same_weights():
    settings = GatedSettings()
    onnxruntime = pytest.importorskip("onnxruntime")
    net, n = network(settings).float().eval(), torch.export.Dim("n")

    def inputs(size):
        features, where, offsets = crossings(size, [size])
        return features.astype(np.float32), where.astype(np.float32), links(settings, where, offsets)

    names = ["features", "coordinates", "neighbours"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        program = torch.onnx.export(
            net, tuple(map(torch.from_numpy, inputs(20))), dynamo=True, dynamic_shapes=({0: n},) * 3,
            input_names=names, output_names=["weights"], verbose=False,
        )  # fmt: skip
    session = onnxruntime.InferenceSession(program.model_proto.SerializeToString(), providers=["CPUExecutionProvider"])
    for size in (0, 1, 20, 500):
        given = inputs(size)
        (theirs,) = session.run(["weights"], dict(zip(names, given, strict=True)))
        assert theirs.shape == (size,)
        np.testing.assert_allclose(theirs, weights(net, *given), atol=1e-6)
