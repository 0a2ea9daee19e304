"""The claims at a glance: effects, intervals and thresholds, each claim on a scale of its own."""

from __future__ import annotations

from typing import Any

import altair as alt
import numpy as np
import pandas as pd

from analysis.results.records import ClaimRecord, Judgement
from report.figures import style
from report.figures.figure import Drawn, figure
from report.figures.style import looks, pixels, tooltip
from report.numbers.claims import Claims, threshold
from report.numbers.formats import number
from report.numbers.results import Results

# The shapes of the verdicts in the tables too: a disc, a cross, a disc half filled.
SHAPES = {
    "holds": "circle",
    "does not hold": "M-1,-.7L-.7,-1L0,-.3L.7,-1L1,-.7L.3,0L1,.7L.7,1L0,.3L-.7,1L-1,.7L-.3,0Z",
    "undecided": "M0,-1A1,1,0,0,0,0,1A1,1,0,0,0,0,-1L0,-.7A.7,.7,0,0,1,0,.7Z",
}
_UNITS = {"difference of shares": " points", "standard deviations": " SD"}
_VALUES = ["value", "low", "high"]
_COLUMNS = ["claim", "heading", "name", "source", "verdict", "side", "threshold", "unit", "shown"]
_COLUMNS += _VALUES
_HEADING, _LINE, _GAP = 16.0, 14.0, 5.0
# Room for the names at the left and for the numbers and verdicts at the right, in pixels.
_LEFT, _RIGHT = 72, 118


@figure
def claims(results: Results) -> Drawn:
    """Return the effect of each claim against its threshold."""
    found = rows(results).round(6)
    summary = Claims(results).summary
    text = (
        f"Effects of {len(results.record.claims)} claims with their intervals, each against its "
        f"threshold. Of the claims, {summary}."
    )
    return chart(found), found, text


def rows(results: Results) -> pd.DataFrame:
    """Return one row for each claim and each source that it was tested on, ours first.

    A claim that these data do not test has one row without an effect.
    """
    found = []
    for claim in results.record.claims:
        for name, judgement in results.judgements(claim):
            ours = name == style.OURS
            if ours or (results.published and judgement.effect):
                source = style.OURS
                if not ours and results.published:
                    source = style.as_published(results.published)
                found.append(_row(claim, name, judgement) | {"source": source})
    return pd.DataFrame(found).reindex(columns=_COLUMNS)


def _row(claim: ClaimRecord, name: str, judgement: Judgement) -> dict[str, Any]:
    effect = judgement.effect
    row: dict[str, Any] = {
        "claim": claim.id,
        "heading": _heading(claim),
        "name": name,
        "unit": claim.unit,
    }
    row |= {"side": claim.side, "threshold": claim.threshold, "verdict": judgement.verdict}
    if effect is None:
        return row | {"shown": ""}
    values = {key: getattr(effect, key) for key in _VALUES}
    return row | values | {"shown": number(effect.value, claim.unit)}


def _heading(claim: ClaimRecord) -> str:
    """Return the id of a claim with what it says of its effect, short enough for a phone."""
    if claim.side is None:
        return claim.id
    return (
        f"{claim.id}: {claim.measured} {threshold(claim, short=True)}{_UNITS.get(claim.unit, '')}"
    )


