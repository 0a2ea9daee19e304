"""What follows rendering: Vega, the downloads, and pages that also work when opened from a file.

Browsers refuse modules on pages from a file, and Quarto loads its own conveniences, such as the
table of contents that follows the reader, as a module with one import. The two become one plain
script. Modules of another form are loaded over http only.
"""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable
from html import escape, unescape
from pathlib import Path

import nbformat
import vl_convert

from analysis.project import files, paths
from analysis.results.store import Derived
from report.site import citation, downloads

_MODULE = re.compile(r'<script src="(?P<source>[^"]+)" type="module"></script>')
# Written while the page is parsed, so that they run before the page is complete.
_OVER_HTTP = (
    "<script>if (location.protocol !== 'file:') document.write("
    '\'<script src="{source}" type="module"><\\/script>\')</script>'
)
_IMPORT = re.compile(r'^import \* as (?P<name>\w+) from "(?P<source>[^"]+)";$', re.MULTILINE)
_EXPORT = re.compile(r"^export (?=function (?P<name>\w+))", re.MULTILINE)
_DATE = re.compile(r'<meta name="dcterms.date" content="(\d+)-(\d+)-(\d+)">')
_PUBLISHED = '<meta name="citation_publication_date"'
_TITLE = '<meta name="citation_title"'
_DESCRIPTION = re.compile(r'<meta name="description" (content="[^"]+")>')
_HEADING = re.compile(r'<h1 class="title">(?P<title>[^<]+)</h1>')
_CITED_AS = re.compile(r'<meta name="citation_title" content="(?P<title>[^"]*)">')
_AUTHOR = re.compile(r'<meta name="citation_author" content="[^"]*">\n?')
_TITLED = re.compile(
    r'(?P<start><meta (?:property="og:title"|name="(?:twitter:title|citation_title)") content=")'
    r'[^"]*?(?P<end>(?: – [^"]*)?">)'
)
_REFERENCE = re.compile(
    r'<meta name="citation_reference" content="citation_title=(?P<title>[^;"]*)[^"]*">\n?'
)
_FOOT = '<div class="colophon">'
_UNDESCRIBED = re.compile(r'(<meta (?:property="og|name="twitter):description" )content="">')


def add_files(site: Path, derived: Derived) -> None:
    """Write the site's one copy of Vega and the downloads of a study into a rendered site.

    Pages that do not say yet which results they show say so at their foot: a page of text alone
    has no cell that could.

    Raises ``UserError`` if a file of the results is missing or damaged.
    """
    bundle = vl_convert.javascript_bundle("window.vegaEmbed = vegaEmbed;")
    with files.written_whole(site / "report" / "assets" / "vega.js") as temporary:
        # In a function of its own, so that none of its many names meets those of the page.
        temporary.write_text(f"(() => {{{bundle}}})();\n", encoding="utf-8")
    downloads.write(derived, site / downloads.FOLDER)
    foot = f"{_FOOT}<p>{escape(citation.shown(derived))}</p></div>"
    for page in site.glob("*.html"):
        html = page.read_text(encoding="utf-8")
        if _FOOT not in html:
            end = max(html.rfind("</main>"), 0) or html.rfind("</body>")
            page.write_text(f"{html[:end]}{foot}\n{html[end:]}", encoding="utf-8")


def add_notebooks(site: Path, pages: Iterable[Path]) -> None:
    """Copy the pages that are notebooks to the downloads of a site.

    Quarto warns of a link to a notebook that is not there yet when it makes a page.
    """
    for page in pages:
        if page.suffix == ".ipynb":
            (site / downloads.FOLDER).mkdir(parents=True, exist_ok=True)
            shutil.copy(page, site / downloads.FOLDER)


def clear_notebooks() -> None:
    """Remove the outputs that Quarto leaves in the project's notebooks when it executes them."""
    for path in paths.ROOT.glob("*.ipynb"):
        before = path.read_text(encoding="utf-8")
        notebook = nbformat.reads(before, as_version=4)
        notebook.metadata.pop("language_info", None)
        for cell in notebook.cells:
            if cell.cell_type == "code":
                cell.outputs, cell.execution_count = [], None
        text = f"{nbformat.writes(notebook)}\n"
        if text != before:
            with files.written_whole(path) as temporary:
                temporary.write_text(text, encoding="utf-8")


def finished(html: str, *, folder: Path) -> str:
    """Return a page in a folder with plain scripts instead of modules, and with its metadata."""
    for tag in _MODULE.finditer(html):
        module = folder / tag["source"]
        if module.name == "tabsets.js":  # the module that imports it contains it
            html = html.replace(tag[0], "")
        elif module.is_file() and (script := plain(module)):
            module.with_suffix(".plain.js").write_text(script, encoding="utf-8")
            source = tag["source"].removesuffix(".js") + ".plain.js"
            html = html.replace(tag[0], f'<script defer src="{source}"></script>')
    html = _MODULE.sub(lambda tag: _OVER_HTTP.format(source=tag["source"]), html)
    return _REFERENCE.sub(lambda tag: tag[0] if cited(html, tag["title"]) else "", described(html))


def plain(module: Path) -> str | None:
    """Return a module with what it imports as one plain script, or ``None`` where that is not easy.

    Easy is: whole modules imported under a name, and functions exported where they are defined.
    """

    def inlined(statement: re.Match[str]) -> str:
        imported = (module.parent / statement["source"]).read_text(encoding="utf-8")
        names = ", ".join(export["name"] for export in _EXPORT.finditer(imported))
        body = _EXPORT.sub("", imported)
        return f"const {statement['name']} = (() => {{{body}\nreturn {{ {names} }}; }})();"

    text = _IMPORT.sub(inlined, module.read_text(encoding="utf-8"))
    if re.search(r"^(import|export)\b|\bimport\(|import\.meta", text, re.MULTILINE):
        return None
    return "(() => {" + text + "\n})();\n"


def described(html: str) -> str:
    """Return a page with its date and its description also where search engines look for them.

    Quarto writes both before a cell can give those of the results.
    """
    if (date := _DATE.search(html)) and _PUBLISHED not in html:
        tag = f'{_PUBLISHED} content="{"/".join(date.groups())}">'
        html = html.replace(_TITLE, f"{tag}\n{_TITLE}", 1)
    if description := _DESCRIPTION.search(html):
        html = _UNDESCRIBED.sub(lambda tag: f"{tag[1]}{description[1]}>", html)
    # A study of somebody else has a title of its own, and no authors.
    own, static = _HEADING.search(html), _CITED_AS.search(html)
    if own and static and own["title"] != static["title"]:
        html = _AUTHOR.sub("", html)
        html = _TITLED.sub(lambda tag: f"{tag['start']}{own['title']}{tag['end']}", html)
    return html


def cited(html: str, title: str) -> bool:
    """Return whether a page has a title among its references: Quarto names all that there are."""
    _, _, references = html.partition('<div id="refs"')
    return _letters(title) in _letters(re.sub(r"<[^>]+>", "", references))


def _letters(text: str) -> str:
    return re.sub(r"\W", "", unescape(text)).lower()
