"""Columns carried over as bytes make the same file as columns encoded anew, and only what nobody touched is carried."""

from __future__ import annotations

import awkward as ak
import numpy as np
import pyarrow.parquet as pq
import pytest

import hardscatter as hs
from hardscatter.errors import UnreadableFileError
from hardscatter.events import Events
from hardscatter.io import carrying, conversion, writing
from hardscatter.io.thrift import (
    BINARY,
    BYTE,
    DOUBLE,
    FALSE,
    I16,
    I32,
    I64,
    LIST,
    SET,
    STRUCT,
    TRUE,
    read_struct,
    written_struct,
)
from helpers import toy_events

_PATH, _SIZES = 3, 16  # of ColumnMetaData, parquet.thrift


@pytest.fixture
def events():
    made = hs.with_weights(toy_events(9), "Z′ half", ak.ones_like(toy_events(9).candidates.pt) * 0.5, {"k": 1})
    return made.with_field("process", ak.Array(["ttbar", "Z′", ""] * 3))


@pytest.fixture
def source(events, tmp_path):
    path = tmp_path / "source.parquet"
    with hs.Writer(path) as writer:
        for first in (0, 4, 8):
            writer.write(events[first : first + 4])
    return path


@pytest.fixture
def carried(monkeypatch):
    """Collect which fields are carried, batch by batch."""
    seen, untouched = [], carrying._untouched
    monkeypatch.setattr(carrying, "_untouched", lambda *words: seen.append(untouched(*words)) or seen[-1])
    return seen


def weigh(events):
    return hs.with_weights(events, "quarter", ak.ones_like(events.candidates.pt) * 0.25, {"of": 4})


def assert_as_encoded(output, source, change, tmp_path, step=16, entries=None):
    """Compare with a file that is encoded anew, field by field and type by type."""
    plain = tmp_path / "plain.parquet"
    with hs.Writer(plain) as writer:
        for batch in conversion.portions(source, step, entries):
            writer.write(change(batch))
    found, expected = (pq.ParquetFile(path, page_checksum_verification=True) for path in (output, plain))
    assert found.schema_arrow.equals(expected.schema_arrow, check_metadata=True)
    assert found.schema.equals(expected.schema)
    assert ak.array_equal(ak.from_arrow(found.read()), ak.from_arrow(expected.read()), equal_nan=True)
    for i in range(expected.metadata.num_row_groups):
        ours, theirs = found.metadata.row_group(i), expected.metadata.row_group(i)
        assert (ours.num_rows, ours.num_columns) == (theirs.num_rows, theirs.num_columns)
        assert sum(ours.column(j).total_compressed_size for j in range(ours.num_columns)) <= output.stat().st_size
    assert ak.array_equal(hs.read(output).array, hs.read(plain).array, equal_nan=True)
    assert hs.read(output).metadata == hs.read(plain).metadata


@pytest.mark.parametrize("entries", [None, 8, (4, 9), (2, 7), (0, 0)])
def test_the_same_file_as_if_encoded_anew(entries, source, tmp_path, carried):
    output = tmp_path / "out.parquet"
    hs.convert(source, output, change=weigh, step=16, entries=entries)
    assert_as_encoded(output, source, weigh, tmp_path, entries=entries)
    assert all(set(names) == {"candidates", "n_vertices", "event", "truth", "process"} for names in carried)
    assert len(carried) == {None: 3, 8: 2, (4, 9): 2, (2, 7): 0, (0, 0): 0}[entries]


def test_nothing_need_be_encoded_and_the_source_may_be_replaced(source, events, tmp_path, carried):
    hs.convert(source, source, overwrite=True, step=16)
    assert [set(names) for names in carried] == [set(events.fields)] * 3
    assert ak.array_equal(hs.read(source).array, events.array, equal_nan=True)
    assert [path.name for path in tmp_path.iterdir()] == ["source.parquet"]


def test_what_is_changed_is_encoded(source, tmp_path, carried):
    def change(events):
        scaled = events.candidates.pt * 2
        return Events(ak.with_field(events.array, scaled, ("candidates", "pt")), events.metadata)

    output = tmp_path / "out.parquet"
    hs.convert(source, output, change=change, step=16)
    assert all("candidates" not in names for names in carried)
    assert_as_encoded(output, source, change, tmp_path)


def test_what_had_to_be_converted_on_reading_is_encoded(events, tmp_path, carried):
    path, output = tmp_path / "turned.parquet", tmp_path / "out.parquet"
    turned = ak.with_field(events.array, events.candidates.phi + 2 * np.pi, ("candidates", "phi"))
    hs.write(path, Events(turned, events.metadata))
    hs.convert(path, output, step=100)
    assert not carried
    assert ak.all(abs(hs.read(output).candidates.phi) <= np.pi)
    assert_as_encoded(output, path, lambda batch: batch, tmp_path)


