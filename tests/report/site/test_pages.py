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
from analysis.results.schemas import PAIR
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
    assert 5 <= sum(label.startswith("fig-") for label in labels) <= 7
    assert sum(label.startswith("tbl-") for label in labels) <= 4
    # Those of variants are named after their claims.
    named = {re.sub("(?<=^fig-variants-).*", "", label) for label in labels}
    assert named <= set(re.findall(r"\{#((?:fig|tbl)-[a-z-]+)", TEMPLATES))
    for kind, word in (("fig-", "Figure"), ("tbl-", "Table")):
        for number in range(1, sum(label.startswith(kind) for label in labels) + 1):
            assert f"{word} {number}" in text


class Prose(HTMLParser):
    """The paragraphs and list items of a page, those of captions, tables and its foot left out.

    Those of its ``abstract``, or all others.
    """

    _LEFT_OUT = ("figcaption", "table", "nav", "aside", "script", "style", "footer", "pre")
    _AWAY = re.compile(
        r"\b(colophon|pictures|figure-data|references|csl-entry|sec-citation|\S*title\S*)\b"
    )
    _VOID = ("br", "img", "input", "meta", "link", "hr", "col")

    def __init__(self, page: Path, *, abstract: bool = False) -> None:
        super().__init__()
        self._open: list[tuple[str, str]] = []
        self._abstract, self._text = abstract, ""
        self.paragraphs: list[str] = []
        self.feed(page.read_text("utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note what is open, by its tag, its class and its id."""
        if tag not in self._VOID:
            known = dict(attrs)
            self._open.append((tag, f"{known.get('class') or ''} {known.get('id') or ''}"))

    def handle_endtag(self, tag: str) -> None:
        """Keep a paragraph that ends."""
        while self._open and self._open.pop()[0] != tag:
            pass
        if tag in ("p", "li", "div") and self._text.strip():
            self.paragraphs.append(" ".join(self._text.split()))
            self._text = ""

    def handle_data(self, data: str) -> None:
        """Take the text of paragraphs and list items."""
        tags, names = {tag for tag, _ in self._open}, [name.strip() for _, name in self._open]
        if self._abstract:
            if "abstract" in names and "title" not in names[-1]:
                self._text += data
        elif {"p", "li"} & tags and not (
            {*self._LEFT_OUT, "header"} & tags or any(map(self._AWAY.search, names))
        ):
            self._text += data


def words_of(page: Path, *, abstract: bool = False) -> int:
    return sum(len(text.split()) for text in Prose(page, abstract=abstract).paragraphs)


def test_the_paper_is_short(site):
    assert 1000 < words_of(site / "index.html") < 2600
    assert 50 < words_of(site / "index.html", abstract=True) <= 150
    assert len(pypdf.PdfReader(site / "index.pdf").pages) <= 10


def test_no_sentence_is_said_twice(site):
    said: dict[str, str] = {}
    for page in sorted(site.glob("*.html")):
        for paragraph in Prose(page).paragraphs:
            for sentence in re.split(r"(?<=[a-z0-9%)][.?!]) ", paragraph):
                if len(sentence.split()) >= 6 and not sentence.startswith("Preview, made"):
                    assert sentence not in said, (page.name, said[sentence], sentence)
                    said[sentence] = page.name


def test_nothing_is_left_unresolved_or_raw(site):
    for page in site.glob("*.html"):
        text = text_of(page)
        for mark in ("?@", "@fig-", "@tbl-", "@sec-", "{python}", "{{", ":::", "Traceback"):
            assert mark not in text, (page.name, mark)
        assert not re.search(r"(?<!=)\b(nan|None|NaN)\b", text), page.name


def test_the_pdf_has_the_sections_and_no_chart_in_pixels(site, derived):
    pdf = pypdf.PdfReader(site / "index.pdf")
    text = "\n".join(page.extract_text() for page in pdf.pages)
    for heading in ("What was found", "References"):
        assert heading in text
    # Single images alone are in pixels, each as many as the page has.
    table = pictures.read(derived) if pictures.are_drawn(derived) else None
    shown = 0 if table is None else table.loc[table["group"] != PAIR, pictures.PANELS].count().sum()
    assert sum(len(page.images) for page in pdf.pages) == shown
    # The charts are drawings with text, so each axis title can be read.
    for title in ("size of the perturbation", "predicted", "AUROC of confidence"):
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
    # Pictures of images have texts of their own.
    drawn = set(re.findall(r'id="(fig-[a-z-]+)"', page)) - {"fig-examples", "fig-errors"}
    assert len(said) == len(drawn)
    assert set(said) <= set(found)


def test_single_images_are_shown_only_of_studies_that_allow_it(site, derived):
    assert not [path for path in site.rglob("*") if path.suffix.lower() in RASTER]
    shown = {page.name: page.read_text("utf-8") for page in site.glob("*.html")}
    with_images = {name for name, text in shown.items() if re.search(r"data:image/(?!svg)", text)}
    if not pictures.are_drawn(derived):
        assert with_images == set()
        return
    table = pictures.read(derived)
    place = table["group"].map(lambda group: "tell.html" if group == PAIR else "index.html")
    assert with_images == set(place)
    for row, page in zip(table.itertuples(), place, strict=True):
        for image in filter(None, (getattr(row, panel) for panel in pictures.PANELS)):
            assert base64.b64encode(image).decode() in shown[page]
    for page in set(place):
        assert derived.study.images.terms in text_of(site / page)


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
        assert f"study {derived.study.name}".lower() in text.lower(), page.name
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
