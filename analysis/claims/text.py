"""The claims as a table for the terminal."""

from __future__ import annotations

from collections.abc import Iterator

from analysis.results.records import ClaimRecord, ClaimsRecord, Effect

_SIDES = {"above": "> ", "below": "< ", "within": "within ±"}


def lines(record: ClaimsRecord) -> str:
    """Return verdicts, then each effect with its adjusted bounds and threshold."""
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
            f"Bounds are one-sided, by Holm's procedure over {record.family.tested} tested "
            f"claims{also}: the probability of any wrong verdict is at most "
            f"{100 * record.alpha:g}%.",
        ]
    )


def _rows(claim: ClaimRecord, *, published: bool) -> Iterator[list[str]]:
    judgements = [("this study", claim.study)]
    if claim.published is not None and claim.published.effect:
        judgements.append(("published", claim.published))
    details = []
    for name, judgement in judgements:
        if judgement.effect:
            details.append(f"{name}: {_effect(claim, judgement.effect)}")
        if judgement.reason:
            details.append(f"({judgement.reason})" if judgement.effect else judgement.reason)
        known = [variant for variant in judgement.variants if variant.met is not None]
        if known and judgement.effect:
            same = sum(variant.met == judgement.met for variant in known)
            details.append(f"same answer in {same} of {len(known)} variants")
    verdicts: list[str] = [claim.study.verdict]
    if published:
        verdicts.append(claim.published.verdict if claim.published else "")
    yield [claim.id, *verdicts, details[0] if details else ""]
    for detail in details[1:]:
        yield ["", *("" for _ in verdicts), detail]


def _effect(claim: ClaimRecord, effect: Effect) -> str:
    side = _SIDES[claim.side] if claim.side else ""
    return (
        f"{claim.measured} {effect.value:.3f} ({effect.adjusted_low:.3f} to "
        f"{effect.adjusted_high:.3f}), claimed {side}{claim.threshold:g}"
    )
