"""The words that depend on a verdict, and the numbers reported with a claim."""

from __future__ import annotations

from functools import cached_property
from typing import get_args

from analysis.project.errors import UserError
from analysis.results.records import (
    ClaimRecord,
    Effect,
    Judgement,
    Kind,
    Reported,
    Variant,
    Verdict,
)
from analysis.results.schemas import ATTACKS, MEASURES, RANDOM, TRAINED
from report.numbers import formats
from report.numbers.formats import NOT_MEASURED, SHAPES
from report.numbers.results import Results, checked
from report.page import Markdown

# How a claim is written under each verdict, after its effect or by itself.
_SAID: dict[Verdict, str] = {
    "holds": "{clause}",
    "does not hold": "that {clause} does not hold here",
    "undecided": "whether {clause} is undecided",
    "not tested": "whether {clause} was not tested",
}
_COUNTED: dict[Verdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "does not hold": ("does not hold", "do not hold"),
    "undecided": ("is undecided", "are undecided"),
    "not tested": ("was not tested", "were not tested"),
}
# What the tests are about, in the order of the sections that report their claims.
TOPICS = {
    "errors": (
        *("accuracy", "error range", "error difference", "error ratio"),
        *("confusion structure", "persistence"),
    ),
    "explanations": ("map contrast",),
    "fragility": ("accuracy left", "distance from guessing", "accuracy lost"),
    "confidence": ("confident errors", "confidence under attack"),
    "connection": ("connected flips", "connected classes"),
}
_TOPIC_OF = {test: topic for topic, tests in TOPICS.items() for test in tests}
# The table without which a section is left out, or a test of another section, and claims without a
# test that a section reports.
_NEEDS = {"explanations": "mean_maps", "fragility": "accuracies", "connection": "accuracies"}
_NEEDS["confidence under attack"] = "accuracies"
_UNTESTED = {"imperceptible": "similarities", "aggregate": "accuracies"}
# What predictions alone do not suffice for either.
_OF_NETWORKS = ("persistence",)
_SIDES = {"above": "more than", "below": "less than", "within": "no more than"}
_SIGNS = {"above": "> ", "below": "< ", "within": "within ±"}
# As many choices that turn an answer are named.
_NAMED = 4


def threshold(claim: ClaimRecord, *, short: bool = False) -> str:
    """Return the effect that a claim asks for: ``more than 1.25``, or in short ``> 1.25``."""
    if claim.side is None or claim.threshold is None:
        return "none"
    value = formats.number(claim.threshold, claim.unit)
    if short:
        return f"{_SIGNS[claim.side]}{value}"
    return f"{_SIDES[claim.side]} {value}{formats.unit_name(claim.unit)}"


def effect_text(claim: ClaimRecord, effect: Effect) -> str:
    """Return an effect with its ordinary interval."""
    return formats.between(effect.value, effect.low, effect.high, claim.unit)


def turning(judgement: Judgement) -> list[Variant]:
    """Return the variants whose answer is another one, without those that only change more."""
    turned = [one for one in computed(judgement) if one.met != judgement.met]

    def is_part(one: Variant, other: Variant) -> bool:
        both = [key for key in one.changes if other.changes.get(key) == one.changes[key]]
        return len(both) == len(one.changes) < len(other.changes)

    return [one for one in turned if not any(is_part(other, one) for other in turned)]


def computed(judgement: Judgement) -> list[Variant]:
    """Return the variants with an effect."""
    return [one for one in judgement.variants if one.value is not None]


