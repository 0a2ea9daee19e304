"""The words that depend on a verdict, and the numbers reported with a claim."""

from __future__ import annotations

import re

import pytest

from analysis.project.errors import UserError
from analysis.results.records import Effect, Reported, Variant
from report.numbers.claim import ClaimNumbers, threshold
from report.numbers.findings import words
from report.numbers.formats import counted, listed, number, per_cent, range_of
from report.tables.claims import follows

EFFECT = Effect(
    value=0.3,
    low=0.2,
    high=0.4,
    adjusted_low=0.1,
    adjusted_high=0.6,
    level=0.01,
    p=0.001,
    standard_error=0.05,
    detectable=0.35,
)


def judged(paper, name: str, verdict: str = "holds", **changes: object) -> ClaimNumbers:
    """Return a claim with a verdict, whatever its numbers."""
    record = paper.results.record.claim(name)
    given = {"verdict": verdict, "reason": "", "effect": EFFECT, "met": True, "variants": ()}
    study = record.study.model_copy(update=given | changes)
    return ClaimNumbers(record.model_copy(update={"study": study}), paper.results)


def variant(label: str, met: bool | None, **changes: object) -> Variant:
    if met is None:
        return Variant(label=label, changes=changes, reason="nobody has looked")
    return Variant(label=label, changes=changes, value=0.5, low=0.4, high=0.6, met=met)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "uneven",
            {
                "holds": "Errors are uneven: the digit 8 is misread most, in 10.0% of its images",
                "does not hold": "Errors are nearly even: the digit 8 is misread most, in 10.0%",
                "undecided": "The digit 8 is misread most, in 10.0% of its images, and 2 least",
            },
        ),
        (
            "hard-digits",
            {
                "holds": "The digits 8 and 9 are misread 0.30 times as often as the other digits.",
                "does not hold": "as the other digits, not more than 1.25 times.",
                "undecided": "whether it is more than 1.25 times is undecided.",
            },
        ),
        (
            "collapse",
            {
                "holds": "Accuracy collapses: FGSM of 3.8 levels leaves 10.4% of the predictions",
                "does not hold": "Accuracy does not collapse: FGSM of 3.8 levels leaves 10.4%",
                "undecided": "FGSM of 3.8 levels leaves 10.4% of the predictions",
            },
        ),
        (
            "explanations-correct",
            {
                "holds": "Maps of the digits 8 and 9 among correct predictions are more diffuse",
                "does not hold": "digits 0, 1 and 2, not 0.20 SD larger.",
                "undecided": "0, 1 and 2; whether it is 0.20 SD larger is undecided.",
            },
        ),
        (
            "silent",
            {
                "holds": "Many errors are silent: 30.0% of the errors on clean images have",
                "does not hold": "Few errors are silent: 30.0% of the errors on clean images have",
                "undecided": "whether more than 20.0% do is undecided.",
            },
        ),
    ],
)
def test_a_headline_says_what_was_found_under_each_verdict(committed, name, said):
    for verdict, text in said.items():
        reported = committed("svhn-subset").claim(name).record.study.reported
        assert text in judged(committed("svhn-subset"), name, verdict, reported=reported).headline


@pytest.mark.parametrize("side", ["above", "below", "within"])
@pytest.mark.parametrize("verdict", ["holds", "does not hold", "undecided"])
def test_every_test_has_a_sentence_for_every_verdict_and_side(committed, verdict, side):
    paper = committed("svhn-subset")
    for name in {claim.record.test: claim.id for claim in paper.claims}.values():
        for reported in ((), paper.claim(name).record.study.reported):
            claim = judged(paper, name, verdict, reported=reported)
            claim.record = claim.record.model_copy(update={"side": side, "threshold": 0.2})
            short = words(claim.record, paper.results).short
            assert re.fullmatch(r"[A-Z][^{}]*\.", claim.headline), claim.headline
            assert not re.search(r"(?i)\bnan\b|none|  | ,|\(\)", claim.headline + short)


def test_the_evidence_is_the_estimate_with_interval_number_and_claim(papers):
    claim = judged(papers(), "collapse", "does not hold")
    assert claim.evidence == (
        "The ratio of attacked to clean accuracy is 0.30 (95% bootstrap interval 0.20 to 0.40, "
        "n = 60 images; claimed: less than 0.50, which does not hold)."
    )
    assert threshold(claim.record, short=True) == "< 0.50"


