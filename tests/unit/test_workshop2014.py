"""The crossings, methods and measurement of the 2014 pileup workshop, on particles made by hand."""

from __future__ import annotations

import math

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter import workshop2014
from hardscatter.detector import Fixed
from hardscatter.errors import MissingFieldError, SettingsError, UnknownMethodError, UnreadableFileError
from hardscatter.generate import Collisions
from hardscatter.jets import cluster
from hardscatter.pileup import mitigate
from hardscatter.workshop2014 import benchmark, crossings, jet_level, methods
from hardscatter.workshop2014.crossings import Particles, particle_level
from hardscatter.workshop2014.jet_level import GHOST, LEADING_TRACK, NEUTRAL, PILEUP_TRACK, JetContents
from hardscatter.workshop2014.puppi import WorkshopPuppi
from hardscatter.workshop2014.total import WorkshopTotal


def particles(*collisions):
    """Collisions of particles (pt, y, phi, charge)."""
    rows = [particle for collision in collisions for particle in collision]
    columns = np.array(rows, dtype=np.float64).reshape(-1, 4).T
    offsets = np.concatenate(([0], np.cumsum([len(collision) for collision in collisions]))).astype(np.int64)
    return Particles(offsets, *(column.astype(np.float32) for column in columns[:3]), columns[3].astype(np.int8))


def random_particles(n_collisions, n_each, seed, scale=0.7):
    rng = np.random.default_rng(seed)
    n = n_collisions * n_each
    return Particles(
        np.arange(n_collisions + 1, dtype=np.int64) * n_each,
        (0.05 + scale * rng.exponential(size=n)).astype(np.float32),
        rng.uniform(-4, 4, n).astype(np.float32),
        rng.uniform(-3.1, 3.1, n).astype(np.float32),
        rng.choice(np.array([-1, 0, 1], np.int8), n),
    )


def two_jets(seed=3):
    """A hard collision with jets of about 60 GeV at (0.5, 0.4) and (−0.8, −2.7)."""
    rng = np.random.default_rng(seed)
    rows = [
        (pt, y + 0.06 * rng.normal(), phi + 0.06 * rng.normal(), rng.integers(-1, 2))
        for y, phi in ((0.5, 0.4), (-0.8, -2.7))
        for pt in 0.5 + 7.5 * rng.exponential(size=8)
    ]
    rows[0] = (40.0, 0.5, 0.4, 1)
    rows[8] = (40.0, -0.8, -2.7, 0)
    return particles(rows)


def generated(pid, pt, eta, mass):
    """One generated collision."""
    n = len(pid)
    zeros = np.zeros(n, np.float32)
    return Collisions(
        offsets=np.array([0, n]),
        pid=np.array(pid, np.int32),
        pt=np.array(pt, np.float32),
        eta=np.array(eta, np.float32),
        phi=zeros,
        mass=np.array(mass, np.float32),
        x=zeros,
        y=zeros,
        z=zeros,
        t=zeros,
        ancestry=np.zeros(n, np.uint8),
        weight=np.ones(1),
        truth_offsets=np.zeros(2, np.int64),
        truth_role=np.zeros(0, np.int8),
        truth_pid=np.zeros(0, np.int32),
        **{f"truth_{name}": np.zeros(0, np.float32) for name in ("pt", "eta", "phi", "mass")},
    )


# Crossings


def test_generated_as_the_workshop_did():
    hard = "\n".join(crossings.hard_generation("dijets050", 1).settings()[0])
    assert "PhaseSpace:pTHatMin = 40" in hard
    assert "PartonLevel:MPI = off" in hard
    pileup = crossings.minbias_generation(1)
    assert "SoftQCD:all = on" in pileup.settings()[0]  # elastic and diffractive ones too
    for lines in (crossings.hard_generation("dijets050", 1).settings()[0], pileup.settings()[0]):
        assert "Tune:pp = 5" in lines  # 4C
        assert lines.index("ParticleDecays:limitTau0 = off") > lines.index("ParticleDecays:limitTau0 = on")
        assert "521:mayDecay = off" in lines
        assert "Beams:eCM = 14000" in lines


