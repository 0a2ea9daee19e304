"""The words that depend on a verdict, and the numbers reported with a claim."""

from __future__ import annotations

import re

import pytest

from analysis.project.errors import UserError
from analysis.results.records import Reported
from report.numbers.claims import ClaimNumbers, threshold
from report.numbers.formats import counted, listed, number, per_cent, range_of

VERDICTS = ("supported", "refuted", "inconclusive", "not tested")


def judged(paper, name: str, verdict: str, **changes: object) -> ClaimNumbers:
    """Return a claim with a verdict for each of its parts, whatever its numbers."""
    record = paper.results.record.claim(name)
    parts = tuple(part.model_copy(update={"verdict": verdict}) for part in record.study.parts)
    study = record.study.model_copy(update={"verdict": verdict, "parts": parts} | changes)
    return ClaimNumbers(record.model_copy(update={"study": study}), paper.results)


@pytest.mark.parametrize(
    ("verdict", "start"),
    [
        ("supported", "Accuracy collapses"),
        ("refuted", "The claim that accuracy collapses .* is refuted here"),
        ("inconclusive", "Whether accuracy collapses .* is undecided"),
        ("not tested", "Whether accuracy collapses .* was not tested"),
    ],
)
def test_sentences_follow_the_verdict_and_quote_the_wider_interval(papers, verdict, start):
    claim = judged(papers(), "collapse", verdict)
    assert re.match(start, claim.finding)
    (part,) = claim.record.study.parts
    assert f"{part.effect:.2f} ({part.simultaneous_low:.2f} to" in claim.finding
    assert claim.finding.endswith("asks for less than 0.50.")
    assert threshold(claim.record, short=True) == "< 0.50"


def test_an_untested_claim_says_why(papers):
    claim = judged(papers(), "collapse", "not tested", parts=(), reason="no attack")
    assert claim.finding.endswith("was not tested (no attack).")


def test_parts_that_disagree_are_named(papers):
    claim = judged(papers(), "confident", "refuted")
    parts = [part.model_copy(update={"verdict": "refuted"}) for part in claim.record.study.parts]
    parts[0] = parts[0].model_copy(update={"verdict": "supported"})
    claim = judged(papers(), "confident", "refuted", parts=tuple(parts))
    assert "it holds for confidence as given and not for scaled confidence" in claim.clause


@pytest.mark.parametrize(("effect", "side"), [(-0.08, "below"), (0.08, "above")])
def test_a_refuted_equivalence_says_on_which_side(papers, effect, side):
    claim = judged(papers(), "collapse", "refuted")
    part = claim.record.study.parts[0].model_copy(update={"effect": effect})
    study = claim.record.study.model_copy(update={"parts": (part,)})
    record = claim.record.model_copy(update={"side": "within", "study": study})
    said = ClaimNumbers(record, papers().results).clause
    assert said.endswith(f"ends further {side} than the claim allows")


def test_the_published_finding_is_that_of_the_same_test(committed):
    paper = committed("svhn-subset")
    said = paper.claim("chance").published_finding
    assert "far below guessing" in said and "−8.0" in said and "refuted" in said
    # A claim that the published numbers cannot test has none.
    assert paper.claim("silent").published_finding == ""


def test_a_number_that_is_asked_for_wrongly_is_an_error(papers):
    claim = papers().claim("uneven")
    assert claim.reported("p of equal errors", form=".4f").startswith(("0.", "1."))
    for kind, options, message in (
        ("p of equal error", {}, "nearest is 'p of equal errors'"),
        ("mean temperature", {}, "does not report"),
        ("p of equal errors", {"part": "gab"}, "nearest is 'gap'"),
        ("p of equal errors", {"layer": "layer9"}, "no layer"),
        ("p of equal errors", {"weights": "rando"}, "nearest is 'random'"),
    ):
        with pytest.raises(UserError, match=message):
            claim.reported(kind, **options)
    with pytest.raises(UserError, match="no claim 'unevn'"):
        papers().claim("unevn")


def test_a_declared_number_that_is_missing_was_not_measured(papers):
    assert judged(papers(), "uneven", "refuted", reported=()).reported("p of equal errors") == (
        "not measured"
    )
    two = tuple(Reported(kind="p of equal errors", value=0.1, part=part) for part in ("a", "b"))
    with pytest.raises(UserError, match="several"):
        judged(papers(), "uneven", "refuted", reported=two).reported("p of equal errors")
    undefined = (Reported(kind="p of equal errors", value=float("nan"), low=0.1, high=0.2),)
    claim = judged(papers(), "uneven", "refuted", reported=undefined)
    assert claim.reported("p of equal errors") == "–"


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
