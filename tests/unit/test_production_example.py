"""The C++ example in examples/production gives the weights that Python gives."""

import importlib.util
import os
import shutil
import subprocess
from pathlib import Path

import awkward as ak
import numpy as np
import onnxruntime
import pytest

import hardscatter as hs
from hardscatter.pileup.learned import describe, load
from helpers import toy_events

EXAMPLE = Path(__file__).parents[2] / "examples" / "production"
STAND_IN = Path(__file__).parents[1] / "data" / "onnxruntime"
LIBRARY = next((Path(onnxruntime.__file__).parent / "capi").glob("libonnxruntime.so*"), None)

pytestmark = pytest.mark.skipif(
    shutil.which("g++") is None or LIBRARY is None, reason="no C++ compiler, or no library to link"
)


def headers():
    """Return where ONNX Runtime's headers are: the real ones if ONNXRUNTIME names their place, else a stand-in."""
    places = [Path(os.environ.get("ONNXRUNTIME", "/usr")) / name for name in ("include", "include/onnxruntime")]
    return next((place for place in places if (place / "onnxruntime_cxx_api.h").is_file()), STAND_IN)


@pytest.fixture(scope="module")
def program(tmp_path_factory):
    room = tmp_path_factory.mktemp("production")
    for name in ("libonnxruntime.so", "libonnxruntime.so.1"):  # as an installation of the C++ release has them
        (room / name).symlink_to(LIBRARY)
    flags = ["-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", f"-I{headers()}"]
    link = [f"-L{room}", "-lonnxruntime", f"-Wl,-rpath,{room}"]
    subprocess.run(["g++", *flags, EXAMPLE / "weights.cpp", "-o", room / "weights", *link], check=True)
    return room / "weights"


@pytest.fixture(scope="module")
def write_inputs():
    spec = importlib.util.spec_from_file_location("write_inputs", EXAMPLE / "write_inputs.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.write_inputs


def arrays_of(path, n):
    """Return the arrays in a file by name; the shapes are those that the example has, not those of the model."""
    given = path.read_bytes()
    types = {"features": (np.float32, 55), "coordinates": (np.float32, 3), "neighbours": (np.int64, 16)}
    arrays, start = {}, 0
    for name, (kind, width) in types.items():
        arrays[name] = np.frombuffer(given, kind, n * width, start).reshape(n, width)
        start += arrays[name].nbytes
    assert start == len(given)
    return arrays


@pytest.mark.parametrize("n_candidates", [0, 1, 17, 900])
def test_cpp_gives_the_weights_of_python(program, write_inputs, tmp_path, n_candidates):
    events = toy_events(n_events=1, n_candidates=n_candidates)
    n = write_inputs(events, "total", tmp_path / "inputs.bin")
    assert n_candidates // 2 <= n <= n_candidates
    command = [program, describe("total").path, tmp_path / "inputs.bin", str(n)]
    said = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    weights = np.array(said.split(), dtype=np.float64)
    wanted = load("total").session.run(["weights"], arrays_of(tmp_path / "inputs.bin", n))[0]
    assert weights.shape == wanted.shape
    np.testing.assert_allclose(weights, wanted, rtol=0, atol=1e-6)
    np.testing.assert_allclose(weights, ak.flatten(hs.mitigate(events, "total")), rtol=0, atol=1e-5)
    assert n < 100 or np.ptp(weights) > 0.1
