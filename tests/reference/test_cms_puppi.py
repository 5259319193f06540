"""Our PUPPI against the weights CMS itself stored, candidate by candidate, on ten events of full simulation.

CMS stores a weight in 8 bits, as a multiple of 1/255 rounded down. Two things differ between the file and the tune
``cms-run3``, and both are shown here:

* the file was made with an older tune, whose protection of hard neutrals starts at 0 GeV instead of 20;
* PFNano does not say which vertex a charged candidate below 0.5 GeV belongs to (41 % of the charged ones), so what
  the file tells is less than what CMS knew.
"""

from __future__ import annotations

import dataclasses

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.events import flat
from hardscatter.pileup.puppi import CMS_RUN3

AS_IN_THE_FILE = dataclasses.replace(CMS_RUN3, protect_neutrals=(0.0, 200.0))
STEP = 1 / 255


@pytest.fixture(scope="module")
def cms(cms_file):
    return hs.read(cms_file)


def with_cms_vertices(events):
    """The events with the vertex choice that CMS made: its weight of a charged candidate is 1 (leading) or 0."""
    candidates = events.candidates
    charged = candidates.charge != 0
    vertex = ak.where(charged, ak.where(events.weights.cms_puppi == 1, 0, 1), -1)
    kept = {name: candidates[name] for name in ("pt", "eta", "phi", "energy", "charge", "pdg_id")}
    return hs.from_candidates(**kept, vertex=vertex, n_vertices=events.n_vertices)


def stored_steps(weights):
    return np.floor(flat(weights, np.float64) * 255 + 1e-6) * STEP


def test_every_neutral_weight_agrees_to_one_step_with_cms_vertices(cms):
    neutral = flat(cms.candidates.charge) == 0
    stored = flat(cms.weights.cms_puppi, np.float64)
    ours = stored_steps(hs.mitigate(with_cms_vertices(cms), AS_IN_THE_FILE))
    assert neutral.sum() == 10144
    assert (stored[neutral] > 0).sum() > 1000
    assert np.abs(ours - stored)[neutral].max() < 1.1 * STEP
    assert (np.abs(ours - stored)[neutral] < 0.2 * STEP).mean() > 0.997


def test_what_the_file_tells_is_enough_for_most(cms):
    charged = flat(cms.candidates.charge) != 0
    known = charged & (flat(cms.candidates.vertex) >= 0)
    stored = flat(cms.weights.cms_puppi, np.float64)
    weights = flat(hs.mitigate(cms, AS_IN_THE_FILE), np.float64)
    difference = np.abs(weights - stored)
    assert (difference[known] < STEP).mean() > 0.995
    assert (charged & ~known).sum() == 3295
    assert flat(cms.candidates.pt)[charged & ~known].max() <= 0.5
    assert (difference[~charged] < 1.1 * STEP).mean() > 0.975
    assert (difference[~charged] < 0.05).mean() > 0.985


def test_the_present_tune_drops_what_the_old_protection_kept(cms):
    neutral = flat(cms.candidates.charge) == 0
    pt = flat(cms.candidates.pt)
    old = flat(hs.mitigate(cms, AS_IN_THE_FILE), np.float64)
    new = flat(hs.mitigate(cms, "puppi:cms-run3"), np.float64)
    changed = neutral & (old != new)
    assert changed.sum() > 100
    # What differs is raised to pt/200 by the old rule (where that is above the least weight of 0.01).
    assert np.allclose(old[changed], pt[changed] / 200, atol=1e-6)
    assert (new[changed] < old[changed]).all()
