"""What a training minimises: terms by name, each a function of weights and batch."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, Literal, Protocol

import torch
from pydantic import ConfigDict, Field, TypeAdapter, ValidationError
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.errors import SettingsError
from hardscatter.training.batches import Batch, Cloud
from hardscatter.training.configuration import Term, Training
from hardscatter.training.ensemble import check_members, spread
from hardscatter.training.entropy import cross_entropy
from hardscatter.training.masking import Masked
from hardscatter.training.pixels import Pixels
from hardscatter.transport import LOSSES, Population, get_loss
from hardscatter.transport.cells import Grid
from hardscatter.transport.features import PT
from hardscatter.transport.ragged import event_of, sum_events

JET_CELL = 0.8
"""Edge of the cells by which `Term.near_jets` finds jets: about a jet of R = 0.4 across."""

_FROZEN = ConfigDict(extra="forbid")


class Objective(Protocol):
    """A term of the objective, settings object and function in one."""

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return one value for each crossing of the batch; weights (N,) in [0, 1]."""


@dataclasses.dataclass(frozen=True)
class Transported:
    """A loss of `hardscatter.transport`: weighted crossings against the same collisions without pileup, no label."""

    loss: Any
    candidates: Literal["all", "neutral", "charged"] = "all"
    near_jets: float | None = None

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:
        """Return the loss of each crossing."""
        crossings, alone = batch.crossings, batch.alone
        here, there = chosen(crossings, self.candidates), chosen(alone, self.candidates)
        if self.near_jets is not None:
            near = close_to_jets(crossings, alone, self.near_jets, generator)
            here, there = here & near[0], there & near[1]
        if self.candidates != "all" or self.near_jets is not None:
            weights, crossings, alone = weights[here], part(crossings, here), part(alone, there)
        charges = (crossings.charge, alone.charge) if isinstance(self.loss, Population) else ()
        value: Tensor = self.loss(
            weights, crossings.kinematics, crossings.offsets, alone.kinematics, alone.offsets, generator, *charges
        )
        return value


def chosen(cloud: Cloud, on: Literal["all", "neutral", "charged"]) -> Tensor:
    """Return which candidates are neutral, charged, or there at all: (N,), bool."""
    match on:
        case "all":
            return torch.ones_like(cloud.charge, dtype=torch.bool)
        case "neutral":
            return cloud.charge == 0
        case "charged":
            return cloud.charge != 0


