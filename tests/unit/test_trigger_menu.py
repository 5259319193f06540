"""Rates, thresholds and menus of a first-level trigger, on numbers that can be counted by hand."""

from __future__ import annotations

import json

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError

import hardscatter as hs
from hardscatter.detector import load_card, prepare
from hardscatter.errors import InvalidEventsError, MissingFieldError, SettingsError
from hardscatter.generate import Collisions
from hardscatter.trigger import rates
from hardscatter.trigger.menu import PERFECT, Menu, Seen, see, study
from hardscatter.trigger.minbias import (
    JET_PT,
    MinimumBias,
    MinimumBiasCrossings,
    Pool,
    hardness_of,
    make_pool,
    rows_of,
    sum_pt2_of,
)
from hardscatter.trigger.objects import QUANTITIES, ObjectDefinition, trigger_objects, true_objects
from helpers import toy_events

FULL = rates.CROSSINGS_KHZ
EVEN = np.ones(100)
RISING = np.arange(1.0, 101.0)


def events_of(*crossings):
    """Neutral candidates, one list of (pt, eta, phi) a crossing."""
    columns = [ak.Array([[c[i] for c in crossing] for crossing in crossings]) for i in range(3)]
    pt, eta, phi = (ak.values_astype(column, np.float32) for column in columns)
    return hs.from_candidates(
        pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta), charge=ak.zeros_like(pt), vertex=ak.full_like(pt, -1)
    )


def seen(values, weight=None, unit=None):
    n = len(next(iter(next(iter(values.values())).values())))
    return Seen(
        values,
        np.ones(n) if weight is None else np.asarray(weight, float),
        np.arange(n) if unit is None else np.asarray(unit),
    )


def same_paths(values):
    return {name: np.array(values, float) for name in QUANTITIES}


def test_thirty_one_million_crossings_a_second():
    assert pytest.approx(31037.6, abs=0.1) == FULL


def test_rate_above_counts_weights():
    weight = np.where(RISING > 90, 2.0, 1.0)
    found = rates.rate_above(RISING, weight, [0.0, 90.0, 95.0, 100.0])
    np.testing.assert_allclose(found, FULL * np.array([110, 20, 10, 0]) / 110)


def test_threshold_and_rate_are_inverse():
    for k in (1, 7, 50, 99):
        threshold = rates.threshold_at(RISING, EVEN, FULL * k / 100)
        assert threshold == pytest.approx(100 - k)
        assert rates.rate_above(RISING, EVEN, threshold) == pytest.approx(FULL * k / 100)
    assert rates.threshold_at(RISING, EVEN, FULL * 0.075) == pytest.approx(92.5)  # between two crossings


def test_threshold_at_the_ends():
    assert np.isnan(rates.threshold_at(RISING, EVEN, 0.9 * FULL / 100))  # rarer than the rarest crossing
    assert rates.threshold_at(RISING, EVEN, FULL) == 0.0
    assert rates.threshold_at(np.zeros(5), np.ones(5), FULL / 2) == 0.0
    # A crossing that a replica did not draw is not there.
    undrawn = EVEN.copy()
    undrawn[-10:] = 0
    assert rates.threshold_at(RISING, undrawn, FULL * 10 / 90) == pytest.approx(80.0)


@pytest.mark.parametrize("weight", [[], [np.nan, 1.0], [-1.0, 2.0], [0.0, 0.0]])
def test_weights_that_make_no_rate(weight):
    with pytest.raises(InvalidEventsError, match="weights"):
        rates.rate_above(np.ones(len(weight)), np.array(weight), 0.5)


def test_other_mistakes():
    with pytest.raises(InvalidEventsError, match="finite"):
        rates.rate_above(np.array([np.nan]), np.ones(1), 0.5)
    with pytest.raises(SettingsError, match="above 0"):
        rates.threshold_at(RISING, EVEN, 0.0)
    with pytest.raises(ValidationError, match="paths"):
        Menu(shares=(("jet", 1.0), ("jet", 1.0)))
    with pytest.raises(ValidationError, match="share"):
        Menu(shares=(("jet", 0.0),))