def test_visible_particles():
    proton, neutrino, photon, b_meson, forward = 2212, -14, 22, -521, 22
    collision = generated(
        [proton, neutrino, photon, b_meson, forward], [0.5, 9.0, 1.0, 5.0, 1.0], [3.0, 0.0, -1.0, 0.1, 4.1],
        [0.938, 0.0, 0.0, 5.279, 0.0],
    )  # fmt: skip
    seen = crossings.visible(collision)
    assert seen.charge.tolist() == [1, 0, -1]
    assert np.allclose(seen.pt, [0.5, 1.0, 5.0])
    assert seen.y[0] == pytest.approx(math.asinh(0.5 * math.sinh(3.0) / math.hypot(0.5, 0.938)))
    assert seen.y[1] == pytest.approx(-1.0)  # massless: the pseudorapidity
    assert crossings.visible(seen) is seen


def test_crossings_are_the_workshops():
    hard, pool = random_particles(5, 12, 1), random_particles(30, 20, 2)
    alone, events = particle_level(hard, pool, "fixed:17", seed=4)
    c = events.candidates
    assert np.all(ak.to_numpy(events.n_candidates) == 12 + 17 * 20)
    assert ak.to_list(events.n_vertices) == [18] * 5
    assert ak.to_list(alone.n_vertices) == [1] * 5
    assert ak.max(abs(c.eta)) < 4
    energy = ak.to_numpy(ak.flatten(c.energy))
    assert np.allclose(energy, ak.to_numpy(ak.flatten(c.pt * np.cosh(c.eta))), rtol=1e-6)  # massless
    assert ak.all(c.vertex[c.charge == 0] == -1)
    assert ak.all(ak.num(c.charge) == ak.num(c.vertex))
    charged = c.vertex[c.charge != 0]
    assert ak.min(charged) == 0
    assert ak.max(charged) == 17
    hard_ones = events.truth.hard_fraction == 1
    assert ak.all((events.truth.hard_fraction == 0) | hard_ones)
    assert ak.all(((c.vertex == 0) == hard_ones)[c.charge != 0])  # each charged one knows where it is from
    for name in ("pt", "eta", "phi", "charge"):
        assert ak.to_list(c[name][hard_ones]) == ak.to_list(alone.candidates[name])
    assert ak.all(c.pt[:, :-1] >= c.pt[:, 1:])  # hardest first: the order tells nothing
    assert not set(c.fields) & {"d0", "dz", "pdg_id"}


def test_pileup_is_turned_and_mirrored():
    pool = particles([(1.0, 1.5, 3.0, 1)])
    _, events = particle_level(particles([]), pool, Fixed(200), seed=1)
    eta, phi = (ak.to_numpy(events.candidates[name][0]) for name in ("eta", "phi"))
    assert set(np.abs(eta)) == {1.5}
    assert 0.35 < np.mean(eta > 0) < 0.65
    assert len(np.unique(phi)) == 200
    assert phi.min() >= -math.pi
    assert phi.max() < math.pi
    assert phi.min() < -2.5
    assert phi.max() > 2.5


def test_a_crossing_depends_on_its_number_alone():
    hard, pool = random_particles(6, 5, 1), random_particles(40, 5, 2)
    _, together = particle_level(hard, pool, "flat:3-30", seed=9)
    _, one = particle_level(hard.select(slice(4, 5)), pool, "flat:3-30", seed=9, first=4)
    assert ak.to_list(one.candidates[0]) == ak.to_list(together.candidates[4])
    none, _ = particle_level(hard, pool, "flat:3-30", seed=9, pairs=False)
    assert none is None


def test_crossings_without_particles():
    alone, events = particle_level(particles([], [(3.0, 0.0, 0.0, 0)]), None, Fixed(0), seed=1)
    assert ak.to_list(events.n_candidates) == [0, 1]
    assert ak.to_list(alone.candidates.pt) == [[], [3.0]]
    observed = benchmark.observe(alone, events, workshop2014.METHODS)
    assert len(observed.crossing) == 0
    with pytest.raises(SettingsError, match="the pool holds 0"):
        particle_level(particles([]), None, Fixed(1), seed=1)
    with pytest.raises(SettingsError, match="the pool holds 2"):
        particle_level(particles([]), random_particles(2, 3, 1), Fixed(3, replacement=False), seed=1)