def close_to_jets(crossings: Cloud, alone: Cloud, pt: float, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Return which candidates with and without pileup lie in cells where, without pileup, more than `pt` (GeV) does.

    The cells are `JET_CELL` wide and lie at random places. Two masks: (N,) and (N',), bool.
    """
    events, device = len(crossings.offsets) - 1, crossings.charge.device
    grid = Grid(JET_CELL, torch.rand(events, 2, generator=generator, dtype=torch.float64).to(device))
    clouds = (crossings, alone)
    event = [event_of(cloud.offsets).to(device) for cloud in clouds]
    cells = [grid.cells(cloud.kinematics, of) for cloud, of in zip(clouds, event, strict=True)]
    known, cell = torch.unique(torch.cat(cells), return_inverse=True)
    here, there = cell[: len(cells[0])], cell[len(cells[0]) :]
    momentum = alone.kinematics.new_zeros(len(known)).index_add(0, there, alone.kinematics[:, PT])
    return momentum[here] > pt, momentum[there] > pt


def part(cloud: Cloud, keep: Tensor) -> Cloud:
    """Return some candidates of every crossing: those where `keep` (N,) is true."""
    before = torch.cat([torch.zeros(1, dtype=torch.int64), keep.cpu().long().cumsum(0)])
    return Cloud(cloud.kinematics[keep], cloud.charge[keep], before[cloud.offsets])


@dataclass(frozen=True, config=_FROZEN)
class HardFraction:
    """`hard_fraction`, supervised: squared distance to the truth, L = Σ_i pt_i^p (w_i − h_i)² / Σ_i pt_i^p.

    Parameters
    ----------
    momentum_power
        p: 0 counts candidates, as published for the supervised ABCNet; 1 counts momentum, as jets do.
    """

    momentum_power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the loss of each crossing; 0 for one without candidates."""
        importance = batch.crossings.kinematics[:, PT] ** self.momentum_power
        return _mean((weights - batch.hard_fraction).square(), importance, batch.crossings)


@dataclass(frozen=True, config=_FROZEN)
class CrossEntropy:
    """`cross_entropy`, supervised: L = −Σ_i pt_i^p (h_i ln w_i + (1 − h_i) ln(1 − w_i)) / Σ_i pt_i^p, least at w = ⟨h⟩.

    Parameters
    ----------
    momentum_power
        p: 0 counts candidates, 1 momentum.
    """

    momentum_power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1.0

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the loss of each crossing; 0 for one without candidates."""
        importance = batch.crossings.kinematics[:, PT] ** self.momentum_power
        return _mean(cross_entropy(weights, batch.hard_fraction), importance, batch.crossings)


@dataclass(frozen=True, config=_FROZEN)
class Spread:
    """`spread`, no label: L = −Σ_i pt_i (s_i ln y_i + (1 − s_i) ln(1 − y_i)) / Σ_i pt_i, least at y = ⟨s⟩.

    y is what the network gives for a weight, s_i the standard deviation of the weights of the ensemble's members
    (`hardscatter.training.ensemble.spread`): the network learns the errors of their weights. They are small, and a
    squared distance would hardly pull where the logistic function is flat; this pulls at its argument by y − s.

    Parameters
    ----------
    models
        The members, at least two: paths of .onnx files or names of shipped models, with the features and the number
        of neighbours of the training. Needed to train; what is trained does not need them.
    """

    models: Annotated[tuple[str, ...], Field(min_length=2)]

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the loss of each crossing; 0 for one without candidates."""
        pt = batch.crossings.kinematics[:, PT]
        return _mean(cross_entropy(weights, spread(self.models, batch.inputs)), pt, batch.crossings)


def _mean(values: Tensor, importance: Tensor, cloud: Cloud) -> Tensor:
    """Return the weighted mean over the candidates of each crossing; 0 for one without candidates."""
    sums = sum_events(torch.stack([importance * values, importance], dim=1), cloud.offsets)
    return (sums[:, 0] / sums[:, 1].clamp(min=1e-12)).to(values.dtype)


SUPERVISED = MappingProxyType({"hard_fraction": HardFraction, "cross_entropy": CrossEntropy, "pixels": Pixels})
"""Terms that read truth."""
MASKED = MappingProxyType({"masked": Masked})
"""Terms that read labels which tracking gives to charged candidates, in data as well."""
DISTILLED = MappingProxyType({"spread": Spread})
"""Terms that learn what other networks say."""
_OWN = MappingProxyType({**SUPERVISED, **MASKED, **DISTILLED})


def names() -> list[str]:
    """Return the names of all terms."""
    return [*LOSSES, *_OWN]


def make_term(term: Term) -> Objective:
    """Return the term that a configuration asks for.

    Raises
    ------
    SettingsError
        If there is no such loss or setting.
    """
    if term.loss not in names():
        raise SettingsError(f"there is no loss '{term.loss}': choose one of {', '.join(names())}.")
    if term.loss not in LOSSES and (term.candidates != "all" or term.near_jets is not None):
        raise SettingsError(f"{term.loss} compares all candidates: leave out 'candidates' and 'near_jets'.")
    try:
        if term.loss in _OWN:
            return TypeAdapter(_OWN[term.loss]).validate_python(term.settings)
        return Transported(get_loss(term.loss, **term.settings), term.candidates, term.near_jets)
    except ValidationError as problem:
        first = problem.errors()[0]
        raise SettingsError(f"{term.loss}: {'.'.join(map(str, first['loc']))}: {first['msg']}.") from None


def resolved(terms: Sequence[Term]) -> tuple[Term, ...]:
    """Return the terms with every default of their losses written out."""
    full = []
    for term in terms:
        made: Any = make_term(term)
        loss = made.loss if isinstance(made, Transported) else made
        plain = json.loads(json.dumps(dataclasses.asdict(loss)))  # lists for tuples, as YAML gives them back
        full.append(dataclasses.replace(term, settings=plain))
    return tuple(full)


def check_models(training: Training) -> None:
    """Make sure that the models which a training learns from are there and see what its network sees.

    Raises
    ------
    SettingsError
        If one sees other features or another number of neighbours.
    UnreadableFileError
        If one is not there or cannot be used.
    """
    for term in training.objective:
        made = make_term(term)
        if isinstance(made, Spread):
            check_members(made.models, training.schema, training.network.links)


def name_of(term: Term) -> str:
    """Return what a term is called in the history of a run."""
    words = (term.loss, "" if term.candidates == "all" else term.candidates, "near jets" if term.near_jets else "")
    return ", ".join(filter(None, words))


@dataclasses.dataclass(frozen=True)
class Sum:
    """The objective of a training: factors times terms, averaged over the crossings of a batch."""

    terms: Mapping[str, tuple[float, Objective]]

    @classmethod
    def of(cls, terms: Sequence[Term]) -> Sum:
        """Return the objective that a configuration asks for; a loss stands in it once for each `candidates`."""
        made = {name_of(term): (term.factor, make_term(term)) for term in terms}
        if len(made) != len(terms):
            raise SettingsError("the objective names a loss twice: give it once, with the sum of the factors.")
        return cls(made)

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> tuple[Tensor, dict[str, Tensor]]:
        """Return the total, a scalar, and each term before its factor; a term of factor 0 is only looked at."""
        total = weights.sum() * 0.0
        values: dict[str, Tensor] = {}
        # What is only looked at comes last, so that it draws no direction before the others.
        for name, (factor, term) in sorted(self.terms.items(), key=lambda item: item[1][0] == 0):
            with torch.set_grad_enabled(torch.is_grad_enabled() and factor > 0):
                value = term(weights, batch, generator).mean()
            values[name] = value.detach()
            if factor > 0:
                total = total + factor * value
        return total, values
