"""Jets: exact answers on small configurations, edges and errors."""

from __future__ import annotations

import subprocess
import sys

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, SettingsError
from hardscatter.jets import cluster, cluster_momenta, n_subjettiness, soft_drop, subtract_area, tau_ratio
from hardscatter.jets.momenta import four_momenta


def make(*events):
    """Build events from lists of (pt, eta, phi), massless and neutral."""
    columns = [ak.Array([[particle[k] for particle in event] for event in events]) for k in range(3)]
    pt, eta, phi = (ak.values_astype(column, np.float64) for column in columns)
    zero = ak.values_astype(ak.zeros_like(pt), np.int64)
    return hs.from_candidates(pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta), charge=zero, vertex=zero - 1)


def vector(pt, eta, phi):
    return np.array([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)])


TWO = [(30.0, 0.1, 0.2), (20.0, 0.3, 0.1)]


def test_two_particles_make_the_jet_of_their_sum():
    (jet,) = cluster(make(TWO))[0]
    px, py, pz, energy = vector(*TWO[0]) + vector(*TWO[1])
    assert jet.pt == pytest.approx(np.hypot(px, py), rel=1e-12)
    assert jet.eta == pytest.approx(np.arcsinh(pz / np.hypot(px, py)), rel=1e-12)
    assert jet.phi == pytest.approx(np.arctan2(py, px), rel=1e-12)
    assert jet.mass == pytest.approx(np.sqrt(energy**2 - px**2 - py**2 - pz**2), rel=1e-9)
    assert jet.constituents.tolist() == [0, 1]
    assert cluster(make(TWO)).fields == ["pt", "eta", "phi", "mass", "constituents"]


def test_weights_scale_and_remove():
    events = make([(40.0, 0.0, 0.0), (30.0, 2.0, 1.0), (60.0, -2.0, 3.0)])
    jets = cluster(events, ak.Array([[0.5, 0.0, 1.0]]))
    assert jets.pt.tolist() == [pytest.approx([60.0, 20.0])]
    assert jets.constituents.tolist() == [[[2], [0]]]  # positions among all candidates, not those kept


def test_sorted_with_lowest_momentum_included():
    events = make([(15.0, 0.0, 0.0), (14.99, 1.0, 1.0), (50.0, -1.0, 2.0), (20.0, 2.0, -2.0)])
    assert cluster(events, min_pt=14.995).pt.tolist() == [pytest.approx([50.0, 20.0, 15.0])]


def test_mass_of_candidates_only_on_request():
    events = hs.from_candidates(pt=[[30.0]], eta=[[0.0]], phi=[[0.0]], energy=[[50.0]], charge=[[0]], vertex=[[-1]])
    assert cluster(events).mass[0, 0] == pytest.approx(0.0, abs=1e-6)
    assert cluster(events, massless=False).mass[0, 0] == pytest.approx(40.0)
    halved = cluster(events, ak.Array([[0.5]]), massless=False)[0, 0]
    assert (halved.pt, halved.mass) == (pytest.approx(15.0), pytest.approx(20.0))


def test_phi_seam_and_range():
    (jet,) = cluster(make([(30.0, 0.0, 3.1), (30.0, 0.0, -3.1)]))[0]
    assert len(jet.constituents) == 2
    assert jet.phi == -np.pi


def test_radius_decides():
    apart = make([(30.0, 0.0, 0.0), (30.0, 0.6, 0.0)])
    assert ak.num(cluster(apart)).tolist() == [2]
    assert ak.num(cluster(apart, radius=0.8)).tolist() == [1]
    assert ak.num(cluster(apart, radius=np.float32(0.8))).tolist() == [1]


def test_algorithms_differ_as_they_should():
    # A soft chain: kT and Cambridge join the two soft ones first, anti-kT gives the hard one its circle.
    events = make([(100.0, 0.0, 0.0), (5.0, 0.35, 0.0), (4.0, 0.5, 0.0)])
    members = {name: cluster(events, algorithm=name, min_pt=3.0).constituents.tolist()[0]
               for name in ("antikt", "cambridge", "kt")}  # fmt: skip
    assert members == {"antikt": [[0, 1], [2]], "cambridge": [[0], [1, 2]], "kt": [[0], [1, 2]]}


