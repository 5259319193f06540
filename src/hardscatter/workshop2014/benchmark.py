"""The workshop's measurement: how far, and how widely spread, jets lie from the same jets without pileup."""

from __future__ import annotations

import itertools
import math
import multiprocessing
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from functools import cache, partial
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.detector import Fixed
from hardscatter.errors import SettingsError
from hardscatter.events import Events, flat
from hardscatter.jets import cluster
from hardscatter.metrics import Estimate
from hardscatter.metrics.matching import nearest
from hardscatter.metrics.statistics import resamplings
from hardscatter.pileup import Method, mitigate
from hardscatter.pileup.method import settings_of
from hardscatter.simulation import Progress
from hardscatter.threads import set_threads
from hardscatter.workshop2014.crossings import (
    JET_Y_MAX,
    RADIUS,
    Particles,
    hard_collisions,
    hard_generation,
    minbias_generation,
    particle_level,
    pileup_pool,
    rapidity_of,
)
from hardscatter.workshop2014.jet_level import Columns, JetMethod, contents, places
from hardscatter.workshop2014.methods import METHODS, PUBLISHED_AS, chosen

SEED = 303
PILEUPS = (30, 100, 140)
DEFAULT_SAMPLES = ("dijets020", "dijets050", "dijets100")
QUANTITIES = ("pt", "mass")

LEAST_PT = 20.0
"""Of a hard jet that counts, GeV."""

MATCHED = 0.3
"""A hard jet's partner lies within, ΔR in rapidity and azimuth."""

DISPERSION_AGREES, SHIFT_AGREES = 0.10, 0.5
"""We agree with the workshop if our dispersion is within this part of theirs, and our shift within so many GeV."""

_STEP = 20
_REPLICAS = 200
_JETS_FROM = 1.0  # GeV; softer reconstructed jets are not looked at

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Row:
    """One method at one pileup on one sample."""

    sample: str
    n_pileup: int
    method: str
    n_crossings: int
    n_jets: int
    """Hard jets that count."""
    n_matched: int
    shift: dict[str, Estimate]
    """Mean of (subtracted − hard) over matched jets by quantity, GeV, with its bootstrap error over crossings."""
    dispersion: dict[str, Estimate]
    """Its standard deviation, GeV."""


@dataclass(frozen=True)
class Comparison:
    """A number of ours beside the workshop's."""

    sample: str
    n_pileup: int
    method: str
    quantity: str
    shift: Estimate
    dispersion: Estimate
    published_shift: float
    published_dispersion: float

    @property
    def ratio(self) -> float:
        """Our dispersion over theirs."""
        return self.dispersion.value / self.published_dispersion

    @property
    def difference(self) -> float:
        """Our shift minus theirs, GeV."""
        return self.shift.value - self.published_shift

    @property
    def pulls(self) -> tuple[float, float]:
        """How many of our errors shift and dispersion lie from theirs, whose own are a few per mille."""
        dispersion = self.dispersion.value - self.published_dispersion
        return _pull(self.difference, self.shift.error), _pull(dispersion, self.dispersion.error)

    @property
    def agrees(self) -> bool:
        """Whether dispersion and shift are those of the workshop within `DISPERSION_AGREES` and `SHIFT_AGREES`."""
        return abs(self.ratio - 1.0) <= DISPERSION_AGREES and abs(self.difference) <= SHIFT_AGREES

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain data."""
        derived = {name: getattr(self, name) for name in ("ratio", "difference", "pulls", "agrees")}
        return {**asdict(self), **derived}


@dataclass(frozen=True)
class Result:
    """What `run` measured."""

    rows: tuple[Row, ...]
    hard: dict[str, dict[str, float]]
    """Mean ``pt`` and ``mass`` (GeV) of the hard jets of each sample and how many ``jets`` a collision has."""
    settings: dict[str, Any]
    """Seed, sizes, generators and the resolved settings of the methods."""

    def row(self, sample: str, n_pileup: int, method: str) -> Row:
        """Return one row.

        Raises
        ------
        SettingsError
            If that was not measured.
        """
        for row in self.rows:
            if (row.sample, row.n_pileup, row.method) == (sample, n_pileup, method):
                return row
        raise SettingsError(f"{method} on {sample} at {n_pileup} pileup collisions was not measured.")

    def to_dict(self) -> dict[str, Any]:
        """Return all as plain data, the comparison with the workshop's numbers included."""
        return {
            "settings": self.settings,
            "published": {name: value for name, value in published().items() if name != "point"},
            "hard": self.hard,
            "rows": [asdict(row) for row in self.rows],
            "comparison": [comparison.to_dict() for comparison in compare(self)],
        }


