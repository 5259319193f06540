"""What the command line shows: rich tables and progress on a terminal, plain lines elsewhere, or JSON.

What draws is imported when there is something to draw, so that a verb starts quickly.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from rich.progress import TaskID
    from rich.table import Table


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
        from rich.console import Console

        console = Console()
        for table in tables:
            # Rather a line that the terminal folds than a number cut short.
            whole = console.measure(table, options=console.options.update(max_width=1000)).maximum
            unbroken = all(column.no_wrap for column in table.columns)
            Console(width=max(whole, console.width) if unbroken else None).print(table)
    else:
        from hardscatter.report.tables import plain_lines

        print("\n".join(plain_lines(tables)))


def show_json(data: Any) -> None:
    """Print one JSON document; numbers that do not exist are null."""
    print(json.dumps(_without_nan(data), indent=2, allow_nan=False, default=str))


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def say(sentence: str) -> None:
    """Write a sentence for the user beside the output, so that pipes stay clean."""
    print(sentence, file=sys.stderr, flush=True)


@contextmanager
def progress(what: str, total: int) -> Iterator[Advance]:
    """Show how far the work is: a bar with an estimate on a terminal, a line at every tenth elsewhere."""
    done = 0
    with stages("events") as tell:

        def advance(n: int) -> None:
            nonlocal done
            done += n
            tell(what, done, total)

        yield advance


@contextmanager
def stages(unit: str = "") -> Iterator[Callable[[str, int, int], None]]:
    """Show work that has several stages, each told by name, how much is done and how much there is."""
    if sys.stderr.isatty():
        from rich.console import Console
        from rich.progress import (
            BarColumn,
            MofNCompleteColumn,
            Progress,
            TextColumn,
            TimeElapsedColumn,
            TimeRemainingColumn,
        )

        columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(),
                   TimeRemainingColumn())  # fmt: skip
        with Progress(*columns, console=Console(stderr=True), transient=True) as bars:
            tasks: dict[str, TaskID] = {}

            def draw(what: str, done: int, total: int) -> None:
                if what not in tasks:
                    tasks[what] = bars.add_task(what, total=total)
                bars.update(tasks[what], completed=done)

            yield draw
        return
    tenths: dict[str, int] = {}

    def write(what: str, done: int, total: int) -> None:
        tenth = done * 10 // max(total, 1)
        if tenth != tenths.get(what, 0):
            say(f"{what}: {done} of {total} {unit}".rstrip())
        tenths[what] = tenth

    yield write
