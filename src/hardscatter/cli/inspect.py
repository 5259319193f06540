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
    # examples/delphes_ttbar_pu140.root (delphes)
    events               24
    candidates an event  8261 (least 6619, most 10096)
                         charged hadrons 2914.8, neutral hadrons 1878.4, photons 3454.3, electrons 9.2, muons 4.0
    charged candidates   leading vertex 3.2%, pileup vertex 96.8%, no vertex 0.0%
    vertices an event    143.9
    stored weights       none
    truth an event       mean hard_fraction 0.0231, jets 5.71, fat_jets 0.292, mean met 80.3, leptons 1.42
    # candidates
    field     least      greatest
    pt        0.053037   181.25
    eta       -4.9998    5
    phi       -3.1416    3.1416
    energy    0.19564    1763.4
    charge    -1         1
    vertex    -1         1
    pdg_id    -3334      3334
    d0        -2.4474    6.538
    dz        -253.03    291.7
    d0_error  0.0063246  0.2595
    dz_error  0.0063484  4.8926
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
