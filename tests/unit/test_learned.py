"""Learned methods: the network's own weights for any crossing, and one sentence for any file that is no model."""

from __future__ import annotations

import dataclasses
import json
import pickle
import subprocess
import sys
import threading

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter import cli, threads
from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.events import flat, offsets_of
from hardscatter.geometry import nearest
from hardscatter.pileup import learned
from hardscatter.pileup.features import DEFAULT_SCHEMA, coordinates, features
from hardscatter.pileup.learned import SUPERVISED, TOTAL_PAPER, Learned, describe
from hardscatter.pileup.links import Nearest
from hardscatter.pileup.method import by_name, settings_of
from helpers import toy_events

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
from small_models import ABOUT, NAMES, exported, network  # noqa: E402

COLUMNS = ("pt", "eta", "phi", "energy", "charge", "vertex")


@pytest.fixture(params=NAMES)
def name(request):
    return request.param


@pytest.fixture
def model(name, tmp_path):
    path = tmp_path / f"{name}.onnx"
    path.write_bytes(exported(name))
    return str(path)


@pytest.fixture
def small(tmp_path):
    path = tmp_path / "small.onnx"
    path.write_bytes(exported("small"))
    return str(path)


@pytest.fixture
def n_threads(monkeypatch):
    monkeypatch.setattr(threads, "_threads", 1)
    return hs.set_threads


def by_torch(name, events):
    matrix, offsets = features(events)
    where = coordinates(events)
    eta, phi = (flat(events.candidates[column], np.float64) for column in ("eta", "phi"))
    neighbours = nearest(eta, phi, offsets, network(name).settings.k)
    with torch.no_grad():
        return network(name)(*(torch.from_numpy(given) for given in (matrix, where, neighbours))).numpy()


def same(a, b):
    assert ak.to_list(ak.num(a)) == ak.to_list(ak.num(b))
    np.testing.assert_allclose(flat(a), flat(b), atol=1e-6, rtol=0)


def test_weights_are_those_of_torch(name, model):
    events = toy_events(3, 120)
    weights = hs.mitigate(events, model)
    assert flat(weights).dtype == np.float32
    np.testing.assert_allclose(flat(weights), by_torch(name, events), atol=1e-6)


def test_no_events_and_empty_events(model):
    nothing = hs.from_candidates(**{column: [] for column in COLUMNS})
    assert len(hs.mitigate(nothing, model)) == 0
    hollow = hs.from_candidates(**{column: [[], []] for column in COLUMNS})
    assert ak.to_list(hs.mitigate(hollow, model)) == [[], []]
    one = {column: 1.0 if column != "charge" else 0 for column in COLUMNS}
    bare = hs.from_candidates(**{column: [[], [value], [], [value] * 3, []] for column, value in one.items()})
    for chunk in (1, 2, 100):
        weights = Learned(model, chunk=chunk).weights(bare)
        assert ak.to_list(ak.num(weights)) == [0, 1, 0, 3, 0]
        assert ((flat(weights) >= 0) & (flat(weights) <= 1)).all()


def test_twenty_thousand_candidates(model):
    many = toy_events(1, 40_000).candidates[:, :20_000]
    events = hs.from_candidates(**{column: many[column] for column in COLUMNS})
    assert ak.to_list(ak.num(hs.mitigate(events, model))) == [20_000]


def test_chunks_and_threads_change_nothing(model, n_threads):
    events = toy_events(7, 60)
    alone = ak.concatenate([Learned(model).weights(events[i : i + 1]) for i in range(len(events))])
    for number in (1, 3):
        n_threads(number)
        for chunk in (1, 100, 250, 10**6):
            same(Learned(model, chunk=chunk).weights(events), alone)


@pytest.mark.parametrize(
    ("counts", "chunk", "edges"),
    [
        ([], 5, [0]),
        ([0, 0], 5, [0, 2]),
        ([3, 2, 1, 9, 0, 5], 5, [0, 2, 3, 4, 6]),
        ([0, 9, 0, 1], 5, [0, 1, 2, 4]),
        ([2, 2, 2], 1, [0, 1, 2, 3]),
    ],
)
def test_a_chunk_holds_at_most_so_many_candidates_or_one_crossing(counts, chunk, edges):
    assert learned._chunks(offsets_of(ak.Array([[0.0] * n for n in counts] or np.zeros((0, 0)))), chunk) == edges


def test_no_pool_within_the_pool(n_threads):
    """A chunk's neighbours are found by the thread that has the chunk."""
    n_threads(3)
    seen = []

    def inner(first, last):
        seen.append((threading.get_ident(), first, last))

    def outer(first, last):
        threads.over_crossings(inner, 8)
        assert seen.count((threading.get_ident(), 0, 8)) >= 1

    threads.over_crossings(outer, 6)
    assert len(seen) == 6
    seen.clear()
    threads.over_crossings(inner, 8)  # the caller's own thread is outside again
    assert len(seen) == 8


