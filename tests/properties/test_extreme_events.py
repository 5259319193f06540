"""Events at the edge of what numbers and detectors can be: methods, jets and missing momentum give sane answers."""

from __future__ import annotations

import functools

import awkward as ak
import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import given, settings

import hardscatter as hs
from hardscatter.errors import HardscatterError, InvalidEventsError

METHODS = sorted(hs.methods())
QUICK = [name for name in METHODS if name in ("puppi", "puppi-linear", "softkiller", "chs", "total", "cs")]
N = 400


def crossing(pt, eta, phi, charge, vertex, dtype=np.float64, energy=None):
    """One crossing from columns or numbers; massless unless the energy is given."""
    columns = np.broadcast_arrays(*(np.asarray(one, float) for one in (pt, eta, phi, charge, vertex)))
    pt, eta, phi, charge, vertex = (np.array(one) for one in columns)
    if energy is None:
        with np.errstate(over="ignore", under="ignore"):
            energy = np.maximum(pt * np.cosh(eta), np.finfo(dtype).smallest_subnormal)
    kinematics = {"pt": pt, "eta": eta, "phi": phi, "energy": np.broadcast_to(energy, pt.shape)}
    whole = {"charge": charge.astype(np.int8), "vertex": vertex.astype(np.int32)}
    columns = {name: ak.Array([one.astype(dtype)]) for name, one in kinematics.items()}
    columns |= {name: ak.Array([one]) for name, one in whole.items()}
    return hs.from_candidates(**columns, n_vertices=[100])


def spread(n=N, seed=1):
    rng = np.random.default_rng(seed)
    charge = rng.integers(-1, 2, n)
    return {
        "pt": rng.exponential(2.0, n) + 0.1, "eta": rng.uniform(-4.5, 4.5, n), "phi": rng.uniform(-np.pi, np.pi, n),
        "charge": charge, "vertex": np.where(charge == 0, -1, rng.integers(0, 3, n)),
    }  # fmt: skip


def scaled(factor, dtype=np.float64):
    one = spread()
    return crossing(**{**one, "pt": one["pt"] * factor}, dtype=dtype)


def all_of(charge, vertex, **more):
    return crossing(**{**spread(), "charge": charge, "vertex": vertex, **more})


def one_hard_among(factor):
    """One particle of a scale of its own among ordinary ones."""
    one = spread()
    one["pt"][0] *= factor
    return crossing(**one)


