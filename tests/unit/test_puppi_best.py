"""PUPPI's best tunes: which one a batch gets, and that they are the plain algorithm with these settings."""

from __future__ import annotations

import awkward as ak
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.errors import MissingFieldError
from hardscatter.pileup.method import settings_of
from hardscatter.pileup.puppi import CMS_PHASE2, DELPHES
from hardscatter.pileup.puppi_best import CMS_PHASE2_BEST, DELPHES_PHASE2_BEST, BestPuppi
from helpers import toy_events


def named(metadata, **options):
    return hs.Events(toy_events(**options).array, metadata)


CARD = {"format": "hardscatter", "detector": {"name": "delphes-phase2", "hash": "0"}}


@pytest.mark.parametrize(
    ("metadata", "tune"),
    [
        ({}, CMS_PHASE2_BEST),
        ({"format": "hardscatter", "detector": {"name": "cms-phase2"}}, CMS_PHASE2_BEST),
        ({"detector": {"name": "atlas-like"}}, CMS_PHASE2_BEST),
        ({"format": "pfnano"}, CMS_PHASE2_BEST),
        ({"detector": "delphes-phase2"}, CMS_PHASE2_BEST),  # somebody else's entry of that name
        (CARD, DELPHES_PHASE2_BEST),
        ({"format": "delphes", "file": "a.root"}, DELPHES_PHASE2_BEST),
        ({"format": "delphes-packed", "file": "a.npz"}, DELPHES_PHASE2_BEST),
    ],
)
def test_the_metadata_choose_the_tune_and_its_weights_are_plain_puppis(metadata, tune):
    events = named(metadata, n_events=3, n_candidates=200)
    assert BestPuppi().tune_of(events) == tune
    assert ak.array_equal(hs.mitigate(events, "puppi:best"), tune.weights(events))


def test_the_tunes_differ_from_each_other_and_from_the_published_ones():
    events = toy_events(6, 300)
    weights = [tune.weights(events) for tune in (CMS_PHASE2_BEST, DELPHES_PHASE2_BEST, CMS_PHASE2, DELPHES)]
    for k, one in enumerate(weights):
        assert not any(ak.array_equal(one, other) for other in weights[:k])


def test_sliced_masked_and_joined_events_keep_their_tune(tmp_path):
    events = named(CARD, n_events=6, n_candidates=200)
    whole = hs.mitigate(events, "puppi:best")
    assert ak.array_equal(hs.mitigate(events[2:5], "puppi:best"), whole[2:5])
    mask = [True, False, True, False, False, True]
    assert ak.array_equal(hs.mitigate(events[mask], "puppi:best"), whole[mask])
    joined = hs.concatenate([events[:1], events[1:]])
    assert ak.array_equal(hs.mitigate(joined, "puppi:best"), whole)
    stored = hs.with_weights(events, "puppi:best", whole)
    assert BestPuppi().tune_of(stored.without_truth()) == DELPHES_PHASE2_BEST
    hs.write(tmp_path / "events.parquet", stored)
    assert BestPuppi().tune_of(hs.read(tmp_path / "events.parquet")) == DELPHES_PHASE2_BEST


def test_files_of_delphes_get_their_tune(delphes_file):
    events = hs.read(delphes_file, 1)
    assert ak.array_equal(hs.mitigate(events, "puppi:best"), DELPHES_PHASE2_BEST.weights(events))


@pytest.mark.parametrize("metadata", [{}, CARD])
def test_edges_have_an_answer(metadata):
    none = named(metadata)[:0]
    assert len(hs.mitigate(none, "puppi:best")) == 0
    columns = {"pt": [[], [5.0], [5.0]], "eta": [[], [1.0], [1.0]], "phi": [[], [3.1], [3.1]]}
    columns |= {"energy": [[], [8.0], [8.0]], "charge": [[], [0], [1]], "vertex": [[], [-1], [0]]}
    few = hs.from_candidates(**columns, n_vertices=[0, 1, 1], metadata=metadata)
    # without a pileup track to learn from a neutral counts in full; leading tracks always do
    assert ak.to_list(hs.mitigate(few, "puppi:best")) == [[], [1.0], [1.0]]
    with pytest.raises(MissingFieldError, match="n_vertices"):
        hs.mitigate(hs.from_candidates(**columns, metadata=metadata), "puppi:best")


def test_both_tunes_travel_in_the_settings_which_are_closed():
    settings = settings_of(hs.get_method("puppi:best"))
    assert settings["class"] == "BestPuppi"
    assert settings["cms_phase2"]["eta_bins"][0]["eta_min"] == 0.0
    assert settings["delphes_phase2"]["cone"] == DELPHES_PHASE2_BEST.cone
    with pytest.raises(ValidationError):
        BestPuppi(run3=CMS_PHASE2)
