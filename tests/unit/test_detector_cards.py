"""Cards: what the shipped ones say, and one sentence for a wrong one."""

from __future__ import annotations

import dataclasses
import re
from itertools import pairwise

import numpy as np
import pytest

from hardscatter.detector import load_card
from hardscatter.detector.tables import (
    ELECTRON,
    HADRON,
    MUON,
    energy_error,
    tables_of,
    tower_number,
    tower_row,
    value_at,
)
from hardscatter.errors import SettingsError

CARDS = ("cms-phase2", "delphes-phase2", "atlas-like")


def write(tmp_path, text, name="mine.toml"):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    return path


@pytest.mark.parametrize("name", CARDS)
def test_shipped_cards_load_and_differ(name):
    card = load_card(name)
    assert card.name == name
    assert card == load_card(name)
    assert re.fullmatch("[0-9a-f]{12}", card.hash())
    assert card.hash() not in {load_card(other).hash() for other in CARDS if other != name}


def test_the_hash_follows_the_numbers_not_the_words():
    card = load_card("cms-phase2")
    assert dataclasses.replace(card, description="other words").hash() == card.hash()
    assert dataclasses.replace(card, photon_smearing=0.02).hash() != card.hash()


def test_a_card_may_be_based_on_a_shipped_one_or_on_a_file_beside_it(tmp_path):
    write(tmp_path, 'based_on = "cms-phase2"\n[volume]\nfield = 2.0', "weak.toml")
    path = write(tmp_path, 'based_on = "weak.toml"\nname = "mine"')
    card = load_card(path)
    assert (card.name, card.volume.field, card.volume.radius) == ("mine", 2.0, 1290.0)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('based_on = "cms-phase2"\n[volume]\nfeild = 2.0', ["mine.toml", "'volume.feild'", "no such key", "remove"]),
        ('based_on = "cms-phase2"\n[volume]\nfield = -1', ["mine.toml", "'volume.field'", "greater than 0", "-1"]),
        ('name = "x"', ["mine.toml", "'description'", "missing", "based_on"]),
        ("name = = 3", ["mine.toml", "not a TOML file", "correct"]),
        ('based_on = "mine.toml"', ["mine.toml", "circle"]),
        ('based_on = "nonesuch"', ["nonesuch", "cms-phase2"]),
        (
            'based_on = "cms-phase2"\n[[tracker.efficiency.muon]]\neta = [0, 1]\npt = [0, 1]\nconstant = [1, 2]',
            ["tracker.efficiency.muon", "must hold 1 numbers"],
        ),
        ('based_on = "cms-phase2"\n[ecal.towers]\nsegments = []', ["ecal.towers", "at least two eta edges"]),
    ],
)
def test_a_wrong_card_is_one_sentence(tmp_path, text, words):
    with pytest.raises(SettingsError) as problem:
        load_card(write(tmp_path, text))
    sentence = str(problem.value)
    assert "\n" not in sentence
    for word in words:
        assert word in sentence


def test_an_unknown_card_names_those_there_are(tmp_path):
    with pytest.raises(SettingsError, match="atlas-like, cms-phase2, delphes-phase2"):
        load_card("lhcb")
    with pytest.raises(SettingsError, match=r"path of a \.toml file"):
        load_card(tmp_path / "absent.toml")


def test_towers_are_found_by_upper_edges():
    grid = tables_of(load_card("delphes-phase2")).hcal.grid
    edges = grid.edges
    for row, (low, high) in enumerate(pairwise(edges)):
        assert tower_row(grid, float(high)) == row
        assert tower_row(grid, float(0.5 * (low + high))) == row
        if row:
            assert tower_row(grid, float(low)) == row - 1
    assert tower_row(grid, -5.0) == tower_row(grid, 5.0001) == tower_row(grid, float("nan")) == -1


def test_towers_go_round_in_phi():
    grid = tables_of(load_card("delphes-phase2")).hcal.grid
    row = tower_row(grid, 0.04)
    numbers = {tower_number(grid, 0.04, phi) for phi in np.linspace(-np.pi, np.pi, 1000, endpoint=False)}
    assert numbers == set(range(grid.first[row], grid.first[row + 1]))
    assert tower_number(grid, 0.04, np.pi) == grid.first[row + 1] - 1


