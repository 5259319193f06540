"""Learning from data alone: charged candidates, whose vertex is measured, are disguised as neutral ones (SSPUPPI).

The network sees a few charged candidates as if they had left no track, and is asked where they come from. The answer
is the vertex that the reconstruction chose, so nobody needs a simulation; what it learns there it applies to neutrals.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated

import awkward as ak
import numpy as np
import torch
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from scipy.spatial import cKDTree
from torch import Tensor

from hardscatter.events import CANDIDATE_FIELDS, LEADING, NO_VERTEX, Events, flat, jagged_like, offsets_of
from hardscatter.training.entropy import cross_entropy
from hardscatter.transport.features import PT
from hardscatter.transport.ragged import sum_events

if TYPE_CHECKING:
    from hardscatter.training.batches import Batch  # which makes its batches with `disguised`

_CLOSED = ConfigDict(extra="forbid")
_Share = Annotated[float, Field(ge=0, le=1)]
_CHARGED_HADRON, _NEUTRAL_HADRON, _PHOTON = 211, 130, 22
_TRACK = ("d0", "dz", "d0_error", "dz_error")


@dataclass(frozen=True, config=_CLOSED)
class Masking:
    """How many charged hadrons are disguised: each one with this chance, by its vertex.

    Published are numbers for each crossing, 6 and 282 at a pileup of 140: about a tenth of both kinds. A share serves
    every pileup, leaves a crossing its other tracks to judge by, and keeps the proportion of the two kinds, so that
    what the network says of a candidate stays a probability.

    Parameters
    ----------
    leading, pileup
        Chance of those of the leading vertex and of a pileup vertex.
    """

    leading: _Share = 0.1
    pileup: _Share = 0.1


def disguised(events: Events, masking: Masking, rng: np.random.Generator | int) -> tuple[Events, NDArray[np.bool_]]:
    """Return crossings in which some charged hadrons look like neutral candidates, and which ones do.

    A disguised candidate has charge 0, no vertex, no track, the class (130 or 22) of that neutral of its crossing
    which is nearest to it in absolute η and ln pt, 130 if there is none, and E = pt cosh η: calorimeters see no mass.
    What a charged hadron cannot hide: its momentum and direction are as exact as a track's, its direction is that at
    the vertex, and it never stands beyond the tracker. Leptons are not disguised: no neutral looks like a prompt muon.

    Parameters
    ----------
    events
        Crossings; truth, where there is any, is neither read nor changed.
    masking
        How many.
    rng
        Where chance comes from; the same seed and crossings give the same choice.

    Returns
    -------
    events, chosen
        The crossings, all candidates in their places, without weights found before and without fields that the event
        model does not know, as these might tell; bool, flat over all candidates, shape (N,). Charged candidates that
        fit no vertex are never chosen. A crossing with nothing to choose from is as it was.

    References
    ----------
    arXiv:2203.15823.
    """
    rng = np.random.default_rng(rng)
    candidates = events.candidates
    columns = {name: flat(candidates[name]) for name in CANDIDATE_FIELDS if name in candidates.fields}
    classes = flat(events.particle_class())
    vertex = columns["vertex"]
    share = np.where(vertex == LEADING, masking.leading, np.where(vertex > LEADING, masking.pileup, 0.0))
    chosen: NDArray[np.bool_] = (classes == _CHARGED_HADRON) & (rng.random(len(share)) < share)

    like = _neutral_like(columns["eta"], columns["pt"], classes, chosen, offsets_of(candidates.pt))
    pretended = {
        "energy": columns["pt"] * np.cosh(columns["eta"]), "charge": 0, "vertex": NO_VERTEX, "pdg_id": like,
        **dict.fromkeys(_TRACK, np.nan),
    }  # fmt: skip
    for name in columns.keys() & pretended.keys():
        columns[name] = np.where(chosen, pretended[name], columns[name]).astype(columns[name].dtype)
    fields = {name: events.array[name] for name in events.fields if name not in ("weights", "weight_errors")}
    jagged = {name: jagged_like(values, candidates.pt) for name, values in columns.items()}
    fields["candidates"] = ak.zip(jagged, depth_limit=2)
    metadata = {name: value for name, value in events.metadata.items() if name != "weights"}
    return Events(ak.zip(fields, depth_limit=1), metadata), chosen


def _neutral_like(
    eta: NDArray[np.floating],
    pt: NDArray[np.floating],
    classes: NDArray[np.int32],
    chosen: NDArray[np.bool_],
    offsets: NDArray[np.int64],
) -> NDArray[np.int32]:
    """Return the class of the neutral of the same crossing most like each chosen candidate; 130 elsewhere.

    Soft neutrals are photons, hard ones hadrons, and where that changes depends on the calorimeter: a class drawn
    regardless of pt and η would give the disguise away.
    """
    where = np.stack([np.abs(eta), np.log(pt)], axis=1)
    neutral = (classes == _NEUTRAL_HADRON) | (classes == _PHOTON)
    like = np.full(len(classes), _NEUTRAL_HADRON, dtype=np.int32)
    for a, b in pairwise(offsets):
        neutrals, wanted = a + np.flatnonzero(neutral[a:b]), a + np.flatnonzero(chosen[a:b])
        if len(neutrals) and len(wanted):
            _, nearest = cKDTree(where[neutrals]).query(where[wanted])
            like[wanted] = classes[neutrals[nearest]]
    return like


@dataclass(frozen=True, config=_CLOSED)
class Masked:
    """`masked`, no truth: cross entropy of the disguised candidates against the vertex of their tracks.

    L = −Σ_i c_i (y_i ln w_i + (1 − y_i) ln(1 − w_i)) / Σ_i c_i over the disguised candidates i of a crossing, y_i = 1
    for the leading vertex and 0 for any other, c_i = pt_i^p. Needs a training with `Masking`. As it stands the loss
    is that of SSPUPPI (arXiv:2203.15823).

    Parameters
    ----------
    momentum_power
        p: 0 counts candidates, as published; 1 counts momentum, as jets do.
    balanced
        Whether the mean is taken over each of the two kinds and then over both. A weight is then no longer the
        probability that a candidate belongs to the leading vertex, but higher.
    """

    momentum_power: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 0.0
    balanced: bool = False

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the loss of each crossing; 0 for one without disguised candidates."""
        importance = batch.masked * batch.crossings.kinematics[:, PT] ** self.momentum_power
        counted = torch.stack([batch.leading, 1 - batch.leading], dim=1)  # each is of one kind
        entropy = cross_entropy(weights, batch.leading)[:, None] * counted
        sums = sum_events(importance[:, None] * torch.cat([entropy, counted], dim=1), batch.crossings.offsets)
        losses, totals = sums[:, :2], sums[:, 2:]
        if not self.balanced:
            losses, totals = losses.sum(1, keepdim=True), totals.sum(1, keepdim=True)
        kinds = (totals > 0).sum(1).clamp(min=1)
        return ((losses / totals.clamp(min=1e-12)).sum(1) / kinds).to(weights.dtype)
