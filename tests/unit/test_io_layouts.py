"""Layouts of other people: btvNano, CMS scouting, the HDF5 files of the TOTAL code and of DistillNet."""

from __future__ import annotations

import sys
import tracemalloc
from pathlib import Path

import awkward as ak
import h5py
import numpy as np
import pytest

import hardscatter as hs
import hardscatter.io as io
import layouts
from hardscatter.errors import MissingExtraError, UnreadableFileError
from hardscatter.events import LEADING, NO_VERTEX, PILEUP
from hardscatter.io.padded import LeadingVertex
from hardscatter.simulation import with_truth_jets

DELPHES = Path(__file__).parents[2] / "examples" / "delphes_ttbar_pu140.root"

WRITERS = {
    "btvnano.root": layouts.write_btvnano,
    "scouting.root": layouts.write_scouting,
    "particle.root": lambda path, source: layouts.write_scouting(path, source, "ScoutingParticle"),
    "total.h5": layouts.write_total,
    "total15.h5": lambda path, source: layouts.write_total(path, source, columns=15),
    "distill.h5": layouts.write_distillnet,
}
FORMATS = {
    "btvnano.root": "pfnano", "scouting.root": "scouting", "particle.root": "scouting",
    "total.h5": "total-hdf5", "total15.h5": "total-hdf5", "distill.h5": "distillnet-hdf5",
}  # fmt: skip


@pytest.fixture(scope="module")
def source():
    return layouts.crossings()


@pytest.fixture(scope="module")
def files(source, tmp_path_factory):
    folder = tmp_path_factory.mktemp("layouts")
    return {name: writer(folder / name, source) for name, writer in WRITERS.items()}


@pytest.mark.parametrize("name", WRITERS)
def test_every_layout_gives_the_same_crossings(name, files, source):
    events = io.read(files[name])
    assert io.file_format(files[name]) == FORMATS[name]
    assert io.count(files[name]) == len(source["counts"])
    assert events.n_candidates.tolist() == source["counts"].tolist()
    for field in ("pt", "eta", "phi", "energy"):
        np.testing.assert_allclose(ak.flatten(events.candidates[field]), source[field], rtol=2e-5, atol=1e-6)
    charge = source["charge"]
    assert ak.flatten(events.candidates.charge).tolist() == charge.tolist()
    expected = np.where(charge != 0, 211 * charge, source["neutral"])
    assert ak.flatten(events.candidates.pdg_id).tolist() == expected.tolist()
    vertex = np.where(charge == 0, NO_VERTEX, np.where(source["origin"] == 0, LEADING, PILEUP))
    assert np.minimum(ak.to_numpy(ak.flatten(events.candidates.vertex)), PILEUP).tolist() == vertex.tolist()


@pytest.mark.parametrize("name", WRITERS)
def test_impact_parameters_are_mm_from_the_leading_vertex_and_nan_without_a_track(name, files, source):
    candidates = io.read(files[name], smear_tracks=False).candidates
    track = source["charge"] != 0
    for field in ("d0", "dz"):
        values = ak.to_numpy(ak.flatten(candidates[field]))
        np.testing.assert_allclose(values[track], source[field][track], rtol=1e-5, atol=2e-5)
        assert np.isnan(values[~track]).all()
        assert np.isnan(ak.to_numpy(ak.flatten(candidates[f"{field}_error"])))[~track].all()
    if name.endswith("root"):
        np.testing.assert_allclose(
            ak.flatten(candidates.dz_error).to_numpy()[track & (source["dz"] != 0)], 0.1, rtol=1e-4
        )


@pytest.mark.parametrize("name", WRITERS)
def test_ranges_and_steps_give_the_same_events(name, files):
    events = io.read(files[name])
    parts = list(io.iterate(files[name], 2))
    assert ak.array_equal(hs.concatenate(parts).array, events.array, equal_nan=True)
    assert ak.array_equal(io.read(files[name], (1, 2)).array, events.array[1:2], equal_nan=True)


@pytest.mark.parametrize("name", WRITERS)
def test_inspect_and_chs_run(name, files, tmp_path):
    assert io.inspect(files[name]).usable
    hs.mitigate_file(files[name], tmp_path / "weighted.parquet", "chs")
    assert io.read(tmp_path / "weighted.parquet").has("weights.chs")


def test_what_is_known_of_each_event(files):
    btv, scouting, total, distill = (
        io.read(files[n]) for n in ("btvnano.root", "scouting.root", "total.h5", "distill.h5")
    )
    assert btv.n_vertices.tolist() == [8, 8, 8]
    assert btv.rho.tolist() == [20.5] * 3
    assert (btv.run[0], btv.lumi[0], btv.event[0]) == (380000, 7, 2**40)
    assert scouting.n_vertices.tolist() == [8, 8, 8]
    assert scouting.rho.tolist() == [18.0] * 3
    assert total.n_vertices.tolist() == [8, 8, 8]
    assert total.event.tolist() == [0, 1, 2]
    assert not distill.has("n_vertices")


