"""Neighbours, and what is made of them, against SciPy's tree and plain NumPy.

- The k nearest of every candidate, against `scipy.spatial.cKDTree` over candidates that are there three times, 2π
  apart in phi: the usual way to wrap. (Its own `boxsize` wraps too and takes as long.) Both begin with jagged events
  and end with an index array; SciPy runs on one core.
- All pairs within PUPPI's cone, against `cKDTree.query_ball_point`. Points are flat already in both. SciPy makes one
  Python list a candidate: that is part of its answer, and of its time.
- Surroundings and features, against NumPy: candidates in the order of eta, 256 at a time, their distances to all that
  are near in eta, the sums as products of matrices. A finer grid in NumPy would need a loop over its cells. Its
  linear algebra may use as many threads as it likes: set OMP_NUM_THREADS=1 for one.

Answers are compared once, when the cases are made. Cases with a target are timed over eight crossings, as users run
them; those against plain NumPy over one.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

import hardscatter as hs
from benchmarks.crossings import crossings
from benchmarks.harness import Case
from hardscatter.events import flat, offsets_of
from hardscatter.geometry import neighbours_within
from hardscatter.pileup.features import SURROUNDINGS_SCHEMA, features
from hardscatter.pileup.links import Nearest, links_of
from hardscatter.pileup.surroundings import KINDS, NAMES, RADII, STRIP, kinds, surroundings

_CONE = 0.4
_ROWS = 256
_TREE, _NUMPY = "scipy cKDTree, three copies in phi", "NumPy, chunks of a distance matrix along eta"


def cases() -> Iterator[Case]:
    """Yield the cases; raise if a peer's answer is another."""
    events, one = crossings(8), crossings(8)[:1]
    try:
        from scipy.spatial import cKDTree  # noqa: F401
    except ImportError:
        print("neighbours: SciPy is not installed; its tree is left out.")
    else:
        for k, target in ((20, 6.0), (16, None)):
            yield _nearest(events, k, target)
        yield _pairs(events)
    yield Case("surroundings", lambda: surroundings(events), per_call=len(events), target=6.0)
    yield Case("features", lambda: features(events, SURROUNDINGS_SCHEMA), per_call=len(events), target=9.0)
    _require("surroundings", np.allclose(surroundings(one), _surroundings(one), rtol=1e-9, atol=1e-7))
    yield Case("surroundings, one crossing", lambda: surroundings(one), lambda: _surroundings(one), _NUMPY, repeats=3)
    ours, peer = features(one, SURROUNDINGS_SCHEMA)[0], _features(one)
    _require("features", np.allclose(ours, peer, rtol=1e-6, atol=1e-6))
    yield Case(
        "features, one crossing", lambda: features(one, SURROUNDINGS_SCHEMA), lambda: _features(one), _NUMPY, repeats=3,
        note="The peer makes the columns of the surroundings only.",
    )  # fmt: skip


def _require(name: str, same: bool) -> None:
    if not same:
        raise RuntimeError(f"neighbours: {name}: the peer's answer is another.")


def _points(events: hs.Events) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.int64]]:
    candidates = events.candidates
    return flat(candidates.eta, np.float64), flat(candidates.phi, np.float64), offsets_of(candidates.pt)


def _tree(eta: NDArray[np.float64], phi: NDArray[np.float64]) -> object:
    from scipy.spatial import cKDTree

    copies = [np.stack([eta, phi + turn], axis=1) for turn in (0.0, 2 * np.pi, -2 * np.pi)]
    return cKDTree(np.concatenate(copies))


def _nearest(events: hs.Events, k: int, target: float | None) -> Case:
    def peer() -> NDArray[np.int64]:
        eta, phi, offsets = _points(events)
        found = []
        for a, b in pairwise(offsets):
            here = np.stack([eta[a:b], phi[a:b]], axis=1)
            _, index = _tree(eta[a:b], phi[a:b]).query(here, k + 1)
            found.append(a + index[:, 1:] % (b - a))
        return np.concatenate(found)

    links = Nearest(k=k)
    ours, theirs = links_of(events, links), peer()
    eta, phi, _ = _points(events)
    distances = [hs.geometry.delta_r(eta[:, None], phi[:, None], eta[found], phi[found]) for found in (ours, theirs)]
    # Of two that are equally far SciPy may name either first, and of two in one place the candidate itself.
    _require(f"nearest {k}", np.allclose(*distances, atol=1e-7) and (ours == theirs).mean() > 0.999)
    return Case(
        f"nearest, k = {k}",
        lambda: links_of(events, links),
        peer,
        _TREE,
        per_call=len(events),
        target=target,
        repeats=7,
    )


def _pairs(events: hs.Events) -> Case:
    eta, phi, offsets = _points(events[:1])

    def ours() -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return neighbours_within(eta, phi, eta, phi, _CONE)

    def peer() -> NDArray[np.object_]:
        return _tree(eta, phi).query_ball_point(np.stack([eta, phi], axis=1), _CONE)

    starts, found = ours()
    n = int(offsets[-1])
    theirs = peer()
    same = [np.array_equal(np.sort(np.array(theirs[i]) % n), found[starts[i] : starts[i + 1]]) for i in range(n)]
    _require("pairs", all(same))
    return Case("pairs within 0.4", ours, peer, _TREE)


def _surroundings(events: hs.Events) -> NDArray[np.float64]:
    all_eta, all_phi, offsets = _points(events)
    all_pt = flat(events.candidates.pt, np.float64)
    all_kinds = kinds(flat(events.candidates.charge), flat(events.candidates.vertex))
    result = np.zeros((len(all_eta), len(NAMES)))
    for first, last in pairwise(offsets):
        order = first + np.argsort(all_eta[first:last])
        eta, phi = all_eta[order], all_phi[order]
        pt = all_pt[order, None] * (all_kinds[order, None] == np.arange(len(KINDS)))
        for start in range(0, len(order), _ROWS):
            rows = np.arange(start, min(start + _ROWS, len(order)))
            a, b = np.searchsorted(eta, [eta[rows[0]] - STRIP, eta[rows[-1]] + STRIP])
            d_eta = np.abs(eta[rows, None] - eta[a:b])
            d_phi = np.abs(phi[rows, None] - phi[a:b])
            separation2 = np.square(d_eta) + np.square(np.minimum(d_phi, 2 * np.pi - d_phi))
            d_eta[rows - start, rows - a] = separation2[rows - start, rows - a] = np.inf  # itself
            cones = np.stack([(separation2 < r * r).astype(np.float64) @ pt[a:b] for r in RADII], axis=2)
            inverse = np.where(separation2 < RADII[-1] ** 2, 1 / np.maximum(separation2, 0.02**2), 0.0)
            sums = [cones.reshape(len(rows), -1), inverse @ np.square(pt[a:b]), (d_eta < STRIP) @ pt[a:b]]
            result[order[rows]] = np.concatenate(sums, axis=1)
    return result


def _features(events: hs.Events) -> NDArray[np.float32]:
    sums = _surroundings(events)
    matrix = features(events, SURROUNDINGS_SCHEMA)[0].copy()
    for i, column in enumerate(SURROUNDINGS_SCHEMA.columns):
        if column.source in NAMES:
            x = np.arcsinh(sums[:, NAMES[column.source]] / column.unit)
            matrix[:, i] = np.clip((x - column.offset) / column.scale, -column.limit, column.limit)
    return matrix
