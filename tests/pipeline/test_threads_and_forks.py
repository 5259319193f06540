"""Dask, PyTorch's loaders and ONNX Runtime in one process, with threads and forks: it ends, and the weights are right.

Each case is a script in a process of its own, so that a deadlock is a failure after `LIMIT` seconds and nothing more.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

LIMIT = 240
TESTS = Path(__file__).parents[1]

PROLOGUE = """
import multiprocessing
import numpy as np
import awkward as ak
import hardscatter as hs
from helpers import toy_events

METHODS = ("total", "pumml", "puppi")  # our own kernels, ONNX Runtime, Numba
events = toy_events(6, 120)

def weigh(_=0):
    return [ak.to_numpy(ak.flatten(hs.mitigate(events, method))) for method in METHODS]

def same(found):
    return all(np.abs(a - b).max() < 1e-6 for a, b in zip(found, expected, strict=True))
"""

CASES = {
    "threads": """
from concurrent.futures import ThreadPoolExecutor
hs.set_threads(3)
expected = weigh()
with ThreadPoolExecutor(6) as pool:
    assert all(map(same, pool.map(weigh, range(30))))
""",
    "threads that meet cold": """
from concurrent.futures import ThreadPoolExecutor
hs.set_threads(3)
with ThreadPoolExecutor(6) as pool:
    found = list(pool.map(weigh, range(6)))
expected = weigh()
assert all(map(same, found))
""",
    "fork after work": """
hs.set_threads(2)
expected = weigh()
with multiprocessing.get_context("fork").Pool(2) as pool:
    assert all(map(same, pool.map(weigh, range(6))))
assert same(weigh())
""",
    "fork while threads work": """
import threading
hs.set_threads(2)
expected = weigh()
stop = threading.Event()
def work():
    while not stop.is_set():
        weigh()
threads = [threading.Thread(target=work) for _ in range(2)]
for thread in threads: thread.start()
try:
    with multiprocessing.get_context("fork").Pool(2) as pool:
        assert all(map(same, pool.map(weigh, range(4))))
finally:
    stop.set()
    for thread in threads: thread.join()
""",
    "Dask's threads and processes": """
import dask
from distributed import Client, LocalCluster
hs.set_threads(2)
expected = weigh()
with dask.config.set({"distributed.worker.multiprocessing-method": "spawn"}):
    for processes in (False, True):
        with LocalCluster(n_workers=2, threads_per_worker=2, processes=processes, dashboard_address=None,
                          memory_limit=0) as cluster, Client(cluster) as client:
            assert all(map(same, client.gather(client.map(weigh, range(6), pure=False))))
""",
    "loaders of PyTorch": """
import torch
from torch.utils.data import DataLoader, Dataset
class Crossings(Dataset):
    def __len__(self): return 6
    def __getitem__(self, i): return [torch.from_numpy(one) for one in weigh(i)]
hs.set_threads(2)
expected = weigh()
torch.ones(200, 200) @ torch.ones(200, 200)
for context in ("fork", "spawn"):
    loader = DataLoader(Crossings(), batch_size=None, num_workers=2, multiprocessing_context=context)
    for batch in loader:
        assert same([one.numpy() for one in batch])
        assert same(weigh())
""",
    "all together": """
import dask, torch
from distributed import Client, LocalCluster
from torch.utils.data import DataLoader, Dataset
class Crossings(Dataset):
    def __len__(self): return 4
    def __getitem__(self, i): return [torch.from_numpy(one) for one in weigh(i)]
hs.set_threads(2)
expected = weigh()
with LocalCluster(n_workers=1, threads_per_worker=2, processes=False, dashboard_address=None,
                  memory_limit=0) as cluster, Client(cluster) as client:
    futures = client.map(weigh, range(8), pure=False)
    for batch in DataLoader(Crossings(), batch_size=None, num_workers=2, multiprocessing_context="fork"):
        assert same([one.numpy() for one in batch])
    assert all(map(same, client.gather(futures)))
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_no_deadlock_and_the_same_weights(case, tmp_path):
    if not hasattr(os, "fork"):
        pytest.skip("forks are for POSIX")
    pytest.importorskip("torch")
    pytest.importorskip("distributed")
    script = tmp_path / "case.py"
    script.write_text(PROLOGUE + _guarded(CASES[case]), encoding="utf-8")
    done = subprocess.run(
        [sys.executable, str(script)],
        env={**os.environ, "PYTHONPATH": str(TESTS), "PYTHONWARNINGS": "ignore::DeprecationWarning"},
        cwd=tmp_path, capture_output=True, text=True, timeout=LIMIT, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]


def _guarded(body: str) -> str:
    """Put what starts processes under the guard that spawned ones need; what they look up by name stays outside."""
    lines = body.strip().splitlines()
    outside = [line for line in lines if line.startswith(("import ", "from ", "class ", "    def "))]
    rest = [line for line in lines if line not in outside]
    return "\n".join([*outside, 'if __name__ == "__main__":', *(f"    {line}" for line in rest), ""])
