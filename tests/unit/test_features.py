"""What a network sees: aligned, finite, the same with and without truth, and defined where fields are absent."""

import dataclasses

import awkward as ak
import numpy as np
import pytest

import hardscatter as hs
from hardscatter.errors import SettingsError
from hardscatter.events import Events, flat
from hardscatter.pileup.features import (
    DEFAULT_SCHEMA,
    OPTIONAL,
    PIXELS_SCHEMA,
    SURROUNDINGS_SCHEMA,
    Feature,
    FeatureSchema,
    coordinates,
    drop_fields,
    features,
)
from helpers import toy_events


def column(events, name):
    return features(events)[0][:, DEFAULT_SCHEMA.names.index(name)]


def without(events, *fields):
    """The same events as a file without these fields gives them."""
    candidates = events.candidates
    kept = ak.zip({name: candidates[name] for name in candidates.fields if name not in fields}, depth_limit=2)
    array = events.with_field("candidates", kept).array
    return Events(array[[name for name in array.fields if name not in fields]], events.metadata)


def full_events(**settings):
    return toy_events(**settings).with_field("rho", ak.Array([20.0, 31.5, 44.0, 5.0]))


def candidate(**changes):
    given = {"pt": 2.0, "eta": -1.0, "phi": 3.0, "energy": 5.0, "charge": 1, "vertex": 0} | changes
    return hs.from_candidates(**{name: [[value]] for name, value in given.items()})


def test_aligned_with_the_candidates():
    events = full_events()
    matrix, offsets = features(events)
    assert matrix.dtype == np.float32
    assert matrix.shape == (ak.sum(events.n_candidates), len(DEFAULT_SCHEMA))
    np.testing.assert_array_equal(np.diff(offsets), events.n_candidates)
    np.testing.assert_allclose(column(events, "log_pt"), np.log(flat(events.candidates.pt)), rtol=1e-6)
    np.testing.assert_array_equal(column(events, "charge"), flat(events.candidates.charge))
    np.testing.assert_array_equal(matrix[offsets[1] : offsets[2]], features(events[1:2])[0])
    assert np.isfinite(matrix).all()


def test_truth_never_reaches_the_network():
    events = full_events()
    matrix = features(events)[0]
    truth = events.truth
    lies = ak.zip(
        {name: truth[name] for name in truth.fields} | {"hard_fraction": 1 - truth.hard_fraction}, depth_limit=1
    )
    for other in (events.without_truth(), events.with_field("truth", lies)):
        np.testing.assert_array_equal(features(other)[0], matrix)
        np.testing.assert_array_equal(coordinates(other), coordinates(events))


@pytest.mark.parametrize("source", ["hard_fraction", "truth", "truth.hard_fraction", "weights", "phi_of_nothing"])
def test_a_schema_cannot_ask_for_truth(source):
    with pytest.raises(SettingsError, match="nothing that a detector measures"):
        features(full_events(), FeatureSchema((Feature("x", source),)))


def test_stored_weights_are_no_input():
    events = toy_events()
    stored = hs.with_weights(events, "puppi", events.truth.hard_fraction)
    np.testing.assert_array_equal(features(stored)[0], features(events)[0])


def test_phi_is_no_feature():
    events = toy_events()
    turned = ak.with_field(events.candidates, events.candidates.phi * 0.5, "phi")
    np.testing.assert_array_equal(features(events.with_field("candidates", turned))[0], features(events)[0])


@pytest.mark.parametrize("field", OPTIONAL)
def test_an_absent_field_is_zeros_and_what_dropping_it_gives(field):
    events = full_events()
    matrix, offsets = features(events)
    dropped = drop_fields(matrix, offsets, DEFAULT_SCHEMA, np.random.default_rng(1), {field: 1.0}, minimal=0.0)
    np.testing.assert_array_equal(features(without(events, field))[0], dropped)
    flag = DEFAULT_SCHEMA.names.index(f"has_{field}")
    assert not dropped[:, flag].any()
    assert matrix[:, flag].any()


