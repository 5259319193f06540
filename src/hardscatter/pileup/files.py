"""Mitigate a whole file, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from hardscatter.errors import SettingsError
from hardscatter.events import Events, with_weights
from hardscatter.io.conversion import convert
from hardscatter.io.formats import Entries
from hardscatter.pileup.method import CPU, Method, by_name, get_method, mitigate, settings_of, with_device
from hardscatter.pileup.uncertainty import spread_model, weights_and_errors, without_errors


def mitigate_file(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    names: str | Sequence[str],
    *,
    uncertainty: bool = False,
    device: str = CPU,
    entries: Entries = None,
    step: int = 100,
    overwrite: bool = False,
    particle_flow: str | None = None,
    on_events: Callable[[int], None] | None = None,
) -> int:
    """Write the events of a file with the weights of some methods beside the candidates; return how many there were.

    Parameters
    ----------
    names
        Method ids or paths of trained models (``….onnx``), or one; weights are stored under the id or the stem of
        the file, with the resolved settings in the metadata.
    uncertainty
        Write the errors of the weights as well, under the same names, for those methods that know them
        (`hardscatter.weight_errors`).
    device
        Where learned methods run, "cpu" or a device of PyTorch such as "cuda"
        (`hardscatter.pileup.learned.Learned`).
    path, output, entries, step, overwrite, particle_flow, on_events
        As for `hardscatter.convert`.

    Raises
    ------
    HardscatterError
        If a method is unknown or no network that a device could run, two get the same name, or errors are asked for
        and no method knows them, before any work; and as `convert` and `hardscatter.mitigate` do.
    """
    chosen = by_name([names] if isinstance(names, str) else names)
    methods = {name: with_device(get_method(method), device) for name, method in chosen.items()}
    spreads = {name: spread_model(method) if uncertainty else None for name, method in methods.items()}
    if uncertainty and not any(spreads.values()):
        raise SettingsError(without_errors(*spreads))

    def weigh(events: Events) -> Events:
        weighted = events
        for name, method in methods.items():
            spread = spreads[name]
            weights, errors = (
                (mitigate(events, method), None) if spread is None else weights_and_errors(events, method, spread)
            )
            weighted = with_weights(weighted, name, weights, _settings(method, spread), errors)
        return weighted

    return convert(
        path, output, change=weigh, entries=entries, step=step, overwrite=overwrite, particle_flow=particle_flow,
        on_events=on_events,
    )  # fmt: skip


def _settings(method: Method, spread: Method | None) -> dict[str, Any]:
    settings = settings_of(method)
    return settings if spread is None else {**settings, "errors": settings_of(spread)}
