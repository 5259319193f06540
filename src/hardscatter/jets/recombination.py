"""Sequential recombination by compiled loops: the jets of FastJet, in less time and on several events at once.

FastJet holds Python's lock and keeps the history of every event; this does neither. The sequence of joinings is the
same but for rounding: at each step the smallest of all d_ij = min(pt_i^2p, pt_j^2p) ΔR_ij² / R² and d_iB = pt_i^2p.

Each node (a particle, or what several were joined to) looks for the partner of its smallest d_ij among all that are
there when it is made; so of every pair at least the younger knows, and a heap of these d finds the smallest of all.
Where the partner is gone by then, d was but a lower bound, and the node looks again: for anti-kT that is rare. A
look goes through tiles from the middle outwards and leaves out those where nobody can be nearer. Of the particles, all
made at once, each need only know pairs in which its own pt^2p is the smaller; so they begin with their own tile, with
its edge as a lower bound, and most are joined to someone before they have to look further.

References
----------
M. Cacciari, G. P. Salam, G. Soyez, arXiv:0802.1189, eq. 1 (anti-kT), arXiv:1111.6097 (FastJet, tiles); M. Cacciari,
G. P. Salam, hep-ph/0512210 (nearest neighbours are enough).
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.threads import over_crossings

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_IN_A_TILE = 14.0  # particles, about, where R lets tiles be as large
_FARTHEST = 6  # tiles that R may reach
_SPARE = 3  # places of a tile beyond those that are taken at first

_BLOCK = np.array(
    sorted(
        itertools.product(range(-_FARTHEST, _FARTHEST + 1), repeat=2),
        key=lambda at: (max(abs(at[0]), abs(at[1])), at[0] ** 2 + at[1] ** 2),
    )
)
"""Rows and columns from the middle outwards, ring by ring: a block of any size is where it begins."""

# Columns of nodes (the particles, and what they are joined to) and, but for the momentum, of places. Scale is pt^2p.
_Y, _PHI, _SCALE, _PX, _PY, _PZ, _E = range(7)

_NOBODY = _GONE = -1
_UNKNOWN = -2
_ALMOST = 1.0 - 1e-9  # what rounding may take from a lower bound
_NO_D = 1e300
_EVERYTHING = 1000.0  # R that joins all particles into one tree
_ALONG_THE_BEAM = 1e5  # y of a particle without pt, as in FastJet


class Tiles(NamedTuple):
    """How the (y, φ) cylinder is tiled: rows of y, in each of them columns of φ."""

    rows: int
    columns: int
    lowest: float
    """y where the first row begins; rows at both ends take what lies beyond."""
    height: float
    width: float
    per_y: float
    per_phi: float
    """Tiles in a unit of y and of φ."""
    block: int
    """Tiles within R of a tile, itself included: so many of `_BLOCK`."""


def recombine(
    momenta: Floats, offsets: Whole, radius: float, min_pt: float, power: int = -1
) -> tuple[Floats, Whole, Whole, Whole]:
    """Cluster each event's particles.

    Parameters
    ----------
    momenta
        px, py, pz, E (GeV) of all particles, event after event, shape (4, particles); each with pt above 0.
    offsets
        Where each event starts, and the end.
    radius, min_pt
        R, and the least transverse momentum of a jet (GeV, included).
    power
        p: −1 (anti-kT), 0 (Cambridge/Aachen) or 1 (kT).

    Returns
    -------
    jets
        px, py, pz, E of all jets, event after event, in no order, shape (4, jets).
    n_jets
        Jets of each event.
    sizes
        Constituents of each jet.
    constituents
        Jet after jet, ascending: positions in the event's list of particles.
    """
    found: list[tuple[Floats, Whole, Whole]] = [_nothing()] * (len(offsets) - 1)

    def work(first: int, last: int) -> None:
        for event in range(first, last):
            found[event] = _cluster(momenta[:, offsets[event] : offsets[event + 1]], radius, min_pt, power)

    over_crossings(work, len(found))
    jets, sizes, members = zip(*(found or [_nothing()]), strict=True)
    n_jets = np.array([len(each) for each in sizes[: len(found)]], dtype=np.int64)
    return np.concatenate(jets, axis=1), n_jets, np.concatenate(sizes), np.concatenate(members)


def soft_drop(momenta: Floats, offsets: Whole, beta: float, z_cut: float, radius: float) -> Floats:
    """Recluster each list of particles into one Cambridge/Aachen tree and groom it by soft drop.

    Parameters
    ----------
    momenta, offsets
        As for `recombine`, no list empty.
    beta, z_cut, radius
        Parameters of the soft-drop condition.

    Returns
    -------
    numpy.ndarray
        px, py, pz, E of the groomed jet (GeV), z_g and ΔR of the splitting that passed, 0 where none did; shape
        (6, jets).
    """
    groomed = np.zeros((6, len(offsets) - 1))

    def work(first: int, last: int) -> None:
        for jet in range(first, last):
            groomed[:, jet] = _groom(momenta[:, offsets[jet] : offsets[jet + 1]], beta, z_cut, radius)

    over_crossings(work, len(offsets) - 1)
    return groomed


def _nothing() -> tuple[Floats, Whole, Whole]:
    return np.zeros((4, 0)), np.zeros(0, dtype=np.int64), np.zeros(0, dtype=np.int64)


@kernel
def _cluster(particles: Floats, radius: float, min_pt: float, power: int) -> tuple[Floats, Whole, Whole]:
    """Return momenta and sizes of the jets of one event, and their constituents."""
    n = particles.shape[1]
    nodes = _nodes(particles, power)
    roots, joined_to = _join_all(nodes, n, radius, power)
    kept = roots[nodes[roots, _PX] ** 2 + nodes[roots, _PY] ** 2 >= min_pt * min_pt]
    sizes, members = _constituents(kept, joined_to, n)
    return nodes[kept, _PX:].T, sizes, members


@kernel
def _nodes(particles: Floats, power: int) -> Floats:
    """Return the table of the particles, with room for what they are joined to."""
    n = particles.shape[1]
    nodes = np.empty((2 * n, 7))
    nodes[:n, _PX:] = particles.T
    for i in range(n):
        _complete(nodes, i, power)
    return nodes


@kernel
def _complete(nodes: Floats, i: int, power: int) -> None:
    """Work out y, φ in [0, 2π) and pt^2p of a momentum, as FastJet does."""
    px, py, pz, energy = nodes[i, _PX], nodes[i, _PY], nodes[i, _PZ], nodes[i, _E]
    pt2 = px * px + py * py
    size2 = pt2 + max((energy + pz) * (energy - pz) - pt2, 0.0)
    y = -0.5 * math.log(size2 / (energy + abs(pz)) ** 2) if size2 > 0.0 else _ALONG_THE_BEAM + abs(pz)
    phi = math.atan2(py, px)
    if phi < 0.0:
        phi += 2.0 * math.pi
    nodes[i, _Y], nodes[i, _PHI] = math.copysign(y, pz) if pz != 0.0 else y, phi
    if power < 0:
        nodes[i, _SCALE] = 1.0 / pt2 if pt2 > 1.0 / _NO_D else _NO_D
    else:
        nodes[i, _SCALE] = pt2 if power > 0 else 1.0


@kernel
def _join_all(nodes: Floats, n: int, radius: float, power: int) -> tuple[Whole, Whole]:
    """Join the n particles to jets of any pt: the last node of each, and what each node is joined to."""
    radius2 = radius * radius
    partner, joined_to = np.empty(2 * n, dtype=np.int64), np.full(2 * n, _NOBODY)
    place_of = np.full(2 * n, _GONE)
    place_of[:n] = 0  # somewhere
    lowest, highest = (nodes[:n, _Y].min(), nodes[:n, _Y].max()) if n > 0 else (0.0, 0.0)
    tiles = _tiles(lowest, highest, n, radius)
    places, standing, begin, count, hardest = _lay_out(nodes, place_of, n, tiles)
    keys, heap = np.empty(n), np.arange(n)
    for i in range(n):
        keys[i], partner[i] = _look(places, standing, begin, count, hardest, tiles, 1, place_of[i], radius2)
        beyond = _ALMOST * _to_the_edge(tiles, nodes[i, _Y], nodes[i, _PHI]) ** 2 * nodes[i, _SCALE]
        if beyond < keys[i]:
            keys[i], partner[i] = beyond, _UNKNOWN
    for at in range(n // 2 - 1, -1, -1):
        _sink(keys, heap, n, at, keys[at], heap[at])

    roots, n_roots = np.empty(n, dtype=np.int64), 0
    n_nodes = n_left = n_laid_out = n_heap = n
    while n_left > 0:
        node, other = heap[0], partner[heap[0]]
        gone = place_of[node] == _GONE
        if gone or other == _NOBODY:
            if not gone:  # nearest to the beam
                _leave(places, standing, begin, count, place_of, node, _tile(tiles, nodes[node, _Y], nodes[node, _PHI]))
                roots[n_roots] = node
                n_roots, n_left = n_roots + 1, n_left - 1
            n_heap -= 1
            if n_heap > 0:
                _sink(keys, heap, n_heap, 0, keys[n_heap], heap[n_heap])
            continue
        if other != _UNKNOWN and place_of[other] != _GONE:
            for part in (node, other):
                _leave(places, standing, begin, count, place_of, part, _tile(tiles, nodes[part, _Y], nodes[part, _PHI]))
                joined_to[part] = n_nodes
            for column in range(_PX, _E + 1):
                nodes[n_nodes, column] = nodes[node, column] + nodes[other, column]
            node, n_nodes, n_left = n_nodes, n_nodes + 1, n_left - 1
            _complete(nodes, node, power)
            tile = _tile(tiles, nodes[node, _Y], nodes[node, _PHI])
            if begin[tile] + count[tile] == begin[tile + 1] or 2 * n_left < n_laid_out:
                place_of[node] = 0  # somewhere
                tiles = _tiles(lowest, highest, n_left, radius)
                places, standing, begin, count, hardest = _lay_out(nodes, place_of, n_nodes, tiles)
                n_laid_out = n_left
            else:
                place_of[node] = _enter(places, standing, begin, count, hardest, nodes, node, tile)
        # Someone new, or someone whose partner is not known or gone.
        key, partner[node] = _look(places, standing, begin, count, hardest, tiles, tiles.block, place_of[node], radius2)
        _sink(keys, heap, n_heap, 0, key, node)
    return roots[:n_roots], joined_to[:n_nodes]


@kernel
def _tiles(lowest: float, highest: float, n: int, radius: float) -> Tiles:
    """Return tiles for n particles."""
    height = max(highest - lowest, 1e-3)
    side = max(math.sqrt(2.0 * math.pi * height * _IN_A_TILE / max(n, 1)), radius / _FARTHEST)
    columns = max(int(2.0 * math.pi / side), 1)
    reach = math.ceil(radius / min(side, 2.0 * math.pi / columns))
    if 2 * reach + 1 > columns:  # a block would meet itself on the other side, unless it is one of copies
        reach, columns, side = 1, 3 if 3.0 * radius <= 2.0 * math.pi else 1, max(side, radius)
    rows = max(int(height / side), 1)
    return Tiles(
        rows, columns, lowest, height / rows, 2.0 * math.pi / columns, rows / height, columns / (2.0 * math.pi),
        (2 * reach + 1) ** 2,
    )  # fmt: skip


@kernel
def _row(tiles: Tiles, y: float) -> int:
    return min(max(int((y - tiles.lowest) * tiles.per_y), 0), tiles.rows - 1)


@kernel
def _column(tiles: Tiles, phi: float) -> int:
    return min(int(phi * tiles.per_phi), tiles.columns - 1)


@kernel
def _tile(tiles: Tiles, y: float, phi: float) -> int:
    return _row(tiles, y) * tiles.columns + _column(tiles, phi)


@kernel
def _to_the_edge(tiles: Tiles, y: float, phi: float) -> float:
    """Return how far it is to the next tile."""
    below, left = y - tiles.lowest - _row(tiles, y) * tiles.height, phi - _column(tiles, phi) * tiles.width
    return max(min(below, tiles.height - below, left, tiles.width - left), 0.0)


@kernel
def _lay_out(nodes: Floats, place_of: Whole, n: int, tiles: Tiles) -> tuple[Floats, Whole, Whole, Whole, Floats]:
    """Give everyone of the first n nodes who is not gone a place in its tile.

    Returns y, φ and pt^2p of whoever stands at each place, who that is, the first place of each tile and the number
    of all at the end, how many stand in each tile, and the least pt^2p of those who ever did.
    """
    tile_of, count = np.empty(n, dtype=np.int64), np.zeros(tiles.rows * tiles.columns, dtype=np.int64)
    for i in range(n):
        if place_of[i] != _GONE:
            tile_of[i] = _tile(tiles, nodes[i, _Y], nodes[i, _PHI])
            count[tile_of[i]] += 1
    begin = np.zeros(len(count) + 1, dtype=np.int64)
    begin[1:] = np.cumsum(count + _SPARE)
    places, standing = np.empty((begin[-1], 3)), np.empty(begin[-1], dtype=np.int64)
    count[:] = 0
    hardest = np.full(len(count), _NO_D)
    for i in range(n):
        if place_of[i] != _GONE:
            place_of[i] = _enter(places, standing, begin, count, hardest, nodes, i, tile_of[i])
    return places, standing, begin, count, hardest


@kernel
def _enter(
    places: Floats, standing: Whole, begin: Whole, count: Whole, hardest: Floats, nodes: Floats, node: int, tile: int
) -> int:
    """Let a node stand in a tile, which has room; return its place."""
    place = begin[tile] + count[tile]
    places[place, _Y], places[place, _PHI], places[place, _SCALE] = (
        nodes[node, _Y], nodes[node, _PHI], nodes[node, _SCALE]
    )  # fmt: skip
    standing[place] = node
    count[tile] += 1
    hardest[tile] = min(hardest[tile], nodes[node, _SCALE])
    return int(place)


@kernel
def _leave(places: Floats, standing: Whole, begin: Whole, count: Whole, place_of: Whole, node: int, tile: int) -> None:
    """Take a node off its tile; the last one there takes its place."""
    count[tile] -= 1
    place, last = place_of[node], begin[tile] + count[tile]
    places[place, _Y], places[place, _PHI], places[place, _SCALE] = (
        places[last, _Y], places[last, _PHI], places[last, _SCALE]
    )  # fmt: skip
    standing[place] = standing[last]
    place_of[standing[last]] = place
    place_of[node] = _GONE


@kernel
def _look(
    places: Floats, standing: Whole, begin: Whole, count: Whole, hardest: Floats, tiles: Tiles, block: int,
    own: int, radius2: float,
) -> tuple[float, int]:  # fmt: skip
    """Return the smallest d of whoever stands at place `own`, times R², and with whom; `_NOBODY` is the beam."""
    y, phi, scale = places[own, _Y], places[own, _PHI], places[own, _SCALE]
    row, column = _row(tiles, y), _column(tiles, phi)
    best, partner = _NO_D, _NOBODY
    for k in range(block):
        there = row + _BLOCK[k, 0]
        if not 0 <= there < tiles.rows:
            continue
        gap_y, gap_phi = 0.0, 0.0
        if there > row:
            gap_y = tiles.lowest + there * tiles.height - y
        elif there < row:
            gap_y = y - (tiles.lowest + (there + 1) * tiles.height)
        beside = column + _BLOCK[k, 1]
        if beside > column:
            gap_phi = beside * tiles.width - phi
        elif beside < column:
            gap_phi = phi - (beside + 1) * tiles.width
        turned_phi = phi
        if beside < 0:
            beside, turned_phi = beside + tiles.columns, phi + 2.0 * math.pi
        elif beside >= tiles.columns:
            beside, turned_phi = beside - tiles.columns, phi - 2.0 * math.pi
        tile = there * tiles.columns + beside
        gap2 = _ALMOST * (gap_y * gap_y + gap_phi * gap_phi)
        if gap2 >= radius2 or gap2 * min(hardest[tile], scale) >= best:
            continue
        for other in range(begin[tile], begin[tile] + count[tile]):
            dy, dphi = places[other, _Y] - y, places[other, _PHI] - turned_phi
            distance2 = dy * dy + dphi * dphi
            d = distance2 * min(places[other, _SCALE], scale)
            if d < best and distance2 < radius2 and other != own:
                best, partner = d, standing[other]
    return (best, partner) if partner != _NOBODY else (radius2 * scale, _NOBODY)


@kernel
def _sink(keys: Floats, heap: Whole, n: int, at: int, key: float, node: int) -> None:
    """Let a node with its key sink from a place of the heap to where it belongs."""
    while 2 * at + 1 < n:
        below = 2 * at + 1
        if below + 1 < n and keys[below + 1] < keys[below]:
            below += 1
        if keys[below] >= key:
            break
        keys[at], heap[at] = keys[below], heap[below]
        at = below
    keys[at], heap[at] = key, node


@kernel
def _constituents(jets: Whole, joined_to: Whole, n: int) -> tuple[Whole, Whole]:
    """Return how many of the n particles are in each jet, and which, jet after jet."""
    jet_of = np.full(len(joined_to), _NOBODY)
    jet_of[jets] = np.arange(len(jets))
    sizes = np.zeros(len(jets), dtype=np.int64)
    for node in range(len(joined_to) - 1, -1, -1):
        if joined_to[node] != _NOBODY:
            jet_of[node] = jet_of[joined_to[node]]
        if node < n and jet_of[node] != _NOBODY:
            sizes[jet_of[node]] += 1
    places = np.cumsum(sizes) - sizes
    members = np.empty(sizes.sum(), dtype=np.int64)
    for particle in range(n):
        jet = jet_of[particle]
        if jet != _NOBODY:
            members[places[jet]] = particle
            places[jet] += 1
    return sizes, members


@kernel
def _groom(
    particles: Floats, beta: float, z_cut: float, radius: float
) -> tuple[float, float, float, float, float, float]:
    """Go down the tree along the harder branch until a splitting fulfils the condition."""
    nodes = _nodes(particles, 0)
    roots, joined_to = _join_all(nodes, particles.shape[1], _EVERYTHING, 0)
    parts = np.full((len(joined_to), 2), _NOBODY)
    for node in range(len(joined_to)):
        if joined_to[node] != _NOBODY:
            parts[joined_to[node], 1] = parts[joined_to[node], 0]
            parts[joined_to[node], 0] = node
    node, z, distance = roots[0], 0.0, 0.0
    while parts[node, 0] != _NOBODY:
        pts = np.hypot(nodes[parts[node], _PX], nodes[parts[node], _PY])
        harder, softer = np.argmax(pts), np.argmin(pts)
        dphi = abs(nodes[parts[node, 0], _PHI] - nodes[parts[node, 1], _PHI])
        distance = math.hypot(nodes[parts[node, 0], _Y] - nodes[parts[node, 1], _Y], min(dphi, 2.0 * math.pi - dphi))
        z = pts[softer] / (pts[0] + pts[1])
        collinear = distance == 0.0 and beta < 0.0  # an infinite threshold, which nothing passes
        if not collinear and z > z_cut * (distance / radius) ** beta:
            break
        node, z, distance = parts[node, harder], 0.0, 0.0
    return nodes[node, _PX], nodes[node, _PY], nodes[node, _PZ], nodes[node, _E], z, distance
