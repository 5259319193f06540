"""Evaluations of many files: the same numbers whatever the files, the batches and the order of work."""

from __future__ import annotations

from dataclasses import fields

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import (
    HardscatterError,
    InvalidEventsError,
    MissingFieldError,
    SettingsError,
    UnknownMethodError,
    UnreadableFileError,
)
from hardscatter.metrics import evaluation
from hardscatter.metrics.observations import JetObservations
from hardscatter.production import mitigate_files
from hardscatter.production.manifest import NAME
from helpers import toy_events

LENGTHS = (5, 0, 2, 3)
METHODS = ("chs",)
FEW = {"replicas": 3}


def toys(n, seed):
    """Toy crossings whose candidates and truth jets differ from one to the next."""
    events = toy_events(n, 50, seed=seed)
    jets = ak.with_field(events.truth.jets, events.truth.jets.pt * (1 + 0.01 * seed), "pt")
    return events.with_field("truth", ak.with_field(events.truth, jets, "jets"))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i, n in enumerate(LENGTHS):
        hs.write(folder / f"{'abcd'[i]}.parquet", toys(max(n, 1), i)[:n])
    return folder


@pytest.fixture(scope="module")
def whole(folder, tmp_path_factory):
    """All of it in one file."""
    path = tmp_path_factory.mktemp("whole") / "all.parquet"
    hs.write(path, hs.concatenate([hs.read(one) for one in sorted(folder.iterdir()) if len(hs.read(one))]))
    return path


@pytest.fixture(scope="module")
def expected(whole):
    return hs.evaluate(whole, METHODS, **FEW)


def same(one, other):
    """Tell whether two evaluations agree bit by bit, errors and observations included."""
    seen, there = one.observations, other.observations
    assert list(seen) == list(there)
    for name in seen:
        for what in ("met", "truth_met", "ht", "truth_ht"):
            assert np.array_equal(getattr(seen[name], what), getattr(there[name], what), equal_nan=True), what
        for study, jets in seen[name].jets.items():
            for item in fields(JetObservations):
                values = getattr(there[name].jets[study], item.name)
                assert np.array_equal(getattr(jets, item.name), values, equal_nan=values.dtype.kind == "f"), item.name
    return repr(one.table) == repr(other.table) and repr(one.paired) == repr(other.paired)  # as text NaN equals itself


@pytest.mark.parametrize("step", [1, 3, 100])
def test_files_and_any_step_give_the_numbers_of_one_file(folder, expected, step):
    files = folder if step > 1 else f"{folder}/*.parquet"
    assert same(hs.evaluate(files, METHODS, step=step, **FEW), expected)


def test_a_production_and_its_leftovers(folder, expected, tmp_path):
    made = mitigate_files(folder, tmp_path / "weighed", METHODS, part=2)
    (tmp_path / "weighed" / "stray.parquet").write_bytes(b"half")  # a run was killed between a part and its line
    found = hs.evaluate(tmp_path / "weighed", **FEW)
    assert made.events == found.table.n_events == sum(LENGTHS)
    assert set(found.table.estimates) == {*METHODS, "perfect", "puppi:best", "puppi:cms-phase2"}
    for name in METHODS:  # its parts stand in another order: by the names of the inputs' files, as these
        assert np.array_equal(found.observations[name].met, expected.observations[name].met)
    (tmp_path / "weighed" / NAME).rename(tmp_path / "manifest")
    with pytest.raises(HardscatterError, match=r"stray\.parquet"):
        hs.evaluate(tmp_path / "weighed", **FEW)


def test_files_count_in_the_order_that_is_given(folder, expected):
    found = hs.evaluate([folder / f"{name}.parquet" for name in "dcba"], METHODS, **FEW)
    met, ends = expected.observations["chs"].met, np.cumsum((0, *LENGTHS))
    backwards = np.concatenate([met[ends[i] : ends[i + 1]] for i in (3, 2, 1, 0)])
    assert np.array_equal(found.observations["chs"].met, backwards)
    for method, quantities in found.table.estimates.items():  # the bootstrap draws others
        for quantity, statistics in quantities.items():
            for statistic, estimate in statistics.items():
                there = expected.table.estimates[method][quantity][statistic].value
                assert estimate.value == pytest.approx(there, rel=1e-12, nan_ok=True)


