"""Every named process generates and looks like what it says; libraries do not depend on how they are built."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from hardscatter.generate import Ancestry, Collisions, Generation, Library, Role, build, processes

N = 6
INVISIBLE = (12, 14, 16)


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    folder = tmp_path_factory.getbasetemp() / "generate-cache"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("HARDSCATTER_CACHE", str(folder))
        yield folder


@pytest.fixture(scope="module")
def made(cache):
    """Few collisions of each process, made when they are asked for."""
    memory = {}

    def make(process, **options):
        generation = Generation(process, seed=11, **options)
        if generation not in memory:
            memory[generation] = build(generation, N, workers=1).load()
        return memory[generation]

    return make


def particles(collisions, i, role=None):
    """PDG ids and four-momenta (px, py, pz, E) of collision i: stable particles, or truth entries of a role."""
    part = collisions.select([i])
    prefix, chosen = ("", slice(None)) if role is None else ("truth_", part.truth_role == role)
    pid, pt, eta, phi, mass = (
        np.asarray(getattr(part, prefix + name)[chosen], np.float64) for name in ("pid", "pt", "eta", "phi", "mass")
    )
    energy = np.sqrt((pt * np.cosh(eta)) ** 2 + mass**2)
    return pid.astype(int), np.stack([pt * np.cos(phi), pt * np.sin(phi), pt * np.sinh(eta), energy], axis=1)


def invariant_mass(momenta):
    total = momenta.sum(axis=0)
    return np.sqrt(total[3] ** 2 - (total[:3] ** 2).sum())


def decays(collisions, i):
    return np.abs(particles(collisions, i, Role.DECAY_PRODUCT)[0])


@pytest.mark.parametrize("process", processes())
def test_sound(made, process):
    collisions = made(process)
    assert len(collisions) == N
    for name in ("pt", "eta", "phi", "mass", "x", "y", "z", "t"):
        values = getattr(collisions, name)
        assert values.dtype == np.float32
        assert np.isfinite(values).all()
    assert (collisions.pt > 0).all()
    assert ((collisions.phi.astype(float) >= -np.pi) & (collisions.phi.astype(float) < np.pi)).all()
    assert collisions.metadata["cross_section_mb"] > 0
    distance = np.sqrt(sum(getattr(collisions, name).astype(float) ** 2 for name in "xyz"))
    # Made at the vertex itself; light dark mesons become mostly neutral pions, whose photons start nanometres away.
    assert (distance == 0).mean() > (0.1 if process == "soft-unclustered" else 0.2)
    assert np.median(distance[distance > 0]) < 1.0
    if process != "minbias":
        for i in range(N):  # nothing is lost, up to float32
            total = particles(collisions, i)[1].sum(axis=0)
            np.testing.assert_allclose(total, [0, 0, 0, 14000], atol=1.0)


def test_minbias(made):
    collisions = made("minbias")
    assert not np.isin(np.abs(collisions.pid), INVISIBLE).any()
    assert np.abs(collisions.eta).max() < 6
    assert (collisions.weight == 1).all()


def test_qcd_weights_vary(made):
    collisions = made("qcd")
    assert len(set(collisions.weight)) == N
    for i in range(N):
        pt = np.hypot(*particles(collisions, i, Role.PARTON)[1][:, :2].T)
        np.testing.assert_allclose(collisions.weight[i], (100 / pt.mean()) ** 4.5, rtol=0.05)


@pytest.mark.parametrize(
    ("process", "leptons"), [("ttbar-dileptonic", 2), ("ttbar-semileptonic", 1), ("ttbar-hadronic", 0)]
)
def test_top_pairs(made, process, leptons):
    collisions = made(process)
    for i in range(N):
        decay = decays(collisions, i)
        assert np.isin(decay, (11, 13, 15)).sum() == np.isin(decay, INVISIBLE).sum() == leptons
        assert np.isin(decay, (1, 2, 3, 4)).sum() == 4 - 2 * leptons
        tops, momenta = particles(collisions, i, Role.TOP)
        assert sorted(tops) == [-6, 6]
        assert all(abs(invariant_mass(top[None]) - 172.5) < 20 for top in momenta)
        assert sorted(particles(collisions, i, Role.BOSON)[0]) == [-24, 24]
        assert {5} <= set(np.abs(particles(collisions, i, Role.B_HADRON)[0]) // 100 % 10) | set(
            np.abs(particles(collisions, i, Role.B_HADRON)[0]) // 1000 % 10
        )
    prompt = (
        (collisions.ancestry & Ancestry.PROMPT > 0) & np.isin(np.abs(collisions.pid), (11, 13)) & (collisions.pt > 10)
    )
    assert prompt.any() == (leptons > 0)


def test_semileptonic_charges_take_turns(made):
    collisions = made("ttbar-semileptonic")
    for i in range(N):
        pid = particles(collisions, i, Role.DECAY_PRODUCT)[0]
        lepton = pid[np.isin(np.abs(pid), (11, 13, 15))]
        assert np.sign(lepton) == (-1 if i % 2 == 0 else 1)


def test_higgs_to_nothing(made):
    collisions = made("vbf-h-invisible")
    for i in range(N):
        pid, momenta = particles(collisions, i, Role.DECAY_PRODUCT)
        assert len(pid) == 4
        assert np.isin(np.abs(pid), INVISIBLE).all()
        assert abs(invariant_mass(momenta) - 125) < 1
        assert sorted(particles(collisions, i, Role.BOSON)[0]) == [23, 23, 25]
        quarks = particles(collisions, i, Role.PARTON)[0]
        assert len(quarks) == 2
        assert (np.abs(quarks) <= 5).all()


def test_higgs_pair_to_four_b_quarks(made):
    collisions = made("hh-4b")
    for i in range(N):
        bosons, momenta = particles(collisions, i, Role.BOSON)
        assert bosons.tolist() == [25, 25]
        assert 300 < invariant_mass(momenta) < 600  # a scalar of 400 GeV and a natural width of 8
        assert sorted(decays(collisions, i).tolist()) == [5, 5, 5, 5]


@pytest.mark.parametrize(
    ("process", "boson", "products", "jet"),
    [
        ("wjets", 24, (11, 12, 13, 14, 15, 16), 1),
        ("znunu-jets", 23, INVISIBLE, 1),
        ("zll-jets", 23, (11, 13), 1),
        ("wprime-dijets", 34, (1, 2, 3, 4, 5), 0),
    ],
)
def test_one_boson(made, process, boson, products, jet):
    collisions = made(process)
    for i in range(N):
        (pid,), momentum = particles(collisions, i, Role.BOSON)
        assert abs(pid) == boson
        decay, momenta = particles(collisions, i, Role.DECAY_PRODUCT)
        assert len(decay) == 2
        assert np.isin(np.abs(decay), products).all()
        # A radiating decay product takes its recoil from the other one, never from outside.
        np.testing.assert_allclose(momenta.sum(axis=0), momentum[0], atol=0.1 + 1e-4 * momentum[0, 3])
        assert len(particles(collisions, i, Role.PARTON)[0]) == jet


def test_boosted_z(made):
    collisions = made("znunu-jets-boosted")
    for i in range(N):
        (pid,), momentum = particles(collisions, i, Role.BOSON)
        assert pid == 23
        assert np.hypot(*momentum[0, :2]) > 50  # pT-hat above 100 GeV, less what initial radiation takes


def test_soft_unclustered_energy_is_soft_and_all_around(made):
    collisions = made("soft-unclustered")
    central = np.abs(collisions.eta) < 2.5
    hardest = []
    for i in range(N):
        rows = slice(collisions.offsets[i], collisions.offsets[i + 1])
        pt, phi = collisions.pt[rows][central[rows]], collisions.phi[rows][central[rows]]
        hardest.append(pt.max())
        assert len(collisions.pt[rows]) > 500  # a hard collision has some 200
        # Transverse sphericity near 1: no axis stands out; dijets have less than 0.3.
        tensor = np.array([[np.sum(pt * np.cos(phi) ** 2), np.sum(pt * np.cos(phi) * np.sin(phi))], [0, 0]])
        tensor[1] = tensor[0, 1], np.sum(pt * np.sin(phi) ** 2)
        low, high = np.linalg.eigvalsh(tensor)
        assert 2 * low / (low + high) > 0.4
    assert np.median(hardest) < 40  # of the 1000 GeV there are; a jet radiated by the quarks that collide may be hard


def test_photon_and_jet(made):
    collisions = made("gamma-jets")
    for i in range(N):
        pid, momenta = particles(collisions, i, Role.PARTON)
        assert 22 in pid
        assert np.hypot(*momenta[0, :2]) > 29
    photons = (collisions.ancestry & Ancestry.PROMPT > 0) & (collisions.pid == 22) & (collisions.pt > 20)
    assert photons.sum() >= N


@pytest.mark.parametrize(("process", "mass"), [("zprime-tt", 2000.0), ("wprime-dijets", 3000.0), ("zprime-tt", 1000.0)])
def test_resonance_mass(made, process, mass):
    collisions = made(process) if mass >= 2000 else made(process, mass=mass)
    heavy = np.isin(np.abs(collisions.truth_pid), (32, 34)) & (collisions.truth_role == Role.BOSON)
    assert heavy.sum() == N
    assert abs(np.median(collisions.truth_mass[heavy]) - mass) < 0.1 * mass
    assert collisions.truth_mass[heavy].min() > 0.75 * mass
    if process == "zprime-tt":
        assert all((decays(collisions, i) <= 5).all() for i in range(N))


def test_command_file(cache, tmp_path):
    file = tmp_path / "mine.cmnd"
    file.write_text("WeakSingleBoson:ffbar2W = on\nBeams:eCM = 13600.\n24:onMode = off\n24:onIfAny = 13\n")
    collisions = build(Generation.of(file), 3, workers=1).load()
    for i in range(3):
        assert 13 in decays(collisions, i)
        np.testing.assert_allclose(particles(collisions, i)[1].sum(axis=0), [0, 0, 0, 13600], atol=1.0)


def contents(folder):
    return {path.name: path.read_bytes() for path in Path(folder).iterdir() if not path.name.startswith(".")}


def test_workers_and_growth_do_not_matter(cache, tmp_path):
    generation = Generation("ttbar-semileptonic", seed=3)
    alone = build(generation, 11, tmp_path / "one", workers=1, chunk_size=3)
    told = []
    together = build(generation, 7, tmp_path / "two", workers=2, chunk_size=3, on_collisions=lambda *t: told.append(t))
    first = together.load()
    together = build(generation, 11, tmp_path / "two", workers=1)
    assert contents(alone.folder) == contents(together.folder)
    assert [ready for ready, _ in told] == sorted(ready for ready, _ in told)
    assert told[0] == (0, 7)
    assert told[-1] == (7, 7)
    np.testing.assert_array_equal(first.pt, alone.load(range(7)).pt)


def test_seeds_make_other_collisions(cache, tmp_path):
    one, two = (build(Generation("zll-jets", seed=seed), 4, workers=1, chunk_size=2).load() for seed in (1, 2))
    halves = [one.select(slice(0, 2)), one.select(slice(2, 4)), two.select(slice(0, 2))]
    hardest = {float(np.sort(part.pt)[-1]) for part in halves}
    assert len(hardest) == 3


def test_collisions_keep_their_weight_when_chosen(made):
    collisions = made("qcd")
    chosen = collisions.select([4, 1])
    np.testing.assert_array_equal(chosen.weight, collisions.weight[[4, 1]])
    both = Collisions.concatenate([collisions.select([4]), collisions.select([1])])
    np.testing.assert_array_equal(both.pt, chosen.pt)


SCRIPT = """
import sys
from hardscatter.generate import Generation, build
if __name__ == "__main__":
    build(Generation("zll-jets", seed=8), 200, sys.argv[1], workers=2, chunk_size=10)
