"""What a training is made of, typed and closed: read from YAML, changed by ``--set``, kept with every model."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import field, replace
from importlib import resources
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, TypeVar

import yaml
from pydantic import ConfigDict, Discriminator, Field, Tag, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass

from hardscatter.detector.noise import Noise
from hardscatter.errors import SettingsError
from hardscatter.nets import AttentionSettings, ConvolutionSettings, GatedSettings, SequenceSettings
from hardscatter.pileup.features import SCHEMAS, FeatureSchema
from hardscatter.pileup.pixels import N_PHI
from hardscatter.training.masking import Masking

_T = TypeVar("_T")

_CLOSED = ConfigDict(extra="forbid", coerce_numbers_to_str=True)  # YAML reads 140 as a number, for pileup too
_Whole = Annotated[int, Field(ge=1)]
_Share = Annotated[float, Field(ge=0, le=1)]
_Positive = Annotated[float, Field(gt=0, allow_inf_nan=False)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Names = Annotated[tuple[str, ...], Field(min_length=1)]
_Seed = Annotated[int, Field(ge=0, lt=2**31)]


@dataclass(frozen=True, config=_CLOSED)
class Crossings:
    """Where pairs of crossings come from: `hardscatter.stream` of our own collisions.

    Parameters
    ----------
    processes, cards
        Hard processes and detectors; all combinations take turns.
    pileup
        As for `hardscatter.simulate`: a mean, or ``flat:0-200``.
    seed
        Of collisions, pileup and detector. Samples of different seeds share no collision.
    n_hard, n_minbias
        Collisions in the library of each process, and in that of pileup.
    shared_draws
        Draw what the detector does to the hard collision once for both members of a pair, so that they differ by
        pileup alone.
    unpaired
        Compare crossings with *others* without pileup, as in data, where nobody knows the same collision without.
        Only losses that compare whole samples (``population``) learn from that.
    """

    processes: _Names = ("qcd", "ttbar-dileptonic", "vbf-h-invisible")
    cards: _Names = ("cms-phase2", "delphes-phase2")
    pileup: str = "140"
    seed: _Seed = 101
    n_hard: _Whole = 6_000
    n_minbias: _Whole = 90_000
    shared_draws: bool = False
    unpaired: bool = False

    @property
    def kinds(self) -> int:
        """Kinds of crossings that take turns."""
        return len(self.processes) * len(self.cards)

    @property
    def words(self) -> str:
        """What it is, for a model card."""
        return (
            f"own collisions: {', '.join(self.processes)}, {self.n_hard} each; seed {self.seed}, "
            f"pileup {self.pileup} from {self.n_minbias} collisions"
        )

    def held_out(self, validation: Validation) -> Data:
        """Return the same of other collisions."""
        v = validation
        return replace(self, seed=v.seed, n_hard=v.n_hard, n_minbias=v.n_minbias)


@dataclass(frozen=True, config=_CLOSED)
class NoisyCrossings(Crossings):
    """Another task: pairs of the same crossing without and with the noise of a calorimeter, pileup (if any) in both.

    Parameters
    ----------
    noise
        How much (`hardscatter.detector.noise`); its threshold holds in both members of a pair.
    """

    noise: Noise = field(kw_only=True)

    @property
    def words(self) -> str:
        """What it is, for a model card."""
        return f"{super().words}; electronic noise of the calorimeter is what is removed: settings below"


@dataclass(frozen=True, config=_CLOSED)
class RecordedCrossings:
    """Crossings from files, data or anybody's simulation, as they are: no partner without pileup, no truth needed.

    Only losses that need neither learn from them: ``masked``. The files are gone through again and again in their
    order; what is masked differs every time.

    Parameters
    ----------
    files
        Any that `hardscatter.read` takes.
    validation_files
        Other ones, which decide which checkpoint is best.
    """

    files: _Names
    validation_files: _Names
    seed: ClassVar[None] = None
    cards: ClassVar[tuple[str, ...]] = ()
    unpaired: ClassVar[bool] = False
    kinds: ClassVar[int] = 1

    @property
    def words(self) -> str:
        """What it is, for a model card."""
        return f"recorded crossings of {', '.join(self.files)}"

    def held_out(self, validation: Validation) -> Data:  # noqa: ARG002
        """Return the other files."""
        return replace(self, files=self.validation_files)


@dataclass(frozen=True, config=_CLOSED)
class ParticleLevelCrossings:
    """Pairs of crossings of the 2014 pileup workshop, particles instead of a detector: `hardscatter.workshop2014`.

    Parameters
    ----------
    samples
        Hard samples, which take turns.
    pileup
        ``fixed:140``, ``flat:20-160``.
    seed, n_hard, n_minbias
        As for `Crossings`.
    """

    samples: _Names
    pileup: str = "flat:20-160"
    seed: _Seed = 101
    n_hard: _Whole = 10_000
    n_minbias: _Whole = 60_000
    cards: ClassVar[tuple[str, ...]] = ()
    unpaired: ClassVar[bool] = False

    @property
    def kinds(self) -> int:
        """Kinds of crossings that take turns."""
        return len(self.samples)

    @property
    def words(self) -> str:
        """What it is, for a model card."""
        return (
            f"particle level as at the 2014 pileup workshop: {', '.join(self.samples)}, {self.n_hard} each; "
            f"seed {self.seed}, pileup {self.pileup} from {self.n_minbias} collisions"
        )

    def held_out(self, validation: Validation) -> Data:
        """Return the same of other collisions."""
        v = validation
        return replace(self, seed=v.seed, n_hard=v.n_hard, n_minbias=v.n_minbias)


@dataclass(frozen=True, config=_CLOSED)
class Term:
    """One term of the objective: a loss of `hardscatter.training.objectives` by name, its factor and its settings.

    `candidates` says which it compares, in the crossing with pileup and in that without. With `near_jets` (GeV) only
    those count near which so much momentum is without pileup: what the network learns is then right for jets of the
    hard collision, as a measurement of such jets asks, and says less about those of pileup.
    """

    loss: str
    candidates: Literal["all", "neutral", "charged"] = "all"
    near_jets: _Positive | None = None
    factor: _NotNegative = 1.0
    settings: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, config=_CLOSED)
class Optimiser:
    """Adam with a warm-up of `warmup` steps, then a constant rate or half a cosine down to 1 % of it.

    `clip` bounds the norm of the gradient.
    """

    rate: _Positive = 5e-4
    schedule: Literal["constant", "cosine"] = "cosine"
    warmup: Annotated[int, Field(ge=0)] = 50
    clip: _Positive = 1.0


@dataclass(frozen=True, config=_CLOSED)
class Length:
    """How long a training takes.

    Parameters
    ----------
    rounds
        Rounds at most; each ends with a validation and a checkpoint.
    steps
        Optimiser steps in a round.
    crossings
        Crossings in a step, for each device.
    patience
        Rounds without a better validation loss before it stops.
    snapshots
        Rounds between the snapshots that a learning curve is made of.
    """

    rounds: _Whole = 100
    steps: _Whole = 100
    crossings: _Whole = 4
    patience: _Whole = 100
    snapshots: _Whole = 5


@dataclass(frozen=True, config=_CLOSED)
class Validation:
    """Crossings that decide which checkpoint is best: other collisions, the same losses, no truth."""

    seed: _Seed = 102
    n_hard: _Whole = 300
    n_minbias: _Whole = 10_000
    batches: _Whole = 12


@dataclass(frozen=True, config=_CLOSED)
class Missing:
    """How often a crossing lacks optional fields in training, so that the network copes with files that do.

    `field` is the chance of each field on its own, `everything` that of all (`hardscatter.pileup.features`).
    """

    field: _Share = 0.05
    everything: _Share = 0.1


_DATA = {"noise": NoisyCrossings, "files": RecordedCrossings, "samples": ParticleLevelCrossings}
"""What a training learns from, by the setting that only it has; without any, `Crossings`."""


def _kind_of_data(given: Any) -> str:
    if not isinstance(given, dict):
        return type(given).__name__
    return next((kind.__name__ for key, kind in _DATA.items() if key in given), Crossings.__name__)


def _kind_of_network(given: Any) -> str:
    kind = given.get("kind", "attention") if isinstance(given, dict) else getattr(given, "kind", "")
    return str(kind)


Data = Annotated[
    Annotated[Crossings, Tag("Crossings")]
    | Annotated[NoisyCrossings, Tag("NoisyCrossings")]
    | Annotated[RecordedCrossings, Tag("RecordedCrossings")]
    | Annotated[ParticleLevelCrossings, Tag("ParticleLevelCrossings")],
    Discriminator(_kind_of_data),
]
"""What a training learns from: with ``noise`` in it, that is what it removes; with ``files``, what these hold;
with ``samples``, the workshop's; otherwise pileup on our own collisions."""

