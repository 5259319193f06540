"""Our own recombination gives the jets of FastJet: the same constituents and, but for rounding, momenta."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pytest

from hardscatter.jets.fastjet_adapter import inclusive_jets
from hardscatter.jets.momenta import four_momenta
from hardscatter.jets.recombination import recombine
from hardscatter.threads import set_threads, threads

POWERS = {"antikt": -1, "cambridge": 0, "kt": 1}


def particles(n, seed, spread=3.0, reach=4.0):
    """Return n massive particles; a large `spread` gives momenta of many orders of magnitude."""
    rng = np.random.default_rng(seed)
    pt, eta, phi = np.exp(rng.normal(0, spread, n)), rng.uniform(-reach, reach, n), rng.uniform(-np.pi, np.pi, n)
    return four_momenta(pt, eta, phi, np.hypot(pt * np.cosh(eta), rng.exponential(0.3, n)))


def ours(columns, radius, min_pt, algorithm):
    momenta = np.stack(list(columns.values()))
    offsets = np.array([0, momenta.shape[1]])
    jets, n_jets, sizes, members = recombine(momenta, offsets, radius, min_pt, POWERS[algorithm])
    assert n_jets.tolist() == [len(sizes)]
    return {
        tuple(part.tolist()): jet for part, jet in zip(np.split(members, np.cumsum(sizes)[:-1]), jets.T, strict=False)
    }


def fastjet(columns, radius, min_pt, algorithm):
    momenta = ak.unflatten(ak.zip(columns), [len(columns["px"])])
    jets, members = inclusive_jets(momenta, radius, min_pt, algorithm)
    rows = np.stack(list(jets.values()), axis=1)
    return {tuple(sorted(part)): jet for part, jet in zip(ak.to_list(members[0]), rows, strict=True)}


@pytest.mark.parametrize("algorithm", list(POWERS))
@pytest.mark.parametrize("radius", [0.05, 0.4, 0.8, 1.5, 2.5, 1000.0])
@pytest.mark.parametrize(("n", "spread"), [(1, 1.0), (2, 1.0), (7, 1.0), (60, 3.0), (700, 0.3), (3000, 2.0)])
def test_same_jets(algorithm, radius, n, spread):
    columns = particles(n, seed=n + int(100 * radius), spread=spread)
    for min_pt in (0.0, 3.0):
        found, expected = (way(columns, radius, min_pt, algorithm) for way in (ours, fastjet))
        assert found.keys() == expected.keys()
        for members, jet in expected.items():
            np.testing.assert_allclose(found[members], jet, rtol=1e-12, atol=1e-12 * np.abs(jet).max())


@pytest.mark.parametrize("algorithm", list(POWERS))
@pytest.mark.parametrize("eta", [0.0, 7.5])
def test_crowds(algorithm, eta):
    """A crowd in one place, far forward and across the seam of φ: tiles overflow and are laid out anew."""
    rng = np.random.default_rng(3)
    n = 500
    columns = four_momenta(rng.exponential(1.0, n), eta + rng.normal(0, 0.1, n), np.pi + rng.normal(0, 0.1, n), None)
    assert ours(columns, 0.4, 1.0, algorithm).keys() == fastjet(columns, 0.4, 1.0, algorithm).keys()


def test_events_stand_alone_whatever_the_threads():
    parts = [particles(n, seed=n) for n in (40, 0, 300, 1)]
    momenta = np.concatenate([np.stack(list(part.values())) for part in parts], axis=1)
    offsets = np.concatenate(([0], np.cumsum([len(part["px"]) for part in parts])))
    before = threads()
    try:
        results = []
        for n in (1, 3):
            set_threads(n)
            results.append(recombine(momenta, offsets, 0.4, 1.0))
    finally:
        set_threads(before)
    for one, other in zip(*results, strict=True):
        np.testing.assert_array_equal(one, other)
    for event, part in enumerate(parts):
        alone = recombine(np.stack(list(part.values())), np.array([0, len(part["px"])]), 0.4, 1.0)
        jet = slice(*np.concatenate(([0], np.cumsum(results[0][1])))[[event, event + 1]])
        np.testing.assert_array_equal(results[0][0][:, jet], alone[0])
    assert [len(each) for each in recombine(np.zeros((4, 0)), np.array([0]), 0.4, 1.0)[1:]] == [0, 0, 0]


def test_a_particle_along_the_beam_troubles_nobody():
    columns = {"px": [0.0, 20.0], "py": [0.0, 0.0], "pz": [50.0, 0.0], "E": [50.0, 20.0]}
    found = ours({name: np.array(column) for name, column in columns.items()}, 0.4, 1.0, "antikt")
    assert list(found) == [(1,)]