def test_weights_that_are_found(files, source):
    expected = np.where(source["charge"] != 0, source["origin"] == 0, 0.25)
    for name in ("total.h5", "total15.h5", "distill.h5"):
        assert ak.flatten(io.read(files[name]).weights.delphes_puppi).tolist() == expected.tolist()
    assert ak.flatten(io.read(files["distill.h5"]).weights.published_total).tolist() == (0.5 * expected).tolist()
    assert io.read(files["btvnano.root"]).weights.fields == ["cms_puppi", "cms_puppi_nolep"]
    assert not io.read(files["scouting.root"]).has("weights")


def test_truth_of_the_hdf5_layouts(files, source):
    hard = np.where(source["charge"] != 0, source["origin"] == 0, np.arange(len(source["pt"])) % 4 == 0)
    total, later, distill = (io.read(files[name]) for name in ("total.h5", "total15.h5", "distill.h5"))
    assert ak.flatten(total.truth.hard_fraction).tolist() == hard.astype(float).tolist()
    assert total.truth.met.pt.tolist() == [35.0] * 3
    for events in (later, distill):  # the one lost that of neutrals, the other has none
        assert "hard_fraction" not in events.truth.fields
    counts = [int(hard[: source["counts"][0]].sum()), int(hard[source["counts"][0] :].sum()), 0]
    assert ak.num(distill.truth.particles.pt).tolist() == counts
    first = slice(0, source["counts"][0])
    balance = -(source["pt"] * np.exp(1j * source["phi"]))[first][hard[first]].sum()
    assert distill.truth.met.pt[0] == pytest.approx(abs(balance), rel=1e-5)
    assert distill.truth.met.phi[0] == pytest.approx(np.angle(balance), rel=1e-5)
    assert with_truth_jets(distill).truth.jets.pt.ndim == 2


def test_the_vertex_does_not_come_from_truth(files, tmp_path):
    blind = tmp_path / "blind.h5"
    blind.write_bytes(files["total.h5"].read_bytes())
    with h5py.File(blind, "r+") as file:
        file["pu_part"][:, :, 8] = 0.0  # hardfrac
        file["pu_part"][:, :, 6] = 0.0  # PuppiW
        del file["gen_part"], file["nopu_part"]
    with_truth, without = io.read(files["total.h5"]), io.read(blind)
    assert ak.array_equal(with_truth.candidates, without.candidates, equal_nan=True)


def test_the_pair_without_pileup(files, source):
    hard = np.where(source["charge"] != 0, source["origin"] == 0, np.arange(len(source["pt"])) % 4 == 0)
    events, paired = io.read(files["total.h5"]), io.read_without_pileup(files["total.h5"])
    assert len(paired) == len(events)
    np.testing.assert_allclose(ak.flatten(paired.candidates.pt), source["pt"][hard], rtol=1e-6)
    assert paired.n_vertices.tolist() == [1, 1, 1]
    assert paired.truth.met.pt.tolist() == events.truth.met.pt.tolist()
    assert len(io.read_without_pileup(files["total.h5"], 2)) == 2
    for name in ("distill.h5", "btvnano.root"):
        with pytest.raises(UnreadableFileError, match=r"no data set 'nopu_part'|no pairs without pileup"):
            io.read_without_pileup(files[name])


@pytest.mark.parametrize("writer", [layouts.write_total, layouts.write_distillnet])
def test_memory_is_that_of_a_step_not_of_the_file(writer, tmp_path):
    path = writer(tmp_path / "long.h5", layouts.crossings(n_events=400), n_slots=256)
    size = path.stat().st_size
    list(io.iterate(path, 5, 20))  # what is loaded once
    tracemalloc.start()
    try:
        assert sum(len(part) for part in io.iterate(path, 5, 20)) == 20
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak < size / 4


def test_leading_vertex():
    # a displaced decay beside the prompt tracks, a single hard track elsewhere, an event without tracks
    pt, z = np.array([1.0, 5.0, 5.0, 6.0, 6.5]), np.array([3.0, -2.0, -1.99, -1.6, 40.0])
    found = LeadingVertex().z(pt, z, np.array([5, 0]))
    assert found[0] == pytest.approx(-1.995)
    assert np.isnan(found[1])


