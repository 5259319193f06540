"""Whether a production is whole."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.options import Json, Shown


def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a production.")],
    json: Json = False,
    shown: Shown = "auto",
) -> None:
    """Prove that a production is whole: every part there with its checksum, every entry of every input once.

    Exit code 1 if it is not. Example:

    ```
    $ hardscatter verify weighted
    weighted: 12000 events in 12 parts of 3 inputs, whole
    ```
    """
    from hardscatter.production import verify
    from hardscatter.production.manifest import read_manifest
    from hardscatter.report.progress import stages
    from hardscatter.report.terminal import say, show_json

    with stages(shown, "parts") as tell:
        problems = verify(folder, progress=tell)
    manifest = read_manifest(folder)
    events = sum(line["events"] for line in manifest.parts.values())
    if json:
        show_json({**manifest.header, "parts": len(manifest.parts), "events": events, "problems": problems})
    else:
        inputs = len({line["input"] for line in manifest.parts.values()})
        end = "" if problems else ", whole"
        print(f"{folder}: {events} events in {len(manifest.parts)} parts of {inputs} inputs{end}")
    for problem in problems:
        say(f"problem: {problem}")
    if problems:
        raise typer.Exit(1)