def test_without_replacement_no_collision_comes_twice():
    pool = particles(*([(1.0 + k, 0.0, 0.0, 0)] for k in range(20)))
    _, events = particle_level(particles([]), pool, Fixed(20, replacement=False), seed=5)
    assert sorted(ak.to_list(events.candidates.pt[0])) == [1.0 + k for k in range(20)]


def test_hard_collisions_need_a_central_jet():
    chosen = particles(
        [(60.0, 2.4, 0.0, 0)], [(60.0, 2.6, 0.0, 0)], [(30.0, 0.0, 0.0, 0), (31.0, 0.1, 0.1, 1)], [], [(49.0, 0, 0, 0)]
    )
    assert (crossings._leading_pt(chosen) > crossings.SAMPLES["dijets050"]).tolist() == [
        True,
        False,
        True,
        False,
        False,
    ]


def test_what_does_not_exist_is_refused():
    with pytest.raises(SettingsError, match="take one of dijets020"):
        workshop2014.WorkshopStream(["dijets777"])
    with pytest.raises(SettingsError, match="needs a sample"):
        workshop2014.WorkshopStream([])
    with pytest.raises(UnknownMethodError, match="no method 'sk5'"):
        workshop2014.run(["sk5"])
    with pytest.raises(SettingsError, match="both be called 'puppi'"):
        workshop2014.run(["puppi", "puppi"])
    with pytest.raises(SettingsError, match="n_minbias"):
        workshop2014.run(n_minbias=0)


# PUPPI of 2014


def puppi_events(candidates, n_vertices=1):
    """One crossing of (pt, eta, phi, charge, vertex)."""
    pt, eta, phi, charge, vertex = ([list(column)] for column in zip(*candidates, strict=True))
    energy = [[p * math.cosh(e) for p, e in zip(pt[0], eta[0], strict=True)]]
    return hs.from_candidates(
        pt=pt, eta=eta, phi=phi, energy=energy, charge=charge, vertex=vertex, n_vertices=[n_vertices]
    )


def test_puppi_of_2014_by_hand():
    events = puppi_events([
        (10.0, 0.0, 0.0, 1, 0),  # the track that all shapes are made of
        (5.0, 0.1, 0.0, 0, -1),  # ΔR 0.1
        (5.0, 0.01, 0.0, 0, -1),  # ΔR below the floor of 0.05
        (5.0, 0.31, 0.0, 0, -1),  # too far
        (1.0, 0.0, 0.10, 1, 1),  # pileup at 0.10, 0.15 and 0.25
        (1.0, 0.0, 0.15, -1, 2),
        (1.0, 0.0, 0.25, 1, 3),
        (0.4, 0.0, 0.05, 1, 4),  # too soft to count
        (0.05, 0.0, 0.2, 1, 0),  # too soft to be looked at
    ])  # fmt: skip
    weights = ak.to_list(mitigate(events, WorkshopPuppi()))[0]
    # sorted: ln(10/0.25), ln(10/0.15), ln(10/0.10); place int(1.5 + 0.5) = 2
    alphas = [math.log(10 / r) for r in (0.25, 0.15, 0.10)]
    width = math.sqrt(sum((a - alphas[2]) ** 2 for a in alphas) / 3)
    near = math.erf((math.log(10 / 0.05) - alphas[2]) / width / math.sqrt(2))
    assert weights[0] == 1.0
    assert weights[1] == 0.0  # at the median
    assert weights[2] == pytest.approx(near, rel=1e-6)
    assert weights[3:] == [0.0] * 6


def test_puppi_of_2014_cuts_more_with_more_pileup():
    candidates = [(10.0, 0.0, 0.0, 1, 0), (1.2, 0.05, 0.0, 0, -1), (1.0, 0.2, 0.0, 1, 1)]
    assert ak.to_list(mitigate(puppi_events(candidates, n_vertices=31), WorkshopPuppi()))[0][1] == 1.0
    assert ak.to_list(mitigate(puppi_events(candidates, n_vertices=141), WorkshopPuppi()))[0][1] == 0.0


def test_puppi_of_2014_needs_the_number_of_vertices():
    array = puppi_events([(1.0, 0.0, 0.0, 0, -1)]).array
    with pytest.raises(MissingFieldError, match="n_vertices"):
        mitigate(hs.Events(array[["candidates"]]), WorkshopPuppi())


