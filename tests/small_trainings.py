"""Trainings of seconds, and pairs of toy crossings to look at their parts."""

from __future__ import annotations

import awkward as ak
import numpy as np

import hardscatter as hs
from hardscatter.pileup.features import DEFAULT_SCHEMA
from hardscatter.pileup.links import Nearest
from hardscatter.training.batches import batch_of
from hardscatter.training.configuration import Training, parse
from helpers import toy_events

SMALL = {
    "name": "small",
    "objective": [{"loss": "hard_fraction"}, {"loss": "swd:mass", "factor": 0.1, "settings": {"slices": 4}},
                  {"loss": "met", "factor": 0}],
    "data": {"processes": ["ttbar-semileptonic"], "cards": ["cms-phase2"], "pileup": 5, "seed": 11, "n_hard": 9,
             "n_minbias": 60},
    "validation": {"seed": 12, "n_hard": 4, "n_minbias": 60, "batches": 2},
    "network": {"k": 4, "encoder": [8], "blocks": 1, "dense": [8], "head": [8]},
    "length": {"rounds": 3, "steps": 2, "crossings": 2, "snapshots": 2},
}  # fmt: skip


def small(**changes):
    """Return a training of seconds; of sections only what differs need be given."""
    merged = {key: {**old, **changes.get(key, {})} if isinstance(old, dict) else old for key, old in SMALL.items()}
    others = {key: value for key, value in changes.items() if not isinstance(SMALL.get(key), dict)}
    return parse(Training, {**merged, **others}, "small")


def toy_pair(n_events=3, n_candidates=120, seed=7, minimal=False):
    """Return toy crossings without and with pileup; `minimal` leaves all optional fields out, but for the truth."""
    events = toy_events(n_events, n_candidates, seed)
    hard = events.truth.hard_fraction
    if minimal:
        bare = toy_events(n_events, n_candidates, seed, minimal=True)
        events = bare.with_field("truth", ak.zip({"hard_fraction": hard}, depth_limit=1))
    keep = hard > 0.5
    columns = {name: events.candidates[name][keep] for name in ("pt", "eta", "phi", "energy", "charge", "vertex")}
    return hs.from_candidates(**columns, n_vertices=np.full(n_events, 40)), events


def empty_pair(counts=(0, 0)):
    """Return crossings of few candidates, or none; without pileup nothing is left."""
    n = sum(counts)

    def crossings(counts):
        rng = np.random.default_rng(5)
        columns = {
            "pt": rng.uniform(0.5, 9.0, n), "eta": rng.uniform(-3, 3, n), "phi": rng.uniform(-3, 3, n),
            "energy": np.full(n, 100.0), "charge": rng.integers(-1, 2, n), "vertex": np.full(n, -1),
        }  # fmt: skip
        jagged = {name: ak.unflatten(values[: sum(counts)], counts) for name, values in columns.items()}
        truth = {"hard_fraction": ak.zeros_like(jagged["pt"])}
        return hs.from_candidates(**jagged, n_vertices=np.full(len(counts), 40), truth=truth)

    return crossings([0] * len(counts)), crossings(list(counts))


def batch(alone, events, k=4, missing=(0.0, 0.0), number=0, seed=1):
    """Return the batch of a pair."""
    return batch_of(alone, events, number, DEFAULT_SCHEMA, Nearest(k=k), missing, seed)
