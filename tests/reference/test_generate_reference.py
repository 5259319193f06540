"""Numbers that were measured with Pythia 8.317 on its own, without this package (reference notes of the project)."""

from __future__ import annotations

import numpy as np
import pytest

from hardscatter.generate import Generation, build

CHARGED = (11, 13, 211, 321, 2212, 3112, 3222, 3312, 3334)

# 5 000 inelastic collisions, CP5, 14 TeV: mean number of visible stable particles above pT (GeV) and its error.
CP5_MEANS = {
    0.0: {"all": (134.7, 2.0), "charged 2.5": (31.3, 0.5), "charged 4": (50.2, 0.75), "neutral": (73.3, 1.1)},
    0.2: {"all": (85.8, 1.3), "charged 2.5": (25.8, 0.4), "charged 4": (40.9, 0.6), "neutral": (36.1, 0.55)},
    0.5: {"all": (38.2, 0.7), "charged 2.5": (12.9, 0.25), "charged 4": (20.3, 0.4), "neutral": (13.8, 0.3)},
    1.0: {"all": (11.8, 0.3), "charged 2.5": (4.2, 0.12), "charged 4": (6.4, 0.17), "neutral": (4.2, 0.12)},
}
MONASH_OVER_CP5 = 172 / 174
"""Of the multiplicity of non-diffractive collisions."""


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(tmp_path_factory.getbasetemp() / "generate-cache"))


def means(collisions, lowest_pt):
    """Mean number a collision, with its error, of the kinds in the table."""
    charged = np.isin(np.abs(collisions.pid), CHARGED)
    eta = np.abs(collisions.eta)
    kinds = {
        "all": eta < 5,
        "charged 2.5": charged & (eta < 2.5),
        "charged 4": charged & (eta < 4),
        "neutral": ~charged & (eta < 5),
    }
    owner = np.repeat(np.arange(len(collisions)), np.diff(collisions.offsets))
    result = {}
    for kind, mask in kinds.items():
        numbers = np.bincount(owner[mask & (collisions.pt > lowest_pt)], minlength=len(collisions))
        result[kind] = numbers.mean(), numbers.std() / np.sqrt(len(collisions))
    return result


def test_minbias_monash():
    library = build(Generation("minbias", seed=21), 1500, workers=1)
    mean, error = means(library.load(), 0.0)["all"]
    expected, its_error = CP5_MEANS[0.0]["all"]
    assert abs(mean - expected * MONASH_OVER_CP5) < 3 * np.hypot(error, its_error)
    assert library.cross_section == pytest.approx(78.9, abs=0.1)


@pytest.mark.slow
def test_minbias_cp5():
    collisions = build(Generation("minbias", tune="cp5", seed=22), 4000).load()
    for lowest_pt, kinds in CP5_MEANS.items():
        for kind, (mean, error) in means(collisions, lowest_pt).items():
            expected, its_error = kinds[kind]
            assert abs(mean - expected) < 3.5 * np.hypot(error, its_error), (kind, lowest_pt, mean)


@pytest.mark.slow
def test_minbias_of_the_2014_workshop():
    """Elastic collisions included, 32 of its sample's 100 leave nothing in |y| < 4; of ours 26 %."""
    collisions = build(Generation("minbias", tune="4c", elastic=True, seed=23), 3000).load()
    energy = np.sqrt((collisions.pt * np.cosh(collisions.eta)) ** 2 + collisions.mass**2)
    rapidity = np.arctanh(collisions.pt * np.sinh(collisions.eta) / energy)
    owner = np.repeat(np.arange(len(collisions)), np.diff(collisions.offsets))
    seen = np.bincount(owner[np.abs(rapidity) < 4], minlength=len(collisions))
    empty = (seen == 0).mean()
    assert abs(empty - 0.32) < 0.10  # two standard deviations of 100 collisions


def test_cross_section_of_top_pairs():
    lines = "Top:gg2ttbar = on\nTop:qqbar2ttbar = on\nPartonLevel:all = off"
    library = build(Generation("cmnd", cmnd=lines, energy=14000, tune="cp5"), 2000, workers=1, chunk_size=2000)
    assert library.cross_section * 1e9 == pytest.approx(529, rel=0.03)  # pb


@pytest.mark.slow
def test_top_decays_share_the_cross_section():
    """W decay to quarks with a fraction of 0.676: 45.7 %, 43.8 % and 10.5 % of top pairs."""
    kinds = {"hadronic": 0.457, "semileptonic": 0.438, "dileptonic": 0.105}
    sections = {kind: build(Generation(f"ttbar-{kind}"), 400).cross_section for kind in kinds}
    total = sum(sections.values())
    for kind, fraction in kinds.items():
        assert sections[kind] / total == pytest.approx(fraction, rel=0.12)
