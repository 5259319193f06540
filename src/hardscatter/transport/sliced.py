"""Sliced Wasserstein distances: transport along random lines, where it is only sorting."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor
from torch.nn.functional import pad

from hardscatter.errors import SettingsError
from hardscatter.transport.features import CYLINDER, PUBLISHED, FeatureName, positions
from hardscatter.transport.ragged import check_pair, split_events, stack_events, weighted_clouds
from hardscatter.transport.sorting import sort_values, squared_wasserstein_1d

_FROZEN = ConfigDict(extra="forbid")
_Features = Annotated[tuple[FeatureName, ...], Field(min_length=1)]
_Positive = Annotated[int, Field(gt=0)]
_NotNegative = Annotated[float, Field(ge=0, allow_inf_nan=False)]


def random_directions(slices: int, dimensions: int, generator: torch.Generator, like: Tensor) -> Tensor:
    """Return directions spread evenly over the unit sphere, (slices, dimensions), with dtype and device of `like`.

    They are drawn in float64 on the generator's device: a CPU generator gives the same directions everywhere.
    """
    normal = torch.randn(slices, dimensions, generator=generator, device=generator.device, dtype=torch.float64)
    directions: Tensor = normal / torch.linalg.vector_norm(normal, dim=1, keepdim=True)
    return directions.to(like)


def sliced_wasserstein(
    x: Tensor, y: Tensor, directions: Tensor, x_mass: Tensor | None = None, y_mass: Tensor | None = None
) -> Tensor:
    """Return the squared sliced Wasserstein distance of two clouds.

    ::

        SW² = 1/S Σ_s W²(θ_s·x, θ_s·y)

    Parameters
    ----------
    x, y
        Positions, (n, d) and (m, d).
    directions
        Unit vectors θ, (S, d), for example from `random_directions`.
    x_mass, y_mass
        Masses (n,) and (m,); None means equal masses. Only shares of the total count.

    Returns
    -------
    Tensor
        A scalar, ≥ 0; 0 if a cloud is empty or has no mass.

    References
    ----------
    Bonneel, Rabin, Peyré, Pfister, J. Math. Imaging Vis. 51 (2015) 22.
    """
    return squared_wasserstein_1d(directions @ x.T, directions @ y.T, x_mass, y_mass).mean()


def padded_sliced_wasserstein(x: Tensor, y: Tensor, directions: Tensor, slots: int = 0) -> Tensor:
    """Return the squared sliced Wasserstein distance after padding with points at the origin.

    Both clouds, (n, d) and (m, d), are filled up to max(n, m, slots) points; the mean runs over all of them.
    """
    size = max(len(x), len(y), slots)
    if size == 0:
        return x.sum() * 0.0 + y.sum() * 0.0
    x_sorted = sort_values(pad(directions @ x.T, (0, size - len(x))))
    y_sorted = sort_values(pad(directions @ y.T, (0, size - len(y))))
    return (x_sorted - y_sorted).square().mean()


@dataclass(frozen=True, config=_FROZEN)
class PaddedSliced:
    """`swd:paper`: the published loss of TOTAL, in which the origin of feature space is the bin for pileup.

    ::

        L = scale · 1/(S n) Σ_s Σ_r ( sort(θ_s · w_i x_i)_r − sort(θ_s · x'_j)_r )²
        x = (eta, phi, ln pt, (ln E − 0.871) / 1.287)

    Weights multiply *positions*: a particle of weight 0 goes to the origin, where the shorter cloud is padded with
    points until both hold n. So deleting exactly what the target lacks costs 0. The price: a weight of one half
    moves a particle through feature space, and phi is an ordinary number that jumps at π. S directions are drawn
    for each event, event by event, so that a batch costs what its events cost one by one.

    Parameters
    ----------
    features
        What the clouds are made of.
    slices
        Number of directions S.
    scale
        Factor of the whole; the published one is 1000.
    slots
        Pad *both* clouds to at least this many points: 9000 in the published code, which makes n the same for
        all events (and cuts longer events off; here they stay whole). 0 pads the shorter cloud only.

    Notes
    -----
    Value for an event: 0 if both clouds are empty. Gradient of a particle at weight 0 is not 0: it may come back.

    References
    ----------
    Gouskos et al., arXiv:2211.02029, eq. 1; settings as in the authors' public code of May 2023
    (ViniciusMikuni/OTPU): 128 fresh directions an event, 4 features, factor 1000, mean over all 9000 slots.
    """

    features: _Features = PUBLISHED
    slices: _Positive = 128
    scale: _NotNegative = 1000.0
    slots: Annotated[int, Field(ge=0)] = 0

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the loss of each event, (events,); see `TransportLoss`."""
        check_pair(weights, features, offsets, target_features, target_offsets)
        clouds = split_events(weights[:, None] * positions(features, self.features), offsets)
        targets = split_events(positions(target_features, self.features), target_offsets)
        source = _given(generator)
        values = [
            padded_sliced_wasserstein(
                cloud, target, random_directions(self.slices, len(self.features), source, cloud), self.slots
            )
            for cloud, target in zip(clouds, targets, strict=True)
        ]
        return self.scale * stack_events(values, weights)


@dataclass(frozen=True, config=_FROZEN)
class WeightedSliced:
    """`swd:masked` and `swd:mass`: real particles only, each with a mass that its weight scales.

    ::

        L = scale · [ 1/S Σ_s W²(θ_s · x, θ_s · x') + mass_penalty · ((A − B) / (A + B))² ]
        masses  a_i = w_i (count)  or  w_i pt_i (pt),  b_j = 1 or pt_j;   A = Σ a,  B = Σ b

    Positions stay where they are and no padding exists: clouds of any size are coupled by the quantiles of their
    masses along each direction. Transport compares *normalised* masses; the second term, unbalanced, compares the
    totals, and lies in [0, 1]. Without it (`mass_penalty` 0) halving all weights is free.
    `swd:masked` counts particles, at the published features. `swd:mass` weighs with momentum, as calorimeters and
    jets do, at (eta, cos phi, sin phi): periodic in phi, blind to a rotation of the whole event (exactly so over
    all directions, within the noise of S directions otherwise), and unchanged when all momenta are scaled.

    Parameters
    ----------
    features
        Positions x.
    mass
        Whether particles count as one each or with their transverse momentum (GeV).
    slices
        Number of directions S, drawn for each event, event by event.
    mass_penalty
        Price of a wrong total, in the unit of squared positions.
    scale
        Factor of the whole.

    Notes
    -----
    Value for an event: 0 if both clouds are empty or massless, scale · mass_penalty if one is.

    References
    ----------
    Weighted quantile coupling: Peyré, Cuturi, arXiv:1803.00567, remark 2.30. The loss is ours.
    """

    features: _Features = CYLINDER
    mass: Literal["count", "pt"] = "pt"
    slices: _Positive = 128
    mass_penalty: _NotNegative = 1.0
    scale: _NotNegative = 1.0

    def __call__(
        self,
        weights: Tensor,
        features: Tensor,
        offsets: Tensor,
        target_features: Tensor,
        target_offsets: Tensor,
        generator: torch.Generator | None = None,
    ) -> Tensor:
        """Return the loss of each event, (events,); see `TransportLoss`."""
        batch = (weights, features, offsets, target_features, target_offsets)
        check_pair(*batch)
        source = _given(generator)
        values = [
            sliced_wasserstein(x, y, random_directions(self.slices, len(self.features), source, x), a, b)
            + self.mass_penalty * imbalance(a, b)
            for x, y, a, b in weighted_clouds(*batch, self.features, self.mass == "count")
        ]
        return self.scale * stack_events(values, weights)


def imbalance(x_mass: Tensor, y_mass: Tensor) -> Tensor:
    """Return ((A − B) / (A + B))² of the total masses: in [0, 1], symmetric, without unit; 0 if there is no mass."""
    difference = x_mass.double().sum() - y_mass.double().sum()
    total = x_mass.double().sum() + y_mass.double().sum()
    return (difference / torch.where(total > 0, total, 1.0)).square().to(x_mass.dtype)


def _given(generator: torch.Generator | None) -> torch.Generator:
    if generator is None:
        raise SettingsError("sliced losses draw directions: give a generator, torch.Generator().manual_seed(…).")
    return generator
