"""What all charts have in common.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; shapes and dashes say the
same without colour. Text and axes get their colours from the page, so none is set here. A chart is
one view wherever it can be, whose width the page may change: what has to keep its size is placed
in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt
import pandas as pd

OURS = "this study"
ORIGINAL = "the original, as published"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
PURPLE = "#CC79A7"
# Dark enough for white letters on any page.
DARK = "#00619A"
WIDTH = 560
FONT_SIZE = 12

# Legends stand above their charts: room beside them is scarce on a phone.
LEGEND = alt.Legend(orient="top", columns=2, labelLimit=320, symbolOpacity=1)
# In a chart of one view its width is known, and long names can stand beneath each other.
LONG = alt.Legend(
    orient="top", columns=alt.ExprRef("width < 420 ? 1 : 2"), labelLimit=320, symbolOpacity=1
)
# The same for lines, which tell themselves apart by their dashes.
LINES = alt.Legend(
    orient="top",
    columns=3,
    symbolType="stroke",
    symbolOpacity=1,
    symbolSize=300,
    symbolStrokeWidth=2,
)
ESTIMATE = (("value", ".4f"), ("low", ".4f"), ("high", ".4f"))
PER_CENT = ".0%"


def tooltip(*fields: str | tuple[str, str]) -> list[alt.Tooltip]:
    """Return tooltips for columns, each with a number format where it has one."""
    named = [(field, "") if isinstance(field, str) else field for field in fields]
    return [alt.Tooltip(name, format=format_) for name, format_ in named]


def layered(*charts: alt.Chart, data: Any = alt.Undefined) -> alt.LayerChart:
    """Return charts over each other; ``data`` is for those that have none of their own."""
    return alt.LayerChart(layer=list(charts), data=data)


def scale(domain: Sequence[str], range_: Iterable[Any]) -> alt.Scale:
    """Return a scale that gives each name of the domain the entry of the range in its place."""
    return alt.Scale(domain=list(domain), range=list(range_)[: len(domain)])


def pixels(field: str, height: float) -> alt.Y:
    """Return a vertical position that is given in pixels from the top."""
    return alt.Y(field, axis=None, scale=alt.Scale(domain=[0, height], range=[0, height]))


def not_measured(reason: pd.DataFrame) -> alt.Chart:
    """Return, in place of a chart, the reason why there is none; ``reason`` has that column."""
    mark = alt.Chart(reason).mark_text(fontSize=FONT_SIZE, align="left", lineBreak="\n")
    return mark.encode(x=alt.value(0), text="reason:N").properties(width=WIDTH, height=40)
