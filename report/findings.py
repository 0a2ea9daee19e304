"""The words that depend on a verdict: what the paper says of each claim, as strongly as it may.

Every claim has a clause for each of the four verdicts, and the numbers follow from the results. No
page holds such words itself, so that other results bring other words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from analysis.published import EASY, HARD
from analysis.verdicts import (
    TELLING,
    Beside,
    ClaimRecord,
    ClaimsTable,
    Judgement,
    Part,
    Unit,
    Verdict,
)

VERDICTS: tuple[Verdict, ...] = ("supported", "refuted", "inconclusive", "not tested")
# Shapes that say the same without colour.
SHAPES = {"supported": "●", "refuted": "✕", "inconclusive": "◐", "not tested": "○"}


def listed(parts: Sequence[str]) -> str:
    """Return parts as a list in words."""
    if len(parts) < 2:
        return "".join(parts)
    return f"{', '.join(parts[:-1])} and {parts[-1]}"


_EASY, _HARD = (listed([str(digit) for digit in digits]) for digits in (EASY, HARD))


@dataclass(frozen=True)
class Wording:
    """What is said of a claim under each verdict: whole clauses, without a full stop."""

    supported: str
    refuted: str
    inconclusive: str
    not_tested: str

    def under(self, verdict: Verdict) -> str:
        """Return the clause for a verdict."""
        return {
            "supported": self.supported,
            "refuted": self.refuted,
            "inconclusive": self.inconclusive,
            "not tested": self.not_tested,
        }[verdict]


WORDINGS = {
    "accuracy": Wording(
        "Overall accuracy is high",
        "An accuracy as high as the original's is not borne out here",
        "Whether overall accuracy is as high as claimed stays open",
        "Whether the original protocol reaches its accuracy was not tested",
    ),
    "uneven": Wording(
        "Errors fall unevenly on the digits",
        "That errors fall as unevenly on the digits as claimed is not borne out here",
        "Whether errors fall as unevenly on the digits as claimed stays open",
        "Whether errors fall unevenly on the digits was not tested",
    ),
    "easy-digits": Wording(
        f"The digits {_EASY} all err less than the others",
        f"That the digits {_EASY} all err less than the others is not borne out here",
        f"Whether the digits {_EASY} all err less than the others stays open",
        f"Whether the digits {_EASY} all err less than the others was not tested",
    ),
    "hard-digits": Wording(
        f"The digits {_HARD} both err more than the others",
        f"That the digits {_HARD} both err more than the others is not borne out here",
        f"Whether the digits {_HARD} both err more than the others stays open",
        f"Whether the digits {_HARD} both err more than the others was not tested",
    ),
    "structured": Wording(
        "Confusions follow a structure",
        "That confusions follow a structure is not borne out here",
        "Whether confusions follow a structure stays open",
        "Whether confusions follow a structure was not tested",
    ),
    "persistent": Wording(
        "The pattern of errors persists across trainings",
        "That the pattern of errors persists across trainings is not borne out here",
        "Whether the pattern of errors persists across trainings stays open",
        "Whether the pattern of errors persists across trainings was not tested",
    ),
    "explanations": Wording(
        "Hard digits have more diffuse maps than easy ones, by both measures",
        "That hard digits have more diffuse maps than easy ones, by both measures, is not borne "
        "out here",
        "Whether hard digits have more diffuse maps than easy ones stays open",
        "Whether hard digits have more diffuse maps than easy ones was not tested",
    ),
    "explanations-correct": Wording(
        "Among correct predictions alone, hard digits have more diffuse maps, by both measures",
        "Among correct predictions alone, more diffuse maps of hard digits, by both measures, are "
        "not borne out here",
        "Whether hard digits have more diffuse maps among correct predictions alone stays open",
        "Whether hard digits have more diffuse maps among correct predictions alone was not tested",
    ),
    "collapse": Wording(
        "Accuracy collapses under small perturbations",
        "A collapse of accuracy under small perturbations is not borne out here",
        "Whether accuracy collapses under small perturbations stays open",
        "Whether accuracy collapses under small perturbations was not tested",
    ),
    "chance": Wording(
        "Under the largest perturbation accuracy is about that of guessing",
        "That accuracy ends at about that of guessing is not borne out here",
        "Whether accuracy ends at about that of guessing stays open",
        "Whether accuracy ends at about that of guessing was not tested",
    ),
    "imperceptible": Wording(
        "The perturbations cannot be seen",
        "That the perturbations cannot be seen is not borne out here",
        "Whether the perturbations can be seen stays open",
        "Whether the perturbations can be seen was not tested",
    ),
    "direction": Wording(
        "The harm comes from the direction of the perturbation: random signs of the same size cost "
        "next to nothing",
        "That random signs of the same size cost next to nothing is not borne out here",
        "Whether random signs of the same size cost next to nothing stays open",
        "Whether random signs of the same size cost next to nothing was not tested",
    ),
    "confident": Wording(
        "Predictions change confidently: confidence hardly tells errors under attack",
        "That predictions change confidently is not borne out here: confidence tells errors under "
        "attack from right predictions better than the claim allows",
        "Whether predictions change confidently stays open",
        "Whether predictions change confidently was not tested",
    ),
    "connected": Wording(
        "The two failure modes are connected, image by image",
        "A connection of the two failure modes is not borne out here",
        "Whether the two failure modes are connected stays open",
        "Whether the two failure modes are connected was not tested",
    ),
    "aggregate": Wording(
        "Aggregate metrics cannot tell the failure modes",
        "That aggregate metrics cannot tell the failure modes is not borne out here",
        "Whether aggregate metrics can tell the failure modes stays open",
        "Whether aggregate metrics can tell the failure modes was not tested, only described",
    ),
    "silent": Wording(
        "The networks fail silently: many of their errors are confident ones",
        "That the networks fail silently is not borne out here: fewer of their errors are "
        "confident ones than claimed",
        "Whether the networks fail silently stays open",
        "Whether the networks fail silently was not tested",
    ),
}

RULES = (
    "A claim is **supported** if the whole interval lies beyond its threshold on the side that it "
    "claims, **refuted** if the whole of it lies on the other side, and **inconclusive** if it "
    "straddles the threshold. A claim that these data cannot speak to is **not tested**, with the "
    "reason. A claim of several parts is supported if all of them are and refuted if any is."
)
# Claims whose parts are measures of one thing, which may disagree.
_BY_MEASURE = {"explanations", "explanations-correct"}
# How parts are called in a sentence, where their names would not do.
_PARTS = {"as given": "the softmax", "scaled": "the scaled softmax"}
_SIDES = {"above": "more than", "below": "less than", "within": "no more than"}
_SIGNS = {"above": "> ", "below": "< ", "within": "within ±"}


def finding(claim: ClaimRecord) -> str:
    """Return what the study says of a claim: a sentence with its numbers."""
    return _sentence(claim, claim.study)


def abstract(table: ClaimsTable, *, images: str, networks: str, data: str, accuracy: str) -> str:
    """Return the abstract of the paper, which follows the verdicts."""

    def said(*names: str) -> str:
        return " ".join(f"{clause(table.claim(name))}." for name in names)

    return (
        "A published notebook finds that a standard classifier of street digits hides uneven "
        "errors behind a high accuracy, explains its hard cases badly, and collapses under small "
        f"perturbations. We state its {len(table.claims)} claims so that data can speak to them, "
        f"{with_threshold(table)} of them with a threshold fixed beforehand, and put them to "
        f"{networks} with an accuracy of {accuracy}, evaluated on {images} images ({data}). "
        "Of the claims, "
        f"{summary(table)}. {said('uneven', 'hard-digits', 'explanations')} "
        f"{said('collapse', 'chance', 'confident', 'silent')} Where the original's published "
        "numbers suffice, the same tests are put to them. Every number, and every word that "
        "depends on a verdict, is computed from cached results."
    )


def with_threshold(table: ClaimsTable) -> int:
    """Return how many claims have a threshold to be judged by."""
    return sum(claim.confirmatory for claim in table.claims)


def original_finding(claim: ClaimRecord) -> str:
    """Return what the original's published numbers say of a claim, by the same test."""
    judgement = claim.original
    if judgement.verdict == "not tested":
        return "The original's published numbers cannot be put to this test."
    return (
        f"By the same test on the original's published numbers the claim is "
        f"{_named(judgement.verdict)}: {_effects(claim, judgement)}."
    )


