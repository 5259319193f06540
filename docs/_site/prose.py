"""Pages are read in the repository too: what the site needs otherwise is changed as they are read."""

import re
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx

_LINK = re.compile(r"(?<!!)\[([^\]]+)\]\(([^)\s#]+)(#[^)\s]*)?\)")
_PAGES = (".md", ".png")
_ERROR = re.compile(r"(?<=[\d.]) ± (?=\d)")


def setup(app: Sphinx) -> dict[str, Any]:
    """Rewrite links and errors before a page is parsed; after what is generated has been filled in."""
    app.connect("source-read", _keep_within_the_site, priority=600)
    app.connect("source-read", _keep_errors_with_their_numbers, priority=600)
    return {"parallel_read_safe": True, "parallel_write_safe": True}


def _keep_within_the_site(app: Sphinx, page: str, source: list[str]) -> None:
    """Write a link to a file of the repository that is no page as its text and its path."""
    here = (Path(app.srcdir) / page).parent

    def named(link: re.Match[str]) -> str:
        text, target = link[1], link[2]
        place = (here / target).resolve()
        if ":" in target or not place.exists():  # elsewhere, or a mistake that the build shall find
            return link[0]
        if place.is_relative_to(app.srcdir) and place.suffix in _PAGES:
            return link[0]
        path = place.relative_to(Path(app.srcdir).parent)
        return f"`{path}`" if text.strip("`") in (str(path), target, path.name) else f"{text} (`{path}`)"

    source[0] = _LINK.sub(named, source[0])


def _keep_errors_with_their_numbers(_app: Sphinx, page: str, source: list[str]) -> None:
    """Let no line break between a number and its error; notebooks are code and stay as they are."""
    if not page.startswith("tutorials/"):
        source[0] = _ERROR.sub("\N{NO-BREAK SPACE}±\N{NO-BREAK SPACE}", source[0])
