"""Explanations: where Grad-CAM maps lie, and how far they spread."""

from __future__ import annotations

import math

import altair as alt
import pandas as pd

from analysis.results.schemas import RANDOM, TRAINED
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, pixels, tooltip
from report.numbers.formats import listed
from report.numbers.results import Results

_MEASURES = {"spread": "spread (1 is flat)", "area": "area (share of the input)"}
_FEWER, _MORE, _OTHERS = "claimed to be compact", "claimed to be diffuse", "others"
_LOOKS = {
    _FEWER: (style.INK, "circle"),
    _MORE: (style.BLUE, "triangle-up"),
    _OTHERS: (style.GREY, "square"),
}
_WEIGHTS = {TRAINED: "trained weights", RANDOM: "random weights"}
_QUANTILES = ("q05", "q25", "q50", "q75", "q95")
# The rows of the maps, in pixels: a map with some room around it.
_ROW, _SIDE = 60, 56


@figure
def spread(results: Results) -> Drawn:
    """Return the spread and the area of the maps of each class, one panel a measure."""
    said = _claimed(results)
    parts = [
        results.of_shown(results.estimates(measure, layer=results.layer)).assign(measure=name)
        for measure, name in _MEASURES.items()
    ]
    data = pd.concat(parts).dropna(subset="value")
    data = data.assign(said=[said.get(name, _OTHERS) for name in data["class"]])
    data = data[["measure", "class", "said", "value", "low", "high", "images"]].round(6)
    groups = [group for group in _LOOKS if group in set(data["said"])]
    colours, shapes = zip(*(_LOOKS[group] for group in groups), strict=True)
    base = alt.Chart(data).encode(
        y=alt.Y("class:N", title=results.noun, sort=list(results.shown)),
        color=looks(alt.Color, "said", groups, colours, style.LEGEND),
        tooltip=tooltip("measure", "class", "said", *style.ESTIMATE),
    )
    low = alt.X("low:Q", title=None, axis=alt.Axis(tickCount=5))
    shape = looks(alt.Shape, "said", groups, shapes, style.LEGEND)
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"),
        base.mark_point(**style.POINT, size=70).encode(
            x=alt.X("value:Q", scale=alt.Scale(zero=True)), shape=shape
        ),
    ).properties(width=style.PANEL, height=max(80, 24 * len(results.shown)))
    ranges = []
    for name, rows in data.groupby("measure", sort=False):
        rows = rows.sort_values("value")
        least, most = rows.iloc[0], rows.iloc[-1]
        ranges.append(
            f"the {str(name).partition(' (')[0]} runs from {least['value']:.3f} for "
            f"{least['class']} to {most['value']:.3f} for {most['class']}"
        )
    text = (
        f"Mean spread and area of the Grad-CAM maps of each {results.noun} with their intervals: "
        f"{listed(ranges)}.{results.left_out}"
    )
    chart = style.panels(chart, "measure", data["measure"]).resolve_scale(x="independent")
    return chart, data, text


def _claimed(results: Results) -> dict[str, str]:
    """Return which classes a claim calls diffuse, and which it compares them with."""
    said: dict[str, str] = {}
    for claim in results.record.claims:
        if "contrast" in claim.reports:
            said |= dict.fromkeys(claim.parameters["others"], _FEWER)
            said |= dict.fromkeys(claim.parameters["classes"], _MORE)
    return said


@figure
def maps(results: Results) -> Drawn:
    """Return the mean map of each class and the spread of single ones, the easiest class first."""
    classes = results.of_shown(results.ranked)["class"].tolist()[::-1]
    chosen = {"layer": results.layer, "class_": tuple(classes)}
    cells = results.rows("mean_maps", **chosen).assign(kind="mean map")
    quantiles = results.rows("spreads", **chosen).assign(kind="spread")
    quantiles["weights"] = quantiles["weights"].map(_WEIGHTS)
    data = pd.concat([cells, quantiles]).sort_values(
        "class", key=lambda names: names.map(classes.index), kind="stable"
    )
    names = ["class", "kind", "weights", "row", "column", "quantile", "value", "images"]
    data = data[names].reset_index(drop=True).round(6)
    trained = quantiles[quantiles["weights"] == _WEIGHTS[TRAINED]]
    medians = trained[trained["quantile"] == 0.5].set_index("class")["value"]
    ends = [f"{medians[name]:.3f} for {name}" for name in classes if name in medians]
    also = ", also with random weights" if len(quantiles) > len(trained) else ""
    median = f" The median is {ends[0]} and {ends[-1]}." if ends else ""
    text = (
        f"Mean Grad-CAM map of each {results.noun} as a small heat map, from the {results.noun} "
        f"with the highest accuracy, {classes[0]}, to the one with the lowest, {classes[-1]}, each "
        f"with the quantiles of the spread of single maps{also}.{median}{results.left_out}"
    )
    return maps_chart(data), data, text


