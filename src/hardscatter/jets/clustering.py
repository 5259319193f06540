"""Jets from weighted candidates, with active areas."""

from __future__ import annotations

from typing import Any, NamedTuple

import awkward as ak
import numpy as np
from awkward.contents import ListOffsetArray, NumpyArray, RecordArray
from awkward.index import Index64
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.events import Events, flat, offsets_of
from hardscatter.jets.fastjet_adapter import checked_definition, inclusive_jets
from hardscatter.jets.momenta import MOMENTUM, Columns, four_momenta, kinematics, weighted_candidates
from hardscatter.jets.recombination import recombine

GHOST_REACH = 5.0
"""Ghosts cover |y| < 5: the area of a jet nearer than its radius to that edge is too small."""

_POWERS = {"antikt": -1, "cambridge": 0, "kt": 1}
_GHOST_PT = 1e-50
_GHOST_SEED = 20140523


def cluster(
    events: Events,
    weights: Any = None,
    *,
    radius: float = 0.4,
    min_pt: float = 15.0,
    massless: bool = True,
    algorithm: str = "antikt",
    ghost_area: float | None = None,
) -> ak.Array:
    """Cluster each event's candidates, scaled by their weights, into jets.

    Each candidate enters with w · (px, py, pz, E), those of weight 0 not at all. With p = −1 (anti-kT), 0
    (Cambridge/Aachen) or 1 (kT) the pair with the smallest distance is joined by adding four-momenta, and a
    particle closest to the beam becomes a jet::

        d_ij = min(pt_i^2p, pt_j^2p) · (Δy_ij² + Δφ_ij²) / R²,    d_iB = pt_i^2p

    Parameters
    ----------
    events
        Any events, sliced or masked ones and such without candidates too.
    weights
        Jagged, in [0, 1], aligned with the candidates. None means 1 for all.
    radius
        R, above 0.
    min_pt
        Lowest transverse momentum of a jet (GeV, ≥ 0, included).
    massless
        Use E = |p| = pt cosh(eta) (the definition of the resolutions), else the candidates' energy.
    algorithm
        ``"antikt"``, ``"cambridge"`` or ``"kt"``.
    ghost_area
        If given, in [0.0001, 1], the active area of each jet is measured with ghosts of about that area; 0.01
        is usual. Slow: FastJet then clusters, one event at a time, several times as many particles.

    Returns
    -------
    ak.Array
        Events × jets, highest transverse momentum first: ``pt`` (GeV), ``eta``, ``phi`` (rad, [−π, π)),
        ``mass`` (GeV, ≥ 0), ``constituents`` (ascending positions among the event's candidates) and, with
        `ghost_area`, ``area`` (in rapidity and azimuth). Numbers are float64.

    Raises
    ------
    InvalidEventsError
        If the weights are not aligned with the candidates or lie outside [0, 1].
    SettingsError
        If a radius, momentum, area or algorithm makes no sense.

    References
    ----------
    Anti-kT: M. Cacciari, G. P. Salam, G. Soyez, arXiv:0802.1189, eq. 1. FastJet: arXiv:1111.6097.
    """
    momenta, offsets, position = weighted_candidates(events, weights, massless)
    found = _found(momenta, offsets, radius, min_pt, algorithm, ghost_area)
    shift = np.repeat(np.repeat(offsets[:-1], found.n_jets), found.sizes)
    return _by_pt(found._replace(constituents=position[shift + found.constituents]))


def cluster_momenta(
    momenta: ak.Array,
    *,
    radius: float = 0.4,
    min_pt: float = 15.0,
    algorithm: str = "antikt",
    ghost_area: float | None = None,
) -> ak.Array:
    """Cluster any particles, such as those of a generator, given by their four-momenta.

    Parameters
    ----------
    momenta
        Jagged records of ``px``, ``py``, ``pz``, ``E`` (GeV), events × particles, each with a transverse
        momentum above 0.
    radius, min_pt, algorithm, ghost_area
        As for `cluster`.

    Returns
    -------
    ak.Array
        Jets as `cluster` returns them; ``constituents`` are positions in the event's list of particles.
    """
    columns = {name: flat(momenta[name], np.float64) for name in MOMENTUM}
    return _by_pt(_found(columns, offsets_of(momenta["px"]), radius, min_pt, algorithm, ghost_area))


class _Found(NamedTuple):
    """Jets of all events, one after the other, in no order."""

    momenta: Columns
    n_jets: NDArray[np.int64]
    sizes: NDArray[np.int64]
    constituents: NDArray[np.int64]
    """Positions in the event's list, jet after jet, ascending."""
    area: NDArray[np.float64] | None


