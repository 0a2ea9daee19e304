"""Explanations: where Grad-CAM maps lie, and how far they spread."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from report.charts.style import (
    BLUE,
    ESTIMATE,
    FONT_SIZE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    WIDTH,
    layered,
    pixels,
    scale,
    tooltip,
)

EASY, HARD, OTHERS = "said to be easy", "said to be hard", "others"
TRAINED, RANDOM = "trained weights", "random weights"
MAP, SPREAD = "mean map", "spread"
_PANEL = 236
# The rows of the maps, in pixels: a map with some room, and where the axis of spread begins.
_ROW, _SIDE, _LEFT, _AXIS = 40, 36, 22, 76


def saliency_by_class(estimates: pd.DataFrame) -> alt.FacetChart:
    """Return Grad-CAM measures of each digit with their intervals, one panel a measure.

    ``estimates`` has the columns measure, digit, said (``EASY``, ``HARD`` or ``OTHERS``), value,
    low and high.
    """
    said = [EASY, HARD, OTHERS]
    colours = scale(said, [GREEN, ORANGE, GREY])
    shapes = scale(said, ["circle", "triangle-up", "square"])
    base = alt.Chart(estimates).encode(
        y=alt.Y("digit:N", title="digit"),
        color=alt.Color("said:N", title=None, scale=colours, legend=LEGEND),
        tooltip=tooltip("measure", "digit", "said", *ESTIMATE),
    )
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title=None, scale=alt.Scale(zero=False), axis=alt.Axis(tickCount=5)),
        x2="high:Q",
    )
    point = base.mark_point(filled=True, size=70, opacity=1).encode(
        x="value:Q", shape=alt.Shape("said:N", title=None, scale=shapes, legend=LEGEND)
    )
    panels = alt.Facet("measure:N", title=None, sort=list(dict.fromkeys(estimates["measure"])))
    return (
        layered(rule, point)
        .properties(width=_PANEL, height=240)
        .facet(facet=panels, columns=2, spacing=36)
        .resolve_scale(x="independent")
    )


def maps(rows: pd.DataFrame) -> alt.LayerChart:
    """Return the mean Grad-CAM map of each digit, and how the spread of single maps lies beside it.

    ``rows`` has the columns digit, kind and value. Where the kind is ``MAP``, row and column say
    which cell, and value its mean share of a map's mass; where it is ``SPREAD``, weights is
    ``TRAINED`` or ``RANDOM`` and quantile 0.05, 0.25, 0.5, 0.75 or 0.95. Digits keep the order in
    which they come. Cells have a size in pixels, so that a narrow page leaves them square.
    """
    digits = list(dict.fromkeys(rows["digit"]))
    height = float(_ROW * len(digits))
    middle = {digit: _ROW * (rank + 0.5) for rank, digit in enumerate(digits)}
    names = pd.DataFrame({"digit": digits, "y": list(middle.values())})
    text = alt.Chart(names).mark_text(fontSize=FONT_SIZE, baseline="middle")
    layers = [
        text.encode(x=alt.value(8), y=pixels("y:Q", height), text="digit:N"),
        _cells(rows[rows["kind"] == MAP], middle, height),
        *_boxes(rows[rows["kind"] == SPREAD], middle, height),
    ]
    return layered(*layers).resolve_scale(x="independent").properties(width=WIDTH, height=height)


def _cells(rows: pd.DataFrame, middle: dict[str, float], height: float) -> alt.Chart:
    side = _SIDE / (rows["row"].max() + 1)
    top = rows["digit"].map(middle) - _SIDE / 2 + rows["row"] * side
    left = _LEFT + rows["column"] * side
    placed = rows[["digit", "row", "column", "value"]]
    placed = placed.assign(left=left, right=left + side, top=top, bottom=top + side)
    place = alt.Scale(domain=[0, _AXIS], range=[0, _AXIS])
    return (
        alt.Chart(placed)
        .mark_rect()
        .encode(
            x=alt.X("left:Q", axis=None, scale=place),
            x2="right:Q",
            y=pixels("top:Q", height),
            y2="bottom:Q",
            fill=alt.Fill(
                "value:Q",
                title="share of the map",
                scale=alt.Scale(scheme="viridis", zero=True),
                legend=alt.Legend(orient="top", format=".0%", gradientLength=120),
            ),
            tooltip=tooltip("digit", "row", "column", ("value", ".2%")),
        )
    )


def _boxes(rows: pd.DataFrame, middle: dict[str, float], height: float) -> list[alt.Chart]:
    wide = rows.pivot(index=["digit", "weights"], columns="quantile", values="value")
    wide = wide.set_axis([f"q{100 * quantile:02.0f}" for quantile in wide], axis=1).reset_index()
    weights = [name for name in (TRAINED, RANDOM) if name in set(wide["weights"])]
    offset = {TRAINED: -6 if len(weights) > 1 else 0, RANDOM: 6}
    wide["y"] = wide["digit"].map(middle) + wide["weights"].map(offset)
    # From the tenth beneath the lowest end, as maps of some layers are all rather flat.
    lowest = math.floor(10 * wide["q05"].min()) / 10
    legend = alt.Legend(orient="top", columns=1) if len(weights) > 1 else None
    place = alt.Scale(domain=[lowest, 1], range=[_AXIS, alt.ExprRef("width")])
    axis = alt.Axis(title=["spread of the Grad-CAM map", "(0 is one cell, 1 is flat)"])
    base = alt.Chart(wide).encode(
        y=pixels("y:Q", height),
        color=alt.Color(
            "weights:N",
            title=None,
            scale=scale([TRAINED, RANDOM], [BLUE, GREY]),
            legend=legend,
        ),
        tooltip=tooltip(
            "digit", "weights", *((name, ".3f") for name in ("q05", "q25", "q50", "q75", "q95"))
        ),
    )
    return [
        base.mark_rule(strokeWidth=1.2).encode(
            x=alt.X("q05:Q", scale=place, axis=axis), x2="q95:Q"
        ),
        base.mark_rule(strokeWidth=6).encode(x=alt.X("q25:Q", scale=place, axis=None), x2="q75:Q"),
        base.mark_point(filled=True, opacity=1, size=60, stroke="white", strokeWidth=1).encode(
            x=alt.X("q50:Q", scale=place, axis=None),
            shape=alt.Shape(
                "weights:N",
                title=None,
                scale=scale([TRAINED, RANDOM], ["circle", "square"]),
                legend=legend,
            ),
        ),
    ]