# Methods that act on jets


def jet_of(constituents, rho=0.0, sigma=0.0):
    """A jet of (pt, y, phi, kind)."""
    columns = np.array(constituents, dtype=np.float64).T
    kind = columns[3].astype(np.int8)
    vectors = jet_level.four_momenta(np.where(np.isin(kind, (NEUTRAL, LEADING_TRACK)), columns[0], 0.0), *columns[1:3])
    return JetContents(
        momentum={name: np.array([values.sum()]) for name, values in vectors.items()},
        rho=np.array([rho]),
        sigma=np.array([sigma]),
        offsets=np.array([0, len(kind)]),
        pt=columns[0],
        y=columns[1],
        phi=columns[2],
        kind=kind,
    )


def pt_of(momenta):
    return math.hypot(momenta["px"][0], momenta["py"][0])


GHOSTS = [(0.0, 0.1 * i, 0.1 * j, GHOST) for i in range(-2, 3) for j in range(-2, 3)]


def test_area_is_taken_off_as_a_vector():
    jet = jet_of([(30.0, 0.0, 0.0, LEADING_TRACK), (20.0, 0.1, 0.1, NEUTRAL), *GHOSTS], rho=10.0)
    left = jet_level.AreaSubtraction().subtracted(jet)
    density = 10.0 * float(jet_level.density_shape(jet_level._rapidity(jet.momentum))[0])
    area_x = jet_level.GHOST_AREA * sum(math.cos(phi) for _, _, phi, _ in GHOSTS)
    area_z = jet_level.GHOST_AREA * sum(math.sinh(y) for _, y, _, _ in GHOSTS)
    assert left["px"][0] == pytest.approx(jet.momentum["px"][0] - density * area_x)
    assert left["pz"][0] == pytest.approx(jet.momentum["pz"][0] - density * area_z)


def test_area_subtraction_leaves_nothing_and_no_negative_mass():
    gone = jet_level.AreaSubtraction().subtracted(jet_of([(2.0, 0.0, 0.0, NEUTRAL), *GHOSTS], rho=20.0))
    assert all(values[0] == 0 for values in gone.values())
    light = jet_level.AreaSubtraction().subtracted(jet_of([(20.0, 0.0, 0.0, NEUTRAL), *GHOSTS], rho=20.0))
    mass2 = light["E"] ** 2 - light["px"] ** 2 - light["py"] ** 2 - light["pz"] ** 2
    assert pt_of(light) > 10
    assert abs(mass2[0]) < 1e-9


def test_constituents_give_to_the_nearest_ghost_first():
    ghost_pt = 10.0 * float(jet_level.density_shape(np.zeros(1))[0]) * jet_level.GHOST_AREA
    jet = jet_of(
        [(0.5 * ghost_pt, 0.01, 0.0, NEUTRAL), (10.0, 0.1, 0.0, LEADING_TRACK), (3.0, 0.0, 0.1, PILEUP_TRACK),
         (0.0, 0.0, 0.0, GHOST)], rho=10.0
    )  # fmt: skip
    left = jet_level.JetConstituentSubtraction().subtracted(jet)
    assert pt_of(left) == pytest.approx(10.0 - 0.5 * ghost_pt)  # the near one is used up, the rest is taken further on
    assert left["pz"][0] == pytest.approx((10.0 - 0.5 * ghost_pt) * math.sinh(0.1))


@pytest.mark.parametrize(
    ("neutral", "leading", "pileup", "scale"),
    [
        (10.0, 5.0, 4.0, 1 - (1 / 0.612 - 1) * 0.4),
        (1.0, 5.0, 4.0, 5.0 / 9.0),  # more charged than pileup ever is: by tracks
        (10.0, 0.0, 4.0, 0.0),  # no leading track
        (10.0, 5.0, 0.0, 1.0),
    ],
)
def test_cleansing_scales_neutrals(neutral, leading, pileup, scale):
    parts = [(neutral, 0.0, 0.0, NEUTRAL), (leading, 0.0, 0.0, LEADING_TRACK), (pileup, 0.0, 0.0, PILEUP_TRACK)]
    left = jet_level.LinearCleansing().subtracted(jet_of([part for part in parts if part[0] > 0]))
    assert pt_of(left) == pytest.approx(leading + scale * neutral)


