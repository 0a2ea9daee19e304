"""Compare the results of two studies: measures, claims, and the gate."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from statsmodels.stats.contingency_tables import mcnemar

from analysis.comparison.gate import gate
from analysis.comparison.measures import LEVEL, measures
from analysis.comparison.pairs import Opened, Pair, pair
from analysis.comparison.records import Answer, ClaimPair, Comparison, McNemar, Side
from analysis.project.errors import UserError
from analysis.results.records import ClaimRecord, ClaimsRecord
from analysis.study import Study


def compare(
    first: Study, second: Study, *, margin: float | None = None, strict: bool = False
) -> Comparison:
    """Return study B, the second, against study A; with a ``margin``, whether B passes the gate.

    On the same images differences are paired: groups of images are resampled for both at once,
    repeats are averaged for each image, and intervals are conditional on the networks. Raises
    ``UserError`` for the same study twice, studies without results or with other classes, and a
    gate on other images.
    """
    found = pair(first, second)
    if margin is not None and not found.paired:
        raise UserError(
            f"A gate needs predictions for the same images, and {first.name} and {second.name} "
            f"cannot be paired: {found.reason}."
        )
    return Comparison(
        a=_side(found.a),
        b=_side(found.b),
        paired=found.paired,
        reason=found.reason,
        level=LEVEL,
        resamples=found.a.evidence.resamples.count,
        measures=tuple(measures(found)),
        mcnemar=_mcnemar(found),
        claims=tuple(_claims(found.a.record, found.b.record)),
        gate=None if margin is None else gate(found, margin=margin, strict=strict, level=LEVEL),
    )


def _side(opened: Opened) -> Side:
    return Side(
        name=opened.study.name,
        title=opened.study.title,
        images=len(opened.evidence.label),
        groups=len(np.unique(opened.evidence.group)),
        repeats=opened.evidence.repeats,
    )


def _mcnemar(found: Pair) -> McNemar | None:
    """Return the test, if both studies predict the same images once."""
    a, b = found.a.evidence, found.b.evidence
    if not found.paired or a.repeats > 1 or b.repeats > 1:
        return None
    (first,), (second,) = ~a.wrong, ~b.wrong
    table = [[(x & y).sum() for y in (second, ~second)] for x in (first, ~first)]
    return McNemar(
        only_a_right=int(table[0][1]),
        only_b_right=int(table[1][0]),
        p=float(mcnemar(table, exact=True).pvalue),
    )


def _claims(a: ClaimsRecord, b: ClaimsRecord) -> Iterator[ClaimPair]:
    """Yield the claims of A, then those of B alone."""
    ours, theirs = ({claim.id: claim for claim in record.claims} for record in (a, b))
    for name in dict.fromkeys([*ours, *theirs]):
        first, second = ours.get(name), theirs.get(name)
        either = first or second
        assert either is not None, "a claim is one of A or of B"
        yield ClaimPair(
            id=name,
            statement=either.statement,
            measured=either.measured,
            same_test=first is None or second is None or _test(first) == _test(second),
            a=_answer(first),
            b=_answer(second),
        )


def _test(claim: ClaimRecord) -> tuple[object, ...]:
    return claim.test, claim.parameters, claim.side, claim.threshold


def _answer(claim: ClaimRecord | None) -> Answer | None:
    if claim is None:
        return None
    effect = claim.study.effect
    if effect is None:
        return Answer(verdict=claim.study.verdict)
    return Answer(verdict=claim.study.verdict, value=effect.value, low=effect.low, high=effect.high)
