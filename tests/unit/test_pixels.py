"""Pixels of a crossing: who stands for them, what they hold, and PUMML's loss and weights made of them."""

from __future__ import annotations

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.events import flat, offsets_of
from hardscatter.geometry.pixels import pixel_of, pixel_patches, pixel_rows
from hardscatter.pileup import pumml
from hardscatter.pileup.pixels import NAMES, pixel_sums
from helpers import toy_events


def candidates(seed=1, counts=(150, 0, 90), n_phi=12):
    """Flat eta, phi, pt and offsets, several candidates in a pixel, some beyond the last row."""
    rng = np.random.default_rng(seed)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    n = offsets[-1]
    return rng.uniform(-6, 6, n), rng.uniform(-np.pi, np.pi, n), rng.exponential(size=n), offsets, n_phi


def places(eta, phi, n_phi):
    """Row, counted from eta = 0, and column of every candidate, worked out in another way."""
    edge = 2 * np.pi / n_phi
    half = int(np.ceil(5 / edge))
    rows = np.searchsorted(edge * np.arange(-half + 1, half), eta, side="right")
    return rows, np.searchsorted(-np.pi + edge * np.arange(1, n_phi), phi, side="right")


def crossing(**columns):
    columns = {"energy": 100.0, "charge": 0, "vertex": -1, **columns}
    n = len(columns["pt"])
    return hs.from_candidates(**{name: ak.Array([np.broadcast_to(x, n)]) for name, x in columns.items()})


def test_the_pixels_of_the_default_image():
    assert pixel_rows(64) == 102  # 51 rows of 2π/64 reach to 5.007
    edge = 2 * np.pi / 64
    eta, phi = np.array([1e-9, -1e-9, 0, 5, 9, -1e300]), np.array([-np.pi, np.pi - 1e-9, 0.5 * edge, 0, 0, 0])
    np.testing.assert_array_equal(pixel_of(eta, phi, 64), np.array([51, 50, 51, 101, 101, 0]) * 64 + [0, 63, *[32] * 4])
    assert pixel_of(np.zeros(1), np.full(1, np.pi, np.float32), 64) % 64 == 63  # float32 rounds π up


@pytest.mark.parametrize("reach", [0, 1, 2])
def test_patches_against_brute_force(reach):
    eta, phi, pt, offsets, n_phi = candidates()
    row, column = places(eta, phi, n_phi)
    of_crossing = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
    patches = pixel_patches(eta, phi, pt, offsets, n_phi, reach)
    steps = [(up, across) for up in range(-reach, reach + 1) for across in range(-reach, reach + 1)]
    assert patches.shape == (len(eta), len(steps))
    for i in range(len(eta)):
        for slot, (up, across) in enumerate(steps):
            there = (of_crossing == of_crossing[i]) & (row == row[i] + up) & (column == (column[i] + across) % n_phi)
            wanted = max(np.flatnonzero(there), key=lambda j: pt[j], default=-1)
            assert patches[i, slot] == wanted
    assert (patches < 0).any() == (reach > 0)


def test_phi_wraps_rows_end_and_ties_go_to_the_first():
    edge = 2 * np.pi / 64
    eta, phi = np.array([0.01, 0.01, 7.0, 4.99, 4.99]), np.array([np.pi - 0.01, -np.pi + 0.01, 0.01, 0.01, 0.01 - edge])
    patches = pixel_patches(eta, phi, np.array([1.0, 1.0, 2.0, 2.0, 1.0]), np.array([0, 5]), reach=1)
    np.testing.assert_array_equal(patches[0], [-1, -1, -1, -1, 0, 1, -1, -1, -1])
    np.testing.assert_array_equal(patches[1], [-1, -1, -1, 0, 1, -1, -1, -1, -1])
    np.testing.assert_array_equal(patches[2], [-1, -1, -1, 4, 2, -1, -1, -1, -1])  # 3 has the same pt, in its pixel
    np.testing.assert_array_equal(patches[3], patches[2])


@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(n):
    columns = {name: np.full(n, value) for name, value in {"pt": 5.0, "eta": -1.0, "phi": 2.0}.items()}
    patches = pixel_patches(*(columns[name] for name in ("eta", "phi", "pt")), np.array([0, n, n]))
    assert patches.shape == (n, 25)
    assert (np.flatnonzero(patches >= 0) == 12).all()
    np.testing.assert_array_equal(pixel_sums(crossing(**columns)), np.full((n, 3), [0.0, 0.0, 5.0]))


def test_patches_of_no_crossings():
    assert pixel_patches(*np.zeros((3, 0)), np.zeros(1, np.int64)).shape == (0, 25)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"reach": -1}, "reach is -1"),
        ({"n_phi": 4}, "2 reach \\+ 1 at most 4"),
        ({"offsets": np.array([0, 1])}, "from 0 to their number"),
        ({"eta": np.array([0.0, np.nan])}, "eta holds"),
        ({"phi": np.array([0.0, 4.0])}, "wrap it first"),
        ({"phi": np.array([0.0, np.nan])}, "wrap it first"),
    ],
)
def test_bad_input(changes, message):
    given = {"eta": np.zeros(2), "phi": np.zeros(2), "pt": np.ones(2), "offsets": np.array([0, 2])}
    with pytest.raises(SettingsError, match=message):
        pixel_patches(**{**given, **changes})


