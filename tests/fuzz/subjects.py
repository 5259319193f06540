"""What is fuzzed: each reader of a file that users may be handed, with sound files of its kind to start from."""

from __future__ import annotations

import contextlib
import functools
import io as text_io
import shutil
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from pathlib import Path

import awkward as ak
import numpy as np

import hardscatter as hs
from fuzz.mutations import spoiled_array, spoiled_bytes, spoiled_columns, spoiled_text
from fuzz.spoilers import spoil_arrays, spoil_hdf5, spoil_onnx, spoil_parquet, spoil_root
from hardscatter import io
from hardscatter.pileup.learned import Learned
from helpers import toy_events


class Unsound(Exception):  # noqa: N818 - what was found, not an error of ours
    """A file was read, but what came out breaks the event model."""


@dataclass(frozen=True)
class Subject:
    """A reader and the files that it is tried with."""

    name: str
    read: Callable[[Path], object]
    mutate: Callable[..., bytes] = spoiled_bytes
    spoil: Callable[[Path, Path, np.random.Generator], None] | None = None
    """Writes a whole file with odd content; the share of such files is `structured`."""
    structured: float = 0.4
    path_faults: bool = True
    """Whether it is also given empty files, folders, pipes, and links to themselves."""
    file: str = "file"
    """What the mutated file is called; its suffix is that of the sound one."""

    def files(self, corpus: Path) -> list[Path]:
        """Return the sound files."""
        return sorted(path for path in (corpus / self.name).iterdir() if not path.name.startswith("_"))

    def placed(self, folder: Path, corpus: Path, like: Path, content: bytes | None) -> Path:
        """Return where a file stands for the reader, in an empty folder but for what must lie beside it."""
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        for path in (corpus / self.name).glob("_*"):
            shutil.copy(path, folder / path.name.removeprefix("_"))
        place = folder / (self.file if "." in self.file else f"{self.file}{like.suffix}")
        if content is not None:
            place.write_bytes(content)
        return place


def make_corpus(folder: Path, names: Iterable[str]) -> None:
    """Make the sound files of some subjects."""
    from fuzz.corpus import MAKERS

    for name in names:
        (folder / name).mkdir(parents=True)
        MAKERS[name](folder / name)


# Readers


def read_events(path: Path) -> None:
    """Read a file of events in every way, and make sure that what comes out obeys the event model."""
    n_events = io.count(path)
    assert_sound(io.read(path, 3))
    total = 0
    for events in io.iterate(path, 2):
        assert_sound(events)
        total += len(events)
    if total != n_events:
        raise Unsound(f"{total} events came where {n_events} were counted")


def assert_sound(events: hs.Events) -> None:
    """Raise `Unsound` unless the events are as the model promises."""
    candidates = events.candidates
    flat = {name: ak.to_numpy(ak.flatten(candidates[name], axis=1)) for name in candidates.fields
            if candidates[name].ndim == 2}  # fmt: skip
    rules = {
        "pt": flat["pt"] > 0, "energy": flat["energy"] > 0, "eta": np.abs(flat["eta"]) <= 20,
        "phi": (flat["phi"] >= -np.pi) & (flat["phi"] <= np.pi), "charge": np.abs(flat["charge"]) <= 1,
        "vertex": flat["vertex"] >= -1,
    }  # fmt: skip
    for name, good in rules.items():
        if not (good & np.isfinite(flat[name])).all():
            raise Unsound(f"candidates.{name} breaks the event model")
    if events.has("weights"):
        for name in events.weights.fields:
            weights = ak.to_numpy(ak.flatten(events.weights[name], axis=1))
            aligned = ak.all(ak.num(events.weights[name]) == ak.num(candidates.pt))
            if not (aligned and ((weights >= 0) & (weights <= 1)).all()):
                raise Unsound(f"weights.{name} break the event model")


