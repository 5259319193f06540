"""Four-vectors with the behaviour of scikit-hep's vector, attached to the arrays themselves."""

from __future__ import annotations

from typing import Any

import awkward as ak


def vectors(records: ak.Array) -> ak.Array:
    """Return candidates, jets or leptons as four-vectors: ``.deltaR``, ``.mass``, ``+`` and all else of vector.

    The behaviour is that of the array alone: unlike ``vector.register_awkward()`` this changes nothing for others, so
    coffea's own behaviours in the same process stay as they are.

    Parameters
    ----------
    records
        Records with ``pt``, ``eta``, ``phi`` and ``energy`` or ``mass`` (GeV, rad), such as ``events.candidates`` or
        what `hardscatter.cluster` returns.

    Returns
    -------
    ak.Array
        The same records, named ``Momentum4D``; other fields stay.
    """
    from vector.backends.awkward import behavior  # only where it is asked for

    known: dict[Any, Any] = {**behavior, **(records.behavior or {})}
    return ak.with_name(records, "Momentum4D", behavior=known)
