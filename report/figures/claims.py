"""The claims at a glance: effects, intervals and thresholds, each claim on a scale of its own."""

from __future__ import annotations

from itertools import zip_longest
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
    "supported": "circle",
    "refuted": "M-1,-.7L-.7,-1L0,-.3L.7,-1L1,-.7L.3,0L1,.7L.7,1L0,.3L-.7,1L-1,.7L-.3,0Z",
    "inconclusive": "M0,-1A1,1,0,0,0,0,1A1,1,0,0,0,0,-1L0,-.7A.7,.7,0,0,1,0,.7Z",
}
_UNITS = {"difference of shares": " points", "standard deviations": " SD"}
_VALUES = ["effect", "low", "high", "simultaneous_low", "simultaneous_high"]
_COLUMNS = ["claim", "heading", "name", "source", "verdict", "side", "threshold", "unit", "shown"]
_COLUMNS += _VALUES
_HEADING, _LINE, _GAP = 16.0, 14.0, 5.0
# Room for the names at the left and for the numbers and verdicts at the right, in pixels.
_LEFT, _RIGHT = 72, 118


@figure
def claims(results: Results) -> Drawn:
    """Return the effect of each part of each claim against its threshold."""
    parts = rows(results).round(6)
    summary = Claims(results).summary
    text = (
        f"Effects of {len(results.record.claims)} claims with their intervals, each against its "
        f"threshold. Of these, {summary}."
    )
    return chart(parts), parts, text


def rows(results: Results) -> pd.DataFrame:
    """Return one row for each part of each claim and each source that it was tested on.

    A claim that these data do not test has one row without an effect.
    """
    found: list[dict[str, Any]] = []
    for claim in results.record.claims:
        each = [_rows(claim, name, judgement) for name, judgement in results.judgements(claim)]
        if results.published:
            theirs = {"source": style.as_published(results.published)}
            each[1:] = [[row | theirs for row in rows if row["shown"]] for rows in each[1:]]
        # Part by part, ours first.
        found += [row for same in zip_longest(*each) for row in same if row]
    return pd.DataFrame(found).reindex(columns=_COLUMNS)


def _rows(claim: ClaimRecord, name: str, judgement: Judgement) -> list[dict[str, Any]]:
    row: dict[str, Any] = {"claim": claim.id, "heading": _heading(claim), "shown": ""}
    row |= {"source": style.OURS, "unit": claim.unit}
    row |= {"side": claim.side, "threshold": claim.threshold}
    # The verdict on a claim of one part may rest on a further condition.
    whole = {"name": name, "verdict": judgement.verdict}
    parts = [
        part.model_dump() | {"shown": number(part.effect, claim.unit)} for part in judgement.parts
    ]
    if len(parts) < 2:
        return [row | part | whole for part in parts or [{}]]
    own = {"name": name} if name != style.OURS else {}
    return [row | part | own for part in parts]


def _heading(claim: ClaimRecord) -> str:
    """Return the id of a claim with what it says of its effect, short enough for a phone."""
    if claim.side is None:
        return claim.id
    return f"{claim.id}: {claim.effect} {threshold(claim, short=True)}{_UNITS.get(claim.unit, '')}"


def chart(parts: pd.DataFrame) -> alt.LayerChart:
    """Return the chart of such rows.

    The threshold of every claim is the same upright line, and the side that it claims is to the
    right, so that only what lies wholly to the right is supported. The scale of a claim reaches as
    far as the farthest end of any of its intervals.
    """
    placed, headings, height = _laid_out(_placed(parts))
    y = pixels("y:Q", height)
    place = alt.Scale(domain=[-1, 1], range=[_LEFT, alt.ExprRef(f"width - {_RIGHT}")])

    def at(field: str) -> alt.X:
        return alt.X(f"{field}:Q", axis=None, scale=place)

    numbers = ((name, ".4f") for name in ("threshold", *_VALUES))
    tips = tooltip("claim", "name", "source", "verdict", *numbers)
    sources = list(dict.fromkeys(parts["source"]))
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
        tested.mark_rule(strokeWidth=1).encode(x=at("from"), x2="to:Q"),
        tested.mark_rule(strokeWidth=4).encode(x=at("thick_from"), x2="thick_to:Q"),
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


def _placed(parts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with the places of their marks, from -1 (against the claim) to 1 (for it)."""
    limit, values = parts[["threshold"]].to_numpy(float), parts[_VALUES].to_numpy(float)
    within, above = (parts[["side"]].to_numpy() == side for side in ("within", "above"))
    # How far each value lies beyond the threshold, on the side that is claimed.
    margins = np.where(above, values - limit, np.where(within, limit - abs(values), limit - values))
    placed = pd.DataFrame({"at": margins[:, 0]}, index=parts.index)
    for name, ends in (("thick_", slice(1, 3)), ("", slice(3, 5))):
        placed[f"{name}from"] = margins[:, ends].min(axis=1)
        # An interval around zero reaches as far as effects can lie within the threshold.
        around = within[:, 0] & (values[:, ends][:, 0] < 0) & (values[:, ends][:, 1] > 0)
        placed[f"{name}to"] = np.where(around, limit[:, 0], margins[:, ends].max(axis=1))
    farthest = placed.abs().max(axis=1).groupby(parts["claim"]).transform("max")
    return parts.join(placed.div(farthest.replace(0, np.nan), axis=0))


def _laid_out(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the rows and the headings with their heights ``y`` in pixels, and the whole height.

    A claim that was tested nowhere is its name alone, with its verdict.
    """
    tested = rows["effect"].notna()
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
