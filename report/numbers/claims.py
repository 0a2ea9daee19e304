"""The words that depend on a verdict, and the numbers reported with a claim."""

from __future__ import annotations

from functools import partial
from typing import get_args

from analysis.project.errors import UserError
from analysis.results.records import ClaimRecord, Judgement, Kind, Part, Verdict
from analysis.results.schemas import ATTACKS, MEASURES, RANDOM, SCALINGS, TRAINED
from report.numbers import formats
from report.numbers.formats import NOT_MEASURED, SHAPES
from report.numbers.results import Results, checked

# How a claim is written under each verdict.
_SAID: dict[Verdict, str] = {
    "supported": "{clause}",
    "refuted": "The claim that {clause} is refuted here",
    "inconclusive": "Whether {clause} is undecided",
    "not tested": "Whether {clause} was not tested",
}
# What the tests are about, in the order of the sections that report their claims.
TOPICS = {
    "errors": (
        *("accuracy", "error gap", "error difference", "error ratio"),
        *("confusion structure", "persistence"),
    ),
    "explanations": ("map contrast",),
    "fragility": ("accuracy left", "distance from guessing", "accuracy lost"),
    "confidence": ("confident errors", "confidence under attack"),
    "connection": ("connected flips",),
}
_TOPIC_OF = {test: topic for topic, tests in TOPICS.items() for test in tests}
# The table without which a section is left out, and claims without a test that it reports.
_NEEDS = {"explanations": "mean_maps", "fragility": "accuracies", "connection": "accuracies"}
_UNTESTED = {"imperceptible": "similarities", "aggregate": "accuracies"}
_PARTS = {"as given": "confidence as given", "scaled": "scaled confidence"}
_SIDES = {"above": "more than", "below": "less than", "within": "no more than"}
_SIGNS = {"above": "> ", "below": "< ", "within": "within ±"}


def threshold(claim: ClaimRecord, *, short: bool = False) -> str:
    """Return the effect that a claim asks for: ``more than 1.25``, or in short ``> 1.25``."""
    if claim.side is None or claim.threshold is None:
        return "none"
    value = formats.number(claim.threshold, claim.unit)
    if short:
        return f"{_SIGNS[claim.side]}{value}"
    return f"{_SIDES[claim.side]} {value}{formats.unit_name(claim.unit)}"


def part_effect(claim: ClaimRecord, part: Part) -> str:
    """Return the effect of a part with its simultaneous interval."""
    return formats.between(part.effect, part.simultaneous_low, part.simultaneous_high, claim.unit)


class ClaimNumbers:
    """What templates say of one claim as ``claim("…").…``."""

    def __init__(self, record: ClaimRecord, results: Results) -> None:
        self.record, self._results = record, results
        self.id, self.verdict, self.parameters = record.id, record.study.verdict, record.parameters
        self.topic = _TOPIC_OF.get(record.test, "")

    @property
    def clause(self) -> str:
        """Return what the study says of the claim, without numbers and a full stop."""
        said = _SAID[self.verdict].format(clause=self.record.clause)
        return said[:1].upper() + said[1:] + self._in_what()

    def _in_what(self) -> str:
        """Return in what a claim is refuted, if its test distinguishes that."""
        claim, parts = self.record, self.record.study.parts
        if self.verdict != "refuted":
            return ""
        if claim.side == "within":
            # An equivalence can fail on either side, which are different findings.
            side = "below" if parts[0].effect < 0 else "above"
            return f": the {claim.effect} ends further {side} than the claim allows"
        holds, fails = (
            formats.listed([_part_name(part) for part in parts if part.verdict == verdict])
            for verdict in ("supported", "refuted")
        )
        return f": it holds for {holds} and not for {fails}" if holds else ""

    @property
    def finding(self) -> str:
        """Return what the study says of the claim: a sentence with its numbers."""
        judgement, start = self.record.study, self.clause
        if not judgement.parts:
            return f"{start} ({judgement.reason})." if judgement.reason else f"{start}."
        glue = ";" if ":" in start else ":"
        asks = f"the claim asks for {threshold(self.record)}"
        return f"{start}{glue} {self._effects(judgement)}, and {asks}."

    @property
    def published_finding(self) -> str:
        """Return what the same test says of the published results, if they suffice for it."""
        judgement, published = self.record.published, self._results.published
        if judgement is None or published is None or not judgement.parts:
            return ""
        return (
            f"By the same test on the published results of {published.name} the claim is "
            f"{judgement.verdict}: {self._effects(judgement)}."
        )

    def _effects(self, judgement: Judgement) -> str:
        claim = self.record
        each = [part_effect(claim, part) for part in judgement.parts]
        if len(each) > 1:
            names = map(_part_name, judgement.parts)
            each = [f"{effect} for {name}" for effect, name in zip(each, names, strict=True)]
        unit = formats.unit_name(claim.unit)
        inside = f", in{unit}," if unit else ""
        reason = f" ({judgement.reason})" if judgement.reason else ""
        return f"the {claim.effect}{inside} is {formats.listed(each)}{reason}"

    def has(self, kind: str) -> bool:
        """Return whether there is a number of a kind. Raises ``UserError`` if it is misspelt."""
        checked("kind of number", kind, get_args(Kind))
        return any(one.kind == kind for one in self.record.study.reported)

    def differences(self, kind: str, *, layer: str = "", weights: str = "") -> str:
        """Return the numbers of a kind for each part, in standard deviations, in words."""
        value = partial(self.reported, kind, layer=layer, weights=weights, form=".2f")
        each = [f"{value(part=one.name)} in {one.name}" for one in self.record.study.parts]
        return f"{formats.listed(each)} (standard deviations)"

    def reported(
        self,
        kind: str,
        *,
        part: str = "",
        layer: str = "",
        weights: str = "",
        form: str = "share",
        interval: bool = True,
    ) -> str:
        """Return a number reported with the claim, with its interval, or that it is not measured.

        ``form`` is a unit or a format such as ``.4f``; ``part``, ``layer`` and ``weights`` choose
        among several numbers of a kind. Raises ``UserError`` for a kind that the test does not
        report, for a misspelt name, and if the choice leaves several numbers.
        """
        if checked("kind of number", kind, get_args(Kind)) not in self.record.reports:
            raise UserError(f"The test of claim {self.id!r} does not report {kind!r}.")
        parts = [one.name for one in self.record.study.parts]
        found = [one for one in self.record.study.reported if one.kind == kind]
        for what, name, known in (
            ("part", part, (*parts, *ATTACKS, *SCALINGS, *MEASURES)),
            ("layer", layer, self._results.study.maps.layers),
            ("weights", weights, (TRAINED, RANDOM)),
        ):
            if name:
                checked(what, name, known)
                found = [one for one in found if getattr(one, what) == name]
        if len(found) > 1:
            raise UserError(f"Claim {self.id!r} reports several numbers of the kind {kind!r}.")
        if not found:
            return NOT_MEASURED
        (one,) = found
        low, high = (one.low, one.high) if interval else (None, None)
        return formats.between(one.value, low, high, form)


