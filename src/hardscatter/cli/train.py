"""Networks from configuration to ONNX."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter.cli.options import Overwrite


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
    shown: Annotated[
        str, typer.Option("--progress", help="auto: a line a round; json: lines for machines on stderr; none.")
    ] = "auto",
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
    from hardscatter.report.progress import stages
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
    told = shown == "auto"  # a line a round says more than a bar
    try:
        with stages("none" if told else shown) as tell:
            on_round = say_round if told else lambda at: tell("rounds", at.round, at.rounds)
            best = train(training, folder, machine, resume=resume, on_round=on_round, progress=tell)
    except (KeyboardInterrupt, SystemExit):
        if leads() and (folder / CONFIGURATION).exists():
            say(f"{folder}: go on with the same words and --resume")
        raise
    if not leads():
        return
    say(f"{best}: the best checkpoint")
    say(f"{draw([folder], folder / 'curves.png')}: the learning curves")


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