def test_sums_against_brute_force():
    events = toy_events(n_events=3, n_candidates=400)
    sums = pixel_sums(events, n_phi=12)
    c = events.candidates
    pt, eta, phi, charge, vertex = (flat(c[name], np.float64) for name in ("pt", "eta", "phi", "charge", "vertex"))
    row, column = places(eta, phi, 12)
    of_crossing = np.repeat(np.arange(3), np.diff(offsets_of(c.pt)))
    same = np.all([x[:, None] == x for x in (row, column, of_crossing)], axis=0)
    kinds = {"leading": (charge != 0) & (vertex == 0), "pileup": (charge != 0) & (vertex > 0), "neutral": charge == 0}
    for name, those in kinds.items():
        np.testing.assert_allclose(sums[:, NAMES[f"{name}_in_pixel"]], (same & those) @ pt, rtol=1e-12)
        assert (sums[:, NAMES[f"{name}_in_pixel"]] > pt).any()


def test_charged_without_a_vertex_count_as_neutral():
    events = crossing(pt=[1.0, 2.0, 4.0, 8.0], eta=0.01, phi=0.01, charge=[0, 1, -1, 1], vertex=[-1, -1, 0, 5])
    np.testing.assert_array_equal(pixel_sums(events), [[4.0, 8.0, 3.0]] * 4)


class Quarter:
    """A network that gives 1/4 to everybody."""

    def __init__(self, model):
        self.model = model

    def weights(self, events):
        return ak.values_astype(ak.full_like(events.candidates.pt, 0.25), np.float32)


def test_a_vertex_decides_and_the_network_else(monkeypatch):
    monkeypatch.setattr(pumml, "Learned", Quarter)
    events = crossing(pt=np.ones(5), eta=0.0, phi=0.0, charge=[0, 1, -1, 1, 0], vertex=[-1, 0, 3, -1, 0])
    weights = hs.mitigate(events, pumml.Pumml())
    assert ak.to_list(weights) == [[0.25, 1.0, 0.0, 0.25, 0.25]]
    assert weights.type.content.content.primitive == "float32"
    nobody = crossing(pt=np.zeros(0), eta=0.0, phi=0.0)
    assert ak.to_list(hs.mitigate(nobody, pumml.Pumml())) == [[]]


def test_a_model_that_is_not_there():
    with pytest.raises(UnreadableFileError, match="no shipped model 'nobody'"):
        pumml.Pumml(model="nobody").weights(toy_events(1, 10))


def loss_of(weights, kinematics, charge, offsets, hard, **settings):
    """The loss of each crossing and its gradient by the weights."""
    torch = pytest.importorskip("torch")
    from hardscatter.training.batches import Cloud
    from hardscatter.training.pixels import Pixels

    rows = torch.tensor(kinematics, dtype=torch.float32).reshape(-1, 4)
    cloud = Cloud(rows, torch.tensor(charge, dtype=torch.float32), torch.tensor(offsets))
    weights = torch.tensor(weights, dtype=torch.float64, requires_grad=True)
    pair = SimpleNamespace(crossings=cloud, hard_fraction=torch.tensor(hard))
    loss = Pixels(**settings)(weights, pair, torch.Generator())
    (gradient,) = torch.autograd.grad(loss.sum(), weights)
    return loss.detach().numpy(), gradient.numpy()


def test_loss_by_hand():
    # The first two share a pixel, the third has one of its own, the fourth is charged; the last is in another crossing.
    here, there = [0.01, 0.01, 50.0], [2.0, -3.0, 50.0]
    kinematics = [[30.0, *here], [10.0, *here], [20.0, *there], [99.0, *here], [20.0, *here]]
    weights, hard = [0.5, 0.2, 0.1, 0.3, 0.9], [0.8, 0.0, 0.0, 1.0, 0.9]
    loss, gradient = loss_of(weights, kinematics, [0, 0, 0, 1, 0], [0, 4, 4, 5], hard)
    first, second = np.log(27 / 34), np.log(12 / 10)
    np.testing.assert_allclose(loss, [(first**2 + second**2) / 2, 0, 0], atol=1e-6)
    np.testing.assert_allclose(
        gradient, [first * 30 / 27, first * 10 / 27, second * 20 / 12, 0, 0], rtol=1e-5, atol=1e-6
    )
    coarse, _ = loss_of(weights, kinematics, [0, 0, 0, 1, 0], [0, 4, 4, 5], hard, n_phi=64, floor=1000.0)
    np.testing.assert_allclose(coarse[0], (np.log(1017 / 1024) ** 2 + np.log(1002 / 1000) ** 2) / 2, rtol=1e-4)


def test_loss_of_nothing_is_zero():
    loss, gradient = loss_of([0.5], [[5.0, 0.0, 0.0, 5.0]], [1], [0, 1, 1], [1.0])
    assert loss.tolist() == [0, 0]
    assert gradient.tolist() == [0]
    assert loss_of([], [], [], [0, 0], [])[0].tolist() == [0]
