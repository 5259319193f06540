"""The exported graph gives the weights of torch at any size, says what it needs, and refuses to be wrong."""

import json

import numpy as np
import pytest

torch = pytest.importorskip("torch")
import onnxruntime  # noqa: E402

from hardscatter.errors import SettingsError  # noqa: E402
from hardscatter.geometry.nearest import nearest  # noqa: E402
from hardscatter.nets.abcnet import ABCNet, AttentionSettings  # noqa: E402
from hardscatter.nets.export import check_parity, export_onnx, to_onnx  # noqa: E402
from hardscatter.pileup.features import DEFAULT_SCHEMA, FeatureSchema, coordinates, features  # noqa: E402
from helpers import toy_events  # noqa: E402

N_FEATURES = len(DEFAULT_SCHEMA)


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.mark.parametrize(
    "settings",
    [
        AttentionSettings.paper(),
        AttentionSettings.small(),
        AttentionSettings(k=6, encoder=(8, 8), dense=(8,), head=(8,), first_hop="raw"),
    ],
    ids=["paper", "small", "raw"],
)
def test_export_agrees_and_tells_what_it_is(settings, tmp_path, capsys):
    torch.manual_seed(3)
    net = ABCNet(settings, N_FEATURES).train()
    path = tmp_path / "net.onnx"
    largest = export_onnx(net, path, DEFAULT_SCHEMA, metadata={"card": "a test"})
    assert net.training
    assert largest < 1e-5
    assert "9000 candidates: largest difference" in capsys.readouterr().out
    assert path.stat().st_size < 2e6

    session = onnxruntime.InferenceSession(path)
    about = session.get_modelmeta().custom_metadata_map
    assert FeatureSchema.from_json(about["schema"]).hash() == about["schema_hash"] == DEFAULT_SCHEMA.hash()
    assert AttentionSettings(**json.loads(about["settings"])) == settings
    assert about["card"] == "a test"
    names = [given.name for given in session.get_inputs()]
    assert names == ["features", "coordinates", "neighbours", *(["queries"] if settings.local else [])]

    events = toy_events(n_candidates=80)
    matrix, offsets = features(events)
    where = coordinates(events)
    inputs = {"features": matrix, "coordinates": where}
    inputs["neighbours"] = nearest(where[:, 0], np.clip(where[:, 1], -3.14159, 3.14159), offsets, settings.k)
    if settings.local:
        inputs["queries"] = np.arange(len(matrix))
    weights = session.run(["weights"], inputs)[0]
    with torch.no_grad():
        wanted = net(*(torch.from_numpy(value) for value in inputs.values())).numpy()
    np.testing.assert_allclose(weights, wanted, atol=1e-6)


def test_a_wrong_graph_is_refused(tmp_path):
    settings = AttentionSettings(k=3, encoder=(4,), blocks=1, dense=(4,), head=(4,))
    net = ABCNet(settings, N_FEATURES)
    model = to_onnx(net)
    with torch.no_grad():
        net.output.bias += 1.0
    lines = []
    with pytest.raises(SettingsError, match="differ by"):
        check_parity(net, model, sizes=(20,), say=lines.append)
    assert len(lines) == 1
    with torch.no_grad():
        net.output.bias.fill_(float("nan"))
    with pytest.raises(SettingsError, match="differ by nan"):
        export_onnx(net, tmp_path / "nan.onnx", DEFAULT_SCHEMA, sizes=(20,))
    assert not (tmp_path / "nan.onnx").exists()


def test_a_schema_of_another_size_is_refused(tmp_path):
    net = ABCNet(AttentionSettings.small(), 3)
    with pytest.raises(SettingsError, match="takes 3 features, the schema has 27"):
        export_onnx(net, tmp_path / "net.onnx", DEFAULT_SCHEMA)