def test_functions_of_pt_and_eta():
    tables = tables_of(load_card("delphes-phase2"))
    assert value_at(tables.efficiency, HADRON, 0.5, 0.3) == pytest.approx(0.48)
    assert value_at(tables.efficiency, HADRON, 0.2, 0.3) == 0.0
    assert value_at(tables.efficiency, HADRON, 5.0, -4.1) == 0.0
    assert value_at(tables.efficiency, ELECTRON, 5.0, 2.0) == pytest.approx(0.87)
    assert value_at(tables.resolution, HADRON, 50.0, 0.3) == pytest.approx(0.005343 + 40 * 0.000043)
    assert value_at(tables.resolution, HADRON, 300.0, 1.3) == pytest.approx(0.0168 * 3)
    assert value_at(tables.resolution, MUON, 30.0, 2.45) == pytest.approx(0.0409)
    assert value_at(tables.resolution, MUON, 3.0, 3.1) == pytest.approx(2 * (0.045517 + 2 * 0.002188))
    better = tables_of(load_card("cms-phase2"))
    assert value_at(better.resolution, MUON, 3.0, 3.1) == pytest.approx(0.045517 + 2 * 0.002188)
    assert value_at(better.resolution, MUON, 3.0, 1.1) == value_at(tables.resolution, MUON, 3.0, 1.1)


def test_energy_resolution_by_tower_centre():
    tables = tables_of(load_card("delphes-phase2"))
    ecal, hcal = tables.ecal.grid, tables.hcal.grid
    e = 20.0
    assert energy_error(ecal, tower_row(ecal, 0.5), e) == pytest.approx(
        np.sqrt((0.009 * e) ** 2 + 0.12**2 * e + 0.45**2)
    )
    assert energy_error(ecal, tower_row(ecal, 1.6), e) == pytest.approx(np.sqrt((0.006 * e) ** 2 + 0.20**2 * e))
    assert energy_error(ecal, tower_row(ecal, -4.0), e) == pytest.approx(np.sqrt((0.08 * e) ** 2 + 1.98**2 * e))
    assert energy_error(hcal, tower_row(hcal, 2.9), e) == pytest.approx(np.sqrt((0.05 * e) ** 2 + e))


def test_energy_fractions():
    card = load_card("delphes-phase2")
    found = {pid: tuple(card.fractions()[:, card.species(pid)]) for pid in (11, -11, 22, 13, 12, 310, 3122, 211, 130)}
    assert found == {
        11: (1, 0), -11: (1, 0), 22: (1, 0), 13: (0, 0), 12: (0, 0),
        310: (0.3, 0.7), 3122: (0.3, 0.7), 211: (0, 1), 130: (0, 1),
    }  # fmt: skip


@pytest.mark.parametrize(
    "wrong",
    [
        "[beam]\nmax_z = 1e-30", "[beam]\nmax_z = 4000.0", "[beam]\nsigma_z = nan", "[volume]\nradius = inf",
        "[vertexing]\ndisplaced_share = 3.0", "[ecal.resolution]\neta = []\nconstant = []\nstochastic = []\nnoise = []",
        "[ecal.resolution]\neta = [3.0, 1.5]\nconstant = [0.1, 0.1]\nstochastic = [0, 0]\nnoise = [0, 0]",
        "[ecal.resolution]\neta = [5.0]\nconstant = [nan]\nstochastic = [0]\nnoise = [0]",
        "[[tracker.efficiency.hadron]]\neta = [0.0, 4.0]\npt = [0.2, inf]\nconstant = [7.0]",
        "[[tracker.resolution.hadron]]\neta = [0.0, 4.0]\npt = [0.2, inf]\nconstant = [-0.5]",
        "[ecal]\nfractions = [{pdg = [22], fraction = 1.0}, {pdg = [22, 11], fraction = 0.5}]",
    ],
)  # fmt: skip
def test_impossible_detectors_get_one_sentence(tmp_path, wrong):
    card = tmp_path / "wrong.toml"
    card.write_text(f'based_on = "delphes-phase2"\nname = "wrong"\ndescription = "x"\n{wrong}\n')
    with pytest.raises(SettingsError, match=r"wrong\.toml") as raised:
        load_card(card)
    assert "\n" not in str(raised.value)
