"""Methods on edges: empty events, one particle, no vertex, far too many candidates; the registry; the firewall."""

from __future__ import annotations

import dataclasses
from importlib.metadata import EntryPoint

import awkward as ak
import numpy as np
import pytest
from pydantic import ValidationError
from scipy.stats import chi2

import hardscatter as hs
from hardscatter.errors import InvalidEventsError, MissingFieldError, UnknownMethodError
from hardscatter.events import flat
from hardscatter.geometry import Tiles
from hardscatter.pileup import constituent_subtraction as subtraction
from hardscatter.pileup import method as registry
from hardscatter.pileup import puppi as puppi_module
from hardscatter.pileup.local_shape import alphas_of_all, alphas_of_leading
from hardscatter.pileup.puppi import CMS_PHASE2, CMS_RUN3, EtaBin, Puppi, rapidity
from hardscatter.pileup.softkiller import SoftKiller
from hardscatter.pileup.softkiller_zeroing import SoftKillerZeroing
from helpers import toy_events

ALL = list(registry.methods())
UNSETTLED = ("supervised", "total", "total:paper", "total:student", "puppiml", "puma")


def one(pt=5.0, eta=0.1, charge=0, vertex=-1, **more):
    fields = {
        "pt": pt,
        "eta": eta,
        "phi": 0.2,
        "energy": 2 * pt * np.cosh(eta),
        "charge": charge,
        "vertex": vertex,
        **more,
    }
    return hs.from_candidates(**{name: [[value]] for name, value in fields.items()}, n_vertices=[20])


@pytest.mark.parametrize("method", ALL)
def test_no_events_and_empty_events(method):
    columns = {name: [] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    assert len(hs.mitigate(hs.from_candidates(**columns, n_vertices=[]), method)) == 0
    bare = hs.from_candidates(
        **{name: [[], [1.0 if name != "charge" else 0], []] for name in columns}, n_vertices=[1, 2, 3]
    )
    weights = hs.mitigate(bare, method)
    assert ak.to_list(ak.num(weights)) == [0, 1, 0]


@pytest.mark.parametrize("method", ALL)
@pytest.mark.parametrize(("charge", "vertex"), [(0, -1), (1, 0), (1, 3), (-1, -1)])
def test_one_particle_has_a_defined_weight(method, charge, vertex):
    weight = float(hs.mitigate(one(charge=charge, vertex=vertex), method)[0, 0])
    assert 0 <= weight <= 1
    if method in UNSETTLED:  # weigh charged candidates too
        return
    if charge and vertex == 0:
        assert weight == 1
    if charge and vertex > 0:
        assert weight == (1 if method == "none" else 0)


@pytest.mark.parametrize("method", ALL)
def test_sixty_thousand_candidates(method):
    events = toy_events(1, 60_000)
    weights = hs.mitigate(events, method)
    assert ak.to_list(ak.num(weights)) == ak.to_list(events.n_candidates)


@pytest.mark.parametrize("method", ALL)
def test_no_vertex_found(method):
    """Nothing is charged to any vertex and none was counted: neutrals cannot be told apart, nothing breaks."""
    events = toy_events(2)
    fields = {name: events.candidates[name] for name in ("pt", "eta", "phi", "energy", "charge")}
    lost = hs.from_candidates(**fields, vertex=ak.full_like(events.candidates.vertex, -1), n_vertices=[0, 0])
    weights = flat(hs.mitigate(lost, method))
    assert np.isfinite(weights).all()


@pytest.mark.parametrize("method", [method for method in ALL if method not in (*UNSETTLED, "sspuppi", "puppi-linear")])
def test_minimal_fields_are_enough_and_the_full_ones_change_nothing_else(method):
    full, minimal = toy_events(3), toy_events(3, minimal=True)
    assert ak.array_equal(hs.mitigate(full, method), hs.mitigate(minimal, method))


@pytest.mark.parametrize("method", ["puppi", "puppi:cms-run3", "puppi:delphes", "puppi-linear"])
def test_puppi_needs_the_number_of_vertices(method):
    events = toy_events(1)
    fields = {name: events.candidates[name] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    with pytest.raises(MissingFieldError, match="n_vertices="):
        hs.mitigate(hs.from_candidates(**fields), method)


def test_truth_never_reaches_a_method():
    """The truth of a crossing is not in what a method is handed, and changing it changes no weight."""
    seen = []

    class Spy:
        def weights(self, events):
            seen.append(events)
            return ak.ones_like(events.candidates.pt)

    events = toy_events(2)
    hs.mitigate(events, Spy())
    assert "truth" not in seen[0].fields
    assert "truth" not in seen[0].array.fields
    with pytest.raises(AttributeError):
        _ = seen[0].truth
    opposite = events.without_truth().with_field(
        "truth", ak.zip({"hard_fraction": 1 - events.truth.hard_fraction}, depth_limit=1)
    )
    for method in ALL:
        assert ak.array_equal(hs.mitigate(events, method), hs.mitigate(opposite, method)), method


def test_unknown_method_lists_those_that_exist():
    with pytest.raises(
        UnknownMethodError, match=r"no method 'pupi' \(did you mean puppi.*\); there are none, .*softkiller"
    ):
        hs.mitigate(toy_events(1), "pupi")
    with pytest.raises(UnknownMethodError, match=r"no method 'xyzzy'; there are none"):
        hs.get_method("xyzzy")
    with pytest.raises(UnknownMethodError, match="give an id"):
        hs.mitigate(toy_events(1), 3)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        (lambda events: ak.ones_like(events.candidates.pt)[:, 1:], "entries for"),
        (lambda events: ak.ones_like(events.candidates.pt)[1:], "has 1 events"),
        (lambda events: 2 * ak.ones_like(events.candidates.pt), r"must lie in \[0, 1\]"),
        (lambda events: np.nan * events.candidates.pt, r"nan .* must lie in \[0, 1\]"),
        (lambda events: ak.mask(events.candidates.pt, events.candidates.pt < 0), "missing entries"),
        (lambda events: None, "lists of numbers"),
        (lambda events: "half", "lists of numbers"),
    ],
)
def test_wrong_weights_of_a_third_party_are_refused(weights, words):
    class ThirdParty:
        def weights(self, events):
            return weights(events)

    with pytest.raises(InvalidEventsError, match=words) as raised:
        hs.mitigate(toy_events(2), ThirdParty())
    assert "method 'ThirdParty'" in str(raised.value)


