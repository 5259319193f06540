"""The pileup workshop of 2014: its published table, and FastJet's own background estimation and subtraction."""

from __future__ import annotations

import fastjet
import numpy as np
import pytest

from hardscatter import workshop2014
from hardscatter.workshop2014 import crossings, jet_level
from hardscatter.workshop2014.benchmark import published_value

# comparisons/review/res/sub-dijets050-npu140-novor.res of the workshop's repository, 71 428 events.
DIJETS050_AT_140 = {
    "unsub": (24.45, 7.068, 8.324, 2.506),
    "area": (-0.1137, 6.645, -0.4519, 2.833),
    "constit": (-0.08524, 6.387, 0.8321, 2.219),
    "clns": (0.5149, 6.328, 0.8007, 1.875),
    "sk50": (0.3389, 4.807, 0.5279, 1.766),
    "sk45z02": (-0.2098, 4.569, 0.09708, 1.56),
    "atrim15": (-0.1937, 6.137, -0.1214, 2.394),
    "workshop:puppi": (-0.2461, 4.805, 0.1709, 1.577),
}


def test_published_table_is_whole():
    table = workshop2014.published()
    points = {(point["quantity"], point["sample"], point["n_pileup"]) for point in table["point"]}
    assert len(points) == len(table["point"]) == 2 * 3 * 3
    for point in table["point"]:
        for method in table["methods"]:
            assert point[method]["dispersion"] > 0
            assert abs(point[method]["shift"]) < 25
    assert "2014PileupWorkshop" in table["source"]


def test_published_table_is_what_the_workshop_wrote():
    for method, (pt_shift, pt_dispersion, mass_shift, mass_dispersion) in DIJETS050_AT_140.items():
        assert published_value("dijets050", 140, method, "pt") == pytest.approx((pt_shift, pt_dispersion), rel=4e-3)
        assert published_value("dijets050", 140, method, "mass") == pytest.approx(
            (mass_shift, mass_dispersion), rel=4e-3
        )
    assert published_value("dijets050", 140, "puppi", "pt") is None  # the one of CMS is another
    assert published_value("dijets050", 60, "unsub", "pt") is None


def test_published_shift_is_proportional_to_pileup():
    for sample in ("dijets020", "dijets050", "dijets100"):
        for n_pileup in (30, 100):
            shift, _ = published_value(sample, n_pileup, "unsub", "pt")
            assert shift / n_pileup == pytest.approx(24.42 / 140, rel=0.01)


@pytest.fixture(scope="module")
def crowd():
    """A crossing of 2 000 soft particles: pt, y, phi."""
    rng = np.random.default_rng(5)
    return rng.exponential(0.7, 2000) + 0.05, rng.uniform(-4, 4, 2000), rng.uniform(-np.pi, np.pi, 2000)


def fastjets_estimator(crowd):
    """FastJet's estimator as the workshop set it up; what it points to comes along, or it would be freed."""
    rescaling = fastjet._swig.BackgroundRescalingYPolynomial(0.9084412, 0, -0.0189777, 0, 4.05981e-05)
    estimator = fastjet._swig.GridMedianBackgroundEstimator(crossings.Y_MAX, jet_level.DENSITY_TILE)
    estimator.set_rescaling_class(rescaling)
    estimator.set_particles([pseudojet(*particle) for particle in zip(*crowd, strict=True)])
    return estimator, rescaling


def pseudojet(pt, y, phi, mass=0.0):
    jet = fastjet._swig.PseudoJet()
    jet.reset_PtYPhiM(float(pt), float(y), float(phi), float(mass))
    return jet


def test_density_is_fastjets(crowd):
    estimator, _rescaling = fastjets_estimator(crowd)
    ours = jet_level.density_of(*crowd, np.array([0, len(crowd[0])]), np.zeros(len(crowd[0]), bool))
    for y in (-2.3, 0.0, 1.7):
        shape = float(jet_level.density_shape(np.array([y]))[0])
        jet = pseudojet(50.0, y, 0.3)
        assert ours.rho[0] * shape == pytest.approx(estimator.rho(jet), rel=1e-6)
        assert ours.sigma[0] * shape == pytest.approx(estimator.sigma(jet), rel=1e-6)


def test_area_subtraction_is_fastjets(crowd):
    estimator, _rescaling = fastjets_estimator(crowd)
    subtractor = fastjet._swig.Subtractor(estimator)
    subtractor.set_safe_mass(True)
    swig = fastjet._swig
    area = swig.AreaDefinition(swig.active_area_explicit_ghosts)
    particles = [pseudojet(*particle) for particle in zip(*crowd, strict=True)]
    particles += [pseudojet(60.0, 0.2, 1.0), pseudojet(45.0, 0.35, 1.1), pseudojet(50.0, -1.0, -2.0)]
    sequence = swig.ClusterSequenceArea(particles, swig.JetDefinition(swig.antikt_algorithm, 0.4), area)
    found = 0
    for jet in sequence.inclusive_jets(5.0):
        theirs, vector = subtractor(jet), jet.area_4vector()
        ours = jet_level.subtract_area_vector(columns(jet), columns(vector), np.array([estimator.rho()]))
        assert [float(values[0]) for values in ours.values()] == pytest.approx(
            [theirs.px(), theirs.py(), theirs.pz(), theirs.E()], rel=1e-6, abs=1e-6
        )
        found += 1
    assert found > 20


def columns(jet):
    return {name: np.array([value()]) for name, value in (("px", jet.px), ("py", jet.py), ("pz", jet.pz), ("E", jet.E))}


@pytest.mark.slow
def test_minbias_has_the_published_density(monkeypatch, tmp_path):
    """24.4 GeV of neutral pileup in a jet at N_PU 140, and γ0 = 0.612 of it charged: so K⁰s and Λ decay."""
    monkeypatch.setenv("HARDSCATTER_CACHE", str(tmp_path))
    pool = crossings.pileup_pool(21, 6000)
    central = np.abs(pool.y) < 2.0
    pt = np.bincount(pool.charge[central] != 0, pool.pt[central])
    density = pt / len(pool) / (4.0 * 2 * np.pi)
    assert 140 * density[0] * np.pi * 0.16 == pytest.approx(24.4, rel=0.06)
    assert density[1] / density.sum() == pytest.approx(0.612, abs=0.008)