EXTREME = {
    "least doubles": lambda: all_of(0, -1, pt=5e-324, eta=0.0),
    "least singles": lambda: crossing(**{**spread(), "pt": 1.4e-45, "eta": 0.1}, dtype=np.float32),
    "denormal doubles": lambda: scaled(1e-310),
    "denormal singles": lambda: scaled(1e-40, np.float32),
    "pt of 1e-6": lambda: scaled(1e-6),
    "pt of 1e6": lambda: scaled(1e6),
    "pt of 1e6 in single precision": lambda: scaled(1e6, np.float32),
    "one of 1e-6": lambda: one_hard_among(1e-6),
    "one of 1e6": lambda: one_hard_among(1e6),
    "eta of 9": lambda: all_of(0, -1, eta=np.tile([-9.0, 9.0], N // 2)),
    "charged at eta of 9": lambda: all_of(1, np.arange(N) % 3, eta=9.0),
    "eta of 20": lambda: all_of(0, -1, eta=20.0),
    "thousands at one place": lambda: crossing(np.ones(3000), 1.0, -np.pi, 0, -1),
    "thousands at one place, charged": lambda: crossing(np.ones(3000), 1.0, -np.pi, 1, np.arange(3000) % 2),
    "all neutral": lambda: all_of(0, -1),
    "all charged": lambda: all_of(1, np.arange(N) % 4),
    "all charged without a vertex": lambda: all_of(-1, -1),
    "all pileup": lambda: all_of(1, 1 + np.arange(N) % 4),
    "all of the leading vertex": lambda: all_of(1, 0),
    "vertices of great numbers": lambda: all_of(1, 2**31 - 1 - np.arange(N) % 4),
    "at the edge of phi": lambda: all_of(0, -1, phi=np.tile([-np.pi, np.nextafter(np.pi, 0)], N // 2)),
    "one": lambda: crossing([1.0], 0.0, 0.0, 0, -1),
    "two at one place": lambda: crossing([1.0, 1.0], 0.0, 0.0, [1, 0], [0, -1]),
    "none": lambda: crossing(np.zeros(0), 0.0, 0.0, 0, -1),
    "energy below the momentum": lambda: crossing(**spread(), energy=1e-30),
}


@functools.cache
def made(name):
    return EXTREME[name]()


def assert_sane(events, weights):
    assert ak.all(ak.num(weights) == events.n_candidates)
    values = ak.to_numpy(ak.flatten(weights))
    assert values.dtype == np.float32
    assert ((values >= 0) & (values <= 1)).all()  # a NaN does not


@pytest.mark.parametrize("method", METHODS)
def test_weights_are_numbers_whatever_the_events(method):
    for name in EXTREME:
        events = made(name)
        assert_sane(events, hs.mitigate(events, method))


@pytest.mark.parametrize("name", EXTREME)
def test_jets_and_missing_momentum_are_numbers(name):
    events = made(name)
    weights = hs.mitigate(events, "puppi")
    for weight in (None, weights):
        jets = hs.cluster(events, weight, radius=0.4, min_pt=5.0)
        for field in ("pt", "eta", "phi", "mass"):
            values = ak.to_numpy(ak.flatten(jets[field]))
            assert np.isfinite(values).all(), field
        met = hs.missing_momentum(events, weight)
        assert np.isfinite(ak.to_numpy(met.pt)).all()
        assert np.isfinite(ak.to_numpy(met.phi)).all()


@pytest.mark.parametrize("name", ["pt of 1e-6", "pt of 1e6"])
def test_charged_particles_are_settled_by_their_vertex_at_any_scale(name):
    events = made(name)
    charge, vertex = (ak.to_numpy(ak.flatten(events.candidates[field])) for field in ("charge", "vertex"))
    for method in ("puppi", "chs"):
        weights = ak.to_numpy(ak.flatten(hs.mitigate(events, method)))
        settled = (charge != 0) & (vertex >= 0)
        assert set(weights[settled & (vertex == 0)]) == {1.0}, method
        assert (weights[settled & (vertex > 2)] == 0).all(), method


def test_equals_get_equal_weights():
    """Thousands of the same particle: none is special."""
    for method in ("puppi", "puppi-linear", "total"):
        weights = ak.to_numpy(ak.flatten(hs.mitigate(made("thousands at one place"), method)))
        assert np.ptp(weights) < 1e-5, method


BIT = st.integers(0, 2**64 - 1)


@given(st.lists(st.tuples(BIT, BIT, BIT, BIT, st.integers(-1, 1), st.integers(-1, 3)), min_size=1, max_size=12))
@settings(deadline=None, max_examples=60)
def test_any_bit_patterns_are_weighed_or_refused(rows):
    """Momenta of any 64 bits: NaN, infinities, denormals, all sizes."""
    columns = np.array([row[:4] for row in rows], dtype=np.uint64).T.copy().view(np.float64)
    columns[1] = np.clip(np.nan_to_num(columns[1]), -20, 20) if rows[0][0] % 2 else columns[1]
    pt, eta, phi, energy = columns
    charge, vertex = np.array([row[4] for row in rows]), np.array([row[5] for row in rows])
    try:
        events = crossing(np.abs(pt), eta, phi, charge, vertex, energy=np.abs(energy))
    except InvalidEventsError:
        return
    for method in QUICK:
        assert_sane(events, hs.mitigate(events, method))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"pt": np.nan}, "must be finite"), ({"pt": 0.0}, "above 0 GeV"), ({"pt": -0.0}, "above 0 GeV"),
        ({"eta": np.inf}, "must be finite"), ({"eta": 20.5}, "within"), ({"energy": np.inf}, "must be finite"),
        ({"charge": 2}, "−1, 0 or 1"), ({"vertex": -2}, "must be 0"),
    ],
)  # fmt: skip
def test_what_is_beyond_the_edge_is_refused(change, words):
    with pytest.raises(HardscatterError, match=words):
        crossing(**{**spread(), **change})
