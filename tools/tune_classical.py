"""Tune the classical methods, so that nothing learned is compared with a rival that was set for another detector.

    python tools/tune_classical.py docs/tunes.md [--only puppi:cms-phase2 cs …] [--samples FOLDER] [--again]

From each published tune every setting is scanned in turn, the others as they are, up to three times through; the best
end wins. What counts is the merit

    M = mean of ln(AK4 central pt, AK4 forward pt, AK8 mass: δ/(1 + median); missing momentum: δ/GeV)
        + 10 Σ max(|median of AK4 pt| − 0.02, 0) over central and forward,

over all tuning crossings together, those of a flat pileup among them: a median that moves with pileup widens δ. A
setting moves only if M falls by more than 0.003, so that noise moves none, and is left alone from then on if it
changes M by less. The first time through looks at every third crossing only. Lower is better.

Samples: seed 202, which no training and no final test uses; 12 000 minimum-bias collisions. Scan: 150 semileptonic tt̄,
60 qcd and 60 Z' → tt̄ crossings at pileup 140, 100 tt̄ with pileup flat in 20–200. Confirmation: the tt̄ collisions 250 to
349, at 60 and 200 the first 50 of them. The numbers go to a .json beside the page, whose text between the markers
``<!-- measured -->`` and ``<!-- end measured -->`` is replaced; the settings found are written by hand into
`hardscatter.pileup.puppi_best` and beside the published ones.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import math
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import awkward as ak
import matplotlib.pyplot as plt
import numpy as np
from numpy.typing import NDArray
from pages import put, with_digits

import hardscatter as hs
from hardscatter.metrics import DESIGN, Observations, differences, observe, summarise
from hardscatter.metrics.resolution import ResolutionTable
from hardscatter.metrics.statistics import Estimate, Sample, resamplings
from hardscatter.pileup.constituent_subtraction import ConstituentSubtraction
from hardscatter.pileup.iterative_constituent_subtraction import IterativeConstituentSubtraction
from hardscatter.pileup.method import Method, settings_of
from hardscatter.pileup.puppi import CMS_PHASE2, DELPHES, Puppi
from hardscatter.pileup.softkiller import SoftKiller
from hardscatter.pileup.softkiller_zeroing import SoftKillerZeroing
from hardscatter.report.style import COLOURS, figure_style, simulation_label
from hardscatter.report.tables import with_error

SEED, N_MINBIAS = 202, 12_000
N_HARD = 350
"""Collisions of semileptonic tt̄: 0–149 at pileup 140, 150–249 at flat pileup, 250–349 to confirm."""

SCAN = (
    ("ttbar-semileptonic", "140", slice(0, 150)),
    ("ttbar-semileptonic", "flat:20-200", slice(150, 250)),
    ("qcd", "140", slice(0, 60)),
    ("zprime-tt", "140", slice(0, 60)),
)
CONFIRM = {
    "140": (("ttbar-semileptonic", "140", slice(250, 350)),),
    "60": (("ttbar-semileptonic", "60", slice(250, 300)),),
    "200": (("ttbar-semileptonic", "200", slice(250, 300)),),
}

DEFINITION = replace(DESIGN, jets=(*DESIGN.jets[:2], replace(DESIGN.jets[2], quantities=("mass",))), ht=None)
"""The design's without τ₃/τ₂, which costs most of the time, and H_T."""

LARGEST_BIAS, PENALTY, LEAST_GAIN, PASSES, COARSE = 0.02, 10.0, 0.003, 3, 3
LEAST_JETS = 20
REPLICAS = 400

Settings = Any
"""A method's frozen dataclass."""

Scan = tuple[str, Callable[[Settings], Iterable[tuple[Any, Settings]]]]
"""The name of a coordinate, and what gives (value, settings) for each value it may take."""


@dataclass(frozen=True)
class Task:
    """One method on one detector: where to start from, and what to scan."""

    card: str
    starts: dict[str, Settings]
    """By name: the scan goes from each of them; the first is the default that the best is compared with."""
    coordinates: tuple[Scan, ...]
    thin: int = 1
    """Every so many crossings of the scan are used, for methods that take long."""


