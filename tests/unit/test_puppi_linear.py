"""Linearised PUPPI against its formula worked out by hand, region by region, and on its edges."""

from __future__ import annotations

import dataclasses
import math

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.pileup.puppi_linear import CMS_LEVEL1_REGIONS, LinearRegion, PuppiLinear

UNCUT = PuppiLinear(regions=tuple(dataclasses.replace(region, pt_cut=0.0) for region in CMS_LEVEL1_REGIONS))


def weight(pt, eta, phi=0.0, pdg_id=130, others=(), n_vertices=200, method=UNCUT, charge=0):
    """Weight of one candidate among others, each (pt, eta, phi, charge, vertex)."""
    columns = np.array([(pt, eta, phi, charge, -1), *others], dtype=np.float64).T
    events = hs.from_candidates(
        pt=[columns[0]], eta=[columns[1]], phi=[columns[2]], energy=[columns[0] * np.cosh(columns[1])],
        charge=[columns[3].astype(int)], vertex=[columns[4].astype(int)],
        pdg_id=[[pdg_id, *(211 if other[3] else 130 for other in others)]], n_vertices=[n_vertices],
    )  # fmt: skip
    return float(hs.mitigate(events, method)[0, 0])


def logistic(x):
    return 1 / (1 + math.exp(-x))


# pt, eta, class; slope, zero and prior of its class; slope, zero and crop of α; a neighbour's charge and vertex
REGIONS = [
    (12.0, 0.5, 130, 0.3, 4.0, 5.0, 0.7, 6.0, 4.0, 1, 0),
    (12.0, -0.5, 22, 0.3, 2.5, 1.0, 0.7, 6.0, 4.0, 1, 0),
    (12.0, 1.7, 130, 0.3, 5.0, 5.0, 1.5, 6.0, 3.0, 1, 0),
    (12.0, -1.7, 22, 0.4, 3.0, 1.5, 1.5, 6.0, 3.0, 1, 0),
    (18.0, 2.2, 130, 0.3, 7.0, 5.0, 1.5, 6.0, 3.0, 1, 0),
    (12.0, 2.2, 22, 0.4, 4.0, 1.5, 1.5, 6.0, 3.0, 1, 0),
    (25.0, -2.7, 130, 0.3, 9.0, 7.0, 2.2, 9.0, 4.0, 0, -1),
    (20.0, 2.7, 22, 0.4, 5.0, 5.0, 2.2, 9.0, 4.0, 0, -1),
    (40.0, 3.5, 1, 0.25, 14.0, 6.0, 0.6, 9.0, 4.0, 0, -1),
]


@pytest.mark.parametrize(
    ("pt", "eta", "kind", "slope", "zero", "prior", "alpha_slope", "alpha_zero", "crop", "charge", "vertex"), REGIONS
)
def test_each_region_follows_the_formula(
    pt, eta, kind, slope, zero, prior, alpha_slope, alpha_zero, crop, charge, vertex
):
    for neighbour_pt in (16.0, 30.0):
        alpha = math.log((neighbour_pt / 0.2) ** 2)
        shape = min(max(alpha_slope * (alpha - alpha_zero), -crop), crop)
        for n_vertices in (200, 100):
            x = shape + slope * (pt - zero) - prior - math.log(n_vertices / 200)
            found = weight(
                pt, eta, 3.1, kind, [(neighbour_pt, eta, 3.3 - 2 * math.pi, charge, vertex)], n_vertices=n_vertices
            )
            assert found == pytest.approx(logistic(x), rel=1e-4)


def test_nobody_near_counts_as_the_crop_below():
    alone = logistic(-4 + 0.3 * (20 - 4) - 5)
    assert weight(20.0, 0.5) == pytest.approx(alone, rel=1e-5)
    strangers = [
        (30.0, 0.5, 0.31, 1, 0),  # out of the cone
        (1.9, 0.5, 0.1, 1, 0),  # below the trigger's tracks
        (30.0, 0.5, 0.1, 1, 3),  # of a pileup vertex
        (30.0, 0.5, 0.1, 0, -1),  # neutral, in the tracker
    ]
    assert weight(20.0, 0.5, others=strangers) == pytest.approx(alone, rel=1e-5)


def test_neighbours_are_capped_in_pt_and_floored_in_distance():
    region = dataclasses.replace(CMS_LEVEL1_REGIONS[0], alpha_crop=100.0, alpha_slope=0.1)
    method = PuppiLinear(regions=(region,))
    expected = logistic(0.1 * (2 * math.log(50 / 0.07) - 6) + 0.3 * (20 - 4) - 5)
    for track in ((50.0, 0.5, 0.07, 1, 0), (900.0, 0.5, 0.01, 1, 0), (50.0, 0.5, 0.0, 1, 0)):
        assert weight(20.0, 0.5, others=[track], method=method) == pytest.approx(expected, rel=1e-5)


def test_soft_ones_are_cut_and_none_outside_the_regions_stays():
    track = [(50.0, 0.0, 0.1, 1, 0)]
    for pt, kept in ((1.05, False), (1.5, True)):
        uncut = weight(pt, 0.0, pdg_id=22, others=track)
        assert (uncut * pt >= 1) == kept
        assert weight(pt, 0.0, pdg_id=22, others=track, method="puppi-linear") == (uncut if kept else 0.0)
    assert weight(200.0, 5.6) == 0 < weight(200.0, 5.4)


def test_without_a_vertex():
    """A charged candidate without one is taken for a neutral hadron; where none was counted the logarithm is out."""
    assert weight(20.0, 0.5, charge=1, pdg_id=211) == weight(20.0, 0.5) > 0
    assert weight(20.0, 0.5, n_vertices=0) == weight(20.0, 0.5, n_vertices=200)


def test_without_pdg_ids_all_are_hadrons():
    columns = {"pt": [[40.0]], "eta": [[0.5]], "phi": [[0.0]], "energy": [[60.0]], "charge": [[0]], "vertex": [[-1]]}
    events = hs.from_candidates(**columns, n_vertices=[200])
    assert ak.to_list(hs.mitigate(events, "puppi-linear")) == [[weight(40.0, 0.5, pdg_id=130)]]
    assert 0 < weight(40.0, 0.5, pdg_id=130) < weight(40.0, 0.5, pdg_id=22)


def test_settings_are_closed():
    with pytest.raises(ValidationError):
        PuppiLinear(cone=0.4)
    with pytest.raises(ValidationError):
        LinearRegion(**{**dataclasses.asdict(CMS_LEVEL1_REGIONS[0]), "neighbours": "some"})
