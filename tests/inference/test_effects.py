"""The range over classes and noise-corrected correlations, against loops and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import norm

from analysis.inference.effects import (
    Range,
    Replicates,
    correlation,
    correlations,
    hierarchical_range,
)

ALPHAS = (0.001, 0.01, 0.05, 0.2, 0.5)


def estimates(truth: np.ndarray, error: float, *, count: int = 500, seed: int = 0) -> np.ndarray:
    """Return estimates of K values, and replicates about them, (1 + B, K)."""
    generator = np.random.default_rng(seed)
    value = truth + generator.normal(size=len(truth)) * error
    return np.vstack([value, value + generator.normal(size=(count, len(truth))) * error])


def test_replicates_have_quantiles_and_shares() -> None:
    found = Replicates(0.5, np.arange(1, 1000) / 1000)
    assert found.bounds(0.05) == pytest.approx((0.0509, 0.9491))
    assert found.interval(0.9) == pytest.approx(found.bounds(0.05))
    # 100 of 999 replicates are at most 0.1, and the estimate counts as one more.
    assert (found.p_above(0.1), found.p_below(0.1)) == (0.101, 0.901)
    assert found.p_below(2) == 1 / 1000


@pytest.mark.parametrize("seed", range(5))
def test_bounds_and_p_values_agree(seed: int) -> None:
    """A bound lies beyond a threshold where its p is at most the level, but for one replicate."""
    errors = estimates(np.linspace(0.02, 0.1, 6), 0.01, count=999, seed=seed)
    for found in (Range(errors, np.zeros(6)), Replicates(errors[0, 0], errors[1:, 0])):
        for threshold in np.linspace(-0.02, 0.2, 45):
            for alpha in ALPHAS:
                low, high = found.bounds(alpha)
                if abs(found.p_above(threshold) - alpha) > 0.0015 and low not in (0, 1):
                    assert (low > threshold) == (found.p_above(threshold) < alpha)
                if abs(found.p_below(threshold) - alpha) > 0.0015 and high not in (0, 1):
                    assert (high < threshold) == (found.p_below(threshold) < alpha)


def test_the_range_is_that_of_a_loop_over_pairs() -> None:
    errors = estimates(np.array([0.03, 0.05, 0.05, 0.1]), 0.01)
    found = Range(errors, np.zeros(4))
    pairs = [(a, b) for a in range(4) for b in range(4) if a != b]
    spread = {(a, b): (errors[1:, a] - errors[1:, b]).std(ddof=1) for a, b in pairs}
    difference = {(a, b): errors[0, a] - errors[0, b] for a, b in pairs}
    largest = [
        max((row[a] - row[b] - difference[a, b]) / spread[a, b] for a, b in pairs)
        for row in errors[1:]
    ]
    for alpha in (0.05, 0.2):
        q = np.quantile(largest, 1 - alpha)
        low = max(difference[pair] - q * spread[pair] for pair in pairs)
        high = max(difference[pair] + q * spread[pair] for pair in pairs)
        assert found.bounds(alpha) == pytest.approx((max(low, 0), high))
    assert found.value == pytest.approx(max(difference.values()))
    assert found.error == pytest.approx(spread[max(difference, key=difference.get)])
    for threshold in (0.02, 0.06, 0.12):
        above = max((difference[pair] - threshold) / spread[pair] for pair in pairs)
        below = min((threshold - difference[pair]) / spread[pair] for pair in pairs)
        expected = [(1 + np.sum(np.array(largest) >= each)) / 501 for each in (above, below)]
        assert [found.p_above(threshold), found.p_below(threshold)] == pytest.approx(expected)


def test_classes_without_a_spread_have_their_least_error() -> None:
    errors = np.zeros((101, 3))
    assert Range(errors, np.zeros(3)).bounds(0.05) == (0, 0)
    found = Range(errors + np.array([0, 0, 0.1]), np.array([0.01, 0.01, 0.02]))
    assert found.error == pytest.approx(np.hypot(0.01, 0.02))


def test_the_hierarchical_range_is_that_of_a_posterior_by_importance_sampling() -> None:
    """Draws from the prior, weighted by the likelihood with the true errors integrated out."""
    errors = estimates(np.array([0.03, 0.04, 0.05, 0.05, 0.1]), 0.01, count=20000)
    found = hierarchical_range(errors, np.zeros(5), seed=0)
    generator = np.random.default_rng(1)
    value, error = errors[0], errors[1:].std(axis=0, ddof=1)
    between, centre = generator.uniform(0, 0.3, 40000), generator.uniform(-0.2, 0.3, 40000)
    marginal = np.sqrt(between[:, None] ** 2 + error**2)
    weight = np.exp(norm.logpdf(value, centre[:, None], marginal).sum(axis=1))
    chosen = generator.choice(40000, 20000, p=weight / weight.sum())
    kept = between[chosen, None] ** 2 / (between[chosen, None] ** 2 + error**2)
    mean = centre[chosen, None] + kept * (value - centre[chosen, None])
    ranges = np.ptp(generator.normal(mean, np.sqrt(kept) * error), axis=1)
    levels = [0.025, 0.25, 0.5, 0.75, 0.975]
    # Few of the draws have weight.
    assert np.quantile(found.drawn, levels) == pytest.approx(np.quantile(ranges, levels), abs=3e-3)
    assert found.value == np.median(found.drawn)
    exact = hierarchical_range(np.tile(errors[:1], (50, 1)), np.full(5, 1e-6), seed=0)
    assert exact.interval(0.95) == pytest.approx((np.ptp(value), np.ptp(value)), abs=1e-4)


@pytest.mark.parametrize("truth", [0.0, 0.6, 0.9])
def test_correlations_are_without_the_noise_of_the_estimates(truth: float) -> None:
    """Many classes, so that the correlation of the classes is the true one; noise is shared."""
    generator = np.random.default_rng(0)
    classes, count, error = 20_000, 30, 0.8
    both = generator.normal(size=(2, classes))
    both[1] = truth * both[0] + np.sqrt(1 - truth**2) * both[1]

    def noise() -> np.ndarray:
        shared = generator.normal(size=classes)
        return error * np.stack([shared, (shared + generator.normal(size=classes)) / np.sqrt(2)])

    value = both + noise()
    rows = np.stack([value, *(value + noise() for _ in range(count))])
    naive = np.corrcoef(*value)[0, 1]
    found = correlation(rows[:, 0], rows[:, 1])
    assert found[0] == pytest.approx(truth, abs=0.03) and abs(naive - truth) > 0.035
    # Replicates have the noise twice and vary about the estimate.
    assert found[1:].mean() == pytest.approx(found[0], abs=0.03)


def test_correlations_of_pairs_are_a_mean_covariance_over_a_mean_variance() -> None:
    """Without noise: replicates are the estimates, of which nothing is subtracted."""
    values = np.random.default_rng(1).normal(size=(3, 8))
    rows = np.tile(values, (4, 1, 1))
    pairs = [(0, 1), (0, 2), (1, 2)]
    table = np.cov(values)
    shared = np.mean([table[pair] for pair in pairs])
    own = [np.mean([table[0, 0], table[1, 1]]), np.mean([table[1, 1], table[2, 2]])]
    assert correlations(rows, rows, pairs) == pytest.approx([shared / np.sqrt(np.prod(own))] * 4)
    assert np.isnan(correlation(np.ones((4, 8)), rows[:, 0])).all()
