"""What lies between a candidate and its neighbour: the only way in which phi enters a network."""

from __future__ import annotations

import math

import torch
from torch import Tensor

N_EDGE_FEATURES = 4
SMALLEST_DELTA_R = 0.01
"""Nearer pairs count as this far apart in ln(pt/ΔR): about a detector's angular grain."""


def take(values: Tensor, index: Tensor) -> Tensor:
    """Return values[index]: values (N, …), index of any shape; faster than indexing, in ONNX and backward too."""
    return values.index_select(0, index.reshape(-1)).reshape(*index.shape, *values.shape[1:])


def edge_features(coordinates: Tensor, neighbours: Tensor, queries: Tensor | None = None) -> Tensor:
    """Return (ΔR, Δη, Δφ, ln(pt_j/ΔR)) from every query i to each of its neighbours j.

    Δη = η_j − η_i;  Δφ = φ_j − φ_i − 2π round((φ_j − φ_i)/2π);  ΔR = √(Δη² + Δφ²), not below `SMALLEST_DELTA_R`
    in the logarithm.

    Parameters
    ----------
    coordinates
        (η, φ, ln(pt/GeV)), shape (N, 3): `hardscatter.pileup.features.coordinates`.
    neighbours
        Indices into the N, shape (Q, k); below 0 where there is no neighbour: the edge there is 0.
    queries
        Which candidates ask, shape (Q,); all N in their order if not given.

    Returns
    -------
    Tensor
        Shape (Q, k, 4), no gradient beyond that of the coordinates.
    """
    there = take(coordinates, neighbours.clamp(min=0))
    here = (coordinates if queries is None else take(coordinates, queries))[:, None, :]
    difference = there - here
    d_eta, d_phi = difference[..., 0], difference[..., 1]
    d_phi = d_phi - 2.0 * math.pi * torch.round(d_phi / (2.0 * math.pi))
    squared = d_eta * d_eta + d_phi * d_phi
    log_ratio = there[..., 2] - 0.5 * torch.log(squared.clamp(min=SMALLEST_DELTA_R**2))
    edges = torch.stack([torch.sqrt(squared), d_eta, d_phi, log_ratio], dim=-1)
    return torch.where((neighbours >= 0)[..., None], edges, torch.zeros_like(edges))