EMPTIES = make([], TWO, [], [], [(50.0, 0.0, 0.0)], [])


@pytest.mark.parametrize("ghost_area", [None, 0.05])
def test_empty_events_and_none_at_all(ghost_area):
    jets = cluster(EMPTIES, ghost_area=ghost_area)
    assert ak.num(jets).tolist() == [0, 1, 0, 0, 1, 0]
    nothing = cluster(EMPTIES[:0], ghost_area=ghost_area)
    assert len(nothing) == 0
    assert str(nothing.type).split("*", 1)[1] == str(jets.type).split("*", 1)[1]
    assert ak.num(cluster(EMPTIES[2:4], ghost_area=ghost_area)).tolist() == [0, 0]
    dark = cluster(EMPTIES, ak.zeros_like(EMPTIES.candidates.pt), ghost_area=ghost_area)
    assert ak.num(dark).tolist() == [0] * 6
    assert str(dark.type) == str(jets.type)


def test_min_pt_zero_keeps_no_jet_of_ghosts():
    jets = cluster(EMPTIES, min_pt=0.0, ghost_area=0.05)
    assert ak.num(jets).tolist() == [0, 1, 0, 0, 1, 0]


def test_more_events_than_a_batch():
    many = make(*([[(20.0 + k, 0.0, 0.0)] if k % 3 else [] for k in range(120)]))
    assert ak.flatten(cluster(many).pt).tolist() == pytest.approx([20.0 + k for k in range(120) if k % 3])


def test_isolated_jet_has_the_area_of_its_circle():
    jets = cluster(make([(100.0, 0.5, 1.0), (100.0, -2.0, -3.1)]), ghost_area=0.0005)
    assert jets.area[0].tolist() == pytest.approx([np.pi * 0.16] * 2, rel=0.01)


def test_ghosts_change_no_jet():
    plain, ghosted = cluster(EMPTIES), cluster(EMPTIES, ghost_area=0.01)
    assert ghosted.fields == [*plain.fields, "area"]
    assert plain.constituents.tolist() == ghosted.constituents.tolist()
    for name in ("pt", "eta", "phi"):
        assert ak.all(abs(plain[name] - ghosted[name]) < 1e-9)


def test_cluster_momenta_of_bare_particles():
    px, py, pz, energy = vector(40.0, 1.0, 2.0)
    jets = cluster_momenta(ak.Array([[{"px": px, "py": py, "pz": pz, "E": energy}]]), radius=0.4)
    assert (jets[0, 0].pt, jets[0, 0].eta) == (pytest.approx(40.0), pytest.approx(1.0))


@pytest.mark.parametrize(
    ("settings", "word"),
    [
        ({"radius": 0.0}, "radius"),
        ({"radius": float("nan")}, "radius"),
        ({"radius": 1e4}, "radius"),
        ({"min_pt": -1.0}, "min_pt"),
        ({"min_pt": float("inf")}, "min_pt"),
        ({"algorithm": "siscone"}, "antikt, cambridge, kt"),
        ({"ghost_area": 0.0}, "ghost_area"),
        ({"ghost_area": 2.0}, "ghost_area"),
    ],
)
def test_bad_settings_get_a_sentence(settings, word):
    with pytest.raises(SettingsError, match=word):
        cluster(EMPTIES, **settings)


@pytest.mark.parametrize("weights", [[[1.0]], [[], [1.0], [], [], [1.0], []], [[], [1.0, 1.5], [], [], [1.0], []],
                                     [[], [1.0, float("nan")], [], [], [1.0], []]])  # fmt: skip
def test_bad_weights_get_a_sentence(weights):
    with pytest.raises(InvalidEventsError, match="weights"):
        cluster(EMPTIES, ak.Array(weights))


