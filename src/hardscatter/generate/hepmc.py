"""Reads HepMC files (ASCII, plain or .gz) of any generator into collisions; needs the extra `formats`."""

from __future__ import annotations

import gzip
import io
import os
import re
import zlib
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingExtraError, UnreadableFileError
from hardscatter.generate.collisions import Collisions
from hardscatter.generate.extraction import Record, extract, join
from hardscatter.io.faults import damage

STABLE, DECAYED, BEAM = 1, 2, 4
"""Status codes that all generators share in HepMC."""

PYTHIA_STATUS = {STABLE: 91, DECAYED: -91, BEAM: -12}
"""What they are among Pythia's codes; every other is Pythia's own without its sign."""

MB_PER_PB = 1e-9


def read_hepmc(path: str | os.PathLike[str]) -> Collisions:
    """Read all collisions of a HepMC file.

    Parameters
    ----------
    path
        HepMC2 or HepMC3 ASCII, also compressed with gzip.

    Returns
    -------
    Collisions
        Particles with status 1, in GeV and mm relative to where the beams meet, with ancestry; weights are the
        first of each collision. Truth is told as far as the record goes: tops, bosons, their decay products and
        heavy hadrons for every generator, outgoing partons where status codes 21 and 23 mark them as in Pythia.

    Raises
    ------
    UnreadableFileError
        If the file is missing, damaged, or holds no collision.
    MissingExtraError
        If pyhepmc is not installed.
    """
    return Collisions.concatenate(list(iterate_hepmc(path)))


def iterate_hepmc(path: str | os.PathLike[str], step: int = 1000) -> Iterator[Collisions]:
    """Read a HepMC file in batches of `step` collisions; otherwise as `read_hepmc`."""
    path = Path(path)
    try:
        import pyhepmc  # type: ignore[import-untyped]
    except ImportError:
        raise MissingExtraError(f"{path} needs pyhepmc to be read: pip install 'hardscatter[formats]'.") from None
    if not path.is_file():
        raise UnreadableFileError(f"{path} is not there: give the path of a HepMC file.")
    with gzip.open(path) if path.suffix == ".gz" else path.open("rb") as file:
        source = _Source(file)
        with damage(path, "the beginning"):
            layout = _layout(source)
        if layout is None:
            raise UnreadableFileError(
                f"{path} is no HepMC file: it must begin with the mark of HepMC2 or HepMC3 ASCII."
            )
        reader = pyhepmc.open(source, format=layout)  # must live as long as its iterator
        events = iter(reader)
        done = 0
        while True:
            with damage(path, f"a collision after the first {done}"):
                batch = [(_record(event), _about(event)) for event in islice(events, step)]
            if not batch:
                break
            yield _collisions(path, batch)
            done += len(batch)
    if done == 0 or not source.complete:
        raise UnreadableFileError(
            f"{path} is damaged or cut short after {done} collisions, it has no mark of its end: "
            "make it again, or take what `iterate_hepmc` gives."
        )


_NUMBER = rb" +[-+]?(?:\d+\.?\d*(?:[eE][-+]?\d+)?|nan|inf)"
_ODD_LINE = re.compile(
    rb"^(?:P(?!(?:" + _NUMBER + rb"){9,} *\r?$)|[EV](?!(?:" + _NUMBER + rb"| +@| +\[[-\d,]*\])+ *\r?$))", re.MULTILINE
)
"""A particle, collision or vertex that is not made of numbers: pyhepmc may crash on it."""
_COUNT_OR_VERTEX = re.compile(rb"^(?:E +\S+ +\d+ +(?P<count>\d+)|V(?P<vertex>[^\n]*))", re.MULTILINE)
"""How many particles a collision of HepMC3 has; a vertex, which names in brackets those that end in it."""
_INCOMING = re.compile(rb"\[([^\]]*)\]")


class _Source:
    """A file for pyhepmc to read, which says at the end whether it was complete; pyhepmc itself does not tell.

    It ends before the first line that pyhepmc should not see.
    """

    def __init__(self, file: Any) -> None:
        self._file = file
        self._tail = self._ready = self._part = b""
        self._ended = False
        self._n_particles = 0  # of the collision at hand
        self.seekable = file.seekable

    def read(self, size: int = -1) -> bytes:
        """Return the next bytes; none any more where the file is broken, so that its end mark will be missing."""
        while not self._ready and not self._ended:
            self._fill(max(size, 2**16))
        end = len(self._ready) if size < 0 else size
        data, self._ready = self._ready[:end], self._ready[end:]
        self._tail = (self._tail + data)[-100:]
        return data

    def seek(self, place: int) -> int:
        """Begin anew at a place."""
        self._tail = self._ready = self._part = b""
        self._ended = False
        return int(self._file.seek(place))

    def _fill(self, size: int) -> None:
        """Read on, whole lines only."""
        try:
            data: bytes = self._file.read(size)
        except (EOFError, OSError, zlib.error):
            data = b""
        text = self._part + data
        end = text.rfind(b"\n") + 1 if data else len(text)
        self._ready, self._part = text[:end], text[end:]
        odd = _ODD_LINE.search(self._ready)
        if odd:
            self._ready = self._ready[: odd.start()]
        found = _COUNT_OR_VERTEX.finditer(self._ready)
        stranger = next((one.start() for one in found if self._names_a_stranger(one)), None)
        self._ready = self._ready[:stranger]
        self._ended = not data or odd is not None or stranger is not None

    def _names_a_stranger(self, found: re.Match[bytes]) -> bool:
        """Keep a collision's number of particles; tell whether a vertex names one beyond it: there pyhepmc crashes."""
        if found["vertex"] is None:
            self._n_particles = int(found["count"])
            return False
        named = re.findall(rb"\d+", b",".join(_INCOMING.findall(found["vertex"])))
        return any(int(one) > self._n_particles for one in named)

    def readinto1(self, buffer: memoryview) -> int:
        """Fill a buffer with the next bytes."""
        data = self.read(len(buffer))
        buffer[: len(data)] = data
        return len(data)

    readinto = readinto1

    def write(self, data: bytes) -> int:  # noqa: ARG002 - the interface of a file
        """Exist, since pyhepmc takes only what looks writable for a file."""
        raise io.UnsupportedOperation("a HepMC file is only read")

    @property
    def complete(self) -> bool:
        return b"END_EVENT_LISTING" in self._tail


