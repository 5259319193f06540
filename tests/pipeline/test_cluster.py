"""Productions on a cluster of real processes, killed, starved, interrupted: nothing lost, doubled or half-written."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

import hardscatter as hs
from hardscatter.errors import ClusterError
from hardscatter.jobs import Cluster, run
from hardscatter.production import files_of, verify
from hardscatter.production.manifest import NAME, read_manifest
from helpers import toy_events

pytestmark = pytest.mark.slow

HARDSCATTER = str(Path(sys.executable).with_name("hardscatter"))
DASK = str(Path(sys.executable).with_name("dask"))
N = (12, 7, 9)
"""Crossings of the inputs; parts hold one each, so that there is time to do harm."""


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("inputs")
    for i, n in enumerate(N):
        hs.write(folder / f"{'abc'[i]}.parquet", toy_events(n, 60, seed=i))
    return folder


@pytest.fixture(scope="module")
def serial(inputs, tmp_path_factory):
    """The same production in one process."""
    out = tmp_path_factory.mktemp("serial") / "out"
    done = mitigate(inputs, out)
    assert done.returncode == 0, done.stderr
    assert verify(out) == []
    return out


def command(inputs, out, *options):
    return [HARDSCATTER, "mitigate", str(inputs), str(out), "--method", "puppi:best", "--part", "1", *options]


def mitigate(inputs, out, *options, **more):
    return subprocess.run(
        command(inputs, out, *options), capture_output=True, text=True, check=False, timeout=300, **more
    )


@contextlib.contextmanager
def going(inputs, out, *options):
    """Run a production in the background until it has finished some parts."""
    process = subprocess.Popen(
        command(inputs, out, *options), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        wait_for_parts(out, 5, process)
        yield process
    finally:
        for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
            child.kill()
        process.kill()
        process.communicate()


def wait_for_parts(out, n, process=None, seconds=120):
    deadline = time.monotonic() + seconds
    while n_parts(out) < n:
        assert process is None or process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline, f"{n_parts(out)} parts after {seconds} s"
        time.sleep(0.05)


def n_parts(out):
    manifest = out / NAME
    return manifest.read_text().count('"part": "') if manifest.exists() else 0


def check_same(out, serial):
    """Make sure that a production holds each part once, bit by bit that of one process, and nothing else."""
    assert verify(out) == []
    here, there = read_manifest(out).parts, read_manifest(serial).parts
    assert len(there) == sum(N)
    assert {name: line["sha256"] for name, line in here.items()} == {
        name: line["sha256"] for name, line in there.items()
    }
    lines = [json.loads(line) for line in (out / NAME).read_text().splitlines()]
    assert len([line for line in lines if "part" in line]) == sum(N)  # none was done twice
    assert {path.name for path in out.iterdir()} == {*here, NAME}


def workers_of(process):
    """The processes that do the work: those without children, besides Python's own helpers."""
    return [
        child
        for child in psutil.Process(process.pid).children(recursive=True)
        if not child.children() and "spawn_main" in " ".join(child.cmdline())
    ]


@pytest.mark.parametrize("workers", [4])
def test_any_number_of_processes_gives_the_same_bits(inputs, serial, tmp_path, workers):
    out = tmp_path / "out"
    done = mitigate(inputs, out, "--cluster", "local", "--workers", str(workers))
    assert done.returncode == 0, done.stderr
    check_same(out, serial)


def test_any_order_gives_the_same_bits(inputs, serial, tmp_path):
    out = tmp_path / "out"
    for path in reversed(files_of([inputs])):
        assert mitigate(path, out).returncode == 0
    check_same(out, serial)


def test_workers_killed_again_and_again(inputs, serial, tmp_path):
    out = tmp_path / "out"
    with going(inputs, out, "--cluster", "local", "--workers", "2", "--attempts", "10") as process:
        for _ in range(3):
            if victims := workers_of(process):
                victims[0].kill()
            time.sleep(1.0)
        _, said = process.communicate(timeout=300)
        assert process.returncode == 0, said
    check_same(out, serial)


def test_the_client_killed(inputs, serial, tmp_path):
    out = tmp_path / "out"
    with going(inputs, out, "--cluster", "local", "--workers", "2") as process:
        process.kill()
    assert 5 <= n_parts(out) < sum(N)
    assert mitigate(inputs, out).returncode == 0
    check_same(out, serial)


def test_the_client_interrupted(inputs, serial, tmp_path):
    out = tmp_path / "out"
    with going(inputs, out, "--cluster", "local", "--workers", "2") as process:
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert not list(out.glob(".partial/*"))
    assert mitigate(inputs, out).returncode == 0
    check_same(out, serial)


def test_the_scheduler_killed_and_started_again(inputs, serial, tmp_path):
    out = tmp_path / "out"
    port = 20000 + os.getpid() % 20000
    address = f"tcp://127.0.0.1:{port}"
    with scheduler(port) as first, going(inputs, out, "--cluster", address) as process:
        first.kill()
        _, said = process.communicate(timeout=120)
        assert process.returncode == 1
        assert "the cluster was lost: give the same command again" in said
        assert "Traceback" not in said
    with scheduler(port + 1):
        done = mitigate(inputs, out, "--cluster", f"tcp://127.0.0.1:{port + 1}")
    assert done.returncode == 0, done.stderr
    check_same(out, serial)


