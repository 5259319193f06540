"""Semi-supervised PUPPI: a graph network that learns from charged candidates what neutral ones are."""

from __future__ import annotations

import awkward as ak
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events
from hardscatter.pileup.chs import settled_by_vertex
from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class SemiSupervisedPuppi:
    """Weights of a gated graph network that was trained on charged candidates disguised as neutral ones.

    ::

        w_i = σ(f(x_i, graph around i))     neutral, or charged without a vertex
        w_i = 1 if vertex = 0, else 0       charged with a vertex

    In training some charged candidates lose their charge, vertex and track (`hardscatter.training.masking`), and f, a
    `hardscatter.nets.gated` network, learns which of them came from the leading vertex: the label is what tracking
    says, so that data alone will do. x_i are the candidate's own features and its PUPPI weight.

    Weights do not depend on other crossings. An event without candidates gets none; no field but kinematics, charge
    and vertex is needed. `UnreadableFileError` if there is no such model.

    References
    ----------
    Li, Liu, Feng, Paspalaki, Tran, Liu, Li, arXiv:2203.15823 (Eur. Phys. J. C 83 (2023) 99).
    """

    model: str = "sspuppi"
    """Name of a shipped model, or the path of an .onnx file."""

    def weights(self, events: Events) -> ak.Array:
        """Return the network's weight where no vertex decides."""
        return settled_by_vertex(events, Learned(self.model).weights(events))
