"""PUMA: a sparse transformer over the candidates of a crossing in a sequence, supervised."""

from __future__ import annotations

from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Puma(Learned):
    """Weights w_i = σ(f(x_i, window around i)) of a transformer whose attention sees a window of a sequence.

    Candidates are gathered into clusters by k-means in (eta, phi), and stand in the order of the clusters' pt, in a
    cluster by their own (`hardscatter.geometry.sequence`), so that those near each other in the detector are near in
    the sequence: the cost is N·w instead of N². f is a `hardscatter.nets.sequence` network trained with the squared
    distance to the hard fraction, weighted by momentum. Edges as for `Learned`.

    References
    ----------
    Maier, Narayanan, de Castro, Goncharov, Paus, Schott, arXiv:2107.02779 (Mach. Learn.: Sci. Technol. 3 (2022)
    025012).
    """

    model: str = "puma"
