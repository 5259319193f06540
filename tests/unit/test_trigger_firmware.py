"""Firmware equals the integer model bit by bit, or is not exported; what is taken away is whole."""

import hashlib
import json
import shutil
import subprocess
from dataclasses import replace

import numpy as np
import pytest
from typer.testing import CliRunner

pytest.importorskip("hls4ml")
pytest.importorskip("da4ml")

from hardscatter.cli import app
from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.trigger import Format, hls, read_model, write_model
from hardscatter.trigger.adders import Adders
from hardscatter.trigger.firmware import FirmwareSettings, compare_cpp, compile_cpp, probes, write_firmware
from hardscatter.trigger.hls import check_project, write_project
from small_integers import random_model

PROJECT = {"name": "tiny", "part": "xcvu13p-flga2577-2-e", "clock_period": 2.5}
SETTINGS = FirmwareSettings(name="tiny", n_compared=300, n_vectors=100)


def silent(_line):
    pass


@pytest.fixture(scope="module")
def model():
    return random_model(1, (4, 3, 1), sparsity=0.2)


@pytest.fixture
def project(model, tmp_path):
    folder = tmp_path / "cpp"
    write_project(model, folder, strategy="latency", **PROJECT)
    return folder


@pytest.mark.parametrize("strategy", ["latency", "distributed_arithmetic"])
@pytest.mark.parametrize(
    "formats",
    [
        {},
        {"inputs": Format(10, 4, signed=False), "weights": Format(4, -1)},
        {"inputs": Format(6, 6), "weights": Format(4, 4), "hidden": Format(10, 10, signed=False)},
    ],
    ids=["plain", "small weights", "whole numbers"],
)
def test_what_hls4ml_wrote_is_the_model(strategy, formats, tmp_path):
    model = random_model(2, (5, 6, 4, 1), **formats)
    write_project(model, tmp_path / "cpp", strategy=strategy, **PROJECT)
    check_project(model, tmp_path / "cpp", name="tiny", strategy=strategy)
    record = (tmp_path / "cpp" / "hls4ml_config.yml").read_text()
    assert str(tmp_path) not in record
    assert "ClockPeriod: 2.5" in record


@pytest.mark.parametrize(
    ("file", "old", "new", "said"),
    [
        ("defines.h", "AP_RND,AP_SAT,0> layer2_t", "AP_TRN,AP_SAT,0> layer2_t", "types.*layer2_t.*AP_TRN"),
        ("defines.h", "> dense1_accum_t", ",AP_RND,AP_SAT> dense1_accum_t", "types.*dense1_accum_t"),
        ("defines.h", "<8,3,AP_RND,AP_SAT,0> input_t", "<9,3,AP_RND,AP_SAT,0> input_t", "types.*input_t.*width=9"),
        ("defines.h", "typedef ap_ufixed<8,0", "typedef  ap_ufixed<8,0", "types.*result_t: None"),
        ("parameters.h", "reuse_factor = 1", "reuse_factor = 2", "settings of layer 1.*reuse_factor"),
        ("parameters.h", "nnet::latency", "nnet::resource", "settings of layer 1.*strategy"),
        ("weights/w2.h", "{", "{0.5, ", "numbers w2"),
        ("weights/b3.h", "};", "5};", "numbers b3"),
        ("tiny.cpp", "nnet::dense<", "nnet::dense_wrapped<", "calls"),
        ("tiny.cpp", "(candidate, layer2_out, w2, b2)", "(candidate, layer2_out, w2, b3)", "calls"),
    ],
)
def test_what_hls4ml_wrote_otherwise_is_refused(model, project, file, old, new, said):
    path = project / "firmware" / file
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
    with pytest.raises(SettingsError, match=said):
        check_project(model, project, name="tiny", strategy="latency")


def test_a_setting_that_hls4ml_ignores_is_found(model, tmp_path, monkeypatch):
    """It takes a key that it does not know without a word, and gives the layer the precision of the whole."""
    right = hls._settings

    def misspelled(layer, strategy):
        settings = right(layer, strategy)
        return settings | {"Precision": {key.capitalize(): value for key, value in settings["Precision"].items()}}

    monkeypatch.setattr(hls, "_settings", misspelled)
    write_project(model, tmp_path / "cpp", strategy="latency", **PROJECT)
    with pytest.raises(SettingsError, match="hls4ml wrote types that are not the model's"):
        check_project(model, tmp_path / "cpp", name="tiny", strategy="latency")


@pytest.mark.parametrize("seed", range(3))
def test_the_graph_of_additions_gives_the_models_integers(seed):
    model = random_model(seed, (5, 8, 4, 1), inputs=Format(7, 3), hidden=Format(6, 2, signed=False), sparsity=0.4)
    x = probes(model, 3000, seed)
    found = Adders(model).integers(x)
    np.testing.assert_array_equal(found, model.integers(x))
    assert len(np.unique(found)) > 10
    assert Adders(model).integers(x[:0]).shape == (0,)


def test_weights_that_da4ml_would_round_are_refused():
    with pytest.raises(SettingsError, match="more than 24 bits"):
        Adders(random_model(1, (2, 1), weights=Format(25, 1)))


def test_the_ports_of_the_verilog_hold_each_input_and_none_that_is_not_used():
    model = random_model(1, (3, 2, 1))
    x = np.array([[1, 2, -1], [-128, 0, 127]])
    assert Adders(model).packed_inputs(x) == (24, [0xFF0201, 0x7F0080])
    assert Adders(model).packed_outputs(np.array([255, 3])) == (8, [255, 3])
    first = replace(model.layers[0], weights=model.layers[0].weights * [1, 0, 1])
    pruned = Adders(replace(model, layers=(first, *model.layers[1:])))
    assert pruned.packed_inputs(x) == (16, [0xFF01, 0x7F80])
    assert pruned.ports() == {"x0": (0, 7), "x2": (8, 15)}


