"""PUMML's loss: the image that the weights make, pixel by pixel, against the true one."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import ConfigDict, Field
from pydantic.dataclasses import dataclass
from torch import Tensor

from hardscatter.geometry.pixels import pixel_of, pixel_rows
from hardscatter.training.batches import Batch, Cloud
from hardscatter.transport.features import PT
from hardscatter.transport.ragged import event_of

_ETA, _PHI = 1, 2


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Pixels:
    """`pixels`, supervised: squared distance of the logarithms of neutral momentum in pixels.

    ::

        L = 1/C Σ_c [ln(Σ_{i in c} w_i pt_i + p̄) − ln(Σ_{i in c} h_i pt_i + p̄)]²

    over the C pixels c that hold a neutral candidate, i the neutral candidates in them, h the hard fraction. Its
    minimum is the mean of the logarithm, and so lies below the mean momentum where that is much above p̄.

    Parameters
    ----------
    n_phi
        Pixels around in phi; they are as high in eta, see `hardscatter.geometry.pixels`.
    floor
        p̄, GeV: far below it differences of momenta count, far above it their ratios.

    References
    ----------
    PUMML, arXiv:1707.08600, with p̄ = 10 GeV.
    """

    n_phi: Annotated[int, Field(ge=1)] = 64
    floor: Annotated[float, Field(gt=0, allow_inf_nan=False)] = 10.0

    def __call__(self, weights: Tensor, batch: Batch, generator: torch.Generator) -> Tensor:  # noqa: ARG002
        """Return the loss of each crossing, summed in float64; 0 for one without neutral candidates."""
        cloud = batch.crossings
        n_pixels = pixel_rows(self.n_phi) * self.n_phi
        n_crossings = len(cloud.offsets) - 1
        neutral = cloud.charge == 0
        pixel = self._pixels(cloud, n_pixels)[neutral]
        pt = cloud.kinematics[neutral, PT].double()

        def logarithms(share: Tensor) -> Tensor:
            empty = pt.new_zeros(n_crossings * n_pixels)
            return (empty.index_add(0, pixel, share[neutral] * pt) + self.floor).log()

        # An empty pixel has no difference; it only must not be counted.
        difference = logarithms(weights) - logarithms(batch.hard_fraction)
        sums = difference.square().reshape(n_crossings, n_pixels).sum(dim=1)
        occupied = torch.bincount(pixel, minlength=n_crossings * n_pixels).reshape(n_crossings, n_pixels) > 0
        return (sums / occupied.sum(dim=1).clamp(min=1)).to(weights.dtype)

    def _pixels(self, cloud: Cloud, n_pixels: int) -> Tensor:
        """Return the pixel of every candidate, (N,), those of one crossing after those of another."""
        # By the one definition of a pixel there is, which is NumPy's: on another device a small copy to and fro.
        eta, phi = cloud.kinematics[:, [_ETA, _PHI]].T.cpu().numpy()
        crossing = event_of(cloud.offsets)
        pixel = crossing * n_pixels + torch.from_numpy(pixel_of(eta, phi, self.n_phi))
        return pixel.to(cloud.kinematics.device)