def maps_chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Return the chart of mean maps and quantiles of the spread.

    ``rows`` has the columns class, kind and value. For a mean map, row and column name a cell; for
    a spread, weights and quantile say which. Classes keep the order in which they come. Cells have
    a size in pixels, so that they stay square on a narrow page.
    """
    classes = list(dict.fromkeys(rows["class"]))
    height = float(_ROW * len(classes))
    rows = rows.assign(middle=[_ROW * (classes.index(name) + 0.5) for name in rows["class"]])
    # Long names move the maps to the right, up to a limit.
    left = 14 + min(8 * max(map(len, classes)), 130)
    text = alt.Chart(rows.drop_duplicates("class")[["class", "middle"]]).mark_text(
        fontSize=style.FONT_SIZE, baseline="middle", align="right", limit=left - 8
    )
    return (
        alt.layer(
            text.encode(x=alt.value(left - 8), y=pixels("middle:Q", height), text="class:N"),
            _cells(rows[rows["kind"] == "mean map"], height=height, left=left),
            *_boxes(rows[rows["kind"] == "spread"], height=height, left=left + _SIDE + _SIDE // 2),
        )
        .resolve_scale(x="independent")
        .properties(width=style.WIDTH, height=height)
    )


def _cells(rows: pd.DataFrame, *, height: float, left: float) -> alt.Chart:
    side = _SIDE / (max(rows["row"].max(), rows["column"].max()) + 1)
    placed = rows[["class", "row", "column", "value"]].assign(
        left=left + rows["column"] * side,
        top=rows["middle"] - side * (rows["row"].max() + 1) / 2 + rows["row"] * side,
    )
    placed = placed.assign(right=placed["left"] + side, bottom=placed["top"] + side)
    end = left + _SIDE
    place = alt.Scale(domain=[0, end], range=[0, end])
    fill = alt.Fill(
        "value:Q",
        title="share of the map",
        scale=alt.Scale(scheme="viridis", zero=True),
        legend=alt.Legend(orient="top", format=style.PER_CENT, gradientLength=120),
    )
    return (
        alt.Chart(placed)
        .mark_rect()
        .encode(
            x=alt.X("left:Q", axis=None, scale=place),
            x2="right:Q",
            y=pixels("top:Q", height),
            y2="bottom:Q",
            fill=fill,
            tooltip=tooltip("class", "row", "column", ("value", ".2%")),
        )
    )


def _boxes(rows: pd.DataFrame, *, height: float, left: float) -> list[alt.Chart]:
    wide = rows.pivot(index=["class", "middle", "weights"], columns="quantile", values="value")
    wide = wide.set_axis([f"q{100 * quantile:02.0f}" for quantile in wide], axis=1).reset_index()
    weights = [name for name in _WEIGHTS.values() if name in set(wide["weights"])]
    offset = dict(zip(weights, [-6, 6] if len(weights) > 1 else [0], strict=False))
    wide["y"] = wide["middle"] + wide["weights"].map(offset)
    # From the tenth beneath the lowest end, as maps of some layers are all rather flat.
    lowest = math.floor(10 * wide["q05"].min()) / 10 if len(wide) else 0
    place = alt.Scale(domain=[lowest, 1], range=[left, alt.ExprRef("width")])
    title = ["spread of the Grad-CAM map", "(0 is one cell, 1 is flat)"]
    legend = alt.Legend(orient="top", columns=1)
    base = alt.Chart(wide.drop(columns="middle")).encode(
        y=pixels("y:Q", height),
        color=looks(alt.Color, "weights", weights, [style.BLUE, style.GREY], legend),
        tooltip=tooltip("class", "weights", *((name, ".3f") for name in _QUANTILES)),
    )

    def x(quantile: str, axis: alt.Axis | None = None) -> alt.X:
        return alt.X(f"{quantile}:Q", scale=place, axis=axis)

    shape = looks(alt.Shape, "weights", weights, ["circle", "square"], legend)
    return [
        base.mark_rule(strokeWidth=1.2).encode(x=x("q05", alt.Axis(title=title)), x2="q95:Q"),
        base.mark_rule(strokeWidth=6).encode(x=x("q25"), x2="q75:Q"),
        base.mark_point(**style.POINT, size=36, stroke="white", strokeWidth=1).encode(
            x=x("q50"), shape=shape
        ),
    ]
