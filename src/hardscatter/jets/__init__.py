"""Jets from weighted candidates: clustering, areas, grooming, substructure.

``fastjet_adapter`` is the only file that knows fastjet.
"""

from __future__ import annotations

from hardscatter.jets.background import background_density
from hardscatter.jets.clustering import cluster, cluster_momenta, subtract_area
from hardscatter.jets.substructure import n_subjettiness, soft_drop, tau_ratio

__all__ = [
    "background_density",
    "cluster",
    "cluster_momenta",
    "n_subjettiness",
    "soft_drop",
    "subtract_area",
    "tau_ratio",
]