def test_what_a_model_says_of_itself(name, model):
    card = describe(model)
    assert card.schema == DEFAULT_SCHEMA
    assert card.schema_hash == DEFAULT_SCHEMA.hash()
    assert card.settings == json.loads(json.dumps(dataclasses.asdict(network(name).settings)))
    assert card.links == Nearest(k=20)
    assert card.local == (name == "small")
    assert card.cards == {"cms-phase2": "0123456789abcdef"}
    assert card.training == {"name": "random", "seed": 3}
    assert card.version == ABOUT["version"]
    assert 0 <= card.largest_difference < 1e-5


def test_settings_are_frozen_closed_and_picklable(small):
    method = hs.get_method(small)
    assert method == Learned(small)
    method.weights(toy_events(1, 20))
    assert pickle.loads(pickle.dumps(method)) == method
    assert settings_of(method) == {"class": "Learned", "model": small, "chunk": 20_000}
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.chunk = 3
    with pytest.raises(ValidationError):
        Learned(small, device="gpu")
    with pytest.raises(ValidationError, match="at least 1"):
        Learned(small, chunk=0)


def test_loaded_once_and_again_when_the_file_changes(tmp_path):
    path = tmp_path / "net.onnx"
    path.write_bytes(exported("small"))
    events = toy_events(2, 30)
    before = learned._load.cache_info().misses
    first = Learned(str(path)).weights(events)
    Learned(str(path), chunk=7).weights(events)
    assert learned._load.cache_info().misses == before + 1
    path.write_bytes(exported("paper"))
    assert not ak.array_equal(Learned(str(path)).weights(events), first)


def test_shipped_models_are_found_by_name(monkeypatch, tmp_path):
    monkeypatch.setattr(learned, "MODELS", tmp_path)
    with pytest.raises(UnreadableFileError, match=r"no shipped model 'total-paper' \(there are: none\)"):
        TOTAL_PAPER.weights(toy_events(1))
    (tmp_path / "total-paper.onnx").write_bytes(exported("small"))
    assert describe("total-paper").path == tmp_path / "total-paper.onnx"
    assert ak.all(TOTAL_PAPER.weights(toy_events(1)) <= 1)
    with pytest.raises(UnreadableFileError, match=r"no shipped model 'supervised' \(there are: total-paper\).*path of"):
        SUPERVISED.weights(toy_events(1))


# What is no model.


def crafted(path, *, about=None, k=20, column=0, nodes=None, outputs=("q",), n="n"):
    """Write a graph that takes and gives what a network does and has no network inside."""
    kinds, helper = onnx.TensorProto, onnx.helper
    inputs = [
        helper.make_tensor_value_info("features", kinds.FLOAT, [n, len(DEFAULT_SCHEMA)]),
        helper.make_tensor_value_info("coordinates", kinds.FLOAT, ["n", 3]),
        helper.make_tensor_value_info("neighbours", kinds.INT64, ["q", k]),
    ]
    output = helper.make_tensor_value_info("weights", kinds.FLOAT, list(outputs))
    index = helper.make_tensor("column", kinds.INT64, [], [column])
    nodes = nodes or [helper.make_node("Gather", ["features", "column"], ["weights"], axis=1)]
    graph = helper.make_graph(nodes, "none", inputs, [output], [index])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    whole = {"schema": DEFAULT_SCHEMA.to_json(), "schema_hash": DEFAULT_SCHEMA.hash(), "settings": '{"k": 20}'}
    changed = {key: value for key, value in {**whole, **(about or {})}.items() if value is not None}
    helper.set_model_props(model, changed)
    onnx.save(model, str(path))
    return str(path)


def test_metadata_that_need_not_be_there(tmp_path):
    card = describe(crafted(tmp_path / "bare.onnx"))
    assert (card.cards, card.training, card.version, card.largest_difference) == ({}, {}, "", None)


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"about": {"schema": None}}, "does not say its schema"),
        ({"about": {"schema_hash": None}}, "does not say its schema_hash"),
        ({"about": {"settings": None}}, "does not say its settings"),
        ({"about": {"schema": "{"}}, "unreadable metadata"),
        ({"about": {"settings": "{}"}}, "unreadable metadata"),
        ({"about": {"settings": "[1]"}}, "unreadable metadata"),
        ({"about": {"training": "3"}}, "unreadable metadata"),
        ({"about": {"schema_hash": "0" * 16}}, "feature schema of hash 0{16}"),
        ({"k": 5}, r"takes .*neighbours: tensor\(int64\) \(any, 5\) instead of .*\(any, 20\)"),
        ({"n": 7}, r"takes features: tensor\(float\) \(7, 27\), .* instead of"),
        ({"outputs": ("q", 1)}, r"gives weights: .* instead of weights: tensor\(float\) \(any\)"),
    ],
)
def test_files_that_lack_what_a_model_needs(wrong, words, tmp_path):
    path = crafted(tmp_path / "wrong.onnx", **wrong)
    with pytest.raises(UnreadableFileError, match=words) as raised:
        hs.get_method(path)
    assert "again" in str(raised.value)
    assert "\n" not in str(raised.value)


