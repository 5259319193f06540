"""From one file format to another, in bounded memory: reading and writing go on while the kernels run."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager

from hardscatter.events import Events
from hardscatter.io.formats import Entries, portions
from hardscatter.io.writing import Writer
from hardscatter.threads import threads


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
    path, entries, particle_flow
        What to read, as for `hardscatter.iterate`.
    step
        Events in one batch, at most: a batch is smaller where the file itself is cut (row groups, baskets). With more
        than one thread one batch is read and one written while a third is changed.
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
    source = portions(path, step, entries, particle_flow=particle_flow)
    with Writer(output, overwrite=overwrite) as writer, _ahead(source) as batches, _behind(writer.write) as write:
        for events in batches:
            write(change(events) if change is not None else events, events)
            n_events += len(events)
            if on_events is not None:
                on_events(len(events))
    return n_events


@contextmanager
def _ahead(batches: Iterator[Events]) -> Iterator[Iterator[Events]]:
    """Give the batches, each read by another thread while the one before is in use."""
    if threads() == 1:
        yield batches
        return
    with ThreadPoolExecutor(1) as reader:

        def taken() -> Iterator[Events]:
            coming = reader.submit(next, batches, None)
            while (events := coming.result()) is not None:
                coming = reader.submit(next, batches, None)
                yield events

        yield taken()


@contextmanager
def _behind(write: Callable[[Events, Events], None]) -> Iterator[Callable[[Events, Events], None]]:
    """Give a function that leaves the writing to another thread, after the batch before is written."""
    if threads() == 1:
        yield write
        return
    going: list[Future[None]] = []

    def written() -> None:
        while going:
            going.pop().result()

    with ThreadPoolExecutor(1) as writer:

        def later(events: Events, source: Events) -> None:
            written()
            going.append(writer.submit(write, events, source))

        yield later
        written()
