"""Confidence: whether it agrees with accuracy, and how large it is on errors."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.results.schemas import ALL, AS_GIVEN, CONFIDENT, SCALED, SCALINGS
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.fragility import by_attack
from report.figures.style import looks, tooltip
from report.numbers.formats import ATTACK_NAMES, in_levels, listed, per_cent
from report.numbers.results import Results
from report.numbers.values import ENOUGH

_SHARE = ("share", "low", "high")
# The last label stays within the chart.
_CUT_OFF = alt.Axis(format=".0%", labelFlush=True)
_OVER_ATTACKED = "right over errors under attack"
_OVER_ERRORS = "errors under attack over clean errors"
_EPSILON = "ε in 8-bit levels"


@figure
def confident_errors(results: Results) -> Drawn:
    """Return the share of errors that are at least as confident as each cut-off."""
    data = results.table("confident_errors").round(6)
    bodies = list(dict.fromkeys(data["body"]))
    dashes = [[1, 0], [6, 3], [2, 2]]
    base = alt.Chart(data).encode(
        x=alt.X("confidence:Q", title="cut-off", scale=style.NEAR, axis=_CUT_OFF),
        color=looks(alt.Color, "body", bodies, [style.BLUE, style.GREY, style.INK], style.LINES),
        tooltip=tooltip("body", ("confidence", ".2f"), *((name, ".1%") for name in _SHARE)),
    )
    title = "share of the errors at least as confident"
    layers = [
        base.mark_area(opacity=0.15).encode(y=alt.Y("low:Q", title=title), y2="high:Q"),
        base.mark_line(strokeWidth=2.5).encode(
            y=alt.Y("share:Q", title=title, axis=style.SHARES, scale=style.UNIT),
            strokeDash=looks(alt.StrokeDash, "body", bodies, dashes, style.LINES),
        ),
    ]
    claims = [claim for claim in results.record.claims if claim.test == "confident errors"]
    asked = pd.DataFrame(
        [(claim.parameters["confidence"], claim.threshold) for claim in claims],
        columns=["confidence", "threshold"],
    )
    if claims:
        points = alt.Chart(asked).mark_point(size=110, color=style.GREY, shape="cross", filled=True)
        layers.append(points.encode(x="confidence:Q", y="threshold:Q"))
    at = {
        body: rows.iloc[(rows["confidence"] - CONFIDENT).abs().argmin()]
        for body, rows in data.groupby("body", sort=False)
    }
    parts = [f"{per_cent(row['share'])} ({body})" for body, row in at.items()]
    text = (
        f"Share of the errors{results.clean} that are at least as confident as a cut-off. At "
        f"{at[bodies[0]]['confidence']:g} it is {listed(parts)}."
    )
    return alt.layer(*layers).properties(width=style.WIDTH, height=260), data, text


@figure
def attack_confidence(results: Results) -> Drawn:
    """Return what confidence separates under FGSM and PGD at every ε: right, attacked, wrong."""
    rows = results.table("attack_confidence")
    # An attack that was not made on all images is shown on the sample.
    rows = rows.sort_values(["images", "attack", "epsilon"])
    rows = rows.drop_duplicates(["attack", "epsilon"])
    names = ["attack", "epsilon", "images", "predictions"]
    parts = [
        rows[names].assign(pair=pair, value=rows[value], low=rows[low], high=rows[high])
        for pair, value, low, high in (
            (_OVER_ATTACKED, "auroc", "low", "high"),
            (_OVER_ERRORS, "auroc_errors", "low_errors", "high_errors"),
        )
    ]
    data = pd.concat(parts).dropna(subset="value")
    data = data.assign(
        attack=data["attack"].map(ATTACK_NAMES), levels=in_levels(data["epsilon"])
    ).round(6)
    colour, shape, dash = by_attack(data["attack"], style.legend())
    y = {"scale": style.UNIT, "title": "AUROC of confidence"}
    base = alt.Chart().encode(x=style.levels_axis(data["levels"], gap=0.09, title=_EPSILON))
    drawn = base.encode(
        color=colour,
        tooltip=tooltip("pair", "attack", "images", ("levels", ".2f"), *style.ESTIMATE),
    )
    chart = alt.layer(
        alt.Chart()
        .mark_rule(strokeDash=[2, 4], color=style.GREY, aria=False)
        .encode(y=alt.datum(0.5)),
        drawn.mark_rule(strokeWidth=1.5).encode(y=alt.Y("low:Q", **y), y2="high:Q"),
        drawn.mark_line(strokeWidth=2).encode(y=alt.Y("value:Q", **y), strokeDash=dash),
        drawn.mark_point(**style.POINT, size=55).encode(y=alt.Y("value:Q", **y), shape=shape),
        data=data,
    ).properties(width=style.PANEL, height=200)
    ends = [
        f"under {name} from {each['value'].iloc[0]:.2f} to {each['value'].iloc[-1]:.2f}"
        for name, each in data[data["pair"] == _OVER_ATTACKED].groupby("attack", sort=False)
    ]
    text = (
        "AUROC of confidence against the size of the perturbation: of right predictions over "
        "errors under attack, and of these over errors on clean images. From the smallest ε to the "
        f"largest the first goes, {listed(ends)}."
    )
    return style.panels(chart, "pair", data["pair"]), data, text


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
    """Return the error among the most confident predictions against the share that is kept.

    Scaling by temperature keeps the order within a network, so only confidence as given is drawn.
    """
    data = results.rows("selective", scaling=AS_GIVEN).round(6)
    kept = "share of the predictions kept, most confident first"
    errors = ((name, ".2%") for name in ("error", "low", "high"))
    base = alt.Chart(data).encode(
        x=alt.X("kept:Q", title=kept, axis=style.SHARES),
        tooltip=tooltip(("kept", ".0%"), *errors),
    )
    title = "error among them"
    chart = alt.layer(
        base.mark_area(opacity=0.2, color=style.BLUE).encode(
            y=alt.Y("low:Q", title=title), y2="high:Q"
        ),
        base.mark_line(strokeWidth=2.5, color=style.BLUE).encode(
            y=alt.Y("error:Q", title=title, axis=alt.Axis(format=".1~%"))
        ),
    ).properties(width=style.WIDTH, height=220)
    given = data.set_index("kept")["error"]
    half = given.index[abs(given.index - 0.5).argmin()]
    text = (
        "Error among the most confident predictions against the share of them kept: "
        f"{per_cent(given.iloc[-1])} if all are kept, {per_cent(given[half])} of the more "
        "confident half."
    )
    return chart, data, text


def _by_scaling(chart: alt.LayerChart, *, height: int) -> alt.FacetChart:
    return style.panels(chart.properties(width=style.PANEL, height=height), "scaling", SCALINGS)
