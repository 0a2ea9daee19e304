"""A figure on a page: interactive on the web, vector in print, an image elsewhere."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from typing import Any, ParamSpec

import altair as alt
import pandas as pd
import vl_convert

from analysis.project.errors import UserError
from report.page import Execution, Markdown, csv_link, image, raw
from report.safe import identifier, safe, script

# Fonts that exist where they are needed: Typst carries the first, browsers one of the others.
_PRINT_FONT = "Libertinus Serif"
_WEB_FONT = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', Arial, sans-serif"

# On paper a pixel is so many points, which makes letters of 8 points, and a line has so many.
_POINTS, _WIDEST = 0.66, 425.0

Drawn = tuple[alt.TopLevelMixin, pd.DataFrame, str]
P = ParamSpec("P")


@dataclass(frozen=True)
class Figure:
    """A chart with its data and alternative text, and the function that drew it."""

    name: str
    chart: alt.TopLevelMixin
    data: pd.DataFrame
    alt_text: str
    function: str

    def markdown(self, execution: Execution) -> Markdown:
        """Return what a page shows: a raw block, or an image for formats without one.

        Raises ``UserError`` for an image of charts that follow a reader's choice.
        """
        if execution.images is not None:
            return _alone(image(execution, self.png(), name=self.name, alt=self.alt_text))
        return self.typst() if execution.print else self.html()

    def html(self) -> Markdown:
        """Return a raw HTML block: the chart's place, its specification, and links beneath it."""
        return raw(
            "html",
            f'<div class="chart" id="chart-{self.name}" role="img" '
            f'aria-label="{safe(self.alt_text, "html")}">'
            f'<script type="application/json">{script(self._specification(_WEB_FONT))}</script>'
            f'</div>\n<p class="figure-data"><a download="{self.name}.csv" '
            f'href="{csv_link(self.data)}">Data (CSV)</a> · drawn by '
            f"<code>{self.function}</code></p>",
        )

    def typst(self) -> Markdown:
        """Return a raw Typst block: the chart as SVG, with its alternative text."""
        return _typst(self.svg(_PRINT_FONT, "transparent"), self.alt_text)

    def svg(self, font: str = _WEB_FONT, background: str = "white") -> str:
        """Return the chart as SVG."""
        return vl_convert.vegalite_to_svg(self._specification(font, background))

    def png(self) -> bytes:
        """Return the chart as PNG, with two pixels for one of the screen's."""
        content = self._specification(_WEB_FONT, "white")
        if '"input": "select"' in json.dumps(content.get("params", [])):
            raise UserError(
                f"The charts of {self.name} follow a reader's choice, which needs HTML.\n"
                "Render single pages in other formats: `quarto render index.qmd --to docx`."
            )
        return vl_convert.vegalite_to_png(content, scale=2)

    def _specification(self, font: str, background: str = "transparent") -> dict[str, Any]:
        titles = {"titleFontSize": 12, "labelFontSize": 12}
        chart = self.chart.configure(
            font=font,
            background=background,
            axis=alt.AxisConfig(**titles, labelFlush=False, titleFontWeight="normal"),
            legend=alt.LegendConfig(**titles, labelLimit=300),
            header=alt.HeaderConfig(labelFontSize=12),
            view=alt.ViewConfig(stroke=None),
        )
        # Altair refuses more than 5,000 rows because they would bloat a notebook.
        with alt.data_transformers.enable("default", max_rows=None):
            # The tests compare with Vega-Lite's schema, which takes a third of a page's time.
            return chart.to_dict(validate=False)


def figure(function: Callable[P, Drawn]) -> Callable[P, Figure]:
    """Make a function that returns a chart, its data and its alternative text return a figure."""

    @wraps(function)
    def drawn(*arguments: P.args, **options: P.kwargs) -> Figure:
        chart, data, text = function(*arguments, **options)
        # A figure that is drawn of several things is named after each.
        of = [identifier(option) for option in options.values() if isinstance(option, str)]
        name = "-".join([function.__name__.replace("_", "-"), *of])
        # In one line, as a line of its own could end the block that contains it.
        text = " ".join(text.split())
        return Figure(name, chart, data, text, f"{function.__module__}.{function.__name__}")

    return drawn


def _typst(svg: str, alt: str) -> Markdown:
    # As an image file it would lose that text, which Quarto accepts only in static metadata.
    content, text = safe(svg, "typst"), safe(alt, "typst")
    pixels = re.search(r'<svg[^>]*? width="([\d.]+)', svg)
    width = f"{min(_POINTS * float(pixels[1]), _WIDEST):.0f}pt" if pixels else "auto"
    return raw("typst", f'#image(bytes({content}), format: "svg", width: {width}, alt: {text})')


def _alone(content: Markdown) -> Markdown:
    """Return an image for a paragraph of its own, where its text would be taken for a caption."""
    return Markdown(f"{content}\\ ")
