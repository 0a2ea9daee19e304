"""The explorer: charts of one digit, one pair and one ε at a time, which a reader chooses.

The names of the selections are those of the fields that they choose by, so that a click in one
chart and the lists above all of them move the same choice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from report.charts.fragility import levels_axis
from report.charts.style import (
    BLUE,
    GREY,
    ORANGE,
    PER_CENT,
    layered,
    scale,
    tooltip,
)

# Three charts beside each other on a wide page, all of them on one screen.
_WIDTH, _HEIGHT = 170, 180
_TITLE = ["ε in 8-bit levels", "(beneath, in [0, 1] pixel units)"]
_SCALINGS = ["as given", "scaled"]


@dataclass(frozen=True)
class Choice:
    """What a reader may choose, and what is chosen to begin with: a digit, its reading, an ε."""

    digits: Sequence[str]
    levels: Sequence[float]
    digit: str
    predicted: str
    level: float


def explorer(
    confusions: pd.DataFrame,
    *,
    choice: Choice,
    accuracy: pd.DataFrame,
    maps: pd.DataFrame,
    reliability: pd.DataFrame,
) -> alt.ConcatChart:
    """Return charts that all follow one choice of a digit, of what it is read as, and of an ε.

    ``confusions`` has one row a digit, predicted, attack and levels (ε in 8-bit levels), with the
    share of the digit; ``accuracy`` has digit, attack, levels, value, low and high; ``maps`` has
    digit, row, column and value; ``reliability`` has digit, scaling, confidence, accuracy, low,
    high and predictions. Digits are text. Where one of the last two is empty, its chart is missing.
    """
    digit = _chosen("digit", choice.digits, choice.digit, name="Digit ")
    predicted = _chosen("predicted", choice.digits, choice.predicted, name=" read as ")
    names = [f"{level:.1f} levels ({level / 255:.4g})" if level else "0" for level in choice.levels]
    level = _chosen("levels", choice.levels, choice.level, name=" at ε ", labels=names)
    attacks = list(dict.fromkeys(confusions["attack"]))
    colours = scale(attacks, [ORANGE, BLUE])
    charts: list[alt.Chart | alt.LayerChart] = [
        _matrix(confusions, attacks[0], digit, predicted, level),
        _readings(confusions, colours, digit, level),
        _pair(confusions, colours, digit, predicted, level),
        _fragility(accuracy, colours, digit, level),
    ]
    if not reliability.empty:
        charts.append(_reliability(reliability, digit))
    if not maps.empty:
        charts.append(_map(maps, digit))
    return alt.concat(*charts, columns=3, spacing=16).resolve_scale(
        color="independent", shape="independent"
    )


def _chosen(
    field: str,
    options: Sequence[str] | Sequence[float],
    value: str | float,
    *,
    name: str,
    labels: Sequence[str] | None = None,
) -> alt.Parameter:
    """Return a selection by one field, made by a list or by a click; something is always chosen."""
    bind = alt.binding_select(
        options=list(options), labels=list(labels) if labels else alt.Undefined, name=name
    )
    return alt.selection_point(
        name=field, fields=[field], bind=bind, value=value, on="click", clear=False, toggle=False
    )


def _title(expression: str) -> alt.Title:
    return alt.Title(alt.ExprRef(expression), anchor="start", fontSize=12, fontWeight="normal")


def _matrix(
    confusions: pd.DataFrame,
    attack: str,
    digit: alt.Parameter,
    predicted: alt.Parameter,
    level: alt.Parameter,
) -> alt.LayerChart:
    """Return the confusion matrix at the chosen ε; a click in it chooses a digit and a reading."""
    base = (
        alt.Chart(confusions)
        .transform_filter(f"datum.attack == '{attack}'")
        .transform_filter(level)
        .encode(
            x=alt.X("predicted:O", title="read as", axis=alt.Axis(labelAngle=0, orient="top")),
            y=alt.Y("digit:O", title="digit"),
        )
    )
    cells = base.mark_rect().encode(
        color=alt.Color(
            "share:Q",
            scale=alt.Scale(type="sqrt", scheme="blues", domain=[0, 1]),
            legend=None,
        ),
        tooltip=tooltip("digit", "predicted", ("share", ".2%"), ("levels", ".2f")),
    )
    frame = base.transform_filter(digit).mark_rect(
        filled=False, stroke=ORANGE, strokeWidth=1.5, strokeOpacity=0.6
    )
    pair = base.transform_filter(digit).transform_filter(predicted)
    mark = pair.mark_rect(filled=False, stroke=ORANGE, strokeWidth=3)
    title = f"'Confusions under {attack}, ε of ' + format(levels.levels, '.1f') + ' levels'"
    return layered(cells.add_params(level, predicted, digit), frame, mark).properties(
        width=_HEIGHT, height=_HEIGHT, title=_title(title)
    )


def _readings(
    confusions: pd.DataFrame, colours: alt.Scale, digit: alt.Parameter, level: alt.Parameter
) -> alt.Chart:
    """Return what the chosen digit is taken for at the chosen ε, under each attack."""
    return (
        alt.Chart(confusions)
        .transform_filter(digit)
        .transform_filter(level)
        .transform_filter("datum.digit != datum.predicted")
        .mark_bar()
        .encode(
            x=alt.X("share:Q", title="share of the digit", axis=alt.Axis(format=PER_CENT)),
            y=alt.Y("predicted:O", title="read as"),
            yOffset=alt.YOffset("attack:N"),
            color=alt.Color("attack:N", title=None, scale=colours, legend=_legend()),
            tooltip=tooltip("digit", "predicted", "attack", ("share", ".2%")),
        )
        .properties(
            width=_WIDTH,
            height=_HEIGHT,
            title=_title("'What a ' + digit.digit + ' is taken for'"),
        )
    )


def _fragility(
    accuracy: pd.DataFrame, colours: alt.Scale, digit: alt.Parameter, level: alt.Parameter
) -> alt.LayerChart:
    """Return accuracy against ε, the chosen digit's with its band over those of the others."""
    x = levels_axis(_ticks(accuracy), title=_TITLE)
    y = alt.Y(
        "value:Q", title="accuracy", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=PER_CENT)
    )
    colour = alt.Color("attack:N", title=None, scale=colours, legend=_legend())
    every = alt.Chart(accuracy).encode(x=x, color=colour)
    one = every.transform_filter(digit)
    return layered(
        every.mark_line(strokeWidth=1, opacity=0.25).encode(y=y, detail="digit:N"),
        one.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
        one.mark_line(strokeWidth=2.5).encode(y=y),
        one.mark_point(filled=True, size=50, opacity=1).encode(
            y=y,
            tooltip=tooltip("digit", "attack", ("levels", ".2f"), ("value", ".2%")),
        ),
        _here(accuracy, level),
    ).properties(
        width=_WIDTH,
        height=_HEIGHT,
        title=_title("'Accuracy of ' + digit.digit + '; faint, the others'"),
    )


