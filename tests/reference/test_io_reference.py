"""Numbers of the shipped files, taken from the original files branch by branch and not by our readers."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pytest

import hardscatter.io as io
from hardscatter.events import flat

ROOT = Path(__file__).parents[2]
DELPHES = ROOT / "examples" / "delphes_ttbar_pu140.root"
PACKED = ROOT / "tests" / "data" / "delphes_packed.npz"
PFNANO = ROOT / "tests" / "data" / "cms_pfnano.root"

# candidates, Σ pt, Σ pt × hard fraction, tracks with IsRecoPU = 0, vertices, GenMissingET, Σ pt of GenJet, Vertex.Z[0]
DELPHES_EVENTS = np.array([
    (9036, 9300.983, 343.917, 74, 142, 62.4368, 180.597, 12.0233),
    (6619, 6505.598, 520.623, 83, 130, 38.1557, 353.553, 141.3464),
    (8095, 8560.025, 641.889, 82, 128, 18.0767, 493.412, -94.1012),
    (7684, 7576.195, 439.070, 98, 146, 74.0233, 192.015, 31.9058),
    (8534, 8853.070, 609.465, 58, 142, 89.8644, 525.446, -20.7617),
    (8854, 9125.172, 695.654, 106, 153, 98.8233, 568.662, 70.6442),
    (8099, 7759.143, 321.622, 72, 155, 42.0200, 229.752, -42.8999),
    (8681, 8657.066, 344.021, 76, 150, 84.6444, 220.396, -58.1316),
    (7292, 7093.091, 377.612, 133, 128, 78.6890, 155.448, 38.3128),
    (6840, 6592.878, 380.621, 85, 123, 105.7264, 243.222, 54.0888),
    (8436, 8490.408, 370.660, 110, 151, 132.3078, 262.534, 48.1973),
    (8048, 7824.045, 233.137, 53, 150, 64.9961, 153.734, 39.0307),
    (8046, 8879.889, 962.805, 108, 133, 99.7518, 843.381, 7.5341),
    (9717, 10001.883, 223.479, 50, 164, 152.5338, 165.115, -60.0076),
    (8866, 9194.482, 380.405, 94, 156, 56.2292, 290.105, -25.8756),
    (10096, 10639.286, 491.252, 88, 167, 67.5482, 296.497, -60.9016),
    (8400, 8508.436, 367.097, 65, 150, 30.8297, 250.715, 15.0861),
    (8481, 8660.573, 334.566, 78, 143, 55.5948, 262.220, -20.7467),
    (8048, 8369.266, 810.854, 145, 140, 133.1568, 610.837, 17.8776),
    (8618, 9078.041, 762.094, 192, 144, 85.1752, 561.257, -2.0481),
    (8615, 8609.243, 296.974, 86, 152, 92.9363, 197.731, -40.5871),
    (6955, 6860.590, 665.354, 101, 128, 99.9983, 431.548, -3.5564),
    (8061, 8195.068, 298.966, 44, 130, 68.5269, 233.035, -12.3594),
    (8134, 8294.798, 608.311, 136, 149, 95.4450, 406.504, -2.4640),
])  # fmt: skip


def test_the_demonstration_file_is_the_original_event_by_event():
    events = io.read(DELPHES)
    candidates = events.candidates
    pt = ak.values_astype(candidates.pt, np.float64)
    found = np.column_stack([
        events.n_candidates, ak.sum(pt, axis=1), ak.sum(pt * events.truth.hard_fraction, axis=1),
        ak.sum(candidates.vertex == 0, axis=1), events.n_vertices, events.truth.met.pt,
        ak.sum(events.truth.jets.pt, axis=1), ak.firsts(events.vertices.z),
    ])  # fmt: skip
    assert events.event.tolist() == list(range(24))
    np.testing.assert_allclose(found, DELPHES_EVENTS, rtol=2e-5, atol=2e-4)


def test_smeared_impact_parameters_of_prompt_tracks_have_the_width_of_the_card():
    """Decays in flight widen the tails, so the central 68 % is a little wider than one."""
    events = io.read(DELPHES)
    prompt = (events.truth.hard_fraction == 1) & (events.candidates.charge != 0)
    for name in ("d0", "dz"):
        pull = flat((events.candidates[name] / events.candidates[f"{name}_error"])[prompt])
        low, middle, high = np.quantile(pull, [0.16, 0.5, 0.84])
        assert abs(middle) < 0.12
        assert 0.95 < (high - low) / 2 < 1.3
    truth = io.read(DELPHES, smear_tracks=False)
    moved = flat((events.candidates.dz - truth.candidates.dz) / events.candidates.dz_error)
    moved = moved[np.isfinite(moved)]
    assert len(moved) == 70270
    assert np.std(moved) == pytest.approx(1.0, abs=0.01)
    assert np.mean(moved) == pytest.approx(0.0, abs=0.01)


def test_packed_sample():
    events = io.read(PACKED)
    with np.load(PACKED) as archive:
        assert events.n_candidates.tolist() == (archive["n_trk"] + archive["n_pho"] + archive["n_had"]).tolist()
        assert events.truth.met.pt.tolist() == archive["met"].tolist()
        assert events.n_vertices.tolist() == archive["npv"].tolist()
        hard = ak.sum(events.truth.hard_fraction[events.candidates.charge == 0])
        assert hard == pytest.approx(archive["pho_hard"].sum(dtype=float) + archive["had_hard"].sum(dtype=float))
        n_first = int(archive["n_trk"][0])
        dz = io.read(PACKED, smear_tracks=False).candidates.dz[0][:n_first]
        np.testing.assert_allclose(dz, archive["trk_DZ"][:n_first] - archive["pv_z"][0], atol=2e-5)


def test_cms_events():
    events = io.read(PFNANO)
    candidates = events.candidates
    assert int(ak.sum(events.n_candidates)) == 18197
    assert ak.sum(candidates.charge != 0) == 8053
    assert events.n_vertices.tolist() == [21, 21, 16, 19, 19, 17, 18, 36, 17, 30]
    assert set(np.abs(flat(candidates.pdg_id)).tolist()) == {1, 2, 11, 13, 22, 130, 211}
    charged = candidates.charge != 0
    no_track = charged & np.isnan(candidates.dz)
    assert int(ak.sum(no_track)) == 3295
    assert ak.max(candidates.pt[no_track]) <= 0.5
    assert np.nanmax(np.abs(flat(candidates.dz))) == 5075.0  # mm
    assert int(ak.sum(ak.num(events.truth.leptons.pt, axis=1))) == 0
    assert events.truth.fields == ["jets", "fat_jets", "met", "leptons"]


def test_the_vertex_choice_agrees_with_what_cms_used_for_puppi():
    """Charged candidates have a weight of 0 or 1 there: CMS' own choice, which the reader does not look at."""
    events = io.read(PFNANO)
    charged = events.candidates.charge != 0
    known = charged & (events.candidates.vertex >= 0)
    weight = flat(events.weights.cms_puppi[known])
    leading = flat(events.candidates.vertex[known]) == 0
    assert np.isin(weight, (0, 1)).all()
    assert len(weight) == 4758
    assert (leading == (weight == 1)).mean() > 0.995


def test_candidates_of_cms_give_its_raw_missing_momentum():
    uproot = pytest.importorskip("uproot")
    events = io.read(PFNANO)
    pt, phi = (ak.values_astype(events.candidates[name], np.float64) for name in ("pt", "phi"))
    found = np.hypot(ak.sum(pt * np.cos(phi), axis=1), ak.sum(pt * np.sin(phi), axis=1))
    with uproot.open(PFNANO) as file:
        raw = file["Events"]["RawMET_pt"].array(library="np")
    np.testing.assert_allclose(found, raw, rtol=0.015)
