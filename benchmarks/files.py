"""Reading, writing and whole files, beside the libraries that do the work underneath.

Reading and writing: hardscatter's events against plain pyarrow and uproot on the same file, the same columns, the same
encoding and compression, CPU time. The peers neither check what they read, nor wrap or convert anything, nor know
what belongs to which crossing beyond flat columns and counts; so they are the floor, and a ratio below 1 is the price
of the event model.

`mitigate_file` on two threads against the kernels' own rate: the peer weighs the same crossings, already in memory, on
two threads. Wall clock; the ratio is the share of the kernels' rate that is reached, 0.9 is what is promised. A method
that needs less time than reading, checking and writing a crossing cannot reach it: the case `convert` says what that
costs without any method, beside pyarrow that reads and writes the same file. From Parquet to Parquet we copy what
nobody touched as bytes, so there the floor is what pyarrow needs to read.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import uproot

import hardscatter as hs
from benchmarks.crossings import crossings
from benchmarks.harness import Case
from hardscatter.events import flat
from hardscatter.threads import threads

N_MADE = 8
N_CROSSINGS = 192
"""Enough that reading the first batch and writing the last, which nothing hides, weigh as little as in real files."""
DELPHES = Path(__file__).parents[1] / "examples" / "delphes_ttbar_pu140.root"


def cases() -> Iterator[Case]:
    """Return the cases; their files live in a temporary folder meanwhile."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        events = hs.concatenate([crossings(N_MADE)] * (N_CROSSINGS // N_MADE))
        events = hs.with_weights(events, "chs", hs.mitigate(events, "chs"))
        for suffix in (".parquet", ".root"):
            hs.write(folder / f"events{suffix}", events)
        yield from _reading(folder, len(events))
        yield from _writing(folder, events)
        yield from _whole_files(folder, events)


def _reading(folder: Path, n: int) -> Iterator[Case]:
    parquet, root = folder / "events.parquet", folder / "events.root"
    _check_columns(hs.read(parquet), _parquet_columns(parquet))
    _check_columns(hs.read(root), _root_columns(root))
    yield Case("read Parquet", lambda: hs.read(parquet), lambda: _parquet_columns(parquet),
               "pyarrow, to NumPy", per_call=n)  # fmt: skip
    yield Case("read ROOT", lambda: hs.read(root), lambda: _root_columns(root), "uproot, to NumPy", per_call=n)
    if DELPHES.is_file():
        leaves = [f"EFlowTrack.{leaf}" for leaf in ("PT", "Eta", "Phi", "Mass", "Charge", "PID", "D0", "DZ")]
        for kind in ("EFlowPhoton", "EFlowNeutralHadron"):
            leaves += [f"{kind}.{leaf}" for leaf in ("ET", "Eta", "Phi", "E", "HardEnergyFraction")]
        found = hs.read(DELPHES)
        with uproot.open(DELPHES) as file:
            momenta = file["Delphes"].arrays([leaf for leaf in leaves if leaf.endswith(("PT", "ET"))])
        counts = sum(ak.num(momenta[field]) for field in momenta.fields)
        _same(np.asarray(found.n_candidates), ak.to_numpy(counts), "candidates of Delphes")
        yield Case("read Delphes ROOT", lambda: hs.read(DELPHES), lambda: _delphes_columns(leaves),
                   "uproot, the candidates' branches alone", per_call=len(found))  # fmt: skip


def _writing(folder: Path, events: hs.Events) -> Iterator[Case]:
    table = pq.read_table(folder / "events.parquet")
    with uproot.open(folder / "events.root") as file:
        tree = file["Events"]
        branches = tree.arrays([name for name in tree.keys() if name.startswith("PFCands_")])  # noqa: SIM118
    names = {name.removeprefix("PFCands_"): name for name in branches.fields}
    record = ak.zip({short: branches[name] for short, name in names.items()})
    ours, theirs = folder / "ours", folder / "theirs"

    def plain_parquet() -> None:
        _write_table(table, theirs.with_suffix(".parquet"))

    def plain_root() -> None:
        with uproot.recreate(theirs.with_suffix(".root"), compression=uproot.ZSTD(1)) as file:
            quarter = len(record) // 4  # as many candidates in a basket as ours has
            made = file.mktree("Events", {"PFCands": record.type.content})
            for first in range(0, len(record), quarter):
                made.extend({"PFCands": record[first : first + quarter]})

    plain_parquet()
    _check_columns(events, _parquet_columns(theirs.with_suffix(".parquet")))
    yield Case("write Parquet", lambda: hs.write(ours.with_suffix(".parquet"), events, overwrite=True), plain_parquet,
               "pyarrow, same encoding", per_call=len(events))  # fmt: skip
    yield Case("write ROOT", lambda: hs.write(ours.with_suffix(".root"), events, overwrite=True), plain_root,
               "uproot, the candidates alone", per_call=len(events), repeats=5)  # fmt: skip


