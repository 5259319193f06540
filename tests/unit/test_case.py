"""The physics case on disk: page, numbers and figures of a small file, and what goes wrong before any work."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from hardscatter.arena.files import plain
from hardscatter.campaign import FromFile, Sample, own_plan
from hardscatter.campaign.case import Material, case_questions, own_questions
from hardscatter.errors import HardscatterError, SettingsError
from hardscatter.io import write
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Numbers, Study
from hardscatter.report.case import CaseSettings, write_case
from hardscatter.report.headlines import headlines_of, told
from helpers import toy_events


def improvement(value):
    return {"improvement_cms": Estimate(value, 0.02, value - 0.02, value + 0.02)}


def study_of(name, rows):
    table = Numbers(name, "jets", "tt̄, pileup 140", {"improvement_cms": "improvement"}, rows, 50)
    return Study("resolution", "Resolutions", "text", (table,))


def test_headlines_are_in_percent_with_what_they_compare_with():
    rows = {"puppi:best": improvement(0.1), "total": improvement(0.4), "perfect": improvement(0.8)}
    (headline,) = headlines_of([study_of("resolution_talk_ak4_pt", rows)])
    assert headline.value.value == pytest.approx(40.0)
    assert headline.value.error == pytest.approx(2.0)
    assert "TOTAL" in headline.title
    assert "perfect weights: 80.0 ± 2.0 %" in headline.comparison
    assert "talk: about 20 %" in headline.comparison
    assert headline.sample == "tt̄, pileup 140, 50 crossings"


def test_a_number_that_does_not_exist_is_no_headline():
    rows = {"total": {"improvement_cms": Estimate(math.nan, math.nan, math.nan, math.nan)}}
    assert headlines_of([study_of("resolution_talk_ak4_pt", rows), study_of("else", {"total": improvement(1.0)})]) == ()


def test_whose_numbers_are_told():
    assert told(["none", "puppi:best", "mine", "total", "perfect"]) == "total"
    assert told(["none", "mine", "softkiller", "perfect", "no pileup"]) == "softkiller"
    assert told(["none", "puppi", "perfect"]) == ""


def test_plain_data_is_fit_for_json():
    data = {
        "a": (1, math.nan, Estimate(1.0, math.inf, 0.0, 2.0)),
        2: {"b": None, "c": np.float64(1 / 3), "d": np.int64(12345678)},
    }
    assert json.loads(json.dumps(plain(data), allow_nan=False)) == {
        "a": [1, None, {"value": 1.0, "error": None, "low": 0.0, "high": 2.0}],
        "2": {"b": None, "c": 0.333333, "d": 12345678},
    }


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("case") / "toys.parquet"
    write(path, toy_events(12, 80))
    return path


@pytest.fixture(scope="module")
def case(file, tmp_path_factory):
    folder = tmp_path_factory.mktemp("page")
    settings = CaseSettings(("puppi:cms-phase2", "softkiller"), 10, own_questions, title="Toys", command="hardscatter")
    told = []
    written = write_case(folder, own_plan([str(file)], n=12), settings, progress=lambda *step: told.append(step))
    return folder, written, told


def test_a_case_is_a_page_numbers_and_figures(case):
    folder, written, told = case
    assert written[0] == folder / "index.html"
    page = written[0].read_text(encoding="utf-8")
    assert "Toys" in page
    assert all(path.exists() for path in written)
    pictures = {path.stem for path in written[1:]}
    assert len(pictures) == len(written[1:]) / 2  # PNG and PDF
    numbers = {path.stem: json.loads(path.read_text()) for path in (folder / "numbers").iterdir()}
    assert {"resolution", "distributions", "tails", "flow", "weights"} <= numbers.keys()
    results = {result["name"] for study in numbers.values() for result in study["results"]}
    assert results | {"before_and_after"} == pictures
    (met,) = [result for result in numbers["resolution"]["results"] if result["name"].endswith("_met")][:1]
    assert met["rows"]["perfect"]["delta"]["value"] < met["rows"]["puppi:cms-phase2"]["delta"]["value"]
    provenance = json.loads((folder / "case.json").read_text())["provenance"]
    assert provenance["samples"][0]["crossings"] == 12
    assert provenance["methods"] == ["puppi:cms-phase2", "softkiller"]
    assert told[-1][0] == "studies"


def test_no_truth_of_a_candidate_reaches_the_page_as_a_path(case, file):
    page = (case[0] / "index.html").read_text(encoding="utf-8")
    assert str(file.parent) not in page


def test_mistakes_are_found_before_any_work(file, tmp_path):
    samples = (Sample("toys", "toys", FromFile(file, 3)),)
    with pytest.raises(HardscatterError, match="no method 'puppy'"):
        write_case(tmp_path, samples, CaseSettings(("puppy",)))
    with pytest.raises(SettingsError, match="1 bootstrap replicas give no error"):
        write_case(tmp_path, samples, CaseSettings(("chs",), replicas=1))
    assert list(tmp_path.iterdir()) == []


def test_questions_need_their_samples():
    assert case_questions(Material({}, {})) == {}
    assert own_questions(Material({}, {})) == {}


@pytest.mark.slow
def test_the_command_line_writes_the_page(run, file, tmp_path):
    code, _, err = run("report", tmp_path / "page", "-s", file, "-m", "chs", "-n", 6, "--replicas", 5)
    assert code == 0, err
    assert "index.html" in err
    assert (tmp_path / "page" / "index.html").stat().st_size > 100_000


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["-s", "nowhere.parquet"], "nowhere.parquet"),
        (["-s", "ttbar"], "no process 'ttbar'"),
        (["--share", "0"], "share is 0"),
        (["--znunu", "nowhere.hepmc3"], "nowhere.hepmc3"),
        (["-s", "qcd", "-m", "puppy"], "no method 'puppy'"),
    ],
)
def test_the_command_line_says_what_is_wrong_in_one_sentence(run, tmp_path, words, complaint):
    code, out, err = run("report", tmp_path / "page", *words)
    assert code == 1
    assert out == ""
    assert complaint in err
    assert len(err.strip().splitlines()) == 1
    assert not (tmp_path / "page").exists()
