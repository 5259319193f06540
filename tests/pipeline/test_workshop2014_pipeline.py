"""The workshop's benchmark from protons to the comparison, on a few crossings."""

from __future__ import annotations

import json
import math

import awkward as ak
import numpy as np
import pytest

from hardscatter import workshop2014
from hardscatter.generate import Generation
from hardscatter.workshop2014 import benchmark, crossings

N = 20


@pytest.fixture
def quick(monkeypatch, collisions):
    """Collisions in the shared cache; soft dijets in place of minimum bias, whose tables alone take Pythia seconds."""

    def soft_dijets(seed):
        lines = crossings._lines("HardQCD:all = on", "PhaseSpace:pTHatMin = 4", "PartonLevel:MPI = off")
        return Generation("cmnd", cmnd=lines, tune="4c", energy=14000.0, seed=seed)

    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))
    for module in (crossings, benchmark):
        monkeypatch.setattr(module, "minbias_generation", soft_dijets)


def test_benchmark(quick):
    told = []
    result = workshop2014.run(
        ["unsub", "area", "sk45z02", "puppi"],
        pileups=[10, 30],
        samples=["dijets050"],
        n=N,
        seed=11,
        n_minbias=150,
        on_progress=lambda *state: told.append(state),
    )
    assert [(row.n_pileup, row.method) for row in result.rows] == [
        (n_pileup, method) for n_pileup in (10, 30) for method in ("unsub", "area", "sk45z02", "puppi")
    ]
    few, many = (result.row("dijets050", n_pileup, "unsub") for n_pileup in (10, 30))
    assert few.n_jets == many.n_jets > N
    assert 1 < few.shift["pt"].value < many.shift["pt"].value
    area = result.row("dijets050", 30, "area")
    assert area.n_matched > 0.9 * area.n_jets
    assert abs(area.shift["pt"].value) < many.shift["pt"].value
    assert all(math.isfinite(row.dispersion["mass"].error) for row in result.rows)
    assert result.hard["dijets050"]["pt"] > 40
    assert ("dijets050, pileup 30", N, N) in told

    plain = json.loads(json.dumps(result.to_dict()))
    assert plain["settings"]["seed"] == 11
    assert plain["settings"]["methods"]["sk45z02"]["softkiller"]["tile"] == 0.45
    # The workshop has no numbers at 10; its PUPPI is not the one of CMS.
    beside = {(entry["n_pileup"], entry["method"]) for entry in plain["comparison"]}
    assert beside == {(30, "unsub"), (30, "area"), (30, "sk45z02")}


def test_result_depends_on_its_seed_alone(quick):
    settings = {"methods": ["sk50"], "pileups": [5], "samples": ["dijets050"], "n": 8, "n_minbias": 150}
    first, again, other = (workshop2014.run(**settings, seed=seed).to_dict() for seed in (11, 11, 12))
    assert first == again
    assert first["rows"] != other["rows"]


def test_stream(quick):
    settings = {"pileup": "flat:2-20", "seed": 11, "n_hard": 6, "n_minbias": 150, "step": 4}
    stream = workshop2014.WorkshopStream(["dijets050", "dijets020"], **settings)
    again = workshop2014.WorkshopStream(["dijets050", "dijets020"], **settings)
    third = again[3]  # any batch at any time
    batches = [batch for batch, _ in zip(stream, range(6), strict=False)]
    for one, other in zip(third, batches[3], strict=True):
        assert ak.to_list(one.candidates) == ak.to_list(other.candidates)
    alone, events = batches[0]
    assert len(alone) == len(events) == 4
    assert ak.all(ak.sum(events.truth.hard_fraction, axis=1) == alone.n_candidates)
    # Batches 0, 2, 4 are two passes over the six collisions of the first sample, each time turned otherwise.
    leading = [float(pt) for batch in (0, 2, 4) for pt in batches[batch][0].candidates.pt[:, 0]]
    assert len(set(leading)) == 6
    assert sorted(leading) == sorted(2 * sorted(set(leading)))
    place = {pt: [] for pt in leading}
    for batch in (0, 2, 4):
        for candidate in batches[batch][0].candidates[:, 0]:
            place[float(candidate.pt)].append(float(candidate.phi))
    assert all(len(np.unique(phis)) == 2 for phis in place.values())
