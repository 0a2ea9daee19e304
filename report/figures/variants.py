"""A claim's effect under other reasonable choices, as a specification curve.

The form follows Simonsohn, Simmons and Nelson (2020), *Specification Curve Analysis*: effects from
the smallest to the largest, and beneath them the choices that each was made with.
"""

from __future__ import annotations

from typing import Any

import altair as alt
import pandas as pd

from analysis.project.errors import UserError
from analysis.results.records import ClaimRecord
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, pixels, tooltip
from report.numbers.claim import computed, threshold
from report.numbers.formats import counted, listed, number, unit_name
from report.numbers.results import Results

OWN, SAME, OTHER = "the claim's own choice", "same answer", "other answer"
_LOOKS = {
    OWN: (style.BLUE, "diamond"),
    SAME: (style.GREY, "circle"),
    OTHER: (style.INK, "square"),
}
# So many effects, of choices that are combined three at a time, are a matrix rather than names.
_MANY, _COMBINED = 10, 3
_GROUPS = "groups"
_COLUMNS = ["label", "answer", "value", "low", "high"]
_LEGEND = style.legend(3)
_ROW, _CURVE, _LINE, _SPACE = 21, 190, 17.0, 9.0


@figure
def variants(results: Results, *, claim: str) -> Drawn:
    """Return the effect of a claim and of its variants, in the order of the effect."""
    record = results.record.claim(claim)
    rows = effects(record)
    behind = choices(record, results.layer)
    combined = max(len(set(map(_dimension, one.changes))) for one in computed(record.study))
    many = combined >= _COMBINED and len(rows) >= _MANY
    chart = curve(record, rows, behind) if many else forest(record, rows)
    first, last = rows.iloc[0], rows.iloc[-1]
    scale = 0.01 if _in_points(record) else 1
    ends = [number(scale * row["value"], record.unit) for row in (first, last)]
    same = (rows["answer"] == SAME).sum()
    text = (
        f"The {record.measured} of claim {record.id} and of {counted(len(rows) - 1, 'variant')}, "
        f"with their intervals, from {ends[0]} ({first['label']}) to {ends[1]} "
        f"({last['label']}); the claim asks for {threshold(record)}. The answer is the same in "
        f"{same} of them."
    )
    return chart, rows.merge(behind, left_index=True, right_index=True, how="left"), text


def effects(record: ClaimRecord) -> pd.DataFrame:
    """Return the effect of a claim and of each variant that has one, the smallest first.

    Shares and their differences are in per cent. Raises ``UserError`` for a claim without any.
    """
    judgement = record.study
    if judgement.effect is None or not computed(judgement):
        raise UserError(f"claim {record.id} has no variants to draw.")
    own = judgement.effect
    found: list[tuple[Any, ...]] = [(OWN, OWN, own.value, own.low, own.high)]
    found += [
        (one.label, SAME if one.met == judgement.met else OTHER, one.value, one.low, one.high)
        for one in computed(judgement)
    ]
    rows = pd.DataFrame(found, columns=_COLUMNS)
    if _in_points(record):
        rows[_COLUMNS[2:]] *= 100
    return rows.sort_values("value", kind="stable").round(6)


def _in_points(record: ClaimRecord) -> bool:
    return record.unit in ("share", "difference of shares")


def choices(record: ClaimRecord, layer: str) -> pd.DataFrame:
    """Return what each row of ``effects`` was made with: a column for each choice that varies."""
    judgement = record.study
    known: list[dict[str, Any]] = [{}, *(one.changes for one in computed(judgement))]
    own = {"layer": layer} | {k: v for k, v in record.parameters.items() if v is not None}
    every = [_chosen(own | changes) for changes in known]
    varied = list(dict.fromkeys(_dimension(key) for changes in known for key in changes))
    return pd.DataFrame([{name: one.get(name, _usual(name)) for name in varied} for one in every])


def _dimension(key: str) -> str:
    return _GROUPS if key in ("classes", "others") else key


def _usual(name: str) -> str:
    return {"without": "every image", "labels": "labels as given"}.get(name, f"no other {name}")


def _chosen(parameters: dict[str, Any]) -> dict[str, str]:
    """Return each parameter in words, the two groups of classes as one."""
    words = {}
    for key, value in parameters.items():
        if key in ("measure", "layer"):
            words[key] = str(value)
        elif key == "correct":
            words[key] = "correct predictions" if value else "all predictions"
        elif key == "labels":
            words[key] = f"{value} labels"
        else:
            words[key] = f"{key} {value}"
    groups = [
        listed([str(name) for name in parameters.get(key) or ()]) for key in ("classes", "others")
    ]
    words[_GROUPS] = " against ".join(group for group in groups if group)
    return words