@cache
def published() -> Mapping[str, Any]:
    """Return the workshop's results as ``published.toml`` holds them, with their source."""
    return tomllib.loads((Path(__file__).parent / "published.toml").read_text(encoding="utf-8"))


def published_value(sample: str, n_pileup: int, method: str, quantity: str) -> tuple[float, float] | None:
    """Return the workshop's shift and dispersion (GeV), None where it has none."""
    for point in published()["point"]:
        if (point["sample"], point["n_pileup"], point["quantity"]) == (sample, n_pileup, quantity):
            found = point.get(PUBLISHED_AS.get(method, method if method in METHODS else ""))
            return None if found is None else (found["shift"], found["dispersion"])
    return None


def compare(result: Result) -> list[Comparison]:
    """Set our numbers beside the workshop's, wherever it has one."""
    return [
        Comparison(
            row.sample, row.n_pileup, row.method, quantity, row.shift[quantity], row.dispersion[quantity], *theirs
        )
        for row, quantity in itertools.product(result.rows, QUANTITIES)
        if (theirs := published_value(row.sample, row.n_pileup, row.method, quantity)) is not None
    ]


def run(
    methods: Sequence[str | Method | JetMethod] = tuple(METHODS),
    pileups: Sequence[int] = PILEUPS,
    samples: Sequence[str] = DEFAULT_SAMPLES,
    n: int = 1000,
    seed: int = SEED,
    workers: int = 1,
    on_progress: Progress | None = None,
    n_minbias: int = 20_000,
) -> Result:
    """Measure methods as the pileup workshop of 2014 did.

    Parameters
    ----------
    methods
        Names of `hardscatter.workshop2014.METHODS`, ids of `hardscatter.methods`, paths of trained models
        (``….onnx``) or instances.
    pileups
        Numbers of pileup collisions; each crossing holds exactly so many.
    samples
        Hard samples, see `hardscatter.workshop2014.SAMPLES`.
    n
        Crossings at each point, of as many different hard collisions; the same ones for all pileups and methods.
    seed, n_minbias
        Of hard collisions, pileup and its draws; pileup collisions to draw from.
    workers
        Processes, for building libraries and for points; more than one are spawned, so a script then needs
        ``if __name__ == "__main__":``. The result is the same.
    on_progress
        Called with what is being done, how much is ready and how much is wanted.

    Returns
    -------
    Result
        A row for every sample, pileup and method; `compare` sets them beside the published ones.

    Raises
    ------
    SettingsError, UnknownMethodError
        If a sample or method does not exist or a number makes no sense, before any work.
    """
    named = chosen(methods)
    if not named or not pileups or not samples or min(n, n_minbias, workers) < 1 or min(pileups) < 0:
        raise SettingsError("the benchmark needs a method, a sample and a pileup ≥ 0, and n, n_minbias, workers ≥ 1.")
    generations = [hard_generation(sample, seed) for sample in samples]
    pool = pileup_pool(seed, n_minbias, workers, on_progress)
    hard = {sample: hard_collisions(sample, seed, n, workers, on_progress) for sample in samples}
    points = list(itertools.product(samples, pileups))
    tell = on_progress or _say_nothing
    rows: list[Row] = []
    means: dict[str, dict[str, float]] = {}
    measure = partial(_measure, named, seed=seed)
    for (sample, n_pileup), observed in zip(
        points, _each(measure, [(hard[s], pool, p) for s, p in points], workers, tell, points), strict=True
    ):
        means[sample] = observed.hard_means(n)
        rows += [_row(sample, n_pileup, method, observed, n, seed) for method in named]
    settings = {
        "seed": seed,
        "n_crossings": n,
        "n_minbias": n_minbias,
        "pileups": list(pileups),
        "hard": {sample: g.to_dict() for sample, g in zip(samples, generations, strict=True)},
        "minbias": minbias_generation(seed).to_dict(),
        "methods": {name: settings_of(method) for name, method in named.items()},  # type: ignore[arg-type]
        "replicas": _REPLICAS,
    }
    return Result(tuple(rows), means, settings)


