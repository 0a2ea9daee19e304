"""Confidence: its distribution, whether it agrees with accuracy, and what it is good for."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.results.schemas import ALL, AS_GIVEN, CONFIDENT, SCALED, SCALINGS
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, tooltip
from report.numbers.formats import listed, per_cent
from report.numbers.results import Results
from report.numbers.values import ENOUGH

_KINDS = ["right", "wrong", "wrong under attack"]


@figure
def confidences(results: Results) -> Drawn:
    """Return the distribution of the confidence of right, wrong and attacked predictions."""
    data = results.table("confidences")
    data = data[data["predictions"] > 0].round(6)
    kinds = [kind for kind in _KINDS if kind in set(data["kind"])]
    colours = [style.BLUE, style.ORANGE, style.GREEN]
    # A step ends where the next begins, so the last bin needs an end of its own.
    ends = data[data["high"] == data["high"].max()].assign(low=data["high"].max())
    base = alt.Chart(pd.concat([data, ends])).encode(
        x=alt.X("low:Q", title="confidence", scale=style.UNIT, axis=style.QUARTERS),
        y=alt.Y("share:Q", stack=None, title="share of its kind", axis=style.SHARES),
        color=looks(alt.Color, "kind", kinds, colours, style.LINES),
        tooltip=tooltip("kind", ("low", ".2f"), ("high", ".2f"), ("share", ".1%")),
    )
    dash = looks(alt.StrokeDash, "kind", kinds, [[1, 0], [6, 3], [2, 2]], style.LINES)
    chart = alt.layer(
        base.mark_area(interpolate="step-after", opacity=0.12),
        base.mark_line(interpolate="step-after", strokeWidth=2).encode(strokeDash=dash),
    )
    sure = data[(data["scaling"] == AS_GIVEN) & (data["low"] >= CONFIDENT - 1e-9)]
    shares = sure.groupby("kind", sort=False)["share"].sum()
    parts = [f"{per_cent(share)} of those {kind}" for kind, share in shares.items()]
    text = (
        "Distribution of the confidence, as given and scaled by temperature. As given it is "
        f"{CONFIDENT:g} or more for {listed(parts)}."
    )
    return _by_scaling(chart, height=200), data, text


@figure
def reliability(results: Results) -> Drawn:
    """Return the share that is right against confidence, over all classes and for each."""
    data = results.rows("reliability", class_=(ALL, *results.shown)).round(6)
    error = results.rows("calibration", class_=ALL).set_index("scaling")["error"]
    text = (
        "Share of predictions that is right against their confidence in tenths, over all "
        f"{results.nouns} and for each. The expected calibration error is {error[AS_GIVEN]:.3f} as "
        f"given and {error[SCALED]:.3f} scaled by temperature.{results.left_out}"
    )
    return reliability_chart(data), data, text


def reliability_chart(bins: pd.DataFrame) -> alt.FacetChart:
    """Return the chart of ``reliability``, without bins of too few predictions."""
    x, y, diagonal = style.calibrated()
    base = alt.Chart().encode(x=x, y=y)
    each = base.transform_filter(f"datum.class != '{ALL}'")
    numbers = ((name, ".3f") for name in ("confidence", "accuracy", "low", "high"))
    every = base.transform_filter(f"datum.class == '{ALL}'")
    every = every.encode(tooltip=tooltip(*numbers, "predictions"))
    chart = alt.layer(
        diagonal,
        each.mark_line(strokeWidth=1, opacity=0.35, color=style.GREY).encode(detail="class:N"),
        every.mark_rule(strokeWidth=2, color=style.BLUE).encode(y="low:Q", y2="high:Q"),
        every.mark_line(strokeWidth=2.5, color=style.BLUE),
        every.mark_point(**style.POINT, size=50, color=style.BLUE),
        data=bins[bins["predictions"] >= ENOUGH],
    )
    return _by_scaling(chart, height=style.PANEL)


@figure
def selective(results: Results) -> Drawn:
    """Return the error among the most confident predictions against the share that is kept."""
    data = results.table("selective").round(6)
    kept = "share of the predictions kept, most confident first"
    errors = ((name, ".2%") for name in ("error", "low", "high"))
    base = alt.Chart(data).encode(
        x=alt.X("kept:Q", title=kept, axis=style.SHARES),
        color=looks(alt.Color, "scaling", SCALINGS, [style.BLUE, style.ORANGE], style.LINES),
        tooltip=tooltip("scaling", ("kept", ".0%"), *errors),
    )
    title = "error among them"
    chart = alt.layer(
        base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(strokeWidth=2.5).encode(
            y=alt.Y("error:Q", title=title, axis=alt.Axis(format=".1%")),
            strokeDash=looks(alt.StrokeDash, "scaling", SCALINGS, [[1, 0], [6, 3]], style.LINES),
        ),
    ).properties(width=style.WIDTH, height=260)
    given = data[data["scaling"] == AS_GIVEN].set_index("kept")["error"]
    half = given.index[abs(given.index - 0.5).argmin()]
    text = (
        "Error among the most confident predictions against the share of them kept: "
        f"{per_cent(given.iloc[-1])} if all are kept, {per_cent(given[half])} of the more "
        "confident half."
    )
    return chart, data, text


def _by_scaling(chart: alt.LayerChart, *, height: int) -> alt.FacetChart:
    return style.panels(chart.properties(width=style.PANEL, height=height), "scaling", SCALINGS)
