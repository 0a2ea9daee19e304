"""Statistics, vectorised over thousands of resamples."""

from __future__ import annotations

import warnings

import numpy as np
from scipy.stats import rankdata


def interval(resampled: np.ndarray, level: float) -> tuple[np.ndarray, np.ndarray]:
    """Return the ends of the percentile interval of each column of (resamples, K).

    Missing values are left out; without any value the ends are missing too.
    """
    tail = (1 - level) / 2
    if not np.isnan(resampled).any():
        low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    else:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)
            low, high = np.nanquantile(resampled, [tail, 1 - tail], axis=0)
    return low, high


def rank_correlation(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """Return Spearman's correlation along the last axis of two arrays (…, K), (…)."""
    ranks = [rankdata(values, axis=-1) for values in (first, second)]
    first, second = (values - values.mean(axis=-1, keepdims=True) for values in ranks)
    norm = np.sqrt((first**2).sum(axis=-1) * (second**2).sum(axis=-1))
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


def auroc(
    positive: np.ndarray,
    negative: np.ndarray,
    positive_weights: np.ndarray,
    negative_weights: np.ndarray,
) -> np.ndarray:
    """Return the weighted area under the ROC curve, one for each row of weights, (B,).

    Scores are (P,) and (N,), weights (B, P) and (B, N). It is the probability that a
    positive's score is above a negative's; ties count half.
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
