"""The error of the worst class, and by how much it differs between two studies."""

from __future__ import annotations

from functools import cached_property

import numpy as np
from scipy.stats import norm


class WorstDifference:
    """The largest error of classes in B minus the largest in A, whichever classes they are.

    ``b`` (1 + B, K) and ``a`` (1 + B, L) have the estimates first, and ``least`` (K, L) the least
    standard error of each difference. With ``a`` zero it is the largest error itself.

    The percentile interval of a maximum contains it far too seldom where several classes are
    nearly the worst: noise makes the largest estimate too large, and resampling does so once more.
    So the difference is taken as the maximum over j of the minimum over k of bⱼ − aₖ, and its ends
    are those of studentised differences, as in ``analysis.inference.effects.Range``. The lower end
    is wrong only if some class j of B errs too much for the worst class k of A; it needs all j at
    once, for the k that asks for most, and the upper end all k for one j. They contain the truth
    more often than they have to.
    """

    def __init__(self, b: np.ndarray, a: np.ndarray, least: np.ndarray) -> None:
        self._b, self._a, self._least = b.astype(float), a.astype(float), least

    @property
    def value(self) -> float:
        """Return the difference of the largest estimates."""
        return float(self._b[0].max() - self._a[0].max())

    @cached_property
    def _standard(self) -> np.ndarray:
        """Return the standard error of each difference, (K, L)."""
        b, a = (each[1:] - each[1:].mean(axis=0) for each in (self._b, self._a))
        shared = b.T @ a / (len(b) - 1)
        variance = np.add.outer(b.var(axis=0, ddof=1), a.var(axis=0, ddof=1)) - 2 * shared
        return np.sqrt(np.maximum(variance, np.maximum(self._least**2, np.finfo(float).tiny)))

    def interval(self, level: float) -> tuple[float, float]:
        """Return bounds that are each wrong with a probability of at most (1 − level) / 2."""
        above, below = [], []
        for b, a in zip(self._b[1:] - self._b[0], self._a[1:] - self._a[0], strict=True):
            moved = np.subtract.outer(b, a) / self._standard
            above.append(moved.max(axis=0))
            below.append(-moved.min(axis=1))
        found = np.subtract.outer(self._b[0], self._a[0])
        tail = (1 + level) / 2
        reach = [
            # Where nothing moves, neither does its largest deviation.
            max(np.quantile(each, tail, axis=0).max(), norm.ppf(tail)) * self._standard
            for each in (above, below)
        ]
        low, high = (ends.min(axis=1).max() for ends in (found - reach[0], found + reach[1]))
        return float(low), float(high)


def least_error(errors: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the least standard error of shares of errors (K,) of so many images, (K,).

    Where there are no errors, or nothing else, resampling has none either. Two more of each outcome
    give what the images can rule out (Agresti and Coull 1998).
    """
    wrong = errors * images
    share = (wrong + 2) / (images + 4)
    few = np.minimum(wrong, images - wrong) < 1
    return np.where(few, np.sqrt(share * (1 - share) / (images + 4)), 0)


def least_paired_error(more: np.ndarray, fewer: np.ndarray, images: np.ndarray) -> np.ndarray:
    """Return the least standard error of paired differences of so many images, (K,).

    ``more`` counts those that err in B alone, ``fewer`` those that err in A alone. Half an image
    more of each outcome gives what they can rule out (Agresti and Min 2005, *Simple Improved
    Confidence Intervals for Comparing Matched Proportions*).
    """
    more, fewer, number = more + 0.5, fewer + 0.5, images + 2
    return np.sqrt(more + fewer - (more - fewer) ** 2 / number) / number