def test_minimal_events_are_what_dropping_all_gives():
    events = full_events()
    matrix, offsets = features(events)
    dropped = drop_fields(matrix, offsets, DEFAULT_SCHEMA, np.random.default_rng(1), 0.0, minimal=1.0)
    np.testing.assert_array_equal(features(without(events, *OPTIONAL))[0], dropped)


def test_fields_are_dropped_by_crossing_and_by_chance():
    events = full_events()
    matrix, offsets = features(events)
    many, ends = np.tile(matrix, (100, 1)), np.concatenate([[0], np.cumsum(np.tile(np.diff(offsets), 100))])
    before = many.copy()
    dropped = drop_fields(many, ends, DEFAULT_SCHEMA, np.random.default_rng(2), 0.25, minimal=0.0)
    np.testing.assert_array_equal(many, before)
    flags = dropped[ends[:-1]][:, DEFAULT_SCHEMA.names.index("has_pdg_id")]
    assert 0.18 < 1 - flags.mean() < 0.32
    always = [i for i, c in enumerate(DEFAULT_SCHEMA.columns) if not c.needs]
    np.testing.assert_array_equal(dropped[:, always], many[:, always])
    again = drop_fields(many, ends, DEFAULT_SCHEMA, np.random.default_rng(2), 0.25, minimal=0.0)
    np.testing.assert_array_equal(again, dropped)
    with pytest.raises(SettingsError, match="charge is no optional field"):
        drop_fields(many, ends, DEFAULT_SCHEMA, np.random.default_rng(2), {"charge": 0.5})


def test_signs_of_impact_parameters_are_kept():
    track = {"dz_error": 0.05, "d0_error": 0.01}
    plus, minus = candidate(d0=0.02, dz=0.3, **track), candidate(d0=-0.02, dz=-0.3, **track)
    for name in ("d0", "dz", "d0_significance", "dz_significance"):
        assert column(plus, name)[0] > 0
        assert column(plus, name)[0] == -column(minus, name)[0]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf, 0.0, -1.0])
def test_no_nan_comes_out(bad):
    """Errors of 0 or below make no significance; values that are not finite make zeros without a flag."""
    events = candidate(d0=0.1, dz=0.1, d0_error=1.0, dz_error=1.0)
    for name in ("d0", "dz", "d0_error", "dz_error", "pt", "energy", "eta"):
        column_ = ak.Array([[bad]])
        changed = events.with_field("candidates", ak.with_field(events.candidates, column_, name))
        assert np.isfinite(features(changed)[0]).all()
    no_error = events.with_field("candidates", ak.with_field(events.candidates, ak.Array([[bad]]), "dz_error"))
    assert column(no_error, "dz_significance")[0] == 0
    assert column(no_error, "has_dz_error")[0] == float(np.isfinite(bad))


def test_vertex_and_class_labels():
    labels = ("is_leading", "is_pileup", "has_no_vertex")
    for vertex, wanted in ((0, (1, 0, 0)), (1, (0, 1, 0)), (57, (0, 1, 0)), (-1, (0, 0, 1))):
        assert tuple(column(candidate(vertex=vertex), name)[0] for name in labels) == wanted
    assert column(candidate(pdg_id=-13), "is_muon")[0] == 1
    assert column(candidate(pdg_id=321), "is_charged_hadron")[0] == 1
    assert column(candidate(), "is_charged_hadron")[0] == 0  # a class is not made up from the charge


def test_empty_events():
    for events in (toy_events()[:0], candidate()[:0]):
        matrix, offsets = features(events)
        assert matrix.shape == (0, len(DEFAULT_SCHEMA))
        np.testing.assert_array_equal(offsets, [0])
        assert coordinates(events).shape == (0, 3)
    hollow = hs.from_candidates(**{name: ak.Array([[], [1.0], []]) for name in ("pt", "eta", "phi", "energy")},
                                charge=ak.Array([[], [0], []]), vertex=ak.Array([[], [-1], []]))  # fmt: skip
    np.testing.assert_array_equal(features(hollow)[1], [0, 0, 1, 1])