def chart(rows: pd.DataFrame) -> alt.LayerChart:
    """Return the chart of such rows.

    The threshold of every claim is the same upright line, and the side that it claims is to the
    right. The scale of a claim reaches as far as the farthest end of any of its intervals.
    """
    placed, headings, height = _laid_out(_placed(rows))
    y = pixels("y:Q", height)
    place = alt.Scale(domain=[-1, 1], range=[_LEFT, alt.ExprRef(f"width - {_RIGHT}")])

    def at(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=None, scale=place)

    numbers = ((name, ".4f") for name in ("threshold", *_VALUES))
    tips = tooltip("claim", "name", "source", "verdict", *numbers)
    sources = list(dict.fromkeys(rows["source"]))
    colour = looks(alt.Color, "source", sources, [style.BLUE, style.GREY])
    base = alt.Chart(placed).encode(y=y, color=colour, tooltip=tips)
    # Rows without an effect have a name and a verdict alone.
    tested = base.transform_filter("isValid(datum.at)")
    text = alt.Chart(placed).mark_text(fontSize=style.FONT_SIZE, align="left", baseline="middle")
    outcome = alt.value(alt.ExprRef(f"width - {_RIGHT - 8}"))
    claimed = alt.Chart(pd.DataFrame({"from": [0.0], "to": [1.0], "top": 0, "bottom": height}))
    # Bold letters of some fonts would be too wide for a phone.
    bold = alt.ExprRef("width < 420 ? 'normal' : 'bold'")
    heading = alt.Chart(headings).mark_text(
        fontSize=style.FONT_SIZE - 1, align="left", baseline="middle", fontWeight=bold
    )
    layers = [
        claimed.mark_rect(opacity=0.1, color=style.BLUE).encode(
            x=at("from"), x2="to:Q", y=pixels("top:Q", height), y2="bottom:Q"
        ),
        claimed.mark_rule(color=style.GREY, strokeWidth=1).encode(x=at("from")),
        tested.mark_rule(strokeWidth=2.5).encode(x=at("from"), x2="to:Q"),
        tested.mark_point(**style.POINT, size=110).encode(
            x=at("at"), shape=looks(alt.Shape, "verdict", list(SHAPES), SHAPES.values())
        ),
        text.encode(x=alt.value(8), y=y, text="name:N"),
        text.encode(x=outcome, y=y, text="outcome:N", tooltip=tips),
        heading.encode(x=alt.value(0), y=y, text="heading:N"),
    ]
    sides = {"right": ("← against the claim", -0.03), "left": ("as claimed →", 0.03)}
    for align, (side, start) in sides.items():
        name = alt.Chart(pd.DataFrame({"side": [side], "at": [start], "y": [_HEADING / 2]}))
        name = name.mark_text(fontSize=style.FONT_SIZE, align=align)
        layers.append(name.encode(x=at("at"), y=y, text="side:N"))
    return alt.layer(*layers).properties(width=style.WIDTH, height=height)


def _placed(rows: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the places of their marks, from -1 (against the claim) to 1 (for it)."""
    limit, values = rows[["threshold"]].to_numpy(float), rows[_VALUES].to_numpy(float)
    within, above = (rows[["side"]].to_numpy() == side for side in ("within", "above"))
    # How far each value lies beyond the threshold, on the side that is claimed.
    margins = np.where(above, values - limit, np.where(within, limit - abs(values), limit - values))
    placed = pd.DataFrame({"at": margins[:, 0]}, index=rows.index)
    placed["from"] = margins[:, 1:].min(axis=1)
    # An interval around zero reaches as far as effects can lie within the threshold.
    around = within[:, 0] & (values[:, 1] < 0) & (values[:, 2] > 0)
    placed["to"] = np.where(around, limit[:, 0], margins[:, 1:].max(axis=1))
    farthest = placed.abs().max(axis=1).groupby(rows["claim"]).transform("max")
    return rows.join(placed.div(farthest.replace(0, np.nan), axis=0))


def _laid_out(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the rows and the headings with their heights ``y`` in pixels, and the whole height.

    A claim that was tested nowhere is its name alone, with its verdict.
    """
    tested = rows["value"].notna()
    anywhere = tested.groupby(rows["claim"]).transform("any")
    y, places, headings = _HEADING, [], []
    for _, claim in rows.groupby("claim", sort=False):
        drawn = anywhere[claim.index[0]]
        heading = claim["heading" if drawn else "claim"].iloc[0]
        headings.append({"heading": heading, "y": y + _HEADING / 2})
        start, step = (y + _HEADING, _LINE) if drawn else (y, _HEADING)
        places += [start + step * (number + 0.5) for number in range(len(claim))]
        y = start + step * len(claim) + _GAP
    outcome = rows["shown"].where(tested, "") + " " + rows["verdict"]
    rows = rows.assign(y=places, outcome=outcome.str.strip())
    return rows.assign(name=rows["name"].where(anywhere, "")), pd.DataFrame(headings), y - _GAP
