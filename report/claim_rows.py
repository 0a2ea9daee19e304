"""The claims as rows that a chart can draw."""

from __future__ import annotations

from itertools import zip_longest

import pandas as pd

from analysis.verdicts import ClaimRecord, ClaimsTable, Judgement
from report import findings
from report.charts import ORIGINAL, OURS

_UNITS = {"difference of shares": " points", "standard deviations": " SD"}
COLUMNS = (
    *("claim", "heading", "name", "source", "verdict", "side", "threshold", "unit"),
    *("shown", "effect", "low", "high", "simultaneous_low", "simultaneous_high"),
)


def claim_rows(table: ClaimsTable) -> pd.DataFrame:
    """Return one row for each part of each claim and each source that it was tested on.

    A claim that our data do not speak to has one row without an effect.
    """
    rows = []
    for claim in table.claims:
        ours, theirs = _rows(claim, claim.study, OURS), _rows(claim, claim.original, ORIGINAL)
        if not ours:
            ours = [_row(claim, OURS, OURS, verdict=claim.study.verdict)]
        # Part by part, ours first.
        pairs = zip_longest(ours, theirs)
        rows += [row for pair in pairs for row in pair if row is not None]
    return pd.DataFrame(rows, columns=COLUMNS)


def heading(claim: ClaimRecord) -> str:
    """Return the id of a claim with what it says of its effect, short enough for a phone."""
    if claim.side is None or claim.threshold is None:
        return claim.id
    threshold = findings.threshold(claim, short=True) + _UNITS.get(claim.unit, "")
    return f"{claim.id}: {claim.effect} {threshold}"


def _rows(claim: ClaimRecord, judgement: Judgement, source: str) -> list[dict[str, object]]:
    several = len(judgement.parts) > 1
    rows = []
    for part in judgement.parts:
        name = "original" if source == ORIGINAL else part.name if several else OURS
        # The verdict of a claim of one part may rest on a further condition.
        verdict = part.verdict if several else judgement.verdict
        values = part.model_dump(include=set(COLUMNS) - {"name", "verdict"})
        shown = findings.number(part.effect, claim.unit)
        rows.append(_row(claim, source, name, verdict=verdict, shown=shown, **values))
    return rows


def _row(
    claim: ClaimRecord, source: str, name: str, *, verdict: str, shown: str = "", **values: object
) -> dict[str, object]:
    return {
        "claim": claim.id,
        "heading": heading(claim),
        "name": name,
        "source": source,
        "verdict": verdict,
        "side": claim.side,
        "threshold": claim.threshold,
        "unit": claim.unit,
        "shown": shown,
        **values,
    }
