"""What the generator knows of the hard collision, for the truth record of events."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.generate.collisions import Ancestry, Collisions
from hardscatter.geometry.angles import wrap_phi

INVISIBLE = (12, 14, 16, 18, 1000012, 1000014, 1000016, 1000022, 1000023, 1000025, 1000035, 1000039, 1000045)
"""Absolute PDG ids that leave no trace: neutrinos, neutralinos, the gravitino."""

MIN_LEPTON_PT = 10.0


def truth_of(collisions: Collisions) -> dict[str, Any]:
    """Return the truth record of hard collisions, without the hard fractions of candidates.

    Returns
    -------
    dict
        ``particles``: stable visible particles (``pt``, ``eta``, ``phi``, ``mass``, ``pid``, production vertex ``x``,
        ``y``, ``z`` in mm relative to the collision's, ``ancestry`` bits of `Ancestry`); ``met``: minus the sum
        of their transverse momenta, all eta (``pt``, ``phi``); ``leptons``: prompt electrons and muons above 10 GeV
        (``pt``, ``eta``, ``phi``, ``pdg_id``); ``partons``: the generator's truth record (``pt``, ``eta``, ``phi``,
        ``mass``, ``pid``, ``role``). GeV, rad.
    """
    visible = ~np.isin(np.abs(collisions.pid), INVISIBLE)
    prompt = (collisions.ancestry & Ancestry.PROMPT.value) != 0
    lepton = prompt & np.isin(np.abs(collisions.pid), (11, 13)) & (collisions.pt > MIN_LEPTON_PT)
    columns = {name: getattr(collisions, name) for name in ("pt", "eta", "phi", "mass", "pid")}
    origin = {name: getattr(collisions, name) for name in ("x", "y", "z", "ancestry")}
    particles = _jagged(columns | origin, collisions.offsets, visible)
    leptons = {name: columns[name] for name in ("pt", "eta", "phi")} | {"pdg_id": collisions.pid}
    partons = {name: getattr(collisions, f"truth_{name}") for name in (*columns, "role")}
    everything = np.ones(len(collisions.truth_pid), dtype=np.bool_)
    return {
        "particles": particles,
        "met": _missing(particles),
        "leptons": _jagged(leptons, collisions.offsets, lepton),
        "partons": _jagged(partons, collisions.truth_offsets, everything),
    }


def _jagged(columns: dict[str, NDArray[Any]], offsets: NDArray[np.int64], kept: NDArray[np.bool_]) -> ak.Array:
    cumulative = np.concatenate(([0], np.cumsum(kept)))
    counts = np.diff(cumulative[offsets])
    inside = slice(offsets[0], offsets[-1])
    return ak.zip(
        {name: ak.unflatten(values[inside][kept[inside]], counts) for name, values in columns.items()}, depth_limit=2
    )


def _missing(particles: ak.Array) -> dict[str, NDArray[Any]]:
    pt, phi = (ak.values_astype(particles[name], np.float64) for name in ("pt", "phi"))
    px, py = (-np.asarray(ak.sum(pt * turned, axis=1)) for turned in (np.cos(phi), np.sin(phi)))
    return {"pt": np.hypot(px, py), "phi": wrap_phi(np.arctan2(py, px))}
