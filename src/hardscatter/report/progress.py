"""How far long work is: a bar with rate and time left for people, lines of JSON for machines, or nothing."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from hardscatter.errors import SettingsError

if TYPE_CHECKING:
    from rich.progress import TaskID

    from hardscatter.simulation import Progress

KINDS = ("auto", "json", "none")
"""``auto``: a bar on a terminal, a line at every tenth elsewhere; ``json``: a line a second on stderr, each an object
with ``doing``, ``done``, ``total``, ``rate`` (a second) and ``seconds_left``, the last two null while unknown."""

_EVERY = 1.0  # s between lines of JSON


class Advance(Protocol):
    """Called with the number of events that are done."""

    def __call__(self, n: int) -> None:
        """Count `n` more events."""


@dataclass(frozen=True)
class Pace:
    """How fast a stage goes: what was ready when it was first told of is not counted."""

    start: float
    """When it was first told of, s."""
    ready: int
    """How much there was by then."""

    def rate(self, now: float, done: int) -> float | None:
        """Return how much is done in a second; None while nothing is."""
        return (done - self.ready) / (now - self.start) if done > self.ready and now > self.start else None

    def seconds_left(self, now: float, done: int, total: int) -> float | None:
        """Return how long the rest takes at this rate; None while it is not known."""
        if done >= total:
            return 0.0
        rate = self.rate(now, done)
        return None if rate is None else (total - done) / rate


def check_kind(kind: str) -> None:
    """Refuse a kind of progress that is not known, before any work.

    Raises
    ------
    SettingsError
        If it is none of `KINDS`.
    """
    if kind not in KINDS:
        raise SettingsError(f"progress '{kind}' is not known: give one of {', '.join(KINDS)}.")


@contextmanager
def progress(what: str, total: int, kind: str = "auto") -> Iterator[Advance]:
    """Show how far the events of one file are."""
    done = 0
    with stages(kind, "events") as tell:
        tell(what, 0, total)

        def advance(n: int) -> None:
            nonlocal done
            done += n
            tell(what, done, total)

        yield advance


@contextmanager
def stages(kind: str = "auto", unit: str = "") -> Iterator[Progress]:
    """Show work that has several stages, each told by name, how much is done and how much there is."""
    check_kind(kind)
    if kind == "none":
        yield lambda _what, _done, _total: None
    elif kind == "json":
        with json_lines() as tell:
            yield tell
    elif sys.stderr.isatty():
        with _bars() as tell:
            yield tell
    else:
        yield _Tenths(unit)


@contextmanager
def json_lines(clock: Callable[[], float] = time.monotonic) -> Iterator[Progress]:
    """Write a line of JSON at most once a second, and the last of each stage, to stderr."""
    paces = _Paces(clock)
    written = -_EVERY
    waiting: dict[str, tuple[int, int]] = {}

    def write(what: str, done: int, total: int) -> None:
        nonlocal written
        waiting.pop(what, None)
        written, pace = clock(), paces.of(what, done)
        rate, left = pace.rate(written, done), pace.seconds_left(written, done, total)
        said = {"doing": what, "done": done, "total": total, "rate": _rounded(rate), "seconds_left": _rounded(left)}
        print(json.dumps(said, ensure_ascii=False), file=sys.stderr, flush=True)

    def tell(what: str, done: int, total: int) -> None:
        paces.of(what, done)
        if clock() - written >= _EVERY or done >= total:
            write(what, done, total)
        else:
            waiting[what] = (done, total)

    try:
        yield tell
    finally:
        for what, (done, total) in list(waiting.items()):
            write(what, done, total)


def spelt(seconds: float) -> str:
    """Return a time as people say it: 45 s, 12 min, 3 h 5 min."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


class _Paces:
    """The pace of each stage."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._known: dict[str, Pace] = {}

    def of(self, what: str, done: int) -> Pace:
        """Return the pace of a stage; one that starts again, with less done, gets a new one."""
        known = self._known.get(what)
        if known is None or done < known.ready:
            known = self._known[what] = Pace(self._clock(), done)
        return known

    def words(self, what: str, done: int, total: int) -> str:
        """Return rate and time left, as far as they are known."""
        pace, now = self.of(what, done), self._clock()
        rate, left = pace.rate(now, done), pace.seconds_left(now, done, total)
        said = [] if rate is None else [f"{rate:.3g}/s"]
        return ", ".join([*said, *([f"{spelt(left)} left"] if left else [])])


class _Tenths:
    """A line at every tenth of a stage."""

    def __init__(self, unit: str) -> None:
        self._unit, self._paces = unit, _Paces()
        self._tenths: dict[str, int] = {}

    def __call__(self, what: str, done: int, total: int) -> None:
        words = self._paces.words(what, done, total)
        tenth = done * 10 // max(total, 1)
        if tenth != self._tenths.get(what, 0):
            line = f"{what}: {done} of {total} {self._unit}".rstrip()
            print(f"{line}, {words}" if words else line, file=sys.stderr, flush=True)
        self._tenths[what] = tenth


@contextmanager
def _bars() -> Iterator[Progress]:
    """Draw a bar a stage, with how much is done, how fast, and how long it takes still."""
    from rich import progress as rich
    from rich.console import Console

    columns = (rich.TextColumn("{task.description}"), rich.BarColumn(), rich.MofNCompleteColumn(),
               rich.TimeElapsedColumn(), rich.TextColumn("{task.fields[pace]}"))  # fmt: skip
    paces = _Paces()
    with rich.Progress(*columns, console=Console(stderr=True), transient=True) as bars:
        tasks: dict[str, TaskID] = {}

        def draw(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bars.add_task(what, total=total, pace="")
            bars.update(tasks[what], completed=done, total=total, pace=paces.words(what, done, total))

        yield draw


def _rounded(value: float | None) -> float | None:
    return None if value is None else float(f"{value:.4g}")
