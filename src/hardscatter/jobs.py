"""Jobs that do not depend on one another, done in this process or by the workers of a Dask cluster.

One call serves both: `run` gives outcomes as they come, whoever did the work. Jobs are taken from their iterator only
as workers become free and outcomes are forgotten once given, so memory stays flat over any number of jobs. A worker
that dies is replaced and its job done again; a job that kills one worker after another is given up and told.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any, Generic, TypeGuard, TypeVar

from hardscatter.errors import ClusterError, HardscatterError, MissingExtraError, SettingsError
from hardscatter.threads import set_threads

if TYPE_CHECKING:
    from distributed import Client

J = TypeVar("J")
R = TypeVar("R")

KINDS = ("local", "htcondor", "slurm")
"""Clusters that we start ourselves; an address ``tcp://…`` names one that runs."""

DISK = "1 GB"
"""What a job asks of HTCondor where its configuration does not say: we write to the folder of the output only."""

_AHEAD = 2
"""Jobs that a worker has waiting besides the one it does."""

_KILLED = (
    "its workers died, one after another, killed or out of memory: take smaller steps or give workers more memory."
)


@dataclass(frozen=True)
class Cluster:
    """Who does the work: workers of one thread each.

    Queue, wall time and whatever else a site wants are those of dask-jobqueue's own configuration
    (``~/.config/dask/jobqueue.yaml``). Local workers are spawned, so a script needs ``if __name__ == "__main__":``.
    """

    where: str = "local"
    """``local``: processes of this machine; ``tcp://host:port``: a Dask scheduler that runs, with the workers it has;
    ``htcondor``, ``slurm``: batch jobs, one a worker. Files must be seen under the same names everywhere."""
    workers: int = 1
    """How many to start; those of a running scheduler are taken as they are."""
    memory: str = "2 GB"
    """Of each worker; one that needs more is stopped and its job tried again."""
    attempts: int = 3
    """Workers that a job may outlive before it is given up (a running scheduler has its own setting)."""

    def __post_init__(self) -> None:
        if self.where not in KINDS and not re.match(r"(tcp|tls)://.+", self.where):
            raise SettingsError(
                f"cluster '{self.where}' is not known: give {', '.join(KINDS)}, or the address of a scheduler such as "
                "tcp://host:8786."
            )
        if self.workers < 1 or self.attempts < 1:
            raise SettingsError(f"{self.workers} workers, {self.attempts} attempts: both must be at least 1.")


@dataclass(frozen=True)
class Outcome(Generic[J, R]):
    """What became of a job: its result, or why there is none."""

    job: J
    result: R | None = None
    problem: HardscatterError | None = None


def run(
    function: Callable[[J], R], jobs: Iterable[J], cluster: Cluster | Client | None = None
) -> Iterator[Outcome[J, R]]:
    """Yield the outcomes of `function(job)`, in any order, as they come.

    Parameters
    ----------
    function
        Does a job; workers are other processes, so it and the jobs must be of importable modules. It may be called
        again for a job whose worker died.
    jobs
        Any number; taken one by one.
    cluster
        Who works: this process if None; a client as `connected` gives it serves several calls.

    Raises
    ------
    ClusterError
        If the cluster cannot be had or is lost; what was given so far holds.
    MissingExtraError
        If Dask is not installed.
    """
    with at_work(cluster) as client:
        if client is None:
            yield from (_outcome(function, job) for job in jobs)
        else:
            yield from _distributed(function, iter(jobs), client)


def run_in_order(
    function: Callable[[J], R], jobs: Iterable[J], cluster: Cluster | Client | None = None
) -> Iterator[Outcome[J, R]]:
    """Yield the outcomes of `run` in the order of the jobs; those that come early are held until it is their turn.

    So what is made of them does not depend on who worked. Results should be small: while one job takes long, others go
    on.
    """
    early: dict[int, Outcome[J, R]] = {}
    turn = 0
    for outcome in run(_Numbered(function), enumerate(jobs), cluster):
        number, job = outcome.job
        early[number] = Outcome(job, outcome.result, outcome.problem)
        while turn in early:
            yield early.pop(turn)
            turn += 1


def is_cluster(given: object) -> TypeGuard[Cluster | Client]:
    """Tell whether something can do jobs for `run`; Dask is not imported to know."""
    return isinstance(given, Cluster) or type(given).__module__.partition(".")[0] == "distributed"


@contextmanager
def at_work(cluster: Cluster | Client | None) -> Iterator[Client | None]:
    """Give who serves several calls of `run`: workers started here, a client that there is already, or nobody.

    Raises
    ------
    ClusterError, MissingExtraError
        As `run`.
    """
    with ExitStack() as stack:
        yield stack.enter_context(connected(cluster)) if isinstance(cluster, Cluster) else cluster


