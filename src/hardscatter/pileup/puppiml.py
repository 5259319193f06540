"""PUPPIML: a gated graph network that refines PUPPI, supervised."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class PuppiML(Learned):
    """Weights w_i = σ(f(x_i, graph around i)) of a gated graph network, x_i the candidate and its PUPPI weight.

    f is a `hardscatter.nets.gated` network trained with binary cross entropy on the hard fraction
    (``cross_entropy`` of `hardscatter.training.objectives`). The published one calls a neutral particle pileup or not;
    here candidates count by their momentum, as in jets, and charged ones are weighted too, because tracks find a wrong
    vertex. Edges as for `Learned`.

    References
    ----------
    Arjona Martinez, Cerri, Pierini, Spiropulu, Vlimant, arXiv:1810.07988 (Eur. Phys. J. Plus 134 (2019) 333).
    """

    model: str = "puppiml"
