"""Calibration: temperature and reliability.

Guo et al. (2017), *On Calibration of Modern Neural Networks*.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax, softmax

# A temperature outside this range means that the logits carry no information.
_RANGE = (0.05, 20.0)
# Logits that are computed with at one time: 1 MB in double precision.
_CELLS = 1 << 17


def temperature(logits: np.ndarray, label: np.ndarray) -> float:
    """Return the temperature that gives logits (N, K) the least cross-entropy to labels (N,).

    The logits are divided by it: above 1 it lowers confidence. Without images it is 1.
    """
    if len(label) == 0:
        return 1.0

    def loss(log_temperature: float) -> float:
        scale = np.exp(log_temperature)
        parts = [
            log_softmax(logits[rows] / scale, axis=1)[np.arange(len(label[rows])), label[rows]]
            for rows in blocks(logits)
        ]
        return -np.concatenate(parts).mean()

    found = minimize_scalar(loss, bounds=tuple(np.log(_RANGE)), method="bounded")
    return float(np.exp(found.x))


def cross_fitted_temperatures(
    logits: np.ndarray, label: np.ndarray, fold: np.ndarray
) -> np.ndarray:
    """Return a temperature for each image, (N,), fitted on the images of all other folds.

    Those images are in the training folds of the network that predicts this one, and their logits
    (N, K) come from networks that had not seen them, so nothing is fitted on its own training
    images.
    """
    found = np.empty(len(label))
    for one in np.unique(fold):
        inside = fold == one
        found[inside] = temperature(logits[~inside], label[~inside])
    return found


def scaled_confidence(
    logits: np.ndarray, temperatures: np.ndarray, predicted: np.ndarray
) -> np.ndarray:
    """Return the probability of the predicted classes (R, N) from scaled logits (R, N, K)."""
    found = np.empty(predicted.shape)
    for repeat, (given, scale) in enumerate(zip(logits, temperatures, strict=True)):
        for rows in blocks(given):
            shares = softmax(given[rows] / scale[rows, None], axis=-1)
            found[repeat, rows] = shares[np.arange(len(shares)), predicted[repeat, rows]]
    return found


def blocks(logits: np.ndarray) -> Iterator[slice]:
    """Yield slices of rows (N, K), few enough that their doubles stay in a processor's cache."""
    step = max(1, _CELLS // logits.shape[1])
    for start in range(0, len(logits), step):
        yield slice(start, start + step)


def expected_calibration_error(
    number: np.ndarray, confidence: np.ndarray, correct: np.ndarray
) -> np.ndarray:
    """Return the mean gap between confidence and accuracy over bins, weighted by their images.

    All are sums over the images of each bin, (…, bins): how many, of their confidences, and how
    many are right.
    """
    total = number.sum(axis=-1)
    return np.abs(confidence - correct).sum(axis=-1) / np.where(total > 0, total, np.nan)


def bins_of(confidence: np.ndarray, *, bins: int) -> np.ndarray:
    """Return the bin of equal width that each confidence lies in, from 0."""
    return np.minimum((confidence * bins).astype(int), bins - 1)
