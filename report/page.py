"""What a page is told, and how anything enters it: Markdown, raw blocks, tables and scripts.

The output of a cell is Markdown alone, with a raw block of the format where one is needed: Markdown
and SVG offered together give an empty figure in Typst, and HTML and SVG together make the page load
scripts from elsewhere.
"""

from __future__ import annotations

import base64
import json
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pandas as pd

from analysis.project.errors import UserError
from report.safe import safe

# What a page loads to draw its charts, in this order.
SCRIPTS = ("report/assets/vega.js", "report/assets/charts.js")
# Quarto sets these for whatever it executes, whichever version it is.
_SET_BY_QUARTO = (
    "QUARTO_PROJECT_DIR",
    "QUARTO_PROJECT_ROOT",
    "QUARTO_DOCUMENT_PATH",
    "QUARTO_BIN_PATH",
    "QUARTO_SHARE_PATH",
    "QUARTO_FIG_WIDTH",
    "QUARTO_PROFILE",
)
# Formats of Pandoc that show a figure as an image in a file. On slides the pages would be cut off.
_WITH_IMAGES = re.compile(
    r"(docx|odt|latex|pdf|gfm|commonmark(_x)?|markdown(_\w+)?|jats(_\w+)?|epub[23]?|ipynb|rst)"
    r"([+-].*)?"
)


class Markdown(str):
    """Markdown that may be trusted; any other text is escaped before it enters a page."""

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Execution:
    """One execution of a page: for print or the web, and the study that it shows.

    Formats other than HTML and Typst have figures as files, which go into the folder ``images``.
    """

    print: bool
    study: str
    images: Path | None = None


def current() -> Execution:
    """Return what the file named by ``QUARTO_EXECUTE_INFO`` says (Quarto 1.8 or later).

    Outside Quarto, in a notebook say, it is the web and the study ``svhn-subset``. Raises
    ``UserError`` for an older Quarto, for a file that cannot be read, for a page that the profile
    does not list, and for a format without figures.
    """
    name = os.environ.get("QUARTO_EXECUTE_INFO")
    if not name:
        if given := next(filter(os.environ.get, _SET_BY_QUARTO), None):
            raise UserError(
                f"{given} is set, but not QUARTO_EXECUTE_INFO, which says what study a page shows: "
                "this Quarto is older than 1.8.\n"
                "Install a newer one from https://quarto.org, or use `python -m report --preview`."
            )
        return Execution(print=False, study="svhn-subset")
    try:
        info = json.loads(Path(name).read_text(encoding="utf-8"))
        document = Path(info["document-path"])
        metadata, output = dict(info["format"]["metadata"]), str(info["format"]["pandoc"]["to"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(
            "QUARTO_EXECUTE_INFO names no file of Quarto that says what is rendered "
            f"({type(error).__name__}: {str(error)[:200]}).\n"
            "Render the page with `python -m report` or `quarto render`."
        ) from None
    study = metadata.get("study")
    if not isinstance(study, str) or not study:
        raise UserError(
            f"{document.name} is not a page of this profile.\n"
            "Render it with a profile that lists it under `render`, such as demo."
        )
    if output.startswith("html"):
        return Execution(print=False, study=study)
    if output == "typst":
        return Execution(print=True, study=study)
    if not _WITH_IMAGES.fullmatch(output):
        raise UserError(
            f"The pages cannot be rendered as {output[:40]}: it cannot show text with figures.\n"
            "Render them with `--to html`, or one page with `--to typst`, docx, gfm or latex."
        )
    folder = document.parent / f"{document.stem}_files" / f"figure-{re.split('[+-]', output)[0]}"
    return Execution(print=True, study=study, images=folder)


def written(value: object) -> str:
    """Return what a value is on a page: text that is not ``Markdown`` is escaped."""
    return str(value) if isinstance(value, Markdown) else safe(value)


def raw(output: str, content: str) -> Markdown:
    """Return a raw block of a format, which passes through untouched."""
    return Markdown(f"```{{={output}}}\n{content}\n```")


def image(execution: Execution, png: bytes, *, name: str, alt: str) -> Markdown:
    """Return a PNG image with its alternative text, as the format of a page takes it.

    In HTML and Typst it is part of the page; otherwise it is a file, whose ``name`` is the page's
    own. It may be part of a paragraph, or one of several in a row.
    """
    alt = " ".join(alt.split())
    if execution.images is not None:
        execution.images.mkdir(parents=True, exist_ok=True)
        file = f"{name}.png" if png.startswith(b"\x89PNG") else f"{name}.jpg"
        (execution.images / file).write_bytes(png)
        source = quote(f"{execution.images.parent.name}/{execution.images.name}/{file}")
        # In attributes Quarto takes two braces for a shortcode even if they are escaped.
        text = re.sub(
            r"([{}])(?=[{}])",
            "\\1\N{WORD JOINER}",
            alt.replace('"', "\N{RIGHT DOUBLE QUOTATION MARK}"),
        )
        # Some formats take the text from the brackets, others from the attribute.
        return Markdown(f'![{safe(alt)}]({source}){{fig-alt="{safe(text)}"}}')
    if execution.print:
        content = ", ".join(map(str, png))
        return raw("typst", f'#image(bytes(({content})), format: "png", alt: {safe(alt, "typst")})')
    address = f"data:image/png;base64,{base64.b64encode(png).decode()}"
    return raw("html", f'<img src="{address}" alt="{safe(alt, "html")}">')


def scripts(execution: Execution) -> Markdown:
    """Return the tags that load the site's copy of Vega and draw the page's charts."""
    if execution.print:
        return Markdown()
    # Not as modules: a module draws nothing on a page opened from a file.
    tags = [f'<script defer src="{path}"></script>' for path in SCRIPTS]
    return raw("html", "\n".join(tags))


def csv_text(table: pd.DataFrame) -> str:
    """Return a table as CSV in which no spreadsheet finds a formula."""
    texts = table.select_dtypes(["object", "string"])
    texts = texts.map(lambda value: safe(value, "csv") if isinstance(value, str) else value)
    return table.assign(**texts).to_csv(index=False)


def csv_link(table: pd.DataFrame) -> str:
    """Return a link that holds a table as CSV."""
    return f"data:text/csv;base64,{base64.b64encode(csv_text(table).encode()).decode()}"


def table(content: Any) -> Markdown:
    """Return a pipe table: numbers to the right, and cells that are not ``Markdown`` escaped.

    ``content`` is what a data frame is made of, with trusted headings. If a line is longer than 72
    letters, Pandoc takes the dashes beneath a heading as its column's share.
    """
    # As objects, because text of pandas' own type is no Markdown any more.
    rows = pd.DataFrame(content, dtype=object)
    rules = []
    for name, column in rows.items():
        dashes = "-" * _width([str(name), *column.astype(str)])
        rules.append(f"{dashes}:" if all(map(_is_number, column)) else f":{dashes}")
    lines = [list(rows), rules, *(map(written, row) for row in rows.itertuples(index=False))]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _width(cells: list[str]) -> int:
    """Return how wide a column should be: its longest word fits, and long text gets more."""
    pieces = [piece for cell in cells for piece in ([cell] if len(cell) < 15 else cell.split())]
    word = max(map(len, pieces), default=0)
    # Text twice as long is well set in a column half as wide again.
    return max(3, word, round(2.5 * max(map(len, cells)) ** 0.6))


def _is_number(value: object) -> bool:
    text = str(value)
    # A list of numbers is text, which may break over lines.
    return (text[:1].isdigit() or text[:1] in "+−–") and ", " not in text
