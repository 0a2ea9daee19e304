"""From replicates to verdicts: every side and boundary, what would turn them, and power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analysis.claims.judging import POWER, Finding, Rule, combined, reported
from analysis.inference.evidence import NotTested
from analysis.results.records import Part, Verdict

SIDES = ("above", "below", "within")
LEVEL, WIDE = 0.9, 0.98


def rule(side: str, threshold: float) -> Rule:
    return Rule(side, threshold, LEVEL, simultaneous=WIDE)


def evenly(low: float, high: float, *, effect: float | None = None) -> np.ndarray:
    """Return an estimate and replicates whose simultaneous interval is exactly this."""
    reach = (high - low) / WIDE * (1 - WIDE) / 2
    replicates = np.linspace(low - reach, high + reach, 1001)
    return np.append((low + high) / 2 if effect is None else effect, replicates)


def normal(effect: float, error: float) -> np.ndarray:
    """Return an estimate and the quantiles of a normal distribution about it."""
    return np.append(effect, effect + error * norm.ppf((np.arange(2000) + 0.5) / 2000))


def judged(side: str, threshold: float, low: float, high: float) -> Part:
    return rule(side, threshold).judge("part", evenly(low, high))


@pytest.mark.parametrize(
    "side, threshold, low, high, verdict",
    [
        ("above", 1.0, 1.1, 1.3, "supported"),
        ("above", 1.0, 0.7, 0.9, "refuted"),
        ("above", 1.0, 0.9, 1.1, "inconclusive"),
        ("above", -1.0, -0.9, 0.5, "supported"),
        ("below", -0.1, -0.3, -0.2, "supported"),
        ("below", -0.1, -0.05, 0.3, "refuted"),
        ("below", -0.1, -0.3, 0.3, "inconclusive"),
        ("within", 0.5, -0.4, 0.3, "supported"),
        ("within", 0.5, 0.1, 0.4, "supported"),
        ("within", 0.5, 0.6, 0.8, "refuted"),
        ("within", 0.5, -0.8, -0.6, "refuted"),
        ("within", 0.5, 0.4, 0.6, "inconclusive"),
        ("within", 0.5, -0.6, -0.4, "inconclusive"),
        ("within", 0.5, -0.9, 0.9, "inconclusive"),
    ],
)
def test_a_verdict_needs_the_whole_interval_on_one_side(
    side: str, threshold: float, low: float, high: float, verdict: Verdict
) -> None:
    assert judged(side, threshold, low, high).verdict == verdict


@pytest.mark.parametrize(
    "side, threshold, end",
    [("above", 0.25, 0.25), ("below", 0.25, 0.25), ("within", 0.25, 0.25), ("within", 0.25, -0.25)],
)
def test_an_interval_that_only_reaches_the_threshold_decides_nothing(
    side: str, threshold: float, end: float
) -> None:
    # Replicates that are all alike have both ends there, exactly.
    values = np.full(101, end)
    assert rule(side, threshold).judge("part", values).verdict == "inconclusive"
    just = {
        rule(side, threshold).judge("part", np.full(101, np.nextafter(end, to))).verdict
        for to in (-1, 1)
    }
    assert just == {"supported", "refuted"}


def test_the_verdict_rests_on_the_wider_interval_and_both_are_kept() -> None:
    values = normal(1.0, 0.1)
    part = rule("above", 0.8).judge("part", values)
    ends = (part.low, part.high, part.simultaneous_low, part.simultaneous_high)
    expected = [1 + 0.1 * z for z in norm.ppf([0.05, 0.95, 0.01, 0.99])]
    assert ends == pytest.approx(expected, abs=1e-3)
    # The ordinary interval lies above 0.8, the one for all claims together does not.
    assert part.low > 0.8 > part.simultaneous_low
    assert part.verdict == "inconclusive"
    assert part.effect == 1.0
    assert part.standard_error == pytest.approx(0.1, rel=0.01)


def test_the_estimate_is_no_replicate_and_a_few_undefined_ones_are_left_out() -> None:
    part = rule("above", 1.0).judge("part", evenly(1.1, 1.3, effect=-50.0))
    assert part.verdict == "supported" and part.effect == -50 and part.standard_error < 0.2
    part = rule("above", 0.5).judge("part", np.append(normal(1.0, 0.1), [np.nan, np.inf]))
    plain = rule("above", 0.5).judge("part", normal(1.0, 0.1))
    assert part.standard_error == pytest.approx(plain.standard_error)
    assert part.simultaneous_low == pytest.approx(plain.simultaneous_low, abs=2e-3)
    assert np.isfinite([part.simultaneous_high, part.high, *part.turns_at]).all()


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_an_effect_without_a_value_or_with_too_few_is_not_tested(odd: float) -> None:
    with pytest.raises(NotTested, match="too few images: 9 is not defined$"):
        Finding({"8": np.ones(5), "9": np.array([odd, 1, 1])}).defined()
    values = np.ones(2001)
    values[[5, 6]] = odd
    finding = Finding({"ratio": values})
    assert finding.defined() is finding
    values[7] = odd
    with pytest.raises(NotTested, match="ratio is not defined in 3 of 2000 resamples"):
        finding.defined()


def random_intervals(side: str, count: int) -> list[tuple[float, float, float]]:
    """Return thresholds and intervals that give every verdict."""
    generator = np.random.default_rng(0)
    ends = np.sort(generator.uniform(-1, 1, (count, 2)), axis=1)
    # Some narrow, so that they lie on one side.
    ends[::2, 1] = ends[::2, 0] + 0.1 * (ends[::2, 1] - ends[::2, 0])
    thresholds = generator.uniform(0.05 if side == "within" else -1, 1, count)
    return [(float(t), *map(float, pair)) for t, pair in zip(thresholds, ends, strict=True)]


@pytest.mark.parametrize("side", SIDES)
def test_the_verdict_turns_at_the_turning_points_and_nowhere_before(side: str) -> None:
    seen = set()
    for threshold, low, high in random_intervals(side, 60):
        part = judged(side, threshold, low, high)
        seen.add((part.verdict, len(part.turns_at)))
        for point in part.turns_at:
            either = [judged(side, point + step, low, high).verdict for step in (-1e-9, 1e-9)]
            assert either[0] != either[1]
            assert part.verdict in either
        # A threshold that no turning point lies before changes nothing.
        least, most = (0.0, 2.0) if side == "within" else (-2.0, 2.0)
        reach = [
            max([t for t in part.turns_at if t < threshold], default=least),
            min([t for t in part.turns_at if t > threshold], default=most),
        ]
        for share in (0.001, 0.25, 0.5, 0.75, 0.999):
            moved = reach[0] + share * (reach[1] - reach[0])
            assert judged(side, moved, low, high).verdict == part.verdict
    assert {verdict for verdict, _ in seen} == {"supported", "refuted", "inconclusive"}
    # An interval that holds zero lies outside of no margin.
    lengths = {("supported", 1), ("refuted", 1), ("inconclusive", 2)}
    assert seen == (lengths | {("inconclusive", 1)} if side == "within" else lengths)


def power(side: str, threshold: float, effect: float, error: float) -> float:
    """Return how often an estimate with this error supports the claim, of 4000 estimates."""
    estimates = effect + error * norm.ppf((np.arange(4000) + 0.5) / 4000)
    reach = error * norm.isf((1 - WIDE) / 2)
    low, high = estimates - reach, estimates + reach
    if side == "within":
        return float(((low > -threshold) & (high < threshold)).mean())
    return float(((low > threshold) if side == "above" else (high < threshold)).mean())


@pytest.mark.parametrize(
    "side, threshold, error",
    [
        ("above", 1.25, 0.1),
        ("above", -0.2, 0.01),
        ("below", 0.5, 0.05),
        ("below", -0.01, 0.004),
        ("within", 0.05, 0.002),
        ("within", 0.05, 0.012),
        # Near zero both ends of the margin are in the way.
        ("within", 0.05, 0.0135),
    ],
)
def test_the_detectable_effect_is_supported_four_times_in_five(
    side: str, threshold: float, error: float
) -> None:
    part = rule(side, threshold).judge("part", normal(0.3, error))
    assert part.detectable is not None
    # The replicates' own standard deviation, which is a little below the normal's.
    found = power(side, threshold, part.detectable, part.standard_error)
    assert found == pytest.approx(POWER, abs=0.01)
    nearer = part.detectable + 0.2 * (threshold - part.detectable)
    assert power(side, threshold, nearer, part.standard_error) < POWER - 0.05


@pytest.mark.parametrize("side", SIDES)
def test_the_detectable_effect_without_noise_and_with_much(side: str) -> None:
    assert rule(side, 0.05).judge("part", np.full(50, 0.01)).detectable == 0.05
    noisy = rule(side, 0.05).judge("part", normal(0.3, 0.0145)).detectable
    # No effect within a margin is detectable if even none at all is not.
    assert (noisy is None) == (side == "within")
    assert power("within", 0.05, 0.0, 0.0145) < POWER


@pytest.mark.parametrize(
    "verdicts, met, expected",
    [
        (["supported"], True, "supported"),
        (["supported", "supported", "supported"], True, "supported"),
        (["supported", "inconclusive"], True, "inconclusive"),
        (["inconclusive", "inconclusive"], True, "inconclusive"),
        (["supported", "refuted", "inconclusive"], True, "refuted"),
        (["refuted"], True, "refuted"),
        (["supported"], False, "inconclusive"),
        (["inconclusive"], False, "inconclusive"),
        (["supported", "refuted"], False, "refuted"),
    ],
)
def test_a_claim_of_several_parts(verdicts: list[Verdict], met: bool, expected: Verdict) -> None:
    assert combined(verdicts, met=met) == expected
    assert combined(verdicts[::-1], met=met) == expected


@pytest.mark.filterwarnings("error")
def test_a_reported_number_has_an_interval_if_there_are_replicates() -> None:
    found = reported("accuracy under attack", normal(0.9, 0.01), part="pgd", level=0.9)
    assert (found.kind, found.part, found.value) == ("accuracy under attack", "pgd", 0.9)
    reach = 0.01 * norm.isf(0.05)
    assert (found.low, found.high) == pytest.approx((0.9 - reach, 0.9 + reach), abs=1e-4)
    alone = reported("p of equal errors", 0.25)
    assert (alone.value, alone.low, alone.high) == (0.25, None, None)
    undefined = reported("contrast", np.full(10, np.nan))
    assert np.isnan(undefined.value) and undefined.low is None and undefined.high is None