def test_hash_tells_schemas_apart():
    schema = FeatureSchema()
    assert schema.hash() == DEFAULT_SCHEMA.hash() == FeatureSchema.from_json(schema.to_json()).hash()
    assert FeatureSchema.from_json(schema.to_json()) == schema
    first = schema.columns[0]
    others = [
        FeatureSchema(schema.columns[::-1]),
        FeatureSchema(schema.columns[1:]),
        FeatureSchema(schema.columns, version=2),
        FeatureSchema((dataclasses.replace(first, scale=2.0), *schema.columns[1:])),
    ]
    assert len({schema.hash(), *(other.hash() for other in others)}) == 5


def test_the_shipped_schema_has_not_changed():
    """Shipped models carry this hash: a change of the columns is a new version and new models."""
    assert (DEFAULT_SCHEMA.version, len(DEFAULT_SCHEMA), DEFAULT_SCHEMA.hash()) == (1, 27, "180691a54216657c")


def only(column, values):
    """The one column of as many candidates with these d0, which may have any value."""
    n = len(values)
    events = hs.from_candidates(**{name: [np.ones(n)] for name in ("pt", "eta", "phi", "energy")},
                                charge=[np.ones(n)], vertex=[np.zeros(n)])  # fmt: skip
    candidates = ak.with_field(events.candidates, ak.Array([values]), "d0")
    return features(events.with_field("candidates", candidates), FeatureSchema((column,)))[0][:, 0]


@pytest.mark.parametrize(("transform", "function"), [("identity", np.positive), ("log", np.log), ("asinh", np.arcsinh)])
def test_transforms_are_those_of_numpy(transform, function):
    sizes = np.concatenate(
        [np.geomspace(1e-300, 1e300, 4001), np.linspace(0.009, 0.011, 500), np.linspace(0.5, 2, 500)]
    )
    values = sizes if transform == "log" else np.concatenate([sizes, -sizes, [0.0]])
    column = only(Feature("x", "d0", transform, unit=0.3, offset=0.25, scale=2.0, limit=1e30), values)
    wanted = np.clip((function(values / 0.3) - 0.25) / 2.0, -1e30, 1e30)
    np.testing.assert_allclose(column, wanted, rtol=1e-6, atol=1e-7)


def test_transforms_at_the_edges():
    values = np.array([np.nan, np.inf, -np.inf, 0.0, -1.0])
    np.testing.assert_array_equal(only(Feature("x", "d0", "log"), values), [0, 0, 0, -10, 0])
    np.testing.assert_array_equal(only(Feature("x", "d0", "above", value=-2.0), values), [0, 0, 0, 1, 1])
    wanted = np.array([0, 0, 0, 0, -np.arcsinh(1.0)], dtype=np.float32)
    np.testing.assert_allclose(only(Feature("x", "d0", "asinh"), values), wanted, rtol=1e-6)
    multiples = np.arange(1.0, 500.0)
    assert only(Feature("x", "d0", "equals", unit=49.0, value=7.0), 49.0 * multiples).nonzero()[0].tolist() == [6]


def test_sums_around_and_in_pixels_in_one_schema():
    events = full_events()
    around, image = SURROUNDINGS_SCHEMA.columns[-3:], PIXELS_SCHEMA.columns[-2:]
    mixed = features(events, FeatureSchema((image[0], DEFAULT_SCHEMA.columns[0], *around, image[1])))[0]
    np.testing.assert_array_equal(mixed[:, [0, 5]], features(events, PIXELS_SCHEMA)[0][:, -2:])
    np.testing.assert_array_equal(mixed[:, 2:5], features(events, SURROUNDINGS_SCHEMA)[0][:, -3:])
    np.testing.assert_array_equal(mixed[:, 1], column(events, "log_pt"))


def test_a_schema_of_which_nothing_is_there():
    matrix, offsets = features(toy_events(n_events=2), FeatureSchema((Feature("rho", "rho"),)))
    assert matrix.shape == (offsets[-1], 1)
    assert not matrix.any()


def test_bad_schemas_are_refused():
    with pytest.raises(ValueError, match="two columns"):
        FeatureSchema((Feature("a", "pt"), Feature("a", "eta")))
    with pytest.raises(ValueError, match="must be above 0"):
        Feature("a", "pt", unit=0.0)
