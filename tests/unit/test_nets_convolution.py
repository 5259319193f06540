"""The convolution over occupied pixels is the convolution of the image, and leaves for ONNX unchanged."""

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from hardscatter.geometry.pixels import pixel_of, pixel_patches, pixel_rows  # noqa: E402
from hardscatter.nets.convolution import Convolution, ConvolutionNetwork, ConvolutionSettings  # noqa: E402
from hardscatter.nets.export import check_parity, to_onnx  # noqa: E402

N_PHI = 12


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    torch.manual_seed(1)
    yield
    torch.set_num_threads(before)


def inputs(n, n_features=3, settings=None, seed=3):
    settings = settings or ConvolutionSettings()
    rng = np.random.default_rng((seed, n))
    eta, phi, log_pt = rng.uniform(-5.5, 5.5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)
    patches = pixel_patches(eta, phi, np.exp(log_pt), np.array([0, n]), settings.n_phi, settings.reach)
    where = np.stack([eta, phi, log_pt], axis=1).astype(np.float32)
    return [torch.from_numpy(x) for x in (rng.normal(size=(n, n_features)).astype(np.float32), where, patches)]


def image_convolution(layer, image, reach):
    """The layer by `conv2d`: image (channels, rows, columns), around in phi, zeros beyond the last row."""
    side, channels = 2 * reach + 1, image.shape[0]
    kernel = layer.dense.weight.reshape(-1, side, side, channels).permute(0, 3, 1, 2)
    around = torch.nn.functional.pad(image[None], (reach, reach, 0, 0), mode="circular")
    return torch.nn.functional.conv2d(around, kernel, layer.dense.bias, padding=(reach, 0))[0]


@pytest.mark.parametrize("filled", [1.0, 0.3])
@pytest.mark.parametrize("reach", [1, 2])
def test_against_the_convolution_of_an_image(reach, filled):
    """Every pixel occupied: plain `conv2d`; else its states in empty pixels are zeros. Several candidates in some."""
    rng = np.random.default_rng(5)
    n_rows, edge = pixel_rows(N_PHI), 2 * np.pi / N_PHI
    pixels = rng.permutation(n_rows * N_PHI)[: int(filled * n_rows * N_PHI)]
    pixels = np.concatenate([pixels, rng.choice(pixels, 50)])
    eta = (pixels // N_PHI - n_rows // 2 + rng.uniform(0.1, 0.9, len(pixels))) * edge
    phi = (pixels % N_PHI + rng.uniform(0.1, 0.9, len(pixels))) * edge - np.pi
    np.testing.assert_array_equal(pixel_of(eta, phi, N_PHI), pixels)

    settings = ConvolutionSettings(n_phi=N_PHI, reach=reach, filters=(4, 5), head=(6,))
    net = ConvolutionNetwork(settings, 3).double()
    patches = pixel_patches(eta, phi, rng.exponential(size=len(pixels)), np.array([0, len(pixels)]), N_PHI, reach)
    features = torch.from_numpy(rng.normal(size=(len(pixels), 3)))
    stands = np.unique(patches[:, patches.shape[1] // 2])
    assert len(stands) == len(np.unique(pixels)) < len(pixels)
    image = torch.zeros(3, n_rows * N_PHI, dtype=torch.float64)
    image[:, pixels[stands]] = features[stands].T
    occupied = torch.zeros(n_rows * N_PHI, dtype=torch.float64)
    occupied[pixels] = 1.0
    state, occupied = image.reshape(3, n_rows, N_PHI), occupied.reshape(n_rows, N_PHI)
    with torch.no_grad():
        for layer in net.convolutions:
            state = torch.relu(image_convolution(layer, state, reach)) * occupied
        wanted = torch.sigmoid(net.head(state.flatten(1).T))[:, 0][pixels]
        weights = net(features, torch.zeros(len(pixels), 3), torch.from_numpy(patches))
    torch.testing.assert_close(weights, wanted, atol=1e-12, rtol=0)
    assert weights.std() > 1e-3


def test_what_the_settings_say():
    settings = ConvolutionSettings(n_phi=32, reach=1)
    assert (settings.links.n_phi, settings.links.reach, settings.links.width) == (32, 1, 9)
    n_parameters = sum(p.numel() for p in ConvolutionNetwork(ConvolutionSettings(), 3).parameters())
    assert n_parameters == (25 * 3 + 1) * 10 + (25 * 10 + 1) * 10 + 11 * 16 + 17
    assert ConvolutionNetwork(ConvolutionSettings(filters=(2,), head=()), 3)(*inputs(9)).shape == (9,)


@pytest.mark.parametrize(
    "bad", [{"reach": -1}, {"filters": ()}, {"filters": (0,)}, {"head": (0,)}, {"n_phi": 4}, {"depth": 3}]
)
def test_bad_settings(bad):
    with pytest.raises(ValueError, match=next(iter(bad)) if "n_phi" not in bad else "wider than an image"):
        ConvolutionSettings(**bad)


def test_gradients_in_double_precision():
    layer = Convolution(4, 3, 2).double()
    index = torch.tensor([[1, 2, 3, 0], [0, 5, -1, -1], [4, 1, 0, -7], [2, 2, -1, 3], [-1, -1, -1, -1], [3, 0, 1, 5]])
    x = torch.randn(6, 3, dtype=torch.float64, requires_grad=True)
    names = [name for name, _ in layer.named_parameters()]

    def run(x, *parameters):
        return torch.func.functional_call(layer, dict(zip(names, parameters, strict=True)), (x, index))

    assert torch.autograd.gradcheck(run, (x, *layer.parameters()))
    torch.testing.assert_close(layer(x, index)[4], layer.dense.bias)


def test_gradient_reaches_every_parameter():
    net = ConvolutionNetwork(ConvolutionSettings(), 3)
    net(*inputs(300)).sum().backward()
    dead = [name for name, p in net.named_parameters() if p.grad is None or not p.grad.abs().sum() > 0]
    assert not dead


def test_export_agrees():
    net = ConvolutionNetwork(ConvolutionSettings(), 3)
    lines = []
    assert check_parity(net, to_onnx(net), sizes=(0, 1, 20, 500), say=lines.append) < 1e-6
    assert len(lines) == 4
