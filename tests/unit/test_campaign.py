"""A campaign: samples recorded chunk by chunk, resumed without loss, never mixed with others."""

from __future__ import annotations

import pickle

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.campaign import FromFile, Sample, full_plan, own_plan, quick_plan, record
from hardscatter.campaign.case import Material, case_questions
from hardscatter.campaign.plan import title_of
from hardscatter.campaign.recording import CHUNK, prepared
from hardscatter.campaign.samples import Enriched, Simulated
from hardscatter.detector.truth import truth_of
from hardscatter.errors import InvalidEventsError, SettingsError, UnreadableFileError
from hardscatter.generate import Generation, build
from hardscatter.io import write
from hardscatter.metrics.records import Records
from hardscatter.metrics.studies import NO_PILEUP
from helpers import toy_events

N = CHUNK + 10
METHODS = ("puppi", "chs")


@pytest.fixture(scope="module")
def file(tmp_path_factory):
    path = tmp_path_factory.mktemp("files") / "toys.parquet"
    write(path, toy_events(N, 60))
    return path


def job_of(file, folder, methods=METHODS, n=N, **settings):
    return prepared(Sample("toys", "toys", FromFile(file, n, **settings)), methods, folder)


def times(folder):
    return {path.relative_to(folder): path.stat().st_mtime_ns for path in folder.rglob("*.parquet")}


def test_records_are_of_all_crossings_and_views(file, tmp_path):
    records = record(job_of(file, tmp_path))
    assert list(records.views) == ["puppi", "chs", "perfect"]
    assert len(records) == N
    assert all(len(view) == N for view in records.views.values())
    assert ak.to_list(records.truth.event) == list(range(N))
    events = hs.read(file)
    met = hs.missing_momentum(events, hs.mitigate(events, "chs"))
    np.testing.assert_allclose(np.asarray(records.views["chs"].met.px), np.asarray(met.px), rtol=1e-4, atol=1e-4)


def test_files_are_one_sample(file, tmp_path):
    """Chunks need not end where files do."""
    folder = tmp_path / "several"
    folder.mkdir()
    events = hs.read(file)
    for name, part in (("a", events[:7]), ("b", events[7:8]), ("c", events[8:])):
        write(folder / f"{name}.parquet", part)
    whole = record(job_of(file, tmp_path / "whole", ("chs",)))
    found = record(job_of(folder, tmp_path / "records", ("chs",), paired=folder))
    assert ak.array_equal(found.truth, whole.truth, equal_nan=True)
    for name, view in whole.views.items():
        assert ak.array_equal(found.views[name], view, equal_nan=True)
    assert NO_PILEUP in found.views
    (sample,) = own_plan([str(folder)], n=9, paired=folder)
    assert (sample.name, sample.title, len(sample.source)) == ("several", "several", 9)


def test_progress_starts_with_what_is_there(file, tmp_path):
    told = []
    job = job_of(file, tmp_path, ("chs",))
    record(job, lambda *what: told.append(what))
    assert [done for _, done, _ in told] == [0, CHUNK, N]
    job.path("chs", 0).unlink()
    told.clear()
    record(job, lambda *what: told.append(what))
    assert told == [("toys", N - CHUNK, N), ("toys", N, N)]


def test_jobs_are_small_enough_to_send(file, tmp_path):
    job = job_of(file, tmp_path)
    record(job)
    assert "_first" in vars(job.sample.source)  # a crossing, which stays here
    assert len(pickle.dumps(job)) < 20_000
    assert record(pickle.loads(pickle.dumps(job))).views.keys() == record(job).views.keys()


def test_a_second_run_does_nothing_another_method_only_itself(file, tmp_path):
    first = record(job_of(file, tmp_path))
    before = times(tmp_path)
    again = record(job_of(file, tmp_path))
    assert times(tmp_path) == before
    assert ak.array_equal(first.views["puppi"].met.px, again.views["puppi"].met.px)
    more = record(job_of(file, tmp_path, (*METHODS, "softkiller")))
    after = times(tmp_path)
    assert {place: after[place] for place in before} == before
    assert len(after) == len(before) + 2
    assert list(more.views) == ["puppi", "chs", "softkiller", "perfect"]


