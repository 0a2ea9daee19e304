"""The claims, their verdicts and their tests."""

from __future__ import annotations

import math
from functools import partial

from analysis.results.records import ClaimRecord, Verdict
from report.numbers.claim import ClaimNumbers, effect_text, threshold
from report.numbers.claims import Claims
from report.numbers.findings import words
from report.numbers.formats import UNDEFINED, fixed, mark, number
from report.numbers.results import Results
from report.page import Markdown, table
from report.safe import safe

# The largest possible effect by unit; ratios and standard deviations have none.
_LARGEST = dict.fromkeys(("share", "difference of shares", "correlation", "AUROC"), 1.0)
_WITH_BOTH: dict[Verdict, str] = {
    "holds": "holds with both",
    "does not hold": "holds with neither",
    "undecided": "undecided with both",
    "not tested": "not tested",
}


def answer(results: Results) -> Markdown:
    """Return each tested claim with what was found in a few words, and its verdict.

    First what does not hold, then what most variants turn, then the others. A star marks tests that
    were changed after results were known.
    """
    found = [(one, each) for one in results.record.claims if (each := words(one, results))]
    claims = Claims(results)
    decided = {claim.id for claim in claims.decided_by_recipe}
    changed = {claim.id for claim in claims.changed}
    found.sort(key=lambda pair: _firmness(ClaimNumbers(pair[0], results)))

    def row(claim: ClaimRecord, short: str) -> dict[str, str]:
        turned = ClaimNumbers(claim, results).mostly_turned
        other = ""
        if claim.id in decided and (effect := claims.retested[claim.id].study.effect):
            other = f"; other recipe: {number(effect.value, claim.unit)}"
        varied = f"; not in {turned} variants" if turned else ""
        only = "main test" if turned else "this recipe" if other else ""
        star = r"\*" if claim.id in changed else ""
        verdict = _together(mark(claim.study.verdict))
        return {
            "claim": Markdown(safe(claim.statement.rstrip(".")) + star),
            "found": f"{short}{other}{varied}",
            "verdict": Markdown(f"{verdict} {_together(f'({only} only)')}" if only else verdict),
        }

    return table([row(claim, each.short) for claim, each in found])


def _together(text: str) -> Markdown:
    return Markdown(safe(text).replace(" ", "\N{NO-BREAK SPACE}"))


def _firmness(claim: ClaimNumbers) -> int:
    return 0 if claim.verdict == "does not hold" else 1 if claim.mostly_turned else 2


def verdicts(results: Results) -> Markdown:
    """Return the effect of each tested claim with the bounds that its verdict rests on."""
    rows = []
    for claim in results.record.claims:
        write = partial(number, form=claim.unit)
        for source, judgement in results.judgements(claim):
            effect = judgement.effect
            if effect is None:
                continue
            row = {"claim": claim.id} | ({"data": source} if results.published else {})
            row["effect"] = write(effect.value)
            row["adjusted bounds"] = (
                f"{write(effect.adjusted_low)} to {write(effect.adjusted_high)}"
            )
            row |= {"claimed": threshold(claim, short=True), "p": _p(effect.p)}
            row |= {"level": f"{100 * effect.level:.2g}%", "verdict": mark(judgement.verdict)}
            row["detectable"] = UNDEFINED
            if effect.detectable and abs(effect.detectable) <= _LARGEST.get(claim.unit, math.inf):
                row["detectable"] = write(effect.detectable)
            rows.append(row)
    return table(rows)


def _p(value: float) -> str:
    return "< 0.0001" if value < 1e-4 else fixed(value, ".4f")


def tests(results: Results) -> Markdown:
    """Return where each claim was made and how it is tested."""
    claims = results.record.claims
    says = {"source": [one.says for one in claims]} if any(one.says for one in claims) else {}
    return table(
        {"claim": [one.id for one in claims]} | says | {"test": [one.sentence for one in claims]}
    )


def changes(results: Results) -> Markdown:
    """Return the tests that were changed after looking, with what each says, and why."""
    rows = []
    for change in results.study.paper.changes:
        judgement = results.record.claim(change.claim).study
        outcome = f"{change.said}; now {judgement.verdict}"
        row = {"claim": change.claim, "earlier test": change.before, "outcome": outcome}
        rows.append(row | {"why": change.why})
    return table(rows)


def recipes(results: Results) -> Markdown:
    """Return the verdicts of this study and of its companion, and what follows from both."""
    companion = results.companion
    theirs = {claim.id: claim for claim in companion.claims} if companion else {}
    rows = []
    for claim in results.record.claims:
        other = theirs.get(claim.id)
        if other is None or claim.study.effect is None is other.study.effect:
            continue
        row = {"claim": claim.id, "this study": _outcome(claim)}
        row[safe(results.study.companion or "")] = _outcome(other)
        rows.append(row | {"what follows": follows(claim.study.verdict, other.study.verdict)})
    return table(rows)


def _outcome(claim: ClaimRecord) -> str:
    verdict, effect = mark(claim.study.verdict), claim.study.effect
    return verdict if effect is None else f"{verdict}: {effect_text(claim, effect)}"


def follows(here: Verdict, there: Verdict) -> str:
    """Return what follows from the verdicts with two recipes."""
    if here == there:
        return _WITH_BOTH[here]
    for verdict, word in (("not tested", "not tested"), ("undecided", "undecided")):
        if verdict in (here, there):
            return f"{word} {'here' if here == verdict else 'there'}"
    return "the recipe decides"
