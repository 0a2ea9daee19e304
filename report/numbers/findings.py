"""What was found of a claim in one sentence, for each verdict, and in a few words.

There is one template for each registered test. It is filled with the effect, and leads with what
was found; the verdict decides its words.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

from analysis.results.records import ClaimRecord, Verdict
from analysis.results.schemas import FGSM, PGD
from report.numbers.facts import Facts
from report.numbers.formats import ATTACK_NAMES, EVEN, confidence, listed, number, per_cent
from report.numbers.results import Results

# So much of the accuracy of guessing has to be lost to be far below it.
_FAR = 0.25


class Words(NamedTuple):
    """A finding in a few words, and in a sentence for each verdict with an effect."""

    short: str
    holds: str
    fails: str
    undecided: str

    def under(self, verdict: Verdict) -> str:
        """Return the sentence for a verdict, with a full stop."""
        found = {"holds": self.holds, "does not hold": self.fails, "undecided": self.undecided}
        return f"{found[verdict]}."


def _whether(fact: str, asked: str) -> str:
    """Return what is known of a finding whose bounds contain the threshold."""
    return f"{fact}; whether {asked} is undecided"


def _accuracy(facts: Facts) -> Words:
    right = f"of the images, {facts.value} are classified correctly"
    return Words(
        facts.value,
        f"Accuracy is high: {right}",
        f"Accuracy is lower than claimed: {right}",
        _whether(_capital(right), f"the accuracy is above {facts.limit}"),
    )


def _range(facts: Facts) -> Words:
    worst, best = (
        facts.reported("error of the worst class"),
        facts.reported("error of the best class"),
    )
    nouns = facts.results.nouns
    if worst is None or best is None or worst.part == best.part:
        gap = f"the errors of the {nouns} differ by {facts.value}"
        short, ends = facts.value, gap
    else:
        high, low = per_cent(worst.value), per_cent(best.value)
        short = f"error {low} ({best.part}) to {high} ({worst.part})"
        ends = f"the {facts.results.named(worst.part)} is misread most, in {high} of its images"
        ends += f", and {best.part} least, in {low}"
    return Words(
        short,
        f"Errors are uneven: {ends}",
        f"Errors are nearly even: {ends}",
        _whether(_capital(ends), f"the {nouns} differ by more than {facts.limit} in general"),
    )


def _difference(facts: Facts) -> Words:
    group, rest = facts.group("classes"), facts.group("others")
    claimed, found = _more(facts.above), _more(facts.effect > 0)
    fact = f"{_capital(group)} {_verb(facts, 'is', 'are')} misread {found} often than {rest}, by "
    fact += f"{facts.distance}{facts.fixed}"
    return Words(
        f"misread {facts.distance} {found} often",
        fact,
        f"{_capital(group)} {_verb(facts, 'is', 'are')} not misread {claimed} often than {rest}, "
        f"or by less than {facts.limit_distance}: the difference is {facts.value}",
        _whether(fact, f"it is by more than {facts.limit_distance}"),
    )


def _ratio(facts: Facts) -> Words:
    group, rest = _capital(facts.group("classes")), facts.group("others")
    fact = f"{group} {_verb(facts, 'is', 'are')} misread {facts.value} times as often as {rest}"
    fact += facts.fixed
    side = "more" if facts.above else "less"
    return Words(
        f"misread {facts.value} times as often",
        fact,
        f"{fact}, not {side} than {facts.limit} times",
        _whether(fact, f"it is {side} than {facts.limit} times"),
    )


def _structure(facts: Facts) -> Words:
    pairs, hold = f"{facts.parameters['pairs']} commonest pairs", "hold"
    if facts.parameters["pairs"] == 1:
        pairs, hold = "commonest pair", "holds"
    nouns = facts.results.nouns
    share, chance = facts.share("share in the pairs"), facts.share("share in the pairs by chance")
    if share:
        fact = f"the {pairs} of {nouns} {hold} {share} of the errors"
        fact += f", against {chance} by chance, if chosen on one half of the images and counted on"
        fact += " the other"
        short = f"{share} of errors in the {pairs}; {chance} by chance"
    else:
        fact = f"the {pairs} of {nouns} {hold} {facts.value} times the errors expected by chance"
        short = f"{facts.value} times chance"
    return Words(
        short,
        f"A few confusions are common: {fact}",
        f"Confusions have little structure: {fact}",
        _whether(_capital(fact), f"that is more than {facts.limit} times as many"),
    )


def _persistence(facts: Facts) -> Words:
    nouns = facts.results.nouns
    fact = f"the errors of the {nouns} in two trainings correlate at {facts.value}"
    return Words(
        f"correlation {facts.value}",
        f"The same {nouns} are misread after every training: {fact}",
        f"Which {nouns} are misread depends on the training: {fact}",
        _whether(_capital(fact), f"the correlation is above {facts.limit}"),
    )


def _contrast(facts: Facts) -> Words:
    group, rest = facts.group("classes"), facts.group("others")
    measure = facts.parameters["measure"]
    alone = listed([str(name) for name in facts.parameters.get("classes") or ()]) or group
    among = " among correct predictions" if facts.parameters["correct"] else ""
    found = "larger" if facts.effect > 0 else "smaller"
    claimed = "larger" if facts.above else "smaller"
    fact = f"the {measure} of the maps of {group}{among} is {facts.distance} {found} than that of "
    fact += rest
    diffuse = {"larger": "more diffuse", "smaller": "more compact"}
    said = f"Maps of {group}{among} are {{}} than those of {rest}: their {measure} is "
    said += f"{facts.distance} {found}"
    if measure not in ("spread", "area") or found != claimed:
        said = _capital(fact)
    return Words(
        f"{measure} {facts.distance} {found} for {alone}",
        said.format(diffuse[claimed]),
        _capital(f"{fact}, not {facts.limit_distance} {claimed}"),
        _whether(_capital(fact), f"it is {facts.limit_distance} {claimed}"),
    )


def _left(facts: Facts) -> Words:
    part = facts.parameters.get("attack", FGSM)
    left = facts.share("accuracy under attack", part=part)
    if left:
        fact = (
            f"{facts.attack_alone} of {facts.size} {_leaves(facts)} {left} of the predictions right"
        )
        fact += f", where {facts.clean} were"
        short = f"{facts.clean} → {left} under {facts.attack_alone} of {facts.size}"
    else:
        fact = (
            f"{facts.attack_alone} of {facts.size} {_leaves(facts)} {facts.value} of the accuracy"
        )
        short = f"{facts.value} left under {facts.attack_alone} of {facts.size}"
    return Words(
        short,
        f"Accuracy collapses: {fact}",
        f"Accuracy does not collapse: {fact}",
        _whether(_capital(fact), f"that is less than {facts.limit} of it"),
    )


def _guessing(facts: Facts) -> Words:
    part = facts.parameters.get("attack", FGSM)
    left = facts.share("accuracy under attack", part=part) or facts.value
    fact = f"at {facts.size}, accuracy under {facts.attack_alone} is {left}"
    chance = f"the {facts.guessing} of guessing"
    far = "far below" if facts.effect < -_FAR / len(facts.results.classes) else "no better than"
    return Words(
        f"{left} under {facts.attack_alone} of {facts.size}; guessing {facts.guessing}",
        _capital(f"{fact}, {far} {chance}"),
        _capital(f"{fact}, still better than {chance}"),
        _whether(_capital(fact), f"that is better than {chance} by {facts.limit}"),
    )


def _lost(facts: Facts) -> Words:
    loss = facts.reported("loss under FGSM")
    cost = "costs" if _leaves(facts) == "leaves" else "cost"
    against, short = "", f"{facts.attack_alone} {cost} {facts.value}"
    if loss and facts.parameters["attack"] != FGSM:
        lost = f"{number(loss.value, 'difference of shares')} points"
        against, short = f", where FGSM costs {lost}", f"{short}; FGSM {lost}"
    fact = f"{facts.attack_alone} of {facts.size} {cost} {facts.value}{against}"
    return Words(
        short,
        _capital(f"{fact}: direction matters, not size"),
        _capital(f"{fact}: size alone matters too"),
        _whether(_capital(fact), f"the cost is below {facts.limit}"),
    )


def _confident(facts: Facts) -> Words:
    medians = (
        facts.reported("median confidence when right"),
        facts.reported("median confidence under attack"),
    )
    right, under = (confidence(one.value) if one else "" for one in medians)
    against = f" (median {under} against {right})" if under else ""
    after, short = "", f"AUROC {facts.value}"
    if under:
        short = f"median confidence: {under} in errors, {right} when right"
    stronger = next(
        (one for one in facts.record.study.variants if one.changes == {"attack": PGD}), None
    )
    if facts.attack == ATTACK_NAMES[FGSM] and stronger and stronger.value is not None:
        auroc, sure = number(stronger.value, ".2f"), stronger.value < EVEN
        after = f"; under PGD they are {'more' if sure else 'less'} confident (AUROC {auroc})"
        several = facts.results.confidence_under(PGD, facts.parameters["epsilon"])
        if under and several is not None and not facts.scaled:
            errors = f"{under} (FGSM errors, tested), {confidence(several['median'])} (PGD)"
            short = f"median confidence: {errors}, {right} (right)"
    errors = f"errors under {facts.attack} of {facts.size}"
    against += f", confidence{facts.scaled}" if facts.scaled else ""
    effect = facts.record.study.effect
    surer = effect is not None and effect.high < EVEN
    as_sure = "surer than" if surer else "about as sure as"
    less = "less" if facts.effect > EVEN else "more"
    fact = _capital(f"{errors} are {less} confident than right predictions{against}{after}")
    return Words(
        short,
        f"Predictions change confidently: {errors} are {as_sure} right predictions{against}{after}",
        fact,
        _whether(fact, f"the AUROC is below {facts.limit}"),
    )


def _flips(facts: Facts) -> Words:
    margin = " at equal margin" if facts.parameters["margin"] == "fixed" else ""
    fact = f"images that other networks get wrong flip {facts.distance} "
    fact += (
        f"{'more' if facts.effect > 0 else 'less'} often under {facts.attack_alone} of {facts.size}"
    )
    return Words(
        f"{facts.value}{margin}",
        f"Hard images are more fragile{margin}: {fact}",
        f"Hard images are not more fragile{margin}: {fact}",
        _whether(f"{_capital(fact)}{margin}", f"they flip more than {facts.limit} more often"),
    )


def _connected(facts: Facts) -> Words:
    nouns = facts.results.nouns
    fact = f"error and flips under {facts.attack} of {facts.size} correlate at {facts.value}"
    return Words(
        f"correlation {facts.value}",
        f"The {nouns} that are misread more also flip more under attack: {fact}",
        f"The {nouns} that are misread more do not flip more under attack: {fact}",
        _whether(f"Over the {nouns}, {fact}", f"the correlation is above {facts.limit}"),
    )


def _silent(facts: Facts) -> Words:
    cut = f"{100 * facts.parameters['confidence']:g}%"
    sure = f"a confidence{facts.scaled} of {cut} or more"
    clean = facts.results.clean
    fact = f"{facts.value} of the errors{clean} have {sure}"
    return Words(
        f"{facts.value} are at least {cut} confident; claimed: over {facts.limit}",
        f"Many errors are silent: {fact}",
        f"Few errors are silent: {fact}",
        _whether(
            f"Of the errors{clean}, {facts.value} have {sure}",
            f"more than {facts.limit} do",
        ),
    )


def _recognised(facts: Facts) -> Words:
    fact = f"readers pick the attacked one of two images in {facts.value} of pairs, where guessing "
    fact += "picks half"
    return Words(
        f"{facts.value} of pairs; guessing 50%",
        f"Attacked images are hardly recognised at {facts.size}: {fact}",
        f"Attacked images are recognised at {facts.size}: {fact}",
        _whether(f"At {facts.size}, {fact}", f"it is less than {facts.limit}"),
    )


# The sides on which the words of a template say what a claim expects.
_BOTH = ("above", "below")
_TEMPLATES: dict[str, tuple[Callable[[Facts], Words], tuple[str, ...]]] = {
    "accuracy": (_accuracy, ("above",)),
    "error range": (_range, ("above",)),
    "error difference": (_difference, _BOTH),
    "error ratio": (_ratio, _BOTH),
    "confusion structure": (_structure, ("above",)),
    "persistence": (_persistence, ("above",)),
    "map contrast": (_contrast, _BOTH),
    "accuracy left": (_left, ("below",)),
    "distance from guessing": (_guessing, ("below",)),
    "accuracy lost": (_lost, ("below",)),
    "confidence under attack": (_confident, ("below",)),
    "connected flips": (_flips, ("above",)),
    "connected classes": (_connected, ("above",)),
    "confident errors": (_silent, ("above",)),
    "share recognised": (_recognised, ("below",)),
}


def words(record: ClaimRecord, results: Results) -> Words | None:
    """Return what was found of a claim, or nothing without an effect.

    A claim on the other side of its test than the template speaks of has its own statement.
    """
    if record.study.effect is None:
        return None
    facts = Facts(record, results)
    template, sides = _TEMPLATES.get(record.test, (None, ()))
    if template is not None and record.side in sides:
        return template(facts)
    claimed, short = record.clause, f"{record.measured} {facts.value}"
    return Words(
        short,
        _capital(claimed),
        f"What is claimed does not hold: {claimed}",
        f"Whether {claimed} is undecided",
    )


def _more(more: bool) -> str:
    return "more" if more else "less"


def _leaves(facts: Facts) -> str:
    """Return the verb for an attack, the name of one of which is in the plural."""
    return "leave" if facts.attack_alone.endswith("signs") else "leaves"


def _verb(facts: Facts, one: str, several: str) -> str:
    return one if len(facts.parameters.get("classes") or ()) == 1 else several


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
