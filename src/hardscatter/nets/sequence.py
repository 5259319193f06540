"""PUMA: a transformer over a crossing put in sequence, where each candidate attends to a window around its place."""

from __future__ import annotations

import math
from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.nets.abcnet import dense
from hardscatter.nets.edges import N_EDGE_FEATURES, edge_features
from hardscatter.nets.gap import masked_softmax
from hardscatter.nets.gather import gather_dot, gather_sum
from hardscatter.pileup.links import Window

_Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SequenceSettings:
    """Sizes of a `SequenceNetwork`; as they stand, for a laptop.

    Parameters
    ----------
    order
        ``k-means``: near candidates stand near each other, as published; ``pt``: the hardest first, for comparison.
    cluster
        Mean number of candidates in a cluster of k-means.
    reach, dilation
        A candidate attends to the places from −reach to +reach around its own, in steps of so many places.
    n_global
        So many first of the sequence are attended to by all.
    width, heads
        Channels of the state, and attention heads that share them.
    layers, feedforward
        Transformer layers, and the width of the dense layer in each.
    head
        Widths of the dense layers after the last.
    """

    kind: Literal["sequence"] = "sequence"
    order: Literal["k-means", "pt"] = "k-means"
    cluster: _Whole = 32
    reach: Annotated[int, Field(ge=0)] = 16
    dilation: _Whole = 1
    n_global: Annotated[int, Field(ge=0)] = 0
    width: _Whole = 32
    heads: _Whole = 2
    layers: _Whole = 2
    feedforward: _Whole = 64
    head: tuple[_Whole, ...] = (64,)

    def __post_init__(self) -> None:
        if self.width % self.heads:
            raise ValueError(f"{self.heads} heads cannot share a width of {self.width} evenly.")

    @property
    def links(self) -> Window:
        """Whom a candidate looks at."""
        return Window(
            order=self.order, cluster=self.cluster, reach=self.reach, dilation=self.dilation, n_global=self.n_global
        )


class Attention(nn.Module):
    """Attention of several heads over the linked candidates, with a bias for where they lie.

    In each of the H heads, A = width / H: c_ij = q_i·k_j / √A + b·e_ij, α_ij = softmax_j(c_ij) over the links,
    result O Σ_j α_ij v_j over all heads; q, k, v = Q x, K x, V x. e_ij are the edges: they are the only way in which
    phi enters, and take the place of an encoding of positions.

    Parameters
    ----------
    width, heads
        Channels of the state, shared evenly by the heads.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.query = nn.Linear(width, width)
        self.key = nn.Linear(width, width, bias=False)  # what it adds is the same for all links: softmax forgets it
        self.value = nn.Linear(width, width)
        self.edge = nn.Linear(N_EDGE_FEATURES, heads, bias=False)
        self.output = nn.Linear(width, width)

    def forward(self, x: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        """Return what each hears: x (N, width), neighbours (N, k), edges (N, k, 4) to (N, width)."""
        there, index = (neighbours >= 0)[:, None, :], neighbours.clamp(min=0)
        shape = x.shape[0], self.heads, x.shape[1] // self.heads
        query, key, value = (part(x).reshape(shape) for part in (self.query, self.key, self.value))
        logits = gather_dot(query / math.sqrt(shape[2]), index, key) + self.edge(edges).transpose(1, 2)
        heard: Tensor = self.output(gather_sum(value, index, masked_softmax(logits, there)).reshape(x.shape))
        return heard


class Layer(nn.Module):
    """Attention and two dense layers, each after a LayerNorm and added to the state."""

    def __init__(self, settings: SequenceSettings) -> None:
        super().__init__()
        width = settings.width
        self.before_attention, self.before_dense = nn.LayerNorm(width), nn.LayerNorm(width)
        self.attention = Attention(width, settings.heads)
        self.dense = nn.Sequential(
            nn.Linear(width, settings.feedforward), nn.GELU(), nn.Linear(settings.feedforward, width)
        )

    def forward(self, x: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        """Return the new states, (N, width)."""
        x = x + self.attention(self.before_attention(x), neighbours, edges)
        out: Tensor = x + self.dense(self.before_dense(x))
        return out


class SequenceNetwork(nn.Module):
    """Features and windows to a weight in (0, 1) for every candidate.

    x⁰ = W features; each layer: x ← x + Attention(LayerNorm(x)), x ← x + Dense(LayerNorm(x)) (see `Attention`);
    w = sigmoid(head(LayerNorm(x))). The cost is O(N · width of the window). Trained as published on the hard fraction
    (`hard_fraction`).

    A batch is several crossings one after another; links never leave their crossing, so a crossing gets the same
    weights alone and among others. The weights are equivariant under permutation (indices permuted alike) and do not
    change under a rotation in phi.

    References
    ----------
    PUMA, arXiv:2107.02779; LayerNorm before attention: arXiv:2002.04745.
    """

    def __init__(self, settings: SequenceSettings, n_features: int) -> None:
        super().__init__()
        self.settings, self.n_features = settings, n_features
        self.encoder = nn.Linear(n_features, settings.width)
        self.layers = nn.ModuleList(Layer(settings) for _ in range(settings.layers))
        self.norm = nn.LayerNorm(settings.width)
        self.head = dense(settings.width, settings.head, nn.GELU)
        self.output = nn.Linear((settings.width, *settings.head)[-1], 1)

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
        return torch.sigmoid(self.logits(features, coordinates, neighbours))

    def logits(self, features: Tensor, coordinates: Tensor, neighbours: Tensor) -> Tensor:
        """Return the weights before the sigmoid, shape (N,)."""
        edges = edge_features(coordinates, neighbours)
        x = self.encoder(features)
        for layer in self.layers:
            x = layer(x, neighbours, edges)
        logits: Tensor = self.output(self.head(self.norm(x)))
        return logits.squeeze(-1)
