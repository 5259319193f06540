"""From one file format to another, in bounded memory."""

from __future__ import annotations

import os
from collections.abc import Callable

from hardscatter.events import Events
from hardscatter.io.formats import Entries, iterate
from hardscatter.io.writing import Writer


def convert(
    path: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    change: Callable[[Events], Events] | None = None,
    entries: Entries = None,
    step: int = 100,
    overwrite: bool = False,
    particle_flow: str | None = None,
    on_events: Callable[[int], None] | None = None,
) -> int:
    """Write the events of a file in the format that the suffix of `output` names; return how many there were.

    Parameters
    ----------
    path, entries, step, particle_flow
        What to read, as for `hardscatter.iterate`.
    output, overwrite
        Where to write, as for `hardscatter.Writer`.
    change
        Applied to each batch before it is written.
    on_events
        Called with the number of events after each batch, for progress bars.

    Raises
    ------
    UnreadableFileError, UnwritableFileError
        If either file is not as it must be; the output is then left as it was.
    """
    n_events = 0
    with Writer(output, overwrite=overwrite) as writer:
        for events in iterate(path, step, entries, particle_flow=particle_flow):
            writer.write(change(events) if change is not None else events)
            n_events += len(events)
            if on_events is not None:
                on_events(len(events))
    return n_events
