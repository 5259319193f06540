"""The one place that calls fastjet: clustering with ghosts and N-subjettiness of jagged four-momenta.

fastjet's batch interface is quick but has traps, all settled here: it wants packed arrays (releases before
3.5.1.5 clustered wrong particles in sliced ones), keeps the history of every event alive, returns jets in no
order, and prints a banner on stdout. FastJet: M. Cacciari, G. P. Salam, G. Soyez, arXiv:1111.6097.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

import awkward as ak
import fastjet
import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import SettingsError

ALGORITHMS = {
    "antikt": fastjet.antikt_algorithm,
    "cambridge": fastjet.cambridge_algorithm,
    "kt": fastjet.kt_algorithm,
}

LARGEST_RADIUS = 1000.0
"""Largest radius that FastJet accepts; clustering with it joins all particles into one tree."""

# One event of 8 000 candidates keeps 2.5 MB of history until its batch is dropped; one jet keeps little.
_EVENTS_PER_BATCH = 50
_JETS_PER_BATCH = 500

_MOMENTUM = ("px", "py", "pz", "E")

Flat = NDArray[Any]
Columns = dict[str, NDArray[np.float64]]


def inclusive_jets(
    momenta: ak.Array, radius: float, min_pt: float, algorithm: str, ghosts: Columns | None = None
) -> tuple[Columns, ak.Array]:
    """Cluster each list of particles and return its jets and their constituents, in FastJet's order.

    Parameters
    ----------
    momenta
        Jagged records of ``px``, ``py``, ``pz``, ``E`` (GeV), events × particles; lists may be empty.
    radius, min_pt, algorithm
        Jet radius in (y, φ), lowest transverse momentum (GeV, included), a key of `ALGORITHMS`.
    ghosts
        ``px``, ``py``, ``pz``, ``E``, flat: appended to the particles of every event.

    Returns
    -------
    jets
        ``px``, ``py``, ``pz``, ``E`` (GeV, float64), flat: all jets, event after event.
    constituents
        int64, events × jets × constituents: positions in the event's list of particles, then of ghosts.

    Raises
    ------
    SettingsError
        If the radius, the lowest transverse momentum or the algorithm makes no sense.
    """
    definition = checked_definition(radius, min_pt, algorithm)

    def columns(sequence: Any) -> list[Flat]:
        jets = sequence.inclusive_jets(min_pt=float(min_pt))
        constituents = sequence.constituent_index(min_pt=float(min_pt))
        sizes = ak.num(ak.flatten(constituents, axis=1), axis=1)
        momentum = [ak.to_numpy(ak.flatten(jets[name], axis=1)) for name in _MOMENTUM]
        members = ak.to_numpy(ak.flatten(constituents, axis=None)).astype(np.int64)
        return [ak.to_numpy(ak.num(jets, axis=1)), ak.to_numpy(sizes), members, *momentum]

    n_jets, sizes, members, *momentum = _in_batches(momenta, definition, _EVENTS_PER_BATCH, columns, ghosts)
    jets = dict(zip(_MOMENTUM, momentum, strict=True))
    return jets, ak.unflatten(ak.unflatten(members, sizes), n_jets)


def checked_definition(radius: float, min_pt: float, algorithm: str) -> Any:
    """Return FastJet's definition of jets, or raise a sentence about what makes no sense."""
    _banner_to_stderr()  # the algorithms are its authors', whoever runs them
    definition = _definition(radius, algorithm)
    if not (np.isfinite(min_pt) and min_pt >= 0):
        raise SettingsError(f"min_pt is {min_pt}: give the lowest jet transverse momentum in GeV, 0 or above.")
    return definition


def n_subjettiness_values(momenta: ak.Array, n: Sequence[int], beta: float, radius: float) -> NDArray[np.float64]:
    """Return the normalised N-subjettiness of each list of particles, shape (jets, len(n)); no list empty."""

    def columns(sequence: Any) -> list[Flat]:
        taus = sequence.njettiness(
            measure_definition="NormalizedMeasure",
            axes_definition="OnePass_KT_Axes",
            njets=list(n),
            beta=beta,
            R0=radius,
        )
        return [ak.to_numpy(taus).reshape(-1, len(n))]

    if not len(momenta):
        return np.zeros((0, len(n)))
    return _in_batches(momenta, _definition(LARGEST_RADIUS, "cambridge"), _JETS_PER_BATCH, columns)[0]


def _definition(radius: float, algorithm: str) -> Any:
    if algorithm not in ALGORITHMS:
        raise SettingsError(f"jet algorithm '{algorithm}' is unknown: choose one of {', '.join(ALGORITHMS)}.")
    if not 0 < radius <= LARGEST_RADIUS:
        raise SettingsError(f"jet radius is {radius}: it must be above 0 and at most {LARGEST_RADIUS:g}.")
    return fastjet.JetDefinition(ALGORITHMS[algorithm], float(radius))


def _in_batches(
    momenta: ak.Array,
    definition: Any,
    size: int,
    columns: Callable[[Any], list[Flat]],
    ghosts: Columns | None = None,
) -> list[Flat]:
    """Cluster `size` lists at a time and join what `columns` reads from each cluster sequence."""
    _banner_to_stderr()
    parts = []
    for first in range(0, max(len(momenta), 1), size):  # no events: one empty batch, for the types
        batch = momenta[first : first + size]
        batch = ak.to_packed(batch if ghosts is None else _with_ghosts(batch, ghosts))
        parts.append(columns(fastjet.ClusterSequence(batch, definition)))
    return [np.concatenate(column) for column in zip(*parts, strict=True)]


def _with_ghosts(momenta: ak.Array, ghosts: Columns) -> ak.Array:
    n_ghosts = len(ghosts["px"])
    repeated = ak.zip({name: np.tile(column, len(momenta)) for name, column in ghosts.items()})
    return ak.concatenate([momenta, ak.unflatten(repeated, np.full(len(momenta), n_ghosts))], axis=1)


@cache
def _banner_to_stderr() -> None:
    """Have FastJet print its banner now, once, on stderr.

    FastJet prints it on stdout at the first clustering, where it would spoil output that a machine reads. Its
    authors ask that code built upon it does not switch it off (ClusterSequence.hh), so it goes elsewhere.
    """
    with suppress(OSError, AttributeError):  # a process without stdout or stderr has nothing to spoil
        if sys.stdout is not None:
            sys.stdout.flush()
        stdout = os.dup(1)
        try:
            os.dup2(2, 1)
            fastjet._swig.ClusterSequence.print_banner()
        finally:
            os.dup2(stdout, 1)
            os.close(stdout)
