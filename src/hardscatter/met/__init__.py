"""Missing transverse momentum from weighted candidates."""

from __future__ import annotations

from hardscatter.met.missing import missing_momentum

__all__ = ["missing_momentum"]
