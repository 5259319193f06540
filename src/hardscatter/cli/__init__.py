"""The command line: one verb, one call of the public API.

Errors that a user can act on are printed as one sentence, with exit code 1; usage errors have exit code 2.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Annotated, TextIO

import typer

from hardscatter import __version__
from hardscatter.cli.arena import arena
from hardscatter.cli.convert import convert
from hardscatter.cli.evaluate import evaluate
from hardscatter.cli.inspect import inspect
from hardscatter.cli.mitigate import methods, mitigate
from hardscatter.cli.report import report
from hardscatter.cli.simulate import processes, simulate
from hardscatter.cli.train import export, train
from hardscatter.cli.trigger import firmware, menu
from hardscatter.cli.verify import verify
from hardscatter.cli.write_back import write_back
from hardscatter.errors import HardscatterError

VERBS = (
    inspect, simulate, processes, mitigate, verify, evaluate, arena, report, train, export, firmware, menu, methods,
    convert, write_back,
)  # fmt: skip
"""In the order in which `--help` lists them."""

app = typer.Typer(
    name="hardscatter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)
for _verb in VERBS:
    app.command(_verb.__name__.replace("_", "-"))(_verb)


@app.callback(invoke_without_command=True)
def options(
    version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False,
    threads: Annotated[int | None, typer.Option(help="Threads over crossings; default: all cores.")] = None,
) -> None:
    """Rescue the hard scatter from pileup: weights, jets, missing momentum, and the numbers that judge them."""
    if version:
        print(f"hardscatter {__version__}")
        raise typer.Exit
    if threads is not None:
        from hardscatter.threads import set_threads

        set_threads(threads)


def main() -> None:
    """Run the command line; whatever stops it, one line says so and nothing half-written is left."""
    for name, code in (("SIGTERM", 143), ("SIGHUP", 129)):  # a batch system's way to say stop: unwind, as Ctrl-C does
        if hasattr(signal, name):
            signal.signal(getattr(signal, name), lambda *_, code=code: sys.exit(code))
    if sys.stdout is None:  # closed by the caller
        sys.stdout = _nowhere()
    try:
        app()
        sys.stdout.flush()
    except HardscatterError as problem:
        print(f"hardscatter: {problem}", file=sys.stderr)
        sys.exit(1)
    except OSError as problem:
        print(f"hardscatter: the output cannot be written ({problem.strerror}).", file=sys.stderr)
        sys.stdout = _nowhere()  # else Python complains once more at exit
        sys.exit(1)
    except SystemExit as stop:
        if stop.code in (129, 130, 143):
            print("hardscatter: interrupted; nothing half-written is left.", file=sys.stderr)
        raise


def _nowhere() -> TextIO:
    return Path(os.devnull).open("w", encoding="utf-8")
