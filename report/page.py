"""What a page is told, and how anything enters it: Markdown, raw blocks, tables and scripts.

The output of a cell is Markdown alone, with a raw block of the format where one is needed: Markdown
and SVG offered together give an empty figure in Typst, and HTML and SVG together make the page load
scripts from elsewhere.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from analysis.project.errors import UserError
from report.safe import safe

# What a page loads to draw its charts, in this order.
SCRIPTS = ("report/assets/vega.js", "report/assets/charts.js")
# Quarto sets these for whatever it executes.
_INSIDE_QUARTO = ("QUARTO_PROJECT_DIR", "QUARTO_PROJECT_ROOT", "QUARTO_DOCUMENT_PATH")


class Markdown(str):
    """Markdown that may be trusted; any other text is escaped before it enters a page."""

    def _repr_markdown_(self) -> str:
        return str(self)


@dataclass(frozen=True)
class Execution:
    """One execution of a page: for print or the web, and the study that it shows."""

    print: bool
    study: str


def current() -> Execution:
    """Return what the file named by ``QUARTO_EXECUTE_INFO`` says (Quarto 1.8 or later).

    Outside Quarto, in a notebook say, it is the web and the study ``svhn-subset``. Raises
    ``UserError`` for an older Quarto, for a page that the profile does not list, and for a format
    that figures cannot be drawn in.
    """
    name = os.environ.get("QUARTO_EXECUTE_INFO")
    if not name:
        if any(os.environ.get(variable) for variable in _INSIDE_QUARTO):
            raise UserError(
                "This Quarto does not say which study a page shows: it is older than 1.8.\n"
                "Install a newer one from https://quarto.org, or use `python -m report --preview`."
            )
        return Execution(print=False, study="svhn-subset")
    info = json.loads(Path(name).read_text(encoding="utf-8"))
    metadata, output = info["format"]["metadata"], info["format"]["pandoc"]["to"]
    if "study" not in metadata:
        raise UserError(
            f"{Path(info['document-path']).name} is not a page of this profile.\n"
            "Render it with a profile that lists it under `render`, such as demo."
        )
    if output != "typst" and not output.startswith("html"):
        raise UserError(
            f"The pages cannot be rendered as {output}: figures are drawn for html and typst.\n"
            "Render them with `--to html` or `--to typst`."
        )
    return Execution(print=output == "typst", study=metadata["study"])


def written(value: object) -> str:
    """Return what a value is on a page: text that is not ``Markdown`` is escaped."""
    return str(value) if isinstance(value, Markdown) else safe(value)


def raw(output: str, content: str) -> Markdown:
    """Return a raw block of a format, which passes through untouched."""
    return Markdown(f"```{{={output}}}\n{content}\n```")


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
