"""The claims of the original study, each judged on this project's results and on its own."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass
from functools import cache

from analysis import evidence
from analysis.claims.catalogue import CATALOGUE, Claim
from analysis.claims.judging import Finding, Rule, combined
from analysis.evidence import Evidence, NotTested
from analysis.study import Study
from analysis.verdicts import ClaimRecord, ClaimsTable, Judgement

# The chance that any claim is called supported or refuted wrongly is held below this.
ALPHA = 0.05
# The share of a study's resamples that lie beyond each end of a simultaneous interval.
_IN_TAIL = 0.005
CONFIRMATORY = sum(claim.threshold is not None for claim in CATALOGUE)
PUBLISHED = sum(claim.published for claim in CATALOGUE)


@dataclass(frozen=True)
class Judged:
    """The claims judged on one body of evidence; ``tested`` of them share the error rate."""

    judgements: dict[str, Judgement]
    tested: int
    resamples: int


def claims_table(study: Study, found: Evidence | NotTested, *, digest: str) -> ClaimsTable:
    """Return every claim with its verdicts for a study and for the original.

    ``found`` is what the study's results say, or why they say nothing yet; ``digest`` is of all
    that they are.
    """
    level = study.bootstrap.level
    if isinstance(found, NotTested):
        nothing = {c.id: Judgement(verdict="not tested", reason=str(found)) for c in CATALOGUE}
        ours = Judged(nothing, tested=0, resamples=0)
    else:
        ours = judge(found, level=level)
    original = judge_original(
        resamples=needed_resamples(study, PUBLISHED), seed=study.seed, level=level
    )
    return ClaimsTable(
        study=study.name,
        study_digest=study.digest(),
        digest=digest,
        alpha=ALPHA,
        level=level,
        tested=ours.tested,
        tested_original=original.tested,
        resamples=ours.resamples,
        resamples_original=original.resamples,
        claims=tuple(_record(claim, ours, original) for claim in CATALOGUE),
    )


def needed_resamples(study: Study, tested: int) -> int:
    """Return how many resamples the simultaneous intervals of so many claims need."""
    return math.ceil(2 * _IN_TAIL * study.bootstrap.resamples * tested / ALPHA)


@cache
def judge_original(*, resamples: int, seed: int, level: float) -> Judged:
    """Judge the claims on the original's published numbers."""
    return judge(evidence.of_original(resamples=resamples, seed=seed), level=level)


def judge(found: Evidence, *, level: float) -> Judged:
    """Judge every claim that the evidence can speak to.

    Which they are is known only when all have been tried, and they share the error rate.
    """
    findings: dict[str, Finding] = {}
    judgements: dict[str, Judgement] = {}
    for claim in CATALOGUE:
        try:
            findings[claim.id] = _found(claim, found)
        except NotTested as reason:
            judgements[claim.id] = Judgement(verdict="not tested", reason=str(reason))
    simultaneous = 1 - ALPHA / max(len(findings), 1)
    for claim in CATALOGUE:
        if claim.id in findings:
            judgements[claim.id] = _judgement(
                claim, findings[claim.id], level=level, simultaneous=simultaneous
            )
    return Judged(judgements, tested=len(findings), resamples=found.resamples.count)


def _found(claim: Claim, evidence: Evidence) -> Finding:
    with warnings.catch_warnings():
        # What cannot be divided is NaN, and whether that is too much is asked afterwards.
        warnings.simplefilter("ignore", RuntimeWarning)
        return claim.function(evidence).defined()


def _judgement(claim: Claim, finding: Finding, *, level: float, simultaneous: float) -> Judgement:
    if claim.side is None or claim.threshold is None:
        raise ValueError(f"{claim.id} has a finding but no threshold")
    rule = Rule(claim.side, claim.threshold, level, simultaneous=simultaneous)
    parts = tuple(rule.judge(name, values) for name, values in finding.parts.items())
    return Judgement(
        verdict=combined([part.verdict for part in parts], met=finding.met),
        reason=finding.reason,
        parts=parts,
        beside=finding.beside,
    )


def _record(claim: Claim, ours: Judged, original: Judged) -> ClaimRecord:
    return ClaimRecord(
        id=claim.id,
        statement=claim.statement,
        says=claim.says,
        test=claim.test,
        refuted_by=claim.refuted_by,
        effect=claim.effect,
        unit=claim.unit,
        side=claim.side,
        threshold=claim.threshold,
        study=ours.judgements[claim.id],
        original=original.judgements[claim.id],
    )