def test_standing_rate_is_that_of_all_at_least_as_hard():
    values = np.array([5.0, 3.0, 3.0, 0.0])
    np.testing.assert_allclose(rates.standing_rates(values, np.ones(4)), [FULL / 4, FULL * 3 / 4, FULL * 3 / 4, np.inf])
    np.testing.assert_allclose(
        rates.rates_to_pass(np.array([9.0, 5.0, 4.0, 0.0]), values, np.ones(4)), [0, 0, FULL / 4, np.inf]
    )


def test_common_scale_counts_overlaps_once():
    up, down = RISING, RISING[::-1].copy()
    shares = np.ones(2)
    # Twice the same path: both together accept what one does.
    same = np.stack([rates.standing_rates(up, EVEN)] * 2)
    assert rates.common_scale(same, shares, EVEN, 0.1 * FULL) == pytest.approx(0.1 * FULL)
    # Opposite paths share no crossing: each may accept half.
    apart = np.stack([rates.standing_rates(up, EVEN), rates.standing_rates(down, EVEN)])
    assert rates.common_scale(apart, shares, EVEN, 0.1 * FULL) == pytest.approx(0.05 * FULL)
    # One with three times the share gets three quarters.
    assert rates.common_scale(apart, np.array([3.0, 1.0]), EVEN, 0.04 * FULL) == pytest.approx(0.01 * FULL)


def test_objects_of_a_crossing():
    jets = [(100.0, 0.0, 0.0), (60.0, 1.0, 1.5), (40.0, -1.0, 3.0), (25.0, 2.0, -1.5), (70.0, 3.0, -2.5)]
    events = events_of(jets, [], [(20.0, 0.3, 3.1)])
    found = trigger_objects(events, None)
    np.testing.assert_allclose(found["jet"], [100, 0, 20], rtol=1e-5)
    np.testing.assert_allclose(found["multijet"], [25, 0, 0], rtol=1e-5)  # that at eta 3 does not count
    np.testing.assert_allclose(found["ht"], [200, 0, 0], rtol=1e-5)  # nor does one below 30 GeV
    pt, phi = np.array([j[0] for j in jets]), np.array([j[2] for j in jets])
    missing = np.hypot((pt * np.cos(phi)).sum(), (pt * np.sin(phi)).sum())
    np.testing.assert_allclose(found["met"], [missing, 0, 20], rtol=1e-5)  # but it is part of the balance
    halved = trigger_objects(events, ak.full_like(events.candidates.pt, 0.5))
    np.testing.assert_allclose(halved["jet"], [50, 0, 0], rtol=1e-5)
    wider = trigger_objects(events, None, ObjectDefinition(eta_max=5.0, multiplicity=5, ht_min_pt=0.0))
    np.testing.assert_allclose(wider["multijet"], [25, 0, 0], rtol=1e-5)
    np.testing.assert_allclose(wider["ht"], [295, 0, 20], rtol=1e-5)


def test_no_crossings_have_empty_objects():
    found = trigger_objects(events_of([(20.0, 0.0, 0.0)])[:0], None)
    assert {name: values.shape for name, values in found.items()} == dict.fromkeys(QUANTITIES, (0,))


def test_true_objects_need_truth():
    with pytest.raises(MissingFieldError, match=r"truth\.jets"):
        true_objects(events_of([(20.0, 0.0, 0.0)]))


