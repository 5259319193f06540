"""A first-level menu: thresholds that fill a rate with minimum-bias crossings, and the signal they let through.

Two working points. *One path alone* gets a fixed rate. *The whole menu* gives each path its share of one rate S and
chooses S so that all paths together accept the budget, a crossing that several of them accept counted once. Errors
are a bootstrap over units of the minimum-bias sample (crossings with the same hardest collision are one unit) and
over crossings of each signal, all methods on the same draws: differences between methods are paired.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, ValidationError
from pydantic.dataclasses import dataclass as settings_class

from hardscatter.errors import SettingsError
from hardscatter.events import Events
from hardscatter.metrics.statistics import Estimate, bounded, draws, effective_number, estimate
from hardscatter.pileup import mitigate, perfect_weights
from hardscatter.trigger.objects import DEFINITION, QUANTITIES, ObjectDefinition, trigger_objects
from hardscatter.trigger.rates import (
    BUDGET_KHZ,
    CROSSINGS_KHZ,
    accepted,
    common_scale,
    rate_above,
    rates_to_pass,
    standing_rates,
    threshold_at,
)

Floats = NDArray[np.float64]
Estimates = dict[str, Any]
"""Nested by name, `Estimate` at the leaves."""

PERFECT = "perfect"
"""The name of perfect weights among methods."""


@settings_class(frozen=True, config=ConfigDict(extra="forbid"))
class Menu:
    """Which triggers there are, and what they may accept."""

    shares: tuple[tuple[str, float], ...] = tuple((name, 1.0) for name in QUANTITIES)
    """Paths, by the quantity each cuts on, and the share of the common rate each gets (above 0)."""
    budget_khz: float = Field(default=BUDGET_KHZ, gt=0, lt=CROSSINGS_KHZ)
    """What all paths together accept."""
    alone_khz: float = Field(default=50.0, gt=0, lt=CROSSINGS_KHZ)
    """What one path alone accepts, for the comparison path by path."""

    def __post_init__(self) -> None:
        names = [name for name, _ in self.shares]
        if not names or len(set(names)) < len(names) or not set(names) <= set(QUANTITIES):
            raise ValueError(f"the paths of a menu are some of {', '.join(QUANTITIES)}, each once: got {names}.")
        if not all(share > 0 for _, share in self.shares):
            raise ValueError("every path needs a share above 0: leave out those that shall have none.")

    @property
    def paths(self) -> tuple[str, ...]:
        """Return the quantities that the paths cut on."""
        return tuple(name for name, _ in self.shares)


def menu_of(budget_khz: float, alone_khz: float) -> Menu:
    """Return the menu of all paths with these rates (kHz).

    Raises
    ------
    SettingsError
        If a rate does not lie between 0 and that of all crossings.
    """
    try:
        return Menu(budget_khz=budget_khz, alone_khz=alone_khz)
    except ValidationError:
        raise SettingsError(
            f"rates of {budget_khz:g} and {alone_khz:g} kHz: both must lie between 0 and the {CROSSINGS_KHZ:.0f} kHz "
            "of all crossings."
        ) from None


@dataclasses.dataclass(frozen=True)
class Seen:
    """What a trigger saw of the crossings of one sample."""

    values: dict[str, dict[str, Floats]]
    """By method and quantity, GeV, shape (crossings,)."""
    weight: Floats
    """How many crossings each stands for, ≥ 0."""
    unit: NDArray[np.int64]
    """Crossings of one unit are not independent."""

    def __len__(self) -> int:
        return len(self.weight)

    @property
    def n_units(self) -> int:
        """Return how many independent units there are."""
        return len(np.unique(self.unit))

    @property
    def effective_units(self) -> float:
        """Return how many units of equal weight know as much."""
        _, unit = np.unique(self.unit, return_inverse=True)
        return effective_number(np.bincount(unit, self.weight))

    def exposures(self, replicas: int, seed: int) -> Iterator[Floats]:
        """Yield how much each crossing counts: as it is, then in each bootstrap replica."""
        _, unit = np.unique(self.unit, return_inverse=True)
        for drawn in draws(int(unit.max(initial=-1)) + 1, replicas, seed):
            yield self.weight * drawn[unit]


def seen_of(events: Events, method: str, definition: ObjectDefinition = DEFINITION) -> dict[str, Floats]:
    """Return the trigger's numbers of each crossing under a method, or under `PERFECT` weights (which need truth)."""
    weights = perfect_weights(events) if method == PERFECT else mitigate(events, method)
    return trigger_objects(events, weights, definition)