def test_entries_are_the_first_of_all_files(folder, whole):
    found = hs.evaluate(folder, METHODS, entries=6, step=2, **FEW)
    assert found.table.n_events == 6
    assert same(found, hs.evaluate(whole, METHODS, entries=6, **FEW))
    for entries, words in ((0, "no events"), (-1, "entries is -1")):
        with pytest.raises(HardscatterError, match=words):
            hs.evaluate(folder, METHODS, entries=entries)


def test_stored_weights_of_the_first_file_are_measured_in_all(folder, tmp_path):
    for name in "ad":
        hs.mitigate_file(folder / f"{name}.parquet", tmp_path / f"{name}.parquet", "chs")
    (tmp_path / "e.parquet").write_bytes((folder / "c.parquet").read_bytes())  # stores none: weighed now
    found = hs.evaluate(tmp_path, **FEW)
    assert same(found, hs.evaluate([folder / f"{name}.parquet" for name in "adc"], "chs", **FEW))


def test_partners_go_with_their_files(folder, whole, tmp_path):
    found = hs.evaluate(folder, METHODS, paired=[f"{other(folder, tmp_path)}/*"], step=2, **FEW)
    there = other(whole.parent, tmp_path)
    assert same(found, hs.evaluate(whole, METHODS, paired=there / whole.name, **FEW))
    assert repr(found.paired) != repr(found.table)
    with pytest.raises(SettingsError, match="4 files have 1 partners"):
        hs.evaluate(folder, METHODS, paired=there)
    with pytest.raises(InvalidEventsError, match="has 5 events"):
        hs.evaluate(folder / "a.parquet", METHODS, paired=folder / "c.parquet")


def other(folder, place):
    """A folder with partners of the files of this one, by the same names."""
    there = place / folder.name
    there.mkdir()
    for path in folder.iterdir():
        events = hs.read(path)
        hard = events.candidates[events.candidates.vertex == 0]
        hs.write(there / path.name, events.without_truth().with_field("candidates", hard))
    return there


class TestBadFiles:
    @pytest.fixture
    def bad(self, folder, tmp_path):
        """The files, one of them unreadable and one that breaks half-way."""
        for path in folder.iterdir():
            (tmp_path / path.name).write_bytes(path.read_bytes())
        (tmp_path / "aa.parquet").write_bytes(b"PAR1 and nothing more")
        hs.write(tmp_path / "cc.parquet", toys(4, 9).without_truth())
        return tmp_path

    def test_an_error_names_the_file(self, bad):
        with pytest.raises(HardscatterError, match=r"aa\.parquet"):
            hs.evaluate(bad, METHODS, **FEW)
        (bad / "aa.parquet").unlink()
        with pytest.raises(MissingFieldError, match=r"cc\.parquet"):
            hs.evaluate(bad, METHODS, **FEW)

    def test_bad_files_are_left_out_whole(self, bad, expected):
        found = hs.evaluate(bad, METHODS, step=2, skip_bad=True, **FEW)
        assert same(found, expected)
        assert [name in sentence for name, sentence in zip(("aa.", "cc."), found.bad, strict=True)] == [True, True]

    def test_a_file_that_breaks_half_way_leaves_nothing(self, folder, expected, monkeypatch):
        whole = evaluation.read

        def broken(path, entries, **settings):
            if path.name == "a.parquet" and entries[0] >= 2:
                raise UnreadableFileError("half a file")
            return whole(path, entries, **settings)

        monkeypatch.setattr(evaluation, "read", broken)
        found = hs.evaluate(folder, METHODS, step=2, skip_bad=True, **FEW)
        assert found.bad == (f"{folder / 'a.parquet'}: half a file",)
        assert np.array_equal(found.observations["chs"].met, expected.observations["chs"].met[LENGTHS[0] :])

    def test_what_was_asked_wrongly_is_never_skipped(self, folder):
        with pytest.raises(UnknownMethodError, match="no method 'ghost'"):
            hs.evaluate(folder, "ghost", skip_bad=True, **FEW)

    def test_nothing_left(self, tmp_path):
        (tmp_path / "a.parquet").write_bytes(b"")
        with pytest.raises(InvalidEventsError, match=r"no file is left: .*a\.parquet"):
            hs.evaluate(tmp_path, METHODS, skip_bad=True, **FEW)


def test_progress_is_told(folder):
    told = []
    hs.evaluate(folder, METHODS, step=4, progress=lambda *what: told.append(what), **FEW)
    assert [done for what, done, _ in told if what == "files"] == [1, 2, 3, 4]
    assert [done for what, done, _ in told if what == "events"] == [0, 4, 5, 7, 10]
    assert {total for what, _, total in told if what == "events"} == {sum(LENGTHS)}
