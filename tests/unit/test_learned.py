"""Learned methods: the network's own weights for any crossing, and one sentence for any file that is no model."""

from __future__ import annotations

import dataclasses
import json
import math
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
from hardscatter.pileup.attention import attention
from hardscatter.pileup.dense import LANES, aligned, exponential, gelu, logarithm
from hardscatter.pileup.features import DEFAULT_SCHEMA, PUPPI_SCHEMA, coordinates, features
from hardscatter.pileup.learned import MODELS, SUPERVISED, TOTAL_PAPER, Learned, describe
from hardscatter.pileup.links import Nearest
from hardscatter.pileup.method import by_name, settings_of
from hardscatter.pileup.parameters import read_parameters
from hardscatter.pileup.uncertainty import weights_and_errors
from helpers import toy_events

onnx = pytest.importorskip("onnx")
torch = pytest.importorskip("torch")
from hardscatter.nets.abcnet import ABCNet, AttentionSettings  # noqa: E402
from small_models import ABOUT, NAMES, by_hand, exported, network  # noqa: E402

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
    assert len(seen) > 1
    assert sum(last - first for _, first, last in seen) == 8


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
    assert settings_of(method) == {"class": "Learned", "model": small, "chunk": 20_000, "device": "cpu"}
    with pytest.raises(dataclasses.FrozenInstanceError):
        method.chunk = 3
    with pytest.raises(ValidationError):
        Learned(small, engine="gpu")
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


# Our own kernels for graph attention.


def kernels_and_torch(settings, n_features, seed=1):
    torch.manual_seed(seed)
    net = ABCNet(settings, n_features).eval()
    parameters = {name: value.numpy() for name, value in net.state_dict().items()}
    return attention(json.loads(json.dumps(dataclasses.asdict(settings))), n_features, parameters), net