def see(
    parts: Iterable[Events], methods: Sequence[str], definition: ObjectDefinition = DEFINITION,
    on_events: Callable[[int], object] = lambda _: None,
) -> Seen:  # fmt: skip
    """Return what a trigger sees of crossings that come part by part, in bounded memory.

    Weights are those of ``generator_weight`` (1 without), units those of ``collision`` (each crossing one without).
    `on_events` is told how many crossings each part held.

    Raises
    ------
    SettingsError
        If there are no crossings.
    """
    seen: list[dict[str, dict[str, Floats]]] = []
    weights: list[Floats] = []
    units: list[NDArray[np.int64]] = []
    for events in parts:
        if not len(events):
            continue
        seen.append({method: seen_of(events, method, definition) for method in methods})
        weights.append(weights_of(events))
        units.append(units_of(events, first=sum(len(part) for part in units)))
        on_events(len(events))
    if not seen:
        raise SettingsError("a sample of a trigger study holds no crossings: give a file with some.")
    values = {m: {q: np.concatenate([part[m][q] for part in seen]) for q in QUANTITIES} for m in methods}
    return Seen(values, np.concatenate(weights), np.concatenate(units))


def weights_of(events: Events) -> Floats:
    """Return ``generator_weight``, 1 where events have none."""
    return np.asarray(events.generator_weight if events.has("generator_weight") else np.ones(len(events)), np.float64)


def units_of(events: Events, first: int = 0) -> NDArray[np.int64]:
    """Return ``collision``, the numbers from `first` on where events have none."""
    return np.asarray(events.collision if events.has("collision") else first + np.arange(len(events)), np.int64)


@dataclasses.dataclass(frozen=True)
class MenuStudy:
    """What each method makes of a menu."""

    menu: Menu
    reference: str
    """The method that gains are told against."""
    crossings: dict[str, dict[str, float]]
    """Of each sample: crossings, units, and the number of crossings of weight 1 that know a rate as well."""
    alone: Estimates
    """By method and path at the fixed rate: ``threshold`` (GeV) and the efficiency of each signal."""
    whole: Estimates
    """By method: ``threshold`` (GeV), ``rate`` and ``pure`` (kHz, what no other path accepts) by path; by signal
    ``efficiency``, ``gain`` (efficiency over the reference's, minus 1), ``same`` (kHz: the rate of the whole menu at
    the reference's efficiency)."""
    scan: Estimates
    """By method and signal: the efficiency of the whole menu at each of `BUDGETS_KHZ`."""
    curves: Estimates
    """By method and path: ``rate`` (kHz) at each of ``threshold`` (GeV), as lists of estimates."""

    def to_dict(self) -> dict[str, Any]:
        """Return plain data; numbers that do not exist are None."""
        return {
            "menu": dataclasses.asdict(self.menu), "reference": self.reference, "crossings": self.crossings,
            "alone": _plain(self.alone), "whole": _plain(self.whole), "scan": _plain(self.scan),
            "curves": _plain(self.curves),
        }  # fmt: skip


BUDGETS_KHZ = (50.0, 100.0, 150.0, 200.0, 300.0, 400.0, 550.0, 750.0, 1000.0, 1500.0)
"""Rates of the whole menu that its efficiency is told at."""

GRIDS = {
    "jet": np.arange(20.0, 252.0, 4.0),
    "multijet": np.arange(16.0, 92.0, 2.0),
    "ht": np.arange(40.0, 620.0, 10.0),
    "met": np.arange(10.0, 202.0, 4.0),
}
"""Thresholds (GeV) that rates are drawn at."""


def study(
    minbias: Seen, signals: Mapping[str, Seen], menu: Menu | None = None, *, reference: str = "puppi",
    replicas: int = 200, seed: int = 1,
) -> MenuStudy:  # fmt: skip
    """Measure a menu: thresholds, rates and efficiencies of each method with bootstrap errors.

    Parameters
    ----------
    minbias
        Crossings without a hard collision; its methods are those that are compared.
    signals
        By name, each with the same methods.
    reference
        The method that gains are told against, one of those.

    Raises
    ------
    SettingsError
        If the reference is not among the methods, a signal lacks a method, or there are too few replicas.
    InvalidEventsError
        If a sample has no crossings or weights that make no rate.
    """
    menu, methods = menu or Menu(), list(minbias.values)
    if reference not in methods:
        raise SettingsError(f"the reference {reference} was not measured: take one of {', '.join(methods)}.")
    for name, signal in signals.items():
        if missing := [method for method in methods if method not in signal.values]:
            raise SettingsError(f"signal {name} was not measured with {missing[0]}: measure all with all methods.")
    told: dict[tuple[str, ...], list[float]] = {}
    rates: dict[tuple[str, str], list[Floats]] = {}
    streams = [sample.exposures(replicas, seed + i) for i, sample in enumerate((minbias, *signals.values()))]
    for exposure, *others in zip(*streams, strict=True):
        drawn = dict(zip(signals, others, strict=True))
        for key, value in _replica(minbias, exposure, signals, drawn, menu, reference).items():
            told.setdefault(key, []).append(value)
        for method in methods:
            for path in menu.paths:
                rate = rate_above(minbias.values[method][path], exposure, GRIDS[path])
                rates.setdefault((method, path), []).append(rate)
    estimates = {key: estimate(np.array(values)) for key, values in told.items()}
    known = {name: signal.effective_units for name, signal in signals.items()}
    estimates |= {key: bounded(estimates[key], known[name]) for key in told if (name := _signal_of(key)) in known}
    curves: Estimates = {}
    for (method, path), values in rates.items():
        drawn_at = [estimate(column) for column in np.array(values).T]
        curves.setdefault(method, {})[path] = {"threshold": GRIDS[path].tolist(), "rate": drawn_at}
    crossings = {name: _size(sample) for name, sample in {"minbias": minbias, **signals}.items()}
    alone, whole, scan = (_nested({key[1:]: e for key, e in estimates.items() if key[0] == kind}) for kind in _KINDS)
    return MenuStudy(menu, reference, crossings, alone, whole, scan, curves)