def mitigate(path: Path) -> None:
    """Weigh a Parquet file of ours into another, which carries columns over byte by byte."""
    output = path.parent / "output.parquet"
    hs.mitigate_file(path, output, "puppi")
    read_events(output)


def run_command_line(path: Path) -> None:
    """Inspect a file on the command line: exit code 0 or 1, and one line on stderr if there is nothing else to say."""
    from hardscatter import cli

    arguments, sys.argv = sys.argv, ["hardscatter", "inspect", "--progress", "none", str(path)]
    out, err = text_io.StringIO(), text_io.StringIO()
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            cli.main()
    except SystemExit as stop:
        if stop.code not in (0, 1, None):
            raise Unsound(f"exit code {stop.code}: {err.getvalue()[-200:]}") from None
        if stop.code == 1 and not out.getvalue() and err.getvalue().count("\n") != 1:
            raise Unsound(f"more than a line: {err.getvalue()[-300:]}") from None
    finally:
        sys.argv = arguments


def check_events(path: Path) -> None:
    """Give `from_candidates` odd arrays; the file holds no more than the seed of what they are, none if it is empty."""
    seed = list(path.read_bytes()[:64])
    given = _spoiled_arguments(_toy_arguments(), np.random.default_rng(seed)) if seed else _toy_arguments()
    try:
        events = hs.from_candidates(**given)
    except TypeError as problem:
        if "required keyword-only argument" in str(problem):  # Python's own sentence about a call without pt
            return
        raise
    assert_sound(events)
    for method in ("puppi", "softkiller", "chs"):
        with contextlib.suppress(hs.HardscatterError):  # no number of vertices
            assert_sound(hs.with_weights(events, "made", hs.mitigate(events, method)))


def _spoiled_arguments(given: dict[str, object], rng: np.random.Generator) -> dict[str, object]:
    truth, weights = dict(given.pop("truth")), given.pop("weights")
    spoiled = spoiled_columns(given, rng)
    if rng.random() < 0.3:
        name = list(truth)[rng.integers(len(truth))]
        truth[name] = spoiled_array(truth[name], rng) if rng.random() < 0.5 else _odd(rng)
    if rng.random() < 0.2 and spoiled:
        spoiled[list(spoiled)[rng.integers(len(spoiled))]] = _odd(rng)
    if rng.random() < 0.3:
        weights = {"puppi": spoiled_array(weights["puppi"], rng) if rng.random() < 0.5 else _odd(rng)}
    return {**spoiled, "truth": truth, "weights": weights}


def _odd(rng: np.random.Generator) -> object:
    things = (
        None, "text", b"bytes", 3, [], [[]], [[], []], [None, None, None], [[None], [1.0], []], [["a"], [], ["b"]], {},
        {"pt": [1]}, np.array(1.0), np.zeros((3, 0)), np.zeros((3, 2, 2)), [[1j], [], []], object(), [object()],
        ak.Array([[{"x": 1}], [], []]), np.array([1, "a"], dtype=object), [[1e400], [], []], [2**70, 1, 1],
        np.array(["2020"], dtype="M8[Y]"), ak.Array([{"pt": 1.0}] * 3), lambda: 0, iter([1, 2, 3]), {1, 2, 3},
        [[True], [], []], np.ma.masked_array([1.0, 2.0, 3.0], [True, False, True]), range(3),
    )  # fmt: skip
    return things[rng.integers(len(things))]


@functools.cache
def _toy() -> hs.Events:
    return toy_events(3, 20)


def _toy_arguments() -> dict[str, object]:
    events = _toy()
    columns: dict[str, object] = {name: events.candidates[name] for name in events.candidates.fields}
    columns |= {"n_vertices": ak.to_numpy(events.n_vertices), "event": ak.to_numpy(events.event)}
    columns["truth"] = {name: events.truth[name] for name in events.truth.fields}
    columns["weights"] = {"puppi": ak.values_astype(events.truth.hard_fraction, np.float32)}
    return columns


