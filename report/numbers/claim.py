"""What the prose says of one claim: words that depend on its verdict, and reported numbers."""

from __future__ import annotations

from functools import partial
from typing import get_args

from analysis.project.errors import UserError
from analysis.results.records import (
    ClaimRecord,
    Effect,
    Judgement,
    Kind,
    Reported,
    Variant,
)
from analysis.results.schemas import ATTACKS, MEASURES, RANDOM, TRAINED
from report.numbers import formats
from report.numbers.facts import Facts
from report.numbers.findings import words
from report.numbers.formats import NOT_MEASURED
from report.numbers.results import Results, checked
from report.page import Markdown

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
    "perception": ("share recognised",),
}
TOPIC_OF = {test: topic for topic, tests in TOPICS.items() for test in tests}
_SIDES = {"above": "more than", "below": "less than", "within": "no more than"}
_SIGNS = {"above": "> ", "below": "< ", "within": "within ±"}
# As many choices that turn an answer are named.
_NAMED = 4
# Tests with an interval of their own.
_EXACT = ("share recognised",)
# Tests whose effect is computed over the classes.
_OVER_CLASSES = ("persistence", "connected classes")


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
        self.topic = TOPIC_OF.get(record.test, "")
        self.tested = record.study.effect is not None
        self.varied = record.study.effect is not None and bool(computed(record.study))
        # As an identifier, which has no escapes.
        self.anchor = Markdown(record.id)

    @property
    def headline(self) -> str:
        """Return what was found in one sentence, or why the claim was not tested."""
        found = words(self.record, self._results)
        if found is None:
            reason = f" ({self.record.study.reason})" if self.record.study.reason else ""
            return f"Whether {self.record.clause} was not tested{reason}."
        sentence = found.under(self.verdict)
        if not self.mostly_turned:
            return sentence
        return f"{sentence} But {self.mostly_turned} variants give another answer."

    @property
    def mostly_turned(self) -> str:
        """Return how many variants give another answer, such as ``3 of 4``, if most of them do."""
        known = computed(self.record.study)
        turned = sum(one.met != self.record.study.met for one in known)
        if self.verdict == "undecided" or 2 * turned <= len(known):
            return ""
        return f"{turned} of {len(known)}"

    @property
    def limit(self) -> str:
        """Return the threshold of the claim."""
        return formats.number(self.record.threshold or 0.0, self.record.unit)

    def group(self, key: str) -> str:
        """Return the classes of a parameter, such as ``the digits 8 and 9``."""
        return Facts(self.record, self._results).group(key)

    @property
    def evidence(self) -> str:
        """Return the estimate with its interval, its number of images and what is claimed."""
        judgement = self.record.study
        if judgement.effect is None:
            return ""
        effect, write = judgement.effect, partial(formats.number, form=self.record.unit)
        level, number = f"{100 * self._results.level:.0f}%", self._number_of_cases
        interval = f"{level} {self._method} interval {write(effect.low)} to {write(effect.high)}"
        interval += f", n = {number}" if number else ""
        unit = formats.unit_name(self.record.unit)
        assumed = f"; {judgement.reason}" if judgement.reason else ""
        said = {"undecided": "is undecided"}.get(self.verdict, self.verdict)
        claimed = ""
        if self.record.side is not None and self.record.threshold is not None:
            claimed = f"; claimed: {_SIDES[self.record.side]} {write(self.record.threshold)}, "
            claimed += f"which {said}{self.stability}"
        return (
            f"The {self.record.measured} is {write(effect.value)}{unit} ({interval}"
            f"{assumed}{claimed})."
        )

    @property
    def _method(self) -> str:
        if self.record.test in _EXACT:
            return "exact"
        return "max-t" if self.parameters.get("estimate") == "simultaneous" else "bootstrap"

    @property
    def _number_of_cases(self) -> str:
        """Return what the effect is computed from: images, errors on them, or classes.

        Nothing for people's answers, which the judgement itself counts.
        """
        results = self._results
        if self.record.test in _EXACT:
            return ""
        if self.record.test in _OVER_CLASSES:
            return formats.counted(len(results.classes), "class", "classes")
        images = results.accuracy["images"]
        attack, epsilon = self.parameters.get("attack"), self.parameters.get("epsilon", 0.0)
        if attack and self.topic == "fragility":
            attacked = results.overall("accuracy", attack=attack, epsilon=epsilon)
            images = images if attacked is None else attacked["images"]
        if self.record.test == "confident errors":
            errors = round(images * (1 - results.accuracy["value"]))
            return formats.counted(errors, "error")
        return formats.counted(images, "image")

    @property
    def published(self) -> str:
        """Return what the same test says of the published results, if they suffice for it."""
        judgement, published = self.record.published, self._results.published
        if judgement is None or published is None or judgement.effect is None:
            return ""
        effect = effect_text(self.record, judgement.effect)
        return f"The numbers of {published.name} give {effect}: {judgement.verdict}."

    @property
    def stability(self) -> str:
        """Return in which variants the answer is another one, as the end of a sentence."""
        judgement = self.record.study
        known = computed(judgement)
        if not known:
            return ""
        turned = [one for one in known if one.met != judgement.met]
        undecided = self.verdict == "undecided"
        if not turned:
            counted = {1: "in the one variant", 2: "in both variants"}
            which = counted.get(len(known), f"in all {len(known)} variants")
            return f"; the estimate is on the same side {which}" if undecided else f", as {which}"
        names = [one.label for one in turning(judgement)]
        if len(names) > _NAMED:
            names = [*names[:_NAMED], f"{len(names) - _NAMED} more"]
        listed = "; ".join(names)
        if undecided:
            return f"; the estimate is on the other side with {listed}"
        if self.mostly_turned:
            return f"; another answer with {listed}"
        give = "gives" if len(turned) == 1 else "give"
        return f"; {len(turned)} of {len(known)} variants {give} another answer: {listed}"

    @property
    def finding(self) -> str:
        """Return all that is said of the claim in the text."""
        parts = (self.headline, self.evidence, self.published)
        return " ".join(filter(None, parts))

    @property
    def value(self) -> str:
        """Return the effect without its interval, or a dash."""
        effect = self.record.study.effect
        return formats.number(effect.value, self.record.unit) if effect else formats.UNDEFINED

    @property
    def without_suspects(self) -> str:
        """Return the effect without suspected labels and its interval, if that is a variant."""
        for one in computed(self.record.study):
            if one.changes == {"without": "suspects"} and one.value is not None:
                return formats.between(one.value, one.low, one.high, self.record.unit)
        return ""

    def side_of_zero(self, kind: str) -> int:
        """Return −1 or 1 if a number reported with the claim is below or above zero.

        0 if its interval contains zero.
        """
        one = self._number(kind)
        if one is None or one.low is None or one.high is None or one.low <= 0 <= one.high:
            return 0
        return -1 if one.value < 0 else 1

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
