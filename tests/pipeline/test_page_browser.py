"""The page in a real browser: it loads clean and alone, its controls do what they say, and it fits a phone."""

from __future__ import annotations

import io
import json
import os
import shutil
from dataclasses import replace
from importlib import import_module

import pytest
from PIL import Image

import hardscatter as hs
from hardscatter.metrics.statistics import Estimate
from hardscatter.metrics.studies import Numbers, Profile, Study
from hardscatter.report.event_view import KINDS, event_view
from hardscatter.report.page import Page, write_page

pytestmark = pytest.mark.slow

CI = os.environ.get("CI")
"""Where a browser that is missing is a failure."""
FLAGS = (
    "--headless=new", "--no-sandbox", "--disable-gpu", "--use-angle=swiftshader", "--enable-unsafe-swiftshader",
    "--disable-quic", "--no-first-run", "--disable-background-networking", "--disable-component-update",
    "--disable-sync",
)  # fmt: skip
MET = Numbers(
    "met", "Missing momentum in long words", "ttbar", {f"c{i}": f"a column called {i} [GeV]" for i in range(9)},
    {
        name: {f"c{i}": Estimate(value * 10**i, 0.1, value, value) for i in range(9)}
        for name, value in {"puppi": 3.0, "total": -12.0, "chs": 25.5, "lacks": float("nan")}.items()
    },
    100,
)  # fmt: skip
BINS = Profile(
    "bins", "Bins", "ttbar", "eta", (-2.5, -0.5, 0.5, float("inf")),
    {"width": {"total": tuple(Estimate(value, 0.1, value, value) for value in (1.0, 3.0, 2.0))}}, {"width": "width"},
    (9_000, 12_000, 300), "", 21_300,
)  # fmt: skip


@pytest.fixture(scope="module")
def views(delphes_file):
    events = hs.read(delphes_file, (0, 2))
    return tuple(event_view(events[i : i + 1], {"puppi": hs.mitigate(events[i : i + 1], "puppi")}) for i in (0, 1))


@pytest.fixture(scope="module")
def address(tmp_path_factory, views):
    results = [replace(MET, name=f"met_{name}") for name in "abcd"]
    studies = (
        Study("recoil", "Recoil", "Text.", (MET,)),
        Study("opened", "Opened", "Text.", tuple(results[:2])),
        Study("folded", "Folded", "Text.", tuple(results[2:])),
        Study("binned", "Binned", "Text.", (BINS,)),
    )
    figures = {result.name: _figure() for result in (MET, *results)}
    page = Page("Browser", studies=studies, figures=figures, events=views)
    return write_page(tmp_path_factory.mktemp("page") / "report.html", page).as_uri()


@pytest.fixture(scope="module")
def browser(tmp_path_factory):
    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    driver = shutil.which("chromedriver")
    if not (program and driver):
        (pytest.fail if CI else pytest.skip)("no chromium with its driver is installed")
    webdriver = import_module("selenium.webdriver") if CI else pytest.importorskip("selenium.webdriver")
    options = webdriver.ChromeOptions()
    options.binary_location = program
    for flag in (*FLAGS, f"--user-data-dir={tmp_path_factory.mktemp('browser')}", "about:blank"):
        options.add_argument(flag)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    started = webdriver.Chrome(options, webdriver.ChromeService(driver))
    still = {"features": [{"name": "prefers-reduced-motion", "value": "reduce"}]}
    started.execute_cdp_cmd("Emulation.setEmulatedMedia", still)  # else a click may meet a page that still scrolls
    yield started
    started.quit()


@pytest.fixture
def page(browser, address):
    """Return the page, freshly loaded on a wide screen."""
    _screen(browser, 1300, 900)
    browser.get("about:blank")
    for log in ("browser", "performance"):
        browser.get_log(log)
    browser.get(address)
    _wait_for_display(browser)
    return browser


def _figure():
    stream = io.BytesIO()
    Image.new("RGB", (640, 480), "white").save(stream, "PNG")
    return stream.getvalue()


def _wait_for_display(browser):
    drawn = "return !!document.getElementById('display')._fullLayout && !document.getElementById('controls').hidden"
    _wait_until(browser, lambda: browser.execute_script(drawn))


