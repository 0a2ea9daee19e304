"""The claims as a table for the terminal."""

from __future__ import annotations

from analysis.verdicts import ClaimRecord, ClaimsTable, Judgement, Part

_SIDES = {"above": "> ", "below": "< ", "within": "within ±"}


def lines(table: ClaimsTable) -> str:
    """Return the table as text: verdicts, then each part with its interval and threshold."""
    chance = 100 * table.alpha
    return "\n".join(
        [
            f"{'claim':<20} {'this study':<13} {'original':<13} effect",
            *(line for claim in table.claims for line in _claim(claim)),
            "",
            f"Intervals hold for all {table.tested} tested claims together (the original's for "
            f"its {table.tested_original}) but for a chance of {chance:g}%.",
        ]
    )


def _claim(claim: ClaimRecord) -> list[str]:
    head = f"{claim.id:<20} {claim.study.verdict:<13} {claim.original.verdict:<13} "
    details = [*_judgement(claim, claim.study, "this study")]
    details += _judgement(claim, claim.original, "original") if claim.original.parts else []
    return [head + details[0], *(" " * 48 + detail for detail in details[1:])]


def _judgement(claim: ClaimRecord, judgement: Judgement, name: str) -> list[str]:
    if not judgement.parts:
        return [judgement.reason]
    found = [f"{name}: {_part(claim, part)}" for part in judgement.parts]
    return [*found, f"({judgement.reason})"] if judgement.reason else found


def _part(claim: ClaimRecord, part: Part) -> str:
    side = _SIDES[claim.side] if claim.side else ""
    return (
        f"{part.name} {part.effect:.3f} ({part.simultaneous_low:.3f} to "
        f"{part.simultaneous_high:.3f}), claimed {side}{claim.threshold:g}"
    )
