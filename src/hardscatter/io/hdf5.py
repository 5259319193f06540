"""HDF5 files that others published: which layout one has, and its columns, read lazily; needs the extra `formats`.

Both layouts pad each event to a fixed number of slots; a slot with pt = 0 is empty. One hot column of eight says the
kind of a candidate: PDG id 0 (a neutral hadron of Delphes), 11, 13, 22, 211, 321, 2212, and an empty slot.

``TOTAL``
    Made by ``scripts/utils.py`` of ViniciusMikuni/OTPU: ``pu_part`` and its pair without pileup ``nopu_part``, events ×
    slots × columns, ``gen_part`` and ``high_level``. The published letter's has 17 columns. The later one has 15:
    without two of the kinds, and with a hard fraction that was multiplied by the size of the charge: it says nothing of
    neutrals and is left out.
``DistillNet``
    Zenodo 10670183, read by ``data_helpers.py`` of tbrandes01/DistillNet: ``distill_inputs_default``, columns × events
    × slots; ``data_gen``, ``data_nopu``, and ``data_puppi`` and ``data_abc`` with the weights of PUPPI and TOTAL.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from hardscatter.errors import MissingExtraError, UnreadableFileError
from hardscatter.io.faults import check_expansion, damage

MAGIC = b"\x89HDF\r\n\x1a\n"
WEIGHTS = "hardscatter_weights"
"""Group of the weights that were written back into such a file, events × slots each."""

_KINDS = (0, 11, 13, 22, 211, 321, 2212, 0)
_COMMON = ("eta", "phi", "pt", "energy", "d0", "dz", "puppi")
_TOTAL_COLUMNS: dict[int, tuple[tuple[str, ...], tuple[int, ...]]] = {
    17: ((*_COMMON, "charge", "hard"), _KINDS),
    15: ((*_COMMON, "charged_hard", "charge"), _KINDS[1:-1]),
}
_DISTILL_COLUMNS = ("px", "py", "pz", "energy", "d0", "dz", "puppi", "charge")
_GEN_COLUMNS = ("eta", "phi", "pt", "energy", "charge", "pdg_id")
_WEIGHT = 4
"""Row of ``data_puppi`` and ``data_abc`` that holds the weight, after the momentum it belongs to."""

Slots = dict[str, NDArray[Any]]
"""Columns by name, each events × slots."""


class Layout(Protocol):
    """A published layout: what a range of events holds."""

    format: str
    n_events: int
    n_slots: int
    weights: dict[str, str]
    """Names of the stored weights and where in the file they come from."""

    @property
    def edges(self) -> Sequence[int]:
        """Entries where the file is cut."""

    def candidates(self, start: int, stop: int) -> Slots:
        """Return momenta, ``charge``, ``d0``, ``dz`` (mm, relative to the beam line), ``kind``, maybe ``hard``."""

    def stored_weights(self, start: int, stop: int) -> Slots:
        """Return the stored weights by name."""

    def particles(self, start: int, stop: int) -> Slots | None:
        """Return the momenta of the hard scatter's visible stable particles, if the file has them."""

    def met(self, start: int, stop: int) -> Slots | None:
        """Return ``pt`` and ``phi`` of the true missing momentum of each event, if the file has it."""

    def n_vertices(self, start: int, stop: int) -> NDArray[np.int32] | None:
        """Return the number of vertices of each event, if the file has it."""


class TotalLayout:
    """The layout of the published TOTAL code; `part` is ``"pu_part"`` or ``"nopu_part"``."""

    format = "total-hdf5"

    def __init__(self, path: Path, file: Any, part: str = "pu_part") -> None:
        self._path, self._file, self._part = path, file, part
        self.n_events, self.n_slots, width = _shape(path, file, part, 3)
        if width not in _TOTAL_COLUMNS:
            raise UnreadableFileError(
                f"{path} has {width} columns in '{part}', known are {sorted(_TOTAL_COLUMNS)}: make it with "
                "scripts/utils.py of the TOTAL code (OTPU), the letter's version or the latest."
            )
        self._names, self._kinds = _TOTAL_COLUMNS[width]
        self.edges = _edges(file[part], 0)
        self.weights = {"delphes_puppi": f"{part}[:, :, {self._names.index('puppi')}] (PuppiW)"}

    def candidates(self, start: int, stop: int) -> Slots:
        """Return momenta, charge, impact parameters, kind and, in 17 columns, the hard fraction."""
        block = self._block(self._part, start, stop)
        named = {name: block[:, :, place] for place, name in enumerate(self._names)}
        return {**named, "kind": _kind(np.moveaxis(block[:, :, len(self._names) :], 2, 0), self._kinds)}

    def stored_weights(self, start: int, stop: int) -> Slots:
        """Return the weights of Delphes' PUPPI."""
        place = self._names.index("puppi")
        with damage(self._path, f"'{self._part}', events {start} to {stop - 1},"):
            return {"delphes_puppi": self._file[self._part][start:stop, :, place]}

    def particles(self, start: int, stop: int) -> Slots | None:
        """Return the generator's particles; neutrinos are empty slots."""
        if "gen_part" not in self._file:
            return None
        block = self._block("gen_part", start, stop)
        return {name: block[:, :, place] for place, name in enumerate(_GEN_COLUMNS[: block.shape[2]])}

    def met(self, start: int, stop: int) -> Slots | None:
        """Return Delphes' GenMissingET, the first two columns of ``high_level``."""
        if "high_level" not in self._file:
            return None
        return dict(zip(("pt", "phi"), self._block("high_level", start, stop).T[:2], strict=True))

    def n_vertices(self, start: int, stop: int) -> NDArray[np.int32] | None:
        """Return the number of generated vertices, the last column of ``high_level``; without pileup there is one."""
        if self._part == "nopu_part":
            return np.ones(stop - start, dtype=np.int32)
        if "high_level" not in self._file:
            return None
        return self._block("high_level", start, stop)[:, -1].astype(np.int32)

    def _block(self, name: str, start: int, stop: int) -> NDArray[Any]:
        with damage(self._path, f"'{name}', events {start} to {stop - 1},"):
            return np.asarray(self._file[name][start:stop])