def test_see_takes_weights_units_and_perfect_weights():
    events = toy_events(6, 40)
    found = see([events[:2], events[2:2], events[2:]], ["chs", PERFECT])
    assert len(found) == 6
    np.testing.assert_array_equal(found.weight, np.ones(6))
    np.testing.assert_array_equal(found.unit, np.arange(6))
    perfect = trigger_objects(events, hs.perfect_weights(events))
    np.testing.assert_allclose(found.values[PERFECT]["met"], perfect["met"])
    weighted = events.with_field("generator_weight", ak.Array(np.arange(6.0)))
    weighted = weighted.with_field("collision", ak.Array([4, 4, 4, 9, 9, 9]))
    found = see([weighted], ["none"])
    np.testing.assert_array_equal(found.weight, np.arange(6.0))
    assert found.n_units == 2
    with pytest.raises(SettingsError, match="no crossings"):
        see([events[:0]], ["none"])


def test_study_of_a_menu_that_can_be_counted():
    # A signal of 0 … 200 GeV over a background of 0 … 100: `blunt` sees half of the signal's momentum.
    background = same_paths(np.linspace(0.1, 100.0, 1000))
    signal = same_paths(np.linspace(0.2, 200.0, 500))
    minbias = seen({"sharp": background, "blunt": background})
    signals = {"x": seen({"sharp": signal, "blunt": {name: v / 2 for name, v in signal.items()}})}
    menu = Menu(budget_khz=0.1 * FULL, alone_khz=0.1 * FULL)
    found = study(minbias, signals, menu, reference="blunt", replicas=20)
    assert found.alone["sharp"]["jet"]["threshold"].value == pytest.approx(90.0)
    assert found.alone["sharp"]["jet"]["x"].value == pytest.approx(0.55, abs=0.002)
    assert found.alone["blunt"]["jet"]["x"].value == pytest.approx(0.10, abs=0.002)
    whole = found.whole["sharp"]
    # All four paths are one and the same: together they accept what each does, and none is pure.
    assert whole["rate"]["ht"].value == pytest.approx(0.1 * FULL)
    assert whole["pure"]["ht"].value == 0.0
    assert whole["efficiency"]["x"].value == pytest.approx(0.55, abs=0.002)
    assert whole["gain"]["x"].value == pytest.approx(4.5, abs=0.1)
    assert whole["same"]["x"].value == 0.0  # nothing of the background is above 180 GeV
    assert found.whole["blunt"]["same"]["x"].value == pytest.approx(0.1 * FULL, rel=0.02)
    assert found.whole["blunt"]["gain"]["x"].value == 0.0
    assert found.whole["blunt"]["gain"]["x"].error == 0.0  # paired: a method gains nothing on itself in any replica
    # The threshold's error is binomial: 100 of 1000 pass, √(0.1 · 0.9 · 1000) · 0.1 GeV.
    assert found.alone["sharp"]["jet"]["threshold"].error == pytest.approx(0.95, rel=0.4)
    plain = found.to_dict()
    assert plain["whole"]["sharp"]["efficiency"]["x"][0] == pytest.approx(0.55, abs=0.002)


def test_pure_rates_of_paths_apart():
    values = same_paths(np.zeros(1000))
    values["jet"][:10], values["met"][5:20] = np.linspace(100, 90, 10), np.linspace(100, 90, 15)
    minbias = seen({"puppi": values})
    found = study(minbias, {}, Menu(shares=(("jet", 1.0), ("met", 1.0)), budget_khz=0.02 * FULL), replicas=2)
    rate, pure = (found.whole["puppi"][name] for name in ("rate", "pure"))
    together = rate["jet"].value + pure["met"].value
    assert together == pytest.approx(0.02 * FULL, rel=0.06)
    assert pure["jet"].value == pytest.approx(0.005 * FULL)


