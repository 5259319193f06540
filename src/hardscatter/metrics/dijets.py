"""The mass of two jets, m_jj: what pileup mitigation makes of it where the jets lie far forward."""

from __future__ import annotations

import itertools
from dataclasses import asdict, dataclass

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingFieldError
from hardscatter.events import flat, offsets_of
from hardscatter.metrics.crossings import generator_weights
from hardscatter.metrics.matching import match, near_any
from hardscatter.metrics.records import Records
from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.metrics.statistics import (
    LEAST_ENTRIES,
    Estimate,
    bounded,
    draws,
    effective_number,
    estimate,
    estimates,
    ratio,
)
from hardscatter.metrics.studies import PUPPIS, Numbers, Profile, Result, Study, reference_of

_TITLES = {
    "matched": "m_jj of the two jets matched to the true ones",
    "leading": "m_jj of the two leading jets",
}
_STATISTICS = ("resolution", "median", "efficiency")


@dataclass(frozen=True)
class DijetDefinition:
    """Which dijet is measured: that of the two hardest truth jets of a crossing."""

    truth_pt_min: float = 30.0
    """GeV."""
    eta_max: float = 4.7
    """Of truth jets, and of the reconstructed jets that are taken for leading."""
    match_radius: float = 0.4
    lepton_distance: float = 0.4
    """Jets this close to a true prompt lepton are no jets."""
    edges: tuple[float, ...] = (150.0, 300.0, 500.0, 800.0, 1200.0, 1800.0, 2700.0, 4500.0)
    """GeV, of true m_jj."""


DIJET = DijetDefinition()


def leading_pair(jets: ak.Array) -> dict[str, NDArray[np.float64]]:
    """Return ``pt``, ``eta``, ``phi``, ``mass`` of the two hardest jets, each (events, 2); NaN where there is none.

    Jets are jagged records, in any order; without ``mass`` they are massless.
    """
    if "mass" not in jets.fields:
        jets = ak.with_field(jets, ak.zeros_like(jets.pt), "mass")
    hardest = ak.pad_none(jets[ak.argsort(jets.pt, axis=1, ascending=False)], 2, clip=True)
    return {
        name: ak.to_numpy(ak.fill_none(hardest[name], np.nan)).astype(np.float64)
        for name in ("pt", "eta", "phi", "mass")
    }


def dijet_mass(jets: ak.Array) -> NDArray[np.float64]:
    """Return the mass (GeV) of the two hardest jets of each event; NaN where there are fewer.

    m² = m₁² + m₂² + 2 (m_T1 m_T2 cosh Δy − pT1 pT2 cos Δφ), from the full four-vectors; without ``mass`` they are
    massless. Jets are jagged records with ``pt``, ``eta``, ``phi``.
    """
    return pair_mass(leading_pair(jets))


def pair_mass(pair: dict[str, NDArray[np.float64]]) -> NDArray[np.float64]:
    """Return the mass (GeV) of the pairs of `leading_pair`."""
    pt, eta, phi, mass = (pair[name] for name in ("pt", "eta", "phi", "mass"))
    transverse, pz = np.hypot(pt, mass), pt * np.sinh(eta)
    # With rapidities, not as E² − p², which far forward jets leave few digits of.
    rapidity = np.arcsinh(np.divide(pz, transverse, out=np.full_like(pz, np.nan), where=transverse > 0))
    along = transverse[:, 0] * transverse[:, 1] * np.cosh(rapidity[:, 0] - rapidity[:, 1])
    across = pt[:, 0] * pt[:, 1] * np.cos(phi[:, 0] - phi[:, 1])
    return np.asarray(np.sqrt(np.maximum((mass**2).sum(axis=1) + 2 * (along - across), 0.0)))


