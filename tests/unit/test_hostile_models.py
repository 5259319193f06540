"""Models that somebody made to do harm: refused in one sentence, and nothing of them runs."""

from __future__ import annotations

import json
import os
import pickle
import zipfile
from pathlib import Path

import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import HardscatterError, UnreadableFileError
from hardscatter.io.faults import check_archive
from hardscatter.pileup.learned import MODELS, Learned
from hardscatter.pileup.parameters import check_contained, read_parameters
from helpers import toy_events

onnx = pytest.importorskip("onnx")
SHIPPED = (MODELS / "pumml.onnx").read_bytes()


def refused(path, words):
    """Weigh with a model, through the method's name as users do, and return the one sentence."""
    with pytest.raises(UnreadableFileError, match=words) as raised:
        hs.mitigate(toy_events(2, 30), str(path))
    assert "\n" not in str(raised.value)
    return str(raised.value)


def changed(path, change):
    model = onnx.ModelProto.FromString(SHIPPED)
    change(model)
    path.write_bytes(model.SerializeToString())
    return path


def test_the_shipped_model_is_accepted(tmp_path):
    """Else nothing below would prove anything."""
    path = changed(tmp_path / "same.onnx", lambda model: None)
    weights = hs.mitigate(toy_events(2, 30), Learned(str(path)))
    assert len(weights) == 2


@pytest.mark.parametrize("part", [0.0, 0.01, 0.3, 0.9, 0.999])
def test_truncated(part, tmp_path):
    path = tmp_path / "cut.onnx"
    path.write_bytes(SHIPPED[: int(part * len(SHIPPED))])
    refused(path, "cut.onnx")


def _opset(model):
    model.opset_import[0].version = 9999


def _ir(model):
    model.ir_version = 9999


def _domain(model):
    model.opset_import.add(domain="com.evil", version=1)
    model.graph.node[0].domain = "com.evil"


def _no_schema(model):
    del model.metadata_props[:]


def _renamed(model):
    old = model.graph.input[0].name
    model.graph.input[0].name = "other"
    for node in model.graph.node:
        node.input[:] = ["other" if name == old else name for name in node.input]


def _retyped(model):
    model.graph.input[0].type.tensor_type.elem_type = onnx.TensorProto.DOUBLE


def _more_inputs(model):
    model.graph.input.append(onnx.helper.make_tensor_value_info("more", onnx.TensorProto.FLOAT, ["n"]))


def _cyclic(model):
    model.graph.node[0].input[0] = model.graph.node[-1].output[0]


@pytest.mark.parametrize("change", [_opset, _ir, _domain, _no_schema, _renamed, _retyped, _more_inputs, _cyclic])
def test_other_versions_operators_and_inputs(change, tmp_path):
    refused(changed(tmp_path / "other.onnx", change), "other.onnx")


def test_a_graph_that_points_outside_its_arrays(tmp_path):
    """Ours would not mind, ONNX Runtime does: it is asked about made-up candidates first."""
    model = onnx.load(MODELS / "total.onnx")
    constants = {tensor.name: tensor for tensor in model.graph.initializer}
    place = next(constants[node.input[1]] for node in model.graph.node
                 if node.op_type == "Gather" and node.input[1] in constants)  # fmt: skip
    place.CopyFrom(onnx.numpy_helper.from_array(np.full(tuple(place.dims), 2**31 - 1), place.name))
    onnx.save(model, tmp_path / "outside.onnx")
    refused(tmp_path / "outside.onnx", "fails on made-up candidates")


def test_a_version_of_the_features_that_nobody_knows(tmp_path):
    def other(model):
        for about in model.metadata_props:
            if about.key == "schema":
                schema = json.loads(about.value)
                schema["columns"][0]["scale"] += 1.0
                about.value = json.dumps(schema)

    refused(changed(tmp_path / "schema.onnx", other), "unreadable metadata|made for a feature schema")


