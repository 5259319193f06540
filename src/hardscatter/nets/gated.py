"""The gated graph network of PUPPIML and SSPUPPI: candidates tell their neighbours, gates choose what to remember."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.nets.abcnet import dense
from hardscatter.nets.edges import N_EDGE_FEATURES, edge_features, take
from hardscatter.nets.gather import gather_sum
from hardscatter.pileup.links import Nearest

_Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class GatedSettings:
    """Sizes of a `GatedNetwork`; as they stand, between the two published ones, for a laptop.

    Parameters
    ----------
    k, radius
        Neighbours of each candidate: the nearest, none as far as the radius in ΔR or further. Both papers take all
        within a radius.
    width
        Channels of the state.
    steps
        Time steps of each layer; a layer uses the same parameters in all of its steps.
    residual
        Whether the last layer sees the first state beside what the neighbours say.
    gated_messages
        Whether a gate says how much of a neighbour is heard, as in SSPUPPI; otherwise all are heard alike, as in
        PUPPIML, and who is near and who is far makes no difference to what their states say.
    head
        Widths of the dense layers after the last step.
    """

    kind: Literal["gated"] = "gated"
    k: _Whole = 16
    radius: Annotated[float, Field(gt=0, allow_inf_nan=False)] | None = 0.4
    width: _Whole = 32
    steps: Annotated[tuple[_Whole, ...], Field(min_length=1)] = (2, 1, 1)
    residual: bool = True
    gated_messages: bool = True
    head: tuple[_Whole, ...] = (32,)

    @property
    def links(self) -> Nearest:
        """Whom a candidate looks at."""
        return Nearest(k=self.k, radius=self.radius)

    @classmethod
    def puppiml(cls) -> GatedSettings:
        """Return the sizes of PUPPIML: 100 channels, three layers of 2, 1 and 1 steps, one number read off at the end.

        The paper's graph holds all pairs within a radius; 80 is about how many lie within 0.4 at pileup 140.
        """
        return cls(k=80, width=100, gated_messages=False, head=())

    @classmethod
    def sspuppi(cls) -> GatedSettings:
        """Return the sizes of SSPUPPI: two layers of 20 channels within ΔR < 0.4.

        There one number for each candidate says how much of its state is new; here each channel has its own, and a
        reset besides (GRU).
        """
        return cls(k=80, width=20, steps=(1, 1), residual=False, head=(20,))


class GatedLayer(nn.Module):
    """One time step: h_i ← GRU(m_i, h_i), m_i = 1/n_i Σ_j g_ij (A h_j + B e_ij) over the n_i neighbours.

    g_ij = sigmoid(a·h_i + b·h_j + c·e_ij + d), or 1 without gated messages. As the message is linear, A and B act
    after the sum, and no (N, k, width) array is ever made. Links count in both directions alike (one A). Without
    neighbours m_i = 0. Where the layer has a residual the GRU is given (m_i, h⁰_i).
    """

    def __init__(self, width: int, residual: bool, gated_messages: bool) -> None:
        super().__init__()
        self.residual, self.gated_messages = residual, gated_messages
        self.state = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(N_EDGE_FEATURES, width, bias=False)
        if gated_messages:
            self.gate_self = nn.Linear(width, 1)
            self.gate_other = nn.Linear(width, 1, bias=False)
            self.gate_edge = nn.Linear(N_EDGE_FEATURES, 1, bias=False)
        self.update = nn.GRUCell(2 * width if residual else width, width)

    def forward(self, h: Tensor, first: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        """Return the new states: h and first (N, width), neighbours (N, k), edges (N, k, 4) to (N, width)."""
        there, index = neighbours >= 0, neighbours.clamp(min=0)
        heard = there.to(h.dtype)
        heard = heard / heard.sum(1, keepdim=True).clamp(min=1.0)
        if self.gated_messages:
            gate = self.gate_self(h) + take(self.gate_other(h)[:, 0], index) + self.gate_edge(edges)[..., 0]
            heard = heard * torch.sigmoid(gate)
        message = self.state(gather_sum(h, index, heard)) + self.edge((heard[..., None] * edges).sum(1))
        if self.residual:
            message = torch.cat([message, first], dim=1)
        new: Tensor = self.update(message, h)
        return new


class GatedNetwork(nn.Module):
    """Features and neighbours to a weight in (0, 1) for every candidate.

    h⁰ = tanh(W x); every layer takes its time steps (`GatedLayer`); w = sigmoid(head(h, h⁰)): the readout looks at
    the first state beside the last, as published.

    A batch is several crossings one after another; neighbours never leave their crossing, so a crossing gets the same
    weights alone and among others. The weights are equivariant under permutation (indices permuted alike) and do not
    change under a rotation in phi.

    References
    ----------
    PUPPIML, arXiv:1810.07988; SSPUPPI, arXiv:2203.15823; gated graph networks, arXiv:1511.05493.
    """

    def __init__(self, settings: GatedSettings, n_features: int) -> None:
        super().__init__()
        self.settings, self.n_features = settings, n_features
        width, last = settings.width, len(settings.steps) - 1
        self.encoder = nn.Linear(n_features, width)
        self.layers = nn.ModuleList(
            GatedLayer(width, settings.residual and number == last, settings.gated_messages)
            for number in range(len(settings.steps))
        )
        self.head = dense(2 * width, settings.head, nn.LeakyReLU)
        self.output = nn.Linear((2 * width, *settings.head)[-1], 1)

    def forward(self, features: Tensor, coordinates: Tensor, neighbours: Tensor) -> Tensor:
        """Return the weights.

        Parameters
        ----------
        features
            Shape (N, n_features): `hardscatter.pileup.features.features`.
        coordinates
            (η, φ, ln(pt/GeV)), shape (N, 3): `hardscatter.pileup.features.coordinates`.
        neighbours
            int64 indices into the N, shape (N, k), below 0 where there is none: what ``settings.links`` finds.

        Returns
        -------
        Tensor
            Shape (N,).
        """
        edges = edge_features(coordinates, neighbours)
        first = torch.tanh(self.encoder(features))
        h = first
        for layer, steps in zip(self.layers, self.settings.steps, strict=True):
            for _ in range(steps):
                h = layer(h, first, neighbours, edges)
        logits: Tensor = self.output(self.head(torch.cat([h, first], dim=1)))
        return torch.sigmoid(logits).squeeze(-1)
