"""The command line: one verb, one call of the public API.

Errors that a user can act on are printed as one sentence, with exit code 1; usage errors have exit code 2.
"""

from __future__ import annotations

import inspect as signatures
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, TextIO

import typer

from hardscatter import __version__
from hardscatter.errors import HardscatterError, SettingsError

if TYPE_CHECKING:
    from hardscatter.jobs import Cluster
    from hardscatter.production import Produced
    from hardscatter.report.progress import Tell
    from hardscatter.workshop2014 import Result

app = typer.Typer(
    name="hardscatter",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)

File = Annotated[Path, typer.Argument(help="Delphes ROOT, packed Delphes (.npz), PFNano, or a hardscatter file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of tables.")]
Entries = Annotated[int | None, typer.Option("--entries", "-n", help="Use only the first N events.")]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace an output that exists.")]
ParticleFlow = Annotated[
    str | None,
    typer.Option(help="What filled ParticleFlowCandidate of a Delphes file without EFlow branches: eflow or chs."),
]
Step = Annotated[int, typer.Option(help="Events held in memory at once.")]
Files = Annotated[
    list[str],
    typer.Argument(help="Files, folders, patterns in quotes ('*.root'), or @LIST, a text file with one a line."),
]
Part = Annotated[int, typer.Option(help="Events in a part, where the output is a folder.")]
Format = Annotated[str, typer.Option("--format", help="Of the parts: parquet or root.")]
Where = Annotated[
    str | None,
    typer.Option(
        "--cluster", help="Who works: local processes, tcp://HOST:PORT (a Dask scheduler), htcondor or slurm."
    ),
]
Workers = Annotated[int | None, typer.Option(help="Workers to start; alone it means local processes.")]
Memory = Annotated[str, typer.Option(help="Of each worker; one that takes more is stopped, its job tried again.")]
Attempts = Annotated[int, typer.Option(help="Workers that a job may outlive before it is given up.")]
Shown = Annotated[
    str,
    typer.Option("--progress", help="auto: a bar or lines; json: lines for machines on stderr, one a second; none."),
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Set bad input files aside and go on.")]


@dataclass(frozen=True)
class Work:
    """Who does the work of a verb, and how its progress is shown."""

    cluster: Cluster | None
    progress: str

    @contextmanager
    def stages(self) -> Iterator[Tell]:
        """Show the progress of work that has several stages."""
        from hardscatter.report.progress import stages

        with stages(self.progress) as tell:
            yield tell


def _work(
    *,
    cluster: Where = None,
    workers: Workers = None,
    memory: Memory = "2 GB",
    attempts: Attempts = 3,
    progress: Shown = "auto",
) -> Work:
    """Return what the options say that long verbs share."""
    from hardscatter.report.progress import check_kind

    check_kind(progress)
    if cluster is None and workers is None:
        return Work(None, progress)
    from hardscatter.jobs import Cluster

    return Work(Cluster(cluster or "local", 1 if workers is None else workers, memory, attempts), progress)


def with_workers(verb: Callable[..., None]) -> Callable[..., None]:
    """Give a verb the options of a cluster and of progress in place of its argument `work`, which they make."""
    shared = signatures.signature(_work, eval_str=True).parameters
    own = {name: one for name, one in signatures.signature(verb, eval_str=True).parameters.items() if name != "work"}

    @wraps(verb)
    def called(**given: Any) -> None:
        verb(**{name: given[name] for name in own}, work=_work(**{name: given[name] for name in shared}))

    keywords = [one.replace(kind=signatures.Parameter.KEYWORD_ONLY) for one in (*own.values(), *shared.values())]
    called.__signature__ = signatures.Signature(keywords)  # type: ignore[attr-defined]
    called.__annotations__ = {}  # the signature has them, evaluated
    return called


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


@app.command()
def inspect(
    path: File,
    json: Json = False,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    shown: Shown = "auto",
) -> None:
    """Say what a file holds, and what is wrong with it.

    Exit code 1 if methods cannot run on it. Example:

    ```
    $ hardscatter inspect examples/delphes_ttbar_pu140.root
    events               24
    candidates an event  8261 (least 6619, most 10096)
    charged candidates   leading vertex 3.2%, pileup vertex 96.8%, no vertex 0.0%
    vertices an event    143.9
    ```
    """
    from hardscatter.io import count, inspect
    from hardscatter.report.progress import progress
    from hardscatter.report.tables import inspection_tables
    from hardscatter.report.terminal import say, show_json, show_tables

    with progress("inspecting", count(path), shown) as advance:
        found = inspect(path, step=step, particle_flow=particle_flow, on_events=advance)
    if json:
        show_json(found.to_dict())
    else:
        show_tables(inspection_tables(found))
        for remark in found.remarks:
            say(f"remark: {remark}")
    for problem in found.problems:
        say(f"problem: {problem}")
    if not found.usable:
        raise typer.Exit(1)


@app.command()
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
    if _is_folder(output, work.cluster):
        from hardscatter.production import simulate_files

        _refuse_in_a_folder(output, overwrite=overwrite)
        with work.stages() as settings["progress"]:
            produced = simulate_files(
                process, output, n, paired=paired, part=part, step=step, file_format=file_format,
                cluster=work.cluster, **settings,
            )  # fmt: skip
        _say_produced(produced)
        return
    with work.stages() as settings["progress"]:
        made = simulate_file(process, output, n, paired=paired, overwrite=overwrite, step=step, **settings)
    say(f"{output}: {made} crossings of {process}")
    if paired is not None:
        say(f"{paired}: the same without pileup")


@app.command()
def processes(json: Json = False) -> None:
    """List the processes that `simulate` knows by name.

    Example:

    ```
    $ hardscatter processes
    process  what it makes
    minbias  inelastic proton collisions as pileup is made of; elastic ones too on request
    ```
    """
    from hardscatter.generate import processes
    from hardscatter.report.tables import processes_table
    from hardscatter.report.terminal import show_json, show_tables

    if json:
        show_json(processes())
    else:
        show_tables([processes_table(processes())])


@app.command()
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

    names = _method_ids(method)
    if _is_folder(output, work.cluster):
        from hardscatter.production import mitigate_files

        _refuse_in_a_folder(output, entries=entries is not None, overwrite=overwrite)
        with work.stages() as tell:
            produced = mitigate_files(
                files, output, names, uncertainty=uncertainty, particle_flow=particle_flow, part=part, step=step,
                file_format=file_format, cluster=work.cluster, skip_bad=skip_bad, progress=tell,
            )  # fmt: skip
        _say_produced(produced)
        return
    from hardscatter.pileup import mitigate_file

    path = _only(files, output)
    with progress("mitigating", _total(path, entries), work.progress) as advance:
        n_events = mitigate_file(
            path, output, names, uncertainty=uncertainty, entries=entries, step=step, overwrite=overwrite,
            particle_flow=particle_flow, on_events=advance,
        )  # fmt: skip
    say(f"{output}: {n_events} events with weights {', '.join(by_name(names))}")


@app.command()
def verify(
    folder: Annotated[Path, typer.Argument(help="The folder of a production.")],
    json: Json = False,
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
    from hardscatter.report.terminal import say, show_json

    problems = verify(folder)
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


@app.command()
@with_workers
def evaluate(
    files: Files,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="A method id, several times, or all; default: stored weights, else all."),
    ] = None,
    entries: Entries = None,
    json: Json = False,
    figure: Annotated[Path | None, typer.Option(help="Draw a page with one crossing and the responses.")] = None,
    event: Annotated[int, typer.Option(help="The crossing to draw.")] = 0,
    paired: Annotated[
        list[str] | None,
        typer.Option(help="The same hard collisions without pileup, file by file: compare with them as well."),
    ] = None,
    definition: Annotated[
        str, typer.Option(help="What to measure: design (hardscatter's own) or talk (the columns of the TOTAL talk).")
    ] = "design",
    replicas: Annotated[int, typer.Option(help="Bootstrap replicas over events.")] = 400,
    particle_flow: ParticleFlow = None,
    step: Step = 100,
    skip_bad: SkipBad = False,
    *,
    work: Work,
) -> None:
    """Measure jets and missing momentum against the truth, with errors.

    Each number comes with its bootstrap error. δ is half the width of the central half of the responses, med their
    median (the bias); effic. the share of truth jets found; fakes are counted a crossing; gap is the part of the way
    from PUPPI tuned for the detector (puppi:best, 0) to perfect weights (1), gap CMS that from puppi:cms-phase2. The
    definition talk is that of the authors of TOTAL, for comparing with their plots: AK4 jets above 15 GeV, AK8 jets of
    500 to 1500 GeV, relative missing momentum, and the improvement on both PUPPIs, 1 − δ/δ_PUPPI. Many files, or the
    folder of a production, give one table, the same by however many workers. Example:

    ```
    $ hardscatter evaluate examples/delphes_ttbar_pu140.root --method puppi --method softkiller
    # missing momentum, x and y (24 crossings)
    method      δ [GeV]      68 %/2 [GeV]  95 %/2 [GeV]  slope          gap            gap CMS
    perfect     5.45 ± 0.97  7.9 ± 1.3     18.2 ± 3.2    1.011 ± 0.030  1.000 ± 0.000  1.000 ± 0.000
    ```
    """
    from hardscatter.metrics import DESIGN, definition_of, evaluate
    from hardscatter.report.tables import resolution_tables, with_error, with_error_in_brackets
    from hardscatter.report.terminal import on_terminal, say, show_json, show_tables

    names = None if method is None else _method_ids(method)
    if figure is not None:
        from hardscatter.report.first_light import check

        if definition_of(definition) != DESIGN:
            raise SettingsError("the figure shows the definition design: leave out --definition or --figure.")
        drawn = check(files, event, figure)
    with work.stages() as tell:
        evaluation = evaluate(
            files, names, entries=entries, step=step, paired=paired, definition=definition, replicas=replicas,
            particle_flow=particle_flow, cluster=work.cluster, skip_bad=skip_bad, progress=tell,
        )  # fmt: skip
    for sentence in evaluation.bad:
        say(f"set aside: {sentence}")
    if json:
        document = {**_named(files), "version": __version__, **evaluation.table.to_dict()}
        if evaluation.bad:
            document["set_aside"] = list(evaluation.bad)
        if evaluation.paired is not None:
            document["against_no_pileup"] = {**_named(paired or []), **evaluation.paired.to_dict()}
        show_json(document)
    else:
        write = with_error_in_brackets if on_terminal() else with_error
        show_tables(resolution_tables(evaluation.table, write))
        if evaluation.paired is not None:
            say("against the same collisions without pileup:")
            show_tables(resolution_tables(evaluation.paired, write))
    if figure is not None:
        from hardscatter.report.first_light import draw, save

        for written in save(draw(*drawn, evaluation, particle_flow=particle_flow), figure):
            say(f"{written}")


