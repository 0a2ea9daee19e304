"""Explanations: where Grad-CAM maps lie, and how far they spread."""

from __future__ import annotations

import altair as alt
import pandas as pd

from report.charts.style import BLUE, ESTIMATE, WIDTH, tooltip


def saliency_by_class(estimates: pd.DataFrame, *, title: str) -> alt.LayerChart:
    """Return a Grad-CAM measure of each digit with its interval.

    ``estimates`` has the columns digit, value, low and high; ``title`` names the measure.
    """
    base = alt.Chart(estimates).encode(
        y=alt.Y("digit:N", title="digit"), tooltip=tooltip("digit", *ESTIMATE)
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
            tooltip=tooltip("digit", "row", "column", ("value", ".2%")),
        )
        .properties(width=side, height=side)
        .facet(facet=alt.Facet("digit:N", title=None, sort=order), columns=5)
    )