class ClaimNumbers:
    """What templates say of one claim as ``claim("…").…``."""

    def __init__(self, record: ClaimRecord, results: Results) -> None:
        self.record, self._results = record, results
        self.id, self.verdict, self.parameters = record.id, record.study.verdict, record.parameters
        self.topic = _TOPIC_OF.get(record.test, "")
        self.varied = record.study.effect is not None and bool(computed(record.study))
        # As an identifier, which has no escapes.
        self.anchor = Markdown(record.id)

    @property
    def clause(self) -> str:
        """Return what the study says of the claim, without numbers and a full stop."""
        return _capital(self._said)

    @property
    def _said(self) -> str:
        return _SAID[self.verdict].format(clause=self.record.clause)

    @property
    def brief(self) -> str:
        """Return the effect of the claim and what the study says of it, in one sentence.

        It names the variants where most of them have another answer.
        """
        effect = self.record.study.effect
        if effect is None:
            return f"{self.clause}."
        value = formats.number(effect.value, self.record.unit)
        known = computed(self.record.study)
        other = sum(one.met != self.record.study.met for one in known)
        turned = f", but not in {other} of {len(known)} variants" if 2 * other > len(known) else ""
        return f"{self._effect_is(value)}: {self._said}{turned}."

    @property
    def finding(self) -> str:
        """Return the effect with its interval, what it says of the claim, and what it asks for."""
        judgement = self.record.study
        reason = f" ({judgement.reason})" if judgement.reason else ""
        if judgement.effect is None:
            return f"{self.clause}{reason}."
        effect = effect_text(self.record, judgement.effect)
        asked = f"claimed: {threshold(self.record)}"
        return f"{self._effect_is(effect)}{reason}: {self._said} ({asked}).{self._stability}"

    @property
    def published_finding(self) -> str:
        """Return what the same test says of the published results, if they suffice for it."""
        judgement, published = self.record.published, self._results.published
        if judgement is None or published is None or judgement.effect is None:
            return ""
        effect = effect_text(self.record, judgement.effect)
        assumed = f" ({judgement.reason})" if judgement.reason else ""
        unit = formats.unit_name(self.record.unit)
        said = {"undecided": "is undecided"}.get(judgement.verdict, judgement.verdict)
        return (
            f"The published results of {published.name} give {effect}{unit}{assumed}, by which the "
            f"claim {said}."
        )

    def _effect_is(self, effect: str) -> str:
        return f"The {self.record.measured} is {effect}{formats.unit_name(self.record.unit)}"

    @property
    def _stability(self) -> str:
        """Return in how many variants the answer is the same, and which choices turn it."""
        judgement = self.record.study
        known = computed(judgement)
        if not known:
            return ""
        same = sum(one.met == judgement.met for one in known)
        text = f" The answer is the same in {same} of {formats.counted(len(known), 'variant')}"
        if turned := turning(judgement):
            names = [one.label for one in turned[:_NAMED]]
            if more := len(turned) - _NAMED if len(turned) > _NAMED else 0:
                names.append(f"{more} more")
            text += f"; what turns it: {'; '.join(names)}"
        return f"{text}."

    def has(self, kind: str) -> bool:
        """Return whether there is a number of a kind. Raises ``UserError`` if it is misspelt."""
        checked("kind of number", kind, get_args(Kind))
        return any(one.kind == kind for one in self.record.study.reported)

    def reported(
        self,
        kind: str,
        *,
        part: str = "",
        layer: str = "",
        weights: str = "",
        form: str = "share",
    ) -> str:
        """Return a number reported with the claim, with its interval, or that it is not measured.

        ``form`` is a unit or a format such as ``.4f``; ``part``, ``layer`` and ``weights`` choose
        among several numbers of a kind. Raises ``UserError`` for a kind that the test does not
        report, for a misspelt name, and if the choice leaves several numbers.
        """
        one = self._number(kind, part=part, layer=layer, weights=weights)
        return NOT_MEASURED if one is None else formats.between(one.value, one.low, one.high, form)

    def part(self, kind: str) -> str:
        """Return the class, attack or measure that a reported number belongs to."""
        one = self._number(kind)
        return NOT_MEASURED if one is None else one.part

    def _number(
        self, kind: str, *, part: str = "", layer: str = "", weights: str = ""
    ) -> Reported | None:
        if checked("kind of number", kind, get_args(Kind)) not in self.record.reports:
            raise UserError(f"The test of claim {self.id!r} does not report {kind!r}.")
        found = [one for one in self.record.study.reported if one.kind == kind]
        for what, name, known in (
            ("part", part, (*self._results.classes, *ATTACKS, *MEASURES)),
            ("layer", layer, self._results.record.layers),
            ("weights", weights, (TRAINED, RANDOM)),
        ):
            if name:
                checked(what, name, known)
                found = [one for one in found if getattr(one, what) == name]
        if len(found) > 1:
            raise UserError(f"Claim {self.id!r} reports several numbers of the kind {kind!r}.")
        return found[0] if found else None


