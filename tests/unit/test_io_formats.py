"""What a file is told to be, which entries are read, and one sentence for every file that cannot be read."""

from __future__ import annotations

from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import uproot

import hardscatter as hs
import hardscatter.io as io
from hardscatter.errors import SettingsError, UnreadableFileError

ROOT = Path(__file__).parents[2]
DELPHES = ROOT / "examples" / "delphes_ttbar_pu140.root"
PACKED = ROOT / "tests" / "data" / "delphes_packed.npz"
PFNANO = ROOT / "tests" / "data" / "cms_pfnano.root"


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    folder = tmp_path_factory.mktemp("written")
    events = io.read(DELPHES, 6)
    for suffix in ("root", "parquet"):
        io.write(folder / f"events.{suffix}", events)
    return folder


def path_of(name, written):
    known = {"delphes": DELPHES, "delphes-packed": PACKED, "pfnano": PFNANO}
    return known.get(name) or written / {"hardscatter-root": "events.root", "parquet": "events.parquet"}[name]


FORMATS = ["delphes", "delphes-packed", "pfnano", "hardscatter-root", "parquet"]


@pytest.mark.parametrize("name", FORMATS)
def test_the_content_tells_the_format_not_the_suffix(name, written, tmp_path):
    path = path_of(name, written)
    assert io.file_format(path) == name
    disguised = tmp_path / "file.dat"
    disguised.write_bytes(path.read_bytes())
    assert io.file_format(disguised) == name
    assert io.count(str(disguised)) == len(io.read(disguised))


@pytest.mark.parametrize("name", FORMATS)
def test_events_do_not_depend_on_step_or_range(name, written):
    path = path_of(name, written)
    events = io.read(path, 6)
    for step in (1, 4, 100):
        parts = list(io.iterate(path, step, 6))
        assert all(len(part) <= step for part in parts)
        assert all(part.metadata == events.metadata for part in parts)
        assert ak.array_equal(hs.concatenate(parts).array, events.array, equal_nan=True)
    assert ak.array_equal(io.read(path, (1, 2)).array, events.array[1:2], equal_nan=True)


@pytest.mark.parametrize("name", FORMATS)
def test_an_empty_range_keeps_the_types(name, written):
    path = path_of(name, written)
    empty, full = io.read(path, 0), io.read(path)
    assert len(empty) == 0
    assert empty.array.type.content.is_equal_to(full.array.type.content)
    assert list(io.iterate(path, entries=0)) == []


@pytest.mark.parametrize(
    ("entries", "expected"),
    [(None, (0, 10)), (3, (0, 3)), (99, (0, 10)), ((2, 5), (2, 5)), ((8, 50), (8, 10)), (slice(7, None), (7, 10)),
     (slice(-2, None), (8, 10)), ((5, 2), (0, 0))],
)  # fmt: skip
def test_entries(entries, expected):
    numbers = io.read(PFNANO).event.tolist()
    assert io.read(PFNANO, entries).event.tolist() == numbers[slice(*expected)]


@pytest.mark.parametrize("entries", [-1, slice(0, 4, 2), "all", (1, 2, 3), True])
def test_entries_that_make_no_sense(entries):
    with pytest.raises(SettingsError, match=r"entries is .*: give a number of events"):
        io.read(PFNANO, entries)
    with pytest.raises(SettingsError, match="entries is"):
        io.iterate(PFNANO, entries=entries)


def test_step_and_particle_flow_are_checked_at_once():
    with pytest.raises(SettingsError, match="step is 0"):
        io.iterate(PFNANO, 0)
    with pytest.raises(SettingsError, match="particle_flow is 'x'"):
        io.iterate(PFNANO, particle_flow="x")


def assert_one_sentence(error, path):
    text = str(error.value)
    assert str(path) in text
    assert "\n" not in text
    assert text.endswith(".")
    assert error.value.__cause__ is None


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("part", [0.001, 0.3, 0.5, 0.9, 0.999])
def test_truncated_files(name, part, written, tmp_path):
    whole = path_of(name, written).read_bytes()
    path = tmp_path / "cut"
    path.write_bytes(whole[: int(len(whole) * part)])
    with pytest.raises(UnreadableFileError, match=r"damaged|cut short") as error:
        io.read(path)
    assert_one_sentence(error, path)


@pytest.mark.parametrize("name", FORMATS)
def test_files_damaged_in_the_middle(name, written, tmp_path):
    whole = bytearray(path_of(name, written).read_bytes())
    length = len(whole) // 25
    for tenth in range(9):  # headers and what stands at the end are spared
        start = 1000 + len(whole) * tenth // 10
        whole[start : start + length] = b"\x55" * length
    path = tmp_path / "damaged"
    path.write_bytes(whole)
    with pytest.raises(UnreadableFileError) as error:
        list(io.iterate(path, step=2))
    assert_one_sentence(error, path)


