"""What is kept of a crossing once its candidates are gone: small enough for a million of them, enough for any study.

Two kinds of records, one a crossing: `truth_of`, shared by all methods, and `view_of`, what one weight vector makes of
the candidates. Both are plain awkward arrays.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.events import Events, flat, offsets_of
from hardscatter.generate.collisions import Role
from hardscatter.geometry.angles import wrap_phi
from hardscatter.jets import cluster, n_subjettiness, tau_ratio
from hardscatter.jets.momenta import flat_weights
from hardscatter.met import missing_momentum
from hardscatter.metrics.calibration import REGIONS, calibration_sums, region_of, sums_by_crossing
from hardscatter.metrics.definitions import DESIGN
from hardscatter.metrics.substructure import with_truth_tau32

Extra = Literal["flow", "weights", "constituents"]
"""What a view may hold beside jets and missing momentum."""

PT_MIN = 10.0
"""GeV, of the AK4 jets of a view."""
FAT_PT_MIN = 100.0
"""GeV, of its AK8 jets."""
TAU_PT_MIN = 150.0
"""GeV: softer AK8 jets have no τ."""
TAU_JETS = 6
"""So many of the hardest AK8 jets of a crossing have τ."""

FLOW_ETA = np.linspace(-5.0, 5.0, 51)
FLOW_PHI = np.linspace(-np.pi, np.pi, 33)

CLASSES = {"pileup": (0.0, 0.1), "mixed": (0.1, 0.9), "hard": (0.9, 1.01)}
"""Candidates by their hard fraction, lower edges included."""
WEIGHT_BINS = 25
"""Bins of equal width in the weight, 1 in the last."""

_KINEMATICS = ("pt", "eta", "phi", "mass")

N_CONSTITUENTS = 30
N_FAT_JETS = 2
FAT_ETA_MAX = 2.5
"""Of the AK8 jets whose constituents are kept: the `N_FAT_JETS` hardest, and `N_CONSTITUENTS` of each."""


@dataclass(frozen=True)
class Records:
    """What was recorded of the crossings of one sample."""

    sample: str
    """In words, with the pileup."""
    truth: ak.Array
    """As `truth_of` returns it."""
    views: dict[str, ak.Array]
    """By method, ``perfect`` and ``no pileup`` among them, as `view_of` returns them; crossing by crossing the same."""

    def __len__(self) -> int:
        return len(self.truth)


def truth_of(events: Events) -> ak.Array:
    """Return what the truth says of each crossing.

    Fields, as far as the events know: ``event``, ``n_vertices``, ``pileup``, ``n_candidates``, ``generator_weight``
    (1 if unknown), ``jets``, ``fat_jets`` (with ``tau32``), ``leptons`` and ``met`` as in the event model, and
    ``boson`` (``pt`` in GeV, ``phi``): the hardest W, Z, H, Z′ or W′ of the generator's record, NaN where there is
    none.
    """
    events = with_truth_tau32(events, DESIGN.jets)
    kept = {name: events.truth[name] for name in ("jets", "fat_jets", "leptons", "met") if events.has(f"truth.{name}")}
    known = {name: events.array[name] for name in ("event", "n_vertices", "pileup") if events.has(name)}
    known["n_candidates"] = events.n_candidates
    weight = events.generator_weight if events.has("generator_weight") else np.ones(len(events))
    if events.has("truth.partons"):
        kept["boson"] = _boson(events.truth.partons)
    return ak.zip({**known, "generator_weight": weight, **kept}, depth_limit=1)


def view_of(events: Events, weights: Any, extras: Sequence[Extra] = ()) -> ak.Array:
    """Return what one weight vector makes of each crossing.

    Parameters
    ----------
    events
        Crossings; their truth is looked at for the extra ``weights`` only.
    weights
        Jagged, in [0, 1], aligned with the candidates; None for 1 everywhere.
    extras
        ``flow``: Σ w·pt (GeV) by `FLOW_ETA` and `FLOW_PHI`; ``weights``: counts and Σ pt by region, truth class and
        weight (``spectrum``, regions × classes × `WEIGHT_BINS` × 2) and the sums of `calibration` (``sums``);
        ``constituents``: w·pt over the jet's pt, Δη and Δφ of the hardest constituents of the hardest central AK8
        jets, 0 where there is none.

    Returns
    -------
    ak.Array
        ``jets`` (AK4 above `PT_MIN`) and ``fat_jets`` (AK8 above `FAT_PT_MIN`; τ₂/τ₁ and τ₃/τ₂ are NaN where they
        were not measured) by falling pt, ``met`` (``px``, ``py``, GeV), and the extras. Numbers are float32.
    """
    fat_jets = cluster(events, weights, radius=0.8, min_pt=FAT_PT_MIN)
    momentum = missing_momentum(events, weights)
    fields: dict[str, Any] = {
        "jets": cluster(events, weights, radius=0.4, min_pt=PT_MIN)[list(_KINEMATICS)],
        "fat_jets": _with_taus(events, fat_jets, weights)[[*_KINEMATICS, "tau21", "tau32"]],
        "met": momentum[["px", "py"]],
    }
    pt, weight = flat(events.candidates.pt, np.float64), flat_weights(events, weights)
    if "flow" in extras:
        fields |= _flow(events, pt * weight)
    if "weights" in extras:
        fields |= _weights(events, pt, weight)
    if "constituents" in extras:
        fields["constituents"] = _constituents(events, fat_jets, pt * weight)
    return ak.values_astype(ak.zip(fields, depth_limit=1), np.float32)


def _boson(partons: ak.Array) -> ak.Array:
    bosons = partons[partons.role == Role.BOSON.value]
    hardest = ak.firsts(bosons[ak.argsort(bosons.pt, axis=1, ascending=False)])
    return ak.zip({name: ak.fill_none(hardest[name], np.nan) for name in ("pt", "phi")})


def _with_taus(events: Events, jets: ak.Array, weights: Any) -> ak.Array:
    """Return the jets with τ₂/τ₁ and τ₃/τ₂ where they are asked for, NaN elsewhere."""
    wanted = (jets.pt > TAU_PT_MIN) & (ak.local_index(jets.pt) < TAU_JETS)
    taus = n_subjettiness(events, jets[wanted], weights, n=(1, 2, 3), radius=0.8)
    for name, (over, under) in {"tau21": (2, 1), "tau32": (3, 2)}.items():
        values = np.full(int(ak.sum(ak.num(jets.pt))), np.nan)
        values[flat(wanted, np.bool_)] = flat(tau_ratio(taus, over, under), np.float64)
        jets = ak.with_field(jets, ak.unflatten(values, ak.num(jets.pt)), name)
    return jets


def _flow(events: Events, pt: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """Return the transverse momentum in bins of eta and, inside the outermost of these, of phi."""
    eta, phi = (flat(events.candidates[name], np.float64) for name in ("eta", "phi"))
    inside = np.where((eta >= FLOW_ETA[0]) & (eta <= FLOW_ETA[-1]), pt, 0.0)
    flows = {}
    for name, values, edges in (("flow_eta", eta, FLOW_ETA), ("flow_phi", phi, FLOW_PHI)):
        cell = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, len(edges) - 2)
        flows[name] = sums_by_crossing(events, cell, (len(edges) - 1,), (inside,))[:, 0]
    return flows


def _weights(events: Events, pt: NDArray[np.float64], weight: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    shape = (len(REGIONS), len(CLASSES), WEIGHT_BINS)
    hard = flat(events.truth.hard_fraction, np.float64)
    place = (
        region_of(events),
        np.searchsorted([low for low, _ in CLASSES.values()], hard, side="right") - 1,
        np.minimum((weight * WEIGHT_BINS).astype(np.int64), WEIGHT_BINS - 1),
    )
    cell = np.ravel_multi_index(place, shape)
    spectrum = sums_by_crossing(events, cell, shape, (np.ones_like(pt), pt))
    return {"spectrum": np.moveaxis(spectrum, 1, -1), "sums": calibration_sums(events, weight)}


def _constituents(events: Events, jets: ak.Array, pt: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return pt share, Δη and Δφ of the hardest constituents, (events, jets, constituents, 3)."""
    chosen = jets[abs(jets.eta) < FAT_ETA_MAX][:, :N_FAT_JETS]
    eta, phi = (flat(events.candidates[name], np.float64) for name in ("eta", "phi"))
    members = ak.flatten(chosen.constituents + offsets_of(events.candidates.pt)[:-1], axis=1)
    member, ends = flat(members, np.int64), offsets_of(members)
    jet_pt, jet_eta, jet_phi = (flat(chosen[name], np.float64) for name in ("pt", "eta", "phi"))
    event = np.repeat(np.arange(len(events)), ak.num(chosen.pt))
    place = flat(ak.local_index(chosen.pt), np.int64)
    result = np.zeros((len(events), N_FAT_JETS, N_CONSTITUENTS, 3))
    for jet in range(len(jet_pt)):
        inside = member[ends[jet] : ends[jet + 1]]
        hardest = inside[np.argsort(-pt[inside], kind="stable")[:N_CONSTITUENTS]]
        shares = pt[hardest] / jet_pt[jet], eta[hardest] - jet_eta[jet], wrap_phi(phi[hardest] - jet_phi[jet])
        result[event[jet], place[jet], : len(hardest)] = np.stack(shares, axis=1)
    return result
