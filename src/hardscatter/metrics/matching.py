"""Which reconstructed jet belongs to which truth jet."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.compiled import kernel
from hardscatter.events import flat, offsets_of
from hardscatter.geometry.neighbours import distance2


def match(truth: ak.Array, reconstructed: ak.Array, radius: float) -> NDArray[np.int64]:
    """Return, flat over truth jets, the place of the matched jet in the flat reconstructed jets, or −1.

    Truth jets choose in the order of falling pt; each takes the nearest reconstructed jet with ΔR < `radius`
    that nobody took before. Jets are jagged records with ``pt``, ``eta``, ``phi``.
    """
    return _matched(truth, reconstructed, radius, once=True)


def nearest(truth: ak.Array, reconstructed: ak.Array, radius: float) -> NDArray[np.int64]:
    """Return, as `match`, the nearest reconstructed jet with ΔR < `radius`, whether another took it or not."""
    return _matched(truth, reconstructed, radius, once=False)


def _matched(truth: ak.Array, reconstructed: ak.Array, radius: float, once: bool) -> NDArray[np.int64]:
    columns = [flat(jets[name], np.float64) for jets in (truth, reconstructed) for name in ("eta", "phi")]
    return _match(
        offsets_of(truth.pt), flat(truth.pt, np.float64), columns[0], columns[1],
        offsets_of(reconstructed.pt), columns[2], columns[3], radius, once,
    )  # fmt: skip


def near_any(jets: ak.Array, others: ak.Array, radius: float) -> ak.Array:
    """Tell, jagged over `jets`, which lie within ΔR < `radius` of any of `others` in the same event."""
    near = _near_any(
        offsets_of(jets.eta), flat(jets.eta, np.float64), flat(jets.phi, np.float64),
        offsets_of(others.eta), flat(others.eta, np.float64), flat(others.phi, np.float64), radius,
    )  # fmt: skip
    return ak.unflatten(near, ak.num(jets.eta, axis=1))


@kernel
def _match(
    truth_offsets: NDArray[np.int64],
    truth_pt: NDArray[np.float64],
    truth_eta: NDArray[np.float64],
    truth_phi: NDArray[np.float64],
    offsets: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    radius: float,
    once: bool,
) -> NDArray[np.int64]:
    partner = np.full(len(truth_pt), -1, dtype=np.int64)
    taken = np.zeros(len(eta), dtype=np.bool_)
    for event in range(len(truth_offsets) - 1):
        first = truth_offsets[event]
        for k in np.argsort(-truth_pt[first : truth_offsets[event + 1]]):
            nearest, best = -1, radius * radius
            for j in range(offsets[event], offsets[event + 1]):
                separation2 = distance2(truth_eta[first + k], truth_phi[first + k], eta[j], phi[j])
                if separation2 < best and not taken[j]:
                    nearest, best = j, separation2
            if nearest >= 0:
                partner[first + k] = nearest
                taken[nearest] = once
    return partner


@kernel
def _near_any(
    offsets: NDArray[np.int64],
    eta: NDArray[np.float64],
    phi: NDArray[np.float64],
    other_offsets: NDArray[np.int64],
    other_eta: NDArray[np.float64],
    other_phi: NDArray[np.float64],
    radius: float,
) -> NDArray[np.bool_]:
    near = np.zeros(len(eta), dtype=np.bool_)
    for event in range(len(offsets) - 1):
        for i in range(offsets[event], offsets[event + 1]):
            for j in range(other_offsets[event], other_offsets[event + 1]):
                if distance2(eta[i], phi[i], other_eta[j], other_phi[j]) < radius * radius:
                    near[i] = True
    return near
