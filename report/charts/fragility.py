"""Fragility: accuracy under perturbations of growing size, and what they do to the picture."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from typing import Any

import altair as alt
import pandas as pd

from report.charts.style import (
    BLUE,
    DARK,
    ESTIMATE,
    FONT_SIZE,
    GREEN,
    GREY,
    LONG,
    ORANGE,
    ORIGINAL,
    PER_CENT,
    PURPLE,
    WIDTH,
    layered,
    scale,
    tooltip,
)

# In the order in which the attacks are given.
_COLOURS = [ORANGE, PURPLE, GREEN, BLUE]
_SHAPES = ["circle", "triangle-up", "diamond", "square"]
_DASHES = [[1, 0], [8, 3], [4, 2], [2, 2]]
_PANEL = 236
_TITLE = ["size of the perturbation ε, in 8-bit levels", "(beneath, in [0, 1] pixel units)"]


def accuracy_against_epsilon(
    accuracy: pd.DataFrame, *, attacks: Sequence[str], published: pd.DataFrame, chance: float
) -> alt.LayerChart:
    """Return accuracy against ε for each attack, with its band and its runs, and the original's.

    ``accuracy`` has the columns attack, run (``all``, or one whose low and high are missing),
    levels (ε in 8-bit levels), value, low and high; ``attacks`` are the names of all attacks that
    there may be, which keep their colours where some are missing; ``published`` has levels and
    value; ``chance`` is the accuracy of guessing.
    """
    estimates, runs = (rows for _, rows in accuracy.groupby(accuracy["run"] != "all"))
    there = set(estimates["attack"])
    names = [*(name for name in attacks if name in there), ORIGINAL]
    colours = [*_of(there, attacks, _COLOURS), GREY]
    shapes = [*_of(there, attacks, _SHAPES), "cross"]
    dashes = [*_of(there, attacks, _DASHES), [1, 0]]
    colour = alt.Color("attack:N", title=None, scale=scale(names, colours), legend=LONG)
    shape = alt.Shape("attack:N", title=None, scale=scale(names, shapes), legend=LONG)
    dash = alt.StrokeDash("attack:N", title=None, scale=scale(names, dashes), legend=LONG)
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


def perturbations(similarity: pd.DataFrame, *, attacks: Sequence[str]) -> alt.ConcatChart:
    """Return how alike perturbed and clean images are against ε, one panel a measure and size.

    ``similarity`` has the columns measure, resolution (pixels a side), attack, levels (ε in 8-bit
    levels) and value; ``attacks`` as above. The panels of one measure share their axis.
    """
    there = set(similarity["attack"])
    names = [name for name in attacks if name in there]
    colours, dashes, shapes = (
        scale(names, _of(there, attacks, styles)) for styles in (_COLOURS, _DASHES, _SHAPES)
    )
    legend = alt.Legend(orient="top", columns=1, symbolOpacity=1)
    ticks = sorted(set(similarity["levels"]))

    def panel(rows: pd.DataFrame, heading: str, axis: alt.Scale) -> alt.LayerChart:
        base = alt.Chart(rows).encode(
            x=levels_axis(ticks),
            y=alt.Y("value:Q", title=None, scale=axis),
            color=alt.Color("attack:N", title=None, scale=colours, legend=legend),
            tooltip=tooltip("measure", "attack", ("levels", ".2f"), ("value", ".4f")),
        )
        lines = base.mark_line(strokeWidth=2).encode(
            strokeDash=alt.StrokeDash("attack:N", title=None, scale=dashes, legend=legend)
        )
        points = base.mark_point(filled=True, size=50, opacity=1).encode(
            shape=alt.Shape("attack:N", title=None, scale=shapes, legend=legend)
        )
        title = alt.Title(heading, fontSize=FONT_SIZE, fontWeight="normal")
        return layered(lines, points).properties(width=_PANEL, height=150, title=title)

    panels = []
    for measure, alike in similarity.groupby("measure", sort=False):
        axis = alt.Scale(domain=[alike["value"].min(), alike["value"].max()], nice=True)
        for side, rows in alike.groupby("resolution", sort=False):
            panels.append(panel(rows, f"{measure}, {side}×{side} pixels", axis))
    return alt.concat(*panels, columns=2, spacing=30)


def connection(errors: pd.DataFrame, *, under: str) -> alt.LayerChart:
    """Return the error of each digit under attack against its error on clean images.

    ``errors`` has the columns digit, clean, clean_low, clean_high, attacked, attacked_low and
    attacked_high; ``under`` names the attack.
    """
    x = alt.X(
        "clean:Q",
        title="error on clean images",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(format=PER_CENT),
    )
    y = alt.Y(
        "attacked:Q",
        title=f"error under {under}",
        scale=alt.Scale(zero=False),
        axis=alt.Axis(format=PER_CENT),
    )
    names = ("clean", "clean_low", "clean_high", "attacked", "attacked_low", "attacked_high")
    base = alt.Chart(errors).encode(tooltip=tooltip("digit", *((name, ".2%") for name in names)))
    return layered(
        base.mark_rule(color=GREY, opacity=0.6).encode(
            x=alt.X("clean_low:Q", title="error on clean images"), x2="clean_high:Q", y=y
        ),
        base.mark_rule(color=GREY, opacity=0.6).encode(
            x=x, y=alt.Y("attacked_low:Q", title=f"error under {under}"), y2="attacked_high:Q"
        ),
        base.mark_point(filled=True, size=380, opacity=1, color=DARK).encode(x=x, y=y),
        # White on a dark disc, whatever the colours of the page.
        base.mark_text(fontSize=12, fontWeight="bold", color="white").encode(
            x=x, y=y, text="digit:N"
        ),
    ).properties(width=WIDTH, height=340)


def aggregate(accuracy: pd.DataFrame) -> alt.FacetChart:
    """Return other accuracies of each network against its overall accuracy, one panel each.

    ``accuracy`` has the columns run, overall, measure (as its panel is headed) and value.
    """
    scale_ = alt.Scale(zero=False, nice=True)
    axis = alt.Axis(format=".1%", tickCount=4)
    points = (
        alt.Chart(accuracy)
        .mark_point(filled=True, size=80, opacity=0.8, color=BLUE)
        .encode(
            x=alt.X("overall:Q", title="overall accuracy", scale=scale_, axis=axis),
            y=alt.Y("value:Q", title="accuracy", scale=scale_, axis=axis),
            tooltip=tooltip("run", "measure", ("overall", ".2%"), ("value", ".2%")),
        )
    )
    panels = alt.Facet("measure:N", title=None, sort=list(dict.fromkeys(accuracy["measure"])))
    return (
        points.properties(width=_PANEL - 24, height=180)
        .facet(facet=panels, columns=2, spacing=40)
        .resolve_scale(y="independent")
    )


def _of(there: Set[str], attacks: Sequence[str], styles: Sequence[Any]) -> list[Any]:
    """Return the styles of those attacks that are there."""
    return [style for name, style in zip(attacks, styles, strict=True) if name in there]


def levels_axis(values: Iterable[float], *, title: list[str] = _TITLE) -> alt.X:
    """Return the horizontal axis of ε, in 8-bit levels with [0, 1] units beneath, at some ticks."""
    units = "[format(datum.value, '.1~f'), format(datum.value / 255, '.3~f')]"
    axis = alt.Axis(labelExpr=units, values=list(values), grid=False)
    return alt.X("levels:Q", title=title, axis=axis)
