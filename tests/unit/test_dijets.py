"""The mass of two jets, and what is measured of it."""

import awkward as ak
import numpy as np
import pytest
import vector

from hardscatter.errors import MissingFieldError, SettingsError
from hardscatter.metrics.dijets import dijet_mass, dijet_study, leading_pair
from hardscatter.metrics.records import Records


def jets_of(pt, eta, phi, mass=0.0):
    """Return jagged jets from (events, jets)."""
    pt, eta, phi, mass = (
        ak.from_regular(ak.Array(x)) for x in np.broadcast_arrays(*map(np.asarray, (pt, eta, phi, mass)))
    )
    return ak.zip({"pt": pt, "eta": eta, "phi": phi, "mass": mass})


def view_of(jets):
    return ak.zip({"jets": jets}, depth_limit=1)


def truth_of(jets, **fields):
    return ak.zip({"jets": jets, **fields}, depth_limit=1)


def pairs(n, scale=1.0, seed=1):
    """Return two jets an event, forward and backward; `scale` is of both momenta, (events,)."""
    rng = np.random.default_rng(seed)
    pt = np.sort(rng.uniform(50, 200, (n, 2)))[:, ::-1] * np.reshape(scale, (-1, 1))
    eta = rng.uniform(1.0, 4.0, (n, 2)) * [1, -1]
    return jets_of(pt, eta, rng.uniform(-np.pi, np.pi, (n, 2)))


def numbers(study, name):
    (result,) = (result for result in study.results if result.name == name)
    return result


def value(study, name, method, column):
    return numbers(study, name).rows[method][column].value


def test_mass_of_two_jets_back_to_back_is_closed_form():
    # Massless, same pt and |eta|, back to back: m = 2 pt cosh(eta).
    mass = dijet_mass(jets_of([[100.0, 100.0]], [[2.0, -2.0]], [[0.0, -np.pi]]))
    assert mass == pytest.approx([200 * np.cosh(2.0)])


def test_mass_agrees_with_four_vectors_and_takes_the_two_hardest_in_any_order():
    rng = np.random.default_rng(3)
    jets = jets_of(rng.uniform(20, 300, (50, 3)), rng.uniform(-4.7, 4.7, (50, 3)), rng.uniform(-3, 3, (50, 3)), 12.0)
    hardest = jets[ak.argsort(jets.pt, ascending=False)][:, :2]
    momenta = vector.Array(ak.with_name(hardest, "Momentum4D"))
    expected = (momenta[:, 0] + momenta[:, 1]).mass
    np.testing.assert_allclose(dijet_mass(jets), expected, rtol=1e-9)
    assert np.any(ak.to_numpy(jets.pt[:, 0]) < ak.to_numpy(jets.pt[:, 2]))


def test_fewer_than_two_jets_have_no_mass_and_jets_need_none():
    jets = ak.zip({name: ak.Array([[], [50.0], [50.0, 40.0]]) / 50 for name in ("pt", "eta", "phi")})
    mass = dijet_mass(jets)
    assert np.isnan(mass[:2]).all()
    assert np.isfinite(mass[2])
    assert leading_pair(jets)["pt"].shape == (3, 2)


def test_a_scale_is_bias_and_not_width():
    truth = pairs(40)
    study = dijet_study(Records("toy", truth_of(truth), {"total": view_of(pairs(40, 1.1))}), replicas=5)
    for way in ("matched", "leading"):
        assert value(study, f"mjj_{way}", "total", "median") == pytest.approx(0.1)
        assert value(study, f"mjj_{way}", "total", "resolution") == pytest.approx(0.0, abs=1e-9)
        assert value(study, f"mjj_{way}", "total", "efficiency") == 1.0


def test_widths_improvement_and_gap_are_what_was_put_in():
    rng = np.random.default_rng(5)
    noise = rng.normal(size=4000)
    widths = {"puppi:best": 0.10, "puppi:cms-phase2": 0.12, "total": 0.06, "perfect": 0.02}
    # Scaling both momenta scales the mass.
    views = {name: view_of(pairs(4000, 1 + width * noise)) for name, width in widths.items()}
    study = dijet_study(Records("toy", truth_of(pairs(4000)), views), replicas=20)
    table = numbers(study, "mjj_matched")
    # Half the central half of a normal distribution is 0.6745 σ.
    assert table.rows["total"]["resolution"].value == pytest.approx(0.6745 * 0.06, rel=0.05)
    assert table.rows["total"]["improvement"].value == pytest.approx(0.4, abs=2e-3)
    assert table.rows["total"]["improvement_cms"].value == pytest.approx(0.5, abs=2e-3)
    assert table.rows["total"]["gap"].value == pytest.approx(0.5, abs=2e-3)
    # The same draws and the same noise: what is common cancels.
    assert table.rows["total"]["improvement"].error < 0.1 * table.rows["total"]["resolution"].error / 0.04
    # As common noise does from the ratio of two widths in a bin, which by themselves are known to a few percent.
    profile = numbers(study, "mjj_matched_profile")
    for width, relative in zip(*(profile.statistics[name]["total"] for name in ("resolution", "ratio")), strict=True):
        if np.isfinite(relative.value):
            assert relative.value == pytest.approx(0.6, abs=0.02)
            assert relative.error < 0.3 * width.error / width.value
    assert {one.value for one in profile.statistics["ratio"]["puppi:best"] if np.isfinite(one.value)} == {1.0}
    assert "improvement" not in table.rows["puppi:best"]
    assert "gap" not in table.rows["perfect"]


