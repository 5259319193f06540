"""From one format to another."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.options import Entries, File, Overwrite, ParticleFlow, Shown, Step, total_of


def convert(
    path: File,
    output: Annotated[Path, typer.Argument(help="Where to write: .parquet or .root.")],
    entries: Entries = None,
    overwrite: Overwrite = False,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    shown: Shown = "auto",
) -> None:
    """Write a file in another format: Parquet (native) or flat ROOT that coffea and RDataFrame open.

    Example:

    ```
    $ hardscatter convert examples/delphes_ttbar_pu140.root events.parquet
    events.parquet: 24 events
    ```
    """
    from hardscatter.io import convert
    from hardscatter.report.progress import progress
    from hardscatter.report.terminal import say

    with progress("converting", total_of(path, entries), shown) as advance:
        n_events = convert(
            path, output, entries=entries, step=step, overwrite=overwrite, particle_flow=particle_flow,
            on_events=advance,
        )  # fmt: skip
    say(f"{output}: {n_events} events")
