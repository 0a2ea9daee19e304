"""The claims as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.results.records import ClaimRecord, ClaimsRecord, Part

_SIDES = {"above": "> ", "below": "< ", "within": "within ±"}


def lines(record: ClaimsRecord) -> str:
    """Return verdicts, then each effect with its simultaneous interval and threshold."""
    published = record.published is not None
    head = ["claim", "this study", *(["published"] if published else []), "effect"]
    rows = [row for claim in record.claims for row in _rows(claim, published=published)]
    widths = [max(len(row[n]) for row in [head, *rows]) for n in range(len(head) - 1)]
    text = [
        "  ".join([*(cell.ljust(width) for cell, width in zip(row, widths, strict=False)), row[-1]])
        for row in [head, *rows]
    ]
    also = f" (the published ones for {record.published.tested})" if record.published else ""
    return "\n".join(
        [
            *text,
            "",
            f"Intervals are simultaneous for {record.family.tested} tested claims{also}: the "
            f"probability of any wrong verdict is at most {100 * record.alpha:g}%.",
        ]
    )


def _rows(claim: ClaimRecord, *, published: bool) -> Iterator[list[str]]:
    judgements = [("this study", claim.study)]
    if claim.published is not None and claim.published.parts:
        judgements.append(("published", claim.published))
    details = []
    for name, judgement in judgements:
        details += [f"{name}: {_part(claim, part)}" for part in judgement.parts]
        if judgement.reason:
            details.append(f"({judgement.reason})" if judgement.parts else judgement.reason)
    verdicts: list[str] = [claim.study.verdict]
    if published:
        verdicts.append(claim.published.verdict if claim.published else "")
    yield [claim.id, *verdicts, details[0] if details else ""]
    for detail in details[1:]:
        yield ["", *("" for _ in verdicts), detail]


def _part(claim: ClaimRecord, part: Part) -> str:
    side = _SIDES[claim.side] if claim.side else ""
    return (
        f"{part.name} {part.effect:.3f} ({part.simultaneous_low:.3f} to "
        f"{part.simultaneous_high:.3f}), claimed {side}{claim.threshold:g}"
    )
