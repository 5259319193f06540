"""PUPPI at its best on the detector at hand: the standard that every other method is measured against.

Two tunes, found by ``tools/tune_classical.py`` on crossings of their own (seed 202; docs/tunes.md has the scan, the
numbers and their errors): one for the card ``cms-phase2``, whose vertices are found and counted as in an experiment
(about 100 at pileup 140), one for ``delphes-phase2`` and files of Delphes, whose ``n_vertices`` is the true number of
interactions. In both the tracker reaches |eta| 4.
"""

from __future__ import annotations

import awkward as ak
from pydantic import ConfigDict
from pydantic.dataclasses import dataclass

from hardscatter.events import Events
from hardscatter.pileup.puppi import EtaBin, Puppi

CMS_PHASE2_BEST = Puppi(
    eta_bins=(
        EtaBin(0.0, 1.5, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.02, median_scale=0.7),
        EtaBin(1.5, 3.25, "charged-leading", rms_pt_min=1.0, pt_cut=0.2, pt_slope=0.013, median_scale=0.9),
        EtaBin(3.25, 10.0, "all", rms_pt_min=0.5, pt_cut=0.5, pt_slope=0.067),
    ),
    cone=0.2,
    reference_eta_max=1.5,
    min_weight=0.05,
    vertex_fraction=0.7,
    eta_as_rapidity=True,
    leptons_apart=True,
    protect_neutrals=(5.0, 50.0),
)
"""For the card ``cms-phase2``; ``n_vertices`` counts the vertices found. Reached from
`hardscatter.pileup.puppi.DELPHES`."""

DELPHES_PHASE2_BEST = Puppi(
    eta_bins=(
        EtaBin(0.0, 3.0, "charged-leading", rms_pt_min=0.1, pt_cut=0.7, pt_slope=0.0115, median_scale=0.75),
        EtaBin(3.0, 4.0, "charged-leading", rms_pt_min=0.1, pt_cut=0.2, pt_slope=0.03, median_scale=0.8),
        EtaBin(4.0, 10.0, "all", rms_pt_min=0.5, pt_cut=2.0, pt_slope=0.13, median_scale=0.7),
    ),
    cone=0.3,
    reference_eta_max=2.5,
    pt_max_charged=20.0,
    eta_min_delta_z=4.0,
    delta_z_cut=1.0,
    protect_neutrals=(5.0, 50.0),
)
"""For the card ``delphes-phase2`` and files of Delphes; ``n_vertices`` is the true number of interactions. Reached from
`hardscatter.pileup.puppi.CMS_PHASE2`; then cut and slope of the first bin were moved together, by hand, at the same
threshold for 142 vertices, until the median of central jets no longer moved with pileup."""

_DELPHES_CARD = "delphes-phase2"
_DELPHES_FORMATS = ("delphes", "delphes-packed")


@dataclass(frozen=True, config=ConfigDict(extra="forbid"))
class BestPuppi:
    """PUPPI with the tune of the detector that the metadata of the events name.

    Events of the card ``delphes-phase2`` (``metadata["detector"]["name"]``) and files of Delphes
    (``metadata["format"]`` is ``"delphes"`` or ``"delphes-packed"``) get `delphes_phase2`; all others, such as events
    without metadata, get `cms_phase2`. A batch has one detector: it keeps its metadata when it is sliced, and joined
    batches have those of the first.

    References
    ----------
    As `Puppi`, whose weights these are.
    """

    cms_phase2: Puppi = CMS_PHASE2_BEST
    delphes_phase2: Puppi = DELPHES_PHASE2_BEST

    def tune_of(self, events: Events) -> Puppi:
        """Return the tune that the events get."""
        detector = events.metadata.get("detector")
        card = detector.get("name") if isinstance(detector, dict) else None
        delphes = card == _DELPHES_CARD or events.metadata.get("format") in _DELPHES_FORMATS
        return self.delphes_phase2 if delphes else self.cms_phase2

    def weights(self, events: Events) -> ak.Array:
        """Return PUPPI weights; raises `MissingFieldError` if the events lack ``n_vertices``."""
        return self.tune_of(events).weights(events)
