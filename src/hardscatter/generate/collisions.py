"""Generated collisions in flat arrays: what the detector simulation starts from."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum, IntFlag
from typing import Any

import numpy as np
from numpy.typing import NDArray


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
