"""Fragility: accuracy under perturbations of growing size, and what they do to the picture."""

from __future__ import annotations

from collections.abc import Iterable

import altair as alt
import pandas as pd

from report.charts.style import (
    BLUE,
    ESTIMATE,
    GREEN,
    GREY,
    LEGEND,
    ORANGE,
    ORIGINAL,
    PER_CENT,
    PURPLE,
    WIDTH,
    layered,
    scale,
    tooltip,
)

_COLOURS = [ORANGE, PURPLE, GREEN, BLUE]
_SHAPES = ["circle", "triangle-up", "diamond", "square"]
_DASHES = [[1, 0], [8, 3], [4, 2], [2, 2]]
_TITLE = [
    "size of the perturbation ε, in 8-bit levels (of 255)",
    "and, beneath, in [0, 1] pixel units",
]


def accuracy_against_epsilon(
    accuracy: pd.DataFrame, *, published: pd.DataFrame, chance: float
) -> alt.LayerChart:
    """Return accuracy against ε for each attack, with its band and its runs, and the original's.

    ``accuracy`` has the columns attack, run (``all``, or one whose low and high are missing),
    levels (ε in 8-bit levels), value, low and high; ``published`` has levels and value; ``chance``
    is the accuracy of guessing.
    """
    estimates, runs = (rows for _, rows in accuracy.groupby(accuracy["run"] != "all"))
    attacks = list(dict.fromkeys(estimates["attack"]))
    names = [*attacks, ORIGINAL]
    colours = [*_COLOURS[: len(attacks)], GREY]
    shapes = [*_SHAPES[: len(attacks)], "cross"]
    dashes = [*_DASHES[: len(attacks)], [1, 0]]
    colour = alt.Color("attack:N", title=None, scale=scale(names, colours), legend=LEGEND)
    shape = alt.Shape("attack:N", title=None, scale=scale(names, shapes), legend=LEGEND)
    dash = alt.StrokeDash("attack:N", title=None, scale=scale(names, dashes), legend=LEGEND)
    x = levels_axis(published["levels"])
    y = alt.Y(
        "value:Q",
        title="accuracy",
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=PER_CENT),
    )
    tips = tooltip("attack", ("levels", ".2f"), *ESTIMATE)
    base = alt.Chart(estimates).encode(x=x, color=colour)
    each = alt.Chart(runs[["run", "attack", "levels", "value"]]).mark_line(
        strokeWidth=1, opacity=0.3
    )
    original = alt.Chart(published.assign(attack=ORIGINAL)).mark_point(filled=True, opacity=1)
    guess = alt.Chart(pd.DataFrame({"chance": [chance]}))
    return layered(
        base.mark_area(opacity=0.2).encode(y=alt.Y("low:Q", title="accuracy"), y2="high:Q"),
        guess.mark_rule(strokeDash=[2, 4], color=GREY).encode(y="chance:Q"),
        each.encode(x=x, y=y, color=colour, detail="run:N"),
        base.mark_line(strokeWidth=2.5).encode(y=y, strokeDash=dash),
        base.mark_point(filled=True, size=50, opacity=1).encode(y=y, shape=shape, tooltip=tips),
        original.encode(
            x=x,
            y=y,
            color=colour,
            shape=shape,
            size=alt.value(110),
            tooltip=tooltip("attack", "levels", ("value", ".4f")),
        ),
    ).properties(width=WIDTH, height=340)


def levels_axis(values: Iterable[float]) -> alt.X:
    """Return the horizontal axis of ε, in 8-bit levels with [0, 1] units beneath, at some ticks."""
    units = "[format(datum.value, '.1~f'), format(datum.value / 255, '.3~f')]"
    axis = alt.Axis(labelExpr=units, values=list(values), grid=False)
    return alt.X("levels:Q", title=_TITLE, axis=axis)