@app.command()
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


@app.command()
@with_workers
def report(
    output: Annotated[Path, typer.Argument(help="Folder of the page: what it holds is not done again.")],
    sample: Annotated[
        list[str] | None,
        typer.Option(
            "--sample",
            "-s",
            help="Files with truth (one, a folder or a pattern) or a process, several times; default: the whole case.",
        ),
    ] = None,
    method: Annotated[
        list[str] | None,
        typer.Option("--method", "-m", help="A method id or a model (.onnx), several times; default: PUPPI and TOTAL."),
    ] = None,
    n: Annotated[int, typer.Option("-n", help="Crossings of each sample of your own, at most.")] = 200,
    quick: Annotated[bool, typer.Option("--quick", help="The whole case with a hundredth of the crossings.")] = False,
    share: Annotated[float, typer.Option(help="Of the whole case's crossings; above 1 for smaller errors.")] = 1.0,
    pileup: Annotated[str, typer.Option(help="Of samples of your own, as of simulate.")] = "140",
    seed: Annotated[int, typer.Option(help="Of simulated samples.")] = 303,
    card: Annotated[str, typer.Option(help="Detector of simulated samples.")] = "cms-phase2",
    n_minbias: Annotated[int | None, typer.Option(help="Minimum-bias collisions in their pool of pileup.")] = None,
    znunu: Annotated[
        Path | None,
        typer.Option(help="HepMC file of Z(νν) + jets by a matrix-element generator, in place of Pythia's."),
    ] = None,
    znunu_fb: Annotated[float | None, typer.Option(help="Its cross section in fb, if the file does not say.")] = None,
    paired: Annotated[
        Path | None, typer.Option(help="The same hard collisions as in the sample, a file, without pileup.")
    ] = None,
    replicas: Annotated[int, typer.Option(help="Bootstrap replicas over crossings.")] = 400,
    particle_flow: ParticleFlow = None,
    *,
    work: Work,
) -> None:
    """Make the physics case: studies with errors, figures, and one page with all of it.

    Without `--sample` the whole case is simulated: distributions, resolutions, recoil, tails, energy flow, invisible
    Higgs decays, anomaly scores, shifts. Records of crossings stay in the folder, so a run that was stopped goes on
    where it was; `--quick` runs everything in minutes and proves nothing. Example:

    ```
    $ hardscatter report page --sample examples/delphes_ttbar_pu140.root
    page/index.html
    ```
    """
    from hardscatter.campaign import full_plan, own_plan, quick_plan
    from hardscatter.campaign.case import own_questions
    from hardscatter.campaign.plan import METHODS
    from hardscatter.report.case import CaseSettings, write_case
    from hardscatter.report.terminal import say
    from hardscatter.threads import threads

    methods = tuple(_method_ids(method)) if method else METHODS
    pool = {} if n_minbias is None else {"n_minbias": n_minbias}
    known = {} if znunu_fb is None else {"znunu": znunu_fb}
    command = " ".join(["hardscatter", *sys.argv[1:]])
    settings = CaseSettings(methods, replicas, cross_sections=known, command=command)
    if sample:
        samples = own_plan(
            sample, n=n, pileup=pileup, seed=seed, card=card, paired=paired, particle_flow=particle_flow, **pool
        )
        settings = replace(settings, questions=own_questions, title="Pileup mitigation: " + ", ".join(
            one.title for one in samples))  # fmt: skip
    elif quick:
        samples = quick_plan(methods, seed=seed, card=card, znunu=znunu)
    else:
        samples = full_plan(methods, share=share, seed=seed, card=card, znunu=znunu, **pool)
    with work.stages() as tell:
        page, *figures = write_case(output, samples, settings, workers=threads(), cluster=work.cluster, progress=tell)
    say(f"{page}")
    say(f"{output / 'figures'}: {len(figures) // 2} figures; {output / 'numbers'}: what they show")