class Claims(list[ClaimNumbers]):
    """The claims of a study together, as ``claims.…``."""

    def __init__(self, results: Results) -> None:
        record, self._results = results.record, results
        super().__init__(ClaimNumbers(claim, results) for claim in record.claims)
        self.tested = record.family.tested
        self.resamples = formats.thousands(record.family.resamples)
        self.error_rate = f"{100 * record.alpha:.0f}%"
        self.introduction = record.introduction

    def reporting(self, kind: str) -> list[ClaimNumbers]:
        """Return the claims that a kind of number is reported with. Raises ``UserError``."""
        return [claim for claim in self if claim.has(kind)]

    def about(self, *tests: str) -> list[ClaimNumbers]:
        """Return the claims with one of some tests. Raises ``UserError`` for a misspelt one."""
        for test in tests:
            checked("test", test, _TOPIC_OF)
        return [claim for claim in self if claim.record.test in tests]

    @property
    def by_topic(self) -> list[list[ClaimNumbers]]:
        """Return the claims by what they are about, those without a topic last."""
        topics = [[c for c in self if c.topic == topic] for topic in (*TOPICS, "")]
        return [claims for claims in topics if claims]

    @property
    def elsewhere(self) -> list[ClaimNumbers]:
        """Return the claims that no other section reports."""

        def placed(claim: ClaimNumbers) -> bool:
            needed = _NEEDS.get(claim.topic) if claim.topic else _UNTESTED.get(claim.id, "")
            return needed is None or (needed != "" and self._results.has(needed))

        return [claim for claim in self if not placed(claim)]

    @property
    def drawn(self) -> bool:
        """Return whether any claim has an effect to draw."""
        judgements = [self._results.judgements(claim.record) for claim in self]
        return any(one.parts for each in judgements for _, one in each)

    @property
    def with_threshold(self) -> int:
        """Return how many claims have a threshold."""
        return sum(claim.record.confirmatory for claim in self)

    @property
    def summary(self) -> str:
        """Return how many claims have which verdict, in words."""
        verdicts = [claim.verdict for claim in self]
        counts = {verdict: verdicts.count(verdict) for verdict in SHAPES if verdict in verdicts}
        said = [f"{n} {'is' if n == 1 else 'are'} {verdict}" for verdict, n in counts.items()]
        return formats.listed(said)

    @property
    def marks(self) -> str:
        """Return the mark of each verdict that a drawn effect can have."""
        shown = [formats.mark(verdict) for verdict in SHAPES if verdict != "not tested"]
        return formats.listed(shown)


def _part_name(part: Part) -> str:
    return _PARTS.get(part.name, part.name)