def _pair(
    confusions: pd.DataFrame,
    colours: alt.Scale,
    digit: alt.Parameter,
    predicted: alt.Parameter,
    level: alt.Parameter,
) -> alt.LayerChart:
    """Return how often the chosen digit is read as the chosen other, against ε."""
    base = (
        alt.Chart(confusions)
        .transform_filter(digit)
        .transform_filter(predicted)
        .encode(
            x=levels_axis(_ticks(confusions), title=_TITLE),
            y=alt.Y("share:Q", title="share of the digit", axis=alt.Axis(format=".1%")),
            color=alt.Color("attack:N", title=None, scale=colours, legend=_legend()),
            tooltip=tooltip("digit", "predicted", "attack", ("levels", ".2f"), ("share", ".2%")),
        )
    )
    return layered(
        base.mark_line(strokeWidth=2.5),
        base.mark_point(filled=True, size=50, opacity=1),
        _here(confusions, level),
    ).properties(
        width=_WIDTH,
        height=_HEIGHT,
        title=_title("'A ' + digit.digit + ' read as ' + predicted.predicted"),
    )


def _here(rows: pd.DataFrame, level: alt.Parameter) -> alt.Chart:
    """Return an upright line at the chosen ε."""
    ticks = pd.DataFrame({"levels": sorted(set(rows["levels"]))})
    rule = alt.Chart(ticks).transform_filter(level).mark_rule(color=GREY, strokeDash=[3, 3])
    return rule.encode(x="levels:Q")


def _reliability(reliability: pd.DataFrame, digit: alt.Parameter) -> alt.LayerChart:
    """Return the share of the chosen digit that is right against confidence."""
    unit = alt.Scale(domain=[0, 1])
    quarters = alt.Axis(format=PER_CENT, values=[0, 0.25, 0.5, 0.75, 1])
    x = alt.X("confidence:Q", title="confidence", scale=unit, axis=quarters)
    y = alt.Y("accuracy:Q", title="share that is right", scale=unit, axis=quarters)
    base = (
        alt.Chart(reliability)
        .transform_filter(digit)
        .encode(
            x=x,
            color=alt.Color(
                "scaling:N", title=None, scale=scale(_SCALINGS, [BLUE, ORANGE]), legend=_legend()
            ),
            tooltip=tooltip(
                "digit", "scaling", ("confidence", ".3f"), ("accuracy", ".3f"), "predictions"
            ),
        )
    )
    ends = pd.DataFrame({"confidence": [0, 1], "accuracy": [0, 1]})
    return layered(
        alt.Chart(ends).mark_line(strokeDash=[4, 4], color=GREY).encode(x=x, y=y),
        base.mark_rule(opacity=0.5).encode(
            y=alt.Y("low:Q", title="share that is right"), y2="high:Q"
        ),
        base.mark_line(strokeWidth=2.5).encode(y=y),
        base.mark_point(filled=True, size=50, opacity=1).encode(
            y=y,
            shape=alt.Shape(
                "scaling:N",
                title=None,
                scale=scale(_SCALINGS, ["circle", "square"]),
                legend=_legend(),
            ),
        ),
    ).properties(width=_WIDTH, height=_HEIGHT, title=_title("'Calibration of ' + digit.digit"))


def _map(maps: pd.DataFrame, digit: alt.Parameter) -> alt.Chart:
    """Return the mean Grad-CAM map of the chosen digit."""
    return (
        alt.Chart(maps)
        .transform_filter(digit)
        .mark_rect()
        .encode(
            x=alt.X("column:O", axis=None),
            y=alt.Y("row:O", axis=None),
            color=alt.Color(
                "value:Q",
                scale=alt.Scale(scheme="viridis", domain=[0, float(maps["value"].max())]),
                legend=alt.Legend(
                    orient="bottom", format=PER_CENT, gradientLength=160, title="share of the map"
                ),
            ),
            tooltip=tooltip("digit", "row", "column", ("value", ".2%")),
        )
        .properties(
            width=_HEIGHT,
            height=_HEIGHT,
            title=_title("'Mean Grad-CAM map of ' + digit.digit"),
        )
    )


def _ticks(rows: pd.DataFrame) -> list[float]:
    """Return few enough ε for a narrow axis: about every other, by size."""
    ticks: list[float] = []
    for value in sorted(set(rows["levels"])):
        if not ticks or value - ticks[-1] > 0.18 * rows["levels"].max():
            ticks.append(value)
    return ticks


def _legend() -> alt.Legend:
    return alt.Legend(orient="bottom", columns=1, symbolOpacity=1)
