"""The rendered pages: what they say, where they lead, and that the PDF is vector."""

from __future__ import annotations

import base64
import html
import re
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

import pypdf
import pytest

from analysis.project import paths
from analysis.results import pictures, store
from report.site import citation

TEMPLATES = "\n".join(
    path.read_text(encoding="utf-8") for path in (paths.ROOT / "report" / "_paper").glob("*.md")
)
# Where the report of another study is published, which is not rendered here.
OTHER_REPORT = r"(\.\./)?([\w-]+/)?index\.html"
RASTER = {".png", ".jpg", ".jpeg", ".gif", ".webp", ".bmp", ".tif", ".tiff"}


def text_of(page: Path) -> str:
    content = re.sub(r"<(script|style)\b.*?</\1>", " ", page.read_text("utf-8"), flags=re.DOTALL)
    text = re.sub(r"<[^>]+>", " ", re.sub(r"<code.*?</code>", "", content, flags=re.DOTALL))
    return re.sub(r"\s+", " ", html.unescape(text).replace("\xa0", " "))


@pytest.fixture
def derived(study_of) -> store.Derived:
    return store.derived(study_of)


def test_the_page_shows_every_figure_and_table_with_its_number(site):
    page, text = (site / "index.html").read_text("utf-8"), text_of(site / "index.html")
    labels = set(re.findall(r'id="((?:fig|tbl)-[a-z-]+)"', page))
    assert len(labels) >= 9
    # Those of variants are named after their claims.
    named = {re.sub("(?<=^fig-variants-).*", "", label) for label in labels}
    assert named <= set(re.findall(r"\{#((?:fig|tbl)-[a-z-]+)", TEMPLATES))
    for kind, word in (("fig-", "Figure"), ("tbl-", "Table")):
        for number in range(1, sum(label.startswith(kind) for label in labels) + 1):
            assert f"{word} {number}" in text


def test_nothing_is_left_unresolved_or_raw(site):
    for page in site.glob("*.html"):
        text = text_of(page)
        for mark in ("?@", "@fig-", "@tbl-", "@sec-", "{python}", "{{", ":::", "Traceback"):
            assert mark not in text, (page.name, mark)
        assert not re.search(r"(?<!=)\b(nan|None|NaN)\b", text), page.name


def test_the_pdf_has_the_sections_and_no_picture_in_pixels(site):
    pdf = pypdf.PdfReader(site / "index.pdf")
    text = "\n".join(page.extract_text() for page in pdf.pages)
    for heading in ("Introduction", "References"):
        assert heading in text
    assert not [image for page in pdf.pages for image in page.images]
    # The charts are drawings with text, so each axis title can be read.
    for title in ("size of the perturbation", "predicted", "spread of the Grad-CAM map"):
        assert title in text.replace("\n", " "), title
    # No section asks for a margin that the whole PDF would pay for.
    assert max(map(len, pdf.pages[0].extract_text().splitlines())) > 80


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
    assert len(said) == len(set(re.findall(r'id="(fig-[a-z-]+)"', page)))
    assert set(found) == set(said)


def test_single_images_are_shown_only_of_studies_that_allow_it(site, derived):
    assert not [path for path in site.rglob("*") if path.suffix.lower() in RASTER]
    shown = {page.name: page.read_text("utf-8") for page in site.glob("*.html")}
    with_images = {name for name, content in shown.items() if "data:image/png" in content}
    assert with_images == ({"pictures.html"} if derived.study.images.show else set())
    if not derived.study.images.show:
        return
    for row in pictures.read(derived).itertuples():
        assert f'id="test-{row.index}"' in shown["pictures.html"]
        for image in filter(None, (getattr(row, panel) for panel in pictures.PANELS)):
            assert base64.b64encode(image).decode() in shown["pictures.html"]


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
    for page, links in pages.items():
        for target in links.targets:
            parts = urlsplit(target)
            if parts.scheme:
                assert parts.scheme in ("https", "data"), f"{page.name}: {target}"
                continue
            path = (page.parent / unquote(parts.path)).resolve() if parts.path else page
            if page.name == "studies.html" and re.fullmatch(OTHER_REPORT, parts.path):
                continue
            assert path.is_file(), f"{page.name}: {target}"
            # Quarto's own buttons lead to the empty name.
            if parts.fragment and path in pages:
                assert unquote(parts.fragment) in pages[path].names, f"{page.name}: {target}"
        others = {path.name for path in pages} - {page.name}
        assert others <= {target.removeprefix("./") for target in links.targets}, page.name


def test_every_page_names_the_study_and_the_digest_of_its_results(site, derived):
    for page in site.glob("*.html"):
        text = text_of(page)
        assert f"the study {derived.study.name}" in text, page.name
        assert citation.digest(derived) in text, page.name


def test_the_home_page_says_what_readers_of_metadata_look_for(site, derived):
    page = (site / "index.html").read_text("utf-8")
    title = "Failure Modes in Vision Models"
    assert f"<title>{title}" in page and "Failure Modes contributors" in page
    assert "Abstract</" in page
    if "Preview</strong>, made without Quarto" in page:
        return
    for name, value in {
        "citation_title": title,
        "citation_author": "Failure Modes contributors",
        "citation_publication_date": r"\d{4}/\d\d/\d\d",
        "description": re.escape(derived.study.paper.description[:30]),
    }.items():
        assert re.search(rf'<meta name="{name}" content="{value}', page), name
    assert f'<meta property="og:title" content="{title}"' in page
    assert 'description" content=""' not in page
