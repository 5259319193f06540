"""Importing: quick, lazy, complete, and without torch."""

from __future__ import annotations

import subprocess
import sys

import pytest

import hardscatter as hs


def run(code):
    return subprocess.run([sys.executable, "-W", "error", "-c", code], capture_output=True, text=True, check=False)


def test_import_loads_no_library():
    heavy = ("numpy", "awkward", "numba", "uproot", "pyarrow", "fastjet", "matplotlib", "scipy", "pydantic")
    done = run(f"import sys, hardscatter; print([m for m in {heavy!r} if m in sys.modules])")
    assert done.stdout.strip() == "[]", done.stderr


def test_every_public_name_loads():
    for name in hs._HOME:
        assert getattr(hs, name) is not None
    assert set(hs._HOME) <= set(dir(hs))
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = hs.nonsense


def test_core_runs_with_torch_blocked():
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'onnx'): sys.modules[name] = None\n"
        "import hardscatter as hs\n"
        "events = hs.from_candidates(pt=[[5.0]], eta=[[0.1]], phi=[[0.2]], energy=[[5.1]], charge=[[1]], vertex=[[0]],"
        " n_vertices=[3])\n"
        "for method in hs.methods(): hs.mitigate(events, method)\n"
        "print('fine')"
    )
    done = run(code)
    assert done.stdout.strip() == "fine", done.stderr