def test_damage_is_told_with_the_entries_where_it_lies(tmp_path):
    """The header and the first baskets are sound: the problem appears in the middle of the stream."""
    path = tmp_path / "late.root"
    with io.Writer(path) as writer:
        for part in io.iterate(DELPHES, 1, 3):
            writer.write(part)
    with uproot.open(path) as file:
        branch = file["Events"]["PFCands_pt"]
        seek = int(branch.member("fBasketSeek")[2])
    whole = bytearray(path.read_bytes())
    whole[seek + 200 : seek + 400] = b"\x55" * 200
    path.write_bytes(whole)
    batches = io.iterate(path, 1)
    next(batches)
    next(batches)
    with pytest.raises(UnreadableFileError, match="entries 2 to 2") as error:  # floats may decompress to nonsense
        next(batches)
    assert_one_sentence(error, path)


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"", "is empty"), (b"pt,eta,phi\n1,2,3\n", "neither ROOT, Parquet nor"), (b"root", "cut short"),
     (b"PAR1", "damaged"), (b"PK\x03\x04", "damaged"), (b"\x93NUMPY", "neither")],
)  # fmt: skip
def test_files_of_nothing(content, reason, tmp_path):
    path = tmp_path / "file.root"
    path.write_bytes(content)
    for call in (io.read, io.count, io.file_format):
        with pytest.raises(UnreadableFileError, match=reason) as error:
            call(path)
        assert_one_sentence(error, path)


def test_missing_file_folder_and_permission(tmp_path, monkeypatch):
    with pytest.raises(UnreadableFileError, match="does not exist"):
        io.read(tmp_path / "nothing.root")
    with pytest.raises(UnreadableFileError, match="is a folder"):
        io.read(tmp_path)

    def refuse(*_, **__):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    with pytest.raises(UnreadableFileError, match=r"cannot be opened \(Permission denied\)"):
        io.read(PFNANO)


def test_parquet_of_something_else(tmp_path):
    path = tmp_path / "other.parquet"
    pq.write_table(pa.table({"a": [1], "b": [2]}), path)
    with pytest.raises(UnreadableFileError, match=r"Parquet file of something else \(columns a, b\)") as error:
        io.read(path)
    assert_one_sentence(error, path)


def test_parquet_of_ours_without_a_column(written, tmp_path):
    table = pq.read_table(written / "events.parquet")
    path = tmp_path / "less.parquet"
    pq.write_table(table.drop_columns(["candidates"]), path)
    with pytest.raises(UnreadableFileError, match="something else"):
        io.read(path)
    candidates = ak.from_arrow(table)["candidates"]
    kept = ak.Array({"candidates": candidates[["pt", "eta", "phi", "energy", "charge"]]})
    pq.write_table(ak.to_arrow_table(kept, extensionarray=False).replace_schema_metadata(table.schema.metadata), path)
    with pytest.raises(UnreadableFileError, match=r"has no column 'candidates\.vertex'"):
        io.read(path)


def test_parquet_of_ours_that_somebody_spoiled(written, tmp_path):
    table = pq.read_table(written / "events.parquet")
    array = ak.from_arrow(table)
    spoiled = ak.with_field(
        array, ak.where(array.candidates.pt > 50, np.nan, array.candidates.pt), ("candidates", "pt")
    )
    path = tmp_path / "spoiled.parquet"
    pq.write_table(
        ak.to_arrow_table(spoiled, extensionarray=False).replace_schema_metadata(table.schema.metadata), path
    )
    with pytest.raises(UnreadableFileError, match=r"entries 0 to 5 .*candidates\.pt is nan in event"):
        io.read(path)
    pq.write_table(table.replace_schema_metadata({"hardscatter": "no json"}), path)
    with pytest.raises(UnreadableFileError, match="unreadable 'hardscatter' metadata"):
        io.read(path)


def test_a_zip_of_something_else(tmp_path):
    path = tmp_path / "other.npz"
    np.savez(path, a=np.zeros(3))
    with pytest.raises(UnreadableFileError, match="without the member 'n_trk'"):
        io.read(path)


def test_a_packed_sample_whose_counts_do_not_fit(tmp_path):
    with np.load(PACKED) as archive:
        members = dict(archive)
    members["n_pho"] = members["n_pho"] + 1
    np.savez(tmp_path / "odd.npz", **members)
    with pytest.raises(UnreadableFileError, match="do not fit the counts 'n_pho'"):
        io.read(tmp_path / "odd.npz")


def test_root_files_of_something_else(written, tmp_path):
    path = tmp_path / "other.root"
    with uproot.recreate(path) as file:
        file.mktree("ntuple", {"x": np.dtype("float32")})
    with pytest.raises(UnreadableFileError, match=r"no tree 'Delphes' or 'Events' \(it holds ntuple\)"):
        io.read(path)
    with uproot.recreate(path) as file:
        file.mkrntuple("Events", {"x": np.zeros(3)})
    with pytest.raises(UnreadableFileError, match="not as a TTree"):
        io.read(path)


def test_a_root_file_of_ours_that_lost_its_description(written, tmp_path):
    path = tmp_path / "lost.root"
    with uproot.open(written / "events.root") as file:
        branches = {name: file["Events"][name].array() for name in ("PFCands_pt", "PFCands_vertex")}
    with uproot.recreate(path) as file:
        file.mktree("Events", {name: values.type.content for name, values in branches.items()}).extend(branches)
    with pytest.raises(UnreadableFileError, match="lost its object 'hardscatter'"):
        io.read(path)
