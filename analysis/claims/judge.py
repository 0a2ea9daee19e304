"""Judge every claim of a study on its results, and on published ones if it names any."""

from __future__ import annotations

import math
import warnings
from dataclasses import dataclass, field

from analysis.claims import labels
from analysis.claims.claim import Choice, Claim, Claims
from analysis.claims.claim import Evidence as Changed
from analysis.claims.judging import Finding, Rule, holm
from analysis.claims.registry import Test
from analysis.inference import audit, suspects, variants
from analysis.inference import evidence as evidences
from analysis.inference.evidence import Evidence, NotTested
from analysis.project.errors import UserError
from analysis.results.published import Published
from analysis.results.records import ClaimRecord, Family, Judgement, Variant
from analysis.study import Study

# The probability of any wrong verdict among the claims is at most this.
ALPHA = 0.05
# The share of a study's resamples beyond each end of an adjusted interval.
_IN_TAIL = 0.005


@dataclass(frozen=True)
class Judged:
    """The claims judged on one body of evidence."""

    judgements: dict[str, Judgement]
    family: Family


def needed_resamples(study: Study, tested: int) -> int:
    """Return how many resamples the intervals need, the adjusted ones of so many claims too."""
    resamples = study.bootstrap.resamples
    return max(resamples, math.ceil(_IN_TAIL * resamples * tested / ALPHA))


def judge(
    study: Study, claims: Claims, found: Evidence, published: Published | None
) -> tuple[tuple[ClaimRecord, ...], Family, Family | None]:
    """Return every claim with its verdicts, and the families that share an error rate.

    Raises ``UserError`` for a claim about a class that the study does not have.
    """
    level = study.bootstrap.level
    ours = _judged(claims, found, level=level)
    bodies = Bodies(variants.fewer_resamples(found, study.bootstrap.resamples))
    # Without attacks or corruptions no image is called clean.
    perturbed = study.attacks is not None or study.corruptions is not None
    words = {"noun": study.images.noun, "nouns": study.images.nouns}
    words["clean"] = " on clean images" if perturbed else ""
    varied = {
        claim.id: tuple(_variant(claim, choice, bodies, level=level) for choice in claim.variants)
        for claim in claims.claims
        if ours.judgements[claim.id].effect is not None
    }
    theirs = None
    if published is not None:
        count = needed_resamples(study, claims.testable(asked=False))
        body = evidences.of_published(published, resamples=count, seed=study.seed)
        theirs = _judged(claims, body, level=level)
    records = tuple(
        _record(claim, ours, theirs, words, varied.get(claim.id, ())) for claim in claims.claims
    )
    return records, ours.family, theirs.family if theirs else None


def _judged(claims: Claims, found: Evidence, *, level: float) -> Judged:
    """Judge every claim that the evidence can test.

    Which they are is known only when all have been tried, and they share the error rate.
    """
    findings, judgements = _findings(claims, found)
    rules = {c.id: _rule(c) for c in claims.claims if c.id in findings}
    p = {name: min(rule.p_values(findings[name].effect)) for name, rule in rules.items()}
    for name, alpha in holm(p, alpha=ALPHA).items():
        finding = findings[name]
        verdict, effect = rules[name].judge(finding.effect, level=level, alpha=alpha)
        judgements[name] = Judgement(
            verdict=verdict,
            reason=finding.reason,
            effect=effect,
            met=rules[name].met(effect.value),
            reported=finding.reported,
        )
    return Judged(judgements, Family(tested=len(findings), resamples=found.resamples.count))


def _rule(claim: Claim) -> Rule:
    if claim.side is None or claim.threshold is None:
        raise ValueError(f"{claim.id} has a finding but no threshold")
    return Rule(claim.side, claim.threshold)


def _findings(claims: Claims, found: Evidence) -> tuple[dict[str, Finding], dict[str, Judgement]]:
    """Return the findings of the claims that can be tested, and the judgements of the others."""
    findings, untested = {}, {}
    for claim in claims.claims:
        try:
            finding = _found(claim.id, claim.test, claim.parameters, found)
            if claim.side == "above" and finding.limit <= (claim.threshold or 0):
                raise NotTested(f"an effect above the threshold is impossible: {finding.limited}")
            findings[claim.id] = finding
        except NotTested as reason:
            untested[claim.id] = Judgement(verdict="not tested", reason=str(reason))
    return findings, untested


def _found(name: str, test: Test, parameters: dict[str, object], evidence: Evidence) -> Finding:
    with warnings.catch_warnings():
        # What cannot be divided is NaN; whether that is too much is checked afterwards.
        warnings.simplefilter("ignore", RuntimeWarning)
        try:
            return test.function(evidence, **parameters)
        except UserError as error:
            raise UserError(f"claim {name}: {error}") from None


@dataclass
class Bodies:
    """The evidence that variants are computed from, each made once."""

    found: Evidence
    _made: dict[Changed, Evidence | NotTested] = field(default_factory=dict)

    def of(self, changed: Changed) -> Evidence:
        """Return the evidence with what a variant changes about it. Raises ``NotTested``."""
        if changed not in self._made:
            try:
                self._made[changed] = self._changed(changed)
            except NotTested as reason:
                self._made[changed] = reason
        body = self._made[changed]
        if isinstance(body, NotTested):
            raise body
        return body

    def _changed(self, changed: Changed) -> Evidence:
        body = self.found
        if changed.labels == "audited":
            if not body.readings:
                raise NotTested("nobody has read the images")
            body = audit.audited(body)
        if changed.without == "suspects":
            left_out = suspects.agreed(body)
            if not left_out.any():
                alone = "one network suspects its own errors alone"
                raise NotTested("no label is suspected" if body.repeats > 1 else alone)
            body = variants.of_images(body, ~left_out)
        if changed.resample == "networks":
            body = variants.networks_resampled(body)
        return body


def _variant(claim: Claim, choice: Choice, bodies: Bodies, *, level: float) -> Variant:
    label = labels.of(choice)
    try:
        body = bodies.of(choice.evidence)
        effect = _found(claim.id, choice.test, choice.parameters, body).effect
    except NotTested as reason:
        return Variant(label=label, changes=choice.changes, reason=str(reason))
    low, high = effect.interval(level)
    return Variant(
        label=label,
        changes=choice.changes,
        value=effect.value,
        low=low,
        high=high,
        met=_rule(claim).met(effect.value),
    )


def _record(
    claim: Claim,
    ours: Judged,
    theirs: Judged | None,
    words: dict[str, str],
    varied: tuple[Variant, ...],
) -> ClaimRecord:
    return ClaimRecord(
        id=claim.id,
        statement=claim.statement,
        says=claim.says,
        test=claim.test.name,
        parameters=claim.parameters,
        sentence=claim.sentence(words),
        clause=claim.clause(words),
        measured=claim.measured(words),
        unit=claim.test.unit,
        side=claim.side,
        threshold=claim.threshold,
        reports=claim.test.reports,
        study=ours.judgements[claim.id].model_copy(update={"variants": varied}),
        published=theirs.judgements[claim.id] if theirs else None,
    )
