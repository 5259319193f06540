"""Regenerate the figure and the numbers of docs/denoising.md from a trained network.

    hardscatter --threads 1 train --config denoising --workers 0 --output RUN
    python tools/make_denoising_page.py RUN [--crossings 2000]

The network is exported and run by ONNX Runtime, as any user would. Two cuts are tuned on crossings of seed 304, and
everything is measured on crossings of seed 303, which neither training nor tuning has seen; minutes on one core.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import awkward as ak
import matplotlib.pyplot as plt
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

import hardscatter as hs
from hardscatter.detector import Card, load_card
from hardscatter.detector.noise import Noise, add_noise, significance, zero_suppressed
from hardscatter.events import Events, flat
from hardscatter.metrics import DESIGN, Definition, Estimate, Observations, ResolutionTable, observe, summarise
from hardscatter.report.style import COLOURS, figure_style, simulation_label
from hardscatter.report.tables import with_error
from hardscatter.training import load
from hardscatter.training.configuration import NoisyCrossings
from hardscatter.training.export import export

DOCS = Path(__file__).parent.parent / "docs"
BEGIN, END = "<!-- numbers: begin (tools/make_denoising_page.py) -->", "<!-- numbers: end -->"
TEST, TUNING = 303, 304
PROCESSES = {"ttbar-semileptonic": "tt̄, one lepton (not in the training)", "qcd": "QCD jets"}
STUDIES = Definition("noise", DESIGN.jets[:2], DESIGN.met, ())
BARREL, ENDCAP = (0.0, 1.4), (1.6, 2.9)  # |eta|, away from the edges where σ changes
METHODS = {
    "none": ("no cut", COLOURS["none"]),
    "pt": (r"cut on $p_\mathrm{T}$", COLOURS["softkiller"]),
    "significance": (r"cut on $E/\sigma$", COLOURS["puppi"]),
    "network": ("network", COLOURS["total"]),
    "perfect": ("perfect weights", COLOURS["perfect"]),
}


@dataclass(frozen=True)
class Sample:
    """The same crossings without noise and with it, and E/σ of the noisy candidates."""

    alone: Events
    noisy: Events
    significance: ak.Array


@dataclass(frozen=True)
class Cuts:
    """Neutral candidates below are removed: pt in GeV, E/σ."""

    pt: float
    significance: float

    def weights(self, sample: Sample) -> dict[str, ak.Array]:
        """Return 0 for what each cut removes, else 1."""
        return {
            "pt": above(sample.noisy, sample.noisy.candidates.pt, self.pt),
            "significance": above(sample.noisy, sample.significance, self.significance),
        }


def make_sample(process: str, n: int, seed: int, noise: Noise, card: Card) -> Sample:
    """Simulate crossings without pileup, read out with and without noise."""
    alone = zero_suppressed(hs.simulate(process, n=n, pileup=0, seed=seed), noise, card)
    noisy = add_noise(alone, noise, card, seed)
    return Sample(alone, noisy, significance(noisy, noise, card))


def above(events: Events, values: ak.Array, cut: float) -> ak.Array:
    """Return 1 for charged candidates and for neutral ones whose value is at least the cut, else 0."""
    return ak.values_astype((events.candidates.charge != 0) | (values >= cut), np.float32)


def wrongness(sample: Sample, weights: ak.Array) -> float:
    """Return the mean squared distance of missing momentum to that of the crossing without noise, GeV²."""
    seen, wanted = hs.missing_momentum(sample.noisy, weights), hs.missing_momentum(sample.alone)
    return float(ak.mean((seen.px - wanted.px) ** 2 + (seen.py - wanted.py) ** 2))


def tuned(samples: list[Sample]) -> Cuts:
    """Return the cuts that restore missing momentum best, each process counting alike."""
    pts, significances = np.arange(0.3, 1.5, 0.05).round(2), np.arange(2.5, 6.0, 0.1).round(1)
    by_pt = [sum(wrongness(s, above(s.noisy, s.noisy.candidates.pt, cut)) for s in samples) for cut in pts]
    by_significance = [sum(wrongness(s, above(s.noisy, s.significance, cut)) for s in samples) for cut in significances]
    return Cuts(float(pts[np.argmin(by_pt)]), float(significances[np.argmin(by_significance)]))


def weights_of(sample: Sample, cuts: Cuts, model: Path) -> dict[str, ak.Array]:
    """Return the weights of every method, in the order of `METHODS`."""
    ones = ak.values_astype(ak.ones_like(sample.noisy.candidates.pt), np.float32)
    network = hs.mitigate(sample.noisy, str(model))
    perfect = hs.perfect_weights(sample.noisy)
    return {"none": ones, **cuts.weights(sample), "network": network, "perfect": perfect}


def kept_shares(sample: Sample, weights: ak.Array) -> tuple[float, float]:
    """Return which share of the pt of noise and of the pt of neutral particles the weights keep."""
    candidates, hard = sample.noisy.candidates, sample.noisy.truth.hard_fraction
    neutral = candidates.charge == 0

    def kept(part: ak.Array) -> float:
        return float(ak.sum(part * weights * candidates.pt) / ak.sum(part * candidates.pt))

    return kept(neutral * (1 - hard)), kept(neutral * hard)


def table_lines(table: ResolutionTable, against: str, names: Mapping[str, str]) -> list[str]:
    """Return a table in Markdown: medians, widths, sizes."""
    columns = (
        ("ak4_central.pt", "median", 100.0), ("ak4_central.pt", "resolution", 100.0),
        ("ak4_forward.pt", "median", 100.0), ("ak4_forward.pt", "resolution", 100.0), ("met", "delta", 1.0),
    )  # fmt: skip
    sizes = table.sizes
    lines = [
        f"*Against {against}: {sizes['ak4_central.pt']} central and {sizes['ak4_forward.pt']} forward jets, "
        f"{sizes['met']} crossings*",
        "",
        "| weights | central jets: median [%] | δ/(1+med) [%] | forward jets: median [%] | δ/(1+med) [%] "
        "| missing momentum: δ [GeV] |",
        "|---|---:|---:|---:|---:|---:|",
    ]
    for method, estimates in table.estimates.items():
        cells = [with_error(scaled(estimates[quantity][statistic], unit)) for quantity, statistic, unit in columns]
        lines.append(f"| {names[method]} | {' | '.join(cells)} |")
    return [*lines, ""]


def scaled(estimate: Estimate, factor: float) -> Estimate:
    """Return an estimate in another unit."""
    return Estimate(*(factor * number for number in dataclasses.astuple(estimate)))


def draw(sample: Sample, weights: Mapping[str, ak.Array], truth: Mapping[str, Observations],
         alone: Mapping[str, Observations], cuts: Cuts, noise: Noise) -> Figure:  # fmt: skip
    """Draw spectrum, turn-on of the weights, jet response, and missing momentum."""
    with figure_style():
        figure, axes = plt.subplots(2, 2, figsize=(9.4, 7.8), layout="constrained")
        _spectrum(axes[0, 0], sample, weights["network"], noise)
        _turn_on(axes[0, 1], sample, weights["network"], cuts, noise)
        _jets(axes[1, 0], truth)
        _missing(axes[1, 1], alone)
        for ax in axes.flat:
            simulation_label(ax, r"$t\bar{t}$, no pileup")
    return figure


def _photons(sample: Sample, low: float, high: float) -> tuple[NDArray[np.bool_], NDArray[np.bool_]]:
    """Return which candidates are noise, and which are of particles, among photons of an |eta| range."""
    eta, hard = np.abs(flat(sample.noisy.candidates.eta)), flat(sample.noisy.truth.hard_fraction)
    inside = (flat(sample.noisy.candidates.pdg_id) == 22) & (eta >= low) & (eta < high)
    return inside & (hard == 0), inside & (hard > 0)


def _spectrum(ax: Axes, sample: Sample, weights: ak.Array, noise: Noise) -> None:
    energy, weight = flat(sample.noisy.candidates.energy, np.float64), flat(weights, np.float64)
    made, real = _photons(sample, *BARREL)
    sigma = noise.electromagnetic.sigma[0]
    edges = np.geomspace(noise.threshold * sigma, 30.0, 45)
    per = len(sample.noisy) * np.diff(np.log(edges))

    def spectrum(chosen: NDArray[np.bool_], w: NDArray[np.float64] | None = None) -> NDArray[np.float64]:
        counts, _ = np.histogram(energy[chosen], edges, weights=None if w is None else w[chosen])
        return np.where(counts > 0, counts / per, np.nan)

    centre = np.sqrt(edges[1:] * edges[:-1])
    red = METHODS["network"][1]
    ax.stairs(np.nan_to_num(spectrum(real)), edges, fill=True, color="0.85", label="particles")
    ax.stairs(np.nan_to_num(spectrum(made)), edges, color="black", linewidth=1.4, label="noise")
    ax.plot(centre, spectrum(real, weight), "o", color=red, markersize=3.5, label=r"particles $\times$ weight")
    ax.plot(centre, spectrum(made, weight), "o", color=red, markersize=3.5, fillstyle="none",
            label=r"noise $\times$ weight")  # fmt: skip
    ax.set(xscale="log", yscale="log", xlim=(edges[0], edges[-1]), ylim=(0.3, 3e4))
    ax.set_xticks([1, 2, 5, 10, 20], ["1", "2", "5", "10", "20"])
    ax.set_xlabel(rf"energy of photon candidates, $|\eta|<{BARREL[1]}$ [GeV]")
    ax.set_ylabel(r"candidates per crossing / $\Delta\,\ln E$")
    ax.legend(loc="upper right")


def _turn_on(ax: Axes, sample: Sample, weights: ak.Array, cuts: Cuts, noise: Noise) -> None:
    ratio, weight = flat(sample.significance), flat(weights, np.float64)
    edges = np.arange(noise.threshold, 8.01, 0.25)
    centre = 0.5 * (edges[1:] + edges[:-1])
    for (low, high), marker, shade in ((BARREL, "o", 1.0), (ENDCAP, "s", 0.55)):
        made, real = _photons(sample, low, high)
        for chosen, style, name in ((real, "full", "particles"), (made, "none", "noise")):
            counts, _ = np.histogram(ratio[chosen], edges)
            sums, _ = np.histogram(ratio[chosen], edges, weights=weight[chosen])
            enough = counts >= 20
            ax.plot(
                centre[enough], sums[enough] / counts[enough], marker, fillstyle=style, alpha=shade, markersize=4.5,
                color=METHODS["network"][1] if marker == "o" else COLOURS["puppi:delphes"],
                label=rf"{name}, ${low:g}<|\eta|<{high:g}$",
            )  # fmt: skip
    ax.axvline(cuts.significance, color=METHODS["significance"][1], linestyle="--", linewidth=1.2,
               label=rf"the best cut, $E/\sigma={cuts.significance:g}$")  # fmt: skip
    ax.set(xlim=(edges[0], edges[-1]), ylim=(0, 1.08))
    ax.set_xlabel(r"$E/\sigma$ of photon candidates ($\sigma$ unknown to the network)")
    ax.set_ylabel("mean weight")
    ax.legend(loc="lower right")


def _jets(ax: Axes, observations: Mapping[str, Observations]) -> None:
    edges = np.linspace(0.7, 1.4, 43)
    for method, seen in observations.items():
        _curve(ax, 1 + seen.jets["ak4_central"].pt_response, edges, method)
    ax.axvline(1.0, color="0.6", linewidth=0.8, linestyle=":", zorder=0)
    ax.set_xlabel(r"$p_\mathrm{T}^{\mathrm{reco}}\,/\,p_\mathrm{T}^{\mathrm{truth}}$ of central AK4 jets")
    ax.set_ylabel("fraction of truth jets")


def _missing(ax: Axes, observations: Mapping[str, Observations]) -> None:
    edges = np.linspace(-25, 25, 51)
    for method, seen in observations.items():
        _curve(ax, (seen.met - seen.truth_met).ravel(), edges, method)  # type: ignore[operator]
    ax.set_xlabel(r"$p_{x,y}^{\mathrm{miss}}$: with noise − the same crossing without [GeV]")
    ax.set_ylabel("fraction of components")


def _curve(ax: Axes, values: NDArray[np.float64], edges: NDArray[np.float64], method: str) -> None:
    name, colour = METHODS[method]
    counts, _ = np.histogram(values, edges)
    ax.stairs(
        counts / len(values), edges, color=colour, label=name, linewidth=1.8 if method == "network" else 1.3,
        linestyle="--" if method == "perfect" else "-",
    )  # fmt: skip
    ax.set_xlim(edges[0], edges[-1])
    ax.legend(loc="upper right")


def measured(
    process: str, sample: Sample, weights: Mapping[str, ak.Array], names: Mapping[str, str]
) -> tuple[list[str], dict[str, Observations], dict[str, Observations]]:
    """Return the page's lines about a process, and what was observed against truth and against no noise."""
    paired = hs.against_no_pileup(sample.noisy, sample.alone)
    truth = {name: observe(sample.noisy, w, STUDIES) for name, w in weights.items()}
    # Perfect weights restore the crossing without noise by construction: nothing to measure.
    alone = {name: observe(paired, w, STUDIES) for name, w in weights.items() if name != "perfect"}
    n_noise = float(ak.mean(ak.sum(sample.noisy.truth.hard_fraction == 0, axis=1)))
    n_particles = float(ak.mean(sample.alone.n_candidates))
    lines = [
        f"### {PROCESSES[process]}", "",
        f"{len(sample.noisy)} crossings with {n_particles:.0f} candidates and {n_noise:.0f} of noise on average.", "",
        "| weights | pt of noise kept | pt of neutral particles kept |", "|---|---:|---:|",
    ]  # fmt: skip
    for name, w in weights.items():
        kept = kept_shares(sample, w)
        lines.append(f"| {names[name]} | {kept[0]:.1%} | {kept[1]:.1%} |")
    lines.append("")
    for against, seen in (("truth", truth), ("the same crossings without noise", alone)):
        lines += table_lines(summarise(seen), against, names)
    return lines, truth, alone