def read_collisions(path: Path) -> None:
    from hardscatter.generate.files import count, load, read_metadata

    count(path)
    with contextlib.suppress(hs.HardscatterError):
        read_metadata(path)
    collisions = load(path)
    for i in range(min(len(collisions), 5)):
        collisions.select([i])


def read_library(path: Path) -> None:
    from hardscatter.generate.library import Library

    library = Library.open(path.parent)
    library.load(slice(0, 2))


def read_hepmc(path: Path) -> None:
    from hardscatter.generate import read_hepmc

    read_hepmc(path)


def read_cmnd(path: Path) -> None:
    from hardscatter.generate.generation import Generation

    generation = Generation.of(path)
    generation.fingerprint()
    _ = generation.collision_energy, generation.keeps_invisible


def read_card(path: Path) -> None:
    from hardscatter.detector import load_card

    load_card(path)


def read_training(path: Path) -> None:
    from hardscatter.training.configuration import load_configuration

    load_configuration(path).to_dict()


def read_checkpoint(path: Path) -> None:
    from hardscatter.training.run import load

    load(path.parent)


def read_manifest(path: Path) -> None:
    from hardscatter.production import verify
    from hardscatter.production.inputs import files_of

    verify(path.parent)
    files_of([path.parent])


def read_list(path: Path) -> None:
    from hardscatter.production.inputs import files_of

    files_of([f"@{path}"])


def read_pileup(path: Path) -> None:
    from hardscatter.simulation import pileup_of

    pileup_of(f"hist:{path}")


def read_model(path: Path) -> None:
    """Weigh toy crossings with a model."""
    hs.mitigate(_toy(), Learned(str(path)))


def read_student(path: Path) -> None:
    from hardscatter.pileup.student import Student

    hs.mitigate(_toy(), Student(str(path)))


def read_integer_model(path: Path) -> None:
    from hardscatter.trigger.integer import read_model

    read_model(path)


_EVENTS = Subject("", read_events)

SUBJECTS = {
    subject.name: subject
    for subject in (
        replace(_EVENTS, name="parquet", spoil=spoil_parquet),
        replace(_EVENTS, name="hardscatter-root", spoil=spoil_root),
        replace(_EVENTS, name="delphes-root", spoil=spoil_root),
        replace(_EVENTS, name="delphes-packed", spoil=spoil_arrays),
        replace(_EVENTS, name="pfnano", spoil=spoil_root),
        replace(_EVENTS, name="scouting", spoil=spoil_root),
        replace(_EVENTS, name="friend", spoil=spoil_root),
        replace(_EVENTS, name="total-hdf5", spoil=spoil_hdf5),
        replace(_EVENTS, name="distillnet-hdf5", spoil=spoil_hdf5),
        Subject("mitigate", mitigate, spoil=spoil_parquet),
        Subject("command-line", run_command_line),
        Subject("events", check_events, mutate=lambda _, rng, __: rng.bytes(64), path_faults=False),
        Subject("collisions", read_collisions, spoil=spoil_arrays, file="chunk-000000.npz"),
        Subject("library", read_library, spoiled_text, file="library.json"),
        Subject("manifest", read_manifest, spoiled_text, file="manifest.jsonl"),
        Subject("list", read_list, spoiled_text, path_faults=False),
        Subject("pileup", read_pileup, spoiled_text, path_faults=False),
        Subject("card", read_card, spoiled_text),
        Subject("training", read_training, spoiled_text, path_faults=False),
        Subject("cmnd", read_cmnd, spoiled_text, path_faults=False),
        Subject("hepmc", read_hepmc, spoiled_text),
        Subject("model", read_model, spoil=spoil_onnx),
        Subject("student", read_student, spoil=spoil_onnx),
        Subject("integer-model", read_integer_model, spoiled_text),
        Subject("checkpoint", read_checkpoint, file="best.ckpt"),
    )
}
"""All readers by name."""