@dataclass(frozen=True)
class _Observed:
    """What was seen of the hard jets of one point, flat over them."""

    crossing: NDArray[np.int64]
    hard: dict[str, Floats]
    """By quantity."""
    subtracted: dict[str, dict[str, Floats]]
    """By method and quantity; NaN where there is no partner."""

    def hard_means(self, n: int) -> dict[str, float]:
        """Return means over hard jets, and their number a crossing."""
        empty = not len(self.crossing)
        means = {name: math.nan if empty else float(values.mean()) for name, values in self.hard.items()}
        return {**means, "jets": len(self.crossing) / n}


def _measure(
    methods: Mapping[str, Method | JetMethod],
    hard: Particles,
    pool: Particles,
    n_pileup: int,
    tell: Callable[[int], None] | None = None,
    *,
    seed: int,
) -> _Observed:
    """Observe all methods at one point, a few crossings at a time."""
    parts = []
    for first in range(0, len(hard), _STEP):
        part = hard.select(slice(first, first + _STEP))
        alone, events = particle_level(part, pool, Fixed(n_pileup), seed, first)
        assert alone is not None
        parts.append(observe(alone, events, methods, first))
        if tell is not None:
            tell(first + len(part))
    return _Observed(
        np.concatenate([part.crossing for part in parts]),
        {name: np.concatenate([part.hard[name] for part in parts]) for name in QUANTITIES},
        {
            method: {name: np.concatenate([part.subtracted[method][name] for part in parts]) for name in QUANTITIES}
            for method in methods
        },
    )


def observe(alone: Events, events: Events, methods: Mapping[str, Method | JetMethod], first: int = 0) -> _Observed:
    """Find the hard jets of crossings and what each method makes of them."""
    hard = cluster(alone, radius=RADIUS, min_pt=LEAST_PT)[:, :2]
    hard = hard[abs(rapidity_of(hard)) < JET_Y_MAX]
    where = _placed(hard)
    n = len(flat(hard.pt))
    by_jet = {name: method for name, method in methods.items() if isinstance(method, JetMethod)}
    by_weight = {name: method for name, method in methods.items() if not isinstance(method, JetMethod)}
    subtracted = {name: _of_weights(events, method, where) for name, method in by_weight.items()}
    if by_jet:
        jets, owner = contents(events, where)
        for name, method in by_jet.items():
            subtracted[name] = _of_jets(method.subtracted(jets), owner, where, n)
    crossing = np.repeat(first + np.arange(len(events)), ak.to_numpy(ak.num(hard.pt, axis=1)))
    return _Observed(crossing, {name: flat(hard[name], np.float64) for name in QUANTITIES}, subtracted)


def _placed(jets: ak.Array) -> ak.Array:
    """Return ``pt``, ``eta`` (the rapidity) and ``phi`` of jets: the workshop matches in rapidity."""
    return ak.zip({"pt": jets.pt, "eta": rapidity_of(jets), "phi": jets.phi})


def _of_weights(events: Events, method: Method, where: ak.Array) -> dict[str, Floats]:
    jets = cluster(events, mitigate(events, method), radius=RADIUS, min_pt=_JETS_FROM)
    partner = nearest(where, _placed(jets), MATCHED)
    values = {name: np.append(flat(jets[name], np.float64), np.nan) for name in QUANTITIES}  # the last for −1: none
    return {name: column[partner] for name, column in values.items()}


