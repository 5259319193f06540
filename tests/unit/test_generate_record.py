"""Ancestry and truth from a hand-made event record; HepMC files by hand."""

from __future__ import annotations

import gzip
import re
import sys

import numpy as np
import pytest

from hardscatter.errors import MissingExtraError, UnreadableFileError
from hardscatter.generate import Ancestry, Role, iterate_hepmc, read_hepmc
from hardscatter.generate.extraction import Record, extract
from hardscatter.generate.record import walk

B, C, TAU, PROMPT = Ancestry
NONE = 0

# (PDG id, status, mother, bits, role): u ubar -> t g g; t -> W b, W -> tau nu; also a photon, J/psi and D meson.
ENTRIES = [
    (90, -11, 0, NONE, 0),
    (2212, -12, 0, NONE, 0),
    (2212, -12, 0, NONE, 0),
    (2, -21, 1, NONE, 0),
    (-2, -21, 2, NONE, 0),
    (6, -22, 3, NONE, 0),  # 5: first copy
    (21, -23, 3, NONE, Role.PARTON),
    (6, -44, 5, NONE, Role.TOP),  # 7: last copy
    (24, -22, 7, NONE, 0),
    (5, -23, 7, NONE, Role.DECAY_PRODUCT),
    (24, -52, 8, NONE, Role.BOSON),  # 10
    (-15, -23, 10, TAU | PROMPT, Role.DECAY_PRODUCT),
    (16, 23, 10, PROMPT, Role.DECAY_PRODUCT),
    (22, 51, 6, PROMPT, 0),  # radiated by a quark or gluon
    (513, -83, 9, B, 0),  # 14: B*
    (511, -91, 14, B, Role.B_HADRON),
    (22, 91, 14, B, 0),
    (-411, -91, 15, B | C, Role.C_HADRON),  # 17
    (13, 91, 15, B, 0),
    (-211, 91, 17, B | C, 0),
    (-16, 91, 11, TAU | PROMPT, 0),  # 20
    (-11, 91, 11, TAU | PROMPT, 0),
    (211, 91, 11, TAU, 0),
    (443, -84, 6, NONE, 0),  # J/psi: no open charm
    (11, 91, 23, NONE, 0),
    (421, -83, 6, C, Role.C_HADRON),  # 25
    (-15, -91, 25, C | TAU, 0),
    (12, 91, 26, C | TAU, 0),
    (541, -83, 9, B, Role.B_HADRON),  # B_c counts as b
    (2, -91, 28, B, 0),  # decays by way of quarks
    (321, 83, 29, B, 0),  # 30
    (2212, 63, 1, NONE, 0),  # remnant of the beam
    (9900110, -15, 1, NONE, 0),  # diffractive system
]


def made_record(order=None):
    entries = np.array([entry[:3] for entry in ENTRIES])
    order = np.arange(len(entries)) if order is None else order
    place = np.argsort(order)  # where each entry went
    zeros = np.zeros(len(entries))
    return Record(
        offsets=np.array([0, len(entries)]),
        pid=entries[order, 0].astype(np.int32),
        status=entries[order, 1].astype(np.int32),
        mother=place[entries[order, 2]].astype(np.int32),
        **{name: zeros + i for i, name in enumerate(("px", "py", "pz", "mass", "x", "y", "z", "t"))},
    )


def test_bits_and_roles():
    record = made_record()
    bits, roles = walk(record.offsets, record.pid, record.status, record.mother)
    np.testing.assert_array_equal(bits, [entry[3] for entry in ENTRIES])
    np.testing.assert_array_equal(roles, [entry[4] for entry in ENTRIES])


def test_order_of_entries_does_not_matter():
    order = np.concatenate(([0], np.random.default_rng(1).permutation(np.arange(1, len(ENTRIES)))))
    record = made_record(order)
    bits, roles = walk(record.offsets, record.pid, record.status, record.mother)
    np.testing.assert_array_equal(bits, np.array([entry[3] for entry in ENTRIES])[order])
    np.testing.assert_array_equal(roles, np.array([entry[4] for entry in ENTRIES])[order])


def test_no_events():
    nothing = np.zeros(0, np.int32)
    bits, roles = walk(np.array([0]), nothing, nothing, nothing)
    assert len(bits) == len(roles) == 0


@pytest.mark.parametrize("invisible", [True, False])
def test_extraction(invisible):
    record = made_record()
    collisions = extract(record, np.ones(1), invisible, {})
    stable = [entry[0] for entry in ENTRIES if entry[1] > 0 and (invisible or abs(entry[0]) not in (12, 14, 16))]
    np.testing.assert_array_equal(collisions.pid, stable)
    assert collisions.offsets.tolist() == [0, len(stable)]
    np.testing.assert_allclose(collisions.pt, 1.0)
    np.testing.assert_allclose(collisions.eta, np.arcsinh(2.0))
    np.testing.assert_allclose(collisions.phi, np.pi / 2)
    assert collisions.phi.dtype == collisions.eta.dtype == np.float32
    np.testing.assert_array_equal([collisions.x[0], collisions.t[0]], [4, 7])
    assert collisions.truth_role.tolist() == [entry[4] for entry in ENTRIES if entry[4]]


def test_along_the_beam_eta_is_finite_and_pileup_drops_it():
    pz = np.array([7000.0, -7000.0])
    zeros = np.zeros(2)
    ids = np.array([2212, 2212], np.int32)
    record = Record(np.array([0, 1, 2]), ids, ids * 0 + 14, ids * 0, zeros, zeros, pz, zeros, *[zeros] * 4)
    hard = extract(record, np.ones(2), True, {})
    assert np.isfinite(hard.eta).all()
    assert (hard.pt > 0).all()
    soft = extract(record, np.ones(2), False, {})
    assert soft.offsets.tolist() == [0, 0, 0]
    assert len(soft) == 2


