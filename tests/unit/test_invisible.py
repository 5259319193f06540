"""Invisible Higgs decays against Z(νν): selection, discriminant, significances and their gains."""

import awkward as ak
import numpy as np
import pytest
from scipy.stats import norm

from hardscatter.errors import SettingsError
from hardscatter.metrics.invisible import (
    SELECTION,
    DijetSelection,
    Normalisation,
    fisher_direction,
    invisible_study,
    select,
)
from hardscatter.metrics.records import Records
from hardscatter.metrics.studies import NO_PILEUP

NORMALISATION = Normalisation(signal_fb=1000.0, background_fb=2000.0, luminosity=100.0, branching=0.2)
EXPECTED = {"signal": 20_000.0, "background": 200_000.0}


def view_of(missing, mass, pt=100.0):
    """Return crossings of two jets of the same pt and phi at ±eta, m = 2 pt sinh(eta), away from missing momentum."""
    missing, mass = np.asarray(missing, dtype=float), np.asarray(mass, dtype=float)
    eta = np.arcsinh(mass / (2 * pt))
    columns = {
        "pt": np.full((len(eta), 2), pt) - [0.0, 1e-6],
        "eta": np.stack([eta, -eta], axis=1),
        "phi": np.zeros((len(eta), 2)),
        "mass": np.zeros((len(eta), 2)),
    }
    jets = ak.zip({name: ak.from_regular(ak.Array(values)) for name, values in columns.items()})
    return ak.zip({"jets": jets, "met": ak.zip({"px": -missing, "py": 0 * missing})}, depth_limit=1)


def records_of(views, weight=None):
    n = len(next(iter(views.values())))
    fields = {"event": np.arange(n)} | ({} if weight is None else {"generator_weight": weight})
    return Records("toy", ak.zip(fields, depth_limit=1), views)


def toy(n, shift, noise=0.0, seed=1):
    """Return missing momenta and masses whose logarithms are normal, √(1 + noise²) units wide and `shift` units off."""
    rng = np.random.default_rng(seed)
    unit = rng.normal(size=(n, 2)) + noise * rng.normal(size=(n, 2)) + np.asarray(shift)
    return np.exp(np.log(400.0) + 0.1 * unit[:, 0]), np.exp(np.log(1500.0) + 0.15 * unit[:, 1])


def result(study, name):
    (found,) = (result for result in study.results if result.name == name)
    return found


def value(study, name, method, column):
    return result(study, name).rows[method][column]


def test_selection_keeps_what_passes_every_cut():
    passing = {"missing": 160.0, "mass": 800.0}
    assert len(select(view_of([passing["missing"]], [passing["mass"]])).place) == 1
    assert len(select(view_of([140.0], [passing["mass"]])).place) == 0
    assert len(select(view_of([passing["missing"]], [390.0], pt=61.0)).place) == 0
    assert len(select(view_of([passing["missing"]], [passing["mass"]], pt=59.0)).place) == 0
    view = view_of([200.0, 140.0, 300.0], [800.0, 800.0, 1000.0])
    kept = select(view)
    assert kept.place.tolist() == [0, 2]
    assert kept.missing == pytest.approx([200.0, 300.0])
    assert kept.mass == pytest.approx([800.0, 1000.0], rel=1e-6)


@pytest.mark.parametrize(
    ("jets", "missing", "selection"),
    [
        ([(100, 3.0, 0.0), (90, 1.0, 0.0)], (-300, 0), DijetSelection(delta_eta=0)),  # one hemisphere
        ([(200, 1.0, 0.0), (190, -1.0, 0.0)], (-300, 0), SELECTION),  # |Δη| 2
        ([(100, 2.0, 0.0), (90, -2.0, 2.5)], (0, -300), SELECTION),  # |Δφ| 2.5
        ([(100, 2.0, 0.0), (90, -2.0, 0.0)], (300, 0), SELECTION),  # missing momentum along them
        ([(100, 2.0, 0.0), (90, -2.0, 0.0), (35, 0.0, 3.0)], (-300, 0), SELECTION),  # along the third
        ([(100, 4.9, 0.0), (90, -2.0, 0.0)], (-300, 0), SELECTION),  # too far forward
    ],
)
def test_selection_drops(jets, missing, selection):
    fields = dict(zip(("pt", "eta", "phi"), np.array(jets, dtype=float).T, strict=True))
    jagged = ak.zip({name: ak.Array([values.tolist()]) for name, values in fields.items()})
    met = ak.zip({"px": np.array([float(missing[0])]), "py": np.array([float(missing[1])])})
    view = ak.zip({"jets": jagged, "met": met}, depth_limit=1)
    assert select(view, selection).place.tolist() == []
    everything = DijetSelection(10, 10, 6, -10, np.pi, 0, 0, 30, -1)
    assert select(view, everything).place.tolist() == ([] if fields["eta"][:2].prod() > 0 else [0])


