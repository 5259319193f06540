"""PUMML: pileup mitigation with machine learning, on the image of a crossing."""

from __future__ import annotations

import awkward as ak
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events
from hardscatter.pileup.chs import settled_by_vertex
from hardscatter.pileup.learned import Learned


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class Pumml:
    """Neutral momentum of the leading vertex, pixel by pixel, by a convolutional network.

    ::

        w_i = σ(f(image around the pixel of i))     neutral, or charged without a vertex
        w_i = 1 if vertex = 0, else 0               charged with a vertex

    The image has three channels: the momentum of charged candidates of the leading vertex, of those of pileup
    vertices, and of all others (`hardscatter.pileup.pixels`); f is `hardscatter.nets.convolution`, trained on
    simulation by the squared distance of ln(momentum in a pixel + 10 GeV), `hardscatter.training.pixels`.

    What differs from the published set-up: the image is that of the whole crossing, wrapped in phi, where the paper
    cuts one around each jet; charged channels have the pixels of about 0.1 × 0.1 of the neutral one, where the paper's
    are finer; and f gives the share of a pixel's neutral momentum that is kept, so that candidates have weights, all of
    a pixel the same, where the paper's gives the momentum itself.

    Weights do not depend on other crossings. An event without candidates gets none. Fields other than kinematics,
    charge and vertex are not needed. `UnreadableFileError` if there is no such model.

    References
    ----------
    Komiske, Metodiev, Nachman, Schwartz, arXiv:1707.08600 (JHEP 12 (2017) 051).
    """

    model: str = "pumml"
    """Name of a shipped model, or the path of an .onnx file."""

    def weights(self, events: Events) -> ak.Array:
        """Return the network's weight where no vertex decides."""
        return settled_by_vertex(events, Learned(self.model).weights(events))
