"""Parquet, our native format: the record array of the events as it is, with its metadata, without loss.

Columns are plain nested Arrow types, so pandas, polars and DuckDB open the files as well.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import awkward as ak
import pyarrow as pa
import pyarrow.parquet as pq

from hardscatter.errors import UnreadableFileError
from hardscatter.events import COMPULSORY, Events
from hardscatter.io.faults import bad_events, check_expansion, damage
from hardscatter.io.intact import right
from hardscatter.io.metadata import KEY, packed, unpacked
from hardscatter.io.parquet_footer import decoded_size, row_groups

# Arrow's own allocator returns memory to the system within milliseconds: all of it while a batch is weighed. To ask for
# the pages again costs as much as to decode them.
if "ARROW_DEFAULT_MEMORY_POOL" not in os.environ:
    pa.set_memory_pool(pa.system_memory_pool())


class ParquetFile:
    """A Parquet file of ours, open for reading; only the row groups that hold the wanted entries are read.

    Raises
    ------
    UnreadableFileError
        If the file is damaged or was written by something else.
    """

    format = "parquet"

    def __init__(self, path: Path) -> None:
        self._path = path
        with damage(path, "its footer"):
            self._file = pq.ParquetFile(path, page_checksum_verification=True)
            schema = self._file.schema_arrow
            metadata = self._file.metadata.metadata or {}
        key = KEY.encode()
        if key not in metadata or "candidates" not in schema.names:
            self.close()
            raise UnreadableFileError(
                f"{path} is a Parquet file of something else (columns {_some(schema.names)}): give a file that "
                "hardscatter wrote, or build events with hs.from_candidates and hs.write them."
            )
        self._metadata = unpacked(path, metadata[key])["metadata"]
        with damage(path, "its footer"):
            groups = [self._file.metadata.row_group(i).num_rows for i in range(self._file.metadata.num_row_groups)]
            self._groups = row_groups(path)
        self._sizes: list[int] = []  # of the row groups read so far
        self.edges = _edges(groups)
        self.n_events = self.edges[-1]

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""
        edges = self.edges
        groups = [i for i in range(len(edges) - 1) if edges[i] < stop and edges[i + 1] > start]
        with damage(self._path, "its footer"):
            declared = sum(self._size(i) for i in groups)
        check_expansion(self._path, f"what holds entries {start} to {stop - 1}", declared)
        with damage(self._path, f"entries {start} to {stop - 1}"):
            table = self._file.read_row_groups(groups) if groups else self._file.schema_arrow.empty_table()
            offset = edges[groups[0]] if groups else 0
            array = ak.from_arrow(table)[start - offset : stop - offset]
        _check_fields(self._path, array)
        with bad_events(self._path, start, stop):
            events = Events(ak.to_packed(array), self._metadata)
            checked = right(events)
        if checked is not events:
            return checked
        whole = bool(groups) and (start, stop) == (edges[groups[0]], edges[groups[-1] + 1])
        return ReadEvents(events.array, self._metadata, self._path, groups) if whole else events

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _size(self, group: int) -> int:
        """Return how many bytes a row group takes in memory at most."""
        while len(self._sizes) <= group:
            self._sizes.append(decoded_size(next(self._groups)))
        return self._sizes[group]


class ReadEvents(Events):
    """Events just as some row groups of a file hold them."""

    __slots__ = ("file", "groups")

    def __init__(self, array: ak.Array, metadata: Mapping[str, Any], file: Path, groups: Sequence[int]) -> None:
        super().__init__(array, metadata)
        self.file = file
        self.groups = groups


class ParquetSink:
    """A Parquet file being written, batch by batch; types and metadata are those of the first batch."""

    def __init__(self, path: Path, first: Events) -> None:
        self._schema = parquet_schema(first)
        self._writer = parquet_writer(path, self._schema)

    def write(self, events: Events, _source: Events | None = None, /) -> None:
        """Append events as one row group."""
        table = arrow_table(events).cast(self._schema)  # the same types: the cast only brings in the metadata
        self._writer.write_table(table, row_group_size=max(1, len(events)))

    def close(self) -> None:
        """Write the footer."""
        self._writer.close()


def arrow_table(events: Events) -> Any:
    """Return the fields of events as columns of plain nested types."""
    return ak.to_arrow_table(ak.to_packed(events.array), extensionarray=False, list_to32=True)


def parquet_schema(events: Events) -> Any:
    """Return the types of the columns of such events, with their metadata."""
    return arrow_table(events[:0]).schema.with_metadata({KEY: packed(events.metadata)})


def parquet_writer(where: Any, schema: Any) -> Any:
    """Return pyarrow's writer, set as our files are.

    Momenta hardly repeat, so dictionaries only cost; floats compress better byte plane by byte plane. The least and
    greatest of a list's values help nobody to skip crossings.
    """
    return pq.ParquetWriter(
        where,
        schema,
        compression="zstd",
        use_dictionary=False,
        use_byte_stream_split=_float_columns(schema),
        write_statistics=[field.name for field in schema if not pa.types.is_nested(field.type)],
        write_page_checksum=True,
    )


def _float_columns(fields: Iterable[Any], prefix: str = "") -> list[str]:
    """Return the Parquet paths of all columns of floating-point numbers."""
    paths = []
    for field in fields:
        path, kind = prefix + field.name, field.type
        while pa.types.is_list(kind) or pa.types.is_large_list(kind) or pa.types.is_fixed_size_list(kind):
            path, kind = path + ".list.element", kind.value_type
        if pa.types.is_struct(kind):
            paths += _float_columns(kind, path + ".")
        elif pa.types.is_float32(kind) or pa.types.is_float64(kind):
            paths.append(path)
    return paths


def _edges(groups: list[int]) -> list[int]:
    edges = [0]
    for size in groups:
        edges.append(edges[-1] + size)
    return edges


def _check_fields(path: Path, array: ak.Array) -> None:
    missing = [name for name in COMPULSORY if name not in array["candidates"].fields]
    if missing:
        raise UnreadableFileError(f"{path} has no column 'candidates.{missing[0]}': make the file again.")


def _some(names: list[str]) -> str:
    return ", ".join(names[:4]) + (", …" if len(names) > 4 else "") if names else "none"
