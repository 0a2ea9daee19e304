"""What all charts have in common.

The colours are Okabe and Ito's, which colour-blind readers can distinguish; shapes and dashes say
the same without colour. Text and axes take their colours from the page, so none is set here. The
page may change the width of a chart: what must keep its size is placed in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from analysis.results.published import Published
from analysis.results.schemas import LEVELS

OURS = "this study"
# What is drawn, what it is compared with, and what differs from both.
BLUE, GREY, INK = "#0072B2", "#767676", "#1F2328"
# The perturbations, which nothing else has the colours of.
ORANGE, GREEN, PURPLE, OCHRE = "#D55E00", "#009E73", "#B5568C", "#8A6A00"
# Dark enough for white letters on any page.
DARK = "#00619A"
WIDTH, PANEL = 560, 236
FONT_SIZE = 12
POINT = {"filled": True, "opacity": 1}
# An estimate with its interval, in tooltips.
ESTIMATE = (("value", ".4f"), ("low", ".4f"), ("high", ".4f"))
PER_CENT = ".0%"
SHARES = alt.Axis(format=PER_CENT)
QUARTERS = alt.Axis(format=PER_CENT, values=[0, 0.25, 0.5, 0.75, 1])
UNIT = alt.Scale(domain=[0, 1])
NEAR = alt.Scale(zero=False)
_SIZE = "size of the perturbation ε, in 8-bit levels"


def legend(columns: Any = 2, **options: Any) -> alt.Legend:
    """Return a legend above its chart, as a phone has little room at the side."""
    # Symbols are filled; an outline would be dashed as lines are.
    usual = {"orient": "top", "symbolOpacity": 1, "symbolStrokeWidth": 0, "columns": columns}
    return alt.Legend(**{**usual, **options})


LEGEND = legend(labelLimit=320)
# Lines differ by their dashes.
LINES = legend(3, symbolType="stroke", symbolSize=300, symbolStrokeWidth=2)


def as_published(found: Published) -> str:
    """Return how a legend names published results."""
    return f"{found.name}, as published"


def tooltip(*fields: str | tuple[str, str]) -> list[alt.Tooltip]:
    """Return tooltips for columns, each with a number format if it has one."""
    named = [(field, "") if isinstance(field, str) else field for field in fields]
    return [alt.Tooltip(name, format=format_) for name, format_ in named]


def looks(
    channel: Any, field: str, names: Sequence[str], values: Iterable[Any], legend: Any = None
) -> Any:
    """Return a channel that gives each name of a column the value in its place.

    The legend of colour, shape and dash is one only if their scales agree; one name needs none.
    """
    legend = legend if len(names) > 1 else None
    scale = alt.Scale(domain=list(names), range=list(values)[: len(names)])
    return channel(f"{field}:N", title=None, scale=scale, legend=legend)


def dashed(
    field: str, names: Sequence[str], chosen: Iterable[tuple[Any, ...]], legend: alt.Legend
) -> list[Any]:
    """Return colour, shape and dash of each name of a column; ``chosen`` has the three of each."""
    channels = (alt.Color, alt.Shape, alt.StrokeDash)
    return [
        looks(channel, field, names, values, legend)
        for channel, values in zip(channels, zip(*chosen, strict=True), strict=True)
    ]


def panels(chart: alt.Chart, field: str, names: Iterable[str], spacing: int = 36) -> alt.FacetChart:
    """Return a chart once for each name in a column, two in a row."""
    facet = alt.Facet(f"{field}:N", title=None, sort=list(dict.fromkeys(names)))
    return chart.facet(facet=facet, columns=2, spacing=spacing)


def pixels(field: str, height: float) -> alt.Y:
    """Return a vertical position that is given in pixels from the top."""
    return alt.Y(field, axis=None, scale=alt.Scale(domain=[0, height], range=[0, height]))


def calibrated() -> tuple[alt.X, alt.Y, alt.Chart]:
    """Return axes of confidence and accuracy, and the diagonal on which they agree."""
    x = alt.X("confidence:Q", title="confidence", scale=UNIT, axis=QUARTERS)
    y = alt.Y("accuracy:Q", title="share that is right", scale=UNIT, axis=QUARTERS)
    ends = alt.InlineData([{"confidence": end, "accuracy": end} for end in (0, 1)])
    line = alt.Chart(ends).mark_line(strokeDash=[4, 4], color=GREY).encode(x=x, y=y)
    return x, y, line


def levels_axis(values: Iterable[float], *, gap: float = 0.0, title: str = _SIZE) -> alt.X:
    """Return the axis of ε in 8-bit levels, with [0, 1] units beneath.

    It has ticks at the values that are further apart than a share ``gap`` of the largest.
    """
    ticks: list[float] = []
    for value in sorted(set(values)):
        if not ticks or value - ticks[-1] > gap * max(values):
            ticks.append(value)
    units = f"[format(datum.value, '.1~f'), format(datum.value / {LEVELS}, '.3~g')]"
    axis = alt.Axis(labelExpr=units, labelOverlap="greedy", values=ticks, grid=False)
    return alt.X("levels:Q", title=[title, "(beneath, in [0, 1] pixel units)"], axis=axis)