class Claims(list[ClaimNumbers]):
    """The claims of a study together, as ``claims.…``."""

    def __init__(self, results: Results) -> None:
        record, self._results = results.record, results
        super().__init__(ClaimNumbers(claim, results) for claim in record.claims)
        self.tested = record.family.tested
        self.resamples = formats.thousands(record.family.resamples)
        self.error_rate = f"{100 * record.alpha:.0f}%"
        self.introduction = record.introduction

    def about(self, *tests: str) -> list[ClaimNumbers]:
        """Return the claims with one of some tests that were not left out.

        Raises ``UserError`` for a misspelt test.
        """
        for test in tests:
            checked("test", test, _TOPIC_OF)
        return [one for one in self if one.record.test in tests and one not in self.left_out]

    @cached_property
    def left_out(self) -> list[ClaimNumbers]:
        """Return the claims that ask for what the study does not measure at all."""
        study = self._results.study
        absent = {"mean_maps": study.maps is None, "accuracies": study.attacks is None}

        def unmeasured(claim: ClaimNumbers) -> bool:
            needed = _NEEDS.get(claim.topic) or _NEEDS.get(claim.record.test, "")
            alone = self._results.alone and claim.record.test in _OF_NETWORKS
            judgements = self._results.judgements(claim.record)
            tested = any(judgement.effect for _, judgement in judgements)
            return not tested and (alone or absent.get(needed, False))

        return [claim for claim in self if unmeasured(claim)]

    @property
    def unmeasured(self) -> str:
        """Return what was left out, as words."""
        return "; ".join(claim.record.clause for claim in self.left_out)

    @property
    def by_verdict(self) -> dict[str, str]:
        """Return the claims with each verdict, as words, in the order of the verdicts."""
        found: dict[str, list[str]] = {}
        for verdict in SHAPES:
            found[verdict] = [claim.record.clause for claim in self if claim.verdict == verdict]
        return {verdict: "; ".join(clauses) for verdict, clauses in found.items() if clauses}

    @property
    def elsewhere(self) -> list[ClaimNumbers]:
        """Return the claims that no other section reports."""

        def placed(claim: ClaimNumbers) -> bool:
            needed = _NEEDS.get(claim.topic) if claim.topic else _UNTESTED.get(claim.id, "")
            return needed is None or (needed != "" and self._results.has(needed))

        return [claim for claim in self if not placed(claim) and claim not in self.left_out]

    @property
    def curve(self) -> ClaimNumbers | None:
        """Return the claim about maps whose variants the section about maps draws, if any."""
        about = self.about("map contrast") if self._results.has("mean_maps") else []
        return next((claim for claim in about if claim.varied), None)

    @property
    def drawn(self) -> bool:
        """Return whether any claim has an effect to draw."""
        judgements = [self._results.judgements(claim.record) for claim in self]
        return any(one.effect for each in judgements for _, one in each)

    @property
    def number(self) -> str:
        """Return how many claims there are, in words."""
        return formats.counted(len(self), "claim")

    @property
    def with_threshold(self) -> int:
        """Return how many claims have a threshold."""
        return sum(claim.record.confirmatory for claim in self)

    @property
    def summary(self) -> str:
        """Return how many claims have which verdict, in words."""
        verdicts = [claim.verdict for claim in self]
        return formats.listed(
            [
                f"{n} {said[n != 1]}"
                for verdict, said in _COUNTED.items()
                if (n := verdicts.count(verdict))
            ]
        )

    @property
    def marks(self) -> str:
        """Return the mark of each verdict that a drawn effect can have."""
        shown = [formats.mark(verdict) for verdict in SHAPES if verdict != "not tested"]
        return formats.listed(shown)


def _capital(text: str) -> str:
    return text[:1].upper() + text[1:]
