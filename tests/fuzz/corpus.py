"""Sound files of each kind, as small as a file can be that holds everything a reader looks at."""

from __future__ import annotations

import gzip
import hashlib
import json
from pathlib import Path

import awkward as ak
import numpy as np
import pyarrow.parquet as pq

import hardscatter as hs
from hardscatter import io
from helpers import toy_events

ROOT = Path(__file__).parents[2]
DATA = ROOT / "tests" / "data"


def _events() -> hs.Events:
    events = toy_events(3, 20)
    weights = ak.values_astype(events.truth.hard_fraction, np.float32)
    named = events.with_field("process", ak.Array(["ttbar", "qcd", "ttbar"]))
    return hs.with_weights(named, "puppi", weights, {"tune": "toy"})


def _parquet(folder: Path) -> None:
    io.write(folder / "a.parquet", _events())
    bare = pq.read_table(folder / "a.parquet")  # no checksums and no compression: every fault reaches the values
    pq.write_table(bare, folder / "b.parquet", compression="none", row_group_size=2)
    pq.write_table(bare, folder / "c.parquet", compression="snappy", use_dictionary=False, data_page_version="2.0")


def _own_root(folder: Path) -> None:
    import uproot

    io.write(folder / "a.root", _events())
    with uproot.open(folder / "a.root") as file, uproot.recreate(folder / "b.root", compression=None) as bare:
        bare["hardscatter"] = str(file["hardscatter"])
        columns = _collections(file["Events"])
        types = {name: values.type.content for name, values in columns.items()}
        bare.mktree("Events", types).extend(columns)


def _collections(tree) -> dict[str, object]:
    arrays = {name: tree[name].array() for name in tree.keys()}  # noqa: SIM118 - a tree is no dict
    names = [name for name in arrays if f"n{name.split('_')[0]}" not in arrays and name[:1] != "n"]
    found: dict[str, object] = {name: arrays[name] for name in names}
    for counter in (name for name in arrays if name[:1] == "n" and arrays[name].ndim == 1):
        collection = counter[1:]
        inner = {name.removeprefix(f"{collection}_"): arrays[name] for name in arrays
                 if name.startswith(f"{collection}_")}  # fmt: skip
        if inner:
            found[collection] = ak.zip(inner, depth_limit=2)
    return found


_TRACK = ("PT", "Eta", "Phi", "Mass", "D0", "DZ"), ("Charge", "PID", "IsRecoPU", "IsPU")
_TOWER = ("ET", "Eta", "Phi", "E", "HardEnergyFraction"), ()
_JET = ("PT", "Eta", "Phi", "Mass"), ()
_DELPHES = {"EFlowTrack": _TRACK, "EFlowPhoton": _TOWER, "EFlowNeutralHadron": _TOWER, "GenJet": _JET,
            "GenJetAK8": _JET, "GenMissingET": (("MET", "Eta", "Phi"), ()), "Vertex": (("Z",), ()),
            "Event": ((), ("Number",))}  # fmt: skip


def _delphes(folder: Path) -> None:
    import uproot

    rng = np.random.default_rng(3)
    records = {}
    for name, (real, whole) in _DELPHES.items():
        counts = [1, 1, 1] if name in ("Event", "GenMissingET") else [3, 0, 4]
        n = sum(counts)
        columns = {leaf: rng.uniform(0.1, 1.0, n).astype(np.float32) for leaf in real}
        columns |= {leaf: rng.integers(0, 2, n).astype(np.int32) for leaf in whole}
        records[name] = ak.zip({leaf: ak.unflatten(values, counts) for leaf, values in columns.items()}, depth_limit=2)
    for path, compression in ((folder / "a.root", uproot.ZLIB(1)), (folder / "b.root", None)):
        with uproot.recreate(path, compression=compression) as file:
            file.mktree(
                "Delphes",
                {name: record.type.content for name, record in records.items()},
                counter_name=lambda name: f"{name}_size",
                field_name=lambda outer, inner: f"{outer}.{inner}" if outer else inner,
            ).extend(records)


