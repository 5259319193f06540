"""The physics case as a page."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.options import ParticleFlow, Work, method_ids, with_workers


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

    methods = tuple(method_ids(method)) if method else METHODS
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