# Coordinates.


def field(name: str, values: Iterable[Any]) -> Scan:
    """Scan a field of the settings."""
    return name, lambda settings: [(value, replace(settings, **{name: value})) for value in values]


def in_bin(k: int, name: str, values: Iterable[Any]) -> Scan:
    """Scan a field of PUPPI's eta bin k."""

    def variants(puppi: Puppi) -> Iterable[tuple[Any, Puppi]]:
        for value in values:
            changed = replace(puppi.eta_bins[k], **{name: value})
            yield value, replace(puppi, eta_bins=(*puppi.eta_bins[:k], changed, *puppi.eta_bins[k + 1 :]))

    return f"eta bin {k}: {name}", variants


def edge(k: int, values: Iterable[float]) -> Scan:
    """Scan the edge between PUPPI's eta bins k and k + 1."""

    def variants(puppi: Puppi) -> Iterable[tuple[float, Puppi]]:
        bins = puppi.eta_bins
        for value in values:
            if bins[k].eta_min < value < bins[k + 1].eta_max:
                pair = (replace(bins[k], eta_max=value), replace(bins[k + 1], eta_min=value))
                yield value, replace(puppi, eta_bins=(*bins[:k], *pair, *bins[k + 2 :]))

    return f"edge of eta bins {k} and {k + 1}", variants


def reference_sample() -> Scan:
    """Scan from where PUPPI learns α of pileup: central pileup tracks, or all candidates of the eta bin."""

    def variants(puppi: Puppi) -> Iterable[tuple[str, Puppi]]:
        *tracked, forward = puppi.eta_bins
        for reach in (1.5, 2.0, 2.5, 3.0):
            bins = (*tracked, replace(forward, reference="charged-pileup"))
            yield f"tracks below {reach}", replace(puppi, eta_bins=bins, reference_eta_max=reach)
        bins = (*tracked, replace(forward, reference="all"))
        yield "the same eta bin", replace(puppi, eta_bins=bins, reference_eta_max=None)

    return "reference", variants


def unassociated() -> Scan:
    """Scan which charged candidates without a vertex count as leading: (|eta| from, |dz| in mm)."""

    def variants(puppi: Puppi) -> Iterable[tuple[Any, Puppi]]:
        for eta, dz in ((None, 0.0), (4.0, 1.0), (2.4, 1.0), (0.0, 1.0), (0.0, 3.0)):
            yield (eta, dz), replace(puppi, eta_min_delta_z=eta, delta_z_cut=dz)

    return "dz fallback", variants


def of_softkiller(scan: Scan) -> Scan:
    """Scan a field of the SoftKiller within zeroing."""
    name, variants = scan
    return f"softkiller: {name}", lambda settings: [
        (value, replace(settings, softkiller=inner)) for value, inner in variants(settings.softkiller)
    ]


def in_pass(p: int, k: int, values: Iterable[float]) -> Scan:
    """Scan the distance (k = 0) or the exponent (k = 1) of pass p of iterative constituent subtraction."""

    def variants(settings: Settings) -> Iterable[tuple[float, Settings]]:
        for value in values:
            passes = [list(item) for item in settings.passes]
            passes[p][k] = value
            yield value, replace(settings, passes=tuple((item[0], item[1]) for item in passes))

    return f"pass {p}: {('max_distance', 'alpha')[k]}", variants


CONES = (0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.5)

_CUTS = ((0.0, 0.1, 0.2, 0.4, 0.7, 1.0), (0.0, 0.2, 0.5, 1.0, 1.5, 2.0), (0.0, 0.5, 1.0, 2.0, 3.0, 4.0, 5.0))
_SLOPES = (
    (0.0, 0.003, 0.006, 0.010, 0.015, 0.020, 0.030),
    (0.0, 0.006, 0.013, 0.020, 0.030, 0.045, 0.060),
    (0.0, 0.02, 0.04, 0.055, 0.067, 0.08, 0.10, 0.13),
)