def test_crossings_of_one_unit_enlarge_the_error():
    values = {"puppi": same_paths(np.linspace(0.1, 100.0, 1000))}
    menu = Menu(alone_khz=0.1 * FULL)
    alone = study(seen(values), {}, menu, replicas=100).alone["puppi"]["jet"]["threshold"].error
    tied = study(seen(values, unit=np.arange(1000) // 20), {}, menu, replicas=100).alone["puppi"]["jet"]
    assert tied["threshold"].error > 2 * alone


def test_study_refuses_what_was_not_measured():
    minbias = seen({"puppi": same_paths(RISING)})
    with pytest.raises(SettingsError, match="reference total"):
        study(minbias, {}, reference="total")
    with pytest.raises(SettingsError, match="signal x"):
        study(minbias, {"x": seen({"none": same_paths(RISING)})})


def photons(pt):
    """Collisions of one photon each."""
    n = len(pt)
    nothing = np.zeros(n, dtype=np.float32)
    return Collisions(
        offsets=np.arange(n + 1), pid=np.full(n, 22, dtype=np.int32), pt=np.asarray(pt, np.float32), eta=nothing,
        phi=nothing, mass=nothing, x=nothing, y=nothing, z=nothing, t=nothing, ancestry=np.zeros(n, dtype=np.uint8),
        weight=np.ones(n), truth_offsets=np.zeros(n + 1, dtype=np.int64), truth_role=np.zeros(0, dtype=np.int8),
        truth_pid=np.zeros(0, dtype=np.int32), metadata={"cross_section_mb": 80.0},
        **{f"truth_{name}": np.zeros(0, dtype=np.float32) for name in ("pt", "eta", "phi", "mass")},
    )  # fmt: skip


class TestVerb:
    """``hardscatter menu`` on toy files."""

    @pytest.fixture
    def files(self, tmp_path):
        for name, n in (("minbias", 40), ("signal", 10)):
            hs.write(tmp_path / f"{name}.parquet", toy_events(n, 60, seed=n))
        return tmp_path / "minbias.parquet", tmp_path / "signal.parquet"

    def test_json_is_the_study(self, run, files):
        rates_khz = ("--budget", "15000", "--alone", "5000")
        words = ("menu", *files, "-m", "chs", "-m", "perfect", *rates_khz, "--replicas", "3", "--json")
        code, out, _ = run(*words)
        found = json.loads(out)
        assert code == 0
        assert found["reference"] == "chs"
        assert found["crossings"]["minbias"]["crossings"] == 40
        minbias, signal = (see([hs.read(file)], ["chs", PERFECT]) for file in files)
        threshold = rates.threshold_at(minbias.values["chs"]["met"], minbias.weight, 5000.0)
        assert found["alone"]["chs"]["met"]["threshold"][0] == pytest.approx(threshold, rel=1e-3)
        share = (signal.values["chs"]["met"] > threshold).mean()
        assert found["alone"]["chs"]["met"][str(files[1])][0] == pytest.approx(share)

    def test_tables(self, run, files):
        code, out, _ = run("menu", *files, "-m", "none", "--replicas", "2", "--alone", "2000")
        assert code == 0
        assert "one path alone at 2000 kHz: thresholds [GeV]" in out
        assert "all paths together at 750 kHz: efficiency" in out

    def test_rates_out_of_reach(self, run, files):
        code, _, error = run("menu", *files, "--budget", "-1")
        assert code == 1
        assert "between 0 and the 31038 kHz" in error


class TestMinimumBias:
    """The weighted crossings against numbers that follow from their definition."""

    MEAN = 3.0
    SOFT = 800

    def crossings(self, jets=0.5):
        """Collisions of 6 to 30 GeV, and a tenth of the probability evenly on hard ones of 40 to 90 GeV."""
        hardness = np.concatenate([np.linspace(6, 30, self.SOFT), np.linspace(40, 90, 200)])
        probability = np.concatenate([np.full(self.SOFT, 0.9 / self.SOFT), np.full(200, 0.1 / 200)])
        pool = Pool(photons(hardness), hardness, probability, hardness > JET_PT)
        return MinimumBiasCrossings(MinimumBias(pileup=self.MEAN, seed=5, jets=jets), pool)

    def test_draws_follow_the_hardest_of_a_poisson_number(self):
        crossings = self.crossings()
        drawn = [crossings.drawn(number) for number in range(8_000)]
        hardness, weight = crossings.pool.hardness, np.array([d.weight for d in drawn])
        hardest = hardness[[d.hardest for d in drawn]]
        # An empty crossing has no hardest collision: P(s) = 1 − exp(−μ Q(s)).
        assert weight.mean() == pytest.approx(-np.expm1(-self.MEAN), abs=0.02)
        for s in (10.0, 20.0, 29.0, 35.0, 60.0, 80.0):
            share = crossings.pool.probability[hardness > s].sum()
            assert weight[hardest > s].sum() / 8_000 == pytest.approx(-np.expm1(-self.MEAN * share), rel=0.06)
        # The number of collisions is what is left of a Poisson distribution without 0.
        n = np.array([len(d.others) + 1 for d in drawn])
        assert weight @ n / weight.sum() == pytest.approx(self.MEAN / -np.expm1(-self.MEAN), rel=0.02)
        assert all(hardness[d.others].max(initial=0) <= hardness[d.hardest] for d in drawn)

    def test_without_hard_ones_all_have_one_weight(self):
        crossings = self.crossings(jets=0.0)
        drawn = [crossings.drawn(number) for number in range(200)]
        assert np.ptp([d.weight for d in drawn]) < 1e-12
        assert drawn[0].weight == pytest.approx(np.exp(-self.MEAN * 0.1) - np.exp(-self.MEAN), rel=0.01)
        assert max(d.hardest for d in drawn) < self.SOFT

    def test_parts_do_not_depend_on_one_another(self):
        crossings = self.crossings()
        both, last = crossings[2:4], crossings[3:4]
        assert ak.to_list(both.candidates.pt[1]) == ak.to_list(last.candidates.pt[0])
        drawn = crossings.drawn(3)
        assert last.generator_weight[0] == drawn.weight
        assert last.collision[0] == drawn.hardest
        assert last.truth.n_interactions[0] == len(drawn.others)
        assert last.process[0] == "minbias"

    def test_the_leading_vertex_is_the_one_with_the_hardest_tracks(self):
        pool = self.crossings().pool
        assert not pool.sum_pt2.any()  # photons leave no tracks
        library = photons(np.full(4, 20.0))
        library.pid[:] = [22, 211, -211, 12]
        library.pt[1] = 30.0
        library.eta[2] = 4.5
        np.testing.assert_allclose(sum_pt2_of(library), [0, 900, 0, 0])
        np.testing.assert_allclose(hardness_of(library), [20, 30, 20, 0], rtol=1e-5)

    def test_pool_joins_both_libraries_by_cross_section(self):
        soft, hard = photons([0.5, 10.0, 20.0, 50.0]), photons([20.0, 40.0, 60.0])
        hard.metadata["cross_section_mb"] = 0.8
        hard.weight[:] = [2.0, 1.0, 1.0]
        pool = make_pool(soft, hard)
        np.testing.assert_allclose(pool.hardness, [0, 10, 20, 40, 60], rtol=1e-5)  # 50 is counted by the hard ones
        np.testing.assert_allclose(pool.probability[3:], 0.8 / 80 / 4)
        np.testing.assert_allclose(pool.probability[:3], (1 - 0.8 / 80 / 2) / 3)
        alone = make_pool(soft, None)
        np.testing.assert_allclose(alone.probability, 0.25)

    def test_rows_of_prepared_collisions(self):
        source = prepare(photons([5.0, 6.0, 7.0]), load_card("cms-phase2"))
        chosen = rows_of(source, np.array([2, 0, 2]))
        np.testing.assert_allclose(chosen.pt, [7, 5, 7])
        np.testing.assert_array_equal(chosen.offsets, [0, 1, 2, 3])

    def test_settings_that_contradict(self):
        with pytest.raises(SettingsError, match="n_jets"):
            MinimumBiasCrossings(MinimumBias(n_jets=0))