def test_third_party_methods_come_by_entry_point(monkeypatch):
    point = EntryPoint("halves", "test_third_party:Halves", registry.ENTRY_POINT_GROUP)
    squatter = EntryPoint("puppi", "test_third_party:Halves", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point, squatter])
    catalogue = hs.methods()
    assert catalogue["halves"].place == "test_third_party:Halves"
    assert catalogue["puppi"].place == "hardscatter.pileup.puppi:CMS_PHASE2"


def test_a_broken_third_party_method_is_named_and_left_out_of_all(monkeypatch):
    point = EntryPoint("broken", "no_such_module:Thing", registry.ENTRY_POINT_GROUP)
    monkeypatch.setattr(registry, "entry_points", lambda group: [point])
    assert "broken" in hs.methods()
    assert "broken" not in registry.one_of_each()
    with pytest.raises(UnknownMethodError, match=r"'broken' \(no_such_module:Thing\) cannot be loaded"):
        hs.get_method("broken")


def test_settings_are_frozen_and_closed():
    with pytest.raises(dataclasses.FrozenInstanceError):
        CMS_PHASE2.cone = 0.3
    with pytest.raises(ValidationError):
        SoftKiller(tiles=0.4)
    assert registry.settings_of(CMS_RUN3)["eta_bins"][1]["rms_scale"] == 1.2


def test_perfect_weights_are_the_hard_fraction():
    events = toy_events(2)
    assert ak.array_equal(hs.perfect_weights(events), ak.values_astype(events.truth.hard_fraction, np.float32))
    with pytest.raises(MissingFieldError, match="hard_fraction"):
        hs.perfect_weights(events.without_truth())


def test_chs_keeps_charged_candidates_without_vertex():
    events = hs.from_candidates(
        pt=[[1.0] * 4],
        eta=[[0.0] * 4],
        phi=[[0.0] * 4],
        energy=[[1.0] * 4],
        charge=[[1, 1, -1, 0]],
        vertex=[[0, 2, -1, -1]],
    )
    assert ak.to_list(hs.mitigate(events, "chs")) == [[1, 0, 1, 1]]


def test_chi2_functions_equal_scipy():
    for p in (1e-9, 0.01, 0.3, 0.5, 0.9, 0.999, 1 - 1e-9):
        assert puppi_module._chi2_quantile(p) == pytest.approx(chi2.ppf(p, 1), rel=1e-7)
    for x in (-1.0, 0.0, 1e-6, 1.0, 30.0):
        assert puppi_module._chi2_cdf(x) == pytest.approx(chi2.cdf(x, 1), abs=1e-15)


