"""From a flat event record, Pythia's or HepMC's, to collisions: stable particles and truth in float32."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.generate.collisions import Collisions
from hardscatter.generate.record import walk
from hardscatter.geometry import wrap_phi

PILEUP_ETA = 6.0
"""Pileup beyond is dropped: calorimeters end at 5, and shifting a vertex by 25 cm moves a particle by 0.1 there.

Softness is no reason to drop any: at |eta| = 5 a pT of 0.02 GeV is an energy of 1.5 GeV, and in the barrel what is
below a tower's threshold alone still adds to its sum.
"""

SMALLEST_PT = 1e-6
"""pT (GeV) is at least this, so that eta is finite for what flies along the beam."""


@dataclass(frozen=True)
class Record:
    """Event records of many collisions in flat arrays, every particle from beams to stable; GeV, mm."""

    offsets: NDArray[np.int64]
    pid: NDArray[np.int32]
    status: NDArray[np.int32]
    """Pythia's code; > 0 is stable."""
    mother: NDArray[np.int32]
    """First mother, counted within its collision; 0 or less where there is none."""
    px: NDArray[np.float64]
    py: NDArray[np.float64]
    pz: NDArray[np.float64]
    mass: NDArray[np.float64]
    x: NDArray[np.float64]
    y: NDArray[np.float64]
    z: NDArray[np.float64]
    t: NDArray[np.float64]

    def __len__(self) -> int:
        return len(self.offsets) - 1


def from_pythia(batch: Any) -> Record:
    """Return the record that an array of `nextBatch` holds."""
    particles = batch.prt.layout
    flat = particles.content
    momentum, vertex = flat["p"], flat["vProd"]
    index = np.asarray(vertex.index)

    def position(name: str) -> NDArray[np.float64]:
        values = np.append(np.asarray(vertex.content[name].data), 0.0)  # index −1, no vertex set: the collision's own
        return np.asarray(values[index])

    columns: dict[str, Any] = {name: np.asarray(momentum[name].data) for name in ("px", "py", "pz")}
    columns |= {name: np.asarray(flat[key].data) for name, key in _SAME.items()}
    columns |= {name: position(key) for name, key in (("x", "px"), ("y", "py"), ("z", "pz"), ("t", "e"))}
    return Record(offsets=np.asarray(particles.offsets.data, np.int64), **columns)


_SAME = {"pid": "id", "status": "status", "mother": "mother1", "mass": "m"}
"""Names of columns here and in Pythia's record."""


def extract(record: Record, weight: NDArray[np.float64], keep_invisible: bool, metadata: dict[str, Any]) -> Collisions:
    """Return stable particles and truth of each record.

    Parameters
    ----------
    record
        At least the stable particles; ancestry and truth as far as their mothers go.
    weight
        Generator weight of each collision.
    keep_invisible
        Whether neutrinos, and particles at any angle, are kept; else only visible ones up to |eta| = `PILEUP_ETA`.
    metadata
        Goes into the collisions as it is.
    """
    ancestry, roles = walk(record.offsets, record.pid, record.status, record.mother)
    stable = np.flatnonzero(record.status > 0)
    particles = _kinematics(record, stable)
    if not keep_invisible:
        neutrino = np.isin(np.abs(record.pid[stable]), (12, 14, 16))
        seen = ~neutrino & (np.abs(particles["eta"]) < PILEUP_ETA)
        stable = stable[seen]
        particles = {name: values[seen] for name, values in particles.items()}
    told = np.flatnonzero(roles)
    return Collisions(
        offsets=np.searchsorted(stable, record.offsets),
        **particles,
        **{name: getattr(record, name)[stable].astype(np.float32) for name in ("x", "y", "z", "t")},
        ancestry=ancestry[stable],
        weight=np.asarray(weight, np.float64),
        truth_offsets=np.searchsorted(told, record.offsets),
        truth_role=roles[told],
        **{f"truth_{name}": values for name, values in _kinematics(record, told).items()},
        metadata=metadata,
    )


def join(records: list[Record]) -> Record:
    """Return records one after the other; at least one."""
    ends = np.cumsum([0] + [int(record.offsets[-1]) for record in records])
    starts = [record.offsets[:-1] + end for record, end in zip(records, ends[:-1], strict=True)]
    columns = [item.name for item in fields(Record) if item.name != "offsets"]
    joined: dict[str, Any] = {name: np.concatenate([getattr(record, name) for record in records]) for name in columns}
    return Record(offsets=np.concatenate([*starts, ends[-1:]]), **joined)


def _kinematics(record: Record, rows: NDArray[np.intp]) -> dict[str, Any]:
    px, py, pz = record.px[rows], record.py[rows], record.pz[rows]
    pt = np.maximum(np.hypot(px, py), SMALLEST_PT)
    return {
        "pid": record.pid[rows].astype(np.int32),
        "pt": pt.astype(np.float32),
        "eta": np.arcsinh(pz / pt).astype(np.float32),
        "phi": wrap_phi(np.arctan2(py, px).astype(np.float32)),
        "mass": record.mass[rows].astype(np.float32),
    }