def test_fishers_direction_is_the_closed_form():
    rng = np.random.default_rng(2)
    mixing = np.array([[1.0, 0.4], [0.0, 0.5]])
    signal, background = rng.normal(size=(300, 2)) @ mixing + [0.3, 0.1], rng.normal(size=(200, 2)) @ mixing
    ones = np.ones(300), np.ones(200)
    covariance = np.cov(signal.T, bias=True) + np.cov(background.T, bias=True)
    expected = np.linalg.solve(covariance, signal.mean(axis=0) - background.mean(axis=0))
    np.testing.assert_allclose(fisher_direction(signal, background, *ones), expected)
    # A weight of 2 is an event that is there twice.
    doubled = fisher_direction(np.vstack([signal, signal[:50]]), background, np.ones(350), ones[1])
    weight = np.where(np.arange(300) < 50, 2.0, 1.0)
    np.testing.assert_allclose(fisher_direction(signal, background, weight, ones[1]), doubled)
    # A feature that does not vary cannot be judged, and does no harm.
    flat = np.zeros((300, 1)), np.zeros((200, 1))
    widened = fisher_direction(np.hstack([signal, flat[0]]), np.hstack([background, flat[1]]), *ones)
    np.testing.assert_allclose(widened, [*expected, 0.0])


def binned_gain(distance, bins=10):
    """Return √(Σ s_i²/b_i) of normal distributions of width 1 so far apart, in bins of equal background."""
    shares = np.diff(norm.cdf(np.append(norm.ppf(np.arange(bins) / bins), np.inf), loc=distance))
    return np.sqrt((shares**2 * bins).sum())


def test_significances_of_twenty_thousand_events_are_the_closed_form():
    n, shift = 10_000, np.array([0.8, 0.6])  # 1 standard deviation apart
    noise = {"puppi:best": 1.0, "puppi:cms-phase2": 1.0, "total": 0.5, "perfect": 0.0}
    signal = {name: view_of(*toy(n, shift, width, seed=1)) for name, width in noise.items()}
    background = {name: view_of(*toy(n, (0, 0), width, seed=2)) for name, width in noise.items()}
    study = invisible_study(records_of(signal), records_of(background), NORMALISATION, replicas=20)
    apart = {name: 1 / np.sqrt(1 + width**2) for name, width in noise.items()}
    plain = EXPECTED["signal"] / np.sqrt(EXPECTED["background"])
    z = {name: plain * binned_gain(distance) for name, distance in apart.items()}
    for name in noise:
        assert value(study, "invisible_significance", name, "significance").value == pytest.approx(z[name], rel=0.03)
    gain = value(study, "invisible_significance", "total", "gain")
    assert gain.value == pytest.approx(z["total"] / z["puppi:best"] - 1, abs=4 * gain.error)
    assert 0.002 < gain.error < 0.03
    share = value(study, "invisible_significance", "total", "share")
    expected = (z["total"] - z["puppi:best"]) / (z["perfect"] - z["puppi:best"])
    assert share.value == pytest.approx(expected, abs=4 * share.error)
    # The same views: no gain, exactly, and no error.
    same = value(study, "invisible_significance", "puppi:best", "gain_cms")
    assert (same.value, same.error) == (0.0, 0.0)
    assert "gain" not in result(study, "invisible_significance").rows["puppi:best"]
    # S/√B above a cut t is S(t)/√B(t), and its best value is known.
    cuts = np.linspace(-3, 0.3, 400)
    best = (norm.sf(cuts, loc=1) / np.sqrt(norm.sf(cuts))).max() * plain
    assert value(study, "invisible_counting", "perfect", "cut_0").value == pytest.approx(best, rel=0.02)
    # With 5 % the cut is as tight as it may be: half of the signal.
    tight = norm.isf(0.5, loc=1)
    s, b = 0.5 * EXPECTED["signal"], norm.sf(tight) * EXPECTED["background"]
    expected = s / np.sqrt(b + (0.05 * b) ** 2)
    assert value(study, "invisible_counting", "perfect", "cut_5").value == pytest.approx(expected, rel=0.05)
    roc = result(study, "invisible_roc")
    middles = (np.array(roc.edges[1:]) + roc.edges[:-1]) / 2
    measured = [estimate.value for estimate in roc.statistics["background"]["perfect"]]
    np.testing.assert_allclose(measured, norm.sf(norm.isf(middles, loc=1)), rtol=0.15)


def test_no_event_judges_itself():
    # Signal and background alike: a classifier that saw its own events would find a difference.
    ratios = []
    for seed in range(12):
        signal = records_of({"total": view_of(*toy(60, (0, 0), seed=2 * seed))})
        background = records_of({"total": view_of(*toy(60, (0, 0), seed=2 * seed + 1))})
        study = invisible_study(signal, background, NORMALISATION, replicas=2)
        ratios.append(value(study, "invisible_counting", "total", "cut_0").value)
    plain = EXPECTED["signal"] / np.sqrt(EXPECTED["background"])
    assert np.mean(ratios) / plain < 1.02


