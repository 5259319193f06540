"""Jets and missing momentum against the truth."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from hardscatter import __version__
from hardscatter.cli.options import Entries, Files, Json, ParticleFlow, SkipBad, Step, Work, method_ids, with_workers
from hardscatter.errors import SettingsError


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

    Each number comes with its bootstrap error; < or > stands before a 68 % bound. δ is half the width of the central
    half of the responses, med their median (the bias); effic. the share of truth jets found; fakes are counted a
    crossing; gap is the part of the way from PUPPI tuned for the detector (puppi:best, 0) to perfect weights (1), gap
    CMS that from puppi:cms-phase2. The definition talk is that of the authors of TOTAL, for comparing with their plots:
    AK4 jets above 15 GeV, AK8 jets of 500 to 1500 GeV, relative missing momentum, and the improvement on both PUPPIs,
    1 − δ/δ_PUPPI. Many files, or the folder of a production, give one table, the same by however many workers. Example:

    ```
    $ hardscatter evaluate examples/delphes_ttbar_pu140.root --method puppi --method softkiller | grep -A 5 missing
    # missing momentum, x and y (24 crossings)
    method      δ [GeV]      68 %/2 [GeV]  95 %/2 [GeV]  slope          gap          gap CMS
    perfect     5.45 ± 0.97  7.9 ± 1.3     18.2 ± 3.2    1.011 ± 0.030  1            1
    puppi       11.2 ± 3.0   19.5 ± 3.7    35.3 ± 6.7    0.984 ± 0.043  0.21 ± 0.48  0
    puppi:best  12.7 ± 2.4   19.3 ± 5.0    43.0 ± 7.0    1.007 ± 0.051  0            -0.27 ± 0.73
    softkiller  39.7 ± 6.3   59.1 ± 8.1    97.8 ± 8.2    0.96 ± 0.15    -3.7 ± 2.3   -5.0 ± 4.9
    ```
    """
    from hardscatter.metrics import DESIGN, definition_of, evaluate
    from hardscatter.report.tables import resolution_tables, with_error, with_error_in_brackets
    from hardscatter.report.terminal import on_terminal, say, show_json, show_tables

    names = None if method is None else method_ids(method)
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


def _named(words: list[str]) -> dict[str, Any]:
    """Return how a document names its files."""
    return {"file": words[0]} if len(words) == 1 else {"files": words}
