"""What the command line shows: rich tables and progress on a terminal, plain lines elsewhere, or JSON."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.table import Table

from hardscatter.report.tables import plain_lines


class Advance(Protocol):
    """Called with the number of events that are done."""

    def __call__(self, n: int) -> None:
        """Count `n` more events."""


def on_terminal() -> bool:
    """Tell whether a person reads the output."""
    return sys.stdout.isatty()


def show_tables(tables: list[Table]) -> None:
    """Print tables, drawn on a terminal and tab-separated elsewhere."""
    if on_terminal():
        console = Console()
        for table in tables:
            # Rather a line that the terminal folds than a number cut short.
            whole = console.measure(table, options=console.options.update(max_width=1000)).maximum
            unbroken = all(column.no_wrap for column in table.columns)
            Console(width=max(whole, console.width) if unbroken else None).print(table)
    else:
        print("\n".join(plain_lines(tables)))


def show_json(data: Any) -> None:
    """Print one JSON document."""
    print(json.dumps(data, indent=2, allow_nan=False, default=str))


def say(sentence: str) -> None:
    """Write a sentence for the user beside the output, so that pipes stay clean."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how far the work is: a bar with an estimate on a terminal, a line at every tenth elsewhere."""
    if sys.stderr.isatty():
        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bar:
            task = bar.add_task(what, total=total)
            yield lambda n: bar.advance(task, n)
        return
    done = 0

    def advance(n: int) -> None:
        nonlocal done
        before, done = done, done + n
        if total and before * 10 // total != done * 10 // total:
            say(f"{what}: {done} of {total} events")

    yield advance
