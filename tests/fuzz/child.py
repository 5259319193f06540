"""The child of `fuzz.isolation`: makes mutated files one after the other, reads them, and tells what became of each."""

from __future__ import annotations

import contextlib
import faulthandler
import importlib
import json
import os
import resource
import sys
import warnings
import zlib
from pathlib import Path

import numpy as np

from fuzz.subjects import Subject, Unsound
from hardscatter.errors import HardscatterError


def main() -> None:
    """Work through the tasks that the parent named."""
    settings = json.loads(sys.argv[1])
    tell, corpus, folder = settings["pipe"], Path(settings["corpus"]), Path(settings["folder"])
    subjects: dict[str, Subject] = importlib.import_module(settings["registry"]).SUBJECTS
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    faulthandler.enable()  # says where it crashed
    for task in settings["tasks"]:
        subject = subjects[task["subject"]]
        _warm_up(subject, corpus, folder / subject.name)
        _limit_memory(settings["memory_mb"])
        os.write(tell, json.dumps({"ready": subject.name}).encode() + b"\n")
        for number in range(task["first"], task["last"]):
            kind, detail = attempt(subject, corpus, folder / subject.name, task["seed"], number)
            said = {"subject": subject.name, "number": number, "kind": kind, "detail": detail}
            os.write(tell, json.dumps(said).encode() + b"\n")


def _warm_up(subject: Subject, corpus: Path, folder: Path) -> None:
    """Read the sound files, which must be read; libraries are loaded and kernels compiled on the way."""
    resource.setrlimit(resource.RLIMIT_AS, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    for seed in subject.files(corpus):
        sound = _outcome(subject, subject.placed(folder, corpus, seed, seed.read_bytes()))
        if sound[0] != "read":
            raise RuntimeError(f"{seed} is not sound: {sound}")


def attempt(subject: Subject, corpus: Path, folder: Path, seed: int, number: int) -> tuple[str, str]:
    """Make a mutated file and read it."""
    path = mutant(subject, corpus, folder, seed, number)
    return _outcome(subject, path)


def mutant(subject: Subject, corpus: Path, folder: Path, seed: int, number: int) -> Path:
    """Make the mutated file of this number; the same each time, but for dates in the sound files."""
    rng = np.random.default_rng([seed, zlib.crc32(subject.name.encode()), number])
    files = subject.files(corpus)
    chosen = files[rng.integers(len(files))]
    path = subject.placed(folder, corpus, chosen, None)
    if subject.path_faults and rng.random() < 0.005:
        return _no_file(path, rng)
    if subject.spoil is not None and rng.random() < subject.structured:
        with warnings.catch_warnings(), contextlib.suppress(Exception):  # the library refuses to write such a file
            warnings.simplefilter("ignore")
            subject.spoil(chosen, path, rng)
        if path.exists():
            return path
    others = tuple(other.read_bytes() for other in files)
    path.write_bytes(subject.mutate(chosen.read_bytes(), rng, others))
    return path


def _no_file(path: Path, rng: np.random.Generator) -> Path:
    """Put what is no file at the path."""
    kind = rng.integers(5)
    if kind == 0:
        path.write_bytes(b"")
    elif kind == 1:
        path.mkdir()
    elif kind == 2:
        os.mkfifo(path)
    elif kind == 3:
        path.symlink_to(path.name)
    return path


def _outcome(subject: Subject, path: Path) -> tuple[str, str]:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    with warnings.catch_warnings(record=True) as told:
        warnings.simplefilter("always")
        try:
            subject.read(path)
            kind, detail = "read", ""
        except HardscatterError as problem:
            kind, detail = _judged(str(problem))
        except Unsound as problem:
            kind, detail = "unsound", str(problem)
        except MemoryError as problem:
            kind, detail = "memory", repr(problem)[:300]
        except BaseException as problem:
            kind, detail = "escaped", f"{_where(problem)} {problem!r}"[:400]
    ours = [str(one.message) for one in told if issubclass(one.category, RuntimeWarning)]
    if ours and kind in ("read", "refused"):
        kind, detail = "warned", ours[0]
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    return kind, detail if grown < 64 else f"[grew {grown:.0f} MiB] {detail}"


def _judged(sentence: str) -> tuple[str, str]:
    whole = "\n" not in sentence and sentence.endswith(".") and len(sentence) <= 2000
    return ("refused" if whole else "ragged"), sentence[:400]


def _where(problem: BaseException) -> str:
    trace = problem.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "" if trace is None else f"{Path(trace.tb_frame.f_code.co_filename).name}:{trace.tb_lineno}"


def _limit_memory(more_mb: int) -> None:
    """Let this process have so much more address space than it holds now."""
    with Path("/proc/self/status").open(encoding="ascii") as status:
        held = next(int(line.split()[1]) for line in status if line.startswith("VmSize"))
    limit = (held + more_mb * 1024) * 1024
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))


if __name__ == "__main__":
    main()
