"""The figures of the paper: each a pure function from a table to an Altair chart.

Colours are Okabe and Ito's, which colour-blind readers can tell apart; shapes and dashes say the
same without colour.
"""

from __future__ import annotations

import altair as alt
import pandas as pd

OURS = "this study"
ORIGINAL = "the original, as published"
BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "#767676"
WIDTH = 560

_LEGEND = alt.Legend(orient="top")
_ESTIMATE = (("value", ".4f"), ("low", ".4f"), ("high", ".4f"))


def class_accuracy(estimates: pd.DataFrame) -> alt.LayerChart:
    """Return the accuracy of each digit with its interval, ours beside the original's.

    ``estimates`` has the columns source (``OURS`` or ``ORIGINAL``), digit, value, low and high.
    """
    base = alt.Chart(estimates).encode(
        y=alt.Y("digit:N", title="digit", sort=_by_value(estimates)),
        yOffset=alt.YOffset("source:N", sort=[OURS, ORIGINAL]),
        color=_source_colour(),
        tooltip=_tooltip("source", "digit", *_ESTIMATE),
    )
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X(
            "low:Q", title="accuracy", scale=alt.Scale(zero=False), axis=alt.Axis(format=".0%")
        ),
        x2="high:Q",
    )
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="value:Q",
        # The legend of colour and shape is one only where their scales agree.
        shape=alt.Shape(
            "source:N", title=None, scale=alt.Scale(domain=[OURS, ORIGINAL]), legend=_LEGEND
        ),
    )
    return (rule + point).properties(width=WIDTH, height=320)


def confusion(counts: pd.DataFrame) -> alt.LayerChart:
    """Return the confusion matrix as a heat map of the share of each row.

    ``counts`` has the columns label, predicted, images (mean over repeats) and share of the label.
    The colour follows the square root, so that errors of one in a hundred can be seen.
    """
    base = alt.Chart(counts).encode(
        x=alt.X("predicted:O", title="predicted", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("label:O", title="digit"),
        tooltip=_tooltip("label", "predicted", ("images", ".1f"), ("share", ".2%")),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="share of the digit",
            scale=alt.Scale(type="sqrt", scheme="blues", domain=[0, 1]),
            legend=alt.Legend(format=".0%"),
        )
    )
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("images:Q", format=".0f"),
        color=alt.condition("datum.share > 0.3", alt.value("white"), alt.value("black")),
    )
    return (cells + numbers).properties(width=420, height=420)


def saliency_by_class(estimates: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Return a Grad-CAM measure of each digit with its interval.

    ``estimates`` has the columns digit, value, low and high; ``title`` names the measure.
    """
    base = alt.Chart(estimates).encode(
        y=alt.Y("digit:N", title="digit"), tooltip=_tooltip("digit", *_ESTIMATE)
    )
    rule = base.mark_rule(strokeWidth=2, color=BLUE).encode(
        x=alt.X("low:Q", title=title, scale=alt.Scale(zero=False)), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=60, opacity=1, color=BLUE).encode(x="value:Q")
    return (rule + point).properties(width=WIDTH, height=260)


def mean_maps(maps: pd.DataFrame) -> alt.FacetChart:
    """Return the mean Grad-CAM map of each digit, as small multiples in the order of the rows.

    ``maps`` has the columns digit, row, column and value (mean share of the map's mass in a cell).
    """
    order = list(dict.fromkeys(maps["digit"]))
    side = 88
    return (
        alt.Chart(maps)
        .mark_rect()
        .encode(
            x=alt.X("column:O", axis=None),
            y=alt.Y("row:O", axis=None),
            color=alt.Color(
                "value:Q",
                title="share of the map",
                scale=alt.Scale(scheme="viridis", zero=True),
                legend=alt.Legend(format=".0%"),
            ),
            tooltip=_tooltip("digit", "row", "column", ("value", ".2%")),
        )
        .properties(width=side, height=side)
        .facet(facet=alt.Facet("digit:N", title=None, sort=order), columns=5)
    )


def accuracy_against_epsilon(
    estimates: pd.DataFrame, published: pd.DataFrame, *, chance: float
) -> alt.LayerChart:
    """Return accuracy against ε for each attack with its band, and the original's points.

    ``estimates`` has the columns attack, levels (ε in 8-bit levels), value, low and high;
    ``published`` has levels and value; ``chance`` is the accuracy of guessing.
    """
    names = [*dict.fromkeys(estimates["attack"]), ORIGINAL]
    colour = alt.Color(
        "attack:N",
        title=None,
        scale=alt.Scale(domain=names, range=[ORANGE, BLUE, GREY][: len(names)]),
        legend=_LEGEND,
    )
    shape = alt.Shape("attack:N", title=None, scale=alt.Scale(domain=names), legend=_LEGEND)
    x = alt.X("levels:Q", title="size of the perturbation ε, in 8-bit levels (of 255)")
    y = alt.Y(
        "value:Q",
        title="accuracy",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%"),
    )
    tips = _tooltip("attack", ("levels", ".2f"), *_ESTIMATE)
    base = alt.Chart(estimates).encode(x=x, color=colour)
    band = base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q")
    line = base.mark_line(strokeWidth=2).encode(y=y)
    points = base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=shape, tooltip=tips)
    original = (
        alt.Chart(published.assign(attack=ORIGINAL))
        .mark_point(filled=True, size=80, opacity=1)
        .encode(x=x, y=y, color=colour, shape=shape, tooltip=_tooltip("attack", "levels", "value"))
    )
    guess = (
        alt.Chart(pd.DataFrame({"chance": [chance]}))
        .mark_rule(strokeDash=[4, 4], color=GREY)
        .encode(y="chance:Q")
    )
    return (band + guess + line + points + original).properties(width=WIDTH, height=320)


def _tooltip(*fields: str | tuple[str, str]) -> list[alt.Tooltip]:
    named = [(field, "") if isinstance(field, str) else field for field in fields]
    return [alt.Tooltip(name, format=format_) for name, format_ in named]


def _by_value(estimates: pd.DataFrame) -> list[str]:
    ours = estimates[estimates["source"] == OURS].sort_values("value")
    return ours["digit"].tolist()


def _source_colour() -> alt.Color:
    return alt.Color(
        "source:N",
        title=None,
        scale=alt.Scale(domain=[OURS, ORIGINAL], range=[BLUE, GREY]),
        legend=_LEGEND,
    )
