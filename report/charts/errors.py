"""Uneven errors: how often each digit is wrong, and for what it is taken."""

from __future__ import annotations

import altair as alt
import pandas as pd

from report.charts.style import (
    BLUE,
    ESTIMATE,
    GREY,
    LONG,
    ORIGINAL,
    OURS,
    PER_CENT,
    WIDTH,
    tooltip,
)


def class_error(estimates: pd.DataFrame) -> alt.LayerChart:
    """Return the error of each digit with its interval, ours beside the original's.

    ``estimates`` has the columns source (``OURS`` or ``ORIGINAL``), digit, value, low and high. The
    digit with our largest error comes first.
    """
    ours = estimates[estimates["source"] == OURS].sort_values("value", ascending=False)
    domain = [OURS, ORIGINAL]
    base = alt.Chart(estimates).encode(
        y=alt.Y("digit:N", title="digit", sort=ours["digit"].tolist()),
        yOffset=alt.YOffset("source:N", sort=domain),
        color=alt.Color(
            "source:N",
            title=None,
            scale=alt.Scale(domain=domain, range=[BLUE, GREY]),
            legend=LONG,
        ),
        tooltip=tooltip("source", "digit", *ESTIMATE),
    )
    rule = base.mark_rule(strokeWidth=2).encode(
        x=alt.X("low:Q", title="error", axis=alt.Axis(format=PER_CENT)), x2="high:Q"
    )
    point = base.mark_point(filled=True, size=60, opacity=1).encode(
        x="value:Q",
        # The legend of colour and shape is one only where their scales agree.
        shape=alt.Shape(
            "source:N",
            title=None,
            scale=alt.Scale(domain=domain, range=["circle", "square"]),
            legend=LONG,
        ),
    )
    return (rule + point).properties(width=WIDTH, height=320)


def confusion(counts: pd.DataFrame, *, hidden: bool) -> alt.LayerChart:
    """Return the confusion matrix as a heat map of the share of each row.

    ``counts`` has the columns label, predicted, images (mean over repeats) and share of the label.
    The colour follows the square root, so that rare errors can be seen; where the diagonal is
    ``hidden``, to begin with or by the reader's box, it reaches as far as the commonest error.
    """
    largest = counts.loc[counts["label"] != counts["predicted"], "share"].max()
    box = alt.binding_checkbox(name="Hide the right predictions ")
    hide = alt.param(name="hide", value=hidden, bind=box)
    end = f"(hide ? {largest} : 1)"
    right = "(hide && datum.label == datum.predicted)"
    base = alt.Chart(counts).encode(
        x=alt.X("predicted:O", title="predicted", axis=alt.Axis(labelAngle=0, orient="top")),
        y=alt.Y("label:O", title="digit"),
        tooltip=tooltip("label", "predicted", ("images", ".1f"), ("share", ".2%")),
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            title="share of the digit",
            scale=alt.Scale(type="sqrt", scheme="blues", domainMin=0, domainMax=alt.ExprRef(end)),
            legend=alt.Legend(format=".0%", orient="top", gradientLength=200),
        ),
        opacity=alt.condition(right, alt.value(0), alt.value(1)),
    )
    # Numbers stand on cells, whose colours do not follow the page's.
    numbers = base.mark_text(fontSize=11).encode(
        text=alt.Text("images:Q", format=".0f"),
        color=alt.condition(f"datum.share > 0.3 * {end}", alt.value("white"), alt.value("black")),
        opacity=alt.condition(right, alt.value(0), alt.value(1)),
    )
    return (cells + numbers).add_params(hide).properties(width=420, height=420)