def test_too_far_forward_is_said():
    momenta = {"pt": 1.0, "eta": 900.0, "phi": 0.0}
    with pytest.raises(InvalidEventsError, match="900"):
        four_momenta(**momenta)
    with pytest.raises(InvalidEventsError, match="900"):
        hs.from_candidates(**{k: [[v]] for k, v in momenta.items()}, energy=[[1.0]], charge=[[0]], vertex=[[-1]])


def test_subtract_area_by_hand():
    jets = cluster(make([(30.0, 0.0, 0.0), (100.0, 1.5, 1.0), (10.0, 1.6, 1.0)], []), ghost_area=0.01, min_pt=5.0)
    left = subtract_area(jets, np.array([80.0, 3.0]))
    hard = jets[0, 0]
    factor = (hard.pt - 80.0 * hard.area) / hard.pt
    assert ak.num(left).tolist() == [1, 0]  # 30 GeV − 80 × 0.5 is nothing
    assert left[0, 0].pt == pytest.approx(hard.pt * factor)
    assert left[0, 0].mass == pytest.approx(hard.mass * factor)
    assert left[0, 0].constituents.tolist() == [1, 2]
    assert len(subtract_area(jets[:0], np.zeros(0))) == 0
    with pytest.raises(SettingsError, match="ghost_area"):
        subtract_area(cluster(EMPTIES), np.zeros(6))
    for rho in (np.zeros(3), np.array([np.nan, 0.0]), np.array([-1.0, 0.0])):
        with pytest.raises(InvalidEventsError, match="rho"):
            subtract_area(jets, rho)


def test_soft_drop_keeps_a_balanced_pair():
    events = make(TWO)
    groomed = soft_drop(events, cluster(events, radius=0.8))[0, 0]
    total = vector(*TWO[0]) + vector(*TWO[1])
    assert groomed.z_g == pytest.approx(0.4)
    assert groomed.delta_r == pytest.approx(np.hypot(0.2, 0.1))
    assert groomed.pt == pytest.approx(np.hypot(total[0], total[1]))
    assert groomed.mass == pytest.approx(np.sqrt(total[3] ** 2 - np.sum(total[:3] ** 2)))


def test_soft_drop_removes_the_soft_wide_branch():
    events = make([*TWO, (3.0, 0.1, 0.8), (1.0, 0.15, 0.7)], TWO)
    jets = cluster(events, radius=0.8)
    assert ak.num(jets[0].constituents).tolist() == [4]
    groomed = soft_drop(events, jets)
    for name in groomed.fields:
        assert groomed[name][0, 0] == pytest.approx(groomed[name][1, 0], rel=1e-9)


def test_soft_drop_beta_opens_and_closes():
    events = make([(95.0, 0.0, 0.0), (5.0, 0.4, 0.0)])  # z = 0.05, ΔR / R = 0.5
    jets = cluster(events, radius=0.8)
    z_g = {beta: soft_drop(events, jets, beta=beta).z_g[0, 0] for beta in (0.0, 0.9, 1.1, 2.0)}
    assert z_g == {0.0: 0.0, 0.9: 0.0, 1.1: pytest.approx(0.05), 2.0: pytest.approx(0.05)}


def test_soft_drop_where_nothing_passes():
    events = make([(99.0, 0.0, 3.0), (1.0, 0.4, 3.0)], [(50.0, 1.0, -2.0)])
    groomed = soft_drop(events, cluster(events, radius=0.8))
    assert groomed.pt.tolist() == [[pytest.approx(99.0)], [pytest.approx(50.0)]]
    assert groomed.phi.tolist() == [[pytest.approx(3.0)], [pytest.approx(-2.0)]]
    assert groomed.z_g.tolist() == groomed.delta_r.tolist() == [[0.0], [0.0]]


def test_soft_drop_of_collinear_particles_with_negative_beta():
    events = make([(30.0, 0.5, 0.5), (20.0, 0.5, 0.5)])
    groomed = soft_drop(events, cluster(events), beta=-1.0)
    assert np.isfinite(groomed.pt[0, 0])


