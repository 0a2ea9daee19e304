"""Effects with intervals and p-values: from bootstrap replicates, and the range over classes."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Protocol

import numpy as np
from scipy.stats import norm


class Measured(Protocol):
    """An effect that can be held against a threshold."""

    @property
    def value(self) -> float:
        """Return the estimate."""

    @property
    def error(self) -> float:
        """Return the standard error."""

    def interval(self, level: float) -> tuple[float, float]:
        """Return the interval that contains the true effect with probability ``level``."""

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return a lower and an upper bound, each wrong with probability ``alpha``."""

    def p_above(self, threshold: float) -> float:
        """Return the p of the hypothesis that the effect is not above a threshold."""

    def p_below(self, threshold: float) -> float:
        """Return the p of the hypothesis that the effect is not below a threshold."""


@dataclass(frozen=True)
class Replicates:
    """An estimate and its bootstrap replicates, (B,), with percentile intervals.

    Of ``undefined`` further replicates nothing is known but that they lie within ``limits``: they
    count as the lower limit where a lower bound is sought, and as the upper one where an upper is.
    """

    value: float
    drawn: np.ndarray
    undefined: int = 0
    limits: tuple[float, float] = (-np.inf, np.inf)

    @property
    def error(self) -> float:
        """Return the standard deviation of the replicates."""
        return float(np.std(self.drawn, ddof=1))

    def interval(self, level: float) -> tuple[float, float]:
        """Return the central interval."""
        return self.bounds((1 - level) / 2)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the quantiles ``alpha`` and 1 − ``alpha``."""
        lower, upper = (np.append(self.drawn, [end] * self.undefined) for end in self.limits)
        return float(np.quantile(lower, alpha)), float(np.quantile(upper, 1 - alpha))

    def p_above(self, threshold: float) -> float:
        """Return the share of replicates that are not above, the estimate counted among them."""
        return self._p(self.drawn <= threshold)

    def p_below(self, threshold: float) -> float:
        """Return the share of replicates that are not below, the estimate counted among them."""
        return self._p(self.drawn >= threshold)

    def _p(self, beyond: np.ndarray) -> float:
        least = 1 + self.undefined
        return float((least + beyond.sum()) / (least + len(beyond)))


@dataclass(frozen=True)
class Range:
    """The largest difference between the errors of classes, from all pairs at once.

    ``errors`` (1 + B, K) has the estimates first and ``floor`` (K,) the least standard error of
    each. All differences lie within q standard errors of their estimates with the probability that
    their largest studentised deviation in the resamples is at most q (the max-t method; Westfall
    and Young 1993, *Resampling-Based Multiple Testing*). So the range is at least the largest lower
    and at most the largest upper end, whichever classes are worst and best.
    """

    errors: np.ndarray
    floor: np.ndarray

    @property
    def value(self) -> float:
        """Return the range of the estimates, which noise alone makes larger than the true one."""
        return float(np.ptp(self.errors[0]))

    @cached_property
    def _differences(self) -> np.ndarray:
        return np.subtract.outer(self.errors[0], self.errors[0])

    @cached_property
    def _standard(self) -> np.ndarray:
        """Return the standard error of each difference, infinite for a class and itself."""
        covariance = np.atleast_2d(np.cov(self.errors[1:], rowvar=False))
        variance = np.maximum(covariance.diagonal(), self.floor**2)
        square = np.add.outer(variance, variance) - 2 * covariance
        np.fill_diagonal(square, np.inf)
        return np.sqrt(np.maximum(square, np.finfo(float).tiny))

    @cached_property
    def _deviations(self) -> np.ndarray:
        """Return the largest studentised deviation in each resample, (B,)."""
        moved = self.errors[1:] - self.errors[0]
        return np.array(
            [(np.subtract.outer(row, row) / self._standard).max() for row in moved.astype(float)]
        )

    @property
    def error(self) -> float:
        """Return the standard error of the difference between the worst and the best class."""
        worst, best = self.errors[0].argmax(), self.errors[0].argmin()
        return float(self._standard[worst, best]) if worst != best else 0.0

    def interval(self, level: float) -> tuple[float, float]:
        """Return bounds that hold together."""
        return self.bounds(1 - level)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return the largest lower and the largest upper end over all pairs, within [0, 1]."""
        reach = np.quantile(self._deviations, 1 - alpha) * self._standard
        np.fill_diagonal(reach, 0)
        low, high = (self._differences - reach).max(), (self._differences + reach).max()
        return float(np.clip(low, 0, 1)), float(np.clip(high, 0, 1))

    def p_above(self, threshold: float) -> float:
        """Return how often a deviation reaches as far as the clearest pair is above."""
        return self._p(((self._differences - threshold) / self._standard).max())

    def p_below(self, threshold: float) -> float:
        """Return how often a deviation reaches as far as the least clear pair is below."""
        distance = (threshold - self._differences) / self._standard
        np.fill_diagonal(distance, np.inf)
        return self._p(distance.min())

    def _p(self, distance: float) -> float:
        return float((1 + np.sum(self._deviations >= distance)) / (1 + len(self._deviations)))


