"""Electronic noise of calorimeters, added to simulated crossings: a second thing that a network can learn to remove.

Every tower reads its energy plus n ~ N(0, σ²), and is read out if it shows more than t·σ (zero suppression). So of N
empty towers, N·Q(t) make a candidate of pure noise, Q(t) = ½ erfc(t/√2), of energy σ·z with the density φ(z)/Q(t)
above t. Only those are drawn: some 800 of 130 000 towers as the numbers stand.

Simplified: noise is independent from tower to tower; noise below the threshold under a particle's own signal is left
to the resolution of the card, whose noise term it is; noise does not change what particle flow makes of tracks.
"""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, NamedTuple

import awkward as ak
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.special import ndtr, ndtri

from hardscatter.detector.card import Card, Finite, NotNegative
from hardscatter.detector.tables import CalorimeterTable, TowerGrid, tables_of, tower_numbers
from hardscatter.events import CANDIDATE_FIELDS, NO_VERTEX, Events, flat, jagged_like
from hardscatter.geometry.angles import wrap_phi
from hardscatter.io.delphes_events import NEUTRAL_HADRON, PHOTON

Floats = NDArray[np.float64]
Whole = NDArray[np.int64]

_CLOSED = ConfigDict(extra="forbid")

_ALIGNED = ("hard_fraction", "delphes_hard_fraction")  # what of the truth belongs to candidates
_FORWARD_HADRONIC, _FORWARD_ELECTROMAGNETIC = 1, 2  # classes that our own detector never makes, others do


@dataclass(frozen=True, config=_CLOSED)
class NoiseLevel:
    """σ of the energy of an empty tower, GeV, by |eta| of the tower's centre up to each edge; the last goes on."""

    eta: Annotated[tuple[Finite, ...], Field(min_length=1)]
    sigma: tuple[NotNegative, ...]

    def __post_init__(self) -> None:
        if list(self.eta) != sorted(set(self.eta)) or len(self.eta) != len(self.sigma):
            raise ValueError("eta must hold rising edges, and sigma one number for each")

    def rows(self, grid: TowerGrid) -> Floats:
        """Return σ of the towers of each row of a grid, GeV."""
        centre = np.abs(0.5 * (grid.edges[1:] + grid.edges[:-1]))
        return np.array(self.sigma)[np.minimum(np.searchsorted(self.eta, centre), len(self.eta) - 1)]


@dataclass(frozen=True, config=_CLOSED)
class Noise:
    """How much noise there is.

    The numbers are **illustrative**, of the size of an ageing calorimeter at the end of the HL-LHC, and nobody's
    measurement: crystals with a quarter of a GeV, more energy but less pt in the endcaps, a few GeV in the large
    forward towers.

    Parameters
    ----------
    electromagnetic, hadronic
        Of the towers of each calorimeter.
    threshold
        t: towers are read out above so many σ.
    """

    electromagnetic: NoiseLevel = NoiseLevel((1.5, 3.0, 5.0), (0.25, 0.5, 1.5))
    hadronic: NoiseLevel = NoiseLevel((1.5, 3.0, 5.0), (0.4, 0.6, 3.0))
    threshold: Annotated[float, Field(ge=1, allow_inf_nan=False)] = 2.5


def add_noise(events: Events, noise: Noise, card: Card, rng: np.random.Generator | int) -> Events:
    """Return the crossings with the noise of the card's towers in them.

    A tower above threshold becomes a neutral candidate (22 or 130, |eta| < 5) of pt = E/cosh(eta) somewhere inside the
    tower, as particle flow places them, if it passes the card's cuts on energy and significance. Where a neutral
    candidate of that calorimeter stands in the tower already, its energy grows from E to E + n instead, and its hard
    fraction falls by E/(E + n). Candidates come by falling pt, so that their order tells nothing.

    Parameters
    ----------
    events
        Crossings of our own detector, or of another with these towers; `zero_suppressed` makes them consistent.
    noise
        How much.
    card
        Whose towers.
    rng
        Where chance comes from; the same seed and crossings give the same noise.

    Returns
    -------
    Events
        With ``truth`` aligned where it is there: hard fraction 0 for pure noise. Weights, which belong to other
        candidates, and unknown fields of candidates are left out. Crossings without candidates get noise as well.
    """
    rng = np.random.default_rng(rng)
    columns, truth, event = _columns(events)
    for table, level, pdg_id in _calorimeters(noise, card):
        drawn = _draw(len(events), table.grid, level, noise.threshold, rng)
        here, tower = _occupied(columns, event, table.grid, pdg_id)
        n_towers = int(table.grid.first[-1])
        merged, into = _same(drawn.event * n_towers + drawn.tower, event[here] * n_towers + tower)
        _grow(columns, truth, here[into], drawn.energy[merged])
        pure = _Deposits._make(column[~merged] for column in drawn)
        pure = _Deposits._make(column[_passes(pure, table)] for column in pure)
        made = _candidates(pure, table, pdg_id, columns, rng)
        columns = {name: np.concatenate([values, made[name]]) for name, values in columns.items()}
        truth = {name: np.concatenate([old, np.zeros(len(pure.event), old.dtype)]) for name, old in truth.items()}
        event = np.concatenate([event, pure.event])
    order = np.lexsort((-columns["pt"], event))
    return _rebuilt(events, columns, truth, event, order, noise)


