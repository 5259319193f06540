"""Sums around each candidate: against brute force, and defined for few candidates and none."""

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.events import flat
from hardscatter.pileup.features import DEFAULT_SCHEMA, SURROUNDINGS_SCHEMA, features
from hardscatter.pileup.surroundings import KINDS, NAMES, RADII, STRIP, kinds, surroundings
from hardscatter.threads import threads
from helpers import toy_events


def crossing(pt, eta, phi, charge=None, vertex=None):
    n = len(pt)
    columns = {
        "pt": pt, "eta": eta, "phi": phi, "energy": np.asarray(pt) * np.cosh(eta),
        "charge": np.zeros(n) if charge is None else charge, "vertex": np.full(n, -1) if vertex is None else vertex,
    }  # fmt: skip
    return hs.from_candidates(**{name: ak.Array([np.asarray(values)]) for name, values in columns.items()})


def test_against_brute_force():
    events = toy_events(n_events=3, n_candidates=250)
    sums = surroundings(events)
    start = 0
    for event in events.candidates:
        pt, eta, phi = (np.asarray(event[name], dtype=np.float64) for name in ("pt", "eta", "phi"))
        kind = kinds(np.asarray(event.charge), np.asarray(event.vertex))
        d_phi = np.abs(phi[:, None] - phi)
        d_eta = np.abs(eta[:, None] - eta)
        distance = np.hypot(d_eta, np.minimum(d_phi, 2 * np.pi - d_phi))
        other = ~np.eye(len(pt), dtype=bool)
        here = sums[start : start + len(pt)]
        for number, name in enumerate(KINDS):
            those = other & (kind == number)
            for radius in RADII:
                wanted = (those & (distance < radius)) @ pt
                np.testing.assert_allclose(here[:, NAMES[f"{name}_within_{radius:g}"]], wanted, atol=1e-9)
            shape = ((those & (distance < RADII[-1])) * np.square(pt / np.maximum(distance, 0.02))).sum(axis=1)
            np.testing.assert_allclose(here[:, NAMES[f"{name}_shape"]], shape, rtol=1e-9)
            np.testing.assert_allclose(here[:, NAMES[f"{name}_in_strip"]], (those & (d_eta < STRIP)) @ pt, atol=1e-9)
        start += len(pt)
    assert start == len(sums)
    assert (sums[:, NAMES["leading_within_0.4"]] > 0).any()


def brute(pt, eta, phi, kind):
    d_phi, d_eta = np.abs(phi[:, None] - phi), np.abs(eta[:, None] - eta)
    distance = np.hypot(d_eta, np.minimum(d_phi, 2 * np.pi - d_phi))
    result = np.zeros((len(pt), len(NAMES)))
    for number, name in enumerate(KINDS):
        those = ~np.eye(len(pt), dtype=bool) & (kind == number)
        for radius in RADII:
            result[:, NAMES[f"{name}_within_{radius:g}"]] = (those & (distance < radius)) @ pt
        shapes = (those & (distance < RADII[-1])) * np.square(pt / np.maximum(distance, 0.02))
        result[:, NAMES[f"{name}_shape"]] = shapes.sum(axis=1)
        result[:, NAMES[f"{name}_in_strip"]] = (those & (d_eta < STRIP)) @ pt
    return result


@pytest.mark.parametrize("spread", [1e-3, 0.3, 5.0, 15.0])
@pytest.mark.parametrize("n_kinds", [1, 4])
def test_dense_sparse_far_out_and_across_the_seam(spread, n_kinds):
    rng = np.random.default_rng(12)
    n = 400
    pt, eta = rng.exponential(2.0, n), np.clip(rng.normal(0.0, spread, n), -20, 20)
    phi = rng.normal(np.pi, min(spread, 2.0), n)
    phi = phi - 2 * np.pi * np.floor((phi + np.pi) / (2 * np.pi))
    which = rng.integers(4 - n_kinds, 4, n)
    events = crossing(pt, eta, phi, (which > 0).astype(int), np.array([-1, 0, 3, -1])[which])
    np.testing.assert_allclose(surroundings(events), brute(pt, eta, phi, which), rtol=1e-9, atol=1e-7)


