"""Methods that act on a jet and its constituents, ghosts and the tracks of pileup included, not on the crossing.

Jets are clustered after charged-hadron subtraction: charged pileup goes in 10⁶⁰ times softer, so it changes nothing
and its place is known; ghosts, a regular grid with a random place in each cell, show the area. What each method takes
from a jet is written with ρ, the median density of the crossing, and f(y), how it depends on rapidity.
"""

from __future__ import annotations

from dataclasses import dataclass as plain_dataclass
from typing import Protocol, runtime_checkable

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.compiled import kernel
from hardscatter.events import Events, flat, offsets_of
from hardscatter.geometry.neighbours import distance2
from hardscatter.geometry.tiles import Background, Tiles, grid_median
from hardscatter.jets.fastjet_adapter import inclusive_jets
from hardscatter.jets.momenta import four_momenta
from hardscatter.metrics.matching import nearest
from hardscatter.pileup.chs import is_charged_pileup
from hardscatter.workshop2014.crossings import RADIUS, Y_MAX

_CLOSED = ConfigDict(extra="forbid")

Floats = NDArray[np.float64]
Columns = dict[str, Floats]
"""``px``, ``py``, ``pz``, ``E`` (GeV), flat."""

NEUTRAL, LEADING_TRACK, PILEUP_TRACK, GHOST = range(4)

DENSITY_TILE = 0.55
GHOST_AREA = 2 * np.pi / 63 * 0.1  # FastJet's choice when 0.01 is asked for
_GHOST_REACH = 6.0
_GHOST_PT = 1e-100
_HIDDEN = 1e-60  # factor of charged pileup
_LEAST_PT = 1.0  # GeV; softer jets are not looked at
_NEAR = 0.4  # a hard jet's partner before subtraction lies within


def density_shape(y: Floats) -> Floats:
    """Return f(y) = 0.9084 − 0.01898 y² + 4.06·10⁻⁵ y⁴, the workshop's fit to its minimum bias."""
    return np.asarray(0.9084412 - 0.0189777 * y**2 + 4.05981e-5 * y**4)