def test_cleansing_looks_at_each_subjet():
    hard = [(10.0, 0.0, 0.0, NEUTRAL), (10.0, 0.0, 0.0, LEADING_TRACK)]
    soft = [(5.0, 0.35, 0.0, NEUTRAL), (8.0, 0.35, 0.0, PILEUP_TRACK)]
    assert pt_of(jet_level.LinearCleansing().subtracted(jet_of([*hard, *soft]))) == pytest.approx(20.0)


def test_trimming_keeps_what_stands_out():
    here = [(0.0, y, phi, GHOST) for _, y, phi, _ in GHOSTS if abs(y) < 0.15 and abs(phi) < 0.15]
    there = [(0.0, y + 0.6, phi, GHOST) for _, y, phi, _ in here]
    jet = [(30.0, 0.0, 0.0, LEADING_TRACK), *here, (1.0, 0.6, 0.0, NEUTRAL), *there]
    kept = jet_level.AreaTrimming().subtracted(jet_of(jet, rho=5.0, sigma=3.0))
    area = jet_level.GHOST_AREA * sum(math.cos(phi) for _, _, phi, _ in here)
    assert pt_of(kept) == pytest.approx(30.0 - 5.0 * 0.9084412 * area, rel=1e-3)
    everything = jet_level.AreaTrimming().subtracted(jet_of(jet, rho=0.0, sigma=0.0))
    assert pt_of(everything) == pytest.approx(31.0)


def test_contents_of_a_jet():
    alone, events = particle_level(two_jets(), random_particles(40, 30, 6), Fixed(40), seed=2)
    hard = benchmark._placed(cluster(alone, radius=0.4, min_pt=20.0))
    jets, owner = jet_level.contents(events, hard)
    assert owner.tolist() == [0, 1]
    chs = cluster(events, mitigate(events, "chs"), radius=0.4, min_pt=1.0)
    pt = np.hypot(jets.momentum["px"], jets.momentum["py"])
    for value in pt:  # charged pileup is there, but changes nothing
        assert np.min(np.abs(ak.to_numpy(chs.pt[0]) - value)) < 1e-6
    assert {NEUTRAL, LEADING_TRACK, PILEUP_TRACK, GHOST} <= set(jets.kind.tolist())
    areas = np.bincount(jets.jet[jets.kind == GHOST]) * jet_level.GHOST_AREA
    assert np.all(np.abs(areas / (math.pi * 0.16) - 1) < 0.3)
    weighted = np.bincount(jets.jet, np.where(jets.kind == PILEUP_TRACK, 0.0, jets.pt) * np.cos(jets.phi))
    assert np.allclose(weighted, jets.momentum["px"])


def test_without_pileup_every_method_keeps_the_jets():
    hard = Particles.concatenate([two_jets(seed) for seed in range(4)])
    alone, events = particle_level(hard, None, Fixed(0), seed=2)
    every = {name: method for name, method in workshop2014.METHODS.items() if name not in ("clns", "atrim15")}
    observed = benchmark.observe(alone, events, every)
    assert len(observed.crossing) == 8
    for name, values in observed.subtracted.items():
        assert np.allclose(values["pt"], observed.hard["pt"], rtol=0.03), name


# The measurement


class Spy:
    """A method that remembers what it was shown."""

    def __init__(self):
        self.fields = []

    def weights(self, events):
        self.fields += events.fields
        return ak.values_astype(ak.ones_like(events.candidates.pt), np.float32)


def test_total_scales_neutrals_and_leaves_tracks_to_their_vertex():
    ones = np.full((2, 3), 2.0)
    events = hs.from_candidates(
        pt=ones, eta=ones / 4, phi=[[0.1, 0.2, 0.3]] * 2, energy=ones * np.cosh(0.5), charge=[[1, -1, 0]] * 2,
        vertex=[[0, 3, -1]] * 2, n_vertices=[31, 31],
    )  # fmt: skip
    plain, scaled = (ak.to_numpy(mitigate(events, WorkshopTotal(scale=scale))) for scale in (1.0, 1.5))
    assert plain[:, :2].tolist() == scaled[:, :2].tolist() == [[1.0, 0.0]] * 2
    assert (plain[:, 2] > 0).all()
    np.testing.assert_allclose(scaled[:, 2], np.minimum(1.5 * plain[:, 2], 1.0), rtol=1e-6)
    assert (ak.to_numpy(mitigate(events, WorkshopTotal(scale=1e6))) <= 1).all()