def _packed(folder: Path) -> None:
    from hardscatter.io.delphes_packed import _COLLECTIONS, _packed

    with np.load(DATA / "delphes_packed.npz") as file:
        whole = {name: file[name] for name in file.files}
    few = {name: values[:2] for name, values in whole.items() if name in ("met", "met_phi", "npv", "pv_z")}
    for name, leaves in _COLLECTIONS.items():
        few[f"n_{name}"] = np.minimum(whole[f"n_{name}"][:2], 5)
        few |= {f"{name}_{_packed(leaf)}": whole[f"{name}_{_packed(leaf)}"][: few[f"n_{name}"].sum()]
                for leaf in leaves}  # fmt: skip
    np.savez(folder / "a.npz", **few)
    np.savez_compressed(folder / "b.npz", **few)


def _pfnano(folder: Path) -> None:
    from layouts import crossings, write_btvnano

    write_btvnano(folder / "a.root", crossings(3))


def _scouting(folder: Path) -> None:
    from layouts import crossings, write_scouting

    write_scouting(folder / "a.root", crossings(3))
    write_scouting(folder / "b.root", crossings(3), "ScoutingParticle")


def _friend(folder: Path) -> None:
    from layouts import crossings, write_scouting

    write_scouting(folder / "_own.root", crossings(3))
    events = io.read(folder / "_own.root")
    io.write_back(folder / "_own.root", [hs.with_weights(events, "half", ak.ones_like(events.candidates.pt) / 2)],
                  folder / "a.root")  # fmt: skip


def _total(folder: Path) -> None:
    from layouts import crossings, write_total

    write_total(folder / "a.h5", crossings(3))
    write_total(folder / "b.h5", crossings(3), columns=15)


def _distillnet(folder: Path) -> None:
    from layouts import crossings, write_distillnet

    write_distillnet(folder / "a.h5", crossings(3))


def _command_line(folder: Path) -> None:
    from layouts import crossings, write_scouting

    io.write(folder / "a.parquet", _events())
    io.write(folder / "b.root", _events())
    write_scouting(folder / "c.root", crossings(3))


def _nothing(folder: Path) -> None:
    (folder / "a.seed").write_bytes(b"")


def _two_collisions():
    from hardscatter.generate.collisions import PARTICLE_FIELDS, TRUTH_FIELDS, Collisions

    n = dict.fromkeys(PARTICLE_FIELDS, 5) | dict.fromkeys(TRUTH_FIELDS, 3)
    types = {name: field.type for name, field in Collisions.__dataclass_fields__.items()}
    columns = {
        name: np.ones(size, next(kind for kind in (np.int32, np.uint8, np.int8, np.float32)
                                 if kind.__name__ in str(types[name])))
        for name, size in n.items()
    }  # fmt: skip
    metadata = {"cross_section_mb": 1.0, "cross_section_error_mb": 0.1, "n_tried": 2}
    return Collisions(offsets=np.array([0, 2, 5]), weight=np.ones(2), truth_offsets=np.array([0, 1, 3]),
                      metadata=metadata, **columns)  # fmt: skip


def _collisions(folder: Path) -> None:
    from hardscatter.generate.files import save

    save(folder / "a.npz", _two_collisions())


def _library(folder: Path) -> None:
    from hardscatter.generate.files import save
    from hardscatter.generate.generation import Generation
    from hardscatter.generate.library import describe, write_description

    save(folder / "_chunk-000000.npz", _two_collisions())
    about = describe(Generation("qcd"), 2, None)
    write_description(folder, {**about, "n_collisions": 2, "cross_section_mb": 1.0, "cross_section_error_mb": 0.1})


def _manifest(folder: Path) -> None:
    from hardscatter.production.manifest import header

    io.write(folder / "_a-0000.parquet", _events())
    content = (folder / "_a-0000.parquet").read_bytes()
    part = {"part": "a-0000.parquet", "input": "a.root", "first": 0, "last": 3, "events": 3, "bytes": len(content),
            "sha256": hashlib.sha256(content).hexdigest()}  # fmt: skip
    lines = [header("mitigate", {"methods": ["puppi"]}), {"input": "a.root", "identity": "3-0", "events": 3}, part,
             {"input": "b.root", "problem": "b.root is empty."}]  # fmt: skip
    (folder / "a.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")