def significance(events: Events, noise: Noise, card: Card) -> ak.Array:
    """Return E/σ of each neutral candidate, σ that of its tower; infinite for charged ones and outside all towers.

    What a cut against noise looks at: jagged float64, aligned with the candidates. Where σ is 0 it is infinite too.
    """
    columns, _, event = _columns(events)
    result = np.full(len(event), np.inf)
    for table, level, pdg_id in _calorimeters(noise, card):
        here, tower = _occupied(columns, event, table.grid, pdg_id)
        sigma = level.rows(table.grid)[_row(table.grid, tower)]
        with np.errstate(divide="ignore", over="ignore"):
            result[here] = columns["energy"][here] / sigma
    return jagged_like(result, events.candidates.pt)


def zero_suppressed(events: Events, noise: Noise, card: Card) -> Events:
    """Return the crossings as such a calorimeter reads them without noise: no neutral candidate of E ≤ t·σ.

    What is kept is unchanged. For pairs, so that no candidate below the threshold tells by its energy that it is none
    of the noise. Neutral candidates outside all towers stay.
    """
    columns, truth, event = _columns(events)
    kept = np.flatnonzero(flat(significance(events, noise, card)) > noise.threshold)
    return _rebuilt(events, columns, truth, event, kept, noise)


class _Deposits(NamedTuple):
    """Noise above threshold in one calorimeter, in the order of towers."""

    event: Whole
    tower: Whole
    energy: Floats


def _calorimeters(noise: Noise, card: Card) -> list[tuple[CalorimeterTable, NoiseLevel, int]]:
    tables = tables_of(card)
    return [(tables.ecal, noise.electromagnetic, PHOTON), (tables.hcal, noise.hadronic, NEUTRAL_HADRON)]


def _draw(n_events: int, grid: TowerGrid, level: NoiseLevel, threshold: float, rng: np.random.Generator) -> _Deposits:
    """Draw the towers above threshold: their number is binomial, their energies a Gaussian's tail."""
    n_towers = int(grid.first[-1])
    tail = ndtr(-threshold)
    n = int(rng.binomial(n_events * n_towers, tail))
    place = np.sort(rng.choice(n_events * n_towers, n, replace=False, shuffle=False)).astype(np.int64)
    event, tower = np.divmod(place, n_towers)
    z = -ndtri(tail * (1.0 - rng.random(n)))
    energy = level.rows(grid)[_row(grid, tower)] * z
    there = energy > 0.0  # σ = 0 means no noise
    return _Deposits(event[there], tower[there], energy[there])


def _columns(events: Events) -> tuple[dict[str, NDArray[Any]], dict[str, NDArray[Any]], Whole]:
    """Return known fields of candidates and truth that belongs to them, flat copies, and the crossing of each."""
    candidates = events.candidates
    columns = {name: flat(candidates[name]).copy() for name in CANDIDATE_FIELDS if name in candidates.fields}
    truth = {name: flat(events.truth[name]).copy() for name in _ALIGNED if events.has(f"truth.{name}")}
    return columns, truth, np.repeat(np.arange(len(events)), np.asarray(events.n_candidates))


