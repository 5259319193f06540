"""What the command line shows: rich tables on a terminal, plain lines elsewhere, or JSON.

What draws is imported when there is something to draw, so that a verb starts quickly.
"""

from __future__ import annotations

import json
import math
import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rich.table import Table


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