@contextmanager
def connected(cluster: Cluster) -> Iterator[Client]:
    """Give a client of the cluster, started here unless it is one that runs, and stopped in the end.

    Raises
    ------
    ClusterError, MissingExtraError
        As `run`.
    """
    try:
        import dask
        from distributed import Client
    except ImportError:
        raise MissingExtraError(
            "a cluster needs Dask: install hardscatter with its extra 'cluster' (pip install 'hardscatter[cluster]')."
        ) from None
    settings = {
        "distributed.scheduler.allowed-failures": cluster.attempts - 1,
        "distributed.worker.daemon": True,
        "distributed.nanny.pre-spawn-environ.DASK_LOGGING__DISTRIBUTED": "critical",  # workers share our terminal
        "distributed.comm.timeouts.connect": "20s",
        "distributed.deploy.lost-worker-timeout": "5s",
    }
    with dask.config.set(settings), _quiet(), ExitStack() as stack:
        try:
            started = _started(cluster, stack)
            client = stack.enter_context(Client(started, set_as_default=False))
        except (OSError, RuntimeError, ValueError, ImportError) as problem:
            reason = str(problem).partition("\n")[0] or type(problem).__name__
            raise ClusterError(
                f"cluster '{cluster.where}' cannot be had ({reason}): check its address or set-up."
            ) from None
        yield client


def _started(cluster: Cluster, stack: ExitStack) -> Any:
    """Return a cluster that was started, or the address of one that runs."""
    if cluster.where == "local":
        from distributed import LocalCluster

        return stack.enter_context(
            LocalCluster(
                n_workers=cluster.workers, threads_per_worker=1, processes=True, memory_limit=cluster.memory,
                dashboard_address=None, host="127.0.0.1",
            )
        )  # fmt: skip
    if cluster.where in KINDS:
        import dask
        import dask_jobqueue

        kind = {"htcondor": dask_jobqueue.HTCondorCluster, "slurm": dask_jobqueue.SLURMCluster}[cluster.where]
        room = {"disk": DISK} if cluster.where == "htcondor" and not dask.config.get("jobqueue.htcondor.disk") else {}
        batch = stack.enter_context(kind(cores=1, processes=1, memory=cluster.memory, **room))
        batch.adapt(minimum_jobs=cluster.workers, maximum_jobs=cluster.workers)  # also when the time of some is over
        return batch
    return cluster.where


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep Dask's own chatter, tracebacks of killed workers among it, from the terminal."""
    import distributed.client  # noqa: F401  its loggers must exist

    names = [name for name in logging.root.manager.loggerDict if name.partition(".")[0] in ("distributed", "tornado")]
    loggers = [logging.getLogger(name) for name in (*names, "asyncio")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


def _distributed(function: Callable[[J], R], jobs: Iterator[J], client: Client) -> Iterator[Outcome[J, R]]:
    from distributed import as_completed
    from distributed.scheduler import KilledWorker

    going: dict[Any, J] = {}
    coming = as_completed(loop=client.loop)

    def refill() -> None:
        room = max(1, sum(client.nthreads().values())) * (1 + _AHEAD) - len(going)
        for job in islice(jobs, max(room, 0)):
            future = client.submit(_done, function, job, pure=False)
            going[future] = job
            coming.add(future)

    def finished() -> tuple[J, tuple[R | None, HardscatterError | None]]:
        future = next(coming)
        job = going.pop(future)
        problem = future.exception()
        if isinstance(problem, KilledWorker):
            return job, (None, ClusterError(_KILLED))
        if problem is not None:
            raise problem
        return job, future.result()

    try:
        while True:
            with _connection():
                refill()
            if not going:
                return
            with _connection():
                job, (result, problem) = finished()
            yield Outcome(job, result, problem)
    finally:
        if going and client.status == "running":
            client.cancel(list(going), force=True)


@contextmanager
def _connection() -> Iterator[None]:
    """Turn what Dask raises when the scheduler is gone into one sentence."""
    from distributed.client import FutureCancelledError

    try:
        yield
    except (OSError, TimeoutError, FutureCancelledError, StopIteration) as problem:
        raise ClusterError(
            "the cluster was lost: give the same command again when it is back, what is done stays."
        ) from problem


@dataclass(frozen=True)
class _Numbered(Generic[J, R]):
    """Does jobs that carry their place in the order."""

    function: Callable[[J], R]

    def __call__(self, job: tuple[int, J]) -> R:
        return self.function(job[1])


def _done(function: Callable[[J], R], job: J) -> tuple[R | None, HardscatterError | None]:
    """Do a job in a worker: with one thread, as there are as many workers as cores."""
    set_threads(1)
    outcome = _outcome(function, job)
    return outcome.result, outcome.problem


def _outcome(function: Callable[[J], R], job: J) -> Outcome[J, R]:
    try:
        return Outcome(job, function(job))
    except HardscatterError as problem:
        return Outcome(job, problem=problem)