def _occupied(columns: dict[str, NDArray[Any]], event: Whole, grid: TowerGrid, pdg_id: int) -> tuple[Whole, Whole]:
    """Return which candidates are neutrals of a calorimeter, and their towers."""
    forward = _FORWARD_ELECTROMAGNETIC if pdg_id == PHOTON else _FORWARD_HADRONIC
    # Without pdg_id a neutral is a hadron, as in `Events.particle_class`.
    absolute = np.abs(columns.get("pdg_id", np.full(len(event), NEUTRAL_HADRON)))
    own = (absolute == forward) | (absolute == pdg_id)
    here = np.flatnonzero((columns["charge"] == 0) & own)
    tower = tower_numbers(grid, columns["eta"][here].astype(np.float64), columns["phi"][here].astype(np.float64))
    return here[tower >= 0], tower[tower >= 0]


def _row(grid: TowerGrid, tower: Whole) -> Whole:
    return np.searchsorted(grid.first, tower, side="right") - 1


def _same(wanted: Whole, there: Whole) -> tuple[NDArray[np.bool_], Whole]:
    """Tell which of `wanted` (each once) are `there`, and the first place in `there` of each one that is."""
    keys, first = np.unique(there, return_index=True)
    found = np.isin(wanted, keys)
    return found, first[np.searchsorted(keys, wanted[found])]


def _grow(columns: dict[str, NDArray[Any]], truth: dict[str, NDArray[Any]], where: Whole, energy: Floats) -> None:
    """Add noise to candidates, in place: direction and, as all momenta scale alike, m/E stay."""
    factor = 1.0 + energy / columns["energy"][where]
    for name in ("pt", "energy"):
        columns[name][where] = columns[name][where] * factor
    for values in truth.values():
        values[where] = np.clip(values[where] / factor, 0.0, 1.0)


def _passes(deposits: _Deposits, table: CalorimeterTable) -> NDArray[np.bool_]:
    """Tell which deposits the card's particle flow makes a candidate of: E above the cut and its significance's."""
    grid, energy = table.grid, deposits.energy
    row = _row(grid, deposits.tower)
    error = np.sqrt((grid.constant2[row] * energy + grid.stochastic2[row]) * energy + grid.noise2[row])
    passes: NDArray[np.bool_] = (energy > table.min_energy) & (energy > table.min_significance * error)
    return passes


def _candidates(
    deposits: _Deposits, table: CalorimeterTable, pdg_id: int, like: dict[str, NDArray[Any]], rng: np.random.Generator
) -> dict[str, NDArray[Any]]:
    """Return deposits as neutral candidates, column by column in the precision of those in `like`."""
    grid, n = table.grid, len(deposits.event)
    row = _row(grid, deposits.tower)
    across, around = rng.random((2, n)) if table.smear_centre else np.full((2, n), 0.5)
    eta = grid.edges[row] + across * (grid.edges[row + 1] - grid.edges[row])
    phi = -np.pi + 2.0 * np.pi * (deposits.tower - grid.first[row] + around) / grid.phi_cells[row]
    made = {
        "pt": deposits.energy / np.cosh(eta), "eta": eta, "phi": phi, "energy": deposits.energy,
        "charge": np.zeros(n), "vertex": np.full(n, NO_VERTEX), "pdg_id": np.full(n, pdg_id),
    }  # fmt: skip
    narrow = {name: made.get(name, np.full(n, np.nan)).astype(column.dtype) for name, column in like.items()}
    return narrow | {"phi": wrap_phi(narrow["phi"])}


def _rebuilt(
    events: Events, columns: dict[str, NDArray[Any]], truth: dict[str, NDArray[Any]], event: Whole, order: Whole,
    noise: Noise,
) -> Events:  # fmt: skip
    """Return the events with these candidates, crossing by crossing in this order."""
    counts = np.bincount(event[order], minlength=len(events))

    def jagged(values: NDArray[Any]) -> ak.Array:
        return ak.unflatten(values[order], counts)

    array = events.array
    fields = {name: array[name] for name in array.fields if name not in ("weights", "weight_errors")}
    fields["candidates"] = ak.zip({name: jagged(values) for name, values in columns.items()}, depth_limit=2)
    if events.has("truth"):
        known = {name: events.truth[name] for name in events.truth.fields}
        aligned = {name: jagged(values) for name, values in truth.items()}
        fields["truth"] = ak.zip(known | aligned, depth_limit=1)
    metadata = {name: value for name, value in events.metadata.items() if name != "weights"}
    return Events(ak.zip(fields, depth_limit=1), metadata | {"noise": dataclasses.asdict(noise)})