PUPPI_COORDINATES = (
    field("cone", CONES),
    reference_sample(),
    edge(0, (1.5, 2.0, 2.5, 3.0)),
    edge(1, (3.0, 3.25, 3.5, 3.75, 4.0)),
    *(
        scan
        for k in range(3)
        for scan in (
            in_bin(k, "pt_slope", _SLOPES[k]),
            in_bin(k, "pt_cut", _CUTS[k]),
            in_bin(k, "median_scale", (0.6, 0.7, 0.75, 0.8, 0.85, 0.9, 0.95, 1.0, 1.1, 1.2)),
            in_bin(k, "rms_scale", (0.7, 0.85, 1.0, 1.2, 1.5, 2.0)),
            in_bin(k, "rms_pt_min", (0.1, 0.5, 1.0)),
        )
    ),
    in_bin(1, "neighbours", ("charged-leading", "all")),
    field("min_weight", (0.01, 0.05, 0.1, 0.2, 0.3)),
    field("protect_neutrals", (None, (20.0, 200.0), (20.0, 100.0), (10.0, 100.0), (10.0, 50.0), (5.0, 50.0))),
    field("protect_photons", (None, (20.0, 2.5))),
    field("pt_max_charged", (None, 5.0, 20.0)),
    unassociated(),
    field("leptons_apart", (False, True)),
    field("eta_as_rapidity", (False, True)),
)

_TILES = (0.3, 0.35, 0.4, 0.45, 0.5, 0.55, 0.6, 0.7, 0.8)
_DISTANCES = (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4, 0.6)
_ALPHAS = (0.0, 0.5, 1.0, 1.5, 2.0)
_BACKGROUND = (
    field("rho_tile", (0.4, 0.5, 0.6, 0.8, 1.0)),
    field("ghost_area", (0.005, 0.01, 0.02, 0.04)),
    field("neutrals_only", (True, False)),
)

TASKS = {
    "puppi:cms-phase2": Task(
        "cms-phase2",
        {"puppi:cms-phase2": CMS_PHASE2, "puppi:delphes": DELPHES},
        PUPPI_COORDINATES,
    ),
    "puppi:delphes-phase2": Task(
        "delphes-phase2",
        {"puppi:delphes": DELPHES, "puppi:cms-phase2": CMS_PHASE2},
        PUPPI_COORDINATES,
    ),
    "softkiller": Task(
        "cms-phase2",
        {"softkiller": SoftKiller()},
        (field("tile", _TILES), field("neutrals_only", (True, False)), field("y_max", (2.5, 3.0, 4.0, 5.0))),
        thin=3,
    ),
    "softkiller-zeroing": Task(
        "cms-phase2",
        {"softkiller-zeroing": SoftKillerZeroing()},
        (
            of_softkiller(field("tile", _TILES)),
            of_softkiller(field("neutrals_only", (True, False))),
            of_softkiller(field("y_max", (2.5, 3.0, 4.0, 5.0))),
            field("radius", (0.05, 0.1, 0.15, 0.2, 0.25, 0.3, 0.4)),
            field("pt_max", (2.0, 5.0, 10.0, 20.0, 40.0)),
            field("track_eta_max", (2.5, 3.0, 3.5, 4.0)),
        ),
        thin=3,
    ),
    "cs": Task(
        "cms-phase2",
        {"cs": ConstituentSubtraction()},
        (field("max_distance", _DISTANCES), field("alpha", _ALPHAS), *_BACKGROUND),
        thin=3,
    ),
    "ics": Task(
        "cms-phase2",
        {"ics": IterativeConstituentSubtraction()},
        (
            *(in_pass(p, k, values) for p in (0, 1) for k, values in enumerate((_DISTANCES, _ALPHAS))),
            field("ghost_removal", (True, False)),
            *_BACKGROUND,
        ),
        thin=3,
    ),
}


# Samples.


def crossings(card: str, parts: tuple[tuple[str, str, slice], ...], folder: Path, thin: int = 1) -> hs.Events:
    """Return tuning crossings, made if they are not in the folder, without what no method and no measure needs."""
    found = []
    for process, pileup, chosen in parts:
        path = folder / f"{card}-{process}-{pileup.replace(':', '-')}-{chosen.start}-{chosen.stop}.parquet"
        if not path.exists():
            folder.mkdir(parents=True, exist_ok=True)
            events = hs.simulate(process, chosen.stop, pileup=pileup, seed=SEED, n_minbias=N_MINBIAS, card=card)
            hs.write(path, _slim(events[chosen]))
        found.append(hs.read(path)[::thin])
    return hs.concatenate(found)


