"""The rendered pages: what they say, that they need no network, and that the PDF is vector."""

from __future__ import annotations

import http.server
import json
import re
import threading
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pypdf
import pytest
from selenium.webdriver.support.ui import WebDriverWait
from sklearn.metrics import accuracy_score

from analysis import paths, results

QMD = "\n".join(
    path.read_text(encoding="utf-8") for path in (paths.ROOT / "report" / "_paper").glob("*.qmd")
)
LABELS = re.findall(r"^::: \{#((?:fig|tbl)-[a-z-]+)", QMD, re.MULTILINE)
FIGURES = [label for label in LABELS if label.startswith("fig-")]
RASTER = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}


def text_of(page: Path) -> str:
    content = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text("utf-8"), flags=re.DOTALL)
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", content).replace("&nbsp;", " "))


def test_the_page_shows_every_figure_and_table_with_its_number(site):
    page = (site / "index.html").read_text("utf-8")
    assert len(LABELS) >= 9
    for label in LABELS:
        assert f'id="{label}"' in page, label
    text = text_of(site / "index.html")
    for kind, word in (("fig-", "Figure"), ("tbl-", "Table")):
        count = sum(label.startswith(kind) for label in LABELS)
        for number in range(1, count + 1):
            assert f"{word} {number}" in text, f"{word} {number}"


def test_nothing_is_left_unresolved_or_raw(site):
    text = text_of(site / "index.html")
    for mark in (
        "?@",
        "@fig-",
        "@tbl-",
        "@sec-",
        "{python}",
        "alt.Chart",
        ":::",
        "Traceback",
        "nan",
    ):
        assert mark not in re.sub(r"<code.*?</code>", "", text), mark


def test_the_quoted_accuracy_is_that_of_the_cached_predictions(site, study_of):
    stored = results.load(study_of, folder=paths.ROOT / "build" / "results" / study_of)
    runs = [run for names in stored.complete_repeats().values() for run in names]
    table = stored.table("predictions")
    table = table[table["run"].isin(runs)]
    accuracy = 100 * accuracy_score(table["label"], table["predicted"])
    assert f"overall accuracy of {accuracy:.1f}%" in text_of(site / "index.html")


def test_the_pdf_has_the_sections_and_no_picture_in_pixels(site):
    pdf = pypdf.PdfReader(site / "index.pdf")
    text = "\n".join(page.extract_text() for page in pdf.pages)
    for heading in ("Introduction", "Part II: fragility", "References"):
        assert heading in text
    assert "alt.Chart" not in text
    assert not [image for page in pdf.pages for image in page.images]
    # The charts are there as drawings with text, so each axis title can be read.
    for title in ("size of the perturbation", "predicted", "spread of the Grad-CAM map"):
        assert title in text.replace("\n", " "), title


def test_the_fonts_of_the_pdf_are_embedded(site):
    pdf = pypdf.PdfReader(site / "index.pdf")
    fonts = {}
    for page in pdf.pages:
        for font in page["/Resources"].get("/Font", {}).values():
            font = font.get_object()
            fonts[font["/BaseFont"]] = font
    assert fonts
    for name, font in fonts.items():
        descendants = [child.get_object() for child in font.get("/DescendantFonts", [font])]
        for child in descendants:
            descriptor = child["/FontDescriptor"].get_object()
            assert any(key.startswith("/FontFile") for key in descriptor), name


def test_no_page_contains_a_picture_in_pixels(site):
    assert not [path for path in site.rglob("*") if path.suffix.lower() in RASTER]
    assert "data:image" not in (site / "index.html").read_text("utf-8")


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *arguments: object) -> None:
        pass


@pytest.fixture
def address(site: Path, request: pytest.FixtureRequest) -> Iterator[str]:
    if request.param == "file":
        yield (site / "index.html").as_uri()
        return
    handler = partial(_Quiet, directory=str(site))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}/index.html"
        server.shutdown()


@pytest.mark.parametrize("address", ["file", "http"], indirect=True)
def test_every_chart_is_drawn_offline_without_an_error(browser, address):
    browser.get_log("performance"), browser.get_log("browser")
    browser.get(address)
    drawn = "return document.querySelectorAll('div.chart svg').length"
    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_script(drawn) >= len(FIGURES))
    filled = "return document.querySelectorAll('div.chart:has(path[d])').length"
    assert browser.execute_script(filled) == len(FIGURES)
    errors = [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]
    assert not [entry for entry in errors if "favicon.ico" not in entry["message"]]
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    requested = [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]
    own = ("file:", "data:", "blob:", "chrome:", "http://127.0.0.1:")
    assert requested and not [url for url in requested if not url.startswith(own)]


@pytest.mark.parametrize("width", [390, 1280])
@pytest.mark.parametrize("address", ["file"], indirect=True)
def test_the_page_does_not_scroll_sideways(browser, address, width):
    size = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", size)
    browser.get(address)
    drawn = "return document.querySelectorAll('div.chart svg').length"
    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_script(drawn) >= len(FIGURES))
    excess = "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    assert browser.execute_script(excess) <= 1
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


@pytest.mark.parametrize("address", ["file"], indirect=True)
def test_the_right_predictions_can_be_hidden(browser, address):
    browser.get(address)
    shown = """
        const cells = '#chart-confusion [aria-roledescription="rect mark"]';
        const shown = (cell) => cell.getAttribute('opacity') !== '0';
        return [...document.querySelectorAll(cells)].filter(shown).length;
    """
    WebDriverWait(browser, 20).until(lambda chrome: chrome.execute_script(shown) == 100)
    browser.find_element("css selector", "#chart-confusion input[type=checkbox]").click()
    WebDriverWait(browser, 5).until(lambda chrome: chrome.execute_script(shown) == 90)
