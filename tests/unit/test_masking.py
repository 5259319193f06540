"""Disguised charged candidates: what gives them away, what stays, and the loss that asks about them."""

from types import SimpleNamespace

import awkward as ak
import numpy as np
import pytest

torch = pytest.importorskip("torch")

import hardscatter as hs  # noqa: E402
from hardscatter.events import flat, offsets_of  # noqa: E402
from hardscatter.pileup.features import SURROUNDINGS_SCHEMA, features  # noqa: E402
from hardscatter.training.masking import Masked, Masking, disguised  # noqa: E402
from helpers import toy_events  # noqa: E402

EVERYONE = Masking(leading=1.0, pileup=1.0)


def columns(events):
    return {name: flat(events.candidates[name]) for name in events.candidates.fields}


@pytest.mark.parametrize("minimal", [False, True])
def test_the_chosen_look_neutral_and_the_others_stay(minimal):
    events = toy_events(minimal=minimal).without_truth()
    there, chosen = disguised(events, Masking(leading=0.5, pileup=0.3), 3)
    before, after = columns(events), columns(there)
    assert 0 < chosen.sum() < (before["charge"] != 0).sum()
    assert (before["charge"][chosen] != 0).all()
    assert after.keys() == before.keys()
    for name, values in before.items():
        assert after[name].dtype == values.dtype
        np.testing.assert_array_equal(after[name][~chosen], values[~chosen])
    for name in ("pt", "eta", "phi"):
        np.testing.assert_array_equal(after[name], before[name])
    assert not after["charge"][chosen].any()
    assert (after["vertex"][chosen] == -1).all()
    np.testing.assert_allclose(after["energy"][chosen], (before["pt"] * np.cosh(before["eta"]))[chosen])
    for name in {"d0", "dz", "d0_error", "dz_error"} & after.keys():
        assert np.isnan(after[name][chosen]).all()
    if not minimal:
        assert set(after["pdg_id"][chosen]) == {22, 130}


def test_features_see_a_neutral_candidate():
    """Column by column what a true neutral with the same momentum and class has, also in the sums around it."""
    events = toy_events()
    there, chosen = disguised(events, Masking(), 5)
    matrix, _ = features(there, SURROUNDINGS_SCHEMA)
    of_track = [SURROUNDINGS_SCHEMA.names.index(n) for n in ("charge", "dz", "has_dz", "is_leading", "is_pileup")]
    assert not matrix[chosen][:, of_track].any()
    after = columns(there)
    same = hs.from_candidates(
        **{name: ak.unflatten(values, ak.num(there.candidates.pt)) for name, values in after.items()},
        n_vertices=there.n_vertices,
    )
    np.testing.assert_array_equal(features(same, SURROUNDINGS_SCHEMA)[0], matrix)


def test_the_class_is_that_of_the_neutral_most_like_it():
    events = hs.from_candidates(
        pt=[[0.3, 5.0, 0.35, 4.0], [1.0]], eta=[[0.0, 0.0, 0.2, -0.1], [1.0]], phi=[[0.0, 1.0, 2.0, 3.0], [0.0]],
        energy=[[0.3, 5.0, 0.5, 4.1], [2.0]], charge=[[0, 0, 1, -1], [1]], vertex=[[-1, -1, 0, 2], [1]],
        pdg_id=[[22, 130, 211, -211], [211]],
    )  # fmt: skip
    there, chosen = disguised(events, EVERYONE, 1)
    assert chosen.tolist() == [False, False, True, True, True]
    assert there.candidates.pdg_id.tolist() == [[22, 130, 22, 130], [130]]  # no neutral in the second crossing


def test_shares_are_those_of_each_kind_and_seeds_repeat():
    events = toy_events(n_events=20)
    vertex, charge = (flat(events.candidates[name]) for name in ("vertex", "charge"))
    _, leading = disguised(events, Masking(leading=1.0, pileup=0.0), 1)
    np.testing.assert_array_equal(leading, (charge != 0) & (vertex == 0))
    _, none = disguised(events, Masking(leading=0.0, pileup=0.0), 1)
    assert not none.any()
    _, some = disguised(events, Masking(leading=0.2, pileup=0.4), 1)
    for kind, share in (((charge != 0) & (vertex == 0), 0.2), ((charge != 0) & (vertex > 0), 0.4)):
        assert abs(some[kind].mean() - share) < 5 * np.sqrt(share * (1 - share) / kind.sum())
    np.testing.assert_array_equal(disguised(events, Masking(leading=0.2, pileup=0.4), 1)[1], some)
    assert (disguised(events, Masking(leading=0.2, pileup=0.4), 2)[1] != some).any()


def test_leptons_and_tracks_without_a_vertex_are_never_chosen():
    events = hs.from_candidates(
        pt=[[1.0] * 5], eta=[[0.0] * 5], phi=[[0.0] * 5], energy=[[1.1] * 5], charge=[[1, -1, 1, -1, 0]],
        vertex=[[0, 0, -1, 4, -1]], pdg_id=[[-13, 11, 211, -211, 22]],
    )  # fmt: skip
    assert disguised(events, EVERYONE, 1)[1].tolist() == [False, False, False, True, False]