def test_the_leading_vertex_of_delphes_is_found_without_truth():
    events = io.read(DELPHES, smear_tracks=False)
    tracks = events.candidates[events.candidates.charge != 0]
    z = tracks.dz + 30.0  # as in a file that measures from elsewhere
    counts = ak.to_numpy(ak.num(z))
    flat = {name: ak.to_numpy(ak.flatten(tracks[name])) for name in ("pt", "eta", "charge")}
    found = LeadingVertex().z(flat["pt"], ak.to_numpy(ak.flatten(z)), counts)
    assert np.mean(np.abs(found - 30.0) < 0.2) > 0.9
    vertex = LeadingVertex().of(flat, ak.to_numpy(ak.flatten(z)) - np.repeat(found, counts))
    hard = ak.to_numpy(ak.flatten(events.truth.hard_fraction[events.candidates.charge != 0])) == 1
    kept = flat["pt"] * (vertex == LEADING)
    assert kept[hard].sum() > 0.9 * flat["pt"][hard].sum()
    assert kept[~hard].sum() < 0.03 * flat["pt"][~hard].sum()


def test_a_slot_beyond_a_gap_and_a_full_event_are_read(tmp_path, source):
    path = layouts.write_total(tmp_path / "gap.h5", source, n_slots=int(source["counts"].max()))
    with h5py.File(path, "r+") as file:
        file["pu_part"][0, 2] = 0.0
    assert io.read(path).n_candidates[0] == source["counts"][0] - 1


def test_smearing_is_as_for_delphes(files, source):
    sharp, smeared = (io.read(files["total.h5"], smear_tracks=smear).candidates for smear in (False, True))
    track = source["charge"] != 0
    pull = ak.to_numpy(ak.flatten((smeared.dz - sharp.dz) / smeared.dz_error))[track]
    assert 0.6 < pull.std() < 1.4
    assert np.isnan(ak.to_numpy(ak.flatten(sharp.dz_error))).all()


def test_candidates_of_jets_only_are_refused(tmp_path, source):
    path = layouts.write_btvnano(tmp_path / "jets.root", source, all_candidates=False)
    with pytest.raises(UnreadableFileError, match="btvNano_addallPF_switch = True"):
        io.read(path)


@pytest.mark.parametrize("name", ["ParticleFlowCandidatePUPPI", "ParticleFlowCandidateCHS"])
def test_delphes_candidates_after_mitigation_are_refused(tmp_path, name):
    jagged = ak.values_astype(ak.Array([[1.0]]), np.float32)
    path = layouts.write_tree(tmp_path / "d.root", {f"{name}.PT": jagged, f"{name}.Eta": jagged}, "Delphes")
    with pytest.raises(UnreadableFileError, match=rf"only after mitigation \('{name}'.*add Branch EFlowMerger/eflow"):
        io.read(path)


def test_hdf5_of_another_kind_and_without_h5py(tmp_path, files, monkeypatch):
    with h5py.File(tmp_path / "other.h5", "w") as file:
        file["jets"] = np.zeros((2, 3))
    with pytest.raises(UnreadableFileError, match=r"neither 'pu_part' .* it holds jets: give a file"):
        io.read(tmp_path / "other.h5")
    with h5py.File(tmp_path / "wide.h5", "w") as file:
        file["pu_part"] = np.zeros((2, 3, 4))
    with pytest.raises(UnreadableFileError, match=r"has 4 columns in 'pu_part', known are \[15, 17\]"):
        io.read(tmp_path / "wide.h5")
    cut = tmp_path / "cut.h5"
    cut.write_bytes(files["total.h5"].read_bytes()[:3000])
    with pytest.raises(UnreadableFileError, match=r"cut\.h5 is damaged or cut short"):
        io.read(cut)
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hardscatter\[formats\]'"):
        io.read(files["total.h5"])


@pytest.mark.parametrize("name", ["total.h5", "distill.h5"])
def test_a_bad_momentum_is_told_with_its_place(name, files, tmp_path):
    path = tmp_path / name
    path.write_bytes(files[name].read_bytes())
    with h5py.File(path, "r+") as file:
        data = file["pu_part"] if name == "total.h5" else file["distill_inputs_default"]
        data[(1, 0, 3) if name == "total.h5" else (3, 1, 0)] = np.nan
    with pytest.raises(UnreadableFileError, match=r"entries 0 to 2 .*candidates\.energy is nan in event 1"):
        io.read(path)


def test_scouting_without_a_branch_and_without_stored_tracks(tmp_path, source):
    path = layouts.write_scouting(tmp_path / "s.root", {**source, "dz": 0 * source["dz"], "d0": 0 * source["d0"]})
    assert np.isnan(ak.to_numpy(ak.flatten(io.read(path).candidates.dz))).all()
    bare = ak.values_astype(ak.Array([[1.0]]), np.float32)
    path = layouts.write_tree(tmp_path / "b.root", {"ScoutingPFCandidate": ak.zip({"pt": bare, "eta": bare})})
    with pytest.raises(UnreadableFileError, match=r"no branch 'ScoutingPFCandidate_phi'.*run3scouting_cff"):
        io.read(path)
