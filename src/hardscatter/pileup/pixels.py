"""A crossing as an image of three colours: what each pixel of the (eta, phi) cylinder holds by kind of candidate."""

from __future__ import annotations

from itertools import pairwise
from types import MappingProxyType

import numpy as np
from numpy.typing import NDArray

from hardscatter.events import Events, flat, offsets_of
from hardscatter.geometry.pixels import pixel_of, pixel_rows
from hardscatter.pileup.surroundings import kinds
from hardscatter.threads import over_crossings

N_PHI = 64
"""Pixels around in phi, of about 0.1."""
CHANNELS = ("leading", "pileup", "neutral")
"""Charged of the leading vertex, charged of pileup vertices, and whatever no vertex is known of."""
NAMES = MappingProxyType({f"{channel}_in_pixel": i for i, channel in enumerate(CHANNELS)})
"""Column of each sum, by name."""

_CHANNEL_OF_KIND = np.array([2, 0, 1, 2])  # of neutral, leading, pileup, unassociated


def pixel_sums(events: Events, n_phi: int = N_PHI) -> NDArray[np.float64]:
    """Return the momentum in the pixel of every candidate by channel, Σ_j pt_j over j in it, itself included.

    Parameters
    ----------
    events
        Crossings; of each candidate pt, eta, phi, charge and vertex are looked at.
    n_phi
        Pixels around in phi; they are as high in eta, see `hardscatter.geometry.pixels`.

    Returns
    -------
    NDArray[np.float64]
        Shape (N, 3), GeV, columns as `NAMES` says; the same numbers for all candidates of a pixel.

    References
    ----------
    The channels of PUMML, arXiv:1707.08600.
    """
    candidates = events.candidates
    offsets = offsets_of(candidates.pt)
    pt = flat(candidates.pt, np.float64)
    pixel = pixel_of(flat(candidates.eta), flat(candidates.phi), n_phi)
    channel = _CHANNEL_OF_KIND[kinds(flat(candidates.charge), flat(candidates.vertex))]
    n_numbers = pixel_rows(n_phi) * n_phi * len(CHANNELS)
    result = np.empty((len(pt), len(CHANNELS)))

    def run(first: int, last: int) -> None:
        for a, b in pairwise(offsets[first : last + 1]):
            number = pixel[a:b] * len(CHANNELS) + channel[a:b]
            image = np.bincount(number, weights=pt[a:b], minlength=n_numbers).reshape(-1, len(CHANNELS))
            result[a:b] = image[pixel[a:b]]

    over_crossings(run, len(events))
    return result
