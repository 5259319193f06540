"""The arena: what is kept and what is done again, who wins, what shifts do, and what the command line says."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
import tomllib
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.arena import contest, contestants, domain_shifts, leaderboard, shift_table
from hardscatter.arena import cost as cost_module
from hardscatter.arena.contest import Contestant, Outcome, compete
from hardscatter.arena.cost import cost_of
from hardscatter.arena.files import load, plain, save
from hardscatter.arena.leaderboard import mean_gaps
from hardscatter.arena.samples import Facts, NeutralScale, Recipe, Sample, samples_of
from hardscatter.arena.shifts import shifted_samples
from hardscatter.errors import (
    HardscatterError,
    MissingFieldError,
    SettingsError,
    UnknownMethodError,
    UnreadableFileError,
)
from hardscatter.metrics import DESIGN, TALK, join, observe, summarise
from hardscatter.metrics.resolution import PERFECT, REFERENCE
from hardscatter.report.arena import leaderboard_grids, shift_grids, write_leaderboard, write_shifts
from hardscatter.report.tables import with_error
from helpers import toy_events

N_EVENTS = 25  # two truth jets each: enough for the order
EXAMPLE = Path(__file__).parents[2] / "examples" / "third_party_method"


@dataclass(frozen=True)
class Cut:
    """A method that counts its calls and can be made to fail."""

    pt_min: float = 1.0
    fails: str = ""

    def weights(self, events):
        CALLS.append(len(events))
        if self.fails == "sentence":
            raise MissingFieldError("events have no field 'colour': paint them.")
        if self.fails == "bug":
            raise ZeroDivisionError("by zero\nand more")
        if self.fails == "interrupt" and len(CALLS) == 2:
            raise KeyboardInterrupt
        return ak.values_astype(events.candidates.pt > self.pt_min, np.float32)


CALLS: list[int] = []


@pytest.fixture(autouse=True)
def _forget_calls():
    CALLS.clear()


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("arena") / "toy.parquet"
    hs.write(path, toy_events(N_EVENTS, 120))
    return path


@pytest.fixture
def sample(file):
    return Sample("toy", file, 1000)


def same(one, other):
    return all(
        np.array_equal(getattr(one, name), getattr(other, name), equal_nan=True)
        for name in ("met", "truth_met", "ht", "truth_ht")
    ) and all(
        np.array_equal(one.jets[study].pt_response, other.jets[study].pt_response)
        and np.array_equal(one.jets[study].event, other.jets[study].event)
        for study in one.jets
    )


# What is kept.


def test_observations_survive_the_disk(tmp_path):
    events = toy_events(3)
    seen = observe(events, hs.mitigate(events, "chs"))
    save(tmp_path / "chs.npz", seen, "mine")
    again = load(tmp_path / "chs.npz", "mine")
    assert again.definition is DESIGN
    assert again.n_events == 3
    assert again.jets.keys() == seen.jets.keys()
    assert same(again, seen)
    assert load(tmp_path / "chs.npz", "another") is None
    assert load(tmp_path / "nothing.npz", "mine") is None
    whole = (tmp_path / "chs.npz").read_bytes()
    (tmp_path / "chs.npz").write_bytes(whole[: len(whole) // 2])
    assert load(tmp_path / "chs.npz", "mine") is None


def test_nothing_is_done_twice(sample, tmp_path):
    cut = Contestant("cut", Cut())
    first = compete(sample, [cut], tmp_path, step=10)
    assert CALLS == [10, 10, 5]
    second = compete(sample, [cut], tmp_path, step=10)
    assert CALLS == [10, 10, 5]
    assert same(first.observations["cut"], second.observations["cut"])
    compete(sample, [cut, Contestant("other", Cut(2.0))], tmp_path, step=100)
    assert CALLS == [10, 10, 5, 25]


def test_changed_settings_or_crossings_are_done_again(sample, tmp_path):
    for n_calls, (settings, given) in enumerate(
        [(Cut(), sample), (Cut(2.0), sample), (Cut(2.0), replace(sample, change=NeutralScale(1.05))),
         (Cut(2.0), replace(sample, n=20))], 1
    ):  # fmt: skip
        compete(given, [Contestant("cut", settings)], tmp_path)
        assert len(CALLS) == n_calls


def test_an_interrupted_run_goes_on_where_it_was(sample, tmp_path):
    cut = Contestant("cut", Cut(fails="interrupt"))
    with pytest.raises(KeyboardInterrupt):
        compete(sample, [cut], tmp_path, step=10)
    assert CALLS == [10, 10]  # the second was lost
    later = compete(sample, [cut, Contestant("late", Cut())], tmp_path, step=8)
    assert sum(CALLS) == 20 + 15 + N_EVENTS
    whole = compete(sample, [Contestant("late", Cut())], tmp_path / "elsewhere")
    assert same(later.observations["cut"], whole.observations["late"])
    assert same(later.observations["late"], whole.observations["late"])


def test_a_method_that_fails_stops_nobody(sample, tmp_path):
    entered = [
        Contestant("painted", Cut(fails="sentence")),
        Contestant("buggy", Cut(fails="bug")),
        Contestant("cut", Cut()),
    ]
    outcome = compete(sample, entered, tmp_path)
    assert outcome.failures == {
        "painted": "events have no field 'colour': paint them.",
        "buggy": "ZeroDivisionError: by zero",
    }
    assert list(outcome.observations) == ["cut"]
    board = leaderboard({"toy": outcome}, replicas=5)
    assert list(board.ranking) == ["cut", "painted", "buggy"]
    cells = [row for grid in leaderboard_grids(board) for row in grid.rows if row[0] == "painted"]
    assert cells
    assert set(cells[0][1:]) == {"failed"}


def test_files_are_one_sample(sample, tmp_path):
    """Observations do not depend on where files end, nor on the step."""
    events = hs.read(sample.path)
    folder = tmp_path / "several"
    folder.mkdir()
    for name, first, last in (("a", 0, 4), ("b", 4, 17), ("c", 17, N_EVENTS)):
        hs.write(folder / f"{name}.parquet", events[first:last])
    several = Sample("several", folder, 1000)
    cut = Contestant("cut", Cut())
    whole = compete(sample, [cut], tmp_path / "whole")
    for step in (3, 10):
        CALLS.clear()
        found = compete(replace(several, n=1000 + step), [cut], tmp_path / f"step{step}", step=step)
        assert same(found.observations["cut"], whole.observations["cut"])
        assert found.facts == whole.facts
    assert CALLS == [4, 10, 3, 8]
    few = replace(several, n=6)
    assert [path.name for path in few.chain.files] == ["a.parquet", "b.parquet"]
    assert few.facts(tmp_path, "few", step=5).crossings == 6
    before = few.fingerprint()
    hs.write(folder / "c.parquet", events[:1], overwrite=True)  # is not used
    assert replace(few).fingerprint() == before
    hs.write(folder / "b.parquet", events[5:17], overwrite=True)
    assert replace(few).fingerprint() != before


def test_facts(sample, tmp_path):
    events = hs.read(sample.path)
    facts = sample.facts(tmp_path, "mine", step=7)
    assert facts == Facts(N_EVENTS, pytest.approx(np.mean(events.n_candidates)), 40.0)
    assert sample.facts(tmp_path, "mine", step=7) == facts


# Who takes part.


def test_who_takes_part():
    entered = {one.name: one for one in contestants(["chs", "puppi"])}
    assert set(entered) == {"chs", "puppi:cms-phase2", "none", REFERENCE, PERFECT}
    everybody = {one.name for one in contestants()}
    assert everybody == (set(hs.methods()) - {"puppi"}) | {PERFECT}
    with pytest.raises(UnknownMethodError, match="no method 'ghost'"):
        contestants(["ghost"])


def test_what_was_observed_by_other_code_is_observed_again(monkeypatch):
    before = contestants(["chs"])[0].fingerprint()
    monkeypatch.setattr(sys.modules["hardscatter.arena.contest"], "code_of", lambda *_: "other code")
    assert contestants(["chs"])[0].fingerprint() != before


def test_fingerprints_tell_methods_apart():
    prints = [one.fingerprint() for one in contestants()]
    assert len(set(prints)) == len(prints)
    assert contestants(["chs"])[0].fingerprint() == contestants(["chs"])[0].fingerprint()


def test_samples(file, tmp_path):
    named = samples_of([str(file), "qcd"], tmp_path, n=7, pileups=["20", "flat:0-60"])
    assert [one.name for one in named] == ["toy", "qcd, pileup 20", "qcd, pileup flat:0-60"]
    assert len({one.path for one in named}) == 3
    assert not list(tmp_path.iterdir())
    wrong = [
        (["nonsense"], {}, "no process 'nonsense'"),
        (["qcd"], {"pileups": ["many"]}, "pileup 'many' is not understood"),
        (["qcd"], {"card": "lhcb"}, "no detector card 'lhcb'"),
        ([str(tmp_path / "gone.root")], {}, "does not exist"),
        ([str(file), str(file)], {}, "two samples are called 'toy'"),
        (["qcd"], {"n": 0}, "at least 1 crossing"),
    ]
    for names, settings, words in wrong:
        with pytest.raises(HardscatterError, match=words):
            samples_of(names, tmp_path, **{"n": 7, **settings})


def test_words_that_name_files(file, tmp_path, monkeypatch):
    folder = file.parent
    (tmp_path / "qcd").mkdir()
    monkeypatch.chdir(tmp_path)
    for word in (str(folder), f"{folder}/t*.parquet"):
        (one,) = samples_of([word], tmp_path, n=3)
        assert (one.name, one.chain.files, len(one.chain)) == (folder.name, (file,), 3)
    (process,) = samples_of(["qcd"], tmp_path, n=3)  # though there is a folder of that name: ./qcd
    assert process.recipe is not None
    with pytest.raises(UnreadableFileError, match="holds no file"):
        samples_of(["./qcd"], tmp_path, n=3)


def test_another_recipe_makes_another_file():
    settings = {"pileup": "140", "seed": 303, "card": "cms-phase2", "n_minbias": 100}
    recipes = [Recipe("qcd", 5, settings), Recipe("qcd", 6, settings), Recipe("wjets", 5, settings)]
    changes = ({"pileup": "280"}, {"seed": 304}, {"card": "atlas-like"}, {"n_minbias": 200}, {"tune": "cp5"})
    recipes += [Recipe("qcd", 5, {**settings, **change}) for change in changes]
    assert len({recipe.fingerprint() for recipe in recipes}) == len(recipes)
    same_pileup = Recipe("qcd", 5, {**settings, "pileup": 140.0})
    assert same_pileup.fingerprint() == recipes[0].fingerprint()


# Who wins.


def made_up(widths, n=60, seed=3):
    """Outcome with observations whose AK4 responses and missing momentum are as wide as is said, by method."""
    events = toy_events(n, 60)
    base = observe(events, hs.perfect_weights(events))
    rng = np.random.default_rng(seed)
    responses, residuals = rng.normal(size=2 * n), rng.normal(size=(n, 2))
    observations = {
        name: replace(
            base,
            jets={"ak4_central": replace(base.jets["ak4_central"], pt_response=width * responses)},
            met=base.truth_met + 100 * width * residuals,
            ht=base.truth_ht * (1 + width * residuals[:, 0]),
        )
        for name, width in widths.items()
    }
    return Outcome(Facts(n, 50.0, 40.0), observations, {})


WIDTHS = {"worse": 0.3, REFERENCE: 0.2, "half": 0.15, PERFECT: 0.1}


def test_the_order_is_that_of_the_mean_gap():
    outcome = made_up(WIDTHS)
    board = leaderboard({"toy": outcome}, replicas=20)
    result = board.samples["toy"]
    assert result.counted == ["ak4_central.pt", "met", "ht"]
    assert list(board.ranking) == [PERFECT, "half", REFERENCE, "worse"]
    for method, mean in board.ranking.items():
        gaps = [result.table.estimates[method][quantity]["gap"].value for quantity in result.counted]
        assert mean.value == pytest.approx(np.mean(gaps))
    assert board.ranking[PERFECT].value == pytest.approx(1)
    assert board.ranking["half"].value == pytest.approx(0.5, abs=0.03)
    assert board.ranking[REFERENCE].error == 0
    assert 0 < mean_gaps(outcome.observations, ["met"], replicas=20)["half"].error < 0.1


def test_samples_add_up_and_who_misses_one_has_no_place():
    both = {"a": made_up(WIDTHS), "b": made_up({key: width for key, width in WIDTHS.items() if key != "half"}, seed=4)}
    board = leaderboard(both, replicas=20)
    assert list(board.ranking)[-1] == "half"
    assert math.isnan(board.ranking["half"].value)
    first, second = (board.samples[name].mean_gaps["worse"] for name in both)
    assert board.ranking["worse"].value == pytest.approx((first.value + second.value) / 2)
    assert board.ranking["worse"].error == pytest.approx(math.hypot(first.error, second.error) / 2)
    json.dumps(board.to_dict(), allow_nan=False)


def test_too_few_jets_do_not_count():
    board = leaderboard({"toy": made_up(WIDTHS, n=30)}, replicas=5)
    assert board.samples["toy"].counted == ["ak4_central.pt"]  # 60 jets, but 30 crossings
    few = leaderboard({"toy": made_up(WIDTHS, n=10)}, replicas=5)
    assert few.samples["toy"].counted == []
    assert all(math.isnan(mean.value) for mean in few.ranking.values())


# H_T.


def test_ht_is_the_sum_over_jets():
    events = toy_events(6, 300)
    weights = hs.mitigate(events, "chs")
    seen = observe(events, weights)
    jets = hs.cluster(events, weights, radius=0.4, min_pt=5.0)
    for index in range(len(events)):
        chosen = [jet.pt for jet in jets[index] if jet.pt > 30 and abs(jet.eta) < 2.5]
        assert seen.ht[index] == pytest.approx(sum(chosen))
        assert seen.truth_ht[index] == pytest.approx(105)
    response = np.sort(seen.ht / 105 - 1)
    table = summarise({"chs": seen}, replicas=5)
    found = table.estimates["chs"]["ht"]
    low, median, high = np.quantile(response, [0.25, 0.5, 0.75])
    assert found["median"].value == pytest.approx(median)
    assert found["delta"].value == pytest.approx((high - low) / 2)
    assert found["resolution"].value == pytest.approx((high - low) / 2 / (1 + median))
    assert table.sizes["ht"] == 6


def test_ht_without_jets_candidates_or_crossings():
    events = toy_events(4, 60)
    soft = ak.with_field(events.truth.jets, ak.full_like(events.truth.jets.pt, 20.0), "pt")
    jets = ak.concatenate([soft[:2], events.truth.jets[2:]])
    events = events.with_field("truth", ak.with_field(events.truth, jets, "jets"))
    seen = observe(events, ak.zeros_like(events.candidates.pt))
    assert seen.truth_ht.tolist() == [0, 0, 105, 105]
    assert seen.ht.tolist() == [0, 0, 0, 0]
    table = summarise({"nothing": seen}, replicas=5)
    assert table.sizes["ht"] == 2
    assert table.estimates["nothing"]["ht"]["median"].value == -1
    assert math.isnan(table.estimates["nothing"]["ht"]["resolution"].value)
    nobody = observe(events[:0], events[:0].candidates.pt)
    assert len(nobody.ht) == 0
    assert join([nobody, seen]).ht.tolist() == seen.ht.tolist()


def test_ht_is_left_out_where_nobody_asks_or_knows():
    events = toy_events(3)
    assert observe(events, hs.mitigate(events, "none"), TALK).ht is None
    without = events.with_field("truth", events.truth[["met", "hard_fraction"]])
    seen = observe(without, hs.mitigate(events, "none"))
    assert seen.ht is None
    assert "ht" not in summarise({"none": seen}, replicas=5).sizes


def test_the_gap_of_ht():
    table = summarise(made_up(WIDTHS).observations, replicas=5)
    width = {name: estimates["ht"]["resolution"].value for name, estimates in table.estimates.items()}
    expected = (width[REFERENCE] - width["half"]) / (width[REFERENCE] - width[PERFECT])
    assert table.estimates["half"]["ht"]["gap"].value == pytest.approx(expected)


# Shifts.


def test_shifts_of_the_same_collisions_are_paired():
    nominal, wider = made_up(WIDTHS), made_up({name: 2 * width for name, width in WIDTHS.items()})
    other = made_up(WIDTHS, n=50)
    table = shift_table({"nominal": nominal, "wider": wider, "other": other}, replicas=30)
    assert [shift.paired for shift in table.shifts.values()] == [True, True, False]
    assert all(
        change.value == change.error == 0
        for by in table.shifts["nominal"].changes.values()
        for statistics in by.values()
        for change in statistics.values()
    )
    for method in WIDTHS:
        before = table.shifts["nominal"].values[method]["met"]["delta"]
        change = table.shifts["wider"].changes[method]["met"]["delta"]
        assert change.value == pytest.approx(before.value)
        assert change.error == pytest.approx(before.error)
        apart = table.shifts["other"].changes[method]["met"]["delta"]
        assert apart.error > before.error
    json.dumps(table.to_dict(), allow_nan=False)
    grids = shift_grids(table)
    summaries = [grid for grid in grids if grid.title.endswith("under every shift")]
    assert [grid.title.partition(" (")[0] for grid in grids[len(summaries) :]] == ["nominal", "wider", "other"]
    for grid in summaries:
        assert grid.headings == ("method", "nominal", "wider", "other")
        assert {row[0] for row in grid.rows} == set(table.shifts["nominal"].values)
    resolutions = {row[0]: row[2] for row in summaries[0].rows}
    for method, cell in resolutions.items():
        assert cell == with_error(table.shifts["wider"].values[method]["ak4_central.pt"]["resolution"])


def test_the_shifts_are_what_they_say(tmp_path):
    samples = shifted_samples(tmp_path, n=5, n_minbias=10)
    settings = {name: sample.recipe.settings for name, sample in samples.items()}
    nominal = settings["nominal"]
    assert settings["tune CP5"] == {**nominal, "tune": "cp5"}
    assert settings["pileup 280"] == {**nominal, "pileup": "280"}
    blurred = settings["d0 and dz half as good"]["card"].tracker.impact
    assert blurred.scale_mm == 2 * hs.detector.load_card("cms-phase2").tracker.impact.scale_mm
    files = {name: sample.path for name, sample in samples.items()}
    assert files["nominal"] == files["neutral energy +5 %"] == files["neutral energy −5 %"]
    assert files["nominal"] == samples_of(["ttbar-semileptonic"], tmp_path, n=5, n_minbias=10)[0].path
    assert len(set(files.values())) == 5
    assert len({sample.folder for sample in samples.values()}) == 7


def test_neutral_scale_scales_neutrals_of_barrel_and_endcap_only():
    events = toy_events(3)
    shifted = NeutralScale(1.05)(events)
    inside = (events.candidates.charge == 0) & (abs(events.candidates.eta) < 3)
    for name in ("pt", "energy"):
        ratio = shifted.candidates[name] / events.candidates[name]
        assert ak.all(abs(ratio[inside] - 1.05) < 1e-6)
        assert ak.all(ratio[~inside] == 1)
    assert shifted.candidates.type == events.candidates.type
    assert ak.array_equal(shifted.truth.jets, events.truth.jets)
    assert len(NeutralScale(1.05)(events[:0])) == 0


# Time and memory.


def test_cost_is_measured_once_in_a_process_of_its_own(sample, tmp_path, monkeypatch):
    chs = contestants(["chs"])[0]
    cost = cost_of(chs, sample, 4, tmp_path)
    assert cost.crossings == 4
    assert cost.candidates == pytest.approx(np.mean(hs.read(sample.path, 4).n_candidates))
    assert cost.milliseconds > 0
    assert 0 <= cost.megabytes < 2000
    monkeypatch.setattr(cost_module.subprocess, "run", lambda *_, **__: pytest.fail("measured again"))
    assert cost_of(chs, sample, 4, tmp_path) == cost


# The whole of it, and the command line.


def test_contest_writes_what_it_returns(file, tmp_path):
    board = contest(tmp_path / "trial", [str(file)], ["chs"], replicas=10, cost_crossings=0)
    assert json.loads((tmp_path / "trial" / "leaderboard.json").read_text()) == board.to_dict()
    written = write_leaderboard(board, tmp_path / "trial")
    assert [path.name for path in written] == ["leaderboard.md", "leaderboard.png", "leaderboard.pdf"]
    page = written[0].read_text()
    assert page.count("| chs |") >= 4
    assert "![toy](leaderboard.png)" in page
    assert not list(tmp_path.rglob("*partial*"))


def test_shifts_are_drawn(tmp_path):
    table = shift_table({"nominal": made_up(WIDTHS), "wider": made_up(WIDTHS)}, replicas=5)
    assert [path.name for path in write_shifts(table, tmp_path)] == ["shifts.md", "shifts.png", "shifts.pdf"]


def test_command_line(run, file, tmp_path):
    words = ("arena", tmp_path / "trial", "--sample", file, "-m", "chs", "--replicas", "5", "--cost-crossings", "0")
    code, out, err = run(*words, "--json")
    assert code == 0
    found = json.loads(out)["leaderboard"]
    assert found == json.loads((tmp_path / "trial" / "leaderboard.json").read_text())
    assert {row["method"] for row in found["ranking"]} == {"chs", "none", "puppi:cms-phase2", REFERENCE, PERFECT}
    assert "leaderboard.png" in err
    code, out, _ = run(*words)
    assert out.startswith("# overall")
    assert "$ hardscatter arena" in run("arena", "--help")[1]


def test_bad_input_gives_one_sentence_and_no_folder(run, file, tmp_path):
    bare = toy_events(3, minimal=True)
    hs.write(tmp_path / "bare.parquet", bare)
    (tmp_path / "taken").touch()
    cases = [
        ("trial", ("--sample", file, "-m", "ghost"), "there is no method 'ghost'"),
        ("trial", ("--sample", "nonsense"), "no process 'nonsense'"),
        ("trial", ("--sample", tmp_path / "gone.root"), "does not exist"),
        ("trial", ("--sample", tmp_path / "bare.parquet", "-m", "chs"), "holds no truth"),
        ("trial", ("--sample", file, "-m", "chs", "--replicas", "1"), "at least 2"),
        ("trial", ("--sample", file, "-m", "chs", "--step", "0"), "at least 1 event"),
        ("taken", ("--sample", file, "-m", "chs"), "cannot be the folder of an arena"),
    ]
    for folder, words, sentence in cases:
        code, out, err = run("arena", tmp_path / folder, *words)
        lines = [line for line in err.strip().splitlines() if not line.startswith("#")]
        assert (code, out, len(lines)) == (1, "", 1), err
        assert sentence in lines[0]
        assert not (tmp_path / "trial").exists()


def test_domain_shifts_find_bad_settings_before_any_work(tmp_path):
    with pytest.raises(SettingsError, match="no detector card"):
        domain_shifts(tmp_path / "trial", ["chs"], card="lhcb")
    assert not (tmp_path / "trial").exists()


def test_a_third_partys_method_takes_part(file, tmp_path):
    """As pip would leave it behind: the module on the path, and beside it what the package says of itself."""
    about = tomllib.loads((EXAMPLE / "pyproject.toml").read_text())["project"]
    info = tmp_path / "site" / f"{about['name'].replace('-', '_')}-{about['version']}.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {about['name']}\nVersion: {about['version']}\n")
    lines = [
        f"[{group}]\n" + "".join(f"{name} = {value}\n" for name, value in points.items())
        for group, points in about["entry-points"].items()
    ]
    (info / "entry_points.txt").write_text("\n".join(lines))
    paths = [str(tmp_path / "site"), str(EXAMPLE), os.environ.get("PYTHONPATH", "")]
    words = [
        "arena",
        str(tmp_path / "trial"),
        "--sample",
        str(file),
        "-m",
        "soft-neutral-cut",
        "--replicas",
        "5",
        "--json",
    ]
    done = subprocess.run(
        [str(Path(sys.executable).parent / "hardscatter"), *words, "--cost-crossings", "0"],
        env=os.environ | {"PYTHONPATH": os.pathsep.join(paths), "MPLBACKEND": "agg"},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    estimates = json.loads(done.stdout)["leaderboard"]["samples"]["toy"]["estimates"]
    assert estimates["soft-neutral-cut"]["ht"] != estimates["none"]["ht"]


def test_plain_data_are_fit_for_json_whatever_they_hold():
    @dataclass(frozen=True)
    class Number:
        value: float
        error: float

    data = {
        "estimate": Number(1.5, math.nan), 3: (np.float32(0.25), np.int64(7), np.float32(math.inf)),
        "mixed": [None, True, "word", -math.inf, np.bool_(True)],
    }  # fmt: skip
    assert plain(data) == {
        "estimate": {"value": 1.5, "error": None}, "3": [0.25, 7, None], "mixed": [None, True, "word", None, True],
    }  # fmt: skip
    assert json.loads(json.dumps(plain(data), allow_nan=False)) == plain(data)
