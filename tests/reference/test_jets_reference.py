"""Jets against FastJet's classic interface, its own grooming, and plain NumPy programs."""

from __future__ import annotations

import itertools

import awkward as ak
import fastjet
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.jets import cluster, cluster_momenta, n_subjettiness, soft_drop
from hardscatter.jets.momenta import constituents_of


def crossing(seed, n_soft=3000, n_hard=4):
    """Build one event: hard narrow sprays on soft candidates everywhere."""
    rng = np.random.default_rng(seed)
    axes = rng.uniform([-2.5, -np.pi], [2.5, np.pi], (n_hard, 2))
    spray = (axes[:, np.newaxis] + rng.normal(0, 0.15, (n_hard, 30, 2))).reshape(-1, 2)
    around = np.concatenate([spray, rng.uniform([-5, -np.pi], [5, np.pi], (n_soft, 2))])
    pt = np.concatenate([rng.exponential(6, len(spray)), rng.exponential(0.7, n_soft)]) + 0.1
    return pt, around[:, 0], around[:, 1]


def make(*events):
    pt, eta, phi = (ak.Array([event[k] for event in events]) for k in range(3))
    zero = ak.zeros_like(pt)
    return hs.from_candidates(pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta), charge=zero, vertex=zero - 1)


def pseudojets(pt, eta, phi):
    columns = pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), pt * np.cosh(eta)
    return [fastjet.PseudoJet(*map(float, row)) for row in zip(*columns, strict=True)]


def test_four_events_sliced():
    """fastjet before 3.5.1.5 clustered [10, 20, 30] here (scikit-hep/fastjet#400)."""
    momenta = ak.Array([[{"px": 10.0 * k, "py": 0.0, "pz": 0.0, "E": 10.0 * k}] for k in (1, 2, 3, 4)])
    assert ak.flatten(cluster_momenta(momenta[1:], min_pt=1.0).pt).tolist() == [20.0, 30.0, 40.0]
    assert ak.flatten(cluster_momenta(momenta[[3, 0, 2]], min_pt=1.0).pt).tolist() == [40.0, 10.0, 30.0]
    assert ak.flatten(cluster_momenta(momenta[::-2], min_pt=1.0).pt).tolist() == [40.0, 20.0]
    events = make(*(([10.0 * k], [0.0], [0.0]) for k in (1, 2, 3, 4)))
    assert ak.flatten(cluster(events[1:], min_pt=1.0).pt).tolist() == pytest.approx([20.0, 30.0, 40.0])
    assert ak.flatten(cluster(events[[3, 0, 2]], min_pt=1.0).pt).tolist() == pytest.approx([40.0, 10.0, 30.0])


@pytest.mark.parametrize(
    ("name", "algorithm"),
    [
        ("antikt", fastjet.antikt_algorithm),
        ("cambridge", fastjet.cambridge_algorithm),
        ("kt", fastjet.kt_algorithm),
    ],
)
@pytest.mark.parametrize("radius", [0.4, 0.8])
def test_same_jets_as_the_classic_interface(name, algorithm, radius):
    event = crossing(1)
    sequence = fastjet.ClusterSequence(pseudojets(*event), fastjet.JetDefinition(algorithm, radius))
    expected = sorted(sequence.inclusive_jets(15.0), key=lambda jet: -jet.perp())
    jets = cluster(make(event), radius=radius, algorithm=name)[0]
    assert len(jets) == len(expected) > 2
    assert jets.pt.tolist() == pytest.approx([jet.perp() for jet in expected], rel=1e-9)
    assert jets.eta.tolist() == pytest.approx([jet.eta() for jet in expected], abs=1e-9)
    assert jets.phi.tolist() == pytest.approx([jet.phi_std() for jet in expected], abs=1e-9)
    assert jets.mass.tolist() == pytest.approx([jet.m() for jet in expected], rel=1e-6)
    assert ak.num(jets.constituents).tolist() == [len(jet.constituents()) for jet in expected]


