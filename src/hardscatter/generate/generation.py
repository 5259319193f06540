"""What to generate: a process with its options, resolved into lines for Pythia and into a name of its own."""

from __future__ import annotations

import hashlib
import json
import operator
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.generate.processes import LOWEST, Process, get_process

ENERGY = 14000.0
"""Centre-of-mass energy unless another is asked for (GeV)."""

SEEDS = 2**63
"""Seeds lie below."""

COMMON = (
    "Beams:idA = 2212",
    "Beams:idB = 2212",
    "ParticleDecays:limitTau0 = on",  # stable is what lives longer than cτ = 10 mm, as Delphes expects
    "ParticleDecays:tau0Max = 10",
)

_ALPHA_S = tuple(
    f"{where}:{line}"
    for where in ("SpaceShower", "TimeShower", "SigmaProcess")
    for line in ("alphaSvalue = 0.118", "alphaSorder = 2")
)

TUNES = {
    "monash": ("Tune:pp = 14", "Tune:ee = 7"),
    # CP5, CMS (arXiv:1903.12179), with the NNPDF3.1 NNLO set that Pythia brings along.
    "cp5": (
        "Tune:pp = 14",
        "Tune:ee = 7",
        "PDF:pSet = 20",
        "MultipartonInteractions:ecmPow = 0.03344",
        "MultipartonInteractions:bProfile = 2",
        "MultipartonInteractions:pT0Ref = 1.41",
        "MultipartonInteractions:coreRadius = 0.7634",
        "MultipartonInteractions:coreFraction = 0.63",
        "MultipartonInteractions:alphaSvalue = 0.118",
        "MultipartonInteractions:alphaSorder = 2",
        "ColourReconnection:range = 5.176",
        "SigmaTotal:zeroAXB = off",
        *_ALPHA_S,
    ),
    "4c": ("Tune:pp = 5",),  # sets its own e+e- tune
}
"""Tunes by name, as lines for Pythia."""


