"""Finds out what a file is, from its content, and reads it: the one entry for all formats."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from hardscatter.errors import SettingsError, UnreadableFileError
from hardscatter.events import Events
from hardscatter.io import delphes, hdf5, nanoaod, pfnano
from hardscatter.io.delphes_packed import PackedDelphesFile
from hardscatter.io.faults import check_stored, damage
from hardscatter.io.friend import WithFriend, has_friend
from hardscatter.io.metadata import KEY
from hardscatter.io.padded import PaddedFile
from hardscatter.io.parquet import ParquetFile
from hardscatter.io.root import open_root, tree_of
from hardscatter.io.scouting import ScoutingFile, is_scouting
from hardscatter.io.tracks import TrackResolution

Entries = int | slice | tuple[int, int] | None
"""Which events of a file: all (None), the first n, or from start to before stop."""


class Source(Protocol):
    """A file of one format, open for reading."""

    format: str
    n_events: int

    @property
    def edges(self) -> Sequence[int]:
        """Entries where the file is cut (row groups, baskets): nothing is decoded twice if reading stops there."""

    def read(self, start: int, stop: int) -> Events:
        """Read the entries from `start` to before `stop`."""


Cut = Callable[[Sequence[int], int, int], int]
"""Says where the batch ends that begins at an entry, from the edges of the file, that entry and the step."""


def read(
    path: str | os.PathLike[str],
    entries: Entries = None,
    *,
    particle_flow: str | None = None,
    smear_tracks: bool = True,
) -> Events:
    """Read events from a file of any known format, which is told from the content.

    Formats: Delphes ROOT and the packed Delphes samples (``.npz``), CMS PFNano and btvNano, CMS scouting NanoAOD, the
    HDF5 layouts of the published TOTAL code and of DistillNet's data set, and what `write` writes (Parquet, flat
    ROOT). All events are in memory at once: `iterate` streams.

    Parameters
    ----------
    path
        The file.
    entries
        Which events: None all, n the first n, ``(start, stop)`` or a slice without step those from start to before
        stop; what lies beyond the end of the file is left out.
    particle_flow
        What filled ``ParticleFlowCandidate`` of a Delphes file without EFlow branches: ``"eflow"`` all candidates
        before mitigation, ``"chs"`` those left by charged-hadron subtraction, ``"puppi"`` momenta times their PUPPI
        weight (refused). Not used for other files.
    smear_tracks
        Whether the impact parameters of Delphes (and of the HDF5 layouts, made with it), which are the true ones, are
        smeared with the card's resolution
        (`hardscatter.io.tracks`), with noise that depends on the event's number only. False leaves the true ones, with
        NaN as their errors; no shipped model reads such a file.

    Returns
    -------
    Events
        An empty batch if the file or the range holds no events.

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged, of an unknown format, lacks a branch or holds momenta that are not finite.
    SettingsError
        If `entries` or `particle_flow` is none of the above.
    """
    _check_particle_flow(particle_flow)
    with opened(Path(path), particle_flow, smear_tracks) as source:
        start, stop = _range(entries, source.n_events)
        return source.read(start, stop)


def read_without_pileup(path: str | os.PathLike[str], entries: Entries = None, *, smear_tracks: bool = True) -> Events:
    """Read the same hard collisions without pileup from a file that holds both: the layout of the TOTAL code.

    Parameters
    ----------
    path, entries, smear_tracks
        As for `read`.

    Returns
    -------
    Events
        Crossing by crossing the pairs of what `read` gives (``nopu_part``), with one vertex each.

    Raises
    ------
    UnreadableFileError
        If the file cannot be read or holds no such pairs.
    SettingsError
        If `entries` is none of those of `read`.
    """
    path = Path(path)
    if _magic(path) != hdf5.MAGIC:
        raise UnreadableFileError(
            f"{path} holds no pairs without pileup: give an HDF5 file of the TOTAL code, or read the file of the same "
            "collisions without pileup."
        )
    with hdf5.open_hdf5(path) as file:
        layout = hdf5.TotalLayout(path, file, part="nopu_part")
        source = PaddedFile(path, file, layout, TrackResolution() if smear_tracks else None)
        return source.read(*_range(entries, source.n_events))


def iterate(
    path: str | os.PathLike[str],
    step: int = 100,
    entries: Entries = None,
    *,
    particle_flow: str | None = None,
    smear_tracks: bool = True,
) -> Iterator[Events]:
    """Read events from a file in batches of `step`, so that memory stays bounded.

    Together the batches are what `read` gives, whatever the step. Only the packed Delphes samples are loaded whole.
    A file or range without events gives no batch. A problem in the middle of a file is raised when it is reached.

    Parameters
    ----------
    path, entries, particle_flow, smear_tracks
        As for `read`.
    step
        Events in one batch, ≥ 1; the last one may be smaller.

    Yields
    ------
    Events
        One batch after the other.

    Raises
    ------
    UnreadableFileError, SettingsError
        As `read`; the settings are checked at once, the file when the first batch is asked for.
    """
    _check_settings(step, entries, particle_flow)
    return _batches(Path(path), step, entries, particle_flow, smear_tracks, _every)


def portions(
    path: str | os.PathLike[str], step: int = 100, entries: Entries = None, *, particle_flow: str | None = None
) -> Iterator[Events]:
    """Read events as `iterate` does, in batches of at most `step`, smaller ones where the file itself is cut.

    For work that need not know where a batch ends: less is decoded twice, and less is held in memory at once.
    """
    _check_settings(step, entries, particle_flow)
    return _batches(Path(path), step, entries, particle_flow, True, _at_edges)


def up_to_damage(
    path: str | os.PathLike[str], step: int = 100, *, particle_flow: str | None = None
) -> Iterator[Events]:
    """Read events as `iterate` does, and where a batch cannot be read, every event before the first that cannot.

    Yields
    ------
    Events
        One batch after the other, smaller ones near the damage.

    Raises
    ------
    UnreadableFileError, SettingsError
        As `iterate`; what is wrong with a batch once all events before the damage are given.
    """
    _check_settings(step, None, particle_flow)
    problem: UnreadableFileError | None = None
    with opened(Path(path), particle_flow, smear_tracks=True) as source:
        start = 0
        while start < source.n_events:
            end = min(start + step, source.n_events)
            try:
                events = source.read(start, end)
            except UnreadableFileError as found:
                problem = problem or found
                if end - start == 1:
                    raise problem from None
                step = (end - start) // 2
                continue
            yield events
            start = end


def count(path: str | os.PathLike[str]) -> int:
    """Return the number of events of a file without reading them.

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged or of an unknown format.
    """
    with opened(Path(path), "eflow", smear_tracks=True) as source:
        return source.n_events


def file_format(path: str | os.PathLike[str]) -> str:
    """Return the format of a file, from its content.

    Returns
    -------
    str
        ``"delphes"``, ``"delphes-packed"``, ``"pfnano"`` (btvNano too), ``"scouting"``, ``"total-hdf5"``,
        ``"distillnet-hdf5"``, ``"hardscatter-root"`` or ``"parquet"``.

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged or of an unknown format.
    """
    with opened(Path(path), "eflow", smear_tracks=True) as source:
        return source.format


def _batches(
    path: Path, step: int, entries: Entries, particle_flow: str | None, smear_tracks: bool, cut: Cut
) -> Iterator[Events]:
    with opened(path, particle_flow, smear_tracks) as source:
        start, stop = _range(entries, source.n_events)
        while start < stop:
            end = min(cut(source.edges, start, step), stop)
            yield source.read(start, end)
            start = end


def _every(_edges: Sequence[int], start: int, step: int) -> int:
    return start + step


def _at_edges(edges: Sequence[int], start: int, step: int) -> int:
    """Return the last edge within a quarter of the step, else the first within the step, else the step."""
    within = [edge for edge in edges if start < edge <= start + step]
    near = [edge for edge in within if edge <= start + step // 4]
    return near[-1] if near else within[0] if within else start + step


@contextmanager
def opened(path: Path, particle_flow: str | None, smear_tracks: bool) -> Iterator[Source]:
    """Open a file of any known format; the settings are those of `read`."""
    magic = _magic(path)
    resolution = TrackResolution() if smear_tracks else None
    if magic.startswith(b"root"):
        with open_root(path) as file:
            with damage(path, "its layout"):
                source: Source = _root_source(path, file, particle_flow, resolution)
            yield source
    elif magic.startswith(b"PAR1"):
        parquet = ParquetFile(path)
        try:
            yield parquet
        finally:
            parquet.close()
    elif magic.startswith(b"PK\x03\x04"):
        yield PackedDelphesFile(path, resolution)
    elif magic == hdf5.MAGIC:
        with hdf5.open_hdf5(path) as file:
            with damage(path, "its layout"):
                source = PaddedFile(path, file, hdf5.layout_of(path, file), resolution)
            yield source
    else:
        raise UnreadableFileError(
            f"{path} is neither ROOT, Parquet nor HDF5, nor a packed Delphes sample: give a Delphes, PFNano, "
            "scouting or hardscatter file."
        )


def _root_source(path: Path, file: Any, particle_flow: str | None, resolution: TrackResolution | None) -> Source:
    with damage(path, "its list of contents"):
        contents = file.classnames(recursive=False, cycle=False)
    if delphes.TREE in contents:
        found = delphes.DelphesFile(tree_of(path, file, delphes.TREE), particle_flow, resolution)
        return WithFriend(path, file, found) if has_friend(contents) else found
    if pfnano.TREE not in contents:
        raise UnreadableFileError(
            f"{path} has no tree 'Delphes' or 'Events' (it holds {', '.join(contents) or 'nothing'}): give a Delphes, "
            "PFNano or hardscatter file."
        )
    tree = tree_of(path, file, pfnano.TREE)
    if contents.get(KEY) == "TObjString":
        with damage(path, "its description 'hardscatter'"):
            text = str(file[KEY])
        return nanoaod.HardscatterRootFile(tree, text)
    if tree.has("PFCands_vertex"):
        raise UnreadableFileError(
            f"{path} looks like a hardscatter file that lost its object 'hardscatter' (units, names) on the way: give "
            "the file that hardscatter wrote, or copy that object as well."
        )
    pfnano.refuse_puppi_weighted(tree)
    scouting = is_scouting(tree) and not tree.has("PFCands_pt")
    nano = ScoutingFile(tree) if scouting else pfnano.PFNanoFile(tree)
    return WithFriend(path, file, nano) if has_friend(contents) else nano


def _magic(path: Path) -> bytes:
    """Return the first bytes of the file."""
    check_stored(path)
    try:
        with path.open("rb") as stream:
            magic = stream.read(8)
    except FileNotFoundError:
        raise UnreadableFileError(f"{path} does not exist: check the name.") from None
    except IsADirectoryError:
        raise UnreadableFileError(f"{path} is a folder: give the files in it one by one.") from None
    except OSError as problem:
        raise UnreadableFileError(f"{path} cannot be opened ({problem.strerror}): check its permissions.") from None
    except ValueError:  # a zero byte
        raise UnreadableFileError(f"{str(path)!r} is no name of a file: check it.") from None
    if not magic:
        raise UnreadableFileError(f"{path} is empty (0 bytes): copy or make the file again.")
    return magic


def _range(entries: Entries, n_events: int) -> tuple[int, int]:
    """Return the first entry and the one after the last, inside the file."""
    if isinstance(entries, int | np.integer) and not isinstance(entries, bool) and entries >= 0:
        entries = slice(0, int(entries))
    elif isinstance(entries, tuple) and len(entries) == 2:
        entries = slice(*entries)
    elif entries is None:
        entries = slice(None)
    if not isinstance(entries, slice) or entries.step not in (None, 1):
        raise SettingsError(f"entries is {entries!r}: give a number of events, (start, stop) or a slice without step.")
    start, stop, _ = entries.indices(n_events)
    return start, max(start, stop)


def _check_settings(step: int, entries: Entries, particle_flow: str | None) -> None:
    if step < 1:
        raise SettingsError(f"step is {step}: a batch must hold at least 1 event.")
    _check_particle_flow(particle_flow)
    _range(entries, 0)


def _check_particle_flow(particle_flow: str | None) -> None:
    if particle_flow is not None and particle_flow not in delphes.PARTICLE_FLOW:
        choices = ", ".join(repr(name) for name in delphes.PARTICLE_FLOW)
        raise SettingsError(f"particle_flow is {particle_flow!r}: choose one of {choices}.")