def test_a_crossing_on_its_own_and_in_a_batch():
    events = toy_events(n_events=4, n_candidates=150)
    sums, start = surroundings(events), 0
    for i, n in enumerate(events.n_candidates):
        np.testing.assert_array_equal(surroundings(events[i : i + 1]), sums[start : start + n])
        start += n


def test_kinds():
    charge, vertex = np.array([0, 0, 1, -1, 1, 1]), np.array([0, -1, 0, 1, 57, -1])
    assert [KINDS[k] for k in kinds(charge, vertex)] == [
        "neutral", "neutral", "leading", "pileup", "pileup", "unassociated",
    ]  # fmt: skip


def test_phi_wraps_and_turns():
    events = crossing([1.0, 2.0], [0.3, 0.3], [np.pi - 0.02, -np.pi + 0.04])
    near, far = NAMES["neutral_within_0.1"], NAMES["neutral_within_0.05"]
    np.testing.assert_allclose(surroundings(events)[:, near], [2.0, 1.0])
    np.testing.assert_allclose(surroundings(events)[:, far], 0.0)
    np.testing.assert_allclose(surroundings(events)[:, NAMES["neutral_shape"]], [4 / 0.06**2, 1 / 0.06**2], rtol=1e-5)
    many = toy_events(n_events=1)
    c = many.candidates
    turned = crossing(*(flat(c[name]) for name in ("pt", "eta")), np.mod(flat(c.phi) + 2.0 + np.pi, 2 * np.pi) - np.pi,
                      flat(c.charge), flat(c.vertex))  # fmt: skip
    np.testing.assert_allclose(surroundings(turned), surroundings(many), rtol=1e-4, atol=1e-3)


def test_order_of_the_candidates_and_threads_do_not_matter():
    events = toy_events(n_events=5, n_candidates=200)
    order = ak.argsort(events.candidates.pt)
    shuffled = hs.from_candidates(**{name: events.candidates[name][order] for name in events.candidates.fields},
                                  n_vertices=events.n_vertices)  # fmt: skip
    place = flat(order + ak.Array(np.concatenate([[0], np.cumsum(events.n_candidates)[:-1]])))
    np.testing.assert_allclose(surroundings(shuffled), surroundings(events)[place], rtol=1e-9, atol=1e-9)
    before = threads()
    try:
        hs.set_threads(1)
        one = surroundings(events)
        hs.set_threads(3)
        np.testing.assert_array_equal(surroundings(events), one)
    finally:
        hs.set_threads(before)


@pytest.mark.parametrize("n", [0, 1])
def test_none_and_one(n):
    events = crossing(*(np.full(n, value) for value in (5.0, 1.0, 2.0)))
    assert surroundings(events).shape == (n, len(NAMES))
    assert not surroundings(events).any()
    assert features(events, SURROUNDINGS_SCHEMA)[0].shape == (n, len(SURROUNDINGS_SCHEMA))


def test_candidates_on_top_of_each_other():
    sums = surroundings(crossing([1.0, 3.0], [0.5, 0.5], [1.0, 1.0]))
    np.testing.assert_allclose(sums[:, NAMES["neutral_shape"]], [9 / 0.02**2, 1 / 0.02**2])


def test_features_hold_the_sums():
    events = toy_events()
    matrix, _ = features(events, SURROUNDINGS_SCHEMA)
    np.testing.assert_array_equal(matrix[:, : len(DEFAULT_SCHEMA)], features(events)[0])
    column = matrix[:, SURROUNDINGS_SCHEMA.names.index("leading_within_0.2")]
    wanted = np.arcsinh(surroundings(events)[:, NAMES["leading_within_0.2"]] / 0.3) / 3
    np.testing.assert_allclose(column, wanted, rtol=1e-6)
    changed = events.with_field("truth", ak.zip({"hard_fraction": ak.zeros_like(events.candidates.pt)}, depth_limit=1))
    np.testing.assert_array_equal(features(changed, SURROUNDINGS_SCHEMA)[0], matrix)


def test_the_shipped_schema_has_not_changed():
    """Shipped models carry this hash: a change of the columns is a new version and new models."""
    assert (SURROUNDINGS_SCHEMA.version, len(SURROUNDINGS_SCHEMA), SURROUNDINGS_SCHEMA.hash()) == (
        2,
        55,
        "ae25e3c43f322275",
    )
