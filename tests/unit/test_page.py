"""The page: what stands in it, that text stays text, and that it needs nothing else."""

from __future__ import annotations

import base64
import gzip
import hashlib
import io
import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import awkward as ak
import numpy as np
import pytest
from PIL import Image

import hardscatter as hs
from hardscatter.errors import SettingsError, UnwritableFileError
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Distance, Distribution, Numbers, Profile, Study
from hardscatter.report.event_view import PT_MIN, event_view
from hardscatter.report.page import Headline, Page, render, tables_of, typeset, write_page
from helpers import toy_events

NAN = Estimate(np.nan, np.nan, np.nan, np.nan)
NASTY = '<script>alert("x")</script> & "quotes"'
GZIP = base64.b64encode(b"\x1f\x8b\x08").decode()
VOID = {"meta", "img", "input", "br", "link"}


def about(value, error=0.1):
    return Estimate(value, error, value - error, value + error)


NUMBERS = Numbers(
    "met", "Missing momentum", "ttbar, pileup 140", {"width": "width [GeV]", "bias": "bias"},
    {"puppi:best": {"width": about(23.4, 0.2), "bias": about(-0.05, 0.01)}, "total": {"width": about(21.3, 0.21)}},
    1000, remark="See arXiv:2211.02029.",
)  # fmt: skip
PROFILE = Profile(
    "jets", "Jets", "ttbar", "true jet pt [GeV]", (20.0, 30.0, np.inf),
    {"resolution": {"puppi:best": (about(0.2), NAN), "total": (about(0.15), about(0.1))}},
    {"resolution": "δ/(1 + median)"}, (300, 12), "puppi:best", 100,
)  # fmt: skip
DISTRIBUTION = Distribution(
    "mass", "Mass", "tops", "mass [GeV]", (0.0, 100.0, 200.0),
    {"no pileup": (about(0.25), about(0.5)), "total": (about(0.3), NAN)},
    {"no pileup": 40, "total": 44}, "no pileup", {"total": Distance(1.25, 0.8, 1.1)}, 20,
)  # fmt: skip
STUDY = Study("recoil", "Recoil", "What is measured.", (NUMBERS, PROFILE, DISTRIBUTION), {"pt_min": 30.0})


def png(width=30, height=20):
    buffer = io.BytesIO()
    Image.new("RGB", (width, height), "white").save(buffer, "PNG")
    return buffer.getvalue()


class Elements(HTMLParser):
    """All elements with attributes and text, and whether they nest as they should."""

    def __init__(self, text):
        super().__init__()
        self.found, self.open, self.text, self.scripts = [], [], "", []
        self.feed(text)
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] in ("script", "style"):
            self.scripts.append(data)
        else:
            self.text += data

    def all(self, tag, **wanted):
        return [given for name, given in self.found if name == tag and wanted.items() <= given.items()]


def elements(page, tmp_path):
    return Elements(render(page, tmp_path))


def unpacked(script):
    return gzip.decompress(base64.b64decode(script)).decode()


def shown(found):
    """Return what the interactive display draws."""
    return json.loads(unpacked(next(script for script in found.scripts if script.startswith(GZIP))))


@pytest.fixture(scope="module")
def view():
    event = toy_events(1, 200)
    return event_view(event, {"total": event.truth.hard_fraction, "half": ak.full_like(event.candidates.pt, 0.5)})


def test_page_shows_headlines_figures_tables_and_provenance(tmp_path):
    headline = Headline("Width", about(21.3, 0.21), "GeV", "PUPPI 23.4", "1000 crossings", "recoil")
    page = Page(
        "A title", ("One sentence.",), (headline,), (STUDY,), {"jets": png(), "mass": png(40, 50)}, "jets", "A picture",
        provenance={"seed": 11, "samples": [{"process": "qcd", "crossings": 20000}], "seeds": [1, 2]},
    )  # fmt: skip
    output = write_page(tmp_path / "report.html", page)
    found = Elements(output.read_text(encoding="utf-8"))
    for text in (
        "One sentence.",
        "21.30 ± 0.21",
        "PUPPI 23.4",
        "PUPPI (best tune)",
        "−0.050 ± 0.010",
        "20000",
        "1, 2",
    ):
        assert text in found.text
    pictures = found.all("img")
    assert [(one["width"], one["height"]) for one in pictures] == [("30", "20"), ("30", "20"), ("40", "50")]
    assert all(one["src"].startswith("data:image/webp;base64,") for one in pictures)
    assert pictures[0]["alt"] == "A picture"
    assert "δ/(1 + median)" in pictures[1]["alt"]
    assert "TOTAL" in pictures[1]["alt"]
    ids = [given["id"] for _, given in found.found if "id" in given]
    assert len(ids) == len(set(ids))
    targets = [given["href"][1:] for given in found.all("a") if given["href"].startswith("#")]
    assert {"summary", "study-recoil", "provenance"} < set(targets) <= set(ids)
    assert found.text.count("Figure 1.") == found.text.count("Figure 2.") == 1
    assert re.findall(r"Table (\d)\.", found.text) == ["1", "2", "3", "4"]


