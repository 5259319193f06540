"""What must hold for every method, whatever the crossing: symmetries, batching, ranges, limits."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import hardscatter as hs
from hardscatter.events import flat
from hardscatter.pileup import methods
from helpers import toy_events

ALL = list(methods())

# Tiles and ghosts have a fixed origin: moving the crossing under them changes their answer by construction. One
# whole tile of 2π/n columns is a symmetry for those, and their common one here is half a turn (13 columns of 0.5 do
# not divide it), so these methods are held to permutation and mirror only.
ON_TILES = (
    "softkiller",
    "softkiller-zeroing",
    "softkiller-zeroing:best",
    "cs",
    "cs:best",
    "ics",
    "ics:best",
    "voronoi",
    "pumml",
    "total:student",  # its towers: tests/unit/test_towers.py turns them
)
MOVABLE = [method for method in ALL if method not in ON_TILES]

# Most networks weigh charged candidates too; all learn the mirror in eta only as far as their training shows it.
UNSETTLED = ("supervised", "total", "total:paper", "total:student", "puppiml", "puma")
LEARNED = (*UNSETTLED, "pumml", "sspuppi")

crossings = st.builds(toy_events, st.integers(1, 3), st.integers(4, 250), st.integers(0, 2**32 - 1))


def moved(events, *, turn=0.0, mirror=False):
    fields = {name: events.candidates[name] for name in events.candidates.fields}
    fields["phi"] = fields["phi"] + turn
    if mirror:
        fields["eta"] = -fields["eta"]
    return hs.from_candidates(**fields, n_vertices=events.n_vertices)


@pytest.mark.parametrize("method", ALL)
@given(events=crossings)
def test_weights_are_aligned_and_in_range(method, events):
    weights = hs.mitigate(events, method)
    assert ak.to_list(ak.num(weights)) == ak.to_list(events.n_candidates)
    values = flat(weights)
    assert values.dtype == np.float32
    assert ((values >= 0) & (values <= 1)).all()


@pytest.mark.parametrize("method", [method for method in ALL if method not in ("none", *UNSETTLED)])
@given(events=crossings)
def test_charged_candidates_are_settled_by_their_vertex(method, events):
    weights = hs.mitigate(events, method)
    charged = events.candidates.charge != 0
    assert ak.all(weights[charged & (events.candidates.vertex == 0)] == 1)
    assert ak.all(weights[charged & (events.candidates.vertex > 0)] == 0)


@pytest.mark.parametrize("method", MOVABLE)
@given(events=crossings, turn=st.floats(-7, 7))
def test_rotation_in_phi_changes_nothing(method, events, turn):
    before, after = flat(hs.mitigate(events, method)), flat(hs.mitigate(moved(events, turn=turn), method))
    assert np.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("method", ALL)
@given(events=crossings)
def test_a_full_turn_changes_nothing(method, events):
    before = flat(hs.mitigate(events, method))
    after = flat(hs.mitigate(moved(events, turn=2 * math.pi), method))
    assert (np.abs(before - after) > 1e-5).mean() < 0.02  # a candidate on a tile's very edge may change tile


@pytest.mark.parametrize("method", [method for method in MOVABLE if method not in LEARNED])
@given(events=crossings)
def test_mirror_in_eta_changes_nothing(method, events):
    before, after = flat(hs.mitigate(events, method)), flat(hs.mitigate(moved(events, mirror=True), method))
    assert np.allclose(before, after, atol=1e-5)


@pytest.mark.parametrize("method", ALL)
@given(events=crossings, seed=st.integers(0, 2**32 - 1))
def test_order_of_candidates_does_not_matter(method, events, seed):
    rng = np.random.default_rng(seed)
    order = ak.Array([rng.permutation(int(n)) for n in events.n_candidates])
    fields = {name: events.candidates[name][order] for name in events.candidates.fields}
    shuffled = hs.from_candidates(**fields, n_vertices=events.n_vertices)
    before = hs.mitigate(events, method)[order]
    assert np.allclose(flat(before), flat(hs.mitigate(shuffled, method)), atol=1e-5)


@pytest.mark.parametrize("method", ALL)
@given(seed=st.integers(0, 2**32 - 1))
def test_batch_of_one_is_batch_of_many_and_sliced_is_packed(method, seed):
    events = toy_events(5, 120, seed)
    together = hs.mitigate(events, method)

    def same(some, others):
        # The products of one network round by the size of the batch (1e-7 seen); all else is the same to the last bit.
        return ak.almost_equal(some, others, rtol=0, atol=1e-6) if method == "puma" else ak.array_equal(some, others)

    assert same(ak.concatenate([hs.mitigate(events[i : i + 1], method) for i in range(5)]), together)
    assert same(hs.mitigate(events[1:4], method), together[1:4])
    assert same(hs.mitigate(events[[4, 0, 2]], method), together[[4, 0, 2]])
    assert same(hs.mitigate(events[[True, False, True, False, True]], method), together[::2])
