"""A student learns what its teacher says: `total`'s weights for a small network that sees one candidate at a time.

No truth enters: the teacher had none, and the student sees only the teacher. Lessons are made once, from collisions of
the teacher's own training. First the student learns candidate by candidate, from some drawn by how much they matter;
this is most of it and quick. Then, if asked to, it learns crossing by crossing from what the two leave in cells of
many sizes, the loss by which `total` itself was trained, and from missing momentum.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import torch
import yaml
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.errors import SettingsError
from hardscatter.events import flat, offsets_of
from hardscatter.nets.student import StudentNetwork
from hardscatter.pileup import mitigate
from hardscatter.pileup.student import INPUTS, student_inputs
from hardscatter.simulation import stream
from hardscatter.training.configuration import Crossings, parse
from hardscatter.transport import KINEMATICS
from hardscatter.transport.ragged import event_of

_CLOSED = ConfigDict(extra="forbid")
_Whole = Annotated[int, Field(ge=1)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_STEP = 12
"""Crossings of one process and detector that are simulated at once."""
_HEAVIEST = 50.0
"""No drawn candidate counts more."""

TODAY = ("pt", "abs_eta", "is_photon", "is_leading", "is_pileup", "has_no_vertex", "leading_shape")
"""What particle flow at the first level has today: linear PUPPI's, its α from the tracks of the leading vertex."""
INPUT_SETS = {"correlator": tuple(column.name for column in INPUTS), "today": TODAY}


@dataclass(frozen=True, config=_CLOSED)
class Distillation:
    """All that decides which student comes out.

    Parameters
    ----------
    name
        Of the student.
    teacher
        A method, by id.
    hidden
        Width of each hidden layer.
    inputs
        ``correlator``: all of `hardscatter.pileup.student`; ``today``: linear PUPPI's.
    loss
        Of candidates: ``squared``, Σ pt (w − t)² / Σ pt, or ``absolute``, Σ pt |w − t| / Σ pt, as DistillNet's.
    crossings
        In the lessons.
    steps, candidates, rate
        Steps of Adam, candidates in each, and its highest rate; it rises for a twentieth of the steps, then falls.
    whole_steps, whole_rate
        Steps of the second part, of four crossings each, and their rate.
    missing_momentum
        Factor of Σ_x,y (Σ pt_x,y (w − t))² / (100 GeV)² in the second part.
    lacking
        Chance that a crossing lacks pdg_id, and that it lacks impact parameters.
    seed
        Of the network's first parameters and of all that is drawn.
    data
        The stream of crossings, as the teacher's.
    """

    name: str
    teacher: str = "total"
    hidden: tuple[_Whole, ...] = (64, 32)
    inputs: Literal["correlator", "today"] = "correlator"
    loss: Literal["squared", "absolute"] = "squared"
    crossings: _Whole = 3600
    steps: _Whole = 10_000
    candidates: _Whole = 4096
    rate: Annotated[float, Field(gt=0)] = 4e-3
    whole_steps: Annotated[int, Field(ge=0)] = 0
    whole_rate: Annotated[float, Field(gt=0)] = 5e-4
    missing_momentum: _NotNegative = 0.0
    lacking: Annotated[float, Field(ge=0, le=1)] = 0.05
    seed: Annotated[int, Field(ge=0)] = 1
    data: Crossings = dataclasses.field(default_factory=lambda: Crossings(pileup="flat:0-200", shared_draws=True))

    @property
    def columns(self) -> list[int]:
        """Which columns of all inputs the student sees."""
        names = INPUT_SETS["correlator"]
        return [names.index(name) for name in INPUT_SETS[self.inputs]]