@pytest.mark.parametrize(
    "encoding",
    [
        {"compression": "snappy"},  # with dictionaries and statistics
        {"compression": "none", "use_dictionary": False, "data_page_version": "2.0", "data_page_size": 256},
        {"write_page_index": True, "compression": "gzip"},
    ],
)
def test_columns_of_another_encoding_are_carried_as_they_are(encoding, source, tmp_path, carried):
    path, output = tmp_path / "other.parquet", tmp_path / "out.parquet"
    pq.write_table(pq.read_table(source), path, row_group_size=4, **encoding)
    hs.convert(path, output, change=weigh, step=16)
    assert len(carried) == 3
    assert_as_encoded(output, path, weigh, tmp_path)


def test_a_layout_of_other_names_is_not_carried(source, tmp_path):
    path, output = tmp_path / "old.parquet", tmp_path / "out.parquet"
    pq.write_table(pq.read_table(source), path, row_group_size=4, use_compliant_nested_type=False)
    hs.convert(path, output, change=weigh, step=16)
    assert_as_encoded(output, path, weigh, tmp_path)


def test_groups_that_are_cut_are_encoded(source, tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "PIECE", 1)
    output = tmp_path / "out.parquet"
    hs.convert(source, output, change=weigh, step=16)
    assert pq.ParquetFile(output).metadata.num_row_groups == 9
    assert_as_encoded(output, source, weigh, tmp_path)


def test_small_row_groups_are_treated_together_and_stay(source, tmp_path, carried):
    output = tmp_path / "out.parquet"
    hs.convert(source, output, change=weigh, step=32)
    assert [len(batch) for batch in conversion.portions(source, 32)] == [8, 1]
    assert len(carried) == 2
    assert_as_encoded(output, source, weigh, tmp_path)


def test_many_row_groups(events, tmp_path):
    path, output = tmp_path / "many.parquet", tmp_path / "out.parquet"
    with hs.Writer(path) as writer:
        for _ in range(40):
            writer.write(events[:1])
    hs.convert(path, output, change=weigh, step=4)
    assert_as_encoded(output, path, weigh, tmp_path, step=4)


def test_columns_of_a_damaged_footer_are_encoded_anew(source, tmp_path, carried):
    """Pyarrow reads columns by their place: it does not mind the wrong name, and a copy must not lose the column."""
    sound = hs.read(source)

    def rename(column):
        column[_PATH] = (LIST, (BINARY, [b"candidates", *column[_PATH][1][1][1:]]))

    change_last_column(source, rename)
    hs.convert(source, tmp_path / "out.parquet", change=weigh)
    assert ak.array_equal(hs.read(tmp_path / "out.parquet").weights["Z′ half"], sound.weights["Z′ half"])


def test_histograms_of_levels_that_are_wrong_are_refused(source, tmp_path):
    """Pyarrow ends the process when it is asked for the metadata of such a column."""
    histogram = {2: (LIST, (I64, [1, 2, 3, 4, 5, 6]))}
    change_last_column(source, lambda column: column.update({_SIZES: (STRUCT, histogram)}))
    with pytest.raises(UnreadableFileError, match="histogram"):
        hs.read(source)


def change_last_column(path, change):
    """Change what the footer says of the last column of the first row group."""
    content = path.read_bytes()
    size = int.from_bytes(content[-8:-4], "little")
    footer = read_struct(content[-8 - size : -8])
    groups = footer[4][1][1]
    change(groups[0][1][1][1][-1][3][1])
    changed = written_struct(footer)
    path.write_bytes(content[: -8 - size] + changed + len(changed).to_bytes(4, "little") + content[-4:])


def test_footers_come_back_byte_by_byte(source):
    data = source.read_bytes()
    size = int.from_bytes(data[-8:-4], "little")
    footer = data[-8 - size : -8]
    assert written_struct(read_struct(footer)) == footer


def test_every_kind_of_field_comes_back():
    struct = {
        1: (TRUE, True), 2: (FALSE, False), 3: (BYTE, 200), 4: (I16, -5), 5: (I32, 2**31 - 1), 6: (I64, -(2**63)),
        7: (DOUBLE, b"12345678"), 8: (BINARY, b"x" * 300), 9: (LIST, (I64, list(range(-20, 20)))),
        10: (SET, (BYTE, [])),
        300: (STRUCT, {20: (LIST, (STRUCT, [{}, {1: (LIST, (TRUE, [1, 2]))}]))}), 301: (TRUE, True),
    }  # fmt: skip
    assert read_struct(written_struct(struct)) == struct


def test_what_is_no_footer_is_refused():
    with pytest.raises((ValueError, IndexError)):
        read_struct(b"\x1b\x01")
    with pytest.raises((ValueError, IndexError)):
        read_struct(b"\x15")