def _whole_files(folder: Path, events: hs.Events) -> Iterator[Case]:
    source, n = folder / "events.parquet", len(events)

    def plain_copy() -> None:
        _write_table(pq.read_table(source), folder / "theirs.parquet")

    def convert() -> None:
        hs.convert(source, folder / "ours.parquet", overwrite=True)

    yield Case("convert Parquet to Parquet, two threads", _on_two_threads(convert), plain_copy,
               "pyarrow reads and writes", per_call=n, clock=time.perf_counter, repeats=5)  # fmt: skip
    batch = hs.read(source)
    for method in ("softkiller", "puppi:best", "total"):
        for suffix in (".parquet", ".root"):
            output = folder / f"weighed{suffix}"
            yield Case(
                f"mitigate_file {method} to {suffix[1:]}, two threads",
                _on_two_threads(_mitigating(source, output, method)),
                _on_two_threads(_weighing(batch, method)),
                "the same weights in memory, two threads",
                per_call=len(batch),
                least_ratio=0.9,
                repeats=5,
                clock=time.perf_counter,
                note="the ratio is the share of the kernels' rate",
            )
            _same(np.concatenate([flat(part.weights[method]) for part in hs.iterate(output)]),
                  flat(hs.mitigate(batch, method)), f"weights of {method}", within=1e-6)  # fmt: skip


def _mitigating(path: Path, output: Path, method: str) -> Callable[[], object]:
    return lambda: hs.mitigate_file(path, output, method, overwrite=True)


def _weighing(events: hs.Events, method: str) -> Callable[[], object]:
    return lambda: hs.mitigate(events, method)


def _on_two_threads(job: Callable[[], object]) -> Callable[[], None]:
    def run() -> None:
        with _threads(2):
            job()

    return run


@contextmanager
def _threads(n: int) -> Iterator[None]:
    before = threads()
    hs.set_threads(n)
    try:
        yield
    finally:
        hs.set_threads(before)


def _write_table(table: Any, path: Path) -> None:
    """Write as hardscatter does: the same row groups, encoding and compression."""
    pq.write_table(
        table, path, row_group_size=len(table) // 4, compression="zstd", use_dictionary=False, write_statistics=False,
        use_byte_stream_split=[name for name, kind in _leaves(table) if pa.types.is_floating(kind)],
        write_page_checksum=True,
    )  # fmt: skip


def _leaves(table: Any) -> list[tuple[str, Any]]:
    """Return Parquet path and type of the columns that hold a struct's or list's numbers, or numbers."""
    found = []

    def walk(path: str, kind: Any) -> None:
        if pa.types.is_list(kind):
            walk(f"{path}.list.element", kind.value_type)
        elif pa.types.is_struct(kind):
            for field in kind:
                walk(f"{path}.{field.name}", field.type)
        else:
            found.append((path, kind))

    for field in table.schema:
        walk(field.name, field.type)
    return found


def _parquet_columns(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    table = pq.read_table(path).combine_chunks()
    records = table["candidates"].chunk(0).values
    return {field.name: np.asarray(records.field(field.name)) for field in records.type}


def _root_columns(path: Path) -> dict[str, np.ndarray[Any, Any]]:
    with uproot.open(path) as file:
        tree = file["Events"]
        columns = tree.arrays(library="np")
    aliases = {"totalEnergy": "energy", "pdgId": "pdg_id", "d0Err": "d0_error", "dzErr": "dz_error"}
    short = {name: name.removeprefix("PFCands_") for name in columns if name.startswith("PFCands_")}
    return {aliases.get(key, key): np.concatenate(columns[name]) for name, key in short.items()}


def _delphes_columns(leaves: list[str]) -> dict[str, np.ndarray[Any, Any]]:
    with uproot.open(DELPHES) as file:
        arrays = file["Delphes"].arrays(leaves)
        return {leaf: ak.to_numpy(ak.flatten(arrays[leaf], axis=1)) for leaf in leaves}


def _check_columns(events: hs.Events, columns: dict[str, np.ndarray[Any, Any]]) -> None:
    for name in events.candidates.fields:
        _same(flat(events.candidates[name]), columns[name], f"candidates.{name}")


def _same(found: Any, expected: Any, what: str, within: float = 0.0) -> None:
    found, expected = np.asarray(found, dtype=np.float64), np.asarray(expected, dtype=np.float64)
    if found.shape != expected.shape or not np.allclose(found, expected, rtol=0, atol=within, equal_nan=True):
        raise RuntimeError(f"{what}: hardscatter's answer and the peer's differ.")
