"""CMS PFNano, written here: units, "none" values, the choice of the vertex, data and refused files."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hardscatter.io as io
from hardscatter.errors import UnreadableFileError
from hardscatter.events import LEADING, NO_VERTEX, PILEUP

CANDIDATE = {"pt": 2.0, "eta": 1.0, "phi": 0.5, "mass": 0.13957, "charge": 1, "pdgId": 211, "d0": 0.002, "dz": 0.01,
             "d0Err": 0.001, "dzErr": 0.003, "pvAssocQuality": 7,
             "puppiWeight": 1.0, "puppiWeightNoLep": 1.0}  # fmt: skip
NONE = {"d0": -1.0, "dz": -1.0, "d0Err": -1.0, "dzErr": -1.0}


def write_nano(path, events, drop=(), collection="PFCands", **more):
    columns = {}
    for name, default in CANDIDATE.items():
        if name not in drop:
            values = [entry.get(name, default) for one in events for entry in one]
            dtype = np.int32 if isinstance(default, int) else np.float32
            columns[name] = ak.unflatten(np.array(values, dtype=dtype), [len(one) for one in events])
    branches = {collection: ak.zip(columns, depth_limit=2), **more}
    with uproot.recreate(path) as file:
        types = {name: values.dtype if isinstance(values, np.ndarray) else values.type.content
                 for name, values in branches.items()}  # fmt: skip
        file.mktree("Events", types).extend(branches)
    return path


def test_lengths_become_mm_and_minus_one_becomes_nan(tmp_path):
    neutral = {"charge": 0, "pdgId": 130, **NONE}
    genuine = {"dz": -1.0, "d0": -1.0}
    events = io.read(write_nano(tmp_path / "n.root", [[{}, dict(NONE), neutral, genuine]]))
    candidates = events.candidates[0]
    assert candidates.dz.tolist() == pytest.approx([0.1, np.nan, np.nan, -10.0], nan_ok=True)
    assert candidates.d0.tolist() == pytest.approx([0.02, np.nan, np.nan, -10.0], nan_ok=True)
    assert candidates.dz_error.tolist() == pytest.approx([0.03, np.nan, np.nan, 0.03], nan_ok=True)
    assert candidates.vertex.tolist() == [LEADING, NO_VERTEX, NO_VERTEX, PILEUP]


def test_without_errors_minus_one_in_both_parameters_means_none(tmp_path):
    path = write_nano(tmp_path / "n.root", [[{}, dict(NONE), {"dz": -1.0}]], drop=["d0Err", "dzErr"])
    candidates = io.read(path).candidates
    assert candidates.dz[0].tolist() == pytest.approx([0.1, np.nan, -10.0], nan_ok=True)
    assert "dz_error" not in candidates.fields


def test_an_infinite_error_becomes_nan(tmp_path):
    candidates = io.read(write_nano(tmp_path / "n.root", [[{"dzErr": np.inf}]])).candidates
    assert np.isnan(candidates.dz_error[0, 0])
    assert candidates.dz[0, 0] == pytest.approx(0.1)


@pytest.mark.parametrize(
    ("quality", "dz_cm", "vertex"),
    [(7, 0.09, LEADING), (7, 0.11, PILEUP), (6, -0.09, LEADING), (6, -0.11, PILEUP),
     (5, 0.29, LEADING), (1, -0.29, LEADING), (0, 0.31, PILEUP)],
)  # fmt: skip
def test_vertex_choice(tmp_path, quality, dz_cm, vertex):
    path = write_nano(tmp_path / "n.root", [[{"pvAssocQuality": quality, "dz": dz_cm}]])
    assert io.read(path).candidates.vertex[0, 0] == vertex


def test_weights_are_kept_and_clipped(tmp_path):
    entries = [{"puppiWeight": 0.5, "puppiWeightNoLep": -0.00185}, {"puppiWeight": 1.001}]
    events = io.read(write_nano(tmp_path / "n.root", [entries]))
    assert events.weights.cms_puppi[0].tolist() == [0.5, 1.0]
    assert events.weights.cms_puppi_nolep[0].tolist() == [0.0, 1.0]


def test_data_have_no_truth_and_simulation_has(tmp_path):
    assert "truth" not in io.read(write_nano(tmp_path / "data.root", [[{}]])).fields
    jet = ak.Array([[{"pt": 40.0, "eta": 0.0, "phi": 0.0, "mass": 3.0}]])
    particles = ak.zip(
        {
            "pt": [[30.0, 30.0, 30.0, 5.0]], "eta": [[0.0] * 4], "phi": [[0.0] * 4],
            "pdgId": np.array([[11, -13, 13, 11]]), "status": np.array([[1, 1, 1, 1]]),
            "statusFlags": np.array([[1, 8193, 2, 1]]),
        },
        depth_limit=2,
    )  # fmt: skip
    more = {
        "GenJet": ak.zip({name: jet[name] for name in jet.fields}, depth_limit=2),
        "GenPart": ak.from_regular(particles, axis=1),
        "GenMET_pt": np.array([12.0]), "GenMET_phi": np.array([1.0]),
        "PV_npvs": np.array([30]), "PV_npvsGood": np.array([25]),
        "run": np.array([1]), "luminosityBlock": np.array([2]), "event": np.array([2**40]),
    }  # fmt: skip
    events = io.read(write_nano(tmp_path / "mc.root", [[{}]], **more))
    assert events.truth.fields == ["jets", "met", "leptons"]
    assert events.truth.leptons.pdg_id.tolist() == [[11, -13]]
    assert events.n_vertices.tolist() == [25]
    assert (events.run[0], events.lumi[0], events.event[0]) == (1, 2, 2**40)


@pytest.mark.parametrize("branch", ["pvAssocQuality", "dz", "mass"])
def test_a_missing_branch_is_named(tmp_path, branch):
    path = write_nano(tmp_path / "n.root", [[{}]], drop=[branch])
    with pytest.raises(
        UnreadableFileError, match=rf"n\.root has no branch 'PFCands_{branch}'.*make the file with PFNano"
    ):
        io.read(path)


def test_events_without_candidates_and_bad_momenta(tmp_path):
    assert io.read(write_nano(tmp_path / "n.root", [[], [{}], []])).n_candidates.tolist() == [0, 1, 0]
    with pytest.raises(UnreadableFileError, match=r"entries 0 to 0 .*candidates\.pt is nan in event 0"):
        io.read(write_nano(tmp_path / "bad.root", [[{"pt": np.nan}]]))


def test_nanoaod_v15_is_refused(tmp_path):
    path = write_nano(tmp_path / "n.root", [[{}]], collection="PFCand")
    with pytest.raises(UnreadableFileError, match=r"'PFCand_pt', momenta .* already multiplied by their PUPPI weight"):
        io.read(path)
