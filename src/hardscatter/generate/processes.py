"""The named processes: what collides into what, with every setting that Pythia gets for it."""

from __future__ import annotations

from dataclasses import dataclass

from hardscatter.errors import UnknownProcessError, did_you_mean


@dataclass(frozen=True)
class Process:
    """A named process: which settings make it and which part of phase space it covers."""

    name: str
    description: str
    settings: tuple[str, ...]
    """Lines for Pythia; ``{mass}`` stands for the mass of the generation (GeV), ``{lowest}`` for `LOWEST` of it."""
    cuts: str
    """Where in phase space the process lives, in words."""
    variants: tuple[tuple[str, ...], ...] = ((),)
    """Exclusive parts of the process, of equal cross section, taken in turn collision by collision: more settings."""
    mass: float | None = None
    """Mass of the resonance (GeV) unless another is asked for; None if the process has no mass to choose."""
    pileup: bool = False
    """Whether this is what pileup is made of: only what a detector can see is kept."""


LEPTONS = "11 13 15"
LIGHT_QUARKS = "1 2 3 4 5"
NO_CUT = "none"

LOWEST = 0.75
"""Resonances are made above this part of their mass: proton structure would draw most W' of 3 TeV far below it."""

_TOP_PAIR = ("Top:gg2ttbar = on", "Top:qqbar2ttbar = on")
_Z_JET = (
    "WeakBosonAndParton:qqbar2gmZg = on",
    "WeakBosonAndParton:qg2gmZq = on",
    "WeakZ0:gmZmode = 2",
    "23:onMode = off",
)


def _w_decays(products: str) -> tuple[str, ...]:
    return ("24:onMode = off", f"24:onIfAny = {products}")


