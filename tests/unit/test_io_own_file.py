"""Weights written back into an experiment's own file: aligned one to one, the rest as it was."""

from __future__ import annotations

import json
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest
import uproot

import hardscatter as hs
import hardscatter.io as io
import layouts
from hardscatter.errors import InvalidEventsError, UnreadableFileError, UnwritableFileError
from hardscatter.io.friend import TREE

DELPHES = Path(__file__).parents[2] / "examples" / "delphes_ttbar_pu140.root"


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("own")
    source = layouts.crossings()
    return {
        "pfnano": layouts.write_btvnano(folder / "n.root", source),
        "scouting": layouts.write_scouting(folder / "s.root", source),
        "total": layouts.write_total(folder / "t.h5", source),
        "distillnet": layouts.write_distillnet(folder / "d.h5", source),
    }


def weighted(path, name="total:paper", particle_flow=None, seed=5):
    """The events of a file with random weights."""
    events = io.read(path, particle_flow=particle_flow)
    counts = ak.to_numpy(events.n_candidates)
    values = np.random.default_rng(seed).random(counts.sum()).astype(np.float32)
    return hs.with_weights(events, name, ak.unflatten(values, counts), {"k": 20})


@pytest.mark.parametrize("name", ["pfnano", "scouting", "total", "distillnet"])
@pytest.mark.parametrize("step", [1, 100])
def test_weights_come_back_aligned_and_nothing_else_changes(name, step, files, tmp_path):
    path, given = files[name], weighted(files[name])
    output = tmp_path / f"own{path.suffix}"
    io.write(tmp_path / "w.parquet", given)
    assert io.write_back(path, tmp_path / "w.parquet", output, step=step) == ["total:paper"]
    found = io.read(output)
    assert found.weights["total:paper"].tolist() == given.weights["total:paper"].tolist()
    assert ak.array_equal(found.candidates, given.candidates, equal_nan=True)
    assert ak.array_equal(io.read(output, (1, 3)).weights, found.weights[1:3])
    own = io.read(path)
    assert set(found.fields) == {*own.fields, "weights"}
    assert list(tmp_path.glob(".*")) == []


def test_every_branch_of_the_experiment_is_as_it_was(files, tmp_path):
    path, output = files["pfnano"], tmp_path / "own.root"
    io.write_back(path, [weighted(path)], output)
    with uproot.open(path) as before, uproot.open(output) as after:
        assert set(after.keys(cycle=False)) == {"Events", TREE, TREE + "About"}
        assert before["Events"].keys() == after["Events"].keys()
        for name in before["Events"].keys():  # noqa: SIM118
            assert ak.array_equal(before["Events"][name].array(), after["Events"][name].array())
        friend = after[TREE]
        assert friend.keys() == ["nPFCands", "PFCands_weight_total_paper"]
        assert friend["PFCands_weight_total_paper"].typename == "float[]"
        assert friend["nPFCands"].array().tolist() == after["Events"]["nPFCands"].array().tolist()


def test_delphes_has_a_weight_for_each_of_its_three_collections(tmp_path):
    given = weighted(DELPHES)
    output = tmp_path / "own.root"
    io.write_back(DELPHES, (given[:7], given[7:]), output)
    assert io.read(output, 5).weights["total:paper"].tolist() == given.weights["total:paper"][:5].tolist()
    with uproot.open(output) as file:
        tree, friend = file["Delphes"], file[TREE]
        collections = ("EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron")
        for name in collections:
            counts = ak.num(friend[f"{name}_weight_total_paper"].array())
            assert counts.tolist() == ak.num(tree[f"{name}.Eta"].array()).tolist()
        parts = [friend[f"{name}_weight_total_paper"].array() for name in collections]
        assert ak.concatenate(parts, axis=1).tolist() == given.weights["total:paper"].tolist()


def test_the_hdf5_weights_stand_in_the_slots_of_their_candidates(files, tmp_path):
    given, output = weighted(files["total"]), tmp_path / "own.h5"
    io.write_back(files["total"], [given], output)
    with h5py.File(output) as file:
        slots, pt = file["hardscatter_weights/total:paper"][:], file["pu_part"][:, :, 2]
    assert slots.shape == pt.shape
    assert (slots[pt == 0] == 0).all()
    assert slots[pt > 0].tolist() == ak.flatten(given.weights["total:paper"]).tolist()


