"""A production: many parts from many inputs into one folder, gone on with where it was, never twice, never half."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hardscatter.errors import HardscatterError, SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.io import count
from hardscatter.jobs import Cluster, Outcome, at_work, run
from hardscatter.production.inputs import identity
from hardscatter.production.manifest import Manifest, header, opened, read_manifest
from hardscatter.production.parts import ASIDE, Made, Maker, Part, Work, line_of, name_of, ranges, sha256
from hardscatter.simulation import Progress

if TYPE_CHECKING:
    from distributed import Client

PART = 1000
"""Events in a part."""


@dataclass(frozen=True)
class Order:
    """What a folder is to hold, and how it is made."""

    production: str
    """The verb."""
    settings: Mapping[str, Any]
    """All that decides what comes out: every run in the folder must have the same."""
    work: Work
    suffix: str = ".parquet"
    part: int = PART
    """Events in a part, at most."""

    def header(self) -> dict[str, Any]:
        """Return the first line of the manifest."""
        return header(self.production, {**self.settings, "part": self.part, "suffix": self.suffix})


@dataclass(frozen=True)
class Produced:
    """What a production holds after a run."""

    folder: Path
    parts: int
    events: int
    made: int
    """Parts of this run; the others were there."""
    bad: tuple[str, ...] = ()
    """Inputs, or parts of them, that could not be used, each with its reason."""


def produce_from_files(
    paths: Sequence[Path],
    folder: Path,
    order: Order,
    *,
    cluster: Cluster | Client | None = None,
    skip_bad: bool = False,
    progress: Progress | None = None,
) -> Produced:
    """Make the parts of files that a folder does not hold yet.

    Parameters
    ----------
    paths
        The inputs. More of them may come in a later run.
    folder
        Of the output: parts and a manifest.
    order
        What to make of them.
    cluster
        Who works; this process if None. What comes out is the same.
    skip_bad
        Set a bad input aside, with its name and the reason in the manifest, and go on; tried again in the next run.
        Otherwise it is an error.
    progress
        Called with what is being done, how many events are ready and how many there are.

    Raises
    ------
    UnreadableFileError
        If an input cannot be read, unless bad ones are skipped, or is not the one of an earlier run.
    SettingsError
        If the folder was made with other settings.
    ClusterError, UnwritableFileError
        If workers are lost, or there is no room: what is finished stays, and the same call goes on.
    """
    with ExitStack() as stack:
        manifest, workers = _begun(folder, order, cluster, stack)
        bad = _look(paths, manifest, workers, skip_bad, progress)
        good = [path for path in paths if "events" in manifest.inputs.get(str(path), {})]
        parts = (
            Part(str(path), first, last, name_of(path.stem, str(path), first, last, order.suffix))
            for path in good
            for first, last in ranges(manifest.inputs[str(path)]["events"], order.part)
        )
        total = sum(manifest.inputs[str(path)]["events"] for path in good)
        return _make(parts, total, manifest, order, workers, skip_bad, progress, bad)


def produce(
    source: str,
    n: int,
    folder: Path,
    order: Order,
    *,
    cluster: Cluster | Client | None = None,
    progress: Progress | None = None,
) -> Produced:
    """Make the parts of `n` events of something that is no file, such as a process; else as `produce_from_files`."""
    stem = "".join(letter if letter.isalnum() or letter in "-_" else "-" for letter in Path(source).stem)
    parts = (
        Part(source, first, last, name_of(stem, source, first, last, order.suffix))
        for first, last in ranges(n, order.part)
    )
    with ExitStack() as stack:
        manifest, workers = _begun(folder, order, cluster, stack)
        return _make(parts, n, manifest, order, workers, False, progress, [])


def verify(folder: str | os.PathLike[str], *, progress: Progress | None = None) -> list[str]:
    """Return what is wrong with a production: one sentence each, none if all that the manifest says is so.

    Every part must be there with its checksum, nothing else but them, and the parts of each input must hold each of its
    entries exactly once.

    Parameters
    ----------
    folder
        Of the production.
    progress
        Called with what is being done, how many parts are looked through and how many there are.

    Raises
    ------
    UnreadableFileError
        If there is no manifest, or it is damaged.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    problems = []
    listed = {"manifest.jsonl"}
    for done, line in enumerate(manifest.parts.values(), start=1):
        for name, size, digest in [(line["part"], line["bytes"], line["sha256"])] + [
            (more["file"], more["bytes"], more["sha256"]) for more in line.get("with", [])
        ]:
            listed.add(name)
            path = folder / name
            if not path.is_file():
                problems.append(f"{path} is missing: give the command that made it again.")
            elif path.stat().st_size != size or sha256(path) != digest:
                problems.append(
                    f"{path} has changed since it was made: delete it and give the command that made it again."
                )
        if progress is not None:
            progress("verifying", done, len(manifest.parts))
    strange = sorted(path.name for path in folder.iterdir() if path.is_file() and path.name not in listed)
    problems += [f"{folder / name} is not in the manifest." for name in strange]
    by_input: dict[str, list[tuple[int, int]]] = {}
    for line in manifest.parts.values():
        by_input.setdefault(line["input"], []).append((line["first"], line["last"]))
    for name, about in manifest.inputs.items():
        if "problem" in about:
            problems.append(f"{name} could not be used: {about['problem']}")
    for name in sorted({*by_input, *manifest.inputs}):
        problems += _gaps(name, sorted(by_input.get(name, [])), manifest.inputs.get(name, {}).get("events"))
    return problems