Network = Annotated[
    Annotated[AttentionSettings, Tag("attention")]
    | Annotated[GatedSettings, Tag("gated")]
    | Annotated[SequenceSettings, Tag("sequence")]
    | Annotated[ConvolutionSettings, Tag("convolution")],
    Discriminator(_kind_of_network),
]
"""Architecture (``kind``; ``attention`` where it is not said) and sizes: see `hardscatter.nets`."""


_TAGS = ("Crossings", *(kind.__name__ for kind in _DATA.values()), "attention", "gated", "sequence", "convolution")
"""pydantic's words for which of several a setting is, which nobody wrote: no place in a sentence."""


@dataclass(frozen=True, config=_CLOSED)
class Training:
    """All that decides which network comes out.

    Parameters
    ----------
    name
        Of the run and the model.
    objective
        Terms of the loss, added up.
    seed
        Of the network's first parameters and of everything drawn in training that is no crossing.
    features
        What the network sees of each candidate: a schema of `hardscatter.pileup.features` by name.
    masking
        Disguise some charged candidates as neutral ones, for the loss ``masked`` to learn from.
    """

    name: str
    objective: Annotated[tuple[Term, ...], Field(min_length=1)]
    seed: _Seed = 1
    features: Literal["candidates", "surroundings", "puppi", "pixels"] = "candidates"
    data: Data = field(default_factory=Crossings)
    missing: Missing = field(default_factory=Missing)
    masking: Masking | None = None
    network: Network = field(default_factory=AttentionSettings)
    optimiser: Optimiser = field(default_factory=Optimiser)
    length: Length = field(default_factory=Length)
    validation: Validation = field(default_factory=Validation)

    def __post_init__(self) -> None:
        if self.validation.seed == self.data.seed:
            raise ValueError("validation and training crossings share a seed, and so their collisions: give another.")
        if isinstance(self.data, RecordedCrossings) and any(term.loss != "masked" for term in self.objective):
            raise ValueError("data.files hold no crossings without pileup: only the loss masked learns from them.")
        if isinstance(self.data, RecordedCrossings) and set(self.data.files) & set(self.data.validation_files):
            raise ValueError("data.files and data.validation_files share a file: keep them apart.")
        if self.features == "pixels" and getattr(self.network, "n_phi", N_PHI) != N_PHI:
            raise ValueError(f"features pixels are sums over {N_PHI} pixels in phi: network.n_phi must be that.")
        if self.masking is None and any(term.loss == "masked" for term in self.objective):
            raise ValueError("the loss masked needs candidates to be masked: set masking.")
        if all(term.factor == 0 for term in self.objective):
            raise ValueError("all terms of the objective have factor 0: nothing would be trained.")

    @property
    def schema(self) -> FeatureSchema:
        """The columns of the features."""
        return SCHEMAS[self.features]

    def to_dict(self) -> dict[str, Any]:
        """Return plain data, every default written out."""
        plain: dict[str, Any] = TypeAdapter(Training).dump_python(self, mode="json")
        return plain