def test_what_is_missing_of_an_interrupted_run_is_made_the_same(file, tmp_path):
    first = record(job_of(file, tmp_path))
    for path in list(tmp_path.rglob("*.parquet"))[::3]:
        path.unlink()
    again = record(job_of(file, tmp_path))
    for name, view in first.views.items():
        assert ak.array_equal(view.jets.pt, again.views[name].jets.pt)


def test_more_crossings_of_a_sample_are_added(file, tmp_path):
    few = record(job_of(file, tmp_path, n=CHUNK + 2))
    all_of_them = record(job_of(file, tmp_path))
    assert len(few) == CHUNK + 2
    assert len(all_of_them) == N
    assert ak.array_equal(few.views["puppi"].met.px, all_of_them.views["puppi"].met.px[: CHUNK + 2])


def test_other_crossings_get_a_folder_of_their_own(file, tmp_path):
    other = tmp_path / "other.parquet"
    write(other, toy_events(5, 60, seed=1))
    folders = {prepared(Sample("toys", "toys", FromFile(path, N)), METHODS, tmp_path).folder for path in (file, other)}
    assert len(folders) == 2


def test_a_partner_without_pileup_is_a_view(file, tmp_path):
    records = record(job_of(file, tmp_path, paired=file))
    assert NO_PILEUP in records.views
    total = hs.missing_momentum(hs.read(file))
    np.testing.assert_allclose(np.asarray(records.views[NO_PILEUP].met.px), np.asarray(total.px), atol=1e-3)


def test_a_file_without_truth_is_one_sentence(tmp_path):
    path = tmp_path / "bare.parquet"
    write(path, toy_events(3, 20, minimal=True))
    with pytest.raises(InvalidEventsError, match="'bare' holds no truth to compare with"):
        record(prepared(Sample("bare", "bare", FromFile(path, 3)), METHODS, tmp_path))


def test_weights_of_a_file_are_measured_as_they_are(tmp_path):
    events = toy_events(4, 60)
    path = tmp_path / "weighted.parquet"
    half = ak.full_like(events.candidates.pt, 0.5)
    write(path, hs.with_weights(hs.with_weights(events, "mine", half), "chs", half))
    records = record(job_of(path, tmp_path, n=4))
    assert list(records.views) == ["mine", "chs", "puppi", "perfect"]
    everything = hs.missing_momentum(events)
    for name in ("mine", "chs"):
        np.testing.assert_allclose(np.asarray(records.views[name].met.px), 0.5 * np.asarray(everything.px), atol=1e-4)


def test_an_empty_file_is_one_sentence(tmp_path):
    path = tmp_path / "empty.parquet"
    write(path, toy_events(3, 20)[:0])
    with pytest.raises(InvalidEventsError, match="holds no crossings"):
        record(prepared(Sample("empty", "empty", FromFile(path, 3)), (), tmp_path))


def test_plans_hold_every_sample_once_and_scale():
    full, quick = full_plan(), quick_plan()
    assert [sample.name for sample in full] == [sample.name for sample in quick]
    assert len({sample.name for sample in full}) == len(full)
    sizes = {sample.name: len(sample.source) for sample in full}
    assert all(len(sample.source) <= max(sizes[sample.name] / 50, 12) for sample in quick)
    assert len(full_plan(share=2.0)[0].source) == 2 * sizes["ttbar"]
    seeds = {sample.source.settings["seed"] for sample in full}
    assert seeds == {303}  # nobody's training or tuning
    with pytest.raises(SettingsError, match="share is 0"):
        full_plan(share=0)


