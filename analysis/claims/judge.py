"""Judge every claim of a study on its results, and on published ones if it names any."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass

from analysis.claims.claim import Claim, Claims
from analysis.claims.judging import Finding, Rule, combined
from analysis.inference import evidence as evidences
from analysis.inference.evidence import Evidence, NotTested
from analysis.project.errors import UserError
from analysis.results.published import Published
from analysis.results.records import ClaimRecord, Family, Judgement
from analysis.study import Study

# The probability of any wrong verdict among the claims is at most this.
ALPHA = 0.05
# The share of a study's resamples beyond each end of a simultaneous interval.
_IN_TAIL = 0.005


@dataclass(frozen=True)
class Judged:
    """The claims judged on one body of evidence."""

    judgements: dict[str, Judgement]
    family: Family


def needed_resamples(study: Study, tested: int) -> int:
    """Return how many resamples the intervals need, the simultaneous ones of so many claims too."""
    resamples = study.bootstrap.resamples
    return max(resamples, math.ceil(2 * _IN_TAIL * resamples * tested / ALPHA))


def judge(
    study: Study, claims: Claims, found: Evidence, published: Published | None
) -> tuple[tuple[ClaimRecord, ...], Family, Family | None]:
    """Return every claim with its verdicts, and the families that share an error rate.

    Raises ``UserError`` for a claim about a class that the study does not have.
    """
    level = study.bootstrap.level
    ours = _judged(claims, found, level=level)
    theirs = None
    if published is not None:
        # Without resamples, to find out how many claims share the error rate.
        once = evidences.of_published(published, resamples=0, seed=study.seed)
        count = needed_resamples(study, len(_findings(claims, once)[0]))
        theirs = _judged(
            claims, evidences.of_published(published, resamples=count, seed=study.seed), level=level
        )
    words = {"noun": study.images.noun, "nouns": study.images.nouns}
    records = tuple(_record(claim, ours, theirs, words) for claim in claims.claims)
    return records, ours.family, theirs.family if theirs else None


def _judged(claims: Claims, found: Evidence, *, level: float) -> Judged:
    """Judge every claim that the evidence can test.

    Which they are is known only when all have been tried, and they share the error rate.
    """
    findings, judgements = _findings(claims, found)
    simultaneous = 1 - ALPHA / max(len(findings), 1)
    for claim in claims.claims:
        if claim.id in findings:
            judgements[claim.id] = _judgement(
                claim, findings[claim.id], level=level, simultaneous=simultaneous
            )
    return Judged(judgements, Family(tested=len(findings), resamples=found.resamples.count))


def _findings(claims: Claims, found: Evidence) -> tuple[dict[str, Finding], dict[str, Judgement]]:
    """Return the findings of the claims that can be tested, and the judgements of the others."""
    findings, untested = {}, {}
    for claim in claims.claims:
        try:
            findings[claim.id] = _found(claim, found)
        except NotTested as reason:
            untested[claim.id] = Judgement(verdict="not tested", reason=str(reason))
    return findings, untested


def _found(claim: Claim, evidence: Evidence) -> Finding:
    with warnings.catch_warnings():
        # What cannot be divided is NaN; whether that is too much is checked afterwards.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return claim.test.function(evidence, **claim.parameters).defined()
        except UserError as error:
            raise UserError(f"claim {claim.id}: {error}") from None


def _judgement(claim: Claim, finding: Finding, *, level: float, simultaneous: float) -> Judgement:
    if claim.side is None or claim.threshold is None:
        raise ValueError(f"{claim.id} has a finding but no threshold")
    rule = Rule(claim.side, claim.threshold, level, simultaneous=simultaneous)
    parts = tuple(rule.judge(name, values) for name, values in finding.parts.items())
    return Judgement(
        verdict=combined([part.verdict for part in parts], met=finding.met),
        reason=finding.reason,
        parts=parts,
        reported=finding.reported,
    )


def _record(
    claim: Claim, ours: Judged, theirs: Judged | None, words: dict[str, str]
) -> ClaimRecord:
    source = claim.parameters.get("source")
    words = words | {
        "among": " among correct predictions" if claim.parameters.get("correct") else "",
        "trained": f" of networks trained on the training split of {source}" if source else "",
    }
    return ClaimRecord(
        id=claim.id,
        statement=claim.statement,
        says=claim.says,
        test=claim.test.name,
        parameters=claim.parameters,
        sentence=claim.sentence(words),
        against=claim.against(),
        clause=claim.clause(words),
        effect=claim.test.effect,
        unit=claim.test.unit,
        side=claim.side,
        threshold=claim.threshold,
        reports=claim.test.reports,
        study=ours.judgements[claim.id],
        published=theirs.judgements[claim.id] if theirs else None,
    )
