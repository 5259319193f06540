"""The site: it builds without a warning, its notebooks run, and what pages promise to print is printed."""

from __future__ import annotations

import doctest
import inspect
import os
import pkgutil
import re
import subprocess
import sys
from pathlib import Path

import pytest

import hardscatter
from hardscatter.cli import app

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
START = DOCS / "guide" / "start.md"
LIKE_A_READER = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE
"""Three dots stand for anything, and columns may be as wide as they like."""


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """The site as a browser finds it, built without a network."""
    pytest.importorskip("myst_nb")
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "sphinx", "--fail-on-warning", "--keep-going", "--quiet"]
    closed = {"https_proxy": "http://127.0.0.1:9", "http_proxy": "http://127.0.0.1:9", "no_proxy": ""}
    surroundings = {**os.environ, **closed, "HARDSCATTER_CACHE": str(folder / "collisions")}
    built = subprocess.run(
        [*command, "-d", folder / "doctrees", DOCS, folder / "html"],
        env=surroundings, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert built.returncode == 0, built.stderr[-4000:]
    return folder / "html"


@pytest.mark.slow
def test_the_site_builds_without_a_warning_and_its_notebooks_run(site):
    for notebook in (DOCS / "tutorials").glob("*.md"):
        page = (site / "tutorials" / notebook.with_suffix(".html").name).read_text()
        assert "cell_output" in page, notebook.name


@pytest.mark.slow
def test_no_page_fetches_anything(site):
    for page in site.rglob("*.html"):
        loaded = re.findall(r"<(?:script|img|link|iframe)\b[^>]*?(?:src|href)=\"(https?:[^\"]+)\"", page.read_text())
        assert not loaded, (page.name, loaded)


@pytest.mark.slow
def test_every_room_every_public_name_every_verb_every_figure_and_every_model_has_its_place(site):
    api = (site / "reference" / "api.html").read_text()
    for name in hardscatter._HOME:
        assert f">hs.{name}<" in api, name
        assert re.search(rf'href="rooms/\w+\.html#[\w.]+\.{name}"', api), f"{name} has no docstring to link to"
    verbs = (site / "reference" / "command-line.html").read_text()
    for command in app.registered_commands:
        name = command.name or command.callback.__name__
        assert f"Usage: hardscatter {name} " in verbs, name
    gallery = (site / "guide" / "gallery.html").read_text()
    for figure in re.findall(r"!\[[^\]]*\]\((\w+\.png)\)", "".join(page.read_text() for page in DOCS.glob("*.md"))):
        assert figure in gallery, figure
    cards = (site / "reference" / "models.html").read_text()
    for card in (ROOT / "src" / "hardscatter" / "pileup" / "models").glob("*.md"):
        assert card.read_text().partition("\n")[0].removeprefix("# Model card: ") in cards, card.name


@pytest.mark.slow
def test_the_commands_of_the_ten_minute_start_print_what_the_page_says(tmp_path, monkeypatch, run):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "examples").symlink_to(ROOT / "examples")
    blocks = re.findall(r"```console\n\$ hardscatter (.*?)\n(.*?)```", START.read_text(), re.DOTALL)
    assert len(blocks) == 3
    for words, expected in blocks:
        code, out, err = run(*words.split())
        assert code == 0, err
        printed = out or err.strip().splitlines()[-1]  # the last word of a verb whose output is a file
        assert doctest.OutputChecker().check_output(expected, printed, LIKE_A_READER), f"{words}\n{printed}"


@pytest.mark.parametrize("verb", ["inspect", pytest.param("evaluate", marks=pytest.mark.slow), "processes"])
def test_the_help_of_a_verb_shows_what_it_prints(verb, monkeypatch, run):
    monkeypatch.chdir(ROOT)
    callback = next(one.callback for one in app.registered_commands if one.name == verb)
    (command, example), *more = re.findall(r"\$ hardscatter (.*)\n([^`]*)```", inspect.getdoc(callback))
    assert not more
    words, _, taken = command.partition(" | ")
    code, out, err = run(*words.split())
    assert code == 0, err
    lines = out.splitlines()
    if taken:
        grep, option, after, word = taken.split()
        assert (grep, option) == ("grep", "-A")
        first = next(number for number, line in enumerate(lines) if word in line)
        lines = lines[first : first + 1 + int(after)]
    assert [line.split() for line in example.splitlines()] == [line.split() for line in lines]


@pytest.mark.slow
def test_the_lines_of_python_of_the_ten_minute_start_print_what_the_page_says(monkeypatch):
    monkeypatch.chdir(ROOT)
    done = doctest.testfile(str(START), module_relative=False, optionflags=LIKE_A_READER)
    assert done.attempted >= 8
    assert done.failed == 0


def test_the_map_of_the_code_names_every_room_and_no_other():
    table = re.findall(r"^\| ((?:`\w+`(?:, )?)+) \|", (DOCS / "reference" / "code-map.md").read_text(), re.MULTILINE)
    named = [room for cell in table for room in re.findall(r"\w+", cell)]
    rooms = {module.name for module in pkgutil.iter_modules(hardscatter.__path__)}
    assert len(named) == len(set(named))
    assert set(named) == rooms


def test_what_the_front_door_links_to_is_there():
    for page in (ROOT / "README.md", ROOT / "CONTRIBUTING.md"):  # links within the site are checked as it is built
        for target in re.findall(r"\]\(([^)\s#:]+)(?:#[^)\s]*)?\)", page.read_text()):
            assert (page.parent / target).exists(), f"{page.name} links to {target}"


def test_what_is_said_about_the_version_and_the_commands_is_so():
    assert f"\nversion: {hardscatter.__version__}\n" in (ROOT / "CITATION.cff").read_text()
    assert f"\n## {hardscatter.__version__}\n" in (ROOT / "CHANGELOG.md").read_text()
    told = re.findall(r"^make (\w+)", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    there = re.findall(r"^(\w+): \$\(READY\)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert len(told) == 4
    assert set(told) <= set(there)
