"""The page: studies, figures, tables, crossings to look at and where all of it came from, in one HTML file.

Nothing is fetched from anywhere when it is read: style, scripts, figures and data are inside the file, and its
content security policy forbids the rest. The template and what it inlines are in the folder ``page`` beside this file.
"""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import math
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count, pairwise
from pathlib import Path
from typing import Any
from urllib.parse import quote

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from markupsafe import Markup, escape
from PIL import Image

from hardscatter.arena.files import write_text
from hardscatter.metrics.resolution import PERFECT
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Distribution, Numbers, Profile, Result, Study
from hardscatter.report.display import ETA_MAX
from hardscatter.report.event_view import JET_RADIUS, KINDS, PT_MIN, WEIGHT_UNIT, EventView
from hardscatter.report.first_light import JET_PT_MIN
from hardscatter.report.style import FAVOURITE, label, named
from hardscatter.report.tables import with_error

_ASSETS = Path(__file__).parent / "page"
_LINE = 80
"""Characters of a list that is written in one line."""
_LINKED = (".pdf", ".json")
_FOLDERS = (".", "figures", "numbers")
_UNFOLDED = 2
"""So many studies show all of their results from the beginning, the others their first."""
_COLOURS = 128
"""Of a figure's palette: only continuous colour scales, which the figures of no result have, show steps with it."""
_EFFORT = 75
"""Of 100, to make images small: more takes a hundred times as long and gains a hundredth."""
_PLOTLY = "plotly-gl3d.min.js.gz"
"""Plotly's own bundle of what the display draws with, a third of the whole; NOTICE tells where it is from."""


@dataclass(frozen=True)
class Headline:
    """One number that a reader takes away."""

    title: str
    value: Estimate | str
    """A number with its error, or a few words."""
    unit: str = ""
    comparison: str = ""
    """What it is to be set against: ``PUPPI (best tune) 21.4 ± 0.3 GeV``; each part after a semicolon gets its line."""
    sample: str = ""
    """In words, with its size."""
    study: str = ""
    """Name of the study it is from, which it links to."""


@dataclass(frozen=True)
class Page:
    """All that is shown; what is empty is left out."""

    title: str
    summary: tuple[str, ...] = ()
    """Sentences that a physicist reads in a minute."""
    headlines: tuple[Headline, ...] = ()
    studies: tuple[Study, ...] = ()
    figures: Mapping[str, bytes | Path] = field(default_factory=dict)
    """PNG images, or where they are, by the name of the result; other names may be there for `picture`."""
    picture: str = ""
    """Name of the figure that stands in the summary."""
    picture_caption: str = ""
    events: tuple[EventView, ...] = ()
    provenance: Mapping[str, Any] = field(default_factory=dict)
    """Plain data, nested as need be: versions, seeds, settings, commands, samples with their sizes."""
    folder: Path | None = None
    """Where ``<name>.pdf`` and ``<name>.json`` of results and studies are, itself or its ``figures`` and ``numbers``;
    those that exist are linked to."""


@dataclass(frozen=True)
class Table:
    """A table as the page sets it: the first cell of each row is its heading; rows are sorted by what is read."""

    caption: str
    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remark: str = ""
    number: int = 0


def write_page(output: Path, page: Page) -> Path:
    """Write the page as one HTML file that needs nothing else; return its path.

    The interactive display of `Page.events` needs a browser that unpacks gzip (since 2023 all do); an older one says so
    and shows the crossings' numbers. A file of that name is replaced.

    Raises
    ------
    UnwritableFileError
        If there is no space or no permission; nothing half-written is left.
    """
    output = Path(output)
    write_text(output, render(page, output.parent))
    return output