def _layout(source: _Source) -> str | None:
    """Return pyhepmc's name of the format, None if the file is not HepMC."""
    header = source.read(256)
    source.seek(0)
    marks = {b"HepMC::Asciiv3": "hepmc3", b"HepMC::IO_GenEvent": "hepmc2"}
    return next((name for mark, name in marks.items() if mark in header), None)


def _collisions(path: Path, events: list[tuple[Record, tuple[float, float | None]]]) -> Collisions:
    weights = np.array([weight for _, (weight, _) in events])
    metadata: dict[str, Any] = {"generation": {"process": path.name}}
    cross_section = events[-1][1][1]  # generators improve their estimate as they go
    if cross_section is not None:
        metadata["cross_section_mb"] = cross_section
    return extract(join([record for record, _ in events]), weights, keep_invisible=True, metadata=metadata)


def _about(event: Any) -> tuple[float, float | None]:
    """Return the weight of a collision and the cross section (mb) it reports."""
    weights = event.weights
    cross_section = event.cross_section
    return (
        float(weights[0]) if len(weights) else 1.0,
        None if cross_section is None else float(cross_section.xsec()) * MB_PER_PB,
    )


def _record(event: Any) -> Record:
    """Return the flat record of one collision; entry 0 stands for the whole, as in Pythia's record."""
    import pyhepmc

    event.set_units(pyhepmc.Units.GEV, pyhepmc.Units.MM)
    particles = event.numpy.particles
    mother, vertex = _links(event)
    px, py, pz, e = (np.asarray(getattr(particles, name)) for name in ("px", "py", "pz", "e"))
    places = _positions(event)
    if not all(np.isfinite(numbers).all() for numbers in (px, py, pz, e, places)):
        raise ValueError("a momentum or a position is not finite")
    invariant = np.sqrt(np.maximum(e**2 - px**2 - py**2 - pz**2, 0.0))
    mass = np.where(particles.is_generated_mass_set, particles.generated_mass, invariant)
    code = np.abs(particles.status)
    status = -code
    for shared, pythia in PYTHIA_STATUS.items():
        status[code == shared] = pythia
    position = places[vertex] - _origin(event)
    whole = {"pid": particles.pid, "status": status, "mother": mother}
    real = {"px": px, "py": py, "pz": pz, "mass": mass, **dict(zip("xyzt", position.T, strict=True))}
    columns: dict[str, Any] = {name: np.concatenate(([0], values)).astype(np.int32) for name, values in whole.items()}
    columns |= {name: np.concatenate(([0.0], values)) for name, values in real.items()}
    return Record(offsets=np.array([0, len(px) + 1]), **columns)


def _links(event: Any) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Return of each particle the id of its first mother and the number of its production vertex, 0 for none."""
    import pyhepmc

    data = pyhepmc.GenEventData()
    event.write_data(data)
    source, target = np.asarray(data.links1), np.asarray(data.links2)
    first_incoming = np.zeros(len(event.vertices) + 1, np.intp)
    into = (source > 0) & (target < 0)
    first_incoming[-target[into][::-1]] = source[into][::-1]  # the last written stays: the first of each vertex
    vertex = np.zeros(len(event.particles), np.intp)
    out_of = (source < 0) & (target > 0)
    vertex[target[out_of] - 1] = -source[out_of]
    return first_incoming[vertex], vertex


def _positions(event: Any) -> NDArray[np.float64]:
    """Return where each vertex is, shape (vertices + 1, 4); entry 0, for particles without one, is the event's."""
    vertices = event.numpy.vertices
    raw = np.stack([np.asarray(getattr(vertices, name)) for name in ("x", "y", "z", "t")], axis=1)
    for i in np.flatnonzero(~np.asarray(vertices.has_set_position, bool)):
        raw[i] = _four(event.vertices[i].position)  # HepMC then takes that of the nearest ancestor
    return np.concatenate([[_origin(event)], raw])


def _origin(event: Any) -> NDArray[np.float64]:
    """Return where the beams meet."""
    meeting = [beam.end_vertex for beam in event.beams if beam.end_vertex is not None]
    return _four(meeting[0].position if meeting else event.event_pos())


def _four(position: Any) -> NDArray[np.float64]:
    return np.array([position.x, position.y, position.z, position.t])
