"""Thrift's compact protocol, as far as footers of Parquet files need it: any struct, without knowing its fields.

A struct is a dictionary from the number of a field to its kind and value; a list is the kind of its elements and a
Python list. What is read is written back byte by byte as it was. Specification: `thrift-compact-protocol.md` of
Apache Thrift.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

TRUE, FALSE, BYTE, I16, I32, I64, DOUBLE, BINARY, LIST, SET, _MAP, STRUCT = range(1, 13)

Struct = dict[int, tuple[int, Any]]
Elements = tuple[int, list[Any]]


def read_struct(data: bytes) -> Struct:
    """Return the struct that the bytes hold.

    Raises
    ------
    ValueError, IndexError
        If they hold none.
    """
    return _Reader(data).struct()


def structs_of_field(data: bytes, number: int) -> Iterator[Struct]:
    """Yield the structs of the list that is field `number` of the struct in the bytes, each read when it is asked for.

    Raises
    ------
    ValueError, IndexError
        If there is no such list.
    """
    return _Reader(data).structs_of_field(number)


def written_struct(struct: Struct) -> bytes:
    """Return the bytes of a struct."""
    out = bytearray()
    _write_struct(out, struct)
    return bytes(out)


class _Reader:
    """Goes through bytes from front to back."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._place = 0

    def struct(self) -> Struct:
        fields: Struct = {}
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            fields[number] = (kind, kind == TRUE if kind in (TRUE, FALSE) else self._value(kind))
        return fields

    def structs_of_field(self, wanted: int) -> Iterator[Struct]:
        number = 0
        while head := self._byte():
            number = number + (head >> 4) if head >> 4 else self._integer()
            kind = head & 15
            if number == wanted and kind == LIST:
                of, size = self._list_head()
                if of != STRUCT:
                    break
                for _ in range(size):
                    yield self.struct()
                return
            if kind not in (TRUE, FALSE):
                self._value(kind)
        raise ValueError(f"field {wanted} is no list of structs")

    def _list_head(self) -> tuple[int, int]:
        """Return kind and number of a list's elements."""
        head = self._byte()
        return head & 15, head >> 4 if head >> 4 < 15 else self._natural()

    def _value(self, kind: int) -> Any:
        if kind in (I16, I32, I64):
            return self._integer()
        if kind == BINARY:
            return self._bytes(self._natural())
        if kind == STRUCT:
            return self.struct()
        if kind in (LIST, SET):
            of, size = self._list_head()
            return of, [self._value(of) for _ in range(size)]
        if kind in (TRUE, FALSE, BYTE):  # the first two only in lists
            return self._byte()
        if kind == DOUBLE:
            return self._bytes(8)
        raise ValueError(f"no Parquet footer holds the Thrift kind {kind}")

    def _byte(self) -> int:
        self._place += 1
        return self._data[self._place - 1]

    def _bytes(self, size: int) -> bytes:
        self._place += size
        return self._data[self._place - size : self._place]

    def _natural(self) -> int:
        number = shift = 0
        while (byte := self._byte()) & 128:
            number |= (byte & 127) << shift
            shift += 7
        return number | byte << shift

    def _integer(self) -> int:
        zigzag = self._natural()
        return zigzag >> 1 ^ -(zigzag & 1)


def _write_struct(out: bytearray, struct: Struct) -> None:
    last = 0
    for number, (kind, value) in sorted(struct.items()):
        if kind in (TRUE, FALSE):
            kind = TRUE if value else FALSE
        step = number - last
        if 0 < step < 16:
            out.append(step << 4 | kind)
        else:
            out.append(kind)
            _write_integer(out, number)
        if kind not in (TRUE, FALSE):
            _write_value(out, kind, value)
        last = number
    out.append(0)


def _write_value(out: bytearray, kind: int, value: Any) -> None:
    if kind in (I16, I32, I64):
        _write_integer(out, value)
    elif kind == BINARY:
        _write_natural(out, len(value))
        out += value
    elif kind == STRUCT:
        _write_struct(out, value)
    elif kind in (LIST, SET):
        element, items = value
        out.append(min(len(items), 15) << 4 | element)
        if len(items) >= 15:
            _write_natural(out, len(items))
        for item in items:
            _write_value(out, element, item)
    elif kind == DOUBLE:
        out += value
    else:
        out.append(value)


def _write_integer(out: bytearray, value: int) -> None:
    _write_natural(out, value << 1 if value >= 0 else (-value << 1) - 1)


def _write_natural(out: bytearray, number: int) -> None:
    while number > 127:
        out.append(number & 127 | 128)
        number >>= 7
    out.append(number)
