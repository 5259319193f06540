"""The command line as a user meets it: output, exit codes, one sentence for what goes wrong, no half files."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

import hardscatter as hs
from helpers import toy_events

PROGRAM = str(Path(sys.executable).parent / "hardscatter")


@pytest.fixture
def toy_file(tmp_path):
    path = tmp_path / "toy.parquet"
    hs.write(path, toy_events(5, 80))
    return path


def only_sentence(error):
    """The one line that is left of an error."""
    lines = [line for line in error.strip().splitlines() if not line.startswith("#")]
    assert len(lines) == 1, error
    assert lines[0].startswith("hardscatter: ")
    assert "Traceback" not in error
    return lines[0]


def test_the_program_starts_without_numpy_and_torch():
    code = "import sys, hardscatter.cli; print([name for name in ('numpy', 'awkward', 'torch') if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_version_and_help(run):
    assert run("--version")[1].strip() == f"hardscatter {hs.__version__}"
    for verb in ("inspect", "mitigate", "evaluate", "methods", "convert"):
        code, out, _ = run(verb, "--help")
        assert code == 0
        assert "$ hardscatter " + verb in out


def test_inspect(run, delphes_file):
    code, out, _ = run("inspect", delphes_file, "--json")
    found = json.loads(out)
    assert code == 0
    assert found["format"] == "delphes"
    assert found["n_events"] == 24
    assert found["usable"]
    assert found["n_vertices"] == pytest.approx(143.9, abs=0.1)
    assert found["charged"]["pileup vertex"] > 0.9
    code, out, _ = run("inspect", delphes_file)
    assert "delphes" in out


@pytest.mark.parametrize(("step", "readable"), [(100, 8), (3, 8), (100, 0)])
def test_inspect_of_a_file_damaged_in_the_middle_says_what_can_be_read(run, tmp_path, step, readable):
    path = tmp_path / "hurt.parquet"
    with hs.Writer(path) as writer:
        for seed in (1, 2, 3):
            writer.write(toy_events(8, 60, seed=seed))
    groups = pq.ParquetFile(path).metadata
    assert groups.num_row_groups == 3
    column = groups.row_group(readable // 8).column(0)
    content = bytearray(path.read_bytes())
    start = column.dictionary_page_offset or column.data_page_offset
    content[start : start + column.total_compressed_size] = b"\xff" * column.total_compressed_size
    path.write_bytes(content)
    code, out, err = run("inspect", path, "--step", step, "--progress", "none")
    assert code == 1
    said = "none" if readable == 0 else f"the first {readable}"
    assert out.splitlines()[1] == f"events\t24, {said} of them readable"
    assert ("candidates an event" in out) == (readable > 0)
    assert err.startswith("problem: ") or "\nproblem: " in err
    assert "hurt.parquet is damaged or cut short" in err
    found = json.loads(run("inspect", path, "--json", "--step", step)[1])
    assert (found["n_events"], found["n_readable"], found["usable"]) == (24, readable, False)
    if readable:
        assert found["candidates"]["mean"] == pytest.approx(float(ak.mean(toy_events(8, 60, seed=1).n_candidates)))


def test_inspect_of_a_file_with_one_bad_event_describes_those_before(run, tmp_path):
    events = toy_events(9, 30)
    momenta = ak.to_list(events.candidates.pt)
    momenta[5][3] = math.nan
    hs.write(tmp_path / "nan.parquet", events.with_field("candidates", ak.with_field(
        events.array["candidates"], ak.values_astype(ak.Array(momenta), np.float32), "pt")))  # fmt: skip
    code, out, err = run("inspect", tmp_path / "nan.parquet")
    assert code == 1
    assert out.splitlines()[1] == "events\t9, the first 5 of them readable"
    assert "problem: " in err


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        (
            "plain",
            "plain is no production, it holds no manifest.jsonl: give a folder that mitigate or simulate filled.",
        ),
        ("nowhere", "nowhere does not exist: check the name."),
        ("file", "file is a file: give the folder of a production."),
    ],
)
def test_verify_of_what_is_no_production_gets_one_sentence(run, tmp_path, monkeypatch, name, sentence):
    monkeypatch.chdir(tmp_path)
    Path("plain").mkdir()
    Path("plain/notes.txt").write_text("no events")
    Path("file").write_text("no folder")
    code, out, err = run("verify", name)
    assert (code, out) == (1, "")
    assert only_sentence(err) == f"hardscatter: {sentence}"


def test_verify_tells_machines_how_far_it_is(run, toy_file, tmp_path):
    folder = tmp_path / "parts"
    assert run("mitigate", toy_file, folder, "--method", "chs", "--part", 2)[0] == 0
    code, out, err = run("verify", folder, "--progress", "json")
    assert code == 0
    assert out == f"{folder}: 5 events in 3 parts of 1 inputs, whole\n"
    last = json.loads(err.splitlines()[-1])
    assert (last["doing"], last["done"], last["total"]) == ("verifying", 3, 3)
    assert run("verify", folder, "--progress", "none") == (0, out, "")
    assert run("verify", folder, "--progress", "loud")[0] == 1


@pytest.mark.parametrize(
    ("words", "near"),
    [
        (("mitigate", "toy.parquet", "out.parquet", "--method", "PUPI"), "no method 'PUPI' (did you mean puppi"),
        (("evaluate", "toy.parquet", "--method", "totl"), "there is no method 'totl' (did you mean total"),
        (("simulate", "ttbar", "out.parquet"),
         "(did you mean ttbar-dileptonic, ttbar-semileptonic or ttbar-hadronic?)"),
        (("simulate", "minbias", "out.parquet"), "no hard process to simulate"),
    ],
)  # fmt: skip
def test_unknown_names_come_with_the_nearest_known(run, toy_file, monkeypatch, words, near):
    monkeypatch.chdir(toy_file.parent)
    code, _, err = run(*words)
    assert code == 1
    assert near in only_sentence(err)
    assert [path.name for path in toy_file.parent.iterdir()] == ["toy.parquet"]


def test_the_list_of_processes_says_what_minbias_is_for(run):
    code, out, _ = run("processes")
    assert code == 0
    line = next(line for line in out.splitlines() if line.startswith("minbias\t"))
    assert "what pileup is made of, no hard process to simulate" in line


def test_inspect_warns(run, tmp_path):
    events = toy_events(3)
    fields = {name: events.candidates[name] for name in ("pt", "eta", "phi", "energy", "charge")}
    bare = hs.from_candidates(**fields, vertex=ak.where(fields["charge"] != 0, 0, -1))
    hs.write(tmp_path / "bare.parquet", bare)
    code, _, err = run("inspect", tmp_path / "bare.parquet")
    assert code == 0
    for words in ("no number of vertices", "subtraction seems done", "no truth"):
        assert words in err


def test_mitigate_writes_weights_beside_the_candidates(run, toy_file, tmp_path):
    output = tmp_path / "out.root"
    code, _, err = run("mitigate", toy_file, output, "-m", "puppi", "-m", "puppi:cms-run3", "--step", "2")
    assert code == 0
    assert "5 events with weights puppi, puppi:cms-run3" in err
    events = hs.read(output)
    assert ak.array_equal(events.weights["puppi:cms-run3"], hs.mitigate(events, "puppi:cms-run3"))
    assert events.metadata["weights"]["puppi"]["class"] == "Puppi"
    assert events.metadata["weights"]["puppi"]["cone"] == 0.4


def test_mitigate_all_then_evaluate_stored(run, toy_file, tmp_path):
    output = tmp_path / "all.parquet"
    assert run("mitigate", toy_file, output, "-m", "all")[0] == 0
    code, out, _ = run("evaluate", output, "--json", "--replicas", "10")
    assert code == 0
    table = json.loads(out)
    assert set(table["estimates"]) == (set(hs.methods()) - {"puppi:cms-phase2"}) | {"perfect"}
    assert table["n_events"] == 5


def test_evaluate_streams_to_the_same_numbers(run, toy_file):
    def table(step):
        return json.loads(run("evaluate", toy_file, "-m", "chs", "--json", "--step", step, "--replicas", "10")[1])

    assert table(2) == table(100)


def test_evaluate_many_files_with_progress_for_machines(run, tmp_path):
    events = toy_events(5, 80)
    for name, part in (("a", events[:2]), ("b", events[2:])):
        hs.write(tmp_path / f"{name}.parquet", part)
    (tmp_path / "c.parquet").write_bytes(b"PAR1")
    words = ("evaluate", tmp_path, "-m", "chs", "--json", "--replicas", "3", "--progress", "json")
    code, out, err = run(*words)
    assert (code, out) == (1, "")
    assert "c.parquet" in err
    code, out, err = run(*words, "--skip-bad", "--figure", tmp_path / "f.png", "--event", "3")
    assert code == 0
    found = json.loads(out)
    assert found["file"] == str(tmp_path)
    assert found["n_events"] == 5
    assert len(found["set_aside"]) == 1
    assert (tmp_path / "f.png").exists()
    lines = [json.loads(line) for line in err.splitlines() if line.startswith("{")]
    assert [lines[-1][name] for name in ("doing", "done", "total")] == ["events", 5, 5]
    code, out, _ = run("evaluate", tmp_path / "a.parquet", tmp_path / "b.parquet", *words[2:])
    assert json.loads(out)["estimates"] == found["estimates"]
    assert json.loads(out)["files"] == [str(tmp_path / "a.parquet"), str(tmp_path / "b.parquet")]


@pytest.mark.parametrize("verb", ["simulate", "mitigate", "evaluate", "arena", "report"])
def test_long_verbs_share_their_options(run, verb, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shown = run(verb, "--help")[1]
    for option in ("--cluster", "--workers", "--memory", "--attempts", "--progress"):
        assert option in shown
    words = {"simulate": ("qcd", "out"), "mitigate": ("in", "out"), "evaluate": ("in",)}.get(verb, ("out",))
    for wrong, sentence in (
        (("--progress", "loud"), "progress 'loud' is not known"),
        (("--cluster", "moon"), "cluster 'moon' is not known"),
        (("--workers", "0"), "0 workers"),
    ):
        code, out, err = run(verb, *words, *wrong)
        assert (code, out) == (1, "")
        assert sentence in only_sentence(err)


def test_evaluate_draws(run, delphes_file, tmp_path):
    code, out, err = run(
        "evaluate", delphes_file, "-n", 2, "-m", "puppi", "--replicas", 5, "--figure", tmp_path / "a" / "f.png"
    )
    assert code == 0
    assert out.startswith("# AK4")
    assert (tmp_path / "a" / "f.png").stat().st_size > 50_000
    assert (tmp_path / "a" / "f.pdf").read_bytes().startswith(b"%PDF")
    assert sorted(path.name for path in (tmp_path / "a").iterdir()) == ["f.pdf", "f.png"]
    code, _, err = run("evaluate", delphes_file, "-n", 1, "-m", "chs", "--event", 99, "--figure", tmp_path / "g.png")
    assert code == 1
    assert "no event 99" in err


def test_convert_there_and_back(run, toy_file, tmp_path):
    assert run("convert", toy_file, tmp_path / "a.root")[0] == 0
    assert run("convert", tmp_path / "a.root", tmp_path / "b.parquet")[0] == 0
    original, returned = hs.read(toy_file), hs.read(tmp_path / "b.parquet")
    assert ak.array_equal(original.array, returned.array, equal_nan=True)


def test_methods(run):
    code, out, _ = run("methods", "--json")
    assert code == 0
    assert [entry["id"] for entry in json.loads(out)] == list(hs.methods())
    assert "arXiv:1407.6013" in run("methods")[1]


def broken(name, tmp_path, delphes_file):
    """A file that cannot be used, by the name of what is wrong with it."""
    path = tmp_path / name
    whole = delphes_file.read_bytes()
    if name == "truncated.root":
        path.write_bytes(whole[: len(whole) // 2])
    elif name == "empty.root":
        path.write_bytes(b"")
    elif name == "text.root":
        path.write_text("not a file of ours")
    elif name == "other.parquet":
        pq.write_table(pa.table({"mass": [1.0, 2.0]}), path)
    elif name == "truncated.parquet":
        hs.write(path, toy_events(5))
        path.write_bytes(path.read_bytes()[:-100])
    elif name == "missing_branch.root":
        with uproot.recreate(path) as file:
            file.mktree("Delphes", {"EFlowTrack.PT": "var * float32"})
    elif name == "nan.parquet":
        events = toy_events(2)
        bad = ak.with_field(events.array["candidates"], events.candidates.pt * np.nan, "pt")
        hs.write(path, events.with_field("candidates", bad))
    return path


@pytest.mark.parametrize("verb", ["inspect", "mitigate", "evaluate", "convert"])
@pytest.mark.parametrize(
    "name",
    ["nowhere.root", "truncated.root", "empty.root", "text.root", "other.parquet", "truncated.parquet",
     "missing_branch.root", "nan.parquet"],
)  # fmt: skip
def test_bad_files_get_one_sentence_and_leave_nothing(run, verb, name, tmp_path, delphes_file):
    path = broken(name, tmp_path, delphes_file)
    before = sorted(tmp_path.iterdir())
    output = [tmp_path / "out.parquet"] if verb in ("mitigate", "convert") else []
    code, out, err = run(verb, path, *output)
    assert code == 1
    assert "Traceback" not in out + err
    assert name in err
    if verb != "inspect":  # which shows what it could find, then the problem
        assert name in only_sentence(err)
    assert sorted(tmp_path.iterdir()) == before


def test_wrong_words_are_usage_errors(run, toy_file, tmp_path):
    assert run("mitigate", toy_file)[0] == 2
    assert run("nonsense")[0] == 2
    code, _, err = run("mitigate", toy_file, tmp_path / "out.parquet", "-m", "pupi")
    assert code == 1
    assert "no method 'pupi'" in only_sentence(err)
    code, _, err = run("mitigate", toy_file, tmp_path / "out.txt")
    assert code == 1
    assert ".parquet" in only_sentence(err)


def test_existing_output_is_kept_unless_told(run, toy_file, tmp_path):
    output = tmp_path / "out.parquet"
    output.write_text("precious")
    code, _, err = run("mitigate", toy_file, output)
    assert code == 1
    assert "--overwrite" in only_sentence(err)
    assert output.read_text() == "precious"
    assert run("mitigate", toy_file, output, "--overwrite")[0] == 0
    assert len(hs.read(output)) == 5


def edited(path, change):
    """Write a file of ours after somebody changed its arrays."""
    table = pq.read_table(path)
    array = change(ak.from_arrow(table))
    new = ak.to_arrow_table(array, extensionarray=False, list_to32=True)
    pq.write_table(new.replace_schema_metadata(table.schema.metadata), path)
    return path


def test_edited_files_are_checked_like_any_input(run, toy_file, tmp_path):
    turned = edited(toy_file, lambda array: ak.with_field(array, array["candidates", "phi"] + 7, ("candidates", "phi")))
    assert ak.all(abs(hs.read(turned).candidates.phi) <= np.pi)
    for field, value in ((("candidates", "eta"), 800.0), (("truth", "hard_fraction"), 1.5), (("n_vertices",), -3)):
        hs.write(toy_file, toy_events(5, 80), overwrite=True)
        edited(toy_file, lambda array, field=field, value=value: ak.with_field(array, 0 * array[field] + value, field))
        for verb in ("inspect", "mitigate", "evaluate"):
            arguments = [tmp_path / "out.root"] if verb == "mitigate" else []
            code, out, err = run(verb, toy_file, *arguments)
            assert code == 1
            assert "Traceback" not in out + err
            assert ".".join(field) in err


def test_inspect_json_with_an_empty_event(run, tmp_path):
    columns = {name: [[], [1.0]] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    truth = {"hard_fraction": [[], [1.0]], "met": {"pt": [math.nan, 1.0], "phi": [math.nan, 0.0]}}
    hs.write(tmp_path / "one.parquet", hs.from_candidates(**columns, truth=truth))
    code, out, _ = run("inspect", tmp_path / "one.parquet", "--json")
    assert code == 0
    assert json.loads(out)["truth"]["mean hard_fraction"] == 0.5


def test_pairs_are_a_second_column(run, delphes_file):
    paired = delphes_file.with_name("delphes_ttbar_pu0.root")
    code, out, _ = run("evaluate", delphes_file, "-m", "chs", "-n", 3, "--paired", paired, "--json", "--replicas", 2)
    assert code == 0
    table = json.loads(out)
    assert table["against_no_pileup"]["n_events"] == table["n_events"] == 3
    assert table["against_no_pileup"]["estimates"]["chs"]["met"] != table["estimates"]["chs"]["met"]


def test_evaluate_by_the_talks_definition(run, delphes_file):
    paired = delphes_file.with_name("delphes_ttbar_pu0.root")
    words = ("evaluate", delphes_file, "-n", 3, "--paired", paired, "--replicas", 2, "--definition", "talk")
    table = json.loads(run(*words, "-m", "puppi", "--json")[1])
    assert table["definition"] == table["against_no_pileup"]["definition"] == "talk"
    assert table["estimates"]["puppi"]["talk_ak4.pt"]["improvement_cms"]["value"] == 0
    assert table["estimates"]["puppi:best"]["talk_ak4.pt"]["improvement"]["value"] == 0
    assert set(table["estimates"]["perfect"]["talk_met"]) == {"median", "delta", "improvement", "improvement_cms"}


def test_pairs_of_other_length_are_refused(run, toy_file, delphes_file):
    code, _, err = run("evaluate", toy_file, "-m", "chs", "--paired", delphes_file)
    assert code == 1
    assert "has 5 events" in only_sentence(err)
    assert "has 24" in only_sentence(err)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (("--replicas", 0), "replicas"), (("--event", 99, "--figure", "f.png"), "no event 99"),
        (("--figure", "res.v2"), ".png or .pdf"), (("--figure", "/proc/nowhere/f.png"), "cannot be written"),
        (("--step", 0), "step is 0"), (("--definition", "tolk"), "no definition 'tolk'"),
        (("--definition", "talk", "--figure", "f.png"), "leave out --definition or --figure"),
    ],
)  # fmt: skip
def test_wrong_settings_are_found_before_any_work(run, toy_file, options, words, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    code, out, err = run("evaluate", toy_file, "-m", "chs", *options)
    assert code == 1
    assert words in only_sentence(err)
    assert out == ""
    assert run("inspect", toy_file, "--step", 0)[0] == 1


@pytest.mark.slow
@pytest.mark.parametrize(("name", "code"), [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129)])
def test_a_stopped_run_leaves_nothing(delphes_file, tmp_path, name, code):
    process = subprocess.Popen(
        [PROGRAM, "mitigate", str(delphes_file), str(tmp_path / "out.parquet"), "-m", "all", "--step", "1"],
        stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    while not any(path.suffix == ".partial" for path in tmp_path.iterdir()):
        time.sleep(0.05)
        assert process.poll() is None
    process.send_signal(getattr(signal, name))
    _, error = process.communicate(timeout=60)
    assert process.returncode == code
    assert "interrupted; nothing half-written is left" in error
    assert "Traceback" not in error
    assert list(tmp_path.iterdir()) == []


@pytest.mark.slow
def test_output_that_cannot_be_written():
    with Path("/dev/full").open("w") as full:
        done = subprocess.run([PROGRAM, "methods"], stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "cannot be written" in done.stderr


def test_evaluate_without_truth_says_so(run, tmp_path):
    hs.write(tmp_path / "data.parquet", toy_events(2).without_truth())
    code, _, err = run("evaluate", tmp_path / "data.parquet")
    assert code == 1
    assert "truth" in only_sentence(err)


def test_output_without_a_terminal_is_plain_and_json_is_clean(delphes_file):
    """As in a batch job: no colours, no bars, and nothing but JSON on stdout (FastJet prints its banner on stderr)."""
    done = subprocess.run(
        [PROGRAM, "evaluate", str(delphes_file), "-n", "1", "-m", "chs", "--json", "--replicas", "2"],
        capture_output=True, text=True, check=True,
    )  # fmt: skip
    json.loads(done.stdout)
    assert "\x1b" not in done.stdout + done.stderr
    assert "events: 1 of 1" in done.stderr