def test_page_of_nothing_is_a_title(tmp_path):
    found = elements(Page("Only a title"), tmp_path)
    assert found.all("h1")
    assert not found.all("section")
    assert not found.all("table")


def test_text_stays_text(tmp_path, view):
    numbers = replace(NUMBERS, title=NASTY, sample=NASTY, headings={"width": NASTY}, remark=NASTY, rows={NASTY: {}})
    study = Study("x", NASTY, NASTY, (numbers,), {NASTY: NASTY})
    page = Page(
        NASTY, (NASTY,), (Headline(NASTY, NASTY, NASTY, NASTY, NASTY),), (study,), {"met": png()}, "met", NASTY,
        events=(replace(view, title=NASTY),), provenance={NASTY: [NASTY], "more": [{NASTY: NASTY}]},
    )  # fmt: skip
    text = render(page, tmp_path)
    assert "<script>alert" not in text
    assert text.count("<script") == text.count("</script>")
    found = Elements(text)
    assert NASTY in found.text
    assert shown(found)["events"][0]["title"] == NASTY


def test_page_needs_nothing_from_elsewhere(tmp_path, view):
    text = render(Page("T", studies=(STUDY,), figures={"met": png()}, events=(view,)), tmp_path)
    found = Elements(text)
    for tag, given in found.found:
        assert tag not in ("link", "iframe", "object", "embed", "base")
        sources = [
            value for name, value in given.items() if name in ("src", "srcset", "href", "data", "poster", "action")
        ]
        for address in sources if tag != "a" else []:
            assert address.startswith("data:")
        if tag == "a":
            assert given["href"].startswith(("#", "https://arxiv.org/abs/"))
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    assert policy["content"].startswith("default-src 'none'")
    assert "http" not in policy["content"]
    ours = "".join(script for script in found.scripts if not script.startswith(GZIP))
    assert len(ours) > 1000
    for fetched in ("http:", "https:", "url(", "@import", "import(", "fetch("):
        assert fetched not in ours


def test_page_runs_its_own_scripts_only(tmp_path, view):
    found = elements(Page("T", events=(view,)), tmp_path)
    _, (events, plotly), code = found.scripts[0], found.scripts[2:4], [found.scripts[1], found.scripts[4]]
    assert "plotly.js (gl3d" in unpacked(plotly)
    assert len(events) < len(unpacked(events))
    (policy,) = found.all("meta", **{"http-equiv": "Content-Security-Policy"})
    (allowed,) = re.findall(r"script-src ([^;]*)", policy["content"])
    digests = [hashlib.sha256(script.encode()).digest() for script in (*code, unpacked(plotly))]
    assert sorted(allowed.split()) == sorted(f"'sha256-{base64.b64encode(one).decode()}'" for one in digests)


def test_display_begins_with_the_method_of_the_headline(tmp_path, view):
    methods = view.methods
    some = [("none", "total", "half", "perfect"), ("none", "half", "perfect"), ("none", "perfect"), ("none",)]
    views = tuple(replace(view, methods={name: methods[name] for name in names}) for names in some)
    events = shown(elements(Page("T", events=views), tmp_path))["events"]
    assert [event["first"] for event in events] == ["total", "half", "none", "none"]