@contextlib.contextmanager
def scheduler(port):
    """A scheduler with a worker, as a site would run them."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    options = ["--no-dashboard"]
    head = subprocess.Popen([DASK, "scheduler", "--host", "127.0.0.1", "--port", str(port), *options], **quiet)
    worker = subprocess.Popen(
        [DASK, "worker", f"tcp://127.0.0.1:{port}", "--nthreads", "1", "--death-timeout", "60", *options], **quiet
    )
    try:
        yield head
    finally:
        for process in (worker, head):
            for child in psutil.Process(process.pid).children(recursive=True) if process.poll() is None else ():
                child.kill()
            process.kill()
            process.wait()


BATCH_SYSTEMS = {
    "slurm": {
        "sbatch": """#!/bin/sh
cp "$1" {jobs}.$$  # the script is gone when this returns
setsid sh {jobs}.$$ >/dev/null 2>&1 &
echo $! >> {jobs}
echo "Submitted batch job $!"
""",
        "scancel": """#!/bin/sh
kill -- -"$1"
""",
    },
    "htcondor": {
        "condor_submit": """#!{python}
import re, subprocess, sys
words = re.search('(?m)^Arguments = "(.*)"$', open(sys.argv[1]).read())[1].replace('""', '"')
command = re.fullmatch("-c '(.*)'", words)[1].replace("''", "'")
quiet = {"stdin": subprocess.DEVNULL, "stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
job = subprocess.Popen(["/bin/sh", "-c", command], start_new_session=True, **quiet)
print(job.pid, file=open("{jobs}", "a"))
print(f"1 job(s) submitted to cluster {job.pid}.")
""",
        "condor_rm": """#!/bin/sh
kill -- -"${1%.0}"
""",
    },
}
"""What stands in for the commands of a batch system: jobs start at once, each in a session of its own, on this machine.

What they are given is dask-jobqueue's job description, read as the batch system reads it.
"""


@pytest.mark.parametrize("where", BATCH_SYSTEMS)
def test_batch_jobs_replaced_when_they_end(inputs, serial, tmp_path, monkeypatch, where):
    commands, jobs, out = tmp_path / "commands", tmp_path / "jobs", tmp_path / "out"
    commands.mkdir()
    for name, text in BATCH_SYSTEMS[where].items():
        (commands / name).write_text(text.replace("{jobs}", str(jobs)).replace("{python}", sys.executable))
        (commands / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(commands), prepend=os.pathsep)
    with going(inputs, out, "--cluster", where, "--workers", "1") as process:
        (first,) = jobs.read_text().split()
        os.killpg(int(first), signal.SIGKILL)  # its time is over
        _, said = process.communicate(timeout=120)
    assert process.returncode == 0, said
    submitted = [int(job) for job in jobs.read_text().split()]
    assert len(submitted) > 1
    assert not any(psutil.pid_exists(job) and psutil.Process(job).status() != "zombie" for job in submitted)
    check_same(out, serial)


def test_no_cluster_at_an_address(inputs, tmp_path):
    done = mitigate(inputs, tmp_path / "out", "--cluster", "tcp://127.0.0.1:1")
    assert done.returncode == 1
    assert "cannot be had" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_disk_that_fills_up(inputs, serial, tmp_path):
    small = tmp_path / "small"
    small.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(small)]
    if os.geteuid() or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("no small disk can be mounted here")
    out = small / "out"
    try:
        for options in ((), ("--cluster", "local", "--workers", "2", "--skip-bad")):
            done = mitigate(inputs, out, *options)
            assert done.returncode == 1
            assert "cannot be written (No space left on device)" in done.stderr
            assert "Traceback" not in done.stderr
            assert 0 < n_parts(out) < sum(N)
            assert not [problem for problem in verify(out) if "missing." not in problem]
        subprocess.run(["mount", "-o", "remount,size=40m", str(small)], check=True)
        assert mitigate(inputs, out).returncode == 0
        check_same(out, serial)
    finally:
        subprocess.run(["umount", str(small)], check=False)


def test_an_input_that_is_damaged_half_way(inputs, tmp_path):
    folder, out = tmp_path / "in", tmp_path / "out"
    folder.mkdir()
    for path in files_of([inputs]):
        (folder / path.name).write_bytes(path.read_bytes())
    damaged = folder / "b.parquet"
    with hs.Writer(damaged, overwrite=True) as writer:  # a row group each
        for i in range(N[1]):
            writer.write(toy_events(1, 60, seed=100 + i))
    whole = bytearray(damaged.read_bytes())
    whole[len(whole) // 2 : len(whole) // 2 + 2000] = bytes(2000)
    damaged.write_bytes(whole)
    done = mitigate(folder, out, "--cluster", "local", "--workers", "2")
    assert done.returncode == 1
    assert "b.parquet" in done.stderr
    done = mitigate(folder, out, "--cluster", "local", "--workers", "2", "--skip-bad")
    assert done.returncode == 0, done.stderr
    assert "b.parquet" in done.stderr
    parts = [line["input"] for line in read_manifest(out).parts.values()]
    of_damaged = [name for name in parts if name.endswith("b.parquet")]
    assert 0 < len(of_damaged) < N[1]
    assert len(parts) - len(of_damaged) == N[0] + N[2]
    assert all("b.parquet" in problem for problem in verify(out))


def hoard(megabytes):
    """Fill memory slowly enough to be seen."""
    held = []
    for _ in range(megabytes // 20):
        held.append(bytearray(os.urandom(1) * (20 * 2**20)))
        time.sleep(0.05)
    return len(held)


def test_a_worker_that_takes_too_much_memory():
    cluster = Cluster(workers=2, memory="600 MB", attempts=2)
    outcomes = {outcome.job: outcome for outcome in run(hoard, [20, 4000, 40], cluster)}
    assert (outcomes[20].result, outcomes[40].result) == (1, 2)
    assert isinstance(outcomes[4000].problem, ClusterError)
    assert "out of memory" in str(outcomes[4000].problem)