def render(page: Page, beside: Path) -> str:
    """Return the page as HTML; links to files are relative to the folder `beside`."""
    environment = Environment(
        loader=FileSystemLoader(_ASSETS), autoescape=True, undefined=StrictUndefined, trim_blocks=True,
        lstrip_blocks=True,
    )  # fmt: skip
    environment.filters |= {"typeset": typeset, "named": named, "plain": _plain}
    environment.tests |= {"leaf": _is_leaf, "records": _is_records, "short": _is_short}
    figures, tables = count(1), count(1)
    plotly = (_ASSETS / _PLOTLY).read_bytes() if page.events else b""
    scripts = {"page": _asset("page.js")}
    if plotly:
        scripts |= {"display": _asset("display.js"), "plotly": Markup(gzip.decompress(plotly).decode())}  # noqa: S704
    return environment.get_template("page.html").render(
        page=page,
        headlines=[(headline, _written(headline)) for headline in page.headlines],
        picture=_image(page.figures[page.picture]) if page.picture in page.figures else None,
        sections=[
            _section(study, page, beside, figures, tables, folded=place >= _UNFOLDED)
            for place, study in enumerate(page.studies)
        ],
        crossings=[replace(_crossing_table(event), number=next(tables)) for event in page.events],
        left_out=_left_out(page.events),
        style=_asset("page.css"), scripts=scripts, allowed=[_digest(script) for script in scripts.values()],
        packed={"events": _packed(_json(page.events)), "plotly": _base64(plotly)} if plotly else {},
        kinds=KINDS, marks=_MARKS, pt_min=PT_MIN, jet_pt_min=JET_PT_MIN, jet_radius=JET_RADIUS,
    )  # fmt: skip


def tables_of(result: Result) -> list[Table]:
    """Return all numbers of a result as tables, values with their errors."""
    if isinstance(result, Numbers):
        return [_numbers_table(result)]
    if isinstance(result, Distribution):
        return [_distances_table(result), _shares_table(result)]
    return [_statistic_table(result, name) for name in result.statistics]


def typeset(text: str) -> Markup:
    """Return plain words as HTML: methods by their names, symbols as physicists write them, arXiv numbers as links."""
    text, parts, end = named(text), [], 0
    for found in _SYMBOLS.finditer(text):
        parts += [escape(text[end : found.start()]), _set(found)]
        end = found.end()
    return Markup("").join([*parts, escape(text[end:])])


_DISPLAY = {
    "kinds": KINDS, "weightUnit": WEIGHT_UNIT, "etaMax": ETA_MAX, "jetRadius": JET_RADIUS, "jetPtMin": JET_PT_MIN,
    "classes": {
        211: "charged hadron", 130: "neutral hadron", 22: "photon", 11: "electron", 13: "muon",
        1: "forward hadronic", 2: "forward electromagnetic",
    },
}  # fmt: skip

# What else the legend tells: name, colour of the style sheet and shape.
_MARKS = (
    ("jets, pt in GeV", "jet", "solid"), ("true jets", "truth", "dashed"), ("true leptons", "lepton", "diamond"),
    ("missing momentum", "met", "dashed"), ("true missing momentum", "truth", "dotted"),
)  # fmt: skip

_SYMBOLS = re.compile(
    r"(?P<paper>arXiv:(?P<id>\d{4}\.\d{4,5}|[a-z-]+/\d{7}))|(?P<pt>\bp_?[tT]\b)|(?P<eta>\beta\b)|(?P<phi>\bphi\b)"
    r"|(?<![\w.])(?P<symbol>[A-Za-zτσδ])_(?P<index>[A-Za-z0-9]{1,5})\b|τ(?P<tau>\d\d)\b"
)


def _set(found: re.Match[str]) -> Markup:
    if found["paper"]:
        return Markup('<a href="https://arxiv.org/abs/{}">{}</a>').format(found["id"], found["paper"])
    if found["eta"] or found["phi"]:
        return Markup("<i>{}</i>").format("η" if found["eta"] else "φ")
    symbol, index = (
        ("p", "T") if found["pt"] else ("τ", found["tau"]) if found["tau"] else found.group("symbol", "index")
    )
    return Markup("<i>{}</i><sub>{}</sub>").format(symbol, index)


def _asset(name: str) -> Markup:
    """Return a file of ours to be inlined as it is."""
    return Markup((_ASSETS / name).read_text(encoding="utf-8"))  # noqa: S704


def _digest(script: str) -> str:
    """Return what the content security policy knows a script by: it runs no other."""
    return f"sha256-{_base64(hashlib.sha256(script.encode()).digest())}"


def _packed(text: str) -> str:
    """Return a text compressed by gzip, in base64: the page's script unpacks it."""
    return _base64(gzip.compress(text.encode(), mtime=0))


def _base64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _json(events: Sequence[EventView]) -> str:
    """Return what the display draws."""
    shown = [{**event.to_dict(), "first": _first_method(list(event.methods))} for event in events]
    return json.dumps({"events": shown, **_DISPLAY}, separators=(",", ":"), ensure_ascii=False, allow_nan=False)


def _first_method(methods: Sequence[str]) -> str:
    return FAVOURITE if FAVOURITE in methods else [name for name in methods if name != PERFECT][-1]


