"""What the prose says of the claims of a study together, as ``claims.…``."""

from __future__ import annotations

from functools import cached_property

from analysis.results.records import ClaimRecord, Verdict
from report.numbers import formats
from report.numbers.claim import TOPIC_OF, TOPICS, ClaimNumbers
from report.numbers.results import Results, checked

_COUNTED: dict[Verdict, tuple[str, str]] = {
    "holds": ("holds", "hold"),
    "undecided": ("is undecided", "are undecided"),
    "not tested": ("was not tested", "were not tested"),
    "does not hold": ("does not hold", "do not hold"),
}
# The table without which a section is left out, or a test of another section.
_NEEDS = {"explanations": "mean_maps", "fragility": "accuracies", "connection": "accuracies"}
_NEEDS["confidence under attack"] = "accuracies"
_NEEDS["perception"] = "accuracies"
# What predictions alone do not suffice for either.
_OF_NETWORKS = ("persistence",)
_AGAINST: Verdict = "does not hold"
# Topics whose section reports a claim only if it was tested.
_ASKING = ("perception",)


class Claims(list[ClaimNumbers]):
    """The claims of a study."""

    def __init__(self, results: Results) -> None:
        record, self._results = results.record, results
        super().__init__(ClaimNumbers(claim, results) for claim in record.claims)
        self.tested = record.family.tested
        self.error_rate = f"{100 * record.alpha:.0f}%"
        self.introduction = record.introduction

    def about(self, *tests: str) -> list[ClaimNumbers]:
        """Return the claims with one of some tests that were not left out.

        Raises ``UserError`` for a misspelt test.
        """
        for test in tests:
            checked("test", test, TOPIC_OF)
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
    def not_tested(self) -> list[ClaimNumbers]:
        """Return the claims that could not be tested though the study measures what they need.

        Without those that another section reports.
        """
        return [
            claim
            for claim in self
            if claim.verdict == "not tested"
            and claim not in self.left_out
            and (claim.topic not in self._reported or claim.topic in _ASKING)
        ]

    @property
    def _reported(self) -> set[str]:
        """Return the topics whose claims have a section, tested or not."""
        return {topic for topic in TOPICS if self._results.has(_NEEDS.get(topic, "estimates"))}

    @property
    def untested(self) -> str:
        """Return the claims without an effect, in quotation marks."""
        left = [claim.record.statement for claim in self if not claim.record.study.effect]
        return formats.listed([f"“{statement.rstrip('.')}”" for statement in left])

    @property
    def curve(self) -> ClaimNumbers | None:
        """Return the claim about maps whose variants the section about maps draws, if any."""
        about = self.about("map contrast") if self._results.has("mean_maps") else []
        return next((claim for claim in about if claim.varied), None)

    @property
    def varied(self) -> bool:
        """Return whether the page of tests draws the variants of any claim."""
        curve = self.curve.id if self.curve else ""
        return any(claim.varied and claim.id != curve for claim in self)

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

    @cached_property
    def retested(self) -> dict[str, ClaimRecord]:
        """Return the claims that the companion tested too, as it found them."""
        companion = self._results.companion
        theirs = {one.id: one for one in companion.claims} if companion else {}
        both = [one.id for one in self if one.tested and one.id in theirs]
        return {name: theirs[name] for name in both if theirs[name].study.effect}

    @property
    def confirmed(self) -> int:
        """Return how many verdicts are the same with the companion's recipe."""
        verdicts = {one.id: one.verdict for one in self}
        return sum(one.study.verdict == verdicts[name] for name, one in self.retested.items())

    @cached_property
    def decided_by_recipe(self) -> list[ClaimRecord]:
        """Return the claims that hold here or with the companion's recipe, but not with both."""
        theirs = {name: one.study.verdict for name, one in self.retested.items()}
        opposite = {"holds", _AGAINST}
        return [one.record for one in self if {one.verdict, theirs.get(one.id)} == opposite]

    @property
    def changed(self) -> list[ClaimRecord]:
        """Return the tested claims whose test was changed after results were known."""
        changed = {change.claim for change in self._results.study.paper.changes}
        return [one.record for one in self if one.tested and one.id in changed]

    @property
    def summary(self) -> str:
        """Return how many claims have which verdict, in words."""
        verdicts = [claim.verdict for claim in self]
        parts = [
            f"{n} {said[n != 1]}"
            for verdict, said in _COUNTED.items()
            if (n := verdicts.count(verdict))
        ]
        # Of how many is said with the first count.
        count, _, said = parts[0].partition(" ")
        return formats.listed([f"{count} of {self.number} {said}", *parts[1:]])
