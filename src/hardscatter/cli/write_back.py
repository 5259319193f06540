"""Weights back into an experiment's own file."""

from __future__ import annotations

from itertools import chain
from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.options import Overwrite, ParticleFlow, Shown, Step, total_of


def write_back(
    path: Annotated[Path, typer.Argument(help="An experiment's own file: Delphes or NanoAOD (ROOT), or HDF5.")],
    weighted: Annotated[Path, typer.Argument(help="What mitigate made of it: a file, or a folder of parts.")],
    output: Annotated[Path, typer.Argument(help="Where to write: a copy of the first file, with weights.")],
    overwrite: Overwrite = False,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    shown: Shown = "auto",
) -> None:
    """Write weights back into an experiment's own file, beside its candidates, one to one.

    The output is a copy of the file, every branch as it was. ROOT files get a friend of their tree, HardscatterWeights,
    HDF5 files data sets hardscatter_weights/NAME. Candidates are compared on the way: what does not fit is told.
    Example:

    ```
    $ hardscatter mitigate examples/delphes_ttbar_pu140.root weighted.parquet --method softkiller
    weighted.parquet: 24 events with weights softkiller
    $ hardscatter write-back examples/delphes_ttbar_pu140.root weighted.parquet own.root
    own.root: examples/delphes_ttbar_pu140.root with weights softkiller
    ```
    """
    from hardscatter.io import iterate, write_back
    from hardscatter.production import parts_of
    from hardscatter.report.progress import progress
    from hardscatter.report.terminal import say

    parts = parts_of(weighted, path) if weighted.is_dir() else [weighted]
    with progress("writing back", total_of(path, None), shown) as advance:
        names = write_back(
            path, chain.from_iterable(iterate(part, step) for part in parts), output, step=step, overwrite=overwrite,
            particle_flow=particle_flow, on_events=advance,
        )  # fmt: skip
    say(f"{output}: {path} with weights {', '.join(names)}")