def test_later_studies_are_folded_to_their_first_figure(tmp_path):
    results = [(replace(NUMBERS, name=f"a{n}"), replace(PROFILE, name=f"b{n}")) for n in range(4)]
    studies = [Study(f"s{n}", f"S{n}", "", some) for n, some in enumerate(results)]
    studies[3] = replace(studies[3], results=results[3][:1])
    figures = {result.name: png() for some in results for result in some}
    page = Page("T", studies=tuple(studies), figures=figures)
    found = elements(page, tmp_path)
    assert [("open" in given) for given in found.all("details", **{"class": "rest"})] == [True, True, False]
    assert found.text.count("All figures and tables of this study (2 figures, 2 tables)") == 3
    # In order: figures, what is folded and tables.
    order = [given.get("class", tag) for tag, given in found.found if tag in ("img", "details", "table")]
    unfolded = ["img", "sortable", "rest", "img", "numbers", "sortable"]
    folded = ["img", "numbers", "sortable", "rest", "img", "numbers", "sortable"]
    assert order == ["contents", *unfolded, *unfolded, *folded, "img", "numbers", "sortable"]


def test_methods_are_called_by_their_names_in_texts_too(tmp_path):
    words = "above puppi:best"
    numbers = replace(NUMBERS, title=words, headings={"width": words}, remark=words)
    study = Study("s", words, words, (numbers, replace(numbers, name="second")))
    text = render(Page(words, (words,), (Headline(words, words, "", words, words),), (study,)), tmp_path)
    assert "puppi:best" not in text
    assert text.count("above PUPPI (best tune)") > 10


def test_figures_get_a_palette_where_that_is_smaller(tmp_path):
    rng = np.random.default_rng(1)
    shades = rng.integers(0, 255, (40, 3), dtype=np.uint8)[rng.integers(0, 40, (60, 80))]
    colours = np.dstack([shades, np.full((60, 80), 255, np.uint8)])
    colours[:20, :, 3] = 0  # see-through: the page shows white
    buffer = io.BytesIO()
    Image.fromarray(colours).save(buffer, "PNG")
    (image,) = elements(Page("T", figures={"p": buffer.getvalue()}, picture="p"), tmp_path).all("img")
    data = base64.b64decode(image["src"].partition(",")[2])
    assert len(data) < len(buffer.getvalue()) / 2
    seen = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    assert np.all(seen[:20] == 255)
    np.testing.assert_array_equal(seen[20:], shades[20:])
    tiny = png(1, 1)
    (image,) = elements(Page("T", figures={"p": tiny}, picture="p"), tmp_path).all("img")
    assert len(base64.b64decode(image["src"].partition(",")[2])) <= len(tiny)


def test_tables_hold_the_numbers():
    (table,) = tables_of(NUMBERS)
    assert table.headings == ("method", "width [GeV]", "bias")
    assert table.rows == (("PUPPI (best tune)", "23.40 ± 0.20", "−0.050 ± 0.010"), ("TOTAL", "21.30 ± 0.21", "–"))

    (table,) = tables_of(PROFILE)
    assert table.headings[:2] == ("true jet pt [GeV]", "entries")
    assert table.rows == (
        ("20 to 30", "300", "0.20 ± 0.10", "0.15 ± 0.10"), ("> 30", "12", "–", "0.10 ± 0.10"),
    )  # fmt: skip

    distances, shares = tables_of(DISTRIBUTION)
    assert distances.rows == (("no pileup", "40", "–", "–", "–"), ("TOTAL", "44", "1.25", "0.8", "1.1"))
    assert shares.rows == (
        ("0 to 100", "0.25 ± 0.10", "0.30 ± 0.10"), ("100 to 200", "0.50 ± 0.10", "–"),
    )  # fmt: skip


def test_rare_things_keep_their_digits():
    numbers = replace(NUMBERS, headings={"rate": "rate"}, rows={"total": {"rate": about(2.5e-6, 3.1e-7)}})
    assert tables_of(numbers)[0].rows[0][1] == "2.5e-06 ± 3.1e-07"


def test_every_heading_sorts(tmp_path):
    found = elements(Page("T", studies=(Study("s", "S", "", (NUMBERS,)),)), tmp_path)
    assert len(found.all("button", type="button")) == 3


def test_symbols_and_papers_are_set():
    assert typeset("|eta| < 2.5, pt") == "|<i>η</i>| &lt; 2.5, <i>p</i><sub>T</sub>"
    assert typeset("m_jj, H_T, τ32") == "<i>m</i><sub>jj</sub>, <i>H</i><sub>T</sub>, <i>τ</i><sub>32</sub>"
    assert typeset("arXiv:1407.6013") == '<a href="https://arxiv.org/abs/1407.6013">arXiv:1407.6013</a>'
    assert "hep-ph/0512210" in typeset("arXiv:hep-ph/0512210")
    assert typeset("theta beta script attempt run_2022") == "theta beta script attempt run_2022"