def dijet_study(records: Records, definition: DijetDefinition = DIJET, *, replicas: int = 200, seed: int = 1) -> Study:
    """Measure m_jj of the dijet of the two hardest truth jets, over all crossings and against true m_jj.

    Two ways: the mass of the reconstructed jets *matched* to the two (each the nearest within ΔR 0.4, the harder truth
    jet first), and that of the two *leading* reconstructed jets, as an analysis takes them. The response is
    m/m_true − 1, and −1 if a jet is missing; the resolution is δ/(1 + median) with δ = (q75 − q25)/2. The efficiency is
    the share of true dijets whose jets were both matched; of leading jets, that were the two matched ones.

    Parameters
    ----------
    records
        Crossings with truth jets; generator weights are used.
    definition
        Which dijets.
    replicas, seed
        Of the bootstrap over crossings.

    Returns
    -------
    Study
        `Numbers` ``mjj_matched`` and ``mjj_leading``, with the improvement 1 − r/r_PUPPI of the resolution r over
        ``puppi:best`` and ``puppi:cms-phase2``, and the gap closed (r_PUPPI − r)/(r_PUPPI − r_perfect), each with
        paired errors; profiles ``mjj_matched_profile`` and ``mjj_leading_profile``, whose ``ratio``, of resolutions,
        is of the same draws and there if a PUPPI is. NaN from fewer than `LEAST_ENTRIES` dijets.

    Raises
    ------
    MissingFieldError
        If there are no truth jets.
    SettingsError
        If there are too few replicas.
    """
    if "jets" not in records.truth.fields:
        raise MissingFieldError("m_jj needs truth.jets, which these records lack: record crossings that have them.")
    found = {name: _dijets(records.truth, view, definition) for name, view in records.views.items()}
    results: list[Result] = []
    for way in _TITLES:
        by_method = {name: dijets[way] for name, dijets in found.items()}
        results += _results(records, by_method, way, definition.edges, replicas, seed)
    return Study(
        name="dijets",
        title="Dijet mass",
        text=(
            f"The mass of the two hardest jets, against that of the two hardest truth jets (above "
            f"{definition.truth_pt_min:g} GeV, |eta| < {definition.eta_max:g}): of the reconstructed jets matched to "
            f"them, and of the two leading reconstructed jets, which pileup may have replaced. Lost jets have the "
            f"response −1 and stay in; δ is half the width of the central half."
        ),
        results=tuple(results),
        facts={"definition": asdict(definition), "replicas": replicas, "seed": seed},
    )


@dataclass(frozen=True)
class _Dijets:
    """True dijets and what was reconstructed of them, sorted by response."""

    event: NDArray[np.int64]
    true_mass: NDArray[np.float64]
    response: NDArray[np.float64]
    found: NDArray[np.bool_]

    def between(self, low: float, high: float) -> _Dijets:
        inside = (self.true_mass >= low) & (self.true_mass < high)
        return _Dijets(self.event[inside], self.true_mass[inside], self.response[inside], self.found[inside])

    def statistics(self, weight: NDArray[np.float64]) -> tuple[float, ...]:
        """Return the `_STATISTICS` where each crossing of the sample has a weight."""
        own = np.maximum(weight[self.event], 0.0)  # quantiles know no negative weights
        total = own.sum()
        if len(own) < LEAST_ENTRIES or total <= 0:
            return (np.nan,) * len(_STATISTICS)
        middle = np.cumsum(own) - own / 2
        low, median, high = np.interp(np.array([0.25, 0.5, 0.75]) * total, middle, self.response)
        resolution = (high - low) / 2 / (1 + median) if median > -1 else np.nan
        return resolution, median, own @ self.found / total


def _dijets(truth: ak.Array, view: ak.Array, definition: DijetDefinition) -> dict[str, _Dijets]:
    """Return the true dijets as the matched and as the leading jets show them."""
    leptons = truth.leptons if "leptons" in truth.fields else None

    def chosen(jets: ak.Array, lepton: ak.Array | None) -> ak.Array:
        kept = abs(jets.eta) < definition.eta_max
        return kept if lepton is None else kept & ~near_any(jets, lepton, definition.lepton_distance)

    true_jets = truth.jets[(truth.jets.pt > definition.truth_pt_min) & chosen(truth.jets, leptons)]
    event = np.flatnonzero(ak.num(true_jets.pt) >= 2)
    true_jets, jets = true_jets[event], view.jets[event]
    true_jets = true_jets[ak.argsort(true_jets.pt, axis=1, ascending=False)][:, :2]
    true_mass = dijet_mass(true_jets)

    partner = match(true_jets, jets, definition.match_radius).reshape(-1, 2)
    matched = _taken(jets, partner)
    both = np.asarray((partner >= 0).all(axis=1))

    jets = ak.with_field(jets, ak.local_index(jets.pt) + offsets_of(jets.pt)[:-1], "place")
    candidates = jets[chosen(jets, None if leptons is None else leptons[event])]
    candidates = candidates[ak.argsort(candidates.pt, axis=1, ascending=False)]
    first_two = ak.to_numpy(ak.fill_none(ak.pad_none(candidates.place, 2, clip=True), -1)).astype(np.int64)
    same = np.asarray(both & (np.sort(first_two, axis=1) == np.sort(partner, axis=1)).all(axis=1))

    return {
        "matched": _sorted(event, true_mass, matched, both),
        "leading": _sorted(event, true_mass, _taken(jets, first_two), same),
    }


