"""Sums over towers around each candidate: against brute force, and defined for few candidates and none."""

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.pileup.towers import KINDS, N_PHI, NAMES, REACHES, SIZE, STEP, tower_sums
from helpers import toy_events


def sums_of(events):
    offsets, write = tower_sums(events)
    sums = np.full((offsets[-1], len(NAMES)), np.nan, dtype=np.float32)
    for crossing in range(len(events)):
        write(crossing, sums[offsets[crossing] : offsets[crossing + 1]])
    return sums


def crossing(pt, eta, phi, charge, vertex, pdg_id=None):
    columns = {"pt": pt, "eta": eta, "phi": phi, "energy": np.asarray(pt) * np.cosh(eta), "charge": charge,
               "vertex": vertex} | ({} if pdg_id is None else {"pdg_id": pdg_id})  # fmt: skip
    return hs.from_candidates(**{name: ak.Array([np.asarray(values)]) for name, values in columns.items()})


def brute(candidates):
    """Return the sums of one crossing, candidate by candidate."""
    pt, eta, phi = (np.asarray(candidates[name], dtype=np.float64) for name in ("pt", "eta", "phi"))
    charge, vertex, pdg_id = (np.asarray(candidates[name]) for name in ("charge", "vertex", "pdg_id"))
    momentum = np.floor(pt / STEP + 0.5) * STEP
    row, column = np.floor(eta / SIZE).astype(int), np.floor(phi / SIZE).astype(int)
    d_row = np.abs(row[:, None] - row)
    d_column = np.abs((column[:, None] - column + N_PHI // 2) % N_PHI - N_PHI // 2)
    others = ~np.eye(len(pt), dtype=bool)
    of = {"neutral": charge == 0, "leading": (charge != 0) & (vertex == 0), "pileup": (charge != 0) & (vertex != 0),
          "photon": (charge == 0) & (pdg_id == 22)}  # fmt: skip
    result = np.zeros((len(pt), len(NAMES)))
    for kind in KINDS:
        for reach in REACHES:
            near = others & of[kind] & (d_row <= reach) & (d_column <= reach)
            result[:, NAMES[f"{kind}_in_{2 * reach + 1}"]] = near @ momentum
    for kind in ("neutral", "pileup"):
        result[:, NAMES[f"{kind}_strip"]] = (others & of[kind] & (d_row <= 10)) @ momentum
        result[:, NAMES[f"{kind}_all"]] = (others & of[kind]) @ momentum
    for i in range(len(pt)):
        towers = {}
        for j in np.flatnonzero(others[i] & of["leading"] & (d_row[i] ** 2 + d_column[i] ** 2 < 7.5**2)):
            place = (row[j] - row[i], (column[j] - column[i] + N_PHI // 2) % N_PHI - N_PHI // 2)
            towers[place] = towers.get(place, 0.0) + momentum[j]
        shape = sum(p * p / max(a * a + b * b, 0.25) for (a, b), p in towers.items())
        result[i, NAMES["leading_shape"]] = shape
    return result


def test_against_brute_force():
    events = toy_events(n_events=3, n_candidates=250)
    wanted = np.concatenate([brute(event) for event in events.candidates])
    sums = sums_of(events)
    shape = NAMES["leading_shape"]
    squares = np.delete(np.arange(len(NAMES)), shape)
    np.testing.assert_array_equal(sums[:, squares], wanted[:, squares].astype(np.float32))
    np.testing.assert_allclose(sums[:, shape], wanted[:, shape], rtol=1e-4, atol=1e-3)
    assert (sums > 0).any(axis=0).all()


def test_turning_by_whole_towers_changes_nothing():
    rng = np.random.default_rng(1)
    n = 300
    pt, eta = rng.exponential(2.0, n), rng.uniform(-5, 5, n)
    places, charge, vertex = rng.integers(0, N_PHI, n), rng.integers(-1, 2, n), rng.integers(0, 3, n)
    turned = [
        sums_of(crossing(pt, eta, ((places + turn) % N_PHI + 0.5) * SIZE - np.pi, charge, vertex))
        for turn in (0, 37, 127)
    ]
    shape = NAMES["leading_shape"]
    for other in turned[1:]:
        np.testing.assert_array_equal(np.delete(other, shape, axis=1), np.delete(turned[0], shape, axis=1))
        np.testing.assert_allclose(other[:, shape], turned[0][:, shape], rtol=1e-4, atol=1e-3)


def test_phi_wraps():
    events = crossing([2.0, 3.0], [0.1, 0.1], [np.pi - 0.01, -np.pi + 0.01], [0, 1], [-1, 0])
    sums = sums_of(events)
    assert sums[0, NAMES["leading_in_3"]] == 3.0
    assert sums[0, NAMES["leading_in_1"]] == 0.0
    assert sums[0, NAMES["leading_shape"]] == 9.0
    assert sums[1, NAMES["neutral_in_3"]] == 2.0


def test_the_order_of_candidates_does_not_matter():
    events = toy_events(n_events=1, n_candidates=200)
    order = np.random.default_rng(3).permutation(int(events.n_candidates[0]))
    fields = {
        name: events.candidates[name][:, order] for name in ("pt", "eta", "phi", "energy", "charge", "vertex", "pdg_id")
    }
    np.testing.assert_array_equal(sums_of(hs.from_candidates(**fields)), sums_of(events)[order])


def test_far_forward_counts_in_the_last_towers():
    sums = sums_of(crossing([2.0, 3.0], [7.0, 6.0], [0.1, 0.1], [0, 0], [-1, -1]))
    assert sums[0, NAMES["neutral_in_1"]] == 3.0


@pytest.mark.parametrize("n", [0, 1])
def test_nobody_and_somebody_alone(n):
    sums = sums_of(crossing([5.0] * n, [0.3] * n, [1.0] * n, [1] * n, [0] * n))
    assert sums.shape == (n, len(NAMES))
    assert not sums.any()


def test_without_classes_nobody_is_a_photon():
    sums = sums_of(toy_events(minimal=True))
    assert not sums[:, [NAMES[f"photon_in_{2 * reach + 1}"] for reach in REACHES]].any()
    assert sums[:, NAMES["neutral_in_17"]].any()


def test_momenta_beyond_the_counter_are_cut_off():
    sums = sums_of(crossing([1e6, 1.0], [0.3, 0.3], [1.0, 1.0], [0, 0], [-1, -1]))
    assert sums[1, NAMES["neutral_in_1"]] == 2**19 * STEP