def test_weights_undo_an_enrichment():
    # Of the crossings that are not selected, 1 in 5 was kept, with weight 5.
    missing, mass = toy(2000, (0, 0))
    outside = np.arange(2000) % 2 == 0
    missing = np.where(outside, 50.0, missing)
    kept = ~outside | (np.arange(2000) % 10 == 0)
    weight = np.where(outside, 5.0, 1.0)[kept]
    full = records_of({"total": view_of(missing, mass)})
    thinned = records_of({"total": view_of(missing[kept], mass[kept])}, weight)
    study = invisible_study(thinned, thinned, NORMALISATION, replicas=3)
    plain = invisible_study(full, full, NORMALISATION, replicas=3)
    for role, expected in EXPECTED.items():
        assert value(plain, "invisible_yields", "total", role).value == pytest.approx(expected / 2)
        assert value(study, "invisible_yields", "total", role).value == pytest.approx(expected / 2)
    assert study.facts["selected"]["signal"]["total"] == {"crossings": 1000, "effective": 1000.0}
    shares = result(study, "invisible_mass_signal").shares["total"]
    counted = np.histogram(mass[~outside], result(study, "invisible_mass_signal").edges)[0] / 1000
    np.testing.assert_allclose([share.value for share in shares], counted)


def test_a_weight_of_two_is_an_event_that_is_there_twice():
    # Neighbours, one of each half, are doubled together, so that the halves stay the same.
    twice = np.repeat(np.arange(1000) % 3 == 0, 2)
    weight = np.where(twice, 2.0, 1.0)
    order = np.concatenate([[i, i + 1] * (2 if twice[i] else 1) for i in range(0, 2000, 2)])
    weighted, repeated = [], []
    for seed, shift in enumerate([(0.8, 0.6), (0, 0)]):
        missing, mass = toy(2000, shift, seed=seed)
        weighted.append(records_of({"total": view_of(missing, mass)}, weight))
        repeated.append(records_of({"total": view_of(missing[order], mass[order])}))
    one, other = (invisible_study(*pair, NORMALISATION, replicas=2) for pair in (weighted, repeated))
    for name in ("invisible_significance", "invisible_counting", "invisible_yields"):
        for column, estimate in result(one, name).rows["total"].items():
            assert estimate.value == pytest.approx(value(other, name, "total", column).value), column
    backgrounds = [result(study, "invisible_roc").statistics["background"]["total"] for study in (one, other)]
    np.testing.assert_allclose(*[[estimate.value for estimate in found] for found in backgrounds])


def test_heavy_events_leave_fewer_bins():
    missing, mass = toy(1000, (0, 0))
    heavy = np.where(np.arange(1000) < 10, 100.0, 1.0)
    signal = records_of({"total": view_of(missing, mass)})
    # (990 + 1000)²/(990 + 100 000) = 39 effective events.
    study = invisible_study(signal, records_of({"total": view_of(missing, mass)}, heavy), NORMALISATION, replicas=2)
    assert study.facts["bins"] == 1
    assert invisible_study(signal, signal, NORMALISATION, replicas=2).facts["bins"] == 10


def test_reference_of_the_distributions_and_views_that_both_have():
    view = view_of(*toy(40, (0, 0)))
    signal = records_of({NO_PILEUP: view, "total": view, "none": view})
    study = invisible_study(signal, records_of({"total": view, NO_PILEUP: view}), NORMALISATION, replicas=2)
    shape = result(study, "invisible_missing_background")
    assert list(shape.shares) == [NO_PILEUP, "total"]
    assert shape.reference == NO_PILEUP
    assert "gain" not in result(study, "invisible_significance").rows["total"]


@pytest.mark.parametrize("n", [0, 1, 6])
def test_too_few_events_give_no_significance(n):
    few = records_of({"total": view_of(*toy(n, (0, 0))), "puppi:best": view_of(*toy(n, (0, 0)))})
    study = invisible_study(few, few, NORMALISATION, replicas=3)
    assert np.isnan(value(study, "invisible_significance", "total", "significance").value)
    assert np.isnan(value(study, "invisible_significance", "total", "gain").value)
    assert len(study.to_dict()["results"]) == len(study.results)


def test_no_view_and_too_few_replicas():
    nothing = Records("toy", ak.zip({"event": np.arange(5)}, depth_limit=1), {})
    study = invisible_study(nothing, nothing, NORMALISATION, replicas=2)
    assert result(study, "invisible_significance").rows == {}
    with pytest.raises(SettingsError, match="replicas"):
        invisible_study(nothing, nothing, NORMALISATION, replicas=1)
