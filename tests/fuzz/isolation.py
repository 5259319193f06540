"""Children that read hostile files: a crash, a hang or a memory explosion ends the child and is told as what it is."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

_START = 600.0
"""Seconds that a child may take to load its libraries."""
TESTS = Path(__file__).parents[1]


@dataclass(frozen=True)
class Task:
    """Mutated files `first` to before `last` of a subject."""

    subject: str
    first: int
    last: int
    seed: int = 1


@dataclass(frozen=True)
class Outcome:
    """What became of one mutated file."""

    subject: str
    number: int
    kind: str
    """``read``, ``refused`` (one sentence), or a failure: ``escaped``, ``ragged``, ``warned``, ``memory``, ``unsound``,
    ``crash``, ``hang``."""
    detail: str = ""

    @property
    def fine(self) -> bool:
        """Whether it is what we promise."""
        return self.kind in ("read", "refused")


def outcomes(
    tasks: Sequence[Task],
    corpus: Path,
    limit_s: float = 60.0,
    memory_mb: int = 1024,
    registry: str = "fuzz.subjects",
) -> Iterator[Outcome]:
    """Yield what became of each mutated file, read by one child after the other.

    Parameters
    ----------
    tasks
        What to read.
    corpus
        Folder of the sound files, made by `fuzz.subjects.make_corpus`.
    limit_s
        Wall time of one file (s); a child that needs longer hangs.
    memory_mb
        Address space that a child may take beyond what its libraries hold (MiB).
    registry
        Module whose ``SUBJECTS`` are meant.
    """
    left = list(tasks)
    while left:
        with tempfile.TemporaryDirectory() as folder, (Path(folder) / "noise").open("wb") as noise:
            read, write = os.pipe()
            settings = {"tasks": [asdict(task) for task in left], "corpus": str(corpus), "folder": folder,
                        "memory_mb": memory_mb, "pipe": write, "registry": registry}  # fmt: skip
            child = subprocess.Popen(
                [sys.executable, "-m", "fuzz.child", json.dumps(settings)],
                env={**os.environ, "PYTHONPATH": str(TESTS), "OMP_NUM_THREADS": "1", "MALLOC_ARENA_MAX": "2"},
                pass_fds=[write], stdin=subprocess.DEVNULL, stdout=noise, stderr=noise,
            )  # fmt: skip
            os.close(write)
            with os.fdopen(read, "rb") as stream:
                yield from _followed(child, stream, left, limit_s, Path(folder) / "noise")


def _followed(child: subprocess.Popen[bytes], stream, left: list[Task], limit_s: float, noise: Path):
    """Yield what the child tells, then what ended it; take what is done out of `left`."""
    pending, hung, warm = b"", False, ""
    try:
        while left:
            patience = limit_s if warm == left[0].subject else _START
            ready, _, _ = select.select([stream], [], [], patience)
            data = os.read(stream.fileno(), 65536) if ready else b""
            if not data:
                hung = not ready
                break
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                said = json.loads(line)
                if "ready" in said:
                    warm = said["ready"]
                    continue
                yield Outcome(**said)
                _done(left)
    finally:
        child.kill() if hung or left else None
        child.wait()
    if left:
        task = left[0]
        if child.returncode == 1 and not hung:
            raise RuntimeError(f"a child failed by itself: {noise.read_text(errors='replace')[-2000:]}")
        said = noise.read_text(errors="replace")
        said = said[said.rfind("Fatal Python error") :][:600]
        detail = "no answer" if hung else f"ended with {child.returncode}: {said}"
        yield Outcome(task.subject, task.first, "hang" if hung else "crash", detail)
        _done(left)


def _done(left: list[Task]) -> None:
    task = left.pop(0)
    if task.first + 1 < task.last:
        left.insert(0, Task(task.subject, task.first + 1, task.last, task.seed))
