"""Whom a network lets a candidate look at: each kind of links finds what its kernel finds, and travels as JSON."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.events import flat, offsets_of
from hardscatter.geometry import NO_NEIGHBOUR, nearest
from hardscatter.geometry.angles import delta_r
from hardscatter.geometry.pixels import pixel_patches
from hardscatter.geometry.sequence import kmeans_sequence, pt_sequence, windows
from hardscatter.pileup.chs import settled_by_vertex
from hardscatter.pileup.links import Nearest, Pixels, Window, links_from_json, links_of, links_to_json
from helpers import toy_events

EVERY = [
    Nearest(k=5), Nearest(k=5, radius=0.3), Window(reach=3, n_global=2), Window(order="pt", reach=2), Pixels(reach=1),
]  # fmt: skip


def columns(events):
    return [flat(events.candidates[name], np.float64) for name in ("eta", "phi", "pt")]


@pytest.mark.parametrize("links", EVERY, ids=str)
def test_links_survive_json_stay_in_their_crossing_and_have_their_width(links):
    assert links_from_json(links_to_json(links)) == links
    events = toy_events(3, 80)
    found, offsets = links_of(events, links), offsets_of(events.candidates.pt)
    assert found.shape == (offsets[-1], links.width)
    assert found.dtype == np.int64
    crossing = np.repeat(np.arange(3), np.diff(offsets))
    there = found != NO_NEIGHBOUR
    assert there.any()
    np.testing.assert_array_equal(crossing[found[there]], np.broadcast_to(crossing[:, None], found.shape)[there])


@pytest.mark.parametrize("links", EVERY, ids=str)
@pytest.mark.parametrize("counts", [(), (0,), (1,), (0, 1, 0)], ids=str)
def test_links_of_hardly_anybody(links, counts):
    n = sum(counts)
    ones = ak.unflatten(np.ones(n), np.array(counts, dtype=np.int64))
    events = hs.from_candidates(pt=ones, eta=ones, phi=ones, energy=ones * 3, charge=ones * 0, vertex=ones * 0 - 1)
    found = links_of(events, links)
    assert found.shape == (n, links.width)
    assert set(np.unique(found)) <= {NO_NEIGHBOUR, 0}


def test_links_are_those_of_their_kernels():
    events = toy_events(3, 80)
    eta, phi, pt = columns(events)
    offsets = offsets_of(events.candidates.pt)
    np.testing.assert_array_equal(links_of(events, Nearest(k=5)), nearest(eta, phi, offsets, 5))
    by_cluster = windows(kmeans_sequence(eta, phi, pt, offsets, size=32), offsets, 3, 1, 2)
    np.testing.assert_array_equal(links_of(events, Window(reach=3, n_global=2)), by_cluster)
    np.testing.assert_array_equal(
        links_of(events, Window(order="pt", reach=2)), windows(pt_sequence(pt, offsets), offsets, 2)
    )
    np.testing.assert_array_equal(links_of(events, Pixels(reach=1)), pixel_patches(eta, phi, pt, offsets, 64, 1))


def test_a_radius_leaves_out_who_is_further_away_and_nobody_else():
    events = toy_events(2, 200)
    eta, phi, _ = columns(events)
    every, near = links_of(events, Nearest(k=6)), links_of(events, Nearest(k=6, radius=0.3))
    distance = delta_r(eta[every], phi[every], eta[:, None], phi[:, None])
    np.testing.assert_array_equal(near, np.where(distance < 0.3, every, NO_NEIGHBOUR))
    assert (near == NO_NEIGHBOUR).any()
    assert (near != NO_NEIGHBOUR).any()


@pytest.mark.parametrize("text", ['{"kind": "friends"}', '{"kind": "nearest", "k": 0}', '{"kind": "window", "k": 3}'])
def test_links_that_nobody_knows_are_refused(text):
    with pytest.raises(ValidationError):
        links_from_json(text)


def test_a_vertex_settles_charged_candidates_alone():
    one = ak.Array([[1.0, 1.0, 1.0, 1.0], []])
    events = hs.from_candidates(
        pt=one, eta=one, phi=one, energy=3 * one, charge=[[1, -1, 1, 0], []], vertex=[[0, 4, -1, -1], []]
    )
    settled = settled_by_vertex(events, ak.Array([[0.25, 0.25, 0.25, 0.75], []]))
    assert settled.tolist() == [[1.0, 0.0, 0.25, 0.75], []]
    assert flat(settled).dtype == np.float32
