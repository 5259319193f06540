"""Invariances of collision records and of their ancestry."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from hardscatter.generate import Ancestry, Collisions
from hardscatter.generate.collisions import PARTICLE_FIELDS, TRUTH_FIELDS
from hardscatter.generate.files import FIELDS
from hardscatter.generate.record import walk

PDG_IDS = [1, 5, 6, 11, -13, 15, 21, 22, 24, 25, 111, 211, 310, 421, 443, 511, 513, 541, 553, 2212, 4122, 5122, 9902210]


def random_collisions(seed, n):
    rng = np.random.default_rng(seed)
    counts, truth_counts = rng.integers(0, 6, n), rng.integers(0, 3, n)
    columns = {name: rng.integers(0, 100, counts.sum()).astype(np.float32) for name in PARTICLE_FIELDS}
    columns |= {name: rng.integers(0, 100, truth_counts.sum()).astype(np.float32) for name in TRUTH_FIELDS}
    return Collisions(
        offsets=np.concatenate(([0], np.cumsum(counts))),
        truth_offsets=np.concatenate(([0], np.cumsum(truth_counts))),
        weight=rng.random(n),
        **columns,
    )


def assert_same(one, two):
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name))


@given(seed=st.integers(0, 2**32), n=st.integers(1, 8), cut=st.integers(0, 8))
def test_cutting_and_joining(seed, n, cut):
    collisions = random_collisions(seed, n)
    cut = min(cut, n)
    assert_same(
        Collisions.concatenate([collisions.select(slice(0, cut)), collisions.select(slice(cut, None))]), collisions
    )
    order = np.random.default_rng(seed).permutation(n)
    assert_same(collisions.select(order).select(np.argsort(order)), collisions)


@st.composite
def forests(draw):
    """Mothers that come before their daughters, any particle anywhere."""
    n = draw(st.integers(1, 25))
    pid = draw(st.lists(st.sampled_from(PDG_IDS), min_size=n, max_size=n))
    mother = [draw(st.integers(0, max(i - 1, 0))) for i in range(n)]
    status = draw(st.lists(st.sampled_from([-12, -21, -23, 23, -51, -83, -91, 83, 91]), min_size=n, max_size=n))
    return np.array(pid), np.array(status), np.array(mother)


@given(forests(), st.integers(0, 2**32))
def test_order_within_a_record_does_not_matter(forest, seed):
    pid, status, mother = forest
    order = np.concatenate(([0], 1 + np.random.default_rng(seed).permutation(len(pid) - 1))).astype(int)
    place = np.argsort(order)
    offsets = np.array([0, len(pid)])
    bits, roles = walk(offsets, pid, status, mother)
    other_bits, other_roles = walk(offsets, pid[order], status[order], place[mother[order]])
    np.testing.assert_array_equal(other_bits, bits[order])
    np.testing.assert_array_equal(other_roles, roles[order])


@given(st.lists(forests(), min_size=1, max_size=4))
def test_batch_is_its_records_one_by_one(records):
    offsets = np.cumsum([0] + [len(pid) for pid, _, _ in records])
    bits, roles = walk(offsets, *(np.concatenate(column) for column in zip(*records, strict=True)))
    for (pid, status, mother), first, last in zip(records, offsets[:-1], offsets[1:], strict=True):
        alone = walk(np.array([0, len(pid)]), pid, status, mother)
        np.testing.assert_array_equal(bits[first:last], alone[0])
        np.testing.assert_array_equal(roles[first:last], alone[1])


@given(forests())
def test_charge_conjugation(forest):
    pid, status, mother = forest
    offsets = np.array([0, len(pid)])
    for one, other in zip(walk(offsets, pid, status, mother), walk(offsets, -pid, status, mother), strict=True):
        np.testing.assert_array_equal(one[pid != 21], other[pid != 21])  # there is no antigluon


@given(forests())
def test_daughters_inherit(forest):
    pid, status, mother = forest
    bits, _ = walk(np.array([0, len(pid)]), pid, status, mother)
    inherited = Ancestry.B_HADRON | Ancestry.C_HADRON | Ancestry.TAU
    for i in np.flatnonzero(mother > 0):
        assert bits[mother[i]] & inherited & ~bits[i] == 0
