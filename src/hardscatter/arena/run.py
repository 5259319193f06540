"""The arena: a contest of methods over samples, and its domain shifts, each kept in one folder."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from hardscatter.arena.contest import Contestant, Outcome, compete, contestants
from hardscatter.arena.cost import Cost, cost_of
from hardscatter.arena.files import write_json
from hardscatter.arena.leaderboard import Leaderboard, leaderboard
from hardscatter.arena.samples import DEFAULT_CARD, DEFAULT_PILEUP, N_MINBIAS, PROCESSES, SEED, Sample, samples_of
from hardscatter.arena.shifts import ShiftTable, shift_table, shifted_samples
from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.jobs import Cluster, at_work
from hardscatter.metrics.statistics import LEAST_REPLICAS
from hardscatter.simulation import Progress

if TYPE_CHECKING:
    from distributed import Client

COST_CROSSINGS = 10


def contest(
    output: str | os.PathLike[str],
    samples: Sequence[str] = PROCESSES,
    methods: Sequence[str] | None = None,
    *,
    n: int = 200,
    pileups: Sequence[str] = (DEFAULT_PILEUP,),
    seed: int = SEED,
    card: str = DEFAULT_CARD,
    n_minbias: int = N_MINBIAS,
    particle_flow: str | None = None,
    replicas: int = 400,
    cost_crossings: int = COST_CROSSINGS,
    step: int = 100,
    workers: int = 1,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> Leaderboard:
    """Let methods compete on samples; what the folder holds from an earlier run is not done again.

    Parameters
    ----------
    output
        Folder of the arena: ``samples/`` (simulated ones), ``observations/SAMPLE/METHOD.npz``, ``costs/METHOD.json``
        and ``leaderboard.json``.
    samples
        Crossings with truth, each a file, a folder or a pattern; and names of processes (or ``.cmnd`` files) to
        simulate once.
    methods
        Method ids and paths of trained models; None for one of each that is installed. No mitigation, the references
        of the gap and perfect weights always take part.
    n
        Crossings of each sample, at most.
    pileups, seed, card, n_minbias
        As `hardscatter.simulate` takes them, for samples that are simulated; one sample a process and pileup.
    replicas
        Bootstrap replicas over crossings.
    cost_crossings
        Crossings on which time and memory are measured, of the first sample; 0 for not at all.
    particle_flow, step, workers, progress
        As for `hardscatter.iterate` and `hardscatter.simulate`.
    cluster
        Who simulates and measures; this process if None. The numbers are the same, bit for bit; time and memory are
        always measured in a process of this machine.

    Raises
    ------
    HardscatterError
        Before any work, if a method, process, file or setting cannot be used. A method that fails on a sample has its
        sentence in the result and stops nothing.
    """
    folder, ready = _prepared(output, replicas, step), contestants(methods)
    if cost_crossings < 0:
        raise SettingsError(f"cost_crossings is {cost_crossings}: give how many, 0 for no costs.")
    found = samples_of(
        samples, folder / "samples", n=n, pileups=pileups, seed=seed, card=card, n_minbias=n_minbias,
        particle_flow=particle_flow,
    )  # fmt: skip
    with at_work(cluster) as client:
        outcomes = {sample.name: _outcome(sample, ready, folder, step, workers, client, progress) for sample in found}
    costs = _costs(ready, found[0], cost_crossings, folder, progress) if found and cost_crossings else {}
    result = leaderboard(outcomes, costs, replicas=replicas)
    write_json(folder / "leaderboard.json", result.to_dict())
    return result


def domain_shifts(
    output: str | os.PathLike[str],
    methods: Sequence[str] | None = None,
    *,
    n: int = 200,
    seed: int = SEED,
    card: str = DEFAULT_CARD,
    n_minbias: int = N_MINBIAS,
    replicas: int = 400,
    step: int = 100,
    workers: int = 1,
    cluster: Cluster | None = None,
    progress: Progress | None = None,
) -> ShiftTable:
    """Measure methods on semileptonic tt̄ as it is and under each shift (`shifted_samples`); arguments as `contest`.

    The folder gets ``shifts.json``; samples and observations are kept as those of a contest.
    """
    folder, ready = _prepared(output, replicas, step), contestants(methods)
    samples = shifted_samples(folder / "samples", n=n, seed=seed, card=card, n_minbias=n_minbias)
    with at_work(cluster) as client:
        outcomes = {
            name: _outcome(sample, ready, folder, step, workers, client, progress) for name, sample in samples.items()
        }
    result = shift_table(outcomes, replicas=replicas)
    write_json(folder / "shifts.json", result.to_dict())
    return result


def check_folder(output: str | os.PathLike[str]) -> Path:
    """Return the folder of an arena, which may have to be made.

    Raises
    ------
    UnwritableFileError
        If it cannot be made or written in.
    """
    folder = Path(output)
    parent = next(place for place in (folder, *folder.absolute().parents) if place.exists())
    if not parent.is_dir() or not os.access(parent, os.W_OK | os.X_OK):
        raise UnwritableFileError(f"{folder} cannot be the folder of an arena: {parent} is none that you can write in.")
    return folder


def _prepared(output: str | os.PathLike[str], replicas: int, step: int) -> Path:
    """Return the folder of the arena, with what can be found wrong before any work; nothing is made yet."""
    folder = check_folder(output)
    if replicas < LEAST_REPLICAS:
        raise SettingsError(f"{replicas} bootstrap replicas give no error: take at least {LEAST_REPLICAS}.")
    if step < 1:
        raise SettingsError(f"step is {step}: a batch must hold at least 1 event.")
    return folder


def _outcome(
    sample: Sample,
    ready: Sequence[Contestant],
    folder: Path,
    step: int,
    workers: int,
    client: Client | None,
    progress: Progress | None,
) -> Outcome:
    sample.ready(workers, progress, client)
    return compete(sample, ready, folder / "observations", step=step, cluster=client, progress=progress)


def _costs(
    ready: Sequence[Contestant], sample: Sample, crossings: int, folder: Path, progress: Progress | None
) -> dict[str, Cost | str]:
    costs: dict[str, Cost | str] = {}
    methods = [one for one in ready if one.method is not None]
    for done, one in enumerate(methods, 1):
        costs[one.name] = cost_of(one, sample, crossings, folder / "costs")
        if progress is not None:
            progress("time and memory", done, len(methods))
    return costs