class DistillNetLayout:
    """The layout of DistillNet's public data set."""

    format = "distillnet-hdf5"

    def __init__(self, path: Path, file: Any, part: str = "distill_inputs_default") -> None:
        self._path, self._file = path, file
        width, self.n_events, self.n_slots = _shape(path, file, part, 3)
        if width != len(_DISTILL_COLUMNS) + len(_KINDS):
            raise UnreadableFileError(
                f"{path} has {width} rows in '{part}', not the 16 of DistillNet's data set (Zenodo 10670183): "
                "give one of its files."
            )
        self.edges = _edges(file[part], 1)
        known = {"delphes_puppi": "data_puppi", "published_total": "data_abc"}
        self._weighted = {name: dataset for name, dataset in known.items() if dataset in file}
        self.weights = {name: f"{dataset}[{_WEIGHT}]" for name, dataset in self._weighted.items()}

    def candidates(self, start: int, stop: int) -> Slots:
        """Return momenta, charge, impact parameters and kind."""
        block = self._block("distill_inputs_default", slice(None), start, stop)
        named = dict(zip(_DISTILL_COLUMNS, block, strict=False))
        return {**_polar(named), **named, "kind": _kind(block[len(_DISTILL_COLUMNS) :], _KINDS)}

    def stored_weights(self, start: int, stop: int) -> Slots:
        """Return the weights of Delphes' PUPPI and of the published TOTAL."""
        return {name: self._block(dataset, _WEIGHT, start, stop) for name, dataset in self._weighted.items()}

    def particles(self, start: int, stop: int) -> Slots | None:
        """Return the generator's particles, without neutrinos as the TOTAL code left them."""
        if "data_gen" not in self._file:
            return None
        named = dict(zip(_DISTILL_COLUMNS[:4], self._block("data_gen", slice(4), start, stop), strict=True))
        return {**_polar(named), "energy": named["energy"]}

    def met(self, start: int, stop: int) -> None:
        """Return nothing: the data set does not tell."""

    def n_vertices(self, start: int, stop: int) -> None:
        """Return nothing: the data set does not tell."""

    def _block(self, name: str, rows: Any, start: int, stop: int) -> NDArray[Any]:
        with damage(self._path, f"'{name}', events {start} to {stop - 1},"):
            return np.asarray(self._file[name][rows, start:stop, :])


@contextmanager
def open_hdf5(path: Path, mode: str = "r") -> Iterator[Any]:
    """Open an HDF5 file.

    Raises
    ------
    MissingExtraError
        If h5py is not installed.
    UnreadableFileError
        If the file is damaged.
    """
    try:
        import h5py  # type: ignore[import-untyped]  # an extra
    except ImportError:
        raise MissingExtraError(f"{path} needs h5py to be read: pip install 'hardscatter[formats]'.") from None
    with damage(path, "its list of contents"):
        file = h5py.File(path, mode)
    with file:
        yield file


def layout_of(path: Path, file: Any) -> Layout:
    """Return the layout of an open file.

    Raises
    ------
    UnreadableFileError
        If it is none of those that are known.
    """
    with damage(path, "its list of contents"):
        names = list(file)
    if "pu_part" in names:
        return TotalLayout(path, file)
    if "distill_inputs_default" in names:
        return DistillNetLayout(path, file)
    raise UnreadableFileError(
        f"{path} has neither 'pu_part' (TOTAL code) nor 'distill_inputs_default' (DistillNet); it holds "
        f"{', '.join(names) or 'nothing'}: give a file of one of these layouts, or pass your arrays to "
        "hs.from_candidates."
    )


def _shape(path: Path, file: Any, name: str, n_axes: int) -> tuple[int, ...]:
    if name not in file:
        raise UnreadableFileError(f"{path} has no data set '{name}': give a file that holds it.")
    shape = tuple(getattr(file[name], "shape", ()))
    if len(shape) != n_axes:
        raise UnreadableFileError(f"{path} has '{name}' with shape {shape}, not {n_axes} axes: make the file again.")
    check_expansion(path, f"'{name}'", int(file[name].nbytes))
    return shape


def _edges(dataset: Any, axis: int) -> range:
    """Return the events where the file is cut into chunks; it is not cut where it lies in one piece."""
    n_events = dataset.shape[axis]
    return range(0, n_events + 1, dataset.chunks[axis]) if dataset.chunks else range(0)


def _kind(hot: NDArray[Any], kinds: Sequence[int]) -> NDArray[np.int32]:
    """Return the absolute PDG id that one hot column (the first axis) says, 0 where none does."""
    chosen = np.argmax(hot, axis=0)
    return np.where(hot.any(axis=0), np.asarray(kinds, dtype=np.int32)[chosen], np.int32(0))


def _polar(named: Slots) -> Slots:
    """Return transverse momentum, pseudorapidity and azimuth of Cartesian momenta; all 0 in empty slots."""
    px, py, pz = (named[name].astype(np.float64) for name in ("px", "py", "pz"))
    pt = np.hypot(px, py)
    eta = np.arcsinh(np.divide(pz, pt, out=np.zeros_like(pz), where=pt > 0))
    columns = {"pt": pt, "eta": eta, "phi": np.arctan2(py, px)}
    return {name: values.astype(np.float32) for name, values in columns.items()}