_ALL = (
    Process(
        "minbias",
        "what pileup is made of, no hard process to simulate: inelastic collisions; elastic ones too on request",
        (),  # one line, which depends on the generation
        "visible particles with |eta| < 6",
        pileup=True,
    ),
    Process(
        "qcd",
        "jets of quarks and gluons, evenly over the logarithm of pT, with weights that undo it",
        (
            "HardQCD:all = on",
            "PhaseSpace:pTHatMin = 15",
            "PhaseSpace:bias2Selection = on",
            "PhaseSpace:bias2SelectionPow = 4.5",
            "PhaseSpace:bias2SelectionRef = 100",
        ),
        "pT-hat > 15 GeV; weight (100 GeV / pT-hat)^4.5; at 14 TeV 90 % lie in 25-1050 GeV, half above 195",
    ),
    Process(
        "ttbar-dileptonic",
        "top pairs, both W to e, mu or tau and neutrino",
        (*_TOP_PAIR, *_w_decays(LEPTONS)),
        NO_CUT,
    ),
    Process(
        "ttbar-semileptonic",
        "top pairs, one W to e, mu or tau and neutrino, the other to quarks; the lepton's charge alternates",
        (*_TOP_PAIR, "24:onMode = off"),
        NO_CUT,
        # Each charge is half of the cross section. The two in turn are what a filter on all decays would leave.
        variants=(
            (f"24:onPosIfAny = {LEPTONS}", f"24:onNegIfAny = {LIGHT_QUARKS}"),
            (f"24:onNegIfAny = {LEPTONS}", f"24:onPosIfAny = {LIGHT_QUARKS}"),
        ),
    ),
    Process("ttbar-hadronic", "top pairs, both W to quarks", (*_TOP_PAIR, *_w_decays(LIGHT_QUARKS)), NO_CUT),
    Process(
        "vbf-h-invisible",
        "vector-boson fusion to a Higgs boson of 125 GeV that decays to four neutrinos",
        (
            "HiggsSM:ff2Hff(t:WW) = on",
            "HiggsSM:ff2Hff(t:ZZ) = on",
            "25:m0 = 125",
            "25:onMode = off",
            "25:onIfMatch = 23 23",
            "23:onMode = off",
            "23:onIfAny = 12 14 16",
            "SpaceShower:dipoleRecoil = on",  # no colour flows between the two quarks; the global recoil is wrong here
        ),
        NO_CUT,
    ),
    Process(
        "hh-4b",
        "a heavy scalar to two Higgs bosons of 125 GeV, each to two b quarks: four jets as Higgs pairs make them",
        (
            "Higgs:useBSM = on",
            "HiggsBSM:gg2H2 = on",
            "25:m0 = 125",
            "25:onMode = off",
            "25:onIfAny = 5",
            "35:m0 = {mass}",
            "35:mMin = {lowest}",
            "35:onMode = off",
            "35:onIfMatch = 25 25",
        ),
        "mass above 0.75 of the nominal one; 400 GeV is where the pairs of the Standard Model peak",
        mass=400.0,
    ),
    Process(
        "wjets",
        "a W to e, mu or tau and neutrino, with a jet",
        (
            "WeakBosonAndParton:qqbar2Wg = on",
            "WeakBosonAndParton:qg2Wq = on",
            "PhaseSpace:pTHatMin = 20",
            *_w_decays(LEPTONS),
        ),
        "pT-hat > 20 GeV",
    ),
    Process(
        "znunu-jets",
        "a Z to neutrinos, with a jet",
        (*_Z_JET, "23:onIfAny = 12 14 16", "PhaseSpace:pTHatMin = 50"),
        "pT-hat > 50 GeV; Z without photon interference",
    ),
    Process(
        "znunu-jets-boosted",
        "the same with more transverse momentum, the background of invisible Higgs decays",
        (*_Z_JET, "23:onIfAny = 12 14 16", "PhaseSpace:pTHatMin = 100"),
        "pT-hat > 100 GeV; Z without photon interference; further jets from the parton shower only",
    ),
    Process(
        "zll-jets",
        "a Z to electrons or muons, with a jet",
        (*_Z_JET, "23:onIfAny = 11 13", "PhaseSpace:pTHatMin = 20"),
        "pT-hat > 20 GeV; Z without photon interference",
    ),
    Process(
        "gamma-jets",
        "a prompt photon with a jet",
        (
            "PromptPhoton:qg2qgamma = on",
            "PromptPhoton:qqbar2ggamma = on",
            "PromptPhoton:gg2ggamma = on",
            "PhaseSpace:pTHatMin = 30",
        ),
        "pT-hat > 30 GeV",
    ),
    Process(
        "zprime-tt",
        "a Z' to top quarks that decay to jets",
        (
            "NewGaugeBoson:ffbar2gmZZprime = on",
            "Zprime:gmZmode = 3",
            "32:m0 = {mass}",
            "32:mMin = {lowest}",
            "32:onMode = off",
            "32:onIfAny = 6",
            *_w_decays(LIGHT_QUARKS),
        ),
        "mass above 0.75 of the nominal one; Z' without photon and Z interference, couplings as the Z's",
        mass=2000.0,
    ),
    Process(
        "wprime-dijets",
        "a W' to two light quarks",
        (
            "NewGaugeBoson:ffbar2Wprime = on",
            "34:m0 = {mass}",
            "34:mMin = {lowest}",
            "34:onMode = off",
            f"34:onIfAny = {LIGHT_QUARKS}",
            "34:offIfAny = 6",
        ),
        "mass above 0.75 of the nominal one; couplings as the W's",
        mass=3000.0,
    ),
    Process(
        "soft-unclustered",
        "a Z' to dark quarks that shower with a strong coupling into about a thousand soft hadrons, all around",
        (
            "HiddenValley:ffbar2Zv = on",
            "4900023:m0 = {mass}",
            "4900023:mMin = {lowest}",
            "4900023:onMode = off",
            "4900023:onIfAny = 4900101",
            "HiddenValley:Ngauge = 3",
            "HiddenValley:nFlav = 1",
            "HiddenValley:FSR = on",
            "HiddenValley:fragment = on",
            "HiddenValley:alphaOrder = 0",
            "HiddenValley:alphaFSR = 3",  # the coupling does not run: as many soft branchings as phase space allows
            "HiddenValley:pTminFSR = 1.1",
            "4900101:m0 = 0.5",
            "4900111:m0 = 1",
            "4900113:m0 = 1",
            "4900111:oneChannel = 1 1 91 1 -1",
            "4900113:oneChannel = 1 1 91 1 -1",
        ),
        "mass above 0.75 of the nominal one; dark mesons of 1 GeV that decay to light quarks at once",
        mass=1000.0,
    ),
)

PROCESSES = {process.name: process for process in _ALL}


def processes() -> dict[str, str]:
    """Return the names of all processes, each with one line on what it is."""
    return {process.name: process.description for process in _ALL}


def get_process(name: str) -> Process:
    """Return the process of this name.

    Raises
    ------
    UnknownProcessError
        If there is none; the sentence names the nearest and lists those that exist.
    """
    if name not in PROCESSES:
        raise UnknownProcessError(
            f"there is no process '{name}'{did_you_mean(name, PROCESSES)}: take one of {', '.join(PROCESSES)}, or the "
            "path of a .cmnd file."
        )
    return PROCESSES[name]