def test_an_untested_claim_says_why(papers):
    claim = judged(papers(), "collapse", "not tested", effect=None, reason="no attack")
    assert claim.finding.endswith("was not tested (no attack).") and not claim.varied


def test_an_answer_that_most_variants_turn_is_said_to_be_one_of_few(papers):
    for turned, end in ((2, " But 2 of 3 variants give another answer."), (1, ".")):
        variants = [variant(f"v{n}", n >= turned, epsilon=n / 100) for n in range(3)]
        claim = judged(papers(), "collapse", "holds", variants=tuple(variants))
        assert claim.headline.endswith(end) and ("But" in claim.headline) == (turned == 2)


def test_choices_that_turn_an_answer_are_named_without_those_that_only_change_more(papers):
    variants = (
        variant("PGD", False, attack="pgd"),
        variant("PGD, scaled", False, attack="pgd", scaled=True),
        variant("scaled", True, scaled=True),
        variant("ε = 0.05", False, epsilon=0.05),
        variant("audited labels", None, labels="audited"),
    )
    claim = judged(papers(), "confident", variants=variants)
    assert claim.stability == "; another answer with PGD; ε = 0.05"
    claim = judged(papers(), "confident", variants=variants[:3:2])
    assert claim.stability == "; 1 of 2 variants gives another answer: PGD"
    same = judged(papers(), "confident", variants=variants[2:3])
    assert same.stability == ", as in the one variant"


@pytest.mark.parametrize(
    ("here", "there", "said"),
    [
        ("holds", "holds", "holds with both"),
        ("does not hold", "does not hold", "holds with neither"),
        ("holds", "does not hold", "the recipe decides"),
        ("undecided", "holds", "undecided here"),
        ("holds", "undecided", "undecided there"),
        ("undecided", "not tested", "not tested there"),
    ],
)
def test_two_recipes_are_compared_in_words(here, there, said):
    assert follows(here, there) == said


def test_the_published_finding_is_that_of_the_same_test(committed):
    paper = committed("svhn-subset")
    said = paper.claim("chance").published
    assert "−8.0" in said and said.endswith(": holds.")
    # A claim that the published numbers cannot test has none.
    assert paper.claim("silent").published == ""


def test_a_number_that_is_asked_for_wrongly_is_an_error(papers):
    claim = papers().claim("confident")
    kind = "median confidence when right"
    assert claim.reported(kind).endswith("%")
    for wrong, options, message in (
        ("median confidence when righ", {}, "nearest is 'median confidence when right'"),
        ("contrast", {}, "does not report"),
        (kind, {"part": "fgms"}, "nearest is 'fgsm'"),
        (kind, {"layer": "layer9"}, "no layer"),
        (kind, {"weights": "rando"}, "nearest is 'random'"),
    ):
        with pytest.raises(UserError, match=message):
            claim.reported(wrong, **options)
    with pytest.raises(UserError, match="no claim 'unevn'"):
        papers().claim("unevn")


def test_a_declared_number_that_is_missing_was_not_measured(papers):
    kind = "error of the worst class"
    claim = judged(papers(), "uneven", reported=())
    assert claim.reported(kind) == claim.part(kind) == "not measured"
    two = tuple(Reported(kind=kind, value=0.1, part=part) for part in ("a", "b"))
    with pytest.raises(UserError, match="several"):
        judged(papers(), "uneven", reported=two).reported(kind)
    undefined = (Reported(kind=kind, value=float("nan"), low=0.1, high=0.2, part="a"),)
    claim = judged(papers(), "uneven", reported=undefined)
    assert (claim.reported(kind), claim.part(kind)) == ("–", "a")


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.0826, "difference of shares", "8.3"),
        (-0.0241, "difference of shares", "−2.4"),
        (-0.0001, "difference of shares", "0.0"),
        (0.936, "share", "93.6%"),
        (1.6, "ratio", "1.60"),
        (-0.426, "standard deviations", "−0.43"),
        (0.8512, "AUROC", "0.851"),
        (float("nan"), "ratio", "–"),
    ],
)
def test_numbers_have_the_form_of_their_unit(value, unit, text):
    assert number(value, unit) == text


def test_words_around_numbers():
    assert (counted(1, "network"), counted(1500, "image")) == ("1 network", "1,500 images")
    assert (listed(["a", "b", "c"]), listed(["a"]), listed([])) == ("a, b and c", "a", "")
    assert (range_of([3, 1000]), range_of([3, 3])) == ("3 to 1,000", "3")
    assert (per_cent(0.9444), per_cent(float("nan"))) == ("94.4%", "–")
