"""Convolution over the occupied pixels of a crossing's image: PUMML without the empty part of the picture."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor, nn

from hardscatter.nets.edges import take
from hardscatter.pileup.links import Pixels

_Width = Annotated[int, Field(ge=1)]


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class ConvolutionSettings:
    """Sizes of a `ConvolutionNetwork`; as they stand, near those of PUMML (arXiv:1707.08600: two of 10 filters, 6 × 6).

    Parameters
    ----------
    kind
        Which network these settings are of.
    n_phi
        Pixels around in phi, those of `hardscatter.pileup.pixels` if its sums are the features.
    reach
        Pixels from the middle of a filter to its edge: filters are (2 reach + 1) × (2 reach + 1).
    filters
        Filters of each convolution.
    head
        Widths of the dense layers after the last convolution, pixel by pixel.
    """

    kind: Literal["convolution"] = "convolution"
    n_phi: _Width = 64
    reach: Annotated[int, Field(ge=0)] = 2
    filters: Annotated[tuple[_Width, ...], Field(min_length=1)] = (10, 10)
    head: tuple[_Width, ...] = (16,)

    def __post_init__(self) -> None:
        if 2 * self.reach + 1 > self.n_phi:
            raise ValueError(f"a filter of reach {self.reach} is wider than an image of {self.n_phi} pixels.")

    @property
    def links(self) -> Pixels:
        """What stands for the pixels of a patch."""
        return Pixels(n_phi=self.n_phi, reach=self.reach)


class Convolution(nn.Module):
    """One layer: y_i = b + Σ_s W_s x_(index is), s the places of a patch, an empty pixel holding zeros.

    That is a convolution of the image, worked out at the occupied pixels only (a submanifold sparse convolution,
    arXiv:1706.01307), where x of a candidate that stands for a pixel is what the pixel holds.

    Parameters
    ----------
    places
        Pixels of a patch.
    width, filters
        Channels of x and of y.
    """

    def __init__(self, places: int, width: int, filters: int) -> None:
        super().__init__()
        self.dense = nn.Linear(places * width, filters)

    def forward(self, x: Tensor, index: Tensor) -> Tensor:
        """Return y, (N, filters), from x, (N, width), and indices from 0 to N − 1, (N, places), below 0 for empty."""
        # Row 0 of the table is the empty pixel, so that nothing needs to be masked.
        table = torch.cat([x.new_zeros(1, x.shape[1]), x])
        y: Tensor = self.dense(take(table, (index + 1).clamp(min=0)).flatten(1))
        return y


class ConvolutionNetwork(nn.Module):
    """Features and patches of pixels to the share of each pixel's neutral momentum that is the leading vertex's.

    ::

        h⁰ = features,  hᵗ = ReLU(convolutionᵗ(hᵗ⁻¹)),  w = sigmoid(head(hᵀ)),  head: dense layers with ReLU

    The features that count are those of the candidates that stand for pixels. So if features are what a pixel holds,
    as `hardscatter.pileup.pixels.pixel_sums` says, all candidates of a pixel get one weight and this is the published
    image-to-image network; it gives a share where that gives a momentum. Weights are equivariant under permutation
    (indices permuted alike); a rotation in phi changes nothing if it is one by whole pixels.

    Parameters
    ----------
    settings
        Its sizes.
    n_features
        Columns of the feature matrix.

    References
    ----------
    PUMML: Komiske, Metodiev, Nachman, Schwartz, arXiv:1707.08600.
    """

    def __init__(self, settings: ConvolutionSettings, n_features: int) -> None:
        super().__init__()
        self.settings, self.n_features = settings, n_features
        places = (2 * settings.reach + 1) ** 2
        widths = (n_features, *settings.filters)
        self.convolutions = nn.ModuleList(
            Convolution(places, width, filters) for width, filters in zip(widths, settings.filters, strict=False)
        )
        steps: list[nn.Module] = []
        for before, width in zip((settings.filters[-1], *settings.head), settings.head, strict=False):
            steps += [nn.Linear(before, width), nn.ReLU()]
        self.head = nn.Sequential(*steps, nn.Linear((settings.filters[-1], *settings.head)[-1], 1))

    def forward(self, features: Tensor, coordinates: Tensor, neighbours: Tensor) -> Tensor:
        """Return the weights.

        Parameters
        ----------
        features
            Shape (N, n_features): `hardscatter.pileup.features.features`.
        coordinates
            (η, φ, ln(pt/GeV)), shape (N, 3): not looked at, as places are in the patches.
        neighbours
            int64 indices into the N, shape (N, (2 reach + 1)²), below 0 where a pixel is empty:
            `hardscatter.geometry.pixels.pixel_patches`.

        Returns
        -------
        Tensor
            Shape (N,).
        """
        return torch.sigmoid(self.logits(features, coordinates, neighbours))

    def logits(self, features: Tensor, coordinates: Tensor, neighbours: Tensor) -> Tensor:  # noqa: ARG002
        """Return the weights before the sigmoid, shape (N,)."""
        state = features
        for convolution in self.convolutions:
            state = torch.relu(convolution(state, neighbours))
        logits: Tensor = self.head(state)
        return logits.squeeze(-1)
