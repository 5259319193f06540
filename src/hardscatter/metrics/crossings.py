"""Recorded crossings as plain arrays."""

from __future__ import annotations

import awkward as ak
import numpy as np
from numpy.typing import NDArray

from hardscatter.metrics.records import Records

VERTICES_EDGES = (0.0, 20.0, 40.0, 60.0, 80.0, 100.0, 120.0, 150.0)
"""Of bins in the number of vertices, of which about 0.65 are reconstructed for each collision."""


def generator_weights(records: Records) -> NDArray[np.float64]:
    """Return the generator's weight of each crossing; 1 if the truth does not say."""
    if "generator_weight" not in records.truth.fields:
        return np.ones(len(records))
    return _numbers(records.truth.generator_weight)


def vertices(truth: ak.Array) -> NDArray[np.float64]:
    """Return the number of reconstructed vertices of each crossing."""
    return _numbers(truth.n_vertices)


def transverse(momenta: ak.Array) -> NDArray[np.float64]:
    """Return x and y of momenta that are given by ``pt`` (GeV) and ``phi``, (crossings, 2)."""
    pt, phi = _numbers(momenta.pt), _numbers(momenta.phi)
    return np.stack([pt * np.cos(phi), pt * np.sin(phi)], axis=1)


def measured_met(view: ak.Array) -> NDArray[np.float64]:
    """Return x and y of a view's missing momentum, GeV, (crossings, 2)."""
    return np.stack([_numbers(view.met.px), _numbers(view.met.py)], axis=1)


def met_residuals(truth: ak.Array, view: ak.Array) -> NDArray[np.float64]:
    """Return measured − true missing momentum, GeV, (crossings, 2)."""
    return measured_met(view) - transverse(truth.met)


def _numbers(column: ak.Array) -> NDArray[np.float64]:
    return np.asarray(ak.to_numpy(column), dtype=np.float64)
