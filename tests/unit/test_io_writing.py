"""Written files come whole or not at all, and come back as they were."""

from __future__ import annotations

import re
import resource

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest
import uproot

import hardscatter as hs
import hardscatter.io as io
from hardscatter.errors import UnwritableFileError
from hardscatter.io import writing

SUFFIXES = [".parquet", ".root"]


def make(n_events=5, n_candidates=20, seed=1, **more):
    rng = np.random.default_rng(seed)
    counts = rng.integers(0, 2 * n_candidates, n_events)
    size = int(counts.sum())

    def column(values, dtype=np.float32):
        return ak.unflatten(np.asarray(values, dtype=dtype), counts)

    charge = rng.integers(-1, 2, size)
    pt = rng.exponential(2.0, size) + 0.1
    return hs.from_candidates(
        pt=column(pt), eta=column(rng.normal(0, 2, size)), phi=column(rng.uniform(-3, 3, size)),
        energy=column(pt * 5), charge=column(charge, np.int8), vertex=column(np.where(charge, 0, -1), np.int32),
        dz=column(np.where(charge != 0, rng.normal(0, 1, size), np.nan)), **more,
    )  # fmt: skip


def rich():
    """Events with every kind of field."""
    base = make()
    ones = ak.ones_like(base.candidates.pt)
    events = make(
        truth={
            "hard_fraction": ones * 0.5,
            "jets": ak.Array([[{"pt": 30.0, "eta": 0, "phi": 1}], [], [{"pt": 5.0, "eta": 1, "phi": 2}], [], []]),
            "met": {"pt": np.arange(5.0), "phi": np.zeros(5)},
            "tagged": np.array([True, False, True, True, False]),
        },
        weights={"puppi:cms-phase2": ones * 0.25, "puppi/cms phase2": ones * 0.75, "total": ones},
        n_vertices=[3, 4, 5, 6, 7], rho=np.arange(5.0), run=[1] * 5, lumi=[2] * 5, event=[2**40] * 5,
        process=["ttbar", "Z′ → tt̄", "ttbar", "", "vbf"], pileup=[140.0] * 5,
        vertices=ak.zip({"z": ak.Array([[0.5], [1.0, -3.0], [], [1.0], [2.0]])}),
        metadata={"seed": 3, "nested": {"a": [1, 2.5, None, "x"]}, "weights": {"total": {"k": 20}}},
    )  # fmt: skip
    return events.with_field("numbers", ak.Array([[1], [], [2, 3], [], []]))