@pytest.mark.parametrize("place", ["../secret.bin", "ok.bin", "/dev/zero", "{folder}/secret.bin"])
def test_parameters_in_other_files_are_never_opened(place, tmp_path):
    """Wherever they lie: our models are all in their file, so no path can climb out of the folder."""
    for name in ("secret.bin", "models/ok.bin"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(bytes(2**16))

    def outside(model):
        tensor = model.graph.initializer[0]
        size = len(tensor.raw_data)
        tensor.ClearField("raw_data")
        tensor.data_location = onnx.TensorProto.EXTERNAL
        for key, value in (("location", place.format(folder=tmp_path)), ("offset", "0"), ("length", str(size))):
            tensor.external_data.add(key=key, value=value)

    refused(changed(tmp_path / "models" / "outside.onnx", outside), "keeps parameters in another file")


def _attribute(tensor):
    node = onnx.helper.make_node("Constant", [], ["hidden"], value=tensor)
    return [node]


def _branches(tensor):
    branch = onnx.helper.make_graph(_attribute(tensor), "branch", [], [])
    return [onnx.helper.make_node("If", ["which"], ["out"], then_branch=branch, else_branch=branch)]


@pytest.mark.parametrize("nodes", [_attribute, _branches])
def test_nor_those_hidden_deep_in_the_graph(nodes, tmp_path):
    tensor = onnx.numpy_helper.from_array(np.zeros(3, np.float32), "hidden")
    sound = changed(tmp_path / "sound.onnx", lambda model: model.graph.node.extend(nodes(tensor)))
    check_contained(sound)
    tensor.data_location = onnx.TensorProto.EXTERNAL
    path = changed(tmp_path / "deep.onnx", lambda model: model.graph.node.extend(nodes(tensor)))
    refused(path, "keeps parameters in another file")


@pytest.mark.parametrize("operator", ["Loop", "Scan"])
def test_a_model_that_need_not_end(operator, tmp_path):
    body = onnx.helper.make_graph([], "body", [], [])
    node = onnx.helper.make_node(operator, ["", ""], ["out"], body=body)
    refused(changed(tmp_path / "loop.onnx", lambda model: model.graph.node.append(node)), "a loop of its own")


class Bomb:
    """What a pickle does when it is loaded."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("suffix", [".onnx", ".parquet", ".root", ".npz", ".h5", ".json"])
def test_a_pickle_in_disguise_is_not_run(suffix, tmp_path):
    fired, path = tmp_path / "fired", tmp_path / f"model{suffix}"
    path.write_bytes(pickle.dumps(Bomb(fired)))
    if suffix == ".onnx":
        refused(path, "model.onnx")
    else:
        with pytest.raises(UnreadableFileError, match="model"):
            hs.read(path)
    assert not fired.exists()


def test_nor_a_pickle_inside_an_archive_of_arrays(tmp_path):
    from hardscatter.generate.files import FIELDS, load

    fired, path = tmp_path / "fired", tmp_path / "chunk-000000.npz"
    np.savez(path, **{name: np.array([Bomb(fired)], dtype=object) for name in (*FIELDS, "metadata")})
    with pytest.raises(UnreadableFileError, match="pickle"):
        load(path)
    assert not fired.exists()


def test_a_number_without_end():
    with pytest.raises(ValueError, match="64 bits"):
        read_parameters(_File(b"\x80" * 300_000))


class _File:
    """Stands for a path with this content."""

    def __init__(self, content):
        self._content = content

    def read_bytes(self):
        return self._content


def test_messages_nested_beyond_reason(tmp_path):
    """A graph in an attribute of a node in a graph …: deeper than Python can go."""
    content = b""
    for key in (7, *(1, 5, 6) * 2000):
        length, head = len(content), bytes([key << 3 | 2])
        while length > 127:
            head, length = head + bytes([length & 127 | 128]), length >> 7
        content = head + bytes([length]) + content
    path = tmp_path / "deep.onnx"
    path.write_bytes(content)
    refused(path, "deep.onnx")


def test_a_zip_bomb(tmp_path):
    """300 MB of zeros in 300 kB: refused by what the archive declares, before any of it is unpacked."""
    path = tmp_path / "bomb.npz"
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive, archive.open("npv.npy", "w") as member:
        for _ in range(300):
            member.write(bytes(10**6))
    assert path.stat().st_size < 400_000
    for read in (hs.read, lambda path: check_archive(path, "its list of members")):
        with pytest.raises(UnreadableFileError, match=r"would grow to 3e\+08 bytes"):
            read(path)


def test_a_parquet_file_of_a_billion_equal_values(tmp_path):
    """Runs of equal values and dictionaries cost nothing in the file, so the rule looks at the numbers of values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    from hardscatter import io

    io.write(tmp_path / "sound.parquet", toy_events(2, 30))
    sound = pq.read_schema(tmp_path / "sound.parquet")
    path, n = tmp_path / "bomb.parquet", 3 * 10**6
    fields = [pa.field("candidates", sound.field("candidates").type), pa.field("rho", pa.int64())]
    columns = [pa.nulls(n, fields[0].type), pa.array(np.zeros(n, np.int64))]
    pq.write_table(pa.table(columns, schema=pa.schema(fields, sound.metadata)), path, row_group_size=n)
    assert path.stat().st_size < 100_000
    with pytest.raises(UnreadableFileError, match="would grow to"):
        hs.read(path)
    with pytest.raises(UnreadableFileError, match="would grow to"):
        next(io.iterate(path, 1))


def test_ordinary_files_are_far_from_the_limit(tmp_path):
    """Thousands of crossings without any candidate, and constant columns, in small files of ours."""
    from hardscatter import io

    events = toy_events(2, 30)
    for suffix in (".parquet", ".root"):
        path = tmp_path / f"events{suffix}"
        io.write(path, hs.concatenate([events[:1][:0], *[events] * 200]))
        assert len(hs.read(path)) == 400


def test_an_hdf5_file_that_declares_more_than_it_stores(tmp_path):
    h5py = pytest.importorskip("h5py")
    path = tmp_path / "bomb.h5"
    with h5py.File(path, "w") as file:  # chunks that were never written are read as zeros
        file.create_dataset("pu_part", (10**7, 1000, 17), np.float32, chunks=(1, 1000, 17), compression="gzip")
    with pytest.raises(UnreadableFileError, match="would grow to"):
        hs.read(path, 3)


def test_a_root_file_defines_classes_for_itself_alone(tmp_path):
    """uproot keeps what one file says of a class for all files after it: a damaged one would spoil them all."""
    import uproot

    from hardscatter import io
    from hardscatter.io.root import open_root

    path = tmp_path / "events.root"
    io.write(path, toy_events(2, 30))
    before = dict(uproot.classes["TBranch"].known_versions)
    with open_root(path) as file:
        uproot.classes["TBranch"].new_class(file.file, 13)
        uproot.classes["Evil"] = object
        assert uproot.classes["TBranch"].known_versions != before
    assert uproot.classes["TBranch"].known_versions == before
    assert "Evil" not in uproot.classes
    assert len(hs.read(path)) == 2


@pytest.mark.parametrize(
    "name", ["events.root", "a.onnx", "manifest.jsonl", "library.json", "chunk-000000.npz", "a.json"]
)
def test_a_pipe_is_not_waited_for(name, tmp_path):
    from hardscatter.generate import Library
    from hardscatter.generate.files import load
    from hardscatter.production import verify
    from hardscatter.trigger.integer import read_model

    read = {
        "a.onnx": lambda path: hs.mitigate(toy_events(1, 9), str(path)),
        "manifest.jsonl": lambda path: verify(path.parent),
        "library.json": lambda path: Library.open(path.parent),
        "chunk-000000.npz": load,
        "a.json": read_model,
    }
    os.mkfifo(tmp_path / name)
    with pytest.raises(UnreadableFileError, match=r"is a pipe|no model"):
        read.get(name, hs.read)(tmp_path / name)


def test_names_that_would_break_or_colour_the_line(tmp_path, run):
    """What a file is called, and what is in it, is somebody else's choice."""
    import uproot

    path = tmp_path / "two\nlines\x1b[31m.root"
    with uproot.recreate(path) as file:
        file["\x1b]0;evil\x07" + "long" * 2000] = np.histogram([1.0])
    code, out, err = run("inspect", path)
    assert (code, out, err.count("\n")) == (1, "", 1)
    assert err.strip().isprintable()
    assert len(err) < 2100
    assert err.startswith("hardscatter: ")
    assert err.endswith("file.\n")


def test_errors_keep_their_classes_and_travel_between_processes():
    from hardscatter import errors

    for kind in vars(errors).values():
        if isinstance(kind, type) and issubclass(kind, HardscatterError):
            problem = pickle.loads(pickle.dumps(kind("one\ntwo.")))
            assert (type(problem), str(problem)) == (kind, "one two.")


@pytest.mark.parametrize("part", ["../outside.parquet", "/etc/passwd", "a/../../b.parquet", "..", "a\0.parquet", ""])
def test_a_manifest_that_climbs_out_of_its_folder(part, tmp_path):
    from hardscatter.production import files_of, verify
    from hardscatter.production.manifest import header

    (tmp_path / "outside.parquet").write_bytes(b"PAR1")
    folder = tmp_path / "production"
    folder.mkdir()
    line = {"part": part, "input": "a", "first": 0, "last": 1, "events": 1, "bytes": 4, "sha256": "0" * 64}
    lines = [header("mitigate", {}), line]
    (folder / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    for use in (verify, lambda folder: files_of([folder])):
        with pytest.raises(HardscatterError, match="is damaged"):
            use(folder)


@pytest.mark.parametrize("file", ["/etc/passwd", "../beside/other.parquet", "a.parquet\0"])
def test_a_manifest_whose_partners_are_other_files(file, tmp_path):
    from hardscatter.production import verify
    from hardscatter.production.manifest import header

    line = {"part": "a.parquet", "input": "a", "first": 0, "last": 1, "events": 1, "bytes": 4, "sha256": "0" * 64}
    lines = [header("simulate", {}), {**line, "with": [{"file": file, "bytes": 4, "sha256": "0" * 64}]}]
    (tmp_path / "manifest.jsonl").write_text("".join(json.dumps(one) + "\n" for one in lines))
    with pytest.raises(HardscatterError, match="is damaged"):
        verify(tmp_path)


def test_a_list_of_files_that_names_itself(tmp_path):
    from hardscatter.production import files_of

    (tmp_path / "list").write_text(f"@{tmp_path / 'list'}\n")
    with pytest.raises(UnreadableFileError, match="cannot be a file"):
        files_of([f"@{tmp_path / 'list'}"])