@dataclass(frozen=True, config=_CLOSED)
class Machine:
    """Where and how a training runs; as far as arithmetic allows it leaves the result alone.

    Parameters
    ----------
    accelerator, devices
        As for Lightning: ``cpu``, ``gpu`` or ``auto``; more than one device trains by DDP, each on other crossings.
    precision
        ``32`` or ``bf16``: matrix products in bfloat16, losses always in single precision.
    workers
        Processes that make crossings while the network trains; 0: the training process makes them itself.
    threads
        Threads of the training process.
    """

    accelerator: Literal["auto", "cpu", "gpu"] = "auto"
    devices: _Whole = 1
    precision: Literal["32", "bf16"] = "32"
    workers: Annotated[int, Field(ge=0)] = 1
    threads: _Whole = 1


def configurations() -> dict[str, Path]:
    """Return the configurations that come with the package, by name."""
    folder = Path(str(resources.files("hardscatter.training") / "configs"))
    return {path.stem: path for path in sorted(folder.glob("*.yaml"))}


def load_configuration(given: str | Path, changes: Sequence[str] = ()) -> Training:
    """Return a training from YAML, with some settings changed.

    Parameters
    ----------
    given
        Name of a configuration that comes with the package, or path of a YAML file.
    changes
        ``"length.rounds=20"``: the path of a setting and its new value as YAML; a number chooses from a list
        (``objective.1.factor=0``).

    Raises
    ------
    SettingsError
        If there is no such file or setting, or a value does not fit; the sentence says which.
    """
    known = configurations()
    path = known.get(str(given), Path(given))
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as problem:
        raise SettingsError(
            f"{given} cannot be read: give a YAML file or one of {', '.join(known) or '(none)'}."
        ) from problem
    except yaml.YAMLError as problem:
        raise SettingsError(f"{given} is not YAML: {' '.join(str(problem).split())}.") from problem
    except RecursionError:
        raise SettingsError(f"{given} is nested too deeply to be settings: correct it.") from None
    if not isinstance(document, dict):
        raise SettingsError(f"{given} holds no settings: write 'name:' and 'objective:' at least.")
    for change in changes:
        _change(document, change)
    return parse(Training, document, str(given))


