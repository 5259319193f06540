"""Opens Delphes files in coffea with the branches that hardscatter reads, slimmed files included.

::

    from coffea.nanoevents import NanoEventsFactory
    from delphes_schema import CandidatesSchema

    files = {"delphes.root": "Delphes"}
    events = NanoEventsFactory.from_root(files, schemaclass=CandidatesSchema).events()
    events.ParticleFlowCandidate.deltaR(...)

coffea's own schema knows neither ``ParticleFlowCandidate`` and its kin, which become four-vectors here, nor trees that
were slimmed to flat branches (``EFlowTrack.PT``).
"""

from __future__ import annotations

from typing import Any, ClassVar

from coffea.nanoevents import DelphesSchema


class CandidatesSchema(DelphesSchema):
    """Delphes with particle-flow candidates before and after mitigation, whole or slimmed."""

    mixins: ClassVar[dict[str, str]] = {
        **DelphesSchema.mixins,
        # Which card line fills each: docs/interoperability.md. The plain name alone does not say.
        "ParticleFlowCandidate": "Particle",
        "ParticleFlowCandidateCHS": "Particle",
        "ParticleFlowCandidatePUPPI": "Particle",
        "Vertex": "Vertex",
    }

    def _build_collections(self, branch_forms: dict[str, Any]) -> Any:
        forms = _split(branch_forms)
        # A slimmed collection that lacks part of its momentum stays what it is: a collection of numbers.
        self.mixins = {name: mixin for name, mixin in type(self).mixins.items() if _is_whole(forms, name, mixin)}
        return super()._build_collections(forms)


_NEEDED = {
    **dict.fromkeys(("Particle", "Jet", "Track"), ("PT", "Eta", "Phi", "Mass")),
    **dict.fromkeys(("Photon", "Electron", "Muon", "Tower"), ("Eta", "Phi")),
    "MissingET": ("MET", "Eta", "Phi"),
    "Vertex": ("T", "X", "Y", "Z"),
}
"""Leaves that make a four-vector of a collection."""


def _split(forms: dict[str, Any]) -> dict[str, Any]:
    """Return the branches under the names of an unslimmed file: ``EFlowTrack/EFlowTrack.PT``."""
    return {
        f"{name.partition('.')[0]}/{name}" if "." in name and "/" not in name else name: form
        for name, form in forms.items()
    }


def _is_whole(forms: dict[str, Any], name: str, mixin: str) -> bool:
    return all(f"{name}/{name}.{leaf}" in forms for leaf in _NEEDED.get(mixin, ()))