def _screen(browser, width, height):
    size = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)


def _wait_until(page, condition):
    from selenium.webdriver.support.ui import WebDriverWait

    WebDriverWait(page, 60).until(lambda _: condition())


def _choose(page, control, value):
    from selenium.webdriver.support.ui import Select

    Select(page.find_element("id", control)).select_by_value(value)


def _view(page, value):
    page.find_element("css selector", f"input[value={value}]").click()


def _discs(page, axis="x"):
    """Return how many candidates are drawn, and the sum of the areas of their discs."""
    return page.execute_script(
        "const all = document.getElementById('display').data.filter((one) => one.xaxis === arguments[1]);"
        "const traces = all.filter((one) => arguments[0].includes(one.name));"
        "const sizes = traces.flatMap((one) => one.marker.size.slice(0, -1));"
        "return [sizes.length, sizes.reduce((sum, size) => sum + size * size, 0)]",
        KINDS,
        axis,
    )


def _says(page):
    return page.find_element("id", "display-says").text


def _column(page, column, study="recoil"):
    cells = page.find_elements("css selector", f"#study-{study} tbody tr > :nth-child({column})")
    return [cell.text for cell in cells]


def test_page_loads_clean_and_alone(page):
    _view(page, "lego")
    assert page.execute_script("return document.getElementById('display').data.some((one) => one.type === 'mesh3d')")
    assert [entry for entry in page.get_log("browser") if entry["level"] == "SEVERE"] == []
    messages = [json.loads(entry["message"])["message"] for entry in page.get_log("performance")]
    asked = [it["params"]["request"]["url"] for it in messages if it["method"] == "Network.requestWillBeSent"]
    assert page.current_url in asked
    assert [url for url in asked if url != page.current_url and not url.startswith(("data:", "blob:"))] == []


def test_all_figures_are_there(page):
    page.execute_script("document.querySelectorAll('details').forEach((one) => (one.open = true))")
    images = page.find_elements("css selector", "figure img")
    assert [image.get_attribute("naturalWidth") for image in images] == ["640"] * 5
    assert all(image.is_displayed() for image in images)


@pytest.mark.parametrize("how", ["contents", "address", "result"])
def test_link_unfolds_a_study(page, address, how):
    rest = page.find_element("css selector", "#study-folded details.rest")
    hidden = page.find_element("id", "result-folded-met_d")
    assert rest.get_attribute("open") is None
    assert not hidden.is_displayed()
    if how == "contents":
        page.find_element("css selector", ".contents a[href='#study-folded']").click()
    else:
        page.execute_script(f"location.hash = '{'study-folded' if how == 'address' else hidden.get_attribute('id')}'")
    target = hidden if how == "result" else page.find_element("id", "study-folded")
    _wait_until(page, hidden.is_displayed)
    _wait_until(page, lambda: 0 <= page.execute_script("return arguments[0].getBoundingClientRect().top", target) < 900)


def test_all_is_printed(page):
    page.execute_script("dispatchEvent(new Event('beforeprint'))")
    closed = "return document.querySelectorAll('main details:not([open])').length"
    assert page.execute_script(closed) == 0
    page.execute_script("dispatchEvent(new Event('afterprint'))")
    assert page.execute_script(closed) > 1


def test_display_begins_with_all_candidates_beside_the_method(page, views):
    assert page.find_element("id", "method").get_attribute("value") == "puppi"
    weights = views[0].methods["puppi"]["weights"]
    assert _discs(page)[0] == len(weights)
    assert _discs(page, "x2")[0] == sum(weight > 0 for weight in weights)
    before, ranges = [[-5, 5], [-5, 5]], "const all = document.getElementById('display')._fullLayout; return"
    ranges += " [all.xaxis.range, all.xaxis2.range]"
    assert page.execute_script(ranges) == before
    drag = import_module("selenium.webdriver").ActionChains(page)
    plane = page.find_element("css selector", "#display .draglayer .x2y2 .nsewdrag")
    drag.move_to_element(plane).click_and_hold().move_by_offset(60, 50).release().perform()
    _wait_until(page, lambda: page.execute_script(ranges) != before)
    left, right = page.execute_script(ranges)
    assert left == right


