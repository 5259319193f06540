"""Errors of learned weights: how far a weight would move had its network been trained once more.

A small network, distilled from an ensemble (`hardscatter.training.ensemble`), gives them in one pass of its own. It is
loaded only when somebody asks.
"""

from __future__ import annotations

import awkward as ak
import numpy as np

from hardscatter.checks import checked_fraction
from hardscatter.errors import SettingsError
from hardscatter.events import Events, flat_candidates
from hardscatter.pileup.method import Method, get_method, mitigate


def weight_errors(events: Events, method: str | Method = "total") -> ak.Array:
    """Return the error of every weight of a learned method, σ_i ≈ std over an ensemble of networks of w_i.

    What one network of the ensemble gets wrong it gets wrong for candidates near each other alike: for the momentum
    of a jet or a sum, quote both bounds, independent candidates and fully correlated ones,

        sqrt(Σ_i (σ_i pt_i)²) ≤ σ_jet ≤ Σ_i σ_i pt_i.

    The errors say how far training decides the weights, not how far simulation differs from data.

    Parameters
    ----------
    events
        Crossings; their truth is removed before the network sees them.
    method
        Id of a learned method, the path of a model (``….onnx``), or an instance.

    Returns
    -------
    ak.Array
        Jagged float32 in [0, 1], aligned with ``events.candidates``; an event without candidates gets none.

    Raises
    ------
    SettingsError
        If the method has no model of its errors.
    UnknownMethodError, UnreadableFileError
        As `hardscatter.mitigate`.
    """
    spread = spread_model(get_method(method))
    if spread is None:
        name = method if isinstance(method, str) else type(method).__name__
        raise SettingsError(without_errors(name))
    return mitigate(events, spread)


def weights_and_errors(events: Events, method: Method, spread: Method) -> tuple[ak.Array, ak.Array]:
    """Return the weights of a method and their errors: `mitigate` for it and for its `spread_model`, in one go.

    What both networks want of a crossing, features and neighbours, is made once. Errors are raised as there.
    """
    from hardscatter.pileup.learned import Learned, weigh

    bare = events.without_truth()
    if isinstance(method, Learned) and isinstance(spread, Learned):
        found = weigh(bare, [method, spread])
    else:
        found = [one.weights(bare) for one in (method, spread)]
    name, (offsets, _) = type(method).__name__, flat_candidates(events)
    weights, errors = (checked_fraction(f"weights of method '{name}'", each, np.diff(offsets)) for each in found)
    return weights, errors


def spread_model(method: Method) -> Method | None:
    """Return what gives the errors of a method's weights, None where nothing does.

    Raises
    ------
    UnreadableFileError
        If there is a model of the errors that cannot be used.
    """
    from hardscatter.pileup.learned import Learned, describe, spread_of  # only who asks loads ONNX Runtime

    spread = spread_of(method) if isinstance(method, Learned) else None
    if spread is not None:
        describe(spread.model)
    return spread


def without_errors(*names: str) -> str:
    """Return the sentence for methods without a model of their errors."""
    named = ", ".join(f"'{name}'" for name in names)
    return (
        f"there are no errors for the weights of {named}: take a learned method with a model of its errors "
        "(beside model.onnx its name is model-spread.onnx)."
    )
