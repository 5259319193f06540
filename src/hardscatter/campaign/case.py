"""The studies of the physics case: which question is put to which samples."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial

import numpy as np

from hardscatter.arena.contest import Outcome
from hardscatter.arena.samples import Facts
from hardscatter.arena.shifts import ShiftTable, shift_table
from hardscatter.campaign.plan import SHIFT
from hardscatter.errors import SettingsError
from hardscatter.metrics.anomaly import AnomalySettings, anomaly_study
from hardscatter.metrics.differential import differential_study, inclusive_study, supervised_study, vertices_study
from hardscatter.metrics.dijets import dijet_study
from hardscatter.metrics.distributions import QUANTITIES, RESPONSES, SOFT_FAT_JETS, distribution_study
from hardscatter.metrics.flow import flow_study
from hardscatter.metrics.invisible import VBF_HIGGS_FB, Normalisation, invisible_study
from hardscatter.metrics.observations import observe_records
from hardscatter.metrics.recoil import recoil_study
from hardscatter.metrics.records import Records
from hardscatter.metrics.spectra import weights_study
from hardscatter.metrics.studies import Numbers, Study
from hardscatter.metrics.tails import tails_study

Question = Callable[[], Study]

ANOMALIES = {"zprime": "Z′ → tt̄", "wprime": "W′ → dijets", "soft": "soft unclustered"}
"""Signals of the anomaly search, by sample."""

_LEAST_SPREAD = 50
"""Vertices between the emptiest and the fullest twentieth of a sample whose dependence on pileup is shown."""

_ANOMALY_SAMPLES = ("qcd", "qcd-0", "qcd-flat", *ANOMALIES, *(f"{name}-0" for name in ANOMALIES))


@dataclass(frozen=True)
class Material:
    """What there is to answer with."""

    records: Mapping[str, Records]
    """By name of the sample (`hardscatter.campaign.plan`)."""
    cross_sections: Mapping[str, float]
    """fb, of simulated samples."""
    replicas: int = 400


def case_questions(material: Material) -> dict[str, Question]:
    """Return the questions of the full physics case that the samples at hand can answer, in the order of the page."""
    there, replicas = material.records, material.replicas
    everything: dict[str, tuple[tuple[str, ...], Question]] = {
        "resolution_ttbar": (("ttbar",), lambda: inclusive_study(
            there["ttbar"], name="resolution_ttbar", title="Resolutions in semileptonic tt̄", replicas=replicas)),
        "resolution_zprime": (("zprime",), lambda: inclusive_study(
            there["zprime"], name="resolution_zprime", title="Resolutions in Z′ → tt̄", replicas=replicas)),
        "distributions_ttbar": (("ttbar",), lambda: distribution_study(
            there["ttbar"], quantities=(*QUANTITIES[:2], *RESPONSES[:2]), name="distributions_ttbar",
            title="Distributions in semileptonic tt̄", replicas=replicas)),
        "distributions_zprime": (("zprime",), lambda: distribution_study(
            there["zprime"], quantities=(*QUANTITIES[2:], *RESPONSES[2:]), name="distributions_zprime",
            title="Distributions in Z′ → tt̄", replicas=replicas)),
        "differential": (("ttbar", "qcd", "zprime"), lambda: differential_study(
            ttbar=there["ttbar"], qcd=there["qcd"], zprime=there["zprime"], replicas=replicas)),
        "recoil": (("zll", "zll-flat"), lambda: recoil_study(there["zll"], there["zll-flat"], replicas=replicas)),
        "dijets": (("vbf",), lambda: dijet_study(there["vbf"], replicas=replicas)),
        "invisible": (("vbf", "znunu"), lambda: invisible_study(
            there["vbf"], there["znunu"],
            Normalisation(VBF_HIGGS_FB, _cross_section(material, "znunu")), replicas=replicas)),
        "vertices": (("ttbar-flat",), lambda: vertices_study(there["ttbar-flat"], replicas=replicas)),
        "unseen": (("wjets",), lambda: inclusive_study(
            there["wjets"], name="unseen", title="A process unseen in training: W + jets", replicas=replicas)),
        "shifts": ((f"{SHIFT}0", f"{SHIFT}1"), lambda: shift_study(there, replicas=replicas)),
        "tails": (("ttbar", "qcd", "zll"), lambda: tails_study(
            {name: there[name] for name in ("ttbar", "qcd", "zll")}, replicas=replicas)),
        "flow": (("ttbar",), lambda: flow_study(there["ttbar"], replicas=replicas)),
        "weights": (("ttbar",), lambda: weights_study(there["ttbar"], replicas=replicas)),
        "supervised": (("ttbar",), lambda: supervised_study(there["ttbar"], replicas=replicas)),
        "anomaly": (_ANOMALY_SAMPLES, lambda: anomaly_study(
            {"140": there["qcd"], "0": there["qcd-0"], "flat": there["qcd-flat"]},
            {title: {"140": there[name], "0": there[f"{name}-0"]} for name, title in ANOMALIES.items()},
            AnomalySettings(replicas=replicas))),
    }  # fmt: skip
    return {name: question for name, (needs, question) in everything.items() if set(needs) <= set(there)}


def own_questions(material: Material) -> dict[str, Question]:
    """Return what can be asked of any sample with truth, sample by sample."""
    several = len(material.records) > 1
    return {
        f"{what}_{name}": (partial(_renamed, question, name, records.sample) if several else question)
        for name, records in material.records.items()
        for what, question in _own(records, material.replicas).items()
    }


def shift_study(records: Mapping[str, Records], *, replicas: int = 400) -> Study:
    """Set semileptonic tt̄ under each domain shift against the same as it is (`hardscatter.arena.shifts`)."""
    shifted = {kept.sample: kept for name, kept in records.items() if name.startswith(SHIFT)}
    outcomes = {what: Outcome(_facts(kept), observe_records(kept), {}) for what, kept in shifted.items()}
    table = shift_table(outcomes, replicas=replicas)
    columns = (("ak4_central.pt", "resolution", "jet pt, |eta| < 2.5, δ/(1 + median)"),
               ("ak4_central.pt", "median", "jet pt, |eta| < 2.5, median"),
               ("met", "delta", "missing momentum, δ [GeV]"))  # fmt: skip
    return Study(
        "shifts",
        "Detectors, tunes and pileup unseen in training",
        "Semileptonic tt̄ at pileup 140 with another tune, another detector, energies of neutral candidates off by 5 %, "
        "impact parameters measured half as well, and twice the pileup. All but the tune share the hard collisions "
        "with the nominal sample, so differences are known better than the numbers themselves.",
        tuple(_shift_numbers(table, *column) for column in columns),
    )


def _own(records: Records, replicas: int) -> dict[str, Question]:
    truth, views = set(records.truth.fields), records.views.values()
    recorded = set().union(*(view.fields for view in views)) if views else set()
    everything: dict[str, tuple[bool, Question]] = {
        "resolution": (bool(truth & {"jets", "met"}), lambda: inclusive_study(records, replicas=replicas)),
        "distributions": (
            True,
            lambda: distribution_study(
                records, quantities=(*QUANTITIES, *RESPONSES), fat_jets=SOFT_FAT_JETS, replicas=replicas
            ),
        ),
        "differential": (bool(truth & {"jets", "met"}), lambda: differential_study(ttbar=records, replicas=replicas)),
        "vertices": (_many_pileups(records), lambda: vertices_study(records, replicas=replicas)),
        "tails": ({"jets", "met"} <= truth, lambda: tails_study({"own": records}, replicas=replicas)),
        "flow": ("flow_eta" in recorded, lambda: flow_study(records, replicas=replicas)),
        "weights": ("spectrum" in recorded, lambda: weights_study(records, replicas=replicas)),
    }
    return {name: question for name, (can, question) in everything.items() if can}


def _cross_section(material: Material, name: str) -> float:
    if name not in material.cross_sections:
        raise SettingsError(f"sample '{name}' does not say its cross section: give --{name}-fb.")
    return material.cross_sections[name]


def _many_pileups(records: Records) -> bool:
    """Tell whether the crossings differ enough in pileup to show what depends on it."""
    if "n_vertices" not in records.truth.fields or not len(records):
        return False
    low, high = np.quantile(np.asarray(records.truth.n_vertices), (0.05, 0.95))
    return bool(high - low > _LEAST_SPREAD)


def _renamed(question: Question, name: str, title: str) -> Study:
    """Return the study with the sample in its names, for a page with several samples."""
    study = question()
    results = tuple(replace(result, name=f"{result.name}_{name}") for result in study.results)
    return replace(study, name=f"{study.name}_{name}", title=f"{study.title}: {title}", results=results)


def _shift_numbers(table: ShiftTable, quantity: str, statistic: str, heading: str) -> Numbers:
    methods = dict.fromkeys(method for shift in table.shifts.values() for method in shift.values)
    rows = {
        method: {
            what: found
            for what, shift in table.shifts.items()
            if (found := shift.values.get(method, {}).get(quantity, {}).get(statistic)) is not None
        }
        for method in methods
    }
    first = next(iter(table.shifts.values())).facts
    name = f"shifts_{quantity.replace('.', '_')}_{statistic}"
    return Numbers(
        name, heading[0].upper() + heading[1:], "semileptonic tt̄, pileup 140 unless shifted",
        {what: what for what in table.shifts}, rows, first.crossings,
    )  # fmt: skip


def _facts(records: Records) -> Facts:
    truth = records.truth
    vertices = float(np.mean(np.asarray(truth.n_vertices))) if "n_vertices" in truth.fields else None
    return Facts(len(records), float(np.mean(np.asarray(truth.n_candidates))), vertices)