def load_distillation(path: Path) -> Distillation:
    """Return settings from YAML; raises `SettingsError` in one sentence where something does not fit."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as problem:
        raise SettingsError(f"{path} cannot be read as YAML: give the settings of a distillation.") from problem
    if not isinstance(document, dict):
        raise SettingsError(f"{path} holds no settings: write 'name:' at least.")
    return parse(Distillation, document, str(path))


@dataclasses.dataclass(frozen=True)
class Lessons:
    """Crossings as a student sees them and what the teacher says; N candidates of all, one crossing after another."""

    inputs: NDArray[np.float16]
    """(N, inputs): half precision is finer than what an FPGA will see."""
    kinematics: NDArray[np.float32]
    """(N, 4): pt, eta, phi, energy."""
    charge: NDArray[np.int8]
    teacher: NDArray[np.float32]
    """(N,): the teacher's weights."""
    offsets: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def first(self, crossings: int) -> Lessons:
        """Return the first crossings."""
        n = int(self.offsets[min(crossings, len(self))])
        return Lessons(
            self.inputs[:n], self.kinematics[:n], self.charge[:n], self.teacher[:n], self.offsets[: crossings + 1]
        )

    def save(self, path: Path) -> None:
        """Write them, uncompressed."""
        np.savez(path, **{field.name: getattr(self, field.name) for field in dataclasses.fields(self)})

    @staticmethod
    def load(path: Path) -> Lessons:
        """Read what `save` wrote."""
        with np.load(path) as file:
            return Lessons(**{field.name: file[field.name] for field in dataclasses.fields(Lessons)})


def make_lessons(settings: Distillation, say: Callable[[int, int], object] = lambda *_: None) -> Lessons:
    """Simulate crossings and ask the teacher about them; `say` is told how many are done, and of how many."""
    data = settings.data
    crossings = stream(
        data.processes, cards=data.cards, n_hard=data.n_hard, step=min(_STEP, settings.crossings), pileup=data.pileup,
        seed=data.seed, n_minbias=data.n_minbias, pairs=True, shared_draws=data.shared_draws,
    )  # fmt: skip
    parts: list[Lessons] = []
    done = 0
    while done < settings.crossings:
        _, events = crossings[len(parts)]
        events = events.without_truth()
        candidates = events.candidates
        parts.append(
            Lessons(
                student_inputs(events)[0].astype(np.float16),
                np.stack([flat(candidates[name], np.float32) for name in KINEMATICS], axis=1),
                flat(candidates.charge, np.int8),
                flat(mitigate(events, settings.teacher), np.float32),
                np.asarray(offsets_of(candidates.pt)),
            )
        )
        done += len(parts[-1])
        say(done, settings.crossings)
    starts = np.cumsum([0, *(part.offsets[-1] for part in parts)])
    offsets = [part.offsets[1:] + start for part, start in zip(parts, starts, strict=False)]
    return Lessons(
        np.concatenate([part.inputs for part in parts]),
        np.concatenate([part.kinematics for part in parts]),
        np.concatenate([part.charge for part in parts]),
        np.concatenate([part.teacher for part in parts]),
        np.concatenate([np.zeros(1, np.int64), *offsets]),
    )


@dataclasses.dataclass(frozen=True)
class Drawn:
    """Candidates drawn from lessons by how much they matter, and the factors that make up for it."""

    inputs: Tensor
    teacher: Tensor
    factor: Tensor
    """(n,), GeV: pt over the chance to be drawn."""


def draw(lessons: Lessons, settings: Distillation) -> Drawn:
    """Return about a tenth of the candidates: chance min(1, pt (0.05 + 2 min(t, ½))), pt in GeV."""
    rng = np.random.default_rng([settings.seed, 0xD2A3])
    pt = lessons.kinematics[:, 0]
    chance = np.minimum(1.0, pt * (0.05 + 2.0 * np.minimum(lessons.teacher, 0.5)))
    rows = np.flatnonzero(rng.random(len(pt)) < chance)
    crossing = np.searchsorted(lessons.offsets, rows, side="right") - 1
    inputs = lessons.inputs[rows] * _kept(len(lessons), settings.lacking, rng)[crossing]
    return Drawn(
        torch.from_numpy(inputs[:, settings.columns]),
        torch.from_numpy(lessons.teacher[rows]),
        torch.from_numpy(np.minimum(pt[rows] / chance[rows], _HEAVIEST).astype(np.float32)),
    )