def test_files_are_linked_when_they_are_there(tmp_path):
    folder = tmp_path / "some figures"
    folder.mkdir()
    (folder / "met.pdf").write_bytes(b"")
    (folder / "numbers").mkdir()
    (folder / "numbers" / "recoil.json").write_text("{}")
    found = elements(Page("T", studies=(STUDY,), folder=folder), tmp_path)
    assert [given["href"] for given in found.all("a", **{"class": "file"})] == [
        "some%20figures/numbers/recoil.json",
        "some%20figures/met.pdf",
    ]


def test_page_that_cannot_be_written_says_so(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UnwritableFileError, match="cannot be written"):
        write_page(tmp_path / "file" / "report.html", Page("T"))


def test_event_view_keeps_what_is_drawn(view):
    event = toy_events(1, 200)
    pt = np.asarray(event.candidates.pt[0])
    kept = pt >= PT_MIN
    assert view.left_out["n"] == np.sum(~kept)
    assert view.left_out["share"] == pytest.approx(pt[~kept].sum() / pt.sum(), abs=1e-3)
    np.testing.assert_allclose(view.candidates["pt"], pt[kept], rtol=0.005)
    np.testing.assert_allclose(view.candidates["eta"], np.asarray(event.candidates.eta[0])[kept], atol=0.0051)
    assert list(view.methods) == ["none", "total", "half", "perfect"]
    assert view.methods["none"]["weights"] is None
    assert set(view.methods["half"]["weights"]) == {500}
    np.testing.assert_array_equal(
        view.methods["perfect"]["weights"], 1000 * np.asarray(event.truth.hard_fraction[0])[kept]
    )
    charge, vertex = (np.asarray(event.candidates[name][0])[kept] for name in ("charge", "vertex"))
    expected = np.select([charge == 0, vertex > 0], [1, 0], 2)
    np.testing.assert_array_equal(view.candidates["kind"], expected)
    assert [value is None for value in view.candidates["dz"]] == (charge == 0).tolist()


def test_event_view_holds_jets_and_missing_momentum_of_each_method(view):
    event = toy_events(1, 200)
    half = ak.full_like(event.candidates.pt, 0.5)
    jets = hs.cluster(event, half, min_pt=30.0)[0]
    assert [jet[0] for jet in view.methods["half"]["jets"]] == pytest.approx(jets.pt.tolist(), rel=0.005)
    full, halved = view.methods["none"]["met"], view.methods["half"]["met"]
    assert halved[0] == pytest.approx(full[0] / 2, rel=0.01)
    assert full == pytest.approx([float(hs.missing_momentum(event)[0][name]) for name in ("pt", "phi")], rel=0.005)
    assert [jet[0] for jet in view.truth["jets"]] == [60.0, 45.0]


def test_event_view_without_truth_and_without_candidates():
    view = event_view(toy_events(1, 50, minimal=True), {})
    assert list(view.methods) == ["none"]
    assert view.truth == {}
    assert set(view.candidates["dz"]) == {None}
    none = ak.Array([[0.0]])[:, :0]
    empty = hs.from_candidates(**dict.fromkeys(("pt", "eta", "phi", "energy", "charge", "vertex"), none))
    assert event_view(empty, {"x": none}).methods["x"] == {"label": "x", "weights": [], "jets": [], "met": [0.0, 0.0]}


def test_event_view_wants_one_crossing():
    with pytest.raises(SettingsError, match="one crossing, not 2"):
        event_view(toy_events(2, 50), {})


def test_event_view_is_small():
    event = toy_events(1, 9000)
    view = event_view(event, dict.fromkeys("abcd", event.truth.hard_fraction))
    assert len(json.dumps(view.to_dict(), separators=(",", ":"))) < 250_000


def test_page_tells_what_methods_make_of_crossings_without_the_display(tmp_path, view):
    found = elements(Page("T", events=(view,)), tmp_path)
    jets, (met, phi) = len(view.methods["total"]["jets"]), view.methods["total"]["met"]
    cells = ("TOTAL", str(jets), f"{met:.3g}", f"{phi:.3g}".replace("-", "−"))
    assert "".join(cells) in found.text