def _section(
    study: Study, page: Page, beside: Path, figures: Iterator[int], tables: Iterator[int], *, folded: bool
) -> dict[str, Any]:
    """Return what the template shows of one study: the text, and of each result a figure, its links and tables.

    A folded study shows its first figure, without the table.
    """
    results: list[dict[str, Any]] = []
    for place, result in enumerate(study.results):
        image = _image(page.figures[result.name]) if result.name in page.figures else None
        results.append({
            "result": result, "id": f"result-{study.name}-{result.name}", "image": image, "alt": _in_words(result),
            "size": _size(result), "links": _links(page, result.name, beside),
            "number": next(figures) if image else 0,
            "open": image is None or (isinstance(result, Numbers) and not (folded and place == 0)),
            "tables": [replace(table, number=next(tables)) for table in tables_of(result)],
        })  # fmt: skip
    return {
        "study": study, "results": results, "links": _links(page, study.name, beside), "folded": folded,
        "n_figures": sum(shown["image"] is not None for shown in results),
        "n_tables": sum(len(shown["tables"]) for shown in results),
    }  # fmt: skip


def _image(source: bytes | Path) -> dict[str, Any]:
    """Return a PNG as a data URI, with its size in pixels so that nothing moves while the page loads."""
    data = source if isinstance(source, bytes) else Path(source).read_bytes()
    with Image.open(io.BytesIO(data)) as image:
        width, height = image.size
        kinds = {"png": data, "webp": _with_palette(image)}
    kind = min(kinds, key=lambda name: len(kinds[name]))
    return {"uri": f"data:image/{kind};base64,{_base64(kinds[kind])}", "width": width, "height": height}


def _with_palette(image: Image.Image) -> bytes:
    """Return the image in few colours as lossless WebP: a quarter of a figure's size."""
    opaque = Image.new("RGBA", image.size, "white")  # as the page shows it
    opaque.alpha_composite(image.convert("RGBA"))
    few = opaque.convert("RGB")
    if few.getcolors(_COLOURS) is None:
        few = few.quantize(_COLOURS, Image.Quantize.MEDIANCUT, dither=Image.Dither.NONE).convert("RGB")
    stream = io.BytesIO()
    few.save(stream, "WEBP", lossless=True, quality=_EFFORT)
    return stream.getvalue()


def _links(page: Page, name: str, beside: Path) -> list[tuple[str, str]]:
    """Return the files of a result or study that exist: what they are, and their address seen from the page."""
    if page.folder is None:
        return []
    files = [page.folder / inside / f"{name}{suffix}" for suffix in _LINKED for inside in _FOLDERS]
    return [
        (file.suffix[1:].upper(), quote(Path(os.path.relpath(file, beside)).as_posix()))
        for file in files if file.is_file()
    ]  # fmt: skip


def _written(headline: Headline) -> str:
    return headline.value if isinstance(headline.value, str) else _cell(headline.value)


def _in_words(result: Result) -> str:
    """Return what a figure shows, for those who do not see it."""
    if isinstance(result, Numbers):
        what = f"{_listed(result.headings.values())} as points with error bars, for {_listed(map(label, result.rows))}"
    elif isinstance(result, Distribution):
        what = f"Histograms of {result.quantity} for {_listed(map(label, result.shares))}"
    else:
        headline = next(iter(result.statistics), "")
        methods = map(label, result.statistics.get(headline, {}))
        what = f"{result.headings.get(headline, headline)} against {result.variable} for {_listed(methods)}"
    return named(f"{result.title}, {result.sample}. {what}. The numbers are in the tables that follow.")


def _listed(names: Any) -> str:
    return ", ".join(names) or "nothing"


def _size(result: Result) -> str:
    """Return how much data a result is made from, in words."""
    events = f"{_number(result.n_events)} crossing{'' if result.n_events == 1 else 's'}"
    if isinstance(result, Distribution) and result.entries:
        least, most = min(result.entries.values()), max(result.entries.values())
        return f"{events}, {_number(least)}{'' if least == most else f' to {_number(most)}'} entries"
    if isinstance(result, Profile) and sum(result.sizes) != result.n_events:
        return f"{events}, {_number(sum(result.sizes))} entries"
    return events


def _numbers_table(result: Numbers) -> Table:
    rows = tuple(
        (label(name), *(_cell(cells.get(column)) for column in result.headings)) for name, cells in result.rows.items()
    )
    return Table(result.title, (result.of, *result.headings.values()), rows, result.remark)