def test_areas_agree_with_active_areas():
    differences, hard_areas = [], []
    for seed in range(4):
        event = crossing(seed)
        area = fastjet.AreaDefinition(fastjet.active_area, fastjet.GhostedAreaSpec(5.0, 1, 0.01))
        definition = fastjet.JetDefinition(fastjet.antikt_algorithm, 0.4)
        sequence = fastjet.ClusterSequenceArea(pseudojets(*event), definition, area)
        expected = sorted(sequence.inclusive_jets(15.0), key=lambda jet: -jet.perp())
        jets = cluster(make(event), ghost_area=0.01)[0]
        assert len(jets) == len(expected)
        differences += [mine - theirs.area() for mine, theirs in zip(jets.area, expected, strict=True)]
        hard_areas.append(jets.area[0])
    assert abs(np.mean(differences)) < 0.01
    assert np.std(differences) < 0.05
    assert np.mean(hard_areas) == pytest.approx(np.pi * 0.16, abs=0.05)


def brute_force_antikt(pt, eta, phi, radius):
    """Cluster by the definition, every pair looked at in every step; return the members of each jet."""
    rows = {(k,): row for k, row in enumerate(np.stack([pt * np.cos(phi), pt * np.sin(phi),
                                                        pt * np.sinh(eta), pt * np.cosh(eta)], axis=1))}  # fmt: skip
    jets = []
    while rows:
        beam = {key: 1 / (row[0] ** 2 + row[1] ** 2) for key, row in rows.items()}
        best, value = (min(beam, key=beam.get),), min(beam.values())
        for a, b in itertools.combinations(rows, 2):
            distance = min(beam[a], beam[b]) * plain_distance(rows[a], rows[b]) ** 2 / radius**2
            if distance < value:
                best, value = (a, b), distance
        if len(best) == 1:
            jets.append(sorted(best[0]))
            del rows[best[0]]
        else:
            rows[best[0] + best[1]] = rows.pop(best[0]) + rows.pop(best[1])
    return jets


def plain_distance(a, b):
    y = [0.5 * np.log((row[3] + row[2]) / (row[3] - row[2])) for row in (a, b)]
    phi = np.arctan2(a[1], a[0]) - np.arctan2(b[1], b[0])
    return np.hypot(y[0] - y[1], (phi + np.pi) % (2 * np.pi) - np.pi)


def test_same_jets_as_the_definition():
    rng = np.random.default_rng(5)
    event = rng.exponential(5, 25) + 0.1, rng.normal(0, 0.8, 25), rng.normal(3, 0.8, 25)
    expected = brute_force_antikt(*event, radius=0.6)
    found = cluster(make(event), radius=0.6, min_pt=0.0).constituents[0].tolist()
    assert sorted(found) == sorted(expected)


def brute_force_soft_drop(rows, beta, z_cut, radius):
    """Recluster by angle alone, every pair looked at in every step, and groom; return pt, mass, z_g, ΔR."""
    trees = [(row, None) for row in rows]
    while len(trees) > 1:
        pairs = itertools.combinations(range(len(trees)), 2)
        a, b = min(pairs, key=lambda pair: plain_distance(trees[pair[0]][0], trees[pair[1]][0]))
        joined = trees[a], trees[b]
        trees = [tree for k, tree in enumerate(trees) if k not in (a, b)]
        trees.append((joined[0][0] + joined[1][0], joined))
    ((row, parents),) = trees
    while parents:
        (hard, up), (soft, _) = sorted(parents, key=lambda tree: -np.hypot(*tree[0][:2]))
        z = np.hypot(*soft[:2]) / (np.hypot(*soft[:2]) + np.hypot(*hard[:2]))
        apart = plain_distance(hard, soft)
        if z > z_cut * (apart / radius) ** beta:
            return np.hypot(*row[:2]), np.sqrt(row[3] ** 2 - np.sum(row[:3] ** 2)), z, apart
        row, parents = hard, up
    return np.hypot(*row[:2]), 0.0, 0.0, 0.0


def jets_for_grooming():
    rng = np.random.default_rng(11)
    events = make(*((rng.exponential(20, 22) + 0.1, rng.normal(0.5, 0.3, 22), rng.normal(-3, 0.3, 22))
                    for _ in range(6)))  # fmt: skip
    return events, cluster(events, radius=0.8, min_pt=50.0)


