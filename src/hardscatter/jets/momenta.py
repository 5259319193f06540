"""Four-momenta for clustering: weighted candidates, constituents of jets, and back to jet kinematics."""

from __future__ import annotations

from typing import Any

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import InvalidEventsError
from hardscatter.events import Events, checked_fraction, flat, offsets_of
from hardscatter.geometry.angles import wrap_phi

Columns = dict[str, NDArray[np.float64]]

MOMENTUM = ("px", "py", "pz", "E")


def four_momenta(pt: Any, eta: Any, phi: Any, energy: Any = None) -> Columns:
    """Return flat ``px``, ``py``, ``pz``, ``E`` (GeV, float64); without `energy` the particles are massless.

    The massless energy is E = pt cosh(eta).

    Raises
    ------
    InvalidEventsError
        If a pseudorapidity is so large that the momentum is no longer a finite number.
    """
    pt, eta, phi = (np.asarray(values, dtype=np.float64) for values in (pt, eta, phi))
    with np.errstate(over="ignore"):
        pz = pt * np.sinh(eta)
        total = pt * np.cosh(eta) if energy is None else np.asarray(energy, dtype=np.float64)
    if not (np.isfinite(pz).all() and np.isfinite(total).all()):
        largest = float(np.abs(eta).max())
        raise InvalidEventsError(f"candidates.eta reaches {largest:g}, too far forward to compute pz: drop such ones.")
    return {"px": pt * np.cos(phi), "py": pt * np.sin(phi), "pz": pz, "E": total}


def kinematics(momenta: Columns) -> Columns:
    """Return flat ``pt``, ``eta``, ``phi``, ``mass`` of flat ``px``, ``py``, ``pz``, ``E``.

    A squared mass that rounding leaves below 0 counts as 0; momenta that cancel to pt 0 have eta ±∞ or NaN.
    """
    px, py, pz, energy = (momenta[name] for name in ("px", "py", "pz", "E"))
    pt = np.hypot(px, py)
    # (E − pz)(E + pz) loses fewer digits than E² − p² when the jet is far forward.
    squared_mass = (energy - pz) * (energy + pz) - pt**2
    with np.errstate(divide="ignore", invalid="ignore"):
        eta = np.arcsinh(pz / pt)
    return {
        "pt": pt,
        "eta": eta,
        "phi": wrap_phi(np.arctan2(py, px)),
        "mass": np.sqrt(np.maximum(squared_mass, 0.0)),
    }


def flat_weights(events: Events, weights: Any) -> NDArray[np.float64]:
    """Return one weight a candidate, flat; 1 if there are none. Checked as `hs.with_weights` checks them."""
    counts = np.asarray(events.n_candidates)
    if weights is None:
        return np.ones(int(counts.sum()))
    return flat(checked_fraction("weights", weights, counts, dtype=None), np.float64)


def weighted_candidates(
    events: Events, weights: Any, massless: bool
) -> tuple[Columns, NDArray[np.int64], NDArray[np.int64]]:
    """Return the candidates' four-momenta times their weights, those of weight 0 left out.

    Returns
    -------
    momenta
        Flat ``px``, ``py``, ``pz``, ``E`` (GeV, float64) of the candidates kept.
    offsets
        Where each event starts among them, and the end.
    position
        Where each one kept stands in its event's list of candidates.
    """
    offsets = offsets_of(events.candidates.pt)
    scale = flat_weights(events, weights)
    kept = np.flatnonzero(scale > 0)
    kept_offsets = np.searchsorted(kept, offsets)
    position = kept - np.repeat(offsets[:-1], np.diff(kept_offsets))
    return _scaled(events, kept, scale, massless), kept_offsets, position


def constituents_of(events: Events, jets: ak.Array, weights: Any, massless: bool) -> ak.Array:
    """Return the weighted four-momenta of the constituents, jets of all events × constituents.

    Constituents of weight 0 are left out, so a list may be empty.

    Raises
    ------
    InvalidEventsError
        If the jets do not belong to these events.
    """
    if len(jets) != len(events):
        raise InvalidEventsError(
            f"jets of {len(jets)} events for {len(events)} events: give the events they came from."
        )
    members = ak.flatten(jets["constituents"], axis=1)
    position = flat(members, np.int64)
    sizes = ak.to_numpy(ak.num(members, axis=1))
    event = np.repeat(np.repeat(np.arange(len(events)), ak.num(jets["pt"], axis=1)), sizes)
    offsets = offsets_of(events.candidates.pt)
    if np.any((position < 0) | (position >= np.diff(offsets)[event])):
        raise InvalidEventsError("jets have constituents that these events lack: give the events they came from.")
    candidate = offsets[event] + position
    scale = flat_weights(events, weights)
    jet = np.repeat(np.arange(len(sizes)), sizes)
    kept = scale[candidate] > 0
    columns = _scaled(events, candidate[kept], scale, massless)
    return ak.unflatten(ak.zip(columns), np.bincount(jet[kept], minlength=len(sizes)))


def _scaled(events: Events, chosen: NDArray[np.int64], scale: NDArray[np.float64], massless: bool) -> Columns:
    """Return the four-momenta of the `chosen` candidates (flat positions) times their weights."""
    names = ("pt", "eta", "phi") if massless else ("pt", "eta", "phi", "energy")
    columns = four_momenta(*(flat(events.candidates[name])[chosen] for name in names))
    return {name: column * scale[chosen] for name, column in columns.items()}