_KINDS = ("alone", "whole", "scan")


def effective_above(sample: Seen, method: str, quantity: str, threshold: float) -> float:
    """Return how many independent crossings of equal weight know the rate above a threshold as well."""
    _, unit = np.unique(sample.unit, return_inverse=True)
    above = sample.weight * (sample.values[method][quantity] > threshold)
    return effective_number(np.bincount(unit, above))


def _replica(
    minbias: Seen, exposure: Floats, signals: Mapping[str, Seen], drawn: Mapping[str, Floats], menu: Menu,
    reference: str,
) -> dict[tuple[str, ...], float]:  # fmt: skip
    """Return all numbers of one replica, by kind and names."""
    told: dict[tuple[str, ...], float] = {}
    shares = np.array([share for _, share in menu.shares])
    least: dict[str, dict[str, Floats]] = {}
    total: dict[str, tuple[Floats, Floats]] = {}
    for method, seen in minbias.values.items():
        for path in menu.paths:
            threshold = threshold_at(seen[path], exposure, menu.alone_khz)
            told["alone", method, path, "threshold"] = threshold
            for name, signal in signals.items():
                value = accepted(signal.values[method][path], drawn[name], threshold)
                told["alone", method, path, name] = value
        standing = np.stack([standing_rates(seen[path], exposure) for path in menu.paths])
        scale, *scales = common_scale(standing, shares, exposure, (menu.budget_khz, *BUDGETS_KHZ)).tolist()
        passed = standing <= (scale * shares)[:, np.newaxis]
        for i, path in enumerate(menu.paths):
            told["whole", method, "threshold", path] = threshold_at(seen[path], exposure, scale * shares[i])
            told["whole", method, "rate", path] = _rate(exposure, passed[i])
            told["whole", method, "pure", path] = _rate(exposure, passed[i] & (passed.sum(axis=0) == 1))
        needed = np.min(standing / shares[:, np.newaxis], axis=0)
        total[method] = needed, exposure
        least[method] = {
            name: np.min(
                [rates_to_pass(signal.values[method][p], seen[p], exposure) / share for p, share in menu.shares], axis=0
            )
            for name, signal in signals.items()
        }
        for name in signals:
            told["whole", method, "efficiency", name] = _share(drawn[name], least[method][name] <= scale)
            for budget, at in zip(BUDGETS_KHZ, scales, strict=True):
                told["scan", method, name, f"{budget:g}"] = _share(drawn[name], least[method][name] <= at)
    for method in minbias.values:
        for name in signals:
            own, theirs = (told["whole", m, "efficiency", name] for m in (method, reference))
            told["whole", method, "gain", name] = own / theirs - 1 if theirs > 0 else np.nan
            scale = _scale_of(least[method][name], drawn[name], theirs)
            needed, weight = total[method]
            told["whole", method, "same", name] = _rate(weight, needed <= scale)
    return told


def _signal_of(key: tuple[str, ...]) -> str:
    """Return of which signal a number is the efficiency; "" of what is none."""
    match key:
        case ("alone", _, _, name) | ("whole", _, "efficiency", name) | ("scan", _, name, _):
            return name
    return ""


def _scale_of(least: Floats, exposure: Floats, efficiency: float) -> float:
    """Return the common rate at which the menu has this efficiency."""
    order = np.argsort(least, kind="stable")
    share = np.cumsum(exposure[order]) / exposure.sum()
    place = int(np.searchsorted(share, efficiency * (1 - 1e-12)))  # sums of other order differ by rounding
    return float(least[order][min(place, len(order) - 1)])


def _rate(exposure: Floats, passed: NDArray[np.bool_]) -> float:
    return CROSSINGS_KHZ * _share(exposure, passed)


def _share(exposure: Floats, passed: NDArray[np.bool_]) -> float:
    return float(exposure[passed].sum() / exposure.sum())


def _size(sample: Seen) -> dict[str, float]:
    return {
        "crossings": float(len(sample)),
        "units": float(sample.n_units),
        "effective": effective_number(sample.weight),
    }


def _nested(values: Mapping[tuple[str, ...], Estimate]) -> Estimates:
    nested: Estimates = {}
    for (*outer, last), value in values.items():
        place = nested
        for name in outer:
            place = place.setdefault(name, {})
        place[last] = value
    return nested


def _plain(value: Any) -> Any:
    """Return nested estimates as plain data, each as [value, error]."""
    if isinstance(value, Mapping):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, Estimate):
        return [_plain(value.value), _plain(value.error)]
    return float(f"{value:.5g}") if np.isfinite(value) else None
