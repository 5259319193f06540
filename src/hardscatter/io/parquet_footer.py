"""What stands in the footer of a Parquet file, read by ourselves; the numbers are those of fields in `parquet.thrift`.

Pyarrow's own account of a footer aborts on what a damaged one says of columns, in place of raising an error.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hardscatter.io.thrift import Struct, structs_of_field

# FileMetaData, SchemaElement, RowGroup, ColumnChunk and ColumnMetaData
SCHEMA, N_ROWS, GROUPS = 2, 3, 4
NAME, N_CHILDREN = 4, 5
COLUMNS, SIZE, GROUP_ROWS, GROUP_START, GROUP_COMPRESSED, ORDINAL = 1, 2, 3, 5, 6, 7
CHUNK_START, COLUMN = 2, 3
TYPE, ENCODINGS, PATH, N_VALUES, UNCOMPRESSED, COMPRESSED, PAGES, DICTIONARY = 1, 2, 3, 5, 6, 7, 9, 11

_WIDTHS = {0: 1, 1: 4, 2: 8, 3: 12, 4: 4, 5: 8}  # BOOLEAN, INT32, INT64, INT96, FLOAT, DOUBLE
_DICTIONARIES = {2, 8}  # PLAIN_DICTIONARY, RLE_DICTIONARY
_LEVELS = 4
"""Bytes that say of a value in which list it stands."""


def footer_bytes(stream: Any) -> bytes:
    """Return the footer of a file that is open for reading: its last eight bytes tell how long it is."""
    stream.seek(-8, os.SEEK_END)
    size = int.from_bytes(stream.read(4), "little")
    stream.seek(-8 - size, os.SEEK_END)
    return bytes(stream.read(size))


def row_groups(path: Path) -> Iterator[Struct]:
    """Yield what the footer says of each row group, each read when it is asked for."""
    with path.open("rb") as stream:
        footer = footer_bytes(stream)
    return structs_of_field(footer, GROUPS)


def decoded_size(group: Struct) -> int:
    """Return how many bytes a row group takes in memory at most, by its numbers of values.

    Its uncompressed size does not tell: one run of a billion equal values is a few bytes long. A text may be repeated
    by each value, if a dictionary holds it.
    """
    total = 0
    for chunk in group[COLUMNS][1][1]:
        column: Struct = chunk[COLUMN][1]
        n, size = column[N_VALUES][1], column[UNCOMPRESSED][1]
        repeated = not _DICTIONARIES.isdisjoint(column[ENCODINGS][1][1])
        width = _WIDTHS.get(column[TYPE][1])
        total += n * _LEVELS + (n * width if width is not None else n * size if repeated else size)
    return total
