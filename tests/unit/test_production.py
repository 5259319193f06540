"""Productions in one process: what a folder holds, when it is gone on with, and what is refused."""

from __future__ import annotations

import json
from dataclasses import dataclass

import awkward as ak
import pytest

import hardscatter as hs
from hardscatter import jobs
from hardscatter.errors import HardscatterError, SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.jobs import Cluster, Outcome, run
from hardscatter.production import Mitigation, Order, chain, files_of, parts_of, produce_from_files, verify
from hardscatter.production.manifest import NAME, read_manifest
from helpers import toy_events

ORDER = Order("mitigate", {"methods": ["softkiller"]}, Mitigation(("softkiller",)), part=4)


@pytest.fixture
def inputs(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name, n, seed in (("a", 10, 1), ("b", 3, 2)):
        hs.write(folder / f"{name}.parquet", toy_events(n, 40, seed=seed))
    return folder


def weights_in(folder):
    """All weights, in the order of inputs and entries."""
    parts = sorted(read_manifest(folder).parts.values(), key=lambda line: (line["input"], line["first"]))
    return ak.concatenate([hs.read(folder / line["part"]).weights.softkiller for line in parts])


class TestFilesOf:
    def test_folders_patterns_and_lists_give_each_file_once_and_in_order(self, inputs, tmp_path):
        (inputs / "notes.txt").write_text("no events")
        (inputs / ".hidden.parquet").write_text("")
        both = [inputs / "a.parquet", inputs / "b.parquet"]
        listed = tmp_path / "list.txt"
        listed.write_text(f"# mine\n{both[1]}\n\n{inputs}/a*\n")
        assert files_of([inputs]) == both
        assert files_of([f"{inputs}/*.parquet"]) == both
        assert files_of([f"@{listed}"]) == both[::-1]

    def test_the_folder_of_a_production_is_what_its_manifest_lists(self, inputs, tmp_path):
        out = tmp_path / "out"
        produce_from_files(files_of([inputs]), out, ORDER)
        parts = sorted(out / name for name in read_manifest(out).parts)
        (out / "stray.parquet").write_bytes(b"half")
        assert files_of([out]) == parts
        assert len(parts) == 4

    def test_the_parts_of_one_input_come_in_the_order_of_its_entries(self, inputs, tmp_path):
        out = tmp_path / "out"
        produce_from_files(files_of([inputs]), out, ORDER)
        first, *rest = (out / NAME).read_text().splitlines()
        (out / NAME).write_text("\n".join([first, *rest[::-1]]) + "\n")  # as workers may finish them
        (inputs / "a.parquet").rename(tmp_path / "moved.parquet")
        parts = parts_of(out, tmp_path / "moved.parquet")
        assert [len(hs.read(part)) for part in parts] == [4, 4, 2]
        events = hs.concatenate([hs.read(part) for part in parts])
        assert events.candidates.pt.tolist() == hs.read(tmp_path / "moved.parquet").candidates.pt.tolist()
        hs.write(tmp_path / "other.parquet", toy_events(2, 40, seed=8))
        with pytest.raises(UnreadableFileError, match=r"out holds nothing made of .*other\.parquet"):
            parts_of(out, tmp_path / "other.parquet")

    def test_a_file_named_twice_is_refused(self, inputs):
        with pytest.raises(SettingsError, match="named twice"):
            files_of([inputs, inputs / "a.parquet"])

    @pytest.mark.parametrize("word", ["{}/*.root", "{}/empty", "@{}/none.txt"])
    def test_what_names_nothing_is_refused(self, inputs, word):
        (inputs / "empty").mkdir()
        with pytest.raises(UnreadableFileError):
            files_of([word.format(inputs)])


class TestProduction:
    def test_every_entry_once_whatever_the_size_of_parts(self, inputs, tmp_path):
        paths = files_of([inputs])
        whole = ak.concatenate([hs.mitigate(hs.read(path), "softkiller") for path in paths])
        for part in (1, 4, 100):
            folder = tmp_path / f"out{part}"
            made = produce_from_files(paths, folder, Order("mitigate", {}, ORDER.work, part=part))
            assert (made.events, made.parts) == (13, made.made)
            assert verify(folder) == []
            assert ak.array_equal(weights_in(folder), whole, dtype_exact=True)

    def test_tiny_parts_in_any_order_are_the_same(self, inputs, tmp_path):
        paths = files_of([inputs])
        order = Order("mitigate", ORDER.settings, ORDER.work, part=1)
        for name, given in (("forth", paths), ("back", paths[::-1])):
            assert produce_from_files(given, tmp_path / name, order).made == 13
        forth, back = (read_manifest(tmp_path / name).parts for name in ("forth", "back"))
        assert list(forth) != list(back)
        assert {name: line["sha256"] for name, line in forth.items()} == {
            name: line["sha256"] for name, line in back.items()
        }

    def test_a_second_run_makes_only_what_is_missing(self, inputs, tmp_path):
        paths, out = files_of([inputs]), tmp_path / "out"
        first = produce_from_files(paths[:1], out, ORDER)
        second = produce_from_files(paths, out, ORDER)
        assert (first.made, second.made, second.events) == (3, 1, 13)
        lost = next(iter(read_manifest(out).parts))
        before = (out / lost).read_bytes()
        manifest = (out / NAME).read_text().splitlines()
        (out / NAME).write_text(
            "\n".join(line for line in manifest if f'"part": "{lost}"' not in line) + '\n{"part": "to'
        )
        third = produce_from_files(paths, out, ORDER)
        assert third.made == 1
        assert (out / lost).read_bytes() == before
        assert verify(out) == []

    @pytest.mark.parametrize("harm", ["lost", "cut"])
    def test_a_part_that_is_lost_or_cut_short_is_made_anew(self, inputs, tmp_path, harm):
        paths, out = files_of([inputs]), tmp_path / "out"
        produce_from_files(paths, out, ORDER)
        victim = out / next(iter(read_manifest(out).parts))
        before = victim.read_bytes()
        victim.unlink()
        with pytest.raises(UnreadableFileError, match="is missing: give the command"):
            files_of([out])
        if harm == "cut":
            victim.write_bytes(before[:100])
        assert len(verify(out)) == 1
        assert produce_from_files(paths, out, ORDER).made == 1
        assert victim.read_bytes() == before
        assert verify(out) == []

    def test_other_settings_or_versions_are_not_mixed_in(self, inputs, tmp_path):
        paths, out = files_of([inputs]), tmp_path / "out"
        produce_from_files(paths, out, ORDER)
        other = Order("mitigate", {"methods": ["puppi"]}, Mitigation(("puppi",)), part=4)
        with pytest.raises(SettingsError, match="methods not the same"):
            produce_from_files(paths, out, other)
        with pytest.raises(SettingsError, match="part not the same"):
            produce_from_files(paths, out, Order("mitigate", ORDER.settings, ORDER.work, part=5))

    def test_a_changed_input_and_a_copy_are_refused(self, inputs, tmp_path):
        paths, out = files_of([inputs]), tmp_path / "out"
        produce_from_files(paths, out, ORDER)
        copy = inputs / "copy.parquet"
        copy.write_bytes(paths[0].read_bytes())
        with pytest.raises(SettingsError, match="holds the same as"):
            produce_from_files([*paths, copy], out, ORDER)
        hs.write(paths[1], toy_events(5, 40, seed=9), overwrite=True)
        with pytest.raises(UnreadableFileError, match="is not the file"):
            produce_from_files(paths, out, ORDER)

    def test_a_bad_input_is_an_error_or_set_aside_and_tried_again(self, inputs, tmp_path):
        bad, out = inputs / "aa.parquet", tmp_path / "out"
        good = (inputs / "a.parquet").read_bytes()
        bad.write_bytes(b"PAR1 and nothing more")
        paths = files_of([inputs])
        with pytest.raises(UnreadableFileError, match=r"aa\.parquet"):
            produce_from_files(paths, out, ORDER)
        made = produce_from_files(paths, out, ORDER, skip_bad=True)
        assert made.events == 13
        assert len(made.bad) == 1
        assert "aa.parquet" in made.bad[0]
        assert [problem for problem in verify(out) if "aa.parquet" in problem]
        hs.write(bad, toy_events(2, 30, seed=5), overwrite=True)
        again = produce_from_files(paths, out, ORDER)
        assert (again.made, again.events, again.bad) == (1, 15, ())
        assert verify(out) == []
        assert good == (inputs / "a.parquet").read_bytes()

    def test_an_input_that_turns_bad_half_way_keeps_the_rest(self, inputs, tmp_path):
        paths, out = files_of([inputs]), tmp_path / "out"
        work = Failing(str(paths[0]), at=4)
        order = Order("mitigate", {}, work, part=4)
        made = produce_from_files(paths, out, order, skip_bad=True)
        assert made.events == 9
        assert any("entries 4 to 8 are missing" in problem for problem in verify(out))
        with pytest.raises(UnreadableFileError, match="entries 4 to 8: half a file"):
            produce_from_files(paths, out, order)
        assert not list(out.glob(".partial/*"))

    def test_no_room_is_never_skipped(self, inputs, tmp_path):
        with pytest.raises(UnwritableFileError):
            produce_from_files(files_of([inputs]), tmp_path / "out", Order("mitigate", {}, Full()), skip_bad=True)

    def test_two_at_work_in_one_folder_are_refused(self, inputs, tmp_path):
        paths, out = files_of([inputs]), tmp_path / "out"

        def second(_what, _done, _total):
            with pytest.raises(SettingsError, match="another process is at work"):
                produce_from_files(paths, out, ORDER)

        produce_from_files(paths, out, ORDER, progress=second)

    def test_a_folder_of_something_else_is_refused(self, inputs):
        with pytest.raises(UnwritableFileError, match="no manifest"):
            produce_from_files(files_of([inputs]), inputs, ORDER)

    def test_verify_finds_a_changed_a_lost_and_a_strange_file(self, inputs, tmp_path):
        out = tmp_path / "out"
        produce_from_files(files_of([inputs]), out, ORDER)
        one, other, *_ = sorted(out.glob("*.parquet"))
        one.write_bytes(one.read_bytes()[:-1])
        other.rename(out / "stray.parquet")
        problems = " ".join(verify(out))
        for expected in ("has changed", "is missing", "stray.parquet is not in the manifest"):
            assert expected in problems

    def test_empty_inputs_give_an_empty_part(self, tmp_path):
        hs.write(tmp_path / "empty.parquet", toy_events(3, 40)[:0])
        made = produce_from_files([tmp_path / "empty.parquet"], tmp_path / "out", ORDER)
        assert (made.parts, made.events) == (1, 0)
        assert verify(tmp_path / "out") == []

    def test_the_manifest_says_what_is_there(self, inputs, tmp_path):
        out = tmp_path / "out"
        produce_from_files(files_of([inputs]), out, ORDER)
        first, *lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
        assert first["settings"]["methods"] == ["softkiller"]
        assert first["hardscatter"] == hs.__version__
        assert sum(line["events"] for line in lines if "part" in line) == 13
        assert all(len(line["sha256"]) == 64 for line in lines if "part" in line)


@dataclass(frozen=True)
class Failing:
    """Work that finds an input unreadable from some entry on."""

    source: str
    at: int

    def __call__(self, part, files):
        if (part.source, part.first) == (self.source, self.at):
            files[0].write_bytes(b"half")
            raise UnreadableFileError("half a file")
        return ORDER.work(part, files)

    @property
    def also(self):
        return ()


@dataclass(frozen=True)
class Full:
    """Work that meets a full disk."""

    def __call__(self, part, files):
        raise OSError(28, "No space left on device")

    @property
    def also(self):
        return ()


class TestChain:
    def test_any_range_wherever_files_end(self, inputs):
        hs.write(inputs / "aa.parquet", toy_events(3, 40)[:0])
        files = chain([inputs])
        whole = hs.concatenate([hs.read(inputs / f"{name}.parquet") for name in "ab"]).candidates.pt
        assert (len(files), files.ends) == (13, (10, 10, 13))
        for first in range(14):
            for last in range(first, 15):
                assert ak.array_equal(files.read(first, last).candidates.pt, whole[first:last])

    def test_batches_end_with_files(self, inputs):
        assert list(chain([inputs]).batches(4)) == [(0, 4), (4, 8), (8, 10), (10, 13)]
        assert list(chain([inputs], 9).batches(100)) == [(0, 9)]

    def test_files_beyond_are_not_opened(self, inputs):
        (inputs / "b.parquet").write_bytes(b"half")
        assert len(chain([inputs], 10)) == 10
        with pytest.raises(UnreadableFileError, match=r"b\.parquet"):
            chain([inputs], 11)


class TestJobs:
    def test_outcomes_in_order(self, monkeypatch):
        """However they come."""

        def backwards(function, jobs, _cluster):
            return iter([Outcome(job, function(job)) for job in jobs][::-1])

        monkeypatch.setattr(jobs, "run", backwards)
        assert [(one.job, one.result) for one in jobs.run_in_order(abs, [-1, -2, -3])] == [(-1, 1), (-2, 2), (-3, 3)]

    def test_outcomes_in_this_process(self):
        def halves(n):
            if n % 2:
                raise SettingsError(f"{n} is odd")
            return n // 2

        outcomes = list(run(halves, range(4)))
        assert [outcome.result for outcome in outcomes] == [0, None, 1, None]
        assert [str(outcome.problem) for outcome in outcomes if outcome.problem] == ["1 is odd", "3 is odd"]

    def test_jobs_are_taken_one_by_one(self):
        taken = []

        def numbers():
            for n in range(5):
                taken.append(n)
                yield n

        next(run(abs, numbers()))
        assert taken == [0]

    @pytest.mark.parametrize("wrong", [{"where": "kubernetes"}, {"workers": 0}, {"attempts": 0}])
    def test_a_wrong_cluster_is_refused(self, wrong):
        with pytest.raises(HardscatterError):
            Cluster(**wrong)
