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


def test_kernels_leave_out_what_others_add_to_numba_until_others_compile():
    code = (
        "import sys, numba, awkward as ak, vector, hardscatter as hs\n"
        "events = hs.from_candidates(pt=[[5.0]], eta=[[0.1]], phi=[[0]], energy=[[5.1]], charge=[[1]], vertex=[[0]])\n"
        "hs.mitigate(events, 'softkiller-zeroing')\n"
        "print('vector.backends._numba_object' in sys.modules)\n"
        "@numba.njit\n"
        "def theirs(momentum, numbers): return momentum.x + numbers[1]\n"
        "print(theirs(vector.obj(x=1.0, y=2.0), ak.Array([1, 2])))"
    )
    done = run(code)
    assert done.stdout.split() == ["False", "3.0"], done.stderr


def test_a_parquet_file_needs_no_root_and_no_jets(tmp_path):
    code = (
        "import sys, hardscatter as hs\n"
        "events = hs.from_candidates(pt=[[5.0]], eta=[[0.1]], phi=[[0]], energy=[[5.1]], charge=[[1]], vertex=[[0]])\n"
        f"hs.write({str(tmp_path / 'events.parquet')!r}, events)\n"
        f"hs.mitigate_file({str(tmp_path / 'events.parquet')!r}, {str(tmp_path / 'out.parquet')!r}, 'chs')\n"
        "print([name for name in ('uproot', 'fastjet', 'rich', 'onnxruntime') if name in sys.modules])"
    )
    done = run(code)
    assert done.stdout.strip() == "[]", done.stderr
