"""Mitigate a whole file, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence

from hardscatter.events import Events, with_weights
from hardscatter.io.conversion import convert
from hardscatter.io.formats import Entries
from hardscatter.pileup.method import get_method, mitigate, settings_of


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
        Method ids, or one; weights are stored under them, with the resolved settings in the metadata.
    path, output, entries, step, overwrite, particle_flow, on_events
        As for `hardscatter.convert`.

    Raises
    ------
    HardscatterError
        If a method is unknown, before any work; and as `convert` and `hardscatter.mitigate` do.
    """
    methods = {name: get_method(name) for name in ([names] if isinstance(names, str) else names)}

    def weigh(events: Events) -> Events:
        weighted = events
        for name, method in methods.items():
            weighted = with_weights(weighted, name, mitigate(events, method), settings_of(method))
        return weighted

    return convert(
        path, output, change=weigh, entries=entries, step=step, overwrite=overwrite, particle_flow=particle_flow,
        on_events=on_events,
    )  # fmt: skip
