"""Energy flow: where the transverse momentum goes that weights keep, against the same collisions without pileup."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from hardscatter.metrics.records import FLOW_ETA, FLOW_PHI, Records
from hardscatter.metrics.statistics import draws, estimate, estimates, ratio
from hardscatter.metrics.studies import Numbers, Profile, Study, limit_of

Variable = Literal["eta", "phi"]

ETA_REGIONS = {"central": (0.0, 2.6), "forward": (2.6, 4.0), "very_forward": (4.0, 5.0)}
"""By |eta|, on edges of the recorded bins."""

# So many of the recorded bins, of 0.2, make one of the profile.
_MERGED = 2

_HEADINGS = {
    "eta": "⟨Σ w·pt⟩ per unit of eta [GeV]",
    "phi": "⟨Σ w·pt⟩ per radian [GeV]",
}
_VARIABLES = {"eta": "eta", "phi": "phi [rad]"}


def flow_profile(records: Records, variable: Variable, *, replicas: int = 400, seed: int = 1) -> Profile:
    """Measure the mean of Σ w·pt a crossing and unit of eta, or a radian of phi, in GeV.

    Parameters
    ----------
    records
        Views without energy flow are left out.
    variable
        ``"eta"``, from −5 to 5, or ``"phi"`` (of candidates inside these).
    replicas, seed
        Bootstrap replicas over crossings and their seed; every method sees the same draws.

    Returns
    -------
    Profile
        ``flow``, and ``closure``, its ratio to the reference: to the same collisions without pileup if they are there,
        else to perfect weights. What fluctuates from collision to collision leaves the ratio's error. NaN without
        crossings.
    """
    edges = {"eta": FLOW_ETA, "phi": FLOW_PHI}[variable][::_MERGED]
    drawn = _drawn(records, f"flow_{variable}", replicas, seed)
    flows = {
        method: sums.reshape(len(sums), -1, _MERGED).sum(axis=2) / np.diff(edges) for method, sums in drawn.items()
    }
    reference = limit_of(flows)
    return Profile(
        name=f"flow_{variable}",
        title=f"Energy flow against {variable}",
        sample=records.sample,
        variable=_VARIABLES[variable],
        edges=tuple(float(edge) for edge in edges),
        statistics={
            "flow": {method: estimates(values) for method, values in flows.items()},
            "closure": {method: estimates(ratio(values, flows[reference])) for method, values in flows.items()},
        },
        headings={"flow": _HEADINGS[variable], "closure": f"relative to '{reference}'"},
        sizes=(len(records),) * (len(edges) - 1),
        reference=reference,
        n_events=len(records),
    )


def flow_numbers(records: Records, *, replicas: int = 400, seed: int = 1) -> Numbers:
    """Measure how much of the reference's transverse momentum is kept, Σ w·pt / Σ pt, in regions of |eta|.

    The reference is the same collisions without pileup if they are there, else perfect weights. Numerator and
    denominator share the draws. NaN without crossings or where the reference has nothing.
    """
    drawn = _drawn(records, "flow_eta", replicas, seed)
    reference = limit_of(drawn)
    centres = np.abs(FLOW_ETA[1:] + FLOW_ETA[:-1]) / 2
    parts = {name: (centres > low) & (centres < high) for name, (low, high) in ETA_REGIONS.items()}
    rows = {
        method: {
            name: estimate(ratio(sums[:, part].sum(axis=1), drawn[reference][:, part].sum(axis=1)))
            for name, part in parts.items()
        }
        for method, sums in drawn.items()
    }
    return Numbers(
        name="flow",
        title="Transverse momentum kept",
        sample=records.sample,
        headings={name: f"{low:g} < |eta| < {high:g}" for name, (low, high) in ETA_REGIONS.items()},
        rows=rows,
        n_events=len(records),
        remark=f"Σ w·pt relative to '{reference}', {len(records)} crossings; 1 is closure.",
    )


def flow_study(records: Records, *, replicas: int = 400, seed: int = 1) -> Study:
    """Put together the energy flow against eta and phi and the momentum kept; no results without any energy flow."""
    there = any("flow_eta" in view.fields for view in records.views.values())
    settings = {"replicas": replicas, "seed": seed}
    results = (
        flow_profile(records, "eta", **settings),
        flow_profile(records, "phi", **settings),
        flow_numbers(records, **settings),
    )
    return Study(
        name="flow",
        title="Energy flow",
        text="The mean transverse momentum that candidates keep after their weights, by direction. It should be that "
        "of the same hard collisions simulated without pileup; it is a mean, and tells nothing of fluctuations.",
        results=results if there else (),
    )


def _drawn(records: Records, field: str, replicas: int, seed: int) -> dict[str, NDArray[np.float64]]:
    """Return means a crossing by method, (1 + replicas, bins), the first of the crossings as they are."""
    counts = draws(len(records), replicas, seed)
    return {
        method: ratio(counts @ np.asarray(view[field], dtype=np.float64), counts.sum(axis=1, keepdims=True))
        for method, view in records.views.items()
        if field in view.fields
    }
