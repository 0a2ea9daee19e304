"""The claims at one glance: effects, intervals and thresholds, each claim on a scale of its own."""

from __future__ import annotations

import altair as alt
import numpy as np
import pandas as pd

from report.charts.style import BLUE, FONT_SIZE, GREY, WIDTH, layered, pixels, scale, tooltip

# The shapes that stand for the verdicts in the tables too: a disc, a cross, a disc half filled.
SHAPES = {
    "supported": "circle",
    "refuted": "M-1,-.7L-.7,-1L0,-.3L.7,-1L1,-.7L.3,0L1,.7L.7,1L0,.3L-.7,1L-1,.7L-.3,0Z",
    "inconclusive": "M0,-1A1,1,0,0,0,0,1A1,1,0,0,0,0,-1L0,-.7A.7,.7,0,0,1,0,.7Z",
}
_HEADING, _LINE, _GAP = 16.0, 14.0, 5.0
# Room for the names at the left and for the numbers and verdicts at the right, in pixels.
_LEFT, _RIGHT = 72, 118


def claims(parts: pd.DataFrame) -> alt.LayerChart:
    """Return the effect of each part of each claim against its threshold.

    ``parts`` has one row for a part and a source, in the order of the claims: claim, heading, name,
    source (``OURS`` or another), verdict, shown (the effect in its unit), side, threshold, effect,
    low, high, simultaneous_low and simultaneous_high; the last five are missing where a claim was
    not tested. The threshold of
    every claim is the same upright line and the side that it claims lies to the right, so that only
    what lies wholly to the right is supported. How far a claim's effects lie from its threshold is
    measured by the farthest end of any of its intervals.
    """
    rows, headings, height = _laid_out(_placed(parts))
    y = pixels("y:Q", height)
    place = alt.Scale(domain=[-1, 1], range=[_LEFT, alt.ExprRef(f"width - {_RIGHT}")])
    x = alt.X("at:Q", axis=None, scale=place)
    colour = alt.Color(
        "source:N", scale=scale(list(dict.fromkeys(parts["source"])), [BLUE, GREY]), legend=None
    )
    tips = tooltip(
        *("claim", "name", "source", "verdict"),
        *((name, ".4f") for name in ("threshold", "effect", "low", "high")),
        *((name, ".4f") for name in ("simultaneous_low", "simultaneous_high")),
    )
    base = alt.Chart(rows).encode(y=y, color=colour, tooltip=tips)
    # Lines without an effect have a name and a verdict alone.
    tested = base.transform_filter("isValid(datum.at)")
    text = alt.Chart(rows).mark_text(fontSize=FONT_SIZE, align="left", baseline="middle")
    claimed = alt.Chart(pd.DataFrame({"from": [0.0], "to": [1.0], "top": 0, "bottom": height}))
    sides = pd.DataFrame({"side": ["← against the claim", "as claimed →"], "y": _HEADING / 2})
    sides = sides.assign(at=[-0.03, 0.03], align=["right", "left"])
    layers = [
        claimed.mark_rect(opacity=0.1, color=BLUE).encode(
            x=alt.X("from:Q", axis=None, scale=place),
            x2="to:Q",
            y=pixels("top:Q", height),
            y2="bottom:Q",
        ),
        claimed.mark_rule(color=GREY, strokeWidth=1).encode(
            x=alt.X("from:Q", axis=None, scale=place)
        ),
        tested.mark_rule(strokeWidth=1).encode(
            x=alt.X("from:Q", axis=None, scale=place), x2="to:Q"
        ),
        tested.mark_rule(strokeWidth=4).encode(
            x=alt.X("thick_from:Q", axis=None, scale=place), x2="thick_to:Q"
        ),
        tested.mark_point(filled=True, size=110, opacity=1).encode(
            x=x,
            shape=alt.Shape("verdict:N", scale=scale(list(SHAPES), SHAPES.values()), legend=None),
        ),
        text.encode(x=alt.value(8), y=y, text="name:N"),
        text.encode(
            x=alt.value(alt.ExprRef(f"width - {_RIGHT - 8}")), y=y, text="outcome:N", tooltip=tips
        ),
        alt.Chart(headings)
        # Bold letters of some fonts would be too wide for a phone.
        .mark_text(
            fontSize=FONT_SIZE - 1,
            align="left",
            baseline="middle",
            fontWeight=alt.ExprRef("width < 420 ? 'normal' : 'bold'"),
        )
        .encode(x=alt.value(0), y=y, text="heading:N"),
    ]
    for side in ("right", "left"):
        name = alt.Chart(sides[sides["align"] == side]).mark_text(fontSize=FONT_SIZE, align=side)
        layers.append(name.encode(x=x, y=y, text="side:N"))
    return layered(*layers).properties(width=WIDTH, height=height)


def _placed(parts: pd.DataFrame) -> pd.DataFrame:
    """Return the rows with where their marks stand, from -1 (against the claim) to 1 (for it)."""
    placed = pd.DataFrame({"at": _margin(parts, parts["effect"])})
    placed["thick_from"], placed["thick_to"] = _margins(parts, parts["low"], parts["high"])
    placed["from"], placed["to"] = _margins(
        parts, parts["simultaneous_low"], parts["simultaneous_high"]
    )
    farthest = placed.abs().max(axis=1).groupby(parts["claim"]).transform("max")
    return parts.join(placed.div(farthest.replace(0, np.nan), axis=0))


def _margin(parts: pd.DataFrame, effect: pd.Series) -> pd.Series:
    """Return how far effects lie beyond their thresholds, on the side that is claimed."""
    beyond = effect - parts["threshold"]
    inside = parts["threshold"] - effect.abs()
    return inside.where(parts["side"] == "within", beyond.where(parts["side"] == "above", -beyond))


def _margins(parts: pd.DataFrame, low: pd.Series, high: pd.Series) -> tuple[pd.Series, pd.Series]:
    """Return the margins between which an interval lies, the smaller first."""
    ends = pd.concat([_margin(parts, low), _margin(parts, high)], axis=1)
    around_zero = (parts["side"] == "within") & (low < 0) & (high > 0)
    return ends.min(axis=1), ends.max(axis=1).mask(around_zero, parts["threshold"])


def _laid_out(rows: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, float]:
    """Return the rows and the headings with their heights ``y`` in pixels, and the whole height.

    A claim that was tested nowhere is its name alone, with its verdict beside it.
    """
    tested = rows["effect"].notna()
    anywhere = tested.groupby(rows["claim"]).transform("any")
    y, places, headings = _HEADING, [], []
    for _, claim in rows.groupby("claim", sort=False):
        drawn = anywhere[claim.index[0]]
        heading = claim["heading" if drawn else "claim"].iloc[0]
        headings.append({"heading": heading, "y": y + _HEADING / 2})
        if drawn:
            y += _HEADING
            places += [y + _LINE * (number + 0.5) for number in range(len(claim))]
            y += _LINE * len(claim) + _GAP
        else:
            places += [y + _HEADING / 2]
            y += _HEADING + _GAP
    outcome = rows["shown"].where(tested, "") + " " + rows["verdict"]
    rows = rows.assign(y=places, outcome=outcome.str.strip())
    return rows.assign(name=rows["name"].where(anywhere, "")), pd.DataFrame(headings), y - _GAP