def test_weights_can_be_written_back_again(files, tmp_path):
    for name in ("pfnano", "total"):
        path = files[name]
        first, second = (tmp_path / f"{i}{path.suffix}" for i in (1, 2))
        io.write_back(path, [weighted(path)], first)
        more = weighted(first, "chs", seed=6)
        assert io.write_back(first, [more], second) == ["total:paper", "chs"]
        assert ak.array_equal(io.read(second).weights, more.weights)


def test_what_does_not_fit_is_told_and_leaves_nothing(files, tmp_path):
    path, output = files["pfnano"], tmp_path / "own.root"
    given = weighted(path)
    fewer = hs.Events(given.array[["candidates", "weights"]][:, :], given.metadata)
    fewer = fewer[[0, 1]]
    moved = given[[1, 0, 2]]
    for events, sentence in (
        (fewer, "holds 3 events, weights are there for 2: weigh it whole"),
        (moved, "entry 0: the weighted events have other candidates"),
        (hs.concatenate([given, given]), "weights are there for more"),
        (io.read(path), "carry no weights that it does not hold: mitigate it first"),
    ):
        with pytest.raises(InvalidEventsError, match=sentence):
            io.write_back(path, [events], output)
    with pytest.raises(InvalidEventsError, match="there are no weighted events"):
        io.write_back(path, [], output)
    ours = tmp_path / "ours.root"
    io.write(ours, given)
    with pytest.raises(UnwritableFileError, match="the format hardscatter-root"):
        io.write_back(ours, [hs.with_weights(io.read(ours), "chs", given.weights["total:paper"])], output)
    with pytest.raises(UnwritableFileError, match=r"ours\.root is already there"):
        io.write_back(path, [given], ours)
    assert sorted(file.name for file in tmp_path.iterdir()) == ["ours.root"]


def test_weights_of_another_length_are_told_on_reading(files, tmp_path):
    output = tmp_path / "own.root"
    io.write_back(files["pfnano"], [weighted(files["pfnano"])], output)
    with uproot.update(output) as file:
        file.mktree(TREE, {"x": np.dtype(np.float32)}).extend({"x": np.zeros(2, np.float32)})
    with pytest.raises(UnreadableFileError, match=f"2 entries in '{TREE}' for 3 events"):
        io.read(output)


def test_the_verb_writes_back_what_a_file_or_a_folder_of_parts_holds(files, tmp_path, run):
    path = files["pfnano"]
    assert run("mitigate", path, tmp_path / "w.parquet", "--method", "chs")[0] == 0
    assert run("mitigate", path, tmp_path / "parts", "--method", "chs", "--part", 2)[0] == 0
    given = io.read(tmp_path / "w.parquet").weights.chs
    for weights in ("w.parquet", "parts"):
        output = tmp_path / f"from_{weights}.root"
        code, out, err = run("write-back", path, tmp_path / weights, output, "--progress", "json")
        assert (code, out) == (0, ""), err
        *lines, last = err.splitlines()
        assert last == f"{output}: {path} with weights chs"
        assert json.loads(lines[-1])["done"] == 3
        assert ak.array_equal(io.read(output).weights.chs, given)


def test_the_verb_tells_in_one_sentence_what_does_not_fit(files, tmp_path, run):
    path, output = files["pfnano"], tmp_path / "own.root"
    io.write(tmp_path / "fewer.parquet", weighted(path)[[0, 1]])
    io.write(tmp_path / "bare.parquet", io.read(path))
    (tmp_path / "plain").mkdir()
    before = sorted(tmp_path.iterdir())
    for weights, words in (
        ("fewer.parquet", "weights are there for 2: weigh it whole"),
        ("bare.parquet", "mitigate it first"),
        ("nowhere.parquet", "nowhere.parquet does not exist"),
        ("plain", "plain is no production"),
    ):
        code, out, err = run("write-back", path, tmp_path / weights, output, "--progress", "none")
        assert (code, out) == (1, "")
        assert err.startswith("hardscatter: ")
        assert words in err
        assert err.count("\n") == 1, err
    assert sorted(tmp_path.iterdir()) == before
    output.write_text("precious")
    io.write(tmp_path / "w.parquet", weighted(path))
    words = ("write-back", path, tmp_path / "w.parquet", output, "--progress", "none")
    assert "is already there" in run(*words)[2]
    assert output.read_text() == "precious"
    assert run(*words, "--overwrite")[0] == 0
    assert io.read(output).weights.fields == [*io.read(path).weights.fields, "total:paper"]
