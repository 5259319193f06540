"""The three-prong measure τ₃/τ₂ of reconstructed jets and of their truth."""

from __future__ import annotations

from collections.abc import Iterable

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.events import Events, flat
from hardscatter.jets import cluster, n_subjettiness, tau_ratio
from hardscatter.metrics.definitions import JetStudy
from hardscatter.metrics.matching import match

# A truth jet clustered once more lies where it was, up to the rounding of its particles in a file.
_SAME_JET = 0.1

_KINEMATICS = ("pt", "eta", "phi", "mass")


def with_truth_tau32(events: Events, studies: Iterable[JetStudy]) -> Events:
    """Return the events with τ₃/τ₂ of the truth jets, ``truth.fat_jets.tau32``, where a study wants it.

    It is made from ``truth.particles`` (``pt``, ``eta``, ``phi``, ``mass``), clustered once more as the truth jets
    were, with their masses. NaN for jets below the study's momentum and those that the particles do not make. Nothing
    changes without ``truth.particles``, or where the truth jets have it already.
    """
    asking = [study for study in studies if "tau32" in study.quantities]
    if not all(events.has(f"truth.particles.{name}") for name in _KINEMATICS):
        return events
    for field in dict.fromkeys(study.truth for study in asking):
        if not events.has(f"truth.{field}") or events.has(f"truth.{field}.tau32"):
            continue
        radius = next(study.radius for study in asking if study.truth == field)
        lowest = min(study.truth_pt_min for study in asking if study.truth == field)
        particles = _as_candidates(events.truth.particles)
        # A little lower, so that rounding loses none at the edge.
        again = cluster(particles, radius=radius, min_pt=0.99 * lowest, massless=False)
        jets = events.truth[field]
        values = tau32_of(particles, again, None, match(jets, again, _SAME_JET), radius, massless=False)
        jets = ak.with_field(jets, ak.unflatten(values, ak.num(jets.pt, axis=1)), "tau32")
        fields = {name: events.truth[name] for name in events.truth.fields} | {field: jets}
        events = events.without_truth().with_field("truth", ak.zip(fields, depth_limit=1))
    return events


def tau32_of(
    events: Events,
    jets: ak.Array,
    weights: ak.Array | None,
    chosen: NDArray[np.int64],
    radius: float,
    massless: bool = True,
) -> NDArray[np.float64]:
    """Return τ₃/τ₂ of the jets at the places `chosen` among the flat jets; no other jet costs time.

    τ as `n_subjettiness` defines it, β = 1, from kT axes minimised in one pass. NaN at −1, and where a jet has fewer
    than three constituents of weight above 0, or three in two places (τ₂ = 0).
    """
    found = chosen >= 0
    counts = ak.num(jets.pt, axis=1)
    wanted = np.zeros(int(ak.sum(counts)), dtype=np.bool_)
    wanted[chosen[found]] = True
    taus = n_subjettiness(
        events, jets[ak.unflatten(wanted, counts)], weights, n=(2, 3), radius=radius, massless=massless
    )
    values = np.full(len(wanted), np.nan)
    values[wanted] = flat(tau_ratio(taus, 3, 2), np.float64)
    result = np.full(len(chosen), np.nan)
    result[found] = values[chosen[found]]
    return result


def _as_candidates(particles: ak.Array) -> Events:
    """Return generated particles in the place of candidates, with what clustering needs of them."""
    pt, eta, phi, mass = (ak.values_astype(particles[name], np.float64) for name in _KINEMATICS)
    columns = {"pt": pt, "eta": eta, "phi": phi, "energy": np.hypot(pt * np.cosh(eta), mass)}
    return Events(ak.zip({"candidates": ak.zip(columns)}, depth_limit=1))
