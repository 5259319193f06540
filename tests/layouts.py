"""Small files of other people's layouts, with their real names, types and "none" values.

Each function says where its names come from (repository, path). CMSSW: github.com/cms-sw/cmssw.
"""

from __future__ import annotations

import awkward as ak
import h5py
import numpy as np
import uproot

PION, KAON = 0.13957, 0.49761
"""Masses (GeV) that CMSSW gives to tracks and to neutral hadrons of the trigger; used for all layouts here."""


def crossings(n_events=3, seed=11):
    """Candidates of a few crossings with pileup, as a reconstruction gives them (GeV, mm); the last one is empty."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(30, 60, n_events)
    counts[-1] = 0
    n = int(counts.sum())
    event = np.repeat(np.arange(n_events), counts)
    vertex_z = rng.normal(0.0, 50.0, (n_events, 8))
    charged = rng.random(n) < 0.5
    origin = np.where(charged, rng.integers(0, 8, n), -1)
    pt = np.where(origin == 0, 8.0, 1.0) * (0.7 + rng.exponential(size=n))
    eta = rng.uniform(-2.4, 2.4, n)
    neutral = rng.choice([22, 130], n)
    mass = np.where(charged, PION, np.where(neutral == 130, KAON, 0.0))
    return {
        "counts": counts, "vertex_z": vertex_z, "origin": origin,
        "pt": pt, "eta": eta, "phi": rng.uniform(-np.pi, np.pi, n),
        "mass": mass, "energy": np.hypot(pt * np.cosh(eta), mass),
        "charge": np.where(charged, rng.choice([-1, 1], n), 0),
        "neutral": neutral,
        "d0": rng.normal(0.0, 0.02, n), "z": vertex_z[event, np.maximum(origin, 0)],
        "dz": vertex_z[event, np.maximum(origin, 0)] - vertex_z[event, 0],
    }  # fmt: skip


def write_tree(path, branches, name="Events"):
    """Write a flat tree: record arrays become collections with one counter."""
    with uproot.recreate(path) as file:
        types = {key: values.dtype if isinstance(values, np.ndarray) else values.type.content
                 for key, values in branches.items()}  # fmt: skip
        file.mktree(name, types).extend(branches)
    return path


def collection(columns, counts):
    """Return jagged records of flat columns."""
    return ak.zip({name: ak.unflatten(values, counts) for name, values in columns.items()}, depth_limit=2)


def write_btvnano(path, source, all_candidates=True):
    """btvNano: PhysicsTools/NanoAOD/python/custom_btv_cff.py (`addPFCands`) and common_cff.py (`CandVars`).

    Of each event: vertices_cff.py (`PV`), globals_cff.py (`Rho`).

    −1 (and 0 for `trkQuality`, `trkHighPurity`, `lostOuterHits`) where there are no track details; lengths in cm.
    `all_candidates` is `btvNano_addallPF_switch`: without it only candidates of jets are there.
    """
    track = source["charge"] != 0
    single, whole = np.float32, np.int32
    columns = {
        "pt": source["pt"].astype(single), "eta": source["eta"].astype(single), "phi": source["phi"].astype(single),
        "mass": source["mass"].astype(single),
        "pdgId": np.where(track, 211 * source["charge"], source["neutral"]).astype(whole),
        "charge": source["charge"].astype(whole),
        "puppiWeight": np.where(track, source["origin"] == 0, 0.25).astype(single),
        "puppiWeightNoLep": np.where(track, source["origin"] == 0, 0.25).astype(single),
        "vtxChi2": np.where(track, 1.0, -1.0).astype(single), "trkChi2": np.where(track, 1.0, -1.0).astype(single),
        "dz": np.where(track, source["dz"] / 10, -1.0).astype(single),
        "dzErr": np.where(track, 0.01, -1.0).astype(single),
        "d0": np.where(track, source["d0"] / 10, -1.0).astype(single),
        "d0Err": np.where(track, 0.002, -1.0).astype(single),
        "pvAssocQuality": np.where(track, 7, 0).astype(whole),
        "lostInnerHits": np.where(track, -1, 0).astype(whole), "lostOuterHits": np.zeros(len(track), whole),
        "numberOfHits": np.where(track, 12, 0).astype(whole), "numberOfPixelHits": np.where(track, 4, 0).astype(whole),
        "trkQuality": np.where(track, 5, 0).astype(whole), "trkHighPurity": track,
        "trkAlgo": np.where(track, 4, -1).astype(whole),
        "trkP": np.where(track, source["pt"] * np.cosh(source["eta"]), -1.0).astype(single),
        "trkPt": np.where(track, source["pt"], -1.0).astype(single),
        "trkEta": np.where(track, source["eta"], -1.0).astype(single),
        "trkPhi": np.where(track, source["phi"], -1.0).astype(single),
    }  # fmt: skip
    counts = source["counts"]
    linked = [np.arange(0, n, 4 if all_candidates else 1) for n in counts]
    n_linked = [len(one) for one in linked]
    links = {"jetIdx": np.zeros(sum(n_linked), whole), "pFCandsIdx": np.concatenate(linked).astype(whole)}
    return write_tree(path, {
        "PFCands": collection(columns, counts), "JetPFCands": collection(links, n_linked),
        **_identity(len(counts)), "PV_npvs": np.full(len(counts), 9, np.uint8),
        "PV_npvsGood": np.full(len(counts), 8, np.uint8),
        **{f"PV_{name}": source["vertex_z"][:, 0].astype(single) / 10 * (name == "z") for name in ("x", "y", "z")},
        "Rho_fixedGridRhoFastjetAll": np.full(len(counts), 20.5, single),
    })  # fmt: skip


def write_scouting(path, source, name="ScoutingPFCandidate"):
    """Scouting NanoAOD: PhysicsTools/NanoAOD/python/run3scouting_cff.py.

    "None" values: HLTrigger/JetMET/plugins/HLTScoutingPFProducer.cc writes χ²/ndof 999 and 0 for all else where a
    candidate has no track (1000 in `ScoutingPFCandidate`, whose table keeps 6 bits), vertex −1 where none is near.
    `ScoutingParticle` has no mass and no charge. Lengths in cm, relative to the first vertex.
    """
    track = source["charge"] != 0
    single, whole = np.float32, np.int32
    derived = name == "ScoutingPFCandidate"
    dz, d0 = (np.where(track, source[length] / 10, 0.0).astype(single) for length in ("dz", "d0"))
    common = {
        "pt": source["pt"].astype(single), "eta": source["eta"].astype(single), "phi": source["phi"].astype(single),
        "pdgId": np.where(track, 211 * source["charge"], source["neutral"]).astype(whole),
    }  # fmt: skip
    measured = {
        "Normchi2": np.where(track, 1.25, 1000.0 if derived else 999.0).astype(single), "Dz": dz, "Dxy": d0,
        "Dzsig": (dz / single(0.01)).astype(single), "Dxysig": (d0 / single(0.002)).astype(single),
    }  # fmt: skip
    vertex = np.where(track, source["origin"], 0).astype(whole)  # neutrals are given the first vertex
    if derived:
        more = {"mass": source["mass"].astype(single), "charge": source["charge"].astype(whole),
                "vertexIndex": vertex, **{f"trk{key}": values for key, values in measured.items()},
                "trkLostInnerHits": np.zeros(len(track), whole), "trkQuality": np.zeros(len(track), whole),
                "trkPt": source["pt"].astype(single), "trkEta": source["eta"].astype(single),
                "trkPhi": source["phi"].astype(single)}  # fmt: skip
    else:
        more = {"vertex": vertex, **{key.lower(): values for key, values in measured.items()},
                "lostInnerHits": np.zeros(len(track), np.uint8), "quality": np.zeros(len(track), np.uint8),
                "trk_pt": np.zeros(len(track), single), "trk_eta": np.zeros(len(track), single),
                "trk_phi": np.zeros(len(track), single), "relative_trk_vars": np.ones(len(track), bool)}  # fmt: skip
    n_events, n_vertices = source["vertex_z"].shape
    vertices = {"z": (source["vertex_z"] / 10).astype(single).ravel(),
                "tracksSize": np.full(n_events * n_vertices, 20, whole)}  # fmt: skip
    return write_tree(path, {
        name: collection({**common, **more}, source["counts"]),
        "ScoutingPrimaryVertex": collection(vertices, np.full(n_events, n_vertices)),
        "ScoutingRho_fixedGridRhoFastjetAll": np.full(n_events, 18.0, single), **_identity(n_events),
    })  # fmt: skip


TOTAL_KINDS = (0, 11, 13, 22, 211, 321, 2212)


def write_total(path, source, columns=17, n_slots=64):
    """The HDF5 layout of the published TOTAL code: ViniciusMikuni/OTPU, scripts/utils.py (`__main__`).

    17 columns (commit 3e63258): Eta, Phi, PT, E, D0, DZ, PuppiW, Charge, hardfrac, one hot of `TOTAL_KINDS` and an
    empty slot. 15 (3029a67): hardfrac · |charge| before Charge, one hot without 0 and without the empty slot.
    `gen_part`: Eta, Phi, PT, E, Charge, PID, neutrinos all 0; `high_level`: genmet MET, Phi, GenVertex_size.
    """
    slots = _slots(source, n_slots)
    hard = slots["hard"]
    kind = slots["kind"]
    if columns == 17:
        named = [*(slots[name] for name in ("eta", "phi", "pt", "energy", "d0", "z", "puppi")), slots["charge"], hard]
        hot = [(kind == code) & (slots["pt"] > 0) for code in TOTAL_KINDS] + [slots["pt"] == 0]
    else:
        named = [*(slots[name] for name in ("eta", "phi", "pt", "energy", "d0", "z", "puppi")),
                 hard * np.abs(slots["charge"]), slots["charge"]]  # fmt: skip
        hot = [(kind == code) & (slots["pt"] > 0) for code in TOTAL_KINDS[1:]]
    gen = np.stack([slots[name] for name in ("eta", "phi", "pt", "energy", "charge")] + [kind], axis=-1)
    gen = np.where((hard > 0)[..., None], gen, 0.0)
    n_events = len(source["counts"])
    with h5py.File(path, "w") as file:
        block = np.stack([*named, *hot], axis=-1).astype(np.float32)
        file["pu_part"] = block
        file["nopu_part"] = np.where((hard > 0)[..., None], block, 0.0).astype(np.float32)
        file["gen_part"] = gen.astype(np.float32)
        file["high_level"] = np.tile(np.array([35.0, 0.5, 8.0], np.float32), (n_events, 1))
    return path


def write_distillnet(path, source, n_slots=64):
    """DistillNet's data set (Zenodo 10670183): tbrandes01/DistillNet, data_helpers.py (`fl_inputs`, `fl_vecs`).

    Features × events × slots: px, py, pz, e, d0, dz, puppiw, charge, pid_1 … pid_8; `data_*`: px, py, pz, e, wgt.
    Names of the data sets as listed in explore_data.ipynb.
    """
    slots = _slots(source, n_slots)
    pt, eta, phi = slots["pt"], slots["eta"], slots["phi"]
    momentum = [pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), slots["energy"]]
    hot = [(slots["kind"] == code) & (pt > 0) for code in TOTAL_KINDS] + [pt == 0]
    rows = [*momentum, slots["d0"], slots["z"], slots["puppi"], slots["charge"], *hot]
    with h5py.File(path, "w") as file:
        file["distill_inputs_default"] = np.stack(rows).astype(np.float32)
        for name, weight in (("data_puppi", slots["puppi"]), ("data_abc", 0.5 * slots["puppi"])):
            file[name] = np.stack([*momentum, weight]).astype(np.float32)
        for name in ("data_gen", "data_nopu"):
            file[name] = np.where(slots["hard"] > 0, np.stack(momentum), 0.0).astype(np.float32)
    return path


def _identity(n_events):
    return {
        "run": np.full(n_events, 380000, np.uint32), "luminosityBlock": np.full(n_events, 7, np.uint32),
        "event": np.arange(n_events, dtype=np.uint64) + 2**40,
    }  # fmt: skip


def _slots(source, n_slots):
    """Return columns events × slots, 0 in empty slots; hard scatter = the first vertex and every fourth neutral."""
    track = source["charge"] != 0
    hard = np.where(track, source["origin"] == 0, np.arange(len(track)) % 4 == 0)
    kind = np.where(track, 211, np.where(source["neutral"] == 22, 22, 0))
    columns = {**{name: source[name] for name in ("pt", "eta", "phi", "energy", "charge")}, "hard": hard, "kind": kind,
               "d0": np.where(track, source["d0"], 0.0), "z": np.where(track, source["z"], 0.0),
               "puppi": np.where(track, source["origin"] == 0, 0.25)}  # fmt: skip
    padded = {}
    for name, values in columns.items():
        jagged = ak.pad_none(ak.unflatten(values.astype(np.float64), source["counts"]), n_slots, clip=True)
        padded[name] = ak.to_numpy(ak.fill_none(jagged, 0.0))
    return padded
