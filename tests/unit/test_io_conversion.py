"""Files go through in batches, read and written while the kernels run: the same file, and the same end if it fails."""

from __future__ import annotations

import threading

import awkward as ak
import pytest

import hardscatter as hs
from hardscatter import threads
from hardscatter.errors import UnreadableFileError, UnwritableFileError
from hardscatter.io import conversion, formats, writing
from helpers import toy_events


@pytest.fixture(params=[1, 2], autouse=True)
def n_threads(request, monkeypatch):
    monkeypatch.setattr(threads, "_threads", request.param)
    return request.param


@pytest.fixture
def source(tmp_path):
    path = tmp_path / "source.parquet"
    with hs.Writer(path) as writer:
        for first in (0, 3, 6, 9):
            writer.write(toy_events(12)[first : first + 3])
    return path


@pytest.mark.parametrize("suffix", [".parquet", ".root"])
@pytest.mark.parametrize("step", [1, 4, 12, 100])
def test_order_and_events_do_not_depend_on_step_or_threads(suffix, step, source, tmp_path):
    told = []
    output = tmp_path / f"out{suffix}"
    n = conversion.convert(source, output, change=lambda events: events, step=step, on_events=told.append)
    assert n == sum(told) == 12
    assert ak.array_equal(hs.read(output).array, hs.read(source).array, equal_nan=True)


@pytest.mark.parametrize("suffix", [".parquet", ".root"])
@pytest.mark.parametrize(
    ("step", "entries", "lengths"),
    [
        (100, None, [12]),  # a quarter of the step holds the whole file
        (12, None, [3, 3, 3, 3]),
        (24, (0, 11), [6, 5]),
        (8, None, [3, 3, 3, 3]),
        (2, None, [2, 1, 2, 1, 2, 1, 2, 1]),
        (12, (1, 8), [2, 3, 2]),
        (5, (12, 12), []),
    ],
)
def test_batches_end_where_the_file_is_cut(suffix, step, entries, lengths, source, tmp_path):
    path = source
    if suffix == ".root":
        path = tmp_path / "source.root"
        with hs.Writer(path) as writer:
            for events in hs.iterate(source, 3):
                writer.write(events)
    assert [len(events) for events in formats.portions(path, step, entries)] == lengths


def test_each_stage_has_its_thread_and_no_more_than_three_batches_live(source, tmp_path, n_threads, monkeypatch):
    lock, living, most, places = threading.Lock(), 0, 0, {}
    read, write = formats.ParquetFile.read, writing.Writer.write

    def reading(self, start, stop):
        nonlocal living, most
        with lock:
            living += 1
            most = max(most, living)
        places.setdefault("read", threading.current_thread())
        return read(self, start, stop)

    def written(self, events, source):
        nonlocal living
        write(self, events, source)
        with lock:
            living -= 1
        places.setdefault("write", threading.current_thread())

    monkeypatch.setattr(formats.ParquetFile, "read", reading)
    monkeypatch.setattr(writing.Writer, "write", written)
    conversion.convert(source, tmp_path / "out.parquet", step=1)
    assert most <= (1 if n_threads == 1 else 3)
    alone = {thread is threading.main_thread() for thread in places.values()}
    assert alone == {n_threads == 1}
    assert (places["read"] is places["write"]) == (n_threads == 1)


class Failure(BaseException):
    """Like Ctrl-C: nobody's error."""


@pytest.mark.parametrize("problem", [ValueError("no"), Failure()])
@pytest.mark.parametrize("stage", ["read", "change", "write", "on_events"])
def test_a_failure_of_any_stage_leaves_nothing(stage, problem, source, tmp_path, monkeypatch):
    def third(*_, calls=[]):  # noqa: B006  it counts
        calls.append(None)
        if len(calls) == 3:
            raise problem

    def then(function):
        return lambda *words: (third(), function(*words))[1]

    if stage == "read":
        monkeypatch.setattr(formats.ParquetFile, "read", then(formats.ParquetFile.read))
    if stage == "write":
        monkeypatch.setattr(writing.Writer, "write", then(writing.Writer.write))
    change = then(lambda events: events) if stage == "change" else None
    with pytest.raises(type(problem)):
        conversion.convert(
            source, tmp_path / "out.parquet", step=3, change=change, on_events=third if stage == "on_events" else None
        )
    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]
    assert not [thread for thread in threading.enumerate() if "ThreadPool" in thread.name]


def test_errors_keep_their_sentence(source, tmp_path):
    with pytest.raises(UnreadableFileError, match="does not exist"):
        conversion.convert(tmp_path / "none.parquet", tmp_path / "out.parquet")

    def other(events, seen=[]):  # noqa: B006  it counts
        seen.append(None)
        return events if len(seen) < 3 else events.without_truth()

    with pytest.raises(UnwritableFileError, match="write events of one kind"):
        conversion.convert(source, tmp_path / "out.parquet", step=3, change=other)
    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]
