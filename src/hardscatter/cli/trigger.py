"""The first level of a trigger: its menu, and its firmware."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hardscatter import __version__
from hardscatter.cli.options import Json, Overwrite, Shown, Step
from hardscatter.errors import SettingsError


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
    student_firmware: 8 clocks, 22.2 ns at 360 MHz; 37271 look-up tables (estimate)
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
