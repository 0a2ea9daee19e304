"""The notebook's claims on its published numbers, worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analysis import claims, study
from analysis.claims import errors
from analysis.claims.judging import Finding, Rule
from analysis.inference import evidence
from analysis.inference.evidence import Evidence, NotTested
from analysis.results import published
from analysis.results.records import Part

CLAIMS = {claim.id: claim for claim in claims.of(study.load("svhn")).claims}
# Right and all images of some digits, from the published matrix.
ZERO_TO_SEVEN = (1688 + 4819 + 3971 + 2663 + 2311 + 2207 + 1844 + 1908) / (
    1744 + 5099 + 4149 + 2882 + 2523 + 2384 + 1977 + 2019
)
THREE_TO_NINE = (2663 + 2311 + 2207 + 1844 + 1908 + 1499 + 1449) / (
    2882 + 2523 + 2384 + 1977 + 2019 + 1660 + 1595
)
EFFECTS = {
    ("accuracy", "accuracy"): 24359 / 26032,
    ("easy-digits", "0"): THREE_TO_NINE - 1688 / 1744,
    ("easy-digits", "1"): THREE_TO_NINE - 4819 / 5099,
    ("easy-digits", "2"): THREE_TO_NINE - 3971 / 4149,
    ("hard-digits", "8"): (1 - 1499 / 1660) / (1 - ZERO_TO_SEVEN),
    ("hard-digits", "9"): (1 - 1449 / 1595) / (1 - ZERO_TO_SEVEN),
    ("collapse", "ratio"): 0.222 / (24359 / 26032),
    ("chance", "distance"): 0.020 - 0.1,
}


@pytest.fixture(scope="module")
def body() -> Evidence:
    return evidence.of_published(published.load("notebook"), resamples=400, seed=0)


def finding(name: str, body: Evidence) -> Finding:
    return CLAIMS[name].test.function(body, **CLAIMS[name].parameters)


def test_effects_are_those_of_the_matrix(body: Evidence) -> None:
    found = {
        (name, part): values[0]
        for name in {name for name, _ in EFFECTS}
        for part, values in finding(name, body).parts.items()
    }
    assert found == pytest.approx(EFFECTS, abs=1e-5)
    accuracies = 1 - errors.class_errors(body)[0]
    assert list(np.argsort(accuracies)[:2]) == [8, 9]
    assert finding("chance", body).reason.startswith("far below guessing; accuracies rounded")


def test_verdicts_are_those_of_closed_forms(body: Evidence) -> None:
    """Normal intervals for shares, and for the logarithm of a ratio of two of them."""
    simultaneous = 1 - 0.05 / 7
    z = norm.isf(0.05 / 7 / 2)

    def part(name: str, part: str) -> Part:
        claim = CLAIMS[name]
        rule = Rule(claim.side, claim.threshold, 0.95, simultaneous=simultaneous)
        return rule.judge(part, finding(name, body).parts[part])

    shares = [
        ("accuracy", "accuracy", np.sqrt(0.9357 * 0.0643 / 26032), "supported"),
        ("collapse", "ratio", np.sqrt(0.222 * 0.778 / 26032) / 0.9357, "supported"),
        # An accuracy far below guessing is not about that of guessing.
        ("chance", "distance", np.sqrt(0.02 * 0.98 / 26032), "refuted"),
    ]
    for name, effect, error, verdict in shares:
        assert part(name, effect).standard_error == pytest.approx(error, rel=0.15)
        assert part(name, effect).verdict == verdict
    assert {part("easy-digits", name).verdict for name in "012"} == {"supported"}
    rest = (1 - ZERO_TO_SEVEN, 22777)
    for name, (share, images), verdict in (
        ("8", (1 - 1499 / 1660, 1660), "supported"),
        ("9", (1 - 1449 / 1595, 1595), "inconclusive"),
    ):
        found = part("hard-digits", name)
        error = np.sqrt(sum((1 - p) / (n * p) for p, n in ((share, images), rest)))
        low, high = np.exp(np.log(share / rest[0]) + np.array([-z, z]) * error)
        # 400 resamples leave the ends uncertain by a few hundredths.
        assert found.simultaneous_low == pytest.approx(low, abs=0.06)
        assert found.simultaneous_high == pytest.approx(high, abs=0.1)
        assert found.verdict == verdict


def test_what_was_not_published_is_not_tested(body: Evidence) -> None:
    tested = {name for name, _ in EFFECTS} | {"uneven", "structured"}
    for name in set(CLAIMS) - tested:
        with pytest.raises(NotTested):
            finding(name, body)