def clause(claim: ClaimRecord) -> str:
    """Return the clause for the study's verdict, without numbers."""
    return _clause(claim, claim.study)


def summary(table: ClaimsTable) -> str:
    """Return how many claims have which verdict, in words."""
    counts = {verdict: len(_ids(table, verdict)) for verdict in VERDICTS}
    parts = [
        f"{count} {'is' if count == 1 else 'are'} {_named(verdict)}"
        for verdict, count in counts.items()
        if count
    ]
    return listed(parts)


def by_verdict(table: ClaimsTable, verdict: Verdict) -> str:
    """Return the claims of a verdict as a list of their names, or that there are none."""
    names = [name.replace("-", " ") for name in _ids(table, verdict)]
    return listed(names) if names else "none"


def mark(verdict: Verdict) -> str:
    """Return a verdict as a shape and a word."""
    return f"{SHAPES[verdict]} {verdict}"


def part_effect(claim: ClaimRecord, part: Part) -> str:
    """Return the effect of a part with its simultaneous interval."""
    low, high = (number(end, claim.unit) for end in (part.simultaneous_low, part.simultaneous_high))
    return f"{number(part.effect, claim.unit)} ({low} to {high})"


def turns(claim: ClaimRecord, part: Part) -> str:
    """Return the thresholds at which a part's verdict would be another."""
    return " and ".join(number(value, claim.unit) for value in part.turns_at)


