"""The arena on crossings of Delphes: its leaderboard holds what an evaluation finds."""

from __future__ import annotations

import pytest

from hardscatter.arena import contest
from hardscatter.metrics import evaluate
from hardscatter.metrics.resolution import CMS_REFERENCE, PERFECT, REFERENCE
from hardscatter.report.arena import draw_leaderboard, leaderboard_grids

METHODS = ["none", "chs", "softkiller", CMS_REFERENCE, REFERENCE]


def test_leaderboard_of_delphes_crossings(delphes_file, tmp_path):
    board = contest(tmp_path, [str(delphes_file)], METHODS, replicas=30, cost_crossings=0, step=10)
    sample = board.samples[delphes_file.stem]
    assert sample.facts.crossings == 24
    assert sample.facts.n_vertices == pytest.approx(143.9, abs=0.1)
    assert sample.failures == {}
    assert sample.counted == ["ak4_central.pt"]  # 59 jets; too few others
    evaluated = evaluate(delphes_file, METHODS, replicas=30).table.estimates
    assert {name: repr(by) for name, by in sample.table.estimates.items()} == {
        name: repr(by)
        for name, by in evaluated.items()  # as text NaN equals itself
    }
    order = list(board.ranking)
    assert order[0] == PERFECT
    assert order.index(REFERENCE) < order.index("chs")
    ht = {name: sample.table.estimates[name]["ht"]["resolution"].value for name in ("none", "chs", REFERENCE, PERFECT)}
    assert ht["none"] > ht["chs"] > ht[REFERENCE] > ht[PERFECT]
    assert len(leaderboard_grids(board)) == 5
    rows = [text.get_text() for text in draw_leaderboard(board, delphes_file.stem).axes[0].get_yticklabels()]
    assert rows[-1] == "perfect weights"
    assert len(rows) == len(METHODS) + 1
