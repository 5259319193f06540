"""Collisions in files and libraries: nothing half-written, nothing mixed up, every fault one sentence."""

from __future__ import annotations

import errno
import os
import re
import time

import numpy as np
import pytest

from hardscatter.errors import SettingsError, UnreadableFileError, UnwritableFileError
from hardscatter.generate import Collisions, Generation, Library, build, cache_folder, excerpt, files
from hardscatter.generate.files import FIELDS, load, save

GENERATION = Generation("zll-jets", seed=4)


@pytest.fixture(autouse=True)
def _cache(monkeypatch, tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "generate-cache"
    monkeypatch.setenv("HARDSCATTER_CACHE", str(folder))


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """Seven collisions in chunks of three."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(tmp_path_factory.getbasetemp() / "generate-cache"))
        return build(GENERATION, 7, tmp_path_factory.mktemp("library"), workers=1, chunk_size=3)


@pytest.fixture
def library(made, tmp_path):
    """A copy of it to do harm to."""
    for path in made.folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return Library.open(tmp_path)


def assert_same(one: Collisions, two: Collisions) -> None:
    for name in FIELDS:
        np.testing.assert_array_equal(getattr(one, name), getattr(two, name), strict=True)


def test_save_and_load(made, tmp_path):
    collisions = made.load()
    save(tmp_path / "some.npz", collisions)
    again = load(tmp_path / "some.npz")
    assert_same(again, collisions)
    assert again.metadata == collisions.metadata


def test_library_says_what_it_is(made):
    assert len(made) == 7
    assert made.generation == GENERATION
    assert made.cross_section > 0
    assert sorted(path.name for path in made.folder.iterdir()) == [
        *(f"chunk-00000{i}.npz" for i in range(3)),
        "library.json",
        "multiparton.mpi",
    ]
    assert made.load().metadata["versions"]["pythia8mc"]
    assert len(made.description["multiparton_sha256"]) == 64


def test_loading_by_number(made):
    everything = made.load()
    for entries in ([6, 0, 3, 3, -1], slice(2, 5), np.array([4]), range(7), []):
        chosen = np.arange(7)[entries]
        assert_same(made.load(entries), everything.select(chosen))
        assert len(made.load(entries)) == len(chosen)
    assert_same(made.collisions(5), everything.select([5]))
    with pytest.raises(IndexError):
        made.load([7])


def test_growing_keeps_what_is_there(library):
    before = library.load()
    first = (library.folder / "chunk-000000.npz").stat().st_mtime_ns
    told = []
    grown = build(GENERATION, 11, library.folder, workers=1, on_collisions=lambda *now: told.append(now))
    assert_same(grown.load(range(7)), before)
    assert_same(library.load(), before)  # the older, shorter view still holds
    assert (library.folder / "chunk-000000.npz").stat().st_mtime_ns == first
    assert told == [(6, 11), (9, 11), (11, 11)]
    assert len(Library.open(library.folder)) == 11
    assert len(build(GENERATION, 5, library.folder)) == 5
    assert len(Library.open(library.folder)) == 11


@pytest.mark.parametrize(("first", "last"), [(0, 7), (2, 5), (3, 6), (6, 9), (4, 4)])
def test_an_excerpt_is_what_the_library_holds_or_would_hold(library, first, last):
    whole = build(GENERATION, 9, library.folder, workers=1).load()
    for number in (1, 2):
        (library.folder / f"chunk-{number:06d}.npz").unlink()
    part = excerpt(GENERATION, first, last, library.folder)
    assert not (library.folder / "chunk-000001.npz").exists()
    wanted = whole.select(slice(first, last))
    assert all(np.array_equal(getattr(part, name), getattr(wanted, name)) for name in FIELDS)


def test_an_excerpt_of_nothing_there_is_refused():
    with pytest.raises(SettingsError, match="no range"):
        excerpt(GENERATION, 3, 2)


def test_complete_library_is_left_alone(library):
    stamp = {path.name: path.stat().st_mtime_ns for path in library.folder.iterdir()}
    build(GENERATION, 7, library.folder, workers=1)
    assert {path.name: path.stat().st_mtime_ns for path in library.folder.iterdir()} == stamp


@pytest.mark.parametrize("harm", ["cut", "garbage", "gone", "flipped"])
def test_damaged_chunk(library, harm):
    whole = library.load()
    path = library.folder / "chunk-000001.npz"
    content = path.read_bytes()
    if harm == "gone":
        path.unlink()
    elif harm == "flipped":
        middle = len(content) // 2
        path.write_bytes(content[:middle] + bytes([content[middle] ^ 0xFF]) + content[middle + 1 :])
    else:
        path.write_bytes(content[: len(content) // 2] if harm == "cut" else b"nonsense")
    with pytest.raises(UnreadableFileError, match=r"chunk-000001\.npz.*build the library again") as caught:
        library.load()
    assert "\n" not in str(caught.value)
    path.unlink(missing_ok=True)
    build(GENERATION, 7, library.folder, workers=1)
    assert_same(library.load(), whole)
    assert path.read_bytes() == content


def test_damaged_description(library):
    description = library.folder / "library.json"
    whole = description.read_text()
    endless = re.sub(r'"n_collisions": \d+', '"n_collisions": 1e9999', whole)
    for damaged in (endless, whole[:40]):
        assert damaged != whole
        description.write_text(damaged)
        with pytest.raises(UnreadableFileError, match=r"library\.json is damaged"):
            Library.open(library.folder)
    description.unlink()
    with pytest.raises(UnreadableFileError, match="holds no library"):
        Library.open(library.folder)
    with pytest.raises(SettingsError, match="chunks without a"):
        build(GENERATION, 7, library.folder)


@pytest.mark.parametrize(
    ("other", "size"), [(Generation("zll-jets", seed=5), None), (Generation("qcd"), None), (GENERATION, 4)]
)
def test_another_library_in_the_folder(library, other, size):
    with pytest.raises(SettingsError, match="holds another library"):
        build(other, 7, library.folder, workers=1, chunk_size=size)


def test_full_device_leaves_nothing_half_written(library, monkeypatch):
    before = sorted(path.name for path in library.folder.iterdir())

    def full(file, **arrays):
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(files.np, "savez", full)
    with pytest.raises(UnwritableFileError, match=r"chunk-000002\.npz cannot be written \(No space left on device\)"):
        build(GENERATION, 11, library.folder, workers=1)
    assert sorted(path.name for path in library.folder.iterdir()) == before
    assert len(Library.open(library.folder).load()) == 7


def test_folder_that_cannot_be(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFileError, match="file cannot be made"):
        build(GENERATION, 1, tmp_path / "file")


def test_leftovers_of_the_dead_are_removed_and_those_of_the_living_kept(library):
    old, new = library.folder / ".a.npz.1.partial", library.folder / ".b.npz.2.partial"
    for path in (old, new):
        path.write_text("half")
    os.utime(old, (time.time() - 7200,) * 2)
    build(GENERATION, 7, library.folder)
    assert not old.exists()
    assert new.exists()


def test_interrupted_first_build(library):
    description = library.folder / "library.json"
    whole = description.read_text()
    description.write_text(whole.replace('"n_collisions"', '"n_unfinished"'))
    with pytest.raises(UnreadableFileError, match="unfinished library"):
        Library.open(library.folder)
    assert len(build(GENERATION, 7, library.folder)) == 7


def test_cache_folder(monkeypatch, tmp_path):
    monkeypatch.setenv("HARDSCATTER_CACHE", str(tmp_path / "here"))
    assert cache_folder() == tmp_path / "here"
    monkeypatch.delenv("HARDSCATTER_CACHE")
    monkeypatch.setattr("sys.platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder() == tmp_path / "hardscatter"
    for platform in ("darwin", "win32"):
        monkeypatch.setattr("sys.platform", platform)
        assert cache_folder().name == "hardscatter"