def _found(
    momenta: Columns, offsets: NDArray[np.int64], radius: float, min_pt: float, algorithm: str, ghost_area: float | None
) -> _Found:
    """Cluster flat particles: with our own loops if these can, else with FastJet."""
    checked_definition(radius, min_pt, algorithm)
    if ghost_area is None:
        together = np.stack([momenta[name] for name in MOMENTUM])
        jets, n_jets, sizes, members = recombine(together, offsets, radius, min_pt, _POWERS[algorithm])
        return _Found(dict(zip(MOMENTUM, jets, strict=True)), n_jets, sizes, members, None)
    ghosts, area_of_one = _ghosts(ghost_area)
    n_particles = np.diff(offsets)
    found, nested = inclusive_jets(ak.unflatten(ak.zip(momenta), n_particles), radius, min_pt, algorithm, ghosts)
    real = nested < n_particles
    inside = ak.num(nested[real], axis=2)
    some = inside > 0  # with min_pt 0 some jets hold ghosts only
    area = flat(ak.sum(~real, axis=2)[some], np.float64) * area_of_one
    members = ak.to_numpy(ak.flatten(ak.sort(nested[real], axis=2), axis=None))
    kept = {name: column[flat(some)] for name, column in found.items()}
    return _Found(kept, ak.to_numpy(ak.sum(some, axis=1)), flat(inside[some], np.int64), members, area)


def _by_pt(found: _Found) -> ak.Array:
    """Return jets as records, those of the highest transverse momentum first in each event."""
    fields = kinematics(found.momenta)
    if found.area is not None:
        fields["area"] = found.area
    order = np.lexsort((-fields["pt"], np.repeat(np.arange(len(found.n_jets)), found.n_jets)))
    sizes, first = found.sizes[order], (np.cumsum(found.sizes) - found.sizes)[order]
    start = np.cumsum(sizes) - sizes
    members = found.constituents[np.repeat(first - start, sizes) + np.arange(sizes.sum())]
    contents = {name: NumpyArray(column[order]) for name, column in fields.items()}
    contents["constituents"] = _lists(sizes, NumpyArray(members))
    names = ("pt", "eta", "phi", "mass", "constituents", "area")[: len(contents)]
    return ak.Array(_lists(found.n_jets, RecordArray([contents[name] for name in names], names)))


def _lists(sizes: NDArray[np.int64], content: Any) -> Any:
    """Return a layout of lists of these sizes."""
    return ListOffsetArray(Index64(np.concatenate(([0], np.cumsum(sizes)))), content)


def subtract_area(jets: ak.Array, rho: Any) -> ak.Array:
    """Take the pileup that is expected inside each jet's area off its momentum.

    ``pt → pt − rho · area``; the mass is scaled by the same factor and the direction is kept, so that the
    four-momentum shrinks as a whole.

    Parameters
    ----------
    jets
        Jets from `cluster` with `ghost_area` set.
    rho
        Transverse momentum density of each event, shape (events,): GeV per unit of rapidity and azimuth, ≥ 0.

    Returns
    -------
    ak.Array
        The same fields, sorted again; jets left with pt ≤ 0 are gone.

    Raises
    ------
    SettingsError
        If the jets have no area.
    InvalidEventsError
        If `rho` is not one finite number ≥ 0 for each event.

    References
    ----------
    M. Cacciari, G. P. Salam, arXiv:0707.1378, with the scalar area.
    """
    if "area" not in jets.fields:
        raise SettingsError("jets have no area: cluster them with ghost_area=0.01.")
    density = np.asarray(rho, dtype=np.float64)
    if density.shape != (len(jets),) or not np.all(np.isfinite(density) & (density >= 0)):
        raise InvalidEventsError(f"rho must be one finite number of at least 0 GeV for each of the {len(jets)} events.")
    left = jets["pt"] - density * jets["area"]
    shrunk = ak.with_field(jets, jets["mass"] * left / jets["pt"], "mass")
    return sort_by_pt(ak.with_field(shrunk, left, "pt")[left > 0])


def sort_by_pt(jets: ak.Array) -> ak.Array:
    """Return the jets of each event with the highest transverse momentum first."""
    return jets[ak.argsort(jets["pt"], axis=1, ascending=False, stable=True)]


def _ghosts(ghost_area: float) -> tuple[dict[str, NDArray[np.float64]], float]:
    """Return ghosts, one in each cell of a (y, φ) grid, and the area of a cell.

    A ghost stands at random in its cell, drawn once from a fixed seed: every event gets the same ones, so
    areas depend neither on the order of events nor on the batch.
    """
    if not 1e-4 <= ghost_area <= 1:
        raise SettingsError(f"ghost_area is {ghost_area}: it must lie in [0.0001, 1]; 0.01 is usual.")
    side = float(np.sqrt(ghost_area))
    n_y, n_phi = round(2 * GHOST_REACH / side), round(2 * np.pi / side)
    within = np.random.default_rng(_GHOST_SEED).uniform(size=(2, n_y, n_phi))
    y = -GHOST_REACH + 2 * GHOST_REACH * (np.arange(n_y)[:, np.newaxis] + within[0]) / n_y
    phi = -np.pi + 2 * np.pi * (np.arange(n_phi) + within[1]) / n_phi
    momenta = four_momenta(np.full(y.size, _GHOST_PT), y.ravel(), phi.ravel())
    return momenta, 2 * GHOST_REACH * 2 * np.pi / (n_y * n_phi)
