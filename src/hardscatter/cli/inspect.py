"""What a file holds."""

from __future__ import annotations

import typer

from hardscatter.cli.options import File, Json, ParticleFlow, Shown, Step


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
