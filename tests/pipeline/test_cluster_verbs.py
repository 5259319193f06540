"""Every verb on a cluster of two processes: the bits of one process, whatever the pieces."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import awkward as ak
import pytest

import hardscatter as hs
from hardscatter.arena import contest
from hardscatter.campaign import own_plan, record
from hardscatter.campaign.recording import CHUNK, prepared
from hardscatter.jobs import connected
from hardscatter.production.manifest import read_manifest
from helpers import toy_events

PROGRAM = str(Path(sys.executable).with_name("hardscatter"))
SMALL = {"pileup": 3, "n_minbias": 60, "seed": 5}
N = 7


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    """A cache of its own, shared by the tests of this file and their workers."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(scope="module")
def two(cache):
    """Two workers, started once."""
    with connected(hs.Cluster(workers=2)) as client:
        yield client


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("files")
    for i, n in enumerate((CHUNK + 5, 3, 8)):
        hs.write(folder / f"{'abc'[i]}.parquet", toy_events(n, 50, seed=i))
    return folder


def parts_of(folder):
    """All events of a production, in the order of their places."""
    lines = sorted(read_manifest(folder).parts.values(), key=lambda line: line["first"])
    return [hs.read(folder / line["part"]) for line in lines], [line["with"][0]["file"] for line in lines]


def check_parts(folder):
    """Make sure that parts and partners are the crossings of `hs.simulate`, bit by bit."""
    parts, partners = parts_of(folder)
    assert hs.verify(folder) == []
    expected = hs.simulate("wjets", N, **SMALL)
    assert ak.array_equal(hs.concatenate(parts).array, expected.array, equal_nan=True, dtype_exact=True)
    alone = hs.concatenate([hs.read(folder / name) for name in partners])
    assert ak.to_list(alone.event) == ak.to_list(expected.event)
    assert ak.array_equal(alone.truth.partons, expected.truth.partons, equal_nan=True)
    return {name: line["sha256"] for name, line in read_manifest(folder).parts.items()}


def test_parts_are_the_crossings_of_simulate(cache, tmp_path):
    made = hs.simulate_files("wjets", tmp_path / "out", N, paired=tmp_path / "alone", part=3, **SMALL)
    assert made.parts == 3
    check_parts(tmp_path / "out")
    hs.simulate_file("wjets", tmp_path / "whole.parquet", N, paired=tmp_path / "whole0.parquet", **SMALL)
    alone = [hs.read(path) for path in sorted((tmp_path / "alone").iterdir())]
    there = hs.read(tmp_path / "whole0.parquet")
    assert ak.array_equal(hs.concatenate(alone).array, there.array, equal_nan=True, dtype_exact=True)


@pytest.mark.slow
def test_simulated_parts_on_a_cluster(two, tmp_path):
    one = tmp_path / "one"
    for folder, cluster in ((one, None), (tmp_path / "both", two)):
        hs.simulate_files("wjets", folder, N, paired=f"{folder}0", part=2, cluster=cluster, **SMALL)
    assert check_parts(one) == check_parts(tmp_path / "both")


@pytest.mark.slow
def test_libraries_are_built_by_the_workers(two, cache, tmp_path, monkeypatch):
    settings = {**SMALL, "seed": 6}
    events = hs.simulate("wjets", 4, **settings, workers=two)
    monkeypatch.setenv("HARDSCATTER_CACHE", str(tmp_path))
    assert ak.array_equal(hs.simulate("wjets", 4, **settings).array, events.array, equal_nan=True)


@pytest.mark.slow
def test_evaluations(files, two, tmp_path):
    (tmp_path / "bad.parquet").write_bytes(b"PAR1")
    words = [files, tmp_path / "bad.parquet"]
    one = hs.evaluate(words, ["puppi", "total"], replicas=5, skip_bad=True)
    both = hs.evaluate(words, ["puppi", "total"], replicas=5, skip_bad=True, step=4, cluster=two)
    assert repr(both.table) == repr(one.table)
    assert both.bad == one.bad
    assert len(one.bad) == 1


@pytest.mark.slow
def test_arenas(files, two, tmp_path):
    one = contest(tmp_path / "one", [str(files)], ["chs", "total"], replicas=5, cost_crossings=0)
    both = contest(tmp_path / "both", [str(files)], ["chs", "total"], replicas=5, cost_crossings=0, step=7, cluster=two)
    assert repr(both) == repr(one)
    kept = {path.relative_to(tmp_path / "one"): path.read_bytes() for path in (tmp_path / "one").rglob("*.npz")}
    assert len(kept) == 6
    assert kept == {
        path.relative_to(tmp_path / "both"): path.read_bytes() for path in (tmp_path / "both").rglob("*.npz")
    }


@pytest.mark.slow
def test_records(files, two, tmp_path):
    samples = own_plan([str(files), "wjets"], n=CHUNK + 9, pileup="3", n_minbias=60)
    for sample in samples:
        for folder, cluster in ((tmp_path / "one", None), (tmp_path / "both", two)):
            record(prepared(sample, ("chs",), folder), cluster=cluster)
    one, both = (
        {path.relative_to(folder): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        for folder in (tmp_path / "one", tmp_path / "both")
    )
    assert len(one) == 2 * 3 + 2 * 4 + 2
    assert both == one


@pytest.mark.slow
def test_the_command_line(files):
    words = [PROGRAM, "evaluate", str(files), "-m", "chs", "--replicas", "5", "--json"]
    done = [
        subprocess.run(command, capture_output=True, text=True, check=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
        for command in (words, [*words, "--workers", "2", "--step", "9", "--progress", "json"])
    ]
    assert done[0].stdout == done[1].stdout
    lines = [json.loads(line) for line in done[1].stderr.splitlines() if line.startswith("{")]
    assert [line["done"] for line in lines if line["doing"] == "events"][-1] == CHUNK + 16