def _gaps(name: str, found: list[tuple[int, int]], events: int | None) -> Iterator[str]:
    reached = 0
    for first, last in found:
        if first > reached:
            yield f"{name}: entries {reached} to {first} are missing."
        elif first < reached:
            yield f"{name}: entries {first} to {reached} are there twice."
        reached = max(reached, last)
    if events is not None and reached < events:
        yield f"{name}: entries {reached} to {events} are missing."


def _begun(
    folder: Path, order: Order, cluster: Cluster | Client | None, stack: ExitStack
) -> tuple[Manifest, Client | None]:
    """Open the manifest and start the workers; what they leave is removed when they have stopped, not before."""
    manifest = stack.enter_context(opened(folder, order.header()))
    _forget_lost(manifest)
    _sweep(folder)
    stack.callback(_sweep, folder)
    return manifest, stack.enter_context(at_work(cluster))


def _forget_lost(manifest: Manifest) -> None:
    """Take parts as not made whose files are gone or cut short: they are made anew."""
    for name, line in list(manifest.parts.items()):
        files = [(name, line["bytes"]), *((more["file"], more["bytes"]) for more in line.get("with", []))]
        if any(_size(manifest.folder / file) != size for file, size in files):
            del manifest.parts[name]


def _size(path: Path) -> int | None:
    try:
        return path.stat().st_size
    except OSError:
        return None


def _look(
    paths: Sequence[Path], manifest: Manifest, workers: Client | None, skip_bad: bool, progress: Progress | None
) -> list[str]:
    """Find how many events the inputs hold, and write it down; return those that cannot be used, with the reason."""
    bad = []
    owners = {about["identity"]: name for name, about in manifest.inputs.items() if "identity" in about}
    for done, outcome in enumerate(run(_about, [str(path) for path in paths], workers), start=1):
        if outcome.problem is not None:
            bad.append(_set_aside(outcome.job, outcome.problem, manifest, skip_bad))
        elif outcome.result is not None:
            _note(outcome.job, outcome.result, manifest, owners)
        if progress is not None and len(paths) > 1:
            progress("files", done, len(paths))
    return bad


def _note(name: str, about: dict[str, Any], manifest: Manifest, owners: dict[str, str]) -> None:
    """Write down what an input holds, unless it is known; changed ones and copies are refused."""
    known = manifest.inputs.get(name, {})
    if known.get("identity", about["identity"]) != about["identity"]:
        raise UnreadableFileError(
            f"{name} is not the file that {manifest.folder} was made from: put that back or take a new folder."
        )
    owner = owners.setdefault(about["identity"], name)
    if owner != name:
        raise SettingsError(f"{name} holds the same as {owner}: its events would count twice.")
    if "events" not in known or "problem" in known:  # new, or to be tried again
        manifest.add({"input": name, **about})


def _about(name: str) -> dict[str, Any]:
    path = Path(name)
    return {"identity": identity(path), "events": count(path)}


def _make(
    parts: Iterator[Part], total: int, manifest: Manifest, order: Order, workers: Client | None, skip_bad: bool,
    progress: Progress | None, bad: list[str],
) -> Produced:  # fmt: skip
    """Make what is missing of the parts."""
    folder = manifest.folder
    ready = sum(line["events"] for line in manifest.parts.values())
    made = 0
    if progress is not None:
        progress("events", ready, total)
    for outcome in run(Maker(order.work, folder), _missing(parts, manifest), workers):
        if outcome.result is None:
            bad.append(_bad_part(outcome, manifest, skip_bad))
            continue
        _accept(folder, outcome.result)
        manifest.add(line_of(outcome.job, outcome.result))
        made += 1
        ready += outcome.result.events
        if progress is not None:
            progress("events", ready, total)
    events = sum(line["events"] for line in manifest.parts.values())
    return Produced(folder, len(manifest.parts), events, made, tuple(bad))


def _missing(parts: Iterator[Part], manifest: Manifest) -> Iterator[Part]:
    """Yield the parts that are not there; one that starts with another must end with it."""
    last = {(line["input"], line["first"]): line["last"] for line in manifest.parts.values()}
    for part in parts:
        there = last.get((part.source, part.first))
        if there is None:
            yield part
        elif there != part.last:
            raise SettingsError(
                f"{manifest.folder} holds entries {part.first} to {there} of {part.source} in one part, not to "
                f"{part.last}: ask for as many events as before, or take a new folder."
            )


def _bad_part(outcome: Outcome[Part, Made], manifest: Manifest, skip_bad: bool) -> str:
    assert outcome.problem is not None
    part = outcome.job
    return _set_aside(part.source, outcome.problem, manifest, skip_bad, f", entries {part.first} to {part.last}")


def _set_aside(name: str, problem: HardscatterError, manifest: Manifest, skip_bad: bool, where: str = "") -> str:
    """Write down that an input cannot be used; return it with the reason. No room and wrong settings are no skips."""
    if not skip_bad or isinstance(problem, UnwritableFileError | SettingsError):
        raise type(problem)(f"{name}{where}: {problem}" if name not in str(problem) else str(problem)) from problem
    known = {key: value for key, value in manifest.inputs.get(name, {}).items() if key != "problem"}
    manifest.add({"input": name, **known, "problem": f"{problem}{where}"})
    return f"{name}{where}: {problem}"


def _accept(folder: Path, made: Made) -> None:
    """Give the files of a part their names."""
    try:
        for name, path, _, _ in made.files:
            target = folder / name
            target.parent.mkdir(parents=True, exist_ok=True)
            Path(path).replace(target)
    except OSError as problem:
        raise UnwritableFileError(
            f"{folder} cannot be written ({problem.strerror}): make room and start again."
        ) from None


def _sweep(folder: Path) -> None:
    """Remove what nobody has accepted, of this run or of one that was killed."""
    shutil.rmtree(folder / ASIDE, ignore_errors=True)
