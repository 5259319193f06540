"""The recipes of examples/recipes, run as a reader would run them."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path

import awkward as ak
import numpy as np
import onnxruntime
import pytest
import uproot

import hardscatter as hs
import hardscatter.io as io
import layouts
from hardscatter.io.friend import TREE
from hardscatter.pileup import learned
from helpers import toy_events

ROOT_FOLDER = Path(__file__).parents[2]
RECIPES = ROOT_FOLDER / "examples" / "recipes"
DELPHES = ROOT_FOLDER / "examples" / "delphes_ttbar_pu140.root"

pytestmark = pytest.mark.filterwarnings("ignore:Missing cross-reference", "ignore:Branch .* already exists")


def recipe(name):
    specification = importlib.util.spec_from_file_location(name, RECIPES / f"{name}.py")
    module = importlib.util.module_from_spec(specification)
    sys.modules[name] = module  # coffea sends processors by name
    specification.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    return layouts.write_btvnano(tmp_path_factory.mktemp("nano") / "n.root", layouts.crossings(n_events=7))


def run(module, file, method, chunksize):
    from coffea import processor
    from coffea.nanoevents import PFNanoAODSchema

    runner = processor.Runner(
        processor.IterativeExecutor(status=False), schema=PFNanoAODSchema, chunksize=chunksize, savemetrics=False
    )
    return runner({"toy": [str(file)]}, module.Mitigated(method), treename="Events")["toy"]


@pytest.mark.parametrize("chunksize", [1, 3])
def test_coffea_gives_the_same_for_any_chunks(nano, chunksize):
    module = recipe("coffea_processor")
    whole, parts = run(module, nano, "puppi", 100), run(module, nano, "puppi", chunksize)
    assert whole["events"] == parts["events"] == 7
    events = hs.read(nano)
    expected = hs.missing_momentum(events, hs.mitigate(events, "puppi"))
    assert whole["met"].sum(flow=True).value == 7
    assert (
        whole["met"].values(flow=True).tolist()
        == np.histogram(expected.pt, [-np.inf, *whole["met"].axes[0].edges, np.inf])[0].tolist()
    )
    for name in ("met", "jet_pt"):
        assert whole[name] == parts[name]


def test_coffea_loads_a_network_once_a_worker(nano, monkeypatch):
    module = recipe("coffea_processor")
    made = []

    class Counted(onnxruntime.InferenceSession):
        def __init__(self, *arguments, **settings):
            made.append(arguments[0])
            super().__init__(*arguments, **settings)

    monkeypatch.setattr(onnxruntime, "InferenceSession", Counted)
    learned._load.cache_clear()
    assert run(module, nano, "total", 2)["events"] == 7  # four chunks
    assert len(made) == len(set(made)) > 0


def test_weights_of_arrays_in_memory_are_those_of_the_file(nano):
    from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

    events = NanoEventsFactory.from_root({str(nano): "Events"}, schemaclass=PFNanoAODSchema).events()
    crossings = recipe("coffea_processor").crossings_of(events)
    read = io.read(nano)
    assert ak.array_equal(crossings.candidates, read.candidates, equal_nan=True)
    weights = hs.mitigate(crossings, "puppi")
    assert ak.num(weights).tolist() == ak.num(events.PFCands.pt).tolist()
    assert ak.array_equal(weights, hs.mitigate(read, "puppi"))
    chosen = events.PFCands[weights > 0.5]  # awkward out: usable as a mask of coffea's own candidates
    assert len(chosen.delta_r(chosen)) == 7


def test_our_own_root_files_open_in_coffea(nano, tmp_path):
    from coffea.nanoevents import NanoEventsFactory, PFNanoAODSchema

    hs.mitigate_file(nano, tmp_path / "ours.root", "chs")
    events = NanoEventsFactory.from_root({str(tmp_path / "ours.root"): "Events"}, schemaclass=PFNanoAODSchema).events()
    read = io.read(tmp_path / "ours.root")
    assert events.PFCands.weight_chs.to_list() == read.weights.chs.to_list()
    assert events.PFCands.pt.to_list() == read.candidates.pt.to_list()
    assert events.event.to_list() == read.event.to_list()


def test_coffea_opens_delphes_files_with_their_candidates(tmp_path):
    from coffea.nanoevents import NanoEventsFactory

    schema = recipe("delphes_schema").CandidatesSchema
    events = NanoEventsFactory.from_root({str(DELPHES): "Delphes"}, schemaclass=schema).events()
    read = io.read(DELPHES)
    tracks = ak.to_numpy(ak.num(events.EFlowTrack.pt))
    assert tracks.tolist() == ak.sum(read.candidates.charge != 0, axis=1).to_list()
    np.testing.assert_allclose(
        events.EFlowTrack[0].energy.to_numpy(), read.candidates.energy[0, : tracks[0]], rtol=1e-5
    )

    leaves = {name: ak.values_astype(ak.Array([[2.0, 1.0], []]), np.float32) for name in ("PT", "Eta", "Phi", "Mass")}
    path = tmp_path / "pf.root"
    with uproot.recreate(path) as file:
        tree = file.mktree("Delphes", {"ParticleFlowCandidate": ak.zip(leaves).type.content},
                           counter_name=lambda name: f"{name}_size",
                           field_name=lambda outer, inner: f"{outer}.{inner}")  # fmt: skip
        tree.extend({"ParticleFlowCandidate": ak.zip(leaves)})
    events = NanoEventsFactory.from_root({str(path): "Delphes"}, schemaclass=schema).events()
    assert events.ParticleFlowCandidate.pt.to_list() == [[2.0, 1.0], []]
    assert events.ParticleFlowCandidate[:1, 0].delta_r(events.ParticleFlowCandidate[:1, 1]).to_list() == [
        pytest.approx(np.sqrt(2))
    ]


def test_jets_for_weaver(tmp_path):
    io.write(tmp_path / "toys.parquet", toy_events())
    recipe("jetclass").write_jets(tmp_path / "toys.parquet", "chs", "Tbqq", tmp_path / "jets.root", min_pt=20.0)
    with uproot.open(tmp_path / "jets.root") as file:
        table = file["tree"].arrays()
    assert len(table) > 0
    assert ak.all(table.jet_sdmass >= 0)
    assert ak.all(table.jet_tau2 <= table.jet_tau1)


@pytest.fixture(scope="module")
def root_files(nano, tmp_path_factory):
    folder = tmp_path_factory.mktemp("root")
    hs.mitigate_file(nano, folder / "ours.root", "chs")
    io.write_back(nano, folder / "ours.root", folder / "own.root")
    return folder


@pytest.mark.parametrize(("name", "tree"), [("ours.root", "Events"), ("own.root", TREE)])
def test_trees_are_built_as_rdataframe_wants_them(name, tree, root_files):
    """What ROOT needs to take lists as RVec: C++ names, one counter of whole numbers a collection, before its lists."""
    with uproot.open(root_files / name) as file:
        branches = {branch.name: branch for branch in file[tree].branches}
        names = list(branches)
        lists = {key: branch for key, branch in branches.items() if branch.member("fLeaves")[0].member("fLeafCount")}
        assert any(key.startswith("PFCands_") for key in lists)
        for key, branch in branches.items():
            assert re.fullmatch(r"[A-Za-z_]\w*", key, re.ASCII)
            assert len(branch.member("fLeaves")) == 1
            (leaf,) = branch.member("fLeaves")
            if key in lists:
                counter = f"n{key.partition('_')[0]}"
                assert leaf.member("fLeafCount").member("fName") == counter
                assert names.index(counter) < names.index(key)
                assert f"[{counter}]" in leaf.member("fTitle")
                assert branches[counter].typename == "int32_t"
                assert branches[counter].array().tolist() == ak.num(branch.array()).tolist()
        assert {branch.num_entries for branch in branches.values()} == {7}


@pytest.mark.filterwarnings("ignore")  # of ROOT's wheel, on import
def test_rdataframe(root_files):
    pytest.importorskip("ROOT")
    module = recipe("rdataframe")
    events = hs.read(root_files / "ours.root")
    expected = hs.missing_momentum(events, events.weights.chs).pt
    for name, frame in (
        ("ours", module.of_our_file(root_files / "ours.root", "chs")),
        ("own", module.of_own_file(root_files / "own.root", "chs")),
    ):
        found = sorted(frame.AsNumpy(["met"])["met"])
        np.testing.assert_allclose(found, sorted(ak.to_list(expected)), rtol=1e-4, err_msg=name)