def hierarchical_range(errors: np.ndarray, floor: np.ndarray, *, seed: int) -> Replicates:
    """Return the range of the true errors of classes under a normal model of them.

    ``errors`` (1 + B, K) and ``floor`` (K,) are those of ``Range``. True errors are normal about a
    common mean, estimates about the true errors; mean and standard deviation have flat priors
    (Gelman 2006, *Prior Distributions for Variance Parameters in Hierarchical Models*). The value
    is the median of the posterior, of which as many values are drawn as there are resamples.
    """
    value, count = errors[0].astype(float), len(errors) - 1
    variance = np.maximum(errors[1:].var(axis=0, ddof=1, dtype=float), floor**2)
    largest = max(np.ptp(value), np.sqrt(variance).max())
    grid = np.linspace(0, 5 * largest, 1000)
    weight = 1 / (grid[:, None] ** 2 + variance)
    mean = (weight * value).sum(axis=1) / weight.sum(axis=1)
    logarithm = norm.logpdf(value, mean[:, None], 1 / np.sqrt(weight)).sum(axis=1)
    logarithm -= np.log(weight.sum(axis=1)) / 2
    posterior = np.exp(logarithm - logarithm.max())
    generator = np.random.default_rng([seed, 8])
    chosen = generator.choice(len(grid), size=count, p=posterior / posterior.sum())
    centre = generator.normal(mean[chosen], 1 / np.sqrt(weight[chosen].sum(axis=1)))
    # 1 where the classes differ much more than their estimates err, 0 where not at all.
    kept = grid[chosen, None] ** 2 * weight[chosen]
    drawn = generator.normal(
        centre[:, None] + kept * (value - centre[:, None]), np.sqrt(kept * variance)
    )
    ranges = np.ptp(drawn, axis=1)
    return Replicates(float(np.median(ranges)), ranges)


def correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the correlation over K classes of what two estimates (1 + B, K) estimate, (1 + B,).

    Estimates correlate less than what they estimate, because each has noise of its own, or more,
    where they share it. The resamples show how much; it is subtracted once from the covariances of
    the estimates, and twice from those of the replicates, which have it twice. NaN where no
    variance is left; limited to [−1, 1]. After Spearman (1904), *The Proof and Measurement of
    Association between Two Things*.
    """
    return correlations(first[:, None], second[:, None], [(0, 0)])


def correlations(first: np.ndarray, second: np.ndarray, pairs: list[tuple[int, int]]) -> np.ndarray:
    """Return the same for pairs of several estimates, (1 + B, R, K): their mean covariance."""
    shared = np.mean([_covariance(first[:, a], second[:, b]) for a, b in pairs], axis=0)
    own = [
        np.mean([_covariance(each[:, one], each[:, one]) for one in {p[n] for p in pairs}], axis=0)
        for n, each in enumerate((first, second))
    ]
    known = (own[0] > 0) & (own[1] > 0)
    product = np.where(known, own[0] * own[1], np.nan)
    return np.clip(shared / np.sqrt(product), -1, 1)


def _covariance(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return the covariance over classes without the noise that the resamples show, (1 + B,)."""

    def plain(one: np.ndarray, other: np.ndarray) -> np.ndarray:
        one, other = (x - x.mean(axis=-1, keepdims=True) for x in (one, other))
        return (one * other).sum(axis=-1) / (one.shape[-1] - 1)

    found = plain(first.astype(float), second.astype(float))
    noise = plain(first[1:] - first[0], second[1:] - second[0]).mean()
    return found - noise * np.where(np.arange(len(found)) == 0, 1, 2)
