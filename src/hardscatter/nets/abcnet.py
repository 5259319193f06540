"""ABCNet for pileup: two hops of graph attention, then a weight for every candidate."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.errors import SettingsError
from hardscatter.nets.edges import N_EDGE_FEATURES, edge_features, take
from hardscatter.nets.gap import GAP, RawGAP
from hardscatter.pileup.links import Nearest

_Whole = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class AttentionSettings:
    """Sizes of an `ABCNet`; as they stand, those of TOTAL (arXiv:2211.02029, code of May 2023).

    Parameters
    ----------
    k
        Neighbours of each candidate.
    encoder
        Widths of the dense layers before the first block; the last is the width of the state.
    blocks
        Attention blocks, one hop each; 0: no candidate sees another but through its features.
    dense
        Widths of the dense layers inside a block, before the one that returns to the width of the state.
    head
        Widths of the dense layers after the last block.
    first_hop
        ``state``: all blocks pool encoded states, as published; ``raw``: the first pools raw features (`RawGAP`).
    """

    kind: Literal["attention"] = "attention"
    k: _Whole = 20
    encoder: Annotated[tuple[_Whole, ...], Field(min_length=1)] = (128, 64)
    blocks: Annotated[int, Field(ge=0)] = 2
    dense: tuple[_Whole, ...] = (128,)
    head: tuple[_Whole, ...] = (256, 128)
    first_hop: Literal["state", "raw"] = "state"

    @property
    def links(self) -> Nearest:
        """Whom a candidate looks at."""
        return Nearest(k=self.k)

    @property
    def local(self) -> bool:
        """Whether a weight needs no state of another candidate, so that only some candidates may be asked for."""
        return self.blocks == 1 and self.first_hop == "raw"

    @classmethod
    def paper(cls) -> AttentionSettings:
        """Return the published sizes: about 110 thousand parameters."""
        return cls()

    @classmethod
    def small(cls) -> AttentionSettings:
        """Return one raw hop with about a tenth of the parameters, for a laptop."""
        return cls(encoder=(32,), blocks=1, dense=(64,), head=(64, 32), first_hop="raw")


def dense(width: int, widths: tuple[int, ...], activation: type[nn.Module]) -> nn.Sequential:
    """Return dense layers of these widths, each followed by the activation."""
    steps: list[nn.Module] = []
    for previous, following in zip((width, *widths), widths, strict=False):
        steps += [nn.Linear(previous, following), activation()]
    return nn.Sequential(*steps)


class Block(nn.Module):
    """LayerNorm, attention with residual, dense layers: x → D(x + GAP(LayerNorm(x)))."""

    def __init__(self, settings: AttentionSettings, n_features: int, raw: bool) -> None:
        super().__init__()
        width = settings.encoder[-1]
        self.norm = nn.LayerNorm(width)
        self.attention: GAP | RawGAP = (
            RawGAP(n_features, width, N_EDGE_FEATURES) if raw else GAP(width, N_EDGE_FEATURES)
        )
        self.dense = dense(width, (*settings.dense, width), nn.GELU)

    def forward(self, x: Tensor, features: Tensor, neighbours: Tensor, edges: Tensor, queries: Tensor | None) -> Tensor:
        """Return the new states, (Q, width)."""
        state = self.norm(x)
        if isinstance(self.attention, RawGAP):
            pooled = self.attention(state, features, neighbours, edges, queries)
        else:
            pooled = self.attention(state, neighbours, edges)
        out: Tensor = self.dense(pooled)
        return out


class ABCNet(nn.Module):
    """Features and neighbours to a weight in (0, 1) for every candidate, whatever its charge.

    h = LeakyReLU(dense(features)); each block: h ← GELU-dense(s + ReLU(Σ_j α_ij y'_ij)), s = LayerNorm(h) (see
    `hardscatter.nets.gap`); w = sigmoid(head(LayerNorm(h) + h₀)), h₀ the state before the blocks.

    A batch is several crossings one after another; neighbours never leave their crossing, so a crossing gets the same
    weights alone and among others. The weights are equivariant under permutation (indices permuted alike) and do not
    change under a rotation in phi.

    References
    ----------
    ABCNet, arXiv:2001.05311; TOTAL, arXiv:2211.02029.
    """

    def __init__(self, settings: AttentionSettings, n_features: int) -> None:
        super().__init__()
        self.settings, self.n_features = settings, n_features
        *before, width = settings.encoder
        widths = (n_features, *before)
        # The first layers are linear as published; only the last is followed by an activation.
        linear = [nn.Linear(a, b) for a, b in zip(widths, before, strict=False)]
        self.encoder = nn.Sequential(*linear, nn.Linear(widths[-1], width), nn.LeakyReLU())
        raw = [number == 0 and settings.first_hop == "raw" for number in range(settings.blocks)]
        self.blocks = nn.ModuleList(Block(settings, n_features, first) for first in raw)
        self.norm = nn.LayerNorm(width)
        self.head = dense(width, settings.head, nn.LeakyReLU)
        self.output = nn.Linear((width, *settings.head)[-1], 1)

    def forward(
        self, features: Tensor, coordinates: Tensor, neighbours: Tensor, queries: Tensor | None = None
    ) -> Tensor:
        """Return the weights.

        Parameters
        ----------
        features
            Shape (N, n_features): `hardscatter.pileup.features.features`.
        coordinates
            (η, φ, ln(pt/GeV)), shape (N, 3): `hardscatter.pileup.features.coordinates`.
        neighbours
            int64 indices into the N, shape (Q, k), below 0 where there is none: `hardscatter.geometry.nearest`.
        queries
            int64 indices of the candidates whose neighbours are given, shape (Q,), for a `local` network; all N in
            their order if not given.

        Returns
        -------
        Tensor
            Shape (Q,).

        Raises
        ------
        SettingsError
            If queries are given and the network is not local.
        """
        return torch.sigmoid(self.logits(features, coordinates, neighbours, queries))

    def logits(
        self, features: Tensor, coordinates: Tensor, neighbours: Tensor, queries: Tensor | None = None
    ) -> Tensor:
        """Return the weights before the sigmoid, shape (Q,): what a supervised loss wants."""
        if queries is not None and not self.settings.local:
            raise SettingsError("ABCNet: only a network of one raw hop can be asked about some candidates alone.")
        edges = edge_features(coordinates, neighbours, queries)
        first: Tensor = self.encoder(features if queries is None else take(features, queries))
        state = first
        for block in self.blocks:
            state = block(state, features, neighbours, edges, queries)
        logits: Tensor = self.output(self.head(self.norm(state) + first))
        return logits.squeeze(-1)