pyhepmc = pytest.importorskip("pyhepmc")


def hepmc_event(number, momentum=pyhepmc.Units.MEV, length=pyhepmc.Units.CM):
    """A Z at (1, 2, 3, 4) mm to a muon pair, and a B meson that flies 1 mm; momenta in MeV, lengths in cm."""
    event = pyhepmc.GenEvent(momentum, length)
    event.event_number = number
    m, c = (1000.0 if momentum == pyhepmc.Units.MEV else 1.0), (0.1 if length == pyhepmc.Units.CM else 1.0)

    def particle(px, py, pz, e, pid, status):
        return pyhepmc.GenParticle((px * m, py * m, pz * m, e * m), pid, status)

    def vertex(x, y, z, t, incoming, outgoing):
        made = pyhepmc.GenVertex((x * c, y * c, z * c, t * c))
        for one in incoming:
            made.add_particle_in(one)
        for one in outgoing:
            made.add_particle_out(one)
        event.add_vertex(made)

    beams = [particle(0, 0, 7000, 7000, 2212, 4), particle(0, 0, -7000, 7000, 2212, 4)]
    z, b = particle(0, 0, 0, 91, 23, 62), particle(0, 30, 0, 31, 511, 2)
    muons = [particle(45.5, 0, 0, 45.5, 13, 1), particle(-45.5, 0, 0, 45.5, -13, 1)]
    vertex(1, 2, 3, 4, beams, [z, b])
    vertex(1, 2, 3, 4, [z], muons)
    vertex(1, 3, 3, 5, [b], [particle(0, 10, 0, 10, 211, 1), particle(0, 20, 0, 20, -14, 1)])
    return event


@pytest.mark.parametrize("suffix", [".hepmc", ".hepmc.gz"])
@pytest.mark.parametrize("units", [("MEV", "CM"), ("GEV", "MM")])
def test_hepmc(tmp_path, suffix, units):
    path = tmp_path / f"events{suffix}"
    momentum, length = (getattr(pyhepmc.Units, unit) for unit in units)
    with pyhepmc.open(path, "w") as file:
        for number in range(5):
            file.write(hepmc_event(number, momentum, length))
    collisions = read_hepmc(path)
    assert len(collisions) == 5
    one = collisions.select([3])
    by_id = {int(pid): i for i, pid in enumerate(one.pid)}
    assert set(by_id) == {13, -13, 211, -14}
    assert one.ancestry[by_id[13]] == Ancestry.PROMPT
    assert one.ancestry[by_id[-14]] == Ancestry.B_HADRON
    np.testing.assert_allclose(one.pt[[by_id[13], by_id[211]]], [45.5, 10.0], rtol=1e-6)
    pion = [getattr(one, name)[by_id[211]] for name in "xyzt"]
    np.testing.assert_allclose(pion, [0, 1, 0, 1], atol=1e-6)
    assert [one.x[by_id[13]], one.z[by_id[13]]] == [0, 0]
    expected = {(Role.BOSON, 23), (Role.DECAY_PRODUCT, 13), (Role.DECAY_PRODUCT, -13), (Role.B_HADRON, 511)}
    assert set(zip(one.truth_role.tolist(), one.truth_pid.tolist(), strict=True)) == expected
    assert [len(part) for part in iterate_hepmc(path, step=2)] == [2, 2, 1]
    assert collisions.weight.tolist() == [1.0] * 5


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (r"^(V -1 \S+ \[)[\d,]+", r"\g<1>1,99"),  # on particles beyond the collision's pyhepmc crashes
        (r"^(V -1 \S+ \[)[\d,]+\]", r"\g<1>1] [99]"),
        (r"^(V -1 .*@) \S+", r"\1 inf"),
        (r"^(P 1 \S+ \S+) \S+", r"\1 nan"),
    ],
)
def test_hepmc_of_nonsense(old, new, tmp_path):
    path = tmp_path / "odd.hepmc"
    with pyhepmc.open(path, "w", format="hepmc3") as file:
        file.write(hepmc_event(0))
    text = path.read_text()
    path.write_text(re.sub(old, new, text, count=1, flags=re.MULTILINE))
    assert path.read_text() != text
    with pytest.raises(UnreadableFileError, match=r"odd\.hepmc"):
        read_hepmc(path)


def test_hepmc_that_cannot_be_read(tmp_path, monkeypatch):
    with pytest.raises(UnreadableFileError, match="is not there"):
        read_hepmc(tmp_path / "nothing.hepmc")
    (tmp_path / "text.hepmc").write_text("these are not collisions\n" * 10)
    with pytest.raises(UnreadableFileError, match=r"text\.hepmc"):
        read_hepmc(tmp_path / "text.hepmc")
    whole = tmp_path / "whole.hepmc.gz"
    with pyhepmc.open(whole, "w") as file:
        for number in range(50):
            file.write(hepmc_event(number))
    cut = tmp_path / "cut.hepmc.gz"
    cut.write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    with pytest.raises(UnreadableFileError, match=r"cut\.hepmc\.gz"):
        read_hepmc(cut)
    plain, shorter = gzip.decompress(whole.read_bytes()), tmp_path / "shorter.hepmc"
    shorter.write_bytes(plain[: len(plain) // 2])
    with pytest.raises(UnreadableFileError, match=r"shorter\.hepmc"):
        read_hepmc(shorter)
    monkeypatch.setitem(sys.modules, "pyhepmc", None)
    with pytest.raises(MissingExtraError, match=r"pip install 'hardscatter\[formats\]'"):
        read_hepmc(whole)