def test_a_model_that_is_not_there_is_found_before_any_work(monkeypatch):
    monkeypatch.setitem(methods.METHODS, "workshop:total", WorkshopTotal(model="no-such-model"))
    with pytest.raises(UnreadableFileError, match="no-such-model"):
        methods.chosen(["unsub", "workshop:total"])


def test_no_truth_reaches_a_method():
    spy = Spy()
    alone, events = particle_level(two_jets(), random_particles(5, 30, 6), Fixed(5), seed=2)
    lied = events.with_field("truth", ak.zip({"hard_fraction": 1 - events.truth.hard_fraction}, depth_limit=1))
    first = benchmark.observe(alone, events, {**workshop2014.METHODS, "spy": spy})
    second = benchmark.observe(alone, lied, {**workshop2014.METHODS, "spy": spy})
    assert "candidates" in spy.fields
    assert "truth" not in spy.fields
    for name, values in first.subtracted.items():
        assert np.array_equal(values["pt"], second.subtracted[name]["pt"], equal_nan=True)


def test_two_hardest_central_jets_count():
    alone, events = particle_level(
        particles(
            [(50.0, 0.0, 0.0, 0), (40.0, 3.0, 2.0, 0), (30.0, 1.0, -2.0, 0)],  # the second is too far forward
            [(50.0, 0.0, 0.0, 0), (19.0, 1.0, 2.0, 0)],  # the second too soft
        ),
        None, Fixed(0), seed=1,
    )  # fmt: skip
    observed = benchmark.observe(alone, events, {"unsub": workshop2014.METHODS["unsub"]})
    assert observed.crossing.tolist() == [0, 1]
    assert np.allclose(observed.hard["pt"], 50.0)


def test_moments():
    rng = np.random.default_rng(1)
    event = np.repeat(np.arange(500), 2)
    values = 3.0 + 2.0 * rng.normal(size=1000)
    mean, spread = benchmark.moments(np.append(values, np.nan), np.append(event, 7), 500, seed=1)
    assert mean.value == pytest.approx(values.mean())
    assert spread.value == pytest.approx(values.std())
    assert mean.error == pytest.approx(2.0 / math.sqrt(1000), rel=0.2)
    assert spread.error == pytest.approx(2.0 / math.sqrt(2000), rel=0.25)
    none, _ = benchmark.moments(np.full(2, np.nan), np.array([0, 1]), 2, seed=1)
    assert math.isnan(none.value)


def test_agreement():
    def compared(shift, dispersion):
        at = {"pt": benchmark.Estimate(shift, 0.1, 0.0, 0.0)}
        wide = {"pt": benchmark.Estimate(dispersion, 0.1, 0.0, 0.0)}
        mass = {"mass": benchmark.Estimate(8.32, 0.1, 0.0, 0.0)}
        row = benchmark.Row("dijets050", 140, "unsub", 9, 9, 9, at | mass, wide | mass)
        ours = benchmark.Row("dijets050", 140, "puppi", 9, 9, 9, at | mass, wide | mass)  # of CMS: not theirs
        (pt, _) = workshop2014.compare(workshop2014.Result((row, ours), {}, {}))
        return pt

    assert compared(24.8, 7.5).agrees
    assert compared(24.8, 7.5).difference == pytest.approx(0.4)
    assert compared(24.8, 7.5).ratio == pytest.approx(7.5 / 7.07)
    assert compared(24.8, 7.5).pulls == pytest.approx((4.0, 4.3))
    assert not compared(25.0, 7.07).agrees
    assert not compared(24.4, 6.2).agrees


def test_names():
    named = methods.chosen(["unsub", "puppi"])
    assert named["unsub"] is workshop2014.METHODS["unsub"]
    assert type(named["puppi"]).__name__ == "Puppi"
    assert list(methods.chosen([WorkshopPuppi(), jet_level.AreaSubtraction()])) == ["WorkshopPuppi", "AreaSubtraction"]