@dataclass(frozen=True)
class Generation:
    """A process with everything that decides which collisions come out; hashable, equal when those are equal.

    Parameters
    ----------
    process
        A name (see `processes`), or ``"cmnd"`` with the text of a Pythia command file in `cmnd`;
        `Generation.of` also takes the path of such a file.
    seed
        At least 0. Each chunk of collisions has a seed of its own, made from this one and its number.
    energy
        Centre-of-mass energy, GeV. 14 TeV by default; with a command file, what the file says.
    tune
        ``"monash"`` (default), ``"cp5"`` or ``"4c"``; with a command file, what the file says.
    mass
        Mass of the resonance, GeV, for processes that have one to choose.
    elastic
        Whether ``minbias`` holds elastic collisions too (SoftQCD:all), which leave nothing in the detector. The
        workshop of 2014 on pileup did so, with tune 4C.

    Raises
    ------
    UnknownProcessError
        If there is no such process.
    SettingsError
        If an option does not exist, is out of range or does not belong to the process.
    """

    process: str
    seed: int = 1
    energy: float | None = None
    tune: str | None = None
    mass: float | None = None
    elastic: bool = False
    cmnd: str | None = None

    def __post_init__(self) -> None:
        if self.process == "cmnd":
            self._check_cmnd()
        else:
            self._resolve(get_process(self.process))
        self._check_numbers()

    @classmethod
    def of(cls, process: str | os.PathLike[str], **options: Any) -> Generation:
        """Return the generation of a named process, or of the ``.cmnd`` file at this path.

        Raises
        ------
        UnreadableFileError
            If the file is missing or no text; otherwise as `Generation`.
        """
        path = Path(process)
        if path.suffix != ".cmnd":
            return cls(str(process), **options)
        try:
            return cls("cmnd", cmnd=path.read_text(encoding="utf-8"), **options)
        except (OSError, UnicodeDecodeError) as problem:
            reason = getattr(problem, "strerror", None) or "it is no text"
            raise UnreadableFileError(f"{path} cannot be read ({reason}): give a Pythia command file.") from None

    @property
    def collision_energy(self) -> float:
        """Centre-of-mass energy, GeV, of whoever says it: the option, the command file, or Pythia's default."""
        if self.energy is not None:
            return self.energy
        found = re.findall(
            r"^Beams:eCM\s*=?\s*([\d.eE+]+)", "\n".join(_lines(self.cmnd or "")), re.MULTILINE | re.IGNORECASE
        )
        try:
            return float(found[-1]) if found else ENERGY
        except ValueError:
            raise SettingsError(f"the command file says Beams:eCM = {found[-1]}: give a number, GeV.") from None

    @property
    def keeps_invisible(self) -> bool:
        """Whether neutrinos and particles at any angle are kept: in hard collisions, not in pileup."""
        return self.process == "cmnd" or not get_process(self.process).pileup

    def settings(self) -> tuple[tuple[str, ...], ...]:
        """Return the lines for Pythia, seeds and files left out, for each variant of the process."""
        energy = () if self.energy is None else (f"Beams:eCM = {self.energy:.12g}",)
        tune = () if self.tune is None else TUNES[self.tune]
        if self.process == "cmnd":
            return ((*COMMON, *_lines(self.cmnd or ""), *tune, *energy),)
        process = get_process(self.process)
        mass = self.mass or 0.0
        own = tuple(line.format(mass=f"{mass:.12g}", lowest=f"{LOWEST * mass:.12g}") for line in process.settings)
        if process.pileup:
            own = ("SoftQCD:all = on" if self.elastic else "SoftQCD:inelastic = on",)
        return tuple((*tune, *COMMON, *energy, *own, *variant) for variant in process.variants)

    def to_dict(self) -> dict[str, Any]:
        """Return the options as a dictionary for JSON; ``Generation(**d)`` is the way back."""
        return asdict(self)

    def fingerprint(self, *more: object) -> str:
        """Return 12 hexadecimal digits that change with the options, with any line for Pythia and with `more`."""
        content = json.dumps([self.to_dict(), self.settings(), *map(str, more)], sort_keys=True)
        return hashlib.sha256(content.encode()).hexdigest()[:12]

    def _resolve(self, process: Process) -> None:
        """Fill in the defaults of a named process, and refuse options it does not have."""
        if self.cmnd is not None:
            raise SettingsError(f"process '{process.name}' takes no command file: leave 'cmnd' out.")
        if self.mass is not None and process.mass is None:
            raise SettingsError(f"process '{process.name}' has no mass to choose: leave 'mass' out.")
        if self.elastic and not process.pileup:
            raise SettingsError(f"process '{process.name}' has no elastic part: 'elastic' belongs to minbias.")
        for name, default in (("energy", ENERGY), ("tune", "monash"), ("mass", process.mass)):
            if getattr(self, name) is None:
                object.__setattr__(self, name, default)

    def _check_cmnd(self) -> None:
        if self.cmnd is None:
            raise SettingsError("process 'cmnd' needs the text of a command file: give its path as the process.")
        if self.mass is not None or self.elastic:
            raise SettingsError("a command file says itself which mass and process it wants: leave those options out.")
        if any(
            re.match(r"Beams:allowVertexSpread\s*=?\s*(on|yes|true|1)", line, re.IGNORECASE)
            for line in _lines(self.cmnd)
        ):
            raise SettingsError(
                "the command file spreads vertices (Beams:allowVertexSpread), as the detector card does: remove that."
            )
        if any(re.match(r"Beams:(LHEF|frameType\s*=?\s*[45])", line, re.IGNORECASE) for line in _lines(self.cmnd)):
            raise SettingsError(
                "the command file reads an LHE file, which every chunk of a library would begin anew: "
                "shower it with Pythia yourself and read the HepMC file."
            )

    def _check_numbers(self) -> None:
        if self.tune is not None and self.tune not in TUNES:
            raise SettingsError(f"there is no tune '{self.tune}': take one of {', '.join(TUNES)}.")
        if not isinstance(self.seed, bool) and hasattr(self.seed, "__index__"):  # NumPy's integers too
            object.__setattr__(self, "seed", operator.index(self.seed))
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or not 0 <= self.seed < SEEDS:
            raise SettingsError(f"seed {self.seed} cannot be used: take a whole number from 0 to 2^63 - 1.")
        for name, low, high in (("energy", 500.0, 100_000.0), ("mass", 400.0, (self.energy or ENERGY) / 2)):
            value = getattr(self, name)
            if value is None:
                continue
            if not low <= value <= high:
                raise SettingsError(f"{name} {value:g} GeV cannot be used: take one from {low:g} to {high:g} GeV.")
            object.__setattr__(self, name, float(value))  # 14000 and 14000.0 are the same generation


def _lines(text: str) -> tuple[str, ...]:
    """Return the settings of a command file, comments left out."""
    without_blocks = re.sub(r"^\s*/\*.*?^\s*\*/[^\n]*$", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = (re.split(r"[!#]", line, maxsplit=1)[0].strip() for line in without_blocks.splitlines())
    return tuple(line for line in lines if line and (line[0].isalnum()))
