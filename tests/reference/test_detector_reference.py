"""Facts of the Delphes card CMS_PhaseII_200PU_v04 that others counted."""

from __future__ import annotations

import numpy as np
import pytest

from hardscatter.detector import load_card
from hardscatter.detector.tables import tables_of

GHOSTS = 2
"""HCal rows of width 2e-16 at ±1.566, duplicate edges in floating point: Delphes has them, we don't."""


def test_number_of_towers():
    tables = tables_of(load_card("delphes-phase2"))
    assert (len(tables.ecal.grid.edges), tables.ecal.grid.first[-1]) == (363, 123_192)
    assert len(tables.hcal.grid.edges) == 103 - GHOSTS
    assert tables.hcal.grid.first[-1] == 7_308 - GHOSTS * 72


@pytest.mark.parametrize(
    ("eta", "width", "phi"),
    [(-1.49, 0.0174, 72), (1.5, 0.087, 90), (1.64, 0.0144, 72), (1.66, 0.0552, 90), (3.2, 0.175, 36), (0.0, 0.087, 72)],
)
def test_irregular_towers_of_the_hadronic_calorimeter(eta, width, phi):
    grid = tables_of(load_card("delphes-phase2")).hcal.grid
    row = np.searchsorted(grid.edges, eta) - 1
    assert grid.edges[row + 1] - grid.edges[row] == pytest.approx(width, abs=1e-9)
    assert grid.phi_cells[row] == phi


def test_resolution_of_impact_parameters_is_the_cards():
    """σ_z of pt 1 at eta 0 is 31.6 µm, at eta 2.5 562 µm, at eta 4 3.16 mm; from 10 GeV a fifth."""
    from hardscatter.detector.crossing import track_resolution

    resolution = track_resolution(load_card("delphes-phase2"))
    found = resolution.dz(np.array([1.0, 1.0, 1.0, 50.0]), np.array([0.0, 2.5, 4.0, 0.0]))
    np.testing.assert_allclose(found, [0.0316, 0.562, 3.16, 0.00632], rtol=2e-3)