def parse(kind: type[_T], document: dict[str, Any], what: str) -> _T:
    """Return settings made of plain data, or say in one sentence what does not fit."""
    try:
        return TypeAdapter(kind).validate_python(document)
    except ValidationError as problem:
        first = problem.errors()[0]
        place = ".".join(str(part) for part in first["loc"] if part not in _TAGS) or "the whole"
        reason = first["msg"].removeprefix("Value error, ")
        raise SettingsError(" ".join(f"{what}: {place}: {reason}.".replace("..", ".").split())) from None


def save_configuration(training: Training, path: Path) -> None:
    """Write a training as YAML, every default written out."""
    replace_text(path, yaml.safe_dump(training.to_dict(), sort_keys=False, allow_unicode=True))


def replace_text(path: Path, text: str) -> None:
    """Write a file, all of it or nothing."""
    aside = path.with_name(f"{path.name}.partial")
    try:
        aside.write_text(text, encoding="utf-8")
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)


def _change(document: dict[str, Any], change: str) -> None:
    place, equals, value = change.partition("=")
    if not equals or not place:
        raise SettingsError(f"--set {change}: write it as key=value, for example length.rounds=20.")
    *parents, last = place.split(".")
    here: Any = document
    try:
        new = yaml.safe_load(value)
    except yaml.YAMLError as problem:
        raise SettingsError(f"--set {change}: {value} is not YAML.") from problem
    try:
        for parent in parents:
            here = here[int(parent)] if isinstance(here, list) else here.setdefault(parent, {})
        if isinstance(here, list):
            here[int(last)] = new
        else:
            here[last] = new
    except (TypeError, ValueError, IndexError, AttributeError) as problem:
        raise SettingsError(f"--set {change}: there is no such setting.") from problem
