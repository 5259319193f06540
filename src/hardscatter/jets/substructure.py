"""What is inside a jet: soft drop and N-subjettiness."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import awkward as ak
import numpy as np

from hardscatter.errors import SettingsError
from hardscatter.events import Events, flat, offsets_of
from hardscatter.jets import recombination
from hardscatter.jets.fastjet_adapter import n_subjettiness_values
from hardscatter.jets.momenta import MOMENTUM, constituents_of, kinematics


def soft_drop(
    events: Events,
    jets: ak.Array,
    weights: Any = None,
    *,
    beta: float = 0.0,
    z_cut: float = 0.1,
    radius: float = 0.8,
    massless: bool = True,
) -> ak.Array:
    """Groom jets by soft drop.

    The constituents are reclustered by Cambridge/Aachen; from the last joining backwards the softer branch is
    dropped until the two branches fulfil ::

        z = min(pt_1, pt_2) / (pt_1 + pt_2) > z_cut · (ΔR_12 / R)^beta

    Parameters
    ----------
    events, weights
        What the jets were clustered from.
    jets
        Jets from `cluster`, events × jets.
    beta, z_cut, radius
        Angular exponent (0: modified mass drop), threshold in [0, 0.5] and R of the condition.
    massless
        As given to `cluster`.

    Returns
    -------
    ak.Array
        Events × jets, aligned with `jets`: ``pt``, ``eta``, ``phi``, ``mass`` (GeV, rad, [−π, π)) of the
        groomed jet, ``z_g`` and ``delta_r`` of the splitting that passed. If none passes, and for a jet
        of one constituent, the particle at the end of the harder branches is left, with ``z_g`` and
        ``delta_r`` 0. A jet whose constituents all have weight 0 becomes pt = mass = 0 in the direction of
        the jet.

    Raises
    ------
    SettingsError
        If a parameter makes no sense.
    InvalidEventsError
        If the jets do not belong to the events, or the weights do not.

    References
    ----------
    A. J. Larkoski, S. Marzani, G. Soyez, J. Thaler, arXiv:1402.2657, eq. 1.1.
    """
    if not np.isfinite(beta) or not 0 <= z_cut <= 0.5:
        raise SettingsError(f"soft drop with beta {beta} and z_cut {z_cut}: beta must be finite, z_cut in [0, 0.5].")
    _check_radius(radius)
    momenta = constituents_of(events, jets, weights, massless)
    filled = ak.to_numpy(ak.num(momenta, axis=1)) > 0
    columns = np.stack([flat(momenta[name], np.float64) for name in MOMENTUM])
    offsets = offsets_of(momenta["px"][filled])
    *groomed, z_g, delta_r = recombination.soft_drop(columns, offsets, float(beta), float(z_cut), float(radius))
    found = {**kinematics(dict(zip(MOMENTUM, groomed, strict=True))), "z_g": z_g, "delta_r": delta_r}
    fields = {}
    for name, values in found.items():
        column = flat(jets[name], np.float64).copy() if name in ("eta", "phi") else np.zeros(len(filled))
        column[filled] = values
        fields[name] = ak.unflatten(column, ak.num(jets["pt"], axis=1))
    return ak.zip(fields)


def n_subjettiness(
    events: Events,
    jets: ak.Array,
    weights: Any = None,
    *,
    n: Sequence[int] = (1, 2, 3),
    beta: float = 1.0,
    radius: float = 0.8,
    massless: bool = True,
) -> ak.Array:
    """Measure how well the constituents of jets fit into N subjets.

    ::

        tau_N = Σ_k pt_k · min(ΔR_1k^beta, …, ΔR_Nk^beta) / Σ_k pt_k · R^beta

    The N axes start from exclusive kT subjets and are moved to a local minimum of tau_N in one pass
    (``OnePass_KT_Axes`` of fjcontrib, as CMS does; ΔR in rapidity and azimuth).

    Parameters
    ----------
    events, weights
        What the jets were clustered from.
    jets
        Jets from `cluster`, events × jets.
    n
        Numbers of axes, each at least 1.
    beta
        Angular exponent, in [1, 3], where the minimisation is sound.
    radius
        R in the normalisation.
    massless
        As given to `cluster`.

    Returns
    -------
    ak.Array
        Events × jets, aligned with `jets`: ``tau1``, ``tau2``, … in [0, about 1]; 0 for a jet with no more
        than N constituents.

    Raises
    ------
    SettingsError
        If a parameter makes no sense.
    InvalidEventsError
        If the jets do not belong to the events, or the weights do not.

    References
    ----------
    J. Thaler, K. Van Tilburg, arXiv:1011.2268, eq. 2.1 and 2.2; minimisation: arXiv:1108.2701.
    """
    wanted = list(dict.fromkeys(int(number) for number in n))
    if not wanted or min(wanted) < 1:
        raise SettingsError(f"N-subjettiness for n = {tuple(n)}: give numbers of axes of at least 1.")
    if not 1 <= beta <= 3:
        raise SettingsError(f"N-subjettiness with beta {beta}: it must lie in [1, 3].")
    _check_radius(radius)
    momenta = constituents_of(events, jets, weights, massless)
    sizes = ak.to_numpy(ak.num(momenta, axis=1))
    taus = np.zeros((len(sizes), len(wanted)))
    taus[sizes > 0] = n_subjettiness_values(momenta[sizes > 0], wanted, float(beta), float(radius))
    taus[sizes[:, np.newaxis] <= np.array(wanted)] = 0.0  # exactly, whatever rounding leaves
    counts = ak.num(jets["pt"], axis=1)
    return ak.zip({f"tau{number}": ak.unflatten(taus[:, k], counts) for k, number in enumerate(wanted)})


def tau_ratio(taus: ak.Array, over: int, under: int) -> ak.Array:
    """Return tau_over / tau_under of each jet, such as tau_3 / tau_2; NaN where the latter is 0.

    Raises
    ------
    SettingsError
        If `taus` lacks one of the two.
    """
    for number in (over, under):
        if f"tau{number}" not in taus.fields:
            raise SettingsError(f"there is no tau{number}: call n_subjettiness with n=({over}, {under}).")
    upper, lower = (flat(taus[f"tau{number}"], np.float64) for number in (over, under))
    ratio = np.full(len(upper), np.nan)
    np.divide(upper, lower, out=ratio, where=lower > 0)
    return ak.unflatten(ratio, ak.num(taus[f"tau{over}"], axis=1))


def _check_radius(radius: float) -> None:
    if not 0 < radius < np.inf:
        raise SettingsError(f"jet radius is {radius}: it must be above 0.")
