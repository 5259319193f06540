"""The check that files of our own get on reading: somebody else may have changed them."""

from __future__ import annotations

import awkward as ak

from hardscatter.events import COMPULSORY, from_candidates


def check_candidates(candidates: ak.Array) -> None:
    """Raise `InvalidEventsError` if the compulsory fields of the candidates break the event model."""
    from_candidates(**{name: candidates[name] for name in COMPULSORY})