def _slim(events: hs.Events) -> hs.Events:
    truth = {name: events.truth[name] for name in ("hard_fraction", "jets", "fat_jets", "leptons", "met")}
    kept = events.array[["candidates", "n_vertices", "process", "pileup"]]
    return hs.Events(kept, events.metadata).with_field("truth", ak.zip(truth, depth_limit=1))


# Merit.


class Bench:
    """Crossings on which settings are tried."""

    def __init__(self, events: hs.Events) -> None:
        self.events = hs.Events(ak.to_packed(events.array), events.metadata)
        self._bare = self.events.without_truth()
        self._momenta = self.events.candidates[["pt", "eta", "phi", "energy"]]
        self._weights = lru_cache(maxsize=24)(lambda method: ak.to_packed(method.weights(self._bare)))

    def observe(self, method: Method) -> Observations:
        """Measure a method."""
        if isinstance(method, Puppi):
            # The eta bins do not know of each other, and a neutral outside of them all gets 0: so the weights are the
            # greatest of those of each bin alone, and a bin whose settings stay is not weighed again.
            alone = [replace(method, eta_bins=(eta_bin,)) for eta_bin in method.eta_bins]
            flat = [ak.to_numpy(ak.flatten(self._weights(part))) for part in alone]
            weights = ak.unflatten(np.maximum.reduce(flat), self.events.n_candidates)
        else:
            weights = self._weights(method)
        kept = weights > 0  # few: what is left out costs no time in clustering
        return observe(self.events.with_field("candidates", self._momenta[kept]), weights[kept], DEFINITION)


def merit(seen: Observations, counts: NDArray[np.int64]) -> float:
    """Return M (see the module) when event e is drawn `counts[e]` times; what few jets show is left out.

    Infinite if most jets are lost, NaN if so few are drawn that nothing is known of them.
    """
    logarithms, excess = [], 0.0
    for name, response in (("ak4_central", "pt"), ("ak4_forward", "pt"), ("ak8", "mass")):
        jets = seen.jets[name]
        values = getattr(jets, f"{response}_response")
        known = np.isfinite(values)
        if known.sum() < LEAST_JETS:
            continue
        low, median, high = Sample(values[known], jets.event[known]).quantiles(counts, (0.25, 0.5, 0.75))
        if median <= -1:
            return math.inf
        if not high > low:
            return math.nan
        logarithms.append(math.log((high - low) / 2 / (1 + median)))
        if response == "pt":
            excess += max(abs(median) - LARGEST_BIAS, 0.0)
    assert seen.met is not None and seen.truth_met is not None  # noqa: PT018  our own simulation says
    residual = Sample((seen.met - seen.truth_met).ravel(), np.repeat(np.arange(seen.n_events), 2))
    low, high = residual.quantiles(counts, (0.25, 0.75))
    return float(np.mean([*logarithms, math.log((high - low) / 2)]) + PENALTY * excess)


def merit_change(best: Observations, default: Observations) -> Estimate:
    """Return M(best) − M(default), the same crossings drawn for both."""
    once = np.ones(best.n_events, dtype=np.int64)
    drawn = [merit(best, c) - merit(default, c) for c in resamplings(best.n_events, REPLICAS, 1)]
    return Estimate.from_replicas(merit(best, once) - merit(default, once), np.array(drawn))


def scan(task: Task, bench: Bench) -> tuple[Settings, list[dict[str, Any]]]:
    """Return the best settings that a way from any of the starts leads to, and the steps of all ways."""
    of, coarse = _merit_on(bench), _merit_on(Bench(bench.events[::COARSE]))
    ends, trace = [], []
    for name, start in task.starts.items():
        best, dull = start, set[str]()
        for number in range(PASSES):
            before = best
            for coordinate, variants in task.coordinates:
                if coordinate in dull:
                    continue
                here, seen = best, of if number else coarse
                best, tried = _best_of(list(variants(best)), best, seen)
                if max(tried.values()) - min(tried.values()) < LEAST_GAIN:
                    dull.add(coordinate)
                if best != here:
                    trace.append({"start": name, "pass": number, "coordinate": coordinate, "merit": seen(best)})
                print(f"{name} {number} {coordinate}: {tried}", file=sys.stderr, flush=True)
            if number and best == before:
                break
        ends.append(best)
    return min(ends, key=of), trace


