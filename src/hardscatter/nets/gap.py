"""Graph attention pooling (GAP): each candidate gathers from its k neighbours what its attention chooses.

Neighbours are given as an index array (Q, k), found outside the network (`hardscatter.geometry.nearest`); an index
below 0 is an empty slot: whatever finite numbers its edge holds change nothing. Batches are
ragged: crossings one after another, indices into the flat arrays, no padding.

Normalisation is by `LayerNorm` over the channels of one candidate: batch or group normalisation over candidates, as
published, would make a weight depend on which other crossings share the batch, and on the padding.

References
----------
ABCNet, arXiv:2001.05311; GAPNet, arXiv:1905.08705; the form with a residual: TOTAL, arXiv:2211.02029.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.functional import leaky_relu

from hardscatter.nets.edges import take
from hardscatter.nets.gather import gather_sum

_SLOPE = 0.2  # of LeakyReLU in the attention coefficients


def masked_softmax(logits: Tensor, there: Tensor) -> Tensor:
    """Return softmax over the last axis among the slots that are `there`; all 0 where none is. Shapes (Q, k)."""
    lowest = torch.finfo(logits.dtype).min
    weights = torch.softmax(torch.where(there, logits, torch.full_like(logits, lowest)), dim=-1)
    return torch.where(there, weights, torch.zeros_like(weights))


class GAP(nn.Module):
    """Attention pooling over the hidden states of the neighbours.

    With y_ij = x_i − x_j and edges e_ij,

    - node and edge codes: x'_i = LayerNorm(W x_i), y'_ij = V y_ij + G e_ij
    - attention: c_ij = LeakyReLU(a·x'_i + b·y'_ij + β), α_ij = softmax_j(c_ij) over the neighbours
    - result: x_i + ReLU(Σ_j α_ij y'_ij)

    As y' is linear and Σ_j α_ij = 1, the sum is V x_i − Σ_j α_ij V x_j + G Σ_j α_ij e_ij and the coefficient needs only
    the numbers b·V x_j: no (N, k, width) array is ever made. (The published group normalisation of y' is one scale and
    shift of each channel for a whole event, so there too the sum is linear; here that scale is learned once for all.)

    Parameters
    ----------
    width
        Channels of the state, and so of the result.
    edge_width
        Channels of the edges.
    """

    def __init__(self, width: int, edge_width: int) -> None:
        super().__init__()
        self.node = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.difference = nn.Linear(width, width, bias=False)
        self.edge = nn.Linear(edge_width, width, bias=False)
        self.self_attention = nn.Linear(width, 1)
        self.edge_attention = nn.Linear(width, 1, bias=False)

    def forward(self, x: Tensor, neighbours: Tensor, edges: Tensor) -> Tensor:
        """Return the pooled states: x (N, width), neighbours (N, k), edges (N, k, edge_width) to (N, width).

        A candidate without neighbours gets its state back.
        """
        there, index = neighbours >= 0, neighbours.clamp(min=0)
        code = self.difference(x)
        own = self.edge_attention(code)
        of_edges = torch.matmul(edges, torch.matmul(self.edge_attention.weight, self.edge.weight)[0])
        self_term = self.self_attention(self.norm(self.node(x)))
        logits = self_term + own - take(own[:, 0], index) + of_edges
        attention = masked_softmax(leaky_relu(logits, _SLOPE), there)
        pooled_edges = (attention[..., None] * edges).sum(1)
        pooled = code * attention.sum(-1, keepdim=True) - gather_sum(code, index, attention) + self.edge(pooled_edges)
        return x + torch.relu(pooled)


class RawGAP(nn.Module):
    """The first hop, over the raw features f of the neighbours: y'_ij = LeakyReLU(V (f_i − f_j) + G e_ij + g).

    Attention and result as in `GAP`, x the encoded state of the query. The gathered features need no gradient, so the
    backward pass scatters nothing; the code of an edge may be non-linear, at the price of a (Q, k, width) array. Only
    the candidates that ask (neutrals, say) need a state.

    Parameters
    ----------
    n_features, width, edge_width
        Channels of the raw features, of the state, and of the edges.
    """

    def __init__(self, n_features: int, width: int, edge_width: int) -> None:
        super().__init__()
        self.node = nn.Linear(width, width, bias=False)
        self.norm = nn.LayerNorm(width)
        self.edge = nn.Linear(n_features + edge_width, width)
        self.self_attention = nn.Linear(width, 1)
        self.edge_attention = nn.Linear(width, 1, bias=False)

    def forward(
        self, x: Tensor, features: Tensor, neighbours: Tensor, edges: Tensor, queries: Tensor | None = None
    ) -> Tensor:
        """Return x (Q, width) plus what the neighbours (Q, k) among the features (N, n_features) say."""
        there, index = neighbours >= 0, neighbours.clamp(min=0)
        asking = features if queries is None else take(features, queries)
        y = torch.cat([asking[:, None, :] - take(features, index), edges], dim=-1)
        y = leaky_relu(self.edge(y), _SLOPE)
        logits = self.self_attention(self.norm(self.node(x))) + self.edge_attention(y).squeeze(-1)
        attention = masked_softmax(leaky_relu(logits, _SLOPE), there)
        return x + torch.relu(torch.matmul(attention[:, None, :], y).squeeze(1))
