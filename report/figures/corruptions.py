"""Corruptions: accuracy and confidence by the strength of each, with FGSM on the same images."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.results.schemas import FGSM
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import tooltip
from report.numbers.corruptions import NAMES, STRENGTHS
from report.numbers.formats import ATTACK_NAMES, in_levels, listed, per_cent, thousands
from report.numbers.results import Results

_QUANTITIES = {"accuracy": ("value", "low", "high")}
_QUANTITIES["median confidence"] = ("confidence", "low_confidence", "high_confidence")
_LOOKS = [(style.BLUE, "circle", [1, 0]), (style.GREY, "square", [4, 2])]
# Ticks of ε are at least this share of the largest apart.
_GAP = 0.15


@figure
def corruptions(results: Results) -> Drawn:
    """Return accuracy and median confidence by strength, one panel a corruption, and FGSM."""
    data = _series(results.table("corruption_errors"))
    panels = [_panel(name, rows) for name, rows in data.groupby("corruption", sort=False)]
    last = data.groupby(["corruption", "quantity"], sort=False)["value"].last().unstack()
    ends = [
        f"{per_cent(row['accuracy'])} and {per_cent(row['median confidence'])} for {_name(name)}"
        for name, row in last.iterrows()
    ]
    text = (
        f"Accuracy and median confidence on {thousands(data['images'].iloc[0])} images against the "
        f"strength of each corruption. At the strongest they are {listed(ends)}."
    )
    return alt.concat(*panels, columns=2, spacing=30), data, text


def _series(table: pd.DataFrame) -> pd.DataFrame:
    """Return a row for each strength and quantity."""
    keys = ["corruption", "strength", "images"]
    parts = [
        table[[*keys, *columns]]
        .set_axis([*keys, "value", "low", "high"], axis=1)
        .assign(quantity=quantity)
        for quantity, columns in _QUANTITIES.items()
    ]
    data = pd.concat(parts, ignore_index=True)
    # Panels come in the order of the table.
    order = data["corruption"].map({name: n for n, name in enumerate(table["corruption"].unique())})
    data = data.loc[order.sort_values(kind="stable").index].reset_index(drop=True)
    return data[["corruption", "strength", "quantity", "value", "low", "high", "images"]].round(6)


def _name(corruption: object) -> str:
    return ATTACK_NAMES[FGSM] if corruption == FGSM else NAMES[str(corruption)]


def _panel(corruption: object, rows: pd.DataFrame) -> alt.LayerChart:
    if corruption == FGSM:
        rows = rows.assign(levels=in_levels(rows["strength"]))
        x = style.levels_axis(rows["levels"], gap=_GAP, title="ε, in 8-bit levels")
    else:
        rows = rows.assign(shown=[f"{each:g}" if each else "none" for each in rows["strength"]])
        axis = alt.Axis(labelAngle=0, labelOverlap=True, grid=False)
        x = alt.X("shown:O", sort=None, title=STRENGTHS[str(corruption)], axis=axis)
    y = {"scale": style.UNIT, "axis": style.QUARTERS}
    colour, shape, dash = style.dashed("quantity", list(_QUANTITIES), _LOOKS, style.legend())
    base = alt.Chart(rows).encode(x=x, color=colour)
    value = alt.Y("value:Q", title=None, **y)
    tips = tooltip("quantity", ("strength", "~g"), *style.ESTIMATE)
    return alt.layer(
        base.mark_rule(strokeWidth=1.5, opacity=0.6).encode(
            y=alt.Y("low:Q", title=None, **y), y2="high:Q"
        ),
        base.mark_line(strokeWidth=2).encode(y=value, strokeDash=dash),
        base.mark_point(**style.POINT, size=50).encode(y=value, shape=shape, tooltip=tips),
    ).properties(
        width=style.PANEL,
        height=105,
        title=alt.Title(_name(corruption), fontSize=style.FONT_SIZE, fontWeight="normal"),
    )