def _taken(jets: ak.Array, place: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the mass of the pairs of flat jets at these places, (pairs, 2); 0 where one is −1."""
    pair = {name: np.append(flat(jets[name], np.float64), np.nan)[place] for name in ("pt", "eta", "phi", "mass")}
    return np.where((place >= 0).all(axis=1), pair_mass(pair), 0.0)


def _sorted(
    event: NDArray[np.int64], true_mass: NDArray[np.float64], mass: NDArray[np.float64], found: NDArray[np.bool_]
) -> _Dijets:
    response = mass / true_mass - 1.0
    order = np.argsort(response, kind="stable")
    return _Dijets(event[order], true_mass[order], response[order], found[order])


def _results(
    records: Records, found: dict[str, _Dijets], way: str, edges: tuple[float, ...], replicas: int, seed: int
) -> tuple[Result, Result]:
    """Return the table over all dijets and the profile against the true mass."""
    methods, n_events = list(found), len(records)
    headings = {
        "resolution": "δ/(1 + median)",
        "median": "median of the response",
        "efficiency": "both jets found" if way == "matched" else "leading jets are the true ones",
    }
    parts = [
        [dijets, *(dijets.between(low, high) for low, high in itertools.pairwise(edges))] for dijets in found.values()
    ]
    weight = generator_weights(records)

    def measured(drawn: NDArray[np.float64]) -> list[list[tuple[float, ...]]]:
        return [[part.statistics(drawn) for part in of_method] for of_method in parts]

    drawn = np.array([measured(weight * counts) for counts in draws(n_events, replicas, seed)], dtype=np.float64)
    drawn = drawn.reshape(len(drawn), len(methods), len(edges), len(_STATISTICS))
    # By statistic: methods, nominal and replicas, all and bins.
    values = dict(zip(_STATISTICS, np.moveaxis(drawn, (3, 1), (0, 1)), strict=True))
    inclusive = {name: of_all[..., 0] for name, of_all in values.items()}
    binned = {name: of_all[..., 1:] for name, of_all in values.items()}
    reference = reference_of(methods)
    if reference in PUPPIS.values():
        binned["ratio"] = ratio(binned["resolution"], binned["resolution"][[methods.index(reference)]])
    size = len(next(iter(found.values())).event) if found else 0
    # True dijets are those of every method.
    numbers = [effective_number(weight[part.event]) for part in parts[0]] if parts else [0.0] * len(edges)
    table = Numbers(
        name=f"mjj_{way}",
        title=_TITLES[way],
        sample=records.sample,
        headings={
            "resolution": headings["resolution"],
            "improvement": f"improvement over {REFERENCE}",
            "improvement_cms": f"improvement over {CMS_REFERENCE}",
            "gap": f"gap closed ({REFERENCE} to {PERFECT})",
            "gap_cms": f"gap closed ({CMS_REFERENCE} to {PERFECT})",
            **headings,
        },
        rows=_rows(methods, inclusive, numbers[0]),
        n_events=n_events,
        remark=f"{size} dijets in {n_events} crossings.",
    )
    profile = Profile(
        name=f"mjj_{way}_profile",
        title=_TITLES[way],
        sample=records.sample,
        variable="true m_jj [GeV]",
        edges=edges,
        statistics={
            **{name: dict(zip(methods, map(estimates, of_bins), strict=True)) for name, of_bins in binned.items()},
            "efficiency": {
                name: tuple(map(bounded, estimates(of_bins), numbers[1:]))
                for name, of_bins in zip(methods, binned["efficiency"], strict=True)
            },
        },
        headings=headings | ({"ratio": f"ratio of {headings['resolution']}"} if "ratio" in binned else {}),
        sizes=tuple(len(part.event) for part in parts[0][1:]) if parts else (0,) * (len(edges) - 1),
        reference=reference,
        n_events=n_events,
    )
    return table, profile


def _rows(methods: list[str], values: dict[str, NDArray[np.float64]], n: float) -> dict[str, dict[str, Estimate]]:
    """Return the table of statistics, (methods, nominal and replicas), of n dijets of equal weight.

    A method is not set against itself.
    """
    rows = {}
    width = dict(zip(methods, values["resolution"], strict=True))
    for i, method in enumerate(methods):
        row = {name: estimate(of_methods[i]) for name, of_methods in values.items()}
        row["efficiency"] = bounded(row["efficiency"], n)
        for suffix, base in PUPPIS.items():
            if base not in width or base == method:
                continue
            row[f"improvement{suffix}"] = estimate(1 - ratio(width[method], width[base]))
            if PERFECT in width and method != PERFECT:
                row[f"gap{suffix}"] = estimate(ratio(width[base] - width[method], width[base] - width[PERFECT]))
        rows[method] = row
    return rows
