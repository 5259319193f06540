"""Both kinds of C++ and the Verilog, compiled and simulated on many candidates."""

import shutil
import subprocess

import numpy as np
import pytest

pytest.importorskip("hls4ml")
pytest.importorskip("da4ml")

from hardscatter.pileup.learned import MODELS
from hardscatter.trigger import Format, read_model
from hardscatter.trigger.firmware import FirmwareSettings, write_firmware
from small_integers import random_model

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def model():
    """Return one whose hidden layers clip and round, and one of whose inputs is not used."""
    model = random_model(4, (8, 7, 4, 1), inputs=Format(9, 3), hidden=Format(7, 2, signed=False), sparsity=0.4)
    weights = model.layers[0].weights
    weights.setflags(write=True)
    weights[:, 3] = 0
    weights.setflags(write=False)
    return model


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
@pytest.mark.parametrize("strategy", ["latency", "distributed_arithmetic"])
def test_cpp_gives_the_models_bits_of_many_candidates(model, strategy, tmp_path):
    lines = []
    write_firmware(model, tmp_path / "away", FirmwareSettings(strategy=strategy), say=lines.append)
    assert lines[-1].endswith("compiled and run on 100000 candidates: all bits equal to the integer model")
    assert len(np.unique(np.load(tmp_path / "away/vectors.npz")["outputs"])) > 200


@pytest.mark.skipif(shutil.which("verilator") is None, reason="no Verilator")
def test_verilog_gives_the_models_bits_at_the_clock_it_says(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    write_firmware(model, tmp_path / "away", FirmwareSettings(n_compared=2000), say=lambda line: None)
    monkeypatch.delenv("CXX")
    folder = tmp_path / "away/verilog"
    readme = (tmp_path / "away/README.md").read_text()
    command = next(line.split() for line in readme.splitlines() if line.startswith("    verilator"))
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    said = subprocess.run(["obj_dir/Vtestbench"], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert said.startswith("0 of 2000 candidates differ")

    answers = (folder / "outputs.hex").read_text().splitlines()
    answers[7] = f"{int(answers[7], 16) ^ 1:02x}"
    (folder / "outputs.hex").write_text("\n".join(answers) + "\n")
    said = subprocess.run(["obj_dir/Vtestbench"], cwd=folder, check=True, capture_output=True, text=True).stdout
    assert said.startswith("1 of 2000 candidates differ")


@pytest.mark.parametrize("path", sorted(MODELS.glob("*.json")), ids=lambda path: path.stem)
def test_shipped_integer_models_become_firmware(path, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")  # compiled by `hardscatter firmware`; it takes too long for a test
    lines = []
    write_firmware(read_model(path), tmp_path / "away", say=lines.append)
    assert lines[0] == "da4ml's graph: 100000 candidates, all bits equal"
    assert lines[1].endswith("are the model's")