def made_up(n, k, n_features, seed=2):
    """Return inputs with neighbours that are not there: none at all for the first candidate."""
    rng = np.random.default_rng(seed)
    neighbours = rng.integers(-n // 3 - 1, max(n, 1), (n, k)).clip(min=-1)
    neighbours[:1] = -1
    where = np.stack([rng.uniform(-5, 5, n), rng.uniform(-np.pi, np.pi, n), rng.normal(size=n)], axis=1)
    return rng.normal(size=(n, n_features)).astype(np.float32), where.astype(np.float32), neighbours


def assert_same_as_torch(ours, net, inputs):
    with torch.no_grad():
        theirs = net(*map(torch.from_numpy, inputs)).numpy()
    np.testing.assert_allclose(ours.weights(*inputs), theirs, atol=2e-6, rtol=0)


@pytest.mark.parametrize(
    "settings",
    [
        AttentionSettings(),
        AttentionSettings(k=1, encoder=(64,), dense=(), head=(), blocks=3),
        AttentionSettings(k=7, encoder=(20, 30), dense=(9, 50), head=(33,), blocks=1),
        AttentionSettings(k=5, encoder=(90,), dense=(100,), head=(17, 70), blocks=2),
        AttentionSettings(k=3, encoder=(8,), blocks=0, head=(16,)),
    ],
)
@pytest.mark.parametrize("n", [0, 1, 5, 48, 49, 200])
def test_any_size_of_network_and_crossing(settings, n):
    ours, net = kernels_and_torch(settings, 11)
    assert_same_as_torch(ours, net, made_up(n, settings.k, 11))


def test_neighbours_far_apart_and_at_one_place():
    settings = AttentionSettings(k=6, encoder=(16,))
    ours, net = kernels_and_torch(settings, 4)
    matrix, where, neighbours = made_up(60, 6, 4)
    where[:30, :2] = 0.0  # ΔR = 0
    where[30:] *= [1e3, 1.0, 10.0]  # beyond every strip
    assert_same_as_torch(ours, net, (matrix, where, neighbours))


def test_attention_that_is_sure_of_itself():
    """Coefficients thousands apart: one neighbour has it all, and nothing overflows."""
    settings = AttentionSettings(k=6, encoder=(16,), blocks=1)
    torch.manual_seed(1)
    net = ABCNet(settings, 4).eval()
    with torch.no_grad():
        net.blocks[0].attention.edge_attention.weight *= 3000
    parameters = {name: value.numpy() for name, value in net.state_dict().items()}
    assert_same_as_torch(attention(dataclasses.asdict(settings), 4, parameters), net, made_up(80, 6, 4))


def test_inputs_that_cannot_be_written_or_have_gaps():
    ours, net = kernels_and_torch(AttentionSettings(k=4, encoder=(16,)), 6)
    matrix, where, neighbours = made_up(50, 4, 6)
    assert_same_as_torch(ours, net, (matrix, where, neighbours))
    weights = ours.weights(matrix, where, neighbours)
    for given in (matrix, where, neighbours):
        given.flags.writeable = False
    wide = np.repeat(matrix, 2, axis=1)[:, ::2]
    np.testing.assert_array_equal(ours.weights(matrix, where, neighbours), weights)
    np.testing.assert_array_equal(ours.weights(wide, where, neighbours.astype(np.int32)), weights)


def test_inputs_that_do_not_fit():
    ours, _ = kernels_and_torch(AttentionSettings(k=4, encoder=(16,)), 6)
    matrix, where, neighbours = made_up(50, 4, 6)
    beyond = neighbours.copy()
    beyond[3, 2] = 50
    for given in [(matrix[:, 1:], where, neighbours), (matrix, where[1:], neighbours), (matrix, where, beyond)]:
        with pytest.raises(ValueError, match="not"):
            ours.weights(*given)


def test_parameters_that_do_not_fit_the_settings():
    settings = AttentionSettings(k=4, encoder=(16,), dense=(8,))
    parameters = {name: value.numpy() for name, value in ABCNet(settings, 6).state_dict().items()}
    said = dataclasses.asdict(settings)
    assert attention(said, 6, parameters) is not None
    assert attention({**said, "first_hop": "raw"}, 6, parameters) is None
    assert attention({**said, "kind": "gated"}, 6, parameters) is None
    assert attention({"k": 4}, 6, parameters) is None
    assert attention(said, 7, parameters) is None
    for change in ({"encoder": [17]}, {"encoder": [16, 16]}, {"dense": []}, {"blocks": 3}, {"head": [256, 128, 64]}):
        assert attention({**said, **change}, 6, parameters) is None, change
    for name in ("blocks.1.dense.0.weight", "norm.weight", "output.weight", "blocks.0.attention.edge.weight"):
        assert attention(said, 6, {**parameters, name: parameters[name][..., :-1]}) is None, name


def test_models_that_are_left_to_onnx_runtime(model):
    """A raw hop; and an untrained network, whose norms, all alike, are stored once and under one name."""
    assert learned.load(model).attention is None


@pytest.mark.parametrize("name", ["total", "total-paper", "supervised", "total-spread", "total-workshop2014"])
def test_shipped_attention_networks_run_in_our_kernels(name):
    model = learned.load(name)
    inputs = made_up(300, model.card.links.width, len(model.card.schema))
    np.testing.assert_allclose(model.attention.weights(*inputs), model._onnx(*inputs), atol=1e-5, rtol=0)


def test_a_graph_that_is_not_what_its_settings_say(tmp_path):
    """Our kernels would give other weights: ONNX Runtime runs it."""
    graph = onnx.load(MODELS / "total-paper.onnx")
    last = next(node for node in reversed(graph.graph.node) if node.op_type == "LeakyRelu")
    next(given for given in last.attribute if given.name == "alpha").f = 0.02
    path = tmp_path / "other.onnx"
    onnx.save(graph, str(path))
    model = learned.load(str(path))
    assert model.attention is None
    matrix, where, neighbours = made_up(100, 20, len(DEFAULT_SCHEMA))
    np.testing.assert_array_equal(model.run(matrix, where, neighbours), model._onnx(matrix, where, neighbours))


def test_parameters_are_read_as_the_package_onnx_reads_them(tmp_path):
    for path in sorted(MODELS.glob("*.onnx")):
        known = {given.name: onnx.numpy_helper.to_array(given) for given in onnx.load(path).graph.initializer}
        floats = {name: value for name, value in known.items() if value.dtype == np.float32}
        found = read_parameters(path)
        assert found.keys() == floats.keys()
        for name, value in floats.items():
            np.testing.assert_array_equal(found[name], value)
    (tmp_path / "short.onnx").write_bytes((MODELS / "total.onnx").read_bytes()[:1] + b"\xff")
    (tmp_path / "group.onnx").write_bytes(bytes([7 << 3 | 3]))
    (tmp_path / "number.onnx").write_bytes(bytes([7 << 3, 1]))
    for name in ("short", "group", "number"):
        with pytest.raises(ValueError, match=r"early|wire type|number"):
            read_parameters(tmp_path / f"{name}.onnx")


def test_functions_of_single_precision():
    x = np.linspace(-30, 30, 6001, dtype=np.float32)
    exact = x.astype(np.float64)
    normal = np.array([0.5 * math.erfc(-value / math.sqrt(2)) for value in exact])
    np.testing.assert_allclose([gelu(value) for value in x], exact * normal, rtol=1e-7, atol=3e-7)
    np.testing.assert_allclose([exponential(value) for value in x], np.exp(exact), rtol=3e-6)
    assert exponential(np.float32(-1e30)) < 1e-17
    positive = np.exp(np.linspace(-60, 60, 4001)).astype(np.float32)
    np.testing.assert_allclose(
        [logarithm(value) for value in positive], np.log(positive.astype(float)), atol=5e-7, rtol=2e-7
    )


def test_aligned_arrays():
    for shape in ((), (3,), (2, 5), (0, 4)):
        array = aligned(*shape)
        assert array.shape == shape
        assert array.dtype == np.float32
        assert array.ctypes.data % (4 * LANES) == 0 or not array.size


# Several networks at once.


def test_several_networks_share_what_they_look_at(tmp_path, monkeypatch):
    models = [tmp_path / name for name in ("a.onnx", "b.onnx", "c.onnx")]
    for path, content in zip(
        models, (by_hand(1.0, 0.5), by_hand(-1.0, 0.5), by_hand(1.0, 0.0, 5, PUPPI_SCHEMA)), strict=True
    ):
        path.write_bytes(content)
    methods = [Learned(str(path), chunk=80) for path in models]
    events = toy_events(5, 60)
    alone = [method.weights(events) for method in methods]
    made = []
    for name in ("features", "links_of"):
        inner = getattr(learned, name)
        monkeypatch.setattr(learned, name, lambda *given, inner=inner, name=name: (made.append(name), inner(*given))[1])
    together = learned.weigh(events, methods)
    for one, other in zip(together, alone, strict=True):
        assert ak.array_equal(one, other)
    chunks = len(learned._chunks(offsets_of(events.candidates.pt), 80)) - 1
    assert [made.count(name) for name in ("features", "links_of")] == [2 * chunks, 2 * chunks]
    assert learned.weigh(events, []) == []


def test_weights_and_errors_at_once(tmp_path):
    (tmp_path / "mine.onnx").write_bytes(by_hand(1.0, 0.0))
    (tmp_path / "mine-spread.onnx").write_bytes(by_hand(-1.0, -2.0))
    method = hs.get_method(str(tmp_path / "mine.onnx"))
    events = toy_events(3, 40)
    weights, errors = weights_and_errors(events, method, learned.spread_of(method))
    assert ak.array_equal(weights, hs.mitigate(events, method))
    assert ak.array_equal(errors, hs.weight_errors(events, method))
    weights, _ = weights_and_errors(events, hs.get_method("chs"), learned.spread_of(method))
    assert ak.array_equal(weights, hs.mitigate(events, "chs"))


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