def test_rapidity_of_massless_and_of_resting_particles():
    pt, eta = np.array([1.0, 5.0, 0.3]), np.array([0.0, -3.0, 4.5])
    assert rapidity(pt, eta, pt * np.cosh(eta)) == pytest.approx(eta)
    # E just below |p| by rounding counts as massless
    assert rapidity(pt, eta, pt * np.cosh(eta) * (1 - 1e-7)) == pytest.approx(eta)
    assert rapidity(np.array([1.0]), np.array([1.0]), np.array([10.0]))[0] == pytest.approx(
        np.arctanh(np.sinh(1.0) / 10.0)
    )


def charged_unassociated(pt, eta, dz):
    return one(pt=pt, eta=eta, charge=1, vertex=-1, dz=dz)


@pytest.mark.parametrize(
    ("pt", "eta", "dz", "kept"),
    [
        (25.0, 0.5, 50.0, True),  # above pt_max_charged whatever dz
        (5.0, 2.6, 2.9, True),  # forward of 2.4 with |dz| < 3 mm
        (5.0, 2.6, 3.1, None),  # too far: weighted like a neutral
        (5.0, 0.5, 0.1, None),  # no dz fallback in the centre
        (5.0, 2.6, np.nan, None),
    ],
)
def test_charged_without_vertex_follow_cmssw(pt, eta, dz, kept):
    kind = CMS_RUN3._kinds(charged_unassociated(pt, eta, dz))[0]
    assert kind == (puppi_module._LEADING if kept else puppi_module._NEUTRAL)


def test_split_vertices():
    split = dataclasses.replace(CMS_RUN3, split_vertices=2)
    for vertex, dz, kind in ((1, 1.0, 1), (2, -1.9, 1), (3, 1.0, 2), (1, 2.1, 2)):
        assert split._kinds(one(charge=1, vertex=vertex, dz=dz))[0] == kind
    assert CMS_RUN3._kinds(one(charge=1, vertex=1, dz=0.0))[0] == 2


def lonely_neutral(pt, eta, pdg_id):
    """A crossing of charged pileup with leading tracks far away from one neutral, which PUPPI alone would drop."""
    rng = np.random.default_rng(3)
    tracks = {"pt": rng.exponential(size=200) + 0.2, "eta": rng.uniform(-2, 2, 200), "phi": rng.uniform(-2, 2, 200)}
    columns = {
        name: [np.append(values, last)] for (name, values), last in zip(tracks.items(), (pt, eta, 3.0), strict=True)
    }
    return hs.from_candidates(
        **columns, energy=[np.append(tracks["pt"], pt) * 10], charge=[[1] * 200 + [0]],
        vertex=[[0] * 20 + [1] * 180 + [-1]], pdg_id=[[211] * 200 + [pdg_id]], n_vertices=[20],
    )  # fmt: skip


def test_protections_of_hard_neutrals_and_photons():
    def weight(method, **neutral):
        return float(hs.mitigate(lonely_neutral(**neutral), method)[0, -1])

    bare = dataclasses.replace(CMS_PHASE2, protect_neutrals=None)
    assert weight(bare, pt=110.0, eta=0.5, pdg_id=130) == 0
    assert weight(CMS_PHASE2, pt=110.0, eta=0.5, pdg_id=130) == pytest.approx(0.5)
    assert weight(CMS_PHASE2, pt=19.0, eta=0.5, pdg_id=130) == 0
    assert weight(CMS_PHASE2, pt=500.0, eta=0.5, pdg_id=130) == 1
    guarded = dataclasses.replace(CMS_PHASE2, protect_photons=(20.0, 2.5))
    assert weight(guarded, pt=21.0, eta=0.5, pdg_id=22) == 1
    assert weight(guarded, pt=21.0, eta=2.6, pdg_id=22) < 0.1
    assert weight(guarded, pt=21.0, eta=0.5, pdg_id=130) < 0.1


def test_puppi_outside_all_bins_gives_nothing():
    narrow = Puppi(eta_bins=(EtaBin(0.0, 1.0, "all", rms_pt_min=0.1, pt_cut=0.0, pt_slope=0.0),))
    assert hs.mitigate(one(eta=2.0), narrow)[0, 0] == 0
    assert hs.mitigate(one(eta=0.0), narrow)[0, 0] == 1  # inside, and no pileup to learn from
    assert hs.mitigate(one(eta=0.0), "puppi")[0, 0] == 1


def test_softkiller_empties_half_the_tiles():
    events = toy_events(2, 4000)
    killer = SoftKiller()
    thresholds = killer.thresholds(events)
    assert (thresholds > 0).all()
    weights = hs.mitigate(events, killer)
    neutral = events.candidates.charge == 0
    assert ak.all(events.candidates.pt[neutral & (weights == 1)] >= thresholds * (1 - 1e-12))
    assert ak.all(events.candidates.pt[neutral & (weights == 0)] < thresholds)