def _kept(crossings: int, lacking: float, rng: np.random.Generator) -> NDArray[np.float16]:
    """Return 0 for the inputs that crossings lack, else 1: (crossings, inputs)."""
    kept = np.ones((crossings, len(INPUTS)), dtype=np.float16)
    for words in (("photon",), ("dz", "d0")):
        columns = np.array([any(word in column.name for word in words) for column in INPUTS])
        kept[np.ix_(rng.random(crossings) < lacking, columns)] = 0
    return kept


def distil(
    settings: Distillation, drawn: Drawn, lessons: Lessons, say: Callable[[str], object] = lambda _: None
) -> StudentNetwork:
    """Return a student that was taught; the same for the same settings, lessons and machine."""
    torch.manual_seed(settings.seed)
    network = StudentNetwork(len(settings.columns), settings.hidden)
    _standardise(network, drawn.inputs[:300_000].float())
    teach_candidates(network, settings, drawn, say)
    if settings.whole_steps:
        teach_crossings(network, settings, lessons, say)
    return network


def _standardise(network: StudentNetwork, inputs: Tensor) -> None:
    """Change the first layer so that it begins as if each input had mean 0 and width 1."""
    first = network.linear()[0]
    with torch.no_grad():
        first.weight.div_(inputs.std(0) + 0.02)
        first.bias.sub_(first.weight @ inputs.mean(0))


def teach_candidates(
    network: nn.Module,
    settings: Distillation,
    drawn: Drawn,
    say: Callable[[str], object] = lambda _: None,
    on_step: Callable[[int], object] = lambda _: None,
) -> None:
    """Train a network candidate by candidate; `on_step` is told the number of each step before it."""
    generator = torch.Generator().manual_seed(settings.seed)
    for step in _steps(network, settings.steps, settings.rate):
        on_step(step.number)
        rows = torch.randint(len(drawn.teacher), (settings.candidates,), generator=generator)
        excess = network(drawn.inputs[rows].float()) - drawn.teacher[rows]
        size = excess.square() if settings.loss == "squared" else excess.abs()
        factor = drawn.factor[rows]
        step((factor * size).sum() / factor.sum())
        if step.number % 1000 == 999:
            say(f"candidates, step {step.number + 1}: loss {step.mean:.5f}")


def teach_crossings(
    network: nn.Module, settings: Distillation, lessons: Lessons, say: Callable[[str], object] = lambda _: None
) -> None:
    """Train a network crossing by crossing: cells and missing momentum."""
    generator = torch.Generator().manual_seed(settings.seed)
    rng = np.random.default_rng([settings.seed, 0xC2055])
    for step in _steps(network, settings.whole_steps, settings.whole_rate):
        chosen = rng.choice(len(lessons), size=min(4, len(lessons)), replace=False)
        rows = np.concatenate([np.arange(lessons.offsets[i], lessons.offsets[i + 1]) for i in chosen])
        offsets = torch.from_numpy(np.cumsum([0, *(np.diff(lessons.offsets)[chosen])]))
        inputs = lessons.inputs[rows][:, settings.columns].astype(np.float32)
        excess = network(torch.from_numpy(inputs)) - torch.from_numpy(lessons.teacher[rows])
        kinematics, charge = torch.from_numpy(lessons.kinematics[rows]), torch.from_numpy(lessons.charge[rows])
        loss = cells(excess, kinematics, charge, offsets, generator)
        if settings.missing_momentum:
            loss = loss + settings.missing_momentum * missing_momentum(excess, kinematics, offsets)
        step(loss)
        if step.number % 100 == 99:
            say(f"crossings, step {step.number + 1}: loss {step.mean:.4f}")


