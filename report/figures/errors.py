"""Uneven errors: how often each class is wrong, and what it is predicted as."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.results.schemas import NONE
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, tooltip
from report.numbers.formats import per_cent
from report.numbers.results import Results


@figure
def class_error(results: Results) -> Drawn:
    """Return the error of each class with its interval, the largest first."""
    names = [style.OURS, *([style.as_published(results.published)] if results.published else [])]
    parts = [
        errors(results.of_shown(results.estimates("accuracy", source=source))).assign(source=name)
        for source, name in zip(results.sources, names, strict=True)
    ]
    data = pd.concat(parts)[["source", "class", "value", "low", "high", "images"]].round(6)
    ours = data[data["source"] == style.OURS].sort_values("value", ascending=False)
    base = alt.Chart(data).encode(
        y=alt.Y("class:N", title=results.noun, sort=ours["class"].tolist()),
        yOffset=alt.YOffset("source:N", sort=names),
        color=looks(alt.Color, "source", names, [style.BLUE, style.GREY], style.LEGEND),
        tooltip=tooltip("source", "class", *style.ESTIMATE),
    )
    low = alt.X("low:Q", title="error", axis=style.SHARES)
    shape = looks(alt.Shape, "source", names, ["circle", "square"], style.LEGEND)
    chart = alt.layer(
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"),
        base.mark_point(**style.POINT, size=60).encode(x="value:Q", shape=shape),
    )
    worst, best = (ours.iloc[place] for place in (0, -1))
    against = f" and {results.published.name}" if results.published else ""
    text = (
        f"Error of each {results.noun} with its interval, for this study{against}. In this study "
        f"it runs from {per_cent(best['value'])} for {best['class']} to "
        f"{per_cent(worst['value'])} for {worst['class']}.{results.left_out}"
    )
    return chart.properties(width=style.WIDTH, height=max(120, 32 * len(ours))), data, text


def errors(accuracy: pd.DataFrame) -> pd.DataFrame:
    """Return the error that belongs to each accuracy; the ends of the interval change places."""
    ends = {"low": 1 - accuracy["high"], "high": 1 - accuracy["low"]}
    return accuracy.assign(value=1 - accuracy["value"], **ends).dropna(subset="value")


def complete(rows: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return confusions of some classes with a row for each pair, also for one without an image."""
    sizes, pair = rows[["attack", "epsilon"]].drop_duplicates(), ["label", "predicted"]
    pairs = pd.MultiIndex.from_product([classes, classes], names=pair).to_frame(index=False)
    return sizes.merge(pairs, how="cross").merge(rows, how="left").fillna(0)


@figure
def confusion(results: Results, *, hidden: bool = False) -> Drawn:
    """Return the confusion matrix, with the right predictions ``hidden`` to begin with or not.

    The colour follows the square root, so that rare errors can be seen; without the right
    predictions it reaches as far as the commonest error.
    """
    classes, left_out = results.confused
    data = complete(results.rows("confusions", attack=NONE), classes)
    data = data[["label", "predicted", "images", "share"]].round(6)
    wrong = data[data["label"] != data["predicted"]].sort_values("images", ascending=False)
    box = alt.binding_checkbox(name="Hide the right predictions ")
    hide = alt.param(name="hide", value=hidden, bind=box)
    end = f"(hide ? {float(wrong['share'].max()) or 1} : 1)"
    right = "(hide && datum.label == datum.predicted)"
    side = max(240, min(42 * len(classes), 560))
    # Long names are written slantwise.
    names = alt.Axis(labelAngle=0 if max(map(len, classes)) < 4 else -60, orient="top")
    base = alt.Chart(data).encode(
        x=alt.X("predicted:N", title="predicted", sort=classes, axis=names),
        y=alt.Y("label:N", title=results.noun, sort=classes),
        tooltip=tooltip("label", "predicted", ("images", ".1f"), ("share", ".2%")),
        opacity=alt.condition(right, alt.value(0), alt.value(1)),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title=f"share of the {results.noun}",
            scale=alt.Scale(type="sqrt", scheme="blues", domainMin=0, domainMax=alt.ExprRef(end)),
            legend=alt.Legend(format=style.PER_CENT, orient="top", gradientLength=200),
        )
    )
    # Numbers are on cells, whose colours do not follow the page's.
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("images:Q", format=".0f"),
        color=alt.condition(f"datum.share > 0.5 * {end}", alt.value("white"), alt.value("black")),
    )
    first = wrong.iloc[0]
    commonest = (
        f"The commonest error is {first['label']} read as {first['predicted']}, "
        f"{first['images']:.0f} times."
        if first["images"]
        else "There are no errors."
    )
    text = f"Confusion matrix, rows true and columns predicted. {commonest}{left_out}"
    chart = alt.layer(cells, numbers).add_params(hide).properties(width=side, height=side)
    return chart, data, text
