"""Generated collisions in flat arrays: what the detector simulation starts from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray

from hardscatter.geometry.angles import wrap_phi


class Ancestry(IntFlag):
    """Where a stable particle comes from; bits of `Collisions.ancestry`."""

    B_HADRON = 1
    C_HADRON = 2
    TAU = 4
    PROMPT = 8
    """A lepton or photon that comes from no hadron (leptons from prompt taus included)."""


class Role(IntEnum):
    """What an entry of the truth record is; values of `Collisions.truth_role`."""

    TOP = 1
    BOSON = 2
    """W, Z, H, Z′, W′."""
    DECAY_PRODUCT = 3
    """Quark, lepton or neutrino from the decay of a top or boson."""
    PARTON = 4
    """Outgoing quark, gluon or photon of the hard process that is none of the above."""
    B_HADRON = 5
    """A hadron with b whose decay products hold no b."""
    C_HADRON = 6
    """A hadron with c, not b, whose decay products hold no c."""


PARTICLE_FIELDS = ("pid", "pt", "eta", "phi", "mass", "x", "y", "z", "t", "ancestry")
"""Arrays with one entry a stable particle."""

TRUTH_FIELDS = ("truth_role", "truth_pid", "truth_pt", "truth_eta", "truth_phi", "truth_mass")
"""Arrays with one entry an entry of the truth record."""


@dataclass(frozen=True)
class Collisions:
    """Stable particles of many collisions, collision c in rows ``offsets[c]`` to ``offsets[c + 1]``.

    Momenta in GeV, rad; production vertices in mm relative to the collision's own vertex, ``t`` in mm (c·t).
    Neutrinos and other invisible particles are kept in hard collisions (they make the true missing momentum) and
    dropped from minimum-bias libraries.
    """

    offsets: NDArray[np.int64]
    pid: NDArray[np.int32]
    pt: NDArray[np.float32]
    eta: NDArray[np.float32]
    phi: NDArray[np.float32]
    """[−π, π)."""
    mass: NDArray[np.float32]
    x: NDArray[np.float32]
    y: NDArray[np.float32]
    z: NDArray[np.float32]
    t: NDArray[np.float32]
    ancestry: NDArray[np.uint8]
    """`Ancestry` bits."""
    weight: NDArray[np.float64]
    """Generator weight of each collision, shape (collisions,); 1 unless the process is biased."""
    truth_offsets: NDArray[np.int64]
    truth_role: NDArray[np.int8]
    """`Role` of each entry of the truth record."""
    truth_pid: NDArray[np.int32]
    truth_pt: NDArray[np.float32]
    truth_eta: NDArray[np.float32]
    truth_phi: NDArray[np.float32]
    truth_mass: NDArray[np.float32]
    metadata: dict[str, Any] = field(default_factory=dict)
    """Process, settings, versions, seed, cross section (mb)."""

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def select(self, entries: slice | Sequence[int] | NDArray[np.integer[Any]]) -> Collisions:
        """Return the collisions with these numbers, in this order; a number may come twice and count from the end.

        Raises
        ------
        IndexError
            If there is no collision of that number.
        """
        chosen = np.arange(len(self))[entries]
        rows, offsets = _rows(self.offsets, chosen)
        truth_rows, truth_offsets = _rows(self.truth_offsets, chosen)
        return Collisions(
            offsets=offsets,
            weight=self.weight[chosen],
            truth_offsets=truth_offsets,
            metadata=self.metadata,
            **{name: getattr(self, name)[rows] for name in PARTICLE_FIELDS},
            **{name: getattr(self, name)[truth_rows] for name in TRUTH_FIELDS},
        )

    def transformed(self, angle: NDArray[np.float64], sign: NDArray[np.float64]) -> Collisions:
        """Return the collisions turned about the beam, φ → φ + angle, and mirrored, η → sign · η and z → sign · z.

        Both are symmetries of the collisions; `angle` (rad) and `sign` (±1) hold one number a collision.
        """
        rows, truth_rows = (np.diff(offsets) for offsets in (self.offsets, self.truth_offsets))
        turn, flip = np.repeat(angle, rows), np.repeat(sign, rows).astype(np.float32)
        cos, sin = np.cos(turn), np.sin(turn)
        return replace(
            self,
            phi=wrap_phi((self.phi + turn).astype(np.float32)),
            eta=self.eta * flip,
            x=(self.x * cos - self.y * sin).astype(np.float32),
            y=(self.x * sin + self.y * cos).astype(np.float32),
            z=self.z * flip,
            truth_phi=wrap_phi((self.truth_phi + np.repeat(angle, truth_rows)).astype(np.float32)),
            truth_eta=self.truth_eta * np.repeat(sign, truth_rows).astype(np.float32),
        )

    @staticmethod
    def concatenate(parts: Sequence[Collisions], metadata: dict[str, Any] | None = None) -> Collisions:
        """Return the collisions of all parts, at least one, one after the other; metadata of the first unless given."""
        if len(parts) == 1 and metadata is None:
            return parts[0]
        joined = {
            name: np.concatenate([getattr(part, name) for part in parts])
            for name in ("weight", *PARTICLE_FIELDS, *TRUTH_FIELDS)
        }
        return Collisions(
            offsets=_joined_offsets([part.offsets for part in parts]),
            truth_offsets=_joined_offsets([part.truth_offsets for part in parts]),
            metadata=parts[0].metadata if metadata is None else metadata,
            **joined,
        )


def _rows(offsets: NDArray[np.int64], chosen: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the rows of the chosen collisions and the offsets they have afterwards."""
    counts = np.diff(offsets)[chosen]
    new = np.concatenate(([0], np.cumsum(counts)))
    return np.arange(new[-1]) + np.repeat(offsets[:-1][chosen] - new[:-1], counts), new


def _joined_offsets(parts: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    return np.concatenate(([0], np.cumsum(np.concatenate([np.diff(part) for part in parts]))))
