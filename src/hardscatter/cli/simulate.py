"""Crossings from protons, and the processes there are."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.folders import is_folder, refuse_in_a_folder, say_produced
from hardscatter.cli.options import Format, Json, Overwrite, Part, Step, Work, with_workers


@with_workers
def simulate(
    process: Annotated[str, typer.Argument(help="A named process, a Pythia .cmnd file, or a HepMC file.")],
    output: Annotated[Path, typer.Argument(help="Where to write: .parquet or .root, or a folder for parts.")],
    n: Annotated[int, typer.Option("-n", help="Number of crossings.")] = 100,
    pileup: Annotated[
        str, typer.Option(help="Mean number of interactions, or fixed:140, flat:0-200, hist:FILE.")
    ] = "140",
    seed: Annotated[int, typer.Option(help="Of everything; different seeds share no collision.")] = 1,
    card: Annotated[
        str, typer.Option(help="Detector: cms-phase2, delphes-phase2, atlas-like, or a card of your own (.toml).")
    ] = "cms-phase2",
    paired: Annotated[
        Path | None, typer.Option(help="Also write the same hard collisions without pileup, event by event.")
    ] = None,
    n_minbias: Annotated[int, typer.Option(help="Minimum-bias collisions in the pool of pileup.")] = 20_000,
    energy: Annotated[float | None, typer.Option(help="Centre-of-mass energy in GeV; default 14000.")] = None,
    mass: Annotated[float | None, typer.Option(help="Mass of the resonance in GeV, where there is one.")] = None,
    tune: Annotated[str | None, typer.Option(help="monash (default), cp5 or 4c.")] = None,
    shared_draws: Annotated[
        bool, typer.Option("--shared-draws", help="Draw the noise once for both members of a pair.")
    ] = False,
    elastic: Annotated[bool, typer.Option("--elastic", help="Have elastic collisions among the pileup.")] = False,
    overwrite: Overwrite = False,
    step: Step = 100,
    part: Part = 1000,
    file_format: Format = "parquet",
    *,
    work: Work,
) -> None:
    """Make crossings from protons: Pythia collisions, pileup overlay and a Phase-2 detector.

    Libraries of collisions are built on first use, resumed after an interruption, and kept in the cache folder
    (`HARDSCATTER_CACHE`). Processes: see `hardscatter processes`. A folder gets parts and a manifest, made by however
    many workers; what is there is not made again. Example:

    ```
    $ hardscatter simulate ttbar-semileptonic crossings.parquet -n 1000 --pileup 140 --seed 1
    crossings.parquet: 1000 crossings of ttbar-semileptonic
    ```
    """
    from hardscatter.report.terminal import say
    from hardscatter.simulation import Settings, simulate_file
    from hardscatter.threads import threads

    settings: Settings = {
        "pileup": pileup, "seed": seed, "card": card, "n_minbias": n_minbias, "elastic": elastic,
        "shared_draws": shared_draws, "workers": threads(),
    }  # fmt: skip
    if energy is not None:
        settings["energy"] = energy
    if mass is not None:
        settings["mass"] = mass
    if tune is not None:
        settings["tune"] = tune
    if is_folder(output, work.cluster):
        from hardscatter.production import simulate_files

        refuse_in_a_folder(output, overwrite=overwrite)
        with work.stages() as settings["progress"]:
            produced = simulate_files(
                process, output, n, paired=paired, part=part, step=step, file_format=file_format,
                cluster=work.cluster, **settings,
            )  # fmt: skip
        say_produced(produced)
        return
    with work.stages() as settings["progress"]:
        made = simulate_file(process, output, n, paired=paired, overwrite=overwrite, step=step, **settings)
    say(f"{output}: {made} crossings of {process}")
    if paired is not None:
        say(f"{paired}: the same without pileup")


def processes(json: Json = False) -> None:
    """List the processes that are known by name: `simulate` takes all but minbias.

    Example:

    ```
    $ hardscatter processes | grep -A 1 minbias
    minbias  what pileup is made of, no hard process to simulate: inelastic collisions; elastic ones too on request
    qcd      jets of quarks and gluons, evenly over the logarithm of pT, with weights that undo it
    ```
    """
    from hardscatter.generate import processes
    from hardscatter.report.tables import processes_table
    from hardscatter.report.terminal import show_json, show_tables

    if json:
        show_json(processes())
    else:
        show_tables([processes_table(processes())])
