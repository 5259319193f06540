"""Weights for every candidate, and the methods there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.folders import is_folder, refuse_in_a_folder, say_produced
from hardscatter.cli.options import (
    Entries,
    Files,
    Format,
    Json,
    Overwrite,
    Part,
    ParticleFlow,
    SkipBad,
    Step,
    Work,
    method_ids,
    total_of,
    with_workers,
)
from hardscatter.errors import SettingsError


@with_workers
def mitigate(
    files: Files,
    output: Annotated[Path, typer.Argument(help="A file, .parquet or .root, for one input; else a folder for parts.")],
    method: Annotated[
        list[str],
        typer.Option("--method", "-m", help="A method id or a model (.onnx), several times for several, or all."),
    ] = ["puppi"],  # noqa: B006  typer needs a literal and copies it
    uncertainty: Annotated[
        bool, typer.Option("--uncertainty", help="Write the errors of the weights too, for learned methods with them.")
    ] = False,
    device: Annotated[str, typer.Option(help="Where attention networks run: cpu, or a GPU such as cuda.")] = "cpu",
    entries: Entries = None,
    overwrite: Overwrite = False,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    part: Part = 1000,
    file_format: Format = "parquet",
    skip_bad: SkipBad = False,
    *,
    work: Work,
) -> None:
    """Weigh every candidate and write the weights beside the candidates.

    Many files go into a folder of parts with a manifest: what is there is not done again, by however many workers.
    Example:

    ```
    $ hardscatter mitigate examples/delphes_ttbar_pu140.root weighted.parquet --method puppi --method softkiller
    weighted.parquet: 24 events with weights puppi, softkiller
    $ hardscatter mitigate 'data/*.root' weighted --method total --workers 8
    weighted: 12000 events in 12 parts, 12 of them new
    ```
    """
    from hardscatter.pileup.method import by_name
    from hardscatter.report.progress import progress
    from hardscatter.report.terminal import say

    names = method_ids(method)
    if is_folder(output, work.cluster):
        from hardscatter.production import mitigate_files

        refuse_in_a_folder(output, entries=entries is not None, overwrite=overwrite)
        with work.stages() as tell:
            produced = mitigate_files(
                files, output, names, uncertainty=uncertainty, device=device, particle_flow=particle_flow, part=part,
                step=step, file_format=file_format, cluster=work.cluster, skip_bad=skip_bad, progress=tell,
            )  # fmt: skip
        say_produced(produced)
        return
    from hardscatter.pileup import mitigate_file

    path = _only(files, output)
    with progress("mitigating", total_of(path, entries), work.progress) as advance:
        n_events = mitigate_file(
            path, output, names, uncertainty=uncertainty, device=device, entries=entries, step=step,
            overwrite=overwrite, particle_flow=particle_flow, on_events=advance,
        )  # fmt: skip
    say(f"{output}: {n_events} events with weights {', '.join(by_name(names))}")


def methods(json: Json = False) -> None:
    """List the methods, each with its paper.

    Example:

    ```
    $ hardscatter methods
    method      what it does                                paper
    softkiller  a pt cut that empties half the tiles, …     arXiv:1407.0408
    ```
    """
    from dataclasses import asdict

    from hardscatter.pileup import methods
    from hardscatter.report.tables import methods_table
    from hardscatter.report.terminal import show_json, show_tables

    catalogue = methods()
    if json:
        show_json([asdict(entry) for entry in catalogue.values()])
    else:
        show_tables([methods_table(catalogue)])


def _only(files: list[str], output: Path) -> Path:
    """Return the one input of an output that is a file."""
    from hardscatter.production import files_of

    found = files_of(files)
    if len(found) > 1:
        raise SettingsError(f"{output} is one file, the inputs are {len(found)}: give the name of a folder for parts.")
    given = Path(files[0])
    return given if given.resolve() == found[0] else found[0]  # what is said of it names it as the user did
