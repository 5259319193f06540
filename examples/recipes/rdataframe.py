"""RDataFrame over what hardscatter writes: its own ROOT files, and an experiment's with weights written back.

Needs ROOT, for instance from PyPI (``pip install ROOT``); hardscatter itself does not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import ROOT


def of_our_file(path: str | Path, weight: str) -> Any:
    """Return a data frame of ``hardscatter mitigate IN OUT.root`` with the weighted missing momentum (GeV)."""
    return _with_met(ROOT.RDataFrame("Events", str(path)), f"PFCands_weight_{weight}")


def of_own_file(path: str | Path, weight: str) -> Any:
    """Return a data frame of a NanoAOD file with the weights that `hardscatter.io.write_back` put beside its tree."""
    files = ROOT.RDF.Experimental.RDatasetSpec()
    files.AddSample(("own", "Events", str(path)))
    files.WithGlobalFriends("HardscatterWeights", str(path))
    return _with_met(ROOT.RDataFrame(files), f"HardscatterWeights.PFCands_weight_{weight}")


def _with_met(frame: Any, weight: str) -> Any:
    frame = frame.Define("weighted_pt", f"ROOT::VecOps::RVec<double>(PFCands_pt * {weight})")
    frame = frame.Define("met_x", "-Sum(weighted_pt * cos(PFCands_phi))")
    frame = frame.Define("met_y", "-Sum(weighted_pt * sin(PFCands_phi))")
    return frame.Define("met", "sqrt(met_x * met_x + met_y * met_y)")
