"""The notebook's claims on its published numbers, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analysis import claims, study
from analysis.claims.judging import Finding, Rule
from analysis.inference import evidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results import published
from analysis.results.records import Effect, Verdict

CLAIMS = {claim.id: claim for claim in claims.of(study.load("svhn")).claims}
# Right and all images of some digits, from the published matrix.
EASY = ((1688 + 4819 + 3971), (1744 + 5099 + 4149))
MIDDLE = ((2663 + 2311 + 2207 + 1844 + 1908), (2882 + 2523 + 2384 + 1977 + 2019))
HARD = ((1499 + 1449), (1660 + 1595))


def error(*parts: tuple[int, int]) -> float:
    return 1 - sum(right for right, _ in parts) / sum(every for _, every in parts)


EFFECTS = {
    "accuracy": 24359 / 26032,
    # 9 errs most, and 0 least.
    "uneven": 1688 / 1744 - 1499 / 1660,
    "easy-digits": error(EASY) - error(MIDDLE, HARD),
    "hard-digits": error(HARD) / error(EASY, MIDDLE),
    "collapse": 0.222 / (24359 / 26032),
    "chance": 0.020 - 0.1,
}


@pytest.fixture(scope="module")
def body() -> Evidence:
    return evidence.of_published(published.load("notebook"), resamples=400, seed=0)


def finding(name: str, body: Evidence) -> Finding:
    return CLAIMS[name].test.function(body, **CLAIMS[name].parameters)


def judged(name: str, body: Evidence, *, alpha: float) -> tuple[Verdict, Effect]:
    claim = CLAIMS[name]
    rule = Rule(claim.side, claim.threshold)
    return rule.judge(finding(name, body).effect, level=0.95, alpha=alpha)


def test_effects_are_those_of_the_matrix(body: Evidence) -> None:
    found = {name: finding(name, body).effect.value for name in EFFECTS}
    assert found == pytest.approx(EFFECTS, abs=1e-5)
    assert list(np.argsort(body.class_errors[0])[-2:]) == [9, 8]
    assert finding("chance", body).reason.startswith("accuracies rounded to three decimals")


def test_verdicts_are_those_of_closed_forms(body: Evidence) -> None:
    """Normal bounds for shares, and for the logarithm of a ratio of two of them."""
    alpha = 0.05 / 7
    z = norm.isf(alpha)
    accuracy = EFFECTS["accuracy"]
    shares = {
        "accuracy": np.sqrt(accuracy * (1 - accuracy) / 26032),
        "collapse": np.sqrt(0.222 * 0.778 / 26032) / accuracy,
        # Far below guessing is no better than guessing.
        "chance": np.sqrt(0.02 * 0.98 / 26032),
        "easy-digits": np.sqrt(
            sum(e * (1 - e) / n for e, n in ((error(EASY), 10992), (error(MIDDLE, HARD), 15040)))
        ),
    }
    for name, expected in shares.items():
        verdict, found = judged(name, body, alpha=alpha)
        assert found.standard_error == pytest.approx(expected, rel=0.15)
        assert verdict == "holds", name
    parts = ((error(HARD), 3255), (error(EASY, MIDDLE), 22777))
    spread = np.sqrt(sum((1 - p) / (n * p) for p, n in parts))
    low, high = EFFECTS["hard-digits"] * np.exp(np.array([-z, z]) * spread)
    verdict, found = judged("hard-digits", body, alpha=alpha)
    # 400 resamples leave the bounds uncertain by a few hundredths.
    assert (found.adjusted_low, found.adjusted_high) == pytest.approx((low, high), abs=0.06)
    assert verdict == "holds" and low > 1.3


def test_what_was_not_published_is_not_tested(body: Evidence) -> None:
    for name in set(CLAIMS) - set(EFFECTS) - {"structured"}:
        with pytest.raises(NotTested):
            finding(name, body)
