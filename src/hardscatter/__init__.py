"""hardscatter: rescue the hard scatter from pileup.

Everything a user calls stands here by name (`hs.read`, `hs.mitigate`, `hs.resolution`, …) and is loaded when it
is first used, so that importing the package is quick.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PLACES = {
    "events": ["Events", "from_candidates", "with_weights", "concatenate"],
    "threads": ["set_threads"],
    "errors": ["HardscatterError"],
}
_HOME = {name: module for module, names in _PLACES.items() for name in names}

__all__ = ["__version__", *sorted(_HOME)]

if TYPE_CHECKING:
    from hardscatter.errors import HardscatterError
    from hardscatter.events import Events, concatenate, from_candidates, with_weights
    from hardscatter.threads import set_threads


def __getattr__(name: str) -> Any:
    if name not in _HOME:
        raise AttributeError(f"module 'hardscatter' has no attribute '{name}'")
    value = getattr(import_module(f"hardscatter.{_HOME[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*globals(), *_HOME])
