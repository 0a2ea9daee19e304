"""The words that depend on a verdict, and the numbers reported with a claim."""

from __future__ import annotations

import re

import pytest

from analysis.project.errors import UserError
from analysis.results.records import Effect, Reported, Variant
from report.numbers.claims import ClaimNumbers, threshold
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
    ("verdict", "said"),
    [
        ("holds", "accuracy collapses under small perturbations"),
        ("does not hold", "that accuracy collapses .* does not hold here"),
        ("undecided", "whether accuracy collapses .* is undecided"),
    ],
)
def test_a_finding_begins_with_the_effect_and_its_ordinary_interval(papers, verdict, said):
    claim = judged(papers(), "collapse", verdict)
    start = r"The attacked over clean accuracy is 0\.30 \(0\.20 to 0\.40\): "
    assert re.fullmatch(rf"{start}{said} \(claimed: less than 0\.50\)\.", claim.finding)
    assert re.fullmatch(rf"The .* is 0\.30: {said}\.", claim.brief)
    assert threshold(claim.record, short=True) == "< 0.50"


def test_an_untested_claim_says_why(papers):
    claim = judged(papers(), "collapse", "not tested", effect=None, reason="no attack")
    assert claim.finding.endswith("was not tested (no attack).") and not claim.varied


def test_an_answer_that_most_variants_turn_is_said_to_be_one_of_few(papers):
    for turned, end in ((2, "perturbations, but not in 2 of 3 variants."), (1, "perturbations.")):
        variants = [variant(f"v{n}", n >= turned, epsilon=n / 100) for n in range(3)]
        claim = judged(papers(), "collapse", "holds", variants=tuple(variants))
        assert claim.brief.endswith(end)


def test_choices_that_turn_an_answer_are_named_without_those_that_only_change_more(papers):
    variants = (
        variant("PGD", False, attack="pgd"),
        variant("PGD, scaled", False, attack="pgd", scaled=True),
        variant("scaled", True, scaled=True),
        variant("ε = 0.05", False, epsilon=0.05),
        variant("audited labels", None, labels="audited"),
    )
    said = judged(papers(), "confident", variants=variants).finding
    assert said.endswith(
        " The answer is the same in 1 of 4 variants; what turns it: PGD; ε = 0.05."
    )
    same = judged(papers(), "confident", variants=variants[2:3]).finding
    assert same.endswith(" The answer is the same in 1 of 1 variant.")


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
    said = paper.claim("chance").published_finding
    assert "−8.0" in said and said.endswith("by which the claim holds.")
    # A claim that the published numbers cannot test has none.
    assert paper.claim("silent").published_finding == ""


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
