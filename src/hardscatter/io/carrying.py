"""Parquet files whose columns are carried over from another file as they lie there, encoded and compressed.

Most of the time of writing goes into encoding and compressing. Where events come from a Parquet file of ours and a
column has not been touched, its pages in the new file are those of the old: they hold no position in the file, so
bytes are copied and the footer alone is made anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import awkward as ak
import pyarrow as pa

from hardscatter.events import Events
from hardscatter.io.parquet import ReadEvents, arrow_table, parquet_schema, parquet_writer
from hardscatter.io.parquet_footer import (
    CHUNK_START,
    COLUMN,
    COLUMNS,
    COMPRESSED,
    DICTIONARY,
    GROUP_COMPRESSED,
    GROUP_ROWS,
    GROUP_START,
    GROUPS,
    N_CHILDREN,
    N_ROWS,
    NAME,
    ORDINAL,
    PAGES,
    PATH,
    SCHEMA,
    SIZE,
    UNCOMPRESSED,
    footer_bytes,
)
from hardscatter.io.thrift import I16, I32, I64, LIST, STRUCT, Elements, Struct, read_struct, written_struct

_MAGIC = b"PAR1"

# What stays behind: index pages and Bloom filters lie apart from the chunk (10, 14, 15), and nobody has checked the
# histograms of levels (16), over which a reader may stumble.
_LEFT = (10, 14, 15, 16)


class CarryingSink:
    """A Parquet file being written; columns that nobody touched since they were read are copied as bytes."""

    def __init__(self, path: Path, first: Events) -> None:
        self._schema = parquet_schema(first)
        self._footer = _encoded(self._schema, None).footer
        self._layouts = _layouts(self._footer)
        self._groups: list[Struct] = []
        self._n_rows = 0
        self._sources: dict[Path, _Source] = {}
        self._stream = path.open("wb")
        self._stream.write(_MAGIC)

    def write(self, events: Events, source: Events | None = None, /) -> None:
        """Append events, of which `source` is what was read, in its row groups, or as one row group of their own."""
        if isinstance(source, ReadEvents) and len(source) == len(events):
            known = self._sources.get(source.file) or self._sources.setdefault(source.file, _Source(source.file))
            fitting = [name for name in _untouched(events, source) if known.layouts[name] == self._layouts[name]]
            groups = [(known.n_rows(i), {name: known.chunks(i, name) for name in fitting}) for i in source.groups]
            # Columns are read by place alone; in a damaged footer they may bear another's name, and we go by names.
            carried = [name for name in fitting if all(len(of[name]) == known.n_columns(name) for _, of in groups)]
        else:
            carried, groups = [], [(len(events), {})]
        made = [name for name in self._schema.names if name not in carried]
        schema = pa.schema([self._schema.field(name) for name in made])
        table = arrow_table(Events(events.array[made])).cast(schema) if made else schema.empty_table()
        start = 0
        for n_rows, chunks in groups:
            encoded = _encoded(schema, table[start : start + n_rows])
            chunks |= {name: encoded.chunks(0, name) for name in made}
            self._append(n_rows, [chunk for name in self._schema.names for chunk in chunks[name]])
            start += n_rows

    def close(self) -> None:
        """Write the footer."""
        try:
            for source in self._sources.values():
                source.close()
            footer = self._footer | {N_ROWS: (I64, self._n_rows), GROUPS: (LIST, (STRUCT, self._groups))}
            content = written_struct(footer)
            self._stream.write(content + len(content).to_bytes(4, "little") + _MAGIC)
        finally:
            self._stream.close()

    def _append(self, n_rows: int, chunks: list[_Chunk]) -> None:
        start = self._stream.tell()
        moved = [chunk.written(self._stream) for chunk in chunks]
        columns = [chunk[COLUMN][1] for chunk in moved]
        self._groups.append({
            COLUMNS: (LIST, (STRUCT, moved)),
            SIZE: (I64, sum(column[UNCOMPRESSED][1] for column in columns)),
            GROUP_ROWS: (I64, n_rows),
            GROUP_START: (I64, start),
            GROUP_COMPRESSED: (I64, sum(column[COMPRESSED][1] for column in columns)),
            **({ORDINAL: (I16, len(self._groups))} if len(self._groups) < 2**15 else {}),
        })  # fmt: skip
        self._n_rows += n_rows


@dataclass(frozen=True)
class _Chunk:
    """The pages of one column in one row group of a file."""

    stream: BinaryIO
    about: Struct

    def written(self, stream: BinaryIO) -> Struct:
        """Copy the pages to the end of another file; return what its footer says of them."""
        column: Struct = {number: value for number, value in self.about[COLUMN][1].items() if number not in _LEFT}
        places = [number for number in (DICTIONARY, PAGES) if column.get(number, (I64, 0))[1] > 0]
        start, place = min(column[number][1] for number in places), stream.tell()
        self.stream.seek(start)
        stream.write(self.stream.read(column[COMPRESSED][1]))
        for number in places:
            column[number] = (I64, column[number][1] - start + place)
        return {CHUNK_START: (I64, place), COLUMN: (STRUCT, column)}


class _Source:
    """A Parquet file to copy from."""

    def __init__(self, file: Path | pa.Buffer) -> None:
        self._stream: Any = file.open("rb") if isinstance(file, Path) else pa.BufferReader(file)
        self.footer = read_struct(footer_bytes(self._stream))
        self.layouts = _layouts(self.footer)

    def n_rows(self, group: int) -> int:
        """Return the number of events in a row group."""
        return int(self.footer[GROUPS][1][1][group][GROUP_ROWS][1])

    def chunks(self, group: int, name: str) -> list[_Chunk]:
        """Return the columns of a field of the events in a row group."""
        columns: Elements = self.footer[GROUPS][1][1][group][COLUMNS][1]
        return [_Chunk(self._stream, about) for about in columns[1] if _path(about)[0] == name.encode()]

    def n_columns(self, name: str) -> int:
        """Return how many columns a field of the events has."""
        return sum(not element.get(N_CHILDREN, (I32, 0))[1] for element in self.layouts[name])

    def close(self) -> None:
        """Close the file."""
        self._stream.close()


def _encoded(schema: pa.Schema, table: pa.Table | None) -> _Source:
    """Return a file in memory with the columns of a table as its one row group, or with none."""
    sink = pa.BufferOutputStream()
    with parquet_writer(sink, schema) as writer:
        if table is not None:
            writer.write_table(table, row_group_size=max(1, len(table)))
    return _Source(sink.getvalue())


def _path(about: Struct) -> list[bytes]:
    path: list[bytes] = about[COLUMN][1][PATH][1][1]
    return path


def _layouts(footer: Struct) -> dict[str, list[Struct]]:
    """Return how each field of the events is laid out in columns: its part of the schema."""
    elements: Iterator[Struct] = iter(footer[SCHEMA][1][1])

    def subtree() -> list[Struct]:
        element = next(elements)
        below = [subtree() for _ in range(element.get(N_CHILDREN, (I32, 0))[1])]
        return [element, *(inner for part in below for inner in part)]

    root = next(elements)
    fields = [subtree() for _ in range(root[N_CHILDREN][1])]
    return {field[0][NAME][1].decode(): field for field in fields}


def _untouched(events: Events, source: Events) -> list[str]:
    """Return the fields that are still the very arrays that were read."""
    then, now = (
        dict(zip(array.fields, array.layout.contents, strict=True))
        if isinstance(array.layout, ak.contents.RecordArray)
        else {}
        for array in (source.array, events.array)
    )
    return [name for name, content in now.items() if then.get(name) is content]
