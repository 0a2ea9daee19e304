"""From effects to verdicts: every side and boundary, levels that share an error rate, and power."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm
from statsmodels.stats.multitest import multipletests

from analysis.claims.judging import POWER, Finding, Rule, holm, reported
from analysis.inference.effects import Range, Replicates
from analysis.inference.evidence import NotTested
from analysis.results.records import Effect, Verdict

SIDES = ("above", "below", "within")
LEVEL, ALPHA = 0.9, 0.01


def evenly(low: float, high: float) -> Replicates:
    """Return replicates whose bounds at ``ALPHA`` are exactly these."""
    reach = (high - low) / (1 - 2 * ALPHA) * ALPHA
    return Replicates((low + high) / 2, np.linspace(low - reach, high + reach, 1001))


def normal(effect: float, error: float, *, count: int = 2000) -> Replicates:
    """Return an estimate and the quantiles of a normal distribution about it."""
    return Replicates(effect, effect + error * norm.ppf((np.arange(count) + 0.5) / count))


def judged(side: str, threshold: float, effect: Replicates) -> tuple[Verdict, Effect]:
    return Rule(side, threshold).judge(effect, level=LEVEL, alpha=ALPHA)


@pytest.mark.parametrize(
    "side, threshold, low, high, verdict",
    [
        ("above", 1.0, 1.1, 1.3, "holds"),
        ("above", 1.0, 0.7, 0.9, "does not hold"),
        ("above", 1.0, 0.9, 1.1, "undecided"),
        ("above", -1.0, -0.9, 0.5, "holds"),
        ("below", -0.1, -0.3, -0.2, "holds"),
        ("below", -0.1, -0.05, 0.3, "does not hold"),
        ("below", -0.1, -0.3, 0.3, "undecided"),
        ("within", 0.5, -0.4, 0.3, "holds"),
        ("within", 0.5, 0.1, 0.4, "holds"),
        ("within", 0.5, 0.6, 0.8, "does not hold"),
        ("within", 0.5, -0.8, -0.6, "does not hold"),
        ("within", 0.5, 0.4, 0.6, "undecided"),
        ("within", 0.5, -0.6, -0.4, "undecided"),
        ("within", 0.5, -0.9, 0.9, "undecided"),
    ],
)
def test_a_verdict_needs_its_bound_beyond_the_threshold(
    side: str, threshold: float, low: float, high: float, verdict: Verdict
) -> None:
    found, effect = judged(side, threshold, evenly(low, high))
    assert found == verdict
    assert (effect.adjusted_low, effect.adjusted_high) == pytest.approx((low, high))
    assert (effect.p <= effect.level) == (verdict != "undecided")


@pytest.mark.parametrize("side", SIDES)
def test_the_verdict_is_that_of_bounds_and_of_p(side: str) -> None:
    """Random intervals and thresholds: a claim is decided where a bound is beyond its threshold."""
    generator, seen = np.random.default_rng(0), set()
    for _ in range(300):
        effect = normal(generator.uniform(-1, 1), generator.choice([0.02, 0.3]))
        threshold = generator.uniform(0.05 if side == "within" else -1, 1)
        verdict, found = judged(side, threshold, effect)
        low, high = found.adjusted_low, found.adjusted_high
        t = threshold
        least, most = {"above": (t, np.inf), "below": (-np.inf, t), "within": (-t, t)}[side]
        # Of 2000 replicates, 20 are beyond a bound.
        if min(abs(end - t) for end in (low, high, -low, -high)) < 0.01:
            continue
        inside, outside = least < low and high < most, low > most or high < least
        expected = "holds" if inside else "does not hold" if outside else "undecided"
        assert verdict == expected
        seen.add(verdict)
    assert seen == {"holds", "does not hold", "undecided"}


@pytest.mark.parametrize("side", SIDES)
def test_an_effect_on_the_threshold_decides_nothing(side: str) -> None:
    verdict, found = judged(side, 0.25, Replicates(0.25, np.full(1000, 0.25)))
    assert verdict == "undecided" and found.p == 1


def test_the_ordinary_interval_and_the_estimate_decide_nothing() -> None:
    verdict, found = judged("above", 0.8, normal(1.0, 0.1))
    ends = (found.low, found.high, found.adjusted_low, found.adjusted_high)
    expected = [1 + 0.1 * z for z in norm.ppf([0.05, 0.95, 0.01, 0.99])]
    assert ends == pytest.approx(expected, abs=1e-3)
    # The ordinary interval lies above 0.8, the bound at the level of the claim does not.
    assert found.low > 0.8 > found.adjusted_low and verdict == "undecided"
    assert found.p == pytest.approx(norm.sf(2), abs=1e-3)
    assert (found.value, found.level) == (1.0, ALPHA)
    assert found.standard_error == pytest.approx(0.1, rel=0.01)
    drawn = evenly(1.1, 1.3).drawn
    assert judged("above", 1.0, Replicates(-50.0, drawn))[0] == "holds"


def test_every_measure_of_an_effect_is_judged_alike() -> None:
    generator = np.random.default_rng(0)
    errors = 0.01 * generator.normal(size=(501, 4)) + np.array([0.05, 0.06, 0.07, 0.2])
    errors[0] = 0.05, 0.06, 0.07, 0.2
    effect = Range(errors, np.zeros(4))
    for side, threshold, verdict in (
        ("above", 0.05, "holds"),
        ("above", 0.15, "undecided"),
        ("below", 0.05, "does not hold"),
        ("below", 0.3, "holds"),
        ("within", 0.3, "holds"),
        ("within", 0.05, "does not hold"),
    ):
        found, content = judged(side, threshold, effect)
        assert found == verdict, (side, threshold)
        assert (content.adjusted_low, content.adjusted_high) == effect.bounds(ALPHA)


@pytest.mark.parametrize("odd", [np.nan, np.inf, -np.inf])
def test_an_effect_without_a_value_or_with_too_few_is_not_tested(odd: float) -> None:
    with pytest.raises(NotTested, match="too few images: the effect is not defined$"):
        Finding.of(np.array([odd, 1, 1]))
    values = np.ones(2001)
    values[[5, 6]] = odd
    assert len(Finding.of(values).effect.drawn) == 1998
    values[7] = odd
    with pytest.raises(NotTested, match="the effect is not defined in 3 of 2,000 resamples"):
        Finding.of(values)


@pytest.mark.parametrize("seed", range(4))
def test_levels_are_those_of_holms_procedure(seed: int) -> None:
    generator = np.random.default_rng(seed)
    p = {str(k): float(value) for k, value in enumerate(generator.beta(0.3, 4, 13))}
    levels = holm(p, alpha=0.05)
    decided = multipletests(list(p.values()), alpha=0.05, method="holm")[0]
    assert [p[name] <= levels[name] for name in p] == list(decided)
    # The level of the first that is not decided is that of all others.
    number = sum(decided)
    rest = {levels[name] for name, one in zip(p, decided, strict=True) if not one}
    assert rest <= {0.05 / (13 - number)} if number < 13 else not rest


def test_holm_with_ties_and_without_claims() -> None:
    assert holm({}, alpha=0.05) == {}
    assert holm({"a": 0.5, "b": 0.5}, alpha=0.05) == {"a": 0.025, "b": 0.025}
    assert holm({"a": 0.02, "b": 0.02}, alpha=0.05) == {"a": 0.025, "b": 0.05}
    assert holm({"a": 0.05}, alpha=0.05) == {"a": 0.05}


def power(side: str, threshold: float, effect: float, error: float) -> float:
    """Return how often an estimate with this error makes a claim hold, of 4000 estimates."""
    estimates = effect + error * norm.ppf((np.arange(4000) + 0.5) / 4000)
    reach = error * norm.isf(ALPHA)
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
def test_the_detectable_effect_is_found_four_times_in_five(
    side: str, threshold: float, error: float
) -> None:
    found = judged(side, threshold, normal(0.3, error))[1]
    assert found.detectable is not None
    # The replicates' own standard deviation, which is a little below the normal's.
    right = power(side, threshold, found.detectable, found.standard_error)
    assert right == pytest.approx(POWER, abs=0.01)
    nearer = found.detectable + 0.2 * (threshold - found.detectable)
    assert power(side, threshold, nearer, found.standard_error) < POWER - 0.05


@pytest.mark.parametrize("side", SIDES)
def test_the_detectable_effect_without_noise_and_with_much(side: str) -> None:
    assert judged(side, 0.05, Replicates(0.01, np.full(50, 0.01)))[1].detectable == 0.05
    noisy = judged(side, 0.05, normal(0.3, 0.0145))[1].detectable
    # No effect within a margin is detectable if even none at all is not.
    assert (noisy is None) == (side == "within")
    assert power("within", 0.05, 0.0, 0.0145) < POWER


@pytest.mark.filterwarnings("error")
def test_a_reported_number_has_an_interval_if_there_are_replicates() -> None:
    values = np.append(0.9, normal(0.9, 0.01).drawn)
    found = reported("accuracy under attack", values, part="pgd", level=0.9)
    assert (found.kind, found.part, found.value) == ("accuracy under attack", "pgd", 0.9)
    reach = 0.01 * norm.isf(0.05)
    assert (found.low, found.high) == pytest.approx((0.9 - reach, 0.9 + reach), abs=1e-4)
    alone = reported("mean temperature", 0.25)
    assert (alone.value, alone.low, alone.high) == (0.25, None, None)
    undefined = reported("contrast", np.full(10, np.nan))
    assert np.isnan(undefined.value) and undefined.low is None and undefined.high is None
