"""The claim that attacks cannot be seen, with and without people's answers."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from scipy.stats import binomtest

from analysis import claims, study
from analysis.claims.judge import judge
from analysis.inference.evidence import Evidence
from analysis.results.records import ClaimRecord
from tests.inference.simulated import World, evidence

NOTEBOOK = study.load("demo")


@pytest.fixture(scope="module")
def data() -> Evidence:
    return evidence(World(), groups=200, repeats=1, resamples=100, seed=5)


def asked(data: Evidence, right: int, *, of: int, epsilon: float = 0.015) -> dict:
    answers = np.full(len(data.label), np.nan)
    answers[:of] = np.arange(of) < right
    return {("anna", epsilon): answers}


def judged(data: Evidence) -> dict[str, ClaimRecord]:
    records, _, _ = judge(NOTEBOOK, claims.of(NOTEBOOK), data, None)
    return {record.id: record for record in records}


def test_without_answers_it_is_not_tested_and_changes_nothing_else(data: Evidence) -> None:
    without, elsewhere = (
        judged(data),
        judged(replace(data, answers=asked(data, 9, of=12, epsilon=0.05))),
    )
    assert without == elsewhere
    verdict = without["imperceptible"].study
    assert (verdict.verdict, verdict.reason) == ("not tested", "nobody has been asked")
    found = claims.of(NOTEBOOK)
    assert found.testable(asked=False) == found.testable(asked=True) - 1 == found.confirmatory - 1


@pytest.mark.parametrize(
    "right, pairs, verdict",
    [(60, 120, "undecided"), (110, 240, "holds"), (12, 12, "does not hold"), (7, 12, "undecided")],
)
def test_answers_decide_it(data: Evidence, right: int, pairs: int, verdict: str) -> None:
    record = judged(replace(data, answers=asked(data, right, of=pairs)))["imperceptible"]
    assert record.sentence == (
        "The share of pairs of an image and the same under FGSM at ε = 0.015 (3.8 levels) in which "
        "readers recognise the attacked one, 0.5 by guessing, is below 0.6."
    )
    effect = record.study.effect
    assert record.study.verdict == verdict
    assert record.study.reason == "one reader, images as a sample"
    ends = binomtest(right, pairs).proportion_ci(0.95, method="exact")
    assert (effect.value, effect.low, effect.high) == pytest.approx(
        (right / pairs, ends.low, ends.high)
    )
    tails = [binomtest(right, pairs, 0.6, alternative=side).pvalue for side in ("less", "greater")]
    assert effect.p == pytest.approx(min(tails))