def _distances_table(result: Distribution) -> Table:
    """Return how far each method's distribution is from the reference's."""
    rows = []
    for method in result.shares:
        distance = result.distances.get(method)
        known = (distance.value, distance.expected, distance.high) if distance else (math.nan,) * 3
        entries = _number(result.entries.get(method, 0))
        rows.append((label(method), entries, *(_shown(f"{value:.3g}", value) for value in known)))
    headings = ("method", "entries", "distance", "expected if equal", "95 % of equal ones below")
    caption = f"Wasserstein-1 distances of {result.quantity} from {label(result.reference)}"
    return Table(caption, headings, tuple(rows))


def _shares_table(result: Distribution) -> Table:
    rows = tuple(
        (_bin(*edges), *(_cell(shares[position]) for shares in result.shares.values()))
        for position, edges in enumerate(pairwise(result.edges))
    )
    headings = (result.quantity, *map(label, result.shares))
    return Table("Shares of all entries in each bin", headings, rows)


def _statistic_table(result: Profile, name: str) -> Table:
    methods = result.statistics[name]
    rows = tuple(
        (_bin(*edges), _number(size), *(_cell(bins[position]) for bins in methods.values()))
        for position, (edges, size) in enumerate(zip(pairwise(result.edges), result.sizes, strict=True))
    )
    caption = f"{result.title}: {result.headings.get(name, name)}"
    return Table(caption, (result.variable, "entries", *map(label, methods)), rows)


def _crossing_table(event: EventView) -> Table:
    """Return what each method makes of a crossing, for those without the interactive display."""
    rows = [(view["label"], len(view["jets"]), view["met"]) for view in event.methods.values()]
    if "jets" in event.truth and "met" in event.truth:
        rows.append(("truth", len(event.truth["jets"]), event.truth["met"]))
    headings = ("method", f"jets, pt > {JET_PT_MIN:.0f} GeV", "missing momentum [GeV]", "its phi [rad]")
    cells = tuple((name, str(jets), *(_minus(f"{value:.3g}") for value in met)) for name, jets, met in rows)
    return Table(event.title, headings, cells)


def _left_out(events: Sequence[EventView]) -> dict[str, float]:
    """Return the shares, of number and of Σ pt, of the candidates that are not drawn."""
    of = sum(event.left_out["of"] for event in events)
    return {
        "number": sum(event.left_out["n"] for event in events) / max(of, 1),
        "share": sum(event.left_out["share"] for event in events) / max(len(events), 1),
    }


def _cell(estimate: Estimate | None) -> str:
    if estimate is None:
        return "–"
    text = with_error(estimate)
    if text.endswith("± 0.0000") and estimate.error > 0:  # rates of rare things
        text = f"{estimate.value:.3g} ± {estimate.error:.2g}"
    return _shown(text, estimate.value)


def _shown(text: str, value: float) -> str:
    return _minus(text) if math.isfinite(value) else "–"


def _bin(low: float, high: float) -> str:
    return _minus(f"> {low:.4g}" if math.isinf(high) else f"{low:.4g} to {high:.4g}")


def _minus(text: str) -> str:
    """Write minus signs as such; exponents keep theirs."""
    return re.sub(r"(?<![\w.])-(?=\d)", "−", text)


def _number(value: int) -> str:
    """Group the digits of large numbers by narrow spaces: ``12 000``."""
    return f"{value:,}".replace(",", "\u202f") if abs(value) >= 10_000 else str(value)


def _is_leaf(value: Any) -> bool:
    return not isinstance(value, Mapping | list | tuple)


def _is_records(value: Any) -> bool:
    """Tell whether a list is a table: records that all have the same fields, which hold no more lists."""
    return (
        isinstance(value, Sequence) and not isinstance(value, str) and bool(value)
        and all(isinstance(one, Mapping) and list(one) == list(value[0]) for one in value)
        and all(_is_leaf(item) for one in value for item in one.values())
    )  # fmt: skip


def _is_short(value: Sequence[Any]) -> bool:
    """Tell whether a list fits a line."""
    return all(_is_leaf(item) for item in value) and sum(len(_plain(item)) + 2 for item in value) < _LINE


def _plain(value: Any) -> str:
    """Write a piece of plain data."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if value is None:
        return "–"
    if isinstance(value, float):
        return _minus(f"{value:.6g}") if math.isfinite(value) else "–"
    return str(value)
