"""Whose errors: by attribute of the images, and between classes with an attribute held fixed."""

from __future__ import annotations

import altair as alt
import pandas as pd

from analysis.results.schemas import NONE
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, tooltip
from report.numbers.formats import fixed, per_cent
from report.numbers.results import Results

_PLAIN = "plain"
_ESTIMATE = (("value", ".2f"), ("low", ".2f"), ("high", ".2f"))


@figure
def slices(results: Results) -> Drawn:
    """Return the error of each slice of the images, attribute by attribute."""
    rows, left_out = results.sliced
    data = rows.round(6).assign(named=rows["attribute"] + ": " + rows["slice"])
    names = alt.Axis(labelLimit=260, ticks=False)
    numbers = ((name, ".2%") for name in ("error", "low", "high"))
    base = alt.Chart(data).encode(
        y=alt.Y("named:N", title=None, sort=None, axis=names),
        tooltip=tooltip("attribute", "slice", ("from", ".3~g"), ("to", ".3~g"), "images", *numbers),
    )
    # Room for the intervals at both ends.
    scale = alt.Scale(padding=12)
    axis = alt.Axis(format=style.PER_CENT, tickCount=6)
    low = alt.X("low:Q", title="error", scale=scale, axis=axis)
    chart = alt.layer(
        base.mark_rule(strokeWidth=2, color=style.BLUE).encode(x=low, x2="high:Q"),
        base.mark_point(**style.POINT, size=60, color=style.BLUE).encode(x="error:Q"),
    ).properties(width=style.WIDTH, height=20 * len(data))
    least, most = (data.loc[place] for place in (data["error"].idxmin(), data["error"].idxmax()))
    text = (
        "Error by attribute of the images, with intervals. It is largest, "
        f"{per_cent(most['error'])}, for {most['attribute']} {most['slice']}, and smallest, "
        f"{per_cent(least['error'])}, for {least['attribute']} {least['slice']}.{left_out}"
    )
    return chart, data.drop(columns="named"), text


@figure
def adjusted(results: Results, *, attribute: str) -> Drawn:
    """Return how much more each class errs than the others, plain and by equal attributes."""
    rows = results.of_shown(results.rows("adjusted", attribute=(NONE, attribute)))
    fixed_name = f"{attribute} held fixed"
    data = rows.assign(
        comparison=rows["attribute"].map({NONE: _PLAIN, attribute: fixed_name}),
        value=100 * rows["difference"],
        low=100 * rows["low"],
        high=100 * rows["high"],
    ).dropna(subset="value")
    data = data[["class", "comparison", "value", "low", "high"]].round(4)
    names = [_PLAIN, fixed_name]
    plain = data[data["comparison"] == _PLAIN].sort_values("value", ascending=False)
    base = alt.Chart(data).encode(
        y=alt.Y("class:N", title=results.noun, sort=plain["class"].tolist()),
        yOffset=alt.YOffset("comparison:N", sort=names),
        color=looks(alt.Color, "comparison", names, [style.GREY, style.BLUE], style.LEGEND),
        tooltip=tooltip("class", "comparison", *_ESTIMATE),
    )
    title = [f"error minus that of all other {results.nouns},", "percentage points"]
    low = alt.X("low:Q", title=title)
    shape = looks(alt.Shape, "comparison", names, ["square", "circle"], style.LEGEND)
    zero = alt.Chart(pd.DataFrame({"zero": [0]})).mark_rule(strokeDash=[2, 4], color=style.GREY)
    chart = alt.layer(
        zero.encode(x="zero:Q"),
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"),
        base.mark_point(**style.POINT, size=60).encode(x="value:Q", shape=shape),
    ).properties(width=style.WIDTH, height=max(120, 28 * len(plain)))
    held = data[data["comparison"] == fixed_name].set_index("class")["value"]
    before = plain.set_index("class")["value"]
    moved = (held - before).abs().dropna()
    text = (
        f"Error of each {results.noun} minus that of all others, plain and with {attribute} held "
        f"fixed.{_largest_change(before, held, moved)}{results.left_out}"
    )
    return chart, data, text


def _largest_change(before: pd.Series, held: pd.Series, moved: pd.Series) -> str:
    if moved.empty:
        return ""
    name = moved.idxmax()
    return (
        f" The largest change is that of {name}, from {fixed(before[name], '.1f')} to "
        f"{fixed(held[name], '.1f')} percentage points."
    )