def test_files_that_are_no_models(tmp_path):
    (tmp_path / "text.onnx").write_text("not a model")
    (tmp_path / "folder.onnx").mkdir()
    for file, words in [("text", "no model that ONNX Runtime can load"), ("folder", "no model"), ("no", "no model")]:
        with pytest.raises(UnreadableFileError, match=words):
            hs.get_method(str(tmp_path / f"{file}.onnx"))


def test_a_model_that_gives_no_weights(tmp_path):
    """log pt is no weight, a number that is not finite neither, and column 99 does not exist."""
    events = toy_events(2, 30)
    with pytest.raises(UnreadableFileError, match="one number from 0 to 1"):
        Learned(crafted(tmp_path / "range.onnx")).weights(events)
    zero_over_zero = [
        onnx.helper.make_node("Gather", ["features", "column"], ["x"], axis=1),
        onnx.helper.make_node("Sub", ["x", "x"], ["zero"]),
        onnx.helper.make_node("Div", ["zero", "zero"], ["weights"]),
    ]
    with pytest.raises(UnreadableFileError, match="one number from 0 to 1"):
        Learned(crafted(tmp_path / "nan.onnx", nodes=zero_over_zero)).weights(events)
    flattened = [
        onnx.helper.make_node("Constant", [], ["all"], value_ints=[-1]),
        onnx.helper.make_node("Reshape", ["coordinates", "all"], ["weights"]),
    ]
    with pytest.raises(UnreadableFileError, match="for each candidate"):
        Learned(crafted(tmp_path / "many.onnx", nodes=flattened)).weights(events)
    with pytest.raises(UnreadableFileError, match=r"fails on \d+ candidates .*smaller chunk"):
        Learned(crafted(tmp_path / "fails.onnx", column=99)).weights(events)


# Files of events and the command line.


def test_weights_are_stored_under_the_stem(small, tmp_path):
    source = tmp_path / "events.parquet"
    hs.write(source, toy_events(3, 40))
    for suffix in (".parquet", ".root"):
        output = tmp_path / f"out{suffix}"
        hs.mitigate_file(source, output, [small, "puppi:cms-run3"], step=2)
        events = hs.read(output)
        assert events.weights.fields == ["small", "puppi:cms-run3"]
        assert events.metadata["weights"]["small"]["model"] == small
        same(events.weights["small"], hs.mitigate(events, small))


def test_two_models_of_one_name_are_told(tmp_path):
    assert by_name(["puppi", "a/net.v2.onnx", "a/net.v2.onnx"]) == {"puppi": "puppi", "net.v2": "a/net.v2.onnx"}
    for names in (["a/net.onnx", "b/net.onnx"], ["puppi", "puppi.onnx"]):
        with pytest.raises(SettingsError, match="would both be called"):
            hs.mitigate_file(tmp_path / "no.parquet", tmp_path / "out.parquet", names)


def test_from_the_command_line(small, tmp_path, monkeypatch, capfd):
    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["hardscatter", *map(str, arguments)])
        try:
            cli.main()
        except SystemExit as stop:
            return stop.code or 0, *capfd.readouterr()
        return 0, *capfd.readouterr()

    source, output = tmp_path / "events.parquet", tmp_path / "out.root"
    hs.write(source, toy_events(4, 60))
    assert run("mitigate", source, output, "--method", small)[0] == 0
    assert hs.read(output).weights.fields == ["small"]
    code, out, _ = run("evaluate", source, "--method", small, "--json", "--replicas", 5)
    assert code == 0
    assert next(iter(json.loads(out)["estimates"])) == "small"
    assert run("evaluate", source, "--method", small, "--replicas", 5, "--figure", tmp_path / "figure.png")[0] == 0
    code, _, err = run("mitigate", source, tmp_path / "no.root", "--method", tmp_path / "missing.onnx")
    assert code == 1
    assert "there is no model" in err
    assert not (tmp_path / "no.root").exists()


def test_runs_with_torch_blocked(small):
    code = (
        "import sys\n"
        "for name in ('torch', 'lightning', 'onnx'): sys.modules[name] = None\n"
        "import hardscatter as hs\n"
        "events = hs.from_candidates(pt=[[5.0], []], eta=[[0.1], []], phi=[[0.2], []], energy=[[5.1], []],"
        " charge=[[1], []], vertex=[[0], []])\n"
        "print(0 < hs.mitigate(events, sys.argv[1])[0, 0] < 1)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", code, small], capture_output=True, text=True, check=False
    )
    assert done.stdout.strip() == "True", done.stderr
    assert not done.stderr