@plain_dataclass(frozen=True)
class JetContents:
    """Jets with all that is in them, constituents of jet j in rows ``offsets[j]`` to ``offsets[j + 1]``."""

    momentum: Columns
    """Of the jets, after charged-hadron subtraction."""
    rho: Floats
    """Median density of the jet's crossing, divided by f(y); GeV per unit area."""
    sigma: Floats
    """Its spread, likewise."""
    offsets: NDArray[np.int64]
    pt: Floats
    """Of the constituents, in full for charged pileup, 0 for ghosts."""
    y: Floats
    phi: Floats
    kind: NDArray[np.int8]
    """`NEUTRAL`, `LEADING_TRACK`, `PILEUP_TRACK` or `GHOST`."""

    def __len__(self) -> int:
        return len(self.rho)

    @property
    def jet(self) -> NDArray[np.int64]:
        """Jet of each constituent."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    def listed(self, pt: Floats, kept: NDArray[np.bool_]) -> tuple[ak.Array, NDArray[np.int64]]:
        """Return four-momenta of kept constituents with this pt, jet by jet, and their rows."""
        rows = np.flatnonzero(kept)
        momenta = four_momenta(pt[rows], self.y[rows], self.phi[rows])
        counts = np.bincount(self.jet[rows], minlength=len(self))
        return ak.zip({name: ak.unflatten(values, counts) for name, values in momenta.items()}), rows


@runtime_checkable
class JetMethod(Protocol):
    """A method that acts on jets: frozen settings, and jets with less pileup from jets with their constituents."""

    def subtracted(self, jets: JetContents) -> Columns:
        """Return the four-momentum of each jet; 0 where nothing is left."""
        ...


@dataclass(frozen=True, config=_CLOSED)
class AreaSubtraction:
    """Take ρ f(y) A off each jet, A its area four-vector: p → p − ρ f(y) A.

    A jet with less pt than that becomes 0; one of negative squared mass is made massless, its y as before.

    References
    ----------
    Cacciari, Salam, arXiv:0707.1378; safe mass: Cacciari, Salam, Soyez, FastJet's ``Subtractor``.
    """

    def subtracted(self, jets: JetContents) -> Columns:
        """Return the four-momentum of each jet."""
        ghosts = jets.kind == GHOST
        area = _sums(_area_vectors(jets.y[ghosts], jets.phi[ghosts]), jets.jet[ghosts], len(jets))
        return subtract_area_vector(jets.momentum, area, jets.rho)


@dataclass(frozen=True, config=_CLOSED)
class JetConstituentSubtraction:
    """Take pairs (constituent i, ghost k) by rising ΔR_ik and subtract from both the smaller of pt_i and ρ f(y_k) A_k.

    References
    ----------
    Berta, Spousta, Miller, Leitner, arXiv:1403.3108, with α = 0 and no greatest distance.
    """

    def subtracted(self, jets: JetContents) -> Columns:
        """Return the four-momentum of each jet."""
        pt = jets.pt.copy()
        ghosts = jets.kind == GHOST
        pt[ghosts] = (jets.rho[jets.jet] * density_shape(jets.y) * GHOST_AREA)[ghosts]
        pt[jets.kind == PILEUP_TRACK] = 0.0
        _take_away(jets.offsets, jets.y, jets.phi, ghosts, pt)
        pt[ghosts] = 0.0
        return _sums(four_momenta(pt, jets.y, jets.phi), jets.jet, len(jets))


@dataclass(frozen=True, config=_CLOSED)
class LinearCleansing:
    """Scale the neutrals of each subjet by what its charged pileup tells, charged ones of the leading vertex stay.

    Of a subjet (kT, `radius`) with neutral pt_n, leading and pileup tracks pt_L and pt_P the neutrals are scaled by

        1 − (1/γ0 − 1) pt_P / pt_n,   or pt_L / (pt_L + pt_P) where pt_P / (pt_n + pt_P) > γ0,

    and by 0 without a leading track; γ0 is the charged part of pileup.

    References
    ----------
    Krohn, Schwartz, Low, Wang, arXiv:1309.4777.
    """

    gamma0: float = 0.612
    radius: float = 0.2

    def subtracted(self, jets: JetContents) -> Columns:
        """Return the four-momentum of each jet."""
        momenta, rows = jets.listed(jets.pt, jets.kind != GHOST)
        n, constituent, subjet, owner = _subjets(momenta, self.radius, "kt")
        rows = rows[constituent]
        vectors = four_momenta(jets.pt[rows], jets.y[rows], jets.phi[rows])
        parts = {
            kind: _sums({name: np.where(jets.kind[rows] == kind, v, 0.0) for name, v in vectors.items()}, subjet, n)
            for kind in (NEUTRAL, LEADING_TRACK, PILEUP_TRACK)
        }
        scale = self._scale(*(np.hypot(parts[kind]["px"], parts[kind]["py"]) for kind in parts))
        cleansed = {name: scale * parts[NEUTRAL][name] + parts[LEADING_TRACK][name] for name in vectors}
        return _sums(cleansed, owner, len(jets))

    def _scale(self, neutral: Floats, leading: Floats, pileup: Floats) -> Floats:
        """Return the factor of the neutrals of each subjet."""
        with np.errstate(divide="ignore", invalid="ignore"):
            linear = 1.0 - (1.0 / self.gamma0 - 1.0) * pileup / neutral
            by_tracks = leading / (leading + pileup)
            too_charged = (pileup > _NOTHING) & (pileup / (neutral + pileup) > self.gamma0)
            scale = np.where(too_charged, by_tracks, linear)
        settled = (leading > _NOTHING) & (neutral > _NOTHING) & (scale > _NOTHING)
        return np.where(settled, scale, 0.0)


_NOTHING = 1e-6  # GeV, as in fjcontrib


@dataclass(frozen=True, config=_CLOSED)
class AreaTrimming:
    """Keep the subjets that, after area subtraction, stand out: pt > `n_sigma` σ f(y) √A.

    References
    ----------
    Soyez, arXiv:1801.09721, with subjets by Cambridge/Aachen.
    """

    n_sigma: float = 1.5
    radius: float = 0.2

    def subtracted(self, jets: JetContents) -> Columns:
        """Return the four-momentum of each jet."""
        hidden = np.where(jets.kind == PILEUP_TRACK, _HIDDEN * jets.pt, jets.pt)
        everything = np.ones(len(hidden), bool)
        momenta, _ = jets.listed(np.where(jets.kind == GHOST, _GHOST_PT, hidden), everything)
        n, rows, subjet, owner = _subjets(momenta, self.radius, "cambridge")
        whole = _sums(four_momenta(hidden[rows], jets.y[rows], jets.phi[rows]), subjet, n)
        ghosts = jets.kind[rows] == GHOST
        area = _sums(_area_vectors(jets.y[rows][ghosts], jets.phi[rows][ghosts]), subjet[ghosts], n)
        left = subtract_area_vector(whole, area, jets.rho[owner])
        size = np.bincount(subjet[ghosts], minlength=n) * GHOST_AREA
        pt = np.hypot(left["px"], left["py"])
        stands_out = (pt > 0) & (
            pt >= self.n_sigma * jets.sigma[owner] * density_shape(_rapidity(left)) * np.sqrt(size)
        )
        return _sums({name: np.where(stands_out, values, 0.0) for name, values in left.items()}, owner, len(jets))


def contents(events: Events, hard_jets: ak.Array) -> tuple[JetContents, NDArray[np.int64]]:
    """Cluster crossings with ghosts and return, with all it holds, the jet nearest to each hard jet.

    Parameters
    ----------
    events
        Crossings of particles, η = y.
    hard_jets
        Jagged ``pt``, ``eta`` (here: the rapidity), ``phi``.

    Returns
    -------
    tuple
        The jets, and which of the hard jets (flat) each belongs to; a hard jet without any jet within 0.4 has none.
    """
    candidates = events.candidates
    offsets = offsets_of(candidates.pt)
    pt, y, phi = (flat(candidates[name], np.float64) for name in ("pt", "eta", "phi"))
    hidden = is_charged_pileup(events)
    kind = np.where(hidden, PILEUP_TRACK, np.where(flat(candidates.charge) != 0, LEADING_TRACK, NEUTRAL)).astype(
        np.int8
    )
    momenta = four_momenta(np.where(hidden, _HIDDEN * pt, pt), y, phi)
    counts = np.diff(offsets)
    jagged = ak.zip({name: ak.unflatten(values, counts) for name, values in momenta.items()})
    ghost_y, ghost_phi = ghosts()
    found, members = inclusive_jets(
        jagged, RADIUS, _LEAST_PT, "antikt", four_momenta(np.full(len(ghost_y), _GHOST_PT), ghost_y, ghost_phi)
    )
    partner = nearest(hard_jets, places(found, ak.num(members, axis=1)), _NEAR)
    which = np.flatnonzero(partner >= 0)
    chosen = partner[which]
    crossing = np.repeat(np.arange(len(events)), ak.to_numpy(ak.num(members, axis=1)))[chosen]

    lists = ak.flatten(members, axis=1)[chosen]
    sizes = ak.to_numpy(ak.num(lists, axis=1))
    position = ak.to_numpy(ak.flatten(lists, axis=1))
    owner = np.repeat(crossing, sizes)
    ghost = position >= counts[owner]
    row = np.where(ghost, 0, offsets[owner] + position)
    place = np.where(ghost, position - counts[owner], 0)
    density = density_of(pt, y, phi, offsets, hidden)
    jets = JetContents(
        momentum={name: values[chosen] for name, values in found.items()},
        rho=density.rho[crossing],
        sigma=density.sigma[crossing],
        offsets=np.concatenate(([0], np.cumsum(sizes))),
        pt=np.where(ghost, 0.0, pt[row]),
        y=np.where(ghost, ghost_y[place], y[row]),
        phi=np.where(ghost, ghost_phi[place], phi[row]),
        kind=np.where(ghost, GHOST, kind[row]).astype(np.int8),
    )
    return jets, which


def density_of(
    pt: Floats, y: Floats, phi: Floats, offsets: NDArray[np.int64], left_out: NDArray[np.bool_]
) -> Background:
    """Return ρ and σ of each crossing, divided by f(y)."""
    return grid_median(np.where(left_out, 0.0, pt / density_shape(y)), y, phi, offsets, Tiles(DENSITY_TILE, Y_MAX))


def ghosts() -> tuple[Floats, Floats]:
    """Return rapidity and azimuth of the ghosts, the same for every crossing."""
    n_y, n_phi = round(2 * _GHOST_REACH / 0.1), 63
    within = np.random.default_rng(20140516).uniform(size=(2, n_y, n_phi))
    y = -_GHOST_REACH + 0.1 * (np.arange(n_y)[:, np.newaxis] + within[0])
    phi = -np.pi + 2 * np.pi / n_phi * (np.arange(n_phi) + within[1])
    return y.ravel(), phi.ravel()


def places(momenta: Columns, counts: ak.Array) -> ak.Array:
    """Return ``pt``, ``eta`` (the rapidity), ``phi`` of flat four-momenta, jagged, for matching."""
    columns = {
        "pt": np.hypot(momenta["px"], momenta["py"]),
        "eta": _rapidity(momenta),
        "phi": np.arctan2(momenta["py"], momenta["px"]),
    }
    return ak.zip({name: ak.unflatten(values, counts) for name, values in columns.items()})


def subtract_area_vector(momenta: Columns, area: Columns, rho: Floats) -> Columns:
    """Return p − ρ f(y) A; 0 where that is more pt than there is, massless at the old y where mass² falls below 0."""
    y = _rapidity(momenta)
    density = rho * density_shape(y)
    pt2 = momenta["px"] ** 2 + momenta["py"] ** 2
    enough = density**2 * (area["px"] ** 2 + area["py"] ** 2) < pt2
    left = {name: np.where(enough, momenta[name] - density * area[name], 0.0) for name in momenta}
    pt = np.hypot(left["px"], left["py"])
    spacelike = left["E"] ** 2 - left["pz"] ** 2 < pt**2
    left["pz"] = np.where(spacelike, pt * np.sinh(y), left["pz"])
    left["E"] = np.where(spacelike, pt * np.cosh(y), left["E"])
    return left


def _rapidity(momenta: Columns) -> Floats:
    """Return y = arsinh(pz / mT) with a squared mass of at least 0; 0 for no momentum."""
    pt2 = momenta["px"] ** 2 + momenta["py"] ** 2
    transverse = np.sqrt(np.maximum((momenta["E"] - momenta["pz"]) * (momenta["E"] + momenta["pz"]), pt2))
    return np.asarray(np.arcsinh(momenta["pz"] / np.where(transverse > 0, transverse, 1.0)))


def _area_vectors(y: Floats, phi: Floats) -> Columns:
    """Return the area four-vector of ghosts: massless, its pt the area."""
    return four_momenta(np.full(len(y), GHOST_AREA), y, phi)


def _sums(momenta: Columns, owner: NDArray[np.int64], n: int) -> Columns:
    """Return the sum of the momenta of each of `n` owners."""
    return {name: np.bincount(owner, values, n).astype(np.float64) for name, values in momenta.items()}


def _subjets(
    momenta: ak.Array, radius: float, algorithm: str
) -> tuple[int, NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Cluster the constituents of each jet into subjets.

    Returns their number, the flat place of every constituent in subjet order, its subjet, and the jet of each subjet.
    """
    _, members = inclusive_jets(momenta, radius, 0.0, algorithm)
    n_subjets = ak.to_numpy(ak.num(members, axis=1))
    owner = np.repeat(np.arange(len(momenta)), n_subjets)
    lists = ak.flatten(members, axis=1)
    sizes = ak.to_numpy(ak.num(lists, axis=1))
    subjet = np.repeat(np.arange(len(owner)), sizes)
    place = ak.to_numpy(ak.flatten(lists, axis=1)) + offsets_of(momenta["px"])[:-1][owner[subjet]]
    return len(owner), place, subjet, owner


@kernel
def _take_away(
    offsets: NDArray[np.int64],
    y: NDArray[np.float64],
    phi: NDArray[np.float64],
    ghosts: NDArray[np.bool_],
    pt: NDArray[np.float64],
) -> None:
    """Subtract the ghosts of each jet from its constituents, nearest pairs first."""
    for jet in range(len(offsets) - 1):
        a, b = offsets[jet], offsets[jet + 1]
        real = a + np.flatnonzero(~ghosts[a:b] & (pt[a:b] > 0.0))
        ghost = a + np.flatnonzero(ghosts[a:b])
        distance = np.empty((len(real), len(ghost)))
        for i in range(len(real)):
            for k in range(len(ghost)):
                distance[i, k] = distance2(y[real[i]], phi[real[i]], y[ghost[k]], phi[ghost[k]])
        for pair in np.argsort(distance.ravel()):
            i, k = real[pair // len(ghost)], ghost[pair % len(ghost)]
            taken = min(pt[i], pt[k])
            pt[i] -= taken
            pt[k] -= taken
