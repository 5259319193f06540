"""Builds libraries of collisions: what is missing of them, in this process or in several."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from multiprocessing.connection import wait
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardscatter.errors import HardscatterError, SettingsError
from hardscatter.generate.collisions import Collisions
from hardscatter.generate.files import count, load, make_folder, read_metadata, remove_stale, save
from hardscatter.generate.generation import Generation
from hardscatter.generate.library import (
    DESCRIPTION,
    MULTIPARTON,
    Library,
    cache_folder,
    check_same,
    chunk_path,
    describe,
    library_folder,
    read_description,
    write_description,
)
from hardscatter.generate.pythia import prepare_multiparton, run_chunk
from hardscatter.jobs import Cluster, is_cluster, run
from hardscatter.threads import set_threads, threads

if TYPE_CHECKING:
    from distributed import Client

Estimate = tuple[float, float, int]
"""Cross section and its error (mb) and the number of tries they rest on."""


def build(
    generation: Generation,
    n: int,
    folder: str | os.PathLike[str] | None = None,
    workers: int | Cluster | Client | None = None,
    on_collisions: Callable[[int, int], None] | None = None,
    chunk_size: int | None = None,
) -> Library:
    """Return a library of `n` collisions, making what the folder does not hold yet.

    An interrupted build is resumed, a smaller library grows and keeps its collisions, a larger one is left as it is.
    The result does not depend on the number of workers nor on interruptions.

    Parameters
    ----------
    generation
        What to generate.
    n
        Number of collisions, at least 1.
    folder
        Where the library lies or shall lie; by default a folder of its own in `cache_folder`.
    workers
        Processes to use; by default as many as `hardscatter.threads`, one for every chunk at most. With 1, this
        process does the work. More are spawned, so a script must have its work under ``if __name__ == "__main__":``.
        Or a cluster, whose workers must see the folder.
    on_collisions
        Called with the number of collisions that are ready and the number wanted, first with what was there already.
    chunk_size
        Collisions in a chunk; part of what decides which collisions come out. By default about 2 s of work.

    Raises
    ------
    SettingsError
        If `n` or `workers` is below 1, Pythia refuses the settings, or the folder holds another library.
    UnwritableFileError
        If there is no space or no permission. Complete chunks are kept.
    HardscatterError
        If Pythia fails nearly always, or a worker dies.
    """
    for name, value in (("n", n), ("workers", workers), ("chunk_size", chunk_size)):
        if isinstance(value, int) and value < 1:
            raise SettingsError(f"{name} = {value} cannot be used to build a library: take at least 1.")
    folder = library_folder(generation) if folder is None else Path(folder)
    size = _settle(generation, folder, chunk_size)["chunk_size"]
    tell = on_collisions or _say_nothing
    wanted = {number: min(size, n - first) for number, first in enumerate(range(0, n, size))}
    have = {number: count(chunk_path(folder, number)) for number in wanted}
    missing = [(number, length) for number, length in wanted.items() if have[number] < length]
    ready = n - sum(length for _, length in missing)
    tell(ready, n)
    for length in _make(generation, folder, missing, workers or threads()):
        ready += length
        tell(ready, n)
    return _finish(folder, n, list(wanted))


def excerpt(generation: Generation, first: int, last: int, folder: str | os.PathLike[str] | None = None) -> Collisions:
    """Return collisions `first` to before `last` of a library without making those before, nor keeping any on disk.

    The very ones that `build` would make: chunks that the library holds are read, others are made now, in this process.
    So a production of any size needs no library of it, and its parts do not depend on one another.

    Parameters
    ----------
    generation, folder
        As for `build`.
    first, last
        0 ≤ first ≤ last; a whole chunk is made for any part of it, so limits at multiples of `CHUNK` cost least.

    Raises
    ------
    HardscatterError
        As `build`.
    """
    if not 0 <= first <= last:
        raise SettingsError(f"collisions {first} to {last} are no range: give 0 ≤ first ≤ last.")
    folder = library_folder(generation) if folder is None else Path(folder)
    description = _settle(generation, folder, None)
    size, parts = description["chunk_size"], []
    for number in range(first // size, max(-(-last // size), first // size + 1)):
        start = number * size
        low, high = max(first - start, 0), min(last - start, size)
        path, tables = chunk_path(folder, number), folder / MULTIPARTON
        chunk = load(path) if count(path) >= max(high, 1) else run_chunk(
            generation, number, max(high, 1), tables if tables.exists() else None)  # fmt: skip
        parts.append(chunk.select(slice(low, max(high, low))))
    return Collisions.concatenate(parts, description)


def _say_nothing(_ready: int, _wanted: int) -> None:
    """Stand in for a progress bar."""


def _settle(generation: Generation, folder: Path, chunk_size: int | None) -> dict[str, Any]:
    """Make the folder ready, with its tables and description, or make sure that it holds this library already."""
    make_folder(folder)
    remove_stale(folder)
    multiparton = prepare_multiparton(generation, folder / MULTIPARTON, cache_folder() / "multiparton")
    description = describe(generation, chunk_size, multiparton)
    if not (folder / DESCRIPTION).exists():
        if any(folder.glob("chunk-*.npz")):
            raise SettingsError(f"{folder} holds chunks without a {DESCRIPTION}: choose another folder or delete it.")
        write_description(folder, description)
        return description
    found = read_description(folder)
    check_same(folder, found, description if chunk_size else {**description, "chunk_size": found["chunk_size"]})
    return found


def _make(
    generation: Generation, folder: Path, missing: list[tuple[int, int]], workers: int | Cluster | Client
) -> Iterator[int]:
    """Make the missing chunks, in any order; yield the number of collisions of each that is complete."""
    if is_cluster(workers):
        for outcome in run(_Maker(generation, folder), missing, workers) if missing else ():
            if outcome.result is None:
                raise outcome.problem or AssertionError("a job without an outcome")
            yield outcome.result
        return
    assert isinstance(workers, int)  # else a cluster
    workers = min(workers, len(missing))
    if workers <= 1:
        for number, length in missing:
            yield _make_chunk(generation, folder, number, length)
        return
    pool = ProcessPoolExecutor(workers, multiprocessing.get_context("spawn"), _start_worker)
    try:
        jobs = [pool.submit(_make_chunk, generation, folder, number, length) for number, length in missing]
        for job in as_completed(jobs):
            yield job.result()
    except BrokenProcessPool:
        raise HardscatterError(
            f"a process that made collisions for {folder} died: if this is a script, put its work under "
            "'if __name__ == \"__main__\":', else try fewer workers, or just one; what is complete is kept."
        ) from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


@dataclass(frozen=True)
class _Maker:
    """Makes chunks, each given by its number and length, in any process that sees the folder."""

    generation: Generation
    folder: Path

    def __call__(self, chunk: tuple[int, int]) -> int:
        return _make_chunk(self.generation, self.folder, *chunk)


def _make_chunk(generation: Generation, folder: Path, number: int, length: int) -> int:
    tables = folder / MULTIPARTON
    save(chunk_path(folder, number), run_chunk(generation, number, length, tables if tables.exists() else None))
    return length


def _start_worker() -> None:
    """Use one thread, leave Ctrl-C to the parent, and die with it even if it is killed: idle workers would wait on."""
    set_threads(1)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parent = multiprocessing.parent_process()
    if parent is not None:
        threading.Thread(target=_follow, args=(parent.sentinel,), daemon=True).start()


def _follow(parent: int) -> None:
    wait([parent])
    os._exit(1)


def _finish(folder: Path, n: int, numbers: list[int]) -> Library:
    """Write down that the library is complete, unless it was already, and return its first `n` collisions."""
    description = read_description(folder)
    if description.get("n_collisions", 0) < n:
        estimates = [_estimate(chunk_path(folder, number)) for number in numbers]
        tried = sum(estimate[2] for estimate in estimates)
        description["n_collisions"] = n
        description["cross_section_mb"] = sum(sigma * m for sigma, _, m in estimates) / tried
        description["cross_section_error_mb"] = sum((error * m) ** 2 for _, error, m in estimates) ** 0.5 / tried
        write_description(folder, description)
    return Library(folder, description, n)


def _estimate(path: Path) -> Estimate:
    metadata = read_metadata(path)
    return metadata["cross_section_mb"], metadata["cross_section_error_mb"], metadata["n_tried"]