def test_another_number_of_crossings_is_the_same_sample_another_seed_is_not():
    settings = {"pileup": "20", "seed": 303, "card": "cms-phase2", "n_minbias": 100}
    first = Simulated("wjets", 10, settings).fingerprint()
    assert Simulated("wjets", 99, settings).fingerprint() == first
    others = [{**settings, "seed": 1}, {**settings, "pileup": "21"}, {**settings, "select": Enriched()},
              {**settings, "select": Enriched(met=90.0)}, {**settings, "card": "atlas-like"}]  # fmt: skip
    assert len({first, *(Simulated("wjets", 10, other).fingerprint() for other in others)}) == 6


def test_own_samples_are_files_or_processes(file):
    made = own_plan([str(file), "qcd"], n=7, pileup="flat:0-50")
    assert [(sample.name, len(sample.source)) for sample in made] == [("toys", 7), ("qcd", 7)]
    assert made[1].title == "QCD jets, flat pileup 0–50"
    with pytest.raises(SettingsError, match="two samples are called 'toys'"):
        own_plan([str(file), str(file)], n=7)
    with pytest.raises(UnreadableFileError):
        own_plan(["nowhere.parquet"], n=7)


def test_a_partner_belongs_to_files(file, tmp_path):
    (sample,) = own_plan([str(file)], n=7, paired=file)
    assert sample.source.has_pairs
    short = tmp_path / "short.parquet"
    write(short, toy_events(3, 20))
    with pytest.raises(InvalidEventsError, match=f"has {N} events, .* has 3"):
        own_plan([str(file)], n=7, paired=short)
    with pytest.raises(SettingsError, match="belongs to files"):
        own_plan(["qcd"], n=7, paired=file)


def test_titles_say_the_pileup():
    assert title_of("zll-jets", "140") == "Z(ℓℓ) + jets, pileup 140"
    assert title_of("qcd", "0") == "QCD jets, no pileup"
    assert title_of("mine.cmnd", "fixed:30") == "mine, pileup exactly 30"


def test_an_enriched_sample_keeps_the_look_of_signal_and_undoes_itself(monkeypatch, collisions):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))
    hard = build(Generation("vbf-h-invisible", seed=2), 60, workers=1).load()
    weights = Enriched(met=60.0, dijet_mass=500.0, others=7)(hard)
    missing = np.asarray(truth_of(hard)["met"]["pt"])
    chosen = weights == 1.0
    assert 5 < chosen.sum() < 50
    assert missing[chosen].min() > 60.0
    rest = np.flatnonzero(~chosen)
    np.testing.assert_array_equal(weights[rest], np.where(rest % 7 == 0, 7.0, 0.0))
    # It does not matter how many there are.
    np.testing.assert_array_equal(Enriched(met=60.0, dijet_mass=500.0, others=7)(hard.select(slice(25))), weights[:25])


def test_a_recorded_sample_lets_go_of_its_collisions(monkeypatch, collisions, tmp_path):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(collisions))
    settings = {"pileup": "2", "seed": 2, "card": "cms-phase2", "n_minbias": 50}
    source = Simulated("vbf-h-invisible", 4, settings)
    records = record(prepared(Sample("few", "few", source), ("chs",), tmp_path))
    assert len(records) == 4
    assert "crossings" not in vars(source)
    assert source.describe()["cross_section_mb"] > 0  # loaded again


def test_a_sample_may_not_know_its_cross_section(monkeypatch):
    class Silent:
        cross_section = float("nan")

    source = Simulated("wjets", 4, {"pileup": "2", "seed": 2, "card": "cms-phase2", "n_minbias": 50})
    monkeypatch.setattr("hardscatter.campaign.samples._crossings", lambda *_: Silent())
    assert "cross_section_mb" not in source.describe()
    empty = Records("none", ak.Array([]), {})
    questions = case_questions(Material({"vbf": empty, "znunu": empty}, {}))
    with pytest.raises(SettingsError, match="--znunu-fb"):
        questions["invisible"]()