def _best_of(
    options: list[tuple[Any, Settings]], here: Settings, of: Callable[[Settings], float]
) -> tuple[Settings, dict[str, float]]:
    """Return the option to go on with, `here` where none is better, and the merit of each by its value."""
    winner = min((settings for _, settings in options), key=of)
    chosen = winner if of(winner) < of(here) - LEAST_GAIN else here
    return chosen, {str(value): of(settings) for value, settings in options}


def _merit_on(bench: Bench) -> Callable[[Settings], float]:
    """Return what gives the merit of settings, each observed once."""
    once = np.ones(len(bench.events), dtype=np.int64)
    return lru_cache(maxsize=None)(lambda settings: merit(bench.observe(settings), once))


# Numbers.


def compared(bench: Bench, methods: dict[str, Method]) -> dict[str, Any]:
    """Return the table of methods, the last of which is the best, and by how much it differs from the first."""
    seen = {name: bench.observe(method) for name, method in methods.items()}
    table: ResolutionTable = summarise(seen, replicas=REPLICAS)
    first, *_, last = seen
    change = {
        statistic: {q: dataclasses.asdict(e) for q, e in differences(seen, first, statistic=statistic)[last].items()}
        for statistic in ("resolution", "median", "delta")
    }
    vertices = ak.to_numpy(bench.events.n_vertices)
    return {
        **table.to_dict(),
        "n_vertices": [float(vertices.mean()), float(vertices.std())],
        "merit_change": dataclasses.asdict(merit_change(seen[last], seen[first])),
        "change": change,
    }


def against_cone(bench: Bench, methods: dict[str, Puppi]) -> dict[str, list[dict[str, Any]]]:
    """Return bias and resolution of central jets at each cone."""
    curves: dict[str, list[dict[str, Any]]] = {}
    for name, puppi in methods.items():
        seen = {str(cone): bench.observe(replace(puppi, cone=cone)) for cone in CONES}
        table = summarise(seen, replicas=REPLICAS).to_dict()["estimates"]
        curves[name] = [
            {"cone": cone, **{s: table[str(cone)]["ak4_central.pt"][s] for s in ("resolution", "median")}}
            for cone in CONES
        ]
    return curves


def tune(name: str, folder: Path) -> dict[str, Any]:
    """Scan, and compare the default with the best on crossings that the scan did not see."""
    task = TASKS[name]
    bench = Bench(crossings(task.card, SCAN, folder, task.thin))
    best, trace = scan(task, bench)
    methods = {**task.starts, "best": best}
    result: dict[str, Any] = {
        "card": task.card,
        "best": settings_of(best),
        "scan": compared(bench, methods),
        "steps": trace,
    }
    if isinstance(best, Puppi):
        first = next(iter(task.starts))
        result["cones"] = against_cone(bench, {first: task.starts[first], "best": best})
    for pileup, parts in CONFIRM.items():
        result[f"pileup {pileup}"] = compared(Bench(crossings(task.card, parts, folder)), methods)
    return result


# Page.

COLUMNS = (
    ("ak4_central.pt", "resolution", "central jets δ/(1+med)"),
    ("ak4_central.pt", "median", "median"),
    ("ak4_forward.pt", "resolution", "forward jets"),
    ("ak4_forward.pt", "median", "median"),
    ("ak4_forward.pt", "fakes", "fakes"),
    ("ak8.mass", "resolution", "AK8 mass"),
    ("met", "delta", "missing momentum δ [GeV]"),
)
_TITLES = {"scan": "scan", "pileup 140": "pileup 140", "pileup 60": "pileup 60", "pileup 200": "pileup 200"}


