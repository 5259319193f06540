"""Delphes files, written here leaf by leaf: what the reader makes of ordinary and of odd ones."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest
import uproot

import hardscatter.io as io
from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.events import LEADING, NO_VERTEX, PILEUP
from hardscatter.io.tracks import TrackResolution

TRACK = {"PT": 20.0, "Eta": 1.0, "Phi": 0.5, "Mass": 0.13957, "Charge": 1, "PID": 211, "IsRecoPU": 0, "IsPU": 0,
         "D0": 0.01, "DZ": 12.0}  # fmt: skip
TOWER = {"ET": 3.0, "Eta": -2.0, "Phi": 3.0, "E": 12.0, "HardEnergyFraction": 0.25}
FLOW = {**TRACK, "E": 31.0, "HardEnergyFraction": 1.0}
JET = {"PT": 50.0, "Eta": 0.1, "Phi": 0.2, "Mass": 5.0}
SHAPES = {"EFlowTrack": TRACK, "EFlowPhoton": TOWER, "EFlowNeutralHadron": TOWER, "ParticleFlowCandidate": FLOW,
          "GenJet": JET, "GenJetAK8": JET, "GenMissingET": {"MET": 1.0, "Eta": 9.0, "Phi": 0.0},
          "Vertex": {"Z": 10.0}, "Event": {"Number": 7}}  # fmt: skip


def event(tracks=(), photons=(), hadrons=(), vertices=(10.0, -5.0), number=7, **more):
    return {
        "EFlowTrack": list(tracks), "EFlowPhoton": list(photons), "EFlowNeutralHadron": list(hadrons),
        "GenJet": [{}], "GenJetAK8": [], "GenMissingET": [{"MET": 33.0, "Phi": 4.0}],
        "Vertex": [{"Z": z} for z in vertices], "Event": [{"Number": number}], **more,
    }  # fmt: skip


def write_delphes(path, events, drop=()):
    """Write events; an entry gives what differs from the shape of its collection. `drop` leaves out branches."""
    records = {}
    for name in events[0]:
        if name in drop:
            continue
        counts = [len(one[name]) for one in events]
        columns = {}
        for leaf, default in SHAPES[name].items():
            if f"{name}.{leaf}" not in drop:
                values = [entry.get(leaf, default) for one in events for entry in one[name]]
                dtype = np.int64 if leaf == "Number" else np.int32 if isinstance(default, int) else np.float32
                columns[leaf] = ak.unflatten(np.array(values, dtype=dtype), counts)
        if columns:
            records[name] = ak.zip(columns, depth_limit=2)
    with uproot.recreate(path) as file:
        tree = file.mktree(
            "Delphes",
            {name: record.type.content for name, record in records.items()},
            counter_name=lambda name: f"{name}_size",
            field_name=lambda outer, inner: f"{outer}.{inner}" if outer else inner,
        )
        tree.extend(records)
    return path


def test_order_vertex_and_truth_of_the_candidates(tmp_path):
    tracks = [{"IsRecoPU": 0}, {"IsRecoPU": 1, "IsPU": 1, "Charge": -1}]
    path = write_delphes(tmp_path / "d.root", [event(tracks, [{}], [{"HardEnergyFraction": 1.0}]), event()])
    events = io.read(path)
    first = events[0]
    assert first.candidates.pdg_id.tolist() == [211, 211, 22, 130]
    assert first.candidates.charge.tolist() == [1, -1, 0, 0]
    assert first.candidates.vertex.tolist() == [LEADING, PILEUP, NO_VERTEX, NO_VERTEX]
    assert first.truth.hard_fraction.tolist() == [1.0, 0.0, 0.25, 1.0]
    assert first.candidates.energy[0] == pytest.approx(np.hypot(20.0 * np.cosh(1.0), 0.13957), rel=1e-6)
    assert first.candidates.energy[2] == 12.0
    assert events.n_candidates.tolist() == [4, 0]
    assert events.n_vertices.tolist() == [2, 2]
    assert events.vertices.z[0].tolist() == [10.0, -5.0]
    assert events.event.tolist() == [7, 7]
    assert events.truth.jets.pt.tolist() == [[50.0], [50.0]]
    assert events.truth.fat_jets.pt.tolist() == [[], []]
    assert events.truth.met.fields == ["pt", "phi"]
    assert events.truth.met.pt.tolist() == [33.0, 33.0]


def test_dz_becomes_relative_to_the_leading_vertex_and_neutrals_have_none(tmp_path):
    path = write_delphes(tmp_path / "d.root", [event([{}], [{}])])
    events = io.read(path, smear_tracks=False)
    assert events.candidates.dz[0, 0] == pytest.approx(2.0)
    assert events.candidates.d0[0, 0] == pytest.approx(0.01)
    assert np.isnan(events.candidates.dz[0, 1])
    assert np.isnan(events.candidates.dz_error[0]).tolist() == [True, True]
    assert events.metadata["smearing"] == "unsmeared"


def test_smearing_is_recorded_and_depends_on_the_event_number_only(tmp_path):
    one = event([{}, {"PT": 0.5}], [{}], number=3)
    alone = io.read(write_delphes(tmp_path / "a.root", [one]))
    later = io.read(write_delphes(tmp_path / "b.root", [event([{}], number=1), event(), one]))
    assert alone.candidates.dz[0].to_list()[:2] == later.candidates.dz[2].to_list()[:2]
    resolution = TrackResolution()
    true = io.read(tmp_path / "a.root", smear_tracks=False)
    assert alone.candidates.dz[0, 0] != true.candidates.dz[0, 0]
    assert alone.candidates.dz_error[0, 1] == pytest.approx(resolution.dz(np.array([0.5]), np.array([1.0]))[0])
    assert alone.candidates.d0_error[0, 0] == pytest.approx(0.2 * 31.6228e-3 * np.sqrt(np.cosh(1.0)), rel=1e-5)
    assert alone.metadata["smearing"]["seed"] == 20221103
    assert alone.metadata["smearing"]["card"] == "CMS_PhaseII_200PU_v04"


def test_an_event_without_a_vertex_has_no_dz_but_keeps_the_choice_of_its_tracks(tmp_path):
    path = write_delphes(tmp_path / "d.root", [event([{}, {"IsRecoPU": 1}], vertices=()), event([{}])])
    for smear in (True, False):
        events = io.read(path, smear_tracks=smear)
        assert events.n_vertices.tolist() == [0, 2]
        assert np.isnan(events.candidates.dz[0]).tolist() == [True, True]
        assert np.isnan(events.candidates.dz_error[0]).tolist() == [True, True]
        assert np.isfinite(events.candidates.d0[0]).tolist() == [True, True]
        assert events.candidates.vertex[0].tolist() == [LEADING, PILEUP]
        assert np.isfinite(events.candidates.dz[1, 0])


def test_events_without_candidates(tmp_path):
    path = write_delphes(tmp_path / "d.root", [event(), event(number=8)])
    events = io.read(path)
    assert events.n_candidates.tolist() == [0, 0]
    assert events.truth.hard_fraction.tolist() == [[], []]
    assert events.candidates.pt.type.content.content.primitive == "float32"


def test_sixty_thousand_candidates(tmp_path):
    path = write_delphes(tmp_path / "d.root", [event([{}] * 20_000, [{}] * 20_000, [{}] * 20_000)])
    events = io.read(path)
    assert events.n_candidates.tolist() == [60_000]
    for suffix in (".root", ".parquet"):
        io.write(tmp_path / f"copy{suffix}", events)
        assert ak.array_equal(io.read(tmp_path / f"copy{suffix}").array, events.array, equal_nan=True)


def test_prompt_leptons_are_isolated_and_of_the_hard_scatter(tmp_path):
    electron = {"PID": 11, "Charge": -1, "Eta": 0.0, "Phi": 3.1}
    close = {"Eta": 0.0, "Phi": -3.1, "PT": 4.0}  # ΔR = 0.08 across the seam
    cases = {
        "isolated": ([electron], 1),
        "in a jet": ([electron, close], 0),
        "only pileup around": ([electron, {**close, "IsPU": 1}], 1),
        "pileup": ([{**electron, "IsPU": 1}], 0),
        "soft": ([{**electron, "PT": 9.0}], 0),
        "muon beside": ([electron, {**electron, "PID": -13, "Charge": 1, "Eta": 2.0}], 2),
    }
    path = write_delphes(tmp_path / "d.root", [event(tracks) for tracks, _ in cases.values()])
    leptons = io.read(path).truth.leptons
    found = dict(zip(cases, ak.num(leptons.pt, axis=1).tolist(), strict=True))
    assert found == {name: n for name, (_, n) in cases.items()}
    assert leptons.pdg_id[5].tolist() == [11, -13]


@pytest.mark.parametrize(
    "leaf", ["EFlowTrack.PT", "EFlowTrack.IsRecoPU", "EFlowPhoton.HardEnergyFraction", "Event.Number"]
)
def test_a_missing_leaf_is_named(tmp_path, leaf):
    path = write_delphes(tmp_path / "d.root", [event([{}])], drop=[leaf])
    with pytest.raises(UnreadableFileError, match=rf"d\.root has no branch '{leaf}' in its tree 'Delphes': "):
        io.read(path)


@pytest.mark.parametrize("collection", ["EFlowPhoton", "EFlowNeutralHadron", "Vertex"])
def test_a_missing_collection_is_named_with_the_line_of_the_card(tmp_path, collection):
    path = write_delphes(tmp_path / "d.root", [event([{}])], drop=[collection])
    with pytest.raises(UnreadableFileError, match=rf"'add Branch \S+ {collection} \w+' in the TreeWriter"):
        io.read(path)


def test_truth_jets_and_met_may_be_missing(tmp_path):
    path = write_delphes(tmp_path / "d.root", [event([{}])], drop=["GenJet", "GenJetAK8", "GenMissingET"])
    assert io.read(path).truth.fields == ["hard_fraction", "leptons"]


@pytest.mark.parametrize("bad", [{"PT": np.nan}, {"Eta": np.inf}, {"PT": 0.0}, {"PT": -1.0}, {"DZ": np.inf}])
def test_bad_momenta_are_told_with_file_and_entry(tmp_path, bad):
    events = [event([{}]), event([{}]), event([{}, bad])]
    path = write_delphes(tmp_path / "d.root", events)
    batches = io.iterate(path, step=2)
    assert len(next(batches)) == 2
    with pytest.raises(
        UnreadableFileError, match=r"d\.root, entries 2 to 2 \(event 0 is entry 2\): candidates\.\w+ is"
    ):
        next(batches)


def test_particle_flow_candidates_need_to_be_explained(tmp_path):
    flow = [{}, {"Charge": 0, "PID": 0, "HardEnergyFraction": 0.5, "IsPU": 1}, {"Charge": 0, "PID": 22},
            {"IsPU": 1, "IsRecoPU": 1}]  # fmt: skip
    path = write_delphes(
        tmp_path / "d.root",
        [event(ParticleFlowCandidate=flow)],
        drop=["EFlowTrack", "EFlowPhoton", "EFlowNeutralHadron"],
    )
    with pytest.raises(UnreadableFileError, match=r"say which with particle_flow= .*'eflow' .*'chs' .*'puppi'"):
        io.read(path)
    with pytest.raises(UnreadableFileError, match="already multiplied by the PUPPI weight"):
        io.read(path, particle_flow="puppi")
    with pytest.raises(SettingsError, match="choose one of 'eflow', 'chs', 'puppi'"):
        io.read(path, particle_flow="other")
    events = io.read(path, particle_flow="chs")
    assert events.metadata["particle_flow"] == "chs"
    assert events.candidates.pdg_id[0].tolist() == [211, 130, 22, 211]
    assert events.candidates.vertex[0].tolist() == [LEADING, NO_VERTEX, NO_VERTEX, PILEUP]
    assert events.truth.hard_fraction[0].tolist() == [1.0, 0.5, 1.0, 0.0]
    assert io.count(path) == 1
    assert io.file_format(path) == "delphes"


def test_resolution_is_continuous_where_the_card_changes_its_formula():
    resolution = TrackResolution()
    below, above = resolution.dz(np.array([10.0 - 1e-9, 10.0]), np.zeros(2))
    assert below == pytest.approx(above)
    assert resolution.dz(np.array([1.0]), np.array([2.5]))[0] == pytest.approx(0.562, abs=1e-3)
    assert resolution.dz(np.array([1.0]), np.array([-4.0]))[0] == pytest.approx(3.16, abs=1e-2)
