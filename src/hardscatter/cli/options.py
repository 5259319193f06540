"""Options that several verbs share, and what they mean."""

from __future__ import annotations

import inspect as signatures
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hardscatter.jobs import Cluster
    from hardscatter.simulation import Progress

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
    def stages(self) -> Iterator[Progress]:
        """Show the progress of work that has several stages."""
        from hardscatter.report.progress import stages

        with stages(self.progress) as tell:
            yield tell


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


def method_ids(names: list[str]) -> list[str]:
    """Return method ids without repeats; `all` stands for one of each (aliases left out)."""
    from hardscatter.pileup import one_of_each

    chosen: list[str] = []
    for name in names:
        chosen += one_of_each() if name == "all" else [name]
    return list(dict.fromkeys(chosen))


def total_of(path: Path, entries: int | None) -> int:
    """Return how many events of a file are asked for."""
    from hardscatter.io import count

    total = count(path)
    return total if entries is None else min(total, entries)


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
