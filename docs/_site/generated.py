"""Pages whose text stands elsewhere: docstrings of the rooms, `--help` of the verbs, model cards."""

import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path
from typing import Any

import typer
from sphinx.application import Sphinx
from typer.testing import CliRunner

import hardscatter
from hardscatter.cli import app as command_line

CARDS = Path(hardscatter.__path__[0]) / "pileup" / "models"

_COLON = "\ue000"  # of no alphabet
_FIGURE = re.compile(r"!\[([^\]]*)\]\((\w+\.png)\)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Write the rooms' pages before pages are looked for, and fill the marked places of others as they are read."""
    app.connect("builder-inited", _write_rooms)
    app.connect("source-read", _fill)
    app.connect("autodoc-process-docstring", _hide_colons, priority=400)
    app.connect("autodoc-process-docstring", _as_restructured_text, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def rooms() -> list[str]:
    """Return the names of the rooms: the packages and modules directly under `hardscatter`."""
    return [module.name for module in pkgutil.iter_modules(hardscatter.__path__)]


def _write_rooms(app: Sphinx) -> None:
    folder = Path(app.srcdir) / "reference" / "rooms"
    folder.mkdir(exist_ok=True)
    pages = {f"{room}.md": _room(room) for room in rooms() if room != "cli"}
    for stale in {page.name for page in folder.iterdir()} - set(pages):
        (folder / stale).unlink()
    for name, text in pages.items():
        if not (folder / name).exists() or (folder / name).read_text() != text:
            (folder / name).write_text(text)


def _room(room: str) -> str:
    """Return a page with what a room offers, then with what else the files in it hold."""
    package = import_module(f"hardscatter.{room}")
    offered = getattr(package, "__all__", [])
    directives = [f".. automodule:: {package.__name__}\n   :members:\n"]
    for file in pkgutil.iter_modules(getattr(package, "__path__", [])):
        name = f"{package.__name__}.{file.name}"
        # Without an entry in the index: a file may be called as what it offers.
        directives.append(f".. rubric:: {name}\n")
        directives.append(f".. automodule:: {name}\n   :no-index:\n   :exclude-members: {', '.join(offered) or '-'}\n")
    return f"# {package.__name__}\n\n```{{eval-rst}}\n" + "\n".join(directives) + "```\n"


def _fill(app: Sphinx, page: str, source: list[str]) -> None:
    if page == "reference/api":
        source[0] = source[0].replace("<!-- names -->", _names())
    if page == "guide/gallery":
        source[0] += _figures(Path(app.srcdir))
    if page == "reference/models":
        source[0] += "".join(_demoted(card.read_text()) for card in sorted(CARDS.glob("*.md")))
    if page == "reference/command-line":
        source[0] += "".join(_help(verb) for verb in _verbs())


def _names() -> str:
    """Return a table of what `hardscatter` itself offers, each name with the first sentence about it."""
    rows = ["| name | what it does |", "|---|---|"]
    for name, module in sorted(hardscatter._HOME.items(), key=lambda item: item[0].lower()):
        summary = re.split(r"(?<=\.)\s", inspect.getdoc(getattr(hardscatter, name)) or "")[0].replace("\n", " ")
        rows.append(f"| {{py:obj}}`hs.{name} <hardscatter.{module}.{name}>` | {summary.replace('|', '&#124;')} |")
    return "\n".join(rows)


def _figures(folder: Path) -> str:
    """Return every figure of the pages of a folder, each once, under the title of its page."""
    shown: set[str] = set()
    parts = []
    for page in [folder / "index.md", *sorted(folder.glob("*.md"))]:
        text = page.read_text()
        new = [(words, name) for words, name in _FIGURE.findall(text) if name not in shown]
        shown |= {name for _, name in new}
        if new:
            parts.append(f"\n## [{text.partition(chr(10))[0].removeprefix('# ')}](../{page.name})\n")
            parts += [f"\n![{words}](../{name})\n\n*{words}*\n" for words, name in new]
    return "".join(parts)


def _demoted(card: str) -> str:
    """Return a card one level of headings down."""
    return "\n" + re.sub(r"^#", "##", card, flags=re.MULTILINE).replace("## Model card: ", "## ")


def _verbs() -> list[str]:
    return list(typer.main.get_command(command_line).commands)


def _help(verb: str) -> str:
    wide = {"COLUMNS": "110", "TERMINAL_WIDTH": "110", "NO_COLOR": "1"}
    text = CliRunner().invoke(command_line, [verb, "--help"], env=wide).output
    return f"\n## {verb}\n\n```text\n{text.strip()}\n```\n"


def _hide_colons(_app: Sphinx, kind: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """Keep napoleon from taking the first half of a sentence about a field for the field's type."""
    if kind in ("attribute", "data", "property") and lines:
        lines[0] = lines[0].replace(": ", _COLON)


def _as_restructured_text(_app: Sphinx, _kind: str, _name: str, _of: Any, _options: Any, lines: list[str]) -> None:
    """Bring colons back, and escape what our docstrings write as physicists do: bars around eta."""
    lines[:] = [re.sub(r"\|(?=\S)", r"\\|", line.replace(_COLON, ": ")) for line in lines]
