"""Progress: rate and time left, lines of JSON for machines, lines or a bar for people, or nothing."""

from __future__ import annotations

import json
import sys

import pytest

from hardscatter.errors import SettingsError
from hardscatter.report.progress import Pace, json_lines, progress, spelt, stages


class Clock:
    """A clock that tests set."""

    def __init__(self):
        self.now = 100.0

    def __call__(self):
        return self.now


def test_pace_leaves_out_what_was_ready_before():
    pace = Pace(10.0, 40)
    assert pace.rate(10.0, 40) is None
    assert pace.seconds_left(20.0, 40, 100) is None
    assert pace.rate(15.0, 60) == 4.0
    assert pace.seconds_left(15.0, 60, 100) == 10.0
    assert pace.seconds_left(15.0, 100, 100) == 0.0


def test_json_has_a_line_a_second_and_the_last_of_each_stage(capsys):
    clock = Clock()
    with json_lines(clock) as tell:
        for done in range(0, 101, 10):
            tell("events", done, 100)
            clock.now += 0.25
        tell("parts", 3, 7)
        tell("parts", 4, 7)
    lines = [json.loads(line) for line in capsys.readouterr().err.splitlines()]
    events = [line for line in lines if line["doing"] == "events"]
    assert [line["done"] for line in events] == [0, 40, 80, 100]
    assert events[0] == {"doing": "events", "done": 0, "total": 100, "rate": None, "seconds_left": None}
    assert [line["rate"] for line in events[1:]] == [40.0, 40.0, 40.0]
    assert [line["seconds_left"] for line in events[1:]] == [1.5, 0.5, 0.0]
    assert lines[-1] == {"doing": "parts", "done": 4, "total": 7, "rate": None, "seconds_left": None}


def test_the_last_line_comes_after_an_error_too(capsys):
    clock = Clock()

    def work():
        with json_lines(clock) as tell:
            tell("events", 0, 5)
            clock.now += 0.5
            tell("events", 2, 5)
            raise SettingsError("stop")

    with pytest.raises(SettingsError):
        work()
    assert [json.loads(line)["done"] for line in capsys.readouterr().err.splitlines()] == [0, 2]


def test_a_stage_that_starts_again_has_a_new_pace(capsys):
    clock = Clock()
    with json_lines(clock) as tell:
        for done in (50, 60, 0, 10):
            tell("events", done, 60)
            clock.now += 2
    rates = [json.loads(line)["rate"] for line in capsys.readouterr().err.splitlines()]
    assert rates == [None, 5.0, None, 5.0]


def test_lines_at_every_tenth_for_batch_jobs(capsys):
    with progress("mitigating", 40) as advance:
        for _ in range(40):
            advance(1)
    lines = capsys.readouterr().err.splitlines()
    assert len(lines) == 10
    assert lines[0].startswith("mitigating: 4 of 40 events")
    assert " left" in lines[0]
    assert lines[-1].startswith("mitigating: 40 of 40 events")
    assert " left" not in lines[-1]


def test_a_bar_for_people(capsys, monkeypatch):
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "120")
    monkeypatch.setenv("TERM", "xterm")
    with stages() as tell:
        tell("events", 0, 10)
        tell("events", 5, 10)
        tell("events", 10, 10)
    drawn = capsys.readouterr().err
    assert "10/10" in drawn
    assert "/s" in drawn


def test_nothing_and_nonsense(capsys):
    with stages("none") as tell:
        tell("events", 5, 10)
    assert capsys.readouterr().err == ""
    with pytest.raises(SettingsError, match="give one of auto, json, none"), stages("bar"):
        pass


def test_times_as_people_say_them():
    assert [spelt(seconds) for seconds in (0.4, 89, 600, 11100)] == ["0 s", "89 s", "10 min", "3 h 5 min"]
