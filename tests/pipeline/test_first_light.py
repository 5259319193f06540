"""The first thing anyone does with us, end to end, in fresh processes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import hardscatter as hs

PROGRAM = str(Path(sys.executable).parent / "hardscatter")


def run(*arguments, **options):
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True, check=False, **options)
    assert done.returncode == 0, done.stderr
    return done


@pytest.fixture(scope="module")
def mitigated(tmp_path_factory):
    path = tmp_path_factory.mktemp("demo") / "mitigated.parquet"
    source = Path(__file__).parents[2] / "examples" / "delphes_ttbar_pu140.root"
    run("mitigate", source, path, "--method", "all")
    return path


@pytest.mark.slow
def test_the_demo(mitigated):
    figure = mitigated.with_name("first_light.png")
    done = run("evaluate", mitigated, "--event", "11", "--figure", figure, "--json")
    table = json.loads(done.stdout)
    estimates = table["estimates"]
    assert figure.stat().st_size > 100_000

    def resolution(method):
        return estimates[method]["ak4_central.pt"]["resolution"]["value"]

    # Physics that 24 crossings are enough to see: mitigation helps, and nothing beats perfect weights by far.
    assert table["sizes"]["ak4_central.pt"] == 59
    assert resolution("perfect") < resolution("puppi") < resolution("chs")
    assert estimates["none"]["ak4_central.pt"]["median"]["value"] > 0.5
    assert abs(estimates["puppi"]["ak4_central.pt"]["median"]["value"]) < 0.05
    assert abs(estimates["perfect"]["ak4_central.pt"]["median"]["value"]) < 0.02
    fakes = {name: estimates[name]["ak4_central.pt"]["fakes"]["value"] for name in ("chs", "puppi")}
    assert fakes["puppi"] < 0.2
    assert fakes["chs"] > 20
    met = {name: estimates[name]["met"]["delta"]["value"] for name in ("none", "puppi", "perfect")}
    assert met["perfect"] < met["puppi"] < met["none"]
    assert estimates["perfect"]["met"]["slope"]["value"] == pytest.approx(1, abs=0.1)


@pytest.mark.slow
def test_memory_stays_bounded(mitigated, tmp_path):
    """Ten times the events in one file take no more memory when streamed."""
    events = hs.read(mitigated)
    long_file = tmp_path / "long.parquet"
    with hs.Writer(long_file) as writer:
        for _ in range(10):
            writer.write(events)

    def peak(path):
        """Peak memory (MB) of a fresh process that mitigates a file eight crossings at a time."""
        code = (
            "import resource, sys; sys.argv[0] = 'hardscatter'\n"
            "from hardscatter.cli import main\n"
            "try: main()\n"
            "except SystemExit: pass\n"
            "print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)"
        )
        out = tmp_path / f"{path.stem}_out.parquet"
        words = ["--threads", "1", "mitigate", str(path), str(out), "-m", "puppi", "--step", "8"]
        environment = {**os.environ, "MALLOC_ARENA_MAX": "1"}
        done = subprocess.run(
            [sys.executable, "-c", code, *words], capture_output=True, text=True, check=True, env=environment
        )
        return float(done.stdout.split()[-1])

    short, long = peak(mitigated), peak(long_file)
    assert long < short + 60
