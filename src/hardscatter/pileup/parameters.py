"""Reads the parameters out of an ONNX file; nothing else of the format is needed, and so no package for it.

A message of Protocol Buffers is a row of fields: a number that holds the field's key and wire type, then a number, or a
length and so many bytes. ModelProto.graph is field 7, GraphProto.initializer 5, TensorProto.dims 1, data_type 2,
name 8, raw_data 9: numbers that can never change.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import UnreadableFileError

_FLOAT = 1
_FIXED = {1: 8, 5: 4}  # wire types of so many bytes
_LONGEST = 70  # bits of ten bytes, seven each


def read_parameters(path: Path) -> dict[str, NDArray[np.float32]]:
    """Return the tensors of float32 that an ONNX file holds, by name; those in other forms are left out.

    Raises
    ------
    ValueError
        If the file is not ONNX.
    """
    try:
        graphs = (graph for key, graph in _fields(memoryview(path.read_bytes())) if key == 7)
        tensors = (_tensor(tensor) for graph in graphs for key, tensor in _fields(_bytes(graph)) if key == 5)
        return {name: values for name, values in tensors if values is not None}
    except IndexError:
        raise ValueError(f"{path} ends too early.") from None


def check_contained(path: Path) -> None:
    """Make sure that a model is all in its file, and that it ends.

    ONNX lets a tensor lie in another file, under any name, and a graph repeat itself; neither is what
    `hardscatter.nets.export` writes.

    Raises
    ------
    UnreadableFileError
        If a tensor lies elsewhere, a loop is there, or the file is not ONNX.
    """
    try:
        found = next(_strange(memoryview(path.read_bytes()), "model"), None)
    except OSError as problem:
        raise UnreadableFileError(f"{path} is no model that can be read ({problem.strerror}): give a file.") from None
    except (ValueError, IndexError, RecursionError):
        found = "is no model that ONNX Runtime can load (its bytes are not those of ONNX)"
    if found is not None:
        raise UnreadableFileError(f"{path} {found}: export the network again (hardscatter export).")


_INSIDE = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
    "tensor": {},
}
"""Messages by the number of their field in others, as far as tensors and nodes may lie in them."""
_LOCATION, _EXTERNAL, _OPERATOR = 14, 13, 4


def _strange(message: memoryview, kind: str) -> Iterator[str]:
    """Yield what a model must not hold."""
    for key, value in _fields(message):
        if kind == "tensor" and (key == _EXTERNAL or (key == _LOCATION and value != 0)):
            yield "keeps parameters in another file"
        elif kind == "node" and key == _OPERATOR and bytes(_bytes(value)) in (b"Loop", b"Scan"):
            yield "runs in a loop of its own"
        elif key in _INSIDE[kind]:
            yield from _strange(_bytes(value), _INSIDE[kind][key])


def _tensor(message: memoryview | int) -> tuple[str, NDArray[np.float32] | None]:
    """Return name and values of a tensor."""
    shape: list[int] = []
    name, kind, raw = "", 0, memoryview(b"")
    for key, value in _fields(_bytes(message)):
        if key == 1:
            shape += [value] if isinstance(value, int) else _numbers(value)
        elif key == 2 and isinstance(value, int):
            kind = value
        elif key == 8:
            name = str(_bytes(value), "utf-8")
        elif key == 9:
            raw = _bytes(value)
    if kind != _FLOAT or len(raw) != 4 * math.prod(shape):
        return name, None
    return name, np.frombuffer(raw, dtype="<f4").reshape(shape)


def _fields(message: memoryview) -> Iterator[tuple[int, memoryview | int]]:
    """Yield key and value of each field."""
    at = 0
    while at < len(message):
        tag, at = _number(message, at)
        key, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _number(message, at)
            yield key, value
            continue
        if wire == 2:
            length, at = _number(message, at)
        elif wire in _FIXED:
            length = _FIXED[wire]
        else:
            raise ValueError(f"wire type {wire} is not known.")
        yield key, message[at : at + length]
        at += length


def _number(message: memoryview, at: int) -> tuple[int, int]:
    """Return the number at a place, seven bits a byte, and the place behind it."""
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if shift > _LONGEST:
            raise ValueError("a number of more than 64 bits.")
        if byte < 0x80:
            return number, at


def _numbers(message: memoryview) -> list[int]:
    numbers, at = [], 0
    while at < len(message):
        number, at = _number(message, at)
        numbers.append(number)
    return numbers


def _bytes(value: memoryview | int) -> memoryview:
    if isinstance(value, int):
        raise ValueError("a number where a message is expected.")
    return value