def forest(record: ClaimRecord, rows: pd.DataFrame) -> alt.LayerChart:
    """Return the chart of effects with a name for each."""
    unit = "%" if record.unit == "share" else unit_name(record.unit).strip()
    title = [record.measured, f"({unit})"] if unit else record.measured
    base = alt.Chart(rows).encode(
        y=alt.Y("label:N", title=None, sort=None, axis=alt.Axis(labelLimit=200, ticks=False)),
        color=_answers(alt.Color, rows),
        tooltip=_tips(),
    )
    # Room for the points at both ends.
    scale = alt.Scale(zero=False, padding=12)
    x = alt.X("value:Q", title=title, scale=scale, axis=alt.Axis(tickCount=6))
    low = alt.X("low:Q", title=title)
    chart = alt.layer(
        _limits(record).mark_rule(strokeDash=[4, 3], color=style.GREY).encode(x="limit:Q"),
        base.mark_rule(strokeWidth=2).encode(x=low, x2="high:Q"),
        base.mark_point(**style.POINT).encode(
            x=x, shape=_answers(alt.Shape, rows), size=_larger(70)
        ),
    )
    return chart.properties(width=style.WIDTH, height=_ROW * len(rows))


def curve(record: ClaimRecord, rows: pd.DataFrame, choices: pd.DataFrame) -> alt.LayerChart:
    """Return the specification curve: effects above, and the choices behind each beneath them.

    ``choices`` has a row for each of ``rows``, by index, and a column for each choice that varies.
    """
    rows = rows.assign(place=range(len(rows)))
    values, names = _matrix(choices.loc[rows.index], rows)
    height = float(names["y"].max() + _LINE)
    left = 16 + min(6.6 * names["choice"].str.len().max(), 190)
    x = alt.X(
        "place:Q",
        axis=None,
        scale=alt.Scale(domain=[-0.7, len(rows) - 0.3], range=[left, alt.ExprRef("width")]),
    )
    limits = _limits(record)
    lowest = min(rows["low"].min(), limits.data["limit"].min())
    highest = max(rows["high"].max(), limits.data["limit"].max())
    ends = alt.Scale(domain=[lowest, highest], range=[_CURVE, 18])

    def y(field: str, axis: alt.Axis | None = None) -> alt.Y:
        return alt.Y(f"{field}:Q", scale=ends, axis=axis, title=None)

    axis = alt.Axis(offset=-left, tickCount=6, grid=False)
    unit = unit_name(record.unit).strip()
    title = pd.DataFrame({"title": [f"effect in {unit}" if unit else "effect"]})
    colour, shape = (_answers(channel, rows) for channel in (alt.Color, alt.Shape))
    base = alt.Chart(rows).encode(x=x, color=colour, tooltip=_tips())
    text = alt.Chart(names).mark_text(fontSize=11, baseline="middle", align="right")
    cells = alt.Chart(values.assign(top=values["y"] - 6, bottom=values["y"] + 6))
    cells = cells.encode(x=x, y=pixels("top:Q", height), y2="bottom:Q", color=colour)
    chart = alt.layer(
        limits.mark_rule(strokeDash=[4, 3], color=style.GREY).encode(
            x=alt.value(left), x2=alt.value("width"), y=y("limit")
        ),
        base.mark_rule(strokeWidth=1.5).encode(y=y("low", axis), y2="high:Q"),
        base.mark_point(**style.POINT).encode(y=y("value"), shape=shape, size=_larger(45)),
        alt.Chart(title)
        .mark_text(fontSize=style.FONT_SIZE, align="left", baseline="top")
        .encode(x=alt.value(0), y=alt.value(0), text="title:N"),
        text.encode(x=alt.value(left - 8), y=pixels("y:Q", height), text="choice:N"),
        cells.mark_rule(strokeWidth=alt.ExprRef("width < 420 ? 2 : 6")).encode(tooltip=_tips()),
    )
    chart = chart.resolve_scale(y="independent")
    return chart.properties(width=style.WIDTH, height=height)


def _matrix(choices: pd.DataFrame, rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return a cell for each row and choice, and the names of the choices, at heights ``y``."""
    cells, names, y = [], [], _CURVE + 2 * _SPACE
    for dimension in choices:
        for value in dict.fromkeys(choices.sort_index()[dimension]):
            names.append({"choice": value, "y": y})
            cells.append(rows[choices[dimension] == value].assign(y=y))
            y += _LINE
        y += _SPACE
    return pd.concat(cells), pd.DataFrame(names)


def _limits(record: ClaimRecord) -> alt.Chart:
    """Return the chart of the threshold, on either side if effects may lie within it."""
    limit = (record.threshold or 0) * (100 if _in_points(record) else 1)
    both = [-limit, limit] if record.side == "within" else [limit]
    return alt.Chart(pd.DataFrame({"limit": both}))


def _answers(channel: Any, rows: pd.DataFrame) -> Any:
    names = [name for name in _LOOKS if name in set(rows["answer"])]
    place = 0 if channel is alt.Color else 1
    return looks(channel, "answer", names, [_LOOKS[name][place] for name in names], _LEGEND)


def _larger(size: int) -> dict[str, Any]:
    """Return the size of a point, twice as large for the claim's own choice."""
    return alt.condition(alt.datum.answer == OWN, alt.value(2 * size), alt.value(size))


def _tips() -> list[alt.Tooltip]:
    return tooltip("label", "answer", *((name, ".3f") for name in ("value", "low", "high")))
