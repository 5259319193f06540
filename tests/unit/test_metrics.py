"""Resolution, bias, efficiency, fakes, missing momentum and the gap, on crossings whose answers are known."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, MissingFieldError, SettingsError
from hardscatter.metrics import (
    DESIGN,
    TALK,
    Definition,
    JetStudy,
    MetStudy,
    differences,
    join,
    observe,
    observe_all,
    summarise,
)
from hardscatter.metrics.matching import match, near_any, nearest
from hardscatter.metrics.resolution import CMS_REFERENCE, REFERENCE
from hardscatter.metrics.statistics import Estimate, Sample, half_width, resamplings
from hardscatter.simulation import with_truth_jets
from helpers import toy_events


def jets(*events):
    """Jagged jets from lists of (pt, eta, phi)."""
    counts = [len(event) for event in events]
    values = np.array([jet for event in events for jet in event], dtype=float).reshape(-1, 3)
    columns = {name: ak.unflatten(values[:, k], counts) for k, name in enumerate(("pt", "eta", "phi"))}
    return ak.zip(columns)


def scaled_events(scales, truth_pt=100.0, n_vertices=10, eta=0.5):
    """One event for each scale: a single candidate of scale · truth pt on the axis of a single truth jet."""
    n = len(scales)
    pt = [[truth_pt * scale] for scale in scales]
    return hs.from_candidates(
        pt=pt, eta=[[eta]] * n, phi=[[3.1]] * n, energy=[[value[0] * 2] for value in pt], charge=[[0]] * n,
        vertex=[[-1]] * n, n_vertices=[n_vertices] * n,
        truth={
            "jets": ak.zip({"pt": ak.Array([[truth_pt]] * n), "eta": ak.Array([[eta]] * n),
                            "phi": ak.Array([[-3.1]] * n), "mass": ak.Array([[1.0]] * n)}),
            "met": {"pt": np.full(n, truth_pt), "phi": np.full(n, 3.1 - math.pi)},
        },
    )  # fmt: skip


# At β = 1 the axis of a group is the particle that outweighs the rest of it. With A, B, C as the three axes, and A, B
# as the two, τ₃/τ₂ = pt_D ΔR_CD / (pt_C ΔR_BC + pt_D ΔR_BD).
THREE_PRONGS = [(200.0, 0.0, 0.0), (150.0, 0.5, 0.0), (100.0, 0.5, 0.3)]


def with_crumb(distance):
    """Three prongs and a fourth particle that far from the last of them, and their τ₃/τ₂."""
    return [*THREE_PRONGS, (20.0, 0.5, 0.3 + distance)], 20 * distance / (100 * 0.3 + 20 * (0.3 + distance))


def prong_events(*pairs):
    """Build events from pairs of lists of (pt, eta, phi): candidates and truth particles, all massless."""
    sides = [[ak.Array([[row[k] for row in side] for side in column]) for k in range(3)] for column in zip(*pairs)]  # noqa: B905
    (pt, eta, phi), truth = sides
    particles = dict(zip(("pt", "eta", "phi"), truth, strict=True)) | {"mass": 0 * truth[0]}
    events = hs.from_candidates(
        pt=pt, eta=eta, phi=phi, energy=pt * np.cosh(eta), charge=ak.values_astype(0 * pt, int),
        vertex=ak.values_astype(0 * pt, int), truth={"particles": ak.zip(particles)},
    )  # fmt: skip
    return with_truth_jets(events)


def table_of(events, **options):
    weights = {"all": ak.ones_like(events.candidates.pt)}
    return hs.resolution(events, weights, **options)


def test_each_reconstructed_jet_is_used_once_hardest_truth_first():
    truth = jets([(50, 0.0, 0.0), (80, 0.15, 0.0), (30, 3.0, 0.0)])
    reconstructed = jets([(60, 0.1, 0.0), (40, -0.1, 0.0)])
    # 80 GeV takes the nearest, the 50 GeV jet what is left, the third has nothing near
    assert list(match(truth, reconstructed, 0.2)) == [1, 0, -1]


def test_matching_wraps_phi_and_respects_events():
    truth = jets([(50, 0.0, 3.1)], [(50, 0.0, 0.0)], [])
    reconstructed = jets([(50, 0.0, -3.1)], [], [(50, 0.0, 0.0)])
    assert list(match(truth, reconstructed, 0.2)) == [0, -1]
    assert ak.to_list(near_any(truth, reconstructed, 0.2)) == [[True], [False], []]


def test_the_nearest_jet_may_be_shared():
    truth = jets([(50, 0.0, 3.1), (80, 0.15, -3.1), (30, 3.0, 0.0)])
    reconstructed = jets([(60, 0.1, -3.1), (40, 0.6, -3.1)])
    assert list(nearest(truth, reconstructed, 0.4)) == [0, 0, -1]


def test_bias_and_width_by_hand():
    scales = [0.8, 0.9, 1.0, 1.1, 1.2, 1.3, 1.4]
    table = table_of(scaled_events(scales))
    central = table.estimates["all"]["ak4_central.pt"]
    assert table.sizes["ak4_central.pt"] == 7
    assert central["median"].value == pytest.approx(0.1)
    assert central["delta"].value == pytest.approx(0.15)
    assert central["resolution"].value == pytest.approx(0.15 / 1.1)
    assert central["efficiency"].value == 1
    assert central["fakes"].value == 0


def test_missing_momentum_by_hand():
    """Measured is scale · truth along (cos, sin)(3.1 − π): the slope is Σ scale / n."""
    scales = np.array([0.9, 1.0, 1.3])
    table = table_of(scaled_events(list(scales)))
    residuals = np.concatenate(
        [(scales - 1) * 100 * math.cos(3.1 - math.pi), (scales - 1) * 100 * math.sin(3.1 - math.pi)]
    )
    met = table.estimates["all"]["met"]
    low, high = np.quantile(residuals, [0.25, 0.75])
    assert met["delta"].value == pytest.approx((high - low) / 2)
    low, high = np.quantile(residuals, [0.025, 0.975])
    assert met["width95"].value == pytest.approx((high - low) / 2)
    assert met["slope"].value == pytest.approx(scales.mean())
    assert table.sizes["met"] == 3


def test_lost_jets_stay_in_with_response_minus_one():
    events = scaled_events([1.0, 1.0, 0.05])  # 5 GeV is below the threshold for reconstructed jets
    seen = observe(events, ak.ones_like(events.candidates.pt))
    assert seen.jets["ak4_central"].pt_response == pytest.approx([0, 0, -1], abs=1e-9)
    central = summarise({"all": seen}).estimates["all"]["ak4_central.pt"]
    assert central["efficiency"].value == pytest.approx(2 / 3)


def test_losing_most_jets_gives_no_resolution():
    events = scaled_events([0.05, 0.05, 0.05, 1.0])
    central = table_of(events).estimates["all"]["ak4_central.pt"]
    assert central["median"].value == -1
    assert math.isnan(central["resolution"].value)


def test_fakes_are_counted_away_from_truth_and_leptons():
    events = hs.from_candidates(
        pt=[[50.0, 40.0, 35.0, 20.0]], eta=[[0.0, 1.5, -1.5, 2.0]], phi=[[0.0] * 4], energy=[[200.0] * 4],
        charge=[[0] * 4], vertex=[[-1] * 4],
        truth={
            "jets": ak.zip({"pt": ak.Array([[50.0]]), "eta": ak.Array([[0.0]]), "phi": ak.Array([[0.0]]),
                            "mass": ak.Array([[1.0]])}),
            "leptons": ak.zip({"pt": ak.Array([[35.0]]), "eta": ak.Array([[-1.5]]), "phi": ak.Array([[0.0]])}),
        },
    )  # fmt: skip
    seen = observe(events, ak.ones_like(events.candidates.pt))
    assert list(seen.jets["ak4_central"].fakes) == [1]  # the one of 40 GeV; 20 GeV is below the threshold


def test_truth_jets_near_leptons_are_left_out():
    events = scaled_events([1.0, 1.0])
    lepton = ak.zip({"pt": ak.Array([[30.0], []]), "eta": ak.Array([[0.6], []]), "phi": ak.Array([[3.1], []])})
    truth = {name: events.truth[name] for name in events.truth.fields} | {"leptons": lepton}
    with_lepton = events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))
    assert table_of(with_lepton).sizes["ak4_central.pt"] == 1


def test_gap_is_zero_for_puppi_and_one_for_perfect():
    events = toy_events(40, 200)
    table = hs.resolution(events, {"none": hs.mitigate(events, "none")}, replicas=50)
    met = {name: table.estimates[name]["met"]["delta"].value for name in table.estimates}
    assert met["puppi:best"] != met["puppi:cms-phase2"]
    for statistic, puppi in (("gap", "puppi:best"), ("gap_cms", "puppi:cms-phase2")):
        for quantity in ("met", "ak4_central.pt"):
            assert table.estimates[puppi][quantity][statistic].value == 0
            assert table.estimates["perfect"][quantity][statistic].value == 1
            assert table.estimates["perfect"][quantity][statistic].error == 0
        expected = (met[puppi] - met["none"]) / (met[puppi] - met["perfect"])
        assert table.estimates["none"]["met"][statistic].value == pytest.approx(expected)


def test_differences_leave_out_what_methods_have_in_common():
    events = toy_events(40, 200)
    rng = np.random.default_rng(3)
    puppi = hs.mitigate(events, "puppi")
    near = ak.unflatten(np.clip(ak.flatten(puppi) + 0.01 * rng.random(ak.sum(ak.num(puppi))), 0, 1), ak.num(puppi))
    seen = observe_all(events, {"chs": hs.mitigate(events, "chs"), "near": near})
    change = differences(seen, "chs", replicas=50)
    gaps = summarise(seen, replicas=50).estimates
    assert change["chs"]["met"].value == change["chs"]["met"].error == 0
    assert change["near"]["met"].value == pytest.approx(
        gaps["near"]["met"]["gap"].value - gaps["chs"]["met"]["gap"].value
    )
    close = differences(seen, CMS_REFERENCE, replicas=50)["near"]["met"]
    assert 0 < close.error < gaps["chs"]["met"]["gap"].error
    with pytest.raises(SettingsError, match="nothing was observed with 'puppi'"):
        differences(seen, "puppi")
    with pytest.raises(SettingsError, match="at least 2"):
        differences(seen, "chs", replicas=1)
    with pytest.raises(SettingsError, match="different definitions"):
        differences(seen | {"talk": observe(events, near, TALK)}, "chs")


def test_differences_without_crossings_are_not_known():
    events = toy_events(2)[:0]
    seen = observe_all(events, {"none": hs.mitigate(events, "none")})
    assert "none" not in differences(seen, REFERENCE)  # no gap to close
    change = differences(seen, REFERENCE, statistic="delta")["none"]["met"]
    assert math.isnan(change.value)
    assert math.isnan(change.error)


def test_no_gap_where_puppi_is_not_worse_than_perfect():
    events = toy_events(10)
    # Nothing to mitigate: all is charged and of the leading vertex, so PUPPI and perfect weights are the same.
    charged = events.candidates[events.candidates.charge != 0]
    fields = {name: charged[name] for name in ("pt", "eta", "phi", "energy", "charge")}
    alone = hs.from_candidates(
        **fields, vertex=0 * charged.vertex, n_vertices=events.n_vertices,
        truth={"hard_fraction": ak.ones_like(charged.pt), "met": events.truth.met, "jets": events.truth.jets},
    )  # fmt: skip
    table = hs.resolution(alone, {"none": hs.mitigate(alone, "none")}, replicas=5)
    assert not any({"gap", "gap_cms"} & set(values) for values in table.estimates["none"].values())


def test_the_ends_of_the_gap_cannot_be_faked():
    events = toy_events(10)
    softkiller, none = hs.mitigate(events, "softkiller"), hs.mitigate(events, "none")
    table = hs.resolution(events, {"puppi": softkiller}, replicas=5)
    assert table.estimates["puppi:best"]["met"]["gap"].value == 0
    assert table.estimates["puppi:cms-phase2"]["met"]["gap_cms"].value == 0
    assert table.estimates["puppi"]["met"]["gap_cms"].value != 0
    for name in ("perfect", "puppi:best", "puppi:cms-phase2"):
        with pytest.raises(InvalidEventsError, match="another name"):
            hs.resolution(events, {name: none}, replicas=5)
    both = hs.resolution(events, {"puppi": hs.mitigate(events, "puppi")}, replicas=5)
    assert "puppi:cms-phase2" not in both.estimates
    assert "puppi:best" in both.estimates


def test_events_without_true_missing_momentum_are_left_out():
    events = scaled_events([1.0, 1.1, 1.2])
    met = ak.zip({"pt": ak.Array([100.0, math.nan, 100.0]), "phi": events.truth.met.phi})
    truth = {"jets": events.truth.jets, "met": met}
    partly = events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))
    table = table_of(partly)
    assert table.sizes["met"] == 2
    assert (
        table.estimates["all"]["met"]["delta"].value == table_of(events[[0, 2]]).estimates["all"]["met"]["delta"].value
    )


def test_few_jets_have_a_median_but_no_width_and_no_efficiency_without_error():
    central = table_of(scaled_events([1.0, 1.1, 1.2])).estimates["all"]["ak4_central.pt"]
    assert central["median"].value == pytest.approx(0.1)
    assert math.isnan(central["delta"].value)
    assert central["efficiency"].value == 1
    assert central["efficiency"].error == pytest.approx(1 - 0.3173 ** (1 / 3), abs=1e-3)


def test_efficiency_of_one_is_bounded_by_crossings_and_no_fakes_as_well():
    events = scaled_events([1.0] * 20)
    twice = ak.concatenate([events.truth.jets, ak.with_field(events.truth.jets, [[0.0]] * 20, "phi")], axis=1)
    pt, phi = [[100.0, 100.0]] * 20, [[3.1, 0.0]] * 20
    both = hs.from_candidates(
        pt=pt, eta=[[0.5, 0.5]] * 20, phi=phi, energy=[[200.0, 200.0]] * 20, charge=[[0, 0]] * 20,
        vertex=[[-1, -1]] * 20, n_vertices=[10] * 20, truth={"jets": twice, "met": events.truth.met},
    )  # fmt: skip
    bounds = []
    for crossings in (events, both):
        central = table_of(crossings).estimates["all"]["ak4_central.pt"]
        assert (central["efficiency"].value, central["fakes"].value) == (1.0, 0.0)
        bounds.append((central["efficiency"].bound, central["fakes"].bound))
    room = 1 - 0.3173 ** (1 / 20)  # of 20 crossings, whether they hold 20 jets or 40
    assert bounds == [pytest.approx((1 - room, room), rel=1e-3)] * 2


def test_no_gap_without_hard_fractions_or_vertices():
    table = table_of(scaled_events([1.0, 1.1]))
    assert "gap" not in table.estimates["all"]["met"]


def test_slope_needs_true_missing_momentum():
    events = scaled_events([1.0, 1.1], truth_pt=100.0)
    truth = {"jets": events.truth.jets, "met": ak.zip({"pt": ak.Array([0.1, 0.2]), "phi": ak.Array([0.0, 0.0])})}
    balanced = events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))
    assert math.isnan(table_of(balanced).estimates["all"]["met"]["slope"].value)


def test_resolution_needs_truth():
    with pytest.raises(MissingFieldError, match="truth"):
        table_of(scaled_events([1.0]).without_truth())


def test_no_events_give_an_empty_table():
    table = table_of(scaled_events([1.0])[:0])
    assert table.n_events == 0
    assert math.isnan(table.estimates["all"]["met"]["delta"].value)
    assert math.isnan(table.to_dict()["estimates"]["all"]["met"]["delta"]["value"])


def test_settings_are_checked():
    with pytest.raises(SettingsError, match="replicas"):
        table_of(scaled_events([1.0]), replicas=1)
    with pytest.raises(SettingsError, match="nothing"):
        summarise({})


@pytest.mark.parametrize("definition", [DESIGN, TALK], ids=["design", "talk"])
@pytest.mark.parametrize("prongs", [True, False])
def test_joined_batches_equal_the_whole(definition, prongs):
    pairs = [(with_crumb(distance)[0], with_crumb(0.05)[0]) for distance in np.linspace(0.05, 0.16, 12)]
    events = prong_events(*pairs) if prongs else toy_events(12, 150)
    weights = hs.mitigate(events, "chs" if prongs else "puppi")
    whole = observe(events, weights, definition)
    parts = [observe(events[a : a + 5], weights[a : a + 5], definition) for a in range(0, 12, 5)]
    assert json.dumps(summarise({"m": join(parts)}, replicas=20).to_dict()) == json.dumps(
        summarise({"m": whole}, replicas=20).to_dict()
    )


def test_against_the_paired_crossing(delphes_file):
    events = hs.read(delphes_file, 6)
    alone = hs.read(delphes_file.with_name("delphes_ttbar_pu0.root"), 6)
    paired = hs.against_no_pileup(events, alone)
    assert ak.array_equal(paired.truth.hard_fraction, events.truth.hard_fraction)
    assert ak.all(ak.num(paired.truth.jets) > 0)
    # the pair's missing momentum is that of the same collision: near the truth, not equal to it
    difference = np.abs(ak.to_numpy(paired.truth.met.pt) - ak.to_numpy(events.truth.met.pt))
    assert 0 < np.median(difference) < 15
    with pytest.raises(InvalidEventsError, match="6 crossings cannot be paired with 5"):
        hs.against_no_pileup(events, alone[:5])
    with pytest.raises(InvalidEventsError, match="event numbers"):
        hs.against_no_pileup(events, alone[::-1])


def test_tau32_residual_by_hand():
    particles, true = with_crumb(0.05)
    candidates, measured = with_crumb(0.15)
    seen = observe(events := prong_events((candidates, particles)), ak.ones_like(events.candidates.pt))
    fat = seen.jets["ak8"]
    assert fat.truth_tau32 == pytest.approx([true], rel=3e-3)
    assert fat.tau32 == pytest.approx([measured], rel=3e-3)
    central = summarise({"all": seen}).estimates["all"]["ak8.tau32"]
    assert central["median"].value == pytest.approx(measured - true, rel=1e-2)
    assert set(central) == {"median", "delta", "efficiency"}


def test_spread_of_tau32_by_hand():
    """Five jets whose residuals are known: half the distance of the quartiles."""
    distances = [0.05, 0.08, 0.11, 0.14, 0.17]
    particles, true = with_crumb(0.05)
    table = table_of(prong_events(*((with_crumb(distance)[0], particles) for distance in distances)))
    low, high = np.quantile([with_crumb(distance)[1] - true for distance in distances], [0.25, 0.75])
    assert table.estimates["all"]["ak8.tau32"]["delta"].value == pytest.approx((high - low) / 2, rel=1e-2)
    assert table.sizes["ak8.tau32"] == 5


def test_three_prongs_have_less_tau32_than_two():
    three = with_crumb(0.02)[0]
    two = [(200.0, 0.0, 0.0), (10.0, 0.05, 0.05), (150.0, 0.5, 0.0), (12.0, 0.45, 0.05), (9.0, 0.55, 0.02)]
    seen = observe(events := prong_events((three, three), (two, two)), ak.ones_like(events.candidates.pt))
    tau32 = seen.jets["ak8"].tau32
    assert tau32[0] < 0.05 < 0.3 < tau32[1]
    assert tau32 == pytest.approx(seen.jets["ak8"].truth_tau32, abs=1e-6)


def test_tau32_is_left_out_where_it_is_not_defined():
    four, _ = with_crumb(0.05)
    pairs = [(four, four), (four, THREE_PRONGS[:2]), (THREE_PRONGS[:2], four), ([(20.0, 0.0, 0.0)], four)]
    events = prong_events(*pairs, (THREE_PRONGS, four))
    seen = observe(events, ak.ones_like(events.candidates.pt)).jets["ak8"]
    true = with_crumb(0.05)[1]
    nan = math.nan
    assert seen.truth_tau32 == pytest.approx([true, nan, true, true, true], rel=3e-3, nan_ok=True)
    # two constituents have none, a lost jet neither; three have τ₃ = 0
    assert seen.tau32 == pytest.approx([true, nan, nan, nan, 0.0], rel=3e-3, nan_ok=True)
    table = table_of(events)
    assert table.sizes["ak8.tau32"] == 4
    assert table.estimates["all"]["ak8.tau32"]["efficiency"].value == pytest.approx(2 / 4)
    dark = ak.Array([[1.0, 1.0, 0.0, 0.0], *ak.to_list(ak.ones_like(events.candidates.pt))[1:]])
    assert math.isnan(observe(events, dark).jets["ak8"].tau32[0])  # weight 0 is no constituent


def test_no_tau32_without_truth_particles(delphes_file):
    events = prong_events((THREE_PRONGS, THREE_PRONGS))
    without = {name: events.truth[name] for name in ("jets", "fat_jets")}
    bare = events.without_truth().with_field("truth", ak.zip(without, depth_limit=1))
    assert "ak8.tau32" in table_of(events).sizes
    assert "ak8.tau32" not in table_of(bare).sizes
    events = hs.read(delphes_file, 12)
    paired = hs.against_no_pileup(events, hs.read(delphes_file.with_name("delphes_ttbar_pu0.root"), 12))
    without, against = (observe(part, hs.perfect_weights(part)).jets["ak8"] for part in (events, paired))
    assert np.isnan(without.truth_tau32).all()
    assert len(against.tau32) > 0
    assert np.isfinite(against.tau32 - against.truth_tau32).all()


def test_a_crossing_against_itself_has_its_own_tau32():
    events = prong_events(*((with_crumb(distance)[0], THREE_PRONGS) for distance in (0.05, 0.1)))
    paired = hs.against_no_pileup(events, events)
    fat = observe(paired, ak.ones_like(events.candidates.pt)).jets["ak8"]
    assert fat.tau32 == pytest.approx(fat.truth_tau32, abs=1e-9)
    assert fat.tau32 == pytest.approx([with_crumb(distance)[1] for distance in (0.05, 0.1)], rel=3e-3)


def test_the_talks_jets_by_hand():
    scales = [0.045, 0.8, 0.9, 1.0, 1.1, 1.2]  # the first is a jet of 18 GeV, response −0.955
    for eta, truth_pt in ((0.5, 400.0), (3.9, 400.0), (4.1, 400.0)):
        table = table_of(scaled_events(scales, truth_pt, eta=eta), definition="talk")
        inside = abs(eta) < 4
        assert table.sizes["talk_ak4.pt"] == 6 * inside
        if inside:
            found = table.estimates["all"]["talk_ak4.pt"]
            assert set(found) == {"median", "delta", "efficiency", "improvement", "improvement_cms"}
            assert found["median"].value == pytest.approx(0.0, abs=1e-12)
            assert found["delta"].value == pytest.approx(0.1)
            assert found["efficiency"].value == pytest.approx(5 / 6)
    assert table.definition == table.to_dict()["definition"] == "talk"
    soft = table_of(scaled_events([0.5, 0.9, 1.0, 1.1, 1.2], 20.0), definition=TALK)
    assert soft.sizes["talk_ak4.pt"] == 5  # of 20 GeV, which the design does not look at
    assert soft.estimates["all"]["talk_ak4.pt"]["efficiency"].value == pytest.approx(4 / 5)


def test_the_talks_truth_jets_may_be_leptons():
    events = scaled_events([1.0, 1.0])
    lepton = ak.zip({"pt": ak.Array([[30.0], []]), "eta": ak.Array([[0.6], []]), "phi": ak.Array([[3.1], []])})
    truth = {name: events.truth[name] for name in events.truth.fields} | {"leptons": lepton}
    with_lepton = events.without_truth().with_field("truth", ak.zip(truth, depth_limit=1))
    assert table_of(with_lepton, definition="talk").sizes["talk_ak4.pt"] == 2


def test_the_talks_fat_jets_have_500_to_1500_gev():
    def event(scale):
        particles = [(scale * pt, eta, phi) for pt, eta, phi in with_crumb(0.05)[0]]
        return particles, particles

    table = table_of(prong_events(event(1.0), event(1.5), event(3.0), event(4.0)), definition="talk")
    assert table_of(prong_events(event(1.0))).sizes["ak8.pt"] == 1  # 450 GeV, which the design looks at
    for quantity in ("pt", "mass", "tau32"):
        assert table.sizes[f"talk_ak8.{quantity}"] == 2
        assert table.estimates["all"][f"talk_ak8.{quantity}"]["median"].value == pytest.approx(0.0, abs=1e-6)


def test_the_talks_missing_momentum_by_hand():
    """Measured is scale · truth: the response is scale − 1, where the true one exceeds 10 GeV."""
    scales = np.array([0.7, 0.9, 1.0, 1.3])
    met = table_of(scaled_events(list(scales)), definition="talk").estimates["all"]["talk_met"]
    low, median, high = np.quantile(scales - 1, [0.25, 0.5, 0.75])
    assert met["median"].value == pytest.approx(median)
    assert met["delta"].value == pytest.approx((high - low) / 2)
    assert set(met) == {"median", "delta", "improvement", "improvement_cms"}
    little = table_of(scaled_events(list(scales), truth_pt=9.0), definition="talk")
    assert little.sizes["talk_met"] == 0
    assert math.isnan(little.estimates["all"]["talk_met"]["delta"].value)


def test_improvement_on_puppi():
    events = toy_events(40, 200)
    table = hs.resolution(events, {"none": hs.mitigate(events, "none")}, definition="talk", replicas=50)
    for quantity in ("talk_ak4.pt", "talk_met"):
        found = {name: table.estimates[name][quantity] for name in table.estimates}
        for statistic, puppi in (("improvement", REFERENCE), ("improvement_cms", CMS_REFERENCE)):
            assert found[puppi][statistic].value == found[puppi][statistic].error == 0
            for name in ("none", "perfect"):
                expected = 1 - found[name]["delta"].value / found[puppi]["delta"].value
                assert found[name][statistic].value == pytest.approx(expected)
                assert not {"gap", "gap_cms"} & set(found[name])
            assert found["none"][statistic].error > 0


def test_the_error_of_an_improvement_is_that_of_the_ratio():
    """Half of every response is half of δ in every replica: the improvement is 0.5 without error."""
    events = scaled_events(list(np.random.default_rng(3).normal(1.0, 0.1, 60)))
    reference = observe(events, ak.ones_like(events.candidates.pt), TALK)
    halves = replace(reference.jets["talk_ak4"], pt_response=reference.jets["talk_ak4"].pt_response / 2)
    better = replace(reference, jets={"talk_ak4": halves})
    found = summarise({REFERENCE: reference, "better": better}, replicas=50).estimates["better"]["talk_ak4.pt"]
    assert found["improvement"].value == pytest.approx(0.5)
    assert found["improvement"].error == pytest.approx(0.0, abs=1e-12)
    assert found["delta"].error > 0


def test_a_definition_of_ones_own():
    study = JetStudy("hard", "jets", 0.4, 90.0, 10.0, 0.2, 0.0, 1.0)
    own = Definition("own", (study,), MetStudy("met"), ())
    table = table_of(scaled_events([0.9, 1.0, 1.1, 1.2]), definition=own)
    assert set(table.sizes) == {"hard.pt", "met"}
    assert "resolution" in table.estimates["all"]["hard.pt"]


def test_definitions_are_checked():
    with pytest.raises(SettingsError, match="no definition 'tolk': take one of design, talk"):
        table_of(scaled_events([1.0]), definition="tolk")
    events = scaled_events([1.0, 1.1])
    weights = ak.ones_like(events.candidates.pt)
    with pytest.raises(SettingsError, match="different definitions"):
        summarise({"a": observe(events, weights, DESIGN), "b": observe(events, weights, TALK)})


def test_quantiles_equal_numpy_of_the_repeated_sample():
    rng = np.random.default_rng(5)
    values, event = rng.normal(size=40), rng.integers(0, 10, 40)
    sample = Sample(values, event)
    for counts in resamplings(10, 20, seed=3):
        repeated = np.repeat(values, counts[event])
        q = (0.0, 0.1587, 0.25, 0.5, 0.75, 1.0)
        assert sample.quantiles(counts, q) == pytest.approx(np.quantile(repeated, q))
        assert sample.mean(counts) == pytest.approx(repeated.mean())
        low, high = np.quantile(repeated, [0.16, 0.84])
        assert half_width(sample, counts, 0.68) == pytest.approx((high - low) / 2)


def test_statistics_of_nothing():
    nothing = Sample(np.zeros(0), np.zeros(0, dtype=np.int64))
    counts = np.ones(3, dtype=np.int64)
    assert np.isnan(nothing.quantiles(counts, (0.5,))).all()
    assert math.isnan(nothing.mean(counts))
    assert math.isnan(Estimate.from_replicas(1.0, np.array([math.nan])).error)


def test_bootstrap_error_of_the_median_is_right():
    """For normal samples the median's error is σ √(π/2n); the bootstrap must find it, on average over samples."""
    rng = np.random.default_rng(11)
    n, errors = 800, []
    for _ in range(30):
        sample = Sample(rng.normal(size=n), np.arange(n))
        replicas = np.array([sample.quantiles(counts, (0.5,))[0] for counts in resamplings(n, 200, seed=1)])
        errors.append(Estimate.from_replicas(0.0, replicas).error)
    # One sample's answer scatters by about 15 %, the mean of 30 by 3 %.
    assert np.mean(errors) == pytest.approx(math.sqrt(math.pi / 2 / n), rel=0.1)


def test_bootstrap_keeps_an_event_together():
    """Ten copies of a value in each event carry no more information than one."""
    rng = np.random.default_rng(12)
    values = rng.normal(size=500)
    single = Sample(values, np.arange(500))
    tenfold = Sample(np.repeat(values, 10), np.repeat(np.arange(500), 10))
    spread = [
        np.std([sample.quantiles(counts, (0.5,))[0] for counts in resamplings(500, 200, seed=1)])
        for sample in (single, tenfold)
    ]
    assert spread[1] == pytest.approx(spread[0], rel=0.1)
