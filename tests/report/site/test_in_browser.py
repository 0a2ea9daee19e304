"""The site as a reader sees it: drawn, offline, wide and narrow, light and dark."""

from __future__ import annotations

import csv
import http.server
import importlib.util
import io
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from statistics import fmean
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from analysis.results.schemas import ALL
from tests.report.site.conftest import errors, open_page, requested

SCHEMES = ("light", "dark")
# Text on the page's background, not on a mark of the chart.
CHART_TEXT = ".role-axis text, .role-legend text, .role-title text, .role-column-header text"
WIDTH = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"


def pages(site: Path) -> list[Path]:
    """Return the pages of a site, the home page first."""
    found = sorted(site.glob("*.html"), key=lambda page: (page.name != "index.html", page.name))
    assert found[0].name == "index.html" and len(found) >= 3
    return found


def is_preview(site: Path) -> bool:
    return "Preview</strong>" in (site / "index.html").read_text("utf-8")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture(params=["file", "http"])
def root(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    """Return the address of a site's folder, on disk and on a server."""
    if request.param == "file":
        yield f"{site.as_uri()}/"
        return
    handler = partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/"
        server.shutdown()


def test_every_chart_is_drawn_offline_without_an_error(site, root, browser):
    for page in pages(site):
        open_page(browser, root + page.name)
        charts = "[...document.querySelectorAll('div.chart')]"
        count = page.read_text("utf-8").count('class="chart"')
        empty = f"return {charts}.filter(chart => !chart.querySelector('svg path[d]'))"
        assert browser.execute_script(f"return {charts}.length") == count
        assert browser.execute_script(f"{empty}.map(chart => chart.id)") == [], page.name
        assert errors(browser) == [], page.name
        own = ("file:", "data:", "blob:", "chrome:", "http://127.0.0.1:")
        addresses = requested(browser)
        assert addresses and not [url for url in addresses if not url.startswith(own)]


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_everything_fits_or_can_be_moved_by_keyboard(site, browser, width):
    hidden = """
        return [...document.querySelectorAll('.wide')]
          .filter(frame => frame.scrollWidth > frame.clientWidth)
          .map(frame => frame.outerHTML.slice(0, 100))
    """
    cut = """
        return [...document.querySelectorAll('div.chart svg')].flatMap(svg => {
          const room = svg.getBoundingClientRect();
          return [...svg.querySelectorAll('text')].filter(text => {
            const is = text.getBoundingClientRect();
            return is.width && (is.left < room.left - 1 || is.right > room.right + 1
              || is.top < room.top - 1 || is.bottom > room.bottom + 1);
          }).map(text => [svg.closest('.chart').id, text.textContent]);
        })
    """
    unreachable = """
        return [...document.querySelectorAll('.wide, pre')]
          .filter(frame => frame.scrollWidth > frame.clientWidth && frame.offsetParent)
          .filter(frame => frame.tabIndex !== 0 || frame.className === 'wide'
            && !(frame.role === 'region' && frame.ariaLabel))
          .map(frame => frame.outerHTML.slice(0, 100))
    """
    for page in pages(site):
        open_page(browser, page.as_uri(), width=width)
        assert browser.execute_script(WIDTH) <= 0, page.name
        assert browser.execute_script(cut) == [], page.name
        # No column is hidden: a table fits or its rows are cards. The preview has no margins.
        assert is_preview(site) or browser.execute_script(hidden) == [], page.name
        # The page looks again whenever its size changes, a moment afterwards.
        WebDriverWait(browser, 5).until(
            lambda chrome: not chrome.execute_script(unreachable), message=page.name
        )


def test_on_a_phone_the_text_of_charts_is_at_least_11_pixels_high(site, browser):
    sizes = """
        return [...document.querySelectorAll('div.chart svg')].flatMap(svg => {
          const scale = svg.getBoundingClientRect().width / svg.viewBox.baseVal.width;
          return [...svg.querySelectorAll('text')].filter(text => text.textContent.trim())
            .map(text => [svg.closest('.chart').id, text.textContent,
              scale * parseFloat(getComputedStyle(text).fontSize)]);
        })
    """
    open_page(browser, (site / "index.html").as_uri(), width=390)
    found = browser.execute_script(sizes)
    assert len(found) > 100
    assert [one for one in found if round(one[2], 1) < 11] == []


def contrast(one: str, other: str) -> float:
    """Return the contrast of two rgb(…) colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted(map(luminance, (one, other)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Return the relative luminance of an rgb(…) colour (WCAG 2.2)."""
    channels = [int(value) / 255 for value in re.findall(r"\d+", colour)[:3]]
    linear = [v / 12.92 if v <= 0.04045 else ((v + 0.055) / 1.055) ** 2.4 for v in channels]
    return sum(weight * v for weight, v in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_text_of_charts_stands_out_from_the_page(site, browser, scheme):
    open_page(browser, (site / "index.html").as_uri(), scheme=scheme)
    # The colour is that of one of the two.
    whole = "document.documentElement" if is_preview(site) else "document.body"
    paper = browser.execute_script(f"return getComputedStyle({whole}).backgroundColor")
    assert (luminance(paper) > 0.5) == (scheme == "light")
    fills = browser.execute_script(
        "return [...new Set([...document.querySelectorAll(arguments[0])]"
        ".map(text => getComputedStyle(text).fill))]",
        CHART_TEXT,
    )
    assert fills and all(contrast(fill, paper) >= 4.5 for fill in fills), (fills, paper)


def test_charts_follow_when_the_reader_changes_the_scheme(site, browser):
    open_page(browser, (site / "index.html").as_uri(), scheme="light")
    if not browser.execute_script("return 'quartoToggleColorScheme' in window"):
        pytest.skip("the preview follows the reader's preference and has no toggle")

    def legible(chrome: webdriver.Chrome) -> bool:
        paper = chrome.execute_script("return getComputedStyle(document.body).backgroundColor")
        title = "document.querySelector('div.chart svg .role-axis-title text')"
        fill = chrome.execute_script(f"return {title} && getComputedStyle({title}).fill")
        return luminance(paper) < 0.2 and fill and contrast(fill, paper) >= 4.5

    assert not legible(browser)
    browser.execute_script("window.quartoToggleColorScheme()")
    try:
        WebDriverWait(browser, 10).until(legible)
    finally:
        # The choice is remembered, and would be that of the pages that are opened next.
        browser.execute_script("localStorage.clear()")


@pytest.mark.parametrize(
    "scheme, width", [("dark", 390), pytest.param("light", 1280, marks=pytest.mark.slow)]
)
def test_axe_finds_nothing_serious(site, browser, scheme, width):
    package = importlib.util.find_spec("axe_playwright_python")
    axe = (Path(package.origin).parent / "axe.min.js").read_text("utf-8")
    browser.set_script_timeout(120)
    for page in pages(site):
        open_page(browser, page.as_uri(), width=width, scheme=scheme)
        browser.execute_script(axe)
        found = browser.execute_async_script(
            "const done = arguments[0];axe.run(document, {resultTypes: ['violations']}).then(done)"
        )
        assert len(found["passes"]) > 10
        assert [
            (page.name, one["id"], [node["target"] for node in one["nodes"]][:3])
            for one in found["violations"]
            if one["impact"] in ("serious", "critical")
        ] == []


def test_the_pages_are_light(site, browser):
    loaded = {}
    for page in pages(site):
        open_page(browser, page.as_uri())
        urls = [url for url in requested(browser) if url.startswith("file:")]
        loaded[page.name] = {Path(unquote(urlsplit(url).path)) for url in urls}
    home = loaded.pop("index.html")
    assert sum(path.stat().st_size for path in home) <= 3_000_000
    for name, files in loaded.items():
        assert sum(path.stat().st_size for path in files - home) <= 500_000, name


# What a link that a script makes and clicks would save.
SAVED = """
    const [button, done] = arguments;
    HTMLAnchorElement.prototype.click = function () {
      fetch(this.href).then(got => got.text()).then(text => done([this.download, text]));
    };
    button.click();
"""


def test_a_table_gives_its_data_as_csv(site, browser):
    open_page(browser, (site / "details.html").as_uri())
    offered = "return document.querySelectorAll('[id^=tbl-] .figure-data button').length"
    tables = "return document.querySelectorAll('[id^=tbl-] table').length"
    assert browser.execute_script(offered) == browser.execute_script(tables) > 1
    button = browser.find_element("css selector", "#tbl-classes .figure-data button")
    name, text = browser.execute_async_script(SAVED, button)
    (_, *measures), mean, *rows = csv.reader(io.StringIO(text))
    assert name == "classes.csv" and measures == ["precision", "recall", "F1", "AUROC"]
    assert mean[0] == f"{ALL}, mean" and [row[0] for row in rows] == list(map(str, range(10)))
    for column in range(1, 5):
        values = [float(row[column].split()[0]) for row in rows]
        assert float(mean[column].split()[0]) == pytest.approx(fmean(values), abs=0.001)


def test_a_figure_gives_itself_as_svg_for_white_paper(site, browser):
    open_page(browser, (site / "index.html").as_uri(), scheme="dark", width=390)
    figures = "return document.querySelectorAll('div.chart').length"
    buttons = browser.find_elements("css selector", "[id^=fig-] .figure-data button")
    assert len(buttons) == browser.execute_script(figures)
    button = browser.find_element("css selector", "#fig-fragility .figure-data button")
    name, text = browser.execute_async_script(SAVED, button)
    assert name == "fragility.svg" and '"white"' in text
    root = ElementTree.fromstring(text)
    assert root.tag.endswith("svg") and "FGSM" in "".join(root.itertext())
    assert float(root.get("width")) > 400


def test_what_follows_the_reader_follows(site, browser):
    if is_preview(site):
        pytest.skip("the preview's list of contents stays at the top")
    open_page(browser, (site / "index.html").as_uri())
    browser.execute_script("document.getElementById('sec-attack').scrollIntoView()")
    active = "return [...document.querySelectorAll('#TOC a.active')].map(link => link.hash)"
    WebDriverWait(browser, 10).until(lambda chrome: "#sec-attack" in chrome.execute_script(active))
    top = "return document.getElementById('TOC').getBoundingClientRect().top"
    assert -1 <= browser.execute_script(top) < 900