def main() -> None:
    """Measure, draw, and replace the numbers on the page."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="folder of the training")
    parser.add_argument("--crossings", type=int, default=2000, help="of each process, for the test")
    parser.add_argument("--docs", type=Path, default=DOCS, help="where denoising.md lies")
    given = parser.parse_args()
    training, _, seen = load(given.run)
    if not isinstance(training.data, NoisyCrossings):
        parser.error(f"{given.run} holds no training against noise.")
    noise, card = training.data.noise, load_card(training.data.cards[0])
    with tempfile.TemporaryDirectory() as folder:
        model = Path(folder) / "denoising.onnx"
        export(given.run, model)
        n_tuning = max(given.crossings // 2, 1)
        cuts = tuned([make_sample(process, n_tuning, TUNING, noise, card) for process in PROCESSES])
        names = {
            "none": "none", "pt": f"neutral pt > {cuts.pt:g} GeV",
            "significance": f"neutral E/σ > {cuts.significance:g}", "network": "**network**", "perfect": "perfect",
        }  # fmt: skip
        lines = [f"The checkpoint has seen {seen['crossings']} crossings.", ""]
        for process in PROCESSES:
            sample = make_sample(process, given.crossings, TEST, noise, card)
            weights = weights_of(sample, cuts, model)
            about, truth, alone = measured(process, sample, weights, names)
            lines += about
            if process == "ttbar-semileptonic":
                figure = draw(sample, weights, truth, alone, cuts, noise)
                figure.savefig(given.docs / "denoising.png", dpi=100)
    page = given.docs / "denoising.md"
    text = page.read_text(encoding="utf-8")
    before, after = text.split(BEGIN)[0], text.split(END)[1]
    page.write_text(f"{before}{BEGIN}\n\n" + "\n".join(lines) + f"\n{END}{after}", encoding="utf-8")
    print("\n".join(lines))


if __name__ == "__main__":
    main()