def test_method_decides_what_is_drawn(page, views):
    _view(page, "plane")
    _choose(page, "method", "none")
    n_all, area_all = _discs(page)
    assert n_all > 1000
    _choose(page, "method", "puppi")
    n_puppi, area_puppi = _discs(page)
    _choose(page, "method", "perfect")
    n_perfect, area_perfect = _discs(page)
    assert n_puppi < n_all / 2
    assert area_puppi < area_all / 2
    assert n_perfect < n_all / 2
    assert area_perfect < area_all / 2
    assert n_puppi == sum(weight > 0 for weight in views[0].methods["puppi"]["weights"])
    assert page.find_element("id", "display-title").text.endswith("perfect weights")


def test_axes_stay_when_the_method_changes(page):
    _view(page, "plane")
    ranges = "const it = document.getElementById('display')._fullLayout; return [it.xaxis.range, it.yaxis.range]"
    before = page.execute_script(ranges)
    _choose(page, "method", "perfect")
    assert page.execute_script(ranges) == before
    assert before[0] == [-5, 5]
    _view(page, "lego")
    height = "return document.getElementById('display')._fullLayout.scene.zaxis.range"
    before = page.execute_script(height)
    _choose(page, "method", "none")
    assert page.execute_script(height) == before


def test_event_decides_title_and_numbers(page):
    title, says = page.find_element("id", "display-title").text, _says(page)
    _choose(page, "event", "1")
    assert page.find_element("id", "display-title").text != title
    assert _says(page) != says
    assert "jets above 30 GeV" in _says(page)


def test_table_sorts_by_click_and_by_key(page):
    heading = page.find_elements("css selector", "#study-recoil thead th")[1]
    button = heading.find_element("css selector", "button")
    assert heading.get_attribute("aria-sort") is None
    button.click()
    assert _column(page, 2) == ["−12.00 ± 0.10", "3.00 ± 0.10", "25.50 ± 0.10", "–"]
    assert heading.get_attribute("aria-sort") == "ascending"
    button.send_keys("\n")
    assert _column(page, 2) == ["25.50 ± 0.10", "3.00 ± 0.10", "−12.00 ± 0.10", "–"]
    assert heading.get_attribute("aria-sort") == "descending"
    page.find_element("css selector", "#study-recoil thead th button").click()
    assert _column(page, 1) == ["CHS", "lacks", "PUPPI", "TOTAL"]
    assert heading.get_attribute("aria-sort") is None


def test_bins_and_thousands_sort_as_numbers(page):
    headings = page.find_elements("css selector", "#study-binned thead th button")
    headings[1].click()
    assert _column(page, 2, "binned") == ["300", "9000", "12\u202f000"]
    headings[0].click()
    assert _column(page, 1, "binned") == ["−2.5 to −0.5", "−0.5 to 0.5", "> 0.5"]


def test_old_browser_says_what_it_lacks(browser, address):
    lack = {"source": "delete globalThis.DecompressionStream"}
    script = browser.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", lack)
    try:
        browser.get("about:blank")
        browser.get(address)
        sentence = browser.find_element("id", "display-missing")
        _wait_until(browser, sentence.is_displayed)
        assert "DecompressionStream" in sentence.text
        assert not browser.find_element("id", "controls").is_displayed()
    finally:
        browser.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", script)


@pytest.mark.parametrize("view", ["plane", "lego"])
def test_page_fits_a_phone(page, view):
    _screen(page, 360, 740)
    page.refresh()
    _wait_for_display(page)
    assert not page.find_element("css selector", "input[value=pair]").is_displayed()
    assert page.find_element("css selector", "input[value=plane]").is_selected()
    _view(page, view)
    page.execute_script("document.querySelectorAll('main details').forEach((one) => (one.open = true))")
    assert page.execute_script("return document.documentElement.scrollWidth") == 360
    assert page.execute_script("return document.querySelector('#study-recoil .scroll').scrollWidth") > 360
    menu = page.find_element("css selector", ".contents")
    assert menu.get_attribute("open") is None
    menu.find_element("css selector", "summary").click()
    link = menu.find_element("css selector", "a[href='#study-recoil']")
    assert link.is_displayed()
    link.click()
    assert not link.is_displayed()
