"""The share of pairs in which readers find the attacked image, with exact intervals.

Answers of one reader vary less than those of several, and those about one image less than those
about several. Their effective number is that of independent answers which would vary as much, after
Korn and Graubard (1998), *Confidence Intervals for Proportions with Small Expected Number of
Positive Counts Estimated from Survey Data*; the interval is then Clopper and Pearson's.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial

import numpy as np
import pandas as pd
from scipy.stats import beta, t
from statsmodels.stats.proportion import proportion_confint

# With fewer readers a statement is about these readers: what people have in common is not known.
READERS = 5
_CLOPPER_PEARSON = partial(proportion_confint, method="beta")
_USUAL = 0.975


@dataclass(frozen=True)
class Proportion:
    """A share of ``right`` among ``asked`` independent answers, which need not be whole numbers."""

    right: float
    asked: float

    @property
    def value(self) -> float:
        """Return the share."""
        return self.right / self.asked

    @property
    def error(self) -> float:
        """Return the standard error."""
        return float(np.sqrt(self.value * (1 - self.value) / self.asked))

    def interval(self, level: float) -> tuple[float, float]:
        """Return Clopper and Pearson's interval."""
        return self.bounds((1 - level) / 2)

    def bounds(self, alpha: float) -> tuple[float, float]:
        """Return a lower and an upper bound, each wrong with probability ``alpha`` at most."""
        low, high = _CLOPPER_PEARSON(self.right, self.asked, alpha=2 * alpha)
        return float(low), float(high)

    def p_above(self, threshold: float) -> float:
        """Return the binomial probability of as many right answers at a threshold."""
        wrong = self.asked - self.right
        return float(beta.cdf(threshold, self.right, wrong + 1)) if self.right > 0 else 1.0

    def p_below(self, threshold: float) -> float:
        """Return the binomial probability of as few right answers at a threshold."""
        wrong = self.asked - self.right
        return float(beta.sf(threshold, self.right + 1, wrong)) if wrong > 0 else 1.0


def proportion(right: np.ndarray) -> tuple[Proportion, str]:
    """Return the share of right answers (readers, images), and what its interval is about.

    An answer is 1 or 0, NaN if it was not asked for. One reader's are a binomial sample of images.
    Those of a few readers are about these readers, and images are the sample; those of at least
    ``READERS`` readers are a sample of both.
    """
    known = ~np.isnan(right)
    asked, share = int(known.sum()), float(right[known].mean())
    readers, images = int(known.any(axis=1).sum()), int(known.any(axis=0).sum())
    if readers == 1:
        return Proportion(float(right[known].sum()), asked), "one reader, images as a sample"
    off = np.where(known, right - share, 0)
    of_images = _variance(off.sum(axis=0)[known.any(axis=0)])
    variance, units = of_images, images
    about = f"these {readers} readers, images as a sample"
    if readers >= READERS:
        of_readers = _variance(off.sum(axis=1)[known.any(axis=1)])
        # Each answer is in both sums, and is counted once (Cameron, Gelbach and Miller 2011).
        both = of_images + of_readers - _variance(off[known])
        variance, units = max(both, of_images, of_readers), min(readers, images)
        about = f"{readers} readers, readers and images as samples"
    if variance == 0:
        effective = float(units)
    elif units == 1:
        effective = 1.0
    else:
        like_independent = asked**2 * share * (1 - share) / variance
        few = t.ppf(_USUAL, max(asked - 1, 1)) / t.ppf(_USUAL, units - 1)
        effective = min(like_independent * few**2, asked)
    return Proportion(share * effective, effective), about


def _variance(sums: np.ndarray) -> float:
    """Return the variance of the total of some sums of deviations."""
    count = len(sums)
    return float((sums**2).sum() * count / max(count - 1, 1))


def guesses(most: int, *, level: float) -> pd.DataFrame:
    """Return the table ``guesses``: the share of each score of up to ``most`` pairs."""
    rows = [
        (asked, right, *Proportion(right, asked).interval(level))
        for asked in range(1, most + 1)
        for right in range(asked + 1)
    ]
    found = pd.DataFrame(rows, columns=["pairs", "right", "low", "high"])
    return found.astype({"pairs": "int64", "right": "int64", "low": "float64", "high": "float64"})