def test_truth_is_not_read_and_weights_do_not_travel():
    events = toy_events()
    marked = hs.with_weights(events, "cms_puppi", ak.ones_like(events.candidates.pt))
    there, chosen = disguised(marked, Masking(), 1)
    assert not there.has("weights")
    assert "weights" not in there.metadata
    assert there.truth.hard_fraction.tolist() == events.truth.hard_fraction.tolist()
    blind, chosen_blind = disguised(events.without_truth(), Masking(), 1)
    np.testing.assert_array_equal(chosen, chosen_blind)
    np.testing.assert_array_equal(flat(there.candidates.pdg_id), flat(blind.candidates.pdg_id))
    assert marked.has("weights")  # the crossings that were given are as they were
    assert (flat(marked.candidates.charge)[chosen] != 0).all()


@pytest.mark.parametrize("counts", [[], [0], [0, 40, 0]])
def test_empty_crossings(counts):
    events = toy_events(n_events=1, n_candidates=40)
    n = len(flat(events.candidates.pt))
    counts = np.minimum(np.array(counts, dtype=np.int64), n)
    fields = {name: ak.unflatten(values[: counts.sum()], counts) for name, values in columns(events).items()}
    there, chosen = disguised(hs.from_candidates(**fields), EVERYONE, 1)
    assert ak.num(there.candidates.pt).tolist() == counts.tolist()
    assert len(chosen) == counts.sum()
    assert not flat(there.candidates.charge).any()


@pytest.mark.parametrize("wrong", [{"leading": 1.5}, {"pileup": -0.1}, {"neutral": 0.1}])
def test_bad_settings(wrong):
    with pytest.raises(ValueError, match=next(iter(wrong))):
        Masking(**wrong)


def batch(masked, leading, pt, counts):
    kinematics = torch.tensor(pt)[:, None].repeat(1, 4)
    offsets = torch.tensor([0, *counts]).cumsum(0)
    cloud = SimpleNamespace(kinematics=kinematics, offsets=offsets)
    return SimpleNamespace(masked=torch.tensor(masked), leading=torch.tensor(leading), crossings=cloud)


PAIR = batch(
    masked=[True, True, True, False, True, False], leading=[1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
    pt=[3.0, 1.0, 2.0, 9.0, 1.0, 5.0], counts=[4, 0, 1, 1],
)  # fmt: skip
WEIGHTS = [0.8, 0.4, 0.1, 0.0, 0.25, 0.7]


@pytest.mark.parametrize(
    ("loss", "first"),
    [
        (Masked(), -(np.log(0.8) + np.log(0.6) + np.log(0.9)) / 3),
        (Masked(momentum_power=1.0), -(3 * np.log(0.8) + np.log(0.6) + 2 * np.log(0.9)) / 6),
        (Masked(balanced=True), -(np.log(0.8) + (np.log(0.6) + np.log(0.9)) / 2) / 2),
    ],
)
def test_loss_by_hand(loss, first):
    """Crossings: one with three disguised, an empty one, one with one kind only, one with nobody disguised."""
    weights = torch.tensor(WEIGHTS, requires_grad=True)
    values = loss(weights, PAIR, torch.Generator())
    np.testing.assert_allclose(values.detach(), [first, 0.0, -np.log(0.75), 0.0], rtol=1e-5)
    (gradient,) = torch.autograd.grad(values.sum(), weights)
    assert torch.isfinite(gradient).all()
    assert ((gradient != 0) == PAIR.masked).all()
    assert ((gradient < 0) == (PAIR.masked & (PAIR.leading == 1))).all()


def test_least_at_the_share_of_the_leading_vertex():
    """A weight that cannot tell candidates apart becomes the probability, as published; balanced, a half."""
    shared = batch([True] * 4, [1.0, 0.0, 0.0, 0.0], [1.0] * 4, [4])
    tried = torch.linspace(0.05, 0.95, 19)
    for loss, wanted in ((Masked(), 0.25), (Masked(balanced=True), 0.5)):
        values = torch.stack([loss(w.repeat(4), shared, torch.Generator())[0] for w in tried])
        assert tried[values.argmin()].item() == pytest.approx(wanted, abs=0.01)


def test_saturated_weights_have_a_finite_loss():
    shared = batch([True, True], [1.0, 0.0], [1.0, 1.0], [2])
    assert torch.isfinite(Masked()(torch.tensor([0.0, 1.0]), shared, torch.Generator())).all()


def test_offsets_do_not_move():
    events = toy_events()
    there, _ = disguised(events, Masking(), 1)
    np.testing.assert_array_equal(offsets_of(there.candidates.pt), offsets_of(events.candidates.pt))
