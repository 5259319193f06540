"""How files are spoiled: as bytes, as text, and as columns that a library then writes as a file that is whole."""

from __future__ import annotations

import awkward as ak
import numpy as np

ODD_NUMBERS = (np.nan, np.inf, -np.inf, 0.0, -1.0, 5e-324, 1e-45, 1e30, 1e308, 2.0**31, 2.0**63, 1e6, 0.5, 700.0)
ODD_WORDS = (
    b"nan", b"inf", b"-1", b"0", b"1e999", b"1e-400", b"99999999999999999999", b"2147483648", b"null", b"true", b"''",
    b"[]", b"{}", b"[[[[", b"\xff\xfe", b"\x00", "Δη\u2028".encode(), b"!!python/object/apply:os.abort []", b"&a [*a]",
    b"../../../../etc/passwd", b"/dev/zero", b"%s%n", b"__class__",
)  # fmt: skip
LENGTHS = (0, 1, 255, 65_535, 2**24, 2**31 - 1, 2**31, 2**32 - 1, 2**40, 2**63 - 1, 2**64 - 1)


def spoiled_bytes(content: bytes, rng: np.random.Generator, others: tuple[bytes, ...] = ()) -> bytes:
    """Return the bytes with one to four faults in them."""
    changed = bytearray(content)
    for _ in range(rng.integers(1, 5)):
        fault = _BYTE_FAULTS[rng.integers(len(_BYTE_FAULTS))]
        changed = bytearray(fault(changed, rng, others or (content,)))
    return bytes(changed)


def spoiled_text(content: bytes, rng: np.random.Generator, others: tuple[bytes, ...] = ()) -> bytes:
    """Return a text with words exchanged, or spoiled as bytes are."""
    if rng.random() < 0.3:
        return spoiled_bytes(content, rng, others)
    if rng.random() < 0.03:
        return content + b"[" * 100_000 if rng.random() < 0.5 else b"[" * 100_000
    parts = _words(content)
    for _ in range(rng.integers(1, 5)):
        at = int(rng.integers(len(parts)))
        kind = rng.integers(4)
        if kind == 0:
            parts[at] = ODD_WORDS[rng.integers(len(ODD_WORDS))]
        elif kind == 1:
            parts[at] = b""
        elif kind == 2:
            other = int(rng.integers(len(parts)))
            parts[at], parts[other] = parts[other], parts[at]
        else:
            parts[at] = parts[at] * int(rng.integers(2, 5))
    return b"".join(parts)


def spoiled_columns(columns: dict[str, object], rng: np.random.Generator) -> dict[str, object]:
    """Return named arrays (flat, or jagged from awkward) with one to three of them spoiled."""
    changed = dict(columns)
    for _ in range(rng.integers(1, 4)):
        names = list(changed)
        if not names:
            break
        name = names[rng.integers(len(names))]
        kind = rng.integers(6)
        if kind == 0:
            del changed[name]
        elif kind == 1:
            other = names[rng.integers(len(names))]
            changed[name], changed[other] = changed[other], changed[name]
        else:
            changed[name] = spoiled_array(changed[name], rng)
    return changed


def spoiled_array(array: object, rng: np.random.Generator) -> object:
    """Return an array with odd values, of another type, or cut in another way."""
    jagged = isinstance(array, ak.Array)
    try:
        values = np.array(ak.to_numpy(ak.flatten(array, axis=1)) if jagged else array)
        counts = ak.to_numpy(ak.num(array, axis=1)).copy() if jagged else None
    except Exception:
        return array
    if values.dtype.kind not in "fiub":  # records and texts are left as they are
        return array
    kind = rng.integers(5)
    if kind <= 1 and values.size:
        number = ODD_NUMBERS[rng.integers(len(ODD_NUMBERS))]
        if values.dtype.kind != "f":
            number = int(np.clip(np.nan_to_num(number), -(2**31), 2**31 - 1))
            values = values.astype(np.int64)
        places = slice(None) if rng.random() < 0.2 else rng.integers(values.size, size=rng.integers(1, 4))
        with np.errstate(over="ignore"):
            values.reshape(-1)[places] = number
    elif kind == 2:
        types = (np.float32, np.float64, np.int8, np.int64, np.uint64, np.bool_, np.float16)
        with np.errstate(all="ignore"):
            values = values.astype(types[rng.integers(len(types))])
    elif kind == 3 and counts is not None and len(counts) > 1:
        counts[0], counts[-1] = counts[-1], counts[0]
        if rng.random() < 0.5:
            counts, values = counts[:-1], values[: counts[:-1].sum()]
    elif kind == 4 and values.ndim:
        values = values[: int(rng.integers(len(values) + 1))] if counts is None else np.append(values, values[:1])
        if counts is not None:
            counts[-1] += len(values[:1])
            counts[-1] = max(0, len(values) - counts[:-1].sum())
    return values if counts is None else ak.unflatten(values, counts)


def _flip(content, rng, _others):
    for at in rng.integers(max(1, len(content)), size=rng.integers(1, 17)):
        if content:
            content[at] ^= 1 << int(rng.integers(8))
    return content


def _cut(content, rng, _others):
    return content[: rng.integers(len(content) + 1)]


def _zero(content, rng, _others):
    first, last = _range(content, rng)
    content[first:last] = bytes(last - first)
    return content


def _blow(content, rng, _others):
    """Put a length that is too great, or too small, over some bytes."""
    number = LENGTHS[rng.integers(len(LENGTHS))]
    size = (1, 2, 4, 8)[rng.integers(4)]
    order = ("little", "big")[rng.integers(2)]
    at = int(rng.integers(len(content) + 1))
    content[at : at + size] = (number % 2 ** (8 * size)).to_bytes(size, order)
    return content


def _splice(content, rng, others):
    other = others[rng.integers(len(others))]
    a, b = _range(content, rng)
    c, d = _range(other, rng)
    content[a : b if rng.random() < 0.5 else a] = other[c:d]
    return content


def _swap(content, rng, _others):
    a, b = _range(content, rng)
    at = int(rng.integers(len(content) + 1))
    content[a:b], content[at : at + b - a] = content[at : at + b - a], content[a:b]
    return content


_BYTE_FAULTS = (_flip, _flip, _cut, _zero, _blow, _blow, _splice, _swap)


def _range(content, rng) -> tuple[int, int]:
    """Return a range, mostly short ones."""
    first = int(rng.integers(len(content) + 1))
    length = int(2 ** rng.uniform(0, 12))
    return first, min(len(content), first + length)


def _words(content: bytes) -> list[bytes]:
    """Cut a text at blanks and punctuation, which stay."""
    parts, word = [], bytearray()
    for byte in content:
        if byte in b" \n\t,:=[]{}\"'":
            parts += [bytes(word), bytes([byte])]
            word.clear()
        else:
            word.append(byte)
    return [*parts, bytes(word)]