def cell(estimate: dict[str, float] | None, size: int) -> str:
    """Write a number with its error."""
    if estimate is None or size < LEAST_JETS or not math.isfinite(estimate["value"]):
        return "–"
    if Estimate(**estimate).bound is not None:
        return with_error(Estimate(**estimate))
    digits = 1 if abs(estimate["value"]) > 5 else 3
    return with_digits(estimate["value"], estimate["error"], digits)


def tables(name: str, result: dict[str, Any]) -> list[str]:
    """Return the part of the page about one task."""
    settings = {key: value for key, value in result["best"].items() if key != "class"}
    lines = [f"### {name} on `{result['card']}`", ""]
    lines += [f"Best: `{json.dumps(settings)}`", ""]
    lines += ["| sample (N_PV) | method | " + " | ".join(heading for *_, heading in COLUMNS) + " | ΔM |"]
    lines += ["|---|---|" + "---|" * (len(COLUMNS) + 1)]
    for key, title in _TITLES.items():
        table = result[key]
        mean, spread = table["n_vertices"]
        for method, values in table["estimates"].items():
            cells = [cell(values.get(q, {}).get(s), table["sizes"].get(q, 0)) for q, s, _ in COLUMNS]
            change = cell(table["merit_change"], LEAST_JETS) if method == "best" else ""
            label = f"{title}, {table['n_events']} ({mean:.0f} ± {spread:.0f})"
            lines.append(f"| {label} | {method} | " + " | ".join(cells) + f" | {change} |")
    return [*lines, ""]


def draw(results: dict[str, Any], output: Path) -> None:
    """Draw resolution and median of central jets against PUPPI's cone, a column a detector."""
    chosen = {name: result for name, result in results.items() if "cones" in result}
    if not chosen:
        return
    with figure_style():
        figure, axes = plt.subplots(
            2, len(chosen), sharex=True, sharey="row", figsize=(5.5 * len(chosen), 7), layout="constrained",
            squeeze=False,
        )  # fmt: skip
        for column, result in zip(axes.T, chosen.values(), strict=True):
            for method, points in result["cones"].items():
                for axis, statistic in zip(column, ("resolution", "median"), strict=True):
                    axis.errorbar(
                        [point["cone"] for point in points], [point[statistic]["value"] for point in points],
                        [point[statistic]["error"] for point in points], fmt="o-", markersize=4, capsize=2,
                        color=COLOURS.get("puppi:best" if method == "best" else method), label=method,
                    )  # fmt: skip
            column[0].set_title(f"{result['card']}, tuning crossings", loc="right", fontsize="small")
            column[1].axhline(0.0, color="black", linewidth=0.8)
            column[1].axhspan(-LARGEST_BIAS, LARGEST_BIAS, color="black", alpha=0.08, linewidth=0)
            column[1].set_xlabel(r"cone $\Delta R$")
            column[0].legend()
        axes[0, 0].set_ylabel(r"AK4 jets, $|\eta| < 2.5$: $\delta/(1 + \mathrm{median})$")
        axes[1, 0].set_ylabel("median of the response")
        simulation_label(axes[0, 0])
        figure.savefig(output)
        plt.close(figure)


def main() -> None:
    """Tune what is asked for, and write page, numbers and figure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("page", type=Path)
    parser.add_argument("--only", nargs="+", choices=TASKS, default=list(TASKS))
    parser.add_argument("--samples", type=Path, default=Path("demo_output/tuning_samples"))
    parser.add_argument("--again", action="store_true", help="write page and figure of the numbers that are there")
    given = parser.parse_args()
    numbers = given.page.with_suffix(".json")
    results: dict[str, Any] = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
    for name in () if given.again else given.only:
        results[name] = tune(name, given.samples)
        # Read again: another process may tune another method.
        known = json.loads(numbers.read_text(encoding="utf-8")) if numbers.exists() else {}
        results = {task: {**known, name: results[name]}[task] for task in TASKS if task in {**known, name: 0}}
        numbers.write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    draw(results, given.page.with_suffix(".png"))
    if given.page.exists():
        put(given.page, "measured", [line for name, result in results.items() for line in tables(name, result)])


if __name__ == "__main__":
    main()
