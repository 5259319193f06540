"""Readers that fail in each of the ways that the fuzzing looks for: they prove that it would see it."""

from __future__ import annotations

import os
import signal
import time
import warnings

from fuzz.subjects import Subject, Unsound
from hardscatter.errors import HardscatterError


def _escape():
    raise RuntimeError("escaped")


def _stammer():
    raise HardscatterError("no whole sentence")


def _warn():
    warnings.warn("odd", RuntimeWarning, stacklevel=1)


def _grow():
    return bytearray(2**31)


def _crash():
    os.kill(os.getpid(), signal.SIGSEGV)


def _hang():
    time.sleep(60)


def _lie():
    raise Unsound("weights of 2")


def _refuse():
    raise HardscatterError("this is no file of ours: give another.")


FAULTS = {"escaped": _escape, "ragged": _stammer, "warned": _warn, "memory": _grow, "crash": _crash, "hang": _hang,
          "unsound": _lie, "refused": _refuse, "read": lambda: None}  # fmt: skip


def _reader(fault):
    return lambda path: fault() if path.read_bytes() == b"spoiled" else None


SUBJECTS = {
    name: Subject(name, _reader(fault), mutate=lambda *_: b"spoiled", path_faults=False)
    for name, fault in FAULTS.items()
}
