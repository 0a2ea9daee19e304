"""Confidence: how it is distributed, whether it can be believed, and what it is good for."""

from __future__ import annotations

import altair as alt
import pandas as pd

from report.charts.style import (
    BLUE,
    GREEN,
    GREY,
    LINES,
    ORANGE,
    PER_CENT,
    WIDTH,
    layered,
    scale,
    tooltip,
)

AS_GIVEN, SCALED = "as given", "scaled"
_KINDS = ["right", "wrong", "wrong under attack"]
# Of fewer predictions the share that is right says little.
ENOUGH = 20
_PANEL = 236


def confidences(shares: pd.DataFrame) -> alt.FacetChart:
    """Return how the confidence of right, wrong and attacked predictions is distributed.

    ``shares`` has the columns scaling, kind, low and high (the ends of a bin of confidence) and
    share (of the predictions of this kind). One panel for confidence as given, one for scaled.
    """
    kinds = [kind for kind in _KINDS if kind in set(shares["kind"])]
    colour = alt.Color(
        "kind:N", title=None, scale=scale(kinds, [BLUE, ORANGE, GREEN]), legend=LINES
    )
    dash = alt.StrokeDash(
        "kind:N", title=None, scale=scale(kinds, [[1, 0], [6, 3], [2, 2]]), legend=LINES
    )
    tips = tooltip("kind", ("low", ".2f"), ("high", ".2f"), ("share", ".1%"))
    # A step ends where the next would begin, so the last bin needs an end of its own.
    ends = shares[shares["high"] == shares["high"].max()].assign(low=shares["high"].max())
    base = alt.Chart(pd.concat([shares, ends])).encode(
        x=alt.X("low:Q", title="confidence", scale=alt.Scale(domain=[0, 1]), axis=_quarters()),
        y=alt.Y("share:Q", stack=None, title="share of its kind", axis=alt.Axis(format=PER_CENT)),
        color=colour,
        tooltip=tips,
    )
    areas = base.mark_area(interpolate="step-after", opacity=0.12)
    steps = base.mark_line(interpolate="step-after", strokeWidth=2).encode(strokeDash=dash)
    return _by_scaling(layered(areas, steps), height=200)


def reliability(bins: pd.DataFrame) -> alt.FacetChart:
    """Return the share that is right against confidence, over all digits and for each.

    ``bins`` has the columns scaling, group (all, or a digit), confidence, accuracy, low, high and
    predictions. Bins of fewer than ``ENOUGH`` predictions are left out. On the diagonal, confidence
    is how often a prediction is right.
    """
    x = alt.X("confidence:Q", title="confidence", scale=alt.Scale(domain=[0, 1]), axis=_quarters())
    y = alt.Y(
        "accuracy:Q",
        title="share that is right",
        scale=alt.Scale(domain=[0, 1]),
        axis=_quarters(),
    )
    base = alt.Chart().encode(x=x, y=y)
    each = base.transform_filter("datum.group != 'all'")
    every = base.transform_filter("datum.group == 'all'").encode(
        tooltip=tooltip(
            ("confidence", ".3f"),
            ("accuracy", ".3f"),
            ("low", ".3f"),
            ("high", ".3f"),
            "predictions",
        )
    )
    ends = alt.Chart(pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]}))
    diagonal = ends.mark_line(strokeDash=[4, 4], color=GREY).encode(x=x, y=y)
    return _by_scaling(
        layered(
            diagonal,
            each.mark_line(strokeWidth=1, opacity=0.35, color=GREY).encode(detail="group:N"),
            every.mark_rule(strokeWidth=2, color=BLUE).encode(y="low:Q", y2="high:Q"),
            every.mark_line(strokeWidth=2.5, color=BLUE),
            every.mark_point(filled=True, size=50, opacity=1, color=BLUE),
            data=bins[bins["predictions"] >= ENOUGH],
        ),
        height=_PANEL,
    )


def selective(curves: pd.DataFrame) -> alt.LayerChart:
    """Return the error among the surest predictions against the share of them that is kept.

    ``curves`` has the columns scaling, kept, error, low and high.
    """
    names = [AS_GIVEN, SCALED]
    colour = alt.Color("scaling:N", title=None, scale=scale(names, [BLUE, ORANGE]), legend=LINES)
    dash = alt.StrokeDash(
        "scaling:N", title=None, scale=scale(names, [[1, 0], [6, 3]]), legend=LINES
    )
    base = alt.Chart(curves).encode(
        x=alt.X("kept:Q", title="share of the predictions kept, surest first", axis=_share_axis()),
        color=colour,
        tooltip=tooltip(
            "scaling", ("kept", ".0%"), ("error", ".2%"), ("low", ".2%"), ("high", ".2%")
        ),
    )
    error = alt.Y("error:Q", title="error among them", axis=_share_axis(".1%"))
    return layered(
        base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="error among them"), y2="high:Q"),
        base.mark_line(strokeWidth=2.5).encode(y=error, strokeDash=dash),
    ).properties(width=WIDTH, height=260)


def _share_axis(format_: str = PER_CENT) -> alt.Axis:
    return alt.Axis(format=format_)


def _quarters() -> alt.Axis:
    return alt.Axis(format=PER_CENT, values=[0, 0.25, 0.5, 0.75, 1])


def _by_scaling(chart: alt.LayerChart, *, height: int) -> alt.FacetChart:
    panels = alt.Facet("scaling:N", title=None, sort=[AS_GIVEN, SCALED])
    return chart.properties(width=_PANEL, height=height).facet(facet=panels, columns=2, spacing=36)