class _Step:
    """One step of the optimiser after another, and a running mean of the loss."""

    def __init__(self, network: nn.Module, steps: int, rate: float) -> None:
        self._parameters = [p for p in network.parameters() if p.requires_grad]
        self._adam = torch.optim.Adam(self._parameters, lr=rate, betas=(0.9, 0.99))
        self._rates = torch.optim.lr_scheduler.OneCycleLR(
            self._adam, rate, total_steps=steps + 1, pct_start=0.05, final_div_factor=100, cycle_momentum=False
        )
        self.number = 0
        self.mean = 0.0

    def __call__(self, loss: Tensor) -> None:
        self._adam.zero_grad()
        loss.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._adam.step()
        self._rates.step()
        value = loss.item()
        self.mean = value if self.number == 0 else 0.99 * self.mean + 0.01 * value


def _steps(network: nn.Module, steps: int, rate: float) -> Iterator[_Step]:
    step = _Step(network, steps, rate)
    for step.number in range(steps):
        yield step


SIZES = (0.05, 0.1, 0.2, 0.4, 0.8, 1.6)
_FLOOR, _UNIT, _ETA_MAX = 5.0, 0.05, 5.2


def cells(excess: Tensor, kinematics: Tensor, charge: Tensor, offsets: Tensor, generator: torch.Generator) -> Tensor:
    """Return how far student and teacher differ in cells of several sizes, the loss by which `total` was trained.

    ::

        L = 1/S Σ_s 1/C_s Σ_c (Σ_{i in c} pt_i x_i)² / V_c,    V_c = 5 GeV² (s / 0.4)² + 0.05 GeV Σ_{i in c} pt_i

    x_i is the `excess` w_i − t_i, (N,); taken for neutral, for charged and for all candidates, and added up. Errors
    that cancel in a jet's neighbourhood are cheap, those that add up are not. Cells lie at random places, as those of
    `hardscatter.transport.flow.LocalFlow`; student and teacher share the candidates, so that one sum does for both.
    """
    pt, eta, phi, _ = kinematics.unbind(dim=1)
    charged = (charge != 0).float()
    columns = torch.stack([pt * excess * (1 - charged), pt * excess * charged, pt * (1 - charged), pt * charged], dim=1)
    crossing, crossings = event_of(offsets), len(offsets) - 1
    total = excess.new_zeros(())
    for size in SIZES:
        n_phi, n_eta = round(2 * math.pi / size), math.ceil(2 * _ETA_MAX / size) + 1
        moved = torch.rand(2, crossings, generator=generator)[:, crossing]
        row = ((eta.clamp(-_ETA_MAX, _ETA_MAX) + _ETA_MAX) / size + moved[0]).long().clamp(max=n_eta - 1)
        column = ((phi / (2 * math.pi) + 0.5 + moved[1]) * n_phi).long() % n_phi
        sums = excess.new_zeros(crossings * n_eta * n_phi, 4)
        sums = sums.index_add(0, (crossing * n_eta + row) * n_phi + column, columns)
        neutral, charge_, near, near_charge = sums[(sums[:, 2] + sums[:, 3]) > 0].unbind(dim=1)
        least = _FLOOR * (size / 0.4) ** 2
        for part, held in ((neutral, near), (charge_, near_charge), (neutral + charge_, near + near_charge)):
            total = total + (part.square() / (least + _UNIT * held)).mean() / len(SIZES)
    return total


def missing_momentum(excess: Tensor, kinematics: Tensor, offsets: Tensor) -> Tensor:
    """Return Σ_x,y (Σ_i pt_i (cos φ_i, sin φ_i) x_i)² / (100 GeV)², averaged over the crossings."""
    pt, _, phi, _ = kinematics.unbind(dim=1)
    momentum = (pt * excess)[:, None] * torch.stack([phi.cos(), phi.sin()], dim=1)
    sums = excess.new_zeros(len(offsets) - 1, 2).index_add(0, event_of(offsets), momentum)
    return sums.square().sum(dim=1).mean() / 1e4