def _list(folder: Path) -> None:
    (folder / "a.txt").write_text("# files\n/data/a.root\nb/d.parquet\n\nc d.root\n", encoding="utf-8")


def _pileup(folder: Path) -> None:
    (folder / "a.txt").write_text("0.1\n0.5\n2\n1e-3\n", encoding="utf-8")


def _card(folder: Path) -> None:
    from hardscatter.detector.loading import CARDS

    (folder / "a.toml").write_bytes((CARDS / "cms-phase2.toml").read_bytes())
    (folder / "b.toml").write_text('based_on = "cms-phase2"\n', encoding="utf-8")


def _training(folder: Path) -> None:
    from hardscatter.training.configuration import configurations

    for name, path in list(configurations().items())[:3]:
        (folder / f"{name}.yaml").write_bytes(path.read_bytes())


def _cmnd(folder: Path) -> None:
    (folder / "a.cmnd").write_text(
        "! comment\nBeams:eCM = 13600.\nHardQCD:all = on\n/*\nmore\n*/\nPhaseSpace:pTHatMin = 20\n", encoding="utf-8"
    )


def _hepmc(folder: Path) -> None:
    import pyhepmc

    with pyhepmc.open(folder / "a.hepmc", "w") as file:
        for number in range(2):
            event = pyhepmc.GenEvent(pyhepmc.Units.GEV, pyhepmc.Units.MM)
            event.event_number = number
            beams = [pyhepmc.GenParticle((0, 0, z, 7000), 2212, 4) for z in (7000, -7000)]
            vertex = pyhepmc.GenVertex((0, 0, 1, 0))
            for beam in beams:
                vertex.add_particle_in(beam)
            for px, pid in ((40, 211), (-40, -211)):
                vertex.add_particle_out(pyhepmc.GenParticle((px, 0, 3, 41), pid, 1))
            event.add_vertex(vertex)
            file.write(event)
    (folder / "b.hepmc.gz").write_bytes(gzip.compress((folder / "a.hepmc").read_bytes()))


def _model(folder: Path) -> None:
    from hardscatter.pileup.learned import MODELS

    for name in ("total", "pumml"):  # one that our own kernels run, and one that ONNX Runtime runs
        (folder / f"{name}.onnx").write_bytes((MODELS / f"{name}.onnx").read_bytes())


def _student(folder: Path) -> None:
    from hardscatter.pileup.learned import MODELS

    (folder / "a.onnx").write_bytes((MODELS / "total-student.onnx").read_bytes())


def _integer_model(folder: Path) -> None:
    from hardscatter.trigger.fixed import Format
    from hardscatter.trigger.integer import IntegerModel, Layer, write_model

    forms = {name: Format(8, 4) for name in ("input_format", "weight_format", "bias_format")}
    layer = Layer(np.ones((1, 2), np.int64), np.ones(1, np.int64), **forms, result_format=Format(8, 0, signed=False))
    write_model(IntegerModel(("a", "b"), (layer,)), folder / "a.json")


def _checkpoint(folder: Path) -> None:
    import torch

    from hardscatter.training.configuration import save_configuration
    from hardscatter.training.module import Weighing
    from small_trainings import small

    save_configuration(small(), folder / "_training.yaml")
    state = {"state_dict": Weighing(small()).state_dict(), "epoch": 1, "devices": 1, "version": hs.__version__}
    torch.save(state, folder / "a.ckpt")


MAKERS = {
    "parquet": _parquet, "hardscatter-root": _own_root, "delphes-root": _delphes, "delphes-packed": _packed,
    "pfnano": _pfnano, "scouting": _scouting, "friend": _friend, "total-hdf5": _total, "distillnet-hdf5": _distillnet,
    "mitigate": _parquet, "command-line": _command_line, "events": _nothing, "collisions": _collisions,
    "library": _library,
    "manifest": _manifest, "list": _list, "pileup": _pileup, "card": _card, "training": _training, "cmnd": _cmnd,
    "hepmc": _hepmc, "model": _model, "student": _student, "integer-model": _integer_model, "checkpoint": _checkpoint,
}  # fmt: skip