def test_probes_go_to_the_ends():
    model = random_model(1, (4, 3, 1))
    form = model.input_format
    x = probes(model, 500, 1)
    assert x.shape == (500, 4)
    assert (x.min(), x.max()) == (form.lowest, form.highest)
    sums = x @ model.layers[0].weights.T
    highest = np.where(model.layers[0].weights > 0, form.highest, form.lowest)
    np.testing.assert_array_equal(sums.max(axis=0), (model.layers[0].weights * highest).sum(axis=1))
    given = np.full((7, 4), 11)
    assert (probes(model, 500, 1, given) == 11).all(axis=1).sum() == 7
    assert probes(model, 5, 1).shape == (5, 4)
    np.testing.assert_array_equal(probes(model, 500, 1), x)
    assert (probes(model, 500, 2) != x).any()


@pytest.fixture
def folder(model, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setenv("CXX", "no-such-compiler")
        write_firmware(model, tmp_path / "away", SETTINGS, say=silent)
    return tmp_path / "away"


@pytest.mark.skipif(shutil.which("g++") is None, reason="no C++ compiler")
def test_the_compiled_firmware_gives_the_models_bits_and_one_other_bit_is_refused(folder, tmp_path):
    bench, stored = tmp_path / "bench", np.load(folder / "vectors.npz")
    assert compile_cpp(folder / "cpp", "tiny", bench)
    compare_cpp(bench, stored["inputs"], stored["outputs"])
    subprocess.run([bench], cwd=folder / "cpp", check=True)  # as README says: with the vectors in the folder
    outputs = stored["outputs"].copy()
    outputs[17] ^= 1
    with pytest.raises(SettingsError, match="1 of 100 candidates differ"):
        compare_cpp(bench, stored["inputs"], outputs)
    with pytest.raises(SettingsError, match="no answer to candidate 99"):
        compare_cpp(bench, stored["inputs"], outputs[:-1])
    with pytest.raises(SettingsError, match="0 of 0"):
        compare_cpp(bench, stored["inputs"][:0], outputs[:0])
    (folder / "cpp/firmware/tiny.cpp").write_text("nonsense")
    with pytest.raises(SettingsError, match="does not compile"):
        compile_cpp(folder / "cpp", "tiny", bench)


def test_vectors_and_estimates_are_those_of_the_model(model, folder):
    stored = np.load(folder / "vectors.npz")
    np.testing.assert_array_equal(read_model(folder / "model.json").integers(stored["inputs"]), stored["outputs"])
    np.testing.assert_array_equal(np.loadtxt(folder / "cpp/tb_data/inputs.txt", dtype=int), stored["inputs"])
    assert len(stored["inputs"]) == len((folder / "verilog/outputs.hex").read_text().split()) == 100
    estimates = json.loads((folder / "estimates.json").read_text())
    assert "estimate" in estimates["kind"]
    assert estimates["multiplications"] == model.multiplications
    assert estimates["luts"] > estimates["additions"] > 0
    assert [layer["accumulator_bits"] for layer in estimates["layers"]] == [
        layer.accumulator.width for layer in model.layers
    ]


def test_a_folder_is_whole_and_says_what_was_not_done(model, folder, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    assert "not compiled, for there was no compiler" in (folder / "README.md").read_text()
    listed = dict(line.split("  ")[::-1] for line in (folder / "SHA256SUMS").read_text().splitlines())
    there = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()} - {"SHA256SUMS"}
    assert set(listed) == there
    assert all(hashlib.sha256((folder / name).read_bytes()).hexdigest() == digest for name, digest in listed.items())

    with pytest.raises(UnwritableFileError, match="exists"):
        write_firmware(model, folder, SETTINGS, say=silent)
    (folder / "stale").touch()
    write_firmware(model, folder, SETTINGS, overwrite=True, say=silent)
    assert not (folder / "stale").exists()


def test_the_same_model_gives_the_same_files(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    for name in ("one", "two"):
        write_firmware(model, tmp_path / name, SETTINGS, say=silent)
    one, two = ((tmp_path / name / "SHA256SUMS").read_text() for name in ("one", "two"))
    assert one == two


def test_nothing_is_left_where_a_bit_differs(model, tmp_path, monkeypatch):
    monkeypatch.setattr(Adders, "integers", lambda self, x: model.integers(x) ^ (np.arange(len(x)) == 5))
    with pytest.raises(SettingsError, match="differs from the integer model in 1 of 300"):
        write_firmware(model, tmp_path / "away", SETTINGS, say=silent)
    assert not list(tmp_path.iterdir())


def test_from_the_command_line(model, tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", "no-such-compiler")
    write_model(model, tmp_path / "model.json")
    command = ["firmware", str(tmp_path / "model.json")]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "away"), "--candidates", "200", "--clock", "250"])
    assert done.exit_code == 0, done.output
    assert "ns at 250 MHz" in done.output.replace("\n", " ")
    assert (tmp_path / "away/verilog/src/student.v").is_file()
    done = CliRunner().invoke(app, [*command, str(tmp_path / "other"), "--strategy", "resource"])
    assert isinstance(done.exception, SettingsError), done.output
    assert not (tmp_path / "other").exists()
