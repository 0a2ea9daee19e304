"""How a chart or a table enters a page: interactive for the web, vector for print.

The output of a cell is of one kind alone, Markdown with a raw block of the format at hand: Markdown
and SVG offered together give an empty figure in Typst, HTML and SVG together make the page load
scripts from elsewhere.
"""

from __future__ import annotations

import base64
import html
import json
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd
import vl_convert

from report.execution import Execution

# Fonts that are there: Typst carries the first, every browser has some of the second.
_PRINT_FONT = "Libertinus Serif"
_WEB_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"
# What a page loads to draw its charts, in this order.
SCRIPTS = ("report/assets/vega.js", "report/assets/charts.js")


@dataclass(frozen=True)
class Figure:
    """A chart on a page, with its alternative text, and the data and the function behind it."""

    name: str
    chart: alt.TopLevelMixin
    alt_text: str
    data: pd.DataFrame
    function: str
    execution: Execution

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, str]:
        shown = self.typst() if self.execution.print else self.markdown()
        return {"text/markdown": shown}

    def svg(self) -> str:
        """Return the chart as SVG, for print in a font that the PDF has, else on white."""
        font, background = (
            (_PRINT_FONT, "transparent") if self.execution.print else (_WEB_FONT, "white")
        )
        return vl_convert.vegalite_to_svg(self._specification(font, background))

    def typst(self) -> str:
        """Return a raw Typst block: the chart as SVG, with its alternative text.

        As an image file it would come without: what is computed has no place to put the text.
        """
        # Typst's strings are escaped as those of JSON are, as far as these two need any.
        content, text = (json.dumps(one, ensure_ascii=False) for one in (self.svg(), self.alt_text))
        return _raw("typst", f'#image(bytes({content}), format: "svg", alt: {text})')

    def markdown(self) -> str:
        """Return a raw HTML block: the chart's place, its specification, and links beneath."""
        text = html.escape(self.alt_text, quote=True)
        # A closing tag inside the JSON would end the script that carries it.
        specification = json.dumps(self._specification(_WEB_FONT)).replace("</", "<\\/")
        return raw_html(
            f'<div class="chart" id="chart-{self.name}" role="img" aria-label="{text}">'
            f'<script type="application/json">{specification}</script></div>\n'
            f'<p class="figure-data"><a download="{self.name}.csv" href="{csv_link(self.data)}">'
            f"Data (CSV)</a> · drawn by <code>{self.function}</code></p>"
        )

    def _specification(self, font: str, background: str = "transparent") -> dict:
        chart = self.chart.configure(
            font=font,
            background=background,
            axis=alt.AxisConfig(
                labelFontSize=12, labelFlush=False, titleFontSize=12, titleFontWeight="normal"
            ),
            legend=alt.LegendConfig(labelFontSize=12, titleFontSize=12, labelLimit=300),
            header=alt.HeaderConfig(labelFontSize=12),
            view=alt.ViewConfig(stroke=None),
        )
        return chart.to_dict()


class Markdown(str):
    """Text that a page takes as Markdown, not as a string to quote."""

    def _repr_markdown_(self) -> str:
        return str(self)


def scripts(execution: Execution) -> Markdown:
    """Return the tags that load the site's one copy of Vega and draw the page's charts."""
    if execution.print:
        return Markdown()
    # Not as modules: a module draws nothing on a page opened from a file.
    tags = [f'<script defer src="{execution.offset}{path}"></script>' for path in SCRIPTS]
    return Markdown(raw_html("\n".join(tags)))


def raw_html(content: str) -> str:
    """Return Markdown that passes HTML through untouched."""
    return _raw("html", content)


def _raw(kind: str, content: str) -> str:
    return f"```{{={kind}}}\n{content}\n```"


def csv_link(table: pd.DataFrame) -> str:
    """Return a link that holds a table as CSV."""
    content = base64.b64encode(table.to_csv(index=False).encode()).decode()
    return f"data:text/csv;base64,{content}"


def table(rows: pd.DataFrame) -> Markdown:
    """Return a table of text as a Markdown pipe table; numbers stand right, text left.

    Where a table is too wide for a line, the dashes beneath a heading are its column's share.
    """
    numeric = [all(_is_number(value) for value in rows[name]) for name in rows]
    dashes = ["-" * _width([str(name), *rows[name].astype(str)]) for name in rows]
    lines = [
        [str(name) for name in rows],
        [f"{rule}:" if right else f":{rule}" for rule, right in zip(dashes, numeric, strict=True)],
        *(
            [str(value).replace("|", "\\|") for value in row]
            for row in rows.itertuples(index=False)
        ),
    ]
    return Markdown("\n".join("| " + " | ".join(line) + " |" for line in lines))


def _width(cells: list[str]) -> int:
    """Return how wide a column wants to be: room for its longest word, and more for long text.

    A cell of a few words counts as one.
    """
    pieces = [piece for cell in cells for piece in ([cell] if len(cell) < 15 else cell.split())]
    word = max(map(len, pieces))
    # Text twice as long is well set in a column half as wide again.
    return max(3, word, round(2.5 * max(map(len, cells)) ** 0.6))


def _is_number(value: object) -> bool:
    text = str(value)
    # A list of numbers is text, which may break over lines.
    return (text[:1].isdigit() or text[:1] in "+−–") and ", " not in text
