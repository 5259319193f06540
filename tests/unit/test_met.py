"""Missing momentum: exact sums, edges and errors."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError
from hardscatter.met import missing_momentum

EVENTS = hs.from_candidates(
    pt=[[], [3.0, 4.0], [], [10.0]],
    eta=[[], [4.9, 0.0], [], [-3.0]],
    phi=[[], [0.0, np.pi / 2], [], [1.0]],
    energy=[[], [300.0, 4.0], [], [110.0]],
    charge=[[], [0, 1], [], [-1]],
    vertex=[[], [-1, 0], [], [2]],
)


def test_minus_the_vector_sum():
    met = missing_momentum(EVENTS)
    assert met.fields == ["px", "py", "pt", "phi"]
    assert met.px[1] == pytest.approx(-3.0)
    assert met.py[1] == pytest.approx(-4.0)
    assert met.pt.tolist() == pytest.approx([0.0, 5.0, 0.0, 10.0])
    assert met.phi.tolist() == pytest.approx([0.0, np.arctan2(-4.0, -3.0), 0.0, 1.0 - np.pi])


def test_weights_scale():
    met = missing_momentum(EVENTS, ak.Array([[], [1.0, 0.25], [], [0.0]]))
    assert met.px.tolist() == pytest.approx([0.0, -3.0, 0.0, 0.0])
    assert met.py.tolist() == pytest.approx([0.0, -1.0, 0.0, 0.0])
    assert met.phi[3] == 0.0  # nothing counts: +0, not −0 whose azimuth is −π


def test_azimuth_stays_below_pi():
    one = hs.from_candidates(pt=[[1.0]], eta=[[0.0]], phi=[[0.0]], energy=[[1.0]], charge=[[0]], vertex=[[-1]])
    assert missing_momentum(one).phi[0] == -np.pi


def test_no_events_and_slices():
    assert len(missing_momentum(EVENTS[:0])) == 0
    assert missing_momentum(EVENTS[::-1]).pt.tolist() == pytest.approx([10.0, 0.0, 5.0, 0.0])
    masked = missing_momentum(EVENTS[np.array([False, True, True, False])])
    assert masked.pt.tolist() == pytest.approx([5.0, 0.0])


def test_float32_events_are_summed_in_double():
    values = np.full(200_000, 0.1, dtype=np.float32)
    many = ak.Array([values])
    zero = ak.zeros_like(many)
    events = hs.from_candidates(pt=many, eta=zero, phi=zero, energy=many, charge=zero, vertex=zero - 1)
    met = missing_momentum(events)
    assert met.pt[0] == pytest.approx(200_000 * float(np.float32(0.1)), rel=1e-12)
    assert met.px.layout.dtype == np.float64


@pytest.mark.parametrize("weights", [[[], [1.0], [], [1.0]], [[1.0]], [[], [1.0, -0.1], [], [1.0]]])
def test_bad_weights_get_a_sentence(weights):
    with pytest.raises(InvalidEventsError, match="weights"):
        missing_momentum(EVENTS, ak.Array(weights))