"""


def children(pid):
    return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/task").is_dir(), reason="looks for processes the way of Linux")
def test_killed_and_resumed(cache, tmp_path):
    whole = build(Generation("zll-jets", seed=8), 200, tmp_path / "whole", workers=1, chunk_size=10)
    script, folder = tmp_path / "script.py", tmp_path / "killed"
    script.write_text(SCRIPT)
    for complete in (2, 5):  # killed twice
        process = subprocess.Popen([sys.executable, str(script), str(folder)])
        wait_for(lambda complete=complete: len(list(folder.glob("chunk-*.npz"))) >= complete)
        workers = children(process.pid)
        os.kill(process.pid, signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
        wait_for(lambda pids=workers: not any(Path(f"/proc/{pid}/exe").exists() for pid in pids), 20)
        there = contents(folder)
        assert complete <= sum(name.startswith("chunk") for name in there) < 20
        assert all(
            there[name] == content
            for name, content in contents(whole.folder).items()
            if name in there and name.startswith("chunk")
        )
    resumed = build(Generation("zll-jets", seed=8), 200, folder, workers=1)
    assert contents(resumed.folder) == contents(whole.folder)
    assert len(Library.open(folder)) == 200


@pytest.mark.slow
def test_script_without_guard_gets_a_sentence(cache, tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.replace('if __name__ == "__main__":', "if True:"))
    done = subprocess.run([sys.executable, str(script), str(tmp_path / "new")], capture_output=True, timeout=120)
    assert done.returncode != 0
    assert b"put its work under" in done.stderr
