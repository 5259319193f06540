"""Methods against each other."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hardscatter import __version__
from hardscatter.cli.options import Json, ParticleFlow, Step, Work, with_workers
from hardscatter.errors import SettingsError

if TYPE_CHECKING:
    from hardscatter.simulation import Progress
    from hardscatter.workshop2014 import Result


@with_workers
def arena(
    output: Annotated[Path, typer.Argument(help="Folder of the arena: what it holds is not done again.")],
    sample: Annotated[
        list[str] | None,
        typer.Option(
            "--sample",
            "-s",
            help="Files with truth (one, a folder or a pattern) or a process, several times; default: four.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="A method id or a model (.onnx), several times; default: all installed."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Crossings of each sample, at most.")] = 200,
    pileup: Annotated[
        list[str] | None, typer.Option(help="Mean pileup of simulated samples, several times; default: 140.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of simulated samples.")] = 303,
    card: Annotated[str, typer.Option(help="Detector of simulated samples.")] = "cms-phase2",
    n_minbias: Annotated[int, typer.Option(help="Minimum-bias collisions in their pool of pileup.")] = 50_000,
    shifts: Annotated[
        bool, typer.Option("--shifts", help="Measure what other tunes, detectors, scales and pileup do to the methods.")
    ] = False,
    workshop2014: Annotated[
        bool,
        typer.Option("--workshop2014", help="The benchmark of the 2014 pileup workshop, beside what it published."),
    ] = False,
    json: Json = False,
    replicas: Annotated[int, typer.Option(help="Bootstrap replicas over crossings.")] = 400,
    cost_crossings: Annotated[
        int, typer.Option(help="Crossings on which time and memory are measured; 0: not at all.")
    ] = 10,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    *,
    work: Work,
) -> None:
    """Let methods compete on the same crossings: a leaderboard with errors, time and memory, tables and a figure.

    What was observed stays in the folder: a second run does only what is new or changed, an interrupted one goes on
    where it was. No mitigation, the references of the gap and perfect weights always take part. The order is that of
    the mean gap closed. With `--shifts` or `--workshop2014`, and no `--sample`, only these are made. The workshop's
    benchmark keeps nothing between runs; it takes `-n`, `--pileup`, `--seed` and samples such as dijets050, and methods
    asked for join its own, in processes of this machine. Workers change no number. Example:

    ```
    $ hardscatter arena trial --sample examples/delphes_ttbar_pu140.root --method softkiller --method cs
    # overall; time and memory on one thread, 8349 candidates a crossing
            method      mean gap
    1       puppi:best  0.00 ± 0.00
    …
    trial/leaderboard.png
    ```
    """
    from hardscatter.arena import contest, contestants, domain_shifts
    from hardscatter.arena.samples import DEFAULT_PILEUP, PROCESSES
    from hardscatter.report import arena as page
    from hardscatter.report.terminal import say, show_json, show_tables
    from hardscatter.threads import threads

    wanted = [name for name in sample or [] if not (workshop2014 and name.startswith("dijets"))]
    whole = bool(wanted) or not (shifts or workshop2014)
    document: dict[str, Any] = {}
    written: list[Path] = []
    tables = []
    if whole or shifts:
        contestants(method)  # what nobody knows is found before any work
    with work.stages() as tell:
        if whole:
            result = contest(
                output, wanted or PROCESSES, method, n=n, pileups=pileup or [DEFAULT_PILEUP], seed=seed, card=card,
                n_minbias=n_minbias, particle_flow=particle_flow, replicas=replicas, cost_crossings=cost_crossings,
                step=step, workers=threads(), cluster=work.cluster, progress=tell,
            )  # fmt: skip
            document["leaderboard"] = result.to_dict()
            tables += page.leaderboard_grids(result)
            written += page.write_leaderboard(result, output)
        if shifts:
            shifted = domain_shifts(
                output, method, n=n, seed=seed, card=card, n_minbias=n_minbias, replicas=replicas, step=step,
                workers=threads(), cluster=work.cluster, progress=tell,
            )  # fmt: skip
            document["shifts"] = shifted.to_dict()
            tables += page.shift_grids(shifted)
            written += page.write_shifts(shifted, output)
        if workshop2014:
            dijets = [name for name in sample or [] if name not in wanted]
            benchmark = _workshop(output, method or [], pileup or [], dijets, n, seed, tell)
            document["workshop2014"] = benchmark.to_dict()
            tables += page.workshop_grids(benchmark)
            written += page.write_workshop(benchmark, output)
    if json:
        show_json({"version": __version__, **document})
    else:
        show_tables([table.to_rich() for table in tables])
    for path in written:
        say(f"{path}")


def _workshop(
    output: Path, words: list[str], pileups: list[str], samples: list[str], n: int, seed: int, tell: Progress
) -> Result:
    """Run the workshop's benchmark with its own methods and those that were asked for."""
    from hardscatter.arena.run import check_folder
    from hardscatter.threads import threads
    from hardscatter.workshop2014 import METHODS, run
    from hardscatter.workshop2014.benchmark import DEFAULT_SAMPLES, PILEUPS

    check_folder(output)
    odd = [pileup for pileup in pileups if not pileup.isdecimal()]
    if odd:
        raise SettingsError(f"pileup '{odd[0]}': the workshop's crossings hold a fixed number, such as 30, 100 or 140.")
    methods = list(dict.fromkeys([*METHODS, *words]))
    numbers = [int(pileup) for pileup in pileups] or PILEUPS
    return run(methods, numbers, samples or DEFAULT_SAMPLES, n, seed, threads(), tell)