def test_zeroing_drops_soft_neutrals_without_a_track():
    events = hs.from_candidates(
        pt=[[20.0, 5.0, 5.0, 12.0, 5.0]], eta=[[0.0, 0.1, 1.0, 1.0, 4.5]], phi=[[3.1, -3.1, 0.0, 0.0, 0.0]],
        energy=[[99.0] * 5], charge=[[1, 0, 0, 0, 0]], vertex=[[0, -1, -1, -1, -1]],
    )  # fmt: skip
    assert SoftKiller(tile=0.5).thresholds(events)[0] == 0  # most tiles are empty: SoftKiller alone keeps all
    weights = ak.to_list(hs.mitigate(events, SoftKillerZeroing(softkiller=SoftKiller(tile=0.5))))[0]
    # near a track across ±π; alone and soft; alone but hard; where no tracks are
    assert weights == [1, 1, 0, 1, 1]


@pytest.mark.parametrize("settings", [{}, {"leptons_apart": True}, {"cone": 1.9}, {"cone": 4.0}])
def test_puppi_sums_equal_all_pairs(settings):
    """α over all and over leading tracks, by their definition; a wide cone goes once around the cylinder."""
    method = dataclasses.replace(CMS_RUN3, **settings)
    _, (pt, eta, phi, energy, _, _, _, _) = method._columns(toy_events(1, 400))
    kind = method._kinds(toy_events(1, 400))
    y = rapidity(pt, eta, energy)
    d_phi = np.abs(phi[:, None] - phi)
    d_phi2 = np.minimum(d_phi, 2 * np.pi - d_phi) ** 2
    separation2 = (eta[:, None] - eta) ** 2 + d_phi2
    near = ((y[:, None] - y) ** 2 + d_phi2 <= method.cone**2) & (separation2 >= 1e-4)
    asks = kind != puppi_module._SPECTATOR
    for fill, source in ((alphas_of_leading, kind == puppi_module._LEADING), (alphas_of_all, asks)):
        total = np.where(near & source, pt**2 / np.maximum(separation2, 1e-4), 0.0).sum(axis=1)
        alpha = np.zeros(len(pt))
        fill(asks, pt, y, eta, phi, source, method.cone, alpha)
        expected = np.log(np.where(total > 0, total, 1.0))
        assert alpha[asks] == pytest.approx(expected[asks], rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("alpha", [-1.0, 0.0, 1.0, 1.7, 2.0, 600.0])
@pytest.mark.parametrize(("max_distance", "ghost_area"), [(0.25, 0.01), (1.0, 0.1), (4.0, 0.5), (np.inf, 1.0)])
def test_constituent_subtraction_equals_a_walk_through_all_pairs(alpha, max_distance, ghost_area):
    events = toy_events(1, 150)
    pt, eta, phi, charge = (flat(events.candidates[name]) for name in ("pt", "eta", "phi", "charge"))
    neutral = np.flatnonzero(charge == 0)
    density = 3.0  # GeV
    ghosts = Tiles(np.sqrt(ghost_area), 5.0)
    row, column = np.divmod(np.arange(ghosts.n_tiles), ghosts.n_columns)
    ghost_y = (row + 0.5) * 10.0 / ghosts.n_rows - 5.0
    ghost_phi = (column + 0.5) * 2 * np.pi / ghosts.n_columns
    d_phi = np.abs(np.mod(phi[neutral, None], 2 * np.pi) - ghost_phi)
    distance2 = (eta[neutral, None] - ghost_y) ** 2 + np.minimum(d_phi, 2 * np.pi - d_phi) ** 2
    with np.errstate(over="ignore", under="ignore"):
        factor = np.clip(pt[neutral, None] ** alpha, 1e-280, 1e280)
    measure = np.where(distance2 <= max_distance**2, distance2 * factor, np.nan)
    left, ghost_left = pt[neutral].copy(), np.full(ghosts.n_tiles, density * ghosts.area)
    for pair in np.argsort(measure, axis=None)[: np.isfinite(measure).sum()]:
        i, ghost = np.divmod(pair, ghosts.n_tiles)
        taken = min(left[i], ghost_left[ghost])
        left[i] -= taken
        ghost_left[ghost] -= taken
    found = pt[neutral].copy()
    subtraction._pass(
        found, eta[neutral], np.mod(phi[neutral], 2 * np.pi), np.full(ghosts.n_tiles, density * ghosts.area),
        ghosts.n_rows, ghosts.n_columns, 5.0, max_distance, alpha,
    )  # fmt: skip
    assert found == pytest.approx(left, abs=1e-9)
    assert (found < pt[neutral]).any()