def test_a_lost_jet_has_response_minus_one_and_a_pileup_jet_replaces_a_leading_one():
    n = 12
    truth = pairs(n)
    lost = truth[:, :1]
    loud = jets_of(np.full((n, 1), 500.0), np.zeros((n, 1)), np.zeros((n, 1)))
    views = {"total": view_of(lost), "none": view_of(ak.concatenate([loud, truth], axis=1))}
    study = dijet_study(Records("toy", truth_of(truth), views), replicas=3)
    assert value(study, "mjj_matched", "total", "median") == -1.0
    assert value(study, "mjj_leading", "total", "median") == -1.0
    assert value(study, "mjj_matched", "total", "efficiency") == 0.0
    assert np.isnan(value(study, "mjj_matched", "total", "resolution"))
    assert value(study, "mjj_matched", "none", "median") == pytest.approx(0.0, abs=1e-9)
    assert value(study, "mjj_matched", "none", "efficiency") == 1.0
    assert value(study, "mjj_leading", "none", "efficiency") == 0.0
    assert abs(value(study, "mjj_leading", "none", "median")) > 0.1


def test_one_jet_is_not_matched_twice():
    truth = jets_of([[100.0, 90.0]] * 5, [[2.0, 2.0]] * 5, [[0.0, 0.5]] * 5)
    between = jets_of([[190.0]] * 5, [[2.0]] * 5, [[0.25]] * 5)
    study = dijet_study(Records("toy", truth_of(truth), {"total": view_of(between)}), replicas=3)
    assert value(study, "mjj_matched", "total", "efficiency") == 0.0


def test_jets_of_prompt_leptons_are_no_jets():
    truth = pairs(8)
    electron = jets_of(np.full((8, 1), 400.0), np.zeros((8, 1)), np.ones((8, 1)))
    with_electron = ak.concatenate([electron, truth], axis=1)
    records = Records("toy", truth_of(with_electron, leptons=electron), {"total": view_of(with_electron)})
    study = dijet_study(records, replicas=3)
    assert value(study, "mjj_leading", "total", "efficiency") == 1.0
    profile = numbers(study, "mjj_leading_profile")
    inside = np.histogram(dijet_mass(truth), profile.edges)[0]
    assert profile.sizes == tuple(inside)


def test_generator_weights_count():
    truth, n = pairs(100), 100
    scale = np.where(np.arange(n) < 80, 1.0, 1.5)
    weight = np.where(np.arange(n) < 80, 1.0, 100.0)
    view = {"total": view_of(pairs(n, scale))}
    plain = dijet_study(Records("toy", truth_of(truth), view), replicas=3)
    weighted = dijet_study(Records("toy", truth_of(truth, generator_weight=weight), view), replicas=3)
    assert value(plain, "mjj_matched", "total", "median") == pytest.approx(0.0, abs=1e-9)
    assert value(weighted, "mjj_matched", "total", "median") == pytest.approx(0.5)
    tiny = dijet_study(Records("toy", truth_of(truth, generator_weight=weight * 1e-12), view), replicas=3)
    for method, row in numbers(tiny, "mjj_matched").rows.items():
        for column, estimate in row.items():
            assert estimate.value == pytest.approx(value(weighted, "mjj_matched", method, column), nan_ok=True)


def test_no_crossing_no_dijet_and_no_truth():
    for n in (0, 1):
        truth = pairs(n)
        study = dijet_study(Records("toy", truth_of(truth), {"total": view_of(truth)}), replicas=3)
        assert np.isnan(value(study, "mjj_matched", "total", "resolution"))
    single = pairs(6)[:, :1]
    study = dijet_study(Records("toy", truth_of(single), {"total": view_of(single)}), replicas=3)
    assert np.isnan(value(study, "mjj_leading", "total", "efficiency"))
    assert dijet_study(Records("toy", truth_of(single), {}), replicas=3).results[0].rows == {}
    with pytest.raises(MissingFieldError, match=r"truth\.jets"):
        dijet_study(Records("toy", ak.zip({"event": ak.Array([1])}, depth_limit=1), {}))
    with pytest.raises(SettingsError, match="replicas"):
        dijet_study(Records("toy", truth_of(single), {}), replicas=1)
