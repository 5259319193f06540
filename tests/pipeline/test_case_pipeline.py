"""The whole physics case in its quick form, and a run that is killed and goes on."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import time

import pytest

from hardscatter.io import write
from helpers import toy_events

STUDIES = {
    "resolution_ttbar", "resolution_zprime", "distributions_ttbar", "distributions_zprime", "differential", "recoil",
    "dijets", "invisible", "vertices", "unseen", "shifts", "tails", "flow", "weights", "supervised", "anomaly",
}  # fmt: skip


def chunks(folder):
    """Return when each chunk was written; what a killed process left aside, under a hidden name, is none."""
    return {path: path.stat().st_mtime_ns for path in folder.glob("page/records/*/*/[!.]*.parquet")}


def command(*words):
    return [sys.executable, "-c", "from hardscatter.cli import main; main()", *map(str, words)]


@pytest.mark.slow
def test_every_study_runs_in_the_quick_case(tmp_path, collisions, monkeypatch):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))
    done = subprocess.run(command("report", tmp_path, "--quick", "--replicas", 20), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    numbers = {path.stem: json.loads(path.read_text()) for path in (tmp_path / "numbers").iterdir()}
    assert numbers.keys() == STUDIES
    for name, study in numbers.items():
        # Twelve crossings select nothing in the invisible search, but its tables are there.
        assert study["results"], name
    (met,) = [result for result in numbers["resolution_ttbar"]["results"] if result["name"].endswith("ttbar_met")]
    rows = {method: row["delta"]["value"] for method, row in met["rows"].items()}
    assert rows["perfect"] < rows["none"]
    assert {"total", "total:paper", "supervised", "puppi:best", "no pileup"} <= rows.keys()
    assert all(math.isfinite(value) for value in rows.values())
    figures = {path.stem for path in (tmp_path / "figures").iterdir()}
    assert {result["name"] for study in numbers.values() for result in study["results"]} <= figures
    samples = json.loads((tmp_path / "case.json").read_text())["provenance"]["samples"]
    assert len(samples) == 23
    assert (tmp_path / "index.html").stat().st_size < 12_000_000


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT])
def test_a_case_that_is_killed_goes_on(tmp_path, how):
    file = tmp_path / "toys.parquet"
    write(file, toy_events(400, 400))
    words = ("report", tmp_path / "page", "-s", file, "-n", 400, "-m", "softkiller", "-m", "voronoi", "--replicas", 5)
    running = subprocess.Popen(command(*words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    until = time.monotonic() + 120
    while len(list(tmp_path.glob("page/records/*/truth*/*.parquet"))) < 3:
        assert running.poll() is None, "ended before it could be stopped"
        assert time.monotonic() < until
        time.sleep(0.01)
    running.send_signal(how)
    assert running.wait(60) != 0
    before = chunks(tmp_path)
    assert not (tmp_path / "page" / "index.html").exists()
    assert subprocess.run(command(*words), capture_output=True).returncode == 0
    after = chunks(tmp_path)
    assert {path: after[path] for path in before} == before
    assert len(after) == 8 * 4  # chunks of fifty, of the truth, two methods and perfect weights: none twice
    whole = tmp_path / "whole"
    assert subprocess.run(command("report", whole, *words[2:]), capture_output=True).returncode == 0
    for path in (whole / "numbers").iterdir():
        assert path.read_text() == (tmp_path / "page" / "numbers" / path.name).read_text()
