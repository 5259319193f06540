"""Mitigate a whole file, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from hardscatter.events import Events, with_weights
from hardscatter.io.conversion import convert
from hardscatter.io.formats import Entries
from hardscatter.pileup.method import by_name, get_method, mitigate, settings_of


def mitigate_file(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    names: str | Sequence[str],
    *,
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
    path, output, entries, step, overwrite, particle_flow, on_events
        As for `hardscatter.convert`.

    Raises
    ------
    HardscatterError
        If a method is unknown or two get the same name, before any work; and as `convert` and `hardscatter.mitigate`
        do.
    """
    chosen = by_name([names] if isinstance(names, str) else names)
    methods = {name: get_method(method) for name, method in chosen.items()}

    def weigh(events: Events) -> Events:
        weighted = events
        for name, method in methods.items():
            weighted = with_weights(weighted, name, mitigate(events, method), settings_of(method))
        return weighted

    return convert(
        path, output, change=weigh, entries=entries, step=step, overwrite=overwrite, particle_flow=particle_flow,
        on_events=on_events,
    )  # fmt: skip
