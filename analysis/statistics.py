"""Intervals from resampled photos, and the statistics that claims are judged by."""

from __future__ import annotations

import numpy as np
from scipy.sparse import csr_array
from scipy.special import rel_entr
from scipy.stats import rankdata


def photo_counts(photos: int, *, resamples: int, seed: int) -> np.ndarray:
    """Return how often each photo is drawn in each resample, float32 (resamples, photos)."""
    generator = np.random.default_rng(seed)
    chances = np.full(photos, 1 / photos)
    return generator.multinomial(photos, chances, size=resamples).astype(np.float32)


def sums_by_photo(values: np.ndarray, photo: np.ndarray) -> np.ndarray:
    """Return the sum over the images of each photo of values (N, K), float32 (photos, K).

    ``photo`` (N,) holds any integers; photos are in rising order of them.
    """
    _, where = np.unique(photo, return_inverse=True)
    # One row a photo, with a 1 for each of its images.
    members = csr_array((np.ones(len(where)), (where, np.arange(len(where)))))
    return (members @ values).astype(np.float32)


def resampled_means(values: np.ndarray, photo: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the mean of each column in each resample of photos, (resamples, K).

    ``values`` is (N, K), NaN where an image has no value; ``counts`` is from ``photo_counts``. The
    photo is the unit because neighbouring digits of one photo share pixels.
    """
    there = ~np.isnan(values)
    totals = counts @ sums_by_photo(np.where(there, values, 0), photo)
    numbers = counts @ sums_by_photo(there, photo)
    # A resample without a single image of the group says nothing about it.
    return totals / np.where(numbers > 0, numbers, np.nan)


def interval(resampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of each column of (resamples, K)."""
    tail = (1 - level) / 2
    low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation along the last axis of two arrays (…, K), (…)."""
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    first, second = (values - values.mean(axis=-1, keepdims=True) for values in ranks)
    norm = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
    # Where all are equal there is no order to compare.
    return (first * second).sum(axis=-1) / np.where(norm > 0, norm, np.nan)


def quasi_independence(
    rows: np.ndarray, columns: np.ndarray, *, iterations: int = 15
) -> tuple[np.ndarray, np.ndarray]:
    """Return the factors of a table without diagonal that has these margins, both (…, K).

    Cell (i, j), i ≠ j, is expected to hold the product of row factor i and column factor j:
    Goodman (1968), *The Analysis of Cross-Classified Data*, by iterative proportional fitting.
    """
    down = np.ones_like(rows)
    across = np.ones_like(columns)
    for _ in range(iterations):
        down = _ratio(rows, across.sum(axis=-1, keepdims=True) - across)
        across = _ratio(columns, down.sum(axis=-1, keepdims=True) - down)
    return down, across


def _ratio(numerator: np.ndarray, denominator: np.ndarray) -> np.ndarray:
    return np.divide(
        numerator, denominator, out=np.zeros_like(numerator), where=denominator > 1e-12
    )


def g_statistic(observed: np.ndarray, expected: np.ndarray) -> np.ndarray:
    """Return the likelihood-ratio statistic of counts (…, K) against those expected, (…)."""
    return 2 * rel_entr(observed, expected).sum(axis=-1)


def auroc(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_weights: np.ndarray,
    negative_weights: np.ndarray,
) -> np.ndarray:
    """Return the weighted area under the ROC curve, one for each row of weights, (B,).

    Scores are (P,) and (N,), weights (B, P) and (B, N). It is the chance that a positive's score is
    above a negative's; ties count half.
    """
    order = np.argsort(negative)
    ranked = negative[order]
    below = np.searchsorted(ranked, positive, side="left")
    not_above = np.searchsorted(ranked, positive, side="right")
    cumulated = np.zeros((len(negative_weights), len(negative) + 1))
    np.cumsum(negative_weights[:, order], axis=1, out=cumulated[:, 1:])
    passed = (cumulated[:, below] + cumulated[:, not_above]) / 2
    total = positive_weights.sum(axis=1) * cumulated[:, -1]
    return (positive_weights * passed).sum(axis=1) / np.where(total > 0, total, np.nan)


class Exchange:
    """Random exchanges of what was seen on photos that have equally many images.

    Under the hypothesis that classes do not matter, the errors on one photo might as well have
    come from another: exchanging them keeps their clustering within photos, and leaves the labels
    where they are.
    """

    def __init__(self, photo: np.ndarray) -> None:
        order = np.argsort(photo, kind="stable")
        _, starts, sizes = np.unique(photo[order], return_index=True, return_counts=True)
        self._groups = [
            order[starts[sizes == size][:, None] + np.arange(size)] for size in np.unique(sizes)
        ]

    def draw(self, generator: np.random.Generator) -> np.ndarray:
        """Return for each image the one that its outcome is taken from, int (N,)."""
        taken = np.empty(sum(group.size for group in self._groups), dtype=int)
        for group in self._groups:
            taken[group] = generator.permutation(group, axis=0)
        return taken