@app.command()
def train(
    config: Annotated[str, typer.Option("--config", "-c", help="A configuration of the package, or a YAML file.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", "-s", help="Change a setting: length.rounds=20; several times.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="Folder of the run; default: runs/ and its name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with what the folder holds.")] = False,
    accelerator: Annotated[str, typer.Option(help="cpu, gpu or auto.")] = "auto",
    devices: Annotated[int, typer.Option(help="Devices; more than one trains on the sum of their batches.")] = 1,
    precision: Annotated[str, typer.Option(help="32, or bf16 for matrix products in bfloat16.")] = "32",
    workers: Annotated[int, typer.Option(help="Processes that make crossings meanwhile; 0: none.")] = 1,
) -> None:
    """Train a network on our own collisions; stop it at will and go on with --resume.

    The folder gets the resolved configuration, a line for each round, checkpoints and the learning curves. Example:

    ```
    $ hardscatter train --config total-paper --set length.rounds=2 --output runs/trial
    round 1/2: 192 crossings, 61 s, loss 498.8, validation 300.3, kept 0.975, waiting 38%
    …
    runs/trial/best.ckpt: the best checkpoint
    runs/trial/curves.png: the learning curves
    ```
    """
    from hardscatter.report.terminal import say
    from hardscatter.threads import threads
    from hardscatter.training import Machine, load_configuration, train
    from hardscatter.training.configuration import parse
    from hardscatter.training.curves import draw
    from hardscatter.training.run import CONFIGURATION, leads, say_round

    training = load_configuration(config, changes or [])
    machine = parse(
        Machine,
        {
            "accelerator": accelerator, "devices": devices, "precision": precision, "workers": workers,
            "threads": max(1, threads() - workers),
        },
        "machine",
    )  # fmt: skip
    folder = output or Path("runs") / training.name
    try:
        best = train(training, folder, machine, resume=resume, on_round=say_round)
    except (KeyboardInterrupt, SystemExit):
        if leads() and (folder / CONFIGURATION).exists():
            say(f"{folder}: go on with the same words and --resume")
        raise
    if not leads():
        return
    say(f"{best}: the best checkpoint")
    say(f"{draw([folder], folder / 'curves.png')}: the learning curves")


@app.command()
def export(
    checkpoint: Annotated[Path, typer.Argument(help="The folder of a run, or one of its checkpoints.")],
    output: Annotated[Path, typer.Argument(help="Where to write: .onnx; the model card goes beside it.")],
    overwrite: Overwrite = False,
) -> None:
    """Write a trained network as ONNX, checked against the original, with its model card.

    Example:

    ```
    $ hardscatter export runs/total-paper total.onnx
    …
    ONNX against torch, 9000 candidates: largest difference 3.9e-05
    total.onnx: run it with hardscatter mitigate --method total.onnx
    ```
    """
    from hardscatter.report.terminal import say
    from hardscatter.training.export import export

    card = export(checkpoint, output, overwrite=overwrite, say=say)
    say(f"{output}: run it with hardscatter mitigate --method {output}")
    say(f"{card}: its model card")


@app.command()
def firmware(
    model: Annotated[Path, typer.Argument(help="An integer model (.json).")],
    folder: Annotated[Path, typer.Argument(help="Where to write; it appears when all is done and right.")],
    strategy: Annotated[
        str, typer.Option(help="How the C++ multiplies: latency or distributed_arithmetic.")
    ] = "latency",
    part: Annotated[str, typer.Option(help="The device.")] = "xcvu13p-flga2577-2-e",
    clock: Annotated[float, typer.Option(help="Its frequency in MHz.", min=1)] = 360.0,
    candidates: Annotated[int, typer.Option(help="On which every bit is compared.", min=1)] = 100_000,
    overwrite: Overwrite = False,
) -> None:
    """Write C++ and Verilog of an integer model with testbenches, vectors and estimates, every bit of C++ compared.

    Example:

    ```
    $ hardscatter firmware student.json student_firmware
    da4ml's graph: 100000 candidates, all bits equal
    …
    student_firmware: 9 clocks, 25.0 ns at 360 MHz; 37338 look-up tables (estimate)
    ```
    """
    from hardscatter.report.terminal import say
    from hardscatter.trigger.firmware import STRATEGIES, FirmwareSettings, write_firmware
    from hardscatter.trigger.integer import read_model

    if strategy not in STRATEGIES:
        raise SettingsError(f"--strategy is {strategy}: give one of {', '.join(STRATEGIES)}.")
    settings = FirmwareSettings(strategy=strategy, part=part, clock=clock, n_compared=candidates)
    found = write_firmware(read_model(model), folder, settings, overwrite=overwrite, say=say)
    what = f"{found['latency_clocks']} clocks, {found['latency_ns']:.1f} ns at {clock:g} MHz"
    say(f"{folder}: {what}; {found['luts']} look-up tables (estimate)")


@app.command()
def menu(
    minbias: Annotated[Path, typer.Argument(help="Crossings without a hard collision; generator_weight counts.")],
    signal: Annotated[list[Path], typer.Argument(help="Signals, a file each.")],
    method: Annotated[
        list[str], typer.Option("--method", "-m", help="A method id or a model (.onnx), several times, or perfect.")
    ] = ["puppi"],  # noqa: B006  typer needs a literal and copies it
    budget: Annotated[float, typer.Option(help="What all paths together accept, kHz.")] = 750.0,
    alone: Annotated[float, typer.Option(help="What one path alone accepts, kHz.")] = 50.0,
    json: Json = False,
    replicas: Annotated[int, typer.Option(help="Bootstrap replicas.")] = 200,
    step: Step = 100,
    shown: Shown = "auto",
) -> None:
    """Compare methods as the input of a first-level trigger: thresholds at a rate, and the signal they keep.

    Paths cut on the leading jet, the fourth jet, H_T and missing momentum. Rates are those of 31 million crossings a
    second; gains are told against the first method. Perfect weights need truth. Example:

    ```
    $ hardscatter menu minbias.parquet ttbar.parquet --method puppi --method total
    # one path alone at 50 kHz: thresholds [GeV]
    method  jet      multijet    ht        met
    puppi   158 ± 4  36.4 ± 0.8  325 ± 12  120 ± 3
    total   160 ± 4  35.1 ± 0.9  318 ± 11  82 ± 3
    ```
    """
    from hardscatter.io import count, iterate
    from hardscatter.report.progress import progress
    from hardscatter.report.tables import menu_tables, with_error, with_error_in_brackets
    from hardscatter.report.terminal import on_terminal, show_json, show_tables
    from hardscatter.trigger.menu import Seen, menu_of, see, study

    asked, names = menu_of(budget, alone), list(dict.fromkeys(method))

    def seen(path: Path) -> Seen:
        with progress(f"{path}", count(path), shown) as advance:
            return see(iterate(path, step), names, on_events=advance)

    background = seen(minbias)
    found = study(background, {str(path): seen(path) for path in signal}, asked, reference=names[0], replicas=replicas)
    if json:
        show_json({"version": __version__, **found.to_dict()})
    else:
        show_tables(menu_tables(found, with_error_in_brackets if on_terminal() else with_error))


@app.command()
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


@app.command()
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

    with progress("converting", _total(path, entries), shown) as advance:
        n_events = convert(
            path, output, entries=entries, step=step, overwrite=overwrite, particle_flow=particle_flow,
            on_events=advance,
        )  # fmt: skip
    say(f"{output}: {n_events} events")


def _named(words: list[str]) -> dict[str, Any]:
    """Return how a document names its files."""
    return {"file": words[0]} if len(words) == 1 else {"files": words}


def _is_folder(output: Path, cluster: Cluster | None) -> bool:
    """Tell whether an output is a folder of parts; only such a one can be made by a cluster."""
    if not output.suffix or output.is_dir():
        return True
    if cluster is not None:
        raise SettingsError(f"{output} is one file, and workers write parts: give the name of a folder.")
    return False


def _refuse_in_a_folder(output: Path, **given: bool) -> None:
    for option in (name for name, there in given.items() if there):
        raise SettingsError(f"{output} is a folder, which goes on with what it holds: --{option} is for a single file.")


def _only(files: list[str], output: Path) -> Path:
    """Return the one input of an output that is a file."""
    from hardscatter.production import files_of

    found = files_of(files)
    if len(found) > 1:
        raise SettingsError(f"{output} is one file, the inputs are {len(found)}: give the name of a folder for parts.")
    given = Path(files[0])
    return given if given.resolve() == found[0] else found[0]  # what is said of it names it as the user did


def _say_produced(produced: Produced) -> None:
    from hardscatter.report.terminal import say

    for sentence in produced.bad:
        say(f"set aside: {sentence}")
    say(f"{produced.folder}: {produced.events} events in {produced.parts} parts, {produced.made} of them new")


def _workshop(
    output: Path, words: list[str], pileups: list[str], samples: list[str], n: int, seed: int, tell: Tell
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


def _method_ids(names: list[str]) -> list[str]:
    """Return method ids without repeats; `all` stands for one of each (aliases left out)."""
    from hardscatter.pileup import one_of_each

    chosen: list[str] = []
    for name in names:
        chosen += one_of_each() if name == "all" else [name]
    return list(dict.fromkeys(chosen))


def _total(path: Path, entries: int | None) -> int:
    from hardscatter.io import count

    total = count(path)
    return total if entries is None else min(total, entries)


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