def test_substructure_of_no_jets_and_dark_jets():
    jets = cluster(EMPTIES, radius=0.8)
    none = jets[jets.pt < 0]
    for part, found in ((EMPTIES, none), (EMPTIES[:0], jets[:0])):
        assert ak.num(soft_drop(part, found)).tolist() == [0] * len(part)
        assert ak.num(n_subjettiness(part, found)).tolist() == [0] * len(part)
    dark = ak.zeros_like(EMPTIES.candidates.pt)
    groomed = soft_drop(EMPTIES, jets, dark)
    assert ak.flatten(groomed.pt).tolist() == [0.0, 0.0]
    assert ak.all(groomed.eta == jets.eta)
    assert ak.flatten(n_subjettiness(EMPTIES, jets, dark).tau1).tolist() == [0.0, 0.0]


def test_substructure_refuses_foreign_jets():
    jets = cluster(EMPTIES)
    with pytest.raises(InvalidEventsError, match="6 events for 5"):
        soft_drop(EMPTIES[1:], jets)
    with pytest.raises(InvalidEventsError, match="lack"):
        n_subjettiness(EMPTIES[[0, 4, 0, 0, 0, 0]], jets)


def test_tau1_of_two_particles():
    events = make([(30.0, 0.0, 0.0), (20.0, 0.3, 0.0)])
    taus = n_subjettiness(events, cluster(events, radius=0.8))
    # At β = 1 the best axis is the weighted median, the harder particle: τ₁ = pt₂ ΔR / (Σpt · R).
    assert taus.tau1[0, 0] == pytest.approx(20.0 * 0.3 / (50.0 * 0.8), rel=1e-3)
    assert taus.tau2[0, 0] == 0.0
    # At β = 2 it is the weighted mean: τ₁ = Σ pt_k (x_k − x̄)² / (Σpt · R²).
    taus = n_subjettiness(events, cluster(events, radius=0.8), beta=2.0)
    assert taus.tau1[0, 0] == pytest.approx((30 * 0.12**2 + 20 * 0.18**2) / (50 * 0.8**2), rel=1e-2)


def test_n_prongs_are_told_apart():
    prongs = [(100.0, 0.0, 0.0), (90.0, 0.5, 0.0), (80.0, 0.25, 0.4)]
    crumbs = [(0.1, eta + 0.02, phi - 0.02) for _, eta, phi in prongs]
    events = make(prongs + crumbs, prongs[:2] + crumbs[:2])
    jets = cluster(events, radius=1.0)
    assert ak.num(jets).tolist() == [1, 1]
    taus = n_subjettiness(events, jets, n=(1, 2, 3), radius=1.0)
    assert tau_ratio(taus, 3, 2)[0, 0] < 0.01
    assert tau_ratio(taus, 2, 1)[0, 0] > 0.3
    assert tau_ratio(taus, 2, 1)[1, 0] < 0.01


def test_tau_ratio_without_a_denominator():
    events = make([(50.0, 0.0, 0.0)])
    taus = n_subjettiness(events, cluster(events))
    assert np.isnan(tau_ratio(taus, 2, 1)[0, 0])
    with pytest.raises(SettingsError, match="tau4"):
        tau_ratio(taus, 4, 3)


@pytest.mark.parametrize("settings", [{"n": ()}, {"n": (0,)}, {"beta": 0.5}, {"radius": -1.0}])
def test_bad_subjettiness_settings(settings):
    with pytest.raises(SettingsError):
        n_subjettiness(EMPTIES, cluster(EMPTIES), **settings)


@pytest.mark.parametrize("settings", [{"z_cut": 0.6}, {"beta": float("inf")}, {"radius": 0.0}])
def test_bad_soft_drop_settings(settings):
    with pytest.raises(SettingsError):
        soft_drop(EMPTIES, cluster(EMPTIES), **settings)


def test_banner_stays_off_stdout():
    script = (
        "import hardscatter as hs; from hardscatter.jets import cluster\n"
        "print('before')\n"
        "cluster(hs.from_candidates(pt=[[20.]],eta=[[0.]],phi=[[0.]],energy=[[20.]],charge=[[0]],vertex=[[0]]))\n"
        "print('after')\n"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "before\nafter\n"
    assert "FastJet" in done.stderr
