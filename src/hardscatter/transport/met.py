"""The missing-momentum term: what a cloud of particles must conserve as a whole."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.transport.features import transverse_momenta
from hardscatter.transport.ragged import check_pair, sum_events


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class MissingMomentum:
    """`met`: squared difference of the missing transverse momenta of an event and its target.

    ::

        L = scale · | Σ_i w_i pt_i (cos phi_i, sin phi_i) − Σ_j pt'_j (cos phi'_j, sin phi'_j) |²      [scale · GeV²]

    The two components are added, not averaged. An empty event has missing momentum 0.

    Parameters
    ----------
    scale
        GeV⁻². The published loss adds this term ÷ 1000 to a sliced distance × 1000, which is the default here and
        there: relative to an unscaled distance, λ = 10⁻⁶ GeV⁻². A difference of 30 GeV counts 0.9.

    References
    ----------
    Gouskos et al., arXiv:2211.02029, the term with λ; scale as in the authors' public code (ViniciusMikuni/OTPU).
    """

    scale: Annotated[float, Field(ge=0, allow_inf_nan=False)] = 1e-3

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,  # noqa: ARG002
    ) -> Tensor:
        """Return the loss of each event, (events,), summed in float64; see `TransportLoss`."""
        check_pair(weights, features, offsets, target_features, target_offsets)
        momentum = sum_events(weights[:, None] * transverse_momenta(features), offsets)
        target = sum_events(transverse_momenta(target_features), target_offsets)
        return (self.scale * (momentum - target).square().sum(dim=1)).to(weights.dtype)
