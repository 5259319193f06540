"""Which samples the physics case is made of, and how many crossings of each."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from hardscatter.arena.samples import DEFAULT_CARD, DEFAULT_PILEUP, N_MINBIAS, SEED, called, names_files
from hardscatter.arena.shifts import shifted_samples
from hardscatter.campaign.samples import Enriched, FromFile, Sample, Simulated
from hardscatter.errors import SettingsError
from hardscatter.generate import iterate_hepmc
from hardscatter.metrics.evaluation import check_pairs, pairs_of
from hardscatter.metrics.records import Extra
from hardscatter.production import chain
from hardscatter.simulation import Settings

METHODS = ("none", "puppi:cms-phase2", "puppi:best", "total")
"""What a physics case compares unless it is told otherwise; perfect weights and no pileup always join them."""

LEARNED = ("total:paper", "supervised")
"""Measured on semileptonic tt̄ as well: what labels bring, and what the paper's loss does."""

FLAT = "flat:0-200"
QUICK = 0.01
"""Share of the crossings of a quick case."""
QUICK_MINBIAS = 2000
_LEAST = 12

SHIFT = "shift-"
"""How the names of shifted samples begin, the nominal one's first; their titles are the names of the shifts."""

_TITLES = {
    "ttbar-semileptonic": "semileptonic tt̄",
    "ttbar-dileptonic": "dileptonic tt̄",
    "ttbar-hadronic": "hadronic tt̄",
    "qcd": "QCD jets",
    "zprime-tt": "Z′ → tt̄ (2 TeV)",
    "wprime-dijets": "W′ → dijets (3 TeV)",
    "soft-unclustered": "soft unclustered energy",
    "zll-jets": "Z(ℓℓ) + jets",
    "wjets": "W + jets",
    "vbf-h-invisible": "VBF H → invisible",
    "znunu-jets": "Z(νν) + jets",
    "znunu-jets-boosted": "Z(νν) + jets",
    "gamma-jets": "γ + jets",
}

CONSTITUENTS: tuple[Extra, ...] = ("constituents",)

# As many collisions of a search region as can be had, and few of the others: those that pileup lifts into it weigh
# more, so with fewer of them the error would grow.
_SEARCH = {"vbf": Enriched(others=5), "znunu": Enriched(others=5)}
_N_SHIFTED = 150


def full_plan(
    methods: Sequence[str] = METHODS,
    *,
    share: float = 1.0,
    seed: int = SEED,
    card: str = DEFAULT_CARD,
    n_minbias: int = N_MINBIAS,
    znunu: Path | None = None,
) -> tuple[Sample, ...]:
    """Return the samples of the whole physics case, the headline ones first.

    Parameters
    ----------
    methods
        Method ids and model files.
    share
        Of the crossings of each sample, above 0; above 1 for smaller errors.
    seed, card, n_minbias
        As of `hardscatter.simulate`.
    znunu
        HepMC file of Z(νν) + jets collisions by a matrix-element generator, all of which are used, in place of Pythia's
        parton shower.

    Raises
    ------
    HardscatterError
        If a share makes no sense or the file cannot be read.
    """
    if not 0 < share < math.inf:
        raise SettingsError(f"share is {share}: give how much of the full number of crossings, above 0.")
    hard = tuple(method for method in methods if method != "none")  # which says nothing there and costs most

    def sample(
        name: str, process: str, n: int, *, pileup: str = DEFAULT_PILEUP, extras: tuple[Extra, ...] = (),
        methods: tuple[str, ...] | None = None, also: tuple[str, ...] = (),
    ) -> Sample:  # fmt: skip
        settings: Settings = {"pileup": pileup, "seed": seed, "card": card, "n_minbias": n_minbias}
        if name in _SEARCH:
            settings["select"] = _SEARCH[name]
        source = Simulated(process, _scaled(n, share), settings, pairs=pileup != "0")
        return Sample(name, title_of(process, pileup), source, extras, methods, also)

    def given(path: Path) -> Sample:
        settings: Settings = {"pileup": DEFAULT_PILEUP, "seed": seed, "card": card, "n_minbias": n_minbias}
        n = sum(len(part) for part in iterate_hepmc(path))
        return Sample("znunu", title_of(str(path), DEFAULT_PILEUP), Simulated(str(path), n, settings), methods=hard)

    def anomalies(name: str, process: str, n: int) -> list[Sample]:
        return [sample(f"{name}-0", process, n, pileup="0", extras=CONSTITUENTS, methods=("none",))]

    return (
        sample("ttbar", "ttbar-semileptonic", 1200, extras=("flow", "weights"), also=LEARNED),
        sample("zprime", "zprime-tt", 2000, extras=CONSTITUENTS),
        sample("qcd", "qcd", 2400, extras=CONSTITUENTS),
        sample("zll", "zll-jets", 1600, methods=hard),
        sample("zll-flat", "zll-jets", 1600, pileup=FLAT, methods=hard),
        sample("ttbar-flat", "ttbar-semileptonic", 800, pileup=FLAT, methods=hard),
        sample("wjets", "wjets", 500, methods=hard),
        sample("vbf", "vbf-h-invisible", 5000, methods=hard),
        sample("znunu", "znunu-jets-boosted", 24_000, methods=hard) if znunu is None else given(znunu),
        sample("qcd-flat", "qcd", 1000, pileup=FLAT, extras=CONSTITUENTS),
        sample("wprime", "wprime-dijets", 400, extras=CONSTITUENTS),
        sample("soft", "soft-unclustered", 400, extras=CONSTITUENTS),
        *anomalies("qcd", "qcd", 2400),
        *anomalies("zprime", "zprime-tt", 400),
        *anomalies("wprime", "wprime-dijets", 400),
        *anomalies("soft", "soft-unclustered", 400),
        *_shifted(_scaled(_N_SHIFTED, share), seed, card, n_minbias, hard),
    )


