"""A slice of the nightly fuzzing: every reader with a few mutated files each, in children of its own.

All of it: ``make nightly``. A file that broke something is made again by its number (`fuzz.child.mutant`).
"""

from __future__ import annotations

import os
from collections import Counter

import numpy as np
import pytest

from faulty_readers import FAULTS
from fuzz.isolation import Task, outcomes
from fuzz.mutations import spoiled_bytes, spoiled_text
from fuzz.subjects import SUBJECTS, make_corpus

EACH = 12
LIGHT = sorted(set(SUBJECTS) - {"training", "checkpoint"})  # torch takes long to load
pytestmark = pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="children are limited as on Linux")


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("fuzz") / "corpus"
    make_corpus(folder, LIGHT)
    return folder


def test_every_mutated_file_is_read_or_refused_in_a_sentence(corpus):
    found = list(outcomes([Task(name, 0, EACH) for name in LIGHT], corpus))
    assert [outcome for outcome in found if not outcome.fine] == []
    assert Counter(outcome.subject for outcome in found) == dict.fromkeys(LIGHT, EACH)
    kinds = Counter(outcome.kind for outcome in found)
    assert kinds["refused"] > kinds["read"] > EACH  # the files are neither all hopeless nor all harmless


@pytest.mark.slow
def test_trainings_and_checkpoints_too(tmp_path):
    names = ["training", "checkpoint"]
    make_corpus(tmp_path / "corpus", names)
    found = list(outcomes([Task(name, 0, 40) for name in names], tmp_path / "corpus"))
    assert [outcome for outcome in found if not outcome.fine] == []
    assert len(found) == 80


def test_what_breaks_is_seen(tmp_path):
    """Readers that fail in each of the ways we look for: the child is replaced, and goes on with the next file."""
    for name in FAULTS:
        (tmp_path / name).mkdir()
        (tmp_path / name / "sound.txt").write_bytes(b"sound")
    found = list(outcomes([Task(name, 0, 2) for name in FAULTS], tmp_path, limit_s=6.0, registry="faulty_readers"))
    assert [(outcome.subject, outcome.number) for outcome in found] == [(name, i) for name in FAULTS for i in (0, 1)]
    assert [outcome.kind for outcome in found] == [outcome.subject for outcome in found]
    assert {outcome.kind for outcome in found if outcome.fine} == {"read", "refused"}


def test_mutations_change_files_and_are_the_same_again():
    content = bytes(range(256)) * 8
    for mutate in (spoiled_bytes, spoiled_text):
        made = [mutate(content, np.random.default_rng(i), (content, b"other")) for i in range(200)]
        again = [mutate(content, np.random.default_rng(i), (content, b"other")) for i in range(200)]
        assert made == again
        assert sum(one != content for one in made) > 180
        assert len({len(one) for one in made}) > 50
        assert mutate(b"", np.random.default_rng(1)) is not None