def detectable(claim: ClaimRecord, part: Part) -> str:
    """Return the effect nearest to the threshold that would have been found."""
    return "none" if part.detectable is None else number(part.detectable, claim.unit)


def threshold(claim: ClaimRecord, *, short: bool = False) -> str:
    """Return where a claim puts its effect: ``more than 1.25``, or in short ``> 1.25``."""
    if claim.side is None or claim.threshold is None:
        return "none"
    value = number(claim.threshold, claim.unit)
    if short:
        return f"{_SIGNS[claim.side]}{value}"
    return f"{_SIDES[claim.side]} {value}{_unit(claim.unit)}"


def number(value: float, unit: Unit) -> str:
    """Return a value in the form of its unit; differences of shares in percentage points."""
    if unit == "share":
        text = f"{100 * value:.1f}%"
    elif unit == "difference of shares":
        text = f"{100 * value:.1f}"
    elif unit == "AUROC":
        text = f"{value:.3f}"
    else:
        text = f"{value:.2f}"
    # A minus sign, and none before nothing.
    if float(text.rstrip("%")) == 0:
        text = text.lstrip("-")
    return text.replace("-", "−")


def beside(one: Beside, unit: Unit) -> str:
    """Return a value that stands beside a claim, with its interval if it has one."""
    text = number(one.value, unit)
    if one.low is None or one.high is None:
        return text
    return f"{text} ({number(one.low, unit)} to {number(one.high, unit)})"


def telling(row: Mapping[str, Any]) -> str:
    """Return in a word whether a saliency measure can tell, from a row of ``sanity``."""
    if row["verdict"] == "refuted" and row["high"] < 1 - TELLING:
        return "the other way round"
    return {"supported": "yes", "refuted": "no", "inconclusive": "open"}[row["verdict"]]


def pointing(measure: str, row: pd.Series) -> str:
    """Return whether a measure tells a map on the digit, with the AUROC of ``sanity``."""
    said = {
        "supported": f"{measure} tells a map that points at the digit from one that does not",
        "refuted": f"{measure} fails to tell a map that points at the digit from one that does not",
        "inconclusive": f"whether {measure} tells a map that points at the digit stays open",
    }[row["verdict"]]
    return f"{said} (AUROC {row['auroc']:.2f}, {row['low']:.2f} to {row['high']:.2f})"


def _clause(claim: ClaimRecord, judgement: Judgement) -> str:
    """Return the clause for a verdict; one that is refuted says in what."""
    said = WORDINGS[claim.id].under(judgement.verdict)
    if judgement.verdict != "refuted":
        return said
    if claim.side == "within" and claim.threshold is not None:
        # An equivalence can fail on either side, which are unlike findings.
        side = "below" if judgement.parts[0].effect < 0 else "above"
        return f"{said}: it ends further {side} than the claim allows"
    holds = [part.name for part in judgement.parts if part.verdict == "supported"]
    fails = [part.name for part in judgement.parts if part.verdict == "refuted"]
    if claim.id in _BY_MEASURE and holds and fails:
        return f"{said}: they do by {listed(holds)} and do not by {listed(fails)}"
    return said


def _sentence(claim: ClaimRecord, judgement: Judgement) -> str:
    start = _clause(claim, judgement)
    if not judgement.parts:
        return f"{start} ({judgement.reason})."
    glue = ";" if ":" in start else ":"
    asks = f"and the claim asks for {threshold(claim)}"
    return f"{start}{glue} {_effects(claim, judgement)}, {asks}."


def _effects(claim: ClaimRecord, judgement: Judgement) -> str:
    each = [part_effect(claim, part) for part in judgement.parts]
    if len(each) > 1:
        names = [_PARTS.get(part.name, part.name) for part in judgement.parts]
        each = [f"{effect} for {name}" for effect, name in zip(each, names, strict=True)]
    unit = _unit(claim.unit)
    inside = f", in{unit}," if unit else ""
    reason = f" ({judgement.reason})" if judgement.reason else ""
    return f"the {claim.effect}{inside} is {listed(each)}{reason}"


def _unit(unit: Unit) -> str:
    return {
        "difference of shares": " percentage points",
        "standard deviations": " standard deviations",
    }.get(unit, "")


def _named(verdict: Verdict) -> str:
    return "not borne out" if verdict == "refuted" else verdict


def _ids(table: ClaimsTable, verdict: Verdict) -> list[str]:
    return [claim.id for claim in table.claims if claim.study.verdict == verdict]
