"""The rendered pages: what they say, where they lead, and that the PDF is vector."""

from __future__ import annotations

import base64
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pypdf
from sklearn.metrics import accuracy_score

from analysis import paths, pictures, results
from report import publication

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
    assert f"overall accuracy is {accuracy:.1f}%" in text_of(site / "index.html")


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


def test_no_section_asks_for_a_margin_that_the_whole_pdf_would_pay_for(site):
    assert "column-" not in QMD + (paths.ROOT / "index.qmd").read_text("utf-8")
    lines = pypdf.PdfReader(site / "index.pdf").pages[0].extract_text().splitlines()
    assert max(map(len, lines)) > 80


def test_the_pdf_says_of_every_figure_what_the_page_says_of_it(site):
    found = []

    def walk(element):
        element = element.get_object()
        if isinstance(element, pypdf.generic.DictionaryObject):
            found.extend([element["/Alt"]] if "/Alt" in element else [])
            element = element.get("/K", pypdf.generic.ArrayObject())
        if isinstance(element, pypdf.generic.ArrayObject):
            for child in element:
                walk(child)

    walk(pypdf.PdfReader(site / "index.pdf").root_object["/StructTreeRoot"])
    page = (site / "index.html").read_text("utf-8")
    said = [html.unescape(text) for text in re.findall(r'role="img" aria-label="(.*?)"', page)]
    assert len(said) == len(FIGURES)
    assert set(found) == set(said)


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
    for page in site.glob("*.html"):
        found = "data:image/png" in page.read_text("utf-8")
        assert found == (page.name == "pictures.html"), page.name


def test_single_images_are_shown_of_drawn_digits_alone(site, study_of):
    page = site / "pictures.html"
    assert page.is_file() == (study_of == "demo")
    if study_of != "demo":
        return
    stored = results.load(study_of, folder=paths.ROOT / "build" / "results" / study_of)
    table = pictures.read(stored)
    content = page.read_text("utf-8")
    for row in table.itertuples():
        assert f'id="{row.split}-{row.index}"' in content
        for panel in pictures.PANELS:
            image = getattr(row, panel)
            assert image is None or base64.b64encode(image).decode() in content
    images = [attributes for name, attributes in Tags(page).found if name == "img"]
    shown = sum(table[panel].notna().sum() for panel in pictures.PANELS)
    assert len([one for one in images if one["src"].startswith("data:image/png")]) == shown
    assert all(re.search(r"labelled \d", one["alt"]) for one in images)
    text = text_of(page)
    assert "0.015 (3.8 levels), magnified 20 times" in text and "Not drawn yet" not in text


class Tags(HTMLParser):
    """The tags of a page, with their attributes."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note one tag."""
        self.found.append((tag, dict(attrs)))


class Links(HTMLParser):
    """What a page refers to, and what can be referred to on it."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.targets: list[str] = []
        self.names: set[str] = set()
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note the attributes of one tag."""
        for name, value in attrs:
            if name == "id" and value:
                self.names.add(value)
            elif name in ("href", "src") and value:
                self.targets.append(value)


def test_no_link_within_the_site_is_broken(site):
    pages = {path: Links(path) for path in site.glob("*.html")}
    assert len(pages) >= 3
    followed = 0
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme:
                assert parts.scheme in ("https", "data"), f"{page.name}: {target}"
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            assert path.is_file(), f"{page.name}: {target}"
            # Quarto's own buttons lead to the empty name.
            if parts.fragment and path in pages:
                assert unquote(parts.fragment) in pages[path].names, f"{page.name}: {target}"
                followed += 1
    assert followed > len(LABELS)


def test_every_page_leads_to_every_other(site):
    pages = {path.name for path in site.glob("*.html")}
    for page in pages:
        targets = {target.removeprefix("./") for target in Links(site / page).targets}
        assert pages - {page} <= targets, page


def test_the_data_page_offers_files_that_are_there(site, study_of):
    targets = [
        target for target in Links(site / "data.html").targets if "assets/downloads" in target
    ]
    assert {Path(target).name for target in targets} == {
        path.name for path in (site / "report" / "assets" / "downloads").iterdir()
    }
    assert f"{study_of}-results.zip" in {Path(target).name for target in targets}


def test_every_page_names_the_study_its_date_and_the_digest_of_its_results(site, study_of):
    stored = results.load(study_of, folder=paths.ROOT / "build" / "results" / study_of)
    for page in site.glob("*.html"):
        text = text_of(page)
        assert f"the study {study_of}" in text, page.name
        assert publication.digest(stored)[:12] in text, page.name


def test_the_home_page_says_what_readers_of_metadata_look_for(site):
    page = (site / "index.html").read_text("utf-8")
    title = "Failure Modes in Vision Models"
    assert f"<title>{title}" in page and "Failure Modes contributors" in page
    if "Preview</strong>, made without Quarto" in page:
        return
    for name, value in {
        "citation_title": title,
        "citation_author": "Failure Modes contributors",
        "citation_publication_date": r"\d{4}/\d\d/\d\d",
        "description": "The claims of a published notebook",
    }.items():
        assert re.search(rf'<meta name="{name}" content="{value}', page), name
    assert f'<meta property="og:title" content="{title}"' in page
    assert "<h2>Abstract" in page or "Abstract</" in page