def _of_jets(momenta: Columns, owner: NDArray[np.int64], where: ak.Array, n: int) -> dict[str, Floats]:
    """Return what is left of jets for the hard jets that own them."""
    pt2 = momenta["px"] ** 2 + momenta["py"] ** 2
    mass2 = (momenta["E"] - momenta["pz"]) * (momenta["E"] + momenta["pz"]) - pt2
    left = places(momenta, np.ones(len(owner), np.int64))
    theirs = ak.zip(
        {name: ak.unflatten(flat(where[name])[owner], np.ones(len(owner), np.int64)) for name in where.fields}
    )
    matched = nearest(theirs, left, MATCHED) >= 0
    result = {"pt": np.full(n, np.nan), "mass": np.full(n, np.nan)}
    result["pt"][owner[matched]] = np.sqrt(pt2[matched])
    result["mass"][owner[matched]] = np.sqrt(np.maximum(mass2[matched], 0.0))
    return result


def _row(sample: str, n_pileup: int, method: str, observed: _Observed, n: int, seed: int) -> Row:
    shift, dispersion = {}, {}
    for name in QUANTITIES:
        difference = observed.subtracted[method][name] - observed.hard[name]
        shift[name], dispersion[name] = moments(difference, observed.crossing, n, seed)
    n_matched = int(np.isfinite(observed.subtracted[method]["pt"]).sum())
    return Row(sample, n_pileup, method, n, len(observed.crossing), n_matched, shift, dispersion)


def moments(values: Floats, event: NDArray[np.int64], n_events: int, seed: int) -> tuple[Estimate, Estimate]:
    """Return mean and standard deviation of values that belong to events, with bootstrap errors over events.

    NaN are left out; without any value both are NaN.
    """
    known = np.isfinite(values)
    sums = np.stack([np.bincount(event[known], values[known] ** power, n_events) for power in range(3)], axis=1)
    replicas = np.array(
        [_mean_and_spread(np.asarray(counts @ sums, np.float64)) for counts in resamplings(n_events, _REPLICAS, seed)]
    )
    mean, spread = _mean_and_spread(np.asarray(sums.sum(axis=0), np.float64))
    return Estimate.from_replicas(mean, replicas[:, 0]), Estimate.from_replicas(spread, replicas[:, 1])


def _mean_and_spread(sums: Floats) -> tuple[float, float]:
    """Return mean and standard deviation from the number of values, their sum and the sum of their squares."""
    if sums[0] == 0:
        return math.nan, math.nan
    mean = sums[1] / sums[0]
    return float(mean), math.sqrt(max(sums[2] / sums[0] - mean**2, 0.0))


def _each(
    measure: Callable[..., _Observed],
    arguments: Sequence[tuple[Particles, Particles, int]],
    workers: int,
    tell: Progress,
    points: Sequence[tuple[str, int]],
) -> Iterator[_Observed]:
    """Yield what is observed at each point, in their order, here or in processes of one thread each."""
    if workers == 1:
        for point, given in zip(points, arguments, strict=True):
            yield measure(*given, partial(_tell, tell, _label(point), len(given[0])))
        return
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(min(workers, len(points)), context, set_threads, (1,)) as processes:
        jobs = [processes.submit(measure, *given) for given in arguments]
        for ready, (point, job) in enumerate(zip(points, jobs, strict=True), 1):
            observed = job.result()
            tell(f"points, last {_label(point)}", ready, len(points))
            yield observed


def _pull(difference: float, error: float) -> float:
    return difference / error if error > 0 else math.nan


def _tell(tell: Progress, what: str, wanted: int, ready: int) -> None:
    tell(what, ready, wanted)


def _label(point: tuple[str, int]) -> str:
    return f"{point[0]}, pileup {point[1]}"


def _say_nothing(what: str, ready: int, wanted: int) -> None:
    pass