def assert_same(found, expected):
    assert found.fields == expected.fields
    assert found.array.type.is_equal_to(expected.array.type)
    assert ak.array_equal(found.array, expected.array, equal_nan=True)
    assert found.metadata == expected.metadata


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_every_kind_of_field_comes_back(suffix, tmp_path):
    path = tmp_path / f"events{suffix}"
    io.write(path, rich())
    assert_same(io.read(path), rich())
    assert_same(io.read(path, (1, 3)), hs.Events(ak.to_packed(rich().array[1:3]), rich().metadata))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_equal_the_whole(suffix, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PIECE", 30)
    path = tmp_path / f"events{suffix}"
    with io.Writer(path) as writer:
        for start in range(0, 5, 2):
            writer.write(rich()[start : start + 2])
        writer.write(rich()[:0])
    assert_same(io.read(path), rich())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_zero_events_keep_their_fields(suffix, tmp_path):
    path = tmp_path / f"events{suffix}"
    io.write(path, rich()[:0])
    assert_same(io.read(path), rich()[:0])
    assert list(io.iterate(path)) == []
    assert io.count(path) == 0


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_nothing_written_is_a_file_of_zero_events(suffix, tmp_path):
    path = tmp_path / f"events{suffix}"
    with io.Writer(path):
        pass
    assert len(io.read(path)) == 0
    assert io.read(path).candidates.fields == ["pt", "eta", "phi", "energy", "charge", "vertex"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_events_without_any_candidate(suffix, tmp_path):
    events = hs.from_candidates(**{name: [[], []] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")})
    io.write(tmp_path / f"events{suffix}", events)
    assert_same(io.read(tmp_path / f"events{suffix}"), events)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_empty_first_event_does_not_change_the_types(suffix, tmp_path):
    events = make(3)
    emptied = ak.to_packed(events.array[["candidates"]])
    first = hs.Events(ak.Array({"candidates": emptied.candidates[emptied.candidates.pt < 0]})[:1])
    path = tmp_path / f"events{suffix}"
    with io.Writer(path) as writer:
        writer.write(first)
        writer.write(events)
    assert io.read(path).array.type.content.is_equal_to(events.array.type.content)


def test_root_branches_are_flat_with_one_counter_a_collection(tmp_path):
    path = tmp_path / "events.root"
    io.write(path, rich())
    with uproot.open(path) as file:
        tree = file["Events"]
        names = tree.keys()
        assert all(re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name) for name in names)
        assert {name for name in names if name.startswith("n")} == {
            "nPFCands", "nGenJet", "nRecoVertex", "nnumbers", "numbers",
        }  # fmt: skip
        assert {"PFCands_pt", "PFCands_mass", "PFCands_dz", "PFCands_weight_puppi_cms_phase2", "PFCands_weight_total",
                "PFCands_weight_puppi_cms_phase2_2", "PFCands_truth_hard_fraction", "GenJet_pt", "GenMET_pt", "PV_npvs",
                "run", "luminosityBlock", "event", "process"} <= set(names)  # fmt: skip
        assert tree["nPFCands"].array().tolist() == rich().n_candidates.tolist()
        candidates = rich().candidates
        squared = candidates.energy**2 - (candidates.pt * np.cosh(candidates.eta)) ** 2
        mass = np.sqrt(ak.where(squared > 0, squared, 0))
        assert ak.all(ak.isclose(tree["PFCands_mass"].array(), mass, rtol=1e-3, atol=1e-3))
        assert ak.min(mass) == 0  # energies below the momentum are there


def test_coffea_gets_run_and_event_where_the_events_have_none(tmp_path):
    path = tmp_path / "events.root"
    io.write(path, make())
    with uproot.open(path) as file:
        assert file["Events"]["event"].array().tolist() == [0, 1, 2, 3, 4]
        assert file["Events"]["run"].array().tolist() == [1] * 5
    assert io.read(path).fields == ["candidates"]


def test_parquet_opens_as_plain_nested_columns(tmp_path):
    path = tmp_path / "events.parquet"
    io.write(path, rich())
    table = pq.read_table(path)
    assert table["candidates"][0].as_py()[0].keys() == {"pt", "eta", "phi", "energy", "charge", "vertex", "dz"}
    assert table["process"].to_pylist()[1] == "Z′ → tt̄"


def test_large_batches_are_cut_so_that_readers_can_stream(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PIECE", 50)
    events = make(40)
    io.write(tmp_path / "events.parquet", events)
    io.write(tmp_path / "events.root", events)
    assert pq.ParquetFile(tmp_path / "events.parquet").metadata.num_row_groups > 10
    with uproot.open(tmp_path / "events.root") as file:
        assert file["Events"]["PFCands_pt"].num_baskets > 10
    for suffix in SUFFIXES:
        assert_same(io.read(tmp_path / f"events{suffix}"), events)


def test_a_field_that_does_not_fit_flat_branches(tmp_path):
    deep = make().with_field("deep", ak.Array([[[1], [2, 3]], [], [], [], []]))
    with pytest.raises(UnwritableFileError, match=r"field 'deep' .*write Parquet instead"):
        io.write(tmp_path / "events.root", deep)
    assert list(tmp_path.iterdir()) == []
    io.write(tmp_path / "events.parquet", deep)
    assert_same(io.read(tmp_path / "events.parquet"), deep)


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_metadata_that_cannot_be_stored(suffix, tmp_path):
    events = hs.Events(make().array, {"bad": object()})
    with pytest.raises(UnwritableFileError, match=r"metadata of the events cannot be stored \(a object\)"):
        io.write(tmp_path / f"events{suffix}", events)
    assert list(tmp_path.iterdir()) == []
    numbers = hs.Events(make().array, {"a": np.float64(1.5), "b": np.arange(3)})
    io.write(tmp_path / f"events{suffix}", numbers)
    assert io.read(tmp_path / f"events{suffix}").metadata == {"a": 1.5, "b": [0, 1, 2]}


@pytest.mark.parametrize("name", ["events.h5", "events", "events.root.gz"])
def test_unknown_suffix(name, tmp_path):
    with pytest.raises(UnwritableFileError, match=r"name it \.parquet \(native\) or \.root"):
        io.write(tmp_path / name, make())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_an_existing_file_is_replaced_only_on_request(suffix, tmp_path):
    path = tmp_path / f"events{suffix}"
    io.write(path, make(2))
    before = path.read_bytes()
    with pytest.raises(UnwritableFileError, match="already there"):
        io.Writer(path)
    assert path.read_bytes() == before
    io.write(path, make(3), overwrite=True)
    assert io.count(path) == 3


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_file_can_be_replaced_by_what_is_read_from_it(suffix, tmp_path):
    path = tmp_path / f"events{suffix}"
    io.write(path, make(6))
    with io.Writer(path, overwrite=True) as writer:
        for part in io.iterate(path, 2):
            writer.write(hs.with_weights(part, "all", ak.ones_like(part.candidates.pt)))
    assert "all" in io.read(path).weights.fields
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize("batches", [0, 1])
def test_after_an_exception_nothing_is_left_and_the_old_file_stays(suffix, batches, tmp_path):
    path = tmp_path / f"events{suffix}"
    io.write(path, make(2))
    before = path.read_bytes()

    def interrupted():
        with io.Writer(path, overwrite=True) as writer:
            for _ in range(batches):
                writer.write(make())
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_full_device(suffix, tmp_path):
    """A limit on the size of files stands for a full device: the system refuses the write with an OSError."""
    path = tmp_path / f"events{suffix}"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(UnwritableFileError, match=r"cannot be written \(.*\): make room") as error:
            io.write(path, make(500, 100))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert "\n" not in str(error.value)
    assert list(tmp_path.iterdir()) == []


def test_folders_that_cannot_be_written_to(tmp_path, monkeypatch):
    with pytest.raises(UnwritableFileError, match="there is no folder"):
        io.write(tmp_path / "missing" / "events.root", make())
    (tmp_path / "folder.root").mkdir()
    with pytest.raises(UnwritableFileError, match="is a folder"):
        io.write(tmp_path / "folder.root", make(), overwrite=True)
    monkeypatch.setattr(writing.os, "access", lambda *_: False)
    with pytest.raises(UnwritableFileError, match="not yours to write in"):
        io.write(tmp_path / "events.root", make())


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_batches_of_different_kinds(suffix, tmp_path):
    def write_both(first, second):
        with io.Writer(tmp_path / f"events{suffix}") as writer:
            writer.write(first)
            writer.write(second)

    compulsory = make().candidates[["pt", "eta", "phi", "energy", "charge", "vertex"]]
    for other in (make(rho=np.zeros(5)), hs.Events(ak.Array({"candidates": compulsory}))):
        with pytest.raises(UnwritableFileError, match="events of one kind"):
            write_both(make(), other)
        with pytest.raises(UnwritableFileError, match="events of one kind"):
            write_both(other, make())
    assert list(tmp_path.iterdir()) == []


def fail_half_way(output):
    with writing.aside(output) as place:
        place.mkdir()
        (place / "half").touch()
        raise ZeroDivisionError


def test_a_folder_aside_takes_the_place_of_one_that_is_there_whole_or_not_at_all(tmp_path):
    output = tmp_path / "made"
    for content in ("old", "new"):
        with writing.aside(output) as place:
            place.mkdir()
            (place / content).touch()
    assert [path.name for path in output.iterdir()] == ["new"]
    with pytest.raises(ZeroDivisionError):
        fail_half_way(output)
    with pytest.raises(UnwritableFileError, match="made cannot be written"), writing.aside(output) as place:
        place.touch()  # a file does not replace a folder
    assert [path.name for path in tmp_path.rglob("*")] == ["made", "new"]
