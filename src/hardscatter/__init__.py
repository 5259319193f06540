"""hardscatter: rescue the hard scatter from pileup.

Everything a user calls stands here by name (`hs.read`, `hs.mitigate`, `hs.resolution`, …) and is loaded when it
is first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "errors": ["HardscatterError"],
    "events": ["Events", "concatenate", "from_candidates", "with_weights"],
    "io": ["Writer", "convert", "inspect", "iterate", "read", "write"],
    "jets": [
        "background_density",
        "cluster",
        "cluster_momenta",
        "n_subjettiness",
        "soft_drop",
        "subtract_area",
        "tau_ratio",
    ],
    "jobs": ["Cluster"],
    "met": ["missing_momentum"],
    "metrics": ["against_no_pileup", "evaluate", "resolution"],
    "pileup": ["get_method", "methods", "mitigate", "mitigate_file", "perfect_weights", "weight_errors"],
    "production": ["mitigate_files", "simulate_files", "verify"],
    "simulation": ["simulate", "simulate_file", "stream"],
    "threads": ["set_threads"],
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}

if TYPE_CHECKING:
    from hardscatter.errors import HardscatterError as HardscatterError
    from hardscatter.events import Events as Events
    from hardscatter.events import concatenate as concatenate
    from hardscatter.events import from_candidates as from_candidates
    from hardscatter.events import with_weights as with_weights
    from hardscatter.io import Writer as Writer
    from hardscatter.io import convert as convert
    from hardscatter.io import inspect as inspect
    from hardscatter.io import iterate as iterate
    from hardscatter.io import read as read
    from hardscatter.io import write as write
    from hardscatter.jets import background_density as background_density
    from hardscatter.jets import cluster as cluster
    from hardscatter.jets import cluster_momenta as cluster_momenta
    from hardscatter.jets import n_subjettiness as n_subjettiness
    from hardscatter.jets import soft_drop as soft_drop
    from hardscatter.jets import subtract_area as subtract_area
    from hardscatter.jets import tau_ratio as tau_ratio
    from hardscatter.jobs import Cluster as Cluster
    from hardscatter.met import missing_momentum as missing_momentum
    from hardscatter.metrics import against_no_pileup as against_no_pileup
    from hardscatter.metrics import evaluate as evaluate
    from hardscatter.metrics.resolution import resolution as resolution
    from hardscatter.pileup import get_method as get_method
    from hardscatter.pileup import methods as methods
    from hardscatter.pileup import mitigate as mitigate
    from hardscatter.pileup import mitigate_file as mitigate_file
    from hardscatter.pileup import perfect_weights as perfect_weights
    from hardscatter.pileup import weight_errors as weight_errors
    from hardscatter.production import mitigate_files as mitigate_files
    from hardscatter.production import simulate_files as simulate_files
    from hardscatter.production import verify as verify
    from hardscatter.simulation import simulate as simulate
    from hardscatter.simulation import simulate_file as simulate_file
    from hardscatter.simulation import stream as stream
    from hardscatter.threads import set_threads as set_threads


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hardscatter' has no attribute '{name}'")
    value = getattr(import_module(f"hardscatter.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