def quick_plan(
    methods: Sequence[str] = METHODS, *, seed: int = SEED, card: str = DEFAULT_CARD, znunu: Path | None = None
) -> tuple[Sample, ...]:
    """Return the same samples with a hundredth of the crossings: every study runs, and none says much."""
    return full_plan(methods, share=QUICK, seed=seed, card=card, n_minbias=QUICK_MINBIAS, znunu=znunu)


def own_plan(
    given: Sequence[str],
    *,
    n: int,
    pileup: str = DEFAULT_PILEUP,
    seed: int = SEED,
    card: str = DEFAULT_CARD,
    n_minbias: int = N_MINBIAS,
    paired: Path | None = None,
    particle_flow: str | None = None,
) -> tuple[Sample, ...]:
    """Return samples of a user: files with truth, or processes to simulate.

    Parameters
    ----------
    given
        Files, folders or patterns, each a sample, and names of processes or ``.cmnd`` files.
    n
        Crossings of each, at most.
    pileup, seed, card, n_minbias
        As of `hardscatter.simulate`, for processes.
    paired
        The same hard collisions without pileup, file or files, if one sample of files is given.
    particle_flow
        As of `hardscatter.iterate`, for files.

    Raises
    ------
    HardscatterError
        If a file cannot be read or does not fit its partner, or two samples would get the same name.
    """
    if paired is not None:
        if len(given) != 1 or not names_files(given[0]):
            raise SettingsError("a partner without pileup belongs to files: give one sample, of files, with it.")
        left = n
        for one, partner in pairs_of(given, paired):
            left -= check_pairs(one, partner)
            if left <= 0:  # the others are not used
                break
    settings: Settings = {"pileup": pileup, "seed": seed, "card": card, "n_minbias": n_minbias}
    extras: tuple[Extra, ...] = ("flow", "weights")
    samples: list[Sample] = []
    for word in given:
        path = Path(word)
        if not names_files(word):
            source: Any = Simulated(word, n, settings)
            source.fingerprint()  # what nobody knows is found before any work
            made = Sample(path.stem, title_of(word, pileup), source, extras)
        else:
            chain([path], 1)  # a file that cannot be read is found before any work
            title = path.name if path.is_file() else called(word)
            made = Sample(called(word), title, FromFile(path, n, particle_flow, paired), extras)
        if made.name in {other.name for other in samples}:
            raise SettingsError(f"two samples are called '{made.name}': give each once, or rename a file.")
        samples.append(made)
    return tuple(samples)


def title_of(process: str, pileup: str) -> str:
    """Return how a sample is called: ``semileptonic tt̄, pileup 140``."""
    kind, _, numbers = pileup.rpartition(":")
    words = {"flat": f"flat pileup {numbers.replace('-', '–')}", "fixed": f"pileup exactly {numbers}"}
    about = "no pileup" if pileup == "0" else words.get(kind, f"pileup {numbers}")
    return f"{_TITLES.get(process, Path(process).stem)}, {about}"


def _shifted(n: int, seed: int, card: str, n_minbias: int, methods: tuple[str, ...]) -> list[Sample]:
    """Return the arena's domain shifts of semileptonic tt̄, and the same crossings as they are."""
    samples = []
    for place, (what, shifted) in enumerate(
        shifted_samples(Path(), n=n, seed=seed, card=card, n_minbias=n_minbias).items()
    ):
        assert shifted.recipe is not None  # all are simulated
        source = Simulated(shifted.recipe.process, n, shifted.recipe.settings, pairs=False, change=shifted.change)
        samples.append(Sample(f"{SHIFT}{place}", what, source, (), methods))
    return samples


def _scaled(n: int, share: float) -> int:
    return max(round(n * share), _LEAST)
