"""Pileup mitigation inside a coffea processor: awkward in, awkward out, whatever the chunks.

::

    from coffea import processor
    from coffea.nanoevents import PFNanoAODSchema
    from coffea_processor import Mitigated

    run = processor.Runner(processor.IterativeExecutor(), schema=PFNanoAODSchema, chunksize=1000)
    found = run({"ttbar": ["pfnano.root"]}, Mitigated("total"), treename="Events")

The processor holds the id of a method and nothing else, so it is small to send. A network is loaded when a worker first
needs it and stays for all its chunks. Each crossing is weighed by itself: chunks of any size give the same weights.
"""

from __future__ import annotations

from typing import Any

import awkward as ak
import hist
from coffea import processor

import hardscatter as hs
from hardscatter import io


class Mitigated(processor.ProcessorABC):
    """Histograms of jets and missing momentum with one method's weights, of PFNano or btvNano.

    Parameters
    ----------
    method
        A method id or the path of a trained model (``….onnx``).
    """

    def __init__(self, method: str = "total") -> None:
        self.method = method

    def process(self, events: ak.Array) -> dict[str, Any]:
        """Weigh the candidates of a chunk and fill its histograms."""
        crossings = crossings_of(events)
        weights = hs.mitigate(crossings, self.method)  # aligned with events.PFCands, one to one
        jets = io.vectors(hs.cluster(crossings, weights, min_pt=30.0))
        met = hs.missing_momentum(crossings, weights)
        pt = hist.Hist.new.Reg(40, 0, 400, label="jet $p_T$ [GeV]").Weight().fill(ak.flatten(jets.pt))
        missing = hist.Hist.new.Reg(40, 0, 200, label="missing $p_T$ [GeV]").Weight().fill(met.pt)
        return {events.metadata["dataset"]: {"events": len(events), "jet_pt": pt, "met": missing}}

    def postprocess(self, accumulator: Any) -> Any:
        """Leave what was accumulated as it is."""
        return accumulator


def crossings_of(events: ak.Array) -> hs.Events:
    """Return the crossings of coffea's PFNano events; only the branches that a method needs are read."""
    return io.from_pfcands(
        events.PFCands, n_vertices=events.PV.npvsGood if "npvsGood" in events.PV.fields else events.PV.npvs
    )