@pytest.mark.parametrize(("beta", "z_cut"), [(0.0, 0.1), (0.0, 0.3), (1.0, 0.2), (2.0, 0.1), (-0.5, 0.15)])
def test_soft_drop_agrees_with_two_other_programs(beta, z_cut):
    events, jets = jets_for_grooming()
    groomed = ak.flatten(soft_drop(events, jets, beta=beta, z_cut=z_cut))
    momenta = constituents_of(events, jets, None, True)
    for jet, particles in zip(groomed, momenta, strict=True):
        rows = np.stack([ak.to_numpy(particles[name]) for name in ("px", "py", "pz", "E")], axis=1)
        expected = brute_force_soft_drop(list(rows), beta, z_cut, 0.8)
        assert [jet.pt, jet.mass, jet.z_g, jet.delta_r] == pytest.approx(expected, rel=1e-6, abs=1e-4)
    tree = fastjet.ClusterSequence(momenta, fastjet.JetDefinition(fastjet.cambridge_algorithm, 100.0))
    contrib = tree.exclusive_jets_softdrop_grooming(njets=1, beta=beta, symmetry_cut=z_cut, R0=0.8)
    assert groomed.pt.tolist() == pytest.approx(contrib.ptsoftdrop.tolist(), rel=1e-9)
    assert groomed.mass.tolist() == pytest.approx(contrib.msoftdrop.tolist(), rel=1e-6, abs=1e-4)
    assert groomed.z_g.tolist() == pytest.approx(np.maximum(contrib.symmetrysoftdrop, 0).tolist(), rel=1e-9)
    assert groomed.delta_r.tolist() == pytest.approx(np.maximum(contrib.deltaRsoftdrop, 0).tolist(), rel=1e-9)


def tau_of_groups(pt, places, groups, radius):
    """Return tau at β = 2 with each group's weighted mean as its axis, where it is smallest."""
    total = 0.0
    for group in groups:
        if len(group):
            centre = np.average(places[group], axis=0, weights=pt[group])
            total += np.sum(pt[group] * np.sum((places[group] - centre) ** 2, axis=1))
    return total / (pt.sum() * radius**2)


def test_n_subjettiness_agrees_with_minima_found_by_trying_all():
    rng = np.random.default_rng(3)
    n = 9
    for _ in range(5):
        centres = rng.permutation([[0.3, 0.0], [-0.3, 0.1]])[rng.integers(0, 2, n)]
        places = centres + rng.normal(0, 0.07, (n, 2))
        pt = rng.exponential(20, n) + 5
        events = make((pt, places[:, 0], places[:, 1]))
        jets = cluster(events, radius=2.0)
        assert ak.num(jets).tolist() == [1]
        taus = n_subjettiness(events, jets, n=(1, 2), beta=2.0, radius=0.8)[0, 0]
        assert taus.tau1 == pytest.approx(tau_of_groups(pt, places, [np.arange(n)], 0.8), rel=0.02)
        halves = (np.array(bits, dtype=bool) for bits in itertools.product([0, 1], repeat=n))
        smallest = min(tau_of_groups(pt, places, [np.flatnonzero(half), np.flatnonzero(~half)], 0.8) for half in halves)
        assert taus.tau2 == pytest.approx(smallest, rel=0.05)


def test_tau1_is_the_weighted_median_at_beta_one():
    rng = np.random.default_rng(4)
    pt, places = rng.exponential(20, 12) + 1, rng.normal(0, 0.2, (12, 2))
    axis = np.average(places, axis=0, weights=pt)
    for _ in range(2000):  # Weiszfeld's iteration
        pull = pt / np.maximum(np.hypot(*(places - axis).T), 1e-9)
        axis = np.average(places, axis=0, weights=pull)
    expected = np.sum(pt * np.hypot(*(places - axis).T)) / (pt.sum() * 0.8)
    events = make((pt, places[:, 0], places[:, 1]))
    taus = n_subjettiness(events, cluster(events, radius=2.0))
    assert taus.tau1[0, 0] == pytest.approx(expected, rel=0.01)
