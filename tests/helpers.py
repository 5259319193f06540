"""Events for tests: small toy crossings with everything a method may ask for."""

from __future__ import annotations

import awkward as ak
import numpy as np

import hardscatter as hs


def toy_events(n_events=4, n_candidates=300, seed=7, minimal=False):
    """Crossings with soft pileup everywhere and two hard jets; `minimal` leaves all optional fields out."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(n_candidates // 2, n_candidates + 1, n_events)
    n = int(counts.sum())
    hard = rng.random(n) < 0.15
    axis = np.where(rng.random(n) < 0.5, 0, 1)
    eta = np.where(hard, np.array([0.7, -1.2])[axis] + 0.15 * rng.normal(size=n), rng.uniform(-4.8, 4.8, n))
    phi = np.where(hard, np.array([0.4, -2.9])[axis] + 0.15 * rng.normal(size=n), rng.uniform(-np.pi, np.pi, n))
    pt = np.where(hard, 3.0, 0.7) * rng.exponential(size=n) + 0.2
    charged = (rng.random(n) < 0.5) & (np.abs(eta) < 4)
    mass = np.where(charged, 0.13957, 0.0)
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    charge = np.where(charged, rng.choice([-1, 1], n), 0)
    vertex = np.where(charged, np.where(hard, 0, 1), -1)

    def jagged(values):
        return ak.unflatten(values, counts)

    kinematics = {"pt": jagged(pt), "eta": jagged(eta), "phi": jagged(phi), "energy": jagged(energy)}
    compulsory = {**kinematics, "charge": jagged(charge), "vertex": jagged(vertex)}
    if minimal:
        return hs.from_candidates(**compulsory, n_vertices=np.full(n_events, 40))
    no_track = np.where(charged, 1.0, np.nan)
    hard_pt = jagged(np.where(hard, pt, 0.0))
    truth_jets = ak.zip(
        {
            "pt": ak.Array([[60.0, 45.0]] * n_events),
            "eta": ak.Array([[0.7, -1.2]] * n_events),
            "phi": ak.Array([[0.4, -2.9]] * n_events),
            "mass": ak.Array([[8.0, 6.0]] * n_events),
        }
    )
    px = -np.asarray(ak.sum(hard_pt * np.cos(jagged(phi)), axis=1))
    py = -np.asarray(ak.sum(hard_pt * np.sin(jagged(phi)), axis=1))
    return hs.from_candidates(
        **compulsory,
        pdg_id=jagged(np.where(charged, 211 * charge, rng.choice([22, 130], n))),
        d0=jagged(no_track * 0.01 * rng.normal(size=n)),
        dz=jagged(no_track * np.where(hard, 0.05, 40.0) * rng.normal(size=n)),
        d0_error=jagged(no_track * 0.01),
        dz_error=jagged(no_track * 0.05),
        n_vertices=np.full(n_events, 40),
        event=np.arange(n_events),
        truth={
            "hard_fraction": jagged(hard.astype(np.float64)),
            "jets": truth_jets,
            "met": {"pt": np.hypot(px, py), "phi": np.arctan2(py, px)},
        },
    )
