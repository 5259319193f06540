"""Jets as JetClass has them: names and types of its files, weighted momenta, signs, the hardest first."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot
import vector

import hardscatter as hs
import hardscatter.io as io
from hardscatter.errors import InvalidEventsError, SettingsError, UnwritableFileError
from hardscatter.io.vectors import vectors
from helpers import toy_events

# jet-universe/particle_transformer, notebooks/JetClass101.ipynb: what tree.show() prints, std::vector<T> as T[].
TYPES = {
    **dict.fromkeys([f"part_{n}" for n in ("px", "py", "pz", "energy", "deta", "dphi", "d0val", "d0err", "dzval",
                                           "dzerr", "charge")], "float[]"),
    **dict.fromkeys([f"part_is{n}" for n in ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon")],
                    "int32_t[]"),
    "label_QCD": "float", **dict.fromkeys([f"label_{n}" for n in ("Hbb", "Hcc", "Hgg", "H4q", "Hqql")], "bool"),
    **dict.fromkeys([f"label_{n}" for n in ("Zqq", "Wqq", "Tbqq", "Tbl")], "int32_t"),
    **dict.fromkeys([f"jet_{n}" for n in ("pt", "eta", "phi", "energy", "nparticles", "sdmass", "tau1", "tau2", "tau3",
                                          "tau4")], "float"),
}  # fmt: skip


@pytest.fixture(scope="module")
def events():
    return toy_events()


@pytest.fixture(scope="module")
def weights(events):
    return hs.mitigate(events, "puppi")


@pytest.fixture(scope="module")
def table(events, weights, tmp_path_factory):
    path = tmp_path_factory.mktemp("jetclass") / "jets.root"
    with io.JetClassWriter(path) as writer:
        for part, w, label in ((events[:1], weights[:1], "QCD"), (events[1:], weights[1:], "Tbqq")):
            jets = hs.cluster(part, w, radius=0.8, min_pt=20.0, massless=False)
            about = {"radius": 0.8, "massless": False}
            writer.write(part, jets, w, label=label, groomed=hs.soft_drop(part, jets, w, **about),
                         taus=hs.n_subjettiness(part, jets, w, n=(1, 2, 3, 4), **about))  # fmt: skip
    with uproot.open(path) as file:
        tree = file["tree"]
        assert {name: branch.typename for name, branch in tree.items() if name != "npart"} == TYPES
        return tree.arrays()


def test_jets_are_those_that_were_given(table, events, weights):
    jets = hs.cluster(events, weights, radius=0.8, min_pt=20.0, massless=False)
    flat = ak.flatten(jets)
    assert len(table) == len(flat)
    for name in ("pt", "eta", "phi"):
        np.testing.assert_allclose(table[f"jet_{name}"], flat[name], rtol=1e-5, atol=1e-6)
    groomed = ak.flatten(hs.soft_drop(events, jets, weights, radius=0.8, massless=False))
    np.testing.assert_allclose(table["jet_sdmass"], groomed.mass, rtol=1e-5)
    n_first = len(jets[0])
    assert table["label_QCD"].tolist() == [1.0] * n_first + [0.0] * (len(flat) - n_first)
    assert table["label_Tbqq"].tolist() == [0] * n_first + [1] * (len(flat) - n_first)
    assert table["jet_nparticles"].tolist() == ak.num(table["part_px"]).tolist()


def test_weighted_particles_add_up_to_their_jet(table):
    total = ak.sum(
        vectors(ak.zip({"px": table.part_px, "py": table.part_py, "pz": table.part_pz, "E": table.part_energy})), axis=1
    )
    jets = vectors(ak.zip({"pt": table.jet_pt, "eta": table.jet_eta, "phi": table.jet_phi, "energy": table.jet_energy}))
    np.testing.assert_allclose(total.pt, jets.pt, rtol=1e-4)
    np.testing.assert_allclose(total.energy, jets.energy, rtol=1e-4)


def test_angles_are_relative_to_the_jet_and_the_hardest_particle_is_first(table):
    eta = np.arcsinh(table.part_pz / np.hypot(table.part_px, table.part_py))
    sign = np.where(ak.to_numpy(table.jet_eta) < 0, -1, 1)
    assert {-1, 1} <= set(sign.tolist())
    np.testing.assert_allclose(
        ak.flatten(table.part_deta), ak.flatten((eta - table.jet_eta) * sign), rtol=1e-3, atol=1e-4
    )
    assert ak.all(abs(table.part_dphi) < 1.2)
    pt = np.hypot(table.part_px, table.part_py)
    assert ak.all(pt[:, 1:] <= pt[:, :-1] * 1.00001)


def test_neutrals_have_no_track_and_one_class(table):
    neutral = table.part_charge == 0
    for name in ("d0val", "d0err", "dzval", "dzerr"):
        assert ak.all(table[f"part_{name}"][neutral] == 0)
    assert ak.all(table.part_dzerr[~neutral] > 0)
    classes = sum(table[f"part_is{n}"] for n in ("ChargedHadron", "NeutralHadron", "Photon", "Electron", "Muon"))
    assert ak.all(classes == 1)
    assert ak.all((table.part_isChargedHadron == 1)[~neutral])


def test_events_without_jets_and_a_file_without_writes(tmp_path, events):
    with io.JetClassWriter(tmp_path / "none.root") as writer:
        writer.write(events, hs.cluster(events, radius=0.8, min_pt=1e5), label="QCD")
    with uproot.open(tmp_path / "none.root") as file:
        assert file["tree"].num_entries == 0
        assert set(file["tree"].keys()) == {*TYPES, "npart"}


def test_what_was_not_given_is_nan(tmp_path, events):
    with io.JetClassWriter(tmp_path / "bare.root") as writer:
        writer.write(events, hs.cluster(events), label="Hbb")
    with uproot.open(tmp_path / "bare.root") as file:
        assert np.isnan(file["tree"]["jet_sdmass"].array()).to_numpy().all()
        assert file["tree"]["label_Hbb"].array().to_numpy().all()


def test_mistakes_are_told_and_leave_nothing(tmp_path, events):
    jets = hs.cluster(events)
    path = tmp_path / "jets.root"
    for problem, sentence, call in (
        (SettingsError, "label is 'top': choose one of QCD", {"label": "top"}),
        (InvalidEventsError, "'mass' is not there for each of the jets", {"label": "QCD", "groomed": jets[:, :0]}),
    ):
        with pytest.raises(problem, match=sentence), io.JetClassWriter(path) as writer:
            writer.write(events, jets, **call)
    with pytest.raises(InvalidEventsError, match="jets of 2 events for 4"), io.JetClassWriter(path) as writer:
        writer.write(events, jets[:2], label="QCD")
    assert list(tmp_path.iterdir()) == []
    path.touch()
    with pytest.raises(UnwritableFileError, match="already there"):
        io.JetClassWriter(path)


def test_vectors_know_their_physics_and_change_nothing_for_others(events):
    jets = vectors(hs.cluster(events))
    pairs = ak.combinations(jets[ak.num(jets) > 1], 2)
    first, second = ak.unzip(pairs)
    np.testing.assert_allclose(
        ak.flatten((first + second).mass),
        ak.flatten((vector.zip({n: first[n] for n in ("pt", "eta", "phi", "mass")})
                    + vector.zip({n: second[n] for n in ("pt", "eta", "phi", "mass")})).mass),
    )  # fmt: skip
    assert ak.all(first.deltaR(second) > 0)
    assert jets.constituents.ndim == 3
    assert "Momentum4D" not in {key for key in ak.behavior if isinstance(key, str)}
